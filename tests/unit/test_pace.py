"""The film's own clock."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pace import beats, lasting
from pipeline.records import Detections


def timed(times, frames=None):
    none = np.empty(0, np.int32)
    count = len(times) if frames is None else frames
    floats = np.empty(0, np.float32)
    looks = np.empty((0, 128), np.uint8)
    box = np.empty((0, 4), np.float32)
    return Detections(count, none, box, floats, floats, looks, none, none, none, times=np.array(times, np.float64))


def test_without_times_a_frame_is_a_beat():
    beat, pace = beats(timed([], 4), Fraction(25))
    assert beat.tolist() == [0, 1, 2, 3]
    assert pace == 25


@pytest.mark.parametrize("rate", [5, 6, 7, 10, 12, 15, 23.976, 24, 25, 29.97, 30, 50, 60, 120])
@pytest.mark.parametrize("ticks", [1000, 12800, 90000])
def test_in_an_even_film_a_frame_is_a_beat(rate, ticks):
    times = [5 + round(frame / rate * ticks) / ticks for frame in range(500)]
    beat, pace = beats(timed(times), Fraction(rate).limit_denominator(1001))
    assert beat == pytest.approx(np.arange(500), abs=0.08)
    assert pace == pytest.approx(rate, abs=0.001)


def test_the_pace_is_that_of_the_fastest_second_where_the_mean_is_far_lower():
    times = [*(n / 60 for n in range(120)), *(2 + 2 * n for n in range(30))]
    beat, pace = beats(timed(times), Fraction(150, 62))
    assert pace == pytest.approx(60, abs=1)
    assert np.diff(beat[:120]) == pytest.approx(1, abs=0.02)
    assert np.diff(beat[121:]) == pytest.approx(pace / 5)


def test_the_pace_is_that_of_the_fastest_second_where_the_film_says_far_more():
    beat, pace = beats(timed([n / 25 for n in range(100)]), Fraction(240))
    assert pace == pytest.approx(25)
    assert np.diff(beat) == pytest.approx(1)


@pytest.mark.parametrize("times", [[n / 25 for n in range(20)], [0.0], [n * 0.25 for n in range(40)]])
def test_what_is_too_short_or_too_sparse_to_be_counted_is_believed(times):
    assert beats(timed(times), Fraction(240))[1] == 240


@given(
    st.lists(st.floats(-2, 5, width=32), max_size=60),
    st.fractions(min_value=Fraction(1, 2), max_value=1000),
    st.floats(-100, 100, width=32),
)
def test_whatever_times_say_beats_grow_and_no_frame_counts_for_more_than_a_look(steps, rate, first):
    times = first + np.concatenate([[0.0], np.cumsum(steps)])
    beat, pace = beats(timed(times), rate)
    assert len(beat) == len(times)
    assert (np.diff(beat) > 0).all()
    assert (np.diff(beat) <= pace / 5 + 1e-6).all()


def test_by_the_clock_a_frame_lasts_as_long_as_it_does():
    assert lasting(timed([], 3), 25).tolist() == [0, 1, 2]
    assert lasting(timed([7, 7.04, 3607.04, 3600, 3600.04]), 25) == pytest.approx([0, 1, 90001, 90001, 90002])


def test_times_of_other_frames_are_refused():
    with pytest.raises(ValueError, match="2 times for 3 frames"):
        timed([0.0, 0.1], 3)
