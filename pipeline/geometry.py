"""Boxes: the few questions that several rooms ask of them. Boxes are (N, 4) x1, y1, x2, y2 in pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.records import F32


def overlaps(box: F32, others: F32) -> F32:
    """Intersection over union of one box (4,) with others (N, 4): (N,)."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    area = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1)
    return np.asarray(shared / np.maximum(area - shared, 1e-9), np.float32)


def pairwise(a: F32, b: F32) -> F32:
    """Intersection over union of each box of ``a`` (N, 4) with the one of ``b`` (N, 4) beside it: (N,)."""
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    area = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1)
    return np.asarray(shared / np.maximum(area - shared, 1e-9), np.float32)


def suppress(boxes: F32, scores: F32, overlap: float) -> npt.NDArray[np.intp]:
    """Indexes of the boxes that remain, best first, when each takes out those that overlap it (IoU) by more."""
    left = np.argsort(-scores, kind="stable")
    low, high = boxes[:, :2].astype(np.float32), boxes[:, 2:].astype(np.float32)
    area = np.prod(high - low, axis=1)
    kept: list[int] = []
    while len(left):  # few remain of many: a round per box that stays is far less work than a table of all pairs
        best, left = int(left[0]), left[1:]
        kept.append(best)
        size = np.minimum(high[left], high[best]) - np.maximum(low[left], low[best])
        shared = np.maximum(size[:, 0], 0) * np.maximum(size[:, 1], 0)
        left = left[shared <= overlap * (area[left] + area[best] - shared)]
    return np.array(kept, np.intp)


def turned_back(points: F32, turn: int, width: float, height: float) -> F32:
    """Points (..., 2) of a picture after ``turn`` times ``np.rot90``, in the picture before it, so wide and high."""
    x, y = points[..., 0], points[..., 1]
    before = (x, y), (width - y, x), (width - x, height - y), (y, height - x)
    return np.stack(before[turn], axis=-1).astype(np.float32)


def larger(boxes: npt.NDArray[Any], share: Any) -> npt.NDArray[Any]:
    """Boxes (N, 4), each larger by a share of its size, one for all or (N, 1), on every side."""
    more = (boxes[:, 2:] - boxes[:, :2]) * share
    return np.asarray(boxes + np.concatenate([-more, more], axis=1))


def outside(box: F32, holes: F32) -> F32:
    """What is left of a box (4,) without holes (H, 4), as boxes (N, 4) that do not overlap; none of no area."""
    left = np.asarray(box, np.float32)[None]
    for hole in holes:
        low, high = np.maximum(left[:, :2], hole[:2]), np.minimum(left[:, 2:], hole[2:])
        meet = (high > low).all(axis=1)
        x1, y1, x2, y2 = left[meet].T
        (a1, b1), (a2, b2) = low[meet].T, high[meet].T
        # above and below the hole in full width, to its left and right in its height
        parts = [
            np.stack(part, axis=1) for part in ((x1, y1, x2, b1), (x1, b2, x2, y2), (x1, b1, a1, b2), (a2, b1, x2, b2))
        ]
        left = np.concatenate([left[~meet], *parts])
        left = left[(left[:, 2:] > left[:, :2]).all(axis=1)]
    return left


def closeness(a: F32, b: F32, reach: float = 0.9, scale: float = 1.8) -> F32:
    """How well boxes (A, 4) and (B, 4) fit as one face a moment apart: (A, B), 1 the same, 0 or less not at all.

    Centres may lie up to ``reach`` of the mean size apart; sizes may differ by the factor ``scale``.
    """
    size_a, size_b = _size(a)[:, None], _size(b)[None]
    # twice the distance between the centres, over the sum of the sizes
    across, down = (np.subtract.outer(a[:, i] + a[:, i + 2], b[:, i] + b[:, i + 2]) for i in (0, 1))
    apart = np.sqrt(across * across + down * down) / (size_a + size_b)
    unlike = np.abs(np.log(size_a) - np.log(size_b)) / np.float32(np.log(scale))
    return np.asarray(1 - np.maximum(apart / np.float32(reach), unlike), np.float32)


def _size(boxes: F32) -> F32:
    """The side of the square (N,) as large as a box, which counts as a pixel wide and high at least."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    return np.asarray(np.sqrt(sides[:, 0] * sides[:, 1]), np.float32)
