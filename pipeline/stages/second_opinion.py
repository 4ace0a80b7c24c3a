"""A second pair of eyes looks at the finished film: a face outside of everything hidden and of everyone kept is told.

The finished film is looked at, not the source, so that it does not matter why a face is still clear. The eyes are of
another family than the detector that looked first. They watch while the film is checked, so that it is decoded once.
Whatever goes wrong while they look is raised: a film that was not looked at to its end counts as not looked at.
"""

from __future__ import annotations

import bisect
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import LesveilError, SecondLookError
from pipeline.geometry import closeness, overlaps
from pipeline.records import (
    F32,
    I32,
    U8,
    Decision,
    Frame,
    FrameSource,
    Reason,
    RedactionPlan,
    SecondEyes,
    Shape,
    Sighting,
    Support,
    Track,
    VideoInfo,
)

LOOK_SECONDS = Fraction(2, 5)
"""A look at least this often, and at the first and last frame of every scene."""

LOOK_FRAMES = 24
"""And after so many frames, whatever their times say: the same up to 60 frames a second."""

GLANCE = 0.35
"""Score from which a place is looked at closely."""

SURE = 0.55
"""What a close look must come to. Of 824 places on five finished clips at which the eyes wrongly saw a face at a first
glance none came to it (5 came to 0.5); of 543 true faces on the same clips 77 % did (docs/measured/hiding.md)."""

COVERED = 0.5
"""Share of a face's box that is hidden from which on it is a veiled head."""

SAME = 0.35
"""Overlap (intersection over union) from which on a face is one that the plan keeps. Of 446 faces seen over a kept
one on two clips, 440 overlapped the plan's box by more than half and 6 by 0.2 to 0.5."""

TOGETHER_SECONDS = 1.0
"""Sights of one place that lie no further apart are one sighting, and so are those of two looks in a row."""

ROUNDING = 1e-6
"""Seconds."""

FACE_GROWN = 0.1
"""Share of its size by which a found box is grown on every side before it is hidden: two families of networks do not
draw quite the same box."""

PATCH = 8
"""Pixels: nothing smaller is looked at closely; what is that small names nobody."""

AHEAD = 3
"""Pictures per worker that wait to be looked at."""


@dataclass(frozen=True)
class Faces:
    """Kept faces: ``frame`` (K,) sorted, ``box`` (K, 4) in pixels."""

    frame: I32
    box: F32

    def at(self, frame: int) -> F32:
        first, last = np.searchsorted(self.frame, [frame, frame + 1])
        return self.box[first:last]


def kept_faces(tracks: Iterable[Track], decisions: Iterable[Decision]) -> Faces:
    """Where the people are whom the decisions keep clear."""
    by_number = {track.number: track for track in tracks}
    frames, boxes = [np.empty(0, np.int32)], [np.empty((0, 4), np.float32)]
    for one in decisions:
        if one.keep:
            track = by_number[one.track]
            frames.append(np.arange(one.start, one.stop, dtype=np.int32))
            boxes.append(track.box[one.start - track.start : one.stop - track.start])
    frame, box = np.concatenate(frames), np.concatenate(boxes)
    order = np.argsort(frame, kind="stable")
    return Faces(frame[order], box[order])


def part_of(faces: Faces, start: int, stop: int) -> Faces:
    """The faces of frames ``start`` up to ``stop`` as those of a film of its own."""
    first, last = np.searchsorted(faces.frame, [start, stop])
    return Faces((faces.frame[first:last] - start).astype(np.int32), faces.box[first:last])


@dataclass
class Watch:
    """Looks at a finished film while somebody else reads it: ``over`` the film, then ``sightings``.

    ``shown`` makes of a picture what the eyes are shown of it, as BGR (H, W, 3).
    """

    eyes: SecondEyes
    plan: RedactionPlan
    kept: Faces
    shown: Callable[[Any], U8]
    cuts: Sequence[int] = ()
    _looked: list[int] = field(default_factory=list)
    _times: array[float] = field(default_factory=lambda: array("d"))
    _seen: list[tuple[int, F32, F32]] = field(default_factory=list)
    _ended: bool = False

    @property
    def looks(self) -> int:
        """How often was looked so far."""
        return len(self._looked)

    def over(self, film: FrameSource) -> FrameSource:
        """The film as it is; its frames are looked at as they pass."""
        return _Watched(film, self, film.info)

    def pass_by(self, film: FrameSource) -> Iterator[Frame]:
        edges = {0, self.plan.frames - 1} | {n for cut in self.cuts for n in (cut - 1, cut)}
        hidden = set(self.plan.hidden_frames)
        waiting: deque[tuple[int, Future[tuple[F32, F32]]]] = deque()
        last, since = Fraction(-(10**6)), 0

        def tell() -> None:
            number, work = waiting.popleft()
            try:
                boxes, scores = work.result()
            except LesveilError:
                raise
            except Exception as error:  # whatever it was: who was to look did not, and nothing may be released
                raise SecondLookError(
                    "The second look failed at frame {frame} ({why}), so nothing is released; run it again, or without "
                    "it: --no-second-opinion, or [second_opinion] mode in lesveil.toml.",
                    frame=number,
                    why=f"{type(error).__name__}: {error}".splitlines()[0],
                ) from error
            if len(boxes):
                self._seen.append((number, boxes, scores))

        with ThreadPoolExecutor(self.eyes.workers, thread_name_prefix="lesveil-second") as pool:
            for frame in film.frames():
                since += 1
                due = frame.time - last >= LOOK_SECONDS or since >= LOOK_FRAMES or frame.number in edges
                if due and frame.picture is not None and frame.number not in hidden:
                    waiting.append((frame.number, pool.submit(self._look, frame.number, frame.picture)))
                    last, since = frame.time, 0
                    self._looked.append(frame.number)
                    while len(waiting) > AHEAD * self.eyes.workers:
                        tell()
                self._times.append(float(frame.time))
                yield frame
            while waiting:
                tell()
        self._ended = True

    def _look(self, number: int, film_picture: Any) -> tuple[F32, F32]:
        """Faces that should not be there: boxes (N, 4), and how sure (N,)."""
        picture = self.shown(film_picture)
        boxes, _ = self.eyes(picture, GLANCE)
        rows = self.plan.regions(number)
        strange = unexplained(boxes, self.plan.region[rows], self.plan.shape[rows], self.kept.at(number))
        boxes = boxes[strange]
        sure = self.eyes.closely(picture, boxes) if len(boxes) else np.empty(0, np.float32)
        return boxes[sure >= SURE], sure[sure >= SURE]

    def sightings(self) -> list[Sighting]:
        """What was seen, in order of time. Raises SecondLookError when the film was not watched to its end."""
        if not self._ended or len(self._times) != self.plan.frames:
            raise SecondLookError("The second look did not see the whole film, so nothing is released; run it again.")
        return together(self._seen, self._looked, self._times, self.cuts)


@dataclass
class _Watched:
    """A film that is watched as it is read."""

    film: FrameSource
    watch: Watch
    info: VideoInfo

    def frames(self) -> Iterator[Frame]:
        return self.watch.pass_by(self.film)


def unexplained(boxes: F32, region: F32, shape: U8, kept: F32) -> npt.NDArray[np.bool_]:
    """Which faces (N,) are neither veiled nor somebody kept.

    ``boxes`` (N, 4); ``region`` (R, 4) and ``shape`` (R,) are hidden in that picture, ``kept`` (K, 4) are the faces
    that may be seen. A face is one of those where they overlap by SAME, or each holds the other's middle: of one face
    these networks sometimes draw two boxes. Whoever stands beside somebody kept, or half before them, is found.
    """
    out = np.ones(len(boxes), bool)
    middle = (kept[:, :2] + kept[:, 2:]) / 2
    for row, box in enumerate(boxes):
        here = (box[:2] + box[2:]) / 2
        each = (middle > box[:2]) & (middle < box[2:]) & (here > kept[:, :2]) & (here < kept[:, 2:])
        same = (overlaps(box, kept) >= SAME) | each.all(axis=1)
        small = max(box[2] - box[0], box[3] - box[1]) < PATCH
        out[row] = not (small or same.any() or hidden_share(box, region, shape) >= COVERED)
    return out


def hidden_share(box: F32, region: F32, shape: U8, cells: int = 12) -> float:
    """The share of a box (4,) that lies in regions (R, 4) of shapes (R,), counted on a grid."""
    near = (region[:, 0] < box[2]) & (region[:, 2] > box[0]) & (region[:, 1] < box[3]) & (region[:, 3] > box[1])
    if not near.any():
        return 0.0
    at = (np.arange(cells) + 0.5) / cells
    x, y = box[0] + at * (box[2] - box[0]), box[1] + at * (box[3] - box[1])
    middle, half = (
        (region[near, :2] + region[near, 2:]) / 2,
        np.maximum((region[near, 2:] - region[near, :2]) / 2, 1e-3),
    )
    dx, dy = np.abs(x - middle[:, :1]) / half[:, :1], np.abs(y - middle[:, 1:]) / half[:, 1:]
    disc = dx[:, None, :] ** 2 + dy[:, :, None] ** 2 <= 1
    square = (dx <= 1)[:, None, :] & (dy <= 1)[:, :, None]
    inside = np.where((shape[near] == Shape.ELLIPSE)[:, None, None], disc, square).any(axis=0)
    return float(inside.mean())


def together(
    seen: Iterable[tuple[int, F32, F32]], looked: Sequence[int], times: Sequence[float], cuts: Sequence[int]
) -> list[Sighting]:
    """Sights in frame order as sightings: those of one place, close in time and with no cut between, are one.

    ``looked``: the frames that were looked at, growing; ``times``: seconds of every frame of the film. A sighting lasts
    from the look before its first sight to the look after its last, within its scene: between two looks nobody knows.
    """
    open_ones: list[list[tuple[int, F32, float]]] = []
    done: list[list[tuple[int, F32, float]]] = []
    edges = np.array(sorted({0, *cuts, len(times)}))
    for number, boxes, scores in seen:
        scene = int(np.searchsorted(edges, number, "right"))
        before = looked[max(0, bisect.bisect_left(looked, number) - 1)]
        still = [
            one
            for one in open_ones
            if (times[number] - times[one[-1][0]] < TOGETHER_SECONDS + ROUNDING or one[-1][0] >= before)
            and edges[scene - 1] <= one[-1][0]
        ]
        done += [one for one in open_ones if not any(one is other for other in still)]
        open_ones = still
        for box, score in zip(boxes, scores.tolist(), strict=True):
            fit = [
                float(closeness(one[-1][1][None], box[None])[0, 0]) if one[-1][0] < number else 0.0 for one in open_ones
            ]
            if fit and max(fit) > 0:
                open_ones[int(np.argmax(fit))].append((number, box, score))
            else:
                open_ones.append([(number, box, score)])
    found = []
    for one in done + open_ones:
        first, last = one[0][0], one[-1][0]
        scene = int(np.searchsorted(edges, first, "right"))
        earlier, later = looked[: bisect.bisect_left(looked, first)], looked[bisect.bisect_right(looked, last) :]
        start = max(earlier[-1] if earlier else 0, int(edges[scene - 1]))
        stop = min(later[0] + 1 if later else len(times), int(edges[scene]))
        frame = np.array([number for number, _, _ in one], np.int32)
        found.append(Sighting(start, stop, frame, np.stack([box for _, box, _ in one]), max(s for _, _, s in one)))
    return sorted(found, key=lambda one: (one.start, one.stop))


def moved(sightings: Iterable[Sighting], by: int) -> list[Sighting]:
    """Sightings of a part of a film, in the frames of the whole: ``by`` is the part's first frame."""
    return [
        replace(one, start=one.start + by, stop=one.stop + by, frame=(one.frame + by).astype(np.int32))
        for one in sightings
    ]


def as_track(number: int, frame: I32, box: F32, score: float) -> tuple[Track, Decision]:
    """A place to hide: face boxes (L, 4) of consecutive frames (L,). It never gives way to somebody kept."""
    size = np.concatenate([box[:, 2:] - box[:, :2]] * 2, axis=1)
    grown = np.asarray(box + FACE_GROWN * size * np.array([-1, -1, 1, 1], np.float32), np.float32)
    support = np.full(len(frame), Support.FILLED, np.uint8)
    start = int(frame[0])
    track = Track(number, start, grown, support, np.empty(0, np.int32), strength=score)
    return track, Decision(number, start, start + len(frame), False, Reason.SECOND_LOOK)
