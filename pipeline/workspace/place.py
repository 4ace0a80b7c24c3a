"""The folder of a workspace: how it is made, and how its parts are opened."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.adapters import files
from pipeline.adapters.consent_layout import FIELDS, Layout
from pipeline.adapters.ledger import Ledger
from pipeline.adapters.register import Register
from pipeline.adapters.vault import Vault
from pipeline.consent import Terms
from pipeline.errors import LesveilError, OutputExistsError, WorkspaceError
from pipeline.messages import tr
from pipeline.settings import FILE_NAME, Settings, load

VAULT = "vault"
"""The folder of the encrypted working copies."""

FIRST_SETTINGS = """\
# Lesveil. Everything not said here has a safe default; docs/settings.md lists every setting.

[recognition]
# "on" only after the assessment below covers recognising faces. Until then everyone is hidden.
mode = "off"
# The share of strangers that may look enough like one of those enrolled to be taken for them, 0.001 to 0.0003. Less
# risk hides those who agreed more often, and so do small faces, few portraits, short sights and many people enrolled.
# false_accept = 0.0003

[privacy]
# Where your data protection impact assessment (DPIA) on recognising faces is kept.
dpia = ""

[cards]
# The school's own cards and cameras, as lesveil cards shows them. Once there are any, others are refused.
# registered = ["1234-ABCD", "LESCAMERA1"]

[consent]
# If the list does not say whose word it holds (a parent's or the pupil's) and the school checked that itself:
# giver = "administration"
# If the list has no column for recognition, because nobody is to be recognised:
# asks_recognition = false
# If nothing is to be filmed without a teacher who agreed; name them with lesveil run --teacher NUMBER, or here:
# teacher_required = true
# teacher = ""

[deliver]
# target = "onedrive"          # with [onedrive] as in docs/onedrive.md; or:
# target = "folder"
# folder = "/path/to/the/folder/that/OneDrive/synchronises"
# Only if a verified copy there is enough to wipe the card:
# folder_is_the_archive = true
"""


@dataclass(frozen=True, eq=False)
class Workspace:
    """The open parts of one workspace; each that is opened is another."""

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
    def target_folder(self) -> Path:
        """The folder of ``[deliver]``. A relative one counts from the workspace, wherever a command is given. Where
        none is named it is one that is not there, and not the workspace with our own films."""
        return Path(os.path.abspath(self.folder / (self.settings.deliver.folder or ".no-folder-is-named")))

    @property
    def recognises(self) -> bool:
        """Recognition is on, and an assessment that covers it is named."""
        return self.settings.recognition.mode == "on" and bool(self.settings.privacy.dpia.strip())


def create(folder: Path, *, key_file: bool = False) -> None:
    """Make a workspace. Raises OutputExistsError where there is one already, WorkspaceError where it lost its settings.

    ``key_file``: the vault's key lies in the workspace even where the system has a keyring.
    """
    path = folder / FILE_NAME
    if os.path.lexists(folder) and not folder.is_dir():
        raise OutputExistsError("{folder} is no folder; choose another name for the workspace.", folder=folder)
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):
            raise OutputExistsError("{folder} is a workspace already; nothing was changed.", folder=folder)
        if _begun(folder):
            raise _lost(folder)
        for name in ("redacted", VAULT):
            (folder / name).mkdir(mode=0o700, exist_ok=True)
        Vault(folder / VAULT, key_file=key_file)
        Ledger.open(folder / "ledger.db").close()
        Register.open(folder / "register.db").close()
        partial = files.partial_path(path)
        partial.write_text(tr(FIRST_SETTINGS), encoding="utf-8")
        files.publish(partial, path)


@contextlib.contextmanager
def opened_in_part(folder: Path | None) -> Iterator[tuple[Workspace, list[LesveilError | OSError]]]:
    """The same for whoever looks what is wrong: with it comes why parts cannot be opened; who uses them hears it."""
    if folder is None:
        raise WorkspaceError("Name the workspace with -C FOLDER or LESVEIL_WORKSPACE; lesveil init FOLDER makes one.")
    settings = load(settings_file(folder))
    terms = Terms(settings.consent.purpose, settings.consent.grace_days)
    broken: list[LesveilError | OSError] = []
    with contextlib.ExitStack() as stack:

        def part(opening: Callable[[], Any]) -> Any:
            try:
                return opening()
            except (LesveilError, OSError) as error:
                broken.append(error)
                return _Broken(error)

        ledger = part(lambda: stack.enter_context(Ledger.open(_there(folder / "ledger.db"))))
        register = part(lambda: stack.enter_context(Register.open(_there(folder / "register.db"), terms)))
        vault = part(lambda: Vault(folder / VAULT))
        yield Workspace(folder, settings, ledger, register, vault), broken


class _Broken:
    """Stands where a part could not be opened: whatever is asked of it raises why."""

    def __init__(self, error: LesveilError | OSError) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error


def _there(path: Path) -> Path:
    """WorkspaceError where a file is gone, or empty, which SQLite takes for a new one.

    ``init`` made it before lesveil.toml, and a new one would hide the loss.
    """
    if not path.is_file() or not path.stat().st_size:
        if path.name == "ledger.db":
            raise WorkspaceError(
                "{file} is gone, and with it what it proves; put back a copy of it, then look with lesveil ledger"
                " verify and lesveil deliver --audit what the copy lacks. Nothing was changed.",
                file=path,
            )
        raise WorkspaceError(
            "{file} is gone, and with it what it proves; put back a copy of it. Nothing was changed.", file=path
        )
    return path


def settings_file(folder: Path) -> Path:
    """A workspace's lesveil.toml. Raises WorkspaceError where there is none."""
    if not folder.is_dir():
        raise WorkspaceError("There is no folder {folder}; look where the workspace is now.", folder=folder)
    if not (folder / FILE_NAME).is_file() and _begun(folder):
        raise _lost(folder)
    if not (folder / FILE_NAME).is_file():
        raise WorkspaceError(
            "{folder} is not a workspace: it has no {file}; make one with lesveil init.", folder=folder, file=FILE_NAME
        )
    return folder / FILE_NAME


def _begun(folder: Path) -> bool:
    """Whether a workspace in this folder was used: an `init` that was interrupted leaves nothing in these two."""
    ledger, register = folder / "ledger.db", folder / "register.db"
    with contextlib.ExitStack() as stack:
        if ledger.exists() and stack.enter_context(Ledger.open(ledger)).latest() is not None:
            return True
        return register.exists() and bool(stack.enter_context(Register.open(register)).people(date.today()))


def _lost(folder: Path) -> WorkspaceError:
    return WorkspaceError(
        "{folder} is a workspace that lost its {file}; put back a copy of it, or write it anew (an empty file means "
        "the defaults, and nobody is recognised).",
        folder=folder,
        file=FILE_NAME,
    )


def layout(settings: Settings, *, staff: bool = False) -> Layout:
    """How the school's list is to be read, as lesveil.toml says."""
    consent = settings.consent
    columns = {FIELDS[key]: header for key, header in dataclasses.asdict(consent.columns).items() if header}
    if staff:
        columns = {}  # they are the pupils' list's
    return Layout(
        purpose=consent.purpose,
        giver=consent.giver,
        preset=consent.preset,
        columns=columns,
        yes=frozenset(consent.yes),
        no=frozenset(consent.no),
        ignored=frozenset(consent.ignore),
        asks_recognition=consent.asks_recognition,
        staff=staff,
    )
