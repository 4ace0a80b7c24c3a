"""Boxes: what overlap, suppression and closeness promise."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.geometry import closeness, overlaps, suppress, turned_back
from pipeline.records import joined


@st.composite
def boxes(draw, least=0, most=8):
    count = draw(st.integers(least, most))
    corners = draw(hnp.arrays(np.float32, (count, 2), elements=st.floats(-50, 500, width=32)))
    sides = draw(hnp.arrays(np.float32, (count, 2), elements=st.floats(1, 200, width=32)))
    return np.concatenate([corners, corners + sides], axis=1)


def test_overlap_of_known_boxes():
    box = np.array([0, 0, 10, 10], np.float32)
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [30, 30, 40, 40], [2, 2, 4, 4]], np.float32)
    np.testing.assert_allclose(overlaps(box, others), [1, 1 / 3, 0, 0, 0.04], atol=1e-6)


@given(boxes(least=1))
def test_overlap_is_a_share_and_symmetric(some):
    table = np.stack([overlaps(box, some) for box in some])
    assert (table >= 0).all()
    assert (table <= 1 + 1e-5).all()
    np.testing.assert_allclose(table, table.T, atol=1e-5)
    np.testing.assert_allclose(np.diag(table), 1, atol=1e-4)


@given(boxes(), st.data())
def test_suppression_leaves_apart_what_stays_and_covers_what_goes(some, data):
    scores = data.draw(hnp.arrays(np.float32, len(some), elements=st.floats(0, 1, width=32)))
    kept = suppress(some, scores, 0.4)
    assert len(set(kept.tolist())) == len(kept)
    assert (np.diff(scores[kept]) <= 0).all()
    for i, one in enumerate(kept):
        assert (overlaps(some[one], some[kept[i + 1 :]]) <= 0.4).all()
    for gone in set(range(len(some))) - set(kept.tolist()):
        surer = kept[scores[kept] >= scores[gone]]
        assert (overlaps(some[gone], some[surer]) > 0.4 - 1e-5).any()


@given(boxes(), boxes())
def test_closeness_is_symmetric_and_best_for_the_same(a, b):
    near = closeness(a, b)
    assert near.shape == (len(a), len(b))
    np.testing.assert_allclose(near, closeness(b, a).T, atol=1e-4)
    assert (near <= 1 + 1e-6).all()
    np.testing.assert_allclose(np.diag(closeness(a, a)), 1, atol=1e-4)


def test_closeness_ends_where_it_says():
    here = np.array([[0, 0, 100, 100]], np.float32)
    moved = here + np.array([90, 0, 90, 0], np.float32)
    assert abs(closeness(here, moved)[0, 0]) < 1e-5
    assert closeness(here, moved, reach=2.0)[0, 0] > 0.5
    larger = np.array([[-40, -40, 140, 140]], np.float32)
    assert abs(closeness(here, larger)[0, 0]) < 1e-5


def test_closeness_of_a_box_without_area_is_a_number():
    flat = np.array([[5, 5, 5, 5]], np.float32)
    assert np.isfinite(closeness(flat, flat)).all()


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 10)).map(lambda p: (p[0], p[0] + p[1]))))
def test_joined_stretches_cover_the_same_frames_and_do_not_touch(stretches):
    result = joined(stretches)
    assert {f for a, b in stretches for f in range(a, b)} == {f for a, b in result for f in range(a, b)}
    assert all(one[1] < other[0] for one, other in pairwise(result))


@given(st.integers(0, 3), st.integers(2, 40), st.integers(2, 40), st.data())
def test_a_point_of_a_turned_picture_lies_where_it_lay_before(turn, width, height, data):
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    shown = np.zeros((height, width), np.uint8)
    shown[y, x] = 1
    (row,), (column,) = np.nonzero(np.rot90(shown, turn))
    middle = np.array([column + 0.5, row + 0.5], np.float32)
    np.testing.assert_allclose(turned_back(middle, turn, width, height), [x + 0.5, y + 0.5])
