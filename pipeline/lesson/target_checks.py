"""Doctor's look at where clips go: nothing is written there, and nothing secret is shown."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.adapters.graph_http import Graph, loopback
from pipeline.adapters.onedrive import OneDrive
from pipeline.adapters.sign_in import SignIn, certificate_ends, checked
from pipeline.errors import DeliveryError, LesveilError, SignInError
from pipeline.lesson.checks import Finding
from pipeline.lesson.onedrive_target import registration_of
from pipeline.lesson.targets import folder_target
from pipeline.messages import decimal, told, tr
from pipeline.settings import Settings
from pipeline.workspace import Workspace

LITTLE_ROOM = 20e9
"""Bytes: about ten hours of film."""
SOON = 30
"""Days before a certificate's end from which we warn."""


def target_findings(workspace: Workspace) -> list[Finding]:
    """Everything about [deliver] and [onedrive], in the order in which to mend it."""
    settings = workspace.settings
    if settings.deliver.target == "folder" and not settings.deliver.folder:
        text = tr("lesveil.toml does not say where clips go.")
        return [Finding("bad", text, tr('Put folder = "..." under [deliver].'))]
    if settings.deliver.target == "folder":
        return list(_folder(workspace))
    if settings.deliver.target == "onedrive":
        return list(_onedrive(workspace))
    return [
        Finding(
            "warning",
            tr("lesveil.toml does not say where clips go."),
            tr('Put target = "onedrive" or target = "folder" under [deliver].'),
        )
    ]


def _folder(workspace: Workspace) -> Iterator[Finding]:
    folder = workspace.target_folder
    if not folder.is_dir():
        yield Finding(
            "bad",
            tr("The target folder {folder} is not there.", folder=folder),
            tr("Connect it, or correct lesveil.toml."),
        )
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(
            "bad",
            tr("The target folder {folder} cannot be written.", folder=folder),
            tr("Ask for permission, or choose another folder."),
        )
        return
    try:
        folder_target(workspace).refuse_strange(workspace.ledger.mark())
    except DeliveryError as error:
        yield Finding("bad", told(error))
        return
    except (LesveilError, OSError):
        pass  # the ledger cannot be asked, which is told by a line of its own
    yield Finding("good", tr("Clips go into the folder {folder}.", folder=folder))
    yield from _room(shutil.disk_usage(folder).free)
    if not workspace.settings.deliver.folder_is_the_archive:
        yield Finding(
            "warning",
            tr("This folder is not the archive: nothing delivered there permits a wipe."),
            tr("That is right for a folder that OneDrive synchronises; see docs/onedrive.md."),
        )


def _onedrive(workspace: Workspace) -> Iterator[Finding]:
    settings = workspace.settings
    said = settings.onedrive
    try:
        registration = checked(registration_of(settings))
    except LesveilError as error:
        yield Finding("bad", told(error), tr("docs/onedrive.md walks through it."))
        return
    if loopback(said.graph):
        yield Finding(
            "warning",
            tr("This is a test service on this machine, not OneDrive: {address}.", address=said.graph),
            tr("Remove authority and graph from [onedrive] to use the real one."),
        )
    if said.sign_in == "certificate":
        try:
            days = certificate_ends(Path(said.certificate))
        except LesveilError as error:
            yield Finding("bad", told(error))
            return
        if days < SOON:
            yield Finding(
                "bad" if days < 0 else "warning",
                tr("The certificate ends in {days} {days:day|days}.", days=round(days)),
                tr("Make a new one and register it; see docs/onedrive.md."),
            )
    signing = SignIn(registration, workspace.vault)
    try:
        signing()
    except SignInError as error:
        yield Finding("bad", told(error), _needed(settings))
        return
    if signing.kept_by == "vault":
        yield Finding("good", tr("Signed in; the sign-in is kept sealed in the workspace."))
    else:
        yield Finding("good", tr("Signed in."))
    with Graph(said.graph, signing) as graph:
        try:
            drive = OneDrive.open(graph, said.site)
            there = drive.at(said.folder) if said.folder.strip("/") else None
        except LesveilError as error:
            yield Finding("bad", told(error), _needed(settings))
            return
    if there is not None and not there.is_folder:
        yield Finding(
            "bad",
            tr("{folder} in OneDrive is a file; it should be a folder.", folder=said.folder),
            tr("Move it away, or choose another folder in lesveil.toml."),
        )
        return
    yield Finding("good", tr("Clips go into OneDrive, folder {folder}.", folder=said.folder))
    if drive.remaining is not None:
        yield from _room(drive.remaining)


def _room(free: int) -> Iterator[Finding]:
    state = tr("{free} GB are free there.", free=decimal(free / 1e9))
    yield Finding("good", state) if free > LITTLE_ROOM else Finding("warning", state, tr("Make room in time."))


def _needed(settings: Settings) -> str:
    """The permission that an administrator must have granted for this way of signing in."""
    if settings.onedrive.sign_in == "certificate":
        return tr(
            "An administrator grants the application permission Sites.Selected, and the role write for {site} alone.",
            site=settings.onedrive.site,
        )
    if settings.onedrive.site:
        return tr(
            "An administrator grants the delegated permission Sites.Selected, and the role write for {site} alone.",
            site=settings.onedrive.site,
        )
    return tr("Run lesveil login; the program needs the delegated permission Files.ReadWrite and no other.")
