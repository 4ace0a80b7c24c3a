"""A clip's sound, decoded a little at a time and laid out on an unbroken line of samples.

The picture decides what is released; sound never costs a frame. What cannot be decoded becomes silence of the same
length, and is reported.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import av.container
import av.error
import av.stream
import numpy as np
import numpy.typing as npt

from pipeline.adapters import files
from pipeline.adapters.chapters import Chapter
from pipeline.adapters.disguise import disguised
from pipeline.adapters.packets import LENIENT
from pipeline.adapters.video_in import CONTAINERS, LEAP, audio_stream

BLOCK = 1024
"""Samples in one AAC frame."""

RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Sampling rates, Hz, that AAC knows."""

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
"""Channel layouts, by their number of channels, that every player of AAC knows; others become stereo. 7.1 is one of
those: whoever asks PyAV for the samples of eight planes ends the process (18.1)."""

JITTER = 0.015
"""Seconds by which a stretch of sound may be off before it is moved; one AAC frame at 48 kHz is 0.021."""

SLIP = 0.1
"""Seconds up to which a slip is made up for over the next second, where it came little by little; and up to which a
hole that the file itself leaves, by how long it says that its samples last, is no loss."""

PULL = 0.015
"""Share by which sound may be drawn out or pressed together meanwhile: a quarter of a semitone."""

EVER = 1e9
"""Seconds: longer than any film."""

PATIENCE = 200
"""Packets tried before the sound is said to be undecodable."""

LOUDEST = 1e6
"""What is farther from 0 than this, where 1 is full scale, or no number at all, is no sound: no encoder takes it."""

ROUNDING = 1e-6
"""Seconds."""

Samples = npt.NDArray[np.float32]
"""(channels, samples), -1..1."""


class Sound:
    """The chosen audio stream of ``path``; ``present`` tells whether there is one.

    ``chapters`` are the files of a take and where each lies on its clock; by default the one file at ``path``.
    ``start`` is the time of its first sample in seconds since the container's zero (None: nothing could be decoded, or
    it lies LEAP before the first picture and what is heard before that is left out).
    ``rate`` in Hz, ``layout`` and ``bit_rate`` are those to encode with. ``silences`` lists the stretches, seconds
    since the container's zero, that are silent because nothing was decoded there. ``mutes`` are stretches, likewise,
    that are to be silent: the encoder never sees what was said there. With ``disguise`` voices are made strange.
    ``first`` is when the first picture is shown: what is silent there is silent before it, too.
    """

    def __init__(
        self,
        path: Path,
        chapters: Sequence[Chapter] = (Chapter(None),),
        mutes: Sequence[tuple[float, float]] = (),
        disguise: bool = False,
        first: Fraction | None = None,
    ) -> None:
        self._first = first
        opening = -EVER if first is None else float(first) + ROUNDING
        self._mutes = tuple((-EVER if since <= opening else since, until) for since, until in mutes)
        self._disguise = disguise
        self._slipped = 0.0
        """The most seconds by which sound that is drawn out lay beside its own time so far."""
        self.silences: list[tuple[float, float]] = []
        self.present = False
        self.start: Fraction | None = None
        self.rate, self.layout = 48000, "stereo"
        self._path, self._chapters = path, chapters
        self._end: Fraction | None = None
        self._position = 0
        self._latest: int | None = None
        self._next: tuple[int, Samples] | None = None
        self._blocks: Iterator[tuple[int, Samples]] = iter(())
        self._source: BinaryIO | None = None
        self._container: av.container.InputContainer | None = None
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def _look(self) -> None:
        """Which sound there is, and its first samples."""
        for chapter in self._chapters:
            stream = self._open(chapter)
            if stream is None:
                continue
            self.present = True
            if stream.duration and stream.time_base:
                end = ((stream.start_time or 0) + stream.duration) * stream.time_base + chapter.offset
                self._end = max(end, self._end or end)
        if not self.present:
            self.close()
            return
        frames = self._decoded()
        first = next(frames, None)
        if first is None:
            return
        self.rate = min(RATES, key=lambda rate: (abs(rate - first.sample_rate), -rate))
        self.layout = LAYOUTS.get(first.layout.nb_channels, "stereo")
        self.start = self._time(first)
        if self.start is not None and self._first is not None and self._first - self.start > LEAP:
            self.start = None  # one of the two bears a wrong time: no film waits so long for its picture
        self._blocks = self._resampled(first, frames)
        if self._disguise:
            # What is muted must be silent before, too: a disguise spreads each moment over its neighbours.
            self._blocks = disguised(((place, self._muted(place, one)) for place, one in self._blocks), self.rate)

    def _open(self, chapter: Chapter) -> av.AudioStream | None:
        """Open this file instead of the last; its sound, to be read without the rest, or None."""
        self.close()
        self._source = chapter.opener() if chapter.opener else None
        self._container = av.open(
            cast(Any, self._source) or files.url(self._path),
            "r",
            container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
            **LENIENT,
        )
        stream = audio_stream(self._container)
        for other in self._container.streams:
            if stream is not None and other.index != stream.index:
                other.discard = av.stream.Discard.all
        return stream

    @property
    def channels(self) -> int:
        return {name: count for count, name in LAYOUTS.items()}[self.layout]

    @property
    def bit_rate(self) -> int:
        """Bits per second: 160,000 for stereo, less where so few samples cannot use it."""
        return min(80_000, 3 * self.rate) * self.channels if self.channels > 1 else min(96_000, 3 * self.rate)

    def begin(self, at: Fraction) -> None:
        """Let the output begin at ``at`` seconds: what was heard before is cut off, silence fills up nothing."""
        start = max(at, at if self.start is None else self.start)
        self._position = round(start * self.rate)

    def until(self, time: Fraction) -> Iterator[av.AudioFrame]:
        """Frames of BLOCK samples up to ``time`` (seconds since the container's zero); the last may be shorter.

        Their pts counts samples since the container's zero.
        """
        stop = int(time * self.rate)
        while self._position < stop:
            block = self._fill()
            if block is None:
                return
            yield block

    def rest(self, picture_end: Fraction, last: Fraction) -> Iterator[av.AudioFrame]:
        """Everything that is left, and silence up to where the sound was promised to end and the picture ends.

        What begins LEAP after the picture's end, after a silence, bears a wrong time and is left out. ``last`` is when
        the last picture is shown: what is muted there is muted to the end, for nobody can choose what lies beyond it.
        """
        ending = float(last) + ROUNDING
        self._mutes = tuple((since, EVER if until > ending else until) for since, until in self._mutes)
        self._latest = round((picture_end + LEAP) * self.rate)
        while (block := self._fill()) is not None:
            yield block
        stop = round(picture_end * self.rate)
        few = BLOCK
        if self.start is not None:
            if self._end is None:
                few = self.rate // 4  # nothing was promised: sound may well end a little sooner
            else:
                stop = min(stop, round(self._end * self.rate))
        if stop - self._position <= few:
            return
        self._silent(self._position, stop)
        while self._position < stop:
            size = min(BLOCK, stop - self._position)
            yield self._frame(np.zeros((self.channels, size), np.float32))

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None
        if self._source is not None:
            self._source.close()
            self._source = None

    def _decoded(self) -> Iterator[av.AudioFrame]:
        """All frames that can be decoded, on the take's clock. A container that cannot be read further ends its sound.

        A camera cuts its sound between two packets, not between two words: one decoder hears all chapters.
        """
        context: av.AudioCodecContext | None = None
        got, tried = False, 0
        for chapter in self._chapters:
            stream = self._open(chapter)
            if stream is None or stream.codec_context is None:
                continue
            if context is None or _kind(context) != _kind(stream.codec_context):
                context = stream.codec_context
            packets = cast(av.container.InputContainer, self._container).demux(stream)
            while True:
                try:
                    packet = next(packets, None)
                except (av.error.FFmpegError, OSError):
                    break
                if packet is None or (not packet.size and chapter is not self._chapters[-1]):
                    break  # what ends a chapter's packets would end the decoder
                packet = _untrimmed(packet, chapter is self._chapters[0], chapter is self._chapters[-1])
                if chapter.offset and packet.pts is not None:
                    packet.pts += round(chapter.offset / packet.time_base)
                with contextlib.suppress(av.error.FFmpegError, OSError):
                    for frame in context.decode(packet):
                        got = True
                        yield frame
                if not packet.size:
                    break  # the last: PyAV stumbles over streams that came late if it is asked for more
                tried += 1
                if not got and tried > PATIENCE:
                    return

    def _time(self, frame: av.AudioFrame) -> Fraction | None:
        return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base

    def _resampled(self, first: av.AudioFrame, rest: Iterator[av.AudioFrame]) -> Iterator[tuple[int, Samples]]:
        """(place of the first sample, samples) in the output's rate and layout."""
        shape: tuple[Any, ...] | None = None
        resampler: av.AudioResampler | None = None
        place = off = promised = 0
        pulling = False
        for frame in (one for group in ([first], rest) for one in group):
            now = (frame.format.name, frame.layout.name, frame.sample_rate)
            time = self._time(frame)
            if resampler is None or now != shape:
                if resampler is not None:
                    yield from self._pushed(resampler, None, place)
                # channels that are mixed become quieter, some 5 dB: added up in full they would be cut off at the top
                options = {"rematrix_maxval": "1"}
                resampler, shape = av.AudioResampler("fltp", self.layout, self.rate, options=options), now
                off, pulling = 0, False
                place = place if time is None else round(time * self.rate)
            elif time is not None:
                # Inside one stretch samples are counted; timestamps only tell where it has slipped.
                wanted = round(time * self.rate)
                before, off = off, wanted - place
                jumped = abs(off - before) > JITTER / 2 * self.rate or abs(off) > SLIP * self.rate
                if jumped and abs(off) > JITTER * self.rate:
                    if 0 < off < SLIP * self.rate and wanted <= promised:
                        yield place, np.zeros((self.channels, off), np.float32)
                    place, off, pulling = wanted, 0, False
                else:  # the sound's clock runs a little faster or slower than the picture's
                    pulling = abs(off) > (JITTER / 10 if pulling else JITTER) * self.rate
                    self._slipped = max(self._slipped, abs(off) / self.rate if pulling else 0)
            if time is not None and frame.time_base is not None:
                promised = round((time + (frame.duration or 0) * frame.time_base) * self.rate)
            try:
                frame.pts = None
                for _, samples in self._pushed(resampler, frame, place):
                    drawn = _drawn(samples, off) if pulling else samples
                    yield place, drawn
                    place += drawn.shape[1]
                    off -= drawn.shape[1] - samples.shape[1]
            except (av.error.FFmpegError, ValueError):
                resampler = None  # a layout nobody can mix: silence until it changes
        if resampler is not None:
            yield from self._pushed(resampler, None, place)

    def _pushed(
        self, resampler: av.AudioResampler, frame: av.AudioFrame | None, place: int
    ) -> Iterator[tuple[int, Samples]]:
        for out in resampler.resample(frame):
            samples = cast(Samples, out.to_ndarray())
            samples = np.where(np.abs(samples) < LOUDEST, samples, np.float32(0))
            yield place, samples
            place += samples.shape[1]

    def _fill(self) -> av.AudioFrame | None:
        """The next BLOCK samples, or fewer at the very end; None when the sound has ended."""
        parts: list[Samples] = []
        missing = BLOCK
        while missing:
            if self._next is None:
                self._next = next(self._blocks, None)
            if self._next is None:
                break
            place, samples = self._next
            here = self._position + BLOCK - missing
            if place < here:  # heard already
                samples = samples[:, here - place :]
                self._next = (here, samples) if samples.shape[1] else None
            elif place > here and self._latest is not None and place > self._latest:
                self._next, self._blocks = None, iter(())
            elif place > here:
                gap = min(missing, place - here)
                parts.append(np.zeros((self.channels, gap), np.float32))
                self._silent(here, here + gap)
                missing -= gap
            else:
                parts.append(samples[:, :missing])
                taken = parts[-1].shape[1]
                self._next = (place + taken, samples[:, taken:]) if taken < samples.shape[1] else None
                missing -= taken
        return self._frame(np.concatenate(parts, axis=1)) if parts else None

    def _muted(self, place: int, samples: Samples) -> Samples:
        """The samples, of which the first lies at ``place``, with what is to be muted silent."""
        for since, until in self._mutes:
            # what was drawn out lies beside its own time
            since, until = since - self._slipped, until + self._slipped
            first, last = math.floor(since * self.rate) - place, math.ceil(until * self.rate) - place
            if first < samples.shape[1] and last > 0:
                samples = samples.copy()
                samples[:, max(first, 0) : last] = 0
        return samples

    def _frame(self, samples: Samples) -> av.AudioFrame:
        samples = self._muted(self._position, samples)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", self.layout)
        frame.sample_rate = self.rate
        frame.pts = self._position
        frame.time_base = Fraction(1, self.rate)
        self._position += samples.shape[1]
        return frame

    def _silent(self, start: int, stop: int) -> None:
        since, until = start / self.rate, stop / self.rate
        if self.silences and since - self.silences[-1][1] < 1e-6:
            since = self.silences.pop()[0]
        self.silences.append((since, until))


def _drawn(samples: Samples, by: int) -> Samples:
    """The samples drawn out by as many as ``by``, or pressed together where it is below zero, as far as PULL allows."""
    count = samples.shape[1]
    most = int(PULL * count)
    places = np.linspace(0, count - 1, count + max(-most, min(most, by)))
    return np.array([np.interp(places, np.arange(count), channel) for channel in samples], np.float32)


def _untrimmed(packet: Any, first: bool, last: bool) -> Any:
    """A packet whose samples are all heard, unless those left out lie before the first chapter or after the last.

    What a chapter's edit list trims at a seam is the take's sound: only who plays that chapter alone leaves it out.
    """
    if not packet.has_sidedata("skip_samples"):
        return packet
    before, after = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
    if (first or not before) and (last or not after):
        return packet
    bare = av.Packet(bytes(packet))
    bare.pts, bare.dts, bare.duration, bare.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    return bare


def _kind(context: av.AudioCodecContext) -> tuple[object, ...]:
    """Sound of equal kind can go through one decoder."""
    return (context.name, context.sample_rate, context.layout.name, context.extradata)


def loudest(path: Path, start: float, stop: float) -> float:
    """The largest sample, 0..1, that is heard in a finished file between two times in seconds; 0 without sound."""
    top = 0.0
    with av.open(files.url(path)) as container:
        stream = audio_stream(container)
        if stream is None or stream.time_base is None:
            return 0.0
        container.seek(max(0, int((start - 1) / stream.time_base)), stream=stream)
        for frame in container.decode(stream):
            if frame.time is None or frame.time + frame.samples / frame.sample_rate <= start:
                continue
            if frame.time >= stop:
                break
            samples = np.abs(frame.to_ndarray().astype(np.float32))
            first = max(0, math.ceil((start - frame.time) * frame.sample_rate))
            last = max(0, math.floor((stop - frame.time) * frame.sample_rate))
            if samples[:, first:last].size:
                top = max(top, float(samples[:, first:last].max()))
    return top
