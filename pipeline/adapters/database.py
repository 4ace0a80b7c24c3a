"""Opening an SQLite file the careful way, for the ledger and the register alike.

Both hold what must survive a laptop that is switched off: every commit is on the disk before it is reported
(``synchronous=FULL``), and a second process waits for its turn rather than fails.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.adapters import files
from pipeline.errors import BusyError

BUSY_SECONDS = 30.0

Migrations = Sequence[Sequence[str]]
"""One sequence of statements per version of the schema, oldest first."""


class Held:
    """An open file that closes with its ``with`` block. Threads share its connection and take turns by its lock."""

    _connection: sqlite3.Connection
    _lock: threading.RLock

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class NewerSchemaError(Exception):
    """The file was written by a newer version of Lesveil."""


def connect(path: Path, migrations: Migrations) -> sqlite3.Connection:
    """Open or make ``path`` and bring its schema up to date; raises OSError, sqlite3.Error or NewerSchemaError.

    The connection commits by itself outside `writing`, and may be shared by threads that take turns.
    """
    # Made by hand first, so that it is never readable by others, not even for a moment. One that is there is not opened
    # so: closing it would give up the locks on it of whoever has it open in this process (fcntl(2)).
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if not path.exists():  # a link that leads nowhere: SQLite would make what it leads to, and readable
            raise
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path) from None
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        _migrate(connection, migrations)
    except BaseException as error:
        connection.close()
        # the journal beside it cannot be written: the file is no worse for that
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path.parent) from error
        raise
    return connection


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that holds the file's only write lock from its first statement; all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite ends the transaction itself after some errors (a full disk); then there is nothing to roll back.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """Several reads of one and the same state, whatever another process writes meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextmanager
def passing(path: Path) -> Iterator[None]:
    """What is no fault of the file at ``path`` and will pass: DiskFullError when the disk has no room for what is
    written here, BusyError when another program holds the file for longer than `BUSY_SECONDS`, or seems to."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        code = getattr(error, "sqlite_errorcode", 0)
        if code & 0xFF == sqlite3.SQLITE_BUSY:
            # some shares that know no locks say of every one that somebody holds it
            raise BusyError(
                "{file} is held by another program, or its disk knows no locks; wait until that program is done, or "
                "close it, and where there is none move the workspace to a disk of this machine.",
                file=path,
            ) from error
        full = isinstance(error, OSError) and files.is_full(error)
        if full or code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
            raise files.disk_full(path) from error
        raise


def now() -> str:
    """This moment in UTC, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def day_of(at: str) -> date:
    """The day of a moment that `now` gave, as the clock here counts days."""
    return datetime.fromisoformat(at).astimezone().date()


def _migrate(connection: sqlite3.Connection, migrations: Migrations) -> None:
    if _version(connection) == len(migrations):
        return
    with writing(connection):
        # Asked again inside the lock: another process may have been first.
        version = _version(connection)
        if version > len(migrations):
            raise NewerSchemaError
        if version == 0:
            connection.execute("CREATE TABLE migrations (version INTEGER PRIMARY KEY, at TEXT NOT NULL) STRICT")
        for number, statements in enumerate(migrations[version:], start=version + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute("INSERT INTO migrations VALUES (?, ?)", (number, now()))


def _version(connection: sqlite3.Connection) -> int:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'").fetchone():
        return 0
    return int(connection.execute("SELECT coalesce(max(version), 0) FROM migrations").fetchone()[0])
