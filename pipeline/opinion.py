"""The second opinion on one clip: other eyes look at what was written; where they see a face it is hidden as well.

Fails closed: where the eyes are wanted and cannot look, or see faces to the end, nothing is released.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

import numpy as np

from pipeline.adapters import blazeface
from pipeline.adapters.part import Part, PartError, Times, backwards, lumas
from pipeline.adapters.pictures import whole
from pipeline.adapters.video_in import ClipReader
from pipeline.errors import SecondLookError
from pipeline.records import F32, I32, Decision, RedactionPlan, SecondEyes, Sighting, Track
from pipeline.settings import SecondOpinion
from pipeline.stages import second_opinion as second
from pipeline.stages.follow import follow

LOOKED, OFF, NOT_INSTALLED = "looked", "off", "not installed"

ROUNDS = 2
"""How many times a film is written again with more hidden in it; if the eyes still see somebody, a person must."""

FOLLOW_SECONDS = 5.0
"""How long before its first and after its last sight a place is followed through the picture, at most."""

Result = TypeVar("Result")
When = Callable[[int], float]
"""The time of a frame in seconds, for people."""


@dataclass(frozen=True)
class Opinion:
    """What the second look came to: whether there was one, how many frames it saw, what was hidden, what is left."""

    state: str
    looks: int = 0
    hidden: tuple[Sighting, ...] = ()
    left: tuple[Sighting, ...] = ()

    def document(self, when: When) -> dict[str, Any]:
        """For a report: plain data; ``when`` gives the seconds of a frame."""
        return {
            "state": self.state,
            "looks": self.looks,
            "hidden": [sighting_document(one, when) for one in self.hidden],
            "left": [sighting_document(one, when) for one in self.left],
        }


@dataclass(frozen=True)
class Planned:
    """What a film is to show and hide. ``cuts`` are the first frames after each cut of the scene."""

    tracks: Sequence[Track]
    decisions: Sequence[Decision]
    plan: RedactionPlan
    cuts: Sequence[int]


@dataclass(frozen=True)
class Written(Generic[Result]):
    """A film as it was written and looked at last."""

    planned: Planned
    result: Result
    opinion: Opinion


@lru_cache(maxsize=1)
def _blazeface() -> SecondEyes:
    return blazeface.BlazeFace()


def state_of(setting: SecondOpinion) -> str:
    """Whether films are looked at a second time here; receipts are kept under it."""
    if setting.mode == "off":
        return OFF
    return NOT_INSTALLED if setting.mode == "auto" and not blazeface.installed() else LOOKED


def eyes_of(setting: SecondOpinion) -> tuple[SecondEyes | None, str]:
    """Who looks, and the state to report. Raises ModelError when they must and cannot, or are not the right ones."""
    state = state_of(setting)
    return (_blazeface() if state == LOOKED else None), state


def rounds_of(setting: SecondOpinion) -> int:
    """How often a film is written again because of what was seen: not at all where a person is to decide."""
    return ROUNDS if setting.on_finding == "hide" else 0


def settle(
    planned: Planned,
    eyes: SecondEyes | None,
    state: str,
    rounds: int,
    write: Callable[[Planned, second.Watch | None], Result],
    again: Callable[[Planned, Result, list[Sighting]], Planned],
) -> Written[Result]:
    """Write the film and have it looked at; what is seen is hidden by ``again`` and written again, ``rounds`` times."""
    if eyes is None:
        return Written(planned, write(planned, None), Opinion(state))
    hidden: list[Sighting] = []
    while True:
        kept = second.kept_faces(planned.tracks, planned.decisions)
        watch = second.Watch(eyes, planned.plan, kept, whole, planned.cuts)
        result = write(planned, watch)
        left = watch.sightings()
        if not left or rounds == 0:
            return Written(planned, result, Opinion(state, watch.looks, tuple(hidden), tuple(left)))
        hidden += left
        planned = again(planned, result, left)
        rounds -= 1


def hiding(
    planned: Planned, sightings: Sequence[Sighting], source: ClipReader, pts: Times
) -> tuple[list[Track], list[Decision]]:
    """Tracks and decisions with every sighting hidden, for as long as the picture can be followed to both sides.

    ``pts`` (N,) are the times of all frames of ``source``.
    """
    tracks, decisions = list(planned.tracks), list(planned.decisions)
    for one in sightings:
        number = max((track.number for track in tracks), default=0) + 1
        frame, box = places(one, source, pts, planned.cuts)
        track, decision = second.as_track(number, frame, box, one.score)
        tracks.append(track)
        decisions.append(decision)
    return tracks, decisions


def clock(pts: Times, tick: float, rate: float) -> When:
    """Seconds from the first frame on; ``pts`` (N,) in units of ``tick`` seconds."""

    def when(frame: int) -> float:
        if frame < len(pts):
            return float(pts[frame] - pts[0]) * tick
        return float(pts[-1] - pts[0]) * tick + 1 / rate

    return when


def places(one: Sighting, source: ClipReader, pts: Times, cuts: Sequence[int]) -> tuple[I32, F32]:
    """Face boxes (L, 4) of consecutive frames (L,): between sights in a straight line, beyond them as followed."""
    first, last = int(one.frame[0]), int(one.frame[-1])
    edges = np.array(sorted({0, *cuts, len(pts)}))
    scene = int(np.searchsorted(edges, first, "right"))
    reach = FOLLOW_SECONDS / float(source.info.time_base)
    low = max(int(edges[scene - 1]), int(np.searchsorted(pts, pts[first] - reach)))
    high = min(int(edges[scene]), int(np.searchsorted(pts, pts[last] + reach, "right")))
    middle = np.arange(first, last + 1, dtype=np.int32)
    boxes = np.stack([np.interp(middle, one.frame, one.box[:, side]) for side in range(4)], axis=1)
    before = _beyond(source, pts, (first, low), one.start, one.box[0])
    after = _beyond(source, pts, (last, high), one.stop, one.box[-1])
    start = first - len(before)
    box = np.concatenate([before[::-1], boxes, after]).astype(np.float32)
    return np.arange(start, start + len(box), dtype=np.int32), box


def _beyond(source: ClipReader, pts: Times, way: tuple[int, int], least: int, box: F32) -> F32:
    """Boxes from the frame after ``way[0]`` on towards ``way[1]`` (backwards when that is smaller), frame by frame.

    For as long as the picture is followed with certainty, and in any case up to ``least``.
    """
    at, end = way
    forward = end > at
    count = abs(least - at) - (1 if forward else 0)
    x1, y1, x2, y2 = (float(value) for value in box)
    try:
        pictures = lumas(Part(source, pts, at, end)) if forward else backwards(source, pts, end, at + 1)
        found = follow(pictures, (x1, y1, x2, y2))
    except PartError:  # the frames cannot be had again: held where it was seen
        return np.repeat(box[None], max(count, 0), axis=0)
    unsure = np.flatnonzero(~found.sure[1:])
    sure = int(unsure[0]) if len(unsure) else len(found.sure) - 1
    return found.box[1 : 1 + max(sure, count)]


def refuse(name: str, opinion: Opinion, when: When) -> None:
    """Raise SecondLookError when there are faces left that nobody decided about."""
    if opinion.left:
        error = SecondLookError(
            "{clip} is not released: a second look at the finished film sees faces that are not hidden ({moments}); "
            "look there in the original, then run it again with --on-finding hide to hide them, or with "
            "--no-second-opinion if there is nobody to hide.",
            clip=name,
            moments=moments(opinion.left, when),
        )
        error.findings = opinion.document(when)["left"]
        raise error


def moments(sightings: Sequence[Sighting], when: When, most: int = 10) -> str:
    """When and where, for people: ``0:12.4 at 320,180``."""
    said = []
    for one in sightings[:most]:
        seconds = when(int(one.frame[0]))
        x, y = ((one.box[0, :2] + one.box[0, 2:]) / 2).round().astype(int).tolist()
        said.append(f"{int(seconds) // 60}:{seconds % 60:04.1f} at {x},{y}")
    return ", ".join(said) + (", …" if len(sightings) > most else "")


def sighting_document(one: Sighting, when: When) -> dict[str, Any]:
    return {
        "first_frame": one.start,
        "last_frame": one.stop - 1,
        "start": round(when(one.start), 2),
        "stop": round(when(one.stop), 2),
        "seen_frame": int(one.frame[0]),
        "box": [round(float(value), 1) for value in one.box[0]],
        "score": round(one.score, 3),
    }
