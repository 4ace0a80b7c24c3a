"""A workspace: one folder that holds a school's settings, register, ledger, vault and finished clips."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipeline.adapters import files
from pipeline.adapters.ledger import Ledger
from pipeline.adapters.register import Register
from pipeline.adapters.vault import Vault
from pipeline.errors import BusyError, EnrolmentError, OutputExistsError, WorkspaceError
from pipeline.records import Person
from pipeline.settings import FILE_NAME, Settings, load

TEMPLATES = "templates"
"""Id of the sealed file in the vault that holds everybody's template."""

FIRST_SETTINGS = """\
# Lesveil. Everything not said here has a safe default; see README.md.

[recognition]
# "on" only after the assessment below covers recognising faces. Until then everyone is hidden.
mode = "off"

[privacy]
# Where your data protection impact assessment (DPIA) on recognising faces is kept.
dpia = ""

[cards]
# The school's own cards and cameras, as lesveil cards shows them. Once there are any, others are refused.
# registered = ["1234-ABCD", "LESCAMERA1"]

[deliver]
# target = "folder"
# folder = "/path/to/the/folder/that/OneDrive/synchronises"
# Only if a verified copy there is enough to wipe the card:
# folder_is_the_archive = true
"""


@dataclass(frozen=True)
class Workspace:
    """The open parts of one workspace."""

    folder: Path
    settings: Settings
    ledger: Ledger
    register: Register
    vault: Vault

    @property
    def finished(self) -> Path:
        """Where redacted clips lie until they are delivered."""
        return self.folder / "redacted"

    @property
    def recognises(self) -> bool:
        """Recognition is on, and an assessment that covers it is named."""
        return self.settings.recognition.mode == "on" and bool(self.settings.privacy.dpia)


def create(folder: Path, *, key_file: bool = False) -> None:
    """Make a workspace. Raises OutputExistsError where there is one already.

    ``key_file``: the vault's key lies in the workspace even where the system has a keyring.
    """
    path = folder / FILE_NAME
    with files.writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):
            raise OutputExistsError("{folder} is a workspace already; nothing was changed.", folder=folder)
        for name in ("redacted", "vault"):
            (folder / name).mkdir(mode=0o700, exist_ok=True)
        Vault(folder / "vault", key_file=key_file)
        Ledger.open(folder / "ledger.db").close()
        Register.open(folder / "register.db").close()
        partial = files.partial_path(path)
        partial.write_text(FIRST_SETTINGS, encoding="utf-8")
        files.publish(partial, path)


@contextlib.contextmanager
def opened(folder: Path | None) -> Iterator[Workspace]:
    """Open a workspace; its databases are closed again. Raises WorkspaceError and SettingsError."""
    if folder is None:
        raise WorkspaceError("Name the workspace with -C FOLDER or LESVEIL_WORKSPACE; lesveil init FOLDER makes one.")
    if not (folder / FILE_NAME).is_file():
        raise WorkspaceError(
            "{folder} is not a workspace: it has no {file}; make one with lesveil init.", folder=folder, file=FILE_NAME
        )
    settings = load(folder / FILE_NAME)
    vault = Vault(folder / "vault")
    with (
        Ledger.open(folder / "ledger.db") as ledger,
        Register.open(folder / "register.db", settings.consent.purpose) as register,
    ):
        yield Workspace(folder, settings, ledger, register, vault)


@contextlib.contextmanager
def alone(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace: one run at a time. The lock goes with the process, however it ends. Raises BusyError."""
    path = workspace.folder / "run.lock"
    with files.writing(path), path.open("a+b") as file:
        if not _lock(file):
            raise BusyError("Another run is at work in {folder}; wait for it to end.", folder=workspace.folder)
        workspace.vault.sweep()
        yield


def _lock(file: IO[bytes]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def save_templates(workspace: Workspace, people: list[Person]) -> None:
    """Keep exactly these templates, sealed in the vault; what was there before is destroyed first."""
    workspace.vault.destroy(TEMPLATES)
    if not people:
        return
    document = [
        {"id": person.id, "portraits": person.portraits, "template": person.template.tolist()} for person in people
    ]
    with workspace.vault.writer() as writer:
        writer.write(json.dumps(document).encode())
        writer.commit(TEMPLATES)


def load_templates(workspace: Workspace) -> list[Person]:
    """The templates that were kept; none when nobody was enrolled. Raises VaultError."""
    if not workspace.vault.has(TEMPLATES):
        return []
    with workspace.vault.open(TEMPLATES) as reader:
        document: list[dict[str, Any]] = json.loads(reader.read())
    return [Person(entry["id"], np.array(entry["template"], np.float32), entry["portraits"]) for entry in document]


def in_force(workspace: Workspace, people: list[Person], filmed: date, used: date) -> dict[str, str]:
    """Who among ``people`` may be shown, by id, with the ground of it."""
    answers = {person.id: workspace.register.may_be_shown(person.id, filmed, used) for person in people}
    return {person: answer.ground for person, answer in answers.items() if answer.kept}


def enrolled_folders(workspace: Workspace, portraits: Path, on: date) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Which portrait folders may be enrolled on a day: ({person: folder}, [refusals])."""
    if not portraits.is_dir():
        raise EnrolmentError("{folder} is not a folder of portraits.", folder=portraits)
    wanted: dict[str, str] = {}
    refused: list[dict[str, str]] = []
    by_folder = {(person.portrait_folder or person.id): person for person in workspace.register.people(on)}
    for sub in sorted(path.name for path in portraits.iterdir() if path.is_dir() and not path.name.startswith(".")):
        person = by_folder.get(sub)
        if person is None:
            refused.append({"folder": sub, "reason": "not_in_register", "ground": ""})
        elif not person.answer.kept:
            refused.append(
                {"folder": sub, "id": person.id, "reason": str(person.answer.why), "ground": person.answer.ground}
            )
        else:
            wanted[person.id] = sub
    return wanted, refused
