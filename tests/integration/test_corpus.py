"""Damaged and odd footage through the real path: a right result or an error that says so; never a clear face, a crash
or silence.

Every film is made on the spot (samples/corpus.py, samples/damage.py) and judged by an oracle that shares no code with
ours (tests/judge.py): ffmpeg decodes what came out, and the one face in it is searched for in every frame.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av.logging
import numpy as np
import pytest

from benchmarks import table
from pipeline.adapters.pictures import planes
from pipeline.adapters.video_in import open_clip
from pipeline.errors import (
    LesveilError,
    NotAVideoError,
    NoVideoStreamError,
    QuarantinedError,
    TruncatedVideoError,
)
from pipeline.run import Networks, redact_clip
from pipeline.settings import Settings
from samples import corpus, damage
from samples.corpus import Film, Odd
from tests import clips, judge
from tests.conftest import TABLES

os.environ.setdefault("SVT_LOG", "0")  # the AV1 encoder talks otherwise

TURNED_AWAY = (QuarantinedError, TruncatedVideoError, NotAVideoError, NoVideoStreamError)
"""What may be said instead of a result."""

HOUSE = Settings()
TRUSTING = replace(HOUSE, rendering=replace(HOUSE.rendering, quarantine_share=1.0))
"""No share of damage is too much: what is not trusted must then be hidden, there is no quarantine to hide in."""

ODD = {odd.name: odd for odd in corpus.every_odd()}
PLACES = 200
"""Places at which one bit is flipped."""


@dataclass(frozen=True)
class Row:
    """What became of one film."""

    name: str
    frames: str
    became: str
    seen: float | None = None


class Table:
    """Rows of all tests, shown at the end of the run."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def text(self) -> str:
        lines = [["film", "frames", "became", "face seen at most"]]
        for row in self.rows:
            lines.append([row.name, row.frames, row.became, "-" if row.seen is None else f"{row.seen:.2f}"])
        return (
            f"{table(lines)}\nA part of the face counts as seen from {judge.SEEN:.2f}; in the sources it is 0.9 to 1."
        )


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[Table]:
    kept = Table()
    yield kept
    request.config.stash.setdefault(TABLES, []).append(f"{len(kept.rows)} lines\n{kept.text()}")


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(recognition=False)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """libav has much to say about broken films."""
    before = av.logging.get_level()
    av.logging.set_level(None)
    yield
    av.logging.set_level(before)


def most_seen(out: Path, film: Film) -> float:
    """How surely the face is seen in the worst frame of a result."""
    sentinel = judge.Judge(film.face)
    frames = judge.decoded(out, film.odd.size)
    assert frames
    return max(sentinel.seen(frame)[0] for frame in frames)


@pytest.mark.parametrize("name", ODD)
def test_odd_films_come_out_right(name: str, shelf: Path, tmp_path: Path, networks: Networks, rows: Table) -> None:
    film = corpus.make_film(ODD[name], shelf)
    sentinel = judge.Judge(film.face)
    shown = judge.decoded(film.path, film.odd.size, "bwdif=mode=send_frame" if film.odd.interlaced else "null")
    assert min(sentinel.seen(frame)[0] for frame in shown) > 0.8, "the oracle does not see the face in the source"
    out = tmp_path / "out.mp4"
    done = redact_clip(film.path, out, [], HOUSE, networks)
    seen = most_seen(out, film)
    rows.rows.append(Row(name, f"{done.render.frames} of {film.odd.frames}", "hidden", seen))
    assert judge.shown_at(out) == list(film.times)
    assert done.render.damaged == ()
    with open_clip(out) as clip:
        assert (clip.info.width, clip.info.height, clip.info.rotation) == (*film.odd.size, 0)
        assert clip.info.sample_aspect == film.odd.aspect
    assert seen < judge.SEEN
    region = done.analysis.plan
    for number, face in enumerate(film.faces):
        boxes = region.region[region.regions(number)]
        middle = (face[:2] + face[2:]) / 2
        assert ((boxes[:, :2] < middle) & (middle < boxes[:, 2:])).all(axis=1).any(), f"frame {number}"
    wall = np.abs(np.stack(judge.decoded(out, film.odd.size)[:1]).astype(int) - shown[0].astype(int))
    assert np.median(wall) < 6, "what is not hidden has changed"


LONG = Odd("long", "libx264", "mp4", frames=40, options={"preset": "veryfast", "bf": "2", "g": "10"})
STREAM = replace(LONG, name="stream", kind="ts")
MATROSKA = replace(LONG, name="matroska", kind="mkv")
PICTURES = Odd("pictures", "mjpeg", "avi", frames=40, pixels="yuvj420p", options={"q": "4"})
OLD = Odd("old", "mpeg2video", "mpg", frames=40, options={"b": "2000000", "bf": "2"})

Break = Callable[[Path, Path], Path]
BROKEN: dict[str, tuple[Odd, Break, Settings]] = {
    "cut off at 99 %, mp4": (LONG, lambda a, b: damage.cut(a, b, 0.99), HOUSE),
    "cut off at 80 %, mp4": (LONG, lambda a, b: damage.cut(a, b, 0.8), HOUSE),
    "cut off at 50 %, mp4, trusting": (LONG, lambda a, b: damage.cut(a, b, 0.5), TRUSTING),
    "cut off at 60 %, mkv": (MATROSKA, lambda a, b: damage.cut(a, b, 0.6), HOUSE),
    "cut off at 60 %, mkv, trusting": (MATROSKA, lambda a, b: damage.cut(a, b, 0.6), TRUSTING),
    "cut off at 70 %, ts": (STREAM, lambda a, b: damage.cut(a, b, 0.7), TRUSTING),
    "cut off at 70 %, avi": (PICTURES, lambda a, b: damage.cut(a, b, 0.7), TRUSTING),
    "cut off at 70 %, mpg": (OLD, lambda a, b: damage.cut(a, b, 0.7), TRUSTING),
    "cut off before its index, mp4": (LONG, lambda a, b: damage.cut(damage.index_last(a, b), b, 0.9), HOUSE),
    "a hole of 20 packets, ts": (STREAM, lambda a, b: damage.hole(a, b, 0.5, 20 * 188), TRUSTING),
    "a hole off the packets' grid, ts": (STREAM, lambda a, b: damage.hole(a, b, 0.5, 1111), TRUSTING),
    "a hole, mkv": (MATROSKA, lambda a, b: damage.hole(a, b, 0.5, 1500), TRUSTING),
    "a bad sector, mp4": (LONG, lambda a, b: damage.blank(a, b, 0.4, 4096), TRUSTING),
    "a bad sector, avi": (PICTURES, lambda a, b: damage.blank(a, b, 0.4, 4096), TRUSTING),
    "a bad sector, mpg": (OLD, lambda a, b: damage.blank(a, b, 0.4, 4096), TRUSTING),
    "200 bits flipped, mp4": (LONG, lambda a, b: damage.flip(a, b, 200, 1), HOUSE),
    "200 bits flipped, mp4, trusting": (LONG, lambda a, b: damage.flip(a, b, 200, 1), TRUSTING),
    "200 bits flipped anywhere, mp4": (LONG, lambda a, b: damage.flip_anywhere(a, b, 200, 2), TRUSTING),
    "200 bits flipped anywhere, ts": (STREAM, lambda a, b: damage.flip_anywhere(a, b, 200, 3), TRUSTING),
    "200 bits flipped anywhere, mkv": (MATROSKA, lambda a, b: damage.flip_anywhere(a, b, 200, 4), TRUSTING),
    "200 bits flipped anywhere, avi": (PICTURES, lambda a, b: damage.flip_anywhere(a, b, 200, 5), HOUSE),
}


@pytest.fixture(scope="module")
def whole(shelf: Path) -> Callable[[Odd], Film]:
    made: dict[str, Film] = {}

    def film(odd: Odd) -> Film:
        if odd.name not in made:
            made[odd.name] = corpus.make_film(odd, shelf)
        return made[odd.name]

    return film


def through(
    path: Path, film: Film, settings: Settings, networks: Networks, out: Path, name: str, rows: Table | None
) -> float:
    """One broken film through the real path: how surely the face is seen in what came out; 0 where nothing did.

    Fails when it was turned away without a reason, or when times or frames are not what they should be.
    """
    try:
        done = redact_clip(path, out, [], settings, networks)
    except TURNED_AWAY as error:
        assert not out.exists()
        if rows is not None:
            rows.rows.append(Row(name, "", type(error).__name__.removesuffix("Error")))
        return 0.0
    seen = most_seen(out, film)
    hidden = len(done.render.damaged)
    if rows is not None:
        rows.rows.append(Row(name, f"{done.render.frames} of {film.odd.frames}", f"{hidden} hidden whole", seen))
    times = judge.shown_at(out)
    assert len(times) == done.render.frames
    assert all(a < b for a, b in itertools.pairwise(times))
    if film.odd.kind == "mp4":  # the index tells when every frame is due, whatever became of it
        assert times == list(film.times)
    return seen


@pytest.mark.parametrize("name", BROKEN)
def test_broken_films_show_nobody(
    name: str, whole: Callable[[Odd], Film], tmp_path: Path, networks: Networks, rows: Table
) -> None:
    odd, broken, settings = BROKEN[name]
    film = whole(odd)
    path = broken(film.path, tmp_path / f"broken.{odd.kind}")
    assert through(path, film, settings, networks, tmp_path / "out.mp4", name, rows) < judge.SEEN


@pytest.mark.parametrize(
    ("name", "error"),
    [("nothing", NotAVideoError), ("words", NotAVideoError), ("sound", NoVideoStreamError)],
)
def test_what_is_no_film_is_turned_away(
    name: str, error: type[LesveilError], tmp_path: Path, networks: Networks, rows: Table
) -> None:
    path = tmp_path / "clip.mp4"
    if name == "sound":
        path = tmp_path / "clip.m4a"
        clips.run(clips.ffmpeg.output(clips.sound(), str(path)))
    else:
        path.write_bytes(b"" if name == "nothing" else b"Boodschappen: melk, brood, kaas.\n" * 50)
    with pytest.raises(error):
        redact_clip(path, tmp_path / "out.mp4", [], HOUSE, networks)
    rows.rows.append(Row(f"no film: {name}", "", error.__name__.removesuffix("Error")))


FLIPPED = (
    Odd("one bit, h264 mp4", "libx264", "mp4", options={"preset": "veryfast"}),
    Odd("one bit, h264 CAVLC mkv", "libx264", "mkv", options=corpus.FAST | {"bf": "2"}),
    Odd("one bit, h264 mts", "libx264", "mts", options={"preset": "veryfast"}),
    Odd("one bit, hevc mp4", "libx265", "mp4", options=corpus.X265),
    Odd("one bit, mpeg2 mpg", "mpeg2video", "mpg", options={"b": "2000000", "bf": "2"}),
    Odd("one bit, mjpeg avi", "mjpeg", "avi", pixels="yuvj420p", options={"q": "4"}),
    Odd("one bit, vp9 webm", "libvpx-vp9", "webm", options=corpus.VP9 | {"b": "900000"}),
    Odd("one bit, av1 mp4", "libsvtav1", "mp4", options=corpus.AV1 | {"crf": "30"}),
)


def luma(path: Path) -> list[np.ndarray | None]:
    """Y of every frame that is trusted after two passes, as the real path makes them; None for the others."""
    with open_clip(path) as clip:
        for _ in clip.frames():
            pass
        return [
            None if frame.damaged or frame.picture is None else planes(frame.picture)[0].astype(np.int16)
            for frame in clip.frames()
        ]


@pytest.mark.slow
@pytest.mark.parametrize("odd", FLIPPED, ids=lambda odd: odd.name)
def test_one_flipped_bit_shows_nobody(
    odd: Odd, whole: Callable[[Odd], Film], tmp_path: Path, networks: Networks, rows: Table
) -> None:
    """One bit at each of 200 random places. Where it is noticed, all that leans on it is hidden; where it is not and
    the picture has changed, the result is judged like any other. Every tenth of the others is judged as well."""
    film = whole(odd)
    before = luma(film.path)
    became: Counter[str] = Counter()
    worst = 0.0
    for place in range(PLACES // len(FLIPPED)):
        path = damage.flip(film.path, tmp_path / f"{place}.{odd.kind}", 1, place)
        try:
            after = luma(path)
        except TURNED_AWAY:
            became["turned away"] += 1
            continue
        noticed = any(frame is None for frame in after)
        pairs = [(a, b) for a, b in zip(after, before, strict=False) if a is not None and b is not None]
        changed = any(a.shape != b.shape or np.abs(a - b).mean() > 1 for a, b in pairs)
        became["not noticed" if changed else "noticed" if noticed else "harmless"] += 1
        if changed or place % 10 == 0:
            out = tmp_path / f"{place}.out.mp4"
            seen = through(path, film, TRUSTING, networks, out, f"{odd.name}, {place}", None)
            worst = max(worst, seen)
            became["SHOW A PART"] += seen >= judge.SEEN
    said = ", ".join(f"{count} {word}" for word, count in sorted(became.items()) if count)
    rows.rows.append(Row(f"{odd.name}, {PLACES // len(FLIPPED)} places", "", said, worst))
    assert became["SHOW A PART"] == 0


def test_the_oracle_sees_what_is_not_hidden(whole: Callable[[Odd], Film], tmp_path: Path) -> None:
    """The judge is no use unless it finds half a face, a face in the wrong place, and one that is faint."""
    film = whole(LONG)
    sentinel = judge.Judge(film.face)
    frame = judge.decoded(film.path, film.odd.size)[0].copy()
    x1, y1, x2, y2 = film.faces[0].astype(int)
    half = frame.copy()
    half[(y1 + y2) // 2 :, x1:x2] = 128
    assert sentinel.seen(half)[0] > 0.8
    moved = np.full_like(frame, 90)
    moved[: y2 - y1, : x2 - x1] = frame[y1:y2, x1:x2]
    assert sentinel.seen(moved)[0] > 0.9
    faint = (0.5 * frame.astype(float) + 60).astype(np.uint8)
    assert sentinel.seen(faint)[0] > 0.9
    hidden = frame.copy()
    hidden[y1 - 20 : y2 + 4, x1 - 4 : x2 + 4] = 128
    assert sentinel.seen(hidden)[0] < judge.SEEN - 0.1
