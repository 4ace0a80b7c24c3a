"""What was found in a clip and planned for its rendering, kept sealed beside the working copy and gone with it.

Repairs need to know where everybody is. Where somebody's face is at what moment is personal data, so it lies in the
vault under a key of its own; how a face looks (thumbnails, landmarks, embeddings) is not kept at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.adapters import files
from pipeline.adapters.ledger import Entry, Ledger
from pipeline.adapters.packing import pack, unpack
from pipeline.adapters.sound import EVER
from pipeline.adapters.vault import NOTES, Vault
from pipeline.adapters.video_in import ClipReader
from pipeline.adapters.video_out import KEYFRAMES, Written
from pipeline.errors import RepairError, VaultError
from pipeline.records import Decision, Reason, RedactionPlan, Regions, Repair, RepairKind, Sighting, Track
from pipeline.regions import no_regions
from pipeline.run import Analysis
from pipeline.stages.render import Rendered
from pipeline.workspace import Workspace

REPAIR, UNDONE = "repair", "repair_undone"
"""Kinds of rows in the ledger."""


@dataclass(frozen=True)
class Placed:
    """Where a repair hides, frame by frame; ``unsure`` are stretches in which the region was held, not seen.

    ``faces`` are those of the people whom it hides, where it was said of tracks of an earlier analysis: whoever is
    hidden whole has a body under them. Of a region that was drawn there are none. ``people`` are the ids of those whom
    it hides, as far as they had a name: they are hidden where a later analysis knows them, too.
    """

    regions: Regions
    unsure: tuple[tuple[int, int], ...] = ()
    faces: Regions = field(default_factory=no_regions)
    people: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """One analysis of a clip and the plan of one rendering of it.

    ``tracks`` and ``decisions`` are as the program found them; ``plan`` is after the repairs in ``repairs``. ``pts``
    (N,) are the times of all frames on the source's clock, in ``time_base``; the file's clock is ``shift`` seconds
    behind. ``damaged`` frames were hidden whole. ``made_with`` names settings, models and consent of the analysis.
    """

    sha256: str
    made_with: str
    rate: Fraction
    time_base: Fraction
    shift: Fraction
    width: int
    height: int
    pts: npt.NDArray[np.int64]
    damaged: tuple[int, ...]
    tracks: list[Track]
    decisions: list[Decision]
    plan: RedactionPlan
    repairs: tuple[str, ...] = ()
    placed: dict[str, Placed] = field(default_factory=dict)
    mutes: tuple[tuple[int, int], ...] = ()
    cuts: tuple[int, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    """Faces that the second look sees in this rendering and about which a person must decide."""

    @cached_property
    def analysis(self) -> str:
        """A name for the tracks and their numbers: the same when they are."""
        name = hashlib.sha256()
        for track in self.tracks:
            name.update(f"{track.number} {track.start} {len(track.box)} ".encode())
            name.update(np.ascontiguousarray(track.box, np.float32).tobytes())
        return name.hexdigest()[:16]

    @cached_property
    def keyframes(self) -> npt.NDArray[np.int64]:
        """Frames at which a rendering certainly has a keyframe, so that a picture of them is quickly had."""
        found, step, after = [], math.ceil(KEYFRAMES / self.time_base), 0
        while after < len(self.pts):
            found.append(after)
            after = int(np.searchsorted(self.pts, self.pts[after] + step))
        return np.array(found, np.int64)

    def seconds(self, frame: int) -> float:
        """When a frame begins on the source's clock; the end of the film for one after the last."""
        if frame < len(self.pts):
            return float(int(self.pts[frame]) * self.time_base)
        return float(int(self.pts[-1]) * self.time_base + 1 / self.rate)

    def silent(self) -> tuple[tuple[float, float], ...]:
        """The muted stretches in seconds; what is muted to the last picture, to the end of the sound."""
        last = len(self.pts)
        return tuple((self.seconds(start), self.seconds(stop) if stop < last else EVER) for start, stop in self.mutes)


def keep(vault: Vault, clip: str, seen: Seen) -> None:
    """Keep what was seen for one rendering; what was kept of the same one before is destroyed."""
    before = vault.beside(clip)
    number = 1 + max((int(one.rsplit("-", 1)[1]) for one in before), default=0)
    with vault.writer() as writer:
        writer.write(pack(seen))
        writer.commit(f"{clip}{NOTES}{seen.sha256[:16]}-{number}")
    for one in before:
        if one.split("-")[-2] != seen.sha256[:16]:
            continue
        vault.destroy(one)


def forget_others(vault: Vault, clip: str, sha256: str) -> None:
    """Destroy what was kept for renderings that are gone."""
    for one in vault.beside(clip):
        if one.split("-")[-2] != sha256[:16]:
            vault.destroy(one)


def load(vault: Vault, clip: str, sha256: str) -> Seen | None:
    """What was kept for the rendering with this digest; None when nothing was. Raises VaultError."""
    found = [one for one in vault.beside(clip) if one.split("-")[-2] == sha256[:16] and vault.has(one)]
    if not found:
        return None
    with vault.open(max(found, key=lambda one: int(one.rsplit("-", 1)[1]))) as reader:
        seen = unpack(Seen, reader.read())
    return seen if seen.sha256 == sha256 else None


def last(workspace: Workspace, clip: str) -> Seen | None:
    """What was last seen in the film itself: of a rendering that a recall made from a delivered film nothing is kept,
    and what was kept before it still says where people are.

    None when nothing is kept, or what is kept last cannot be read; an older one may lack some of it. What was hidden by
    hand cannot be placed then, and whoever renders refuses.
    """
    rows = [row.payload for row in workspace.ledger.entries("receipt", clip) if row.payload["stage"] == "render"]
    try:
        found = (load(workspace.vault, clip, row["outcome"]["sha256"]) for row in reversed(rows))
        return next((one for one in found if one is not None), None)
    except VaultError:
        return None


def of_analysis(analysis: Analysis, made_with: str, source: ClipReader) -> Seen:
    """What an analysis found, before anything is rendered: the times of the frames are not known yet."""
    return Seen(
        sha256="",
        made_with=made_with,
        rate=source.info.rate,
        time_base=source.info.time_base,
        shift=Fraction(0),
        width=source.info.width,
        height=source.info.height,
        pts=np.empty(0, np.int64),
        damaged=(),
        tracks=list(analysis.tracks),
        decisions=list(analysis.decisions),
        plan=analysis.plan,
        cuts=tuple(analysis.found.cuts.tolist()),
    )


def with_second_look(found: Seen, before: Seen | None) -> Seen:
    """``found`` with what a second look hid in the rendering ``before``: who analyses anew has not seen it, and a film
    with repairs is not written again for what a second look sees."""
    if before is None:
        return found
    frames = found.plan.frames
    hidden = {d.track: d for d in before.decisions if d.reason is Reason.SECOND_LOOK}
    number = max((track.number for track in found.tracks), default=0)
    tracks, decisions = list(found.tracks), list(found.decisions)
    for track in before.tracks:
        if track.number in hidden and track.start < frames:
            number, kept, said = number + 1, slice(frames - track.start), hidden[track.number]
            shorter = {part: getattr(track, part)[kept] for part in ("box", "support", "certainty")}
            tracks.append(replace(track, number=number, **shorter))
            decisions.append(replace(said, track=number, stop=min(said.stop, frames)))
    return replace(found, tracks=tracks, decisions=decisions)


def of_file(sha256: str, file: str, done: Rendered, written: Written, regions: int) -> dict[str, Any]:
    """What a rendering's receipt says of its file: the beginning of the outcome for `record`."""
    return {
        "sha256": sha256,
        "bytes": written.bytes,
        "file": file,
        "frames": len(done.pts),
        "seconds": round(written.seconds, 3),
        "damaged": len(done.damaged),
        "regions": regions,
    }


def record(workspace: Workspace, clip: str, source: str, key: str, outcome: dict[str, Any]) -> None:
    """Leave the receipts of a rendering that was published, then remove what it takes the place of."""
    passed = {"passed": True, "regions": outcome["regions"]}
    # the check first: a rendering with its receipt is not made again, so it must not lack the check's
    workspace.ledger.record("check", outcome["sha256"], key, clip, passed)
    workspace.ledger.record("render", source, key, clip, outcome)
    forget_others(workspace.vault, clip, outcome["sha256"])
    renders = [row.payload for row in workspace.ledger.entries("receipt", clip) if row.payload["stage"] == "render"]
    for file in {render["outcome"]["file"] for render in renders} - {outcome["file"]}:
        with contextlib.suppress(PermissionError):  # somebody is watching it, on Windows; the next one removes it
            files.remove(workspace.finished / file)


def repairs(ledger: Ledger, clip: str) -> list[Repair]:
    """Every repair of a clip in order of arrival, those that were undone among them."""
    return repairs_in([*ledger.entries(REPAIR, clip), *ledger.entries(UNDONE, clip)])


def repairs_in(rows: Sequence[Entry]) -> list[Repair]:
    """The same from rows of one clip at hand."""
    undone = {row.payload["id"]: row.seq for row in rows if row.kind == UNDONE}
    found: dict[str, Repair] = {}
    for row in rows:
        if row.kind == REPAIR:
            repair = _repair(row, undone)
            found.setdefault(repair.id, repair)  # sent twice is once
    return list(found.values())


def _repair(row: Entry, undone: Mapping[str, int]) -> Repair:
    said: dict[str, Any] = row.payload
    box = said.get("box")
    return Repair(
        number=row.seq,
        id=said["id"],
        clip=row.clip or "",
        analysis=said["analysis"],
        kind=RepairKind(said["kind"]),
        start=said["start"],
        stop=said["stop"],
        by=said["by"],
        role=said["role"],
        at=row.at,
        track=said.get("track"),
        other=said.get("other"),
        person=said.get("person"),
        said=said.get("said", ""),
        tracks=tuple(said.get("tracks", ())),
        box=(box[0], box[1], box[2], box[3]) if box else None,
        at_frame=said.get("at_frame"),
        undone=said["id"] in undone,
        undone_at=undone.get(said["id"]),
    )


def standing(all_repairs: Iterable[Repair]) -> tuple[str, ...]:
    """Ids of the repairs that were not undone."""
    return tuple(sorted(repair.id for repair in all_repairs if not repair.undone))


def lacking(render: Mapping[str, Any], all_repairs: Iterable[Repair]) -> bool:
    """Whether a rendering (its receipt's outcome) lacks a repair that stands, or has one that was undone since; or was
    made when a SHOW still went for every track of the same person, looked at or not."""
    repairs = list(all_repairs)
    shows = any(one.kind is RepairKind.SHOW and not one.undone and not one.tracks for one in repairs)
    return standing(repairs) != tuple(render.get("repairs", ())) or (shows and not render.get("by_tracks"))


def rendering_key(made_with: str, all_repairs: Sequence[Repair], known: Mapping[str, str]) -> str:
    """What a rendering is known by in the ledger: what it was made with, the repairs, and who may be seen by them."""
    ids = standing(all_repairs)
    if not ids:
        return hashlib.sha256(made_with.encode()).hexdigest()
    named = {r.person for r in all_repairs if r.kind is RepairKind.SHOW and not r.undone}
    agreed = sorted((person, ground) for person, ground in known.items() if person in named)
    return hashlib.sha256(repr((made_with, ids, agreed)).encode()).hexdigest()


def regions_of(placed: Mapping[str, Placed]) -> dict[str, Regions]:
    return {id: one.regions for id, one in placed.items()}


def people_of(placed: Mapping[str, Placed]) -> dict[str, tuple[str, ...]]:
    return {id: one.people for id, one in placed.items()}


def refuse_lost(clip: str, all_repairs: Sequence[Repair], moot: Iterable[str]) -> None:
    """Raise RepairError when a repair that hides no longer hides anything: then nothing may be rendered."""
    lost = [r for r in all_repairs if r.id in set(moot) and r.kind in (RepairKind.HIDE, RepairKind.REGION)]
    if lost:
        raise RepairError(
            "What was hidden by hand in {clip} (repair {repair}) can no longer be placed; undo it with lesveil review"
            " and hide it again.",
            clip=clip,
            repair=lost[0].id,
        )
