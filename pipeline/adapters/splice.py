"""A finished file in which some stretches are replaced by newly encoded ones; every other packet is copied as it is.

Our files have closed groups of pictures, each beginning with a keyframe that nothing before it is needed for
(``forced-idr`` in video_out.py), so pictures outside the replaced stretches decode to the very same bits. Where the
two encodings do not share their parameter sets, or anything else is not as it should be, nothing is spliced.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.codec.context
import av.error

from pipeline.adapters import files
from pipeline.adapters.chapters import Chapter
from pipeline.adapters.sound import Sound
from pipeline.adapters.video_out import muxer_options


class SpliceError(Exception):
    """These files cannot be put together packet by packet; render the clip in one go."""


@dataclass(frozen=True)
class Piece:
    """A file with the pictures ``start`` up to ``stop``, which begin and end where the old file has keyframes."""

    path: Path
    start: int
    stop: int


@dataclass(frozen=True)
class NewSound:
    """The sound made anew from the source with ``mutes`` silent; times in seconds on the source's clock.

    ``shift`` is what the file's clock lies behind the source's, ``start`` the time of the first picture and ``end``
    that of the end of the last. With ``disguise`` voices are made strange, in another way than before.
    """

    path: Path
    chapters: Sequence[Chapter]
    mutes: tuple[tuple[float, float], ...]
    shift: Fraction
    start: Fraction
    end: Fraction
    disguise: bool


def splice(old: Path, pieces: Sequence[Piece], partial: Path, sound: NewSound | None = None) -> None:
    """Write ``partial``: the old file with the pieces in it, and with another sound if given. Raises SpliceError."""
    try:
        with files.writing(partial), av.open(files.url(old)) as before:
            _write(before, sorted(pieces, key=lambda one: one.start), partial, sound)
        _compare(old, sorted(pieces, key=lambda one: one.start), partial)
    except (av.error.FFmpegError, SpliceError) as error:
        files.remove(partial)
        raise error if isinstance(error, SpliceError) else SpliceError(str(error)) from error
    except BaseException:
        files.remove(partial)
        raise


def _write(before: Any, pieces: Sequence[Piece], partial: Path, sound: NewSound | None) -> None:
    video = before.streams.video[0]
    heard = next(iter(before.streams.audio), None)
    options = muxer_options(video.time_base)
    with av.open(files.url(partial), "w", format="mp4", container_options=options) as out:
        picture = out.add_stream_from_template(video)
        picture.time_base = video.time_base
        track = new = None
        if heard is not None and sound is None:
            track = out.add_stream_from_template(heard)
            track.time_base = heard.time_base
        elif heard is not None and sound is not None:
            new = _Sounding(out, sound)
        clock = _Clock.of(before, video)
        waiting = {piece.start: piece for piece in pieces}
        position = 0  # in decoding order
        before.seek(0)
        skipping = 0
        for packet in before.demux(*(stream for stream in (video, heard if track else None) if stream)):
            if packet.size == 0 and packet.dts is None:
                continue
            if track is not None and packet.stream is heard:
                packet.stream = track
                out.mux(packet)
                continue
            if skipping:
                skipping -= 1
                continue
            piece = waiting.pop(position, None) if packet.is_keyframe else None
            if piece is not None:
                skipping = piece.stop - piece.start - 1
                for fresh in _renewed(piece, clock, video):
                    fresh.stream = picture
                    out.mux(fresh)
                position = piece.stop
            else:
                packet.stream = picture
                packet.duration = clock.lasts(packet.pts)
                out.mux(packet)
                position += 1
            if new is not None:
                new.until(Fraction(clock.pts[min(position, len(clock.pts) - 1)]) * video.time_base)
        if waiting or skipping or position != len(clock.pts):
            raise SpliceError("a piece does not begin at a keyframe")
        if new is not None:
            new.end(Fraction(clock.pts[-1]) * video.time_base)


@dataclass(frozen=True)
class _Clock:
    """``pts`` in order of display and ``dts`` in order of decoding of every picture in a file, and its ``end``."""

    pts: list[int]
    dts: list[int]
    end: int

    @classmethod
    def of(cls, container: Any, video: Any) -> _Clock:
        packets = [p for p in container.demux(video) if p.size or p.dts is not None]
        if any(p.pts is None or p.dts is None for p in packets):
            raise SpliceError("a picture has no time")
        pts = sorted(int(p.pts) for p in packets)
        return cls(pts, [int(p.dts) for p in packets], pts[-1] + int(packets[-1].duration) if packets else 0)

    def lasts(self, pts: int) -> int:
        """For how long the picture at ``pts`` is shown.

        What a packet read from an MP4 says is until the next is decoded, in an uneven film another distance: the file
        would be said to end later than it does.
        """
        after = bisect.bisect_right(self.pts, pts)
        return (self.pts[after] if after < len(self.pts) else self.end) - pts


def _renewed(piece: Piece, clock: _Clock, old: Any) -> Iterator[Any]:
    """The packets of a piece at the times that its pictures have in the whole file."""
    with av.open(files.url(piece.path)) as container:
        video = container.streams.video[0]
        mine, theirs = video.codec_context, old.codec_context
        if mine.extradata != theirs.extradata or (mine.width, mine.height) != (theirs.width, theirs.height):
            raise SpliceError("the encodings do not share their parameter sets")
        packets = [packet for packet in container.demux(video) if packet.size]
        if len(packets) != piece.stop - piece.start or not packets[0].is_keyframe:
            raise SpliceError(f"a piece has {len(packets)} pictures, not {piece.stop - piece.start}")
        order = {pts: n for n, pts in enumerate(sorted(int(packet.pts or 0) for packet in packets))}
        if len(order) != len(packets):
            raise SpliceError("two pictures of a piece have one time")
        for at, packet in enumerate(packets, piece.start):
            pts, dts = clock.pts[piece.start + order[int(packet.pts or 0)]], clock.dts[at]
            if pts < dts:
                raise SpliceError("a picture would be shown before it is decoded")
            packet.pts, packet.dts, packet.time_base = pts, dts, old.time_base
            packet.duration = clock.lasts(pts)
            yield packet


class _Sounding:
    """Encodes the sound beside the pictures as they are written."""

    def __init__(self, out: Any, sound: NewSound) -> None:
        self._sound = Sound(sound.path, sound.chapters, sound.mutes, disguise=sound.disguise, first=sound.start)
        made = self._sound
        self._given, self._out = sound, out
        self._track = out.add_stream("aac", rate=made.rate, layout=made.layout)
        self._track.bit_rate = made.bit_rate
        self._track.codec_context.time_base = Fraction(1, made.rate)
        self._track.codec_context.flags |= int(av.codec.context.Flags.bitexact)
        made.begin(max(sound.shift, sound.start) if made.start is None else sound.shift)
        self._origin = round(sound.shift * made.rate)

    def until(self, time: Fraction) -> None:
        """``time`` in seconds on the file's clock."""
        for frame in self._sound.until(time + self._given.shift):
            self._mux(frame)

    def end(self, last: Fraction) -> None:
        """``last`` is when the last picture is shown, on the file's clock."""
        for frame in self._sound.rest(self._given.end, last + self._given.shift):
            self._mux(frame)
        self._mux(None)
        self._sound.close()

    def _mux(self, frame: Any) -> None:
        if frame is not None:
            frame.pts -= self._origin
        for packet in self._track.encode(frame):
            self._out.mux(packet)


def _compare(old: Path, pieces: Sequence[Piece], new: Path) -> None:
    """Read back: outside the pieces every picture's packet and time is the old one's, inside it is the piece's; and
    the film is as long as it was."""
    inside = {number for piece in pieces for number in range(piece.start, piece.stop)}
    with av.open(files.url(old)) as a, av.open(files.url(new)) as b:
        if a.streams.video[0].codec_context.extradata != b.streams.video[0].codec_context.extradata:
            raise SpliceError("the parameter sets changed")
        sources = [_bytes_of(piece.path) for piece in pieces]
        fresh = (data for source in sources for data in source)
        one, other = ((p for p in each.demux(each.streams.video[0]) if p.size) for each in (a, b))
        times: tuple[list[int], list[int]] = ([], [])
        for number, (was, now) in enumerate(zip(one, other, strict=True)):
            expected = next(fresh) if number in inside else bytes(was)
            if bytes(now) != expected or now.dts != was.dts or (number not in inside and now.pts != was.pts):
                raise SpliceError(f"picture {number} is not the one that was to be there")
            times[0].append(int(was.pts or 0))
            times[1].append(int(now.pts or 0))
        if next(fresh, None) is not None or not times[0]:
            raise SpliceError("a picture is missing")
        if sorted(times[0]) != sorted(times[1]):
            raise SpliceError("the times of the pictures changed")
        if a.streams.video[0].duration != b.streams.video[0].duration:
            raise SpliceError("the length of the film changed")


def _bytes_of(path: Path) -> Iterator[bytes]:
    with av.open(files.url(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                yield bytes(packet)
