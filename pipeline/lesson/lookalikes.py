"""Doubles known to a whole lesson: who looked like somebody in one clip may be alone in the next.

A row of the ledger says, by register id, how near somebody else came in a clip; it is a distance and no face. All clips
that were filmed on one day are one lesson here, which hides a little more than it must.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from pipeline.adapters.ledger import Ledger
from pipeline.doubles import too_near

DOUBLES = "doubles"
"""The kind of row in the ledger."""


def note(ledger: Ledger, clip: str, nearest: Mapping[str, float]) -> None:
    """Write down the doubles of a clip's analysis, unless that is what is known of it already."""
    rows = ledger.entries(DOUBLES, clip)
    if dict(nearest) != (rows[-1].payload["nearest"] if rows else {}):
        ledger.append(DOUBLES, clip, {"nearest": dict(sorted(nearest.items()))})


def notes(ledger: Ledger) -> int:
    """How much was written down so far."""
    return len(ledger.entries(DOUBLES))


def in_lesson(ledger: Ledger, clip: str, day: date) -> dict[str, float]:
    """How near somebody else came to each person in the other clips of that day, by person, in order of id."""
    rows = ledger.entries(DOUBLES)
    if not rows:  # as nearly always
        return {}
    same_day = {row.clip for row in ledger.entries("filmed") if row.payload["day"] == day.isoformat()} - {clip}
    latest = {row.clip: row.payload["nearest"] for row in rows if row.clip in same_day}
    found: dict[str, float] = {}
    for nearest in latest.values():
        for person, far in nearest.items():
            found[person] = min(far, found.get(person, far))
    return dict(sorted(found.items()))


def doubted(ledger: Ledger, clip: str, filmed: str | None, render: Mapping[str, Any]) -> set[str]:
    """Whom a rendering shows because they were recognised, though by now somebody in another clip of that day (ISO
    8601) is known who looks too much like them. The rule is that of `hidden_beside`."""
    claims = [one for one in render["kept"] if one.get("distance") is not None]
    if filmed is None or not claims:
        return set()
    nearest = in_lesson(ledger, clip, date.fromisoformat(filmed))
    return {one["person"] for one in claims if too_near(one["person"], one["distance"], nearest)}
