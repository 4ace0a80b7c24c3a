"""Tracks earn names: who each stretch of each track is, by the views that were taken of it.

Distances are chords between unit vectors (0 the same picture, 1.41 nothing in common); ``likeness.py`` says how near is
near enough, for the risk that is accepted and for how much was seen.

1. A *run* is a series of neighbouring views that each look like the same enrolled person (``loose``) and like nobody
   else more. It ends where something was seen in between that may be somebody else.
2. Where the look changes inside a run (another picture, another light, or another person in the seat), each piece
   must hold on its own (``piece``); so must every few views in a row, for somebody may take the seat unnoticed.
3. What holds earns the name when the mean of its views lies within ``strict`` of the person's template, with room to
   everybody else; the more alike two people are, the more.
4. Only what lies between two of its views is kept: what was not seen on both sides is not known. Beside somebody else
   in the same track these must be as near as half of the run's: pictures may be faded or wiped from one to the next.
5. Nobody is in two places. Whoever was taken for a person while that person's better claim was in sight is a *double*:
   from then on, and before, all over the clip, a claim must be clearly nearer than that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import groupby, takewhile

import numpy as np

from pipeline.doubles import doubles, withheld
from pipeline.geometry import closeness
from pipeline.likeness import FACING, Limits, limits, look_changed, loosest, room, standard
from pipeline.pace import HALF, beats, lasting
from pipeline.records import F32, F64, Detections, Identity, Person, Reason, Track, Views

GAP_SECONDS = 1.05
"""Longest time between two views of one run. Frames that last long do not count for all of that (`pace.py`); but from
the first view to the frame before the second it is no longer by the clock either: of few frames, far apart, each may
show somebody else."""

A_FEW, SEVERAL = 2, 5
"""So many views in a row must come near enough by themselves: a few to ``piece``, several half-way to ``strict``. The
mean over a long run hides somebody who takes the seat for a while, or two whose differences cancel out."""

FARTHER = 0.1
"""A few views in a row that all lie so much farther off than the nearest quarter of their run: something of somebody
else may lie over the face. (docs/measured/recognising.md)"""

REACH, SIZES = 0.9, 2.5
"""Faces whose centres come within so many of their sizes, and whose sizes differ by less than this factor, may have
changed places in a track while they were turned away."""

SOMEBODY = 0.35
"""Best score of a track from which it is somebody who may pass in front; patterns like faces stand everywhere."""


@dataclass(frozen=True)
class _View:
    frame: int
    vector: F32
    distances: F32
    height: float
    changed: bool
    """The look differs from that of the view before."""
    unseen: bool = False
    """Since the view before there was another look that nobody put a name to."""
    between: bool = False
    """It only says whether the face is still the same (see Views)."""


@dataclass(frozen=True)
class _Gallery:
    """Everybody who is enrolled: ``templates`` (P, 128), and how far these lie ``apart`` (P, P)."""

    people: Sequence[Person]
    templates: F32
    apart: F32
    risk: float

    def loose(self, who: int) -> Limits:
        return loosest(self.people[who].portraits)

    def limits(self, who: int, views: Sequence[_View]) -> Limits:
        """For these views; for a single one, which earns nothing, those for two."""
        count = max(2, len(views))
        return limits(self.risk, self.people[who].portraits, count, _height(views), len(self.people))

    def room(self, who: int, views: Sequence[_View], distances: F32) -> tuple[float, float | None]:
        """How much nearer somebody is than they must be beside all others, and how far off the nearest of these is."""
        others = np.delete(np.arange(len(self.people)), who)
        if not len(others):
            return np.inf, None
        needed = room(self.risk, self.people[who].portraits, _height(views), self.apart[who, others])
        spare = distances[others] - distances[who] - needed
        return float(spare.min()), float(distances[others].min())


@dataclass(frozen=True)
class _Clock:
    """When frames come (frames,), in beats (`pace.beats`) and with all the time that they last (`pace.lasting`), and
    how many beats GAP_SECONDS are."""

    beat: F64
    lasting: F64
    gap: float

    def near(self, one: int, other: int) -> bool:
        return bool(abs(self.beat[one] - self.beat[other]) <= self.gap)

    def goes_on(self, one: int, other: int) -> bool:
        """Whether frame ``other`` may hold the next view of a run after that in frame ``one``."""
        return self.near(one, other) and bool(self.lasting[other - 1] - self.lasting[one] <= self.gap)


class _Company:
    """Who is close by: tracks of somebody who may pass in front, found by time."""

    def __init__(self, tracks: Sequence[Track], clock: _Clock) -> None:
        self.tracks = [track for track in tracks if track.strength >= SOMEBODY]
        self.start = np.array([track.start for track in self.tracks])
        self.stop = np.array([track.stop for track in self.tracks])
        self.low = np.array([track.box[:, :2].min(axis=0) for track in self.tracks]).reshape(-1, 2)
        self.high = np.array([track.box[:, 2:].max(axis=0) for track in self.tracks]).reshape(-1, 2)
        self.beat, self.gap = clock.beat, clock.gap

    def met(self, track: Track, frame: int) -> bool:
        """Whether another track comes as near to this one, within ``gap`` beats, as a face moves between two looks."""
        first = int(np.searchsorted(self.beat, self.beat[frame] - self.gap))
        last = int(np.searchsorted(self.beat, self.beat[frame] + self.gap))
        mine = track.box[frame - track.start][None]
        reach = REACH * SIZES * (mine[0, 2:] - mine[0, :2]).max()  # from further off nobody comes near
        near = (self.low < mine[0, 2:] + reach).all(axis=1) & (self.high > mine[0, :2] - reach).all(axis=1)
        for at in np.flatnonzero(near & (self.start < last) & (self.stop > first)).tolist():
            other = self.tracks[at]
            theirs = other.box[max(0, first - other.start) : last - other.start]
            if other.number != track.number and float(closeness(mine, theirs, REACH, SIZES).max()) > 0:
                return True
        return False


def identify(
    tracks: Iterable[Track],
    found: Detections,
    views: Views,
    people: Sequence[Person],
    rate: Fraction,
    smallest: float,
    risk: float,
) -> list[Identity]:
    """Who each stretch of each track is. Every track gets identities that cover it; most say why it is nobody.

    ``rate`` is in frames per second, ``smallest`` in pixels; ``risk`` is the share of strangers that may come near
    enough to be taken for somebody.
    """
    tracks = list(tracks)
    if not people:
        return [Identity(t.number, t.start, t.stop, None, Reason.NO_KEEP_LIST) for t in tracks]
    templates = np.stack([person.template for person in people])
    apart = np.linalg.norm(templates[:, None] - templates[None], axis=2).astype(np.float32)
    gallery = _Gallery(people, templates, apart, risk)
    by_row = dict(zip(views.detection.tolist(), range(len(views.detection)), strict=True))
    out: list[Identity] = []
    beat, pace = beats(found, rate)
    clock = _Clock(beat, lasting(found, pace), round(GAP_SECONDS * pace) + HALF)
    company = _Company(tracks, clock)
    for track in tracks:
        seen = _views_of(track, found, views, by_row, templates, partial(company.met, track))
        out.extend(_name(track, seen, gallery, clock, smallest))
    return withheld(out, doubles(out, tracks))


def _views_of(
    track: Track, found: Detections, views: Views, by_row: dict[int, int], templates: F32, met: Callable[[int], bool]
) -> list[_View]:
    """The views of one track; ``met`` says of a frame whether somebody else's face is close by around that time."""
    seen: list[_View] = []
    before: F32 | None = None
    named: F32 | None = None
    changed = unseen = may_be_named = False
    facing = found.facing[track.detections]
    looks = standard(found.look[track.detections])
    for row, towards, look in zip(track.detections.tolist(), facing.tolist(), looks, strict=True):
        if before is not None and look_changed(before, look):
            changed = True
        before = look
        if row not in by_row and named is not None:
            another = look_changed(named, look)
            unseen = unseen or another or (towards < FACING and may_be_named and met(int(found.frame[row])))
        if row in by_row:
            named = look
            vector, height = views.embedding[by_row[row]], float(views.height[by_row[row]])
            distances = np.linalg.norm(templates - vector, axis=1).astype(np.float32)
            between = bool(views.between[by_row[row]])
            seen.append(_View(int(found.frame[row]), vector, distances, height, changed, unseen, between))
            may_be_named = bool(distances.min() <= loosest(1).loose)
            changed = unseen = False
    return seen


def _name(track: Track, seen: Sequence[_View], gallery: _Gallery, clock: _Clock, smallest: float) -> list[Identity]:
    """The runs of one track that earned a name, and the reasons for the rest of it."""
    tallest = float((track.box[:, 3] - track.box[:, 1]).max())
    if not seen:
        reason = Reason.TOO_SMALL if tallest < smallest else Reason.NOT_LOOKED
        return [Identity(track.number, track.start, track.stop, None, reason)]
    rest = _why_not(track, seen, gallery)
    out: list[Identity] = []
    at = track.start
    for who, run in _runs(seen, gallery, clock):
        for identity in _judge(track, run, who, gallery, _becomes(run, who, seen, gallery, clock)):
            if identity.start > at:
                out.append(replace(rest, start=at, stop=identity.start))
            out.append(identity)
            at = identity.stop
    if at < track.stop:
        out.append(replace(rest, start=at, stop=track.stop))
    return out


def _runs(seen: Sequence[_View], gallery: _Gallery, clock: _Clock) -> list[tuple[int, list[_View]]]:
    """Series of neighbouring views that look like one person each: (index of the person, views)."""
    runs: list[tuple[int, list[_View]]] = []
    open_run = False
    for view in seen:
        who = int(view.distances.argmin())
        if not view.distances[who] <= gallery.loose(who).loose:
            open_run = False
            continue
        last = runs[-1] if runs else None
        if (
            open_run
            and not view.unseen
            and last is not None
            and last[0] == who
            and clock.goes_on(last[1][-1].frame, view.frame)
        ):
            last[1].append(view)
        else:
            runs.append((who, [view]))
        open_run = True
    return runs


def _becomes(
    run: Sequence[_View], who: int, seen: Sequence[_View], gallery: _Gallery, clock: _Clock
) -> tuple[bool, bool]:
    """Whether the face is somebody else's just before a run, and just after it."""
    first = bisect_left(seen, run[0].frame, key=lambda view: view.frame)
    stop = first + len(run)

    def other(beside: Sequence[_View], end: _View) -> bool:
        near = [view for view in beside if clock.near(view.frame, end.frame)]
        return bool(near) and not _far(near, gallery.templates[who]) <= gallery.loose(who).loose

    return other(seen[max(0, first - A_FEW) : first], run[0]), other(seen[stop : stop + A_FEW], run[-1])


def _judge(track: Track, run: list[_View], who: int, gallery: _Gallery, becomes: tuple[bool, bool]) -> list[Identity]:
    """Does this run earn its name? Pieces that do not hold on their own are left out, and so is what lies beside.
    ``becomes``: whether the face is another's just before the run, and just after it."""
    good = _holding(run, gallery.templates[who], gallery.limits(who, run))
    evidence = [view for view, holds in zip(run, good, strict=True) if holds and not view.between]
    mean = _mean(evidence or run)
    bounds = gallery.limits(who, evidence)
    distances = np.linalg.norm(gallery.templates - mean, axis=1)
    distance = float(distances[who])
    spare, runner_up = gallery.room(who, evidence or run, distances)
    if not evidence:
        reason = Reason.UNSURE
    elif not spare >= 0:
        reason = Reason.AMBIGUOUS
    elif not distance <= bounds.strict:
        reason = Reason.UNSURE
    elif len(evidence) < 2:
        reason = Reason.TOO_FEW_VIEWS
    else:
        reason = Reason.MATCHED
    person = gallery.people[who].id
    whole = Identity(
        track=track.number,
        start=run[0].frame,
        stop=run[-1].frame + 1,
        person=None,
        reason=reason,
        nearest=person,
        distance=round(distance, 4),
        runner_up=None if runner_up is None else round(runner_up, 4),
        margin=round(min(bounds.strict - distance, spare), 4),
        views=len(evidence) or len(run),
    )
    if reason is not Reason.MATCHED:
        return [whole]
    alone = _alone(np.array([view.distances[who] for view in run]), good, becomes)
    out: list[Identity] = []
    for holds, group in groupby(zip(alone, run, strict=True), key=lambda pair: pair[0]):
        views = [view for _, view in group]
        name, why = (person, Reason.MATCHED) if holds else (None, Reason.UNSURE)
        # what lies between a good piece and a bad one is left to the track's rest: hidden
        out.append(replace(whole, start=views[0].frame, stop=views[-1].frame + 1, person=name, reason=why))
    return out


def _holding(run: Sequence[_View], template: F32, bounds: Limits) -> list[bool]:
    """For each view of a run: does its piece look like the person, and so do the views in a row around it?

    Of those taken between, what is asked is less: with each of its neighbours it must look like the person at a glance.
    """
    pieces: list[list[int]] = []
    changed = False
    for at, view in enumerate(run):
        changed |= view.changed
        if view.between:
            continue
        if changed or not pieces:
            pieces.append([])
        pieces[-1].append(at)
        changed = False
    good = [True] * len(run)
    for piece in pieces:
        some = [run[at] for at in piece]
        holds = [_far(some, template) <= bounds.of_piece(len(some))] * len(some)
        for count, limit in ((A_FEW, bounds.piece), (SEVERAL, (bounds.piece + bounds.strict) / 2)):
            for first in range(len(some) - count + 1):
                if not _far(some[first : first + count], template) <= limit:
                    holds[first : first + count] = [False] * count
        for at, does in zip(piece, holds, strict=True):
            good[at] = does
    for at, view in enumerate(run):
        if view.between:
            beside = [*run[max(0, at - 1) : at], *run[at + 1 : at + 2]]
            good[at] = all(_far([view, other], template) <= bounds.of_piece(1) for other in beside)
    return good


def _alone(apart: F64, good: Sequence[bool], becomes: tuple[bool, bool]) -> list[bool]:
    """Which of the ``good`` views of a run, ``apart`` (V,) from its person, show nobody else besides.

    Pictures that are faded or wiped from one person to the next show both on the way: so what lies farther off than the
    rest of the run, more than once, is left out; and where the face ``becomes`` another's, just before the run or just
    after it, it begins or ends with a view as near as half of its views are.
    """
    alone = list(good)
    usual, near = np.median(apart), np.quantile(apart[alone], 0.25)
    for first in range(len(apart) - A_FEW + 1):
        if not apart[first : first + A_FEW].min() <= near + FARTHER:
            alone[first : first + A_FEW] = [False] * A_FEW
    for another, inwards in zip(becomes, (range(len(apart)), range(len(apart))[::-1]), strict=True):
        for at in takewhile(lambda at: not apart[at] <= usual, inwards if another else ()):
            alone[at] = False
    return alone


def _far(views: Sequence[_View], template: F32) -> float:
    return float(np.linalg.norm(_mean(views) - template))


def _mean(views: Sequence[_View]) -> F32:
    mean = np.mean([view.vector for view in views], axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


def _height(views: Sequence[_View]) -> float:
    """How tall the face is in these views, in pixels: half of them show less."""
    return float(np.median([view.height for view in views])) if views else 0.0


def _why_not(track: Track, seen: Sequence[_View], gallery: _Gallery) -> Identity:
    """The reason for the frames of a looked-at track that belong to no run."""
    distances = np.min([view.distances for view in seen], axis=0)
    nearest = int(distances.argmin())
    stranger = float(distances[nearest]) > gallery.loose(nearest).loose
    return Identity(
        track=track.number,
        start=track.start,
        stop=track.stop,
        person=None,
        reason=Reason.STRANGER if stranger else Reason.OUTSIDE_EVIDENCE,
        nearest=gallery.people[nearest].id,
        distance=round(float(distances[nearest]), 4),
        margin=None,
        views=len(seen),
    )
