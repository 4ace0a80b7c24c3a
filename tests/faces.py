"""Made-up people and what a clip shows of them: embeddings at known distances, tracks, and the names these earn."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from pipeline.likeness import frontal, look
from pipeline.records import Detections, Person, Support, Track, Views
from pipeline.stages.naming import identify

RATE = Fraction(25)
SMALLEST, RISK = 24.0, 0.0003
EYE = np.eye(128, dtype=np.float32)


def beside(base, distance, way):
    """The unit vector at this chord distance from a unit vector, in the direction of another one at right angles."""
    cosine = 1 - distance**2 / 2
    return (cosine * base + np.sqrt(1 - cosine**2) * way).astype(np.float32)


ANN = Person("ann", EYE[0], 3)
BEN = Person("ben", beside(EYE[0], 0.6, EYE[1]), 3)
NEAR_ANN = beside(EYE[0], 0.2, EYE[2])
NEAR_BEN = beside(BEN.template, 0.2, EYE[3])
STRANGER = beside(EYE[0], 0.9, EYE[4])

FRONTAL = np.array([[47.5, 47.2], [102.3, 46.2], [73.8, 79.4], [51.3, 104.8], [97.2, 103.4]], np.float32)
PROFILE = np.where(np.arange(5)[:, None] == 2, FRONTAL[0], FRONTAL).astype(np.float32)
"""Landmarks of a face that looks into the camera, and of one that looks aside."""

LOOKS = np.random.default_rng(1).integers(0, 256, (5, 16, 16)).astype(np.uint8)
LOOKS[4] = 128 + (0.6 * (LOOKS[0].astype(float) - 128) + 0.8 * (LOOKS[4].astype(float) - 128)) / 1.4
"""0 to 3 are unlike each other; 4 is a little like 0, as a face is that turned, or another in the same light."""


def lesson(*tracks, frames=200, tall=50):
    """Detections, views and tracks from one list per track: (frame, vector or None, look number)."""
    rows = sorted((frame, place, vector, look) for place, track in enumerate(tracks) for frame, vector, look in track)
    count = len(rows)
    found = Detections(
        frames=frames,
        frame=np.array([row[0] for row in rows], np.int32),
        box=np.array([[100 * row[1], 0, 100 * row[1] + 40, 50] for row in rows], np.float32).reshape(-1, 4),
        score=np.full(count, 0.9, np.float32),
        facing=frontal(np.tile(FRONTAL, (count, 1, 1))),
        look=look(LOOKS[[row[3] for row in rows]].reshape(-1, 16, 16)),
        looked=np.unique(np.array([row[0] for row in rows], np.int32)),
        cuts=np.empty(0, np.int32),
        damaged=np.empty(0, np.int32),
    )
    seen = [index for index, row in enumerate(rows) if row[2] is not None]
    views = Views(
        detection=np.array(seen, np.int32),
        embedding=np.array([rows[index][2] for index in seen], np.float32).reshape(-1, 128),
        height=np.full(len(seen), tall, np.float32),
        between=np.zeros(len(seen), np.bool_),
    )
    made = []
    for place, track in enumerate(tracks):
        start, stop = max(0, track[0][0] - 6), min(frames, track[-1][0] + 7)
        box = np.tile(np.array([100 * place, 0, 100 * place + 40, 50], np.float32), (stop - start, 1))
        mine = [index for index, row in enumerate(rows) if row[1] == place]
        seen_in = np.full(len(box), Support.SEEN, np.uint8)
        made.append(Track(place + 1, start, box, seen_in, np.array(mine, np.int32), strength=0.9))
    return made, found, views


def ask(*tracks, people=(ANN, BEN), frames=200, risk=RISK, tall=50, between=()):
    """Tracks and identities; the views in the frames ``between`` were not due."""
    made, found, views = lesson(*sorted_rows(tracks), frames=frames, tall=tall)
    views = replace(views, between=np.isin(found.frame[views.detection], between))
    return made, identify(made, found, views, people, RATE, SMALLEST, risk)


def sorted_rows(tracks):
    return [[row if len(row) == 3 else (*row, 0) for row in track] for track in tracks]


def kept(identities, track=1):
    """Frames of a track by the name they earned."""
    return {f: i.person for i in identities if i.track == track and i.person for f in range(i.start, i.stop)}


def every(step, start, stop, vector, look=0):
    return [(frame, vector, look) for frame in range(start, stop, step)]
