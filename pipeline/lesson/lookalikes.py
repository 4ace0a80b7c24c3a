"""Doubles known to a whole lesson: who looked like somebody in one clip may be alone in the next.

A row of the ledger says, by register id, how near somebody else came in a clip; it is a distance and no face. All clips
that were filmed on one day are one lesson here, which hides a little more than it must.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from pipeline.adapters.ledger import Ledger
from pipeline.doubles import too_near

DOUBLES = "doubles"
"""The kind of row in the ledger."""


def note(ledger: Ledger, clip: str, nearest: Mapping[str, float], asked: Collection[str]) -> None:
    """Write down the doubles of a clip's analysis, unless that is what is known of it already.

    ``asked`` are the people who were looked for; what is known of others stays.
    """
    rows = ledger.entries(DOUBLES, clip)
    known = rows[-1].payload["nearest"] if rows else {}
    now = {person: far for person, far in known.items() if person not in asked} | dict(nearest)
    if now != known:
        ledger.append(DOUBLES, clip, {"nearest": dict(sorted(now.items()))})


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
    8601) is known who looks too much like them. The rule is that of `hidden_beside`; a claim of which no distance was
    kept (by an older version) may be as far as any."""
    claims = [
        (one["person"], math.inf if one.get("distance") is None else one["distance"])
        for one in render["kept"]
        if not one.get("by_hand")
    ]
    if filmed is None or not claims:
        return set()
    nearest = in_lesson(ledger, clip, date.fromisoformat(filmed))
    return {person for person, far in claims if too_near(person, math.inf if far is None else far, nearest)}
