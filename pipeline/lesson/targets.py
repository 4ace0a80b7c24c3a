"""Where approved clips go: a folder, or OneDrive. Both put, look again, take away and list in the same words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from pipeline.adapters import files
from pipeline.adapters.graph_http import Clock, Graph, Tokens
from pipeline.adapters.graph_names import legal
from pipeline.adapters.notes import Note, note_names
from pipeline.adapters.onedrive import Item, OneDrive
from pipeline.adapters.sign_in import Registration, SignIn
from pipeline.adapters.upload_session import Line
from pipeline.errors import DeliveryError, NotReadyError, SettingsError
from pipeline.records import Delivery
from pipeline.settings import Settings
from pipeline.stages.deliver import deliver_to_folder
from pipeline.stages.deliver_onedrive import Earlier, abandon, deliver_to_onedrive
from pipeline.workspace import Workspace

UPLOADS = "upload-"
"""Notes in the vault whose names begin so hold the address of an upload that is under way, by clip."""


@dataclass(frozen=True)
class Parcel:
    """One approved rendering on its way. ``path`` is below the target, with slashes; ``earlier`` the ledger's row
    (its payload) of what was delivered of this clip before, and is to be replaced."""

    clip: str
    file: Path
    sha256: str
    path: str
    earlier: dict[str, Any] | None
    may_leave: Callable[[], None]


@dataclass(frozen=True)
class Found:
    """One file that lies at the target: ``where`` as in the ledger, its size in bytes, how to compare it."""

    where: str
    bytes: int
    item: str = ""
    quickxor: str | None = None
    sha256: str | None = None


class Target(Protocol):
    """A place for approved clips. Payloads are those of the ledger's delivery rows."""

    kind: str
    at_once: int
    """Clips that are brought at a time."""

    def put(self, parcel: Parcel, told: Callable[[int], None]) -> Delivery: ...

    def settled(self, clip: str) -> None:
        """The delivery is in the ledger: nothing needs to be remembered of its way."""

    def sweep(self, waiting: set[str]) -> None:
        """Forget what is under way of any clip but these."""

    def stop(self) -> None:
        """End what is under way as soon as it can go on later from there."""

    def still_there(self, payload: dict[str, Any]) -> bool:
        """Whether what was delivered lies there now, asked afresh, byte for byte as far as that can be known."""

    def remove(self, payload: dict[str, Any]) -> bool:
        """Take what was delivered away; whether it is gone for good (False: a recycle bin keeps it)."""

    def listing(self) -> Iterator[Found]:
        """Every file at the target."""

    def download(self, payload: dict[str, Any], into: Path) -> None:
        """Fetch what was delivered into a new file, compared with its digest. Raises DeliveryError."""


class FolderTarget:
    """A folder on this machine, for a OneDrive client that synchronises it, or for none."""

    kind = "folder"
    at_once = 1

    def __init__(self, folder: Path, is_archive: bool) -> None:
        self._folder = folder
        self._is_archive = is_archive

    def put(self, parcel: Parcel, told: Callable[[int], None]) -> Delivery:
        parcel.may_leave()
        earlier = parcel.earlier
        final = Path(earlier["where"]) if earlier else self._folder / parcel.path
        if self._folder.is_dir():  # never made by us: a folder that is missing is most often a disk that is not there
            with files.writing(final.parent):
                final.parent.mkdir(parents=True, exist_ok=True)
            if not final.parent.resolve().is_relative_to(self._folder.resolve()):
                raise DeliveryError("{folder} leads out of the target folder; remove that link.", folder=final.parent)
        return deliver_to_folder(
            parcel.file,
            parcel.sha256,
            final.parent if self._folder.is_dir() else self._folder,
            final.name,
            self._is_archive,
            clip=parcel.clip,
            replaces=earlier["sha256"] if earlier else None,
        )

    def settled(self, clip: str) -> None:
        """Nothing is kept on the way into a folder."""

    def sweep(self, waiting: set[str]) -> None:
        """Nothing is kept on the way into a folder."""

    def stop(self) -> None:
        """A copy that is under way is finished; it does not take long."""

    def still_there(self, payload: dict[str, Any]) -> bool:
        where = Path(payload["where"])
        return where.is_file() and not where.is_symlink() and files.sha256_of(where) == payload["sha256"]

    def remove(self, payload: dict[str, Any]) -> bool:
        where = Path(payload["where"])
        if where.exists() and not self.still_there(payload):
            raise _not_ours(payload["where"])
        with files.writing(where):
            files.remove(where)
        return True

    def listing(self) -> Iterator[Found]:
        for path in sorted(self._folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield Found(str(path), path.stat().st_size, sha256=files.sha256_of(path))

    def download(self, payload: dict[str, Any], into: Path) -> None:
        try:
            with open(payload["where"], "rb") as file:
                _fetch(iter(lambda: file.read(files.BLOCK), b""), payload, into)
        except FileNotFoundError as error:
            raise _not_ours(payload["where"]) from error


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
        self.at_once = max(1, min(8, at_once))

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
            clip=parcel.clip,
            may_leave=parcel.may_leave,
            earlier=earlier,
            line=self._line,
            told=told,
        )

    def settled(self, clip: str) -> None:
        self._note(clip).destroy()

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

    def remove(self, payload: dict[str, Any]) -> bool:
        self._check(payload)
        item = self._drive.item(payload["item"])
        if item is None:
            return False  # somebody was first; their recycle bin may have it
        if not self._is(item, payload):
            raise _not_ours(payload["where"])
        return self._drive.remove(item.id).permanent

    def listing(self) -> Iterator[Found]:
        for path, item in self._drive.tree(self._folder):
            yield Found(f"OneDrive:/{path}", item.size, item.id, item.quickxor)

    def old_versions(self, payload: dict[str, Any]) -> int:
        """Try again to remove older versions of what was delivered; how many are left."""
        self._check(payload)
        return self._drive.remove_old_versions(payload["item"])

    def download(self, payload: dict[str, Any], into: Path) -> None:
        self._check(payload)
        _fetch(self._drive.content(payload["item"]), payload, into)

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


def registration_of(settings: Settings) -> Registration:
    """What [onedrive] says of the program's registration."""
    said = settings.onedrive
    return Registration(
        said.tenant, said.client_id, said.sign_in, said.certificate, said.site, said.authority, said.graph
    )


def open_onedrive(
    workspace: Workspace, tokens: Tokens | None = None, clock: Clock | None = None, line: Line | None = None
) -> OneDriveTarget:
    """The school's OneDrive, reached and asked for its drive. Raises SettingsError, SignInError, DeliveryError."""
    said = workspace.settings.onedrive
    folder = said.folder.strip("/")
    if folder and not all(map(legal, folder.split("/"))):
        raise SettingsError("[onedrive] folder cannot be {folder}; OneDrive takes no such name.", folder=repr(folder))
    graph = Graph(said.graph, tokens or SignIn(registration_of(workspace.settings), workspace.vault), clock)
    try:
        return OneDriveTarget(OneDrive.open(graph, said.site), folder, workspace, said.simultaneous, line)
    except BaseException:
        graph.close()
        raise


def open_target(workspace: Workspace, kind: str = "") -> FolderTarget | OneDriveTarget:
    """The target of lesveil.toml, or the one of this kind (for what was delivered before it was changed).

    Raises NotReadyError where lesveil.toml names none.
    """
    said = workspace.settings.deliver
    kind = kind or said.target
    if kind == "folder" and (said.folder or said.target != "folder"):
        return FolderTarget(Path(said.folder), said.folder_is_the_archive)
    if kind == "onedrive":
        return open_onedrive(workspace)
    raise NotReadyError('lesveil.toml names no [deliver] target; it is "onedrive", or "folder" with a folder.')


def _fetch(blocks: Iterator[bytes], payload: dict[str, Any], into: Path) -> None:
    """Write ``blocks`` into a new file that has its name only if they are what was delivered."""
    partial = files.partial_path(into)
    try:
        with files.writing(into), files.create_private(partial) as file:
            for block in blocks:
                file.write(block)
        if files.sha256_of(partial) != payload["sha256"]:
            raise _not_ours(payload["where"])
        files.publish(partial, into)
    finally:
        files.remove(partial)


def _not_ours(where: str) -> DeliveryError:
    return DeliveryError("{file} is no longer what was delivered; look at it: nothing was removed.", file=where)
