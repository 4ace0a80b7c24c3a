"""One lane per person for the reviewers' timeline, and the doubts on it; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.doubt import doubtful
from pipeline.lesson.seen import Seen
from pipeline.records import F32, Decision, Repair, RepairKind, Sighting, Support, Track
from pipeline.stages.mend import Mended
from pipeline.views import Doubt, Lane, Look, Span

Frames = npt.NDArray[np.int64]

BRIEF_SECONDS = 1.0
"""A track that is shorter than this, or fainter than FAINT, may be nobody: its lane stands below the others."""
FAINT = 0.35

SIGHTED = -(10**9)
"""The lanes of what the second look sees are numbered from here down; those of drawn regions from -1."""


def lanes_of(found: Seen, mended: Mended, repairs: Sequence[Repair]) -> tuple[Lane, ...]:
    """What the second look sees; people, in order of appearance; regions that were drawn; what may be nobody."""
    groups: dict[int, list[Track]] = {}
    by_name: dict[str, int] = {}
    said: dict[int, list[Decision]] = {}
    for decision in mended.decisions:
        said.setdefault(decision.track, []).append(decision)
    for track in mended.tracks:
        leader = mended.same.get(track.number, track.number)
        people = {d.person for d in said.get(track.number, ()) if d.keep and d.person}
        for person in sorted(people if track.number not in mended.apart else ()):  # the same name is the same person
            leader = by_name.setdefault(person, leader)
        groups.setdefault(leader, []).append(track)
    lanes = [_lane(tracks, said, float(found.rate), found.keyframes, mended.same) for tracks in groups.values()]
    lanes.sort(key=lambda lane: (lane.minor, lane.spans[0].start if lane.spans else 0, lane.track))
    drawn = [_drawn(found, one) for one in repairs if one.kind is RepairKind.REGION and not one.undone]
    majors = [lane for lane in lanes if not lane.minor]
    seen = [_sighted(number, one) for number, one in enumerate(found.sightings)]
    return (*seen, *majors, *drawn, *(lane for lane in lanes if lane.minor))


def doubts_of(lanes: Iterable[Lane]) -> tuple[Doubt, ...]:
    """Every stretch to look at, in order of time."""
    found = [
        Doubt(span.start, span.stop, lane.track, span.reason)
        for lane in lanes
        for span in lane.spans
        if span.look is Look.DOUBT
    ]
    return tuple(sorted(found, key=lambda one: (one.start, one.track)))


def _lane(
    tracks: list[Track], said: dict[int, list[Decision]], rate: float, keys: Frames, same: Mapping[int, int]
) -> Lane:
    tracks = sorted(tracks, key=lambda track: (track.start, track.number))
    spans = [_span(decision) for track in tracks for decision in said.get(track.number, ())]
    best = max(tracks, key=lambda track: (_height(track).max(), -track.number))
    frame, box = _best(best, keys)
    people = {span.person for span in spans if span.person}
    length = sum(len(track.box) for track in tracks)
    faint = max(track.strength for track in tracks) < FAINT
    number = min(track.number for track in tracks)
    return Lane(
        track=number,
        tracks=tuple(track.number for track in tracks),
        spans=tuple(_merged(spans)),
        moment=frame,
        box=box,
        minor=not people and (faint or length < BRIEF_SECONDS * rate),
        person=people.pop() if len(people) == 1 else None,
        joined=tuple(sorted(one for one in same if same[one] == same[number])),
    )


def _span(decision: Decision) -> Span:
    look = Look.DOUBT if doubtful(decision) else Look.SHOWN if decision.keep else Look.HIDDEN
    return Span(decision.start, decision.stop, look, decision.reason.value, decision.person)


def _merged(spans: list[Span]) -> list[Span]:
    out: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.start, one.stop)):
        last = out[-1] if out else None
        same = last is not None and (last.look, last.reason, last.person) == (span.look, span.reason, span.person)
        if last is not None and same and span.start <= last.stop:
            out[-1] = Span(last.start, max(last.stop, span.stop), last.look, last.reason, last.person)
        else:
            out.append(span)
    return out


def _height(track: Track) -> F32:
    return np.asarray(track.box[:, 3] - track.box[:, 1], np.float32)


def _best(track: Track, keys: Frames) -> tuple[int, tuple[float, float, float, float]]:
    """Where the face is largest, of the frames in which it was seen; of keyframes if it was seen in any."""
    size = np.where(track.support == Support.SEEN, _height(track), 0)
    first, last = np.searchsorted(keys, [track.start, track.stop])
    own = keys[first:last] - track.start
    at = int(size.argmax())
    if len(own) and size[own].max() > 0:
        at = int(own[size[own].argmax()])
    x1, y1, x2, y2 = (float(value) for value in track.box[at])
    return track.start + at, (x1, y1, x2, y2)


def _sighted(number: int, one: Sighting) -> Lane:
    x1, y1, x2, y2 = (float(value) for value in one.box[0])
    spans = (Span(one.start, one.stop, Look.DOUBT, "seen"),)
    return Lane(SIGHTED - number, (), spans, int(one.frame[0]), (x1, y1, x2, y2), False, sighting=True)


def _drawn(found: Seen, repair: Repair) -> Lane:
    placed = found.placed.get(repair.id)
    at = repair.start if repair.at_frame is None else repair.at_frame
    spans = [Span(repair.start, repair.stop, Look.HIDDEN, "drawn")]
    box = repair.box or (0.0, 0.0, 1.0, 1.0)
    if placed is not None:
        edges = {repair.start, repair.stop}
        for start, stop in placed.unsure:
            edges |= {start, stop}
        cuts = sorted(edges)
        held = [any(start <= a < stop for start, stop in placed.unsure) for a in cuts[:-1]]
        spans = [
            Span(a, b, Look.DOUBT if lost else Look.HIDDEN, "held" if lost else "drawn")
            for a, b, lost in zip(cuts[:-1], cuts[1:], held, strict=True)
        ]
    return Lane(-repair.number, (), tuple(spans), at, box, False, repair=repair.id)
