"""Which face a portrait is of: one, large enough, beyond doubt, or none."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import PortraitNoFaceError, PortraitPoorError, PortraitSeveralFacesError
from pipeline.stages import enrol
from pipeline.stages.enrol import SMALLEST, odd_ones, portrait_face, refuse_poor, sharpness


class Detector:
    """Finds given faces (x, y, height, in shares of the picture) at given long sides only; notes what it was shown."""

    def __init__(self, *faces, at=None):
        self.faces, self.at, self.shown = faces, at, []

    def __call__(self, picture, threshold):
        tall, wide = picture.shape[:2]
        side = max(tall, wide)
        self.shown.append(side)
        seen = [f for f in self.faces if self.at is None or side in self.at.get(f, ())]
        boxes = [
            [(x - 0.4 * h) * wide, (y - h / 2) * tall, (x + 0.4 * h) * wide, (y + h / 2) * tall] for x, y, h in seen
        ]
        middles = [np.tile([x * wide, y * tall], (5, 1)) for x, y, _ in seen]
        return (
            np.array(boxes, np.float32).reshape(-1, 4),
            np.full(len(seen), 0.9, np.float32),
            np.array(middles, np.float32).reshape(-1, 5, 2),
        )


def ask(detector, height=800, width=600):
    return portrait_face("ann/1.jpg", np.zeros((height, width, 3), np.uint8), detector)


def test_the_landmarks_are_in_the_pictures_own_pixels():
    marks = ask(Detector((0.5, 0.4, 0.5)))
    assert marks.shape == (5, 2)
    np.testing.assert_allclose(marks, np.tile([300, 320], (5, 1)), atol=1e-3)


def test_what_is_not_found_at_one_size_is_looked_for_at_the_others():
    face = (0.5, 0.5, 0.5)
    detector = Detector(face, at={face: (1280,)})
    np.testing.assert_allclose(ask(detector), np.tile([300, 400], (5, 1)), atol=1e-3)
    assert detector.shown == [320, 640, 1280]


def test_a_small_picture_is_not_blown_up_beyond_twice_its_size():
    detector = Detector()
    with pytest.raises(PortraitNoFaceError):
        ask(detector, 250, 200)
    assert set(detector.shown) == {320}


def test_no_face_is_one_sentence_that_names_the_file():
    with pytest.raises(PortraitNoFaceError, match=r"^ann/1\.jpg shows no face; .*\.$"):
        ask(Detector())


def test_a_face_that_is_too_small_is_refused_with_its_size():
    with pytest.raises(PortraitNoFaceError, match=rf"only 39 pixels.*{SMALLEST:.0f}"):
        ask(Detector((0.5, 0.5, 39 / 800)))
    ask(Detector((0.5, 0.5, 41 / 800)))


class Upright:
    """Knows the one face in a picture, a bright pixel where the left eye is and a dark one for the right, by the line
    of the eyes alone; sees it only where that line is at most so many degrees from level."""

    def __init__(self, degrees):
        self.degrees, self.turns = degrees, 0

    def __call__(self, picture, threshold):
        eyes = [np.argwhere(picture[..., 0] == value)[0][::-1] + 0.5 for value in (255, 1)]
        across, down = eyes[1] - eyes[0]
        self.turns += 1
        if abs(np.degrees(np.arctan2(down, across))) > self.degrees:
            return np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32)
        box = np.array([[0, 0, *picture.shape[1::-1]]], np.float32)
        return box, np.ones(1, np.float32), np.array([[*eyes, eyes[0], eyes[0], eyes[1]]], np.float32)


@pytest.mark.parametrize("sees", [10, 100, 180])
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_picture_that_lies_on_its_side_is_turned_until_the_eyes_are_level(monkeypatch, sees, turn):
    monkeypatch.setattr(enrol, "PORTRAIT_SIDES", (320,))
    picture = np.full((320, 320, 3), 128, np.uint8)
    picture[100, 90], picture[100, 210] = 255, 1
    picture = np.ascontiguousarray(np.rot90(picture, turn))
    detector = Upright(sees)
    marks = portrait_face("ann/1.jpg", picture, detector)
    (left, right) = (picture[tuple(marks[i].astype(int)[::-1])][0] for i in (0, 1))
    assert (left, right) == (255, 1)
    assert turn or detector.turns == 1


class Tilted:
    """Finds a face whose eyes are 35 degrees off level in the picture as it is, and ``patterns`` where it is turned."""

    def __init__(self, *patterns):
        self.patterns = patterns

    def __call__(self, picture, threshold):
        upright = picture[0, 0, 0] == 255
        marks = (
            [np.array([[200, 200], [282, 257], [220, 260], [190, 290], [250, 330]], np.float32)]
            if upright
            else [
                np.array([[0, 0], [60, 0], [30, 30], [5, 60], [55, 60]], np.float32) + place for place in self.patterns
            ]
        )
        boxes = [[*one.min(axis=0) - 60, *one.max(axis=0) + 60] for one in marks]
        return np.array(boxes, np.float32).reshape(-1, 4), np.full(len(marks), 0.9, np.float32), np.stack(marks)


@pytest.mark.parametrize("patterns", [[(500, 100)], [(100, 100), (450, 450)]], ids=["one", "two"])
def test_patterns_in_a_turned_picture_are_not_taken_for_who_bows_their_head(monkeypatch, patterns):
    monkeypatch.setattr(enrol, "PORTRAIT_SIDES", (640,))
    picture = np.zeros((640, 640, 3), np.uint8)
    picture[0, 0] = 255
    np.testing.assert_allclose(portrait_face("ann/1.jpg", picture, Tilted(*patterns))[0], [200, 200])


def test_somebody_in_the_background_does_not_matter():
    marks = ask(Detector((0.2, 0.2, 0.2), (0.6, 0.5, 0.5)))
    np.testing.assert_allclose(marks, np.tile([360, 400], (5, 1)), atol=1e-3)


def test_of_two_alike_in_size_the_one_over_the_middle_is_meant():
    marks = ask(Detector((0.15, 0.5, 0.3), (0.5, 0.5, 0.28)))
    np.testing.assert_allclose(marks, np.tile([300, 400], (5, 1)), atol=1e-3)


@pytest.mark.parametrize(
    "faces",
    [
        [(0.25, 0.5, 0.3), (0.75, 0.5, 0.3)],
        [(0.25, 0.3, 0.3), (0.75, 0.6, 0.2)],
        [(0.2, 0.2, 0.4), (0.5, 0.5, 0.26)],
    ],
)
def test_two_who_could_both_be_meant_are_refused(faces):
    with pytest.raises(PortraitSeveralFacesError, match=r"^ann/1\.jpg shows 2 faces"):
        ask(Detector(*faces))


def test_a_bystander_is_never_enrolled_for_a_face_too_large_for_the_first_size():
    near, behind = (0.5, 0.5, 0.9), (0.1, 0.1, 0.12)
    marks = ask(Detector(near, behind, at={near: (320,), behind: (640, 320, 1280)}))
    np.testing.assert_allclose(marks, np.tile([300, 400], (5, 1)), atol=1e-3)


# --- is the picture good enough? ----------------------------------------------------------------------------------


def chip(face):
    """The middle of a real portrait, as large as an aligned chip, RGB."""
    import cv2

    return np.ascontiguousarray(cv2.resize(face[60:330, 130:400], (150, 150), interpolation=cv2.INTER_AREA)[:, :, ::-1])


def blurred(picture, sigma):
    import cv2

    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def test_a_good_portrait_passes_and_so_does_a_small_one(face):
    import cv2

    refuse_poor("a.jpg", chip(face), 0.9)
    small = cv2.resize(cv2.resize(chip(face), (60, 60), interpolation=cv2.INTER_AREA), (150, 150))
    refuse_poor("a.jpg", np.asarray(small, np.uint8), 0.9)


def test_the_more_blur_the_less_sharp_whatever_the_light(face):
    values = [sharpness(blurred(chip(face), sigma)) for sigma in (0.5, 1, 2, 3, 5)]
    assert values == sorted(values, reverse=True)
    assert sharpness((chip(face) // 2).astype(np.uint8)) == pytest.approx(sharpness(chip(face)), rel=0.15)


@pytest.mark.parametrize(
    ("spoil", "facing", "says"),
    [
        (lambda one: blurred(one, 6), 0.9, "blurred; take"),
        (lambda one: one // 12, 0.9, "too dark; take"),
        (lambda one: one, 0.29, "turned aside; use"),
        (np.zeros_like, 0.9, "too dark"),
    ],
)
def test_a_poor_portrait_is_refused_with_what_to_do(face, spoil, facing, says):
    with pytest.raises(PortraitPoorError, match=rf"^ann/1\.jpg .*{says}.*\.$"):
        refuse_poor("ann/1.jpg", spoil(chip(face)), facing)


def unit(*numbers):
    return (np.array(numbers, np.float32) / np.linalg.norm(numbers)).astype(np.float32)


def test_a_picture_of_somebody_else_stands_out():
    own = [unit(1, 0.1, 0), unit(1, -0.1, 0), unit(1, 0, 0.1)]
    assert odd_ones(own) == []
    assert odd_ones([*own, unit(1, 0.7, 0)]) == [3]
    assert odd_ones(own[:1]) == []
    assert odd_ones([unit(1, 0, 0), unit(1, 0.6, 0)]) == [0, 1], "of two nobody can tell which is wrong"
    assert odd_ones([unit(1, 0.1, 0), unit(1, -0.62, 0), unit(1, 0.05, 0)]) == [1], "of three the odd one"


def test_pictures_of_two_people_stand_out_though_each_has_several():
    """None is far from the mean of all the others, and the template would lie between the two people."""
    wide = np.eye(16, dtype=np.float32)

    def pictures(count, towards, first):
        return [unit(*(wide[0] + 0.35 * wide[towards] + 0.15 * wide[first + n])) for n in range(count)]

    ann, ben = pictures(3, 1, 3), pictures(3, 2, 8)
    assert odd_ones(ann) == odd_ones(ben) == []
    assert odd_ones([*ann[:2], *ben[:2]]) == [0, 1, 2, 3], "of as many nobody can tell which are wrong"
    assert odd_ones([*ann, *ben[:2]]) == [3, 4]
    assert odd_ones([ben[0], *ann, ben[1]]) == [0, 4]


def apart(distance):
    """Two pictures, each a unit vector, so far from one another."""
    half = np.arcsin(distance / 2)
    return [unit(np.cos(half), np.sin(half), 0), unit(np.cos(half), -np.sin(half), 0)]


def test_two_pictures_alone_must_be_as_near_as_strangers_hardly_come():
    """One in a hundred pairs of strangers lies nearer than 0.44, and 97 in a hundred pairs of one person."""
    assert odd_ones(apart(0.40)) == []
    assert odd_ones(apart(0.46)) == [0, 1]


def test_two_people_with_two_pictures_each_are_no_person():
    """None of the four lies far from the mean of the other three."""
    here, there = apart(0.53)
    each = [unit(*(one + np.array([0, 0, aside]))) for one in (here, there) for aside in (0.1, -0.1)]
    total = np.sum(each, axis=0)
    assert max(np.linalg.norm(one - unit(*(total - one))) for one in each) < 0.46
    assert odd_ones(each) == [0, 1, 2, 3]
