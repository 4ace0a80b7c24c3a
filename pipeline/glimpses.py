"""Somebody pops up between two looks: where something is new in a small place, that place alone is looked at closely,
in that very frame.

Between two looks at the whole picture lie up to five frames of 25 a second, and somebody in the back row who is in
sight for one of them changes too little of it for a look of its own. But a few small places cost a tenth of a look, and
close up a small face is found more surely than in the picture made small.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from pipeline.glances import NEARBY, SUDDEN_SHARE, Mask, Stir
from pipeline.records import F32, U8, CutOut, VideoInfo

CELLS = 128, 72
"""Cells of the grey picture in which changes are looked for, along the film's longer and shorter side: a small face, a
thirtieth of the picture's height, covers some of them, where it is less than one of the 64 x 36 of `Scheme`."""

CLUMP = 4
"""Of three by three cells so many must be new: noise changes one here and one there."""

SIDE, ACROSS = 128, 2
"""Each place becomes a square of so many pixels, and so many of them by as many make the picture for the network."""

AT_ONCE = ACROSS * ACROSS

ROOM = 2.0
"""The square is so many times as large as what is new in it: the network wants to see what is around a face."""

NEAREST = 8 / 45
"""A square holds at least as many of the film's pixels as it has itself; in small films no more than this share of the
shorter side: 64 pixels of 640 x 360."""

MOST = 8
"""Places that are looked at in one frame."""

LARGEST = round(3 * SUDDEN_SHARE * CELLS[0] * CELLS[1])
"""Cells of the box around a clump from which it alone is reason for a look at all of the picture; a third of them may
be new."""

OVER = 8
"""Pixels by which a face may lie over its square's edge: a box is a guess. From half as many before it on it is cut."""

GREY = 114

SEEN = 0.2
"""Score from which something seen in a glimpse is told."""


def stir() -> Stir:
    """What tells of a film's grey pictures (`cells`) what is new."""
    return Stir(NEARBY * CELLS[0] // 64)


def cells(info: VideoInfo) -> tuple[int, int]:
    """Width and height of the grey picture."""
    return CELLS if info.width >= info.height else CELLS[::-1]


def squares(new: Mask, info: VideoInfo) -> F32:
    """Where to look (K, 4), in pixels of the displayed frame: around the clumps of what is ``new``, of too many around
    the largest; they may reach beyond the picture."""
    if not new.any():
        return np.empty((0, 4), np.float32)
    dense = cv2.boxFilter(new.astype(np.uint8), cv2.CV_16S, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
    around = np.ones((3, 3), np.uint8)
    core = cv2.dilate((np.asarray(dense) >= CLUMP).astype(np.uint8), around)
    clumps = cv2.dilate(np.asarray(new & (np.asarray(core) > 0), np.uint8), around)
    boxes = cv2.connectedComponentsWithStats(clumps)[2][1:, :4]  # the first is what lies between them
    area = boxes[:, 2] * boxes[:, 3]
    small = np.flatnonzero(area < LARGEST)
    boxes = boxes[small[np.argsort(-area[small], kind="stable")[:MOST]]].astype(np.float32)
    aspect = float(info.sample_aspect)
    cell = np.array([info.width / new.shape[1], info.height / new.shape[0]], np.float32)
    middle = (boxes[:, :2] + boxes[:, 2:] / 2) * cell
    sides = boxes[:, 2:] * cell * np.array([aspect, 1], np.float32)
    least = min(SIDE, NEAREST * min(info.width * aspect, info.height))
    half = np.maximum(ROOM * sides.max(axis=1, initial=0), least)[:, None] / np.array([2 * aspect, 2], np.float32)
    return np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)


def mosaic(picture: Any, where: F32, cut_out: CutOut) -> U8:
    """The squares (K, 4), four at most, side by side, as BGR; grey where there is nothing."""
    out = np.full((ACROSS * SIDE, ACROSS * SIDE, 3), GREY, np.uint8)
    for place, square in enumerate(where):
        part, origin = cut_out(picture, square.tolist())
        scale = SIDE / (square[2:] - square[:2])
        low = np.round((origin - square[:2]) * scale).astype(int).clip(0, SIDE - 1)
        size = np.round(part.shape[1::-1] * scale).astype(int).clip(1, SIDE - low)
        way = cv2.INTER_AREA if scale.max() < 1 else cv2.INTER_LINEAR
        down, across = divmod(place, ACROSS)
        tile = out[down * SIDE :, across * SIDE :]
        tile[low[1] : low[1] + size[1], low[0] : low[0] + size[0]] = cv2.resize(part, size.tolist(), interpolation=way)
    return out


def in_frame(boxes: F32, scores: F32, where: F32) -> tuple[F32, F32, Mask]:
    """Faces in a mosaic of squares (K, 4) as boxes (N, 4) in pixels of the frame, their scores (N,), and which of them
    (N,) the edge of their square cuts; without what lies over two squares, and in none."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    column, row = np.minimum(middle // SIDE, ACROSS - 1).astype(int).T
    place = row * ACROSS + column
    low = np.stack([column, row], axis=1) * SIDE
    room = np.concatenate([boxes[:, :2] - low, low + SIDE - boxes[:, 2:]], axis=1).min(axis=1)
    inside = (place < len(where)) & (room >= -OVER)
    square = where[place[inside]]
    scale = np.tile((square[:, 2:] - square[:, :2]) / np.float32(SIDE), 2)
    placed = (boxes[inside] - np.tile(low[inside], 2)) * scale + np.tile(square[:, :2], 2)
    return placed, scores[inside], room[inside] < OVER / 2
