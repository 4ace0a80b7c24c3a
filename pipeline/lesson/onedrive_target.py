"""A folder in OneDrive or SharePoint as a target, through Microsoft Graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.adapters.graph_http import Clock, Graph, Tokens
from pipeline.adapters.graph_names import legal
from pipeline.adapters.notes import Note, note_names
from pipeline.adapters.onedrive import Item, OneDrive
from pipeline.adapters.sign_in import TIMEOUT as SIGN_IN
from pipeline.adapters.sign_in import Registration, SignIn
from pipeline.adapters.upload_session import Line
from pipeline.errors import DeliveryError, SettingsError
from pipeline.lesson.target import HEADS, Found, Parcel, absent, fetch, heads_in, name_of_head, not_ours
from pipeline.records import Delivery
from pipeline.settings import Settings
from pipeline.stages.deliver_onedrive import Earlier, abandon, arrived_in_onedrive, deliver_to_onedrive
from pipeline.workspace import Workspace

UPLOADS = "upload-"
"""Notes in the vault whose names begin so hold the address of an upload that is under way, by clip."""
SPOILT = "spoilt-"
"""The same for what an upload left in an item whose content it replaced, where that is not what was sent."""


class OneDriveTarget:
    """A folder in OneDrive, through Microsoft Graph. To be used in a ``with``."""

    kind = "onedrive"

    def __init__(
        self, drive: OneDrive, folder: str, workspace: Workspace, at_once: int = 2, line: Line | None = None
    ) -> None:
        self._drive = drive
        self._folder = folder
        self._workspace = workspace
        self._line = line
        self.at_once = at_once

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drive.graph.close()

    def put(self, parcel: Parcel, told: Callable[[int], None]) -> Delivery:
        payload = parcel.earlier
        earlier = None
        if payload is not None:
            self._check(payload)
            earlier = Earlier(payload["item"], payload["sha256"], payload["quickxor"], payload["bytes"])
        path = (
            payload["where"].removeprefix("OneDrive:/")
            if payload
            else "/".join(filter(None, (self._folder, parcel.path)))
        )
        return deliver_to_onedrive(
            parcel.file,
            parcel.sha256,
            self._drive,
            path,
            self._note(parcel.clip),
            self._spoilt(parcel.clip),
            clip=parcel.clip,
            may_leave=parcel.may_leave,
            begin=parcel.begin,
            earlier=earlier,
            line=self._line,
            told=told,
        )

    def settle(self, clip: str, payload: dict[str, Any]) -> Delivery | None:
        self._check(payload)
        return arrived_in_onedrive(self._drive, clip, payload, self._folder, self._note(clip))

    def settled(self, clip: str) -> None:
        self._note(clip).destroy()
        self._spoilt(clip).destroy()

    def sweep(self, waiting: set[str]) -> None:
        kept = {self._note(clip).name for clip in waiting}
        for name in note_names(self._workspace.vault, UPLOADS):
            if name not in kept:
                abandon(Note(self._workspace.vault, name), self._drive)

    def stop(self) -> None:
        self._drive.graph.stop()

    def still_there(self, payload: dict[str, Any]) -> bool:
        self._check(payload)
        item = self._drive.item(payload["item"])
        return item is not None and self._is(item, payload)

    def remove(self, payload: dict[str, Any], begin: Callable[[], None], begun: bool) -> bool:
        self._check(payload)
        item = self._drive.item(payload["item"])
        if item is None and not begun:
            raise absent(payload["where"])
        if item is None:
            return False  # a recycle bin may have it
        if not self._is(item, payload):
            raise not_ours(payload["where"])
        begin()
        return self._drive.remove(item.id).permanent

    def listing(self) -> Iterator[Found]:
        for path, item in self._drive.tree(self._folder):
            yield Found(f"OneDrive:/{path}", item.size, item.id, item.quickxor)

    def note(self, ledger: str, head: str) -> None:
        self._drive.folder("/".join(filter(None, (self._folder, HEADS, ledger[:16], name_of_head(head)))))

    def noted(self, ledger: str) -> list[str]:
        place = self._drive.at("/".join(filter(None, (self._folder, HEADS, ledger[:16]))))
        if place is None or not place.is_folder:
            return []
        return heads_in(one.name for one in self._drive.children(place.id))

    def old_versions(self, payload: dict[str, Any]) -> int:
        """Try again to remove older versions of what was delivered; how many are left."""
        self._check(payload)
        return self._drive.remove_old_versions(payload["item"])

    def download(self, payload: dict[str, Any], into: Path) -> None:
        self._check(payload)
        if self._drive.item(payload["item"]) is None:
            raise absent(payload["where"])
        fetch(self._drive.content(payload["item"]), payload, into)

    def _is(self, item: Item, payload: dict[str, Any]) -> bool:
        if item.size != payload["bytes"]:
            return False
        if item.quickxor is not None:
            return item.quickxor == str(payload["quickxor"])
        return self._drive.sha256(item.id) == (payload["sha256"], payload["bytes"])

    def _check(self, payload: dict[str, Any]) -> None:
        if payload["drive"] != self._drive.id:
            raise DeliveryError(
                "{file} was delivered to another OneDrive than the one signed in to now; run lesveil login.",
                file=payload["where"],
            )

    def _note(self, clip: str) -> Note:
        return Note(self._workspace.vault, f"{UPLOADS}{clip[:32]}")

    def _spoilt(self, clip: str) -> Note:
        return Note(self._workspace.vault, f"{SPOILT}{clip[:32]}")


def registration_of(settings: Settings) -> Registration:
    """What [onedrive] says of the program's registration."""
    said = settings.onedrive
    return Registration(
        said.tenant, said.client_id, said.sign_in, said.certificate, said.site, said.authority, said.graph
    )


def open_onedrive(
    workspace: Workspace,
    tokens: Tokens | None = None,
    clock: Clock | None = None,
    line: Line | None = None,
    within: float = math.inf,
) -> OneDriveTarget:
    """The school's OneDrive, reached and asked for its drive; ``within``: seconds after which it is no longer waited
    for. Raises SettingsError, SignInError, DeliveryError."""
    said = workspace.settings.onedrive
    folder = said.folder.strip("/")
    if folder and not all(map(legal, folder.split("/"))):
        raise SettingsError("[onedrive] folder cannot be {folder}; OneDrive takes no such name.", folder=repr(folder))
    signing = tokens or SignIn(registration_of(workspace.settings), workspace.vault, timeout=min(SIGN_IN, within))
    graph = Graph(said.graph, signing, clock, within)
    try:
        return OneDriveTarget(OneDrive.open(graph, said.site), folder, workspace, said.simultaneous, line)
    except BaseException:
        graph.close()
        raise
