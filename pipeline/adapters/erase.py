"""Taking one file off a card so that it cannot be read through the card's normal interface again.

Overwrite, flush, rename, unlink, flush the folder. The first bytes are overwritten first and with a mark that follows
from the plan: after a crash the mark tells a file that this plan was overwriting from one that took its place.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pipeline.adapters import files
from pipeline.errors import WipeError

MARK = 4096
"""Bytes overwritten and flushed before the rest; the first 512 (one sector, written whole or not) are compared."""
_SECTOR = 512
_RDWR = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class Disk:
    """The calls that change the card, one method each, so that a test can fail every one of them."""

    def write(self, file: BinaryIO, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]

    def sync(self, file: BinaryIO) -> None:
        files.sync(file.fileno())

    def rename(self, path: Path, to: Path) -> None:
        os.rename(path, to)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def sync_folder(self, path: Path) -> None:
        files.sync_folder(path)


def bears_mark(card: Path, name: str, digests: Collection[str]) -> bool:
    """Whether a file on the card begins as one of these plans overwrites it: then it is no film any more."""
    marks = [Victim(card, name, _SECTOR, "", digest)._mark for digest in digests]
    try:
        with open(card.joinpath(*PurePosixPath(name).parts), "rb") as file:
            start = file.read(_SECTOR)
            return start != b"" and any(mark.startswith(start) for mark in marks)  # a note may be shorter
    except OSError:
        return False  # whoever reads it is told


class Victim:
    """One file of a plan on the card mounted at ``card``: what state it is in, and the way to erase it.

    ``name`` is its name on the card, with slashes; ``digest`` is that of the plan that overwrites it. ``in_place`` is
    False where a file can only be deleted (a camera that is reached over MTP).
    """

    def __init__(self, card: Path, name: str, size: int, sha256: str, digest: str, in_place: bool = True) -> None:
        self._in_place = in_place
        self.card, self.name, self.size, self.sha256, self.digest = card, name, size, sha256, digest
        self.path = card.joinpath(*PurePosixPath(name).parts)
        seed = f"{digest}\0{name}".encode(errors="surrogatepass")
        self.neutral = self.path.with_name(f"LV{hashlib.sha256(seed).hexdigest()[:6].upper()}.TMP")
        self._mark = hashlib.shake_256(seed).digest(min(MARK, size))
        self._seen: tuple[int, ...] | None = None
        self._renamed = False

    def check_access(self) -> None:
        """Raise WipeError where the file may not be written or its name not be removed; nothing is changed by asking.

        A film that was protected in the camera is read-only to us.
        """
        if not self._in_place or _look(self.path) is None:
            return
        try:
            os.close(os.open(self.path, _RDWR))
            allowed = os.access(self.path.parent, os.W_OK | os.X_OK)
        except OSError as error:
            allowed = error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS)  # `check` tells the others
        if not allowed:
            raise WipeError(
                "{file} is protected or may not be written; nothing more is wiped: unprotect it in the camera, then"
                " repeat the command.",
                file=self.path,
            )

    def check(self, begun: bool, overwritten: bool) -> None:
        """Raise WipeError unless the file is as planned.

        ``begun`` and ``overwritten`` are what the ledger says of an earlier attempt. A file that is missing passes
        only when it was overwritten before: otherwise this may be another card.
        """
        self._check_folders()
        here, there = _look(self.path), _look(self.neutral)
        if there is not None and (here is not None or not begun or not self._is_marked(self.neutral, there)):
            raise WipeError("{file} is in the way; nothing more is wiped: look at it first.", file=self.neutral)
        if here is not None:
            marked = self._is_marked(self.path, here)
            if not (begun and marked) and self._digest() != self.sha256:
                raise self._differs()
            self._seen = _identity(here)
        elif there is None and not overwritten:
            raise WipeError("{file} is gone since the plan; look at lesveil wipe again.", file=self.path)
        self._renamed = there is not None

    def check_gone(self) -> None:
        """Raise WipeError when a file that the ledger says was wiped is there (a new one took its name)."""
        for path in (self.path, self.neutral):
            if _look(path) is not None:
                raise WipeError(
                    "{file} appeared since the plan; do lesveil run, then look at lesveil wipe again.", file=path
                )

    def overwrite(self, disk: Disk) -> None:
        """Overwrite the file that `check` saw, flushed; nothing to do when an earlier attempt got further."""
        if self._seen is None or not self._in_place:
            return
        with open(os.open(self.path, _RDWR), "r+b", buffering=0) as file:
            if _identity(os.fstat(file.fileno())) != self._seen:
                raise self._differs()
            disk.write(file, self._mark)
            disk.sync(file)
            left = self.size - len(self._mark)
            while left > 0:
                block = os.urandom(min(left, files.BLOCK))
                disk.write(file, block)
                left -= len(block)
            disk.sync(file)

    def remove(self, disk: Disk) -> None:
        """Take the overwritten file's name away, then the file, flushed."""
        if self._seen is not None and not self._in_place:
            disk.unlink(self.path)
            return
        if self._seen is not None:
            if _look(self.neutral) is not None:
                raise WipeError("{file} is in the way; nothing more is wiped: look at it first.", file=self.neutral)
            disk.rename(self.path, self.neutral)
            self._renamed = True
        if self._renamed:
            disk.unlink(self.neutral)
            disk.sync_folder(self.path.parent)

    def _check_folders(self) -> None:
        """No folder between the card's root and the file is a link or a junction, and the name stays on the card."""
        parts = PurePosixPath(self.name).parts
        if not parts or PurePosixPath(self.name).is_absolute() or ".." in parts or "\\" in self.name:
            raise WipeError("{file} is not a file on the card.", file=self.name)
        at = self.card
        for part in parts[:-1]:
            at = at / part
            found = _look(at)
            if found is not None and (not stat.S_ISDIR(found.st_mode) or _is_reparse(found)):
                raise WipeError("{file} leads off the card; nothing is wiped.", file=at)

    def _is_marked(self, path: Path, found: os.stat_result) -> bool:
        """Whether the plain file ``path`` begins as this plan overwrites it; WipeError when it is none."""
        if not stat.S_ISREG(found.st_mode) or _is_reparse(found):
            raise WipeError("{file} is not a plain file; nothing is wiped.", file=path)
        if found.st_nlink > 1:
            raise WipeError("{file} has a second name elsewhere; nothing is wiped.", file=path)
        if found.st_size != self.size:
            raise self._differs()
        with open(path, "rb") as file:
            return file.read(len(self._mark[:_SECTOR])) == self._mark[:_SECTOR]

    def _differs(self) -> WipeError:
        return WipeError(
            "{file} changed since the plan; nothing more is wiped: do lesveil run, then look at lesveil wipe again (if"
            " run finds nothing wrong with it and this comes again, the card lost part of it: delete it in the"
            " camera).",
            file=self.path,
        )

    def _digest(self) -> str:
        try:
            return _hash(self.path)
        except OSError as error:
            raise WipeError(
                "{file} cannot be read any more: {why}; nothing more is wiped: check the card and try again, and if"
                " this comes again delete it in the camera, then look at lesveil wipe again.",
                file=self.path,
                why=error.strerror,
            ) from error


def is_there(card: Path, name: str) -> bool:
    """Whether the card holds something of this name. Raises OSError where that cannot be told."""
    return _look(card.joinpath(*PurePosixPath(name).parts)) is not None


def _look(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _hash(path: Path) -> str:
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0))
    with open(fd, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _identity(found: os.stat_result) -> tuple[int, ...]:
    """FAT has no inode numbers: the system makes them up, and may make up others later."""
    return (found.st_dev, found.st_size, found.st_mtime_ns)


def _is_reparse(found: os.stat_result) -> bool:
    """A junction or other reparse point of Windows."""
    return bool(getattr(found, "st_file_attributes", 0) & 0x400)
