"""Moments between two looks, through the real network: somebody is suddenly there, crosses the picture, is small and
upside down. The table at the end tells how surely the face is seen in the worst frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from benchmarks import table
from pipeline.run import Networks, redact_clip
from pipeline.settings import Settings
from samples.corpus import drawn
from tests import judge
from tests.conftest import TABLES

SIZE, FRAMES = (640, 360), 40
Place = tuple[float, float]
"""The middle of the head, in pixels."""


def there(start: int, frames: int) -> Callable[[int], Place | None]:
    return lambda n: (320, 180) if start <= n < start + frames else None


def across(pixels: float) -> Callable[[int], Place | None]:
    return lambda n: (80 + pixels * n, 180) if 80 + pixels * n < 560 else None


SCENES: dict[str, tuple[int, int, int, Callable[[int], Place | None]]] = {
    **{f"there for {n} frames": (120, 25, 0, there(11, n)) for n in (1, 2, 3, 4)},
    "in the first frame alone": (90, 25, 0, there(0, 1)),
    "in the last frame alone": (90, 25, 0, there(FRAMES - 1, 1)),
    **{f"crosses at {n} pixels a frame": (90, 25, 0, across(n)) for n in (15, 25, 35)},
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
    size = (4 * height // 3 * 2, 2 * height)
    head, (x1, y1, x2, y2) = drawn(size, 0)
    room = cv2.GaussianBlur(np.random.default_rng(3).integers(40, 200, (*SIZE[::-1], 3), np.uint8), (0, 0), 25)
    y, x = np.mgrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    cx, cy = (x1 + x2) / 2 / size[0] * 2 - 1, (y1 + y2) / 2 / size[1] * 2 - 1
    near = np.hypot((x - cx) * size[0] / (x2 - x1), (y - cy) * size[1] / (y2 - y1))
    soft = np.clip((1.5 - near) * 3, 0, 1)[..., None]
    head, soft = np.rot90(head, turn), np.rot90(soft, turn)
    seen = set()
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "12"})
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        for number in range(FRAMES):
            shown = room.copy()
            place = where(number)
            if place is not None:
                seen.add(number)
                left, top = round(place[0]) - head.shape[1] // 2, round(place[1]) - head.shape[0] // 2
                a, b = max(0, left), max(0, top)
                part = shown[b : top + head.shape[0], a : left + head.shape[1]]
                inside = np.s_[b - top : b - top + part.shape[0], a - left : a - left + part.shape[1]]
                part[:] = (soft[inside] * head[inside] + (1 - soft[inside]) * part).round()
            frame = av.VideoFrame.from_ndarray(shown, format="bgr24")
            frame.pts, frame.time_base = when(number), Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    return seen, np.ascontiguousarray(np.rot90(drawn(size, 0)[0][y1:y2, x1:x2], turn))


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
