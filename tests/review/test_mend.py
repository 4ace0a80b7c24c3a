"""Repairs laid over an analysis: whatever people say, in whatever order, hiding wins and nothing gets lost."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import regions
from pipeline.adapters.packing import pack, unpack
from pipeline.lesson.mending import carry_over, hidden_at_once
from pipeline.lesson.seen import Placed, people_of, regions_of
from pipeline.lesson.shown import of_rendering
from pipeline.records import Decision, Reason, Regions, Repair, RepairKind, Shape, Style, Track
from pipeline.stages import decide, mend

FRAMES = 40
ANALYSIS = "a1"
GROUNDS = {"7": "import 1 row 2", "8": "import 1 row 3"}


def track(number: int, start: int = 0, stop: int = FRAMES) -> Track:
    box = np.tile(np.array([10.0 * number, 10, 10.0 * number + 8, 20], np.float32), (stop - start, 1))
    return Track(number, start, box, np.zeros(stop - start, np.uint8), np.empty(0, np.int32))


def hidden(number: int, start: int = 0, stop: int = FRAMES) -> Decision:
    return Decision(number, start, stop, False, Reason.STRANGER)


def kept(number: int, start: int = 0, stop: int = FRAMES, person: str = "7") -> Decision:
    return Decision(number, start, stop, True, Reason.MATCHED, person, 0.2, 0.05, "import 1 row 2")


def repair(number: int, kind: RepairKind, start: int = 0, stop: int = FRAMES, **more: Any) -> Repair:
    given = {"analysis": ANALYSIS, "by": "G", "role": "coach", "at": ""} | more
    return Repair(number=number, id=f"r{number}", clip="c", kind=kind, start=start, stop=stop, **given)


def mended(tracks: list[Track], decisions: list[Decision], *repairs: Repair, placed: Any = None) -> mend.Mended:
    return mend.mend(tracks, decisions, repairs, ANALYSIS, placed or {}, GROUNDS, GROUNDS)


def visible(result: mend.Mended) -> set[tuple[int, int]]:
    """(column of the box, frame) of every face that is left clear."""
    columns = {one.number: int(one.box[0, 0]) for one in result.tracks}
    return {(columns[d.track], frame) for d in result.decisions if d.keep for frame in range(d.start, d.stop)}


def covered(result: mend.Mended) -> bool:
    """Every frame of every track is decided exactly once."""
    for one in result.tracks:
        mine = sorted((d.start, d.stop) for d in result.decisions if d.track == one.number)
        edges = [one.start, *(stop for _, stop in mine)]
        if [start for start, _ in mine] != edges[:-1] or edges[-1] != one.stop:
            return False
    return True


def test_nothing_said_changes_nothing():
    result = mended([track(1)], [kept(1)])
    assert result.decisions == [kept(1)]
    assert not result.moot


def test_hide_from_here_to_there():
    result = mended([track(1)], [kept(1)], repair(1, RepairKind.HIDE, 5, 9, track=1))
    assert [(d.start, d.stop, d.keep, d.reason) for d in result.decisions] == [
        (0, 5, True, Reason.MATCHED),
        (5, 9, False, Reason.HIDDEN_BY_HAND),
        (9, FRAMES, True, Reason.MATCHED),
    ]


def test_somebody_named_is_shown_on_a_ground_in_force_only():
    show = repair(1, RepairKind.SHOW, 5, 9, track=1, person="8", said="A. Jansen")
    result = mended([track(1)], [hidden(1)], show)
    (one,) = [d for d in result.decisions if d.keep]
    assert (one.start, one.stop, one.person, one.ground, one.reason) == (5, 9, "8", GROUNDS["8"], Reason.NAMED_BY_HAND)
    result = mend.mend([track(1)], [hidden(1)], [show], ANALYSIS, {}, GROUNDS, {"7": "x"})
    assert not visible(result)
    assert Reason.NO_CONSENT in {d.reason for d in result.decisions}


def test_what_the_program_kept_is_hidden_when_consent_has_gone():
    result = mend.mend([track(1)], [kept(1)], [], ANALYSIS, {}, {}, GROUNDS)
    assert not visible(result)


def test_hiding_wins_over_showing_in_either_order():
    hide = repair(1, RepairKind.HIDE, 0, 10, track=1)
    show = repair(2, RepairKind.SHOW, 5, 20, track=1, person="7")
    for first, second in ((1, 2), (2, 1)):
        pair = [repair_at(hide, first), repair_at(show, second)]
        assert visible(mended([track(1)], [hidden(1)], *pair)) == {(10, n) for n in range(10, 20)}


def repair_at(one: Repair, number: int) -> Repair:
    from dataclasses import replace

    return replace(one, number=number)


def test_a_split_carries_what_was_said_before_to_both_parts():
    said = [repair(1, RepairKind.HIDE, track=1), repair(2, RepairKind.SPLIT, 20, 21, track=1)]
    result = mended([track(1)], [kept(1)], *said)
    assert [(one.number, one.start, one.stop) for one in result.tracks] == [(1, 0, 20), (2, 20, FRAMES)]
    assert not visible(result)
    assert covered(result)


def test_one_part_of_a_split_is_hidden_alone():
    said = [repair(1, RepairKind.SPLIT, 20, 21, track=1), repair(2, RepairKind.HIDE, track=2)]
    assert visible(mended([track(1)], [kept(1)], *said)) == {(10, n) for n in range(20)}


def test_hiding_somebody_hides_what_was_split_off_elsewhere_and_still_bears_the_name():
    """The split says that the two pieces are two people, not which of them has the name rightly."""
    tracks, split = [track(1, 10), track(3, 0, 10)], repair(1, RepairKind.SPLIT, 20, 21, track=1)
    decisions = [kept(1, 10), kept(3, 0, 10)]
    assert not visible(mended(tracks, decisions, split, repair(9, RepairKind.HIDE, track=3)))
    assert not visible(mended(tracks, decisions, split, repair(9, RepairKind.HIDE, track=1))), "the person, so both"
    first, rest = {(10, n) for n in range(10, 20)}, {(10, n) for n in range(20, FRAMES)}
    assert visible(mended(tracks, decisions, split, repair(9, RepairKind.HIDE, 10, 20, track=1))) == rest | {
        (30, n) for n in range(10)
    }
    hidden_alone = mended(tracks, decisions, split, repair(9, RepairKind.HIDE, track=4))
    assert visible(hidden_alone) == first | {(30, n) for n in range(10)}, "of this one nobody knows who it is"
    lone = mended(tracks[:1], decisions[:1], split, repair(9, RepairKind.HIDE, track=1))
    assert visible(lone) == rest, "where nobody else has the name one part is hidden alone, whichever"


def test_of_what_was_split_off_somebody_may_say_that_it_is_somebody_else():
    tracks, decisions = [track(1, 10), track(3, 0, 10), track(5)], [kept(1, 10), kept(3, 0, 10), kept(5, person="8")]
    split, hide = repair(1, RepairKind.SPLIT, 20, 21, track=1), repair(9, RepairKind.HIDE, track=3)
    rest, fifth = {(10, n) for n in range(20, FRAMES)}, {(50, n) for n in range(FRAMES)}
    named = repair(2, RepairKind.SHOW, 0, FRAMES, track=6, person="8", said="A. Jansen")
    assert visible(mended(tracks[:2], decisions[:2], split, replace(named, track=4), hide)) == rest
    partly = replace(named, track=4, start=20, stop=30)
    assert not visible(mended(tracks[:2], decisions[:2], split, partly, hide)), "of the rest nobody said so"
    joined = repair(2, RepairKind.JOIN, track=6, other=5)
    assert fifth <= visible(mended(tracks, decisions, split, joined, hide))
    nobody = [kept(1, 10), kept(3, 0, 10), hidden(5)]
    assert not visible(mended(tracks, nobody, split, joined, hide)), "the other has no name"


def test_an_undone_split_leaves_what_was_hidden_hidden():
    said = [repair(1, RepairKind.SPLIT, 20, 21, track=1, undone=True), repair(2, RepairKind.HIDE, track=2)]
    result = mended([track(1)], [kept(1)], *said)
    assert len(result.tracks) == 1
    assert visible(result) == {(10, n) for n in range(20)}


def test_joined_tracks_are_hidden_together_whenever_they_were_joined():
    hide = repair(1, RepairKind.HIDE, track=1)
    join = repair(2, RepairKind.JOIN, track=2, other=1)
    for first, second in ((1, 2), (2, 1)):
        result = mended(
            [track(1), track(2)], [kept(1), kept(2, person="8")], repair_at(hide, first), repair_at(join, second)
        )
        assert not visible(result)
    assert result.same == {1: 1, 2: 1}


def test_hiding_somebody_hides_every_track_that_bears_the_name():
    tracks, decisions = (
        [track(1, 0, 20), track(2, 25, 40), track(3)],
        [kept(1, 0, 20), kept(2, 25, 40), kept(3, person="8")],
    )
    result = mended(tracks, decisions, repair(1, RepairKind.HIDE, track=1))
    assert visible(result) == {(30, n) for n in range(FRAMES)}


def test_hiding_somebody_hides_also_what_was_named_by_hand():
    show = repair(1, RepairKind.SHOW, track=2, person="7", said="A. Jansen")
    for number in (1, 2):
        hide = repair(2, RepairKind.HIDE, track=number)
        assert not visible(mended([track(1), track(2)], [kept(1), hidden(2)], show, hide))


def undone(one: Repair, at: int) -> Repair:
    return replace(one, undone=True, undone_at=at)


def test_a_split_uncovers_nobody_who_was_hidden_through_another_track():
    """One who hides means the person: a piece that is split off later was meant as well."""
    tracks, decisions = [track(1), track(2, 0, 10)], [hidden(1, 0, 10), kept(1, 10), kept(2, 0, 10)]
    hide = repair(1, RepairKind.HIDE, track=2)
    assert not visible(mended(tracks, decisions, hide))
    assert not visible(mended(tracks, decisions, hide, repair(2, RepairKind.SPLIT, 25, 26, track=1)))


def test_what_is_taken_back_later_uncovers_nobody_who_was_hidden_by_it():
    hide = repair(3, RepairKind.HIDE, track=5)
    said = [repair(1, RepairKind.SPLIT, 25, 26, track=1), repair(2, RepairKind.JOIN, track=5, other=4)]
    tracks, decisions = [track(1), track(4)], [hidden(1), kept(4, person="8")]
    for first, second in ((said[0], undone(said[1], 4)), (undone(said[0], 4), said[1])):
        assert not visible(mended(tracks, decisions, first, second, hide))
    show = repair(1, RepairKind.SHOW, 0, 20, track=4, person="7", said="A. Jansen")
    hide = repair(2, RepairKind.HIDE, track=1)
    assert not visible(mended(tracks, [kept(1), kept(4, person="8")], undone(show, 3), hide))


def test_what_was_taken_back_before_hides_nobody_and_hiding_is_taken_back_whole():
    join, hide = repair(1, RepairKind.JOIN, track=1, other=2), repair(3, RepairKind.HIDE, track=1)
    tracks, decisions = [track(1), track(2)], [kept(1), kept(2, person="8")]
    assert visible(mended(tracks, decisions, undone(join, 2), hide)) == {(20, n) for n in range(FRAMES)}
    assert len(visible(mended(tracks, decisions, join, undone(hide, 4)))) == 2 * FRAMES


def test_whoever_is_the_same_as_the_same_person_is_hidden_from_either_end():
    tracks = [track(n, 10 * n - 10, 10 * n) for n in (1, 2, 3, 4)]
    decisions = [hidden(1, 0, 10), kept(2, 10, 20), kept(3, 20, 30), kept(4, 30, 40, "8")]
    said = [repair(1, RepairKind.JOIN, track=1, other=2), repair(2, RepairKind.JOIN, track=3, other=4)]
    for number in (1, 2, 3, 4):
        assert not visible(mended(tracks, decisions, *said, repair(3, RepairKind.HIDE, track=number)))


def faces(result: mend.Mended, hide: str) -> set[tuple[int, int]]:
    """(column of the box, frame) of every face that a repair hides."""
    tracks = {one.number: one for one in result.tracks}
    return {
        (int(tracks[number].box[0, 0]), frame)
        for number, start, stop in result.hidden.get(hide, ())
        for frame in range(max(start, tracks[number].start), min(stop, tracks[number].stop))
    }


@given(
    st.lists(
        st.tuples(
            st.sampled_from([RepairKind.HIDE, RepairKind.SPLIT, RepairKind.JOIN, RepairKind.SHOW, None]),
            st.integers(0, 30),
            st.integers(1, 40),
            st.integers(0, 5),
            st.integers(0, 5),
            st.sampled_from(["7", "8"]),
        ),
        max_size=8,
    )
)
def test_whatever_is_said_or_taken_back_later_whoever_was_hidden_by_hand_stays_hidden(events: Any) -> None:
    said: list[Repair] = []
    hid: dict[str, set[tuple[int, int]]] = {}
    for number, (kind, start, long, one, other, person) in enumerate(events, 1):
        able = [n for n, each in enumerate(said) if not each.undone and each.kind is not RepairKind.HIDE]
        if kind is None and able:
            taken = able[one % len(able)]
            said[taken] = undone(said[taken], number)
        elif kind is not None:
            there = sorted(each.number for each in mended(TRACKS, DECISIONS, *said).tracks)
            first, second = (there[n % len(there)] for n in (one, other))
            more = {"track": first, "other": second, "person": person, "said": "x"}
            said.append(repair(number, kind, start, min(start + long, FRAMES), **more))
        result = mended(TRACKS, DECISIONS, *said)
        for repair_id, those in hid.items():
            assert those <= faces(result, repair_id)
            assert not those & visible(result)
        if kind is RepairKind.HIDE:
            hid[said[-1].id] = faces(result, said[-1].id)


def test_a_repair_of_another_analysis_counts_where_it_is_known_to_hide():
    other = repair(1, RepairKind.HIDE, track=1, analysis="a0")
    assert mended([track(1)], [kept(1)], other).moot == {"r1"}
    where = Regions(np.array([3], np.int32), np.array([[1, 2, 3, 4]], np.float32), np.array([1], np.uint8))
    result = mended([track(1)], [kept(1)], other, placed={"r1": where})
    assert not result.moot
    assert result.regions.frame.tolist() == [3]


def test_a_hide_means_the_same_people_in_every_later_analysis():
    hide, old = repair(1, RepairKind.HIDE, track=1), [track(1, 0, 10), track(2)]
    first = carry_over(analysis("a1", old, [kept(1, 0, 10), kept(2, person="8")], {}), [hide])
    assert first["r1"].people == ("7",)
    tracks, decisions = [track(1), track(4), track(5, 20, 40)], [kept(1, person="8"), hidden(4), kept(5, 20, 40)]
    said = [hide, repair(2, RepairKind.SPLIT, 30, 31, track=5, analysis="a2")]
    for those in (said[:1], said):
        result = mend.mend(tracks, decisions, those, "a2", regions_of(first), GROUNDS, GROUNDS, people_of(first))
        assert visible(result) == {(10, n) for n in range(FRAMES)}
    second = carry_over(analysis("a2", tracks, decisions, first), said)
    assert second["r1"].people == ("7",)
    assert sorted(second["r1"].regions.frame.tolist()) == [*range(10), *range(20, 40)]
    assert second["r1"].faces.frame.tolist() == second["r1"].regions.frame.tolist()
    third = carry_over(analysis("a2", tracks, decisions, second), said)
    assert third["r1"].regions.frame.tolist() == second["r1"].regions.frame.tolist(), "nothing is kept twice"


def test_better_portraits_tell_who_it_was_whom_somebody_hid():
    """They change who is who, not where faces are: the same numbers stand for the same tracks."""
    tracks, hide = [track(1, 0, 10), track(2, 10), track(3)], repair(1, RepairKind.HIDE, track=1)
    where = carry_over(analysis(ANALYSIS, tracks, [hidden(n.number, n.start) for n in tracks], {}), [hide])
    assert where["r1"].people == ()
    decisions = [kept(1, 0, 10), kept(2, 10), kept(3, person="8")]

    def result(*said: Repair) -> mend.Mended:
        placed, people = regions_of(where), people_of(where)
        return mend.mend(tracks, decisions, said, ANALYSIS, placed, GROUNDS, GROUNDS, people)

    assert visible(result(hide)) == {(30, n) for n in range(FRAMES)}
    assert not visible(result(hide, repair(2, RepairKind.JOIN, track=3, other=1)))
    assert len(visible(result(undone(hide, 2)))) == 2 * FRAMES
    (again,) = carry_over(analysis(ANALYSIS, tracks, decisions, where), [hide]).values()
    assert again.people == ("7",)


def test_who_was_the_same_person_when_hidden_stays_hidden_in_the_whole_stretch():
    """Also by the number of a split that was undone: what a hide reaches when it is said, it reaches from then on."""
    tracks, decisions = [track(1), track(3, 0, 30)], [kept(1), hidden(3, 0, 30)]
    split = repair(1, RepairKind.SPLIT, 10, 11, track=1, undone=True, undone_at=2)
    join, hide = repair(3, RepairKind.JOIN, track=3, other=1), repair(4, RepairKind.HIDE, track=4)
    assert not visible(mended(tracks, decisions, split, join, hide))
    assert not visible(mended(tracks, decisions, split, replace(join, undone=True, undone_at=5), hide))


def test_what_was_kept_before_names_were_kept_still_opens():
    one = Placed(regions.no_regions(), people=("7",))
    assert unpack(Placed, pack(one)).people == ("7",)
    assert unpack(Placed, pack(one, frozenset({"people"}))).people == ()


def test_where_people_are_in_a_delivered_film_is_told_with_the_numbers_that_undone_splits_took():
    tracks, decisions = [track(n) for n in (1, 2, 3)], [hidden(n) for n in (1, 2, 3)]
    said = [
        undone(repair(1, RepairKind.SPLIT, 20, 21, track=1), 6),
        repair(2, RepairKind.SPLIT, 20, 21, track=2),
        repair(3, RepairKind.SPLIT, 20, 21, track=3),
        repair(4, RepairKind.SHOW, 20, 40, track=5, person="7", said="A. Jansen"),
        repair(5, RepairKind.SHOW, 20, 40, track=6, person="8", said="A. Jansen"),
    ]
    made = mended(tracks, decisions, *said)
    kept = [
        {"person": d.person, "start": d.start, "stop": d.stop, "ground": d.ground, "by_hand": True}
        for d in made.decisions
        if d.keep
    ]
    render = {"kept": kept, "repairs": [one.id for one in said if not one.undone]}
    plan = SimpleNamespace(frames=FRAMES)
    found: Any = SimpleNamespace(**vars(analysis(ANALYSIS, tracks, decisions, {})), sha256="x", plan=plan)
    later = repair(9, RepairKind.HIDE, track=2)
    for repairs in (said, [*said, later, repair(10, RepairKind.SPLIT, 30, 31, track=5)]):
        known = of_rendering(found, render, repairs)
        assert known is not None
        assert {(one.person, int(one.box[0, 0])) for one in known.faces} == {("7", 20), ("8", 30)}
    taken_back = [undone(one, 11) if one.id == "r5" else one for one in said]
    assert of_rendering(found, render, taken_back) is not None, "it is in that rendering all the same"


def analysis(name: str, tracks: list[Track], decisions: list[Decision], placed: dict[str, Placed]) -> Any:
    return SimpleNamespace(analysis=name, tracks=tracks, decisions=decisions, placed=placed)


def test_what_hides_is_told_as_places():
    said = [repair(1, RepairKind.HIDE, 5, 8, track=1), repair(2, RepairKind.JOIN, track=1, other=2)]
    result = mended([track(1), track(2)], [kept(1), kept(2)], *said)
    places = mend.kept_hidden(result, said, {}, lambda faces: faces)
    assert places["r1"].frame.tolist() == [5, 5, 6, 6, 7, 7]
    assert set(places) == {"r1"}


def test_the_plan_holds_the_drawn_regions_in_order():
    plan = decide.plan(
        "c", FRAMES, [track(1)], [hidden(1)], [], Style.VEIL, "s", "m", "r", prints=np.empty(0, np.uint64)
    )
    drawn = Regions(np.array([39, 2, 99]), np.ones((3, 4), np.float32), np.full(3, Shape.RECTANGLE, np.uint8))
    result = regions.with_regions(plan, drawn)
    assert (np.diff(result.frame) >= 0).all()
    assert result.track[result.regions(2)].tolist() == [1, regions.DRAWN]
    whole = regions.with_regions(result, drawn, regions.UNDER)
    assert sorted(whole.track[whole.regions(39)].tolist()) == [regions.UNDER, regions.DRAWN, 1]
    assert hidden_at_once([track(1)], whole) == hidden_at_once([track(1)], result), "a body is no further person"
    assert len(result.frame) == FRAMES + 2
    assert regions.changed_frames(plan, result) == [(2, 3), (39, 40)]
    assert regions.changed_frames(plan, plan) == []


kinds = st.sampled_from([RepairKind.HIDE, RepairKind.SHOW, RepairKind.SPLIT, RepairKind.JOIN, RepairKind.MUTE])


@st.composite
def stories(draw: Any) -> list[Repair]:
    said = []
    for number in range(1, draw(st.integers(0, 8)) + 1):
        start = draw(st.integers(0, FRAMES - 1))
        said.append(
            repair(
                number,
                draw(kinds),
                start,
                draw(st.integers(start + 1, FRAMES)),
                track=draw(st.integers(1, 5)),
                other=draw(st.integers(1, 5)),
                person=draw(st.sampled_from(["7", "8", "9"])),
                undone=draw(st.booleans()),
            )
        )
    return said


TRACKS = [track(1), track(2, 10, 30), track(3, 5, 35)]
DECISIONS = [kept(1, 0, 15), hidden(1, 15), kept(2, 10, 30, "8"), hidden(3, 5, 35)]


@given(stories())
def test_every_frame_is_decided_once_and_nobody_without_a_ground_is_seen(said: list[Repair]):
    result = mended(TRACKS, DECISIONS, *said)
    assert covered(result)
    assert {d.person for d in result.decisions if d.keep} <= set(GROUNDS)
    assert sum(len(one.box) for one in result.tracks) == sum(len(one.box) for one in TRACKS)
    named = {(f"{int(one.box[0, 0])}", n) for one in TRACKS for n in range(one.start, one.stop)}
    assert {(str(column), n) for column, n in visible(result)} <= named


@given(stories())
def test_one_more_hide_never_uncovers_anything(said: list[Repair]):
    before = visible(mended(TRACKS, DECISIONS, *said))
    for number in (1, 2, 3):
        more = mended(TRACKS, DECISIONS, *said, repair(99, RepairKind.HIDE, 3, 25, track=number))
        assert visible(more) <= before


@given(stories())
def test_the_order_of_showing_and_hiding_does_not_count(said: list[Repair]):
    from dataclasses import replace

    said = [one for one in said if one.kind in (RepairKind.HIDE, RepairKind.MUTE)]
    again = [replace(one, number=100 - one.number) for one in said]
    assert visible(mended(TRACKS, DECISIONS, *said)) == visible(mended(TRACKS, DECISIONS, *again))


def places(result: mend.Mended) -> list[tuple[str, int, int]]:
    """(person, frame, column of the box) of everyone who is shown."""
    columns = {one.number: int(one.box[0, 0]) for one in result.tracks}
    return [(d.person or "", f, columns[d.track]) for d in result.decisions if d.keep for f in range(d.start, d.stop)]


def test_what_somebody_said_wins_where_the_program_sees_them_elsewhere():
    said = repair(1, RepairKind.SHOW, 10, 20, track=2, person="7", said="A. Jansen")
    result = mended([track(1), track(2)], [kept(1), hidden(2)], said)
    assert visible(result) == {(10, n) for n in (*range(10), *range(20, FRAMES))} | {(20, n) for n in range(10, 20)}
    (lost,) = [d for d in result.decisions if d.track == 1 and not d.keep]
    assert (lost.start, lost.stop, lost.reason) == (10, 20, Reason.TWO_PLACES)
    assert covered(result)


def test_of_two_places_that_people_named_neither_is_shown():
    said = [repair(n, RepairKind.SHOW, track=n, person="7", said="A. Jansen") for n in (1, 2)]
    assert not visible(mended([track(1), track(2)], [hidden(1), hidden(2)], *said))
    joined = repair(3, RepairKind.JOIN, track=1, other=2)
    both = replace(said[0], tracks=(1, 2))
    assert not visible(mended([track(1), track(2)], [hidden(1), hidden(2)], repair_at(joined, 0), both))


def test_only_what_was_looked_at_is_shown():
    """Who may be seen is said of tracks whose originals were shown: a join says that they are one, and may be wrong."""
    tracks, decisions = (
        [track(n, 10 * n - 10, 10 * n) for n in (1, 2, 3)],
        [hidden(n, 10 * n - 10, 10 * n) for n in (1, 2, 3)],
    )
    joins = [repair(1, RepairKind.JOIN, track=2, other=1), repair(2, RepairKind.JOIN, track=3, other=1)]
    show = repair(3, RepairKind.SHOW, track=1, tracks=(1, 2), person="7", said="A. Jansen")
    both = {(10 * n, frame) for n in (1, 2) for frame in range(10 * n - 10, 10 * n)}
    assert visible(mended(tracks, decisions, *joins, show)) == both
    late = repair(4, RepairKind.JOIN, track=2, other=1)
    one = {place for place in both if place[0] == 10}
    assert visible(mended(tracks, decisions, show, late)) == one, "nobody had said that they are one"
    assert visible(mended(tracks, decisions, *joins, replace(show, tracks=()))) == one
    assert visible(mended(tracks, decisions, undone(joins[0], 5), joins[1], show)) == one


def test_a_face_found_twice_is_shown_by_naming_both():
    twice = [track(1), Track(2, 0, track(1).box + 1, track(1).support, track(1).detections)]
    said = [repair(n, RepairKind.SHOW, track=n, person="7", said="A. Jansen") for n in (1, 2)]
    assert len({frame for _, frame in visible(mended(twice, [hidden(1), hidden(2)], *said))}) == FRAMES


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(1, 20), st.sampled_from([None, "7", "8"])), min_size=1, max_size=4
    ),
    st.lists(
        st.tuples(
            st.sampled_from([RepairKind.SHOW, RepairKind.HIDE, RepairKind.SPLIT, RepairKind.JOIN]),
            st.integers(0, 30),
            st.integers(1, 40),
            st.integers(1, 6),
            st.integers(1, 6),
            st.sampled_from(["7", "8"]),
        ),
        max_size=6,
    ),
)
def test_nobody_is_shown_in_two_places_whatever_is_said(rows: Any, said: Any) -> None:
    """After any repairs, splits and joins; and every frame of every track is still decided once."""
    tracks = [track(n, start, start + long) for n, (start, long, _) in enumerate(rows, 1)]
    decisions = [
        hidden(one.number, one.start, one.stop) if who is None else kept(one.number, one.start, one.stop, who)
        for one, (_, _, who) in zip(tracks, rows, strict=True)
    ]
    repairs = [
        repair(n, kind, start, min(start + long, FRAMES), track=one, other=other, person=who, said="x")
        for n, (kind, start, long, one, other, who) in enumerate(said, 1)
    ]
    result = mended(tracks, decisions, *repairs)
    found = [(who, frame) for who, frame, _ in places(result)]
    assert len(found) == len(set(found))
    assert covered(result)


def test_after_a_split_each_piece_is_as_sure_a_face_as_before():
    """A face that was faint at first and is sure now does not give way to somebody kept behind it."""
    box = np.tile(np.array([100, 100, 140, 150], np.float32), (FRAMES, 1))
    sure = np.repeat(np.array([0.3, 0.9], np.float32), FRAMES // 2)
    before = Track(1, 0, box, np.zeros(FRAMES, np.uint8), np.empty(0, np.int32), strength=0.9, certainty=sure)
    behind = replace(before, number=2, box=box + np.array([-5, -5, 10, 10], np.float32))
    split = repair(1, RepairKind.SPLIT, FRAMES // 2, FRAMES // 2 + 1, track=1)
    result = mended([before, behind], [hidden(1), kept(2)], split)
    plans = [
        decide.plan("c", FRAMES, tracks, decisions, [], Style.VEIL, "", "", "", prints=np.zeros(FRAMES, np.uint64))
        for tracks, decisions in (([before, behind], [hidden(1), kept(2)]), (result.tracks, result.decisions))
    ]
    assert len(plans[0].region) > 0
    assert plans[1].frame.tolist() == plans[0].frame.tolist()
    assert plans[1].region == pytest.approx(plans[0].region)


def test_a_track_whose_parts_are_of_different_length_is_refused():
    with pytest.raises(ValueError, match="do not fit together"):
        replace(track(1), certainty=np.zeros(FRAMES - 1, np.float32))
