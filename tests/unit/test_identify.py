"""Faces become chips, portraits templates, and some of what is seen is embedded while the clip goes by."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline import likeness
from pipeline.adapters.pictures import cut_out
from pipeline.records import Frame
from pipeline.stages.identify import CHIP, Sampler, align, around, template
from tests.faces import ANN, EYE, LOOKS, SMALLEST, STRANGER


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
    sampler(_frame(number), first, boxes, np.array([score], np.float32), marks, likeness.look(LOOKS[look][None]))


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


def test_a_look_that_stirred_is_embedded_besides_what_is_due():
    """The half-second goes on as if nothing had been; a stranger's look may stir."""
    sampler = Sampler(Embedder(ANN.template), cut_out, [ANN], SMALLEST)
    for i, number in enumerate(range(0, 24, 4)):
        _show(sampler, number, i, look=4 if number == 4 else 0)
    views = sampler.views()
    assert views.detection.tolist() == [0, 1, 2, 3]
    assert views.between.tolist() == [False, True, True, False]
    embed = Embedder(STRANGER)
    sampler = Sampler(embed, cut_out, [ANN], SMALLEST)
    for i, number in enumerate(range(0, 24, 4)):
        _show(sampler, number, i, look=4 * (i % 2))
    assert embed.asked == 1


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
    sampler.scene_ends()
    assert sampler.views().detection.tolist() == [0, 1], "and not twice"
    assert len(sampler.views().detection) == 0, "they were given up"


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
