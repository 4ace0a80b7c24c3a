"""Films in which somebody who may be seen becomes somebody else in the same place: faded or wiped from the one to the
other, as programs that cut films do between two people filmed from near. Through the real networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import samples
from pipeline.records import Person
from pipeline.run import Networks, enrol_folder, redact_clip
from pipeline.settings import Settings
from samples.cast import CAST, drawn
from tests import judge
from tests.heads import write

SIZE, FRAMES, BEGINS = (640, 480), 100, 40
FACE = np.s_[155:300, 250:395]
"""Where the face is in a picture of ``SIZE``."""

Share = Callable[[float], Any]
"""How much of each pixel is the other's, while 0 to 1 of the way is gone."""


def faded(gone: float) -> Any:
    return gone


def wiped(gone: float) -> Any:
    """From left to right, across the face alone."""
    return np.clip(FACE[1].start + (FACE[1].stop - FACE[1].start) * gone - np.arange(SIZE[0]), 0, 1)[None, :, None]


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(recognition=True)


@pytest.fixture(scope="module")
def zoe(networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> list[Person]:
    folder = tmp_path_factory.mktemp("portraits")
    samples.make_portraits(folder / "all")
    (folder / "keep").mkdir()
    (folder / "all" / CAST["zoe"].id).rename(folder / "keep" / CAST["zoe"].id)
    return enrol_folder(folder / "keep", networks)


def filmed(name: str) -> Any:
    return cv2.copyMakeBorder(drawn(name).picture(), 0, 0, 120, 120, cv2.BORDER_REPLICATE)


def seen(
    film: Callable[[int], Any], other: str, folder: Path, networks: Networks, zoe: list[Person]
) -> dict[int, float]:
    """How surely the face of ``other`` is seen in the result, by frame, where it is. She who may be seen is, at first.

    ``film`` says of a frame how much of each pixel is the other's.
    """
    path, out = folder / "a.mp4", folder / "out.mp4"
    may_be_seen, may_not = filmed("zoe"), filmed(other)

    def picture(number: int) -> Any:
        theirs = film(number)
        mixed = may_be_seen * (1 - theirs) + may_not * theirs
        return np.roll(mixed, round(3 * np.sin(number / 7)), axis=1).round().astype(np.uint8)

    write(path, SIZE, map(picture, range(FRAMES)), 25)
    redact_clip(path, out, zoe, Settings(), networks)
    after = judge.decoded(out, SIZE)
    known, own = judge.Judge(may_not[FACE]), judge.Judge(may_be_seen[FACE])
    if np.max(film(0)) == 0:
        assert all(own.seen(frame)[0] > 0.9 for frame in after[: BEGINS - 20]), "she who may be seen is hidden"
    surely = {number: round(known.seen(frame)[0], 2) for number, frame in enumerate(after)}
    return {number: value for number, value in surely.items() if value >= judge.SEEN}


@pytest.mark.slow
@pytest.mark.parametrize(("frames", "other"), [(12, "andre"), (25, "jurgen")])
@pytest.mark.parametrize("backwards", [False, True], ids=["to", "from"])
@pytest.mark.parametrize("share", [faded, wiped])
def test_nobody_is_seen_on_the_way_from_one_face_to_another(
    share: Share,
    frames: int,
    backwards: bool,
    other: str,
    tmp_path: Path,
    networks: Networks,
    zoe: list[Person],
) -> None:
    def film(number: int) -> Any:
        gone = float(np.clip((number - BEGINS) / frames, 0, 1))
        return share(1 - gone if backwards else gone)

    assert seen(film, other, tmp_path, networks, zoe) == {}


@pytest.mark.slow
@pytest.mark.parametrize("back", [False, True], ids=["ends", "and back"])
@pytest.mark.parametrize(("share", "other"), [(faded, "jurgen"), (wiped, "jurgen"), (wiped, "andre")])
def test_nobody_is_seen_where_it_stops_half_way(
    share: Share, back: bool, other: str, tmp_path: Path, networks: Networks, zoe: list[Person]
) -> None:
    def film(number: int) -> Any:
        gone = (number - BEGINS) / 20, (FRAMES - 20 - number) / 5 if back else 1
        return share(0.5 * float(np.clip(min(gone), 0, 1)))

    stays = range(BEGINS + 20, FRAMES - 20 if back else FRAMES)  # on the way there the last look may still be near
    surely = seen(film, other, tmp_path, networks, zoe)
    assert {number: value for number, value in surely.items() if number in stays} == {}
