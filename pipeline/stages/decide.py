"""Keep or hide: default-deny, pure. And from decisions to a plan of regions.

A stretch of a track is kept only where an identity names a person who may be seen. Everything else of every track
is hidden, with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.columns import Column
from pipeline.geometry import outside
from pipeline.records import (
    F32,
    I32,
    U64,
    Decision,
    Extent,
    Identity,
    Reason,
    RedactionPlan,
    Shape,
    Style,
    Support,
    Track,
)

HEAD_UP = 0.45
HEAD_DOWN = 0.50
HEAD_SIDE = 0.30
HEAD_SIDE_BY_HEIGHT = 0.62
"""From a face box to the whole head, in shares of the face's height and width: hair above, ears beside, chin and throat
below (of whoever wears a mask the detector often sees the upper half alone). Half the head's width is never less than
HEAD_SIDE_BY_HEIGHT of the face's height: a profile's box is narrow, its head is not."""

FAINT = 0.4
FAINT_UP = 0.26
FAINT_DOWN = 0.32
FAINT_SIDE = 0.16
FAINT_SIDE_BY_HEIGHT = 0.5
"""The same around a face whose track never came to FAINT: the face and a margin. Most tracks as faint are of no face,
and so less of the picture is lost for nothing. (docs/measured/finding.md)"""

CORE = 0.08
"""A hidden face grown by this share of its size is never uncovered for the sake of a kept neighbour."""

FIRM = 0.5
"""Score of the best sight near a moment from which there surely is a face. What is fainter and lies over somebody who
may be seen is most likely that person's hand, collar or ear, and gives way, as long as that person is seen as well."""

PLAIN = 0.28
"""Score of such a sight from which it does not give way where its middle lies beside the one who may be seen: it is
somebody half before them. Of 2,431 faces on class that may be seen this hides ten; from 0 on it would hide 97."""

SMALL = 0.4
"""Height of such a sight, in heights of the one who may be seen, under which it never gives way: hands and collars are
seen larger, and it may be somebody in a picture that is held before them. On class and hamilton this hides nobody."""

FACES = frozenset({Reason.HIDDEN_BY_HAND, Reason.NO_CONSENT})
"""Whom a person hid, and who has a name and may not be seen, is a face, however faint."""

NO_SIGHT_BEFORE, NO_SIGHT_AFTER = -1, int(np.iinfo(np.int32).max)
"""Stand for the frame of a sight where there is none."""

BODY_WIDE = 4.0
BODY_HIGH = 7.0
"""A person in shares of their head's width and height: shoulders, and arms that hang or lie in pockets; from the crown
to the feet. Set by eye on four pictures of street: with 3 widths arms stick out, and the back of whoever is seen from
the side, whose face is not over their middle; with 4 nearly nothing does. Arms that reach out stay outside."""

SKULL_WIDE = 1.25
SKULL_HIGH = 1.35
"""The head itself, without the margin of its region, in shares of the face box's width and height."""

STEP = 16
"""Pixels to which a body's box is rounded outwards: it trembles less, and one mask serves many."""

WINDOW = 1024
"""Frames whose regions are worked out together."""

EDGE = 0.2
"""Share of a region's smaller half by which its soft edge reaches out."""


def decide(tracks: Sequence[Track], identities: Sequence[Identity], grounds: Mapping[str, str]) -> list[Decision]:
    """One or more decisions per track that together cover all of its frames, in order.

    ``grounds`` holds everyone who may be seen, by person id, with the ground on which; whoever is not in it is
    hidden whatever the identity says.
    """
    out: list[Decision] = []
    by_track: dict[int, list[Identity]] = {}
    for identity in identities:
        by_track.setdefault(identity.track, []).append(identity)
    for track in tracks:
        at = track.start
        for identity in _undisputed(by_track.get(track.number, [])):
            start, stop = max(at, identity.start), min(track.stop, identity.stop)
            if stop <= start:
                continue
            if start > at:
                out.append(Decision(track.number, at, start, False, Reason.NOT_LOOKED))
            out.append(_one(identity, start, stop, grounds))
            at = stop
        if at < track.stop:
            out.append(Decision(track.number, at, track.stop, False, Reason.NOT_LOOKED))
    return out


def _undisputed(identities: list[Identity]) -> list[Identity]:
    """Identities by their start. Those that overlap, one with the next, name nobody where they do not all agree."""
    series: list[list[Identity]] = []
    stop = 0
    for one in sorted(identities, key=lambda identity: identity.start):
        if not series or one.start >= stop:
            series.append([])
            stop = one.stop
        series[-1].append(one)
        stop = max(stop, one.stop)
    return [one for some in series for one in (some if len(set(map(_named, some))) == 1 else map(_nobody, some))]


def _named(identity: Identity) -> str | None:
    return identity.person if identity.reason is Reason.MATCHED else None


def _nobody(identity: Identity) -> Identity:
    return replace(identity, person=None, reason=Reason.AMBIGUOUS)


def _one(identity: Identity, start: int, stop: int, grounds: Mapping[str, str]) -> Decision:
    person = identity.person
    keep = person is not None and person in grounds and identity.reason is Reason.MATCHED
    reason = identity.reason
    if reason is Reason.MATCHED and not keep:
        reason = Reason.NO_CONSENT
    return Decision(
        track=identity.track,
        start=start,
        stop=stop,
        keep=keep,
        reason=reason,
        person=person if keep else None,
        distance=identity.distance,
        margin=identity.margin,
        ground=grounds[person] if keep and person is not None else None,
    )


def head(box: F32, strength: F32 | float = 1.0) -> F32:
    """Face boxes (N, 4) -> boxes of the whole head with its margin (N, 4); an ellipse is drawn into each.

    ``strength`` (N,) is that of their tracks: what is fainter than FAINT has less of a margin."""
    width, height = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    middle = (box[:, 0] + box[:, 2]) / 2
    faint = np.asarray(strength) < FAINT
    side, by_height = np.where(faint, FAINT_SIDE, HEAD_SIDE), np.where(faint, FAINT_SIDE_BY_HEIGHT, HEAD_SIDE_BY_HEIGHT)
    half = np.maximum((0.5 + side) * width, by_height * height)
    top = box[:, 1] - np.where(faint, FAINT_UP, HEAD_UP) * height
    bottom = box[:, 3] + np.where(faint, FAINT_DOWN, HEAD_DOWN) * height
    return np.stack([middle - half, top, middle + half, bottom], axis=1).astype(np.float32)


def body(face: F32) -> F32:
    """Face boxes (N, 4) -> boxes (N, 4) of the rest of the person, from the middle of the face down.

    They reach as far as a body would, also beyond the picture's edge.
    """
    width, height = face[:, 2] - face[:, 0], face[:, 3] - face[:, 1]
    # a profile's box is narrow, its head is not: never less wide than a head seen from the front is for its height
    half = BODY_WIDE / 2 * SKULL_WIDE * np.maximum(width, HEAD_SIDE_BY_HEIGHT * height)
    middle, top = (face[:, :2] + face[:, 2:]).T / 2
    crown = face[:, 3] - SKULL_HIGH * height
    box = np.stack([middle - half, top, middle + half, crown + BODY_HIGH * SKULL_HIGH * height], axis=1)
    low, high = np.floor(box[:, :2] / STEP) * STEP, np.ceil(box[:, 2:] / STEP) * STEP
    return np.concatenate([low, high], axis=1).astype(np.float32)


def bodies(frame: I32, face: F32, owner: I32, kept_frame: I32, kept_face: F32) -> tuple[I32, F32, I32]:
    """What to hide of the bodies under hidden faces: frame (B,), box (B, 4), owner (B,).

    A body gives way to the heads of those who are kept, in front or behind, and to nothing else.
    """
    frames, boxes, owners = [np.empty(0, np.int32)], [np.empty((0, 4), np.float32)], [np.empty(0, np.int32)]
    order = np.argsort(kept_frame, kind="stable")
    heads, kept_frame = head(kept_face[order]), kept_frame[order]
    first, last = np.searchsorted(kept_frame, frame, "left"), np.searchsorted(kept_frame, frame, "right")
    whole = first == last
    box = body(face)
    frames.append(frame[whole])
    boxes.append(box[whole])
    owners.append(owner[whole])
    for row in np.flatnonzero(~whole).tolist():
        left = outside(box[row], heads[first[row] : last[row]])
        frames.append(np.full(len(left), frame[row], np.int32))
        boxes.append(left)
        owners.append(np.full(len(left), owner[row], np.int32))
    return np.concatenate(frames), np.concatenate(boxes), np.concatenate(owners)


def core(face: F32) -> F32:
    """Face boxes (N, 4) grown by CORE on every side: what is hidden whatever stands beside."""
    size = np.concatenate([face[:, 2:] - face[:, :2]] * 2, axis=1)
    return np.asarray(face + size * np.array([-CORE, -CORE, CORE, CORE], np.float32), np.float32)


def spared(
    frame: I32,
    face: F32,
    heads: F32,
    certainty: F32,
    sights: I32,
    kept_frame: I32,
    kept_face: F32,
    kept_sights: I32,
) -> tuple[F32, npt.NDArray[np.bool_]]:
    """Regions (R, 4) of hidden faces, drawn back where they reach over a kept face; and which (R,) remain.

    ``frame`` (R,), ``face`` (R, 4) are the hidden faces, ``heads`` (R, 4) what is to be hidden of each where nobody is
    kept beside it, ``certainty`` (R,) their best scores around that moment;
    ``kept_frame`` (K,), ``kept_face`` (K, 4) are the kept ones. The region of a firm face never shrinks into that face
    grown by CORE: where the faces themselves overlap, hiding wins. That of a doubtful one leaves the kept face free
    whatever it takes, also the part of its own face that one straight cut takes along; it is gone where its own middle
    lies in the kept face, unless it is much smaller: it is that face.

    ``sights`` (R, 2) and ``kept_sights`` (K, 2) are the frames of the last sight until then and the next from then on.
    Beside somebody who was not seen at both of its own sights a doubtful face counts as firm: it may be before them.
    """
    region = heads.copy()
    remains = np.ones(len(frame), bool)
    room = (EDGE / 2 * (region[:, 2:] - region[:, :2]).min(axis=1, initial=np.inf)).astype(np.float32)
    order = np.argsort(kept_frame, kind="stable")
    kept_frame, kept_face, kept_sights = kept_frame[order], kept_face[order], kept_sights[order]
    first, last = np.searchsorted(kept_frame, frame, "left"), np.searchsorted(kept_frame, frame, "right")
    # a region only ever shrinks, so pairs that do not meet at first never will
    row_of = np.repeat(np.arange(len(frame)), last - first)
    kept_of = np.arange(len(row_of)) - np.repeat(np.cumsum(last - first) - last, last - first)
    seen, theirs = sights[row_of], kept_sights[kept_of]
    stays = (certainty[row_of] >= FIRM) | (theirs[:, 0] < seen[:, 0]) | (theirs[:, 1] > seen[:, 1])
    middle = (face[row_of, :2] + face[row_of, 2:]) / 2
    within = ((middle > kept_face[kept_of, :2]) & (middle < kept_face[kept_of, 2:])).all(axis=1)
    stays |= (certainty[row_of] >= PLAIN) & ~within
    high, theirs_high = face[:, 3] - face[:, 1], kept_face[:, 3] - kept_face[:, 1]
    stays |= high[row_of] < SMALL * theirs_high[kept_of]
    # the soft edge of a doubtful one may lie over the kept face: beside that there may be half of another
    wanted = kept_face[kept_of] + np.where(stays, room[row_of], 0)[:, None] * np.array([-1, -1, 1, 1], np.float32)
    least = core(face)[row_of]
    least[~stays] = (np.inf, np.inf, -np.inf, -np.inf)
    low, high = np.maximum(region[row_of, :2], wanted[:, :2]), np.minimum(region[row_of, 2:], wanted[:, 2:])
    meet = (high > low).all(axis=1)
    remains[row_of[within & ~stays]] = False
    for row, kept, most, firmly in zip(row_of[meet].tolist(), wanted[meet], least[meet], stays[meet], strict=True):
        mine = region[row]
        if not remains[row] or (np.minimum(mine[2:], kept[2:]) <= np.maximum(mine[:2], kept[:2])).any():
            continue
        # for each side: where it would have to go to clear the kept face, but never into the core
        ways = [
            (side, max(min(float(kept[side + 2]), most[side]), mine[side]))
            if side < 2
            else (side, min(max(float(kept[side - 2]), most[side]), mine[side]))
            for side in range(4)
        ]
        clears = [
            (side, to)
            for side, to in ways
            if (kept[side + 2] <= to < mine[side + 2] if side < 2 else mine[side - 2] < to <= kept[side - 2])
        ]
        if clears:
            size = mine[2] - mine[0], mine[3] - mine[1]
            side, to = min(clears, key=lambda way: abs(way[1] - mine[way[0]]) / size[way[0] % 2])
            region[row, side] = to
        elif not firmly:
            remains[row] = False
        else:
            for other, place in ways:
                facing = kept[:2] + kept[2:] - face[row, :2] - face[row, 2:]
                axis = other % 2
                if (other >= 2) == bool(facing[axis] > 0) and abs(facing[axis]) >= abs(facing[1 - axis]):
                    region[row, other] = place
    return region, remains


@dataclass(frozen=True)
class _Rows:
    """Stretches of tracks frame by frame: ``frame`` (R,), the face's box (R, 4), ``owner`` (R,) the track's number,
    ``strength`` (R,): the best score of its track, ``certainty`` (R,): that of a sight around that moment, FIRM where
    nothing is known of that, and ``sights`` (R, 2): the frames of the last sight until then and of the next from then
    on."""

    frame: I32
    face: F32
    owner: I32
    strength: F32
    certainty: F32
    sights: I32


def _sights(track: Track, frames: I32, keep: bool) -> I32:
    """For ``frames`` (N,) of a track those of the last sight and the next (N, 2).

    A leap's way lies between two. Of somebody who is kept that does not count: what was cut out of a track between two
    sights looks the same, and was not seen.
    """
    at = np.flatnonzero(track.support == Support.SEEN)
    if not len(at) and not keep:
        way = np.flatnonzero(track.support == Support.FILLED)
        at = np.concatenate([way[:1], way[-1:]])
    known = np.concatenate([[NO_SIGHT_BEFORE], track.start + at, [NO_SIGHT_AFTER]])
    before, after = (np.searchsorted(at, frames - track.start, side) for side in ("right", "left"))
    return np.stack([known[before], known[after + 1]], axis=1).astype(np.int32)


def _spread(decisions: Iterable[Decision], tracks: Mapping[int, Track]) -> _Rows:
    frames, faces, owners = [np.empty(0, np.int32)], [np.empty((0, 4), np.float32)], [np.empty(0, np.int32)]
    strengths, certainties = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    sights = [np.empty((0, 2), np.int32)]
    for decision in decisions:
        track = tracks[decision.track]
        stretch = np.arange(decision.start, decision.stop, dtype=np.int32)
        frames.append(stretch)
        faces.append(track.box[stretch - track.start])
        owners.append(np.full(len(stretch), track.number, np.int32))
        known = len(track.certainty) > 0 and decision.reason not in FACES
        strengths.append(np.full(len(stretch), track.strength if known else FIRM, np.float32))
        certainties.append(track.certainty[stretch - track.start] if known else np.full(len(stretch), FIRM, np.float32))
        sights.append(_sights(track, stretch, decision.keep))
    return _Rows(
        np.concatenate(frames),
        np.concatenate(faces),
        np.concatenate(owners),
        np.concatenate(strengths),
        np.concatenate(certainties),
        np.concatenate(sights),
    )


def _by_time(decisions: Iterable[Decision]) -> dict[int, list[Decision]]:
    """Decisions cut into windows of WINDOW frames, by the number of the window."""
    windows: dict[int, list[Decision]] = {}
    for one in decisions:
        for number in range(one.start // WINDOW, (one.stop - 1) // WINDOW + 1):
            start, stop = max(one.start, number * WINDOW), min(one.stop, (number + 1) * WINDOW)
            windows.setdefault(number, []).append(replace(one, start=start, stop=stop))
    return windows


def _regions(decisions: Sequence[Decision], tracks: Mapping[int, Track], extent: Extent) -> list[npt.NDArray[Any]]:
    """Regions of some decisions, sorted by frame: frame (R,), region (R, 4), shape (R,), track (R,)."""
    hidden = _spread([d for d in decisions if not d.keep], tracks)
    kept = _spread([d for d in decisions if d.keep], tracks)
    frame, face, owner = hidden.frame, hidden.face, hidden.owner
    heads = head(face, hidden.strength)
    region, remains = spared(frame, face, heads, hidden.certainty, hidden.sights, kept.frame, kept.face, kept.sights)
    more = remains if extent is Extent.PERSON else np.zeros(len(frame), bool)
    under = bodies(frame[more], face[more], owner[more], kept.frame, kept.face)
    # where a region was drawn back, its ellipse may uncover corners of the face: the core is hidden besides, as a box
    back = np.flatnonzero((region != heads).any(axis=1))
    box = core(face[back])
    box = np.concatenate([np.maximum(box[:, :2], region[back, :2]), np.minimum(box[:, 2:], region[back, 2:])], axis=1)
    remains = np.concatenate([remains, remains[back] & (box[:, 2:] > box[:, :2]).all(axis=1)])
    shape = np.full(len(remains), Shape.ELLIPSE, np.uint8)
    shape[len(region) :] = Shape.RECTANGLE
    frame, owner = np.concatenate([frame, frame[back]])[remains], np.concatenate([owner, owner[back]])[remains]
    region, shape = np.concatenate([region, box])[remains], shape[remains]
    frame, region, owner = (np.concatenate(pair) for pair in zip((frame, region, owner), under, strict=True))
    shape = np.concatenate([shape, np.full(len(under[0]), Shape.RECTANGLE, np.uint8)])
    order = np.argsort(frame, kind="stable")
    return [column[order] for column in (frame, region, shape, owner)]


def replanned(
    old: RedactionPlan,
    tracks: Iterable[Track],
    decisions: Iterable[Decision],
    style: Style | None = None,
    extent: Extent | None = None,
) -> RedactionPlan:
    """The plan of the same film for other tracks and decisions; ``style`` and ``extent`` where they are others, too."""
    return plan(
        old.clip,
        old.frames,
        tracks,
        decisions,
        old.hidden_frames,
        style or old.style,
        old.settings_digest,
        old.models_digest,
        old.register_digest,
        extent or old.extent,
        prints=old.prints,
    )


def plan(
    clip: str,
    frames: int,
    tracks: Iterable[Track],
    decisions: Iterable[Decision],
    damaged: Iterable[int],
    style: Style,
    settings_digest: str,
    models_digest: str,
    register_digest: str,
    extent: Extent = Extent.HEAD,
    *,
    prints: U64,
) -> RedactionPlan:
    """The regions of every hidden stretch, sorted by frame. ``damaged`` frames are hidden whole; ``prints`` (frames,)
    are those of the pictures that were looked at.

    With ``extent`` PERSON the heads are hidden exactly as without, and bodies besides.
    """
    by_number = {track.number: track for track in tracks}
    columns = Column(np.int32), Column(np.float32, 4), Column(np.uint8), Column(np.int32)
    for _, some in sorted(_by_time(decisions).items()):  # all at once takes four times as much memory
        for column, rows in zip(columns, _regions(some, by_number, extent), strict=True):
            column.add(rows)
    frame, region, shape, owner = (column.taken() for column in columns)
    return RedactionPlan(
        clip=clip,
        frames=frames,
        style=style,
        frame=frame,
        region=region,
        shape=shape,
        track=owner,
        hidden_frames=tuple(sorted(set(damaged))),
        settings_digest=settings_digest,
        models_digest=models_digest,
        register_digest=register_digest,
        extent=extent,
        prints=prints,
    )
