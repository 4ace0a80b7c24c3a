"""One drive: items, their versions, upload sessions, a recycle bin. No HTTP in here."""

from __future__ import annotations

import itertools
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.adapters.quickxorhash import QuickXorHash
from tests.graph.faults import Faults
from tests.graph.rules import SESSION_SECONDS, Refusal, check_name, check_path

SECRET = "tempauth-SECRET-"
"""Every pre-authenticated address holds this, so that a test can look for it where it must not be."""


@dataclass
class Version:
    id: str
    file: Path
    size: int
    quickxor: str


@dataclass
class Item:
    id: str
    parent: str
    name: str
    folder: bool
    versions: list[Version] = field(default_factory=list)
    revision: int = 1
    asked: int = 0
    """How often it was looked at since its content changed."""

    @property
    def current(self) -> Version:
        return self.versions[-1]

    @property
    def etag(self) -> str:
        return f'"{{{self.id}}},{self.revision}"'


@dataclass
class Session:
    id: str
    parent: str
    name: str
    behaviour: str
    item: str | None
    match: str | None
    file: Path
    expires: float
    received: int = 0
    total: int | None = None
    hash: QuickXorHash = field(default_factory=QuickXorHash)
    gone: bool = False


class Drive:
    """Everything of one drive. Callers hold the server's lock. ``hashes``: 0 at once, n after n looks, -1 never."""

    def __init__(self, id: str, root: Path, quota: int = 1 << 40, hashes: int = 0, permanent: bool = True) -> None:
        self.id, self.root, self.quota, self.hashes, self.permanent = id, root, quota, hashes, permanent
        self.versions_deletable = True
        self.forbids_authorization = True
        """Whether a token on an upload or download address is 401; the documentation says that it may be."""
        self.items: dict[str, Item] = {"root": Item("root", "", "root", True)}
        self.bin: list[Item] = []
        self.sessions: dict[str, Session] = {}
        self.tickets: dict[str, str] = {}
        self.faults = Faults()
        self.log: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        root.mkdir(parents=True, exist_ok=True)

    # --- looking ---------------------------------------------------------------------------------------------------

    def used(self) -> int:
        return sum(version.size for item in self.items.values() for version in item.versions)

    def get(self, id: str) -> Item:
        if id not in self.items:
            raise Refusal(404, "itemNotFound")
        return self.items[id]

    def child(self, parent: str, name: str) -> Item | None:
        wanted = name.casefold()
        found = (item for item in self.items.values() if item.parent == parent and item.name.casefold() == wanted)
        return next(found, None)

    def walk(self, start: str, names: list[str]) -> Item:
        item = self.get(start)
        for name in names:
            found = self.child(item.id, name)
            if found is None:
                raise Refusal(404, "itemNotFound")
            item = found
        return item

    def children(self, id: str) -> list[Item]:
        return sorted((item for item in self.items.values() if item.parent == id), key=lambda item: item.name)

    def path(self, item: Item) -> str:
        names: list[str] = []
        while item.id != "root":
            names.append(item.name)
            item = self.items[item.parent]
        return "/".join(reversed(names))

    def document(self, item: Item) -> dict[str, Any]:
        where = {"driveId": self.id, "driveType": "business", "id": item.parent}
        if item.parent:
            above = self.path(self.items[item.parent])
            where["path"] = f"/drives/{self.id}/root:" + (f"/{above}" if above else "")
        document: dict[str, Any] = {
            "id": item.id,
            "name": item.name,
            "eTag": item.etag,
            "cTag": f'"c:{{{item.id}}},{item.revision}"',
            "parentReference": where,
            "size": 0 if item.folder else item.current.size,
            "createdDateTime": "2026-11-25T08:00:00Z",
            "lastModifiedDateTime": "2026-11-25T08:00:00Z",
            "fileSystemInfo": {
                "createdDateTime": "2026-11-25T08:00:00Z",
                "lastModifiedDateTime": "2026-11-25T08:00:00Z",
            },
            "webUrl": f"https://school-my.sharepoint.com/personal/somebody/Documents/{item.id}",
        }
        if item.folder:
            document["folder"] = {"childCount": len(self.children(item.id))}
        else:
            document["file"] = {"mimeType": "video/mp4"}
            if self.hashes >= 0 and item.asked >= self.hashes:
                document["file"]["hashes"] = {"quickXorHash": item.current.quickxor}
            item.asked += 1
        if item.id == "root":
            document["root"] = {}
        return document

    # --- changing --------------------------------------------------------------------------------------------------

    def make_folder(self, parent: str, name: str, behaviour: str) -> Item:
        check_name(name)
        self.get(parent)
        there = self.child(parent, name)
        if there is not None:
            if behaviour == "replace" and there.folder:
                return there
            raise Refusal(409, "nameAlreadyExists")
        return self._new(parent, name, True)

    def _new(self, parent: str, name: str, folder: bool) -> Item:
        item = Item(f"01{next(self._numbers):06X}{secrets.token_hex(5).upper()}", parent, name, folder)
        check_path(f"{self.path(self.get(parent))}/{name}")
        self.items[item.id] = item
        return item

    def open_session(
        self, item: Item | None, parent: str, name: str, behaviour: str, match: str | None, size: int | None
    ) -> Session:
        check_name(name)
        if item is not None and item.folder:
            raise Refusal(400, "invalidRequest")
        if item is not None and match is not None and match != item.etag:
            raise Refusal(412, "preconditionFailed")
        if item is not None and behaviour == "fail":
            raise Refusal(409, "nameAlreadyExists")
        if size is not None and self.used() + size > self.quota:
            raise Refusal(507, "insufficientStorage")
        id = secrets.token_hex(12)
        session = Session(
            id,
            parent,
            name,
            behaviour,
            item.id if item else None,
            match,
            self.root / f"session-{id}",
            time.time() + SESSION_SECONDS,
        )
        session.file.touch()
        self.sessions[id] = session
        return session

    def session(self, id: str) -> Session:
        session = self.sessions.get(id)
        if session is None or session.gone or time.time() > session.expires:
            raise Refusal(404, "itemNotFound")
        return session

    def expected(self, session: Session) -> list[str]:
        return [f"{session.received}-"] if session.total is None or session.received < session.total else []

    def end_session(self, session: Session) -> None:
        self.sessions.pop(session.id, None)
        session.file.unlink(missing_ok=True)

    def commit(self, session: Session) -> tuple[Item, bool]:
        """The session's bytes become the item's content; (the item, whether it is new)."""
        there = self.items.get(session.item or "") or self.child(session.parent, session.name)
        if there is not None:
            if session.match is not None and session.match != there.etag:
                raise Refusal(412, "preconditionFailed")
            if session.behaviour == "fail":
                raise Refusal(409, "nameAlreadyExists")
        if self.used() + session.received > self.quota:
            raise Refusal(507, "insufficientStorage")
        item = there or self._new(session.parent, session.name, False)
        file = self.root / f"{item.id}-{len(item.versions) + 1}-{secrets.token_hex(3)}"
        session.file.rename(file)
        self._add(item, file, session.received, session.hash.base64())
        self.end_session(session)
        return item, there is None

    def put_small(self, parent: str, name: str, data: bytes) -> tuple[Item, bool]:
        check_name(name)
        if self.used() + len(data) > self.quota:
            raise Refusal(507, "insufficientStorage")
        there = self.child(parent, name)
        item = there or self._new(parent, name, False)
        file = self.root / f"{item.id}-{len(item.versions) + 1}-{secrets.token_hex(3)}"
        file.write_bytes(data)
        whole = QuickXorHash()
        whole.update(data)
        self._add(item, file, len(data), whole.base64())
        return item, there is None

    def _add(self, item: Item, file: Path, size: int, quickxor: str) -> None:
        number = int(float(item.current.id)) + 1 if item.versions else 1
        item.versions.append(Version(f"{number}.0", file, size, quickxor))
        item.revision += 1
        item.asked = 0

    def delete_version(self, item: Item, id: str) -> None:
        if not self.versions_deletable:
            raise Refusal(405, "notSupported")
        version = next((one for one in item.versions if one.id == id), None)
        if version is None:
            raise Refusal(404, "itemNotFound")
        if version is item.current:
            raise Refusal(400, "invalidRequest")
        item.versions.remove(version)
        version.file.unlink()

    def move(self, item: Item, parent: str, name: str) -> None:
        """Another name, or another folder (its id): the same item with the same content, and another eTag."""
        taken = self.child(self.get(parent).id, name)
        if taken is not None and taken is not item:
            raise Refusal(409, "nameAlreadyExists")
        item.parent, item.name, item.revision = self.get(parent).id, name, item.revision + 1

    def delete(self, item: Item, match: str | None, permanent: bool) -> None:
        if match is not None and match not in ("*", item.etag):
            raise Refusal(412, "preconditionFailed")
        if permanent and not self.permanent:
            raise Refusal(403, "accessDenied")
        for child in self.children(item.id):
            self.delete(child, None, permanent)
        del self.items[item.id]
        if permanent:
            for version in item.versions:
                version.file.unlink()
        else:
            self.bin.append(item)
