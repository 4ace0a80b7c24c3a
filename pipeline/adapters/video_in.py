"""A clip's frames, each at its exact time, none of them skipped in silence.

What comes out of a container is packets in decoding order; what comes out of a decoder is pictures in display order,
fewer of them when something is wrong. Every packet is therefore written down before it is decoded, and every picture
is matched with the packet it came from. A packet that is passed over becomes a frame without a picture, at its own
time. A picture that leans on something lost is *damaged*: it may look right, but is not to be trusted.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import av
import av.container
import av.error
import av.filter
import av.stream

from pipeline import interruption
from pipeline.adapters import files
from pipeline.adapters.chapters import Chapter, Opener, extent, lay_out
from pipeline.adapters.packets import LEAP, LENIENT, REORDERING, Sample, Samples, frame_rate, mistimed, time_base
from pipeline.adapters.pictures import Colour, Deinterlacer, Turn, converted, converted_colour, planar, planes, through
from pipeline.adapters.transport import holds_another
from pipeline.errors import (
    ClipNotFoundError,
    NotAVideoError,
    NoVideoStreamError,
    QuarantinedError,
    TruncatedVideoError,
)
from pipeline.records import Frame, VideoInfo

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,asf,flv,mxf,ogg,dv,h264,hevc,mpegvideo,m4v,ivf"
"""What may be opened. Playlists, pictures and text stay shut: they read other files, or are no film."""

PATIENCE = 300
"""Packets tried before a clip is said to hold no picture that can be decoded."""

BACK = 1
"""Seconds before what went before from which a frame's time is of another clock."""

PIXEL_CROP = re.compile(rb"\x54[\xaa\xbb\xcc\xdd](?:\x81(.)|\x82(..))", re.DOTALL)
"""How Matroska writes the elements PixelCropBottom, -Top, -Left and -Right: the length of a number, and the number."""

HARDLY = 0.05
"""Share of a side that may be kept from sight without being what somebody cut away: the clean aperture of old cameras
and programs, whose edges are noise."""

BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""With which MP4 and MOV begin."""

STILLS = frozenset({"mjpeg", "png", "bmp", "gif", "webp", "tiff"})


def open_clip(path: Path, opener: Opener | Sequence[Opener] | None = None) -> ClipReader:
    """Open a clip, look at its first picture, and say what it is.

    ``opener`` opens the clip's bytes where ``path`` is only its name (a working copy in the vault); several are the
    files, in order, into which the camera cut one take. Raises ClipNotFoundError, NotAVideoError, NoVideoStreamError,
    TruncatedVideoError, or QuarantinedError.
    """
    return ClipReader(path, opener)


class ClipReader:
    """A clip opened for reading; a FrameSource and a context manager.

    ``info`` describes the frames as they come out: turned upright, planar YUV. ``colour`` is their colour
    description and ``start`` the pts of the first frame, in ``info.time_base`` since the container's zero.
    ``damaged`` holds the numbers of all frames found damaged so far, and only grows: decoders work in threads, and
    should one pass over a broken clip find damage that another does not, a later pass still reports both. ``resized``
    are those of them whose picture is whole, but of another size than the first.
    """

    def __init__(self, path: Path, opener: Opener | Sequence[Opener] | None = None) -> None:
        self.path = Path(path)
        self.chapters = _chapters(self.path, opener)
        """The files of the take and where on its clock each lies; one, at zero, for all but long takes."""
        self.damaged: set[int] = set()
        self.resized: set[int] = set()
        self.otherwise = False
        self.dealt = False
        """The container gives times of decoding alone: no frame is found there by its time."""
        with opened_container(self.path, self.chapters[0].opener) as container:
            stream = video_stream(container, self.path)
            if _cropped(container, stream):
                raise QuarantinedError(
                    "{clip} holds more picture than players show, because an editor cut away its edges without "
                    "encoding it anew; export it anew as H.264 first.",
                    clip=self.path.name,
                )
            if container.format.name == "mpegts" and self._joined(stream.id):
                raise QuarantinedError(
                    "{clip} cannot be done as one film, because films with different streams were joined in it; give "
                    "its parts apart, or save it as MP4 with another program first.",
                    clip=self.path.name,
                )
            book = Samples(container, stream)
            with contextlib.closing(book.run()) as samples:
                self.start: int | None = None
                picture: av.VideoFrame | None = None
                for tried, sample in enumerate(samples, 1):
                    self.start = sample.pts if self.start is None else self.start
                    picture = sample.picture
                    if picture is not None or tried >= PATIENCE:
                        break
                if picture is not None and picture.interlaced_frame:
                    next(samples, None)  # only now it shows whether two packets make one picture
            if picture is None:
                raise TruncatedVideoError(
                    "{file} holds no picture that can be decoded; copy it from the card again.", file=self.path
                )
            if book.untimed:
                raise QuarantinedError(
                    "{clip} begins before its own clock does, so that picture and sound would not be in step; save it "
                    "as MP4 with another program first.",
                    clip=self.path.name,
                )
            self._turn = Turn.of(picture)
            self._width, self._height = picture.width, picture.height
            self._planar = planar(picture.format)
            self._target = self._turn.pixel_format(self._planar)
            self.colour = converted_colour(picture)
            self.info = self._describe(container, stream, picture, book.rate)
        if book.undelayed:
            with opened_container(self.path, self.chapters[0].opener) as container:
                self.dealt = mistimed(container, video_stream(container, self.path))

    def __enter__(self) -> ClipReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _joined(self, pid: int) -> bool:
        """As `holds_another`; False where an end cannot be read, for whoever reads the film comes to that."""
        opener = self.chapters[0].opener
        with contextlib.suppress(OSError), opener() if opener else self.path.open("rb") as file:
            return holds_another(file, pid)
        return False

    def read_otherwise(self) -> None:
        """From now on decode HEVC row by row instead of picture by picture.

        Its decoder notices hardly any fault in the bits and hands out a garbled picture; a garbled picture mostly comes
        out differently this way, and a sound one the same to the bit. So whoever compares two passes finds the fault.
        """
        self.otherwise = True

    def _describe(
        self, container: av.container.InputContainer, stream: av.VideoStream, picture: av.VideoFrame, rate: Fraction
    ) -> VideoInfo:
        aspect = stream.sample_aspect_ratio or Fraction(1)
        width, height = self._width, self._height
        if self._turn.transposed:
            width, height, aspect = height, width, 1 / aspect
        duration = stream.duration * stream.time_base if stream.duration and stream.time_base else None
        if duration is None:
            duration = Fraction(container.duration or 0, av.time_base)
        # of a film that was trimmed without encoding it anew, some are only there to be leaned on
        frames = max(0, stream.frames - sum(entry.is_discard for entry in stream.index_entries))
        if len(self.chapters) > 1:
            duration = sum((chapter.seconds for chapter in self.chapters), Fraction(0))
            frames = sum(c.frames for c in self.chapters) if all(c.frames for c in self.chapters) else 0
        sound = audio_stream(container)
        return VideoInfo(
            width=width,
            height=height,
            rotation=round(picture.rotation / 90) * 90 % 360,
            sample_aspect=Fraction(aspect),
            rate=rate,
            time_base=time_base(stream),
            pixel_format=self._target,
            codec=stream.codec_context.name,
            container=container.format.name,
            interlaced=bool(picture.interlaced_frame) or getattr(stream.codec_context, "field_order", 0) > 1,
            frames=round(frames * rate / frame_rate(stream)),
            duration=float(duration),
            audio=None if sound is None else (sound.codec_context.name if sound.codec_context else "unknown"),
        )

    def frames(self) -> Iterator[Frame]:
        """Every frame from the first, in display order; each call opens the file anew.

        Times never stand still or go back: a frame whose pts does not lie after its predecessor's is moved to one
        tick after it. Where the clock starts anew, because films were put one after the other in one file, all that
        follows would be gone in a flash and its sound left out: QuarantinedError. Interlaced pictures are deinterlaced
        (bwdif, one frame for one frame). A picture turned by a quarter has its planes turned; 4:2:2 then becomes
        4:2:0, because its chroma would need half the rows and all the columns, which H.264 cannot store. Pictures of
        another size than the first have no place in the output: they come as damaged frames without a picture. Where
        a picture breaks and the container does not say why, the fault may lie anywhere since the last keyframe, in
        pictures that were handed out already: they are added to ``damaged``, and a second pass hides them.
        """
        time_base = self.info.time_base
        deinterlacer = Deinterlacer(time_base)
        number, last = 0, None
        recent: deque[int] = deque(maxlen=2 * REORDERING + 1)
        group, members, doubted = 0, list[int](), False
        with contextlib.closing(self._samples()) as samples:
            for sample in through(deinterlacer, samples):
                assert sample.pts is not None
                pts = sample.pts
                if last is not None and pts <= last:
                    # a single time that is too late does not count: most of what went before must lie after this
                    usual = sorted(recent)[(len(recent) - 1) // 2]
                    if (usual - pts) * time_base > BACK:
                        raise QuarantinedError(
                            "{clip} cannot be done as one film: at frame {frame} its clock goes back by {seconds} "
                            "seconds, as where films were joined; give its parts apart, or save it as MP4 with another "
                            "program first.",
                            clip=self.path.name,
                            frame=number,
                            seconds=round((last - pts) * time_base),
                        )
                    pts = last + 1
                if last is not None and (pts - last) * time_base > LEAP:
                    raise QuarantinedError(
                        "{clip} is too damaged: its time leaps by {seconds} seconds at frame {frame}; copy it from the "
                        "card again.",
                        clip=self.path.name,
                        seconds=round((pts - last) * time_base),
                        frame=number,
                    )
                last = pts
                recent.append(sample.pts)
                picture = self.shaped(sample.picture)
                if picture is None or sample.damaged:
                    self.damaged.add(number)
                if picture is None and sample.picture is not None:
                    self.resized.add(number)
                if sample.group > group:
                    group, members, doubted = sample.group, [], False
                if sample.group == group:
                    members.append(number)
                    doubted |= sample.unsound
                if doubted:
                    self.damaged.update(members)
                if picture is not None:
                    picture.pts, picture.time_base = pts, time_base
                interruption.heed()
                yield Frame(number, pts, pts * time_base, picture, number in self.damaged)
                number += 1

    def _samples(self) -> Generator[Sample, None, None]:
        """The samples of all chapters, in order, on the clock of the first; their groups are counted through."""
        groups = 0
        for chapter in self.chapters:
            before = groups
            with opened_container(self.path, chapter.opener) as container:
                stream = video_stream(container, self.path)
                own = time_base(stream)
                book = Samples(container, stream, otherwise=self.otherwise, dealt=self.dealt)
                with contextlib.closing(book.run()) as samples:
                    for sample in samples:
                        if chapter.offset and sample.pts is not None:
                            sample.pts = round((sample.pts * own + chapter.offset) / self.info.time_base)
                        sample.group += before
                        groups = max(groups, sample.group)
                        yield sample

    def shaped(self, picture: av.VideoFrame | None) -> av.VideoFrame | None:
        """The picture upright and in the clip's pixel format; None if it cannot be."""
        if picture is None or (picture.width, picture.height) != (self._width, self._height):
            return None
        if picture.format.name != self._planar:
            picture = converted(picture, self._planar, self.colour)
        return picture if self._turn.none else self._turn.apply(picture, self._target)


def _chapters(path: Path, opener: Opener | Sequence[Opener] | None) -> tuple[Chapter, ...]:
    openers = [opener] if opener is None or callable(opener) else list(opener)
    if len(openers) == 1:
        return (Chapter(openers[0]),)
    extents = []
    for one in openers:
        with opened_container(path, one) as container:
            extents.append(extent(container, video_stream(container, path)))
    return lay_out([one for one in openers if one is not None], extents)


@contextlib.contextmanager
def opened_container(path: Path, opener: Opener | None = None) -> Iterator[av.container.InputContainer]:
    """The file opened by libavformat, which sees no other file and no network; its failures are put in our words."""
    try:
        if not opener:
            _refuse_stream(path)
        with opener() if opener else path.open("rb") as file:
            head = file.read(12)
            whole = head[4:8] not in BOXES or _holds_its_index(file)
    except FileNotFoundError as error:
        raise ClipNotFoundError("{file} does not exist; check its name.", file=path) from error
    except OSError as error:
        raise ClipNotFoundError("{file} cannot be opened: {why}.", file=path, why=error.strerror) from error
    if not head:
        raise NotAVideoError("{file} is empty; copy it from the card again.", file=path)
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    cut_off = TruncatedVideoError(
        "{file} was cut off before its index was written; copy it from the card again.", file=path
    )
    if not whole:
        raise cut_off
    source: Any = opener() if opener else files.url(path)
    try:
        container = av.open(source, "r", container_options=options, **LENIENT)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if opener:
            source.close()
        if head[4:8] in BOXES:
            raise cut_off from error
        raise NotAVideoError("{file} is not a video that can be read; leave it out.", file=path) from error
    with contextlib.closing(source) if opener else contextlib.nullcontext(), container:
        yield container
    interruption.heed()  # it may have been taken for the end of the film


def _holds_its_index(file: BinaryIO) -> bool:
    """Whether an MP4's index (the box ``moov``) lies in the file to its end, if it begins there.

    libavformat is content with half of one: of frames that it names no more, and of sound that comes later in it,
    nobody would know.
    """
    size, at = file.seek(0, os.SEEK_END), 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, header = int.from_bytes(head[:4]), 8
        if length == 1:
            length, header = int.from_bytes(head[8:16]), 16
        if head[4:8] == b"moov":
            return at + length <= size
        if length < header:
            break  # the last, which goes on to the end; or no box at all
        at += length
    return True


def _cropped(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Whether the container says that edges of the picture are not to be shown, and more than a hair of them.

    PyAV does not hand that out, but FFmpeg passes it on to a file of the same stream, of which the head is enough.
    """
    if not any(name in container.format.name for name in ("mp4", "matroska")):
        return False
    head = io.BytesIO()
    try:
        with av.open(head, "w", format="matroska", container_options={"fflags": "+bitexact"}) as copy:
            copy.add_stream_from_template(stream)
            copy.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return False  # a stream that cannot be copied so (AV1, DV, DNxHD): nobody can tell
    told, setup = head.getvalue(), stream.codec_context.extradata
    cut = PIXEL_CROP.findall(told.replace(setup, b"") if setup else told)
    pixels = sum(int.from_bytes(one or other) for one, other in cut)
    return pixels > HARDLY * min(stream.codec_context.width, stream.codec_context.height)


def _refuse_stream(path: Path) -> None:
    """ClipNotFoundError for what is no file: a pipe that nobody writes to is waited for without end, and no pipe can be
    read a second time. Raises OSError for what is not there."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ClipNotFoundError(
            "{file} is a pipe or a device, which cannot be read more than once; save the film as a file first.",
            file=path,
        )


def audio_stream(container: av.container.InputContainer) -> av.AudioStream | None:
    """The sound that belongs to the picture: the one marked default, else the first, of those that can be decoded.

    Telephones put sound all around in a format of their own (Apple's APAC) beside the stereo, both marked default.
    """
    streams = list(container.streams.audio)
    streams = [stream for stream in streams if stream.codec_context is not None] or streams
    preferred = [stream for stream in streams if stream.disposition & av.stream.Disposition.default]
    return next(iter(preferred or streams), None)


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
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


__all__ = ["LEAP", "ClipReader", "Colour", "audio_stream", "open_clip", "planes"]
