"""What a veil is made of: the picture as it would be without the regions.

Filled by push-pull (Gortler et al. 1996, "The Lumigraph", section 3.4) from pixels outside all regions of the frame and
from nothing else, so inside a veil there is nothing of the face to undo. It is made once per picture on a coarse grid,
so that forty heads cost hardly more than four.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.hiding.spots import ONE, Box, Step, rows_and_columns
from pipeline.records import F32, Plane

CELLS = 64
"""Cells of the canvas along the picture's shorter side, about. Coarse on purpose: a veil should not draw detail."""

EVERY = 2
"""Of so many rows one is read. A cell's average of half of its pixels serves as well, and takes half of the time."""

LEVELS = 4
"""Times the canvas is halved. What is hidden 2 ** LEVELS cells away from anything seen takes the picture's mean."""


def cell_size(height: int, width: int) -> int:
    """Luma pixels along a cell of the canvas: a power of two."""
    return 1 << max(3, (min(height, width) // CELLS).bit_length() - 1)


def canvas_of(
    planes: Sequence[Plane],
    touched: Sequence[Box],
    shares: Sequence[Plane],
    steps: Sequence[Step],
    depth: int,
    full_range: bool,
) -> list[Plane]:
    """The picture filled from what is outside of all spots: a grid for each plane, of cells half as large as read.

    ``touched`` are parts, on whole cells, that hold all cells in which anything is hidden.
    """
    height, width = planes[0].shape
    cell = cell_size(height, width)
    value, weight = _read(planes, touched, shares, steps, cell)
    channels = len(planes)
    seen, total = (np.array(cv2.sumElems(grid)[:channels], dtype=np.float32) for grid in (weight, value))
    mean = total / np.maximum(seen, np.float32(1e-6))
    rest = np.where(seen >= 1, mean, np.float32(1 << (depth - 1)))
    filled = _push_pull(value, weight, rest, LEVELS)
    unit = 1 << (depth - 8)
    low = 0 if full_range else 16 * unit
    high = [(1 << depth) - 1] * channels if full_range else [235 * unit, 240 * unit, 240 * unit]
    fine = _widen(filled[: -(-height // cell), : -(-width // cell)])
    return [np.rint(np.clip(fine[:, :, c], low, high[c])).astype(planes[c].dtype) for c in range(channels)]


def _read(
    planes: Sequence[Plane], touched: Sequence[Box], shares: Sequence[Plane], steps: Sequence[Step], cell: int
) -> tuple[F32, F32]:
    """The average of each cell (rows, columns, planes) times its weight, and its weight: how much of it is seen."""
    height, width = planes[0].shape
    whole = cell << LEVELS
    value = np.zeros((-(-height // whole) << LEVELS, -(-width // whole) << LEVELS, len(planes)), dtype=np.float32)
    weight = np.zeros_like(value)
    per_cell = [(cell // down // EVERY, cell // across) for down, across in steps]
    cells = _cells((0, height, 0, width), cell)
    weight[cells] = 1
    for channel, plane in enumerate(planes):
        value[(*cells, channel)] = _averages(_to_whole(plane[::EVERY], per_cell[channel]), per_cell[channel])
    for area in touched:  # read again, without what is hidden
        cells = rows, columns = _cells(area, cell)
        box = rows.start * cell, rows.stop * cell, columns.start * cell, columns.stop * cell
        for channel, (plane, step) in enumerate(zip(planes, steps, strict=True)):
            part = rows_and_columns(box, step)
            if channel < 2:  # V reads what U reads
                keep = cv2.threshold(shares[channel][part][::EVERY], ONE - 1, 255, cv2.THRESH_BINARY_INV)[1]
                share = _averages(keep, per_cell[channel]) / np.float32(255)
            # Hidden pixels become zero before any average is taken, and the average is weighted by what was kept.
            seen, masked = plane[part][::EVERY], np.zeros(keep.shape, plane.dtype)
            within = slice(seen.shape[0]), slice(seen.shape[1])
            cv2.copyTo(seen, keep[within], masked[within])
            value[(*cells, channel)] = _averages(masked, per_cell[channel])
            weight[(*cells, channel)] = share
    return value, weight


def _cells(area: Box, cell: int) -> tuple[slice, slice]:
    """The rows and columns of cells that an area takes up."""
    return slice(area[0] // cell, -(-area[1] // cell)), slice(area[2] // cell, -(-area[3] // cell))


def _to_whole(seen: Plane, cell: Step) -> Plane:
    """With the last row and column repeated up to whole cells, where the picture ends within one."""
    down, across = -seen.shape[0] % cell[0], -seen.shape[1] % cell[1]
    return cv2.copyMakeBorder(seen, 0, down, 0, across, cv2.BORDER_REPLICATE) if down or across else seen


def enlarged(grid: Plane, box: Box, cell: int, step: Step) -> Plane:
    """The part of ``grid`` (its cells are half of ``cell``) under a box, in pixels of a plane."""
    y1, y2, x1, x2 = box
    # one cell more on every side where there is one, so that the part is cut from the same surface as the whole
    top, left = max(2 * (y1 // cell) - 1, 0), max(2 * (x1 // cell) - 1, 0)
    part = grid[top : -(-y2 // cell) * 2 + 1, left : -(-x2 // cell) * 2 + 1]
    down, across = cell // step[0] // 2, cell // step[1] // 2
    big = cv2.resize(part, (part.shape[1] * across, part.shape[0] * down), interpolation=cv2.INTER_LINEAR)
    rows, columns = rows_and_columns(box, step)
    top, left = top * down, left * across
    return big[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def _averages(plane: Plane, cell: Step) -> F32:
    """Averages over cells of ``cell`` (down, across) pixels, of which there is a whole number.

    Halving is by far the fastest way; it rounds, so the last steps are taken without.
    """
    down, across = cell
    while min(down, across) > 4:
        plane = cv2.resize(plane, (plane.shape[1] // 2, plane.shape[0] // 2), interpolation=cv2.INTER_AREA)
        down, across = down // 2, across // 2
    size = plane.shape[1] // across, plane.shape[0] // down
    return np.asarray(cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)


def _push_pull(value: F32, weight: F32, rest: F32, levels: int) -> F32:
    """Fill the cells of low weight from coarser and coarser grids.

    ``value`` (rows, columns, planes) is times ``weight``.

    Pull: four cells become one, whose weight is theirs but at most 1. Push: what a cell's own weight leaves open comes
    from the coarser grid, and at the top from ``rest``.
    """
    if not levels:
        return value + (1 - weight) * rest
    total = _quarter(weight)
    pulled: F32 = np.minimum(total, np.float32(1))
    share: F32 = np.divide(pulled, np.maximum(total, 1e-6), dtype=np.float32)
    coarse = _quarter(value) * share
    return value + (1 - weight) * _widen(_push_pull(coarse, pulled, rest, levels - 1))


def _quarter(grid: F32) -> F32:
    """Sums of four cells."""
    rows = grid[0::2] + grid[1::2]
    return rows[:, 0::2] + rows[:, 1::2]


def _widen(grid: F32) -> F32:
    """Twice as many cells each way. Linear interpolation at this factor is quadratic B-spline subdivision (Chaikin),
    which leaves no blocks to see."""
    rows, columns = grid.shape[:2]
    wide = cv2.resize(grid, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide, dtype=np.float32).reshape(2 * rows, 2 * columns, -1)
