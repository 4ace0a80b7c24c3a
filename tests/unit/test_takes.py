"""Whether one film goes on in the next file: joined where the times say so, apart where they do not."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.adapters import takes
from pipeline.adapters.card import CardClip, find_clips
from pipeline.adapters.chapters import Extent
from pipeline.adapters.takes import Film, runs_on, settled

GIB = 1 << 30


def film(written: float, seconds: float = 600, start: float = 0, kind: str = "mov,mp4") -> Film:
    return Film(Extent(kind, Fraction(start), Fraction(start) + Fraction(seconds), 0), written)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (film(1000), film(1600), True),
        (film(1000), film(1602), True),
        (film(1000), film(1700), False),
        (film(1000), film(1000), None),
        (film(1000), film(900), None),
        (Film(None, 1000), film(1600), None),
        (film(1000), Film(None, 1600), None),
        (film(1000, kind="mpegts"), film(5000, start=600, kind="mpegts"), True),
        (film(1000, kind="mpegts"), film(1600, start=0, kind="mpegts"), True),
        (film(1000, kind="mpegts"), film(9000, start=0, kind="mpegts"), False),
    ],
)
def test_what_the_times_say(first: Film, second: Film, said: bool | None) -> None:
    assert runs_on(first, second) is said


def card(tmp_path: Path, count: int) -> CardClip:
    folder = tmp_path / "DCIM/100CANON"
    folder.mkdir(parents=True)
    for n in range(1, count + 1):
        for kind, size in (("MP4", 4 * GIB - 1000), ("THM", 10)):
            path = folder / f"MVI_000{n}.{kind}"
            path.touch()
            os.truncate(path, size)
    (clip,) = find_clips(tmp_path)
    assert clip.guessed
    return clip


def test_a_guess_is_settled_by_the_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = card(tmp_path, 5)
    told = iter([film(1000), film(1600), film(9000), film(9600), Film(None, 9700)])
    monkeypatch.setattr(takes, "_film", lambda _: next(told))
    found = [([p.name for p in take.files], take.guessed, sure) for take, sure in settled(clip)]
    assert (
        found
        == [
            (["MVI_0001.MP4", "MVI_0002.MP4", "MVI_0001.THM", "MVI_0002.THM"], True, True),
            (["MVI_0003.MP4", "MVI_0004.MP4", "MVI_0003.THM", "MVI_0004.THM"], True, False),
            (["MVI_0005.MP4", "MVI_0005.THM"], False, False),
        ]
        or found[1][2] is False
    )


def test_what_is_no_film_stays_apart(tmp_path: Path) -> None:
    assert [len(take.paths) for take, sure in settled(card(tmp_path, 2))] == [1, 1]
