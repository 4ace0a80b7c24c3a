"""Moments between two looks, through the real network: somebody is suddenly there, crosses the picture, is small and
upside down. The table at the end tells how surely the face is seen in the worst frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from benchmarks import table
from pipeline.run import Networks, redact_clip
from pipeline.settings import Settings
from tests import judge
from tests.conftest import TABLES
from tests.heads import Place, head, pictures, write

SIZE, FRAMES = (640, 360), 40


def there(start: int, frames: int) -> Callable[[int], Place | None]:
    return lambda n: (320, 180) if start <= n < start + frames else None


def across(pixels: float) -> Callable[[int], Place | None]:
    return lambda n: (80 + pixels * n, 180) if 80 + pixels * n < 560 else None


def running(start: int, stop: int, pixels: float) -> Callable[[int], Place | None]:
    return lambda n: (100 + pixels * (n - start), 180) if start <= n < stop else None


SCENES: dict[str, tuple[int, int, int, Callable[[int], Place | None]]] = {
    **{f"there for {n} frames": (120, 25, 0, there(11, n)) for n in (1, 2, 3, 4)},
    **{f"there for one frame of {n} a second": (120, n, 0, there(11, 1)) for n in (50, 60, 120)},
    **{
        f"{size} pixels high, there for {n} frames": (size, 25, 0, there(start, n))
        for size in (24, 32, 48)
        for start, n in ((11, 1), (12, 2), (11, 3), (13, 4))
    },
    "in every other frame of 20 a second": (120, 20, 0, lambda n: (320, 180) if n % 2 else None),
    "in the first frame alone": (90, 25, 0, there(0, 1)),
    "in the last frame alone": (90, 25, 0, there(FRAMES - 1, 1)),
    **{f"crosses at {n} pixels a frame": (90, 25, 0, across(n)) for n in (15, 25, 35)},
    "is suddenly there, running": (90, 25, 0, running(11, 26, 20)),
    "is suddenly gone, running": (90, 25, 0, running(14, 20, 20)),
    "crosses at 9 pixels of 120 frames a second": (90, 120, 0, across(9)),
    "small, on its side": (48, 25, 1, there(0, FRAMES)),
    "small, upside down": (48, 25, 2, there(0, FRAMES)),
}
"""Height of the head in pixels, frames a second, quarter turns, and where the head is in each frame."""


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(recognition=False)


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[list[list[str]]]:
    kept = [["moment", "frames with a face", "face seen at most"]]
    yield kept
    request.config.stash.setdefault(TABLES, []).append(table(kept))


def evenly(number: int) -> int:
    return number


def in_bursts(number: int) -> int:
    """A call or a screen recording: half a second at full rate, and then a frame every two seconds."""
    return number if number < 30 else 30 + 120 * (number - 30)


def film(
    path: Path,
    height: int,
    rate: int,
    turn: int,
    where: Callable[[int], Place | None],
    when: Callable[[int], int] = evenly,
) -> tuple[set[int], object]:
    """Frames in which the face is, and its look. ``when`` a frame comes is told in units of 1/``rate`` seconds."""
    one = head(height, turn=turn)
    places = {number: place for number in range(FRAMES) if (place := where(number)) is not None}
    write(path, SIZE, pictures(SIZE, FRAMES, lambda n: [(one, places[n])] if n in places else []), rate, when)
    return set(places), one.face


def test_nobody_is_seen_where_a_film_goes_far_faster_than_it_does_on_average(
    tmp_path: Path, networks: Networks
) -> None:
    path, out = tmp_path / "a.mp4", tmp_path / "out.mp4"
    frames, face = film(path, 90, 60, 0, across(3), in_bursts)
    with av.open(str(path)) as container:
        assert 60 / float(container.streams.video[0].average_rate or 0) > 12
    redact_clip(path, out, [], Settings(), networks)
    known, after = judge.Judge(face), judge.decoded(out, SIZE)
    assert max(known.seen(after[number])[0] for number in frames) < judge.SEEN


@pytest.mark.parametrize("said", [Fraction(16, 9), Fraction(3), Fraction(1, 4)])
def test_nobody_is_seen_where_a_film_says_wrongly_how_wide_its_pixels_are(
    said: Fraction, tmp_path: Path, networks: Networks
) -> None:
    path, wrong, out = tmp_path / "a.mp4", tmp_path / "b.mkv", tmp_path / "out.mp4"
    frames, face = film(path, 120, 25, 0, there(0, FRAMES))
    with av.open(str(path)) as source, av.open(str(wrong), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "12"})
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.codec_context.sample_aspect_ratio = said
        for picture in source.decode(video=0):
            container.mux(video.encode(picture))
        container.mux(video.encode())
    redact_clip(wrong, out, [], Settings(), networks)
    known, after = judge.Judge(face), judge.decoded(out, SIZE)
    assert max(known.seen(after[number])[0] for number in frames) < judge.SEEN


@pytest.mark.slow
@pytest.mark.parametrize(("times", "more"), [(0.5, 0), (0.3, 0), (0.15, 0), (0.3, 120)])
@pytest.mark.parametrize(
    "name",
    [
        *(f"there for {n} frames" for n in (1, 4)),
        "32 pixels high, there for 2 frames",
        "48 pixels high, there for 1 frames",
        "is suddenly gone, running",
    ],
)
def test_nobody_is_seen_between_two_looks_in_the_dark_or_in_fog(
    name: str, times: float, more: int, tmp_path: Path, networks: Networks
) -> None:
    """Their step from one frame to the next is a few grey levels, which were too few to be noticed."""
    height, rate, turn, where = SCENES[name]
    path, out, one = tmp_path / "a.mp4", tmp_path / "out.mp4", head(height, turn=turn)
    places = {number: place for number in range(FRAMES) if (place := where(number)) is not None}

    def dim(picture: Any) -> Any:
        return (picture * times + more).astype(np.uint8)

    made = pictures(SIZE, FRAMES, lambda n: [(one, places[n])] if n in places else [])
    write(path, SIZE, map(dim, made), rate)
    known, before = judge.Judge(dim(one.face)), judge.decoded(path, SIZE)
    assert min(known.seen(before[number])[0] for number in places) > 0.8, "the oracle does not see the face"
    redact_clip(path, out, [], Settings(), networks)
    after = judge.decoded(out, SIZE)
    assert max(known.seen(after[number])[0] for number in places) < judge.SEEN


def an_arm(picture: Any) -> None:
    """Raised beside the head at (640, 300): new in few cells, and in a large place."""
    cv2.line(picture, (670, 270), (840, 100), (60, 60, 60), 14, cv2.LINE_AA)


def a_slide(picture: Any) -> None:
    """Somebody far back sits before the wall on which it changes."""
    wall = picture[120:380, 440:840]
    wall[:] = np.clip(wall.astype(int) + 40, 0, 255)


@pytest.mark.parametrize(
    ("height", "rate", "there", "beside"), [(60, 30, range(13, 15), an_arm), (28, 25, range(8, 17), a_slide)]
)
def test_nobody_small_is_seen_beside_something_large_that_is_new(
    height: int, rate: int, there: range, beside: Callable[[Any], None], tmp_path: Path, networks: Networks
) -> None:
    path, out, size, one = tmp_path / "a.mp4", tmp_path / "out.mp4", (1280, 720), head(height)
    made = list(pictures(size, FRAMES, lambda _: []))
    for number in range(there[0], FRAMES if beside is a_slide else there.stop):
        made[number] = made[number].copy()
        beside(made[number])
        if number in there:
            one.put(made[number], (640, 300))
    write(path, size, made, rate)
    known, before = judge.Judge(one.face), judge.decoded(path, size)
    near = np.s_[220:380, 560:720]
    assert min(known.seen(before[number][near])[0] for number in there) > 0.7, "the oracle does not see the face"
    redact_clip(path, out, [], Settings(), networks)
    after = judge.decoded(out, size)
    assert max(known.seen(after[number][near])[0] for number in there) < judge.SEEN


@pytest.mark.parametrize("name", SCENES)
def test_nobody_is_seen_between_two_looks(name: str, tmp_path: Path, networks: Networks, rows: list[list[str]]) -> None:
    path, out = tmp_path / "a.mp4", tmp_path / "out.mp4"
    frames, face = film(path, *SCENES[name])
    known = judge.Judge(face)
    before = judge.decoded(path, SIZE)
    assert min(known.seen(before[number])[0] for number in frames) > 0.8, "the oracle does not see the face"
    redact_clip(path, out, [], Settings(), networks)
    after = judge.decoded(out, SIZE)
    worst = max(known.seen(after[number])[0] for number in frames)
    rows.append([name, str(len(frames)), f"{worst:.2f}"])
    assert worst < judge.SEEN
