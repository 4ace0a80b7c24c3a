"""The finished file is read again, as if nobody knew how it was made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.records import F32, U8, Check, FrameSource, Plane, Progress, RedactionPlan, no_progress

Clear = Callable[[Plane, F32, U8], npt.NDArray[np.bool_]]
"""Says of a luma plane and regions (R, 4) of shapes (R,) in which of them (R,) detail is left."""

Again = Callable[[Sequence[int]], Iterable[tuple[int, Plane]]]
"""Hides the given frames of the source once more and hands out their luma planes: (frame, plane)."""

MOST_FINDINGS = 20
"""Findings of one kind that are listed; more say nothing new."""

FLAT_FRAME = 8.0
"""Grey levels (of 256) by which a wholly hidden frame may vary after encoding."""

ENCODED = 6.0
"""Mean grey levels (of 256) by which an encoded veil may differ from the same veil made again; a face differs by far
more."""


def check(
    finished: FrameSource,
    plan: RedactionPlan,
    pts: npt.NDArray[np.int64],
    damaged: Sequence[int],
    tick: float,
    extras: Sequence[str],
    luma: Callable[[Any], Plane],
    clear: Clear,
    again: Again,
    progress: Progress = no_progress,
    depth: int = 8,
    seconds: float | None = None,
) -> Check:
    """Compare the finished file with the plan: frames and their times, streams, and every region that should be hidden.

    ``pts`` (N,) are the times written, in units of ``tick`` seconds, of which the distances from the first count.
    ``extras`` is what else was found in the file (streams, metadata): each is a finding. ``clear`` judges the
    regions of a luma plane; where it sees detail (surroundings can be busy enough to leave some in a veil), that
    region must equal what ``again`` makes of the source, or it is a finding. Samples have ``depth`` bits.
    ``seconds`` is how long the file is to be, from the first picture to the end of the last.
    """
    level = 1 << (depth - 8)
    findings = [f"the file carries {what}" for what in extras]
    whole = set(damaged)
    count = regions = 0
    first = 0.0
    shown: list[str] = []
    off: list[str] = []
    suspects: dict[int, list[tuple[int, Plane]]] = {}
    for frame in finished.frames():
        if frame.picture is None or frame.damaged:
            findings.append(f"frame {frame.number} of the finished file does not decode")
            count += 1
            continue
        if count == 0:
            first = float(frame.time)
        if count < len(pts):
            planned = float(pts[count] - pts[0]) * tick
            if abs(float(frame.time) - first - planned) > tick / 2 + 1e-9:
                off.append(f"frame {count} is shown at {float(frame.time) - first:.4f} s, not {planned:.4f} s")
        plane = luma(frame.picture)
        if count in whole:
            if float(plane.std()) > FLAT_FRAME * level:
                shown.append(f"frame {count} should be hidden whole and is not")
        else:
            rows = plan.regions(count)
            regions += rows.stop - rows.start
            if rows.stop > rows.start:
                for row in (np.flatnonzero(clear(plane, plan.region[rows], plan.shape[rows])) + rows.start).tolist():
                    suspects.setdefault(count, []).append((row, _inside(plane, plan.region[row]).copy()))
        count += 1
        progress("check", count, plan.frames)
    unproven = set(suspects)
    for number, plane in again(sorted(suspects)) if suspects else ():
        unproven.discard(number)
        for row, seen in suspects[number]:
            made = _inside(plane, plan.region[row])
            if made.shape != seen.shape or float(np.abs(made.astype(np.float32) - seen).mean()) > ENCODED * level:
                shown.append(f"frame {number}: what was planned hidden at {plan.region[row].round().tolist()} is not")
    shown += [f"frame {number}: what was planned hidden could not be proved to be" for number in sorted(unproven)]
    if count != plan.frames:
        findings.append(f"the file has {count} frames, planned were {plan.frames}")
    if seconds is not None and abs(finished.info.duration - seconds) > tick / 2 + 1e-6:
        findings.append(f"the file ends after {finished.info.duration:.4f} s, not {seconds:.4f} s")
    for kind in (shown, off):
        findings += kind[:MOST_FINDINGS]
        if len(kind) > MOST_FINDINGS:
            findings.append(f"and {len(kind) - MOST_FINDINGS} more like it")
    return Check(count, regions, tuple(findings))


def _inside(plane: Plane, region: Any) -> Plane:
    """The part of a plane under the middle of what lies of a region in the picture: the box inscribed in its ellipse.

    It is empty only where nothing of the region does."""
    height, width = plane.shape
    corners = np.sort(np.asarray(region, np.float64).reshape(2, 2), axis=0)  # as it is hidden, were it upside down
    (x1, y1), (x2, y2) = np.clip(corners, 0, [width, height]).tolist()
    dx, dy = 0.15 * (x2 - x1), 0.15 * (y2 - y1)
    left, right = int(x1 + dx), min(int(x2 - dx + 1), width)
    top, bottom = int(y1 + dy), min(int(y2 - dy + 1), height)
    return plane[top:bottom, left:right]
