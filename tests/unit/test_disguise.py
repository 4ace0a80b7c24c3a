"""Voices are moved, moments are not: as many samples out as in, each in its place, whatever the blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters import disguise
from pipeline.adapters.disguise import Disguise, disguised


def noise(count, channels=1, seed=1):
    return (0.1 * np.random.default_rng(seed).normal(size=(channels, count))).astype(np.float32)


def joined(blocks):
    return np.concatenate([samples for _, samples in blocks], axis=1)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=6), st.sampled_from([8000, 22050, 48000]), st.integers(1, 3))
def test_as_many_samples_in_their_places(sizes, rate, channels):
    sound = noise(sum(sizes), channels)
    edges = np.cumsum([0, *sizes])
    blocks = [(700 + int(a), sound[:, a:b]) for a, b in itertools.pairwise(edges)]
    place = 700
    for start, samples in disguised(blocks, rate):
        assert start == place
        assert samples.shape[0] == channels
        assert np.isfinite(samples).all()
        place += samples.shape[1]
    assert place == 700 + sum(sizes)


def test_how_it_is_cut_makes_no_difference():
    sound = noise(30_000, 2)
    made = []
    for size in (30_000, 1024, 777):
        one = Disguise(48_000, np.random.default_rng(5))
        parts = [one.push(sound[:, at : at + size]) for at in range(0, 30_000, size)]
        made.append(np.concatenate([*parts, one.flush()], axis=1))
    np.testing.assert_allclose(made[0], made[1], atol=1e-4)
    np.testing.assert_allclose(made[0], made[2], atol=1e-4)


def test_a_gap_stays_a_gap():
    first, second = noise(9000), noise(4000)
    out = list(disguised([(0, first), (20_000, second)], 16_000))
    covered = np.zeros(24_000, bool)
    for start, samples in out:
        covered[start : start + samples.shape[1]] = True
    assert covered[:9000].all()
    assert not covered[9000:20_000].any()
    assert covered[20_000:].all()


def test_clicks_stay_where_they_are_after_minutes():
    """No drift: what happens on the hundredth second is heard on the hundredth second."""
    rate = 16_000
    sound = np.zeros((1, 120 * rate), np.float32)
    sound[0, rate // 2 :: rate] = 0.9
    heard = joined(disguised(((at, sound[:, at : at + 1024]) for at in range(0, sound.shape[1], 1024)), rate))
    off = []
    for at in range(rate // 2, sound.shape[1], rate):
        around = np.abs(heard[0, at - rate // 4 : at + rate // 4])
        off.append((int(around.argmax()) - rate // 4) / rate)
    assert np.abs(off).max() < 0.022
    assert abs(np.mean(off[-30:]) - np.mean(off[:30])) < 0.005


def test_silence_stays_silent():
    assert np.abs(joined(disguised([(0, np.zeros((2, 20_000), np.float32))], 48_000))).max() < 1e-4


def test_everybody_is_brought_to_one_pitch():
    rate = 16_000
    at = np.arange(3 * rate) / rate
    for seed, hertz in enumerate((110, 140, 180, 220, 280)):
        tone = 0.1 * sum(np.sin(2 * np.pi * hertz * k * at) / k for k in range(1, 7900 // hertz))
        tone = (tone[None] + 0.01 * noise(len(at))).astype(np.float32)
        one = Disguise(rate, np.random.default_rng(seed))
        assert disguise.TARGET[0] <= one.target <= disguise.TARGET[1]
        assert disguise.BENT[0] <= abs(one.coefficient - 1) <= disguise.BENT[1]
        heard = np.concatenate([one.push(tone), one.flush()], axis=1)[0, rate : 2 * rate]
        strength = np.abs(np.fft.rfft(heard * np.hanning(len(heard)), 4 * len(heard)))
        bins = np.fft.rfftfreq(4 * len(heard), 1 / rate)
        combs = np.arange(110, 250, 0.5)
        found = combs[np.argmax([sum(np.interp(k * f, bins, strength) for k in range(1, 6)) for f in combs])]
        assert 12 * np.log2(found / one.target) == pytest.approx(0, abs=1.2)


def test_no_two_clips_are_disguised_alike():
    drawn = {(one.coefficient, one.target) for one in (Disguise(16_000) for _ in range(20))}
    assert len(drawn) == 20
