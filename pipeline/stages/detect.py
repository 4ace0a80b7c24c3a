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
from typing import Any, Protocol, cast

import cv2
import numpy as np

from pipeline import glimpses, likeness
from pipeline.columns import Column
from pipeline.geometry import larger, suppress, turned_back
from pipeline.glances import FILLS, TURNED, Glance, Mask, Scheme, sizes
from pipeline.glimpses import GREY
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

CUT, SAME = 14.0, 0.7
"""A cut is assumed where a 64 x 36 grey picture changes by this many grey levels in the mean, and correlates with the
one before by less than this. A pan, somebody who walks past close by and lights that go on change as much; but the
picture stays alike, and to break tracks there would forget who is in sight."""

SEGMENT_SECONDS = Fraction(60)
"""A clip is gone through in segments of this length, counted from its first frame; nothing about when and at which size
is looked is carried over from one to the next. So they may be gone through apart, elsewhere and in any order, and what
is found is the same to the bit."""

AHEAD = 4
"""Looks per worker that may be taken before the first of them is told: recognition comes in bursts."""

MANY = 5
"""Glances from which the workers share a look among them."""

TURNED_GROWS = 0.15
"""Share of its size by which the box of a turned face grows on every side: what is hidden around a box is made for
heads whose hair is above."""

BORDER = 4
"""Share of a picture's side by which a border is laid around it where faces are looked for that fill it."""

SWAPPED = [1, 0, 2, 4, 3]
"""The five landmarks in a mirrored picture: what is the left eye there, is the right one."""

THUMB = 16

CLEAR = 0.4
"""A detection of this score is a face, and what is fainter within its box an echo of it."""

AS_HIGH = 0.4, 1.5
"""Between these shares of the face's height. A smaller one may be another face before it, or a picture of one."""


_Faces = tuple[F32, F32, F32]
"""Boxes (N, 4), scores (N,), landmarks (N, 5, 2), in pixels of the displayed frame."""


_Glimpsed = tuple[F32, F32, Mask]
"""Boxes (N, 4) in pixels of the frame, scores (N,), and which of them (N,) are cut."""

Shrink = Callable[[Any, int, int], U8]
"""A picture as BGR (H, W, 3) of a width and height, each pixel the average of what it covers; threads may share one."""


class Observer(Protocol):
    """Told of every look while the picture is at hand."""

    def __call__(self, frame: Frame, first: int, boxes: F32, scores: F32, landmarks: F32, looks: U8) -> None:
        """``first`` is the index of the look's first detection; (N, 4), (N,), (N, 5, 2), (N, 128)."""

    def scene_ends(self) -> None:
        """The look before was the last of its scene."""


@dataclass(frozen=True)
class _Seen:
    """What one look found: (N, 4), (N,), (N, 5, 2), (N, 128); and the quarter turns at which there was a face."""

    boxes: F32
    scores: F32
    landmarks: F32
    looks: U8
    turns: frozenset[int]


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

    def add(self, number: int, seen: _Seen) -> int:
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

    def add_glimpsed(self, number: int, seen: _Glimpsed) -> None:
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
    one_segment: Fraction | None = None,
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

    With ``one_segment``, the time of the clip's first frame, ``source`` begins with a segment and only that is gone
    through; frames count from 0 in it. The first frame after it is needed too, to see whether the scene changes there.
    `joined_segments` puts segments together.
    """
    figures = figures or Figures()
    info = source.info
    shapes = sizes(info)
    found = _Found(observe is not None)
    with (
        ThreadPoolExecutor(1, thread_name_prefix="lesveil-tell") as teller,
        ThreadPoolExecutor(workers, thread_name_prefix="lesveil-look") as pool,
    ):
        looks = _Looks(pool, teller, AHEAD * workers, found, observe, figures, info, detector, threshold, shrink)
        previous: Frame | None = None
        tiny_before: Any = None
        scheme, stir, fine = Scheme(shapes), glimpses.stir(), glimpses.cells(info)
        frames = 0
        origin = one_segment
        segment: int | None = None

        def look(frame: Frame, glances: Sequence[Glance]) -> None:
            if glances:
                answer = looks.at(frame, glances)
                if any(one.size == shapes.large and not one.turn for one in glances):
                    found.thorough.append(frame.number)
                scheme.asked(glances, lambda: answer.result().turns)

        def look_back(last: Frame | None, glances: Callable[[Fraction], Sequence[Glance]]) -> None:
            # so that nobody's last moments, before a cut or a leap, rest on a guess
            if last is not None and last.number != looks.latest:
                look(last, glances(last.time))

        def end_scene(last: Frame | None) -> None:
            look_back(last, scheme.all)
            looks.end_scene()

        for frame in source.frames():
            number = frame.number
            origin = frame.time if origin is None else origin
            before, segment = segment, segment_of(frame.time, origin)
            seam = before is not None and segment != before
            beyond = seam and one_segment is not None  # the next segment's: it only shows whether the scene changes
            if seam:
                found.seams.append(number)
            if not beyond:
                frames = number + 1
                progress("detect", number, info.frames)
            found.times.add([float(frame.time)])
            lost = frame.damaged or frame.picture is None
            if fingerprint is not None:
                found.prints.add([0 if lost else fingerprint(frame.picture)])
            if lost:
                end_scene(previous)
                previous, tiny_before = None, None
                scheme = Scheme(shapes) if seam else scheme
                if beyond:
                    break
                found.damaged.append(number)
                found.cuts.append(number)
                continue
            luma = _luma(frame.picture)
            tiny = _grey(luma, 64, 36)
            cut = tiny_before is None or _is_cut(tiny_before, tiny)
            if cut:
                end_scene(previous)
                if number:
                    found.cuts.append(number)
            elif seam:
                looks.end_scene()  # for who observes; tracks run on over a seam
            if beyond:
                previous = None
                break
            scheme = Scheme(shapes) if seam else scheme
            if cut_out is not None:
                new = stir(frame.time, _grey(luma, *fine), cut or seam)[1]
                looks.glimpse(frame, glimpses.squares(new, info), cut_out)
            glances = scheme.due(frame.time, tiny, cut)
            if scheme.sudden:
                look_back(previous, scheme.usual)
            look(frame, glances)
            previous, tiny_before = frame, tiny
        end_scene(previous)
        looks.finish()
    progress("detect", frames, frames)
    return found.arrays(frames)


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

    def at(self, frame: Frame, which: Sequence[Glance]) -> Future[_Seen]:
        work = self._examined(frame.picture, which)
        self.waiting.append(self.teller.submit(self._tell, frame, work))
        self.latest = frame.number
        self.figures.count("looks", len(which))
        self._wait(self.ahead)
        return work

    def _examined(self, picture: Any, which: Sequence[Glance]) -> Future[_Seen]:
        """A look at the usual sizes is one worker's. One at all sizes, for which others may be waiting, is everybody's:
        the largest first, so that who puts it together, and comes last, waits for the shortest; but those that are
        turned after the others, for of one size, turned or not, large ones take turns."""

        def glance(one: Glance) -> _Faces:
            return _look(self.shrink(picture, *one.size), one, self.info, self.detector, self.threshold)

        if len(which) < MANY:
            return self.pool.submit(_examine, which, glance, picture)
        largest = sorted(which, key=lambda one: (one.turn > 0, -one.size[0] * one.size[1]))
        parts = {one: self.pool.submit(glance, one) for one in largest}
        return self.pool.submit(_examine, which, lambda one: parts[one].result(), picture)

    def glimpse(self, frame: Frame, where: F32, cut_out: CutOut) -> None:
        """Look closely at the squares (K, 4) of a frame, if there are any."""
        for some in np.split(where, range(glimpses.AT_ONCE, len(where), glimpses.AT_ONCE)) if len(where) else ():
            work = self.pool.submit(_glimpsed, frame.picture, some, cut_out, self.detector)
            self.waiting.append(self.teller.submit(self._tell_glimpsed, frame.number, work))
            self._wait(self.ahead)

    def _tell_glimpsed(self, number: int, work: Future[_Glimpsed]) -> None:
        self.found.add_glimpsed(number, work.result())

    def end_scene(self) -> None:
        if self.observe is not None:
            self.waiting.append(self.teller.submit(self.observe.scene_ends))

    def finish(self) -> None:
        self._wait(0)

    def _wait(self, left: int) -> None:
        while len(self.waiting) > left:
            self.waiting.popleft().result()

    def _tell(self, frame: Frame, work: Future[_Seen]) -> None:
        started = time.perf_counter()
        seen = work.result()
        self.figures.add("detect", time.perf_counter() - started)
        first = self.found.add(frame.number, seen)
        if self.observe is not None:
            started = time.perf_counter()
            self.observe(frame, first, seen.boxes, seen.scores, seen.landmarks, seen.looks)
            self.figures.add("identify", time.perf_counter() - started)


def _glimpsed(picture: Any, where: F32, cut_out: CutOut, detector: FaceDetector) -> _Glimpsed:
    """Faces in some squares (K, 4) of a picture."""
    boxes, scores, _ = detector(glimpses.mosaic(picture, where, cut_out), glimpses.SEEN)
    return glimpses.in_frame(boxes, scores, where)


def _examine(which: Sequence[Glance], glance: Callable[[Glance], _Faces], picture: Any) -> _Seen:
    """One look: a picture at one or more sizes, upright and turned."""
    boxes, scores, marks = _merge([glance(one) for one in which if not one.turn])
    turns = set()
    for turn in sorted({one.turn for one in which} - {0}):
        found = _merge([glance(one) for one in which if one.turn == turn])
        found = (larger(found[0], np.float32(TURNED_GROWS)), *found[1:])
        new = ~_same_face(found[0], boxes[scores >= CLEAR])
        if (new & (found[1] >= TURNED)).any():
            turns.add(turn)
        if new.any():
            boxes, scores, marks = _merge([(boxes, scores, marks), tuple(part[new] for part in found)])
    return _Seen(boxes, scores, marks, likeness.look(_thumbs(picture, boxes)), frozenset(turns))


def _same_face(boxes: F32, known: F32) -> Any:
    """Which boxes (N,) lie on a known face: the middle of one is in the other."""

    def within(points: Any, others: Any) -> Any:
        return ((points[:, None] > others[None, :, :2]) & (points[:, None] < others[None, :, 2:])).all(axis=2)

    middle, other = (boxes[:, :2] + boxes[:, 2:]) / 2, (known[:, :2] + known[:, 2:]) / 2
    return (within(middle, known) | within(other, boxes).T).any(axis=1)


def echoes(boxes: F32, scores: F32) -> Any:
    """Which boxes (N,) are only a fainter outline of a face found better: their middle lies in its box and they are
    about as high. What is hidden or kept there is the better one."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    height = boxes[:, 3] - boxes[:, 1]
    inside = ((centre[:, None] > boxes[None, :, :2]) & (centre[:, None] < boxes[None, :, 2:])).all(axis=2)
    better = scores[None] > np.maximum(2 * scores[:, None], CLEAR)
    low, high = (share * height[None] for share in AS_HIGH)
    return (inside & better & (height[:, None] > low) & (height[:, None] < high)).any(axis=1)


def _grey(luma: U8, width: int, height: int) -> F32:
    """A tiny grey picture, made from a few rows of a luma plane (H, W): enough to tell whether anything changed."""
    luma = luma[:: max(1, luma.shape[0] // (4 * height))]
    return cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)


def _is_cut(before: F32, now: F32) -> bool:
    if float(np.abs(now - before).mean()) <= CUT:
        return False
    one, other = before - before.mean(), now - now.mean()
    size = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return size < 1.0 or float((one * other).sum()) < SAME * size


def _luma(picture: Any) -> U8:
    """The picture's luma (H, W) in 8 bits; for 8-bit pictures a view, not a copy."""
    plane, bits = picture.planes[0], picture.format.components[0].bits
    if bits <= 8:
        return np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width]
    wide = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)[:, : plane.width]
    return np.asarray(wide >> (bits - 8), np.uint8)


def _look(small: U8, one: Glance, info: VideoInfo, detector: FaceDetector, threshold: float) -> _Faces:
    """One picture, shrunk, through the network; boxes and landmarks in pixels of the displayed frame, upright."""
    width, height = one.size
    down, across = height // BORDER, width // BORDER
    if one.mirrored:
        small = np.ascontiguousarray(small[:, ::-1])
    if one.close:
        small = cast(U8, cv2.copyMakeBorder(small, down, down, across, across, cv2.BORDER_CONSTANT, value=[GREY] * 3))
    boxes, scores, marks = detector(
        np.ascontiguousarray(np.rot90(small, one.turn)), max(threshold, one.least) / one.counts
    )
    if one.close:
        fills = boxes[:, 3] - boxes[:, 1] >= FILLS * min(width, height)
        corner = np.array([across, down], np.float32)
        boxes, scores, marks = boxes[fills] - np.tile(corner, 2), scores[fills], marks[fills] - corner
    if one.turn:
        corners = turned_back(boxes.reshape(-1, 2, 2), one.turn, *one.size)
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        marks = turned_back(marks, one.turn, *one.size)
    if one.mirrored:
        boxes, marks = boxes[:, [2, 1, 0, 3]], marks[:, SWAPPED]
        boxes[:, ::2], marks[..., 0] = width - boxes[:, ::2], width - marks[..., 0]
    factor = np.array([info.width / width, info.height / height], np.float32)
    return boxes * np.tile(factor, 2), scores * np.float32(one.counts), marks * factor


def _merge(parts: list[_Faces]) -> _Faces:
    """Looks at several sizes as one: of boxes that overlap by more than 0.4 (IoU) the surest stays, and no echoes."""
    boxes, scores, marks = (np.concatenate([part[i] for part in parts]) for i in range(3))
    kept = suppress(boxes, scores, 0.4)
    kept = kept[~echoes(boxes[kept], scores[kept])]
    return boxes[kept], scores[kept], marks[kept]


def _thumbs(picture: Any, boxes: F32) -> U8:
    """Each face in little: its box in grey, 16 x 16 (N, 16, 16)."""
    luma = _luma(picture)
    height, width = luma.shape
    out = np.zeros((len(boxes), THUMB, THUMB), np.uint8)
    edges = np.round(boxes).astype(int).clip(0, (width, height, width, height))
    for thumb, (x1, y1, x2, y2) in zip(out, edges.tolist(), strict=True):
        if x2 > x1 and y2 > y1:
            cv2.resize(luma[y1:y2, x1:x2], (THUMB, THUMB), dst=thumb, interpolation=cv2.INTER_AREA)
    return out
