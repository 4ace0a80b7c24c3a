"""What a person should look at: the one place that says so, to the report, the receipts, status and review."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipeline.records import Decision, Reason, Sighting

DOUBTS = frozenset({Reason.UNSURE, Reason.AMBIGUOUS, Reason.TWO_PLACES})
"""Reasons for hiding that a person should look at: it may be somebody who agreed to be seen."""

NARROW = 0.02
"""Whoever is shown by less than this (see ``Identity.margin``) is worth a look as well."""


def undecided(render: Mapping[str, Any]) -> int:
    """Of a rendering's receipt: how many faces the second look sees in it, about which who approves must decide."""
    return int((render.get("second_look") or {}).get("left", 0))


def doubtful(decision: Decision) -> bool:
    """Whether the program was unsure of this stretch of a track.

    It is unsure of whom it shows by a narrow margin, or by none that is known, and of whom it hides although they may
    be somebody who agreed: near but not near enough, too like another, or claimed twice at once. What people decided
    by hand is never in doubt; whom it takes for a stranger, did not see, or may not show is not either.
    """
    if decision.reason is Reason.MATCHED:
        return decision.margin is None or decision.margin < NARROW
    return decision.reason in DOUBTS


def doubts(
    decisions: Iterable[Decision],
    when: Callable[[int], float],
    sightings: Iterable[Sighting] = (),
    held: Iterable[tuple[int, int]] = (),
) -> list[list[float]]:
    """Moments (start, stop in seconds) at which the program was unsure; those within 1 s are one.

    ``when`` gives the seconds of a frame by the film's clock: its frames need not come evenly.
    ``sightings`` are what the second look sees in the finished film: each is a doubt. So are stretches of frames in
    which a region drawn by hand was ``held`` where it was, because what it follows was lost.
    """
    stretches = [(d.start, d.stop) for d in decisions if doubtful(d)]
    stretches += [*((s.start, s.stop) for s in sightings), *held]
    spans = sorted((when(start), when(stop)) for start, stop in stretches)
    out: list[list[float]] = []
    for start, stop in spans:
        if out and start <= out[-1][1] + 1:
            out[-1][1] = max(out[-1][1], round(stop, 2))
        else:
            out.append([round(start, 2), round(stop, 2)])
    return out
