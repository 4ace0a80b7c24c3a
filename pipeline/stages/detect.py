"""Faces found: which frames are looked at, at which sizes, and what was seen there.

The scheme over time, chosen by measurement (docs/quality.md): several times a second a small picture, and a tiny one
for faces close by that a mask or a hand covers; once a second and around every cut a large one too, for faces far away.
Sound timing between two looks is the tracker's work.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import cv2
import numpy as np

from pipeline.geometry import suppress
from pipeline.records import (
    F32,
    I32,
    U8,
    Detections,
    FaceDetector,
    Figures,
    Frame,
    FrameSource,
    Progress,
    VideoInfo,
    no_progress,
)

LOOK_SECONDS = Fraction(1, 5)
"""A look at the small and the tiny picture at least this often."""

ALL_SECONDS = Fraction(1)
"""A look at all sizes at least this often."""

CUT = 14.0
"""Mean change of a 64 x 36 grey picture (grey levels) from which a cut is assumed. A cut too many costs one look."""

STIRRED, STIR_SHARE = 20.0, 0.004
"""When this share of the 64 x 36 picture changes by this many grey levels from one frame to the next, something moves
fast, and looks come twice as often."""

SEGMENT_SECONDS = Fraction(60)
"""A clip is gone through in segments of this length, counted from its first frame; nothing about when and at which size
is looked is carried over from one to the next. So they may be gone through apart, elsewhere and in any order, and what
is found is the same to the bit."""

AHEAD = 4
"""Looks per worker that may be taken before the first of them is told: recognition comes in bursts."""

TINY_COUNTS = 0.5
"""What a score of a tiny picture counts between two looks at all sizes: at that size many a pattern is like a face, but
it finds the masked and blurred faces close by that no other size does."""

THUMB = 16

CLEAR = 0.4
"""A detection of this score is a face, and what is fainter within its box an echo of it."""


class Observer(Protocol):
    """Told of every look while the picture is at hand."""

    def __call__(self, frame: Frame, first: int, boxes: F32, scores: F32, landmarks: F32, thumbs: U8) -> None:
        """``first`` is the index of the look's first detection; (N, 4), (N,), (N, 5, 2), (N, 16, 16)."""

    def scene_ends(self) -> None:
        """The look before was the last of its scene."""


_Sized = tuple[tuple[int, int], float]
"""A width and height, and what scores at this size are multiplied by."""


@dataclass(frozen=True)
class Sizes:
    """Widths and heights in square pixels of the pictures the network sees."""

    tiny: tuple[int, int]
    small: tuple[int, int]
    large: tuple[int, int]

    @property
    def usual(self) -> tuple[_Sized, ...]:
        return (self.tiny, TINY_COUNTS), (self.small, 1.0)

    @property
    def all(self) -> tuple[_Sized, ...]:
        return (self.tiny, 1.0), (self.small, 1.0), (self.large, 1.0)


def sizes(info: VideoInfo) -> Sizes:
    """Small: half of the displayed picture, 640 to 960 on its long side. Tiny: half of that. Large: the picture itself,
    from 960 on; but of one wider than 1280 three quarters, to 1920 at most."""
    width, height = float(info.width * info.sample_aspect), float(info.height)
    longest = max(width, height)
    large = min(max(min(longest, 1280.0), 0.75 * longest, 960.0), 1920.0)
    small = min(max(longest / 2, 640.0), 960.0)

    def scaled(side: float) -> tuple[int, int]:
        return max(32, round(width * side / longest)), max(32, round(height * side / longest))

    return Sizes(scaled(small / 2), scaled(small), scaled(large))


@dataclass(frozen=True)
class _Seen:
    """What one look found: (N, 4), (N,), (N, 5, 2), (N, 16, 16)."""

    boxes: F32
    scores: F32
    landmarks: F32
    thumbs: U8


@dataclass
class _Found:
    """Detections so far, one array per look. How faces look is kept only where they are to be told apart."""

    observed: bool
    frame: list[Any] = field(default_factory=list)
    box: list[F32] = field(default_factory=list)
    score: list[F32] = field(default_factory=list)
    landmarks: list[F32] = field(default_factory=list)
    thumb: list[U8] = field(default_factory=list)
    looked: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    seams: list[int] = field(default_factory=list)
    count: int = 0

    def add(self, number: int, seen: _Seen) -> int:
        """Put in what a look at frame ``number`` found; the index of its first detection."""
        first, self.count = self.count, self.count + len(seen.boxes)
        self.looked.append(number)
        self.frame.append(np.full(len(seen.boxes), number, np.int32))
        self.box.append(seen.boxes)
        self.score.append(seen.scores)
        self.landmarks.append(seen.landmarks)
        if self.observed:
            self.thumb.append(seen.thumbs)
        return first

    def arrays(self, frames: int) -> Detections:
        """All of it in one; what was there is given up on the way, so that it is never in memory twice."""

        def put(parts: list[Any], shape: tuple[int, ...], kind: type) -> Any:
            whole: Any = np.empty((sum(len(part) for part in parts), *shape), kind)
            stop = len(whole)
            while parts:
                part = parts.pop()
                whole[stop - len(part) : stop] = part
                stop -= len(part)
            return whole

        return Detections(
            frames=frames,
            frame=put(self.frame, (), np.int32),
            box=put(self.box, (4,), np.float32),
            score=put(self.score, (), np.float32),
            landmarks=put(self.landmarks, (5, 2), np.float32),
            thumb=put(self.thumb, (THUMB, THUMB), np.uint8),
            looked=np.array(sorted(self.looked), np.int32),
            cuts=np.array(sorted(set(self.cuts)), np.int32),
            damaged=np.array(sorted(self.damaged), np.int32),
            seams=np.array([seam for seam in self.seams if seam < frames], np.int32),
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
) -> Detections:
    """Go through the clip once and return everything found.

    ``threshold`` is the score from which a detection counts; ``workers`` threads may call ``detector`` at once.
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
        looks = _Looks(pool, teller, AHEAD * workers, found, observe, figures, info, detector, threshold)
        previous: Frame | None = None
        tiny_before: Any = None
        last_look = last_all = Fraction(-(10**6))
        frames = 0
        origin = one_segment
        segment: int | None = None

        def end_scene(last: Frame | None) -> None:
            # the last frame of a scene is looked at too, so that nobody's last moments rest on a guess
            if last is not None and last.number != looks.latest:
                looks.at(last, shapes.usual)
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
            if frame.damaged or frame.picture is None:
                end_scene(previous)
                previous, tiny_before = None, None
                if beyond:
                    break
                found.damaged.append(number)
                found.cuts.append(number)
                continue
            tiny = _tiny(frame.picture)
            cut = tiny_before is None or float(np.abs(tiny - tiny_before).mean()) > CUT
            if cut:
                end_scene(previous)
                if number:
                    found.cuts.append(number)
            elif seam:
                looks.end_scene()  # for who observes; tracks run on over a seam
            if beyond:
                previous = None
                break
            moving = not cut and float((np.abs(tiny - tiny_before) > STIRRED).mean()) > STIR_SHARE
            if cut or seam or frame.time - last_all >= ALL_SECONDS:
                looks.at(frame, shapes.all)
                last_look = last_all = frame.time
            elif frame.time - last_look >= (LOOK_SECONDS / 2 if moving else LOOK_SECONDS):
                looks.at(frame, shapes.usual)
                last_look = frame.time
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

    def rows(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    def frames(name: str) -> I32:
        each = [getattr(part, name) + start for part, start in zip(parts, starts, strict=False)]
        return np.asarray(np.concatenate(each), np.int32)

    return Detections(
        frames=starts[-1],
        frame=frames("frame"),
        box=rows("box"),
        score=rows("score"),
        landmarks=rows("landmarks"),
        thumb=rows("thumb"),
        looked=frames("looked"),
        cuts=np.unique(frames("cuts")),
        damaged=frames("damaged"),
        seams=np.array(starts[1:-1], np.int32),
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
    latest: int = -1
    waiting: deque[Future[None]] = field(default_factory=deque)

    def at(self, frame: Frame, which: Sequence[_Sized]) -> None:
        work = self.pool.submit(_examine, frame.picture, which, self.info, self.detector, self.threshold)
        self.waiting.append(self.teller.submit(self._tell, frame, work))
        self.latest = frame.number
        self.figures.count("looks", len(which))
        self._wait(self.ahead)

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
            self.observe(frame, first, seen.boxes, seen.scores, seen.landmarks, seen.thumbs)
            self.figures.add("identify", time.perf_counter() - started)


def _examine(picture: Any, which: Sequence[_Sized], info: VideoInfo, detector: FaceDetector, threshold: float) -> _Seen:
    """One look: a picture at one or more sizes."""
    parts = []
    for size, counts in which:
        boxes, scores, marks = _look(picture, size, info, detector, threshold / counts)
        parts.append((boxes, scores * np.float32(counts), marks))
    boxes, scores, marks = _merge(parts)
    return _Seen(boxes, scores, marks, _thumbs(picture, boxes))


def echoes(boxes: F32, scores: F32) -> Any:
    """Which boxes (N,) are only a fainter outline of a face found better: their middle lies in its box and they are
    hardly larger. What is hidden or kept there is the better one."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    height = boxes[:, 3] - boxes[:, 1]
    inside = ((centre[:, None] > boxes[None, :, :2]) & (centre[:, None] < boxes[None, :, 2:])).all(axis=2)
    better = scores[None] > np.maximum(2 * scores[:, None], CLEAR)
    return (inside & better & (height[:, None] < 1.5 * height[None])).any(axis=1)


def _tiny(picture: Any) -> F32:
    """A grey picture of 64 x 36, made from a few of its rows, which is enough to tell whether anything changed."""
    luma = _luma(picture)
    luma = luma[:: max(1, luma.shape[0] // 144)]
    return cv2.resize(luma, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32)


def _luma(picture: Any) -> U8:
    """The picture's luma (H, W) in 8 bits; for 8-bit pictures a view, not a copy."""
    plane, bits = picture.planes[0], picture.format.components[0].bits
    if bits <= 8:
        return np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width]
    wide = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)[:, : plane.width]
    return np.asarray(wide >> (bits - 8), np.uint8)


def _look(
    picture: Any, size: tuple[int, int], info: VideoInfo, detector: FaceDetector, threshold: float
) -> tuple[F32, F32, F32]:
    """One picture at one size through the network; boxes and landmarks in pixels of the displayed frame."""
    small = picture.reformat(width=size[0], height=size[1], format="bgr24", interpolation="AREA").to_ndarray()
    boxes, scores, marks = detector(small, threshold)
    factor = np.array([info.width / size[0], info.height / size[1]], np.float32)
    return boxes * np.tile(factor, 2), scores, marks * factor


def _merge(parts: list[tuple[F32, F32, F32]]) -> tuple[F32, F32, F32]:
    """Looks at several sizes as one: of boxes that overlap by more than 0.4 (IoU) the surest stays, and no echoes."""
    boxes, scores, marks = (np.concatenate([part[i] for part in parts]) for i in range(3))
    kept = suppress(boxes, scores, 0.4)
    kept = kept[~echoes(boxes[kept], scores[kept])]
    return boxes[kept], scores[kept], marks[kept]


def _thumbs(picture: Any, boxes: F32) -> U8:
    """Each face's look: its box in grey, 16 x 16 (N, 16, 16)."""
    luma = _luma(picture)
    height, width = luma.shape
    out = np.zeros((len(boxes), THUMB, THUMB), np.uint8)
    edges = np.round(boxes).astype(int).clip(0, (width, height, width, height))
    for thumb, (x1, y1, x2, y2) in zip(out, edges.tolist(), strict=True):
        if x2 > x1 and y2 > y1:
            cv2.resize(luma[y1:y2, x1:x2], (THUMB, THUMB), dst=thumb, interpolation=cv2.INTER_AREA)
    return out
