"""People who come and go between two looks, and people far back, through the real network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.run import Networks, redact_clip
from pipeline.settings import Settings
from tests import judge
from tests.heads import head, pictures, write

SMALL_SEEN = 0.6
"""Of a face of 22 x 27 pixels, something of a veil correlates by chance with up to 0.55."""


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(recognition=False)


@pytest.mark.parametrize("change", [22, 25])
@pytest.mark.parametrize("apart", [60, 95, 130])
def test_nobody_is_seen_where_one_goes_as_another_comes(
    apart: int, change: int, tmp_path: Path, networks: Networks
) -> None:
    """One turns away as a neighbour turns round: it looks as if somebody leapt from the one place to the other."""
    path, out, size = tmp_path / "a.mp4", tmp_path / "out.mp4", (640, 360)
    one, other = head(60), head(60, who=3)
    write(
        path, size, pictures(size, 50, lambda n: [(one, (200, 180)) if n < change else (other, (200 + apart, 180))]), 25
    )
    redact_clip(path, out, [], Settings(), networks)
    before, after = judge.decoded(path, size), judge.decoded(out, size)
    known = judge.Judge(one.face), judge.Judge(other.face)
    for number in range(50):
        assert known[number >= change].seen(before[number])[0] > 0.8, "the oracle does not see the face"
        assert known[number >= change].seen(after[number])[0] < judge.SEEN, number


def test_people_far_back_are_hidden_to_the_end_of_the_film(tmp_path: Path, networks: Networks) -> None:
    """Of heads so small only the large picture shows anything, and that is looked at once a second."""
    path, out, size = tmp_path / "a.mp4", tmp_path / "out.mp4", (1280, 720)
    one = head(40)
    places = [(80.0 + 150 * column + row * column, 60.0 + 100 * row) for column in range(8) for row in range(6)]
    write(path, size, pictures(size, 30, lambda n: [(one, place) for place in places]), 10)
    redact_clip(path, out, [], Settings(), networks)
    before, after = judge.decoded(path, size), judge.decoded(out, size)
    known = judge.Judge(one.face)
    seen = []
    for x, y in places:
        near = np.s_[max(0, int(y) - 40) : int(y) + 40, max(0, int(x) - 40) : int(x) + 40]
        assert known.seen(before[0][near])[0] > 0.8, "the oracle does not see the face"
        seen += [number for number in (0, 5, 15, 23, 26, 29) if known.seen(after[number][near])[0] >= SMALL_SEEN]
    assert seen == []
