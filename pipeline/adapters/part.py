"""A stretch of a clip: its frames found by seeking, where the container lets one seek to the frame.

A part reads like the whole clip (`ClipReader`): frames count from 0, times are the clip's. What is there when it is
read must be what was there when the clip was read from end to end; where that cannot be had the part reads from the
beginning, or says that it cannot.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt

from pipeline.adapters import files
from pipeline.adapters.packets import Samples
from pipeline.adapters.pictures import Deinterlacer, planes, through
from pipeline.adapters.video_in import ClipReader, opened_container, video_stream
from pipeline.records import U8, Frame

Times = npt.NDArray[np.int64]

SEEKABLE = ("mp4", "matroska")
"""Containers with an index that leads to the frame."""

HELD_AT_ONCE = 192 << 20
"""Bytes of pictures held to go backwards."""

RUN_UP = 8
"""Frames before a stretch that are decoded too: deinterlacing looks back, and an index counts in decoding order."""


class PartError(Exception):
    """The frames of the stretch are not what they were when the whole clip was read."""


def leads_by_time(clip: ClipReader) -> bool:
    """Whether a clip's container leads to a frame by its time. A take of several files is read from end to end."""
    return len(clip.chapters) == 1 and not clip.dealt and any(name in clip.info.container for name in SEEKABLE)


class Part:
    """Frames ``start`` up to ``stop`` of ``clip``; ``pts`` (N,) are the times of all its frames, in its time base."""

    def __init__(self, clip: ClipReader, pts: Times, start: int, stop: int) -> None:
        if not 0 <= start < stop <= len(pts):
            raise PartError(f"there are no frames {start} to {stop}")
        self._clip, self._pts = clip, pts
        self.first, self.stop = start, stop
        self.info, self.colour, self.start = clip.info, clip.colour, clip.start
        self.path, self.chapters = clip.path, clip.chapters
        self.damaged: set[int] = set()
        self._from = 0
        if start > RUN_UP and leads_by_time(clip):
            self._from = start - RUN_UP

    def read_otherwise(self) -> None:
        """As `ClipReader.read_otherwise`, for the clip."""
        self._clip.read_otherwise()

    def frames(self) -> Iterator[Frame]:
        """The stretch's frames, counted from 0. Raises PartError when one is missing or at a time of its own."""
        expected = self.first
        # what seeking does not give is read from the beginning: the missing end of a film, times that stand still
        for read in ((self._sought,) if self._from else ()) + (self._clip.frames,):
            with contextlib.closing(cast(Generator[Frame], read())) as source:
                for frame in source:
                    if frame.number < expected:
                        continue
                    if frame.number != expected or frame.pts != int(self._pts[expected]):
                        break
                    if frame.damaged:
                        self.damaged.add(expected - self.first)
                    yield Frame(expected - self.first, frame.pts, frame.time, frame.picture, frame.damaged)
                    expected += 1
                    if expected == self.stop:
                        return
        raise PartError(f"frame {expected} is not where it was")

    def _sought(self) -> Iterator[Frame]:
        """Frames numbered by their times, from the keyframe before the run-up on."""
        clip, numbers = self._clip, {int(pts): number for number, pts in enumerate(self._pts)}
        with opened_container(clip.path, clip.chapters[0].opener) as container:
            stream = video_stream(container, clip.path)
            container.seek(int(self._pts[self._from]), stream=stream, backward=True)
            samples = Samples(container, stream, whole=False, otherwise=clip.otherwise).run()
            with contextlib.closing(samples):
                for sample in through(Deinterlacer(clip.info.time_base), samples):
                    pts = sample.pts
                    number = numbers.get(pts) if pts is not None else None
                    if pts is None or number is None:
                        continue  # before the first frame that the clip shows, or out of step: found missing above
                    picture = clip.shaped(sample.picture)
                    if picture is not None:
                        picture.pts, picture.time_base = pts, clip.info.time_base
                    damaged = picture is None or sample.damaged
                    yield Frame(number, pts, pts * clip.info.time_base, picture, damaged)


def keyframes(path: Path, pts: Times) -> list[int]:
    """Numbers of the frames of a finished file (ours) at which decoding can begin. ``pts`` as in the file."""
    with av.open(files.url(path)) as container:
        stream = container.streams.video[0]
        marks = sorted(
            packet.pts for packet in container.demux(stream) if packet.is_keyframe and packet.pts is not None
        )
    found = np.searchsorted(pts, marks)
    return [int(number) for number in found]


def lumas(part: Part) -> Iterator[tuple[int, U8 | None]]:
    """The frames of a stretch as (number in the clip, luma (H, W) of 8 bits or None where it did not decode)."""
    for frame in part.frames():
        yield part.first + frame.number, None if frame.picture is None else _luma(frame.picture)


def backwards(source: ClipReader, pts: Times, start: int, stop: int) -> Iterator[tuple[int, U8 | None]]:
    """The same of frames ``stop - 1`` down to ``start``, some at a time."""
    size = source.info.width * source.info.height
    some = max(8, HELD_AT_ONCE // max(size, 1))
    while stop > start:
        first = max(start, stop - some)
        yield from reversed(list(lumas(Part(source, pts, first, stop))))
        stop = first


def _luma(picture: Any) -> U8:
    plane = planes(picture)[0]
    return np.asarray(plane >> 2, np.uint8) if plane.dtype == np.uint16 else np.array(plane, np.uint8)
