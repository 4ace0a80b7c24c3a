"""Where the people whom a delivered clip shows are in it: kept sealed for as long as the clip lies somewhere.

It outlives the film, because somebody may withdraw after the film is wiped: then this tells whom to hide in the
released clip, and who beside them may stay. It holds places in the picture of people who agreed to be recognised or
were named by hand, and nothing about anybody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pipeline.adapters.packing import pack, unpack
from pipeline.adapters.vault import Vault
from pipeline.errors import VaultError
from pipeline.lesson import seen
from pipeline.lesson.state import State
from pipeline.records import Reason
from pipeline.stages import mend
from pipeline.stages.rehide import Face
from pipeline.workspace import Workspace

PREFIX = "shown-"


@dataclass(frozen=True)
class Shown:
    """Everyone whom the rendering with this digest shows; ``frames`` is how many it has."""

    sha256: str
    frames: int
    faces: tuple[Face, ...]


def keep(vault: Vault, clip: str, shown: Shown) -> None:
    """Keep it beside what was kept of other renderings of the clip; written twice it is kept once."""
    if shown.faces and not vault.has(_name(clip, shown.sha256)):
        vault.put(_name(clip, shown.sha256), pack(shown))


def load(vault: Vault, clip: str, sha256: str) -> Shown | None:
    """What was kept, or None: then nobody's place is known, and everybody is to be hidden."""
    try:
        found = unpack(Shown, vault.get(_name(clip, sha256))) if vault.has(_name(clip, sha256)) else None
    except VaultError:  # what cannot be read tells nothing: everybody is hidden
        return None
    return found if found is not None and found.sha256 == sha256 else None


def forget(vault: Vault, clip: str, besides: Iterable[str] = ()) -> None:
    """Destroy what was kept of a clip's renderings, of all but those with the digests ``besides``."""
    kept = {_name(clip, digest) for digest in besides}
    for id in vault.ids():
        if id.startswith(f"{PREFIX}{clip[:32]}-") and id not in kept:
            vault.destroy(id)


def keep_for_delivery(workspace: Workspace, state: State) -> None:
    """Before a clip leaves: keep where everybody is whom it shows, if that is known."""
    assert state.render is not None
    digest = state.render["sha256"]
    if not state.render["kept"] or workspace.vault.has(_name(state.clip, digest)):
        return
    try:
        found = seen.load(workspace.vault, state.clip, digest)
    except VaultError:
        return  # then a withdrawal hides everybody
    shown = None if found is None else of_rendering(found, state.render, seen.repairs(workspace.ledger, state.clip))
    if shown is not None:
        keep(workspace.vault, state.clip, shown)


def of_rendering(found: seen.Seen, render: dict[str, Any], all_repairs: list[Any]) -> Shown | None:
    """Who is shown where, made from what was seen as the rendering was; None when that does not come out the same."""
    have = set(render.get("repairs", ()))
    mine = [replace(one, undone=one.id not in have) for one in all_repairs]  # left out, a split would move numbers
    grounds = {row["person"]: row["ground"] for row in render["kept"] if not row.get("by_hand")}
    known = {row["person"]: row["ground"] for row in render["kept"] if row.get("by_hand")}
    placed, people = seen.regions_of(found.placed), seen.people_of(found.placed)
    mended = mend.mend(found.tracks, found.decisions, mine, found.analysis, placed, grounds, known, people)
    tracks = {track.number: track for track in mended.tracks}
    faces = []
    for one in mended.decisions:
        if one.keep and one.person is not None:
            track = tracks[one.track]
            box = track.box[one.start - track.start : one.stop - track.start]
            faces.append(Face(one.person, one.reason is Reason.NAMED_BY_HAND, one.start, box))
    told = sorted((row["person"], row["start"], row["stop"]) for row in render["kept"])
    if sorted((face.person, face.start, face.stop) for face in faces) != told:
        return None
    return Shown(found.sha256, found.plan.frames, tuple(faces))


def _name(clip: str, sha256: str) -> str:
    return f"{PREFIX}{clip[:32]}-{sha256[:32]}"
