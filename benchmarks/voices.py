"""What ``--audio disguise`` hides and what it leaves: ``python -m benchmarks.voices [--seed N]``.

Voices are made by espeak-ng, Dutch, men and women, because no recordings of people may be kept for
this. Two questions:

- *Who speaks?* A recogniser of speakers (mean and spread of 20 mel-frequency cepstral coefficients, and pitch; linear
  discriminant) names the speaker of a sentence it has not heard. It was taught from clear sentences, or, as an attacker
  who knows how the disguise works, from sentences that were disguised, each in its own way, as clips are.
- *What is said?* A recogniser of words (dynamic time warping of cepstral coefficients against clear words of other
  speakers) names the word. And STOI (Taal et al. 2011), which compares the rhythm of loudness in 15 bands.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import FailedError, table
from pipeline.adapters.disguise import Disguise

RATE = 16_000
SPEAKERS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")
PITCHES = {"m": (28, 36, 44, 52, 32, 40, 48), "f": (60, 68, 52, 74, 64)}
SENTENCES = (
    "Goedemorgen allemaal, pak je boek en ga naar bladzijde twaalf.",
    "Wie kan mij vertellen waarom het water in de winter bevriest?",
    "Ik heb gisteren met mijn zusje in het park gevoetbald.",
    "Schrijf het antwoord op het bord en leg uit hoe je het vond.",
    "Mogen we na de pauze verder met de proef over magneten?",
    "Dat is een goede vraag, daar gaan we samen naar kijken.",
    "De hoofdstad van Drenthe is Assen en niet Groningen.",
    "Luister even naar elkaar, dan is iedereen aan de beurt.",
)
WORDS = (
    "water",
    "boek",
    "tafel",
    "school",
    "fiets",
    "winter",
    "zomer",
    "maandag",
    "vraag",
    "antwoord",
    "jongen",
    "meisje",
    "appel",
    "groen",
    "zeven",
    "twaalf",
)
CHANCE_ERRORS = 2


def spoken(text: str, voice: str, pitch: int) -> Any:
    """(samples,) at RATE, -1..1. Raises FailedError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        command = ["espeak-ng", "-v", f"nl+{voice}", "-p", str(pitch), "-s", "150", "-w", str(path), text]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode or not path.exists():
            raise FailedError(f"espeak-ng: {done.stderr.decode(errors='replace').strip()}")
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    at = np.arange(int(len(samples) * RATE / rate)) * rate / RATE
    return np.interp(at, np.arange(len(samples)), samples).astype(np.float32)


def strange(samples: Any, random: np.random.Generator) -> Any:
    """The samples disguised as a clip of their own."""
    one = Disguise(RATE, random)
    return np.concatenate([one.push(samples[None]), one.flush()], axis=1)[0]


def _frames(samples: Any, size: int = 400, hop: int = 160) -> Any:
    padded = np.pad(samples, (0, size))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * np.hanning(size)


def _mel(count: int = 40, size: int = 512) -> Any:
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, count + 2) / 2595) - 1)
    bins = hertz * size / RATE
    at = np.arange(size // 2 + 1)
    rows = [
        np.minimum((at - a) / (b - a), (c - at) / (c - b)) for a, b, c in zip(bins, bins[1:], bins[2:], strict=False)
    ]
    return np.maximum(0, rows)


def cepstra(samples: Any, count: int = 20) -> Any:
    """(frames, count) mel-frequency cepstral coefficients of the frames that are not silent."""
    power = np.abs(np.fft.rfft(_frames(samples), 512, axis=1)) ** 2
    loud = power.sum(axis=1)
    log = np.log(power @ _mel().T + 1e-8)[loud > 1e-3 * loud.max()]
    k = np.arange(log.shape[1])
    basis = np.cos(np.pi / log.shape[1] * (k[None] + 0.5) * np.arange(count)[:, None])
    return log @ basis.T


def pitch_of(samples: Any) -> tuple[float, float]:
    """Middle and spread of the logarithm of the pitch, by autocorrelation."""
    found = []
    for frame in _frames(samples, 640, 320):
        if (frame**2).sum() < 0.05:
            continue
        lags = np.fft.irfft(np.abs(np.fft.rfft(frame, 2048)) ** 2)[:640]
        low, high = RATE // 420, RATE // 65
        lag = low + int(np.argmax(lags[low:high]))
        if lags[lag] > 0.3 * lags[0]:
            found.append(np.log(RATE / lag))
    return (float(np.median(found)), float(np.std(found))) if found else (0.0, 0.0)


def portrait(samples: Any) -> Any:
    """What is characteristic of a speaker, (42,)."""
    found = cepstra(samples)
    return np.concatenate([found.mean(axis=0)[1:], found.std(axis=0), pitch_of(samples)])


def named(teach: Any, teachers: Any, ask: Any) -> Any:
    """Linear discriminant: the speaker of each row of ``ask``."""
    scale = teach.std(axis=0) + 1e-9
    teach, ask = teach / scale, ask / scale
    people = np.unique(teachers)
    means = np.stack([teach[teachers == one].mean(axis=0) for one in people])
    spread = np.cov((teach - means[np.searchsorted(people, teachers)]).T) + 0.3 * np.eye(teach.shape[1])
    weights = np.linalg.solve(spread, means.T)
    return people[np.argmax(ask @ weights - 0.5 * np.einsum("ij,ji->i", means, weights), axis=1)]


def alike(one: Any, words: list[Any]) -> Any:
    """Distances (words,) by dynamic time warping, all words at a time."""
    longest = max(map(len, words))
    padded = np.stack([np.pad(word, ((0, longest - len(word)), (0, 0)), constant_values=1e3) for word in words])
    cost = np.stack([np.linalg.norm(padded - frame, axis=2) for frame in one], axis=1)
    best = np.full((len(words), len(one) + 1, longest + 1), np.inf)
    best[:, 0, 0] = 0
    for i in range(1, len(one) + 1):
        for j in range(1, longest + 1):
            least = np.minimum(np.minimum(best[:, i - 1, j], best[:, i, j - 1]), best[:, i - 1, j - 1])
            best[:, i, j] = cost[:, i - 1, j - 1] + least
    lengths = np.array([len(word) for word in words])
    return best[np.arange(len(words)), len(one), lengths] / (len(one) + lengths)


def normal(samples: Any) -> Any:
    """Cepstra of a word by which words are compared: every third frame, mean taken off."""
    found = cepstra(samples, 13)[::3, 1:]
    return found - found.mean(axis=0)


def stoi(clear: Any, heard: Any) -> float:
    """Short-time objective intelligibility, -1..1, of two signals of equal length."""
    bands = 150 * 2 ** (np.arange(15) / 3)
    hertz = np.fft.rfftfreq(512, 1 / RATE)
    octaves = np.stack([(hertz >= c / 2 ** (1 / 6)) & (hertz < c * 2 ** (1 / 6)) for c in bands]).astype(float)
    pictures = [
        np.sqrt(np.abs(np.fft.rfft(_frames(s, 410, 205), 512, axis=1)) ** 2 @ octaves.T) for s in (clear, heard)
    ]
    loud = pictures[0].sum(axis=1) > 0.02 * pictures[0].sum(axis=1).max()
    x, y = (picture[loud] for picture in pictures)
    scores = []
    for at in range(30, len(x) + 1, 3):
        a, b = x[at - 30 : at], y[at - 30 : at]
        b = np.minimum(b * np.linalg.norm(a, axis=0) / (np.linalg.norm(b, axis=0) + 1e-9), a * (1 + 10 ** (15 / 20)))
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        scores.append((a * b).sum(axis=0) / (np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0) + 1e-9))
    return float(np.mean(scores))


def share(right: Any) -> str:
    return f"{100 * float(np.mean(right)):.0f} %"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voices", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args(arguments).seed
    if shutil.which("espeak-ng") is None:
        print("espeak-ng is not there; on Debian: apt-get install espeak-ng", file=sys.stderr)
        return 1
    dice = np.random.default_rng(seed)
    people = [(voice, PITCHES[voice[0]][int(voice[1:]) - 1]) for voice in SPEAKERS]
    said = [[spoken(text, *one) for text in SENTENCES] for one in people]
    half = len(SENTENCES) // 2
    who = np.repeat(np.arange(len(people)), half)

    def rows(sentences: slice, through: Callable[[Any], Any]) -> Any:
        return np.stack([portrait(through(one)) for every in said for one in every[sentences]])

    teach, ask = slice(0, half), slice(half, None)

    def veiled(samples: Any) -> Any:
        return strange(samples, dice)

    clear, hidden = (rows(teach, lambda s: s), rows(ask, lambda s: s)), rows(ask, veiled)
    taught = np.concatenate([rows(teach, veiled) for _ in range(5)])
    many = np.tile(who, 5)
    one_clip = int(dice.integers(1 << 30))

    def alike_veiled(samples: Any) -> Any:
        return strange(samples, np.random.default_rng(one_clip))

    same = rows(teach, alike_veiled), rows(ask, alike_veiled)
    chance = 1 / len(people)
    margin = CHANCE_ERRORS * np.sqrt(chance * (1 - chance) / len(who))
    sexes = np.array([voice[0] for voice, _ in people])
    print(
        f"{len(people)} speakers, {len(who)} sentences asked; chance {share(chance)}, up to {share(chance + margin)}\n"
    )
    print(table([
        ["who speaks? taught from", "asked about", "named", "sex right"],
        *[
            [*words, share(answer == who), share(sexes[answer] == sexes[who])]
            for words, answer in (
                (("clear", "clear"), named(clear[0], who, clear[1])),
                (("clear", "disguised"), named(clear[0], who, hidden)),
                (("disguised, many ways", "disguised, another way"), named(taught, many, hidden)),
                (("disguised", "the same clip, disguised alike"), named(same[0], who, same[1])),
            )
        ],
    ]))  # fmt: skip
    known = [(word, normal(spoken(word, *one))) for one in people[:9:2] for word in WORDS]
    labels = np.array([word for word, _ in known])
    right: dict[str, list[bool]] = {"clear": [], "disguised": []}
    for one in people[1:8:3]:
        for word in WORDS:
            sound = spoken(word, *one)
            for how, version in (("clear", sound), ("disguised", veiled(sound))):
                near = labels[np.argmin(alike(normal(version), [c for _, c in known]))]
                right[how].append(bool(near == word))
    scores = [stoi(one, veiled(one)) for every in said[::3] for one in every[:4]]
    noisy = [stoi(one, one + 0.05 * dice.normal(size=len(one))) for every in said[::3] for one in every[:4]]
    print()
    print(table([
        ["what is said?", "clear", "disguised", "for comparison"],
        ["words", share(right["clear"]), share(right["disguised"]), f"chance {share(1 / len(WORDS))}"],
        ["STOI", "1.00", f"{np.mean(scores):.2f}", f"{np.mean(noisy):.2f} in loud noise"],
    ]))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
