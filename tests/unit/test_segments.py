"""A clip gone through in segments, in any order and apart, gives what it gives in one go, to the bit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.adapters.pictures import cut_out
from pipeline.records import Person
from pipeline.stages import detect as detecting
from pipeline.stages.detect import joined_segments, segment_of
from pipeline.stages.identify import CHIP, Sampler, joined_views
from tests.same import assert_equal
from tests.unit.test_detect import THRESHOLD, Detector, Observer, Source, detect, picture

ANN = Person("ann", np.eye(128, dtype=np.float32)[0], 3)
BEN = Person("ben", np.eye(128, dtype=np.float32)[1], 1)


class Faces(Detector):
    """White patches with landmarks that can be aligned; their score depends on the patch, as a face's does."""

    def __call__(self, shown, threshold):
        boxes, scores, _ = super().__call__(shown, threshold)
        sides = boxes[:, 2:] - boxes[:, :2]
        marks = boxes[:, None, :2] + sides[:, None] * CHIP[None] / 150
        scores = (0.2 + 0.7 * (sides[:, 0] % 7) / 7).astype(np.float32)
        return boxes, scores, marks.astype(np.float32)


def embed(chips):
    """A vector that depends on every pixel of a chip, near ANN for some."""
    small = np.stack([cv2.resize(chip, (8, 8), interpolation=cv2.INTER_AREA).mean(axis=2) for chip in chips])
    vectors = small.reshape(-1, 64) - small.reshape(-1, 64).mean(axis=1, keepdims=True)
    vectors = np.concatenate([vectors, np.zeros_like(vectors)], axis=1)
    vectors[:, 0] += 3 * np.abs(vectors).sum(axis=1)
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)).astype(np.float32)


@st.composite
def clips(draw):
    """Some seconds of film: scenes of faces that stand or move, with frames that are damaged or far apart."""
    rate = draw(st.sampled_from([Fraction(10), Fraction(30000, 1001), Fraction(5)]))
    shots, times, time = [], [], draw(st.sampled_from([Fraction(0), Fraction(7, 3)]))
    for _ in range(draw(st.integers(1, 4))):
        ground = draw(st.sampled_from([20, 60, 150]))
        x, step, wide = draw(st.integers(0, 60)), draw(st.sampled_from([0, 0, 1, 4])), draw(st.integers(28, 44))
        for at in range(draw(st.integers(1, 16))):
            left = x + step * at
            shots.append(picture((left, 20, left + wide, 20 + wide), (120, 50, 150, 84), ground=ground))
            times.append(time)
            time += 1 / rate
        if draw(st.integers(0, 5)) == 0:
            shots.append(None)
            times.append(time)
            time += draw(st.sampled_from([1, 25])) / rate
    return Source(shots, rate, times)


class Segment:
    """One segment of a clip and the frame after it, counted from 0."""

    def __init__(self, source, number):
        self.info, self._source, self._number = source.info, source, number

    def frames(self):
        origin, first = self._source.times[0], None
        for frame in self._source.frames():
            segment = segment_of(frame.time, origin)
            if segment >= self._number:
                first = frame.number if first is None else first
                yield replace(frame, number=frame.number - first)


def whole(source):
    observe = Sampler(embed, cut_out, [ANN, BEN], 24.0)
    found = detect(source, Faces(), THRESHOLD, observe, cut_out=cut_out)
    return found, observe.views()


def apart(source, order=1, workers=1):
    origin = source.times[0]
    parts = {}
    for number in sorted({segment_of(time, origin) for time in source.times})[::order]:
        observe = Sampler(embed, cut_out, [ANN, BEN], 24.0)
        part = Segment(source, number)
        found = detect(part, Faces(), THRESHOLD, observe, workers=workers, origin=origin, cut_out=cut_out)
        parts[number] = found, observe.views()
    rows = [parts[number] for number in sorted(parts)]
    return joined_segments([found for found, _ in rows]), joined_views([(views, len(found)) for found, views in rows])


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        assert_equal(a, b)


@given(clips(), st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(7, 5)]), st.sampled_from([1, -1]))
@hypothesis_settings(max_examples=12)
def test_cutting_changes_nothing(source, seconds, order):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detecting, "SEGMENT_SECONDS", seconds)
        assert_same(whole(source), apart(source, order))


def test_a_cut_of_the_scene_at_a_seam_is_known_to_the_segment_before_it(monkeypatch):
    monkeypatch.setattr(detecting, "SEGMENT_SECONDS", Fraction(1))
    source = Source([picture(ground=30)] * 25 + [picture(ground=150)] * 30)
    found, _ = apart(source)
    assert found.cuts.tolist() == [25]
    assert found.seams.tolist() == [25, 50]
    assert {24, 25} <= set(found.looked.tolist())


def test_a_seam_is_no_cut_and_is_looked_at_in_all_sizes(monkeypatch):
    monkeypatch.setattr(detecting, "SEGMENT_SECONDS", Fraction(3, 2))
    detector, observer = Detector(), Observer()
    found = detect(Source([picture((60, 40, 84, 70))] * 60), detector, THRESHOLD, observer)
    assert found.cuts.tolist() == []
    assert found.seams.tolist() == [38]
    assert 38 in found.looked
    at = [entry[0] if entry != "end" else entry for entry in observer.told]
    assert at[at.index(38) - 1] == "end"


def test_a_clip_shorter_than_a_segment_has_no_seam():
    found = detect(Source([picture()] * 30), Detector(), THRESHOLD)
    assert found.seams.tolist() == []
