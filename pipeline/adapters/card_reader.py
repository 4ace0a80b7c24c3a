"""Reading one file of a card to its end, patiently: worn cards and loose readers often give a block the second time.

Nothing here can write: files are opened for reading only, never through a link.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.adapters import files
from pipeline.errors import CardError

PAUSES = (0.2, 1.0, 3.0)
"""Seconds before a read that failed is tried again, with the file opened anew: readers reset themselves."""

SECTOR = 512
"""The smallest read that is tried, to say where exactly a file cannot be read."""

GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.ENOENT, getattr(errno, "ENOMEDIUM", errno.ENXIO), errno.ENOTDIR})
"""What is said when the card is no longer there; trying again would only take time."""


def open_card_file(path: Path) -> io.FileIO:
    """Open a file of the card for reading, never through a link. Raises CardError."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise CardError("{file} is not a plain file; it is left alone.", file=path)
        return open(os.open(path, flags), "rb", buffering=0)
    except OSError as error:
        raise unreadable(path, 0, error) from error


class CardReader:
    """One file of the card, read in order from ``start`` (bytes); a context manager."""

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path, self.at = path, start
        self._file: io.FileIO | None = open_card_file(path)
        self._file.seek(start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def read(self, size: int = files.BLOCK) -> bytes:
        """The next bytes, ``size`` of them at most; none at the end. Raises CardError as `readinto` does."""
        return bytes(self.readinto(memoryview(bytearray(size))))

    def readinto(self, buffer: memoryview) -> memoryview:
        """The next bytes of the file, in the front part of ``buffer``; none at the end.

        A read that fails is repeated, then made smaller, so that everything before a bad sector is read and CardError
        names the first byte that cannot be.
        """
        for pause in (0.0, *PAUSES):
            if pause:
                time.sleep(pause)
            try:
                return self._try(buffer)
            except OSError as error:
                failure = error
                self._close()
                if error.errno in GONE:
                    break
        else:
            while len(buffer) > SECTOR:
                buffer = buffer[: max(SECTOR, len(buffer) // 8)]
                try:
                    return self._try(buffer)
                except OSError as error:
                    failure = error
                    self._close()
        raise unreadable(self.path, self.at, failure)

    def _try(self, buffer: memoryview) -> memoryview:
        if self._file is None:
            try:
                self._file = open_card_file(self.path)
            except CardError as error:
                if isinstance(error.__cause__, OSError):
                    raise error.__cause__ from error
                raise
            self._file.seek(self.at)
        count = self._file.readinto(buffer) or 0
        self.at += count
        return buffer[:count]

    def look(self) -> os.stat_result:
        """What the system says of the file that is open. Raises CardError."""
        try:
            return os.lstat(self.path) if self._file is None else os.fstat(self._file.fileno())
        except OSError as error:
            raise unreadable(self.path, self.at, error) from error

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def look(path: Path) -> os.stat_result:
    """``os.lstat``. Raises CardError."""
    try:
        return os.lstat(path)
    except OSError as error:
        raise unreadable(path, 0, error) from error


def unreadable(path: Path, at: int, error: OSError) -> CardError:
    return CardError(
        "{file} cannot be read at byte {offset}: {why}; keep the card and try again.",
        file=path,
        offset=at,
        why=error.strerror or error,
    )
