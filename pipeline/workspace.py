"""A workspace: one folder that holds a school's settings, register, ledger, vault and finished clips."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipeline.adapters import files
from pipeline.adapters.consent_layout import FIELDS, Layout
from pipeline.adapters.ledger import Entry, Ledger
from pipeline.adapters.register import UNDECIDED, Register
from pipeline.adapters.vault import Vault
from pipeline.consent import Terms
from pipeline.errors import BusyError, ConsentError, LesveilError, OutputExistsError, VaultError, WorkspaceError
from pipeline.messages import tr
from pipeline.records import Person
from pipeline.settings import FILE_NAME, Settings, load

VAULT = "vault"
"""The folder of the encrypted working copies."""

TEMPLATES = "templates"
"""The sealed file in the vault that holds everybody's template; a number follows, and the highest counts."""

KNOWN = "withdrawal_known"
"""Kind of the rows by which the ledger has a withdrawal that is in the register and was not told as it was made."""

PATIENCE = 60.0
"""Seconds to wait for another command that changes the templates; it takes a tenth of one."""

FIRST_SETTINGS = """\
# Lesveil. Everything not said here has a safe default; see README.md.

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
def opened(folder: Path | None, *, old_register: bool = False) -> Iterator[Workspace]:
    """Open a workspace; its databases are closed again. Raises WorkspaceError and SettingsError, what its parts raise,
    and ConsentError where the register is an old copy (``old_register``: that may be, as what follows can only take
    consent away, bring the list, or tell what happened)."""
    with opened_in_part(folder) as (workspace, broken):
        for error in broken:
            raise error
        heed_withdrawals(workspace)
        _heed_alikes(workspace)
        _heed_lists(workspace)
        missing = missing_list(workspace)
        if missing is not None and not old_register:
            raise ConsentError(
                "The register is an old copy: the list that was imported on {day} is not in it; import that list, or a "
                "newer one, with lesveil consent import.",
                day=missing.day,
            )
        yield workspace


def heed_withdrawals(workspace: Workspace) -> None:
    """The ledger and the register have the same withdrawals, so that an old copy of either loses none.

    What the register lacks counts again. The ledger comes to know what a list stated, and what a crash kept from it.
    """
    ledger = workspace.ledger
    if ledger.entries("clock") and (ledger.latest() or date.max) <= date.today():
        workspace.register.settle_clock()  # an earlier version did not, or it was cut off
    lost = lost_withdrawals(workspace)
    rows = ledger.entries("withdrawal") if lost else []
    by = {(row.payload["person"], row.payload["day"]): row.payload.get("by", "") for row in rows}
    for person, day in lost:
        workspace.register.heed(person, date.fromisoformat(day), by.get((person, day), ""))
        workspace.ledger.append("withdrawal_heeded", None, {"person": person, "day": day})
        prune_templates(workspace, date.today(), person)
        text = tr("The register had lost the withdrawal of {id} of {day}; it counts again.", id=person, day=day)
        print(text, file=sys.stderr)
    for person, day in sorted(workspace.register.withdrawn() - _told_withdrawals(workspace)):
        workspace.ledger.append(KNOWN, None, {"person": person, "day": day})


def lost_withdrawals(workspace: Workspace) -> list[tuple[str, str]]:
    """Withdrawals that the ledger has and the register has not, because an old copy of it was put back."""
    return sorted(_told_withdrawals(workspace) - workspace.register.withdrawn())


def _told_withdrawals(workspace: Workspace) -> set[tuple[str, str]]:
    """Every withdrawal that the ledger has: (person, the day from which it counts)."""
    found = {(row.payload["person"], row.payload["day"]) for row in workspace.ledger.entries(KNOWN)}
    for row in workspace.ledger.entries("withdrawal"):
        person, day = row.payload["person"], row.payload["day"]
        found.add((person, min(day, row.day.isoformat()) if row.right else day))
    return found


def _heed_alikes(workspace: Workspace) -> None:
    """The ledger and the register have the same word on who looks alike, the later one: with a withdrawal it hides
    both, and an old copy of either has not heard it."""
    ledger, register = workspace.ledger, workspace.register
    said = {(row.payload["pair"][0], row.payload["pair"][1]): row for row in ledger.entries("alike")}
    known = register.decisions()
    for pair in sorted(said.keys() | known.keys()):
        row, (at, people, by) = said.get(pair), known.get(pair, ("", 0, ""))
        if row is not None and row.payload["people"] == people:
            continue
        if row is None or row.at < at:
            ledger.append("alike", None, {"pair": list(pair), "people": people, "by": by})
        elif register.knows(pair[0]) and register.knows(pair[1]):
            register.decide_alike(pair[0], pair[1], row.payload["people"], row.payload["by"])


def _heed_lists(workspace: Workspace) -> None:
    """The ledger comes to know the newest list where a crash kept it from it: by that an old copy of the register is
    told."""
    lost, rows = _lists_lost(workspace), workspace.ledger.entries("import")
    known = {(row.payload["import"], row.payload["sha256"]) for row in rows}
    for number, sha256, people, staff in workspace.register.newest_imports():
        if staff not in lost and (number, sha256) not in known:
            row = {"import": number, "sha256": sha256, "people": people, "staff": staff}
            workspace.ledger.append("import", None, row)


def missing_list(workspace: Workspace) -> Entry | None:
    """The ledger's row of the newest list, of pupils or of staff, that the register does not hold; None: none."""
    return next((rows[-1] for rows in _lists_lost(workspace).values()), None)


def older_than_lost(workspace: Workspace, sha256: str, *, staff: bool) -> date | None:
    """The day on which the list with this digest was imported, where the register lost a newer one of its kind."""
    rows = _lists_lost(workspace).get(staff, [])
    days = [row.day for row in rows if row.payload["sha256"] == sha256]
    return days[-1] if days and rows[-1].payload["sha256"] != sha256 else None


def _lists_lost(workspace: Workspace) -> dict[bool, list[Entry]]:
    """The ledger's rows of all lists, of the pupils (False) and of the staff, where the register lacks the newest."""
    lists: dict[bool, list[Entry]] = {}
    for row in workspace.ledger.entries("import"):
        lists.setdefault(bool(row.payload.get("staff")), []).append(row)

    def held(row: Entry) -> bool:
        return workspace.register.imported(row.payload["import"], row.payload["sha256"])

    return {staff: rows for staff, rows in lists.items() if not held(rows[-1])}


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


@contextlib.contextmanager
def alone(workspace: Workspace, *, tidy: bool = True) -> Iterator[None]:
    """Hold the workspace: one run at a time. The lock goes with the process, however it ends. Raises BusyError.

    ``tidy``: what crashes left in the vault and among the finished films is swept. WorkspaceError then, too, where the
    clock was set back: whoever took consent back since would be shown.
    """
    path = workspace.folder / "run.lock"
    with contextlib.ExitStack() as held:
        with files.writing(path):
            file = held.enter_context(path.open("a+b"))
            if not _locked(file, path):
                raise BusyError("Another run is at work in {folder}; wait for it to end.", folder=workspace.folder)
        if tidy:
            _refuse_set_back(workspace)
            workspace.vault.sweep()
            files.sweep_all_partials(workspace.finished)
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


@contextlib.contextmanager
def _templates_held(workspace: Workspace) -> Iterator[None]:
    """Two that changed the templates at once would each bring back what the other destroyed: a withdrawal does not
    wait for a run to end, so it may meet one. Raises BusyError."""
    path, patience = workspace.folder / "templates.lock", time.monotonic() + PATIENCE
    with contextlib.ExitStack() as held:
        with files.writing(path):
            file = held.enter_context(path.open("a+b"))
            while not _locked(file, path):
                if time.monotonic() > patience:
                    raise BusyError("Another command changes the templates in {folder}; try again.", folder=path.parent)
                time.sleep(0.02)
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


def in_force(workspace: Workspace, people: list[Person], filmed: date, used: date) -> dict[str, str]:
    """Who among ``people`` the program may recognise and show, by id, with the ground of it."""
    return grounds(workspace, {person.id for person in people}, filmed, used)


def grounds(
    workspace: Workspace, people: Iterable[str], filmed: date, used: date, *, recognised: bool = True
) -> dict[str, str]:
    """Who among ``people`` may be shown in what was filmed on one day and is used on another, with the ground of it.

    Of two who look so alike that the program may take one for the other, it shows each only while both may be shown,
    and none before somebody decided who they are.
    """
    register = workspace.register
    answers = {one: register.may_be_shown(one, filmed, used, recognised=recognised) for one in sorted(people)}
    found = {person: answer.ground for person, answer in answers.items() if answer.kept}
    for one, other, count in register.alikes() if found else ():
        if count != 1 and not recognised:
            continue  # a person does not mistake one for the other
        for person, double in ((one, other), (other, one)):
            if person in found and not _double_allows(register, person, double, count, filmed, used, recognised):
                del found[person]
    return found


def _double_allows(
    register: Register, person: str, double: str, people: int, filmed: date, used: date, recognised: bool
) -> bool:
    """Whether ``person``, who may be taken for ``double``, can be shown: ``double`` can be, or was not at the school
    under any number; who has a new one and may be shown under that is no reason to hide either."""

    def shown(number: str) -> bool:
        return people != UNDECIDED and register.may_be_shown(number, filmed, used, recognised=recognised).kept

    if shown(double):
        return True
    return register.left_out_on(double, filmed) and all(
        shown(one) or register.left_out_on(one, filmed) for one in register.unasked_selves(person, double)
    )
