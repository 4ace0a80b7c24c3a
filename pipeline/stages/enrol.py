"""Portraits become templates: one face per picture, several pictures per person, each good enough to go by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import cv2
import numpy as np

from pipeline.errors import PortraitNoFaceError, PortraitPoorError, PortraitSeveralFacesError
from pipeline.geometry import suppress, turned_back
from pipeline.records import F32, U8, FaceDetector

PORTRAIT_SIDES = (320, 640)
"""Long sides, in pixels, at which a portrait is searched: a face that fills a large picture is found in a small one."""

FINEST_SIDE = 1280
"""And, where nothing was found, this one: a small face is found in a large picture."""

PORTRAIT_SCORE = 0.5
"""Detection score from which something in a portrait is a face."""

BYSTANDER = 0.6
"""A second face smaller than this share of the first is somebody in the background."""

SMALLEST = 40.0
"""Height in pixels under which a face in a portrait says too little."""

BLURRED = 0.035
"""Sharpness (see `sharpness`) under which a portrait says too little: about where blur moves the embedding by 0.25."""

ASKEW = 30.0
"""Degrees from level at which the line of the eyes lies in a picture that lies on its side, or in one of somebody who
bows their head sideways; there the network puts the eyes in wrong places."""

TURNED = 0.30
"""How far a face must look towards the camera (1 straight, 0 in profile)."""

DARK = 28.0
"""Mean brightness of the face, of 255, under which noise takes over."""

ANOTHER = 0.46
"""Distance to the mean of a person's other pictures from which a picture may be of somebody else."""

ANOTHER_OF_TWO = 0.44
"""The same between two single pictures, where there are no others to go by. (docs/measured/recognising.md)"""

ANOTHER_OF_ANY = 0.48
"""The same between any two of several: of two people, two pictures each, none lies far from the mean of the rest."""

ANOTHER_OF_GROUPS = 0.335
"""The same between the means of two groups of at least two pictures each, which lie nearer. Of 13 people, each with
four portraits and up to six faces of a film, the halves lay at most 0.30 apart; of 4,836 folders that held two people
none came under 0.36."""


def portrait_face(file: str, picture: U8, detector: FaceDetector) -> F32:
    """The five landmarks (5, 2), in the picture's pixels, of the one person a portrait (H, W, 3 BGR) is of.

    Somebody in the background does not matter: a face that is much smaller, or that lies off the middle while
    another lies over it. A picture that lies on its side, or stands on its head, is turned until the eyes are level.
    Raises PortraitNoFaceError and PortraitSeveralFacesError, naming ``file``.
    """
    askew: F32 | None = None
    refused: PortraitNoFaceError | PortraitSeveralFacesError | None = None
    for turn in (0, 1, 3, 2):
        try:
            marks = _upright_face(file, np.ascontiguousarray(np.rot90(picture, turn)), detector)
        except (PortraitNoFaceError, PortraitSeveralFacesError) as error:
            if not turn and isinstance(error, PortraitSeveralFacesError):
                raise
            refused = refused or error
            continue
        marks, level = turned_back(marks, turn, picture.shape[1], picture.shape[0]), _is_level(marks)
        # what lies elsewhere than the face that is there is a pattern
        if level and (askew is None or np.abs(marks - askew).max() < np.ptp(askew, axis=0).max()):
            return marks
        askew = marks if askew is None else askew
    if askew is not None:
        return askew
    assert refused is not None
    raise refused


def _is_level(marks: F32) -> bool:
    """Whether the line from the left eye to the right one, of landmarks (5, 2), is less than ASKEW from level."""
    across, down = (marks[1] - marks[0]).tolist()
    return abs(math.degrees(math.atan2(down, across))) < ASKEW


def _upright_face(file: str, picture: U8, detector: FaceDetector) -> F32:
    height, width = picture.shape[:2]
    boxes, scores, marks = np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32)
    for side in (*PORTRAIT_SIDES, FINEST_SIDE):
        scale = side / max(height, width)
        if scale > 2 or (side == FINEST_SIDE and len(boxes)):
            continue
        size = max(32, round(width * scale)), max(32, round(height * scale))
        resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        factor = np.array([width / size[0], height / size[1]], np.float32)
        found = detector(np.asarray(resized, np.uint8), PORTRAIT_SCORE)
        boxes = np.concatenate([boxes, found[0] * np.tile(factor, 2)])
        scores, marks = np.concatenate([scores, found[1]]), np.concatenate([marks, found[2] * factor])
        kept = suppress(boxes, scores, 0.4)
        boxes, scores, marks = boxes[kept], scores[kept], marks[kept]
    if len(boxes):
        return np.asarray(marks[_the_one(file, boxes, width, height)], np.float32)
    raise PortraitNoFaceError("{file} shows no face; choose a picture taken from the front.", file=file)


def _the_one(file: str, boxes: F32, width: int, height: int) -> int:
    tall = boxes[:, 3] - boxes[:, 1]
    largest = int(tall.argmax())
    if tall[largest] < SMALLEST:
        raise PortraitNoFaceError(
            "{file} shows a face only {pixels} pixels high; use a picture in which it is at least {least}.",
            file=file,
            pixels=round(float(tall[largest])),
            least=round(SMALLEST),
        )
    rivals = np.flatnonzero(tall >= BYSTANDER * tall[largest])
    if len(rivals) == 1:
        return largest
    middle = np.array([width, height]) / 2
    over = [int(i) for i in rivals if (boxes[i, :2] <= middle).all() and (boxes[i, 2:] >= middle).all()]
    if len(over) == 1 and tall[over[0]] >= 0.8 * tall[largest]:
        return over[0]
    raise PortraitSeveralFacesError(
        "{file} shows {count} faces and nobody can tell whose it is; cut out one person.", file=file, count=len(rivals)
    )


def sharpness(chip: U8) -> float:
    """Fine detail of an aligned chip (150, 150, 3): variance of the Laplacian over that of the picture itself.

    (Pech-Pacheco et al. 2000, at half the chip's size so that a small portrait is not called blurred.)
    """
    small = cv2.cvtColor(cv2.resize(chip, (75, 75), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    inner = small[12:66, 12:63].astype(np.float32)
    return float(cv2.Laplacian(inner, cv2.CV_32F).var() / max(float(inner.var()), 1.0))


def refuse_poor(file: str, chip: U8, facing: float) -> None:
    """Raise PortraitPoorError, naming ``file`` and what to do, when the aligned ``chip`` (150, 150, 3) is no use.

    ``facing``: how far the face looks towards the camera, 0..1.
    """
    if facing < TURNED:
        raise PortraitPoorError(
            "{file} shows a face turned aside; use a picture that looks into the camera.", file=file
        )
    brightness = float(cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY)[25:130, 30:120].mean())
    if brightness < DARK:
        raise PortraitPoorError("{file} is too dark; take the picture again with light on the face.", file=file)
    if sharpness(chip) < BLURRED:
        raise PortraitPoorError(
            "{file} is blurred; take the picture again with a steady hand, from nearer by.", file=file
        )


def odd_ones(vectors: Sequence[F32]) -> list[int]:
    """Which of one person's pictures, each an embedding (128,) of unit length, may be of somebody else."""
    if len(vectors) < 2:
        return []
    total = np.sum(vectors, axis=0)
    limit = ANOTHER if len(vectors) > 2 else ANOTHER_OF_TWO
    odd = []
    for place, one in enumerate(vectors):
        others = total - one
        if float(np.linalg.norm(one - others / max(float(np.linalg.norm(others)), 1e-9))) > limit:
            odd.append(place)
    if odd:
        return odd
    every = np.stack(vectors)
    apart = np.linalg.norm(every[:, None] - every[None], axis=2)
    # of two that lie too far apart nobody can tell which is wrong
    return _odd_group(every, apart) or [int(place) for place in np.flatnonzero((apart > ANOTHER_OF_ANY).any(axis=1))]


def _odd_group(every: F32, apart: F32) -> list[int]:
    """The smaller of two groups of pictures (N, 128) that may be of two people; both where they are as large. ``apart``
    (N, N) are their distances.

    Where somebody else has as many pictures, each lies near enough to the mean of all the others.
    """
    most, odd = ANOTHER_OF_GROUPS, list[int]()
    for one, other in combinations(range(len(every)), 2):
        groups = np.flatnonzero(apart[one] <= apart[other]), np.flatnonzero(apart[one] > apart[other])
        means = [every[group].sum(axis=0) for group in groups]
        if min(map(len, groups)) < 2:  # one picture alone was judged already
            continue
        far = float(np.linalg.norm(np.subtract(*(mean / max(float(np.linalg.norm(mean)), 1e-9) for mean in means))))
        if far > most:
            smaller, larger = sorted(groups, key=len)
            most, odd = far, sorted([*smaller, *(larger if len(larger) == len(smaller) else ())])
    return [int(place) for place in odd]
