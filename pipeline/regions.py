"""What is hidden besides the tracks, and what differs between two plans; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipeline.records import RedactionPlan, Regions

DRAWN, UNDER = -1, -2
"""The track numbers, in a plan, of regions that belong to no track, and of the bodies under such."""


def no_regions() -> Regions:
    return Regions(np.empty(0, np.int32), np.empty((0, 4), np.float32), np.empty(0, np.uint8))


def together(parts: Sequence[Regions]) -> Regions:
    """Several sets of regions as one, in order of their frames."""
    if not parts:
        return no_regions()
    frame = np.concatenate([part.frame for part in parts])
    order = np.argsort(frame, kind="stable")
    region, shape = (np.concatenate([getattr(part, name) for part in parts])[order] for name in ("region", "shape"))
    return Regions(frame[order], region, shape)


def once(regions: Regions) -> Regions:
    """Without rows that are there twice."""
    rows = np.column_stack([regions.frame, regions.region, regions.shape])
    first = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    return Regions(regions.frame[first], regions.region[first], regions.shape[first])


def with_regions(plan: RedactionPlan, regions: Regions, owner: int = DRAWN) -> RedactionPlan:
    """The plan with more to hide; rows keep their order within a frame, those of the plan come first."""
    inside = (regions.frame >= 0) & (regions.frame < plan.frames)
    more = int(inside.sum())
    frame = np.concatenate([plan.frame, regions.frame[inside]]).astype(np.int32)
    order = np.argsort(frame, kind="stable")
    return replace(
        plan,
        frame=frame[order],
        region=np.concatenate([plan.region, regions.region[inside]])[order],
        shape=np.concatenate([plan.shape, regions.shape[inside]])[order],
        track=np.concatenate([plan.track, np.full(more, owner, plan.track.dtype)])[order],
    )


def changed_frames(old: RedactionPlan, new: RedactionPlan) -> list[tuple[int, int]]:
    """Stretches of frames in which the two plans do not hide exactly the same."""
    if old.frames != new.frames or old.style != new.style:
        return [(0, new.frames)]
    differs = np.zeros(new.frames + 1, bool)
    differs[sorted(set(old.hidden_frames) ^ set(new.hidden_frames))] = True
    counts = [np.bincount(plan.frame, minlength=new.frames)[: new.frames] for plan in (old, new)]
    differs[:-1] |= counts[0] != counts[1]
    alike = ~differs[:-1]  # as many rows in both: compared in their order first, which nearly always settles it
    rows = [np.flatnonzero(alike[plan.frame]) for plan in (old, new)]
    one, other = (np.column_stack([plan.region[at], plan.shape[at]]) for plan, at in zip((old, new), rows, strict=True))
    unlike = (one != other).any(axis=1)
    frames = old.frame[rows[0]]
    for frame in np.unique(frames[unlike]).tolist():
        mine = slice(*np.searchsorted(frames, [frame, frame + 1]))
        differs[frame] = not np.array_equal(_sorted_rows(one[mine]), _sorted_rows(other[mine]))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], differs[:-1], [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _sorted_rows(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return rows[np.lexsort(rows.T)]
