"""What may be wiped, and wiping it."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

from pipeline.adapters import card as cards
from pipeline.adapters import files
from pipeline.errors import WipeError
from pipeline.lesson.state import State, consent_holds, states
from pipeline.records import Progress, WipePlan, no_progress
from pipeline.stages import wipe
from pipeline.workspace import Workspace


def wipe_plan(workspace: Workspace, today: date) -> WipePlan:
    """What may be wiped now; a wipe that was interrupted comes first, as it was planned."""
    begun = wipe.unfinished(workspace.ledger)
    if begun is not None:
        return begun
    chains = [_chain(workspace, state, today) for state in states(workspace)]
    return wipe.plan(chains, wipe.wiped_before(workspace.ledger))


def _chain(workspace: Workspace, state: State, today: date) -> wipe.Chain:
    rows = workspace.ledger.entries(clip=state.clip)
    render = state.render["sha256"] if state.render else None
    checked = [
        row.payload["input"]
        for row in rows
        if row.kind == "receipt" and row.payload["stage"] == "check" and row.payload["outcome"]["passed"]
    ]
    delivery = state.delivered.payload if state.delivered else None
    return wipe.Chain(
        clip=state.clip,
        copied=state.ingest.payload["sha256"],
        bytes=state.ingest.payload["bytes"],
        files=wipe.sources_of(row.payload for row in rows if row.kind == "ingest"),
        rendered=render,
        checked=render if render in checked else None,
        approved=state.approved.payload["sha256"] if state.approved else None,
        delivered=delivery["sha256"] if delivery else None,
        archived=bool(delivery and delivery["is_archive"]),
        consent=consent_holds(workspace, state, today),
    )


def execute_wipe(
    workspace: Workspace, digest: str, today: date, card: Path | None, progress: Progress = no_progress
) -> wipe.Wiped:
    """Carry out the plan that was shown. ``card`` is where the card is mounted; by default where it was last."""
    plan = wipe_plan(workspace, today)
    if card is None:
        seen = workspace.ledger.entries("card")
        if not seen:
            raise WipeError("No card was ever read here; name it with --card.")
        card = Path(seen[-1].payload["folder"])
    if not os.path.isdir(card):
        raise WipeError("The card is not at {folder}; put it in, or name its place with --card.", folder=card)
    # a delivered file must still be there, byte for byte, before anything goes
    for state in states(workspace):
        if state.clip in {item.path for item in plan.items} and state.delivered is not None:
            where = Path(state.delivered.payload["where"])
            if not where.is_file() or files.sha256_of(where) != state.delivered.payload["sha256"]:
                raise WipeError("{file} is no longer what was delivered; nothing was wiped.", file=where)
    return wipe.execute(plan, digest, card, workspace.ledger, workspace.vault, tied=cards.tied_files, progress=progress)
