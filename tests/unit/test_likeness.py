"""How near is near enough: the less is seen and the less risk is accepted, the stricter; nothing is made up."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.likeness import (
    LOOK_ALIKE,
    LOOK_CHANGED,
    MEASURED,
    NEVER,
    frontal,
    limits,
    look,
    look_alikes,
    loosest,
    room,
    standard,
    supported,
    table,
)
from pipeline.records import Person
from tests.faces import ANN, BEN, EYE, FRONTAL, LOOKS, PROFILE, beside

LEAST, MOST = supported()
risks = st.floats(LEAST, MOST)
counts = st.integers(0, 12)
heights = st.floats(0, 400)


@given(risks, counts, counts, heights, risks, counts, heights)
def test_less_seen_and_less_risk_never_allow_more(risk, portraits, views, height, risk2, views2, height2):
    low, high = sorted((risk, risk2)), sorted((height, height2))
    few = min(views, views2)
    strict = limits(low[0], portraits, few, high[0]).strict
    assert strict <= limits(low[1], portraits, max(views, views2), high[1]).strict
    assert strict <= loosest(portraits).piece < loosest(portraits).loose


@given(risks, counts, counts, heights, st.integers(0, 2000), st.integers(0, 2000))
def test_more_people_enrolled_never_allow_more(risk, portraits, views, height, people, more):
    """Among many a stranger more often resembles one; up to as many as were measured the table holds as it is."""
    few, many = (limits(risk, portraits, views, height, count) for count in sorted((people, more)))
    assert many.strict <= few.strict <= limits(risk, portraits, views, height).strict
    assert (many.piece, many.loose) == (few.piece, few.loose)
    if people > MEASURED and few.strict > 0:
        assert limits(risk, portraits, views, height, people).strict < limits(risk, portraits, views, height).strict


@given(risks, st.integers(1, 12), st.integers(1, 12), st.integers(2, 12), st.floats(24, 400))
def test_fewer_portraits_stay_farther_from_where_strangers_begin(risk, portraits, others, views, height):
    """From a template of fewer portraits all lie farther, strangers too; the limit keeps more than that apart."""

    def kept_apart(count):
        made = table()
        band = sum(edge <= count for edge in made.portraits) - 1
        return float(made.level(risk).begin[band]) - limits(risk, count, views, height).strict

    assert kept_apart(min(portraits, others)) >= kept_apart(max(portraits, others)) - 0.0011  # the table has 3 digits


@given(risks, risks, counts, counts, heights, heights, st.floats(0, 1.4), st.floats(0, 1.4))
def test_the_more_alike_and_the_less_is_seen_the_more_room(risk, risk2, count, count2, height, height2, apart, apart2):
    needed = room(min(risk, risk2), min(count, count2), min(height, height2), np.float32([min(apart, apart2)]))
    enough = room(max(risk, risk2), max(count, count2), max(height, height2), np.float32([max(apart, apart2)]))
    assert needed[0] >= enough[0] >= np.float32(0.04)  # NumPy 1 compares a float32 with 0.04 as a double


@given(risks, counts, counts, st.floats(0, 23.99))
def test_smaller_than_anything_measured_is_nobody(risk, portraits, views, height):
    assert limits(risk, portraits, views, height).strict == NEVER
    assert np.isinf(room(risk, portraits, height, np.float32([0.5]))).all()


@pytest.mark.parametrize("height", [float("nan"), -1.0])
def test_a_height_that_is_none_is_nobody(height):
    assert limits(LEAST, 4, 5, height).strict == NEVER


def test_one_view_or_no_portrait_is_nobody():
    assert limits(MOST, 4, 1, 200).strict == NEVER
    assert limits(MOST, 0, 5, 200).strict == NEVER


def test_a_risk_between_two_levels_is_the_smaller_one():
    levels = table().levels
    assert [level.false_accept for level in levels] == [0.001, 0.0003]
    assert table().level(0.0009) is levels[1]
    assert table().level(0.001) is levels[0]
    with pytest.raises(ValueError, match="no limits"):
        table().level(0.00029)
    with pytest.raises(ValueError, match="no limits"):
        table().level(float("nan"))


def test_the_table_is_whole_and_as_strict_as_lfw():
    made = table()
    size = len(made.portraits), len(made.views), len(made.heights)
    for level in made.levels:
        assert level.limit.shape == size
        assert level.room.shape == (len(made.portraits), len(made.heights), len(made.apart))
        assert level.begin.shape == (len(made.portraits),)
        assert (level.limit < level.begin[:, None, None]).all()
    assert limits(0.0003, 5, 3, 110).strict <= 0.258
    assert limits(0.0003, 5, 3, 48).strict <= 0.257
    assert limits(0.0003, 5, 3, 32).strict <= 0.257
    assert limits(0.0003, 3, 3, 110).strict <= 0.245
    assert limits(0.001, 5, 3, 110).strict <= 0.270


def test_look_alikes_are_told_nearest_first():
    people = [Person(str(i), vector, 2) for i, vector in enumerate([EYE[0], beside(EYE[0], 0.2, EYE[1]), EYE[3]])]
    people.append(Person("3", beside(EYE[0], 0.25, EYE[2]), 2))
    pairs = look_alikes(people)
    assert [pair[:2] for pair in pairs] == [("0", "1"), ("0", "3")]
    assert all(pair[2] < LOOK_ALIKE for pair in pairs)
    assert look_alikes([ANN, BEN]) == []


def test_facing():
    values = frontal(np.stack([FRONTAL, PROFILE, np.zeros((5, 2), np.float32)]))
    assert values[0] > 0.9
    assert values[1] < 0.1
    assert np.isfinite(values).all()


def correlated(one, other):
    return float((standard(look(one[None])) * standard(look(other[None]))).mean())


def test_a_look_does_not_depend_on_the_light():
    thumb = LOOKS[0] // 2
    brighter = (thumb + 60).astype(np.uint8)
    assert correlated(thumb, brighter) == pytest.approx(1, abs=1e-3)
    assert np.isfinite(standard(look(np.full((1, 16, 16), 7, np.uint8)))).all()


def test_a_look_of_what_is_flat_is_like_nothing():
    noise = np.random.default_rng(1).integers(100, 103, (2, 16, 16), np.uint8)
    assert abs(correlated(*noise)) < LOOK_CHANGED
    assert correlated(noise[0], LOOKS[0]) < LOOK_CHANGED


@given(arrays(np.uint8, (2, 16, 16)))
def test_sixteen_steps_tell_as_much_as_all_of_them(thumbs):
    def exactly(thumb):
        values = thumb.astype(float) - thumb.mean()
        return values / values.std()

    assume((np.ptp(thumbs, axis=(1, 2)) >= 15).all() and (thumbs.std(axis=(1, 2)) > 8).all())
    one, other = thumbs
    assert correlated(one, other) == pytest.approx(float((exactly(one) * exactly(other)).mean()), abs=0.1)


def test_no_looks_are_no_looks():
    nobody = look(np.empty((0, 16, 16), np.uint8))
    assert (nobody.shape, standard(nobody).shape) == ((0, 128), (0, 256))


def crowd(seed):
    """What calibrate.py collects, of drawn people: 40 in films, 6 of them with portraits, noisier when smaller."""
    from benchmarks import calibrate as made

    chance = np.random.default_rng(seed)
    middle = chance.normal(size=128)

    def vector(who, noise):
        return made.unit(who + noise * chance.normal(size=128) / 11).astype(np.float32)

    seen, single = {}, {}
    for number in range(40):
        who = made.unit(middle / 11 + 0.45 * chance.normal(size=128) / 11)
        keys = [(height, condition) for height in made.HEIGHTS for condition in made.CONDITIONS]
        seen[str(number)] = [
            made.Face({key: vector(who, 0.3 + 4 / key[0]) for key in keys}, 90.0, 1.0) for _ in range(made.MOST)
        ]
        if number < 6:
            single[str(number)] = np.stack([vector(who, 0.3) for _ in range(4)])
    return made, seen, single


def test_the_calibration_makes_a_table_that_obeys_its_rules(tmp_path: Path, monkeypatch):
    """On drawn embeddings: what it writes is read by the package, and obeys what is asked of the real table."""
    made, seen, single = crowd(1)
    text = made.toml({share: made.level(share, seen, single) for share in (0.001, 0.0003)})
    package = tmp_path / "drawn"
    package.mkdir()
    (package / "likeness.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr("pipeline.likeness.files", lambda _: package)
    drawn = table.__wrapped__()
    loose, strict = drawn.levels
    assert (np.diff(loose.limit, axis=1) >= 0).all()
    assert (np.diff(loose.limit, axis=2) >= 0).all()
    assert (strict.limit <= loose.limit).all()
    assert (strict.room >= loose.room).all()
    for axis in range(3):
        assert (np.diff(strict.room, axis=axis) <= 0).all()
    assert (np.diff(strict.begin - strict.limit.max(axis=(1, 2))) <= 0.002).all()


def test_the_calibration_turns_one_person_into_anothers_look_alike():
    assert importlib.util.find_spec("benchmarks.calibrate")
    made, seen, single = crowd(2)
    one, other = (made.unit(single[name].mean(axis=0)) for name in "01")
    for apart in made.APART:
        moved = made.between(other, one, apart)
        assert np.linalg.norm(moved - other) == pytest.approx(apart, abs=1e-4)
        rows = made.means(seen["0"], 2, 48, "dark")
        turned = made.turn(one, moved, rows)
        np.testing.assert_allclose(
            np.linalg.norm(turned - moved, axis=1), np.linalg.norm(rows - one, axis=1), atol=1e-4
        )
