"""Voices made strange but still to be understood: pitch and the shape of the vocal tract are moved, words are not.

Frame by frame (short-time Fourier transform) a voice is taken apart into its excitation and its spectral envelope
(cepstral smoothing). Whoever speaks is brought to one pitch, which wanders; the envelope's frequencies are raised to a
power, the McAdams coefficient (Patino et al., arXiv 2011.01130, the baseline B2 of the VoicePrivacy challenges), which
wanders too; and what a voice sounds like on average is taken out of the envelope, so that only what changes is left:
the words. Pitch and power are drawn anew for every clip from the system's randomness and kept nowhere. Phases are not
the original's.

It turns aside who recognises a voice by ear or compares it with a recording. It is no promise against an attacker with
many disguised recordings of the same people and time to train on them; docs/measured/hiding.md says how it was judged.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""(channels, samples), -1..1."""

FRAME_SECONDS = 0.043
"""A frame holds about this much: four periods of a deep voice."""

OVERLAP = 4
"""Frames that cover each sample."""

ENVELOPE = 0.0014
"""Seconds of the cepstrum that make the envelope; the shortest period of a child's voice is longer than this."""

MCADAMS_RATE = 16_000
"""Hz at which the coefficient is meant: an angle of 1 (2.5 kHz) stays where it is, whatever the film's own rate."""

BENT, TARGET = (0.12, 0.20), (135.0, 215.0)
"""How far the coefficient may lie from 1; and the pitch, Hz, to which everyone is brought: least and most."""

WANDER, BEND, PACE = 0.5, 0.04, 0.7
"""Semitones by which pitch and how far the coefficient wander about that, and how often a second they turn."""

PITCHES, VOICED = (70.0, 420.0), 0.09
"""Hz in which a voice's pitch is looked for, and the height of the cepstrum's peak from which there is one."""

FARTHEST = 9.0
"""Semitones by which pitch is moved at most."""

FOLLOW, EVEN = 0.04, 0.9
"""What one frame counts in the average of pitch and of the envelope; and how much of the average is taken out of it."""

FLOOR = 1e-5

BATCH = 64
"""Frames worked on at a time; at 48 kHz two thirds of a second."""


class Disguise:
    """One unbroken stretch of sound. ``push`` gives back as many samples as are ready, ``flush`` the rest; in all as
    many as went in, each in its place. Memory does not grow with length."""

    def __init__(self, rate: int, random: np.random.Generator | None = None) -> None:
        """``rate`` in Hz. ``random`` for tests only; otherwise the system's randomness, drawn once."""
        dice = random or np.random.default_rng(secrets.randbits(128))
        self.size = 1 << round(float(np.log2(FRAME_SECONDS * rate)))
        self.hop = self.size // OVERLAP
        self._rate = rate
        self._window = np.hanning(self.size + 1)[:-1].astype(np.float32)
        self.coefficient = 1 + float(dice.uniform(*BENT)) * (1 if dice.random() < 0.5 else -1)
        self.target = float(np.exp(dice.uniform(*np.log(TARGET))))
        self._drift = dice.uniform(0, 2 * np.pi, (2, 3)), dice.uniform(0.4, 1.6, (2, 3)) * PACE
        self._pitch: Any = None
        self._average: Any = None
        self._loud = 0.0
        bins = np.arange(self.size // 2 + 1)
        self._unit = MCADAMS_RATE * self.size / (2 * np.pi * rate)
        self._bins = bins
        self._frames = 0
        self._given = self._taken = self._made = 0
        self._waiting: Samples | None = None
        self._tail: Samples | None = None
        self._before: Any = None
        self._phase: Any = None

    def push(self, samples: Samples) -> Samples:
        """(channels, n) in, (channels, m) out."""
        if self._waiting is None:
            channels = samples.shape[0]
            # So much silence before the first sample that it is covered by as many frames as any other.
            self._waiting = np.zeros((channels, self.size - self.hop), np.float32)
            self._tail = np.zeros((channels, self.size), np.float32)
            self._before = np.zeros((channels, self.size // 2 + 1))
            self._phase = np.zeros((channels, self.size // 2 + 1))
        self._taken += samples.shape[1]
        self._waiting = np.concatenate([self._waiting, samples], axis=1)
        done = []
        while (ready := (self._waiting.shape[1] - self.size) // self.hop + 1) > 0:
            count = min(ready, BATCH)
            done.append(self._batch(self._waiting[:, : self.size + (count - 1) * self.hop], count))
            self._waiting = self._waiting[:, count * self.hop :]
        return self._counted(done)

    def flush(self) -> Samples:
        """What is still inside; the stretch has ended."""
        if self._waiting is None:
            return np.zeros((1, 0), np.float32)
        left = self._taken - self._given
        out = self.push(np.zeros((self._waiting.shape[0], left + 2 * self.size), np.float32))
        return out[:, :left]

    def _counted(self, done: list[Samples]) -> Samples:
        channels = cast(Samples, self._waiting).shape[0]
        out = np.concatenate([np.zeros((channels, 0), np.float32), *done], axis=1)
        # The first frames stand on the silence put before the first sample.
        lead = self.size - self.hop
        skip = max(0, min(lead - self._made, out.shape[1]))
        self._made += out.shape[1]
        out = out[:, skip:]
        self._given += out.shape[1]
        return out

    def _batch(self, samples: Samples, count: int) -> Samples:
        """``count`` frames worked on and added up; the samples that no later frame reaches."""
        channels = samples.shape[0]
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.size, axis=1)[:, :: self.hop][:, :count]
        spectrum = np.fft.rfft(frames * self._window, axis=2)
        made = np.fft.irfft(self._strange(spectrum), self.size, axis=2).astype(np.float32) * self._window
        made *= np.float32(1 / (0.375 * OVERLAP))  # what the square of the window adds up to
        out = np.zeros((channels, self.size + (count - 1) * self.hop), np.float32)
        out[:, : self.size] += cast(Samples, self._tail)
        for number in range(count):
            out[:, number * self.hop : number * self.hop + self.size] += made[:, number]
        ready = count * self.hop
        self._tail = np.pad(out[:, ready:], ((0, 0), (0, self.size - (out.shape[1] - ready))))
        return np.clip(out[:, :ready], -1, 1)

    def _strange(self, spectrum: Any) -> Any:
        """(channels, frames, bins) in and out."""
        size, hop = np.abs(spectrum), self.hop
        angle = np.angle(spectrum)
        # The true frequency of what is in each bin, from how far its phase turned since the frame before, in bins.
        turned = np.diff(np.concatenate([self._before[:, None], angle], axis=1), axis=1)
        self._before = angle[:, -1]
        expected = 2 * np.pi * hop * self._bins / self.size
        off = np.mod(turned - expected + np.pi, 2 * np.pi) - np.pi
        frequency = self._bins + off * OVERLAP / (2 * np.pi)
        log = np.log(size + FLOOR)
        smooth, pitch = self._smooth(log)
        excitation = log - smooth
        count = spectrum.shape[1]
        smooth = self._evened(smooth, size)
        wander, bend = self._wanders(count)
        factor = self._factors(pitch) * 2 ** (wander / 12)
        bent = np.minimum(
            (self._bins / self._unit) ** (1 / (self.coefficient + bend[:, None])) * self._unit, self._bins[-1]
        )
        source = self._bins[None, :] / factor[:, None]
        inside = source <= self._bins[-1]
        nearest = np.minimum(np.round(source).astype(int), self._bins[-1])
        picked = np.broadcast_to(nearest, spectrum.shape)
        fine = np.take_along_axis(excitation, picked, axis=2)
        tone = np.take_along_axis(frequency, picked, axis=2) * factor[None, :, None]
        low = np.broadcast_to(np.floor(bent).astype(int), spectrum.shape)
        share = bent - low
        high = np.minimum(low + 1, self._bins[-1])
        envelope = np.take_along_axis(smooth, low, 2) * (1 - share) + np.take_along_axis(smooth, high, 2) * share
        strength = np.exp(fine + envelope) * inside
        loud, quiet = np.sqrt((size**2).sum(axis=2)), np.sqrt((strength**2).sum(axis=2))
        strength *= (loud / np.maximum(quiet, FLOOR))[..., None]
        phase = self._phase[:, None] + np.cumsum(2 * np.pi * hop * tone / self.size, axis=1)
        self._phase = np.mod(phase[:, -1], 2 * np.pi)
        self._frames += count
        return strength * np.exp(1j * phase)

    def _smooth(self, log: Any) -> tuple[Any, Any]:
        """The envelope (log magnitude) of each frame, which its cepstrum holds below ENVELOPE; and the pitch (frames,)
        in Hz, which is the cepstrum's peak, 0 where there is none."""
        cepstrum = np.fft.irfft(log, self.size, axis=2)
        kept = max(2, round(ENVELOPE * self._rate))
        lifter = np.zeros(self.size)
        lifter[:kept] = lifter[1 - kept :] = 1
        first, last = round(self._rate / PITCHES[1]), min(round(self._rate / PITCHES[0]), self.size // 2)
        mean = cepstrum.mean(axis=0)[:, first:last]
        # Peaks come back at twice and three times the period: the first that is nearly as high as any is the one.
        peak = (mean > 0.7 * mean.max(axis=1, keepdims=True)).argmax(axis=1)
        peak += np.take_along_axis(mean, np.minimum(peak[:, None] + np.arange(4), mean.shape[1] - 1), 1).argmax(axis=1)
        pitch = np.where(mean.max(axis=1) > VOICED, self._rate / (first + peak), 0.0)
        return np.fft.rfft(cepstrum * lifter, axis=2).real, pitch

    def _evened(self, smooth: Any, size: Any) -> Any:
        """The envelopes without what they have in common over the last second or so; loud frames make the average."""
        out = np.empty_like(smooth)
        loud = np.sqrt((size**2).sum(axis=2).mean(axis=0))
        for number in range(smooth.shape[1]):
            now = smooth[:, number]
            if self._average is None:
                self._average = now.copy()
            self._loud = max(0.998 * self._loud, float(loud[number]))
            if loud[number] > 0.1 * self._loud:
                self._average += FOLLOW * (now - self._average)
            plain = self._average.mean(axis=1, keepdims=True) - 3.0 * (self._bins * self._rate / self.size / 8000 - 0.5)
            out[:, number] = now - EVEN * (self._average - plain)
        return out

    def _factors(self, pitch: Any) -> Any:
        """By how much pitch is multiplied in each frame, so that who speaks comes near the target."""
        out = np.ones(len(pitch))
        for number, hertz in enumerate(pitch.tolist()):
            if hertz:
                now = np.log2(hertz)
                self._pitch = now if self._pitch is None else self._pitch + 2 * FOLLOW * (now - self._pitch)
            if self._pitch is not None:
                far = float(np.clip(12 * (np.log2(self.target) - self._pitch), -FARTHEST, FARTHEST))
                out[number] = 2 ** (far / 12)
        return out

    def _wanders(self, count: int) -> tuple[Any, Any]:
        """Semitones, and what is added to the coefficient, in each of the next frames."""
        seconds = (self._frames + np.arange(count)) * self.hop / self._rate
        phase, pace = self._drift
        waves = np.sin(2 * np.pi * pace[:, None] * seconds[None, :, None] + phase[:, None]).mean(axis=2)
        return 1.7 * WANDER * waves[0], 1.7 * BEND * waves[1]


def disguised(blocks: Iterable[tuple[int, Samples]], rate: int) -> Iterator[tuple[int, Samples]]:
    """Stretches of sound (place of the first sample, samples), disguised; each sample stays in its place.

    Where a block does not follow its predecessor a new stretch begins, with the same voice.
    """
    seed = secrets.randbits(128)
    stretch: Disguise | None = None
    place = due = 0

    def put(samples: Samples) -> Iterator[tuple[int, Samples]]:
        nonlocal place
        if samples.shape[1]:
            yield place, samples
            place += samples.shape[1]

    for start, samples in blocks:
        if stretch is None or start != due:
            if stretch is not None:
                yield from put(stretch.flush())
            stretch, place = Disguise(rate, np.random.default_rng(seed)), start
        due = start + samples.shape[1]
        yield from put(stretch.push(samples))
    if stretch is not None:
        yield from put(stretch.flush())
