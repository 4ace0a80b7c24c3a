"""A voice that says nothing: harmonics with moving formants, in syllables and pauses, over a room's hum."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np

from .people import F32

RATE = 48_000


def voice(seconds: float, seed: int) -> F32:
    """Speech-like sound, (samples,) between -1 and 1, RATE samples a second."""
    random = np.random.default_rng((seed, 7))
    count = round(seconds * RATE)
    syllables = int(seconds * 4) + 2
    at = np.arange(count) / RATE
    knots = np.arange(syllables + 1) / 4

    def curve(low: float, high: float) -> Any:
        return np.interp(at, knots, random.uniform(low, high, syllables + 1))

    pitch = curve(165, 235)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    first, second = curve(320, 820), curve(950, 2300)
    sound = np.zeros(count)
    for harmonic in range(1, 16):
        hertz = harmonic * pitch
        strength = np.exp(-(((hertz - first) / 140) ** 2)) + 0.5 * np.exp(-(((hertz - second) / 220) ** 2))
        sound += (0.04 + strength) / harmonic**0.5 * np.sin(harmonic * phase)
    speaking = np.repeat(random.random(syllables + 1) < 0.75, RATE // 4)[:count]
    syllable = np.sin(np.pi * (at * 4 % 1)) ** 0.6
    sound *= np.pad(speaking, (0, count - len(speaking))) * syllable
    sound = 0.25 * sound / max(float(np.abs(sound).max()), 1e-6)
    sound += 0.004 * random.standard_normal(count) + 0.003 * np.sin(2 * np.pi * 50 * at)
    return sound.astype(np.float32)


def packets(stream: Any, seconds: float, seed: int) -> list[tuple[float, Any]]:
    """The whole sound encoded for ``stream``: (time in seconds, packet), in order."""
    samples = voice(seconds, seed)
    out: list[tuple[float, Any]] = []
    for start in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        out += [(start / RATE, packet) for packet in stream.encode(frame)]
    return out + [(len(samples) / RATE, packet) for packet in stream.encode()]
