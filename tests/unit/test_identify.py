"""Who earns a name: only several views near one template, only between two of them, only in one place."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters.pictures import cut_out
from pipeline.records import Detections, Frame, Person, Reason, Support, Track, Views
from pipeline.stages.identify import (
    CHIP,
    LOOK_ALIKE,
    ROOM,
    SEVERAL,
    SINGLE,
    Sampler,
    align,
    around,
    frontal,
    identify,
    limits,
    look_alikes,
    no_views,
    standard,
    template,
)

RATE = Fraction(25)
SMALLEST = 24.0
EYE = np.eye(128, dtype=np.float32)


def beside(base, distance, way):
    """The unit vector at this chord distance from a unit vector, in the direction of another one at right angles."""
    cosine = 1 - distance**2 / 2
    return (cosine * base + np.sqrt(1 - cosine**2) * way).astype(np.float32)


ANN = Person("ann", EYE[0], 3)
BEN = Person("ben", beside(EYE[0], 0.6, EYE[1]), 3)
NEAR_ANN = beside(EYE[0], 0.2, EYE[2])
NEAR_BEN = beside(BEN.template, 0.2, EYE[3])
STRANGER = beside(EYE[0], 0.9, EYE[4])

LOOKS = np.random.default_rng(1).integers(0, 256, (4, 16, 16)).astype(np.uint8)


def lesson(*tracks, frames=200):
    """Detections, views and tracks from one list per track: (frame, vector or None, look number)."""
    rows = sorted((frame, place, vector, look) for place, track in enumerate(tracks) for frame, vector, look in track)
    count = len(rows)
    found = Detections(
        frames=frames,
        frame=np.array([row[0] for row in rows], np.int32),
        box=np.array([[100 * row[1], 0, 100 * row[1] + 40, 50] for row in rows], np.float32).reshape(-1, 4),
        score=np.full(count, 0.9, np.float32),
        landmarks=np.zeros((count, 5, 2), np.float32),
        thumb=LOOKS[[row[3] for row in rows]].reshape(-1, 16, 16),
        looked=np.unique(np.array([row[0] for row in rows], np.int32)),
        cuts=np.empty(0, np.int32),
        damaged=np.empty(0, np.int32),
    )
    seen = [index for index, row in enumerate(rows) if row[2] is not None]
    views = Views(
        detection=np.array(seen, np.int32),
        embedding=np.array([rows[index][2] for index in seen], np.float32).reshape(-1, 128),
        height=np.full(len(seen), 50, np.float32),
        quality=np.ones(len(seen), np.float32),
    )
    made = []
    for place, track in enumerate(tracks):
        start, stop = max(0, track[0][0] - 6), min(frames, track[-1][0] + 7)
        box = np.tile(np.array([100 * place, 0, 100 * place + 40, 50], np.float32), (stop - start, 1))
        mine = [index for index, row in enumerate(rows) if row[1] == place]
        made.append(Track(place + 1, start, box, np.full(len(box), Support.SEEN, np.uint8), np.array(mine, np.int32)))
    return made, found, views


def ask(*tracks, people=(ANN, BEN), frames=200):
    made, found, views = lesson(*sorted_rows(tracks), frames=frames)
    return made, identify(made, found, views, people, RATE, SMALLEST)


def sorted_rows(tracks):
    return [[row if len(row) == 3 else (*row, 0) for row in track] for track in tracks]


def kept(identities, track=1):
    """Frames of a track by the name they earned."""
    return {f: i.person for i in identities if i.track == track and i.person for f in range(i.start, i.stop)}


def every(step, start, stop, vector, look=0):
    return [(frame, vector, look) for frame in range(start, stop, step)]


vectors = st.one_of(
    st.builds(
        lambda who, distance, way: beside(who, distance, way),
        st.sampled_from([ANN.template, BEN.template]),
        st.floats(0, 0.5),
        st.sampled_from([EYE[5], EYE[6], EYE[7]]),
    ),
    st.just(STRANGER),
    st.none(),
)


@st.composite
def lessons(draw):
    tracks = []
    for _ in range(draw(st.integers(1, 3))):
        frames = sorted(draw(st.sets(st.integers(0, 120), min_size=1, max_size=9)))
        tracks.append([(frame, draw(vectors), draw(st.integers(0, 1))) for frame in frames])
    return tracks


@given(lessons())
def test_every_frame_of_every_track_has_one_identity(rows):
    tracks, identities = ask(*rows)
    for track in tracks:
        covered = [f for i in identities if i.track == track.number for f in range(i.start, i.stop)]
        assert covered == list(range(track.start, track.stop))


@given(lessons())
def test_a_name_is_always_earned(rows):
    """By two views or more, between two of them, each of which is near that person and nobody else more."""
    _, identities = ask(*rows)
    for identity in identities:
        assert (identity.person is not None) == (identity.reason is Reason.MATCHED)
        if identity.person is None:
            continue
        person = {"ann": ANN, "ben": BEN}[identity.person]
        other = {"ann": BEN, "ben": ANN}[identity.person]
        mine = [row for row in rows[identity.track - 1] if row[1] is not None]
        frames = [row[0] for row in mine]
        assert identity.start in frames
        assert identity.stop - 1 in frames
        inside = [row[1] for row in mine if identity.start <= row[0] < identity.stop]
        assert identity.views >= 2
        for vector in inside:
            assert np.linalg.norm(vector - person.template) <= SEVERAL.loose + 1e-5
            assert np.linalg.norm(vector - person.template) <= np.linalg.norm(vector - other.template) + 1e-5
        assert identity.distance <= SEVERAL.strict + 1e-4
        assert identity.margin >= -1e-4
        assert identity.runner_up - identity.distance >= ROOM - 2e-4


@given(lessons())
def test_nobody_is_in_two_places_in_one_frame(rows):
    _, identities = ask(*rows)
    named = [(f, i.person) for i in identities if i.person for f in range(i.start, i.stop)]
    assert len(named) == len(set(named))


@given(st.integers(2, 8), st.integers(5, 26), st.floats(0, 0.25), st.integers(0, 40))
def test_views_near_a_template_are_kept_between_the_first_and_the_last(count, step, distance, start):
    rows = [(start + i * step, beside(ANN.template, distance, EYE[2]), 0) for i in range(count)]
    _, identities = ask(rows, frames=300)
    assert set(kept(identities)) == set(range(start, start + (count - 1) * step + 1))
    assert set(kept(identities).values()) == {"ann"}


@given(st.lists(st.floats(0.45, 1.3), min_size=1, max_size=12), st.integers(1, 20))
def test_a_stranger_is_never_kept(distances, step):
    rows = [(i * step, beside(ANN.template, d, EYE[4]), 0) for i, d in enumerate(distances)]
    _, identities = ask(rows, people=[ANN], frames=300)
    assert not kept(identities)
    assert {i.reason for i in identities} == {Reason.STRANGER}


def test_one_view_is_never_enough():
    _, identities = ask([(10, None, 0), (20, ANN.template, 0), (30, None, 0)])
    assert not kept(identities)
    assert Reason.TOO_FEW_VIEWS in {i.reason for i in identities}


def test_two_views_too_far_apart_are_one_view_twice():
    _, identities = ask([(10, ANN.template, 0), (60, ANN.template, 0)])
    assert not kept(identities)


def test_single_views_may_be_near_while_their_mean_is_not():
    rows = every(10, 0, 60, beside(ANN.template, (SEVERAL.strict + SEVERAL.loose) / 2, EYE[2]))
    _, identities = ask(rows)
    assert not kept(identities)
    assert Reason.UNSURE in {i.reason for i in identities}


@given(st.integers(2, 6), st.integers(1, 6))
def test_a_stranger_who_takes_the_seat_is_not_kept(before, after):
    rows = every(10, 0, 10 * before, NEAR_ANN) + every(10, 10 * before, 10 * (before + after), STRANGER, 1)
    _, identities = ask(rows)
    assert set(kept(identities)) == set(range(10 * (before - 1) + 1))


def test_a_stranger_in_the_same_light_is_not_kept_either():
    """The look does not tell them apart, the vectors do."""
    rows = every(10, 0, 40, NEAR_ANN) + every(10, 40, 80, STRANGER) + every(10, 80, 120, NEAR_ANN)
    _, identities = ask(rows)
    assert set(kept(identities)) == set(range(31)) | set(range(80, 111))


def test_a_half_alike_stranger_who_takes_the_seat_must_hold_on_its_own():
    """Near enough for one view and for the mean over all, not for a piece of its own."""
    half = beside(ANN.template, (SEVERAL.piece + SEVERAL.loose) / 2, EYE[4])
    rows = every(10, 0, 80, ANN.template) + every(10, 80, 100, half, 1)
    _, identities = ask(rows)
    assert set(kept(identities)) == set(range(71))


def test_a_piece_that_does_not_hold_leaves_a_hole_with_what_lies_beside_it():
    half = beside(ANN.template, (SEVERAL.piece + SEVERAL.loose) / 2, EYE[4])
    rows = every(10, 0, 40, ANN.template) + every(10, 40, 60, half, 1) + every(10, 60, 100, ANN.template)
    _, identities = ask(rows)
    assert set(kept(identities)) == set(range(31)) | set(range(60, 91))


def test_somebody_who_came_between_two_views_and_was_not_embedded_is_not_kept():
    """A stranger in profile passes in front: the detections join the track, the look says so, no view is taken."""
    rows = [
        *every(10, 0, 40, NEAR_ANN, look=0),
        *[(frame, None, 1) for frame in (34, 38, 42, 46)],
        *every(10, 50, 90, NEAR_ANN, look=0),
    ]
    _, identities = ask(sorted(rows, key=lambda row: row[0]))
    assert not set(kept(identities)) & set(range(34, 47))


def test_one_person_after_the_other_are_two_names():
    rows = every(10, 0, 40, NEAR_ANN) + every(10, 40, 80, NEAR_BEN)
    _, identities = ask(rows)
    names = kept(identities)
    assert {names[f] for f in range(31)} == {"ann"}
    assert {names[f] for f in range(40, 71)} == {"ben"}
    assert not set(names) & set(range(31, 40))


@given(st.integers(2, 6), st.floats(0, 0.03))
def test_between_two_templates_is_ambiguous_and_hidden(count, lean):
    one = Person("one", beside(EYE[0], 0.2 - lean / 2, EYE[1]), 3)
    two = Person("two", beside(EYE[0], 0.2 + lean / 2, EYE[2]), 3)
    _, identities = ask(every(10, 0, 10 * count, EYE[0]), people=[one, two])
    assert not kept(identities)
    assert Reason.AMBIGUOUS in {i.reason for i in identities}


def test_of_two_claims_in_one_frame_the_clearly_nearer_keeps_the_name():
    near, far = (
        every(10, 0, 60, beside(ANN.template, 0.1, EYE[2])),
        every(10, 20, 60, beside(ANN.template, 0.2, EYE[5])),
    )
    _, identities = ask(near, far)
    assert set(kept(identities, 1)) == set(range(51))
    assert not kept(identities, 2)
    assert Reason.TWO_PLACES in {i.reason for i in identities if i.track == 2}


def test_of_two_claims_about_as_near_neither_keeps_the_name():
    one = every(10, 0, 60, beside(ANN.template, 0.18, EYE[2]))
    two = every(10, 0, 60, beside(ANN.template, 0.2, EYE[5]))
    _, identities = ask(one, two)
    assert not kept(identities, 1)
    assert not kept(identities, 2)


def test_one_person_in_one_place_after_another_keeps_the_name():
    _, identities = ask(every(10, 0, 40, NEAR_ANN), every(10, 60, 100, NEAR_ANN))
    assert kept(identities, 1)
    assert kept(identities, 2)


def test_nobody_to_keep_and_nothing_looked_at_are_different_reasons():
    rows = every(10, 0, 40, NEAR_ANN)
    _, nobody = ask(rows, people=[])
    assert [i.reason for i in nobody] == [Reason.NO_KEEP_LIST]
    tracks, found, _ = lesson(sorted_rows([rows])[0])
    (unseen,) = identify(tracks, found, no_views(), [ANN], RATE, SMALLEST)
    assert unseen.reason is Reason.NOT_LOOKED
    (small,) = identify(tracks, found, no_views(), [ANN], RATE, 51.0)
    assert small.reason is Reason.TOO_SMALL


def test_a_vector_that_is_not_a_number_names_nobody():
    _, identities = ask(every(10, 0, 40, np.full(128, np.nan, np.float32)))
    assert not kept(identities)


def test_limits_follow_the_number_of_portraits():
    assert limits(Person("a", EYE[0], 1)) is SINGLE
    assert limits(Person("a", EYE[0], 2)) is SEVERAL
    for bounds in (SINGLE, SEVERAL):
        assert bounds.strict < bounds.piece < bounds.loose


def test_look_alikes_are_told_nearest_first():
    people = [Person(str(i), vector, 2) for i, vector in enumerate([EYE[0], beside(EYE[0], 0.2, EYE[1]), EYE[3]])]
    people.append(Person("3", beside(EYE[0], 0.25, EYE[2]), 2))
    pairs = look_alikes(people)
    assert [pair[:2] for pair in pairs] == [("0", "1"), ("0", "3")]
    assert all(pair[2] < LOOK_ALIKE for pair in pairs)
    assert look_alikes([ANN, BEN]) == []


def test_aligning_puts_the_landmarks_where_the_chip_wants_them():
    """A picture with one bright dot per landmark, turned, scaled and moved."""
    angle, scale = 0.4, 1.7
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    marks = (CHIP @ turn.T + [150, 30]).astype(np.float32)
    picture = np.zeros((400, 400, 3), np.uint8)
    for number, (x, y) in enumerate(marks):
        picture[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4] = [(255, 0, 0), (0, 0, 255)][number % 2]
    chip = align(picture, marks)
    assert chip.shape == (150, 150, 3)
    for number, (x, y) in enumerate(CHIP):
        assert chip[round(y), round(x), 2 if number % 2 == 0 else 0] > 200  # BGR became RGB


def test_aligning_survives_landmarks_in_one_point():
    assert align(np.zeros((50, 50, 3), np.uint8), np.full((5, 2), 10, np.float32)).shape == (150, 150, 3)


def test_facing():
    straight = CHIP.copy()
    profile = CHIP.copy()
    profile[2, 0] = profile[0, 0]
    values = frontal(np.stack([straight, profile, np.zeros((5, 2), np.float32)]))
    assert values[0] > 0.9
    assert values[1] < 0.1
    assert np.isfinite(values).all()


def test_a_standard_thumb_does_not_depend_on_the_light():
    thumb = LOOKS[0] // 2
    assert float((standard(thumb) * standard((thumb + 60).astype(np.uint8))).mean()) == pytest.approx(1, abs=1e-3)
    assert np.isfinite(standard(np.full((16, 16), 7, np.uint8))).all()


class Embedder:
    """The mean of each chip's first column says which vector it is; counts what it is asked."""

    def __init__(self, *answers):
        self.answers, self.asked = answers, 0

    def __call__(self, chips):
        self.asked += len(chips)
        return np.stack([self.answers[i % len(self.answers)] for i in range(len(chips))])


def test_a_template_is_a_unit_mean_over_pictures_and_mirror_images():
    embed = Embedder(EYE[0], EYE[1])
    person = template("ann", [np.zeros((150, 150, 3), np.uint8)] * 3, embed)
    assert embed.asked == 6
    assert (person.id, person.portraits) == ("ann", 3)
    np.testing.assert_allclose(person.template, (EYE[0] + EYE[1]) / np.sqrt(2), atol=1e-6)


def _frame(number):
    picture = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 90, np.uint8), format="bgr24")
    picture = picture.reformat(format="yuv420p")
    return Frame(number, number, Fraction(number, 25), picture, False)


def _show(sampler, number, first, tall=50.0, score=0.9, marks=None, look=0, x=20.0):
    boxes = np.array([[x, 20, x + 0.8 * tall, 20 + tall]], np.float32)
    marks = (CHIP if marks is None else marks)[None].astype(np.float32) / 3 + 20
    sampler(_frame(number), first, boxes, np.array([score], np.float32), marks, LOOKS[look][None])


def test_a_face_that_resembles_somebody_is_embedded_about_every_half_second():
    embed = Embedder(ANN.template)
    sampler = Sampler(embed, cut_out, [ANN], SMALLEST)
    for i, number in enumerate(range(0, 100, 4)):
        _show(sampler, number, i)
    views = sampler.views()
    assert embed.asked == len(views.detection)
    gaps = np.diff(views.detection * 4)
    assert gaps.max() <= 20
    assert gaps.min() >= 8


def test_a_face_that_resembles_nobody_is_embedded_less_often():
    embed = Embedder(STRANGER)
    sampler = Sampler(embed, cut_out, [ANN], SMALLEST)
    for i, number in enumerate(range(0, 100, 4)):
        _show(sampler, number, i)
    assert 3 <= embed.asked <= 5


def test_a_changed_look_is_embedded_at_once():
    sampler = Sampler(Embedder(ANN.template), cut_out, [ANN], SMALLEST)
    _show(sampler, 0, 0)
    _show(sampler, 2, 1)
    _show(sampler, 4, 2, look=1)
    assert sampler.views().detection.tolist() == [0, 2]


@pytest.mark.parametrize(
    "how", [{"tall": 23.0}, {"score": 0.39}, {"marks": np.where(np.arange(5)[:, None] == 2, CHIP[0], CHIP)}]
)
def test_too_small_too_doubtful_or_turned_away_is_no_view(how):
    sampler = Sampler(Embedder(ANN.template), cut_out, [ANN], SMALLEST)
    _show(sampler, 0, 0, **how)
    sampler.scene_ends()
    assert len(sampler.views().detection) == 0


def test_what_was_left_out_of_the_last_look_is_embedded_at_the_end_of_the_scene():
    sampler = Sampler(Embedder(ANN.template), cut_out, [ANN], SMALLEST)
    _show(sampler, 0, 0)
    _show(sampler, 4, 1)
    sampler.scene_ends()
    assert sampler.views().detection.tolist() == [0, 1]
    sampler.scene_ends()
    assert len(sampler.views().detection) == 2


def test_with_nobody_enrolled_nothing_is_embedded():
    embed = Embedder(EYE[0])
    sampler = Sampler(embed, cut_out, [], SMALLEST)
    _show(sampler, 0, 0)
    sampler.scene_ends()
    assert embed.asked == 0
    assert sampler.views().embedding.shape == (0, 128)


@pytest.mark.parametrize("format_", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuvj420p"])
@pytest.mark.parametrize(
    "box", [(30.4, 21.9, 88.1, 90.2), (-9, -9, 40, 40), (140, 100, 300, 300), (150, 118, 151, 119)]
)
def test_a_part_cut_out_is_that_part_of_the_whole_picture(format_, box):
    y, x = np.mgrid[0:120, 0:160]
    smooth = np.stack([100 + x / 3, 60 + y, 200 - x / 2], axis=2).astype(np.uint8)
    picture = av.VideoFrame.from_ndarray(smooth, format="bgr24").reformat(format=format_)
    part, (left, top) = cut_out(picture, box)
    height, width = part.shape[:2]
    assert left % 2 == top % 2 == 0
    assert left <= max(box[0], 0)
    assert top <= max(box[1], 0)
    assert left + width >= min(box[2], 160)
    assert top + height >= min(box[3], 120)
    whole = picture.to_ndarray(format="bgr24")[top : top + height, left : left + width]
    assert np.abs(part.astype(int) - whole).max() <= 4
    assert part.size


def test_all_that_a_chip_shows_lies_within_the_part_around_it():
    rng = np.random.default_rng(3)
    picture = rng.integers(0, 255, (300, 400, 3), np.uint8)
    for _ in range(20):
        angle, scale = rng.uniform(-0.6, 0.6), rng.uniform(0.2, 1.2)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        marks = ((CHIP - 75) @ turn.T + rng.uniform(60, 240, 2)).astype(np.float32)
        x1, y1, x2, y2 = around(marks)
        left, top = max(0, int(x1)), max(0, int(y1))
        part = picture[top : int(np.ceil(y2)), left : int(np.ceil(x2))]
        chip, whole = align(part, marks - np.float32([left, top])), align(picture, marks)
        assert (np.abs(chip.astype(int) - whole) > 16).mean() < 0.02  # subpixel rounding of noise
