"""Faces told apart: portraits become templates, and some of a clip's faces become views, embedded while it goes by.

Whom the views make of a track is said by ``naming.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.columns import Column
from pipeline.geometry import closeness
from pipeline.likeness import FACING, LOOK_STIRRED, frontal, look_changed, standard
from pipeline.records import F32, U8, CutOut, FaceEmbedder, Frame, Person, Views

CHIP = np.array([[47.5, 47.2], [102.3, 46.2], [73.8, 79.4], [51.3, 104.8], [97.2, 103.4]], np.float32)
"""Where eyes, nose and corners of the mouth lie in dlib's 150 x 150 chip."""

NEAR = 0.42
"""A face that is farther from everybody than this is looked at again less often."""

NEAR_ON_AVERAGE = 0.38
"""The same for the mean of several views, which lies nearer to its owner."""

STILL = 0.6
"""Closeness of a face to where it was a look ago under which it moves fast."""

AT_FIRST, SELDOM = Fraction(2, 5), Fraction(4, 5)
"""Seconds from one view to the next of somebody who may be enrolled: for three views, and after them."""

FOR_STRANGERS = Fraction(3, 2), Fraction(3)
"""The same for a stranger. Whoever looks different all of a sudden begins anew."""

SURE_ENOUGH, STILL_THERE = 0.4, 0.15
"""Detection scores from which a face is embedded: at first, and when it was seen there a moment ago and may be somebody
enrolled. A small face is seen well once a second, and its looks in between must not go unexamined."""


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


def template(person: str, pictures: Sequence[U8], embed: FaceEmbedder) -> Person:
    """A person's template from aligned chips (150, 150, 3): the mean over pictures and their mirror images."""
    return template_of(person, portrait_views(pictures, embed))


def portrait_views(pictures: Sequence[U8], embed: FaceEmbedder) -> F32:
    """Two embeddings (2 P, 128) of each aligned chip (150, 150, 3): as it is, and mirrored."""
    return embed(np.ascontiguousarray(np.stack([view for chip in pictures for view in (chip, chip[:, ::-1])])))


def template_of(person: str, views: F32) -> Person:
    """A person's template from the views of some portraits, as `portrait_views` gives them."""
    mean = views.mean(axis=0)
    return Person(person, (mean / np.linalg.norm(mean)).astype(np.float32), len(views) // 2)


@dataclass
class _Face:
    """A face lately seen: where, how it looked when last embedded, and when it is due again."""

    box: F32
    look: F32
    due: Fraction
    seen: Fraction
    views: int = 0
    hopeful: bool = True
    """It may be somebody enrolled: the sum of its views points towards a template."""
    total: F32 = field(default_factory=lambda: np.zeros(128, np.float32))


class _Sighting(NamedTuple):
    """``row`` is the index of the detection; landmarks (5, 2); height in pixels; ``between`` as in Views."""

    row: int
    face: _Face
    landmarks: F32
    height: float
    between: bool


@dataclass
class _Look:
    """The latest look: its frame, and what of it was not embedded."""

    frame: Frame
    left: list[_Sighting]


@dataclass
class Sampler:
    """Chooses which detections are embedded while the clip goes by, and keeps the embeddings.

    A face is due when it is new, when its look changed, and every AT_FIRST seconds while it resembles somebody
    enrolled, after three views every SELDOM; a face that resembles nobody is looked at less often. Called by ``detect``
    after each look.
    """

    embed: FaceEmbedder
    cut_out: CutOut
    people: Sequence[Person]
    smallest: float
    rows: Column = field(default_factory=lambda: Column(np.int32))
    vectors: Column = field(default_factory=lambda: Column(np.float32, 128))
    heights: Column = field(default_factory=lambda: Column(np.float32))
    between: Column = field(default_factory=lambda: Column(np.bool_))
    faces: list[_Face] = field(default_factory=list)
    latest: _Look | None = None
    templates: F32 = field(init=False)

    def __post_init__(self) -> None:
        self.templates = np.array([person.template for person in self.people], np.float32).reshape(-1, 128)

    def __call__(self, frame: Frame, first: int, boxes: F32, scores: F32, landmarks: F32, looks: U8) -> None:
        if not self.people:
            return
        self.faces = [face for face in self.faces if frame.time - face.seen < 1]
        self.latest = _Look(frame, [])
        heights = boxes[:, 3] - boxes[:, 1]
        facing = frontal(landmarks)
        near = closeness(np.stack([f.box for f in self.faces]), boxes) if self.faces else np.empty((0, len(boxes)))
        used: set[int] = set()
        due: list[_Sighting] = []
        places = np.flatnonzero((heights >= self.smallest) & (scores >= STILL_THERE))
        for place, look in zip(places.tolist(), standard(looks[places]), strict=True):
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
            if look_changed(face.look, look):
                face.views, face.due, face.hopeful = 0, frame.time, True
                face.total = np.zeros(128, np.float32)
            between = frame.time < face.due
            seen = _Sighting(first + place, face, landmarks[place], float(heights[place]), between)
            # somebody else may be there, who would be taken for this one until the next view
            stirred = face.hopeful and look_changed(face.look, look, LOOK_STIRRED)
            if facing[place] < FACING or (between and not stirred):
                self.latest.left.append(seen)
            else:
                due.append(seen)
                face.look = look
        self._view(frame, due)

    def scene_ends(self) -> None:
        """Embed what was left out of the last look, so that a person kept is kept to the end of the scene."""
        if self.latest is not None:
            left = [one for one in self.latest.left if one.face.hopeful and frontal(one.landmarks[None])[0] >= FACING]
            self._view(self.latest.frame, [one._replace(between=False) for one in left])
        self.faces, self.latest = [], None

    def _view(self, frame: Frame, sightings: Sequence[_Sighting]) -> None:
        """Embed faces of one picture, all at once."""
        if not sightings:
            return
        chips = np.stack([self._chip(frame.picture, one.face, one.landmarks) for one in sightings])
        vectors = self.embed(chips)
        self.rows.add([one.row for one in sightings])
        self.vectors.add(vectors)
        self.heights.add([one.height for one in sightings])
        self.between.add([one.between for one in sightings])
        for one, vector in zip(sightings, vectors, strict=True):
            if one.between:
                continue
            face = one.face
            face.views += 1
            face.total = face.total + vector
            mean = face.total / max(float(np.linalg.norm(face.total)), 1e-9)
            nearest = float(np.linalg.norm(self.templates - mean, axis=1).min())
            face.hopeful = nearest < (NEAR if face.views == 1 else NEAR_ON_AVERAGE)
            often = (AT_FIRST, SELDOM) if face.hopeful else FOR_STRANGERS
            face.due = frame.time + often[face.views >= 3]

    def _chip(self, picture: Any, face: _Face, landmarks: F32) -> U8:
        part, origin = self.cut_out(picture, around(landmarks))
        chip = align(part, landmarks - np.array(origin, np.float32))
        # mirrored every other time: over several views this is as good as both each time
        return np.ascontiguousarray(chip[:, ::-1]) if face.views % 2 else chip

    def views(self) -> Views:
        """What was embedded, in order of detection; it is given up here."""
        rows = self.rows.taken()
        order = np.argsort(rows, kind="stable")
        return Views(
            detection=rows[order],
            embedding=self.vectors.taken()[order],
            height=self.heights.taken()[order],
            between=self.between.taken()[order],
        )


def no_views() -> Views:
    """Nothing was embedded."""
    empty = np.empty(0, np.float32)
    return Views(np.empty(0, np.int32), np.empty((0, 128), np.float32), empty, np.empty(0, np.bool_))


def joined_views(parts: Sequence[tuple[Views, int]]) -> Views:
    """The views of a clip's segments, in order, as those of the whole; each with the number of its detections."""
    firsts = [sum(count for _, count in parts[:n]) for n in range(len(parts))]
    return Views(
        detection=np.concatenate([v.detection + first for (v, _), first in zip(parts, firsts, strict=True)]).astype(
            np.int32
        ),
        embedding=np.concatenate([v.embedding for v, _ in parts]),
        height=np.concatenate([v.height for v, _ in parts]),
        between=np.concatenate([v.between for v, _ in parts]),
    )
