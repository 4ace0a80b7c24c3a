"""From an analysis and the repairs that stand to the plan of a rendering."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np

from pipeline.adapters.part import Part, PartError, Times, backwards, lumas
from pipeline.adapters.video_in import ClipReader
from pipeline.doubt import doubts
from pipeline.errors import RepairError
from pipeline.lesson.seen import Placed, Seen, people_of, refuse_lost, regions_of, standing
from pipeline.opinion import Opinion, When
from pipeline.records import (
    U8,
    Decision,
    Extent,
    Progress,
    Reason,
    RedactionPlan,
    Regions,
    Repair,
    RepairKind,
    Shape,
    Sighting,
    Track,
    joined,
    no_progress,
)
from pipeline.regions import DRAWN, UNDER, together, with_regions
from pipeline.settings import Settings
from pipeline.stages import decide, mend
from pipeline.stages.follow import Followed, follow
from pipeline.stages.render import Rendered
from pipeline.stages.second_opinion import kept_faces
from pipeline.workspace import Workspace, grounds


@dataclass(frozen=True)
class Mending:
    """Everything that a rendering and its receipt need to know."""

    mended: mend.Mended
    plan: RedactionPlan
    placed: dict[str, Placed]
    repairs: tuple[str, ...]

    def kept(
        self, found: Seen, sha256: str, done: Rendered, shift: Fraction, sightings: Sequence[Sighting] = ()
    ) -> Seen:
        """What to keep for the rendering that came of it."""
        return replace(
            found,
            sha256=sha256,
            pts=done.pts,
            damaged=done.damaged,
            shift=shift,
            plan=self.plan,
            repairs=self.repairs,
            placed={id: self.placed[id] for id in self.repairs if id in self.placed},
            mutes=self.mended.mutes,
            sightings=tuple(sightings),
        )

    def silent(self, found: Seen, source: ClipReader) -> tuple[tuple[float, float], ...]:
        """The stretches without sound, in seconds on the source's clock."""
        if not self.mended.mutes:
            return ()
        timed = found if len(found.pts) else replace(found, pts=times_of(source))
        return replace(timed, mutes=self.mended.mutes).silent()

    @property
    def unsure(self) -> list[tuple[int, int]]:
        """Stretches of frames in which a region drawn by hand was held, not seen."""
        return joined([stretch for id in self.repairs if id in self.placed for stretch in self.placed[id].unsure])


@dataclass(frozen=True)
class Agreed:
    """Who may be seen today, by id, with the ground: those whom the program recognised, and those known by hand."""

    recognised: Mapping[str, str]
    known: Mapping[str, str]


def agreed_now(
    workspace: Workspace,
    decisions: Sequence[Decision],
    all_repairs: Sequence[Repair],
    filmed: date | None,
    today: date,
) -> Agreed:
    """What consent there is today for everyone named in a clip, by the program or by hand."""
    if filmed is None:
        return Agreed({}, {})
    by_program = {decision.person for decision in decisions if decision.person is not None}
    by_hand = {repair.person for repair in all_repairs if repair.person is not None}
    return Agreed(
        grounds(workspace, by_program, filmed, today),
        grounds(workspace, by_hand, filmed, today, recognised=False),
    )


def lay_over(
    name: str,
    source: ClipReader,
    found: Seen,
    all_repairs: Sequence[Repair],
    placed: Mapping[str, Placed],
    agreed: Agreed,
    settings: Settings,
    progress: Progress = no_progress,
) -> Mending:
    """The plan of ``found`` with all repairs in it; ``found.plan`` tells only of damage, and what it was made from.

    ``placed`` is where repairs were found to hide before; drawn regions that are not in it are followed in ``source``.
    Raises RepairError when something that was hidden by hand has lost its place.
    """
    where = dict(placed)
    pts = found.pts
    for repair in all_repairs:
        if repair.kind is RepairKind.REGION and not repair.undone and repair.id not in where:
            pts = pts if len(pts) else times_of(source)
            where[repair.id] = followed(source, pts, repair, progress)
    mended = mend.mend(
        found.tracks,
        found.decisions,
        all_repairs,
        found.analysis,
        regions_of(where),
        agreed.recognised,
        agreed.known,
        people_of(where),
    )
    refuse_lost(name, all_repairs, mended.moot)
    redaction = settings.redaction
    old = replace(found.plan, clip=name)
    plan = decide.replanned(old, mended.tracks, mended.decisions, redaction.style, Extent(redaction.extent))
    faces = [where[id].faces for id in standing(all_repairs) if id in where]
    hidden = laid_on(plan, mended.regions, together(faces), mended.tracks, mended.decisions)
    return Mending(mended, hidden, where, standing(all_repairs))


def laid_on(
    plan: RedactionPlan, regions: Regions, faces: Regions, tracks: Sequence[Track], decisions: Sequence[Decision]
) -> RedactionPlan:
    """``plan`` with what is hidden by hand in places rather than tracks; ``faces`` are those under it."""
    hidden = with_regions(plan, regions)
    if plan.extent is Extent.PERSON:
        hidden = with_regions(hidden, _under(faces, tracks, decisions), UNDER)
    return hidden


def still_hidden(
    name: str,
    source: ClipReader,
    pts: Times,
    before: Seen | None,
    all_repairs: Sequence[Repair],
    there: Collection[str],
    progress: Progress = no_progress,
) -> list[Placed]:
    """Where repairs hide by now in a film that was made before some of them; those in ``there`` it has already.

    ``before`` is what was last seen of the clip, ``pts`` are the times of the frames of ``source``. Raises RepairError
    when something that stands can no longer be placed.
    """
    known = before is not None and before.plan.frames == len(pts)
    placed = carry_over(before, all_repairs) if before is not None and known else {}
    hides = any(repair.kind is RepairKind.HIDE and not repair.undone for repair in all_repairs)
    for repair in all_repairs:
        if repair.undone or repair.id in placed or repair.id in there:
            continue
        if repair.kind is RepairKind.REGION:
            placed[repair.id] = followed(source, pts, repair, progress)
        elif repair.kind is RepairKind.HIDE or (repair.kind is RepairKind.JOIN and hides and not known):
            raise RepairError(
                "What was hidden by hand in {clip} since it was delivered (repair {repair}) can no longer be placed in "
                "it, so it was left as it is; look at it, and take it away with lesveil deliver --remove if need be.",
                clip=name,
                repair=repair.id,
            )
    return list(placed.values())


def carry_over(before: Seen, all_repairs: Sequence[Repair]) -> dict[str, Placed]:
    """Where each repair hides, for an analysis that numbers its tracks otherwise."""
    old, people = before.placed, people_of(before.placed)
    mended = mend.mend(before.tracks, before.decisions, all_repairs, before.analysis, regions_of(old), {}, {}, people)
    hidden = mend.kept_hidden(mended, all_repairs, regions_of(old), decide.head)
    faces = mend.kept_hidden(mended, all_repairs, {id: one.faces for id, one in old.items()}, lambda face: face)
    return {
        id: Placed(regions, old[id].unsure if id in old else (), faces[id], mended.meant.get(id, ()))
        for id, regions in hidden.items()
    }


def _under(faces: Regions, tracks: Sequence[Track], decisions: Sequence[Decision]) -> Regions:
    """The bodies under faces that were hidden by hand. They give way to the heads of those who can be seen: not of
    whoever the new analysis keeps at the very place where they were hidden."""
    kept = kept_faces(tracks, decisions)
    seen = np.ones(len(kept.frame), bool)
    heads = decide.head(faces.region)
    for row, (frame, box) in enumerate(zip(kept.frame.tolist(), kept.box, strict=True)):
        first, last = np.searchsorted(faces.frame, [frame, frame + 1])
        middle = (box[:2] + box[2:]) / 2
        inside = (middle > heads[first:last, :2]) & (middle < heads[first:last, 2:])
        seen[row] = not inside.all(axis=1).any()
    nobody = np.full(len(faces.frame), UNDER, np.int32)
    frame, box, _ = decide.bodies(faces.frame, faces.region, nobody, kept.frame[seen], kept.box[seen])
    return Regions(frame, box, np.full(len(frame), Shape.RECTANGLE, np.uint8))


def followed(source: ClipReader, pts: Times, repair: Repair, progress: Progress = no_progress) -> Placed:
    """Follow a drawn region through the picture, from the frame it was drawn on to both ends of its stretch."""
    assert repair.box is not None
    at = repair.start if repair.at_frame is None else repair.at_frame
    total = repair.stop - repair.start

    def counted(pictures: Iterator[tuple[int, U8 | None]], before: int) -> Iterator[tuple[int, U8 | None]]:
        for n, one in enumerate(pictures):
            progress("follow", min(before + n, total), total)
            yield one

    back: Followed | None = None
    try:
        ahead = follow(counted(lumas(Part(source, pts, at, repair.stop)), 0), repair.box)
        if at > repair.start:
            back = follow(counted(backwards(source, pts, repair.start, at + 1), repair.stop - at), repair.box)
    except PartError as error:
        raise RepairError(
            "What was drawn by hand (repair {repair}) cannot be followed, because the film does not give the pictures "
            "that it gave before; run lesveil run with its card again.",
            repair=repair.id,
        ) from error
    parts = [ahead] if back is None else [_after_first(back), ahead]
    frame = np.concatenate([one.frame for one in parts])
    box = np.concatenate([one.box for one in parts])
    sure = np.concatenate([one.sure for one in parts])
    order = np.argsort(frame, kind="stable")
    frame, box, sure = frame[order], box[order], sure[order]
    regions = Regions(frame.astype(np.int32), box, np.full(len(frame), Shape.RECTANGLE, np.uint8))
    return Placed(regions, tuple(joined([(int(n), int(n) + 1) for n in frame[~sure]])))


def _after_first(one: Followed) -> Followed:
    return Followed(one.frame[1:], one.box[1:], one.sure[1:])


def times_of(source: ClipReader) -> Times:
    return np.array([frame.pts for frame in source.frames()], np.int64)


def outcome_of(mending: Mending, when: When, second: Opinion) -> dict[str, Any]:
    """What a rendering's receipt says of whom it shows and what to look at; ``when`` gives the seconds of a frame.

    Of what the ``second`` look saw it says how much and when; where in the picture stays in the vault.
    """
    plan, mended = mending.plan, mending.mended
    hidden = {d.track for d in mended.decisions if d.reason is Reason.SECOND_LOOK}
    return {
        "kept": [
            {
                "person": d.person,
                "start": d.start,
                "stop": d.stop,
                "ground": d.ground,
                "margin": d.margin,
                "distance": None if d.reason is Reason.NAMED_BY_HAND else d.distance,
                "by_hand": d.reason is Reason.NAMED_BY_HAND,
            }
            for d in mended.decisions
            if d.keep
        ],
        "doubts": doubts(mended.decisions, when, second.left, mending.unsure),
        "second_look": {"state": second.state, "hidden": len(hidden), "left": len(second.left)},
        "hides": plan.extent.value,
        "by_tracks": True,
        "hidden_at_once": hidden_at_once(mended.tracks, plan),
        "repairs": list(mending.repairs),
    }


def hidden_at_once(tracks: Sequence[Track], plan: RedactionPlan) -> int:
    """The largest number of faces hidden in one frame, counting those that were clearly faces or drawn by hand."""
    clear = {track.number for track in tracks if track.strength >= 0.5} | {DRAWN}
    counts: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    for frame, track in zip(plan.frame.tolist(), plan.track.tolist(), strict=True):
        # a head drawn back and a body are further regions of one person; drawn ones are each their own
        if track in clear and (track == DRAWN or (frame, track) not in seen):
            seen.add((frame, track))
            counts[frame] = counts.get(frame, 0) + 1
    return max(counts.values(), default=0)
