"""What is done to a decoded picture before anyone sees it: deinterlaced, made planar YUV, turned upright.

A picture that needs none of it passes as it is, not copied.
"""

from __future__ import annotations

import math
import re
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
import av.error
import av.filter
import cv2
import numpy as np
import xxhash
from av.video.reformatter import VideoReformatter

from pipeline.adapters.packets import Sample
from pipeline.records import U8, Plane

NATIVE = re.compile(r"yuvj?4(20|22|44)p(10le)?")
"""Pixel formats that pass as they are."""


CONVERTIBLE = frozenset({0, 1, 2, 4, 5, 6, 7, 9})
"""Colour matrices, as H.273 counts them, that swscale and the filters take; the others exist for HDR, or as a mistake
of a camera."""


class _Scalers(threading.local):
    """Each thread's own, by the size that they scale to."""

    def __init__(self) -> None:
        self.to: dict[tuple[int, int], VideoReformatter] = {}


_scalers = _Scalers()


@dataclass(frozen=True)
class Colour:
    """How a picture's numbers are to be read: ITU-T H.273 codes, and range 1 (16..235) or 2 (full).

    A source that does not state its range has the narrow one; that is what every player takes it for.
    """

    range: int = 1
    primaries: int = 2
    transfer: int = 2
    space: int = 2

    @classmethod
    def of(cls, picture: av.VideoFrame) -> Colour:
        full = picture.format.name.startswith("yuvj") or int(picture.color_range) == 2
        return cls(
            2 if full else 1,
            int(picture.color_primaries),
            int(picture.color_trc),
            int(picture.colorspace),
        )

    def put_on(self, picture: av.VideoFrame) -> None:
        picture.color_range = self.range
        picture.color_primaries = self.primaries
        picture.color_trc = self.transfer
        picture.colorspace = self.space
        make_convertible(picture)


def make_convertible(picture: av.VideoFrame) -> None:
    """Let a picture whose colour matrix nobody here can convert from count as one that names none; its samples stay."""
    if int(picture.colorspace) not in CONVERTIBLE:
        picture.colorspace = Colour.space


def planes(picture: av.VideoFrame, writable: bool = False) -> list[Plane]:
    """Y, U and V of a planar picture as (height, width) views of its memory, uint8 or uint16, cropped to the picture.

    With ``writable`` the picture gets a buffer of its own first: a decoded picture shares its buffer with the
    references of the decoder, and drawing in it would change the pictures that follow.
    """
    if writable:
        picture.make_writable()
    deep = picture.format.name.endswith("10le")
    views: list[Plane] = []
    for plane in picture.planes:
        rows: Plane = np.frombuffer(plane, np.uint16 if deep else np.uint8)  # type: ignore[call-overload]
        step = plane.line_size // (2 if deep else 1)
        rows = rows[: step * plane.height].reshape(plane.height, step)[:, : plane.width]
        if not writable:
            rows.flags.writeable = False
        views.append(rows)
    return views


def fingerprint(picture: av.VideoFrame) -> int:
    """A number of 64 bits that is another for any other picture: XXH3 of every visible sample of its planes."""
    digest = xxhash.xxh3_64()
    for plane in planes(picture):
        digest.update(np.ascontiguousarray(plane).data)
    return digest.intdigest()


PQ = 16
"""The transfer of HDR films in which numbers stand for candelas, SMPTE ST 2084, as H.273 counts them."""

WHITE = 203
"""Candelas per square metre of white paper in such a film (ITU-R BT.2408)."""

SHOULDER = 0.75
"""Share of white from which what is brighter is squeezed together instead of cut off."""


def _usual_of_pq() -> U8:
    """What each number of a PQ film would be in a usual one."""
    code = (np.arange(256) / 255) ** (1 / 78.84375)
    light = 10_000 / WHITE * (np.maximum(code - 0.8359375, 0) / (18.8515625 - 18.6875 * code)) ** (1 / 0.1593017578125)
    bright = light ** (1 / 2.2)
    room = 1 - SHOULDER
    squeezed = 1 - room * np.exp(-(np.maximum(bright, SHOULDER) - SHOULDER) / room)
    return np.round(255 * np.where(bright < SHOULDER, bright, squeezed)).astype(np.uint8)


_USUAL_OF_PQ = _usual_of_pq()


def _as_usual(bgr: U8, picture: av.VideoFrame) -> U8:
    """What the networks are shown of ``picture``: they know films in which a face is no pale grey, as it is in PQ.

    HLG is made to be looked at as it is.
    """
    return cast(U8, cv2.LUT(bgr, _USUAL_OF_PQ)) if int(picture.color_trc) == PQ else bgr


def shrunk(picture: av.VideoFrame, width: int, height: int) -> U8:
    """The picture as BGR (height, width, 3), each pixel the average of what it covers. Threads may share a picture.

    To make a scaler takes half as long as to use it, and one that a picture makes for itself brings threads of its own;
    so each thread keeps one for each size.
    """
    scaler = _scalers.to.setdefault((width, height), VideoReformatter())
    scaled = scaler.reformat(picture, width=width, height=height, format="bgr24", interpolation="AREA", threads=1)
    return _as_usual(np.asarray(scaled.to_ndarray(), np.uint8), picture)


def whole(picture: av.VideoFrame) -> U8:
    """The picture as BGR (H, W, 3), in its own size, as networks are shown it."""
    return _as_usual(np.asarray(picture.to_ndarray(format="bgr24"), np.uint8), picture)


def cut_out(picture: av.VideoFrame, box: Sequence[float]) -> tuple[U8, tuple[int, int]]:
    """The part of a planar YUV picture under ``box`` (pixels), as BGR (H, W, 3), and where it begins (x, y).

    Only that part is converted. It begins on even pixels, is at least 2 x 2, and lies within the picture.
    """
    x1, x2 = _span(box[0], box[2], picture.width)
    y1, y2 = _span(box[1], box[3], picture.height)
    part = av.VideoFrame(x2 - x1, y2 - y1, picture.format.name)
    width, height = picture.planes[0].width, picture.planes[0].height
    for plane, piece in zip(planes(picture), planes(part, writable=True), strict=True):
        down, across = -(-height // plane.shape[0]), -(-width // plane.shape[1])
        rows, columns = piece.shape
        piece[:] = plane[y1 // down : y1 // down + rows, x1 // across : x1 // across + columns]
    Colour.of(picture).put_on(part)
    bgr = np.asarray(part.reformat(format="bgr24", threads=1).to_ndarray(), np.uint8)
    return _as_usual(bgr, picture), (x1, y1)


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """Whole pixels from an even one on that hold ``low .. high`` as far as it lies in ``0 .. size``; two at least."""
    start = max(0, min(math.floor(low), size - 2)) & ~1
    return start, min(max(math.ceil(high), start + 2), size)


def through(deinterlacer: Deinterlacer, samples: Iterator[Sample]) -> Iterator[Sample]:
    for sample in samples:
        if sample.picture is not None:
            make_convertible(sample.picture)
        yield from deinterlacer.push(sample)
    yield from deinterlacer.flush()


class Deinterlacer:
    """Runs stretches of trusted interlaced pictures through bwdif; everything else passes by.

    The filter looks at the pictures before and after, so a stretch ends where a picture is damaged: nothing of that
    one gets into its neighbours.
    """

    def __init__(self, time_base: Fraction) -> None:
        self._time_base = time_base
        self._graph: av.filter.Graph | None = None
        self._shape: tuple[int, int, str] | None = None
        self._inside: deque[Sample] = deque()

    def push(self, sample: Sample) -> Iterator[Sample]:
        picture = sample.picture
        if picture is None or sample.damaged or not picture.interlaced_frame or _too_small(picture):
            yield from self.flush()
            yield sample
            return
        shape = (picture.width, picture.height, picture.format.name)
        if self._graph is None or shape != self._shape:
            yield from self.flush()
            self._graph, self._shape = self._build(picture), shape
        # bwdif only keeps order, so its clock is a plain count.
        picture.time_base = self._time_base
        self._inside.append(sample)
        self._graph.push(picture)
        yield from self._pull()

    def flush(self) -> Iterator[Sample]:
        """What is still inside, and an end to the stretch."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()
            self._graph = None
        yield from self._inside
        self._inside.clear()

    def _pull(self) -> Iterator[Sample]:
        assert self._graph is not None
        while self._inside:
            try:
                picture = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            sample = self._inside.popleft()
            assert sample.picture is not None
            picture.duration = sample.picture.duration  # bwdif counts it in half ticks
            sample.picture = picture
            yield sample

    def _build(self, picture: av.VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add(
            "buffer",
            f"video_size={picture.width}x{picture.height}:pix_fmt={picture.format.name}:"
            f"time_base={self._time_base.numerator}/{self._time_base.denominator}:"
            f"colorspace={int(picture.colorspace)}:range={int(picture.color_range)}",
        )
        bwdif = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        sink = graph.add("buffersink")
        graph.link_nodes(source, bwdif, sink)
        graph.configure(auto_buffer=False)
        return graph


def _too_small(picture: av.VideoFrame) -> bool:
    """Whether bwdif refuses it: it wants three columns and four rows of every plane. Nobody is to be seen in that."""
    return any(plane.width < 3 or plane.height < 4 for plane in picture.planes)


@dataclass(frozen=True)
class Turn:
    """How stored rows and columns become displayed ones: transposed first, then columns and rows reversed."""

    transposed: bool = False
    columns: bool = False
    rows: bool = False

    @classmethod
    def of(cls, picture: av.VideoFrame) -> Turn:
        """Read the display matrix (a b u, c d v, x y w): x' = a x + c y, y' = b x + d y."""
        side: Any = picture.side_data
        try:
            matrix = np.frombuffer(side["DISPLAYMATRIX"], np.int32)
        except KeyError:
            return cls()
        a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
        if abs(a) >= abs(b):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    @property
    def none(self) -> bool:
        return self == Turn()

    def pixel_format(self, stored: str) -> str:
        return stored.replace("422", "420") if self.transposed else stored

    def apply(self, picture: av.VideoFrame, target: str) -> av.VideoFrame:
        """A new, upright picture, of the pixel format that ``pixel_format`` names."""
        width, height = picture.width, picture.height
        if self.transposed:
            width, height = height, width
        upright = av.VideoFrame(width, height, target)
        for number, (old, new) in enumerate(zip(planes(picture), planes(upright, True), strict=True)):
            turned: Any = old
            if self.transposed and number and picture.format.name != target:
                turned = _halved_rows(turned)
            if self.transposed:
                turned = cv2.transpose(turned)
            turned = turned[:: -1 if self.rows else 1, :: -1 if self.columns else 1]
            new[:] = turned
        Colour.of(picture).put_on(upright)
        upright.duration = picture.duration
        return upright


def _halved_rows(chroma: Plane) -> Plane:
    """Chroma of 4:2:2 with half the rows, each the average of two: what becomes 4:2:0 once it is turned."""
    if chroma.shape[0] % 2:
        chroma = np.concatenate([chroma, chroma[-1:]])
    wide = chroma.astype(np.uint32)
    return ((wide[0::2] + wide[1::2] + 1) // 2).astype(chroma.dtype)


def planar(stored: av.VideoFormat) -> str:
    """The pixel format a picture is handed out in: its own if it is one of ours, else the nearest that holds it."""
    if NATIVE.fullmatch(stored.name):
        return stored.name
    full = av.VideoFormat(stored.name, 16, 16)
    depth = "10le" if max(part.bits for part in full.components) > 8 else ""
    # full chroma is not told apart from luma by its parts (``is_chroma``), so they are counted
    if sum(not part.is_alpha for part in full.components) == 1 and not full.has_palette:
        return "yuv420p" + depth  # grey
    narrow, low = full.chroma_width(16) < 16, full.chroma_height(16) < 16
    return ("yuv420p" if narrow and low else "yuv422p" if narrow else "yuv444p") + depth


def converted_colour(picture: av.VideoFrame) -> Colour:
    """The colour description after conversion: RGB becomes BT.709 or BT.601 by size, in the narrow range."""
    colour = Colour.of(picture)
    if picture.format.is_rgb or picture.format.has_palette:
        return Colour(1, colour.primaries, colour.transfer, 1 if picture.height >= 720 else 6)
    return colour


def converted(picture: av.VideoFrame, target: str, colour: Colour) -> av.VideoFrame:
    """A copy in another pixel format, of the same colours."""
    rgb = picture.format.is_rgb or picture.format.has_palette
    space = 1 if colour.space == 1 else 5
    was = Colour.of(picture)
    out = picture.reformat(
        format=target,
        dst_colorspace=space if rgb else None,
        src_color_range=2 if rgb or was.range == 2 else 1,
        dst_color_range=2 if colour.range == 2 else 1,
        threads=1,  # in slices, some formats come out a little otherwise each time
    )
    colour.put_on(out)
    out.duration = picture.duration
    return out
