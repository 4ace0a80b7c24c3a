"""A folder on this machine as a target: for a OneDrive client that synchronises it, or for none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.adapters import files
from pipeline.errors import DeliveryError
from pipeline.lesson.target import HEADS, Found, Parcel, fetch, heads_in, name_of_head, not_ours
from pipeline.records import Delivery
from pipeline.stages.deliver import deliver_to_folder


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

    def is_archive_of(self, payload: dict[str, Any]) -> bool:
        """Whether this folder is the archive, and that delivery was brought into it."""
        return self._is_archive and Path(payload["where"]).resolve().is_relative_to(self._folder.resolve())

    def remove(self, payload: dict[str, Any]) -> bool:
        where = Path(payload["where"])
        if where.exists() and not self.still_there(payload):
            raise not_ours(payload["where"])
        with files.writing(where):
            files.remove(where)
        return True

    def listing(self) -> Iterator[Found]:
        for path in sorted(self._folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield Found(str(path), path.stat().st_size, sha256=files.sha256_of(path))

    def note(self, ledger: str, head: str) -> None:
        if self._folder.is_dir():
            place = self._folder / HEADS / ledger[:16] / name_of_head(head)
            with files.writing(place):
                place.mkdir(parents=True, exist_ok=True)

    def noted(self, ledger: str) -> list[str]:
        place = self._folder / HEADS / ledger[:16]
        return heads_in(one.name for one in place.iterdir()) if place.is_dir() else []

    def download(self, payload: dict[str, Any], into: Path) -> None:
        try:
            with open(payload["where"], "rb") as file:
                fetch(iter(lambda: file.read(files.BLOCK), b""), payload, into)
        except FileNotFoundError as error:
            raise not_ours(payload["where"]) from error
