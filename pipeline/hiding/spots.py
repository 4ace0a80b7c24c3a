"""Regions on whole pixels, and the masks that hide them.

A region is first snapped outwards to whole even pixels, so that chroma samples and their luma pixels are hidden
together and so that one mask serves many heads; everything the region touches is inside, and the soft edge lies wholly
outside of it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.records import F32, Plane, Shape, Style

TILES = 6
"""Tiles along each side of a pixelated region and its edge."""

SHIFT = 7  # blend weights are of 128: exact at both ends, they fit a byte, and -255 * 128 still fits 16 bits
ONE = 1 << SHIFT
_CACHE_BYTES = 48 << 20
_MIN_ELLIPSE = 4.0  # pixels of radius under which snapping would distort an ellipse, so that its box is hidden

Mask = npt.NDArray[np.bool_]

Step = tuple[int, int]
"""Luma pixels (down, across) that one sample of a plane stands for."""

Window = tuple[slice, slice]
"""Rows and columns of a plane."""

Box = tuple[int, int, int, int]
"""y1, y2, x1, x2 in luma pixels."""


@dataclass(frozen=True)
class Template:
    """The layers of one size of region: luma, then chroma. ``half`` is half of the window (y, x) in luma pixels.

    A layer has the fill's share in the result, of ONE: ONE itself in the region, less in its soft edge.
    """

    half: tuple[int, int]
    layers: tuple[Plane, Plane]

    @property
    def bytes(self) -> int:
        return sum(layer.nbytes for layer in self.layers)


@dataclass(frozen=True)
class Snapped:
    """A region on whole pixels: its middle (even) and its half sizes, in luma pixels."""

    middle: tuple[int, int]
    radius: tuple[int, int]
    shape: Shape


@dataclass(frozen=True)
class Spot:
    """A template laid on a picture. ``window`` (y1, y2, x1, x2) is its part within the picture, in luma pixels.

    ``on_plane`` and ``on_template`` are that part as rows and columns of the planes and of the template's layers:
    luma, then chroma.
    """

    template: Template
    window: Box
    on_plane: tuple[Window, Window]
    on_template: tuple[Window, Window]

    @property
    def tiles(self) -> int:
        """How many tiles a side a pixelated spot has: a tile is no smaller than 4 luma pixels."""
        y1, y2, x1, x2 = self.window
        return min(TILES, (y2 - y1) // 4, (x2 - x1) // 4)


def snap(box: Sequence[float], shape: int, height: int, width: int) -> Snapped | None:
    """The smallest region of our kinds that holds this one; None when it lies outside of the picture.

    The middle goes to even pixels, so that windows begin on a chroma sample whatever the subsampling, and sizes go up
    in steps of at most 1/64, so that a head that comes closer uses few templates. Moving an ellipse by d is made good
    by growing it by d as measured in its own norm. A box upside down is turned round; a point becomes a small region.
    """
    x1, x2 = sorted((box[0], box[2]))
    y1, y2 = sorted((box[1], box[3]))
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        return None
    small = min(x2 - x1, y2 - y1) < 2 * _MIN_ELLIPSE
    if shape != Shape.ELLIPSE or small or x2 - x1 > 1.5 * width or y2 - y1 > 1.5 * height:
        shape = Shape.RECTANGLE
        x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    cx, cy = 2 * round((x1 + x2) / 4), 2 * round((y1 + y2) / 4)
    rx, ry = (x2 - x1) / 2, (y2 - y1) / 2
    dx, dy = abs((x1 + x2) / 2 - cx), abs((y1 + y2) / 2 - cy)
    if shape == Shape.ELLIPSE:
        grown = 1 + math.hypot(dx / rx, dy / ry)
        rx, ry = rx * grown, ry * grown
    else:
        rx, ry = rx + dx, ry + dy
    return Snapped((cy, cx), (_coarse(ry), _coarse(rx)), Shape(shape))


def _coarse(radius: float) -> int:
    """The size to which a half size is rounded up."""
    quantum = 1 << max(0, int(radius).bit_length() - 7)
    return max(1, math.ceil(radius / quantum)) * quantum


def _edge(radius: tuple[int, int], style: Style) -> int:
    """Width of the soft edge in pixels. A solid region only needs its stairs smoothed."""
    return 1 if style is Style.SOLID else max(2, min(32, round(0.2 * min(radius))))


def lay(one: Snapped, style: Style, step: Step, height: int, width: int) -> Spot:
    """A region as it is hidden in ``style``, in a picture of that size whose chroma has ``step``."""
    template = _templates.get(one, _edge(one.radius, style), step)
    (cy, cx), (hy, hx) = one.middle, template.half
    y1, y2, x1, x2 = window = max(cy - hy, 0), min(cy + hy, height), max(cx - hx, 0), min(cx + hx, width)
    top, left = cy - hy, cx - hx
    on_plane = rows_and_columns(window, (1, 1)), rows_and_columns(window, step)
    window_there = y1 - top, y2 - top, x1 - left, x2 - left
    on_template = rows_and_columns(window_there, (1, 1)), rows_and_columns(window_there, step)
    return Spot(template, window, on_plane, on_template)


def rows_and_columns(window: Box, step: Step) -> Window:
    """The part of a plane that holds a box of luma pixels."""
    y1, y2, x1, x2 = window
    sy, sx = step
    return slice(y1 // sy, -(-y2 // sy)), slice(x1 // sx, -(-x2 // sx))


class _Templates:
    """The templates used last, bounded in bytes because those of a face that fills the picture are large."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[Any, ...], Template] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, one: Snapped, edge: int, step: Step) -> Template:
        key = (one.radius, one.shape, edge, step)
        with self._lock:
            found = self._held.get(key)
            if found is None:
                found = self._held[key] = _make_template(one.radius, one.shape, edge, step)
                self._bytes += found.bytes
                while self._bytes > _CACHE_BYTES and len(self._held) > 1:
                    self._bytes -= self._held.popitem(last=False)[1].bytes
            else:
                self._held.move_to_end(key)
        return found


_templates = _Templates()


def _make_template(radius: tuple[int, int], shape: Shape, edge: int, step: Step) -> Template:
    """Masks of an ellipse or rectangle with these half sizes (y, x), in a window with room for the soft edge."""
    # Multiples of 4 let both luma and chroma be halved twice without a remainder, which is the fast path of resize.
    half = tuple(-(-(r + edge) // 4) * 4 for r in radius)
    # A pixel is inside when its nearest point is: that point is the pixel's edge towards the middle. Both halves of a
    # window are alike in each direction, so the quarter to the lower right is made, and mirrored.
    near = [np.arange(h, dtype=np.float32) / np.float32(r) for h, r in zip(half, radius, strict=True)]
    if shape == Shape.ELLIPSE:
        outside: Mask = np.add.outer(near[0] ** 2, near[1] ** 2) >= 1
    else:
        outside = np.maximum.outer(near[0], near[1]) >= 1
    far = cv2.distanceTransform(outside.astype(np.uint8), cv2.DIST_L2, 3)
    ramp: F32 = np.clip(1 - far / np.float32(edge + 1), 0, 1)
    ramp *= ramp * (3 - 2 * ramp)
    sy, sx = step
    rows, columns = outside.shape
    outside_c = outside[::sy, ::sx]  # where a sample's pixel nearest to the middle is outside, all of its pixels are
    ramp_c: F32 = cv2.resize(ramp, (columns // sx, rows // sy), interpolation=cv2.INTER_AREA).astype(np.float32)
    return Template((half[0], half[1]), (_layer(outside, ramp), _layer(outside_c, ramp_c)))


def _layer(outside: Mask, ramp: F32) -> Plane:
    """How much of each pixel is replaced, of ONE: all of what is not ``outside``; from the lower right quarter."""
    rows, columns = outside.shape
    whole = np.empty((2 * rows, 2 * columns), np.uint8)
    quarter = whole[rows:, columns:]
    quarter[...] = np.where(outside, np.rint(ramp * ONE), ONE)
    whole[rows:, :columns] = quarter[:, ::-1]
    whole[:rows] = whole[: rows - 1 : -1]
    return whole


def shrunk(view: Plane, rows: int, columns: int) -> Plane:
    """Averages of the cells of a grid over ``view``. Halving first is exact enough and several times faster."""
    while view.shape[0] >= 2 * rows and view.shape[1] >= 2 * columns:
        view = cv2.resize(view, (view.shape[1] // 2, view.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(view, (columns, rows), interpolation=cv2.INTER_AREA)
