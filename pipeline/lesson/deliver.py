"""Approved clips to where they belong."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pipeline.adapters import files
from pipeline.errors import DeliveryError, LesveilError, NotReadyError
from pipeline.lesson.state import State, consent_holds, states
from pipeline.stages.deliver import deliver_to_folder
from pipeline.workspace import Workspace


def deliver(workspace: Workspace, today: date) -> list[tuple[State, str | LesveilError]]:
    """Bring every approved clip to the target; what became of each: where it lies, or why not."""
    settings = workspace.settings.deliver
    if settings.target != "folder" or not settings.folder:
        raise NotReadyError(
            'lesveil.toml names no [deliver] target; so far only target = "folder" works, OneDrive itself does not.'
        )
    out: list[tuple[State, str | LesveilError]] = []
    for state in states(workspace):
        if state.stage != "approved" or state.render is None:
            continue
        try:
            if not consent_holds(workspace, state, today):
                raise DeliveryError(
                    "{clip} shows somebody whose consent is no longer in force; run lesveil run again.", clip=state.clip
                )
            source = workspace.finished / state.render["file"]
            name = files.safe_name(f"{state.filmed}_{Path(state.file).stem}_{state.clip[:8]}.mp4")
            done = deliver_to_folder(
                source,
                state.render["sha256"],
                Path(settings.folder),
                name,
                settings.folder_is_the_archive,
                clip=state.clip,
            )
            workspace.ledger.append(
                "delivery",
                state.clip,
                {
                    "sha256": done.sha256,
                    "target": done.target,
                    "where": done.where,
                    "bytes": done.bytes,
                    "is_archive": done.is_archive,
                    "head": workspace.ledger.head(),
                },
            )
            out.append((state, done.where))
        except LesveilError as error:
            out.append((state, error))
    return out
