"""A folder on this machine as a target: for a OneDrive client that synchronises it, or for none."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.adapters import files
from pipeline.adapters.chain import seq_of_head
from pipeline.errors import DeliveryError
from pipeline.lesson.target import HEADS, Found, Parcel, absent, fetch, heads_in, name_of_head, not_ours
from pipeline.records import Delivery
from pipeline.stages.deliver import deliver_to_folder, not_connected


class FolderTarget:
    """A folder on this machine, for a OneDrive client that synchronises it, or for none."""

    kind = "folder"
    at_once = 1

    def __init__(
        self,
        folder: Path,
        is_archive: bool,
        lying: Callable[[], Sequence[dict[str, Any]]] = lambda: (),
        workspace: Path | None = None,
    ) -> None:
        """``lying`` gives the payload of every delivery to a folder that lies there, or may, of whatever clip; what is
        in ``workspace`` was not delivered, though that may lie in the folder."""
        self._folder = folder
        self._is_archive = is_archive
        self._lying = lying
        self._came: dict[Path, bool] = {}  # whether these folders are this one now
        self._own = None if workspace is None or folder.is_relative_to(workspace) else workspace

    def put(self, parcel: Parcel, told: Callable[[int], None]) -> Delivery:
        parcel.may_leave()
        earlier = parcel.earlier
        final = self._place(earlier) if earlier else self._folder / parcel.path
        if self._folder.is_dir():  # never made by us: a folder that is missing is most often a disk that is not there
            if not self._holds(final):
                raise DeliveryError(
                    "{file} was delivered outside of {folder}, the folder in lesveil.toml; name the folder there in "
                    "which it lies, or take it away with lesveil deliver --remove, then repeat the command.",
                    file=final,
                    folder=self._folder,
                )
            if earlier:
                self._refuse_elsewhere(earlier, final)
            with files.writing(final.parent):
                final.parent.mkdir(parents=True, exist_ok=True)
            if not final.parent.resolve().is_relative_to(self._folder.resolve()):
                raise DeliveryError("{folder} leads out of the target folder; remove that link.", folder=final.parent)
        with files.writing(final):
            return deliver_to_folder(
                parcel.file,
                parcel.sha256,
                final.parent if self._folder.is_dir() else self._folder,
                final.name,
                self._is_archive,
                clip=parcel.clip,
                replaces=earlier["sha256"] if earlier else None,
                begin=lambda: parcel.begin({"where": str(final)}),
            )

    def settle(self, clip: str, payload: dict[str, Any]) -> Delivery | None:
        if not self.reaches(payload):
            raise DeliveryError(
                "A delivery to {folder} was cut off, and that folder is not there; connect it and repeat the command, "
                "or, if it is gone for good, say so: lesveil deliver --gone FOLDER --by NAME.",
                folder=Path(payload["where"]).parent,
            )
        went = Path(payload["where"])  # where it is in both places, it lies in the new one as well as there
        where = went if _is_whole(went, payload) else self._place(payload)
        if not self._folder.is_dir() and self._holds(where):
            raise not_connected(self._folder)
        if where.parent.is_dir():
            files.sweep_partials(where)
        if where.is_file() and not where.is_symlink() and where.stat().st_size == 0:
            with files.writing(where):  # no film: a name that was reserved for ours (`files.publish`)
                files.remove(where)
        if not _is_it(where, payload):
            if not os.path.lexists(where) and (other := self._elsewhere(payload, where)):
                raise absent(str(where), other)
            if str(where) == payload["where"] and not _bears(where, payload.get("head", "")):
                raise DeliveryError(
                    "A delivery to {folder} was cut off, and what is there now is not the folder into which it went; "
                    "connect that one and repeat the command, or, if it is gone for good, say so: lesveil deliver "
                    "--gone FOLDER --by NAME.",
                    folder=where.parent,
                )
            return None
        return Delivery(
            clip=clip,
            sha256=payload["sha256"],
            target=self.kind,
            where=str(where),
            bytes=payload["bytes"],
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            is_archive=self._holds(where) and self.is_archive_of(payload),
        )

    def settled(self, clip: str) -> None:
        """Nothing is kept on the way into a folder."""

    def sweep(self, waiting: set[str]) -> None:
        """Nothing is kept on the way into a folder."""

    def stop(self) -> None:
        """A copy that is under way is finished; it does not take long."""

    def still_there(self, payload: dict[str, Any]) -> bool:
        return _is_it(self._connected(payload), payload)

    def is_archive_of(self, payload: dict[str, Any]) -> bool:
        """Whether this folder is the archive, and that delivery was brought into it."""
        return self._is_archive and self._place(payload).resolve().is_relative_to(self._folder.resolve())

    def where_of(self, payload: dict[str, Any]) -> str:
        """Where a delivery lies, as `listing` says it."""
        return str(self._place(payload))

    def lacks(self, payload: dict[str, Any]) -> bool:
        """Whether nothing lies where that delivery was brought, though its folder is there. Raises DeliveryError."""
        return not os.path.lexists(self._connected(payload))

    def refuse_unknown(self, payload: dict[str, Any], ledger: str) -> None:
        """Raises DeliveryError where nothing says that the folder in which that delivery lay is there, and not another
        one in its place: a head of this ledger in it, or another film that was delivered there."""
        where = self._place(payload)
        if str(where) != payload["where"] or any(heads_above(payload["where"], ledger)):
            return
        folder = self._brought_into(where)
        others = ((Path(one["where"]), one) for one in self._lying() if one["where"] != payload["where"])
        if not any(self._brought_into(at) == folder and _is_whole(at, one) for at, one in others):
            raise not_the_folder(where.parent)

    def refuse_strange(self, ledger: str) -> None:
        """Raises DeliveryError where films were delivered into this folder, and neither a head of this ledger nor a
        file by the name of one of them is in it: most often the place of a disk that is not in."""
        mine = [Path(one["where"]) for one in self._lying() if self._holds(Path(one["where"]))]
        if mine and not any(any(heads_above(str(at), ledger)) or os.path.lexists(at) for at in mine):
            raise not_the_folder(self._folder)

    def remove(self, payload: dict[str, Any], begin: Callable[[], None], begun: bool) -> bool:
        where = self._connected(payload)
        if os.path.lexists(where) and not self.still_there(payload):
            raise not_ours(str(where))
        self._refuse_elsewhere(payload, where, gone=begun)
        if not os.path.lexists(where):
            return True
        begin()
        with files.writing(where):
            files.remove(where)
        return True

    def holds(self, payload: dict[str, Any]) -> bool:
        """Whether that delivery lies in this folder; in another one it may lie as well."""
        return self._holds(self._place(payload))

    def reaches(self, payload: dict[str, Any]) -> bool:
        """False: that delivery went into another folder, which is not there, so that nobody can know what lies in it.
        True where this very folder is not there: that is told, and mended by connecting it."""
        where = self._place(payload)
        return self._holds(where) or self._brought_into(where).is_dir()

    def found(self, payload: dict[str, Any], besides: Collection[str]) -> str:
        """Where a film lies that was given up for lost, byte for byte: where it was brought, or here if that came here
        as a whole; else "". ``besides``: where other deliveries of the clip lie."""
        where = Path(payload["where"])
        for path in (where, *self._as_a_whole(where)):
            # of a disk that cannot be read nothing can be taken away: it is as lost as before
            if str(path) not in besides and _is_whole(path, payload):
                return str(path)
        return ""

    def put_elsewhere(self, films: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str]]:
        """Of deliveries those that lie under another name in the folder into which they were brought: where they were
        brought, and where they lie."""
        taken = {one["where"] for one in self._lying()}
        by_folder = defaultdict[Path, list[dict[str, Any]]](list)
        for one in films:
            by_folder[self._brought_into(Path(one["where"]))].append(one)
        for folder, mine in by_folder.items():
            sizes = defaultdict[int, list[Path]](list)
            with contextlib.suppress(OSError):  # of a disk that cannot be read nobody knows
                for path in self._within(folder):
                    if str(path) not in taken:
                        sizes[path.lstat().st_size].append(path)
            for one in mine:
                yield from ((one["where"], str(path)) for path in sizes[one["bytes"]] if _is_whole(path, one))

    def _connected(self, payload: dict[str, Any]) -> Path:
        """Where a delivery lies. Raises DeliveryError when the whole folder is not there: a disk, most often."""
        where = self._place(payload)
        folder = self._brought_into(where)
        if not folder.is_dir():
            raise not_connected(folder)
        return where

    def _brought_into(self, where: Path) -> Path:
        """The folder that was the target for a film that lies there: the next above in which heads of a ledger were
        left, within this folder or elsewhere; where there are none, this one, or the one in which it lies."""
        above = Path(os.path.abspath(where)).parents
        bears = next(filter(_has_heads, above), None)
        if self._holds(where):
            return bears if bears is not None and self._holds(bears) else self._folder
        return bears or above[0]

    def _place(self, payload: dict[str, Any]) -> Path:
        """Where a delivery lies; in this folder, too, if what it was brought into came here since, disk and all. That
        is told by one film that came along whole: to read all of them takes hours."""
        where = Path(payload["where"])
        if self._holds(where):
            return where
        others = self._others(payload)
        came = [
            here
            for skipped, here in enumerate(self._as_a_whole(where), 1)
            if str(here) not in others and self._came_here(Path(*where.parts[:skipped]))
        ]
        for here in came:
            if here.is_file() and not here.is_symlink() and here.stat().st_size == payload["bytes"]:
                return here
        if not came or os.path.lexists(where) or (where.parent.is_dir() and _has_heads(self._brought_into(where))):
            return where
        return next(filter(os.path.lexists, came), came[0])  # changed or taken away here since

    def _came_here(self, folder: Path) -> bool:
        """Whether that folder is this one now: a film that was delivered below it lies here, in the same place."""
        if folder not in self._came:
            lying = self._lying()
            taken = {one["where"] for one in lying}
            below = [(one, Path(one["where"])) for one in lying]
            places = [(one, self._folder / at.relative_to(folder)) for one, at in below if at.is_relative_to(folder)]
            self._came[folder] = any(str(here) not in taken and _is_whole(here, one) for one, here in places)
        return self._came[folder]

    def _others(self, payload: dict[str, Any]) -> set[str]:
        """Where other deliveries lie, or may: a film there is no copy, and none that came from elsewhere."""
        return {one["where"] for one in self._lying()} - {payload["where"]}

    def _as_a_whole(self, where: Path) -> list[Path]:
        """Where that film would lie if what it was brought into is this folder now, or a part of it."""
        return [self._folder.joinpath(*where.parts[skipped:]) for skipped in range(1, len(where.parts))]

    def _has_films(self) -> bool:
        films = [one for one in self._lying() if self._brought_into(self._place(one)) == self._folder]
        return any(os.path.lexists(self._place(one)) for one in films) or any(self.put_elsewhere(films))

    def _holds(self, path: Path) -> bool:
        return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(self._folder))

    def _elsewhere(self, payload: dict[str, Any], besides: Path) -> str:
        """Where else the very same film lies, and counts as no other delivery: in this folder, in the one into which it
        was brought, or where it lay before the folder was moved; else ""."""
        others, folders = self._others(payload), {self._folder, self._brought_into(besides)}
        for path in (Path(payload["where"]), *(path for one in sorted(folders) for path in self._within(one))):
            if _is_one(path, besides) or str(path) in others or path.is_symlink() or not path.is_file():
                continue
            if path.stat().st_size == payload.get("bytes") and _digest(path) == payload["sha256"]:
                return str(path)
        return ""

    def _within(self, folder: Path) -> list[Path]:
        found = sorted(folder.rglob("*"))
        return found if self._own is None else [path for path in found if not path.is_relative_to(self._own)]

    def _refuse_elsewhere(self, payload: dict[str, Any], where: Path, gone: bool = False) -> None:
        """Raises DeliveryError where a film that is to go lies somewhere else, or somewhere else as well: whoever is to
        be hidden in it would stay in sight there. ``gone``: that nothing lies at ``where`` is no wonder."""
        there, other = os.path.lexists(where), self._elsewhere(payload, where)
        if not there and (other or not gone):
            raise absent(str(where), other)
        if there and other:
            raise DeliveryError(
                "{file} lies at {other} as well; delete that copy, then repeat the command.", file=where, other=other
            )

    def listing(self) -> Iterator[Found]:
        if not self._folder.is_dir():
            raise not_connected(self._folder)
        for path in self._within(self._folder):
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                yield Found(str(path), path.stat().st_size, sha256=_digest(path))

    def note(self, ledger: str, head: str) -> None:
        """Not where nothing of ours lies: the place of a disk that is not in would then be taken for that disk."""
        if self._folder.is_dir() and (self.noted(ledger) or self._has_films()):
            self._leave(ledger, head)

    def known_by(self, ledger: str, head: str) -> str:
        """A head of this ledger that lies in the folder, and by which it is known again: ``head``, left there now, if
        there is none. Raises DeliveryError where films lie in the folder, and this is no more than its empty place."""
        heads = self.noted(ledger)
        if not heads:
            mine = (self._brought_into(Path(one["where"])) == self._folder for one in self._lying())
            if any(mine) and not self._has_films():
                raise not_the_folder(self._folder)
            self._leave(ledger, head)
        return max(heads, key=seq_of_head, default=head)

    def _leave(self, ledger: str, head: str) -> None:
        place = self._folder / HEADS / ledger[:16] / name_of_head(head)
        with files.writing(place):
            place.mkdir(parents=True, exist_ok=True)

    def noted(self, ledger: str) -> list[str]:
        if not self._folder.is_dir():
            raise not_connected(self._folder)
        place = self._folder / HEADS / ledger[:16]
        return heads_in(one.name for one in place.iterdir()) if place.is_dir() else []

    def download(self, payload: dict[str, Any], into: Path) -> None:
        where = self._connected(payload)
        try:
            with open(where, "rb") as file:
                fetch(iter(lambda: file.read(files.BLOCK), b""), payload, into)
        except FileNotFoundError as error:
            raise absent(str(where), self._elsewhere(payload, where)) from error


def not_the_folder(folder: Path) -> DeliveryError:
    return DeliveryError(
        "Nothing of this ledger lies in {folder}, so it is not the folder into which Lesveil delivered; connect that "
        "one, or name another folder in lesveil.toml (on a disk that goes on in its place, one that is called "
        "otherwise), or, if it is gone for good, say so: lesveil deliver --gone FOLDER --by NAME.",
        folder=folder,
    )


def heads_above(where: str, ledger: str) -> Iterator[tuple[Path, list[str]]]:
    """The folders in which, or below which, a file lies or lay and heads of this ledger (named by its first row's hash)
    were left, with these; the nearest first, and without those that cannot be read."""
    for folder in Path(where).parents:
        with contextlib.suppress(OSError):
            if heads := heads_in(one.name for one in (folder / HEADS / ledger[:16]).iterdir()):
                yield folder, heads


def _has_heads(folder: Path) -> bool:
    return (folder / HEADS).is_dir()


def _is_one(path: Path, other: Path) -> bool:
    """Whether two paths name one entry of one folder, which a link or a second mount shows in two places: deleted in
    one, it is gone from both. A hard link beside it is another."""
    if path == other:
        return True
    try:
        return path.name == other.name and path.parent.samefile(other.parent)
    except OSError:  # one of the folders is not there
        return False


def _bears(where: Path, head: str) -> bool:
    """Whether a folder in which a file lies, or below which it does, is the one in which this head was left; so it is
    taken to be where an older version left none ("")."""
    return not head or any(any((one / HEADS).glob(f"*/{name_of_head(head)}")) for one in where.parents)


def _is_it(path: Path, payload: dict[str, Any]) -> bool:
    """Whether a delivered film lies there, byte for byte. Raises DeliveryError where that cannot be read."""
    return path.is_file() and not path.is_symlink() and _digest(path) == str(payload["sha256"])


def _is_whole(path: Path, payload: dict[str, Any]) -> bool:
    """The same; what cannot be read is not it."""
    try:
        alike = path.is_file() and not path.is_symlink() and path.stat().st_size == payload["bytes"]
        return alike and files.sha256_of(path) == str(payload["sha256"])
    except OSError:
        return False


def _digest(path: Path) -> str:
    """Raises DeliveryError: what cannot be read may be the film that is looked for."""
    try:
        return files.sha256_of(path)
    except OSError as error:
        raise DeliveryError(
            "{file} cannot be read ({why}), and may be a film that was delivered; see that it can be read, then repeat "
            "the command.",
            file=path,
            why=error.strerror or error,
        ) from error
