"""Where each clip stands, read from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipeline.adapters.chapters import Opener, windows
from pipeline.adapters.ledger import Entry
from pipeline.errors import ApprovalError
from pipeline.stages import wipe
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class State:
    """Where one clip stands. Every field is the latest row of its kind that belongs to the latest rendering."""

    clip: str
    ingest: Entry
    filmed: str | None
    render: dict[str, Any] | None
    approved: Entry | None
    delivered: Entry | None
    wiped: bool

    @property
    def stage(self) -> str:
        if self.wiped:
            return "wiped"
        if self.delivered:
            return "delivered"
        if self.approved:
            return "approved"
        return "rendered" if self.render else "copied"

    @property
    def waits_for(self) -> str:
        return {
            "copied": "lesveil run",
            "rendered": "lesveil approve",
            "approved": "lesveil deliver",
            "delivered": "lesveil wipe",
        }.get(self.stage, "")

    @property
    def file(self) -> str:
        """The film's path on the card."""
        return str(self.ingest.payload["files"][0]["path"])


def states(workspace: Workspace) -> list[State]:
    """Every clip that was ever copied, in order of first copy."""
    rows = workspace.ledger.entries()
    clips: dict[str, list[Entry]] = {}
    for row in rows:
        if row.clip is not None:
            clips.setdefault(row.clip, []).append(row)
    gone = wipe.wiped_since(workspace.ledger, [row for row in rows if row.kind == "ingest"])
    return [_state(clip, mine, gone) for clip, mine in clips.items() if any(row.kind == "ingest" for row in mine)]


def _state(clip: str, rows: list[Entry], gone: set[tuple[str, str, str]]) -> State:
    ingests = [row for row in rows if row.kind == "ingest"]
    copied = ingests[-1]
    renders = [row.payload["outcome"] for row in rows if row.kind == "receipt" and row.payload["stage"] == "render"]
    render = renders[-1] if renders else None
    digest = render["sha256"] if render else None

    def latest(kind: str) -> Entry | None:
        found = [row for row in rows if row.kind == kind]
        return found[-1] if found and found[-1].payload.get("sha256") == digest else None

    days = [row.payload["day"] for row in rows if row.kind == "filmed"]
    approved = latest("approval")
    if approved is not None and approved.payload["verdict"] != "approved":
        approved = None
    cards = {row.payload["card"]: row.payload for row in ingests}  # one film may lie on two cards
    wiped = all((card, file["path"], file["sha256"]) in gone for card, held in cards.items() for file in held["files"])
    return State(clip, copied, days[-1] if days else None, render, approved, latest("delivery"), wiped)


def film(workspace: Workspace, clip: str, parts: Sequence[int] | None = None) -> tuple[Opener, ...]:
    """The working copy's film, to be given to `open_clip`: one opener for each file into which the camera cut it.

    ``parts`` are the sizes of these; by default as the ledger has them.
    """
    if not parts:
        rows = workspace.ledger.entries("ingest", clip)
        parts = [file["bytes"] for file in rows[-1].payload["files"] if file["kind"] == "video"] if rows else []

    def opener() -> BinaryIO:
        return cast(BinaryIO, workspace.vault.open(clip))

    return (opener,) if len(parts) < 2 else windows(opener, parts)


def find(workspace: Workspace, name: str) -> State:
    """The clip that ``name`` means: its id, the start of it, or its file name on the card. Raises ApprovalError."""
    wanted = name.lower()
    found = [
        state
        for state in states(workspace)
        if state.clip.startswith(wanted) or Path(state.file).name.lower() in (wanted, wanted + ".mp4")
    ]
    if len(found) != 1:
        raise ApprovalError(
            "{clip} names {count} clips here; look up the id with lesveil status.", clip=name, count=len(found)
        )
    return found[0]


def consent_holds(workspace: Workspace, state: State, today: date) -> bool:
    """Everyone whom the latest rendering shows may still be shown today."""
    if state.render is None or (state.render["kept"] and state.filmed is None):
        return False
    people = {entry["person"] for entry in state.render["kept"]}
    filmed = date.fromisoformat(state.filmed) if state.filmed else today
    return all(workspace.register.may_be_shown(person, filmed, today).kept for person in people)
