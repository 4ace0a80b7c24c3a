"""Long takes that the camera cut into files: joined again, frame by frame and sample by sample, on one clock."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pytest

from pipeline.adapters.chapters import Extent, Joined, Window, lay_out, windows
from pipeline.adapters.sound import Sound
from pipeline.adapters.video_in import ClipReader, open_clip, planes
from pipeline.adapters.video_out import ClipWriter
from pipeline.errors import TruncatedVideoError
from tests import clips

SECONDS = 6


def take(folder: Path, name: str, *options: str) -> Path:
    """One long take: every frame differs, a tone that never repeats, keyframes every second, B-pictures."""
    path = folder / name
    clips.call(
        *("-f", "lavfi", "-i", f"testsrc2=size=160x96:rate=30000/1001:duration={SECONDS}"),
        *("-f", "lavfi", "-i", f"aevalsrc=0.4*sin(2*PI*(300+60*t)*t)|0.3*sin(2*PI*500*t):s=48000:d={SECONDS}"),
        *("-c:v", "libx264", "-preset", "fast", "-bf", "2", "-g", "30", "-pix_fmt", "yuv420p", *options, path),
    )
    return path


def cut(source: Path, folder: Path, suffix: str, *options: str) -> list[Path]:
    """The take cut at keyframes into files whose clocks start anew, as GoPro and Canon cut theirs."""
    folder.mkdir()
    clips.call(
        *("-i", source, "-map", "0", "-c", "copy", "-f", "segment", "-segment_time", "2", "-reset_timestamps", "1"),
        *(*options, folder / f"GX%02d0001.{suffix}"),
    )
    return sorted(folder.iterdir())


NO_EDITS = ("-segment_format_options", "use_editlist=0")
"""Chapters as most cameras write them: without the edit lists by which ffmpeg hides what lies before zero."""


def openers(paths: Sequence[Path]) -> list[Callable[[], BinaryIO]]:
    return [lambda path=path: path.open("rb") for path in paths]  # type: ignore[misc]


def seen(clip: ClipReader) -> list[tuple[Fraction, str, bool]]:
    out = []
    for frame in clip.frames():
        assert frame.picture is not None
        told = hashlib.md5(b"".join(np.ascontiguousarray(plane).tobytes() for plane in planes(frame.picture)))
        out.append((frame.time, told.hexdigest(), frame.damaged))
    return out


def heard(sound: Sound) -> tuple[Any, Fraction]:
    """All samples, and where they begin."""
    sound.begin(Fraction(0))
    start = sound.start
    blocks = [frame.to_ndarray() for frame in sound.until(Fraction(2 * SECONDS))]
    sound.close()
    assert start is not None
    return np.concatenate(blocks, axis=1), start


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return take(tmp_path_factory.mktemp("take"), "whole.mp4", "-c:a", "aac")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without B-pictures, as many cameras film: ffmpeg then cuts its sound where a camera does."""
    return take(tmp_path_factory.mktemp("plain"), "whole.mp4", "-c:a", "aac", "-bf", "0")


@pytest.mark.parametrize("edits", [(), NO_EDITS], ids=["edit lists", "none"])
def test_chapters_run_through_like_the_whole(whole: Path, tmp_path: Path, edits: tuple[str, ...]) -> None:
    parts = cut(whole, tmp_path / "parts", "mp4", *edits)
    assert len(parts) == 3
    with open_clip(Path("take"), openers(parts)) as joined, open_clip(whole) as one:
        found, wanted = seen(joined), seen(one)
        first = wanted[0][0] - found[0][0]
        assert [(time + first, *rest) for time, *rest in found] == wanted
        assert joined.info.frames == one.info.frames == len(wanted)
        assert joined.info.duration == pytest.approx(one.info.duration, abs=1e-6)
        gaps = {b[0] - a[0] for a, b in itertools.pairwise(found)}
        assert gaps == {Fraction(1001, 30000)}


def test_sound_has_no_seam(plain: Path, tmp_path: Path) -> None:
    """One decoder hears all chapters: not a sample differs from the take that was never cut."""
    parts = cut(plain, tmp_path / "parts", "mp4")
    with open_clip(Path("take"), openers(parts)) as joined:
        sound = Sound(joined.path, joined.chapters)
        found, _ = heard(sound)
        assert sound.silences == []
    wanted, _ = heard(Sound(plain))
    # ffmpeg's first chapter begins with what the whole take hides as its encoder's run-up: find by how much.
    lag = min(range(4096), key=lambda n: float(np.abs(found[0, n : n + 4096] - wanted[0, :4096]).max()))
    size = min(found.shape[1] - lag, wanted.shape[1])
    assert size > 0.98 * SECONDS * 48000
    assert np.abs(found[:, lag : lag + size] - wanted[:, :size]).max() < 1e-5


def test_a_rendering_of_chapters_is_one_film(plain: Path, tmp_path: Path) -> None:
    parts = cut(plain, tmp_path / "parts", "mp4")
    out = tmp_path / "out.mp4"
    with open_clip(Path("take"), openers(parts)) as joined, ClipWriter(out, joined) as writer:
        for frame in joined.frames():
            writer.write(frame.picture, frame.pts)
        written = writer.close()
    assert (written.sound, written.silences) == ("kept", ())
    times = [time for time, _ in clips.oracle(out)]
    assert [time - times[0] for time in times] == [n * Fraction(1001, 30000) for n in range(len(times))]
    assert len(times) == round(SECONDS * 30000 / 1001)


def test_a_transport_stream_cut_in_the_midst_of_a_picture(tmp_path: Path) -> None:
    """As AVCHD cameras cut at 4 GiB: between two packets of the stream, wherever a picture may be."""
    whole = take(tmp_path, "whole.mts", "-c:a", "ac3", "-f", "mpegts", "-mpegts_m2ts_mode", "1")
    data = whole.read_bytes()
    at = len(data) // 192 // 3 * 192
    parts = [tmp_path / f"0000{n}.MTS" for n in range(3)]
    for path, piece in zip(parts, (data[:at], data[at : 2 * at], data[2 * at :]), strict=True):
        path.write_bytes(piece)
    with open_clip(Path("take"), openers(parts)) as joined, open_clip(whole) as one:
        assert len(joined.chapters) == 1, "the clock runs on, so they are one stream"
        assert seen(joined) == seen(one)
        found, _ = heard(Sound(joined.path, joined.chapters))
    wanted, _ = heard(Sound(whole))
    assert np.array_equal(found, wanted)


def test_transport_streams_whose_clocks_start_anew(tmp_path: Path) -> None:
    whole = take(tmp_path, "whole.ts", "-c:a", "ac3", "-bf", "0")
    parts = cut(whole, tmp_path / "parts", "ts")
    with open_clip(Path("take"), openers(parts)) as joined, open_clip(whole) as one:
        assert len(joined.chapters) == len(parts) == 3
        found, wanted = seen(joined), seen(one)
        assert [picture for _, picture, _ in found] == [picture for _, picture, _ in wanted]
        step = Fraction(1001, 30000)
        for n, (time, _, _) in enumerate(found):
            assert abs(time - found[0][0] - n * step) <= Fraction(2, 90000), "to the tick of the stream's clock"


def test_a_chapter_that_cannot_be_read_is_not_left_out(whole: Path, tmp_path: Path) -> None:
    parts = cut(whole, tmp_path / "parts", "mp4")
    clips.cut(parts[1], tmp_path / "half.mp4", 0.5)
    parts[1] = tmp_path / "half.mp4"
    with pytest.raises(TruncatedVideoError):
        open_clip(Path("take"), openers(parts))


def test_a_chapter_with_a_damaged_tail_keeps_its_length(tmp_path: Path) -> None:
    """Frames that were promised and are lost come as damaged ones; what follows stays at its time."""
    whole = take(tmp_path, "whole.mp4", "-c:a", "aac", "-movflags", "+faststart")
    parts = cut(whole, tmp_path / "parts", "mp4")
    front = tmp_path / "front.mp4"
    clips.remux(parts[1], front, movflags="+faststart")
    clips.cut(front, tmp_path / "torn.mp4", 0.7)
    parts[1] = tmp_path / "torn.mp4"
    with open_clip(Path("take"), openers(parts)) as joined, open_clip(whole) as one:
        found, wanted = list(joined.frames()), list(one.frames())
        assert len(found) == len(wanted)
        shift = wanted[0].time - found[0].time
        assert [frame.time + shift for frame in found] == [frame.time for frame in wanted]
        assert joined.damaged
        assert min(joined.damaged) >= len(found) // 2  # its last keyframe: doubt does not reach other chapters
        assert max(joined.damaged) < 2 * len(found) // 3 + 2


def test_a_take_that_lies_end_to_end_in_one_file(whole: Path, tmp_path: Path) -> None:
    parts = cut(whole, tmp_path / "parts", "mp4")
    copy = tmp_path / "copy"
    copy.write_bytes(b"".join(path.read_bytes() for path in parts))
    opened = windows(lambda: copy.open("rb"), [path.stat().st_size for path in parts])
    with open_clip(Path("take"), opened) as joined, open_clip(Path("take"), openers(parts)) as apart:
        assert seen(joined) == seen(apart)


def test_readers_of_pieces_and_wholes() -> None:
    data = bytes(range(200))
    joined = Joined([lambda: io.BytesIO(data[:70]), lambda: io.BytesIO(b""), lambda: io.BytesIO(data[70:])])
    assert joined.read() == data
    joined.seek(60)
    assert joined.read(30) == data[60:90]
    window = Window(cast(BinaryIO, joined), 50, 100)
    assert window.read() == data[50:150]
    window.seek(-10, 2)
    assert window.read(50) == data[140:150]
    window.close()
    assert joined.closed


def test_where_chapters_lie_on_the_clock() -> None:
    some = [lambda: io.BytesIO(b"")] * 3
    one = Extent("mov,mp4", Fraction(1, 2), Fraction(7, 2), 90)
    laid = lay_out(some, [one, Extent("mov,mp4", Fraction(0), Fraction(2), 60), one])
    assert [chapter.offset for chapter in laid] == [0, Fraction(7, 2), Fraction(5)]
    ts = [Extent("mpegts", Fraction(n), Fraction(n + 1), 0) for n in (5, 6, 1)]
    laid = lay_out(some, ts)
    assert [chapter.offset for chapter in laid] == [0, Fraction(6)]
    assert [chapter.seconds for chapter in laid] == [2, 1]
