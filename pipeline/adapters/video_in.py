"""A clip's frames, each at its exact time, none of them skipped in silence.

What comes out of a container is packets in decoding order; what comes out of a decoder is pictures in display order,
fewer of them when something is wrong. Every packet is therefore written down before it is decoded, and every picture
is matched with the packet it came from. A packet that is passed over becomes a frame without a picture, at its own
time. A picture that leans on something lost is *damaged*: it may look right, but is not to be trusted.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import re
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.container
import av.error
import av.filter
import av.stream
import cv2
import numpy as np

from pipeline.errors import ClipNotFoundError, NotAVideoError, NoVideoStreamError, TruncatedVideoError
from pipeline.records import Frame, Plane, VideoInfo

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,asf,flv,mxf,ogg,dv,h264,hevc,mpegvideo,m4v,ivf"
"""What may be opened. Playlists, pictures and text stay shut: they read other files, or are no film."""

NATIVE = re.compile(r"yuvj?4(20|22|44)p(10le)?")
"""Pixel formats that pass as they are."""

REORDERING = 16
"""The most pictures that H.264 and HEVC may hold back to put them in display order."""

PATIENCE = 300
"""Packets tried before a clip is said to hold no picture that can be decoded."""

STILLS = frozenset({"mjpeg", "png", "bmp", "gif", "webp", "tiff"})


@dataclass(frozen=True)
class Colour:
    """How a picture's numbers are to be read: ITU-T H.273 codes, and range 1 (16..235) or 2 (full)."""

    range: int = 0
    primaries: int = 2
    transfer: int = 2
    space: int = 2

    @classmethod
    def of(cls, picture: av.VideoFrame) -> Colour:
        full = picture.format.name.startswith("yuvj")
        return cls(
            2 if full else int(picture.color_range),
            int(picture.color_primaries),
            int(picture.color_trc),
            int(picture.colorspace),
        )

    def put_on(self, picture: av.VideoFrame) -> None:
        picture.color_range = self.range
        picture.color_primaries = self.primaries
        picture.color_trc = self.transfer
        picture.colorspace = self.space


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


def open_clip(path: Path) -> ClipReader:
    """Open a clip, look at its first picture, and say what it is.

    Raises ClipNotFoundError, NotAVideoError, NoVideoStreamError, or TruncatedVideoError.
    """
    return ClipReader(path)


class ClipReader:
    """A clip opened for reading; a FrameSource and a context manager.

    ``info`` describes the frames as they come out: turned upright, planar YUV. ``colour`` is their colour
    description and ``start`` the pts of the first frame, in ``info.time_base`` since the container's zero.
    ``damaged`` holds the numbers of all frames found damaged so far, and only grows: decoders work in threads, and
    should one pass over a broken clip find damage that another does not, a later pass still reports both.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.damaged: set[int] = set()
        with _container(self.path) as container:
            stream = _video_stream(container, self.path)
            with contextlib.closing(_Samples(container, stream).run()) as samples:
                self.start: int | None = None
                picture: av.VideoFrame | None = None
                for tried, sample in enumerate(samples, 1):
                    self.start = sample.pts if self.start is None else self.start
                    picture = sample.picture
                    if picture is not None or tried >= PATIENCE:
                        break
            if picture is None:
                raise TruncatedVideoError(
                    "{file} holds no picture that can be decoded; copy it from the card again.", file=self.path
                )
            self._turn = _Turn.of(picture)
            self._width, self._height = picture.width, picture.height
            self._planar = _planar(picture.format)
            self._target = self._turn.pixel_format(self._planar)
            self.colour = _converted_colour(picture)
            self.info = self._describe(container, stream, picture)

    def __enter__(self) -> ClipReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _describe(
        self, container: av.container.InputContainer, stream: av.VideoStream, picture: av.VideoFrame
    ) -> VideoInfo:
        aspect = stream.sample_aspect_ratio or Fraction(1)
        width, height = self._width, self._height
        if self._turn.transposed:
            width, height, aspect = height, width, 1 / aspect
        duration = stream.duration * stream.time_base if stream.duration and stream.time_base else None
        if duration is None:
            duration = Fraction(container.duration or 0, av.time_base)
        sound = audio_stream(container)
        return VideoInfo(
            width=width,
            height=height,
            rotation=round(picture.rotation / 90) * 90 % 360,
            sample_aspect=Fraction(aspect),
            rate=_rate(stream),
            time_base=_time_base(stream),
            pixel_format=self._target,
            codec=stream.codec_context.name,
            container=container.format.name,
            interlaced=bool(picture.interlaced_frame) or getattr(stream.codec_context, "field_order", 0) > 1,
            frames=stream.frames,
            duration=float(duration),
            audio=None if sound is None else (sound.codec_context.name if sound.codec_context else "unknown"),
        )

    def frames(self) -> Iterator[Frame]:
        """Every frame from the first, in display order; each call opens the file anew.

        Times never stand still or go back: a frame whose pts does not lie after its predecessor's is moved to one
        tick after it. Interlaced pictures are deinterlaced (bwdif, one frame for one frame). A picture turned by a
        quarter has its planes turned; 4:2:2 then becomes 4:2:0, because its chroma would need half the rows and all
        the columns, which H.264 cannot store. Pictures of another size than the first have no place in the output:
        they come as damaged frames without a picture.
        """
        with _container(self.path) as container:
            stream = _video_stream(container, self.path)
            time_base = self.info.time_base
            deinterlacer = _Deinterlacer(time_base)
            number, last = 0, None
            samples = _Samples(container, stream).run()
            with contextlib.closing(samples):
                for sample in _through(deinterlacer, samples):
                    pts = sample.pts
                    assert pts is not None
                    if last is not None and pts <= last:
                        pts = last + 1
                    last = pts
                    picture = self._shaped(sample.picture)
                    if picture is None or sample.damaged:
                        self.damaged.add(number)
                    if picture is not None:
                        picture.pts, picture.time_base = pts, time_base
                    yield Frame(number, pts, pts * time_base, picture, number in self.damaged)
                    number += 1

    def _shaped(self, picture: av.VideoFrame | None) -> av.VideoFrame | None:
        """The picture upright and in the clip's pixel format; None if it cannot be."""
        if picture is None or (picture.width, picture.height) != (self._width, self._height):
            return None
        if picture.format.name != self._planar:
            picture = _converted(picture, self._planar, self.colour)
        return picture if self._turn.none else self._turn.apply(picture, self._target)


@contextlib.contextmanager
def _container(path: Path) -> Iterator[av.container.InputContainer]:
    """The file opened by libavformat, which sees no other file and no network; its failures are put in our words."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(12)
    except FileNotFoundError as error:
        raise ClipNotFoundError("{file} does not exist; check its name.", file=path) from error
    except OSError as error:
        raise ClipNotFoundError("{file} cannot be opened: {why}.", file=path, why=error.strerror) from error
    if size == 0:
        raise NotAVideoError("{file} is empty; copy it from the card again.", file=path)
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        # "file:" keeps a colon in a name from being read as a protocol.
        container = av.open("file:" + os.fspath(path), "r", container_options=options, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
            raise TruncatedVideoError(
                "{file} was cut off before its index was written; copy it from the card again.", file=path
            ) from error
        raise NotAVideoError("{file} is not a video that can be read; leave it out.", file=path) from error
    with container:
        yield container


def audio_stream(container: av.container.InputContainer) -> av.AudioStream | None:
    """The sound that belongs to the picture: the one marked default, else the first."""
    streams = list(container.streams.audio)
    preferred = [stream for stream in streams if stream.disposition & av.stream.Disposition.default]
    return next(iter(preferred or streams), None)


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The film itself: cover art and thumbnails are no film, and a preview is smaller than it."""
    extra = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & extra]
    if not streams:
        raise NoVideoStreamError("{file} has no picture, only sound or data; leave it out.", file=path)

    def worth(stream: av.VideoStream) -> tuple[bool, bool, int]:
        context = stream.codec_context
        if context is None:
            return (False, False, 0)
        default = bool(stream.disposition & av.stream.Disposition.default)
        return (context.name not in STILLS, default, context.width * context.height)

    best = max(streams, key=worth)
    if best.codec_context is None or not best.codec_context.width:
        raise NotAVideoError("{file} holds a picture that cannot be decoded; export it as H.264 first.", file=path)
    return best


def _rate(stream: av.VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= 480:
            return Fraction(rate)
    return Fraction(25)


def _time_base(stream: av.VideoStream) -> Fraction:
    return Fraction(stream.time_base or Fraction(1, 90000))


class _Sample:
    """One packet on its way to becoming a frame. ``index`` counts in decoding order."""

    __slots__ = ("corrupt", "damaged", "index", "judged", "key", "picture", "pts", "resolved")

    def __init__(self, index: int, pts: int | None, key: bool, corrupt: bool) -> None:
        self.index = index
        self.pts = pts
        self.key = key
        self.corrupt = corrupt
        self.picture: av.VideoFrame | None = None
        self.resolved = False
        self.judged = False
        self.damaged = False


class _Samples:
    """Demuxes and decodes one video stream, and keeps the books.

    A sample is *resolved* when its picture came, or when it is known that it never will; it is *judged* when all
    samples before it in decoding order are judged, because only then is it known whether it leans on a loss. It
    leaves, in display order, once it is judged. So no more pictures are held than the codec's own reordering needs.
    """

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream) -> None:
        self._container = container
        self._stream = stream
        self._time_base = _time_base(stream)
        self._step = max(1, round(1 / (_rate(stream) * self._time_base)))
        self._pending: dict[int, _Sample] = {}
        self._unjudged: deque[_Sample] = deque()
        self._leaving: deque[_Sample] = deque()
        self._times: list[int] | None = None
        self._count = 0
        self._read = 0
        self._first: tuple[int, int] | None = None
        self._end: int | None = None
        # Until the first keyframe there is nothing for a picture to lean on.
        self._tainted = True
        self._leading = False
        self._key: _Sample | None = None
        stream.thread_type = "AUTO"
        context = stream.codec_context
        context.copy_opaque = True
        # Without it H.264 swallows pictures decoded after a loss; here they come out, and are marked.
        context.flags |= int(av.codec.context.Flags.output_corrupt)

    def run(self) -> Generator[_Sample, None, None]:
        failed = False
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError):
                failed = True
                packet = None
            if packet is None:
                break
            if packet.dts is None and packet.pts is None and not packet.size:
                break
            self._expect(packet)
            yield from self._decode(packet)
        yield from self._decode(None)
        for sample in sorted(self._pending.values(), key=self._display):
            self._lose(sample)
        yield from self._leave()
        yield from self._missing_tail(failed)

    def _expect(self, packet: av.Packet[av.VideoStream]) -> None:
        """Write down what this packet promises."""
        self._read += 1
        if packet.is_discard:
            return  # the edit list says that it is only there to be leaned on
        index, pts, dts = self._count, packet.pts, packet.dts
        self._count += 1
        if index == 0 and pts is None:
            self._times = []
        if self._times is not None:
            # Raw timestamps of AVI: in decoding order, so they are dealt out again in display order.
            heapq.heappush(self._times, index * self._step if dts is None else dts)
            pts = None
        if self._first is None and pts is not None and dts is not None:
            self._first = (pts, dts)
        sample = _Sample(index, pts, packet.is_keyframe, packet.is_corrupt)
        packet.opaque = sample
        self._pending[index] = sample
        self._unjudged.append(sample)

    def _decode(self, packet: av.Packet[av.VideoStream] | None) -> Iterator[_Sample]:
        try:
            pictures = self._stream.codec_context.decode(packet)
        except (av.error.FFmpegError, OSError):
            return  # its sample will be passed over
        for picture in pictures:
            self._arrive(picture)
        yield from self._leave()

    def _arrive(self, picture: av.VideoFrame) -> None:
        sample = picture.opaque
        picture.opaque = None  # it holds the sample, which holds the picture
        if not isinstance(sample, _Sample):
            sample = next((one for one in self._pending.values() if one.pts == picture.pts), None)
        if sample is None or sample.index not in self._pending:
            return  # its place has been taken already: a second field, or a picture far out of order
        del self._pending[sample.index]
        self._drop_second_field(sample, picture)
        passed = [one for one in self._pending.values() if self._passed(one, sample)]
        for one in sorted(passed, key=self._display):
            self._lose(one)
        sample.picture = picture
        sample.corrupt |= picture.is_corrupt
        # A container may call every packet a keyframe; the decoder knows.
        sample.key &= bool(picture.key_frame)
        sample.resolved = True
        self._leaving.append(sample)

    def _passed(self, one: _Sample, arrived: _Sample) -> bool:
        if one.pts is not None and arrived.pts is not None:
            return one.pts < arrived.pts
        return one.index < arrived.index - (REORDERING if self._times is not None else 0)

    def _drop_second_field(self, sample: _Sample, picture: av.VideoFrame) -> None:
        """Two packets may hold the two fields of one picture; the second is no frame of its own."""
        second = self._pending.get(sample.index + 1)
        if second is None or not picture.interlaced_frame or self._times is not None:
            return
        if second.pts is None or (sample.pts is not None and 0 <= second.pts - sample.pts < 0.75 * self._step):
            del self._pending[second.index]
            self._unjudged.remove(second)
            sample.corrupt |= second.corrupt

    def _lose(self, sample: _Sample) -> None:
        self._pending.pop(sample.index, None)
        sample.resolved = True
        self._leaving.append(sample)

    def _display(self, sample: _Sample) -> tuple[int, int]:
        return (0 if sample.pts is None else sample.pts, sample.index)

    def _leave(self) -> Iterator[_Sample]:
        while self._unjudged and self._unjudged[0].resolved:
            self._judge(self._unjudged.popleft())
        while self._leaving and self._leaving[0].judged:
            sample = self._leaving.popleft()
            if self._times:
                sample.pts = heapq.heappop(self._times)
            elif sample.pts is None:
                sample.pts = 0 if self._end is None else self._end
            self._end = max(self._end or 0, sample.pts + self._step)
            yield sample

    def _judge(self, sample: _Sample) -> None:
        """Decide in decoding order whether a sample's picture can be trusted."""
        bad = sample.picture is None or sample.corrupt
        if bad:
            self._tainted = True
        elif sample.key:
            # Pictures decoded after a keyframe but shown before it may still lean on what came before it.
            self._leading, self._tainted, self._key = self._tainted, False, sample
        sample.damaged = bad or self._tainted or (self._leading and self._leads(sample))
        sample.judged = True

    def _leads(self, sample: _Sample) -> bool:
        key = self._key
        if key is None or key is sample:
            return False
        if sample.pts is None or key.pts is None:
            return sample.index - key.index <= REORDERING
        return sample.pts < key.pts

    def _missing_tail(self, failed: bool) -> Iterator[_Sample]:
        """Frames that the container promised and the file no longer holds, one for each."""
        times: list[int] = []
        format_name = self._container.format.name
        if "mp4" in format_name:
            entries = self._stream.index_entries
            if len(entries) > self._read and self._first is not None:
                delay = self._first[0] - self._first[1]
                times = [entries[i].timestamp + delay for i in range(self._read, len(entries))]
        else:
            end = self._promised_end(format_name)
            if end is not None and self._end is not None:
                times = list(range(self._end, end - self._step // 2, self._step))
        if failed and not times and self._end is not None:
            times = [self._end]  # how much is missing nobody knows, but something is
        for pts in times:
            sample = _Sample(self._count, pts, False, True)
            self._count += 1
            sample.damaged = True
            yield sample

    def _promised_end(self, format_name: str) -> int | None:
        """Where the picture ends according to the container, in ticks; None if it does not say."""
        stream, start = self._stream, self._stream.start_time or 0
        if format_name == "avi":
            return start + stream.duration if stream.duration else None
        said = {key.upper(): value for key, value in stream.metadata.items()}.get("DURATION", "")
        match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)\x00*", said)
        if match is None or not self._container.duration:
            return None
        hours, minutes, seconds = match.groups()
        length = int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
        if length > Fraction(self._container.duration, av.time_base) + 1:
            return None  # a tag left over from another file
        return int(length / self._time_base)


def _through(deinterlacer: _Deinterlacer, samples: Iterator[_Sample]) -> Iterator[_Sample]:
    for sample in samples:
        yield from deinterlacer.push(sample)
    yield from deinterlacer.flush()


class _Deinterlacer:
    """Runs stretches of trusted interlaced pictures through bwdif; everything else passes by.

    The filter looks at the pictures before and after, so a stretch ends where a picture is damaged: nothing of that
    one gets into its neighbours.
    """

    def __init__(self, time_base: Fraction) -> None:
        self._time_base = time_base
        self._graph: av.filter.Graph | None = None
        self._shape: tuple[int, int, str] | None = None
        self._inside: deque[_Sample] = deque()

    def push(self, sample: _Sample) -> Iterator[_Sample]:
        picture = sample.picture
        if picture is None or sample.damaged or not picture.interlaced_frame:
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

    def flush(self) -> Iterator[_Sample]:
        """What is still inside, and an end to the stretch."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()
            self._graph = None
        yield from self._inside
        self._inside.clear()

    def _pull(self) -> Iterator[_Sample]:
        assert self._graph is not None
        while self._inside:
            try:
                picture = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            sample = self._inside.popleft()
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


@dataclass(frozen=True)
class _Turn:
    """How stored rows and columns become displayed ones: transposed first, then columns and rows reversed."""

    transposed: bool = False
    columns: bool = False
    rows: bool = False

    @classmethod
    def of(cls, picture: av.VideoFrame) -> _Turn:
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
        return self == _Turn()

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


def _planar(stored: av.VideoFormat) -> str:
    """The pixel format a picture is handed out in: its own if it is one of ours, else the nearest that holds it."""
    if NATIVE.fullmatch(stored.name):
        return stored.name
    # Palettes, RGB and grey have no subsampled chroma; only grey can do without the full one.
    full = av.VideoFormat(stored.name, 16, 16)
    chroma = [part for part in full.components if part.is_chroma]
    depth = "10le" if max(part.bits for part in full.components) > 8 else ""
    if not chroma:
        return ("yuv444p" if full.is_rgb or full.has_palette else "yuv420p") + depth
    narrow, low = chroma[0].width < 16, chroma[0].height < 16
    return ("yuv420p" if narrow and low else "yuv422p" if narrow else "yuv444p") + depth


def _converted_colour(picture: av.VideoFrame) -> Colour:
    """The colour description after conversion: RGB becomes BT.709 or BT.601 by size, in the narrow range."""
    colour = Colour.of(picture)
    if picture.format.is_rgb or picture.format.has_palette:
        return Colour(1, colour.primaries, colour.transfer, 1 if picture.height >= 720 else 6)
    return colour


def _converted(picture: av.VideoFrame, target: str, colour: Colour) -> av.VideoFrame:
    """A copy in another pixel format, of the same colours."""
    rgb = picture.format.is_rgb or picture.format.has_palette
    space = 1 if colour.space == 1 else 5
    was = Colour.of(picture)
    out = picture.reformat(
        format=target,
        dst_colorspace=space if rgb else None,
        src_color_range=2 if rgb or was.range == 2 else 1,
        dst_color_range=2 if colour.range == 2 else 1,
    )
    colour.put_on(out)
    out.duration = picture.duration
    return out


__all__ = ["ClipReader", "Colour", "audio_stream", "open_clip", "planes"]
