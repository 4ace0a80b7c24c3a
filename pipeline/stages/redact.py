"""Hide regions of one picture, in place, in its Y, U and V planes.

The default style, *veil*, covers regions with a canvas, the picture as it would be without them
(`pipeline.hiding.canvas`); *solid* covers them with one colour; *pixelate* leaves coarse averages of the region itself,
which is weaker. Where a region lies on whole pixels, and its soft edge, is the work of `pipeline.hiding.spots`.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import local

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.hiding.canvas import canvas_of, cell_size, enlarged
from pipeline.hiding.spots import ONE, SHIFT, Box, Spot, Step, lay, rows_and_columns, shrunk, snap
from pipeline.records import F32, Plane, Style

STRIP = 1 << 16
"""Pixels that are blended at once: they stay in the cache."""

_SCRATCHES = 2  # shares of luma and of chroma


def redact(
    planes: Sequence[Plane],
    regions: F32,
    shapes: npt.ArrayLike,
    style: Style,
    depth: int = 8,
    full_range: bool = False,
) -> None:
    """Hide ``regions`` of one picture, in place.

    ``planes`` is Y alone or Y, U, V: uint8, or uint16 holding ``depth`` bits; chroma is 4:2:0, 4:2:2, 4:4:0 or 4:4:4,
    told by the planes' sizes. ``regions`` (R, 4) are x1, y1, x2, y2 in luma pixels and may lie partly or wholly
    outside of the picture; ``shapes`` (R,) of records.Shape. Pixels beyond a region's soft edge keep every bit.
    Raises ValueError when a region is not finite or the planes do not fit together; nothing is changed then.
    """
    boxes = np.asarray(regions, dtype=np.float64).reshape(-1, 4)
    kinds = np.asarray(shapes).reshape(-1)
    if not np.isfinite(boxes).all():
        raise ValueError("a region to hide is not finite")
    if len(kinds) != len(boxes):
        raise ValueError(f"{len(boxes)} regions but {len(kinds)} shapes")
    steps = _steps(planes, depth)
    height, width = planes[0].shape
    snapped = [snap(box, shape, height, width) for box, shape in zip(boxes.tolist(), kinds.tolist(), strict=True)]
    spots = [lay(one, style, steps[-1], height, width) for one in snapped if one is not None]
    if not spots:
        return
    if style is not Style.PIXELATE:
        _cover(planes, spots, steps, depth, full_range, style)
        return
    for spot in spots:
        for channel, plane in enumerate(planes):
            view = plane[spot.on_plane[channel > 0]]
            fresh = spot.template.layers[channel > 0][spot.on_template[channel > 0]]
            _blend(view, _tiles(view, spot, channel, depth), fresh)


def _steps(planes: Sequence[Plane], depth: int) -> list[Step]:
    """How many luma pixels (down, across) one sample of each plane stands for."""
    if len(planes) not in (1, 3) or any(p.ndim != 2 or p.dtype != planes[0].dtype for p in planes):
        raise ValueError("a picture to redact is one plane Y or three planes Y, U, V of one type")
    if planes[0].dtype != (np.uint8 if depth == 8 else np.uint16) or not 8 <= depth <= 16:
        raise ValueError(f"planes of {planes[0].dtype} do not hold {depth} bits")
    steps = [(1, 1)]
    for plane in planes[1:]:
        step = [
            next((s for s in (1, 2) if -(-luma // s) == chroma), 0)
            for luma, chroma in zip(planes[0].shape, plane.shape, strict=True)
        ]
        if 0 in step:
            raise ValueError(f"chroma of {plane.shape} does not fit luma of {planes[0].shape}")
        steps.append((step[0], step[1]))
    if steps[-1] != steps[len(steps) // 2]:
        raise ValueError("the two chroma planes differ in size")
    return steps


def _cover(
    planes: Sequence[Plane],
    spots: Sequence[Spot],
    steps: Sequence[Step],
    depth: int,
    full_range: bool,
    style: Style,
) -> None:
    """Lay one colour, or the canvas, over all spots of a picture."""
    size = planes[0].shape[0], planes[0].shape[1]
    cell = cell_size(*size)
    try:
        shares = [_shares(spots, channel, steps[channel], cell, size) for channel in range(len(planes))[:2]]
        areas = _areas([spot.window for spot in spots], cell, size)
        canvas = canvas_of(planes, areas, shares, steps, depth, full_range) if style is Style.VEIL else []
        for area in areas:
            for channel, (plane, step) in enumerate(zip(planes, steps, strict=True)):
                flat = _flat(channel, depth, full_range)
                fill = enlarged(canvas[channel], area, cell, step) if canvas else flat
                part = rows_and_columns(area, step)
                _blend(plane[part], fill, shares[min(channel, 1)][part])
            # a pixel may lie in two areas, and is covered once; the next picture finds shares of nothing
            for share, step in zip(shares, steps, strict=False):
                share[rows_and_columns(area, step)] = 0
    except BaseException:
        _local.__dict__.clear()
        raise


def _areas(windows: Sequence[Box], cell: int, size: tuple[int, int]) -> list[Box]:
    """Parts of a picture of ``size``, on whole cells, that hold the windows. They may lie over each other.

    Windows with at most two cells between them share one: to begin with a part costs as much as 50,000 pixels of it.
    """
    height, width = size
    cells = np.zeros((-(-height // cell), -(-width // cell)), np.uint8)
    for y1, y2, x1, x2 in windows:
        cells[max(y1 // cell - 1, 0) : -(-y2 // cell) + 1, max(x1 // cell - 1, 0) : -(-x2 // cell) + 1] = 1
    parts = cv2.connectedComponentsWithStats(cells, connectivity=4)[2][1:]  # the first is what lies between them
    return [
        (top * cell, min((top + rows) * cell, height), left * cell, min((left + columns) * cell, width))
        for left, top, columns, rows, _ in parts.tolist()
    ]


def _shares(spots: Sequence[Spot], channel: int, step: Step, cell: int, size: tuple[int, int]) -> Plane:
    """How much of each pixel of a plane is to be replaced, of ONE: of none, to begin with.

    It goes on to the end of the last cells, where there is nothing to be read, as in what is hidden.
    """
    shape = -(-size[0] // cell) * cell // step[0], -(-size[1] // cell) * cell // step[1]
    within = -(-size[0] // step[0]), -(-size[1] // step[1])
    share = _scratch(f"share {channel} of {size}", shape, within)
    for spot in spots:
        part = share[spot.on_plane[channel]]
        np.maximum(part, spot.template.layers[channel][spot.on_template[channel]], out=part)
    return share


_local = local()


def _scratch(use: str, shape: tuple[int, int], within: tuple[int, int]) -> Plane:
    """Memory, 0 ``within`` the picture and ONE beyond, that a thread uses again for picture after picture and leaves
    as it found it; asking for new pages costs more than the work."""
    held: dict[str, Plane] = _local.__dict__
    key = f"{use} {shape}"
    if key not in held:
        if len(held) >= _SCRATCHES:  # clips of another size came before
            held.clear()
        held[key] = np.full(shape, ONE, np.uint8)
        held[key][: within[0], : within[1]] = 0
    return held[key]


def _blend(view: Plane, fill: Plane | int, fresh: Plane) -> None:
    """Mix ``fill`` into ``view``, in place; ``fresh`` is its share, of ONE. In strips, which stay in the cache."""
    wide = np.int16 if view.dtype == np.uint8 else np.int32
    height = max(1, STRIP // view.shape[1])
    for top in range(0, len(view), height):
        rows = slice(top, top + height)
        change = np.subtract(fill if isinstance(fill, int) else fill[rows], view[rows], dtype=wide)
        change *= fresh[rows]
        change >>= SHIFT
        view[rows] += change.astype(view.dtype)  # a step down wraps round, and so does the sum: it ends where it should


def _flat(channel: int, depth: int, full_range: bool) -> int:
    if channel:
        return 1 << (depth - 1)
    return (64 if full_range else 71) << (depth - 8)


def _tiles(view: Plane, spot: Spot, channel: int, depth: int) -> Plane | int:
    """Averages of the region itself; one flat colour in a corner of the picture so small that a tile had few pixels."""
    count = spot.tiles
    if not count:
        return _flat(channel, depth, False)
    return cv2.resize(shrunk(view, count, count), view.shape[::-1], interpolation=cv2.INTER_NEAREST)
