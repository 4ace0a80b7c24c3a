"""What a person should look at: the one place that says so."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.records import Decision, Reason

DOUBTS = frozenset({Reason.UNSURE, Reason.AMBIGUOUS, Reason.TWO_PLACES})
"""Reasons for hiding that a person should look at: it may be somebody who agreed to be seen."""

NARROW = 0.02
"""A face that is shown although its distance lies less than this under the threshold is worth a look as well."""


def doubtful(decision: Decision) -> bool:
    """Whether the program was unsure of this stretch of a track."""
    if decision.keep:
        return decision.margin is not None and decision.margin < NARROW
    return decision.reason in DOUBTS


def doubts(decisions: Iterable[Decision], rate: float) -> list[list[float]]:
    """Moments (start, stop in seconds) at which the program was unsure; those within 1 s are one."""
    spans = sorted((d.start / rate, d.stop / rate) for d in decisions if doubtful(d))
    out: list[list[float]] = []
    for start, stop in spans:
        if out and start <= out[-1][1] + 1:
            out[-1][1] = max(out[-1][1], round(stop, 2))
        else:
            out.append([round(start, 2), round(stop, 2)])
    return out
