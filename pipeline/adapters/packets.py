"""From packets to pictures: what was promised, what came, and what of it can be trusted.

A container gives packets in decoding order; a decoder gives pictures in display order, fewer of them when something
is wrong. Every packet is written down before it is decoded, and every picture is matched with the packet it came
from, so that nothing is passed over unseen.
"""

from __future__ import annotations

import heapq
import re
from collections import deque
from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import Any

import av
import av.codec.context
import av.container
import av.error

LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
"""For `av.open`: metadata that is not UTF-8 does not stop a film from being read. From version 19 on it never does."""

LEAP = 3600
"""Seconds between two frames from which a time is taken for damage: no camera waits so long within one clip."""

KEY_KNOWERS = frozenset({"h264", "hevc", "mpeg2video", "mpeg4", "vp8", "vp9", "libdav1d", "av1"})
"""Decoders that say of a picture whether it stands alone; others leave that to the container."""

FRAMES_AT_MOST = 40
"""Frames a second that no interlaced film comes to: where a container says that it does, it counts fields."""

REORDERING = 16
"""The most pictures that H.264 and HEVC may hold back to put them in display order."""


COLOURS = ("colorspace", "color_primaries", "color_trc")
"""How a picture's colours are described, apart from its range; the first is that of planes of Y, U and V alone."""

UNSPECIFIED = 2
"""What each of them is, as H.273 counts, where nothing is said of it."""

USUAL, FASTEST = 480, 1000
"""Frames a second up to which a container is believed at its word, and up to which it is where it counted them: those
that count in milliseconds say 1000 of a film of which they know nothing."""


def frame_rate(stream: av.VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= USUAL:
            return Fraction(rate)
    if stream.duration and 0 < (counted := stream.frames / (stream.duration * time_base(stream))) <= FASTEST:
        return counted
    return Fraction(25)


def time_base(stream: av.VideoStream) -> Fraction:
    return Fraction(stream.time_base or Fraction(1, 90000))


def mistimed(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Whether the container, just opened, gives only times of decoding, though pictures are shown in another order.

    So it is where a film with B-pictures was taken over from an AVI. Asked only where it may be: `Samples.undelayed`.
    """
    context, shown = stream.codec_context, -1
    for number, packet in enumerate(container.demux(stream)):
        if packet.pts is None or packet.pts != packet.dts or packet.is_discard or number == 2 * REORDERING:
            return False
        packet.pts = number
        try:
            pictures = context.decode(packet)
        except (av.error.FFmpegError, OSError):
            return False
        for picture in pictures:
            if picture.pts is not None and picture.pts < shown:
                return True
            shown = shown if picture.pts is None else picture.pts
    return False


class Sample:
    """One packet on its way to becoming a frame. ``index`` counts in decoding order, ``order`` in display order."""

    __slots__ = (
        "corrupt",
        "damaged",
        "field",
        "group",
        "index",
        "judged",
        "key",
        "order",
        "picture",
        "pts",
        "resolved",
        "told",
        "unsound",
    )

    def __init__(self, index: int, pts: int | None, key: bool, corrupt: bool) -> None:
        self.index = index
        self.pts = pts
        self.key = key
        self.corrupt = corrupt
        self.picture: av.VideoFrame | None = None
        self.order = 0
        self.field = False
        """It may hold the second field of the picture before: unless a picture comes of it, it is no frame."""
        self.resolved = False
        self.judged = False
        self.damaged = False
        self.group = 0
        """Which keyframe it was decoded after, counted from 1."""
        self.told = corrupt
        """The container itself says that this packet is not whole, so that is where the fault lies."""
        self.unsound = False
        """It broke, and nobody knows where: what it was decoded from may only look right."""


class Samples:
    """Demuxes and decodes one video stream, and keeps the books.

    A sample is *resolved* when its picture came, or when it is known that it never will; it is *judged* when all
    samples before it in decoding order are judged, because only then is it known whether it leans on a loss. It
    leaves, in display order, once it is judged. So no more pictures are held than the codec's own reordering needs.
    ``whole`` false: reading began in the middle of the file, so what the container promised in all proves nothing.
    ``otherwise``: see `ClipReader.read_otherwise`. ``dealt``: the container's times are those of decoding (`mistimed`).
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        whole: bool = True,
        otherwise: bool = False,
        dealt: bool = False,
    ) -> None:
        self.untimed = False
        """The first packet bears no time, though its container gives every packet one: it lies before the clock's zero,
        where libavformat only guesses."""
        self._whole = whole
        self._container = container
        self._stream = stream
        self._time_base = time_base(stream)
        self.rate = frame_rate(stream)
        """Pictures a second; MP4 counts packets, which is twice as many where each holds one field."""
        self._step = max(1, round(1 / (self.rate * self._time_base)))
        self._halved = False
        self._maybe: tuple[Sample, int, int] | None = None
        """What may be the second field of the picture that came last: its time, and the faults up to then."""
        self._faults = 0
        self._nearest: int | None = None
        self._shown: int | None = None
        self._pending: dict[int, Sample] = {}
        self._unjudged: deque[Sample] = deque()
        self._leaving: deque[Sample] = deque()
        self._times: list[int] | None = [] if dealt or container.format.name == "avi" else None
        """Times of decoding that no picture has yet, where the container gives no others."""
        self._count = 0
        self._resolved = 0
        self._read = 0
        self._first: tuple[int, int] | None = None
        self._recent: deque[int] = deque(maxlen=2 * REORDERING)
        self._until: int | None = None
        """The latest end that a packet gave itself."""
        self._end: int | None = None
        self._reorders = bool(stream.codec_context.has_b_frames)
        self._colours = {name: int(getattr(stream.codec_context, name)) or UNSPECIFIED for name in COLOURS}
        """What the container says of the colours; it may be all that is said of them."""
        # Until the first keyframe there is nothing for a picture to lean on.
        self._tainted = True
        self._leading = False
        self._key: Sample | None = None
        self._group = 0
        context = stream.codec_context
        stream.thread_type = "SLICE" if otherwise and context.name == "hevc" else "AUTO"
        # Without it H.264 swallows pictures decoded after a loss; here they come out, and are marked.
        context.flags |= int(av.codec.context.Flags.output_corrupt)
        # Without it up to 63 columns of a left edge that the stream itself cuts away are handed out with the picture.
        context.flags |= int(av.codec.context.Flags.unaligned)
        if context.name == "mjpeg":
            context.options = {"err_detect": "explode"}  # else it hands out half a picture and says nothing

    @property
    def undelayed(self) -> bool:
        """Whether the first picture is shown when it is decoded, so that no other can be decoded before it is due,
        though the codec shows pictures in another order."""
        return self._reorders and self._first is not None and self._first[0] == self._first[1]

    def run(self) -> Generator[Sample, None, None]:
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
        for pts in self._missing_tail(failed):
            sample = Sample(self._count, pts, False, True)
            self._count += 1
            self._pending[sample.index] = sample
            self._unjudged.append(sample)
            if self._times is not None:
                heapq.heappush(self._times, pts)
        yield from self._decode(None)
        for sample in sorted(self._pending.values(), key=self._display):
            self._lose(sample)
        yield from self._leave()

    def _expect(self, packet: av.Packet[av.VideoStream]) -> None:
        """Write down what this packet promises."""
        self._read += 1
        if packet.is_discard:
            packet.pts = None
            if not self._count:
                # It is only there to be leaned on: a film that was trimmed without encoding it anew begins so.
                self._tainted = packet.is_corrupt or (self._tainted and not packet.is_keyframe)
            return
        index, pts, dts = self._count, packet.pts, packet.dts
        self._count += 1
        if index == 0:
            self.untimed = pts is None and dts is None and "matroska" in self._container.format.name
        if index == 0 and pts is None:
            self._times = []
        if self._times is not None:
            # AVI, say, only counts packets in decoding order, so its times are dealt out again in display order.
            heapq.heappush(self._times, index * self._step if dts is None else dts)
            pts = None
        if self._first is None and pts is not None and dts is not None:
            self._first = (pts, dts)
        self._recent.append((index * self._step if dts is None else dts) if pts is None else pts)
        if pts is not None:
            self._until = max(self._until or pts, pts + (packet.duration or 0))
        sample = Sample(index, pts, packet.is_keyframe, packet.is_corrupt)
        # The decoder passes pts on unread, so it can carry the number by which the picture finds its packet again.
        # (Packet.opaque would do the same, but giving it back takes the interpreter's lock in the decoder's threads,
        # and closing a decoder while one of them waits for that never ends.)
        packet.pts = index
        self._pending[index] = sample
        self._unjudged.append(sample)

    def _decode(self, packet: av.Packet[av.VideoStream] | None) -> Iterator[Sample]:
        try:
            pictures = self._stream.codec_context.decode(packet)
        except (av.error.FFmpegError, OSError):
            self._faults += 1
            self._tainted |= packet is not None and packet.is_discard
            return  # its sample will be passed over
        for picture in pictures:
            self._arrive(picture)
        yield from self._leave()

    def _arrive(self, picture: av.VideoFrame) -> None:
        sample = None if picture.pts is None else self._pending.pop(picture.pts, None)
        if sample is None:
            return  # its place has been taken already by a picture far out of order
        self._learn_of_fields(sample)
        self._expect_second_field(sample, picture)
        for one in self._pending.values():
            # a broken packet may name a time that the film never comes to: it follows what came before
            if one.index < sample.index - 2 * REORDERING:
                one.pts = None
        passed = [one for one in self._pending.values() if self._passed(one, sample)]
        for one in sorted(passed, key=self._display):
            self._lose(one)
        for name in COLOURS[1:] if picture.format.is_rgb else COLOURS:
            if int(getattr(picture, name)) == UNSPECIFIED:
                setattr(picture, name, self._colours[name])
        sample.picture = picture
        sample.corrupt |= picture.is_corrupt
        # A container may call every packet a keyframe; these decoders know better.
        if self._stream.codec_context.name in KEY_KNOWERS:
            sample.key &= bool(picture.key_frame)
        self._resolve(sample)

    def _passed(self, one: Sample, arrived: Sample) -> bool:
        if one.pts is not None and arrived.pts is not None:
            return one.pts < arrived.pts
        return one.index < arrived.index - (REORDERING if self._times is not None else 0)

    def _expect_second_field(self, sample: Sample, picture: av.VideoFrame) -> None:
        """Two packets may hold the two fields of one picture; the second is no frame then: no picture comes of it."""
        second = self._pending.get(sample.index + 1)
        if second is None or not picture.interlaced_frame or self._times is not None:
            return
        # the step is an average: where a film pauses it is far longer than from one picture to the next
        if second.pts is None or (sample.pts is not None and 0 <= second.pts - sample.pts < 0.75 * self._step):
            second.field = True
            sample.corrupt |= second.corrupt
        elif sample.pts is not None and not self._halved and self.rate > FRAMES_AT_MOST:
            self._maybe = second, sample.pts, self._faults

    def _learn_of_fields(self, arrived: Sample) -> None:
        """Where a packet between two pictures gave none, though nothing broke, and lies nearer to the first than any
        two pictures lie to each other, packets are fields: the rate that counted them is halved."""
        if arrived.pts is None:
            return
        if self._shown is not None and arrived.pts > self._shown:
            self._nearest = min(arrived.pts - self._shown, self._nearest or arrived.pts - self._shown)
        self._shown = arrived.pts
        maybe, self._maybe = self._maybe, None
        if maybe is None or self._nearest is None:
            return
        second, first, faults = maybe
        if second.index not in self._pending or second.pts is None or second.corrupt or faults != self._faults:
            return
        if 0 < second.pts - first < 0.75 * self._nearest:
            self._halved, second.field = True, True
            self.rate, self._step = self.rate / 2, 2 * self._step

    def _lose(self, sample: Sample) -> None:
        self._pending.pop(sample.index, None)
        if sample.field:
            self._unjudged.remove(sample)
        else:
            self._resolve(sample)

    def _resolve(self, sample: Sample) -> None:
        sample.resolved = True
        sample.order = self._resolved
        self._resolved += 1
        self._leaving.append(sample)

    def _display(self, sample: Sample) -> tuple[int, int]:
        return (0 if sample.pts is None else sample.pts, sample.index)

    def _leave(self) -> Iterator[Sample]:
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

    def _judge(self, sample: Sample) -> None:
        """Decide in decoding order whether a sample's picture can be trusted."""
        bad = sample.picture is None or sample.corrupt
        leads = self._key is not None and sample.order < self._key.order
        # It may lean on what is missing before the keyframe, as where a film was cut, and break. Nothing that is shown
        # after the keyframe leans on it.
        severed = self._leading and leads and not sample.told
        if bad:
            self._tainted |= not severed
        elif sample.key:
            # Pictures decoded after a keyframe but shown before it may still lean on what came before it.
            self._leading, self._tainted, self._key = self._tainted, False, sample
            self._group += 1
        sample.group = self._group
        sample.unsound = bad and not sample.told and not severed
        sample.damaged = bad or self._tainted or (self._leading and leads)
        sample.judged = True

    def _missing_tail(self, failed: bool) -> list[int]:
        """Times, in ticks, of the frames that the container promised and the file no longer holds.

        Packets lie in decoding order, so some of the missing ones belong between the last that were read.
        """
        recent = sorted(self._recent)
        if not recent or not self._whole:
            return []
        format_name = self._container.format.name
        if "mp4" in format_name:
            entries = self._stream.index_entries
            missing = len(entries) - self._read
            if missing > 0 and (self._first is not None or self._times is not None):
                delay = 0 if self._first is None else self._first[0] - self._first[1]
                near = range(max(0, self._read - REORDERING), len(entries))
                times = {entries[i].timestamp + delay for i in near} - set(recent)
                return sorted(times)[-missing:]
        else:
            end = self._promised_end(format_name)
            # a picture at the end may be held for long
            held = max(recent[-1], (self._until or 0) - self._step)
            if end is not None and (end - held) * self._time_base > LEAP:
                return [end - self._step]  # one broken number may promise billions of frames; who reads on stops here
            if end is not None and end - held >= 1.5 * self._step:
                grid = (
                    pts for pts in range(recent[0], end - self._step // 2, self._step) if not recent[-1] < pts <= held
                )
                return [pts for pts in grid if all(abs(pts - one) > self._step // 2 for one in recent)]
        # How much is missing nobody knows, but something is.
        return [recent[-1] + self._step] if failed else []

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
