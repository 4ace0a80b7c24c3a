"""The film's own clock: when its frames come, counted in frames of its pace. Pure.

What tracking and naming know of time (how long a face may go unseen, how far it moves) is told in frames. In most films
these come evenly. Calls, screen recordings and some telephones send many while much moves and few while little does:
there the mean over the film would be too few by far, and whoever is looked at every fifth of a second would be taken
for somebody new every time, and be bare in between.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from pipeline.glances import LOOK_SECONDS
from pipeline.records import F64, Detections

UNEVEN = 1.5
"""The film's rate is not believed where it somewhere goes by more than so many times as fast for a second, nor where
even its fastest second comes to so many times less: then faces would be held for too short."""

LEAST_SECONDS = 0.001
"""Two frames are never closer than this, whatever their times say."""

HALF = 0.5
"""Beats by which a span may be exceeded: times are rounded, and spans are meant in whole frames."""


def beats(found: Detections, rate: Fraction) -> tuple[F64, float]:
    """When each frame comes (frames,), in beats, always growing; and how many beats there are in a second.

    ``rate`` in frames per second is what the film says of itself, and one beat is one frame of it where that is true.
    However long a frame lasts, it counts as no longer than a look is from the next: that frame is looked at, and so is
    the one after it, and nothing was missed in between.
    """
    if not len(found.times):
        return np.arange(found.frames, dtype=np.float64), float(rate)
    steps = np.clip(np.diff(found.times), LEAST_SECONDS, float(LOOK_SECONDS))
    seconds = np.concatenate([[0.0], np.cumsum(steps)])
    # a hair less than a second, so that rounding does not count a frame more
    fastest = float((np.searchsorted(seconds, seconds + 1 - LEAST_SECONDS / 2) - np.arange(len(seconds))).max())
    # less than a second cannot be counted, nor what comes more rarely than looks do, for that was cut short above
    counted = seconds[-1] >= 1 and np.diff(found.times).min() <= float(LOOK_SECONDS)
    too_high = counted and rate > UNEVEN * fastest
    pace = fastest if fastest > UNEVEN * rate or too_high else float(rate)
    return seconds * pace, pace


def lasting(found: Detections, pace: float) -> F64:
    """When each frame comes (frames,) in beats of this ``pace`` a second, however long the one before it lasts; never
    before that one."""
    if not len(found.times):
        return np.arange(found.frames, dtype=np.float64)
    return np.concatenate([[0.0], np.cumsum(np.maximum(np.diff(found.times), 0))]) * pace
