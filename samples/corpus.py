"""Odd footage, made on the spot: one small film of one face in every container, codec and shape that cameras make.

Grace Hopper's portrait (public domain, see people.py) moves through a drawn room. Where the face is at which moment is
known exactly, so that a result can be judged without any detector. Broken copies are made by damage.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import av.codec.context
import cv2
import numpy as np

from . import sound
from .people import F32, U8, sources

HEAD = (150, 20, 380, 375)
"""The head in the portrait: x1, y1, x2, y2 in its pixels; the face without the hair is FACE."""
FACE = (185, 135, 345, 335)

FRAMES = 15


@dataclass(frozen=True)
class Odd:
    """One kind of film. ``kind`` is the ending of its name; sizes in pixels as shown, ``rate`` in frames per second.

    ``options`` go to the encoder, ``muxer`` to the container. ``late`` is when the picture starts, in seconds;
    ``times`` are the ticks (of 1/``rate``) of all frames where they are not 0, 1, 2 and so on. ``turn`` is how far a
    player has to turn the stored picture, in degrees. ``colour``: range, primaries, transfer, space (ITU-T H.273).
    """

    name: str
    codec: str
    kind: str
    size: tuple[int, int] = (256, 192)
    frames: int = FRAMES
    rate: Fraction = Fraction(25)
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    muxer: dict[str, str] = field(default_factory=dict)
    times: tuple[int, ...] = ()
    late: Fraction = Fraction(0)
    turn: int = 0
    aspect: Fraction = Fraction(1)
    colour: tuple[int, int, int, int] | None = None
    interlaced: bool = False
    cuts: bool = False
    heard: str = ""

    @property
    def ticks(self) -> tuple[int, ...]:
        return self.times or tuple(range(self.frames))


@dataclass(frozen=True)
class Film:
    """A film that was made: where, and what is in it. ``faces`` (N, 4) is the face's box in every frame, in pixels as
    shown; ``times`` (N,) are seconds from the first frame. ``face`` is the face itself, (H, W, 3) BGR."""

    path: Path
    odd: Odd
    times: tuple[Fraction, ...]
    faces: F32
    face: U8


FAST = {"preset": "ultrafast"}
VP9 = {"deadline": "realtime", "cpu-used": "8"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none"}
AV1 = {"preset": "12", "svtav1-params": "tune=0"}
CODECS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "libx264": (FAST | {"bf": "2"}, ("mp4", "mov", "mkv", "mts", "m2ts", "avi")),
    "libx265": (X265, ("mp4", "mov", "mkv", "ts")),
    "mpeg2video": ({"b": "2000000", "bf": "2"}, ("mpg", "ts", "mov", "mkv", "avi")),
    "mjpeg": ({"q": "4"}, ("avi", "mov", "mkv")),
    "libvpx-vp9": (VP9 | {"b": "900000"}, ("webm", "mkv", "mp4")),
    "libsvtav1": (AV1 | {"crf": "30"}, ("mp4", "mkv", "webm")),
}
"""Encoder: its options, and the containers in which it occurs."""

VARIABLE = (0, 1, 2, 5, 6, 7, 8, 15, 16, 18, 19, 20, 40, 41, 42)
TFF, BFF = {"x264-params": "tff=1"}, {"x264-params": "bff=1"}
HLG, PQ = (1, 9, 18, 9), (1, 9, 16, 9)


def every_odd() -> list[Odd]:
    """All kinds: first every container with every codec, then what is odd about a film."""
    pairs = []
    for codec, (options, kinds) in CODECS.items():
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        short = codec.removeprefix("lib").removesuffix("video")
        pairs += [Odd(f"{short} in {kind}", codec, kind, pixels=pixels, options=options) for kind in kinds]
    h264 = Odd("", "libx264", "mp4", options=FAST)
    hevc = Odd("", "libx265", "mp4", options=X265)
    mpeg2 = Odd("", "mpeg2video", "mpg", options={"b": "3000000"})
    tall = (192, 256)
    return [
        *pairs,
        replace(h264, name="variable frame rate, mp4", times=VARIABLE),
        replace(h264, name="variable frame rate, mkv", kind="mkv", times=VARIABLE),
        replace(h264, name="29.97 frames a second", rate=Fraction(30000, 1001)),
        replace(h264, name="59.94 frames a second", rate=Fraction(60000, 1001), frames=24),
        replace(h264, name="turned 90", kind="mov", turn=90, size=tall),
        replace(h264, name="turned 180", turn=180),
        replace(h264, name="turned 270", turn=270, size=tall),
        replace(h264, name="turned 90, 4:2:2 10 bit", turn=90, size=tall, pixels="yuv422p10le"),
        replace(h264, name="interlaced h264, top first", kind="mts", interlaced=True, options=FAST | TFF),
        replace(h264, name="interlaced h264, bottom first", kind="mov", interlaced=True, options=FAST | BFF),
        replace(mpeg2, name="interlaced mpeg2", interlaced=True, options={"b": "3000000", "flags": "+ildct+ilme"}),
        replace(hevc, name="HDR, PQ, 10 bit", pixels="yuv420p10le", colour=PQ),
        replace(hevc, name="HDR, HLG, 10 bit", kind="mkv", pixels="yuv420p10le", colour=HLG),
        replace(h264, name="4:2:2, 8 bit", kind="mov", pixels="yuv422p"),
        replace(h264, name="4:2:2, 10 bit", kind="mov", pixels="yuv422p10le"),
        replace(h264, name="4:4:4", pixels="yuv444p"),
        replace(h264, name="full range", pixels="yuvj420p"),
        Odd("prores 4:2:2, 10 bit", "prores_ks", "mov", pixels="yuv422p10le"),
        Odd("odd size, vp9", "libvpx-vp9", "webm", size=(257, 193), options=VP9),
        replace(h264, name="odd size, 4:4:4", size=(255, 191), pixels="yuv444p"),
        replace(h264, name="odd height, 4:2:2", kind="mkv", size=(256, 193), pixels="yuv422p"),
        replace(h264, name="pixels that are not square", aspect=Fraction(4, 3), size=(192, 192)),
        replace(h264, name="one frame, mp4", frames=1),
        replace(mpeg2, name="one frame, mpg", frames=1),
        replace(h264, name="one frame, mkv", kind="mkv", frames=1),
        replace(h264, name="two frames, avi", kind="avi", frames=2),
        replace(h264, name="a cut at every frame", cuts=True, options=FAST | {"g": "1"}),
        replace(h264, name="a cut at every frame, long GOP", cuts=True, options=FAST | {"sc_threshold": "0"}),
        replace(h264, name="picture 0.84 s after the sound", late=Fraction(21, 25), heard="aac"),
        replace(h264, name="picture 0.84 s after the sound, mkv", kind="mkv", late=Fraction(21, 25), heard="aac"),
        replace(h264, name="a gap of 3 s", times=(*range(8), *range(83, 90))),
        replace(h264, name="one frame in ten seconds", times=tuple(range(0, 1500, 250)), frames=6),
    ]  # fmt: skip


@lru_cache(maxsize=8)
def _head(height: int) -> tuple[U8, F32, tuple[int, int, int, int]]:
    """The head so high, its outline (0..1), and where in it the face is."""
    x1, y1, x2, y2 = HEAD
    scale = height / (y2 - y1)
    size = (round((x2 - x1) * scale), height)
    picture = cv2.resize(sources()[0][y1:y2, x1:x2], size, interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
    away = ((2 * x / (size[0] - 1) - 1) ** 2 + (2 * y / (size[1] - 1) - 1) ** 2).astype(np.float32)
    outline = np.clip((1 - away) * 4, 0, 1).astype(np.float32)
    left, top, right, bottom = (round((v - o) * scale) for v, o in zip(FACE, (x1, y1, x1, y1), strict=True))
    return np.asarray(picture, np.uint8), outline, (left, top, right, bottom)


@lru_cache(maxsize=16)
def _room(size: tuple[int, int], number: int) -> U8:
    """A wall with a board and boxes of plain colours; ``number`` chooses another."""
    width, height = size
    dice = np.random.default_rng((5, number))
    y = np.linspace(0, 1, height)[:, None, None]
    wall = dice.integers(60, 200, 3) * (1 - 0.35 * y) + np.zeros((height, width, 3))
    for _ in range(7):
        w, h = dice.integers(width // 8, width // 3), dice.integers(height // 8, height // 3)
        left, top = dice.integers(0, width - w), dice.integers(0, height - h)
        wall[top : top + h, left : left + w] = dice.integers(30, 225, 3)
    wall += dice.normal(0, 2.5, wall.shape)
    return np.asarray(wall.clip(0, 255), np.uint8)


def drawn(size: tuple[int, int], at: float, cuts: bool = False) -> tuple[U8, tuple[int, int, int, int]]:
    """The picture (H, W, 3) BGR at one moment of the film (``at`` counts frames), and the face's box in it."""
    width, height = size
    head, outline, face = _head(int(0.62 * min(size)))
    tall, wide = outline.shape
    if cuts:
        dice = np.random.default_rng((9, int(at)))
        left, top = int(dice.integers(0, width - wide)), int(dice.integers(0, height - tall))
    else:
        left = round((width - wide) * (0.5 + 0.42 * np.sin(0.17 * at)))
        top = round((height - tall) * (0.5 + 0.40 * np.sin(0.23 * at + 1)))
    picture = _room(size, int(at) if cuts else 0).copy()
    under = picture[top : top + tall, left : left + wide]
    under[:] = cv2.blendLinear(head, np.ascontiguousarray(under), outline, 1 - outline)
    return picture, (left + face[0], top + face[1], left + face[2], top + face[3])


def _stored(odd: Odd) -> Iterator[tuple[U8, tuple[int, int, int, int]]]:
    """Every frame as shown, with the face's box."""
    for number in range(odd.frames):
        picture, box = drawn(odd.size, number, odd.cuts)
        if odd.interlaced:
            later, _ = drawn(odd.size, number + 0.5)
            first = 1 if odd.options.get("x264-params") == "bff=1" else 0
            picture[1 - first :: 2] = later[1 - first :: 2]
        yield picture, box


def make_film(odd: Odd, folder: Path) -> Film:
    """Write the film to ``folder`` under its name. Nothing is written over: FileExistsError."""
    path = folder / f"{odd.name.replace(' ', '_').replace(',', '').replace(':', '')}.{odd.kind}"
    if path.exists():
        raise FileExistsError(f"{path} exists; nothing is written over")
    container_format = {"mts": "mpegts", "m2ts": "mpegts", "ts": "mpegts", "mpg": "vob"}.get(odd.kind)
    muxer = odd.muxer | ({"mpegts_m2ts_mode": "1"} if odd.kind in ("mts", "m2ts") else {})
    muxer |= {"movflags": "+faststart"} if odd.kind in ("mp4", "mov") else {}
    boxes: list[tuple[int, int, int, int]] = []
    with av.open(str(path), "w", format=container_format, options=muxer) as container:
        video = _picture(container, odd)
        audio: Any = None
        if odd.heard:
            audio = container.add_stream(odd.heard, rate=sound.RATE)
            audio.layout, audio.bit_rate = "mono", 96_000
        start = round(odd.late * odd.rate)
        pictures = []
        for tick, (picture, box) in zip(odd.ticks, _stored(odd), strict=True):
            boxes.append(box)
            frame = _frame(picture, odd)
            frame.pts, frame.time_base = tick + start, 1 / odd.rate
            pictures += video.encode(frame)
        pictures += video.encode()
        heard = []
        if audio is not None:
            heard = [packet for _, packet in sound.packets(audio, float((odd.ticks[-1] + 1 + start) / odd.rate), 3)]
        container.mux(heard + pictures)
    if odd.turn:
        turn(path, odd.turn)
    x1, y1, x2, y2 = boxes[0]
    face = drawn(odd.size, 0, odd.cuts)[0][y1:y2, x1:x2]
    times = tuple((tick - odd.ticks[0]) / odd.rate for tick in odd.ticks)
    return Film(path, odd, times, np.array(boxes, np.float32), face)


def _picture(container: Any, odd: Odd) -> Any:
    video = container.add_stream(odd.codec, rate=odd.rate, options=odd.options)
    context = video.codec_context
    width, height = odd.size[::-1] if odd.turn in (90, 270) else odd.size
    context.width, context.height, context.pix_fmt = width, height, odd.pixels
    context.time_base = video.time_base = 1 / odd.rate
    context.sample_aspect_ratio = odd.aspect
    context.gop_size = int(odd.options.get("g", 12))
    context.thread_count = 1
    context.color_range = 2 if odd.pixels.startswith("yuvj") else 1
    if odd.colour:
        context.color_range, context.color_primaries, context.color_trc, context.colorspace = odd.colour
    return video


def _frame(picture: U8, odd: Odd) -> av.VideoFrame:
    if odd.turn:
        picture = np.ascontiguousarray(np.rot90(picture, odd.turn // 90))
    frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
    full = odd.pixels.startswith("yuvj")
    return frame.reformat(format=odd.pixels, dst_color_range=2 if full else 1)


def turn(path: Path, degrees: int) -> None:
    """Say in an MP4's or MOV's track header how far its picture is to be turned clockwise (the matrix of tkhd)."""
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = b"".join(
        int(value).to_bytes(4, "big", signed=True)
        for value in (cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    )
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    at += 40 if data[at] == 0 else 52  # version 1 has three times of 8 bytes instead of 4
    data[at : at + 36] = matrix
    path.write_bytes(bytes(data))
