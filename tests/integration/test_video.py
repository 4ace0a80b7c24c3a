"""Video in and out against an independent oracle: another build of ffmpeg, asked for every frame's time and MD5."""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import os
import resource
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.adapters import video_out
from pipeline.adapters.chapters import extent
from pipeline.adapters.inspect import extras, filmed_on
from pipeline.adapters.joiner import Joiner
from pipeline.adapters.moment import shown_moment
from pipeline.adapters.part import Part
from pipeline.adapters.pictures import PQ, Colour, cut_out, shrunk, whole
from pipeline.adapters.segment import can_be_cut
from pipeline.adapters.sound import Sound, loudest
from pipeline.adapters.video_in import ClipReader, open_clip, planes
from pipeline.adapters.video_out import ClipWriter, Written, encoded_format, hidden_frame
from pipeline.errors import (
    ClipNotFoundError,
    DiskFullError,
    NotAVideoError,
    NoVideoStreamError,
    OutputNotWritableError,
    QuarantinedError,
    TruncatedVideoError,
)
from tests import clips

EVAL = Path(os.environ.get("LESVEIL_EVAL", Path(__file__).parents[2] / ".." / "shared" / "eval")) / "dev"
BWDIF = "bwdif=mode=send_frame:deint=interlaced"
Seen = tuple[Fraction, str, bool]


def needs(name: str) -> Path:
    path = EVAL / name
    if not path.exists():
        pytest.skip(f"{path} is not there; set LESVEIL_EVAL to the folder that holds dev/")
    return path


def digest(picture: av.VideoFrame | None) -> str:
    if picture is None:
        return ""
    told = hashlib.md5()
    for plane in planes(picture):
        told.update(np.ascontiguousarray(plane).tobytes())
    return told.hexdigest()


def seen(clip: ClipReader) -> list[Seen]:
    return [(frame.time, digest(frame.picture), frame.damaged) for frame in clip.frames()]


def passed_through(clip: ClipReader, path: Path, **options: Any) -> Written:
    with ClipWriter(path, clip, **options) as writer:
        for frame in clip.frames():
            picture = hidden_frame(clip) if frame.damaged else frame.picture
            writer.write(picture, frame.pts)
        return writer.close()


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def plain(shelf: Path) -> Path:
    return clips.make(shelf / "plain.mp4", audio="aac")


@pytest.fixture(scope="session")
def long(shelf: Path) -> Path:
    """Two seconds with B-frames and a keyframe each second, index in front."""
    return clips.make(
        shelf / "long.mp4", audio="aac", frames=50, size="320x240", sound_seconds=2, preset="medium", g=25,
        movflags="+faststart",
    )  # fmt: skip


LEGAL = {
    "libx264": ("mp4", "mov", "mkv", "ts", "m2ts", "avi"),
    "libx265": ("mp4", "mov", "mkv", "ts"),
    "mpeg2video": ("mp4", "mov", "ts", "mkv", "avi"),
    "mjpeg": ("mov", "avi", "mkv"),
    "libvpx-vp9": ("webm", "mkv", "mp4"),
    "libsvtav1": ("mp4", "mkv", "webm"),
}
SOUND = {"webm": "libopus", "ts": "ac3", "m2ts": "ac3", "avi": "pcm_s16le", "mov": "pcm_s16le"}


@pytest.mark.parametrize(("codec", "kind"), [(codec, kind) for codec, kinds in LEGAL.items() for kind in kinds])
def test_every_container_and_codec(codec: str, kind: str, tmp_path: Path) -> None:
    path = clips.make(
        tmp_path / f"clip.{kind}",
        codec=codec,
        audio=SOUND.get(kind, "aac"),
        pixel_format="yuvj420p" if codec == "mjpeg" else "yuv420p",
    )
    check_both_ways(path, tmp_path / "out.mp4", origin=kind == "avi")


def check_both_ways(path: Path, out: Path, vf: str | None = None, origin: bool = False, pixels: bool = True) -> Written:
    """Read as the oracle reads; written out and read again, the same times, size, aspect and colour.

    AVI holds no times, only an order of decoding: there ``origin`` lets the oracle's clock start elsewhere.
    """
    truth = clips.oracle(path, vf)
    with open_clip(path) as clip:
        frames = seen(clip)
        shift = truth[0][0] - frames[0][0] if origin else 0
        assert [time + shift for time, _, _ in frames] == [time for time, _ in truth]
        assert not any(damaged for _, _, damaged in frames)
        if pixels:
            assert [md5 for _, md5, _ in frames] == [md5 for _, md5 in truth]
        written = passed_through(clip, out)
        again = open_clip(out)
        assert [time + written.shift for time in times(out)] == [time for time, _, _ in frames]
        assert (again.info.width, again.info.height) == (clip.info.width, clip.info.height)
        assert again.info.sample_aspect == clip.info.sample_aspect
        assert again.info.rotation == 0
        assert again.colour == clip.colour
        assert again.info.pixel_format == encoded_format(clip.info.pixel_format, clip.info.width, clip.info.height)
        return written


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [
        ("libx264", "yuv422p"),
        ("libx264", "yuv420p10le"),
        ("libx264", "yuv422p10le"),
        ("libx264", "yuv444p10le"),
        ("libx264", "yuvj420p"),
        ("libx264", "gray"),
        ("libx265", "yuv420p10le"),
        ("libx265", "yuv422p10le"),
        ("mjpeg", "yuvj422p"),
        ("prores_ks", "yuv422p10le"),
    ],
)
def test_pixel_formats(codec: str, pixel_format: str, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "clip.mov", codec=codec, pixel_format=pixel_format)
    check_both_ways(path, tmp_path / "out.mp4")


@pytest.mark.parametrize(
    ("codec", "stored", "handed_out"),
    [("libx264rgb", "rgb24", "yuv444p"), ("libx265", "yuv420p12le", "yuv420p10le"), ("qtrle", "rgb24", "yuv444p")],
)
def test_other_pixel_formats_become_the_nearest(codec: str, stored: str, handed_out: str, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "clip.mov", codec=codec, pixel_format=stored)
    check_both_ways(path, tmp_path / "out.mp4", pixels=False)
    assert open_clip(path).info.pixel_format == handed_out


def test_rgb_keeps_its_colours(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "clip.mov", codec="qtrle", pixel_format="rgb24", frames=1)
    with av.open(str(path)) as container:
        wanted = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    clip = open_clip(path)
    picture = next(iter(clip.frames())).picture
    got = picture.reformat(format="rgb24", src_colorspace=5, src_color_range=1, dst_color_range=2).to_ndarray()
    assert np.abs(got.astype(int) - wanted).mean() < 3


@pytest.mark.parametrize("rate", ["30000/1001", "24000/1001", "50", "15"])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_frame_rates(rate: str, kind: str, tmp_path: Path) -> None:
    check_both_ways(clips.make(tmp_path / f"clip.{kind}", rate=rate), tmp_path / "out.mp4")


@pytest.mark.parametrize("kind", ["mp4", "mov", "avi", "mkv", "ts"])
@pytest.mark.parametrize(
    "options", [{"rate": "600"}, {"picture_filter": "setpts=(N+40*gt(N\\,8))/25/TB", "fps_mode": "vfr"}]
)
def test_the_last_picture_lasts_as_long_as_in_the_source(kind: str, options: dict[str, str], tmp_path: Path) -> None:
    """It lasted as long as one at the average rate, and of films above 480 pictures a second as one of 25."""
    path, out = clips.make(tmp_path / f"clip.{kind}", frames=30, **options), tmp_path / "out.mp4"
    with open_clip(path) as clip:
        frames = [(frame.time, frame.picture.duration * clip.info.time_base) for frame in clip.frames()]
        passed_through(clip, out)
    with av.open(str(out)) as container:
        video = container.streams.video[0]
        assert video.duration * video.time_base == sum(frames[-1]) - frames[0][0]


HELD = {
    **{f"{n} pictures": [Fraction(k, 25) for k in range(n)] for n in range(37, 42)},
    "uneven at the start": [Fraction(0), *(Fraction(3) + Fraction(k, 25) for k in range(20))],
    "uneven at the end": [Fraction(k, 25) for k in range(20)] + [Fraction(k) for k in (3, 7, 12)],
    "two": [Fraction(0), Fraction(2)],
    "one": [Fraction(0)],
}


def lengths(path: Path) -> tuple[Fraction, Fraction]:
    """How long the picture lasts: by the stream's account, and as a player holds the picture shown last."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        packets = [packet for packet in container.demux(video) if packet.size]
        last = max(packets, key=lambda packet: packet.pts)
        first = min(packet.pts for packet in packets)
        return video.duration * video.time_base, (last.pts + last.duration - first) * video.time_base


@pytest.mark.parametrize("times", HELD.values(), ids=HELD)
def test_a_still_at_the_end_is_held_as_long_as_in_the_source(times: list[Fraction], tmp_path: Path) -> None:
    """Durations lie in order of decoding: where a B-picture was decoded last, the hold was gone."""
    path, out = clips.uneven(tmp_path / "clip.mp4", times, Fraction(6)), tmp_path / "out.mp4"
    with open_clip(path) as clip:
        written = passed_through(clip, out)
    whole = times[-1] + 6
    assert lengths(out) == (whole, whole)
    assert written.seconds == float(whole) == open_clip(out).info.duration


@pytest.mark.parametrize("seam", [12, 38, 39, 40])
def test_a_still_at_the_end_is_held_where_pieces_are_joined(seam: int, tmp_path: Path) -> None:
    times = [Fraction(k, 25) for k in range(40)] + [Fraction(k) for k in (3, 7, 12)]
    path, out = clips.uneven(tmp_path / "clip.mp4", times, Fraction(6)), tmp_path / "out.mp4"
    with open_clip(path) as clip:
        frames = list(clip.frames())
        pieces = []
        for number, part in enumerate((frames[:seam], frames[seam:])):
            with ClipWriter(tmp_path / f"{number}.mp4", clip, audio="mute") as writer:
                for frame in part:
                    writer.write(frame.picture, frame.pts)
                pieces.append((writer.path, np.array([frame.pts for frame in part]), writer.close().seconds))
        with Joiner(out, clip, pieces[0][0], audio="mute") as joiner:
            for piece in pieces:
                joiner.add(*piece)
            joiner.close()
    assert lengths(out) == (18, 18)


@pytest.mark.parametrize("seams", [(1,), (2,), (1, 2, 3), (1, 10, 11)])
def test_pieces_of_a_picture_or_two_are_joined(seams: tuple[int, ...], tmp_path: Path) -> None:
    path, out = clips.make(tmp_path / "clip.mp4", rate="25", frames=30), tmp_path / "out.mp4"
    with open_clip(path) as clip:
        frames = list(clip.frames())
        pieces = []
        for since, until in itertools.pairwise([0, *seams, 30]):
            with ClipWriter(tmp_path / f"{since}.mp4", clip, audio="mute") as writer:
                for frame in frames[since:until]:
                    writer.write(frame.picture, frame.pts)
                times = np.array([frame.pts for frame in frames[since:until]])
                pieces.append((writer.path, times, writer.close().seconds))
        with Joiner(out, clip, pieces[0][0], audio="mute") as joiner:
            for piece in pieces:
                joiner.add(*piece)
            joiner.close()
    with open_clip(out) as made:
        shown = list(made.frames())
        assert [frame.pts * made.info.time_base for frame in shown] == [Fraction(n, 25) for n in range(30)]
    assert not any(frame.damaged for frame in shown)
    assert lengths(out) == pytest.approx((1.2, 1.2), abs=0.001)


@pytest.mark.parametrize("rate", [600, 960])
@pytest.mark.parametrize("kind", ["mp4", "mov", "avi"])
def test_rates_that_the_container_counted(kind: str, rate: int, tmp_path: Path) -> None:
    assert open_clip(clips.make(tmp_path / f"clip.{kind}", rate=str(rate), frames=30)).info.rate == rate


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_variable_frame_rate(kind: str, tmp_path: Path) -> None:
    path = clips.make(
        tmp_path / f"clip.{kind}", picture_filter="setpts=PTS+(0.3*mod(N\\,3)+40*gt(N\\,8))/25/TB", fps_mode="vfr"
    )
    check_both_ways(path, tmp_path / "out.mp4")


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("kind", ["mp4", "mov"])
def test_a_film_taken_over_from_an_avi_with_its_times_of_decoding(codec: str, kind: str, tmp_path: Path) -> None:
    avi = clips.make(tmp_path / "clip.avi", codec=codec, frames=40, size="320x240", bf="2", g="12", preset="medium")
    path = clips.remux(avi, tmp_path / f"clip.{kind}", movflags="+faststart")
    with open_clip(avi) as clip:
        truth = seen(clip)
    with open_clip(path) as clip:
        assert clip.dealt
        assert seen(clip) == truth
        assert not can_be_cut(clip), "no frame is found by its time"
        pts = np.array([frame.pts for frame in clip.frames()])
        assert [digest(frame.picture) for frame in Part(clip, pts, 20, 23).frames()] == [one[1] for one in truth[20:23]]
        assert not any(damaged for _, _, damaged in truth)
    with open_clip(clips.cut(path, tmp_path / f"cut.{kind}", 0.7)) as clip:
        frames = seen(clip)
    assert [time for time, _, _ in frames] == [time for time, _, _ in truth]
    assert frames[-1][2]


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_a_film_whose_pictures_keep_their_order_is_opened_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, opened = clips.make(tmp_path / f"clip.{kind}", bf="0"), av.open, []
    monkeypatch.setattr(
        av, "open", lambda name, mode="r", *rest, **more: opened.append(mode) or real(name, mode, *rest, **more)
    )
    assert not open_clip(path).dealt
    assert opened.count("r") == 1


def test_one_frame(tmp_path: Path) -> None:
    check_both_ways(clips.make(tmp_path / "clip.mp4", frames=1), tmp_path / "out.mp4")


@pytest.mark.parametrize(("size", "pixel_format"), [("97:65", "yuv420p"), ("96:65", "yuv422p"), ("97:64", "yuv422p")])
def test_odd_sizes_keep_their_size_and_luma(size: str, pixel_format: str, tmp_path: Path) -> None:
    path = clips.make(
        tmp_path / "clip.mkv", codec="libvpx-vp9", picture_filter=f"scale={size}", pixel_format=pixel_format
    )
    check_both_ways(path, tmp_path / "out.mp4")


def test_odd_luma_is_not_touched_by_the_way_to_444() -> None:
    picture = av.VideoFrame(97, 65, "yuv420p")
    luma = np.random.default_rng(1).integers(16, 236, (65, 97), np.uint8)
    for plane in planes(picture, writable=True):
        plane[:] = 128
    planes(picture, writable=True)[0][:] = luma
    wide = picture.reformat(format="yuv444p", src_color_range=1, dst_color_range=1)
    assert (planes(wide)[0] == luma).all()


def test_sample_aspect_and_colour_description(tmp_path: Path) -> None:
    path = clips.make(
        tmp_path / "clip.mp4", codec="libx265", pixel_format="yuv420p10le",
        picture_filter="setsar=4/3,setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc:range=tv",
    )  # fmt: skip
    check_both_ways(path, tmp_path / "out.mp4")
    again = open_clip(tmp_path / "out.mp4")
    assert again.info.sample_aspect == Fraction(4, 3)
    assert (again.colour.primaries, again.colour.transfer, again.colour.space) == (9, 18, 9)


@pytest.mark.parametrize(
    ("codec", "kind"), [("libx265", "mp4"), ("libx265", "mkv"), ("prores_ks", "mov"), ("libvpx-vp9", "webm")]
)
def test_colours_of_which_only_the_container_tells(codec: str, kind: str, tmp_path: Path) -> None:
    pixels = "yuv422p10le" if codec == "prores_ks" else "yuv420p10le"
    untold = clips.make(tmp_path / f"untold.{kind}", codec=codec, pixel_format=pixels)
    told = {"color_primaries": "bt2020", "color_trc": "smpte2084", "colorspace": "bt2020nc"}
    path = clips.remux(untold, tmp_path / f"clip.{kind}", **told, color_range="tv")
    with open_clip(path) as clip:
        assert clip.colour == Colour(range=1, primaries=9, transfer=PQ, space=9)
        frame = next(clip.frames())
        assert int(frame.picture.color_trc) == PQ, "the networks are shown it as a usual film"
    check_both_ways(path, tmp_path / "out.mp4")


@pytest.mark.parametrize("matrix", [10, 14])
@pytest.mark.parametrize(
    "options",
    [{}, {"size": "129x96", "pixel_format": "yuv444p"}, {"x264-params": "tff=1"}, {"pixel_format": "yuv422p10le"}],
    ids=["plain", "odd", "interlaced", "deep"],
)
def test_a_colour_matrix_that_nobody_converts_from_stops_nothing(
    options: dict[str, str], matrix: int, tmp_path: Path
) -> None:
    """Of HDR, or a camera's mistake: the networks see the picture as if it named none, the file keeps the name."""
    made = clips.make(tmp_path / "made.mp4", **options)
    path = clips.remux(made, tmp_path / "clip.mp4", **{"bsf:v": f"h264_metadata=matrix_coefficients={matrix}"})
    out = tmp_path / "out.mp4"
    with open_clip(path) as clip:
        frames = list(clip.frames())
        assert not any(frame.damaged for frame in frames)
        for frame in frames[:1]:
            seen = shrunk(frame.picture, 64, 48), whole(frame.picture), cut_out(frame.picture, (10, 10, 60, 60))[0]
            assert all(one.std() > 0 for one in seen)
        whole(hidden_frame(clip))
        passed_through(clip, out)
    assert open_clip(out).colour == clip.colour
    assert clip.colour.space == matrix
    with av.open(str(out)) as container:
        pts = [frame.pts for frame in container.decode(video=0)]
    assert shown_moment(out, pts[3], (10, 10, 60, 60))


@pytest.mark.parametrize(
    "inputs",
    [
        {"display_rotation": 90},
        {"display_rotation": 180},
        {"display_rotation": 270},
        {"display_hflip": None},
        {"display_rotation": 90, "display_hflip": None},
    ],
)
def test_turned_and_mirrored(plain: Path, inputs: dict[str, Any], tmp_path: Path) -> None:
    path = clips.remux(plain, tmp_path / "turned.mp4", inputs=inputs)
    check_both_ways(path, tmp_path / "out.mp4")
    clip = open_clip(path)
    assert (clip.info.width < clip.info.height) == (inputs.get("display_rotation") in (90, 270))


def test_422_turned_a_quarter_becomes_420(tmp_path: Path) -> None:
    upright = clips.make(tmp_path / "upright.mp4", pixel_format="yuv422p10le", picture_filter="setsar=4/3")
    path = clips.remux(upright, tmp_path / "turned.mp4", inputs={"display_rotation": 90})
    clip = open_clip(path)
    assert clip.info.pixel_format == "yuv420p10le"
    assert clip.info.sample_aspect == Fraction(3, 4)
    turned, stored = next(iter(clip.frames())).picture, next(iter(open_clip(upright).frames())).picture
    assert (planes(turned)[0] == np.rot90(planes(stored)[0])).all()
    chroma = np.rot90(planes(stored)[1].astype(int))
    assert np.abs(planes(turned)[1] - (chroma[:, 0::2] + chroma[:, 1::2]) / 2).max() <= 0.5
    check_both_ways(path, tmp_path / "out.mp4", pixels=False)


@pytest.mark.parametrize(
    ("kind", "codec", "first", "options"),
    [
        ("ts", "libx264", "top", {"x264-params": "tff=1", "audio": "ac3"}),
        ("mov", "libx264", "bottom", {"x264-params": "bff=1"}),
        ("mpg", "mpeg2video", "top", {"flags": "+ildct+ilme"}),
    ],
)
def test_interlaced(kind: str, codec: str, first: str, options: dict[str, Any], tmp_path: Path) -> None:
    path = clips.make(
        tmp_path / f"clip.{kind}", codec=codec, rate="50", frames=8,
        picture_filter=f"tinterlace=interleave_{first},setfield={first[0]}ff", **options,
    )  # fmt: skip
    check_both_ways(path, tmp_path / "out.mp4", BWDIF, pixels=False)
    clip = open_clip(path)
    assert clip.info.interlaced
    # Builds of bwdif differ in a stretch's first picture, which has none before it.
    assert [md5 for _, md5, _ in seen(clip)][1:] == [md5 for _, md5 in clips.oracle(path, BWDIF)][1:]
    assert not any(frame.picture.interlaced_frame for frame in clip.frames())


def test_the_last_picture_of_an_interlaced_film_lasts_no_longer(tmp_path: Path) -> None:
    """The filter that takes the lines apart counts durations in half ticks."""
    path = clips.make(
        tmp_path / "clip.mp4", rate="50", frames=24, picture_filter="tinterlace=interleave_top,setfield=tff",
        **{"x264-params": "tff=1"},
    )  # fmt: skip
    clip = open_clip(path)
    assert clip.info.interlaced
    frames = list(clip.frames())
    assert {frame.picture.duration * clip.info.time_base for frame in frames} == {Fraction(1, 25)}
    assert passed_through(clip, tmp_path / "out.mp4").seconds == pytest.approx(len(frames) / 25)


@pytest.mark.parametrize("size", ["2x2", "4x4", "64x4", "4x64"])
def test_an_interlaced_film_too_small_to_be_deinterlaced_is_read_as_it_is(size: str, tmp_path: Path) -> None:
    path = clips.make(
        tmp_path / "clip.mkv", codec="ffv1", size=size, frames=8,
        picture_filter="tinterlace=interleave_top,setfield=tff",
    )  # fmt: skip
    clip = open_clip(path)
    assert clip.info.interlaced
    assert [frame.picture is None for frame in clip.frames()] == [False] * 4
    passed_through(clip, tmp_path / "out.mp4")


def test_an_interlaced_film_that_pauses_keeps_every_frame(tmp_path: Path) -> None:
    """Its average rate is far lower than how its frames follow on each other."""
    path = clips.make(
        tmp_path / "clip.mp4", rate="50", frames=48, picture_filter="tinterlace=interleave_top,setfield=tff,"
        "setpts=PTS+gte(N\\,16)*1.5/TB", fps_mode="passthrough", **{"x264-params": "tff=1"},
    )  # fmt: skip
    whole = clips.oracle(path)
    frames = list(open_clip(path).frames())
    assert [frame.time for frame in frames] == [time for time, _ in whole]
    assert not any(frame.damaged for frame in frames)


def test_a_late_first_frame_stays_late(plain: Path, tmp_path: Path) -> None:
    with_sound = tmp_path / "late.mp4"
    source = clips.ffmpeg.input(str(plain))
    late = clips.ffmpeg.input(str(plain), itsoffset=0.852)
    clips.run(clips.ffmpeg.output(late.video, source.audio, str(with_sound), c="copy"))
    written = check_both_ways(with_sound, tmp_path / "out.mp4")
    assert written.shift == 0
    assert times(tmp_path / "out.mp4")[0] > Fraction(85, 100)


def test_the_late_clip_of_the_evaluation_set(tmp_path: Path) -> None:
    path = needs("hamilton.mp4")
    clip = open_clip(path)
    passed_through(clip, tmp_path / "out.mp4", preset="ultrafast")
    assert times(tmp_path / "out.mp4") == times(path)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_clip_that_was_trimmed_without_encoding_it_anew(codec: str, tmp_path: Path) -> None:
    """It begins with a keyframe that is only there to be leaned on, and shows pictures from a later one on."""
    options = {"x265-params": "log-level=none:keyint=60:min-keyint=60"} if codec == "libx265" else {"g": 60, "bf": 2}
    whole = clips.make(tmp_path / "whole.mp4", codec=codec, frames=90, **options)
    path = clips.remux(whole, tmp_path / "trimmed.mp4", inputs={"ss": "1.5"})
    with av.open(str(path)) as container:
        first = next(container.demux(container.streams.video[0]))
        assert (first.is_discard, first.is_keyframe) == (True, True)
    with open_clip(path) as clip:
        frames = seen(clip)
    assert len(frames) == len(clips.oracle(path)) >= 50
    assert not any(damaged for _, _, damaged in frames)
    assert [told for _, told, _ in frames] == [told for _, told in clips.oracle(path)]


def test_a_trimmed_clip_tells_how_many_frames_it_shows(long: Path, tmp_path: Path) -> None:
    """It told of those before the cut, too; with workers it was looked through a second time because of them."""
    path = clips.remux(long, tmp_path / "trimmed.mp4", inputs={"ss": 0.5}, map="0:v")
    with open_clip(path) as clip:
        assert clip.info.frames == len(list(clip.frames())) < 50


def test_a_trimmed_clip_whose_keyframe_is_broken_is_not_trusted(tmp_path: Path) -> None:
    whole = clips.make(tmp_path / "whole.mp4", codec="libx264", frames=90, g=60, bf=2)
    path = clips.remux(whole, tmp_path / "trimmed.mp4", inputs={"ss": "1.5"}, movflags="faststart")
    with av.open(str(path)) as container:
        first = next(container.demux(container.streams.video[0]))
        at, size = first.pos, first.size
    data = bytearray(path.read_bytes())
    data[at + 4 : at + size] = bytes(size - 4)
    path.write_bytes(data)
    with open_clip(path) as clip:
        frames = seen(clip)
    assert frames
    assert all(damaged for _, _, damaged in frames[: 60 - 38])  # until the next keyframe


def test_a_transport_stream_starts_at_zero(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "clip.ts", audio="ac3")
    written = check_both_ways(path, tmp_path / "out.mp4")
    assert written.shift > 1
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert min(float(stream.start_time * stream.time_base) for stream in container.streams) < 0.001


# Damage


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_cut_tail_is_made_up_of_hidden_frames(long: Path, share: float, tmp_path: Path) -> None:
    path = clips.cut(long, tmp_path / "cut.mp4", share)
    whole = clips.oracle(long)
    clip = open_clip(path)
    frames = seen(clip)
    assert [time for time, _, _ in frames] == [time for time, _ in whole]
    known = dict(whole)
    assert all(known[time] == md5 for time, md5, damaged in frames if not damaged)
    assert frames[-1][2]
    assert frames[-1][1] == ""
    written = passed_through(clip, tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == [time for time, _ in whole]
    assert written.sound == "kept"
    assert written.silences


@pytest.mark.parametrize(("kind", "codec"), [("ts", "libx264"), ("vob", "mpeg2video")])
def test_films_put_one_after_the_other_in_a_file_are_refused(kind: str, codec: str, tmp_path: Path) -> None:
    """Their clock starts anew: the second was gone in a flash, without its sound, and nobody was told."""
    one = clips.make(tmp_path / f"one.{kind}", codec=codec, audio="ac3", frames=75, sound_seconds=3)
    path = tmp_path / f"joined.{kind}"
    path.write_bytes(2 * one.read_bytes())
    assert len(list(open_clip(one).frames())) == 75
    with pytest.raises(QuarantinedError, match="as where films were joined"):
        list(open_clip(path).frames())


@pytest.mark.parametrize("program", ["0x1000", "0x1500"])
@pytest.mark.parametrize("ahead", [0, 4])
def test_films_of_other_streams_put_one_after_the_other_in_a_file_are_refused(
    program: str, ahead: int, tmp_path: Path
) -> None:
    """The second, whose clock goes on, was left out, and the first called the whole."""
    options = {"frames": 50, "sound_seconds": 2, "audio": "ac3"}
    other = {"mpegts_start_pid": "0x200", "mpegts_pmt_start_pid": program, "output_ts_offset": "2"}
    parts = []
    for name, more in (("one", {}), ("two", other)):
        data = clips.make(tmp_path / f"{name}.ts", **options, **more).read_bytes()
        parts.append(b"".join(bytes(ahead) + data[at : at + 188] for at in range(0, len(data), 188)))
    path = tmp_path / "joined.mts"
    for joined in (parts, parts[::-1]):
        path.write_bytes(b"".join(joined))
        with pytest.raises(QuarantinedError, match="films with different streams were joined"):
            open_clip(path)
        with av.open(str(path)) as container:
            assert extent(container, container.streams.video[0]).end > 3
        sound = Sound(path)
        assert sum(frame.samples for frame in sound.rest(Fraction(3), Fraction(3))) > 48000
    path.write_bytes(parts[0])
    assert len(list(open_clip(path).frames())) == 50


@pytest.mark.parametrize(("first", "second", "later"), [("3", "4", "0"), ("3", "3", "1"), ("4", "3", "0")])
def test_two_programs_side_by_side_are_no_films_that_were_joined(
    first: str, second: str, later: str, tmp_path: Path
) -> None:
    """One of them may begin or end before the other does."""
    path = tmp_path / "two.ts"
    one = ("-itsoffset", later, "-f", "lavfi", "-i", f"testsrc2=size=320x180:rate=25:duration={first}")
    two = ("-f", "lavfi", "-i", f"testsrc=size=160x90:rate=25:duration={second}")
    programs = ("-program", "program_num=1:st=0", "-program", "program_num=2:st=1")
    clips.call(*one, *two, "-map", "0:v", "-map", "1:v", "-c:v", "mpeg2video", *programs, path)
    with open_clip(path) as clip:
        frames = seen(clip)
    assert (clip.info.width, len(frames)) == (320, 25 * int(first))
    assert not any(damaged for _, _, damaged in frames)


def test_a_transport_stream_of_which_a_place_near_its_end_cannot_be_read_is_done_up_to_there(tmp_path: Path) -> None:
    data = clips.make(tmp_path / "clip.ts", codec="mpeg2video", size="640x360", frames=50, **{"b:v": "8M"}).read_bytes()
    broken = len(data) // 2
    assert len(data) - broken > 300_000, "libavformat looks for times of its own at the very end"

    class Disk(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            at = self.tell()
            if at <= broken < (at + size if size is not None and size >= 0 else len(data)):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(size)

    with open_clip(Path("clip.ts"), lambda: Disk(data)) as clip:
        frames = seen(clip)
    assert 20 < len(frames) < 50
    assert [bad for _, _, bad in frames[:20]] == [False] * 20
    assert frames[-1][2], "what follows is not there"


@pytest.mark.parametrize("offset", ["-0.04", "-0.5", "-2"])
@pytest.mark.parametrize(("bf", "rate"), [("0", "25"), ("2", "25"), ("3", "30000/1001")])
def test_an_mkv_that_begins_before_zero_is_refused(bf: str, rate: str, offset: str, tmp_path: Path) -> None:
    """libavformat gives its first packets no times: pictures were squeezed together, out of step with the sound."""
    one = clips.make(tmp_path / "one.mp4", rate=rate, frames=75, audio="aac", sound_seconds=3, bf=bf)
    path = tmp_path / "early.mkv"
    clips.call("-itsoffset", offset, "-i", one, "-c", "copy", "-avoid_negative_ts", "disabled", path)
    with pytest.raises(QuarantinedError, match="begins before its own clock"):
        open_clip(path)


def test_an_avi_that_says_it_lasts_for_hours_more_is_refused(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "clip.avi", codec="mjpeg", pixel_format="yuvj420p")
    data = bytearray(path.read_bytes())
    at = data.index(b"strh") + 8 + 32  # dwLength, in frames
    assert struct.unpack_from("<I", data, at) == (12,)
    struct.pack_into("<I", data, at, 200_000)  # billions are as good
    path.write_bytes(data)
    with pytest.raises(QuarantinedError, match="leaps by 8000 seconds at frame 12"):
        list(open_clip(path).frames())


def test_a_cut_mkv_tells_its_length(long: Path, tmp_path: Path) -> None:
    whole = clips.remux(long, tmp_path / "whole.mkv")
    path = clips.cut(whole, tmp_path / "cut.mkv", 0.6)
    frames = list(open_clip(path).frames())
    assert len(frames) == len(clips.oracle(whole))
    assert frames[-1].picture is None


@pytest.mark.parametrize("held", [Fraction(1), Fraction(5)])
def test_a_still_at_the_end_of_a_whole_mkv_is_no_loss(held: Fraction, tmp_path: Path) -> None:
    """Grey pictures were made up from the start of the last to the end that the file names."""
    times = [Fraction(n, 25) for n in range(60)]
    path = clips.uneven(tmp_path / "clip.mkv", times, held)
    clip = open_clip(path)
    assert [(frame.time, frame.damaged) for frame in clip.frames()] == [(time, False) for time in times]
    cut = open_clip(clips.cut(path, tmp_path / "cut.mkv", 0.6))
    assert list(cut.frames())[-1].time >= 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_flipped_bits_lose_no_frame_and_no_time(long: Path, kind: str, seed: int, tmp_path: Path) -> None:
    whole = clips.remux(long, tmp_path / f"whole.{kind}", map="0:v")
    path = clips.flip(whole, tmp_path / f"flipped.{kind}", 4 if kind == "mp4" else 2, seed)
    clip = open_clip(path)
    first, second = list(clip.frames()), list(clip.frames())
    if kind == "mp4":
        assert [frame.time for frame in first] == [time for time, _ in clips.oracle(long)]
    assert [(frame.number, frame.pts) for frame in first] == [(frame.number, frame.pts) for frame in second]
    assert {frame.number for frame in first if frame.damaged} <= {frame.number for frame in second if frame.damaged}
    passed_through(clip, tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == [frame.time - first[0].time * (kind == "ts") for frame in first]


def test_what_leans_on_a_loss_is_damaged_until_the_next_keyframe(long: Path, tmp_path: Path) -> None:
    """One packet made unreadable: it and all that was decoded after it, up to the keyframe at one second. A second pass
    knows, and distrusts what was decoded before it since the keyframe as well."""
    with av.open(str(long)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        place, size, pts = packets[4].pos, packets[4].size, packets[4].pts
        after = {packet.pts for packet in packets[4:25]}
    data = bytearray(long.read_bytes())
    data[place : place + size] = bytes(size)
    path = tmp_path / "lost.mp4"
    path.write_bytes(data)
    clip = open_clip(path)
    frames = list(clip.frames())
    assert len(frames) == 50
    damaged = {frame.pts for frame in frames if frame.damaged}
    assert after <= damaged
    assert frames[0].pts not in damaged
    assert {frame.number for frame in clip.frames() if frame.damaged} == set(range(25))
    assert next(frame for frame in frames if frame.pts == pts).damaged
    assert not any(frame.damaged for frame in frames[25:])


@pytest.mark.parametrize(
    ("codec", "kind", "options"),
    [
        ("libx265", "mkv", {"preset": "medium", "x265-params": "open-gop=1:keyint=25:log-level=none"}),
        ("libx265", "ts", {"preset": "medium", "x265-params": "open-gop=1:keyint=25:log-level=none"}),
        ("libx264", "ts", {"preset": "medium", "x264-params": "open-gop=1:keyint=26:b-adapt=0:repeat-headers=1"}),
        ("mpeg2video", "ts", {"bf": "2", "g": "12"}),
    ],
)
def test_a_film_cut_before_an_open_group_loses_only_what_leans_on_what_is_gone(
    codec: str, kind: str, options: dict[str, str], tmp_path: Path
) -> None:
    whole = clips.make(tmp_path / f"whole.{kind}", codec=codec, frames=75, size="320x240", **options)
    with av.open(str(whole)) as old, av.open(str(tmp_path / f"cut.{kind}"), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        keys = 0
        for packet in old.demux(video=0):
            keys += packet.is_keyframe
            if keys >= 2 and packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    with open_clip(whole) as clip:
        before = [picture for _, picture, _ in seen(clip)]
    with open_clip(tmp_path / f"cut.{kind}") as clip:
        frames = seen(clip)
    damaged = [bad for _, _, bad in frames]
    leading = sum(damaged)
    assert 0 < leading <= 3
    assert not any(damaged[leading:]), "what is shown from the first keyframe on is whole"
    assert [picture for _, picture, _ in frames[leading:]] == before[leading - len(frames) :]


def test_interlaced_damage_keeps_its_place(tmp_path: Path) -> None:
    path = clips.make(
        tmp_path / "clip.mp4", rate="50", frames=20, picture_filter="tinterlace=interleave_top,setfield=tff",
        g=5, **{"x264-params": "tff=1"},
    )  # fmt: skip
    whole = clips.oracle(path)
    broken = clips.blank(path, tmp_path / "broken.mp4", 0.5, 300)
    frames = list(open_clip(broken).frames())
    assert [frame.time for frame in frames] == [time for time, _ in whole]
    assert 0 < sum(frame.damaged for frame in frames) < len(frames)


@pytest.mark.parametrize("codec", ["libx264", "libsvtav1"])
def test_closing_a_decoder_at_work_never_hangs(codec: str, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "clip.mp4", codec=codec, size="320x240", frames=30)
    for _ in range(20):
        for frame in open_clip(path).frames():
            if frame.number == 1:
                break


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv"])
def test_a_picture_whose_edges_are_cut_away_is_refused(kind: str, plain: Path, tmp_path: Path) -> None:
    """What an editor cut away by the container's word alone came back in the finished film."""
    path = clips.cropped(plain, tmp_path / "clap.mp4", 96, 64)
    path = path if kind == "mp4" else clips.remux(path, tmp_path / f"clip.{kind}")
    with pytest.raises(QuarantinedError, match="more picture than players show"):
        open_clip(path)
    assert open_clip(clips.cropped(plain, tmp_path / "whole.mp4", 128, 96)).info.width == 128


@pytest.mark.parametrize(("codec", "metadata"), [("libx264", "h264_metadata"), ("libx265", "hevc_metadata")])
@pytest.mark.parametrize("edges", ["crop_left=100", "crop_left=30:crop_right=14:crop_top=22:crop_bottom=6"])
def test_edges_that_the_stream_itself_cuts_away_stay_away(
    codec: str, metadata: str, edges: str, tmp_path: Path
) -> None:
    whole = clips.make(tmp_path / "whole.mp4", codec=codec, size="640x360")
    path = clips.remux(whole, tmp_path / "cut.mp4", **{"bsf:v": f"{metadata}={edges}"})
    check_both_ways(path, tmp_path / "out.mp4")


def test_a_change_of_size_is_damage(tmp_path: Path) -> None:
    small = clips.make(tmp_path / "a.ts", size="128x96")
    large = clips.make(tmp_path / "b.ts", size="192x128")
    path = tmp_path / "both.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    clip = open_clip(path)
    frames = list(clip.frames())
    assert len(frames) == 24
    assert [frame.damaged for frame in frames].count(True) >= 12
    assert all(frame.picture is None or frame.picture.width == 128 for frame in frames)
    assert all(one.pts < two.pts for one, two in itertools.pairwise(frames))


# What is no clip


def bad(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda folder: folder / "missing.mp4", ClipNotFoundError),
        (lambda folder: folder, ClipNotFoundError),
        (lambda folder: bad(folder, "zero.mp4", b""), NotAVideoError),
        (lambda folder: bad(folder, "text.mp4", b"This is a shopping list.\n" * 40), NotAVideoError),
        (lambda folder: bad(folder, "text.txt", b"This is a shopping list.\n" * 40), NotAVideoError),
        (lambda folder: bad(folder, "list.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"), NotAVideoError),
        (lambda folder: clips.cut(clips.make(folder / "a.mp4"), folder / "b.mp4", 0.5), TruncatedVideoError),
    ],
)
def test_bad_input(make: Callable[[Path], Path], error: type[Exception], tmp_path: Path) -> None:
    path = make(tmp_path)
    with pytest.raises(error) as caught:
        open_clip(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("keeps", ["some of the frames", "the picture alone", "all but the last byte"])
def test_an_index_that_was_cut_short_is_not_taken_for_the_whole(keeps: str, plain: Path, tmp_path: Path) -> None:
    data = plain.read_bytes()
    start, stop = next((start, stop) for kind, start, stop in clips.boxes(data) if kind == "moov")
    assert stop == len(data), "it lies behind the picture"
    if keeps == "some of the frames":
        stop = data.index(b"stco", start) + 24
    elif keeps == "the picture alone":
        stop = data.rindex(b"trak", start) - 4
    path = bad(tmp_path, "cut.mp4", data[: min(stop, len(data) - 1)])
    for opener in (None, lambda: io.BytesIO(path.read_bytes())):
        with pytest.raises(TruncatedVideoError):
            open_clip(path, opener)


def test_sound_alone_and_cover_art_are_no_film(tmp_path: Path) -> None:
    alone = tmp_path / "alone.m4a"
    clips.run(clips.ffmpeg.output(clips.sound(), str(alone)))
    with pytest.raises(NoVideoStreamError):
        open_clip(alone)
    art, covered = tmp_path / "art.png", tmp_path / "covered.m4a"
    video, options = clips.picture(frames=1, pixel_format="rgb24")
    clips.run(clips.ffmpeg.output(video, str(art), **options))
    streams = clips.ffmpeg.input(str(alone)), clips.ffmpeg.input(str(art))
    clips.run(clips.ffmpeg.output(*streams, str(covered), **{"c": "copy", "disposition:v": "attached_pic"}))
    with pytest.raises(NoVideoStreamError):
        open_clip(covered)


def test_a_name_that_looks_like_a_protocol(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "http:clip %03d.mp4"
    shutil.copy(plain, path)
    with open_clip(path) as clip:
        assert len(list(clip.frames())) == 12


# Pixels


def test_drawing_in_a_writable_picture_leaves_the_decoder_alone(plain: Path) -> None:
    clip = open_clip(plain)
    untouched = [md5 for _, md5, _ in seen(clip)]
    drawn = []
    for frame in clip.frames():
        drawn.append(digest(frame.picture))
        for plane in planes(frame.picture, writable=True):
            plane[:] = 128
        assert digest(frame.picture) != drawn[-1]
    assert drawn == untouched
    with pytest.raises(ValueError, match="read-only"):
        planes(frame.picture)[0][0, 0] = 1


def test_what_is_drawn_is_what_is_written(plain: Path, tmp_path: Path) -> None:
    clip = open_clip(plain)
    with ClipWriter(tmp_path / "out.mp4", clip) as writer:
        for frame in clip.frames():
            planes(frame.picture, writable=True)[0][:48] = 200
            writer.write(frame.picture, frame.pts)
        writer.close()
    for frame in open_clip(tmp_path / "out.mp4").frames():
        assert np.abs(planes(frame.picture)[0][:40].astype(int) - 200).max() < 12


# The output


def clicks(path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Times (seconds) at which the test sound clicks."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
    rate, start = frames[0].sample_rate, float(frames[0].pts * frames[0].time_base)
    resampler = av.AudioResampler("fltp", frames[0].layout, rate)
    line = np.abs(np.concatenate([out.to_ndarray()[0] for frame in frames for out in resampler.resample(frame)]))
    loud = np.flatnonzero(line > 0.7 * line.max()) / rate + start
    return loud[np.r_[True, np.diff(loud) > 0.05]] if len(loud) else loud


@pytest.mark.parametrize(
    ("kind", "codec", "rate", "channels"),
    [
        ("mp4", "aac", 44100, 2),
        ("mov", "pcm_s16le", 48000, 1),
        ("mkv", "flac", 37800, 2),
        ("ts", "ac3", 48000, 6),
        ("webm", "libopus", 48000, 2),
    ],
)
def test_sound_stays_in_sync(kind: str, codec: str, rate: int, channels: int, tmp_path: Path) -> None:
    path = clips.make(
        tmp_path / f"clip.{kind}", audio=codec, sound_rate=rate, sound_channels=channels, sound_seconds=2, frames=50,
        codec="libvpx-vp9" if kind == "webm" else "libx264",
    )  # fmt: skip
    written = passed_through(open_clip(path), tmp_path / "out.mp4")
    assert (written.sound, written.silences) == ("kept", ())
    before, after = clicks(path), clicks(tmp_path / "out.mp4") + float(written.shift)
    assert len(before) == len(after) > 15
    assert np.abs(before - after).max() < 1024 / 48000
    with av.open(str(tmp_path / "out.mp4")) as container:
        sound = container.streams.audio[0]
        assert sound.codec_context.name == "aac"
        assert sound.codec_context.layout.nb_channels == channels
        assert sound.codec_context.sample_rate in (rate, 44100, 32000)


@pytest.mark.parametrize("ticks", ["10", "30"])
def test_sound_that_begins_later_does_so_to_the_millisecond_in_a_film_of_few_ticks(ticks: str, tmp_path: Path) -> None:
    whole = clips.make(tmp_path / "whole.mov", audio="pcm_s16le", rate="10", frames=20, sound_seconds=2)
    path, late = tmp_path / "clip.mov", ["-itsoffset", "0.371", "-i", whole, "-map", "0:v", "-map", "1:a"]
    clips.call("-i", whole, *late, "-c:v", "mjpeg", "-c:a", "copy", "-video_track_timescale", ticks, path)
    assert open_clip(path).info.time_base == Fraction(1, int(ticks))
    passed_through(open_clip(path), tmp_path / "out.mp4")
    before, after = clicks(path), clicks(tmp_path / "out.mp4")
    assert len(before) == len(after) > 15
    assert np.abs(before - after).max() < 0.002


@pytest.mark.parametrize("channels", [4, 5, 7, 8])
def test_channels_that_are_mixed_are_not_cut_off_at_the_top(channels: int, tmp_path: Path) -> None:
    """Four microphones that hear the same came to more than the loudest sample there is."""
    path, loud = tmp_path / "clip.mov", "|".join(["0.6*sin(2*PI*440*t)"] * channels)
    tone = ["-f", "lavfi", "-i", f"aevalsrc={loud}:s=48000:d=2"]
    clips.call("-f", "lavfi", "-i", "testsrc2=size=128x96:duration=2", *tone, "-c:a", "pcm_s16le", path)
    passed_through(open_clip(path), tmp_path / "out.mp4")
    assert 0.3 < loudest(tmp_path / "out.mp4", 0.2, 1.8) < 0.7


@pytest.mark.parametrize("audio", ["keep", "disguise"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1e20])
def test_samples_that_are_no_sound_cost_no_film_and_nothing_besides_them(
    wrong: float, audio: str, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mov"
    with av.open(str(path), "w") as out:
        pictures = out.add_stream("libx264", rate=25, options={"bf": "0"})
        pictures.width, pictures.height, pictures.pix_fmt = 128, 96, "yuv420p"
        track = out.add_stream("pcm_f32le", rate=48000, layout="mono")
        for n in range(50):
            picture = av.VideoFrame.from_ndarray(np.full((96, 128, 3), 99, np.uint8), "rgb24")
            tone = np.sin(np.arange(n * 1920, (n + 1) * 1920, dtype=np.float32) * 0.05)[None] * 0.3
            tone[:, 5:9] = wrong if n == 10 else 0
            sound = av.AudioFrame.from_ndarray(tone.astype(np.float32), "flt", "mono")
            picture.pts, picture.time_base = n, Fraction(1, 25)
            sound.pts, sound.sample_rate, sound.time_base = n * 1920, 48000, Fraction(1, 48000)
            out.mux([*pictures.encode(picture), *track.encode(sound)])
        out.mux([*pictures.encode(None), *track.encode(None)])
    passed_through(open_clip(path), tmp_path / "out.mp4", audio=audio)
    assert 0.1 < loudest(tmp_path / "out.mp4", 1, 1.9) <= 1


def quiet(path: Path) -> int:
    """How many stretches of 5 ms hold next to nothing, of a tone of 48 kHz."""
    with av.open(str(path)) as container:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    parts = heard[4800 : len(heard) // 240 * 240 - 4800].reshape(-1, 240)
    return int((np.sqrt((parts**2).mean(axis=1)) < 0.02).sum())


@pytest.mark.parametrize("pace", ["1.001", "0.999", "1.004"])
def test_sound_whose_clock_drifts_has_no_holes(pace: str, tmp_path: Path) -> None:
    """Telephones write so. Each time it was off by 15 ms it was moved, and the hole called unreadable."""
    made, path, out = tmp_path / "made.mp4", tmp_path / "clip.mp4", tmp_path / "out.mp4"
    tone = ["-f", "lavfi", "-i", "aevalsrc=0.3*sin(2*PI*440*t):s=48000:d=40"]
    clips.call("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=5:duration=40", *tone, "-c:a", "aac", made)
    clips.call("-i", made, "-c", "copy", "-bsf:a", f"setts=ts=TS*{pace}", path)
    written = passed_through(open_clip(path), out)
    assert written.silences == ()
    assert quiet(out) == 0
    with av.open(str(path)) as before, av.open(str(out)) as after:
        ends = [
            max((packet.pts + packet.duration) * packet.time_base for packet in one.demux(audio=0) if packet.size)
            for one in (before, after)
        ]
    assert abs(ends[0] - ends[1]) < 0.06


@pytest.mark.parametrize("options", [{"movflags": "frag_keyframe"}, {"use_editlist": "0"}])
def test_what_lies_before_the_sound_of_an_mp4_is_no_loss(options: dict[str, str], tmp_path: Path) -> None:
    path = clips.make(
        tmp_path / "clip.mp4", frames=50, audio="aac", sound_seconds=2, preset="medium", bf="3", **options
    )
    assert passed_through(open_clip(path), tmp_path / "out.mp4").silences == ()


def test_sound_of_eight_channels_becomes_stereo(tmp_path: Path) -> None:
    """In a process of its own: the program died of it, and a folder of clips with it."""
    path = clips.make(tmp_path / "clip.mkv", audio="flac", sound_channels=8, sound_seconds=2, frames=50)
    work = "\n".join(
        [
            "import sys",
            "from pathlib import Path",
            "from tests.integration.test_video import open_clip, passed_through",
            "written = passed_through(open_clip(Path(sys.argv[1])), Path(sys.argv[2]))",
            "assert (written.sound, written.silences) == ('kept', ())",
        ]
    )
    out = tmp_path / "out.mp4"
    subprocess.run([sys.executable, "-c", work, path, out], check=True, cwd=Path(__file__).parents[2])
    heard = clicks(out)
    assert len(heard) > 15
    assert np.abs(heard - heard.round(1)).max() < 1024 / 48000
    with av.open(str(out)) as container:
        assert container.streams.audio[0].layout.name == "stereo"


def test_the_sound_that_can_be_decoded_is_kept(tmp_path: Path) -> None:
    """Newer iPhones put surround sound that nobody else can decode before the stereo, both marked default."""
    tone = ("-f", "lavfi", "-i", "sine=440:duration=1")
    picture = ("-f", "lavfi", "-i", "testsrc2=size=128x96:rate=25:duration=1")
    mapped = [word for stream in ("0", "1", "2") for word in ("-map", stream)]
    default = [word for stream in ("a:0", "a:1") for word in (f"-disposition:{stream}", "default")]
    path = tmp_path / "clip.mov"
    clips.call(*picture, *tone, *tone, *mapped, "-c:v", "libx264", "-c:a", "aac", *default, path)
    data = bytearray(path.read_bytes())
    at = data.index(b"mp4a", data.index(b"soun"))
    data[at : at + 4] = b"apac"
    about = data.index(b"esds", at)
    data[about : about + 4] = b"dapa"
    path.write_bytes(data)
    clip = open_clip(path)
    assert clip.info.audio == "aac"
    written = passed_through(clip, tmp_path / "out.mp4")
    assert (written.sound, written.silences) == ("kept", ())
    assert loudest(tmp_path / "out.mp4", 0.2, 0.8) > 0.05


def test_a_gap_in_the_sound_becomes_silence(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "whole.mkv", audio="pcm_s16le", sound_seconds=2, frames=50)
    path = clips.without_sound_between(source, tmp_path / "gap.mkv", 0.5, 1.2)
    written = passed_through(open_clip(path), tmp_path / "out.mp4")
    assert len(written.silences) == 1
    assert written.silences[0] == pytest.approx((0.5, 1.2), abs=0.05)
    before, after = clicks(source), clicks(tmp_path / "out.mp4")
    before, after = (line[(line < 0.45) | (line > 1.25)] for line in (before, after))
    assert np.abs(before - after).max() < 0.021


def test_sound_hours_after_the_picture_is_left_out(tmp_path: Path) -> None:
    """One wrong time, and the film would end in hours of silence."""
    plain = clips.make(tmp_path / "plain.mkv", frames=50, audio="aac", sound_seconds=2.0)
    path = tmp_path / "clip.mkv"
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        streams = {one.index: target.add_stream_from_template(one) for one in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio" and packet.pts * packet.time_base > 1.5:
                packet.pts += round(10**9 / packet.time_base)
                packet.dts = packet.pts
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
    sound = Sound(path)
    sound.begin(Fraction(0))
    pieces = itertools.chain(sound.until(Fraction(2)), sound.rest(Fraction(2), Fraction(49, 25)))
    heard = sum(piece.samples for piece in itertools.islice(pieces, 1000))
    assert heard == pytest.approx(2.0 * sound.rate, abs=0.1 * sound.rate)
    assert sound.silences == [(pytest.approx(1.5, abs=0.1), pytest.approx(2.0, abs=0.1))]


def test_a_film_does_not_wait_hours_for_its_picture(tmp_path: Path) -> None:
    """What is said to be heard so long before it is left out, or silence would be written until the disk is full."""
    plain = clips.make(tmp_path / "plain.mkv", codec="mjpeg", pixel_format="yuvj420p", frames=25, audio="aac")
    path = tmp_path / "clip.mkv"
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        streams = {one.index: target.add_stream_from_template(one) for one in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                if packet.stream.type == "video":
                    packet.pts += round(20_000 / packet.time_base)
                    packet.dts = packet.pts
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    written = passed_through(open_clip(path), tmp_path / "out.mp4")
    assert (written.frames, written.sound) == (25, "lost")
    assert written.bytes < 100_000
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) < 2 * 48000


def test_sound_that_cannot_be_decoded_costs_no_frame(plain: Path, tmp_path: Path) -> None:
    with av.open(str(plain)) as container:
        spans = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    data = bytearray(plain.read_bytes())
    for start, size in spans:
        data[start : start + size] = b"\xff" * size
    path = bad(tmp_path, "deaf.mp4", bytes(data))
    written = passed_through(open_clip(path), tmp_path / "out.mp4")
    assert written.sound == "lost"
    assert written.silences[0] == pytest.approx((0, 0.48), abs=0.03)
    assert times(tmp_path / "out.mp4") == times(plain)


def test_mute(plain: Path, tmp_path: Path) -> None:
    assert passed_through(open_clip(plain), tmp_path / "out.mp4", audio="mute").sound == "muted"
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.parametrize("audio", ["keep", "disguise"])
def test_what_is_muted_to_an_end_of_the_picture_is_muted_beyond_it(audio: Any, tmp_path: Path) -> None:
    """A camera's sound may begin before its picture, and go on after it: nobody can choose a moment there."""
    pictures = clips.make(tmp_path / "pictures.mp4", frames=25)
    path = tmp_path / "clip.mp4"
    late = clips.ffmpeg.input(str(pictures), itsoffset=1)
    clips.run(clips.ffmpeg.output(late.video, clips.sound(4), str(path), **{"c:v": "copy", "c:a": "aac"}))
    clip = open_clip(path)
    whole, plain = tmp_path / "whole.mp4", tmp_path / "plain.mp4"
    passed_through(clip, plain, audio=audio, mutes=[(1.2, 1.8)])
    assert min(loudest(plain, *span) for span in ((0.1, 0.9), (2.1, 3.9))) > 0.05
    passed_through(clip, whole, audio=audio, mutes=[(1.0, 1.2), (1.8, 2.0)])
    assert max(loudest(whole, *span) for span in ((0, 1.17), (1.83, 4))) < 0.01
    assert loudest(whole, 1.3, 1.7) > 0.05


def test_disguise_keeps_time_and_what_is_muted_silent(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "clip.mp4", audio="aac", sound_seconds=2, frames=50)
    plainly = passed_through(open_clip(path), tmp_path / "plain.mp4")
    written = passed_through(open_clip(path), tmp_path / "out.mp4", audio="disguise", mutes=[(0.5, 1.1)])
    assert (plainly.sound, written.sound, written.silences) == ("kept", "disguised", ())
    lengths = []
    for name in ("plain.mp4", "out.mp4"):
        with av.open(str(tmp_path / name)) as container:
            lengths.append(sum(frame.samples for frame in container.decode(audio=0)))
    assert lengths[0] == lengths[1]
    assert loudest(tmp_path / "out.mp4", 0.53, 1.07) < 0.01
    assert loudest(tmp_path / "out.mp4", 1.2, 1.8) > 0.05


def test_nothing_rides_along(tmp_path: Path) -> None:
    """A clip full of planted marks: none is left in the output's bytes, streams or metadata."""
    marks = {
        "title": "MARK-title", "comment": "MARK-comment", "location": "+52.9950+006.5640/", "artist": "MARK-owner",
        "make": "MARK-device", "model": "MARK-model", "creation_time": "2026-03-04T09:10:11", "date": "2026-03-04",
    }  # fmt: skip
    chapters = tmp_path / "chapters.txt"
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=300\ntitle=MARK-chapter\n")
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:00,400\nMARK-subtitle\n")
    base = clips.make(tmp_path / "base.mp4", audio="aac")
    path = tmp_path / "marked.mov"
    metadata = [part for key, value in marks.items() for part in ("-metadata", f"{key}={value}")]
    clips.call(
        "-i", base, "-i", words, "-f", "ffmetadata", "-i", chapters, "-map", "0:v", "-map", "0:a", "-map", "0:a",
        "-map", "1", "-map_chapters", "2", "-c", "copy", "-c:s", "mov_text", "-movflags", "use_metadata_tags",
        "-timecode", "09:10:11:12", "-metadata:s:v", "handler_name=MARK-handler", "-metadata:s:a", "language=nld",
        *metadata, path,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + b"\0\0\0\x28uuid" + b"\xbe\x7a\xcf\xcb" * 4 + b"<x:xmpmeta MARK>")
    assert path.read_bytes().count(b"MARK") >= 6
    written = passed_through(open_clip(path), tmp_path / "out.mp4")
    assert written.sound == "kept"
    data = (tmp_path / "out.mp4").read_bytes()
    for mark in (b"MARK", b"+52.9", b"2026", b"xmp", b"Lavf", b"Lavc", b"x264", b"nld", b"uuid", b"chpl", b"tref"):
        assert mark not in data, mark
    assert b"\0\0\0\x08ilst" in data  # the list of tags that MP4 has room for is empty
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert set(container.metadata) <= {"major_brand", "minor_version", "compatible_brands"}
        assert not container.chapters()
        for stream in container.streams:
            assert stream.metadata.pop("language") == "und"
            assert stream.metadata.pop("handler_name") in ("VideoHandler", "SoundHandler")
            assert not stream.metadata
    kinds = [kind for kind, _, _ in clips.boxes(data)]
    assert kinds.index("moov") < kinds.index("mdat")


def test_keyframes_every_two_seconds(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "clip.mp4", rate="2", frames=10, g=100)
    passed_through(open_clip(path), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        keys = [float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.is_keyframe]
    assert max(np.diff([*keys, 5])) <= 2


def test_a_failure_reaches_the_caller_and_leaves_no_file(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: ClipWriter, picture: av.VideoFrame, last: bool) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(video_out.ClipWriter, "_encode", full)
    with pytest.raises(DiskFullError, match="full"):
        passed_through(open_clip(plain), tmp_path / "out.mp4")
    assert not list(tmp_path.iterdir())


def test_a_film_too_large_for_the_system_of_its_disk(tmp_path: Path) -> None:
    """As one of over 4 GiB on FAT32; a limit on the size of files stands in for it. A full disk: test_cli_redact."""
    path = clips.make(tmp_path / "clip.mp4", size="640x480", frames=50)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(OutputNotWritableError, match="too large"):
            passed_through(open_clip(path), tmp_path / "out.mp4", crf=5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "out.mp4").exists()


def test_no_way_to_write(plain: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "out.mp4", tmp_path):
        with pytest.raises(OutputNotWritableError, match=str(path)):
            ClipWriter(path, open_clip(plain))


def test_abort_leaves_nothing(plain: Path, tmp_path: Path) -> None:
    clip = open_clip(plain)

    def interrupted() -> None:
        with ClipWriter(tmp_path / "out.mp4", clip) as writer:
            for frame in clip.frames():
                writer.write(frame.picture, frame.pts)
                if frame.number == 5:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_times_must_rise(plain: Path, tmp_path: Path) -> None:
    clip = open_clip(plain)
    with ClipWriter(tmp_path / "out.mp4", clip) as writer:
        writer.write(hidden_frame(clip), 10)
        with pytest.raises(ValueError, match="after"):
            writer.write(hidden_frame(clip), 10)


def test_metadata_that_is_not_utf8_stops_nothing(plain: Path, tmp_path: Path) -> None:
    """What an old camera or another program wrote in Latin-1; nothing of it survives."""
    path = tmp_path / "les.mp4"
    path.write_bytes(plain.read_bytes().replace(b"VideoHandler", b"Vid\xe9oHandler"))
    assert path.read_bytes() != plain.read_bytes()
    clip = open_clip(path)
    assert seen(clip) == seen(open_clip(plain))
    assert filmed_on(lambda: path.open("rb")) is None
    passed_through(clip, tmp_path / "out.mp4")
    assert extras(tmp_path / "out.mp4") == []
