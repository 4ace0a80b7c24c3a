"""Templates of everyone who may be recognised: one sealed file in the vault, and none of anybody else."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np

from pipeline.errors import BusyError, VaultError
from pipeline.messages import tr
from pipeline.records import Person
from pipeline.workspace.allowed import in_force
from pipeline.workspace.lock import held
from pipeline.workspace.place import Workspace

TEMPLATES = "templates"
"""The sealed file in the vault that holds everybody's template; a number follows, and the highest counts."""

PATIENCE = 60.0
"""Seconds to wait for another command that changes the templates; it takes a tenth of one."""


@contextlib.contextmanager
def _templates_held(workspace: Workspace) -> Iterator[None]:
    """Two that changed the templates at once would each bring back what the other destroyed: a withdrawal does not
    wait for a run to end, so it may meet one. Raises BusyError."""
    busy = BusyError("Another command changes the templates in {folder}; try again.", folder=workspace.folder)
    with held(workspace.folder / "templates.lock", busy, PATIENCE):
        yield


def save_templates(workspace: Workspace, people: list[Person]) -> None:
    """Keep exactly these templates, sealed in the vault; what was there before is destroyed. Raises BusyError.

    A crash leaves the old ones or the new; whatever lies there besides is destroyed when they are next read.
    """
    with _templates_held(workspace):
        _save_templates(workspace, people)


def _save_templates(workspace: Workspace, people: list[Person]) -> None:
    before = _kept_templates(workspace)
    if people:
        document = [
            {
                "id": person.id,
                "portraits": person.portraits,
                "template": person.template.tolist(),
                "taken": None if person.taken is None else person.taken.isoformat(),
            }
            for person in people
        ]
        with workspace.vault.writer() as writer:
            writer.write(json.dumps(document).encode())
            writer.commit(f"{TEMPLATES}-{1 + (_number(before[-1]) if before else 0)}")
    for id in before:
        workspace.vault.destroy(id)


def load_templates(workspace: Workspace) -> list[Person]:
    """The templates that were kept; none when nobody was enrolled. Raises VaultError and BusyError."""
    with _templates_held(workspace):
        return _load_templates(workspace)


def drop_template(workspace: Workspace, person: str) -> None:
    """Destroy one person's template. Raises VaultError and BusyError."""
    with _templates_held(workspace):
        _save_templates(workspace, [one for one in _load_templates(workspace) if one.id != person])


def _load_templates(workspace: Workspace) -> list[Person]:
    kept = _kept_templates(workspace)
    if not kept:
        return []
    for id in kept[:-1]:
        workspace.vault.destroy(id)
    try:
        document: list[dict[str, Any]] = json.loads(workspace.vault.get(kept[-1]))
    except VaultError as error:
        raise VaultError(
            "The templates in {file} cannot be read; enrol everybody again with lesveil enrol.",
            file=workspace.vault.path(kept[-1]),
        ) from error
    return [
        Person(
            entry["id"],
            np.array(entry["template"], np.float32),
            entry["portraits"],
            date.fromisoformat(entry["taken"]) if entry.get("taken") else None,
        )
        for entry in document
    ]


def _kept_templates(workspace: Workspace) -> list[str]:
    """Ids of sealed files with templates, the newest last."""
    found = [id for id in workspace.vault.ids() if re.fullmatch(rf"{TEMPLATES}(-\d+)?", id)]
    return sorted(found, key=_number)


def _number(id: str) -> int:
    return int(id.partition("-")[2] or 0)


def prune_templates(workspace: Workspace, today: date, withdrawn: str | None = None) -> list[str]:
    """Destroy the templates of everyone who may not be recognised today, and return who that is.

    Without recognition that is everyone. That of ``withdrawn``, under whatever number, is destroyed whatever the day is
    from which it counts. Templates that cannot be read are destroyed all together. Raises BusyError.
    """
    with _templates_held(workspace):
        return _prune_templates(workspace, today, withdrawn)


def _prune_templates(workspace: Workspace, today: date, withdrawn: str | None) -> list[str]:
    try:
        people = _load_templates(workspace)
    except VaultError:
        for id in _kept_templates(workspace):
            workspace.vault.destroy(id)
        print(
            tr("The templates could not be read and were destroyed; nobody is recognised until lesveil enrol is done."),
            file=sys.stderr,
        )
        return []
    allowed = in_force(workspace, people, today, today) if workspace.recognises else {}
    gone = {withdrawn, *workspace.register.selves(withdrawn)} if withdrawn is not None else set()
    left = [person for person in people if person.id in allowed and person.id not in gone]
    if len(left) < len(people):
        _save_templates(workspace, left)
    return sorted({person.id for person in people} - {person.id for person in left})
