"""One run at a time in a workspace, and none by a clock that was set back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import IO

from pipeline.adapters import files
from pipeline.errors import BusyError, WorkspaceError
from pipeline.workspace.place import Workspace


@contextlib.contextmanager
def alone(workspace: Workspace, *, tidy: bool = True) -> Iterator[None]:
    """Hold the workspace: one run at a time. The lock goes with the process, however it ends. Raises BusyError.

    ``tidy``: what crashes left in the vault and among the finished films is swept. WorkspaceError then, too, where the
    clock was set back: whoever took consent back since would be shown.
    """
    busy = BusyError("Another run is at work in {folder}; wait for it to end.", folder=workspace.folder)
    with held(workspace.folder / "run.lock", busy):
        if tidy:
            _refuse_set_back(workspace)
            workspace.vault.sweep()
            files.sweep_all_partials(workspace.finished)
        yield


@contextlib.contextmanager
def held(path: Path, busy: BusyError, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock that this file is; raises ``busy`` where another has held it for so many seconds."""
    until = time.monotonic() + patience
    with contextlib.ExitStack() as opened:
        with files.writing(path):
            file = opened.enter_context(path.open("a+b"))
            while not _locked(file, path):
                if time.monotonic() >= until:
                    raise busy
                time.sleep(0.02)
        yield


def _locked(file: IO[bytes], path: Path) -> bool:
    """As `files.lock`. Raises WorkspaceError where the volume knows no locks: two runs would undo each other's work."""
    try:
        return files.lock(file)
    except OSError as error:
        raise WorkspaceError(
            "{file} cannot be locked ({why}), so nothing keeps two runs apart; move the workspace to a disk of this "
            "machine, or to a share that knows locks.",
            file=path,
            why=error.strerror,
        ) from error


def _refuse_set_back(workspace: Workspace) -> None:
    latest, today = workspace.ledger.latest(), date.today()
    if latest is not None and today < latest:
        raise WorkspaceError(
            "This machine's clock says {day}, and the ledger has a row of {latest}; set the clock, because consent "
            "is asked for a day, or, if it was wrong then and is right now: lesveil doctor --clock-is-right.",
            day=today,
            latest=latest,
        )
