"""The second look: what it takes for a face that should not be there, and that nothing is released where it fails."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import opinion
from pipeline.errors import ModelError, SecondLookError
from pipeline.opinion import Opinion, Planned, eyes_of, moments, refuse, rounds_of, settle
from pipeline.records import Decision, Frame, Reason, RedactionPlan, Shape, Sighting, Style, Support, Track
from pipeline.settings import SecondOpinion
from pipeline.stages import decide, redact
from pipeline.stages import second_opinion as second
from pipeline.stages.second_opinion import Faces, Watch, as_track, hidden_share, kept_faces, together, unexplained

RATE = Fraction(25)
NOBODY = Faces(np.empty(0, np.int32), np.empty((0, 4), np.float32))


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def shapes(*kinds):
    return np.array(kinds, np.uint8)


def plan_of(frames, rows=(), hidden=()):
    """A plan from rows of (frame, box)."""
    rows = sorted(rows, key=lambda row: row[0])
    return RedactionPlan(
        "clip",
        frames,
        Style.VEIL,
        np.array([frame for frame, _ in rows], np.int32),
        boxes(*[box for _, box in rows]),
        np.full(len(rows), Shape.RECTANGLE, np.uint8),
        np.ones(len(rows), np.int32),
        tuple(hidden),
        "",
        "",
        "",
    )


class Film:
    """Grey frames at 25 a second, all of one picture."""

    def __init__(self, frames, picture=None):
        self.picture = np.zeros((90, 160, 3), np.uint8) if picture is None else picture
        self.count, self.info = frames, SimpleNamespace(rate=RATE)

    def frames(self):
        for number in range(self.count):
            film_picture = SimpleNamespace(to_ndarray=lambda format: self.picture, color_trc=2)
            yield Frame(number, number, number / RATE, film_picture, False)


class Eyes:
    """Eyes that see what they are told: ``sees`` boxes on every picture, ``sure`` of each."""

    workers = 2

    def __init__(self, sees=(), sure=1.0):
        self.sees, self.sure, self.asked = boxes(*sees), sure, 0

    def __call__(self, picture, threshold):
        self.asked += 1
        return self.sees, np.ones(len(self.sees), np.float32)

    def closely(self, picture, where):
        return np.full(len(where), self.sure, np.float32)


def watch(eyes, plan, kept, cuts=()):
    return Watch(eyes, plan, kept, lambda picture: picture.to_ndarray("bgr24"), cuts)


def watched(watch, frames):
    for _ in watch.over(Film(frames)).frames():
        pass
    return watch.sightings()


FACE = (40, 30, 70, 70)


def test_a_face_where_nothing_is_hidden_is_told():
    (one,) = watched(watch(Eyes([FACE]), plan_of(60), NOBODY), 60)
    assert (one.start, one.stop, one.score) == (0, 60, 1.0)
    assert one.box.shape == (len(one.frame), 4)


def test_a_veiled_head_is_none():
    rows = [(frame, (35, 20, 75, 80)) for frame in range(60)]
    assert watched(watch(Eyes([FACE]), plan_of(60, rows), NOBODY), 60) == []


def test_it_is_told_when_the_veil_comes_late():
    rows = [(frame, (35, 20, 75, 80)) for frame in range(20, 60)]
    (one,) = watched(watch(Eyes([FACE]), plan_of(60, rows), NOBODY), 60)
    assert one.frame.max() < 20 <= one.stop


def test_somebody_kept_is_none_but_whoever_stands_half_before_them_is():
    kept = Faces(np.arange(60, dtype=np.int32), np.repeat(boxes((42, 28, 72, 68)), 60, axis=0))
    assert watched(watch(Eyes([FACE]), plan_of(60), kept), 60) == []
    (one,) = watched(watch(Eyes([FACE, (60, 34, 90, 74)]), plan_of(60), kept), 60)
    assert one.box[0].tolist() == [60, 34, 90, 74]


def test_a_second_box_of_a_kept_face_is_none():
    """As it was seen on film: another scale drew it half a face beside."""
    kept = boxes((324, 145, 368, 196))
    seen = boxes((325, 146, 371, 192), (299, 127, 356, 184), (250, 127, 300, 184))
    assert unexplained(seen, boxes(), shapes(), kept).tolist() == [False, False, True]


def test_what_does_not_stand_a_close_look_is_none():
    assert watched(watch(Eyes([FACE], sure=second.SURE - 0.01), plan_of(60), NOBODY), 60) == []
    assert len(watched(watch(Eyes([FACE], sure=second.SURE), plan_of(60), NOBODY), 60)) == 1


def test_looks_come_often_enough_and_at_the_edges_of_every_scene():
    seen = []

    class Noting(Watch):
        def _look(self, number, picture):
            seen.append(number)
            return np.empty((0, 4), np.float32), np.empty(0, np.float32)

    watched(Noting(Eyes(), plan_of(100, hidden=(37, 38)), NOBODY, lambda picture: picture, cuts=(37, 53)), 100)
    seen.sort()
    assert {0, 36, 52, 53, 99} <= set(seen)
    assert not {37, 38} & set(seen)
    assert max(np.diff(seen)) <= float(second.LOOK_SECONDS * RATE)


@pytest.mark.parametrize("frames", [0, 59, 61])
def test_a_film_that_was_not_seen_to_its_end_was_not_seen(frames):
    with pytest.raises(SecondLookError, match="whole film"):
        watched(watch(Eyes(), plan_of(60), NOBODY), frames)


@pytest.mark.parametrize("where", ["__call__", "closely"])
@pytest.mark.parametrize("error", [RuntimeError("out of luck\nand more"), MemoryError(), ValueError("shape")])
def test_eyes_that_fail_leave_nothing_released(where, error):
    def fail(*_):
        raise error

    eyes = type("Blind", (Eyes,), {where: fail})([FACE])
    with pytest.raises(SecondLookError, match="nothing is released"):
        watched(watch(eyes, plan_of(60), NOBODY), 60)


def hidden(region, shape, size):
    """The pixels (H, W) of which nothing is left: two pictures that differ everywhere are alike there."""
    made = [np.full(size, value, np.uint8) for value in (0, 255)]
    for plane in made:
        redact.redact([plane], region, shape, Style.SOLID)
    return made[0] == made[1]


@given(st.lists(st.tuples(*[st.floats(-20, 160)] * 4), max_size=3), st.sampled_from([0, 1]))
def test_the_hidden_share_is_what_hiding_covers(rows, shape):
    region = boxes(*[(min(a, c), min(b, d), max(a, c) + 12, max(b, d) + 12) for a, b, c, d in rows])
    kinds = np.full(len(region), shape, np.uint8)
    inside = hidden(region, kinds, (120, 160))
    box = np.array([30, 20, 90, 100], np.float32)
    true = inside[20:100, 30:90].mean()
    # never claims more to be hidden than is; and not much less (regions are snapped outwards)
    assert hidden_share(box, region, kinds) <= true + 0.03
    assert hidden_share(box, region, kinds) >= true - 0.30


def test_many_faces_are_each_judged():
    kept = boxes((0, 0, 20, 20), (100, 0, 120, 20))
    faces = boxes((1, 1, 21, 21), (50, 0, 70, 20), (101, 0, 121, 20), (10, 60, 14, 64), (60, 60, 90, 90))
    region, kind = boxes((55, 55, 95, 95)), shapes(Shape.RECTANGLE)
    assert unexplained(faces, region, kind, kept).tolist() == [False, True, False, False, False]


TENTHS, EVEN = range(0, 100, 10), [n / 25 for n in range(100)]


def sights(*rows):
    return [(frame, boxes(*found), np.full(len(found), 0.7, np.float32)) for frame, *found in rows]


def test_sights_of_one_place_are_one_and_of_two_are_two():
    found = together(sights((10, FACE, (100, 30, 130, 70)), (20, FACE), (30, FACE)), TENTHS, EVEN, ())
    assert sorted(one.frame.tolist() for one in found) == [[10], [10, 20, 30]]
    assert {(one.start, one.stop) for one in found} == {(0, 21), (0, 41)}


def test_a_cut_or_a_second_apart_begins_anew():
    assert len(together(sights((10, FACE), (20, FACE)), TENTHS, EVEN, (15,))) == 2
    assert len(together(sights((10, FACE), (30, FACE)), TENTHS, EVEN, ())) == 1
    assert len(together(sights((10, FACE), (40, FACE)), TENTHS, EVEN, ())) == 2


def test_what_two_looks_in_a_row_see_is_one_however_far_apart_they_are():
    (one,) = together(sights((1, FACE), (2, FACE)), [0, 1, 2, 3], [0.0, 2.0, 9.0, 11.0], ())
    assert (one.start, one.stop, one.frame.tolist()) == (0, 4, [1, 2])


def test_a_sighting_reaches_from_look_to_look_however_fast_the_frames_come():
    """Sixty frames a second while much moves: at the mean rate that was told for too few of them."""
    (one,) = together(sights((48, FACE)), [0, 24, 48, 72, 99], EVEN, ())
    assert (one.start, one.stop) == (24, 73)
    (one,) = together(sights((0, FACE)), [0, 24], EVEN[:30], ())
    assert (one.start, one.stop) == (0, 25)
    (one,) = together(sights((24, FACE)), [0, 24], EVEN[:30], ())
    assert (one.start, one.stop) == (0, 30)


def test_a_look_is_due_by_the_count_of_frames_too():
    """After one frame whose time is far too late all others are crowded behind it."""
    film = Film(120)
    times = [Fraction(n, 25) if n < 10 else 30 + Fraction(n, 10_000) for n in range(120)]
    frames = [dataclasses.replace(frame, time=time) for frame, time in zip(film.frames(), times, strict=True)]
    watcher = watch(Eyes([FACE]), plan_of(120), NOBODY)
    for _ in watcher.over(SimpleNamespace(frames=lambda: iter(frames), info=film.info)).frames():
        pass
    (one,) = watcher.sightings()
    assert (one.start, one.stop) == (0, 120)
    assert np.diff(one.frame).max() <= second.LOOK_FRAMES


def test_a_sighting_stays_within_its_scene():
    (one,) = together(sights((15, FACE)), TENTHS, EVEN, (12, 18))
    assert (one.start, one.stop) == (12, 18)


def track(number, box, frames=60):
    rows = np.repeat(boxes(box), frames, axis=0)
    return Track(number, 0, rows, np.full(frames, Support.SEEN, np.uint8), np.empty(0, np.int32))


def test_kept_faces_are_those_of_decisions_to_keep():
    decisions = [
        Decision(1, 10, 20, True, Reason.MATCHED, "ann"),
        Decision(1, 20, 60, False, Reason.STRANGER),
        Decision(2, 0, 15, True, Reason.MATCHED, "ben"),
    ]
    kept = kept_faces([track(1, FACE), track(2, (0, 0, 9, 9))], decisions)
    assert [len(kept.at(frame)) for frame in (0, 9, 10, 14, 15, 19, 20)] == [1, 1, 2, 2, 1, 1, 0]
    part = second.part_of(kept, 10, 20)
    assert len(part.at(0)) == 2
    assert part.frame.max() == 9


@given(st.integers(-60, 60), st.integers(-60, 60), st.floats(10, 60), st.floats(0.55, 1))
def test_what_was_seen_is_hidden_whatever_stands_beside(dx, dy, size, score):
    """A place of the second look never gives way to a kept face: its box is wholly within the hidden."""
    box = boxes((80, 80, 80 + size, 80 + size))
    found, decided = as_track(9, np.arange(3, dtype=np.int32), np.repeat(box, 3, axis=0), score)
    kept = track(1, (80 + dx, 80 + dy, 120 + dx, 130 + dy), 3)
    decisions = [Decision(1, 0, 3, True, Reason.MATCHED, "ann"), decided]
    made = decide.plan("clip", 3, [kept, found], decisions, (), Style.VEIL, "", "", "", prints=np.empty(0, np.uint64))
    rows = made.regions(1)
    covered = hidden(made.region[rows], made.shape[rows], (300, 300))
    x1, y1, x2, y2 = box[0].astype(int)
    assert covered[y1:y2, x1:x2].all()


def sighting(frame=30, at=(40, 30)):
    x, y = at
    return Sighting(frame - 10, frame + 11, np.array([frame], np.int32), boxes((x, y, x + 20, y + 20)), 0.8)


def settled(eyes, rounds, frames=60):
    """(what came of it, how often it was written, how often something was added)."""
    written, added = [], []
    planned = Planned([], [], plan_of(frames), ())

    def write(now, watch):
        written.append(now)
        for _ in watch.over(Film(frames)).frames() if watch else ():
            pass
        return len(written)

    def again(now, result, seen):
        added.append(seen)
        eyes.sees = eyes.sees[1:]
        return Planned([], [], now.plan, ())

    out = settle(planned, eyes, opinion.LOOKED if eyes else opinion.OFF, rounds, write, again)
    return out, len(written), len(added)


def test_without_eyes_it_is_written_once_and_said_so():
    out, written, _ = settled(None, 2)
    assert (out.opinion, written) == (Opinion(opinion.OFF), 1)


def test_nothing_seen_is_written_once():
    out, written, added = settled(Eyes(), 2)
    assert (written, added, out.opinion.left, out.opinion.hidden) == (1, 0, (), ())
    assert out.opinion.looks == 7


def test_what_is_seen_is_hidden_and_looked_at_again():
    out, written, added = settled(Eyes([FACE]), 2)
    assert (written, added, len(out.opinion.hidden), out.opinion.left) == (2, 1, 1, ())
    assert out.result == 2


def test_it_gives_up_after_two_rounds_and_says_what_is_left():
    many = [(40 * n, 30, 40 * n + 30, 70) for n in range(4)]
    out, written, added = settled(Eyes(many), opinion.ROUNDS)
    assert (written, added) == (opinion.ROUNDS + 1, opinion.ROUNDS)
    assert out.opinion.left


def test_asking_hides_nothing():
    out, written, added = settled(Eyes([FACE]), rounds_of(SecondOpinion(on_finding="ask")))
    assert (written, added, len(out.opinion.left)) == (1, 0, 1)


def when(frame):
    return frame / 25


def test_what_is_left_is_refused_with_time_and_place():
    refuse("les.mp4", Opinion(opinion.LOOKED, 7, hidden=(sighting(),)), when)
    with pytest.raises(SecondLookError, match=r"les\.mp4 is not released: .*\(0:01\.2 at 50,40\)") as told:
        refuse("les.mp4", Opinion(opinion.LOOKED, 7, left=(sighting(),)), when)
    assert told.value.findings[0]["box"] == [40, 30, 60, 50]
    assert moments([sighting()] * 12, when).endswith("…")


def test_off_not_installed_and_demanded(monkeypatch):
    monkeypatch.setattr(opinion.blazeface, "FAR", "nowhere")
    entries = opinion.blazeface.manifest()
    gone = {name: entry.__class__(**{**vars(entry), "package": "no_such_package"}) for name, entry in entries.items()}
    monkeypatch.setattr(opinion.blazeface, "manifest", lambda: gone | {"nowhere": gone["blazeface_full_range"]})
    opinion._blazeface.cache_clear()
    assert eyes_of(SecondOpinion("off")) == (None, opinion.OFF)
    assert eyes_of(SecondOpinion("auto")) == (None, opinion.NOT_INSTALLED)
    with pytest.raises(ModelError, match=r"pip install --no-deps no_such_package==0\.10\.21"):
        eyes_of(SecondOpinion("on"))
