"""Repairs laid over an analysis: pure, and in favour of hiding.

The analysis itself is never changed; tracks and decisions are made anew from it and from every repair that stands, so
that taking a repair back is leaving it out. Whatever the order in which they came, a stretch that somebody hid by
hand stays hidden until that is undone; nobody is shown whose consent is not in force now.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from types import MappingProxyType

import numpy as np

from pipeline.doubles import one_face
from pipeline.records import (
    F32,
    Decision,
    Reason,
    Regions,
    Repair,
    RepairKind,
    Shape,
    Track,
    joined,
)
from pipeline.regions import no_regions, once, together

Place = tuple[int, int, int]
"""(track, start, stop)."""

Marked = tuple[int, int, int, str]
"""(track, start, stop) and who somebody said that it is."""


@dataclass(frozen=True)
class Mended:
    """What an analysis comes to once the repairs are laid over it.

    ``same`` maps each track to the first one of the same person, as far as people said so. ``regions`` are hidden
    besides the tracks, ``mutes`` are stretches of frames without sound. ``hidden`` lists by repair id what it hides as
    (track, start, stop). ``apart`` are tracks that were split off: somebody doubts that they are whom the program
    takes them for. ``moot`` are repairs that no longer apply. ``meant`` lists by repair id the people whom it hides, as
    far as they have names.
    """

    tracks: list[Track]
    decisions: list[Decision]
    same: dict[int, int]
    regions: Regions
    mutes: tuple[tuple[int, int], ...]
    hidden: dict[str, list[Place]]
    apart: frozenset[int]
    moot: frozenset[str]
    meant: dict[str, tuple[str, ...]]


def mend(
    tracks: Sequence[Track],
    decisions: Sequence[Decision],
    repairs: Iterable[Repair],
    analysis: str,
    placed: Mapping[str, Regions],
    grounds: Mapping[str, str],
    known: Mapping[str, str],
    meant: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Mended:
    """Lay ``repairs`` over the tracks and decisions of the analysis called ``analysis``.

    ``placed`` holds, by repair id, where a drawn region was followed to, and what a repair of an earlier analysis of
    the same clip hid: those are hidden as they are, and as said where it is this analysis after all, with other names.
    ``grounds`` holds everyone who may be seen today when the program
    recognises them, ``known`` everyone who may be when a person says who they are, each with the ground of it.
    ``meant`` holds, by repair id, whom a repair of an earlier analysis hid, as far as they had a name then: they are
    hidden wherever this one knows them, in the whole stretch of the repair.
    """
    said = sorted(repairs, key=lambda one: one.number)
    pieces = _Pieces(tracks, decisions)
    hides: list[tuple[Repair, _Pieces]] = []  # with who was who when it was said
    mutes: list[tuple[int, int]] = []
    rows: list[Regions] = []
    moot: set[str] = set()
    for repair in said:
        if repair.kind is RepairKind.SPLIT and repair.analysis == analysis:
            pieces.split(repair)  # an undone split keeps its number taken, so that others keep theirs
        if repair.undone:
            continue
        if repair.kind is RepairKind.MUTE:
            mutes.append((repair.start, repair.stop))
        elif repair.id in placed:
            rows.append(placed[repair.id])
            mine = repair.kind is RepairKind.HIDE and repair.analysis == analysis and pieces.knows(repair.track)
            if meant.get(repair.id) or mine:
                hide = repair if mine else replace(repair, track=None)  # the number is one of another analysis
                hides.append((hide, _as_of(repair, tracks, decisions, said, analysis)))
        elif repair.kind is RepairKind.REGION or repair.analysis != analysis or not pieces.knows(repair.track):
            moot.add(repair.id)
        elif repair.kind is RepairKind.HIDE:
            hides.append((repair, _as_of(repair, tracks, decisions, said, analysis)))
        else:
            pieces.hear(repair)
    hidden: dict[str, list[Place]] = {}
    names: dict[str, tuple[str, ...]] = {}
    for repair, then in hides:  # whoever was the same person then, and whoever is by now
        people = meant.get(repair.id, ())
        before = then.with_alike(then.marked(repair, people), repair)
        after = pieces.now(then.originals(before)) + pieces.marked(repair, people)
        hidden[repair.id] = pieces.with_alike(after, repair)
        names[repair.id] = tuple(sorted({*people, *then.people(before), *pieces.people(hidden[repair.id])}))
    judged = [_still_agreed(decision, grounds) for decision in pieces.decisions]
    words: list[Decision] = []
    for track, start, stop, person in pieces.shows:
        keep = person in known
        reason = Reason.NAMED_BY_HAND if keep else Reason.NO_CONSENT
        who, ground = (person, known[person]) if keep else (None, None)
        words.append(Decision(track, start, stop, keep, reason, person=who, ground=ground))
    for track, start, stop in (place for places in hidden.values() for place in places):
        words.append(Decision(track, start, stop, False, Reason.HIDDEN_BY_HAND))
    judged = _overlaid(judged, words)
    return Mended(
        list(pieces.tracks.values()),
        _one_place(judged, pieces.tracks),
        pieces.first(),
        together(rows),
        tuple(joined(mutes)),
        hidden,
        frozenset(pieces.apart),
        frozenset(moot),
        names,
    )


def _as_of(
    hide: Repair, tracks: Sequence[Track], decisions: Sequence[Decision], said: Iterable[Repair], analysis: str
) -> _Pieces:
    """Who was who when somebody was hidden, with what was taken back only later."""
    pieces = _Pieces(tracks, decisions)
    for one in said:
        if one.number >= hide.number or one.analysis != analysis:
            continue
        undone = one.undone and one.undone_at is not None and one.undone_at < hide.number
        if one.kind is RepairKind.SPLIT:
            pieces.split(replace(one, undone=undone))
        elif not undone:
            pieces.hear(one)
    return pieces


def _one_place(decisions: list[Decision], tracks: Mapping[int, Track]) -> list[Decision]:
    """Nobody is shown in two places of one frame: what somebody said wins over the program, and of what people said
    neither does. A face that was found twice in one place is one face."""
    kept: dict[str, list[Decision]] = {}
    for one in decisions:
        if one.keep and one.person is not None:
            kept.setdefault(one.person, []).append(one)
    lost: list[tuple[int, int, int]] = []
    for one, other in (pair for mine in kept.values() for pair in combinations(mine, 2)):
        start, stop = max(one.start, other.start), min(one.stop, other.stop)
        if one.track == other.track or start >= stop:
            continue
        boxes = [
            tracks[d.track].box[start - tracks[d.track].start : stop - tracks[d.track].start] for d in (one, other)
        ]
        apart = np.flatnonzero(~one_face(*boxes)) + start
        for mine, theirs in ((one, other), (other, one)):
            if mine.reason is not Reason.NAMED_BY_HAND or theirs.reason is Reason.NAMED_BY_HAND:
                lost += [(mine.track, *stretch) for stretch in joined([(n, n + 1) for n in apart.tolist()])]
    words = [Decision(track, start, stop, False, Reason.TWO_PLACES) for track, start, stop in lost]
    return _overlaid(decisions, words)


def _overlaid(decisions: list[Decision], words: Sequence[Decision]) -> list[Decision]:
    """Each of ``words`` laid over, in their order; the tracks apart, for there may be thousands of either."""
    by_track: dict[int, list[Decision]] = {}
    for one in decisions:
        by_track.setdefault(one.track, []).append(one)
    for word in words:
        if word.track in by_track:
            by_track[word.track] = overlay(by_track[word.track], word)
    return [one for number in sorted(by_track) for one in by_track[number]] if words else decisions


def overlay(decisions: Iterable[Decision], new: Decision) -> list[Decision]:
    """``decisions`` with the stretch of ``new`` decided by it alone; what they say beside it stays."""
    out: list[Decision] = []
    covered: list[tuple[int, int]] = []
    for old in decisions:
        start, stop = max(old.start, new.start), min(old.stop, new.stop)
        if old.track != new.track or start >= stop:
            out.append(old)
            continue
        if old.start < start:
            out.append(replace(old, stop=start))
        covered.append((start, stop))
        if stop < old.stop:
            out.append(replace(old, start=stop))
    out += [replace(new, start=start, stop=stop) for start, stop in joined(covered)]
    return sorted(out, key=lambda one: (one.track, one.start))


def kept_hidden(
    mended: Mended, repairs: Iterable[Repair], placed: Mapping[str, Regions], head: Callable[[F32], F32]
) -> dict[str, Regions]:
    """Where each repair that hides does so, by repair id, in places rather than tracks.

    ``head`` makes boxes of the whole head (N, 4) out of those of faces.

    An analysis made anew may number its tracks otherwise; what was hidden by hand must not come back for that.
    """
    by_number = {track.number: track for track in mended.tracks}
    out = {
        id: together([_heads(by_number[n], a, b, head) for n, a, b in places]) for id, places in mended.hidden.items()
    }
    for one in repairs:  # what is hidden by name is found anew each time, where it was hidden before stays
        if not one.undone and one.id in placed:
            out[one.id] = once(together([placed[one.id], out.get(one.id, no_regions())]))
    return out


def _heads(track: Track, start: int, stop: int, head: Callable[[F32], F32]) -> Regions:
    first, last = max(start, track.start), min(stop, track.stop)
    if last <= first:
        return no_regions()
    frame = np.arange(first, last, dtype=np.int32)
    region = head(np.asarray(track.box[first - track.start : last - track.start], np.float32))
    return Regions(frame, region, np.full(len(frame), Shape.ELLIPSE, np.uint8))


def _still_agreed(decision: Decision, grounds: Mapping[str, str]) -> Decision:
    """A decision to keep stands only on a ground that is in force now."""
    if not decision.keep:
        return decision
    if decision.person is not None and decision.person in grounds:
        return replace(decision, ground=grounds[decision.person])
    return replace(decision, keep=False, reason=Reason.NO_CONSENT, person=None, ground=None)


class _Pieces:
    """Tracks and decisions while they are being cut up and named alike."""

    def __init__(self, tracks: Sequence[Track], decisions: Sequence[Decision]) -> None:
        self.tracks = {track.number: track for track in tracks}
        self.decisions = list(decisions)
        self._next = max(self.tracks, default=0) + 1
        self._leader = {number: number for number in self.tracks}
        self._original = {number: number for number in self.tracks}  # the track of the analysis it is a piece of
        self.shows: list[Marked] = []  # who people said that a track is
        self.apart: set[int] = set()  # split off, so no longer who the program thinks
        self._undone: dict[int, tuple[int, int, int]] = {}

    def knows(self, number: int | None) -> bool:
        return number in self.tracks or number in self._undone

    def hear(self, repair: Repair) -> None:
        """Take in who somebody is said to be: a JOIN or a SHOW. Only what was looked at is shown, and only as far as it
        was the same person when that was said: another's word that two are one shows nobody."""
        if repair.kind is RepairKind.JOIN:
            self._join(repair.track, repair.other)
        elif repair.kind is RepairKind.SHOW and repair.person is not None:
            same = {self._find(number) for number, _, _ in self._places(repair.track, repair.start, repair.stop)}
            for one in dict.fromkeys((repair.track, *repair.tracks)):
                for number, start, stop in self._places(one, repair.start, repair.stop):
                    self.shows += [(number, start, stop, repair.person)] * (self._find(number) in same)

    def split(self, repair: Repair) -> None:
        """From frame ``repair.start`` on the track bears a new number; what was said of it before goes for both."""
        number, at = self._next, repair.start
        self._next += 1
        for track, first, last in self._places(repair.track, at, at + 1):
            whole = self.tracks[track]
            if not (whole.start < at < whole.stop and first <= at < last):
                continue
            if repair.undone:
                self._undone[number] = (track, at, whole.stop)
                return
            cut = at - whole.start
            self.tracks[track] = replace(
                whole, box=whole.box[:cut], support=whole.support[:cut], certainty=whole.certainty[:cut]
            )
            self.tracks[number] = replace(
                whole,
                number=number,
                start=at,
                box=whole.box[cut:],
                support=whole.support[cut:],
                certainty=whole.certainty[cut:],
            )
            self._leader[number] = number
            self._original[number] = self._original[track]
            self.apart.add(number)
            moved = []
            for one in self.decisions:
                if one.track != track or one.stop <= at:
                    moved.append(one)
                    continue
                if one.start < at:
                    moved.append(replace(one, stop=at))
                moved.append(replace(one, track=number, start=max(one.start, at)))
            self.decisions = moved
            self.shows += [(number, a, b, person) for t, a, b, person in self.shows if t == track]
            return

    def _join(self, one: int | None, other: int | None) -> None:
        """Both are the same person from now on."""
        if self.knows(one) and self.knows(other):
            a, b = (self._find(self._whole(number)) for number in (one, other))
            self._leader[max(a, b)] = min(a, b)

    def marked(self, repair: Repair, people: Collection[str]) -> list[Place]:
        """What the repair's track stands for, and where ``people`` are."""
        named = {track for track, person in self._names() | self._doubted() if person in people}
        places = self._places(repair.track, repair.start, repair.stop)
        return places + [(number, repair.start, repair.stop) for number in sorted(named)]

    def people(self, places: Iterable[Place]) -> set[str]:
        """Who is in these places, as far as they have names."""
        tracks = {number for number, _, _ in places}
        return {person for track, person in self._names() if track in tracks}

    def with_alike(self, places: Sequence[Place], repair: Repair) -> list[Place]:
        """``places``, and everybody who is there wherever else they are in the whole stretch of the repair."""
        out, marked = list(places), {number for number, _, _ in places}
        parted = {track for track, _, _ in self.originals(self._places(repair.track, repair.start, repair.stop))}
        while marked:
            first = min(marked)
            same = self._alike(first, parted)
            if len(same) > 1:
                out += [(number, repair.start, repair.stop) for number in same]
            marked -= same
        by_track: dict[int, list[tuple[int, int]]] = {}
        for number, start, stop in out:
            by_track.setdefault(number, []).append((start, stop))
        return [(number, *stretch) for number in sorted(by_track) for stretch in joined(by_track[number])]

    def _alike(self, number: int, parted: Collection[int]) -> set[int]:
        """Every track of the same person, as people said or the program thinks, and of whoever is the same as those.

        What was split off and bears the name all the same is one of them; but of the tracks ``parted``, where nobody
        else has that name, one part alone is meant.
        """
        names, doubted = self._names(), self._doubted()
        found: set[int] = set()
        more = {number}
        while more - found:
            found |= more
            leaders = {self._find(one) for one in found}
            people = {person for track, person in names if track in found}
            more = {one for one in self.tracks if self._find(one) in leaders}
            more |= {track for track, person in names if person in people}
            apart = {track for track, _ in doubted if self._original[track] not in parted}
            besides = {person for track, person in names if track in found and self._original[track] not in parted}
            more |= {track for track, person in doubted if person in besides or (person in people and track in apart)}
        return found

    def _names(self) -> set[tuple[int, str]]:
        """(track, person) as the program thinks and people said; not of the program where somebody doubts it."""
        by_program = {(d.track, d.person) for d in self.decisions if d.keep and d.person and d.track not in self.apart}
        return by_program | {(track, person) for track, _, _, person in self.shows}

    def _doubted(self) -> set[tuple[int, str]]:
        """(piece, person) where the program goes on to show a piece that was split off as this person, and nobody said
        that it is somebody else: by naming all of it, or as the same person as one who has another name."""
        names, found = self._names(), set()
        for d in self.decisions:
            if not d.keep or not d.person or d.track not in self.apart:
                continue
            others = [(a, b) for track, a, b, person in self.shows if track == d.track and person != d.person]
            if any(a <= d.start and d.stop <= b for a, b in joined(others)):
                continue
            same = {one for one in self.tracks if self._find(one) == self._find(d.track)} - {d.track}
            called = {person for track, person in names if track in same}
            if not called or d.person in called:
                found.add((d.track, d.person))
        return found

    def originals(self, places: Iterable[Place]) -> list[Place]:
        """Places as such on the tracks of the analysis, of which these are pieces."""
        whole = [(self.tracks[number], start, stop) for number, start, stop in places]
        return [(self._original[one.number], max(start, one.start), min(stop, one.stop)) for one, start, stop in whole]

    def now(self, originals: Iterable[Place]) -> list[Place]:
        """And back: places on tracks of the analysis as such on the pieces that there are."""
        found = [
            (number, max(start, one.start), min(stop, one.stop))
            for original, start, stop in originals
            for number, one in self.tracks.items()
            if self._original[number] == original
        ]
        return [place for place in found if place[1] < place[2]]

    def first(self) -> dict[int, int]:
        return {number: self._find(number) for number in self.tracks}

    def _places(self, number: int | None, start: int, stop: int) -> list[Place]:
        """Where a track is, as tracks that exist: one that an undone split had made is part of another again."""
        while number in self._undone:
            number, first, last = self._undone[number]
            start, stop = max(start, first), min(stop, last)
        return [(number, start, stop)] if number in self.tracks and start < stop else []

    def _whole(self, number: int | None) -> int:
        while number in self._undone:
            number = self._undone[number][0]
        assert number is not None
        return number

    def _find(self, number: int) -> int:
        while self._leader[number] != number:
            number = self._leader[number]
        return number
