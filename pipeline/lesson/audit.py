"""What lies at the target, beside what the ledger says was brought there."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from pipeline.errors import DeliveryError
from pipeline.lesson.deliver import KEY, settle
from pipeline.lesson.folder_target import FolderTarget
from pipeline.lesson.lost import come_back
from pipeline.lesson.lying import CLEARED, may_lie
from pipeline.lesson.onedrive_target import OneDriveTarget
from pipeline.lesson.state import states
from pipeline.lesson.target import Found
from pipeline.lesson.targets import open_target
from pipeline.workspace import Workspace

VERDICTS = ("as delivered", "moved", "lost", "missing", "changed", "unknown", "old versions")


@dataclass(frozen=True)
class Line:
    """One file, and one of VERDICTS; ``by`` whom, and on which day (yyyy-mm-dd), it was said to be lost."""

    where: str
    clip: str | None
    verdict: str
    by: str = ""
    on: str = ""

    @property
    def fine(self) -> bool:
        return self.verdict in VERDICTS[:3]


def audit(workspace: Workspace, target: FolderTarget | OneDriveTarget | None = None) -> list[Line]:
    """Compare the target with the ledger, both ways; older versions that could not be removed are tried again.

    A file that somebody moved or renamed within the target is still the same item in OneDrive, and fine. What became of
    a delivery that was cut off is found out first, as far as that can be known.
    """
    with contextlib.ExitStack() as stack:
        if target is None:
            target = open_target(workspace)
            if isinstance(target, OneDriveTarget):
                stack.enter_context(target)
        come_back(workspace)
        rows: list[tuple[str, dict[str, Any]]] = []
        # in a folder it may lie elsewhere now, and is then told as missing; in OneDrive not to know ends all of it
        untold = (DeliveryError,) if isinstance(target, FolderTarget) else ()
        for state in states(workspace):
            with contextlib.suppress(*untold):
                settle(workspace, state.clip, target)
            there = may_lie(workspace.ledger.entries(clip=state.clip))
            rows += [(state.clip, row.payload) for row in there if row.payload["target"] == target.kind]
        listed = list(target.listing())
        lines = []
        for clip, payload in rows:
            line = _compared(clip, payload, listed, target)
            if line.fine and payload.get("versions_left"):  # there are none any more: nobody is in sight in them
                workspace.ledger.append(CLEARED, clip, {name: payload[name] for name in KEY})
            lines.append(line)
    lines += [
        Line(row.payload["where"], state.clip, "lost", row.payload["by"], row.day.isoformat())
        for state in states(workspace)
        for row in state.lost
    ]
    known = {line.where for line in lines if not isinstance(target, OneDriveTarget)}
    known |= {payload.get("item", "") for _, payload in rows}  # where one was moved from, anything may lie by now
    strange = [found for found in listed if (found.item or found.where) not in known]
    return lines + [Line(found.where, None, "unknown") for found in strange]


def _compared(clip: str, payload: dict[str, Any], listed: list[Found], target: FolderTarget | OneDriveTarget) -> Line:
    where = payload["where"]
    if isinstance(target, OneDriveTarget):
        found = next((one for one in listed if one.item == payload["item"]), None)
        if not target.still_there(payload):
            return Line(found.where if found else where, clip, "changed" if found else "missing")
        if payload.get("versions_left") and target.old_versions(payload):
            return Line(where, clip, "old versions")
        return (
            Line(where, clip, "as delivered")
            if found and found.where == where
            else Line(found.where if found else where, clip, "moved")
        )
    where = target.where_of(payload)
    found = next((one for one in listed if one.where == where), None)
    if found is None:
        return Line(where, clip, _elsewhere(payload, target))
    return Line(where, clip, "as delivered" if found.sha256 == payload["sha256"] else "changed")


def _elsewhere(payload: dict[str, Any], target: FolderTarget) -> str:
    """What is to be said of a delivery that is not listed: it may have gone to the folder that was named before."""
    try:
        if target.holds(payload) or target.lacks(payload):
            return "missing"
        return "as delivered" if target.still_there(payload) else "changed"
    except DeliveryError:
        return "missing"
