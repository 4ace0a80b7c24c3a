"""The ledger: what was done, in order, where nothing can be changed in silence.

It is resume state and audit in one. Every row carries the SHA-256 of itself and of the row before it over canonical
JSON, so that a change, a deletion or another order shows in `Ledger.verify`; a tail that was cut off shows against a
head that was noted elsewhere (it goes along with every delivery). People appear by register id only.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

from pipeline.adapters import database
from pipeline.adapters.chain import GENESIS, broken_links, canonical, hash_of, refuse_personal, seq_of_head
from pipeline.adapters.database import day_of
from pipeline.errors import LedgerError

RECEIPT = "receipt"

_MIGRATIONS: database.Migrations = (
    (
        # AUTOINCREMENT remembers the highest seq ever given out, so that a tail that was cut off leaves a trace.
        "CREATE TABLE entries (seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, kind TEXT NOT NULL, clip TEXT,"
        " receipt TEXT, payload TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL UNIQUE) STRICT",
        "CREATE INDEX entries_receipt ON entries (receipt, seq) WHERE receipt IS NOT NULL",
        "CREATE INDEX entries_kind ON entries (kind, seq)",
        "CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries"
        " BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
        "CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries"
        " BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
        # INSERT OR REPLACE deletes without firing the trigger above; this one stops it.
        "CREATE TRIGGER entries_only_next BEFORE INSERT ON entries"
        " WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM entries)"
        " BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
    ),
)
_TRIGGERS = {"entries_no_update", "entries_no_delete", "entries_only_next"}
_COLUMNS = "seq, at, kind, clip, receipt, payload, previous, hash"


@dataclass(frozen=True)
class Entry:
    """One row. ``payload`` is what was given to `Ledger.append`; ``at`` is UTC, ISO 8601.

    ``right`` is empty, or the moment from which the row counts because the clock ran ahead when it was written: when
    somebody said that the clock is right, or, before that, now.
    """

    seq: int
    at: str
    kind: str
    clip: str | None
    payload: dict[str, Any]
    previous: str
    hash: str
    right: str = ""

    @property
    def day(self) -> date:
        """The day on which it was written, as the clock here counts days."""
        return day_of(self.right or self.at)


class Ledger(database.Held):
    """One open ledger. Threads may share it; processes each open their own and take turns."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the ledger at ``path``, making it when there is none; LedgerError when it is not one."""
        with _told(path):
            return cls(path, database.connect(path, _MIGRATIONS))

    def append(self, kind: str, clip: str | None, payload: dict[str, Any]) -> int:
        """Add one row and return its number (from 1). It is on the disk when this returns.

        LedgerError when the payload holds a name or a face (see `refuse_personal`), or the last row was changed.
        """
        return self._append(kind, clip, None, payload)

    def record(
        self, stage: str, input_digest: str, settings_digest: str, clip: str | None, payload: dict[str, Any]
    ) -> int:
        """Leave the receipt of one stage run; `receipt` finds the latest one with the same three keys."""
        whole = {"stage": stage, "input": input_digest, "settings": settings_digest, "outcome": payload}
        return self._append(RECEIPT, clip, _key(stage, input_digest, settings_digest), whole)

    def receipt(self, stage: str, input_digest: str, settings_digest: str) -> dict[str, Any] | None:
        """The outcome that `record` last kept under these keys, or None; LedgerError when that row was changed."""
        key = _key(stage, input_digest, settings_digest)
        with self._lock, _told(self._path):
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM entries WHERE receipt = ? ORDER BY seq DESC LIMIT 1", (key,)
            ).fetchone()
        if row is None:
            return None
        self._refuse_changed(row)
        outcome: dict[str, Any] = json.loads(row[5])["outcome"]
        return outcome

    def entries(self, kind: str | None = None, clip: str | None = None) -> list[Entry]:
        """All rows in order, or those of one kind, of one clip, or both; LedgerError where one cannot be read."""
        with self._lock, _told(self._path):
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM entries WHERE (:kind IS NULL OR kind = :kind)"
                " AND (:clip IS NULL OR clip = :clip) ORDER BY seq",
                {"kind": kind, "clip": clip},
            ).fetchall()
            said = self._connection.execute("SELECT seq, at FROM entries WHERE kind = 'clock'").fetchall()
        now = database.now()

        def right(seq: int, at: str) -> str:
            moment = min([now, *(then for row, then in said if row > seq)])
            return moment if at > moment and day_of(at) > day_of(moment) else ""

        found = []
        for seq, at, kind, clip, _, text, previous, own in rows:
            try:
                payload, moment = json.loads(text), right(seq, at)
            except ValueError as error:
                raise self._changed(seq) from error
            if not isinstance(payload, dict):
                raise self._changed(seq)
            found.append(Entry(seq, at, kind, clip, payload, previous, own, moment))
        return found

    def head(self) -> str:
        """``<number of the last row>:<its hash>``; noted elsewhere, it lets `verify` find a tail that was cut off."""
        with self._lock, _told(self._path):
            row = self._connection.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
        return f"{row[0]}:{row[1]}" if row else f"0:{GENESIS}"

    def latest(self) -> date | None:
        """The latest day of any row since somebody last said that the clock is right (a row ``clock``)."""
        with self._lock, _told(self._path):
            (at,) = self._connection.execute(
                "SELECT MAX(at) FROM entries"
                " WHERE seq >= IFNULL((SELECT MAX(seq) FROM entries WHERE kind = 'clock'), 0)"
            ).fetchone()
            return None if at is None else day_of(at)

    def start_anew(self) -> None:
        """Delete every row for good, and begin again with one that says what came before; all of it or nothing."""
        with self._lock, _told(self._path):
            self._connection.execute("PRAGMA secure_delete=ON")
            with database.writing(self._connection):
                rows = self._connection.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY seq").fetchall()
                if not rows:
                    return
                self._refuse_changed(rows[-1])
                head = f"{rows[-1][0]}:{rows[-1][7]}"
                self._connection.execute("DROP TABLE entries")
                for statement in _MIGRATIONS[0]:
                    self._connection.execute(statement)
                text = canonical({"head": head, "rows": len(rows), "from": rows[0][1], "to": rows[-1][1]})
                fields = (1, database.now(), "continued", None, None, text, GENESIS)
                self._connection.execute(
                    "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*fields, hash_of(*fields))
                )
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.execute("VACUUM")

    def mark(self) -> str:
        """The first row's hash: which ledger this is; "" while it is empty."""
        with self._lock, _told(self._path):
            row = self._connection.execute("SELECT hash FROM entries WHERE seq = 1").fetchone()
        return str(row[0]) if row else ""

    def verify(self, *known_heads: str) -> list[str]:
        """Every sign that rows were changed, deleted, re-ordered or cut off; empty when there is none.

        ``known_heads`` are heads that were noted elsewhere, in any order.
        """
        known = {head: seq_of_head(head) for head in known_heads}
        with self._lock, _told(self._path), database.reading(self._connection):
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY seq").fetchall()
            triggers = {
                name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            }
            highest = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entries'").fetchone()
        findings = [f"the guard {name} was removed" for name in sorted(_TRIGGERS - triggers)]
        findings += broken_links(rows)
        last = rows[-1][0] if rows else 0
        missing = max([int(highest[0]) if highest else 0, *known.values()])
        if missing > last:
            findings.append(f"rows {last + 1} to {missing} were cut off the end")
        heads = {f"{row[0]}:{row[7]}" for row in rows}
        for head, seq in sorted(known.items(), key=lambda pair: pair[1]):
            if 0 < seq <= last and head not in heads:
                findings.append(f"row {seq} is not the one that was noted elsewhere")
        return findings

    def _append(self, kind: str, clip: str | None, receipt: str | None, payload: dict[str, Any]) -> int:
        refuse_personal(payload)
        text = canonical(payload)
        with self._lock, _told(self._path), database.writing(self._connection):
            last = self._connection.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
            if last is not None:
                self._refuse_changed(last)
            seq, previous = (last[0] + 1, last[7]) if last else (1, GENESIS)
            fields = (seq, database.now(), kind, clip, receipt, text, previous)
            self._connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*fields, hash_of(*fields)))
        return int(seq)

    def _refuse_changed(self, row: tuple[Any, ...]) -> None:
        if hash_of(*row[:7]) != row[7]:
            raise self._changed(row[0])

    def _changed(self, seq: int) -> LedgerError:
        return LedgerError(
            "Row {row} of {file} was changed after it was written; run lesveil ledger verify and keep the file as"
            " it is.",
            row=seq,
            file=self._path,
        )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk say into one sentence."""
    try:
        with database.passing(path):
            yield
    except OSError as error:
        raise LedgerError(
            "The ledger {file} cannot be opened ({why}); check the folder and its permissions.",
            file=path,
            why=error.strerror,
        ) from error
    except database.NewerSchemaError as error:
        raise LedgerError("The ledger {file} was written by a newer Lesveil; update Lesveil.", file=path) from error
    except (sqlite3.Error, ValueError) as error:
        raise LedgerError(
            "The ledger {file} cannot be used ({why}); nothing was written: keep the file and tell the administrator.",
            file=path,
            why=error,
        ) from error


def _key(stage: str, input_digest: str, settings_digest: str) -> str:
    return hashlib.sha256(canonical([stage, input_digest, settings_digest]).encode()).hexdigest()
