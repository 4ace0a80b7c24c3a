"""Faces told apart: portraits become templates, views of tracks become identities.

How a stretch of a track earns a name. FACTS of the network: distances are chords between unit vectors (0 the same
picture, 1.41 nothing in common); see docs/quality.md for where each number comes from.

1. Along a track, views are embedded every half second or so. A *run* is a series of neighbouring views that each look
   like the same enrolled person (``loose``) and like nobody else more.
2. A run earns the name when the mean of its views lies within ``strict`` of the person's template, with
   room to the runner-up.
3. Where the look changes inside a run (another picture, another light, or another person in the seat), each piece
   must hold on its own (``piece``).
4. Only what lies between two of its views is kept: what was not seen on both sides is not known.
5. Nobody is in two places: where two tracks claim one person in one frame, the clearly nearer one keeps the name, or
   neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.geometry import closeness
from pipeline.records import (
    F32,
    U8,
    Detections,
    FaceEmbedder,
    Frame,
    Identity,
    Person,
    Reason,
    Track,
    Views,
)

CHIP = np.array([[47.5, 47.2], [102.3, 46.2], [73.8, 79.4], [51.3, 104.8], [97.2, 103.4]], np.float32)
"""Where eyes, nose and corners of the mouth lie in dlib's 150 x 150 chip."""


@dataclass(frozen=True)
class Limits:
    """Distances up to which ``strict`` a run's mean, ``piece`` a piece's mean and ``loose`` a single view is taken for
    a person."""

    strict: float
    piece: float
    loose: float

    def of_piece(self, views: int) -> float:
        """The limit for a piece of so many views: a single one lies farther off than the mean of several."""
        return self.piece if views > 1 else (self.piece + self.loose) / 2


SEVERAL = Limits(strict=0.262, piece=0.335, loose=0.40)
"""For a template of several portraits; 0.03 % of strangers come as near as ``strict``."""

SINGLE = Limits(strict=0.275, piece=0.36, loose=0.43)
"""For a template of one portrait: everybody, its owner too, lies farther from it."""

ROOM = 0.04
"""The runner-up must lie at least this much farther off than the person."""

LOOK_CHANGED = 0.45
"""Correlation of two thumbs under which the look has changed."""

NEAR = 0.42
"""A face that is farther from everybody than this is looked at again less often."""

NEAR_ON_AVERAGE = 0.38
"""The same for the mean of several views, which lies nearer to its owner."""

GAP_SECONDS = 1.05
"""Longest time between two views of one run."""

STILL = 0.6
"""Closeness of a face to where it was a look ago under which it moves fast."""

AT_FIRST, SELDOM = Fraction(2, 5), Fraction(4, 5)
"""Seconds from one view to the next of somebody who may be enrolled: for three views, and after them."""

FOR_STRANGERS = Fraction(3, 2), Fraction(3)
"""The same for a stranger. Whoever looks different all of a sudden begins anew."""

FACING = 0.25
"""A face turned farther away than this (see ``frontal``) is no evidence either way."""

SURE_ENOUGH, STILL_THERE = 0.4, 0.15
"""Detection scores from which a face is embedded: at first, and when it was seen there a moment ago and may be somebody
enrolled. A small face is seen well once a second, and its looks in between must not go unexamined."""

LOOK_ALIKE = 0.30
"""Two templates nearer than this cannot be told apart safely."""


def align(picture: U8, landmarks: F32) -> U8:
    """Aligned RGB chip (150, 150, 3) from a BGR picture and five landmarks (5, 2) in its pixels.

    A similarity fitted by least squares (Umeyama 1991).
    """
    matrix = _similarity(landmarks)
    chip = cv2.warpAffine(picture, matrix, (150, 150), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(chip[:, :, ::-1])


def _similarity(landmarks: F32) -> npt.NDArray[np.float64]:
    """The matrix (2, 3) from a picture with these landmarks to the chip."""
    source, target = landmarks.mean(axis=0), CHIP.mean(axis=0)
    a, b = landmarks - source, CHIP - target
    norm = max(float((a * a).sum()), 1e-6)
    c = float((a * b).sum()) / norm
    s = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / norm
    turn = np.array([[c, -s], [s, c]])
    return np.column_stack([turn, target - turn @ source])


def around(landmarks: F32) -> tuple[float, float, float, float]:
    """The box that holds all of a picture that ``align`` looks at, for five landmarks (5, 2)."""
    matrix = _similarity(landmarks)
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0], [150, 0], [0, 150], [150, 150]], np.float64) @ inverse[:, :2].T + inverse[:, 2]
    (x1, y1), (x2, y2) = corners.min(axis=0) - 2, corners.max(axis=0) + 3
    return float(x1), float(y1), float(x2), float(y2)


def frontal(landmarks: F32) -> F32:
    """How far faces (N, 5, 2) look towards the camera: 1 straight, 0 in profile. (N,)

    The nose lies midway between the eyes in a face seen from the front, at one of them in a profile.
    """
    left, right, nose = landmarks[:, 0], landmarks[:, 1], landmarks[:, 2]
    across = right - left
    length = np.maximum((across * across).sum(axis=1), 1e-6)
    share = ((nose - left) * across).sum(axis=1) / length
    return np.asarray(np.clip(1 - 2 * np.abs(share - 0.5), 0, 1), np.float32)


def template(person: str, pictures: Sequence[U8], embed: FaceEmbedder) -> Person:
    """A person's template from aligned chips (150, 150, 3): the mean over pictures and their mirror images."""
    chips = np.stack([view for chip in pictures for view in (chip, chip[:, ::-1])])
    mean = embed(np.ascontiguousarray(chips)).mean(axis=0)
    return Person(person, (mean / np.linalg.norm(mean)).astype(np.float32), len(pictures))


def limits(person: Person) -> Limits:
    """The limits that go with the number of the person's portraits."""
    return SEVERAL if person.portraits > 1 else SINGLE


def look_alikes(people: Sequence[Person]) -> list[tuple[str, str, float]]:
    """Pairs of enrolled people who cannot be told apart safely, nearest first."""
    pairs = []
    for i, one in enumerate(people):
        for other in people[i + 1 :]:
            distance = float(np.linalg.norm(one.template - other.template))
            if distance < LOOK_ALIKE:
                pairs.append((one.id, other.id, distance))
    return sorted(pairs, key=lambda pair: pair[2])


@dataclass
class _Face:
    """A face lately seen: where, how it looked when last embedded, and when it is due again."""

    box: F32
    thumb: F32
    due: Fraction
    seen: Fraction
    views: int = 0
    hopeful: bool = True
    """It may be somebody enrolled: the sum of its views points towards a template."""
    total: F32 = field(default_factory=lambda: np.zeros(128, np.float32))


_Sighting = tuple[int, _Face, F32, float]
"""Index of the detection, the face, its landmarks (5, 2), its height in pixels."""


@dataclass
class _Look:
    """The latest look: its frame, and what of it was not embedded."""

    frame: Frame
    left: list[_Sighting]


CutOut = Callable[[Any, Sequence[float]], tuple[U8, tuple[int, int]]]
"""The part of a picture under a box (4,), as BGR (H, W, 3), and where it begins (x, y)."""


@dataclass
class Sampler:
    """Chooses which detections are embedded while the clip goes by, and keeps the embeddings.

    A face is due when it is new, when its look changed, and every half second while it resembles somebody enrolled;
    a face that resembles nobody is looked at less often. Called by ``detect`` after each look.
    """

    embed: FaceEmbedder
    cut_out: CutOut
    people: Sequence[Person]
    smallest: float
    rows: list[int] = field(default_factory=list)
    vectors: list[F32] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    qualities: list[float] = field(default_factory=list)
    faces: list[_Face] = field(default_factory=list)
    latest: _Look | None = None

    def __call__(self, frame: Frame, first: int, boxes: F32, scores: F32, landmarks: F32, thumbs: U8) -> None:
        if not self.people:
            return
        self.faces = [face for face in self.faces if frame.time - face.seen < 1]
        self.latest = _Look(frame, [])
        heights = boxes[:, 3] - boxes[:, 1]
        facing = frontal(landmarks)
        near = closeness(np.stack([f.box for f in self.faces]), boxes) if self.faces else np.empty((0, len(boxes)))
        used: set[int] = set()
        due: list[_Sighting] = []
        for place in np.flatnonzero((heights >= self.smallest) & (scores >= STILL_THERE)).tolist():
            look = standard(thumbs[place])
            which = next(
                (i for i in np.argsort(-near[:, place]).tolist() if near[i, place] > 0.3 and i not in used), -1
            )
            if scores[place] < SURE_ENOUGH and (which < 0 or not self.faces[which].hopeful):
                continue
            if which < 0:
                face = _Face(boxes[place], look, frame.time, frame.time)
                self.faces.append(face)
            else:
                used.add(which)
                face = self.faces[which]
            if which >= 0 and face.hopeful and near[which, place] < STILL:
                face.due = frame.time  # whoever moves on may be gone at the next look: keep the evidence up to date
            face.box, face.seen = boxes[place], frame.time
            if float((face.thumb * look).mean()) < LOOK_CHANGED:
                face.views, face.due, face.hopeful = 0, frame.time, True
                face.total = np.zeros(128, np.float32)
            seen = (first + place, face, landmarks[place], float(heights[place]))
            if frame.time < face.due or facing[place] < FACING:
                self.latest.left.append(seen)
            else:
                due.append(seen)
                face.thumb = look
        self._view(frame, due)

    def scene_ends(self) -> None:
        """Embed what was left out of the last look, so that a person kept is kept to the end of the scene."""
        if self.latest is not None:
            left = [one for one in self.latest.left if one[1].hopeful and frontal(one[2][None])[0] >= FACING]
            self._view(self.latest.frame, left)
        self.faces, self.latest = [], None

    def _view(self, frame: Frame, sightings: Sequence[_Sighting]) -> None:
        """Embed faces of one picture, all at once."""
        if not sightings:
            return
        chips = np.stack([self._chip(frame.picture, face, landmarks) for _, face, landmarks, _ in sightings])
        for (row, face, landmarks, height), vector in zip(sightings, self.embed(chips), strict=True):
            face.views += 1
            face.total = face.total + vector
            mean = face.total / max(float(np.linalg.norm(face.total)), 1e-9)
            nearest = min(float(np.linalg.norm(person.template - mean)) for person in self.people)
            face.hopeful = nearest < (NEAR if face.views == 1 else NEAR_ON_AVERAGE)
            often = (AT_FIRST, SELDOM) if face.hopeful else FOR_STRANGERS
            face.due = frame.time + often[face.views >= 3]
            self.rows.append(row)
            self.vectors.append(vector)
            self.heights.append(height)
            self.qualities.append(float(frontal(landmarks[None])[0]))

    def _chip(self, picture: Any, face: _Face, landmarks: F32) -> U8:
        part, origin = self.cut_out(picture, around(landmarks))
        chip = align(part, landmarks - np.array(origin, np.float32))
        # mirrored every other time: over several views this is as good as both each time
        return np.ascontiguousarray(chip[:, ::-1]) if face.views % 2 else chip

    def views(self) -> Views:
        """What was embedded so far, in order of detection."""
        order = np.argsort(self.rows, kind="stable")
        vectors = np.array(self.vectors, np.float32).reshape(-1, 128)
        return Views(
            detection=np.array(self.rows, np.int32)[order],
            embedding=vectors[order],
            height=np.array(self.heights, np.float32)[order],
            quality=np.array(self.qualities, np.float32)[order],
        )


def standard(thumb: U8) -> F32:
    """A thumb with mean 0 and deviation 1: the mean of the product of two is their correlation."""
    values = thumb.astype(np.float32)
    values -= values.mean()
    return np.asarray(values / max(float(values.std()), 1.0), np.float32)


@dataclass(frozen=True)
class _View:
    frame: int
    vector: F32
    distances: F32
    changed: bool
    """The look differs from that of the view before."""
    unseen: bool = False
    """Since the view before there was another look that nobody put a name to."""


def identify(
    tracks: Iterable[Track],
    found: Detections,
    views: Views,
    people: Sequence[Person],
    rate: Fraction,
    smallest: float,
) -> list[Identity]:
    """Who each stretch of each track is. Every track gets identities that cover it; most say why it is nobody."""
    if not people:
        return [Identity(t.number, t.start, t.stop, None, Reason.NO_KEEP_LIST) for t in tracks]
    gallery = np.stack([person.template for person in people])
    by_row = dict(zip(views.detection.tolist(), range(len(views.detection)), strict=True))
    out: list[Identity] = []
    for track in tracks:
        seen = _views_of(track, found, views, by_row, gallery)
        out.extend(_name(track, found, seen, people, rate, smallest))
    return _one_place(out)


def _views_of(track: Track, found: Detections, views: Views, by_row: dict[int, int], gallery: F32) -> list[_View]:
    seen: list[_View] = []
    before: F32 | None = None
    named: F32 | None = None
    changed = unseen = False
    for row in track.detections.tolist():
        look = standard(found.thumb[row])
        if before is not None and float((before * look).mean()) < LOOK_CHANGED:
            changed = True
        before = look
        if row not in by_row and named is not None and float((named * look).mean()) < LOOK_CHANGED:
            unseen = True
        if row in by_row:
            named = look
            vector = views.embedding[by_row[row]]
            distances = np.linalg.norm(gallery - vector, axis=1).astype(np.float32)
            seen.append(_View(int(found.frame[row]), vector, distances, changed, unseen))
            changed = unseen = False
    return seen


def _name(
    track: Track,
    found: Detections,
    seen: Sequence[_View],
    people: Sequence[Person],
    rate: Fraction,
    smallest: float,
) -> list[Identity]:
    """The runs of one track that earned a name, and the reasons for the rest of it."""
    tallest = float((track.box[:, 3] - track.box[:, 1]).max())
    if not seen:
        reason = Reason.TOO_SMALL if tallest < smallest else Reason.NOT_LOOKED
        return [Identity(track.number, track.start, track.stop, None, reason)]
    gap = round(GAP_SECONDS * rate)
    gallery = np.stack([person.template for person in people])
    rest = _why_not(track, seen, people)
    out: list[Identity] = []
    at = track.start
    for who, run in _runs(seen, people, gap):
        for identity in _judge(track, run, who, people, gallery):
            if identity.start > at:
                out.append(_stretch(rest, at, identity.start))
            out.append(identity)
            at = identity.stop
    if at < track.stop:
        out.append(_stretch(rest, at, track.stop))
    return out


def _runs(seen: Sequence[_View], people: Sequence[Person], gap: int) -> list[tuple[int, list[_View]]]:
    """Series of neighbouring views that look like one person each: (index of the person, views)."""
    runs: list[tuple[int, list[_View]]] = []
    open_run = False
    for view in seen:
        who = int(view.distances.argmin())
        if view.distances[who] > limits(people[who]).loose:
            open_run = False
            continue
        last = runs[-1] if runs else None
        if (
            open_run
            and not view.unseen
            and last is not None
            and last[0] == who
            and view.frame - last[1][-1].frame <= gap
        ):
            last[1].append(view)
        else:
            runs.append((who, [view]))
        open_run = True
    return runs


def _judge(track: Track, run: list[_View], who: int, people: Sequence[Person], gallery: F32) -> list[Identity]:
    """Does this run earn its name? Pieces that do not hold on their own are left out, and so is what lies beside."""
    bounds = limits(people[who])
    pieces: list[list[_View]] = []
    for view in run:
        if view.changed or not pieces:
            pieces.append([])
        pieces[-1].append(view)
    good = [float(np.linalg.norm(_mean(piece) - gallery[who])) <= bounds.of_piece(len(piece)) for piece in pieces]
    evidence = [view for piece, holds in zip(pieces, good, strict=True) if holds for view in piece]
    mean = _mean(evidence or run)
    distances = np.linalg.norm(gallery - mean, axis=1)
    order = np.argsort(distances)
    distance = float(distances[who])
    runner_up = float(distances[order[1]]) if len(order) > 1 else None
    if not evidence:
        reason = Reason.UNSURE
    elif int(order[0]) != who or (runner_up is not None and runner_up - distance < ROOM):
        reason = Reason.AMBIGUOUS
    elif distance > bounds.strict:
        reason = Reason.UNSURE
    elif len(evidence) < 2:
        reason = Reason.TOO_FEW_VIEWS
    else:
        reason = Reason.MATCHED
    whole = Identity(
        track=track.number,
        start=run[0].frame,
        stop=run[-1].frame + 1,
        person=None,
        reason=reason,
        nearest=people[who].id,
        distance=round(distance, 4),
        runner_up=None if runner_up is None else round(runner_up, 4),
        margin=round(bounds.strict - distance, 4),
        views=len(evidence) or len(run),
    )
    if reason is not Reason.MATCHED:
        return [whole]
    out: list[Identity] = []
    for holds, group in groupby(zip(good, pieces, strict=True), key=lambda pair: pair[0]):
        views = [view for _, piece in group for view in piece]
        person, why = (people[who].id, Reason.MATCHED) if holds else (None, Reason.UNSURE)
        # what lies between a good piece and a bad one is left to the track's rest: hidden
        out.append(_stretch(whole, views[0].frame, views[-1].frame + 1, person=person, reason=why))
    return out


def _mean(views: Sequence[_View]) -> F32:
    mean = np.mean([view.vector for view in views], axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


def _why_not(track: Track, seen: Sequence[_View], people: Sequence[Person]) -> Identity:
    """The reason for the frames of a looked-at track that belong to no run."""
    distances = np.min([view.distances for view in seen], axis=0)
    nearest = int(distances.argmin())
    stranger = float(distances[nearest]) > limits(people[nearest]).loose
    return Identity(
        track=track.number,
        start=track.start,
        stop=track.stop,
        person=None,
        reason=Reason.STRANGER if stranger else Reason.OUTSIDE_EVIDENCE,
        nearest=people[nearest].id,
        distance=round(float(distances[nearest]), 4),
        margin=None,
        views=len(seen),
    )


def _stretch(identity: Identity, start: int, stop: int, **changes: object) -> Identity:
    return Identity(**{**identity.__dict__, "start": start, "stop": stop, **changes})


def _one_place(identities: list[Identity]) -> list[Identity]:
    """Nobody is in two places at once: of two claims the nearer by ROOM keeps the name, else neither does."""
    named = [i for i in identities if i.person is not None]
    lost: set[int] = set()
    for a, one in enumerate(named):
        for other in named[a + 1 :]:
            if one.person != other.person or one.start >= other.stop or other.start >= one.stop:
                continue
            first, second = one.distance or 0.0, other.distance or 0.0
            if first > second - ROOM:
                lost.add(id(one))
            if second > first - ROOM:
                lost.add(id(other))
    return [
        _stretch(i, i.start, i.stop, person=None, reason=Reason.TWO_PLACES) if id(i) in lost else i for i in identities
    ]


def no_views() -> Views:
    """Nothing was embedded."""
    empty = np.empty(0, np.float32)
    return Views(np.empty(0, np.int32), np.empty((0, 128), np.float32), empty, empty)
