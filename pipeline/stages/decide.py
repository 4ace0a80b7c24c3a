"""Keep or hide: default-deny, pure. And from decisions to a plan of regions.

A stretch of a track is kept only where an identity names a person who may be seen. Everything else of every track
is hidden, with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pipeline.records import (
    F32,
    Decision,
    Identity,
    Reason,
    RedactionPlan,
    Shape,
    Style,
    Track,
)

HEAD_UP = 0.45
HEAD_DOWN = 0.18
HEAD_SIDE = 0.30
HEAD_SIDE_BY_HEIGHT = 0.62
"""From a face box to the whole head, in shares of the face's height and width: hair above, chin below, ears beside.
Half the head's width is never less than HEAD_SIDE_BY_HEIGHT of the face's height: a profile's box is narrow, its
head is not."""


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
        for identity in sorted(by_track.get(track.number, ()), key=lambda i: i.start):
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


def head(box: F32) -> F32:
    """Face boxes (N, 4) -> boxes of the whole head with its margin (N, 4); an ellipse is drawn into each."""
    width, height = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    middle = (box[:, 0] + box[:, 2]) / 2
    half = np.maximum((0.5 + HEAD_SIDE) * width, HEAD_SIDE_BY_HEIGHT * height)
    return np.stack(
        [middle - half, box[:, 1] - HEAD_UP * height, middle + half, box[:, 3] + HEAD_DOWN * height], axis=1
    ).astype(np.float32)


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
) -> RedactionPlan:
    """The regions of every hidden stretch, sorted by frame. ``damaged`` frames are hidden whole."""
    by_number = {track.number: track for track in tracks}
    numbers, regions, owners = [np.empty(0, np.int32)], [np.empty((0, 4), np.float32)], [np.empty(0, np.int32)]
    for decision in decisions:
        if decision.keep:
            continue
        track = by_number[decision.track]
        stretch = np.arange(decision.start, decision.stop, dtype=np.int32)
        numbers.append(stretch)
        regions.append(head(track.box[stretch - track.start]))
        owners.append(np.full(len(stretch), track.number, np.int32))
    frame = np.concatenate(numbers)
    order = np.argsort(frame, kind="stable")
    return RedactionPlan(
        clip=clip,
        frames=frames,
        style=style,
        frame=frame[order],
        region=np.concatenate(regions)[order],
        shape=np.full(len(order), Shape.ELLIPSE, np.uint8),
        track=np.concatenate(owners)[order],
        hidden_frames=tuple(sorted(set(damaged))),
        settings_digest=settings_digest,
        models_digest=models_digest,
        register_digest=register_digest,
    )
