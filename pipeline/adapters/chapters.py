"""One take in several files: where each begins and ends, so that the film runs through without a seam in time.

Cameras cut a long take in two ways. MP4 and MOV chapters (GoPro; Canon and Panasonic on FAT32) are films of their own
whose clocks start anew: each begins where the last frame of the one before it ends. MPEG transport streams (AVCHD) are
cut between two packets, often in the midst of a picture, and their clock runs on: such files are read as one.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO, cast

import av
import av.container
import av.error

from pipeline.adapters.packets import REORDERING, frame_rate, time_base

if TYPE_CHECKING:
    from typing_extensions import Buffer

Opener = Callable[[], BinaryIO]
"""Opens a clip's bytes anew, for reading and seeking."""

CONTINUES = 1
"""Seconds by which the clock of a transport stream may be off its predecessor's end and still be the same clock."""

_TAIL = 2
"""Seconds before the promised end from which the end is read."""


@dataclass(frozen=True)
class Extent:
    """Where one file's picture begins and ends by its own clock, in seconds; ``frames`` is 0 where it does not say."""

    format: str
    start: Fraction
    end: Fraction
    frames: int


@dataclass(frozen=True)
class Chapter:
    """One file of a take. ``offset`` in seconds is added to its times; ``opener`` is None where a path is opened."""

    opener: Opener | None
    offset: Fraction = Fraction(0)
    frames: int = 0
    seconds: Fraction = Fraction(0)


def lay_out(openers: Sequence[Opener], extents: Sequence[Extent]) -> tuple[Chapter, ...]:
    """The files of one take on one clock, in order: that of the first file."""
    out: list[Chapter] = []
    pieces: list[Opener] = []
    offset, start, end, frames = Fraction(0), Fraction(0), Fraction(0), 0

    def close() -> None:
        if pieces:
            whole = pieces[0] if len(pieces) == 1 else _joiner(tuple(pieces))
            out.append(Chapter(whole, offset, frames, end - start))

    for opener, extent in zip(openers, extents, strict=True):
        runs_on = bool(pieces) and extent.format == "mpegts" and abs(extent.start - end) <= CONTINUES
        if runs_on:
            pieces.append(opener)
            end, frames = extent.end, 0
            continue
        close()
        if out:
            offset = offset + end - extent.start
        pieces, start, end, frames = [opener], extent.start, extent.end, extent.frames
    close()
    return tuple(out)


def extent(container: av.container.InputContainer, stream: av.VideoStream) -> Extent:
    """Where the picture of an open container begins and ends, from its packets; nothing is decoded.

    The end is that of the last frame the file holds, or promises where its own end is missing.
    """
    base, step = time_base(stream), 1 / frame_rate(stream)
    first: list[tuple[int, int | None]] = []
    last: Fraction | None = None
    for packet in _packets(container, stream):
        first.append((cast(int, packet.pts), packet.dts))
        last = max(last or Fraction(0), _end(packet, base, step))
        if len(first) > REORDERING:
            break
    if not first or last is None:
        return Extent(container.format.name, Fraction(0), Fraction(0), stream.frames)
    start = min(pts for pts, _ in first)
    if stream.duration and stream.duration * base > 2 * _TAIL:
        container.seek(start + int(stream.duration - _TAIL / base), stream=stream)
    for packet in _packets(container, stream):
        last = max(last, _end(packet, base, step))
    entries = stream.index_entries
    if "mp4" in container.format.name and len(entries) and first[0][1] is not None:
        delay = first[0][0] - first[0][1]  # by how much pictures are shown later than decoded
        last = max(last, (entries[len(entries) - 1].timestamp + delay) * base + step)
    return Extent(container.format.name, start * base, last, stream.frames)


def _packets(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.Packet[av.VideoStream]]:
    """The packets that carry a picture to be shown, from where the container stands; a broken one ends there."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError):
            return
        if packet is None or (packet.dts is None and packet.pts is None and not packet.size):
            return  # the last: PyAV stumbles over streams that came late if it is asked for more
        if packet.pts is not None and packet.size and not packet.is_discard:
            yield packet


def _end(packet: av.Packet[av.VideoStream], base: Fraction, step: Fraction) -> Fraction:
    return (cast(int, packet.pts) + packet.duration) * base if packet.duration else cast(int, packet.pts) * base + step


def _joiner(openers: tuple[Opener, ...]) -> Opener:
    return lambda: cast(BinaryIO, Joined(openers))


class _Reader(io.RawIOBase):
    """What both readers below share: a place in ``size`` bytes."""

    size = 0
    _at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if at < 0:
            raise ValueError(f"cannot seek to {at}")
        self._at = at
        return at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class Joined(_Reader):
    """Several files read as one, end to end; closing it closes them."""

    def __init__(self, openers: Sequence[Opener]) -> None:
        super().__init__()
        self._files: list[BinaryIO] = []
        self._starts: list[int] = []
        try:
            for opener in openers:
                self._files.append(opener())
                self._starts.append(self.size)
                self.size += self._files[-1].seek(0, os.SEEK_END)
        except BaseException:
            self.close()
            raise

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._at < self.size:
            n = bisect_right(self._starts, self._at) - 1
            self._files[n].seek(self._at - self._starts[n])
            piece = self._files[n].read(len(view) - done)
            if not piece:
                break
            view[done : done + len(piece)] = piece
            done += len(piece)
            self._at += len(piece)
        return done

    def close(self) -> None:
        if not self.closed:
            for file in self._files:
                file.close()
        super().close()


class Window(_Reader):
    """A stretch of an open file as a file of its own; closing it closes that file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        super().__init__()
        self._file, self._start, self.size = file, start, size

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self.size - self._at)]
        if not view:
            return 0
        self._file.seek(self._start + self._at)
        piece = self._file.read(len(view))
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def windows(opener: Opener, sizes: Sequence[int]) -> tuple[Opener, ...]:
    """Openers of the files of a take that lie end to end in one: ``sizes`` are theirs in bytes, in order."""

    def window(start: int, size: int) -> Opener:
        return lambda: cast(BinaryIO, Window(opener(), start, size))

    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    return tuple(window(start, size) for start, size in zip(starts, sizes, strict=True))
