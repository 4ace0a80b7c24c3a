"""Who may sign in to the reviewers' page, who has, and how far the repairs are (SQLite, beside the ledger).

Nothing here decides what is hidden: repairs and looks are rows of the ledger. Secrets are kept as hashes: of links and
sessions SHA-256, which will do for random numbers of 256 bits; of passwords Argon2id.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from pipeline.adapters import database
from pipeline.errors import ReviewError

LINK_SECONDS = 3600
"""How long a link to sign in with may wait to be used."""

IDLE_SECONDS, LONGEST_SECONDS = 2 * 3600, 12 * 3600
"""A session ends when nothing was done for the first, or at the latest after the second."""

SHORTEST_PASSWORD = 12

_MIGRATIONS: database.Migrations = (
    (
        "CREATE TABLE accounts (name TEXT PRIMARY KEY COLLATE NOCASE, role TEXT NOT NULL, hash TEXT NOT NULL,"
        " at TEXT NOT NULL) STRICT",
        "CREATE TABLE links (hash TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, ends REAL NOT NULL,"
        " used REAL) STRICT",
        "CREATE TABLE sessions (hash TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, token TEXT NOT NULL,"
        " began REAL NOT NULL, seen REAL NOT NULL) STRICT",
        "CREATE TABLE work (clip TEXT PRIMARY KEY, wanted TEXT NOT NULL, stage TEXT NOT NULL, done INTEGER NOT NULL,"
        " total INTEGER NOT NULL, problem TEXT NOT NULL, at REAL NOT NULL) STRICT",
    ),
)
_hasher = PasswordHasher()
_NOBODY = _hasher.hash(secrets.token_hex(16))
"""What a password is compared with when there is no such account, so that the answer takes as long."""
_two_at_once = threading.BoundedSemaphore(2)
"""Trying a password takes 64 MiB and a core; whoever tries more at once waits."""


@dataclass(frozen=True)
class Session:
    """Somebody who signed in. ``token`` must come with every change that they ask for; ``seen``: when they last did
    something, in seconds of the system's clock."""

    name: str
    role: str
    token: str
    seen: float


@dataclass(frozen=True)
class Account:
    name: str
    role: str


@dataclass(frozen=True)
class Progressed:
    """How far the repairs of one clip are; ``wanted`` names the repairs that were begun with."""

    wanted: str
    stage: str
    done: int
    total: int
    problem: str


class ReviewBook(database.Held):
    """One open book. Threads share it; processes (the page, its worker, the command line) each open their own."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path, self._connection = path, connection
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the book at ``path``, making it when there is none. Raises ReviewError."""
        with _told(path):
            return cls(path, database.connect(path, _MIGRATIONS))

    def add_account(self, name: str, role: str, password: str, replace: bool = False) -> None:
        """Make an account, or ``replace`` the role and the password of one; sessions and links of that name end. Raises
        ReviewError, also where there is such an account and nobody said that it is meant."""
        if len(password) < SHORTEST_PASSWORD:
            raise ReviewError("A password needs at least {n} characters.", n=SHORTEST_PASSWORD)
        _refuse_nameless(name)
        hashed = _hasher.hash(password)
        with self._writing():
            before = self._spelled("accounts", name)
            if before and not replace:
                raise ReviewError(
                    "There is an account {name} already, and nothing was changed; take another name, or give it this "
                    "password and role with --replace.",
                    name=before[0],
                )
            self._let_out(name)
            self._forget("accounts", name)
            row = (before[0] if before else name.strip(), role, hashed, database.now())
            self._connection.execute("INSERT INTO accounts VALUES (?, ?, ?, ?)", row)

    def remove_account(self, name: str) -> None:
        """Nobody of that name can sign in any more, with an account or by a link alone. Raises ReviewError."""
        with self._writing():
            gone = self._forget("accounts", name) + self._let_out(name)
        if not gone:
            raise ReviewError("There is no account {name}; see lesveil accounts list.", name=name)

    def _let_out(self, name: str) -> int:
        """End every session and link of that name; how many there were."""
        return self._forget("sessions", name) + self._forget("links", name)

    def _forget(self, table: str, name: str) -> int:
        """Delete the rows of that name, however it is written; how many there were."""
        names = [(known,) for known in self._spelled(table, name)]
        return self._connection.executemany(f"DELETE FROM {table} WHERE name = ?", names).rowcount if names else 0

    def _spelled(self, table: str, name: str) -> list[str]:
        """How that name is written in a table: capital letters, and é as one character or as two, make no other."""
        rows = self._connection.execute(f"SELECT DISTINCT name FROM {table}").fetchall()
        return [known for (known,) in rows if known_as(known) == known_as(name)]

    def accounts(self) -> list[Account]:
        with self._reading():
            rows = self._connection.execute("SELECT name, role FROM accounts ORDER BY name").fetchall()
        return [Account(*row) for row in rows]

    def check_password(self, name: str, password: str) -> Account | None:
        """The account, if there is one and this is its password."""
        with self._reading():
            spelled = self._spelled("accounts", name)
            # an older book may have two accounts of one name: each is met by its own spelling
            known = name.strip() if name.strip() in spelled else next(iter(spelled), "")
            row = self._connection.execute("SELECT name, role, hash FROM accounts WHERE name = ?", (known,)).fetchone()
        try:
            with _two_at_once:
                _hasher.verify(row[2] if row else _NOBODY, password)
        except (VerificationError, InvalidHashError):
            return None
        return Account(row[0], row[1]) if row else None

    def new_link(self, name: str, role: str) -> str:
        """A secret with which somebody may sign in, once: under that name they approve. Raises ReviewError."""
        _refuse_nameless(name)
        secret = secrets.token_urlsafe(32)
        with self._writing():
            self._connection.execute(
                "INSERT INTO links VALUES (?, ?, ?, ?, NULL)",
                (_hash(secret), name.strip(), role, time.time() + LINK_SECONDS),
            )
        return secret

    def link(self, secret: str) -> Account | None:
        """Whom a secret is for, if it can still be used."""
        with self._reading():
            row = self._connection.execute(
                "SELECT name, role FROM links WHERE hash = ? AND used IS NULL AND ends > ?",
                (_hash(secret), time.time()),
            ).fetchone()
        return Account(*row) if row else None

    def use_link(self, secret: str) -> Account | None:
        """The same, and never again."""
        with self._writing():
            account = self.link(secret)
            if account is not None:
                self._connection.execute("UPDATE links SET used = ? WHERE hash = ?", (time.time(), _hash(secret)))
        return account

    def begin(self, account: Account) -> str:
        """A new session; returns what the browser keeps."""
        secret, now = secrets.token_urlsafe(32), time.time()
        with self._writing():
            self._connection.execute("DELETE FROM sessions WHERE began < ?", (now - LONGEST_SECONDS,))
            self._connection.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)",
                (_hash(secret), account.name, account.role, secrets.token_urlsafe(24), now, now),
            )
        return secret

    def session(self, secret: str) -> Session | None:
        """Who that is; None when nobody, or no longer."""
        now = time.time()
        with self._reading():
            row = self._connection.execute(
                "SELECT name, role, token, seen FROM sessions WHERE hash = ? AND seen > ? AND began > ?",
                (_hash(secret), now - IDLE_SECONDS, now - LONGEST_SECONDS),
            ).fetchone()
        return None if row is None else Session(*row)

    def renew(self, secret: str, session: Session) -> None:
        """Somebody did something just now, so the session waits for them anew; written once a minute at most."""
        now = time.time()
        if now - session.seen > 60:
            with self._writing():
                self._connection.execute("UPDATE sessions SET seen = ? WHERE hash = ?", (now, _hash(secret)))

    def end(self, secret: str) -> None:
        with self._writing():
            self._connection.execute("DELETE FROM sessions WHERE hash = ?", (_hash(secret),))

    def set_work(self, clip: str, work: Progressed) -> None:
        values = (work.wanted, work.stage, work.done, work.total, work.problem, time.time())
        with self._writing():
            self._connection.execute("INSERT OR REPLACE INTO work VALUES (?, ?, ?, ?, ?, ?, ?)", (clip, *values))

    def work(self, clip: str) -> Progressed | None:
        with self._reading():
            row = self._connection.execute(
                "SELECT wanted, stage, done, total, problem FROM work WHERE clip = ?", (clip,)
            ).fetchone()
        return Progressed(*row) if row else None

    def all_work(self) -> dict[str, Progressed]:
        with self._reading():
            rows = self._connection.execute("SELECT clip, wanted, stage, done, total, problem FROM work").fetchall()
        return {row[0]: Progressed(*row[1:]) for row in rows}

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, _told(self._path):
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, _told(self._path), database.writing(self._connection):
            yield


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except database.NewerSchemaError as error:
        raise ReviewError("{file} was written by a newer Lesveil; update Lesveil.", file=path) from error
    except (OSError, sqlite3.Error) as error:
        why: Any = error.strerror if isinstance(error, OSError) else error
        raise ReviewError(
            "{file} cannot be used ({why}); check the folder and the disk.", file=path, why=why
        ) from error


def known_as(name: str) -> str:
    """By what two spellings are one person's: keyboards and systems write é as one character or as two."""
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()


def _refuse_nameless(name: str) -> None:
    if not name.strip() or len(name) > 80 or not name.isprintable():
        raise ReviewError("{name} is no name for an account.", name=repr(name))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
