"""Where approved clips go, by lesveil.toml: a folder, or OneDrive."""

from __future__ import annotations

import contextlib
import math
import os
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.adapters.ledger import Entry
from pipeline.errors import LesveilError, SettingsError
from pipeline.lesson.folder_target import FolderTarget
from pipeline.lesson.lying import may_lie
from pipeline.lesson.onedrive_target import OneDriveTarget, open_onedrive
from pipeline.unforeseen import ours
from pipeline.workspace import Workspace


def open_target(workspace: Workspace, kind: str = "", within: float = math.inf) -> FolderTarget | OneDriveTarget:
    """The target of lesveil.toml, or the one of this kind (for what was delivered before it was changed).

    ``within``: seconds after which OneDrive is no longer waited for. Raises SettingsError where lesveil.toml names
    none.
    """
    said = workspace.settings.deliver
    kind = kind or said.target
    if kind == "folder" and (said.folder or said.target != "folder"):
        return folder_target(workspace)
    if kind == "onedrive":
        return open_onedrive(workspace, within=within)
    raise SettingsError(
        'lesveil.toml does not say where clips go: write target = "onedrive" under [deliver], or target = "folder" and'
        ' folder = "..." with the folder in which they belong.'
    )


@lru_cache(1)
def folder_target(workspace: Workspace) -> FolderTarget:
    """The folder of lesveil.toml as a target, which knows what else was delivered to folders: one for as long as the
    workspace is open, so that what it read of a folder that was moved is not read again for every clip."""

    @lru_cache(1)
    def lying(head: str) -> list[dict[str, Any]]:
        clips = defaultdict[str | None, list[Entry]](list)
        for row in workspace.ledger.entries():
            clips[row.clip].append(row)
        rows = (row for clip, rows in clips.items() if clip is not None for row in may_lie(rows))
        return [row.payload for row in rows if row.payload["target"] == FolderTarget.kind]

    is_archive = workspace.settings.deliver.folder_is_the_archive
    own = Path(os.path.abspath(workspace.folder))
    return FolderTarget(workspace.target_folder, is_archive, lambda: lying(workspace.ledger.head()), own)


def in_archive(workspace: Workspace, delivery: dict[str, Any]) -> bool:
    """Whether a delivery (the payload of its row) was brought to the archive, and where that is a folder, lesveil.toml
    still says that this one is it."""
    if delivery["target"] != "folder" or not delivery["is_archive"]:
        return bool(delivery["is_archive"])
    return folder_target(workspace).is_archive_of(delivery)


def refuse_away(workspace: Workspace, delivery: dict[str, Any], within: float = math.inf) -> None:
    """Raise what reaching the target raises where a delivery (the payload of its row) cannot be asked for now."""
    target = open_target(workspace, delivery["target"], within)
    if isinstance(target, FolderTarget):
        target.lacks(delivery)
    else:
        with target:
            pass  # opened, it was reached


def leave_head(workspace: Workspace) -> None:
    """Leave the ledger's head where clips go, so that whoever has this machine cannot rewrite the ledger alone.

    Raises what reaching the target raises; the next delivery makes it good.
    """
    target = open_target(workspace)
    with target if isinstance(target, OneDriveTarget) else contextlib.nullcontext():
        target.note(workspace.ledger.mark(), workspace.ledger.head())


def heads_left(workspace: Workspace, within: float = math.inf) -> list[str]:
    """Every head that was left where clips go, asked for so many seconds. Raises what reaching the target raises."""
    target = open_target(workspace, within=within)
    with target if isinstance(target, OneDriveTarget) else contextlib.nullcontext():
        return target.noted(workspace.ledger.mark())


@dataclass(frozen=True)
class Proof:
    """What says whether the ledger is whole. ``findings`` are the signs that it is not, ``compared`` is the number of
    heads that were noted elsewhere, ``unasked`` why those where clips go could not be asked."""

    findings: list[str]
    compared: int
    unasked: LesveilError | None = None


def proof(workspace: Workspace, *heads: str, within: float = math.inf) -> Proof:
    """Look at every row of the ledger, and compare it with ``heads`` and with those that were left where clips go.

    ``within``: seconds after which OneDrive is no longer waited for, and counts as not asked.
    """
    left, unasked = list[str](), None
    if workspace.settings.deliver.target:
        try:
            left = heads_left(workspace, within)
        except (LesveilError, OSError) as error:
            unasked = ours(error)
    return Proof(workspace.ledger.verify(*heads, *left), len(heads) + len(left), unasked)
