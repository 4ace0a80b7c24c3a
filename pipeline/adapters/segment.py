"""A stretch of a clip by its times, read apart from the rest by seeking to the keyframe before it.

What is read so must be what is read from end to end, to the bit, or nothing is: a frame that is damaged, missing or
out of step ends in SegmentError, and the clip is read in one go as ever. Each reader sees one frame of its neighbour
too, and the two must have decoded it alike (`fits`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction

from pipeline.adapters.packets import Samples
from pipeline.adapters.part import RUN_UP, leads_by_time
from pipeline.adapters.pictures import Deinterlacer, fingerprint, through
from pipeline.adapters.video_in import ClipReader, opened_container, video_stream
from pipeline.records import Frame

RUN_UPS = (Fraction(0), Fraction(5), Fraction(20))
"""Seconds before a segment's first frame (and RUN_UP frames) from which reading begins, one after the other: where
groups of pictures are open, those first decoded lean on what came before the keyframe, up to the next one."""


class SegmentError(Exception):
    """The clip cannot be read in segments and give the same; read it from end to end."""


@dataclass(frozen=True)
class Mark:
    """A frame by which two readers know that they saw the same: its time and the fingerprint of its picture."""

    pts: int
    digest: int

    @classmethod
    def of(cls, frame: Frame) -> Mark:
        return cls(frame.pts, fingerprint(frame.picture))


def can_be_cut(clip: ClipReader) -> bool:
    """Whether a clip can be read in segments."""
    return clip.start is not None and leads_by_time(clip)


class Segment:
    """The frames of ``clip`` from ``since`` on and before ``until`` (seconds on its clock; None: from the first, to the
    last), counted from 0. Reads like the whole clip.

    With ``beyond`` the first frame from ``until`` on is handed out as well. ``first`` and ``following`` are the marks
    of the segment's first frame and of that one, once they have been read.
    """

    def __init__(self, clip: ClipReader, since: Fraction | None, until: Fraction | None, beyond: bool = False) -> None:
        self._clip, self._since, self._until, self._beyond = clip, since, until, beyond
        self.info, self.colour, self.start = clip.info, clip.colour, clip.start
        self.path, self.chapters = clip.path, clip.chapters
        self.damaged: set[int] = set()
        self.first: Mark | None = None
        self.following: Mark | None = None
        self.ended = False
        """The clip was read to its end."""

    def read_otherwise(self) -> None:
        """As `ClipReader.read_otherwise`, for the clip."""
        self._clip.read_otherwise()

    def frames(self) -> Iterator[Frame]:
        """Raises SegmentError where what comes may not be what the whole clip gives."""
        for run_up in RUN_UPS:
            frames = self._read(run_up + Fraction(RUN_UP) / self.info.rate)
            try:
                first = next(frames, None)
            except SegmentError:
                if self._since is None or run_up == RUN_UPS[-1]:
                    raise
                continue
            if first is not None:
                yield first
                yield from frames
            return

    def _read(self, run_up: Fraction) -> Generator[Frame, None, None]:
        """The frames, found from the keyframe that lies so many seconds before the first."""
        clip, time_base, since = self._clip, self.info.time_base, self._since
        number, last, seen_before = 0, None, since is None
        with opened_container(clip.path, clip.chapters[0].opener) as container:
            stream = video_stream(container, clip.path)
            if since is not None:
                container.seek(int((since - run_up) / time_base), stream=stream, backward=True)
            # An MP4's index tells how many frames there are in all; whoever joins the segments counts them.
            whole = self._until is None and "mp4" not in clip.info.container
            samples = Samples(container, stream, whole=whole, otherwise=clip.otherwise).run()
            with contextlib.closing(samples):
                for sample in through(Deinterlacer(time_base), samples):
                    pts = sample.pts
                    if pts is None or (last is not None and pts <= last):
                        raise SegmentError("the times of the frames do not count on")
                    last, time = pts, pts * time_base
                    if since is not None and time < since:
                        seen_before = True
                        continue
                    picture = clip.shaped(sample.picture)
                    if picture is None or sample.damaged:
                        raise SegmentError("a frame is damaged")
                    if not seen_before:
                        raise SegmentError("no frame before the segment was found, so its first may be missing")
                    picture.pts, picture.time_base = pts, time_base
                    frame = Frame(number, pts, time, picture, False)
                    outside = self._until is not None and time >= self._until
                    if outside and not self._beyond:
                        return
                    if number == 0 and outside:
                        raise SegmentError("the segment has no frame of its own")
                    if number == 0:
                        self.first = Mark.of(frame)
                    if outside:
                        self.following = Mark.of(frame)
                    yield frame
                    if outside:
                        return
                    number += 1
        if not number or self._until is not None:
            raise SegmentError("the clip ends before the segment does")
        self.ended = True
