"""Tracks: every detection is covered where it was seen, and nobody is followed across a cut or out of the clip."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.records import Detections, Glimpses, Support
from pipeline.stages import track as tracking
from pipeline.stages.decide import head
from pipeline.stages.track import HOLD_SECONDS, PERSISTS, SIZE_COUNTS, USUAL
from pipeline.stages.track import follow as follow_in

ALONE, TOGETHER, SURE = 0.30, 0.50, 0.35
RATE = Fraction(25)
SIZE = (640, 500)
ORDINARY = USUAL * 500  # height in pixels of an ordinary face in a picture of SIZE


def follow(found, rate):
    return follow_in(found, rate, SIZE, ALONE, TOGETHER, SURE)


def detections(rows, frames=100, looked=None, cuts=(), times=(), thorough=()):
    """From (frame, box, score) in frame order."""
    count = len(rows)
    seen = sorted({row[0] for row in rows} | set(looked if looked is not None else range(0, frames, 4)))
    return Detections(
        frames=frames,
        frame=np.array([row[0] for row in rows], np.int32),
        box=np.array([row[1] for row in rows], np.float32).reshape(-1, 4),
        score=np.array([row[2] for row in rows], np.float32),
        facing=np.zeros(count, np.float32),
        look=np.zeros((count, 128), np.uint8),
        looked=np.array(seen, np.int32),
        cuts=np.array(cuts, np.int32),
        damaged=np.empty(0, np.int32),
        times=np.array(times, np.float64),
        thorough=np.array(thorough, np.int32),
    )


def at(x, y=50, size=20):
    return [x, y, x + size, y + size * 1.25]


def covered(tracks, frame, box):
    """The share of a box that tracks cover in a frame, on a grid."""
    grid = np.stack(np.meshgrid(*(np.linspace(box[i] + 0.1, box[i + 2] - 0.1, 12) for i in (0, 1))), axis=-1)
    inside = np.zeros(grid.shape[:2], bool)
    for track in tracks:
        if track.start <= frame < track.stop:
            x1, y1, x2, y2 = track.box[frame - track.start]
            inside |= ((grid >= (x1, y1)) & (grid <= (x2, y2))).all(axis=-1)
    return inside.mean()


@st.composite
def clips(draw):
    """A few people who wander about, seen now and then, with false faces and cuts in between."""
    frames = draw(st.integers(1, 60))
    step = draw(st.integers(1, 6))
    looked = sorted({*range(0, frames, step), frames - 1})
    cuts = sorted(draw(st.sets(st.integers(0, frames - 1), max_size=3)))
    rows = []
    for _ in range(draw(st.integers(0, 4))):
        x, y = draw(st.floats(-10, 300, width=32)), draw(st.floats(-10, 200, width=32))
        dx, dy = draw(st.floats(-8, 8, width=32)), draw(st.floats(-4, 4, width=32))
        size = draw(st.floats(4, 60, width=32))
        for frame in looked:
            if draw(st.booleans()):
                score = draw(st.floats(0.0625, 1, width=32))
                rows.append((frame, at(x + dx * frame, y + dy * frame, size), score))
    rows.sort(key=lambda row: row[0])
    return detections(rows, frames, looked, cuts), draw(
        st.sampled_from([Fraction(25), Fraction(30000, 1001), Fraction(8)])
    )


@given(clips())
def test_what_counts_by_itself_is_covered_where_it_was_seen(clip):
    found, rate = clip
    tracks = follow(found, rate)
    for frame, box in zip(found.frame[found.score >= ALONE], found.box[found.score >= ALONE], strict=True):
        boxes = [t.box[frame - t.start] for t in tracks if t.start <= frame < t.stop]
        assert any((b[:2] <= box[:2] + 0.01).all() and (b[2:] >= box[2:] - 0.01).all() for b in boxes)


@given(clips())
def test_tracks_stay_in_the_clip_and_on_their_side_of_every_cut(clip):
    found, rate = clip
    for track in follow(found, rate):
        assert 0 <= track.start < track.stop <= found.frames
        assert not [cut for cut in found.cuts.tolist() if track.start < cut < track.stop]


@given(clips())
def test_a_track_is_made_of_its_detections(clip):
    found, rate = clip
    tracks = follow(found, rate)
    assert [t.number for t in tracks] == list(range(1, len(tracks) + 1))
    for way in (t for t in tracks if not len(t.detections)):
        filled = np.flatnonzero(way.support == Support.FILLED)
        assert (np.diff(filled) == 1).all()
        assert set(way.support.tolist()) <= {Support.FILLED, Support.EXTENDED}
        for at_end in filled[[0, -1]]:
            there = found.box[found.frame == way.start + at_end]
            assert np.abs(there - way.box[at_end]).max(axis=1).min() < 0.01
    tracks = [t for t in tracks if len(t.detections)]
    assert [int(found.frame[t.detections[0]]) for t in tracks] == sorted(
        int(found.frame[t.detections[0]]) for t in tracks
    )
    used = [row for t in tracks for row in t.detections.tolist()]
    assert len(used) == len(set(used))
    for track in tracks:
        frames = found.frame[track.detections]
        assert (np.diff(frames) > 0).all()
        assert np.isfinite(track.box).all()
        assert track.strength == pytest.approx(float(found.score[track.detections].max()))
        assert len(track.support) == len(track.box)
        inside = np.arange(track.start, track.stop)
        seen = np.isin(inside, frames)
        assert ((track.support == Support.SEEN) == seen).all()
        assert ((track.support == Support.EXTENDED) == ((inside < frames[0]) | (inside > frames[-1]))).all()
        np.testing.assert_allclose(track.box[frames - track.start], found.box[track.detections], atol=0.01)


@given(clips())
def test_faint_detections_count_only_where_they_persist(clip):
    found, rate = clip
    with patch.multiple(tracking, FAR=1e-6, FARTHEST=1e-6):  # what lies at the other end of a leap may make a face
        tracks = follow(found, rate)
    for track in tracks:
        boxes = found.box[track.detections]
        needed = TOGETHER * (np.median(boxes[:, 3] - boxes[:, 1]) / ORDINARY) ** SIZE_COUNTS
        best = np.sort(found.score[track.detections])[-PERSISTS:].sum()
        assert track.strength >= np.float32(ALONE) or best >= needed - 1e-5


def test_nothing_found_is_no_track():
    assert follow(detections([]), RATE) == []


def test_one_face_that_walks_is_one_track_without_gaps():
    rows = [(frame, at(10 + 3 * frame), 0.8) for frame in range(0, 80, 4) if frame not in (20, 24, 28)]
    tracks = follow(detections(rows, 80), RATE)
    assert len(tracks) == 1
    middle = tracks[0].box[:, ::2].mean(axis=1)
    inside = np.arange(0, 77)
    np.testing.assert_allclose(middle[inside - tracks[0].start], 20 + 3 * inside, atol=1.5)


def test_filled_boxes_grow_with_the_distance_from_the_last_sight():
    rows = [(0, at(50), 0.8), (20, at(50), 0.8)]
    (track,) = follow(detections(rows, 21, looked=[0, 20]), RATE)
    wide = track.box[:, 2] - track.box[:, 0]
    assert wide[0] == pytest.approx(20)
    assert wide[10] > wide[5] > wide[1] > wide[0]
    assert wide[10] <= 20 * 1.3 + 0.01


def test_two_people_who_pass_each_other_are_two_tracks():
    rows = []
    for frame in range(0, 60, 4):
        rows += [(frame, at(10 + 3 * frame, 50), 0.9), (frame, at(190 - 3 * frame, 62), 0.9)]
    tracks = follow(detections(rows, 60), RATE)
    assert len(tracks) == 2
    assert {len(t.detections) for t in tracks} == {15}


def test_a_face_gone_too_long_begins_anew():
    rows = [(0, at(50), 0.8), (4, at(50), 0.8), (60, at(50), 0.8), (64, at(50), 0.8)]
    assert len(follow(detections(rows), RATE)) == 2


def test_a_face_is_not_followed_over_a_cut():
    rows = [(frame, at(50), 0.8) for frame in range(0, 40, 4)]
    tracks = follow(detections(rows, 40, cuts=[18]), RATE)
    assert [(t.start, t.stop) for t in tracks] == [(0, 18), (18, 40)]


def test_a_face_is_held_before_its_first_and_after_its_last_sight():
    rows = [(frame, at(50), 0.4) for frame in range(40, 60, 4)]
    (track,) = follow(detections(rows), RATE)
    hold = round(HOLD_SECONDS * RATE)
    assert hold >= 5
    assert (track.start, track.stop) == (40 - hold, 57 + hold)


def test_a_face_seen_well_is_held_through_the_look_that_found_it_gone():
    """There half of it may still be in sight, beside whoever it goes behind."""
    rows = [(frame, at(50), 0.9) for frame in range(40, 60, 4)]
    (track,) = follow(detections(rows), RATE)
    assert (track.start, track.stop) == (36, 61)


@pytest.mark.parametrize(("x", "y", "beyond"), [(SIZE[0] - 21, 50, 9), (1, 50, 9), (150, 1, 9), (150, 50, 4)])
def test_a_face_at_the_border_is_held_before_it_is_found_and_after(x, y, beyond):
    """Half of it is in sight before, and no look finds that."""
    tracks = follow(detections([(n, at(x, y), 0.9) for n in range(40, 61, 4)]), RATE)
    assert len(tracks) == 1
    assert (40 - tracks[0].start, tracks[0].stop - 1 - 60) == (beyond, beyond)


def test_something_seen_once_and_weakly_is_hidden_too():
    (track,) = follow(detections([(40, at(50), 0.32)]), RATE)
    assert track.start < 40
    assert track.stop > 41
    assert track.strength == pytest.approx(0.32)


@pytest.mark.parametrize(("best", "beyond"), [(0.34, 2), (0.36, 9)])
def test_what_was_never_seen_surely_is_held_for_less(best, beyond):
    """However often it was seen."""
    rows = [(frame, at(50), best if frame == 48 else 0.3) for frame in range(40, 60, 4)]
    (track,) = follow(detections(rows, looked=range(0, 100, 4)), RATE)
    assert (track.start, track.stop) == (40 - beyond, 57 + beyond)


def _sights(score, count, height):
    return detections([(frame, [50, 50, 50 + height, 50 + height], score) for frame in range(0, 4 * count, 4)])


@pytest.mark.parametrize(("score", "needed"), [(0.18, 3), (0.26, 2)])
def test_faint_sights_are_a_face_when_they_persist_and_chance_when_not(score, needed):
    assert len(follow(_sights(score, needed, ORDINARY), RATE)) == 1
    assert follow(_sights(score, needed - 1, ORDINARY), RATE) == []


def test_no_number_of_sights_makes_a_face_of_the_faintest():
    assert follow(_sights(0.10, 25, ORDINARY), RATE) == []


@pytest.mark.parametrize(("height", "is_face"), [(ORDINARY / 2, True), (ORDINARY, False), (2 * ORDINARY, False)])
def test_a_large_faint_face_needs_more_than_a_small_one(height, is_face):
    assert bool(follow(_sights(0.12, 5, height), RATE)) is is_face


def test_a_runner_is_followed_over_more_than_a_head_between_looks():
    rows = [(0, at(0), 0.9), (4, at(30), 0.9), (8, at(66), 0.9), (12, at(100), 0.9)]
    tracks = follow(detections(rows, 16), RATE)
    assert [track.detections.tolist() for track in tracks] == [[0], [], [1, 2, 3]]
    assert (tracks[1].start, tracks[1].stop) == (0, 5)
    assert covered(tracks, 2, at(15)) == 1


@pytest.mark.parametrize("sights", [2, 3, 8])
def test_a_runner_is_hidden_from_the_look_before_they_came_to_the_look_after_they_went(sights):
    """Three heads from look to look, so that each sight may be another's: only the leap tells that they were moving."""
    looks = range(0, 60, 3)
    rows = [(frame, at(25 * frame), 0.9) for frame in looks[2 : 2 + sights]]
    tracks = follow(detections(rows, 60, looks), RATE)
    for frame in range(looks[1] + 1, looks[2 + sights]):
        assert covered(tracks, frame, [25 * frame + 3, 53, 25 * frame + 17, 72]) == 1


@pytest.mark.parametrize("sure_first", [True, False])
def test_who_was_sure_before_a_leap_or_after_it_is_held_as_such_on_the_rest_of_the_way(sure_first):
    """They walk, so that each look is a leap, and turn away, or towards the camera."""
    looks = [20, 25, 30, 35]
    scores = [0.8, 0.8, 0.2, 0.2] if sure_first else [0.2, 0.2, 0.8, 0.8]
    rows = [(frame, at(4 * frame), score) for frame, score in zip(looks, scores, strict=True)]
    rows[1:3] = [(frame, at(4 * frame + (12 if frame == 30 else 0)), score) for frame, _, score in rows[1:3]]
    tracks = follow(detections(rows, 80, [20, 25, 30, 35]), RATE)
    assert len(tracks) > 1
    assert (min(t.start for t in tracks), max(t.stop for t in tracks)) == (20 - 9, 36 + 9)


@given(st.permutations(range(6)), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=9))
def test_all_that_leaps_join_is_known_alike(scores, pairs):
    found = detections([(n, at(50), (score + 1) / 10) for n, score in enumerate(scores)])
    leaps = [np.array(pair, np.int32) for pair in pairs]
    known = tracking._known([np.array([n], np.int32) for n in range(6)], leaps, found)
    for one, other in pairs:
        assert known[one] == known[other]
    for n, score in enumerate(scores):
        assert known[n] >= np.float32((score + 1) / 10)


def test_who_goes_as_another_comes_is_hidden_until_then_and_so_is_the_other_from_then_on():
    """Neighbours: one turns away as another, two faces further, turns round. Neither moved, and nobody knows when."""
    for apart in (30, 50, 75):
        rows = [(f, at(50), 0.9) for f in range(0, 21, 4)] + [(f, at(50 + apart), 0.9) for f in range(24, 45, 4)]
        tracks = follow(detections(rows, 45), RATE)
        for frame in range(20, 25):
            assert covered(tracks, frame, at(50)) == covered(tracks, frame, at(50 + apart)) == 1
        assert len([track for track in tracks if not len(track.detections)]) == 1, "or it was one who ran"


def test_who_was_missed_while_another_came_is_the_same_as_before():
    sits = [(f, at(50), 0.9) for f in range(0, 60, 4) if f not in (24, 28, 32)]
    comes = [(f, at(90), 0.9) for f in range(24, 60, 4)]
    tracks = follow(detections(sorted(sits + comes, key=lambda row: row[0]), 60), RATE)
    for frame in range(60):
        assert covered(tracks, frame, at(50)) == 1


FAR_BACK = at(50, size=6)
"""A face of 8 pixels, in a picture whose small copy is as large as itself."""


def test_a_face_that_only_the_large_picture_shows_is_held_from_one_to_the_next():
    """It is looked at once a second; that the other looks see nothing says nothing."""
    rows = [(f, FAR_BACK, 0.8) for f in (25, 50)]
    (track,) = follow(detections(rows, 100, range(0, 100, 5), thorough=(0, 25, 50, 75, 99)), RATE)
    assert (track.start, track.stop) == (0, 76)
    (lone,) = follow(detections(rows[:1], 100, range(0, 100, 5), thorough=(0, 25, 50, 75, 99)), RATE)
    assert (lone.start, lone.stop) == (0, 51)


def test_a_face_that_other_looks_show_too_is_gone_when_they_do_not():
    thorough = (0, 25, 50, 75, 99)
    rows = [(f, FAR_BACK, 0.8) for f in range(25, 55, 5)]
    (track,) = follow(detections(rows, 100, range(0, 100, 5), thorough=thorough), RATE)
    assert (track.start, track.stop) == (20, 56)
    rows = [(f, at(50), 0.8) for f in (25, 50)]  # so large that the small picture shows it
    (track,) = follow(detections(rows, 100, range(0, 100, 5), thorough=thorough), RATE)
    assert (track.start, track.stop) == (20, 56)


def test_faint_sights_of_somebody_who_runs_are_a_face_together():
    rows = [(0, at(0), 0.2), (4, at(30), 0.2), (8, at(60), 0.2)]
    tracks = follow(detections(rows, 12), RATE)
    for frame, box, _ in rows:
        assert covered(tracks, frame, box) == 1
    assert follow(detections([(0, at(0), 0.2), (4, at(230), 0.2), (8, at(60), 0.2)], 12), RATE) == []


def test_who_is_faint_stays_a_face_when_something_is_seen_nearby():
    """Missed at one look, at which there is something else within a leap: together they may be another's way."""
    faint = [(f, at(50), 0.17) for f in (0, 5, 15)]
    for score in (0.1, 0.17, 0.9):
        tracks = follow(detections(sorted([*faint, (10, at(90), score)]), 40, range(0, 40, 5)), RATE)
        for frame in range(16):
            assert covered(tracks, frame, at(50)) == 1


def test_what_is_linked_to_somebody_who_left_is_no_face():
    """A face of a second, then faint patterns on the chair for four."""
    rows = [(f, at(50), 0.9) for f in range(0, 25, 4)] + [(f, at(52), 0.07) for f in range(28, 125, 4)]
    (track,) = follow(detections(rows, 140), RATE)
    assert 25 <= track.stop <= 60


def test_a_face_that_turns_away_and_back_stays_one():
    rows = [(f, at(50), 0.9 if f < 25 or f > 75 else 0.17) for f in range(0, 100, 4)]
    (track,) = follow(detections(rows), RATE)
    assert (track.start, track.stop) == (0, 100)
    assert track.certainty[0] == pytest.approx(0.9)
    assert track.certainty[50] == pytest.approx(0.17)


def test_a_face_that_crosses_the_picture_is_one_track():
    """Two heights or more between looks, seen well each time: what lies between is hidden, not two places beside it."""
    rows = [(frame, at(20 + 25 * frame), 0.8) for frame in range(0, 19, 3)]
    tracks = follow(detections(rows, 19, range(0, 19, 3)), RATE)
    for frame in range(1, 18):
        assert covered(tracks, frame, [20 + 25 * frame + 3, 50, 20 + 25 * frame + 17, 75]) == 1


def test_whoever_goes_one_way_does_not_leap_the_other():
    """One slides out to the right as another slides in from the left: two people, each drawn on as they moved."""
    out = [(frame, at(100 + 8 * frame), 0.9) for frame in range(0, 13, 3)]
    into = [(frame, at(130 + 8 * (frame - 15)), 0.9) for frame in range(15, 30, 3)]
    tracks = follow(detections(sorted(out + into), 30, range(0, 30, 3)), RATE)
    assert [track.detections.tolist() for track in tracks] == [[0], [], [1, 2, 3, 4], [5], [], [6, 7, 8, 9]]


def test_nobody_leaps_from_one_frame_to_the_next():
    """A jump cut: the two who change places are where they were until then, and where they are from then on; each is
    held through the look that finds them gone."""
    rows = [(f, at(x), 0.9) for f in (0, 5, 9) for x in (50, 150)] + [
        (f, at(x), 0.9) for f in (10, 15) for x in (95, 195)
    ]
    tracks = follow(detections(rows, 16, (0, 5, 9, 10, 15)), RATE)
    assert [track.detections.tolist() for track in tracks] == [[0, 2, 4], [1, 3, 5], [6, 8], [7, 9]]
    assert [(track.start, track.stop) for track in tracks] == [(0, 11), (0, 11), (9, 16), (9, 16)]


@pytest.mark.parametrize(("before", "after"), [(0.3, 0.9), (0.9, 0.3)])
def test_what_is_not_seen_well_does_not_leap_so_far(before, after):
    rows = [(0, at(20), before), (3, at(20), before), (6, at(100), after), (9, at(100), after)]
    assert len(follow(detections(rows, 12, range(0, 12, 3)), RATE)) == 2


def in_bursts(fast, slow):
    """Times of ``fast`` frames at 30 a second and ``slow`` ones that last two seconds each; the mean is far lower."""
    return [*(n / 30 for n in range(fast)), *(fast / 30 + 2 * n for n in range(slow))]


def test_who_is_looked_at_every_few_frames_is_followed_where_the_film_goes_fastest():
    times = in_bursts(60, 30)
    rows = [(frame, at(50), 0.9) for frame in range(0, 60, 6)]
    (track,) = follow(detections(rows, 90, looked=range(0, 60, 6), times=times), Fraction(89, 62))
    assert (track.start, track.stop) == (0, 61)


def test_who_is_faint_in_frames_that_last_is_followed_from_frame_to_frame():
    times = in_bursts(60, 30)
    rows = [(frame, at(50), 0.25) for frame in range(62, 88)]
    looked = [*range(0, 60, 6), *range(60, 90)]
    (track,) = follow(detections(rows, 90, looked=looked, times=times), Fraction(89, 62))
    assert track.start <= 62
    assert track.stop >= 88


def test_between_two_sights_a_face_is_where_it_was_by_the_time_not_by_the_count_of_frames():
    times = [0.0, 0.01, 0.02, 0.03, 0.13]
    (track,) = follow(detections([(0, at(0), 0.9), (4, at(13), 0.9)], 5, looked=(0, 4), times=times), Fraction(30))
    middle = track.box[:, [0, 2]].mean(axis=1) - 10
    assert middle == pytest.approx([0, 1, 2, 3, 13], abs=0.01)


@pytest.mark.parametrize("rate", [5, 12, 24, 25, 30, 50, 60, 120, Fraction(30000, 1001)])
def test_where_frames_come_evenly_times_change_nothing(rate):
    random = np.random.default_rng(3)
    rows = sorted(
        ((int(f), at(*random.uniform(0, 90, 2)), float(random.uniform(0.1, 0.9))) for f in random.integers(0, 100, 60)),
        key=lambda row: row[0],
    )
    # as a film stores them, in ticks of 1/90000 s
    times = [round(frame / rate * 90000) / 90000 for frame in range(100)]
    apart, without = (follow(detections(rows, times=some), Fraction(rate)) for some in (times, ()))
    assert [(t.start, t.stop, t.detections.tolist()) for t in apart] == [
        (t.start, t.stop, t.detections.tolist()) for t in without
    ]
    for one, other in zip(apart, without, strict=True):
        assert one.box == pytest.approx(other.box, abs=0.05)
        assert one.certainty.tolist() == other.certainty.tolist()


# --- glimpses


def glimpsed(rows, seen=(), **more):
    """Detections with faces (frame, box, score, whether it is cut) seen in glimpses besides."""
    frame, box, score, cut = zip(*(row if len(row) == 4 else (*row, False) for row in rows), strict=True)
    found = Glimpses(np.array(frame, np.int32), np.array(box, np.float32), np.array(score, np.float32), np.array(cut))
    return replace(detections(list(seen), **more), glimpses=found)


def test_who_was_seen_in_one_glimpse_is_hidden_for_as_long_as_faces_are_held():
    box = at(100, size=30)
    (track,) = follow(glimpsed([(41, box, 0.4)]), RATE)
    assert (track.start, track.stop) == (40, 41 + round(HOLD_SECONDS * 25) + 1)
    assert track.support.tolist()[:3] == [Support.EXTENDED, Support.SEEN, Support.EXTENDED]
    assert track.strength == pytest.approx(0.4)
    assert len(track.detections) == 0
    assert np.allclose(track.box[1], box)
    for frame in range(40, 49):
        assert covered([track], frame, box) == 1
    assert (track.box[6, 2] - track.box[6, 0]) == pytest.approx(30 * 2)


def test_one_that_only_the_large_picture_shows_is_hidden_until_a_look_at_that():
    box = at(100, size=10)
    (track,) = follow(glimpsed([(11, box, 0.4)], thorough=(0, 25, 50)), RATE)
    assert (track.start, track.stop) == (10, 26)


def test_a_glimpse_is_no_more_than_its_scene():
    (track,) = follow(glimpsed([(41, at(100), 0.4)], cuts=(41, 44)), RATE)
    assert (track.start, track.stop) == (41, 44)


def test_a_glimpse_at_a_face_that_is_known_tells_nothing_new():
    box = at(100, size=40)
    known = [(frame, box, 0.9) for frame in range(0, 100, 4)]
    assert len(follow(glimpsed([(41, at(102, 52, size=38), 0.9)], known), RATE)) == 1
    assert len(follow(glimpsed([(41, at(150, size=40), 0.9)], known), RATE)) == 2, "beside it"
    assert len(follow(glimpsed([(41, at(112, 60, size=12), 0.9)], known), RATE)) == 2, "far smaller, before it"
    assert len(follow(glimpsed([(41, at(112, 60, size=12), 0.9, True)], known), RATE)) == 1, "part of it"
    assert len(follow(glimpsed([(41, at(60, 10, size=120), 0.9)], known), RATE)) == 2, "far larger, before it"


def test_a_faint_face_is_as_sure_as_a_glimpse_at_it():
    """Near that moment; who is hidden beside it, or lies under it, is none the surer."""
    known = [(frame, at(x), 0.3) for frame in range(0, 100, 4) for x in (100, 115)]
    one, other = follow(glimpsed([(41, at(101), 0.7), (42, at(101), 0.6)], known), RATE)
    assert (one.strength, other.strength) == pytest.approx((0.7, 0.3))
    assert one.certainty[[25, 26, 56, 57, 58]] == pytest.approx([0.3, 0.7, 0.7, 0.6, 0.3])
    assert other.certainty == pytest.approx(0.3)
    assert one.certainty.dtype == np.float32


def test_the_same_face_in_two_glimpses_is_one_track():
    assert len(follow(glimpsed([(41, at(100), 0.4), (42, at(102), 0.5)]), RATE)) == 1
    assert len(follow(glimpsed([(41, at(100), 0.4), (42, at(200), 0.5)]), RATE)) == 2


@pytest.mark.parametrize(
    ("times", "score", "tracks"), [(1, 0.19, 0), (1, 0.21, 1), (4, 0.38, 0), (4, 0.42, 1), (0.5, 0.2, 1)]
)
def test_a_large_face_must_be_surer_in_a_glimpse_as_well(times, score, tracks):
    height = ORDINARY * times
    box = [100, 100, 100 + height * 0.8, 100 + height]
    assert len(follow(glimpsed([(41, box, score)]), RATE)) == tracks


def test_glimpses_change_no_other_track_and_come_last():
    known = [(frame, at(100 + frame), 0.9) for frame in range(0, 60, 4)]
    plain = follow(detections(known), RATE)
    tracks = follow(glimpsed([(2, at(400), 0.9), (30, at(500), 0.9)], known), RATE)
    assert [track.number for track in tracks] == [1, 2, 3]
    assert np.array_equal(tracks[0].box, plain[0].box)
    assert [track.start for track in tracks[1:]] == [1, 29]


@given(
    st.floats(-1.2, 1.2),
    st.floats(-1.2, 1.2),
    st.floats(0.3, 1.6),
    st.sampled_from([0.65, 0.8, 0.95]),
    st.sampled_from([0.9, 0.3]),
)
@example(0.29, 0.0, 1.24, 0.95, 0.3)
def test_whoever_a_known_face_explains_is_covered_by_what_is_hidden_around_it(right, down, times, wide, known_by):
    """As far as this is an ellipse, as faces are."""
    its = np.array([100, 100, 100 + 80 * wide, 180], np.float32)
    size = times * (its[2:] - its[:2])
    middle = (its[:2] + its[2:]) / 2 + np.array([right, down]) * (its[2:] - its[:2]) / 2
    box = np.concatenate([middle - size / 2, middle + size / 2]).astype(np.float32)
    known = [(frame, its, known_by) for frame in range(0, 100, 4)]
    tracks = follow(glimpsed([(40, box, 0.99)], known), RATE)
    if len(tracks) > 1:
        return
    (around,) = head(its[None], np.float32(tracks[0].strength))
    angle = np.linspace(0, 2 * np.pi, 60)
    edge = middle + np.stack([np.cos(angle), np.sin(angle)], axis=1) * size / 2
    beside = (edge - (around[:2] + around[2:]) / 2) / ((around[2:] - around[:2]) / 2)
    assert (np.hypot(*beside.T) <= 1.02).all()
