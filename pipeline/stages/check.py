"""The finished file is read again, as if nobody knew how it was made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.records import Check, FrameSource, Plane, Progress, RedactionPlan, no_progress

Clear = Callable[[Plane, Any, int], bool]
"""Says of a luma plane and one region (4,) of a shape whether detail is left inside of it."""

MOST_FINDINGS = 20
"""Findings of one kind that are listed; more say nothing new."""

FLAT_FRAME = 8.0
"""Grey levels by which a wholly hidden frame may vary after encoding."""


def check(
    finished: FrameSource,
    plan: RedactionPlan,
    pts: npt.NDArray[np.int64],
    damaged: Sequence[int],
    tick: float,
    extras: Sequence[str],
    luma: Callable[[Any], Plane],
    clear: Clear,
    progress: Progress = no_progress,
) -> Check:
    """Compare the finished file with the plan: frames and their times, streams, and every region that should be hidden.

    ``pts`` (N,) are the times written, in units of ``tick`` seconds; only their distances count, the first frame's
    own time is compared by the caller. ``extras`` is what else was found in the file (streams, metadata): each is a
    finding. ``clear`` judges one region of a luma plane.
    """
    findings = [f"the file carries {what}" for what in extras]
    whole = set(damaged)
    count = regions = 0
    first = 0.0
    shown: list[str] = []
    off: list[str] = []
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
            if float(plane.std()) > FLAT_FRAME:
                shown.append(f"frame {count} should be hidden whole and is not")
        else:
            rows = plan.regions(count)
            for row in range(rows.start, rows.stop):
                regions += 1
                if clear(plane, plan.region[row], int(plan.shape[row])):
                    shown.append(
                        f"frame {count}: what was planned hidden at {plan.region[row].round().tolist()} is not"
                    )
        count += 1
        progress("check", count, plan.frames)
    if count != plan.frames:
        findings.append(f"the file has {count} frames, planned were {plan.frames}")
    for kind in (shown, off):
        findings += kind[:MOST_FINDINGS]
        if len(kind) > MOST_FINDINGS:
            findings.append(f"and {len(kind) - MOST_FINDINGS} more like it")
    return Check(count, regions, tuple(findings))
