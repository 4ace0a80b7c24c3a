"""What a person should look at: the one place that says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.records import Decision, Reason, Sighting

DOUBTS = frozenset({Reason.UNSURE, Reason.AMBIGUOUS, Reason.TWO_PLACES})
"""Reasons for hiding that a person should look at: it may be somebody who agreed to be seen."""

NARROW = 0.02
"""A face that is shown although its distance lies less than this under the threshold is worth a look as well."""


def undecided(render: Mapping[str, Any]) -> int:
    """Of a rendering's receipt: how many faces the second look sees in it, about which who approves must decide."""
    return int((render.get("second_look") or {}).get("left", 0))


def doubtful(decision: Decision) -> bool:
    """Whether the program was unsure of this stretch of a track."""
    if decision.keep:
        return decision.margin is not None and decision.margin < NARROW
    return decision.reason in DOUBTS


def doubts(decisions: Iterable[Decision], rate: float, sightings: Iterable[Sighting] = ()) -> list[list[float]]:
    """Moments (start, stop in seconds) at which the program was unsure; those within 1 s are one.

    ``sightings`` are what the second look sees in the finished film: each is a doubt.
    """
    stretches = [(d.start, d.stop) for d in decisions if doubtful(d)] + [(s.start, s.stop) for s in sightings]
    spans = sorted((start / rate, stop / rate) for start, stop in stretches)
    out: list[list[float]] = []
    for start, stop in spans:
        if out and start <= out[-1][1] + 1:
            out[-1][1] = max(out[-1][1], round(stop, 2))
        else:
            out.append([round(start, 2), round(stop, 2)])
    return out
