"""Somebody pops up between two looks: where something is new in a small place, that place alone is looked at closely,
in that very frame.

Between two looks at the whole picture lie up to five frames of 25 a second, and somebody in the back row who is in
sight for one of them changes too little of it for a look of its own. But a few small places cost a tenth of a look, and
close up a small face is found more surely than in the picture made small. What is new in a large place, a slide on the
wall or somebody's arm, may have a small face beside it: it is looked at in tiles, as sharp as in the large picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from pipeline.glances import NEARBY, SUDDEN_SHARE, Mask, Stir, sizes
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

LARGEST = round(3 * SUDDEN_SHARE * CELLS[0] * CELLS[1])
"""Cells of the box around a clump from which it is a large place. Somebody large who pops up is one, and the new cells
of a third of it are reason for a look at all of the picture; but a raised arm has fewer."""

STEP = 0.75
"""Tiles lie so much of their side apart: a face in the rest of it is whole in one of them."""

MOST = 48
"""Squares in one frame from which a look at all of the picture, at all sizes, is cheaper."""

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


@dataclass(frozen=True)
class Places:
    """Where to look, as squares in pixels of the displayed frame that may reach beyond it: one around each ``small``
    clump (K, 4) of what is new, and ``tiles`` (L, 4) over the large ones."""

    small: F32
    tiles: F32

    @property
    def crowded(self) -> bool:
        """There are so many that a look at all of the picture is cheaper."""
        return len(self.small) + len(self.tiles) > MOST


def places(new: Mask, info: VideoInfo) -> Places:
    """Around what is ``new``, of the cells of `CELLS`."""
    nowhere = np.empty((0, 4), np.float32)
    dense = cv2.boxFilter(new.astype(np.uint8), cv2.CV_16S, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
    enough = np.asarray(dense) >= CLUMP
    if not enough.any():
        return Places(nowhere, nowhere)
    around = np.ones((3, 3), np.uint8)
    core = cv2.dilate(enough.astype(np.uint8), around)
    clumps = cv2.dilate(np.asarray(new & (np.asarray(core) > 0), np.uint8), around)
    _, which, found, _ = cv2.connectedComponentsWithStats(clumps)
    large = found[:, 2] * found[:, 3] >= LARGEST
    large[0] = False  # what lies between them
    cell = np.array([info.width / new.shape[1], info.height / new.shape[0]], np.float32)
    boxes = found[1:, :4][~large[1:]].astype(np.float32) * np.tile(cell, 2)
    if not large.any():
        return Places(_around(boxes, info), nowhere)
    covered = (np.argwhere(large[which])[:, ::-1] + 0.5) * cell
    return Places(_around(boxes, info), _over(covered.astype(np.float32), info))


def _around(boxes: F32, info: VideoInfo) -> F32:
    """Squares (K, 4) with room around boxes (K, 4) given by their corner and size."""
    aspect = float(info.sample_aspect)
    sides = boxes[:, 2:] * np.array([aspect, 1], np.float32)
    least = min(SIDE, NEAREST * min(info.width * aspect, info.height))
    middle = np.asarray(boxes[:, :2] + boxes[:, 2:] / 2, np.float32)
    return _squares(middle, np.maximum(ROOM * sides.max(axis=1, initial=0), least), info)


def _over(points: F32, info: VideoInfo) -> F32:
    """Tiles (L, 4) of a grid in which points (N, 2) lie, as sharp as the large picture."""
    side = SIDE * info.width * float(info.sample_aspect) / sizes(info).large[0]
    step = STEP * side / np.array([float(info.sample_aspect), 1], np.float32)
    middle = np.asarray((np.unique(points // step, axis=0) + 0.5) * step, np.float32)
    return _squares(middle, np.full(len(middle), side, np.float32), info)


def _squares(middle: F32, sides: F32, info: VideoInfo) -> F32:
    """Squares, as they are seen, around points (K, 2), of these sides (K,) in pixels of the frame's height."""
    half = sides[:, None] / np.array([2 * float(info.sample_aspect), 2], np.float32)
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
