"""Somebody else in the lesson who looks like a person: nobody is in two places, and a double alone is no proof.

Two claims to one name in one frame show that at least one of them is somebody else. How near that somebody came is
remembered for the person, as a number: from then on, and before, a claim must be clearly nearer than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipeline.records import F32, Decision, Identity, Reason, Track

CLEARLY = 0.04
"""Of two claims the nearer must be so much nearer to be believed."""

SAME_FACE = 0.5
"""Share of the smaller of two boxes in one frame that lies in the larger, from which they are one face, found twice."""


def doubles(identities: Iterable[Identity], tracks: Iterable[Track]) -> dict[str, float]:
    """How near somebody else came to a person while both were in sight, by person: of two claims in one frame the
    farther. Whoever was found twice in one place, all the time, is no double; whoever only passes in front is one. The
    same before and after ``withheld``."""
    by_number = {track.number: track for track in tracks}
    found: dict[str, float] = {}
    for one, other in _at_once(identities):
        first, last = max(one.start, other.start), min(one.stop, other.stop)
        mine, theirs = (
            track.box[first - track.start : last - track.start]
            for track in (by_number[one.track], by_number[other.track])
        )
        person = _claimed(one)
        if person is not None and not one_face(mine, theirs).all():
            far = max(one.distance or 0.0, other.distance or 0.0)
            found[person] = min(far, found.get(person, far))
    return found


def withheld(identities: Sequence[Identity], nearest: Mapping[str, float]) -> list[Identity]:
    """Identities without the names that are not clearly nearer than a double (``nearest``, by person) or than another
    claim in the same frame."""
    lost: set[int] = set()
    for one, other in _at_once(identities):
        for mine, theirs in ((one, other), (other, one)):
            if mine.distance is None or _distance(mine) > _distance(theirs) - CLEARLY:
                lost.add(id(mine))
    lost |= {id(i) for i in identities if i.person is not None and too_near(i.person, _distance(i), nearest)}
    return [replace(i, person=None, reason=Reason.TWO_PLACES) if id(i) in lost else i for i in identities]


def hidden_beside(decisions: Sequence[Decision], nearest: Mapping[str, float]) -> list[Decision]:
    """The same of decisions, for doubles that were seen in other clips. What was decided by hand stays."""
    return [
        replace(d, keep=False, reason=Reason.TWO_PLACES, person=None, ground=None)
        if d.keep and d.reason is Reason.MATCHED and too_near(d.person, _distance(d), nearest)
        else d
        for d in decisions
    ]


def one_face(mine: F32, theirs: F32) -> npt.NDArray[np.bool_]:
    """Where boxes (N, 4) of two tracks, frame by frame, are one face that was found twice. (N,)"""
    low, high = np.maximum(mine[:, :2], theirs[:, :2]), np.minimum(mine[:, 2:], theirs[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    smaller = np.minimum(*(np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (mine, theirs)))
    return np.asarray(shared >= SAME_FACE * np.maximum(smaller, 1e-9))


def too_near(person: str | None, distance: float, nearest: Mapping[str, float]) -> bool:
    """Whether a claim to a name is not clearly nearer to the person than somebody else came (``nearest``)."""
    return person is not None and distance > nearest.get(person, np.inf) - CLEARLY


def _at_once(identities: Iterable[Identity]) -> list[tuple[Identity, Identity]]:
    """Pairs of claims to one name that share a frame."""
    claims: dict[str, list[Identity]] = {}
    for identity in identities:
        if (person := _claimed(identity)) is not None:
            claims.setdefault(person, []).append(identity)
    pairs = []
    for mine in claims.values():
        mine.sort(key=lambda one: one.start)
        for at, one in enumerate(mine):
            for other in mine[at + 1 :]:
                if other.start >= one.stop:
                    break
                pairs.append((one, other))
    return pairs


def _claimed(identity: Identity) -> str | None:
    """The name that a stretch earned by itself, though it may have lost it to another claim."""
    return identity.nearest if identity.reason is Reason.TWO_PLACES else identity.person


def _distance(claim: Identity | Decision) -> float:
    """How far off a claim is; one of which that is not known may be as far as any."""
    return np.inf if claim.distance is None else claim.distance
