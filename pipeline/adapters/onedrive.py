"""One drive in OneDrive or SharePoint: looking, making folders and sessions, downloading, removing.

Nothing in here decides; `pipeline.stages.deliver_onedrive` does. (Microsoft Graph documentation, "driveItem".)
"""

from __future__ import annotations

import hashlib
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

import httpx

from pipeline.adapters.graph_http import AGAIN, Graph, Patience, refused, unreachable
from pipeline.errors import DeliveryError

FIELDS = "$select=id,name,size,eTag,file,folder,parentReference"


@dataclass(frozen=True)
class Item:
    """A file or folder as the drive describes it. ``quickxor`` is None while the service has not computed it."""

    id: str
    name: str
    size: int
    etag: str
    quickxor: str | None
    is_folder: bool


@dataclass(frozen=True)
class Removal:
    """What removing came to. ``permanent`` is False where the recycle bin keeps the item for its term."""

    permanent: bool


class OneDrive:
    """The drive with the id ``id``. Paths are relative to its root, with slashes, and not quoted."""

    def __init__(self, graph: Graph, id: str, remaining: int | None = None) -> None:
        self.graph = graph
        self.id = id
        self.remaining = remaining
        """Bytes that were free when the drive was opened, or None where that is not told."""
        self._at = f"/drives/{urllib.parse.quote(id, safe='!')}"

    @classmethod
    def open(cls, graph: Graph, site: str = "") -> Self:
        """The signed-in person's own drive, or the document library of a site (its address as in the browser)."""
        path = "/me/drive"
        if site:
            address = httpx.URL(site)
            if address.scheme != "https" or not address.host or address.path.strip("/") == "":
                raise DeliveryError(
                    "[onedrive] site cannot be {site}; write it as in the browser: https://SCHOOL.sharepoint.com/sites/NAME.",
                    site=repr(site),
                )
            told = _json(graph.call("GET", f"/sites/{address.host}:{urllib.parse.quote(address.path.rstrip('/'))}"))
            path = f"/sites/{told['id']}/drive"
        told = _json(graph.call("GET", path))
        remaining = (told.get("quota") or {}).get("remaining")
        return cls(graph, str(told["id"]), remaining if isinstance(remaining, int) else None)

    # --- looking ---------------------------------------------------------------------------------------------------

    def item(self, id: str) -> Item | None:
        """The item with this id, asked now; None when it is not there (or in the recycle bin)."""
        return self._item_at(f"{self._at}/items/{id}?{FIELDS}")

    def at(self, path: str) -> Item | None:
        """The item at a path ("": the root), asked now; None when there is none."""
        return self._item_at(f"{self._at}/root:/{_quoted(path)}?{FIELDS}" if path else f"{self._at}/root?{FIELDS}")

    def _item_at(self, path: str) -> Item | None:
        response = self.graph.call("GET", path)
        return None if response.status_code == 404 else _item(_json(response))

    def children(self, id: str) -> Iterator[Item]:
        """Everything directly in a folder."""
        page = f"{self._at}/items/{id}/children?{FIELDS}"
        while page:
            document = _json(self.graph.call("GET", page))
            yield from map(_item, document["value"])
            page = document.get("@odata.nextLink", "")

    def tree(self, path: str) -> Iterator[tuple[str, Item]]:
        """Every file below a folder, with its path from the root; nothing when the folder is not there."""
        top = self.at(path)
        todo = [(path, top)] if top is not None and top.is_folder else []
        while todo:
            where, folder = todo.pop()
            for item in self.children(folder.id):
                there = f"{where}/{item.name}" if where else item.name
                if item.is_folder:
                    todo.append((there, item))
                else:
                    yield there, item

    def content(self, id: str) -> Iterator[bytes]:
        """The item's bytes, continued where the line broke. Raises DeliveryError."""
        patience, at = Patience(self.graph), 0
        while True:
            redirect = self.graph.call("GET", f"{self._at}/items/{id}/content")
            if redirect.status_code != 302:
                raise refused(redirect)
            try:
                response = self.graph.bare(
                    "GET",
                    redirect.headers.get("Location", ""),
                    headers={"Accept-Encoding": "identity"} | ({"Range": f"bytes={at}-"} if at else {}),
                    stream=True,
                )
                try:
                    if response.status_code in AGAIN:
                        response.read()  # what is told in the end stands in it
                        patience.wait(response)
                        continue
                    if response.status_code != (206 if at else 200):
                        response.read()
                        raise refused(response)
                    for block in response.iter_raw(1 << 20):
                        at += len(block)
                        patience.progress()
                        yield block
                    return
                finally:
                    response.close()
            except httpx.RequestError as error:
                patience.wait(error)

    def sha256(self, id: str) -> tuple[str, int]:
        """SHA-256 of the item's bytes as they are there now, and their number."""
        digest, size = hashlib.sha256(), 0
        for block in self.content(id):
            digest.update(block)
            size += len(block)
        return digest.hexdigest(), size

    # --- changing --------------------------------------------------------------------------------------------------

    def folder(self, path: str) -> str:
        """The id of a folder, made with those above it where they are missing."""
        found = self.at(path) if path else None
        if path and (found is None or not found.is_folder):
            above = PurePosixPath(path)
            parent = self.folder("" if str(above.parent) == "." else str(above.parent))
            body = {"name": above.name, "folder": {}, "@microsoft.graph.conflictBehavior": "fail"}
            response = self.graph.call("POST", f"{self._at}/items/{parent}/children", json=body)
            # 409: another clip made it a moment ago, or the answer to our own first try was lost.
            found = self.at(path) if response.status_code == 409 else _item(_json(response))
            if found is None or not found.is_folder:
                raise DeliveryError("{folder} in OneDrive is a file; it should be a folder: move it away.", folder=path)
        return found.id if found else "root"

    def new_session(self, folder: str, name: str) -> httpx.Response:
        """The answer to asking for an upload session for a new file in a folder (its id)."""
        body = {"item": {"@microsoft.graph.conflictBehavior": "fail", "name": name}}
        path = f"{self._at}/items/{folder}:/{_quoted(name)}:/createUploadSession"
        return self.graph.call("POST", path, json=body)

    def replacing_session(self, item: Item) -> httpx.Response:
        """The answer to asking for an upload session for new content of an item, if it is still as we saw it."""
        body = {"item": {"@microsoft.graph.conflictBehavior": "replace", "name": item.name}}
        path = f"{self._at}/items/{item.id}/createUploadSession"
        return self.graph.call("POST", path, json=body, headers={"If-Match": item.etag})

    def remove_old_versions(self, id: str) -> int:
        """Remove every version of an item but the current one; how many could not be removed.

        Graph names this in its generated reference only, and a library under a retention policy keeps versions: what
        is left is counted afterwards, not assumed. Where we may not see them it is 1: there is one at least.
        """
        found = self._old_versions(id)
        for version in found or ():
            response = self.graph.call("DELETE", f"{self._at}/items/{id}/versions/{version}")
            if response.status_code not in (200, 204, 404):
                break
        left = self._old_versions(id) if found else found
        return 1 if left is None else len(left)

    def _old_versions(self, id: str) -> list[str] | None:
        """None where OneDrive refuses to list them."""
        found: list[str] = []
        page = f"{self._at}/items/{id}/versions"
        while page:
            response = self.graph.call("GET", page)
            if response.status_code != 200:
                return None
            document = _json(response)
            found += [str(version["id"]) for version in document["value"]]
            page = document.get("@odata.nextLink", "")
        return found[1:]  # the newest comes first

    def remove(self, id: str) -> Removal:
        """Remove an item past the recycle bin, or into it where the service allows no more. Gone already is fine."""
        response = self.graph.call("POST", f"{self._at}/items/{id}/permanentDelete")
        if response.status_code in (200, 204):
            return Removal(permanent=True)
        if response.status_code == 404 and self.item(id) is None:
            # Gone, but by whose hand? If another put it into the bin, the bin still has it.
            return Removal(permanent=False)
        response = self.graph.call("DELETE", f"{self._at}/items/{id}")
        if response.status_code not in (200, 204, 404):
            raise refused(response)
        return Removal(permanent=False)


def _quoted(path: str) -> str:
    return urllib.parse.quote(path.strip("/"), safe="/")


def _json(response: httpx.Response) -> dict[str, Any]:
    if response.status_code not in (200, 201):
        raise refused(response)
    try:
        document = response.json()
    except ValueError as error:  # somebody on the way answers in its place: a page to sign in to the school's network
        raise unreachable(error) from error
    if not isinstance(document, dict):
        raise refused(response)
    return document


def _item(document: dict[str, Any]) -> Item:
    hashes = (document.get("file") or {}).get("hashes") or {}
    return Item(
        id=str(document["id"]),
        name=str(document.get("name", "")),
        size=int(document.get("size") or 0),
        etag=str(document.get("eTag", "")),
        quickxor=hashes.get("quickXorHash") or None,
        is_folder="folder" in document,
    )
