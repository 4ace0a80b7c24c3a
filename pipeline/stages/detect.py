"""Faces found: the looks at a film, several at once, and what was seen there.

When there is a look and at what is said in `pipeline.glances`; sound timing between two looks is the tracker's work.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

import numpy as np

from pipeline import glimpses, likeness
from pipeline.columns import Column
from pipeline.glances import Glance, Scheme, sizes
from pipeline.looks import Faces, Glimpsed, Seen, examine, glance_at, glimpse, grey_of, luma_of
from pipeline.records import (
    F32,
    I32,
    U8,
    CutOut,
    Detections,
    FaceDetector,
    Figures,
    Frame,
    FrameSource,
    Glimpses,
    Progress,
    VideoInfo,
    no_progress,
)

TINY = 64, 36

CUT, CUT_OF_SPREAD, CUT_LEAST, SAME = 14.0, 0.5, 3.0, 0.7
"""A cut is assumed where the TINY grey picture changes by CUT grey levels in the mean, or, in the dark and in fog, by a
share of how far its levels spread, but by CUT_LEAST of them; and correlates with the one before by less than SAME. A
pan, somebody who walks past close by and lights that go on change as much; but the picture stays alike, and to break
tracks there would forget who is in sight."""

SEGMENT_SECONDS = Fraction(60)
"""A clip is gone through in segments of this length, counted from its first frame; nothing about when and at which size
is looked is carried over from one to the next. So they may be gone through apart, elsewhere and in any order, and what
is found is the same to the bit."""

AHEAD = 4
"""Looks per worker that may be taken before the first of them is told: recognition comes in bursts."""

MANY = 5
"""Glances from which the workers share a look among them."""

Shrink = Callable[[Any, int, int], U8]
"""A picture as BGR (H, W, 3) of a width and height, each pixel the average of what it covers; threads may share one."""


class Observer(Protocol):
    """Told of every look while the picture is at hand."""

    def __call__(self, frame: Frame, first: int, boxes: F32, scores: F32, landmarks: F32, looks: U8) -> None:
        """``first`` is the index of the look's first detection; (N, 4), (N,), (N, 5, 2), (N, 128)."""

    def scene_ends(self) -> None:
        """The look before was the last of its scene."""


class _Found:
    """Detections so far. How faces look is kept only where they are to be told apart."""

    def __init__(self, observed: bool) -> None:
        self.observed = observed
        self.frame, self.box, self.score = Column(np.int32), Column(np.float32, 4), Column(np.float32)
        self.facing, self.look = Column(np.float32), Column(np.uint8, 128)
        self.looked, self.prints, self.times = Column(np.int32), Column(np.uint64), Column(np.float64)
        self.glimpsed = Column(np.int32), Column(np.float32, 4), Column(np.float32), Column(np.bool_)
        self.cuts: list[int] = []
        self.damaged: list[int] = []
        self.seams: list[int] = []
        self.thorough: list[int] = []
        self.count = 0

    def add(self, number: int, seen: Seen) -> int:
        """Put in what a look at frame ``number`` found; the index of its first detection."""
        first, self.count = self.count, self.count + len(seen.boxes)
        self.looked.add([number])
        self.frame.add(np.full(len(seen.boxes), number))
        self.box.add(seen.boxes)
        self.score.add(seen.scores)
        if self.observed:
            self.facing.add(likeness.frontal(seen.landmarks))
            self.look.add(seen.looks)
        return first

    def passed(self, frame: Frame, fingerprint: Callable[[Any], int] | None) -> None:
        self.times.add([float(frame.time)])
        if fingerprint is not None:
            self.prints.add([0 if lost(frame) else fingerprint(frame.picture)])

    def add_glimpsed(self, number: int, seen: Glimpsed) -> None:
        for column, rows in zip(self.glimpsed, (np.full(len(seen[0]), number), *seen), strict=True):
            column.add(rows)

    def arrays(self, frames: int) -> Detections:
        """All of it, which is given up here."""
        return Detections(
            frames=frames,
            frame=self.frame.taken(),
            box=self.box.taken(),
            score=self.score.taken(),
            facing=self.facing.taken(),
            look=self.look.taken(),
            looked=np.sort(self.looked.taken()),
            cuts=np.array(sorted(set(self.cuts)), np.int32),
            damaged=np.array(sorted(self.damaged), np.int32),
            seams=np.array([seam for seam in self.seams if seam < frames], np.int32),
            prints=self.prints.taken()[:frames],
            times=self.times.taken()[:frames],
            thorough=np.array(sorted(self.thorough), np.int32),
            glimpses=Glimpses(*(column.taken() for column in self.glimpsed)),
        )


def detect(
    source: FrameSource,
    detector: FaceDetector,
    threshold: float,
    observe: Observer | None = None,
    progress: Progress = no_progress,
    figures: Figures | None = None,
    workers: int = 1,
    origin: Fraction | None = None,
    fingerprint: Callable[[Any], int] | None = None,
    *,
    shrink: Shrink,
    cut_out: CutOut | None,
) -> Detections:
    """Go through the clip once and return everything found.

    ``threshold`` is the score from which a detection counts; ``workers`` threads may call ``detector`` at once;
    ``fingerprint`` tells one picture from another; ``shrink`` makes of one what the detector is given, and ``cut_out``
    of a part of one: with None nobody looks closely where something is new.
    Damaged frames are not looked at; the scene starts afresh after them.

    With ``origin``, the time of the whole clip's first frame, ``source`` begins with a segment and only that is gone
    through; frames count from 0 in it. The first frame after it is needed too, to see whether the scene changes there.
    `joined_segments` puts segments together.
    """
    figures = figures or Figures()
    found = _Found(observe is not None)
    with (
        ThreadPoolExecutor(1, thread_name_prefix="lesveil-tell") as teller,
        ThreadPoolExecutor(workers, thread_name_prefix="lesveil-look") as pool,
    ):
        looks = _Looks(pool, teller, AHEAD * workers, found, observe, figures, source.info, detector, threshold, shrink)
        watch = _Watch(source.info, looks, found, cut_out, origin)
        for frame in source.frames():
            found.passed(frame, fingerprint)
            if not watch.next(frame):
                break
            progress("detect", frame.number, source.info.frames)
        watch.end_scene()
        looks.finish()
    progress("detect", watch.frames, watch.frames)
    return found.arrays(watch.frames)


class _Little(NamedTuple):
    """A frame and two grey pictures of it: what changes in the film is told by them."""

    frame: Frame
    tiny: F32
    fine: F32


class _Watch:
    """Goes through the frames in their order and says where scenes begin and at which frames there is a look.

    ``frames`` are those gone through. ``origin`` is as in `detect`.
    """

    def __init__(
        self, info: VideoInfo, looks: _Looks, found: _Found, cut_out: CutOut | None, origin: Fraction | None
    ) -> None:
        self.frames = 0
        self._info, self._looks, self._found, self._cut_out = info, looks, found, cut_out
        self._alone, self._origin = origin is not None, origin
        self._segment: int | None = None
        self._shapes, self._cells = sizes(info), glimpses.cells(info)
        self._scheme, self._stir = Scheme(self._shapes), glimpses.stir()
        self._previous: _Little | None = None
        """None where the frame before did not decode, or there is none."""

    def next(self, frame: Frame) -> bool:
        """Look at a frame if it is time. False: it is the next segment's, and only shows whether the scene changes."""
        seam = self._begins_segment(frame)
        now = None if lost(frame) else self._in_little(frame)
        fresh = now is None or self._previous is None or _is_cut(self._previous.tiny, now.tiny)
        if fresh:
            self.end_scene()
        elif seam:
            self._looks.end_scene()  # for who observes; tracks run on over a seam
        if seam and self._alone:
            if now is not None and fresh:
                self._found.cuts.append(frame.number)
            self._previous = None
            return False
        self.frames = frame.number + 1
        if seam:
            self._scheme = Scheme(self._shapes)
        if now is None:
            self._found.damaged.append(frame.number)
        else:
            self._watch(now, fresh, seam)
        if fresh and (frame.number or now is None):
            self._found.cuts.append(frame.number)
        self._previous = now
        return True

    def end_scene(self) -> None:
        self._look_back(self._scheme.all)
        self._looks.end_scene()

    def _begins_segment(self, frame: Frame) -> bool:
        self._origin = frame.time if self._origin is None else self._origin
        before, self._segment = self._segment, segment_of(frame.time, self._origin)
        seam = before is not None and self._segment != before
        if seam:
            self._found.seams.append(frame.number)
        return seam

    def _in_little(self, frame: Frame) -> _Little:
        luma = luma_of(frame.picture)
        return _Little(frame, grey_of(luma, *TINY), grey_of(luma, *self._cells))

    def _watch(self, now: _Little, fresh: bool, seam: bool) -> None:
        frame, large, crowded = now.frame, False, False
        if self._cut_out is not None:
            places = glimpses.places(self._stir(frame.time, now.fine, fresh or seam)[1], self._info)
            large, crowded = len(places.tiles) > 0, places.crowded
            if not crowded:
                self._looks.glimpse(frame, np.concatenate([places.small, places.tiles]), self._cut_out)
        glances = self._scheme.due(frame.time, now.tiny, fresh, large, crowded)
        if self._scheme.sudden:
            self._look_back(self._scheme.usual)
        self._look(frame, glances)

    def _look_back(self, glances: Callable[[Fraction], Sequence[Glance]]) -> None:
        """At the frame before, so that nobody's last moments, before a cut or a leap, rest on a guess."""
        if self._previous is not None and self._previous.frame.number != self._looks.latest:
            frame = self._previous.frame
            self._look(frame, glances(frame.time))

    def _look(self, frame: Frame, glances: Sequence[Glance]) -> None:
        if not glances:
            return
        answer = self._looks.at(frame, glances)
        if any(one.size == self._shapes.large and not one.turn for one in glances):
            self._found.thorough.append(frame.number)
        self._scheme.asked(glances, lambda: answer.result().turns)


def lost(frame: Frame) -> bool:
    """Whether there is nothing of it to look at."""
    return frame.damaged or frame.picture is None


def segment_of(time: Fraction, origin: Fraction) -> int:
    """The number of the segment to which a frame at ``time`` belongs; ``origin`` is that of the clip's first frame."""
    return int((time - origin) // SEGMENT_SECONDS)


def joined_segments(parts: Sequence[Detections]) -> Detections:
    """What was found in the segments of a clip, in order, as if it had been gone through in one go."""
    starts = [sum(part.frames for part in parts[:n]) for n in range(len(parts) + 1)]

    glimpsed = [part.glimpses for part in parts]

    def rows(name: str, of: Sequence[Any] = parts) -> Any:
        return np.concatenate([getattr(part, name) for part in of])

    def frames(name: str, of: Sequence[Any] = parts) -> I32:
        each = [getattr(part, name) + start for part, start in zip(of, starts, strict=False)]
        return np.asarray(np.concatenate(each), np.int32)

    return Detections(
        frames=starts[-1],
        frame=frames("frame"),
        box=rows("box"),
        score=rows("score"),
        facing=rows("facing"),
        look=rows("look"),
        looked=frames("looked"),
        cuts=np.unique(frames("cuts")),
        damaged=frames("damaged"),
        seams=np.array(starts[1:-1], np.int32),
        prints=rows("prints"),
        times=rows("times"),
        thorough=frames("thorough"),
        glimpses=Glimpses(
            frames("frame", glimpsed), rows("box", glimpsed), rows("score", glimpsed), rows("cut", glimpsed)
        ),
    )


@dataclass
class _Looks:
    """Looks on their way: several are taken at once, and their results are told, in the order of the frames, by a
    thread of its own, because recognition takes its time while the film goes on."""

    pool: Executor
    teller: Executor
    ahead: int
    found: _Found
    observe: Observer | None
    figures: Figures
    info: VideoInfo
    detector: FaceDetector
    threshold: float
    shrink: Shrink
    latest: int = -1
    waiting: deque[Future[None]] = field(default_factory=deque)

    def at(self, frame: Frame, which: Sequence[Glance]) -> Future[Seen]:
        work = self.examined(frame.picture, which)
        self.waiting.append(self.teller.submit(self._tell, frame, work))
        self.latest = frame.number
        self.figures.count("looks", len(which))
        self._wait(self.ahead)
        return work

    def examined(self, picture: Any, which: Sequence[Glance]) -> Future[Seen]:
        """A look at the usual sizes is one worker's. One at all sizes, for which others may be waiting, is everybody's:
        the largest first, so that who puts it together, and comes last, waits for the shortest; but those that are
        turned after the others, for of one size, turned or not, large ones take turns."""

        def glance(one: Glance) -> Faces:
            return glance_at(self.shrink(picture, *one.size), one, self.info, self.detector, self.threshold)

        if len(which) < MANY:
            return self.pool.submit(examine, which, glance, picture)
        largest = sorted(which, key=lambda one: (one.turn > 0, -one.size[0] * one.size[1]))
        parts = {one: self.pool.submit(glance, one) for one in largest}
        return self.pool.submit(examine, which, lambda one: parts[one].result(), picture)

    def glimpse(self, frame: Frame, where: F32, cut_out: CutOut) -> None:
        """Look closely at the squares (K, 4) of a frame, if there are any."""
        for some in np.split(where, range(glimpses.AT_ONCE, len(where), glimpses.AT_ONCE)) if len(where) else ():
            work = self.pool.submit(glimpse, frame.picture, some, cut_out, self.detector)
            self.waiting.append(self.teller.submit(self._tell_glimpsed, frame.number, work))
            self._wait(self.ahead)

    def _tell_glimpsed(self, number: int, work: Future[Glimpsed]) -> None:
        self.found.add_glimpsed(number, work.result())

    def end_scene(self) -> None:
        if self.observe is not None:
            self.waiting.append(self.teller.submit(self.observe.scene_ends))

    def finish(self) -> None:
        self._wait(0)

    def _wait(self, left: int) -> None:
        while len(self.waiting) > left:
            self.waiting.popleft().result()

    def _tell(self, frame: Frame, work: Future[Seen]) -> None:
        started = time.perf_counter()
        seen = work.result()
        self.figures.add("detect", time.perf_counter() - started)
        first = self.found.add(frame.number, seen)
        if self.observe is not None:
            started = time.perf_counter()
            self.observe(frame, first, seen.boxes, seen.scores, seen.landmarks, seen.looks)
            self.figures.add("identify", time.perf_counter() - started)


def _is_cut(before: F32, now: F32) -> bool:
    enough = CUT_OF_SPREAD * max(float(before.std()), float(now.std()))
    if float(np.abs(now - before).mean()) <= min(max(enough, CUT_LEAST), CUT):
        return False
    one, other = before - before.mean(), now - now.mean()
    size = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return size < 1.0 or float((one * other).sum()) < SAME * size
