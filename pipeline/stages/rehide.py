"""Hide somebody in a clip that was released already: what is known of its people, laid over what is found in it. Pure.

The film is gone, so the released clip is all there is. Everyone who is still clear in it was kept when it was made;
where each kept face was is recorded. Whoever may no longer be seen is hidden at those places whether or not a face is
found there, and every face that is found is hidden, unless it lies where somebody who may still be seen was kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.geometry import pairwise
from pipeline.records import F32, Decision, Reason, Regions, Support, Track

SAME = 0.5
"""From this overlap (intersection over union) on, a face that is found is the one that was recorded there. Both come
from the same detector, in pictures that differ by one encoding."""


@dataclass(frozen=True)
class Face:
    """Where one kept person's face was from frame ``start`` on: ``box`` (L, 4) in pixels of the displayed frame."""

    person: str
    by_hand: bool
    start: int
    box: F32

    @property
    def stop(self) -> int:
        return self.start + len(self.box)


def rehide(
    found: Sequence[Track], gone: Sequence[Face], kept: Sequence[Face], grounds: dict[str, str]
) -> tuple[list[Track], list[Decision]]:
    """Tracks and decisions for the new plan: ``gone`` is hidden wherever it was, ``kept`` stays, all else is hidden.

    ``grounds`` are those of the people of ``kept`` today; a kept face without one is hidden too.
    ``gone`` is hidden whoever it is.
    """
    gone = [*gone, *(face for face in kept if face.person not in grounds)]
    kept = [face for face in kept if face.person in grounds]
    number = max((track.number for track in found), default=0)
    tracks: list[Track] = list(found)
    decisions: list[Decision] = []
    for track in found:
        decisions += _decided(track, gone, kept)
    for face, keep in (*((one, False) for one in gone), *((one, True) for one in kept)):
        number += 1
        tracks.append(_track(number, face))
        reason = Reason.NO_CONSENT if not keep else Reason.NAMED_BY_HAND if face.by_hand else Reason.MATCHED
        person, ground = (face.person, grounds[face.person]) if keep else (None, None)
        decisions.append(Decision(number, face.start, face.stop, keep, reason, person, ground=ground))
    return tracks, decisions


def besides(faces: Sequence[Face], hidden: Regions) -> list[Face]:
    """``faces`` without the frames in which one lies under a region that is ``hidden``: its middle does."""
    out: list[Face] = []
    for face in faces:
        middle = (face.box[:, :2] + face.box[:, 2:]) / 2
        bare = np.ones(len(face.box), np.int8)
        for row in range(len(bare)):
            first, last = np.searchsorted(hidden.frame, [face.start + row, face.start + row + 1])
            over = hidden.region[first:last]
            inside = (over[:, :2] <= middle[row]) & (middle[row] <= over[:, 2:])
            bare[row] = not inside.all(axis=1).any()
        edges = (np.flatnonzero(np.diff(bare)) + 1).tolist()
        for start, stop in zip([0, *edges], [*edges, len(bare)], strict=True):
            if start < stop and bare[start]:
                out.append(Face(face.person, face.by_hand, face.start + start, face.box[start:stop]))
    return out


def _decided(track: Track, gone: Sequence[Face], kept: Sequence[Face]) -> list[Decision]:
    """A found face stays only in frames in which it is a kept one, and more that than anybody who is to be hidden."""
    most = _overlap(track, kept)
    same = (most >= SAME) & (most > _overlap(track, gone))
    edges = np.flatnonzero(np.diff(same.astype(np.int8))) + 1
    out: list[Decision] = []
    for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), len(same)], strict=True):
        keep = bool(same[start])
        reason = Reason.MATCHED if keep else Reason.NO_KEEP_LIST
        out.append(Decision(track.number, track.start + start, track.start + stop, keep, reason))
    return out


def _overlap(track: Track, faces: Sequence[Face]) -> F32:
    """For each frame of a track (L,) the largest overlap with one of ``faces`` in that frame."""
    most = np.zeros(len(track.box), np.float32)
    for face in faces:
        start, stop = max(track.start, face.start), min(track.stop, face.stop)
        if start < stop:
            mine = track.box[start - track.start : stop - track.start]
            both = pairwise(mine, face.box[start - face.start : stop - face.start])
            rows = slice(start - track.start, stop - track.start)
            most[rows] = np.maximum(most[rows], both)
    return most


def _track(number: int, face: Face) -> Track:
    support = np.full(len(face.box), Support.SEEN, np.uint8)
    return Track(number, face.start, face.box, support, np.empty(0, np.int32), strength=1.0)
