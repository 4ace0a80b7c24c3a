"""Rows of the ledger as the reviewers' page tells them; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.adapters.ledger import Entry
from pipeline.lesson.lying import LOST
from pipeline.records import Repair
from pipeline.views import LogRow, RepairRow

TOLD = ("approval", "repair", "repair_undone", "look", "watched", "delivery", "delivery_removed", LOST, "withdrawal")
"""Kinds of rows that the log shows."""


def repair_row(one: Repair, have: set[str], moot: frozenset[str]) -> RepairRow:
    """A repair as people see it; ``have`` are the repairs that the rendering has, ``moot`` those that do not apply."""
    return RepairRow(
        id=one.id,
        kind=one.kind.value,
        start=one.start,
        stop=one.stop,
        track=one.track,
        other=one.other,
        person=one.person,
        said=one.said,
        by=one.by,
        at=one.at,
        undone=one.undone,
        rendered=(one.id in have) != one.undone,
        moot=one.id in moot,
    )


def runs(steps: Any) -> tuple[tuple[int, int], ...]:
    """Steps between frames as (step, how many)."""
    if not len(steps):
        return ()
    edges = np.flatnonzero(np.diff(steps)) + 1
    starts = np.concatenate([[0], edges])
    counts = np.diff(np.concatenate([starts, [len(steps)]]))
    return tuple((int(steps[at]), int(n)) for at, n in zip(starts, counts, strict=True))


def _withdrawn(said: Mapping[str, Any], noted: str) -> str:
    """Who took consent back, and from which day where that is not the day on which it was noted."""
    person, day = str(said.get("person", "")), str(said.get("day", noted))
    return person if day == noted else f"{person} ({day})"


def _judged(said: Mapping[str, Any]) -> str:
    """What was said of a rendering, where the verdict alone would tell something else: a key of the page's words."""
    if said.get("carried"):
        return "carried"
    return "despite_rejection" if "despite_rejection" in said else str(said.get("verdict", ""))


def log_row(row: Entry, names: dict[str, str], rejecters: Mapping[int, str]) -> LogRow:
    """A row of the ledger as people read it; ``names`` are those of the clips by id, ``rejecters`` who rejected, by the
    number of the row."""
    said = row.payload
    by, of = str(said.get("by", "")), rejecters.get(said.get("despite_rejection", 0), "")
    if said.get("carried"):  # nobody approved what a recall made: it is told whose word it goes by
        by, of = "", by
    what = {
        "approval": _judged(said),
        "repair": said.get("kind", ""),
        "look": f"{said.get('track', '')}:{said.get('frame', '')}",
        "delivery": said.get("target", ""),
        "delivery_removed": said.get("target", ""),
        LOST: said.get("target", ""),
        "withdrawal": _withdrawn(said, row.day.isoformat()),
    }.get(row.kind, "")
    return LogRow(row.at, row.kind, names.get(row.clip or "", ""), by, str(what), of)
