"""A workspace: one folder that holds a school's settings, register, ledger, vault and finished clips.

``place`` is the folder and its parts, ``lock`` keeps runs apart, ``allowed`` says who may be shown, ``templates`` keeps
what people are recognised by, ``memory`` keeps an old copy of register or ledger from undoing a withdrawal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import ConsentError
from pipeline.workspace.allowed import grounds, in_force
from pipeline.workspace.lock import alone
from pipeline.workspace.memory import (
    heed_alikes,
    heed_lists,
    heed_withdrawals,
    lost_withdrawals,
    missing_list,
    older_than_lost,
)
from pipeline.workspace.place import VAULT, Workspace, create, layout, opened_in_part, settings_file
from pipeline.workspace.templates import drop_template, load_templates, prune_templates, save_templates

__all__ = [
    "VAULT",
    "Workspace",
    "alone",
    "create",
    "drop_template",
    "grounds",
    "heed_withdrawals",
    "in_force",
    "layout",
    "load_templates",
    "lost_withdrawals",
    "missing_list",
    "older_than_lost",
    "opened",
    "opened_in_part",
    "prune_templates",
    "save_templates",
    "settings_file",
]


@contextlib.contextmanager
def opened(folder: Path | None, *, old_register: bool = False) -> Iterator[Workspace]:
    """Open a workspace; its databases are closed again. Raises WorkspaceError and SettingsError, what its parts raise,
    and ConsentError where the register is an old copy (``old_register``: that may be, as what follows can only take
    consent away, bring the list, or tell what happened)."""
    with opened_in_part(folder) as (workspace, broken):
        for error in broken:
            raise error
        heed_withdrawals(workspace)
        heed_alikes(workspace)
        heed_lists(workspace)
        missing = missing_list(workspace)
        if missing is not None and not old_register:
            raise ConsentError(
                "The register is an old copy: the list that was imported on {day} is not in it; import that list, or a "
                "newer one, with lesveil consent import.",
                day=missing.day,
            )
        yield workspace
