"""Into OneDrive: what arrived is what was approved, or it did not arrive.

Whatever happens on the way (see docs/onedrive.md), it ends in one of two states: one item, looked at afresh and equal
to what was approved; or an error, and nothing that counts as delivered. Killed at any moment, it goes on from the byte
that the server has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.adapters.graph_http import elsewhere, refused
from pipeline.adapters.notes import Note, load_document, save_document
from pipeline.adapters.onedrive import Item, OneDrive
from pipeline.adapters.quickxorhash import QuickXorHash
from pipeline.adapters.upload_session import Line, Outcome, cancel, is_open, send
from pipeline.errors import DeliveryError, LesveilError
from pipeline.records import Delivery

HASH_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between looks while the service has not computed its hash yet; then the bytes themselves are fetched."""
STARTS = 5
"""Sessions that are begun for one film before we say that it does not work."""
BLOCK = 4 << 20


@dataclass(frozen=True)
class Film:
    """A file as it lies here now, and its digests. Equal to what was approved, or it would not exist."""

    path: Path
    size: int
    sha256: str
    quickxor: str


@dataclass(frozen=True)
class Earlier:
    """What was delivered of this clip before, and is to be replaced."""

    item: str
    sha256: str
    quickxor: str
    bytes: int


def measured(path: Path, sha256: str) -> Film:
    """Read the whole film and compare it to the digest that was approved. Raises DeliveryError."""
    exact, quick = hashlib.sha256(), QuickXorHash()
    size = 0
    try:
        with open(path, "rb", buffering=0) as file, ThreadPoolExecutor(1) as beside:
            while block := file.read(BLOCK):
                size += len(block)
                hashing = beside.submit(exact.update, block)
                quick.update(block)
                hashing.result()
    except OSError as error:
        raise DeliveryError(
            "{file} cannot be read: {why}; render the clip again.", file=path, why=error.strerror
        ) from error
    if exact.hexdigest() != sha256 or size == 0:
        raise DeliveryError(
            "{file} is not the file that was approved; it was not delivered: render and approve the clip again.",
            file=path,
        )
    return Film(path, size, sha256, quick.base64())


def deliver_to_onedrive(
    render_path: Path,
    sha256: str,
    drive: OneDrive,
    path: str,
    note: Note,
    spoilt: Note,
    *,
    clip: str,
    may_leave: Callable[[], None],
    begin: Callable[[dict[str, Any]], None] = lambda _: None,
    earlier: Earlier | None = None,
    line: Line | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> Delivery:
    """Bring the approved rendering to ``path`` in ``drive`` and say so only when a fresh look found it equal.

    ``note`` keeps the upload's address for a later run, ``spoilt`` what a session of ours left in the item that is
    replaced, if that is not right; the caller destroys both once the delivery is in the ledger.
    ``may_leave`` is called before the first byte and raises when consent no longer holds; ``begin`` is then told
    where it goes (for `arrived_in_onedrive`). ``earlier`` is replaced: the same item, its older versions removed; where
    it is gone nothing is brought, for it may lie in a recycle bin or in another library.
    ``told`` hears how many bytes the server has. Raises DeliveryError.
    """
    film = measured(render_path, sha256)
    kept = _kept(note, drive, film, earlier)
    if kept is not None:
        path = kept["path"]
    elif drive.remaining is not None and film.size > drive.remaining:
        raise _full()
    try:
        may_leave()
    except LesveilError:
        abandon(note, drive)  # what is there of it already does not stay there either
        raise
    for _ in range(STARTS):
        url, known = (kept["url"], None) if kept is not None else (None, 0)
        kept = None
        if url is None:
            there = _look_before(drive, path, film, earlier, load_document(spoilt))
            if isinstance(there, str):
                return _delivery(drive, film, clip, path, there, "sha256", earlier)
            url = _begin(drive, path, there)
            if url is None:
                continue
            _keep(note, drive, film, earlier, path, url)
        begin(_going(drive, film, earlier, path))
        outcome, id = send(drive.graph, url, film.path, film.size, line or Line(), told, known)
        if outcome is not Outcome.FINISHED:
            cancel(drive.graph, url)
        if outcome is Outcome.FULL:
            note.destroy()
            raise _full()
        if outcome is not Outcome.TAKEN:
            where = id or (earlier.item if earlier else None)
            if where is None and (there := drive.at(path)) is not None:
                where = there.id
            verified = verify(drive, where, film) if where else None
            if where and verified:
                return _delivery(drive, film, clip, path, where, verified, earlier)
            if where and where == id and earlier is None:
                drive.remove(where)  # our own, made a moment ago, and not what we sent
            elif earlier is not None and outcome is Outcome.FINISHED:
                _remember(spoilt, drive.item(earlier.item), film)
        note.destroy()
    raise DeliveryError(
        "{path} did not arrive in OneDrive as it was approved, in {n} tries; run lesveil deliver again later.",
        path=path,
        n=STARTS,
    )


def _going(drive: OneDrive, film: Film, earlier: Earlier | None, path: str) -> dict[str, Any]:
    item = earlier.item if earlier else ""
    return {"where": f"OneDrive:/{path}", "drive": drive.id, "item": item, "quickxor": film.quickxor}


def arrived_in_onedrive(
    drive: OneDrive, clip: str, payload: dict[str, Any], folder: str, note: Note
) -> Delivery | None:
    """A delivery of which nothing was heard since it was begun: None where nothing with all its bytes lies there, nor
    anywhere in ``folder``, into which all goes: somebody may have moved it by now. ``note`` has its upload's address.
    """
    path, replaced = payload["where"].removeprefix("OneDrive:/"), payload["item"]
    film = Film(Path(), payload["bytes"], payload["sha256"], payload["quickxor"])
    earlier = Earlier(replaced, "", "", 0) if replaced else None
    item = (drive.item(replaced) if replaced else None) or drive.at(path)
    if item is not None and _is_film(drive, item, film):
        return _delivery(drive, film, clip, path, item.id, "sha256", earlier)
    url = str((load_document(note) or {}).get("url", ""))
    if replaced or (drive.graph.handed_out(url) and is_open(drive.graph, url)):
        return None
    for there, item in drive.tree(folder):
        if _is_film(drive, item, film):
            return _delivery(drive, film, clip, there, item.id, "sha256", None)
    return None


def _is_film(drive: OneDrive, item: Item, film: Film) -> bool:
    """Whether every byte of it lies there."""
    alike = not item.is_folder and (item.size, item.quickxor or film.quickxor) == (film.size, film.quickxor)
    return alike and drive.sha256(item.id) == (film.sha256, film.size)


def verify(drive: OneDrive, id: str, film: Film) -> str | None:
    """By what a fresh look recognised the item as ``film``: "quickxorhash" or "sha256"; None when it is not that.

    Where the service has no hash yet we wait, then fetch the bytes: missing is not verified.
    """
    for wait in (0.0, *HASH_WAITS):
        drive.graph.pause(wait)
        item = drive.item(id)
        if item is None or item.size != film.size:
            return None
        if item.quickxor is not None:
            return "quickxorhash" if item.quickxor == film.quickxor else None
    return "sha256" if drive.sha256(id) == (film.sha256, film.size) else None


def _remember(spoilt: Note, item: Item | None, film: Film) -> None:
    """Our session just came to its end in this item, and what lies there is not what we sent: it is ours to replace."""
    if item is not None and item.size == film.size:  # of another size it is somebody else's already
        save_document(spoilt, {"item": item.id, "etag": item.etag, "bytes": item.size, "quickxor": item.quickxor})


def _is_spoilt(item: Item, left: dict[str, Any] | None) -> bool:
    """Whether it is still what a session of ours left there; a change of its name alone gives it another eTag."""
    if left is None or left["item"] != item.id:
        return False
    alike = item.quickxor is not None and (item.size, item.quickxor) == (left["bytes"], left["quickxor"])
    return alike or (item.etag != "" and item.etag == left["etag"])


def _is_earlier(drive: OneDrive, item: Item, earlier: Earlier) -> bool:
    if item.size != earlier.bytes:
        return False
    return item.quickxor == earlier.quickxor if item.quickxor else drive.sha256(item.id)[0] == earlier.sha256


def _look_before(
    drive: OneDrive, path: str, film: Film, earlier: Earlier | None, left: dict[str, Any] | None
) -> Item | str | None:
    """What is there before the first byte: None (nothing), the item to be replaced, or the id of one that is right.

    What we did not send in this session counts only after all its bytes were compared; ``left`` is what an earlier
    session of ours left in the item. Raises DeliveryError for somebody else's file: it is not written over, and no
    other name is chosen.
    """
    item = drive.item(earlier.item) if earlier is not None else drive.at(path)
    if item is None and earlier is None:
        return None
    if item is None:  # by whose hand, and where to, nobody knows: what it shows is not hidden by another film
        raise DeliveryError(
            "{file} is not there any more, and Lesveil did not remove it: put it back and repeat the command, or, if "
            "it is gone for good, say so with lesveil deliver --remove.",
            file=f"OneDrive:/{path}",
        )
    if _is_film(drive, item, film):
        return item.id
    if earlier is not None and (_is_spoilt(item, left) or _is_earlier(drive, item, earlier)):
        return item
    if earlier is not None:  # moved away it would be the same item still
        raise DeliveryError(
            "{file} is no longer what was delivered, so it was left; look at it, and if it may go, delete it and say "
            "so with lesveil deliver --remove.",
            file=f"OneDrive:/{path}",
        )
    raise DeliveryError(
        "{file} exists and is not what was approved; look at it and move it away, then deliver again.",
        file=f"OneDrive:/{path}",
    )


def _begin(drive: OneDrive, path: str, replaced: Item | None) -> str | None:
    """The address of a new session; None when the name was taken or the item changed since we looked."""
    if replaced is None:
        at = PurePosixPath(path)
        folder = drive.folder("" if str(at.parent) == "." else str(at.parent))
        response = drive.new_session(folder, at.name)
    else:
        response = drive.replacing_session(replaced)
    if response.status_code in (404, 409, 412):
        return None
    if response.status_code == 507:
        raise _full()
    try:
        url = str(response.json()["uploadUrl"])
    except (ValueError, KeyError, TypeError):
        raise refused(response) from None
    if not drive.graph.handed_out(url):
        raise elsewhere()  # and it is not kept: the next run asks for another
    return url


def _kept(note: Note, drive: OneDrive, film: Film, earlier: Earlier | None) -> dict[str, Any] | None:
    """What an earlier run left of this very upload; what it left of another one is cancelled and forgotten."""
    document = load_document(note)
    if document is None:
        return None
    wanted = _mark(drive, film, earlier)
    mine = {key: document.get(key) for key in wanted} == wanted and document.get("path")
    if mine and drive.graph.handed_out(str(document.get("url"))):
        return document
    abandon(note, drive)
    return None


def abandon(note: Note, drive: OneDrive) -> None:
    """Forget an upload that is under way, and have the server forget what it has of it."""
    document = load_document(note) or {}
    if document.get("url") and document.get("graph") == drive.graph.base:
        cancel(drive.graph, document["url"])
    note.destroy()


def _keep(note: Note, drive: OneDrive, film: Film, earlier: Earlier | None, path: str, url: str) -> None:
    save_document(note, _mark(drive, film, earlier) | {"path": path, "url": url})


def _mark(drive: OneDrive, film: Film, earlier: Earlier | None) -> dict[str, Any]:
    return {
        "graph": drive.graph.base,
        "drive": drive.id,
        "sha256": film.sha256,
        "item": earlier.item if earlier else None,
    }


def _delivery(
    drive: OneDrive, film: Film, clip: str, path: str, item: str, verified: str, earlier: Earlier | None
) -> Delivery:
    left = drive.remove_old_versions(item) if earlier is not None else 0
    return Delivery(
        clip=clip,
        sha256=film.sha256,
        target="onedrive",
        where=f"OneDrive:/{path}",
        bytes=film.size,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        is_archive=True,
        drive=drive.id,
        item=item,
        quickxor=film.quickxor,
        verified=verified,
        versions_left=left,
    )


def _full() -> DeliveryError:
    return DeliveryError("OneDrive is full; make room or ask the administrator for it, then deliver again.")
