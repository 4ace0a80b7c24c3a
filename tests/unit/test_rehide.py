"""Hiding again in a released clip: what was to be hidden is, and only who was kept at a place may stay there."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Regions, Support, Track
from pipeline.regions import no_regions
from pipeline.stages import decide
from pipeline.stages.rehide import SAME, Face, besides, rehide

BOX = (100.0, 100.0, 140.0, 150.0)


def track(number: int, start: int, box: Any, frames: int) -> Track:
    boxes = np.tile(np.array(box, np.float32), (frames, 1))
    return Track(number, start, boxes, np.full(frames, Support.SEEN, np.uint8), np.empty(0, np.int32))


def face(person: str, start: int, box: Any, frames: int) -> Face:
    return Face(person, False, start, np.tile(np.array(box, np.float32), (frames, 1)))


def moved(by: float) -> tuple[float, float, float, float]:
    return BOX[0] + by, BOX[1], BOX[2] + by, BOX[3]


def hidden(tracks: list[Track], decisions: list[Any]) -> set[tuple[int, int]]:
    return {(one.track, n) for one in decisions if not one.keep for n in range(one.start, one.stop)}


def test_who_withdrew_is_hidden_where_they_were_though_nothing_is_found() -> None:
    tracks, decisions = rehide([], [face("a", 3, BOX, 5)], [], {})
    assert hidden(tracks, decisions) == {(tracks[0].number, n) for n in range(3, 8)}


def test_a_face_that_is_found_is_hidden_unless_a_kept_one_was_there() -> None:
    found = [track(1, 0, BOX, 10), track(2, 0, moved(300), 10)]
    tracks, decisions = rehide(found, [], [face("b", 2, BOX, 5)], {"b": "g"})
    assert {(1, n) for n in (0, 1, 7, 8, 9)} | {(2, n) for n in range(10)} == hidden(tracks, decisions)


def test_where_two_overlap_hiding_wins() -> None:
    found = [track(1, 0, moved(4), 5)]
    tracks, decisions = rehide(found, [face("a", 0, moved(3), 5)], [face("b", 0, BOX, 5)], {"b": "g"})
    assert {(1, n) for n in range(5)} <= hidden(tracks, decisions)


def test_who_has_no_ground_any_more_is_hidden_though_called_kept() -> None:
    tracks, decisions = rehide([], [], [face("b", 0, BOX, 2)], {})
    assert hidden(tracks, decisions) == {(tracks[0].number, 0), (tracks[0].number, 1)}


faces = st.builds(
    face,
    st.sampled_from("abcd"),
    st.integers(0, 12),
    st.builds(moved, st.integers(0, 120)),
    st.integers(1, 8),
)


@given(
    found=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 120), st.integers(1, 8)), max_size=4),
    gone=st.lists(faces, max_size=3),
    kept=st.lists(faces, max_size=3),
    agreed=st.sets(st.sampled_from("bcd")),
)
def test_nothing_to_hide_stays_and_all_frames_are_decided(found: Any, gone: Any, kept: Any, agreed: Any) -> None:
    given_tracks = [track(n, start, moved(x), length) for n, (start, x, length) in enumerate(found, 1)]
    tracks, decisions = rehide(given_tracks, gone, kept, dict.fromkeys(agreed, "g"))
    by_number = {one.number: one for one in tracks}
    assert len(by_number) == len(tracks)
    for one in tracks:
        told = sorted((d.start, d.stop) for d in decisions if d.track == one.number)
        assert [n for start, stop in told for n in range(start, stop)] == list(range(one.start, one.stop))
    plan = decide.plan("c", 40, tracks, decisions, (), decide.Style.VEIL, "", "", "", prints=np.empty(0, np.uint64))
    to_hide = [*gone, *(f for f in kept if f.person not in agreed)]
    for f in to_hide:
        for n, box in enumerate(f.box, f.start):
            rows = plan.regions(n)
            middle = (box[:2] + box[2:]) / 2
            regions = plan.region[rows]
            assert ((regions[:, :2] < middle) & (middle < regions[:, 2:])).all(axis=1).any()
    stays = [f for f in kept if f.person in agreed]
    for d in decisions:
        if d.keep and d.track <= len(given_tracks):
            for n in range(d.start, d.stop):
                mine = by_number[d.track].box[n - by_number[d.track].start]
                assert any(f.start <= n < f.stop and _iou(mine, f.box[n - f.start]) >= SAME - 1e-6 for f in stays)


def _iou(a: Any, b: Any) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def test_a_kept_face_is_no_longer_one_where_it_lies_under_what_was_hidden_by_hand() -> None:
    over = np.array([BOX, moved(300)], np.float32)
    regions = Regions(np.array([4, 6], np.int32), over, np.zeros(2, np.uint8))
    found = besides([face("a", 2, BOX, 5), face("b", 4, BOX, 1)], regions)
    assert [(one.person, one.start, one.stop) for one in found] == [("a", 2, 4), ("a", 5, 7)]
    assert besides([face("a", 2, BOX, 5)], no_regions())[0].stop == 7
