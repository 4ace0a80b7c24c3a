"""A region that was drawn by hand follows the picture: where it is lost it holds its place and grows, and says so.

Points inside the region are followed from frame to frame (Lucas-Kanade) and back again; those that do not come back
where they began are left out, and the rest tell by their medians how the region moved and grew (Kalal, Mikolajczyk and
Matas, "Forward-Backward Error", ICPR 2010). Then the picture inside is compared with what was drawn: a region is only
sure of itself where both agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.records import F32, I32, U8

SIZE = 56.0
"""Pixels that the longer side of a region is brought down to before it is followed."""

POINTS = 8
"""Points along each side of the grid that is followed."""

FEWEST = 10
"""Points that must come back where they began."""

APART = 1.5
"""Pixels (of the reduced picture) by which a point may miss the place it began at."""

ALIKE = 0.55
"""Correlation of the picture inside with the region as drawn or as last sure, from which on the region is sure."""

DRIFTED = 0.25
"""Correlation with the region as drawn under which it may have crept onto something else: followed, but not sure."""

FOUND_AGAIN = 0.72
"""Correlation from which on a lost region is found again near where it was."""

GROW = 0.04
"""Share of its size by which a lost region grows on every side per frame."""

LARGEST = 3.0
"""How many times its size a lost region becomes at most; by then it is for a person to look at."""

MARGIN = 0.10
"""Share of its size that a region is larger on every side than what was followed."""


@dataclass(frozen=True)
class Followed:
    """``frame`` (N,), ``box`` (N, 4) to hide there in pixels of the picture, ``sure`` (N,): it was seen there."""

    frame: I32
    box: F32
    sure: npt.NDArray[np.bool_]


def follow(pictures: Iterable[tuple[int, U8 | None]], box: tuple[float, float, float, float]) -> Followed:
    """Follow ``box`` (x1, y1, x2, y2 in pixels) from the first picture, on which it was drawn, through all of them.

    ``pictures`` are (frame, luma (H, W) of 8 bits, or None where the frame did not decode), in the order in which to
    follow, forwards or backwards. There is a row for every one of them: what is not seen is held, never let go.
    """
    frames: list[int] = []
    boxes: list[F32] = []
    sure: list[bool] = []
    eye: _Eye | None = None
    here = np.array(box, np.float32)
    for number, picture in pictures:
        if eye is None:
            if picture is not None:
                eye = _Eye(picture, here)
            seen = picture is not None
        else:
            here, seen = eye.next(picture)
        frames.append(number)
        boxes.append(here)
        sure.append(seen)
    region = np.array(boxes, np.float32).reshape(-1, 4)
    size = np.concatenate([region[:, 2:] - region[:, :2]] * 2, axis=1)
    grown = region + size * np.array([-MARGIN, -MARGIN, MARGIN, MARGIN], np.float32)
    return Followed(np.array(frames, np.int32), np.asarray(grown, np.float32), np.array(sure, bool))


class _Eye:
    """Follows one region. All its boxes are in pixels of the reduced picture until they leave it."""

    def __init__(self, picture: U8, box: F32) -> None:
        self.scale = min(1.0, SIZE / max(float((box[2:] - box[:2]).max()), 1.0))
        self.last = self._reduced(picture)
        self.held = self.box = np.asarray(box * self.scale, np.float32)
        self.drawn = self.recent = _cut(self.last, self.box)
        self.lost = 0

    def next(self, picture: U8 | None) -> tuple[F32, bool]:
        """The region in the following picture, in full pixels, and whether it is sure."""
        if picture is None:
            return self._hold(), False
        now = self._reduced(picture)
        moved = None if self.lost else _moved(self.last, now, self.box)
        if moved is not None and _alike(now, moved, self.drawn, self.recent) < ALIKE:
            moved = None
        if moved is None:
            moved = _searched(now, self.held, self.box, self.drawn, self.recent)
        self.last = now
        if moved is None:
            return self._hold(), False
        was, self.lost = self.lost, 0
        self.box = self.held = moved
        self.recent = _cut(now, moved)
        if _correlation(self.recent, self.drawn) < DRIFTED:
            size = moved[2:] - moved[:2]
            return self._full(np.concatenate([moved[:2] - size / 4, moved[2:] + size / 4]).astype(np.float32)), False
        return self._full(moved), was == 0

    def _hold(self) -> F32:
        self.lost += 1
        size = self.box[2:] - self.box[:2]
        grown = np.minimum(GROW * self.lost, (LARGEST - 1) / 2) * size
        self.held = np.concatenate([self.box[:2] - grown, self.box[2:] + grown]).astype(np.float32)
        return self._full(self.held)

    def _reduced(self, picture: U8) -> U8:
        if self.scale == 1:
            return np.ascontiguousarray(picture)
        return np.asarray(
            cv2.resize(picture, None, fx=self.scale, fy=self.scale, interpolation=cv2.INTER_AREA), np.uint8
        )

    def _full(self, box: F32) -> F32:
        return np.asarray(box / self.scale, np.float32)


def _moved(last: U8, now: U8, box: F32) -> F32 | None:
    """Where the points inside say that the region went; None when too few of them can be trusted."""
    x1, y1, x2, y2 = box.tolist()
    inset_x, inset_y = 0.1 * (x2 - x1), 0.1 * (y2 - y1)
    xs, ys = np.linspace(x1 + inset_x, x2 - inset_x, POINTS), np.linspace(y1 + inset_y, y2 - inset_y, POINTS)
    points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 1, 2).astype(np.float32)
    how: dict[str, Any] = {"winSize": (11, 11), "maxLevel": 3}
    no_guess = cast(F32, None)  # cv2's own annotation forgets that there may be none
    there, found, _ = cv2.calcOpticalFlowPyrLK(last, now, points, no_guess, **how)
    back, again, _ = cv2.calcOpticalFlowPyrLK(now, last, there, no_guess, **how)
    missed = np.linalg.norm(points - back, axis=2).ravel()
    good = (found.ravel() == 1) & (again.ravel() == 1) & (missed < APART)
    if good.sum() < FEWEST:
        return None
    before, after = points[good, 0], there[good, 0]
    shift = np.median(after - before, axis=0)
    one, other = np.triu_indices(len(before), 1)
    apart = np.linalg.norm(before[one] - before[other], axis=1)
    far = apart > 2
    ratio = np.linalg.norm(after[one] - after[other], axis=1)[far] / apart[far]
    scale = float(np.clip(np.median(ratio), 0.9, 1.1)) if len(ratio) else 1.0
    middle, half = (box[:2] + box[2:]) / 2 + shift, (box[2:] - box[:2]) / 2 * scale
    return np.concatenate([middle - half, middle + half]).astype(np.float32)


def _searched(now: U8, held: F32, box: F32, *known: U8) -> F32 | None:
    """The region found again within what is held, at the size it was last sure of; None when nothing is alike."""
    size = box[2:] - box[:2]
    reach = np.concatenate([held[:2] - 0.5 * size, held[2:] + 0.5 * size])
    height, width = now.shape
    x1, y1 = (int(max(0, value)) for value in reach[:2])
    x2, y2 = min(width, int(reach[2]) + 1), min(height, int(reach[3]) + 1)
    w, h = (max(4, round(float(value))) for value in size)
    if x2 - x1 < w or y2 - y1 < h:
        return None
    window = now[y1:y2, x1:x2]
    best, place = FOUND_AGAIN, None
    for picture in known:
        if picture.size == 0 or float(picture.std()) < 2:
            continue  # a flat picture is alike to any other
        score = cv2.matchTemplate(window, cv2.resize(picture, (w, h)), cv2.TM_CCOEFF_NORMED)
        _, top, _, at = cv2.minMaxLoc(score)
        if np.isfinite(top) and top > best:
            best, place = top, at
    if place is None:
        return None
    left, up = x1 + place[0], y1 + place[1]
    return np.array([left, up, left + float(size[0]), up + float(size[1])], np.float32)


def _alike(now: U8, box: F32, *known: U8) -> float:
    here = _cut(now, box)
    return max((_correlation(here, picture) for picture in known), default=-1.0)


def _correlation(a: U8, b: U8) -> float:
    if a.size == 0 or b.size == 0:
        return -1.0
    one, other = (cv2.resize(each, (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32) for each in (a, b))
    one, other = one - one.mean(), other - other.mean()
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / size if size > 1e-3 else -1.0


def _cut(picture: U8, box: F32) -> U8:
    """The part of the picture inside the box; empty when the box lies outside."""
    height, width = picture.shape
    x1, x2 = (int(np.clip(round(float(value)), 0, width)) for value in (box[0], box[2]))
    y1, y2 = (int(np.clip(round(float(value)), 0, height)) for value in (box[1], box[3]))
    return np.asarray(picture[y1:y2, x1:x2].copy(), np.uint8)
