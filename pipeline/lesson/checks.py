"""What doctor finds: one line per thing that must be right, with what to do when it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import BusyError, LesveilError
from pipeline.messages import told, tr
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Finding:
    """``text`` and ``todo`` are sentences in the person's language; ``todo`` is empty when nothing needs doing."""

    state: Literal["good", "warning", "bad"]
    text: str
    todo: str = ""


def tried(checks: Sequence[Callable[[Workspace], Iterable[Finding]]], workspace: Workspace) -> list[Finding]:
    """What the checks find. What stops one of them is a finding as well, and the others go on."""
    found: list[Finding] = []
    for check in checks:
        try:
            found.extend(check(workspace))
        except (LesveilError, OSError) as error:
            found.append(cannot(error))
    return found


def cannot(error: LesveilError | OSError) -> Finding:
    """Something cannot be opened or read."""
    if isinstance(error, LesveilError):
        text = told(error)
    else:
        why = error.strerror or str(error)
        text = tr("{file} cannot be used: {why}.", file=error.filename or "-", why=why)
    if isinstance(error, PermissionError) or isinstance(error.__cause__, PermissionError):
        return Finding("bad", text, tr("Give yourself permission to read and write there."))
    if isinstance(error, BusyError):
        return Finding("bad", text, tr("Run lesveil doctor again then."))
    return Finding(
        "bad", text, tr("Put back a copy of it; if there is none keep the folder as it is and ask for help.")
    )
