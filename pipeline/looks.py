"""What one look at a picture finds: glances at it, of several sizes, upright and turned, put together. Pure.

Which glances there are is said in `pipeline.glances`, and when in `pipeline.stages.detect`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np

from pipeline import glimpses, likeness
from pipeline.geometry import larger, suppress, turned_back
from pipeline.glances import FILLS, TURNED, Glance, Mask
from pipeline.glimpses import GREY
from pipeline.records import F32, U8, CutOut, FaceDetector, VideoInfo

TURNED_GROWS = 0.15
"""Share of its size by which the box of a turned face grows on every side: what is hidden around a box is made for
heads whose hair is above."""

BORDER = 4
"""Share of a picture's side by which a border is laid around it where faces are looked for that fill it."""

SWAPPED = [1, 0, 2, 4, 3]
"""The five landmarks in a mirrored picture: what is the left eye there, is the right one."""

THUMB = 16

CLEAR = 0.4
"""A detection of this score is a face, and what is fainter within its box an echo of it."""

AS_HIGH = 0.4, 1.5
"""Between these shares of the face's height. A smaller one may be another face before it, or a picture of one."""

Faces = tuple[F32, F32, F32]
"""Boxes (N, 4), scores (N,), landmarks (N, 5, 2), in pixels of the displayed frame."""


Glimpsed = tuple[F32, F32, Mask]
"""Boxes (N, 4) in pixels of the frame, scores (N,), and which of them (N,) are cut."""


@dataclass(frozen=True)
class Seen:
    """What one look found: (N, 4), (N,), (N, 5, 2), (N, 128); and the quarter turns at which there was a face."""

    boxes: F32
    scores: F32
    landmarks: F32
    looks: U8
    turns: frozenset[int]


def examine(which: Sequence[Glance], glance: Callable[[Glance], Faces], picture: Any) -> Seen:
    """One look: a picture at one or more sizes, upright and turned."""
    boxes, scores, marks = _merge([glance(one) for one in which if not one.turn])
    turns = set()
    for turn in sorted({one.turn for one in which} - {0}):
        found = _merge([glance(one) for one in which if one.turn == turn])
        found = (larger(found[0], np.float32(TURNED_GROWS)), *found[1:])
        new = ~_same_face(found[0], boxes[scores >= CLEAR])
        if (new & (found[1] >= TURNED)).any():
            turns.add(turn)
        if new.any():
            boxes, scores, marks = _merge([(boxes, scores, marks), tuple(part[new] for part in found)])
    return Seen(boxes, scores, marks, likeness.look(_thumbs(picture, boxes)), frozenset(turns))


def _same_face(boxes: F32, known: F32) -> Any:
    """Which boxes (N,) lie on a known face: the middle of one is in the other."""

    def within(points: Any, others: Any) -> Any:
        return ((points[:, None] > others[None, :, :2]) & (points[:, None] < others[None, :, 2:])).all(axis=2)

    middle, other = (boxes[:, :2] + boxes[:, 2:]) / 2, (known[:, :2] + known[:, 2:]) / 2
    return (within(middle, known) | within(other, boxes).T).any(axis=1)


def echoes(boxes: F32, scores: F32) -> Any:
    """Which boxes (N,) are only a fainter outline of a face found better: their middle lies in its box and they are
    about as high. What is hidden or kept there is the better one."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    height = boxes[:, 3] - boxes[:, 1]
    inside = ((centre[:, None] > boxes[None, :, :2]) & (centre[:, None] < boxes[None, :, 2:])).all(axis=2)
    better = scores[None] > np.maximum(2 * scores[:, None], CLEAR)
    low, high = (share * height[None] for share in AS_HIGH)
    return (inside & better & (height[:, None] > low) & (height[:, None] < high)).any(axis=1)


def glance_at(small: U8, one: Glance, info: VideoInfo, detector: FaceDetector, threshold: float) -> Faces:
    """One picture, shrunk, through the network; boxes and landmarks in pixels of the displayed frame, upright."""
    width, height = one.size
    down, across = height // BORDER, width // BORDER
    if one.mirrored:
        small = np.ascontiguousarray(small[:, ::-1])
    if one.close:
        small = cast(U8, cv2.copyMakeBorder(small, down, down, across, across, cv2.BORDER_CONSTANT, value=[GREY] * 3))
    boxes, scores, marks = detector(
        np.ascontiguousarray(np.rot90(small, one.turn)), max(threshold, one.least) / one.counts
    )
    if one.close:
        fills = boxes[:, 3] - boxes[:, 1] >= FILLS * min(width, height)
        corner = np.array([across, down], np.float32)
        boxes, scores, marks = boxes[fills] - np.tile(corner, 2), scores[fills], marks[fills] - corner
    if one.turn:
        corners = turned_back(boxes.reshape(-1, 2, 2), one.turn, *one.size)
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        marks = turned_back(marks, one.turn, *one.size)
    if one.mirrored:
        boxes, marks = boxes[:, [2, 1, 0, 3]], marks[:, SWAPPED]
        boxes[:, ::2], marks[..., 0] = width - boxes[:, ::2], width - marks[..., 0]
    factor = np.array([info.width / width, info.height / height], np.float32)
    return boxes * np.tile(factor, 2), scores * np.float32(one.counts), marks * factor


def _merge(parts: list[Faces]) -> Faces:
    """Looks at several sizes as one: of boxes that overlap by more than 0.4 (IoU) the surest stays, and no echoes."""
    boxes, scores, marks = (np.concatenate([part[i] for part in parts]) for i in range(3))
    kept = suppress(boxes, scores, 0.4)
    kept = kept[~echoes(boxes[kept], scores[kept])]
    return boxes[kept], scores[kept], marks[kept]


def _thumbs(picture: Any, boxes: F32) -> U8:
    """Each face in little: its box in grey, 16 x 16 (N, 16, 16)."""
    luma = luma_of(picture)
    height, width = luma.shape
    out = np.zeros((len(boxes), THUMB, THUMB), np.uint8)
    edges = np.round(boxes).astype(int).clip(0, (width, height, width, height))
    for thumb, (x1, y1, x2, y2) in zip(out, edges.tolist(), strict=True):
        if x2 > x1 and y2 > y1:
            cv2.resize(luma[y1:y2, x1:x2], (THUMB, THUMB), dst=thumb, interpolation=cv2.INTER_AREA)
    return out


def glimpse(picture: Any, where: F32, cut_out: CutOut, detector: FaceDetector) -> Glimpsed:
    """Faces in some squares (K, 4) of a picture."""
    boxes, scores, _ = detector(glimpses.mosaic(picture, where, cut_out), glimpses.SEEN)
    return glimpses.in_frame(boxes, scores, where)


def luma_of(picture: Any) -> U8:
    """The picture's luma (H, W) in 8 bits; for 8-bit pictures a view, not a copy."""
    plane, bits = picture.planes[0], picture.format.components[0].bits
    if bits <= 8:
        return np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width]
    wide = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)[:, : plane.width]
    return np.asarray(wide >> (bits - 8), np.uint8)


def grey_of(luma: U8, width: int, height: int) -> F32:
    """A tiny grey picture, made from a few rows of a luma plane (H, W): enough to tell whether anything changed."""
    luma = luma[:: max(1, luma.shape[0] // (4 * height))]
    return cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
