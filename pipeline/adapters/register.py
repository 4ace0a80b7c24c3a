"""The register: who agreed to what, when, on whose word, and how we know (SQLite, versioned by import).

Names live here and nowhere else. A version of a person is never changed or removed by an import; a newer import
supersedes it, so that the register can answer for any past day.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.adapters import database
from pipeline.adapters.consent_list import ConsentList
from pipeline.adapters.register_plan import Difference, History, Version, difference
from pipeline.adapters.register_rows import MIGRATIONS, VERSION, from_row, to_row
from pipeline.consent import PURPOSE, Answer, ConsentRecord, Withdrawal, may_be_shown
from pipeline.errors import ConsentError


@dataclass(frozen=True)
class RegisteredPerson:
    """Someone in the register with the answer for one day; ``name`` is for the people who run Lesveil alone."""

    id: str
    name: str
    group: str
    portrait_folder: str | None
    answer: Answer

    def __repr__(self) -> str:
        # A traceback or a log line that shows this object must not show the person's name.
        return f"RegisteredPerson(id={self.id!r}, answer={self.answer!r})"


class Register:
    """One open register, for one purpose. Threads may share it; processes each open their own and take turns."""

    def __init__(self, path: Path, connection: sqlite3.Connection, purpose: str) -> None:
        self._path = path
        self._connection = connection
        self._purpose = purpose
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path, purpose: str = PURPOSE) -> Self:
        """Open the register at ``path``, making it when there is none; ConsentError when it is not one."""
        with _told(path):
            return cls(path, database.connect(path, MIGRATIONS), purpose)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def plan_import(self, listed: ConsentList, on: date) -> Difference:
        """What importing ``listed`` on the day ``on`` would change; nothing is written."""
        with self._lock, _told(self._path), database.reading(self._connection):
            history, base = self._history(), self._base()
        latest = max(history.days.values(), default=on)
        if on < latest:
            raise ConsentError(
                "The latest import into {file} is of {latest}, after {on}; check the computer's clock.",
                file=self._path,
                latest=latest,
                on=on,
            )
        return difference(history, listed, on, base, self._purpose)

    def apply(self, plan: Difference) -> int:
        """Import what `plan_import` showed, all or nothing, and return the number of the import (from 1).

        ConsentError when the register was changed since, because then something else was shown than would be done.
        """
        with self._lock, _told(self._path), database.writing(self._connection):
            if self._base() != plan.base:
                raise ConsentError(
                    "The register {file} was changed since {list} was looked at; import the list again.",
                    file=self._path,
                    list=plan.listed.file,
                )
            known = self._connection.execute(
                "INSERT INTO imports (at, day, file, sha256, people) VALUES (?, ?, ?, ?, ?)",
                (
                    database.now(),
                    plan.on.isoformat(),
                    plan.listed.file,
                    plan.listed.sha256,
                    len(plan.listed.people),
                ),
            )
            number = int(known.lastrowid or 0)
            moved = (*plan.gone, *(version.listed.id for version in plan.added))
            self._connection.executemany(
                "UPDATE versions SET superseded_by = ? WHERE person = ? AND superseded_by IS NULL",
                [(number, person) for person in moved],
            )
            marks = ", ".join("?" * len(VERSION.split(",")))
            self._connection.executemany(
                f"INSERT INTO versions ({VERSION}) VALUES ({marks})", [to_row(version) for version in plan.added]
            )
        return number

    def withdraw(self, person: str, on: date) -> None:
        """Take back ``person``'s consent from the day ``on``, the day itself included; twice is once."""
        with self._lock, _told(self._path), database.writing(self._connection):
            if not self._connection.execute("SELECT 1 FROM versions WHERE person = ?", (person,)).fetchone():
                raise ConsentError(
                    "There is no {person} in the register {file}; look the number up with lesveil consent list.",
                    person=person,
                    file=self._path,
                )
            self._connection.execute(
                "INSERT OR IGNORE INTO withdrawals (at, person, day) VALUES (?, ?, ?)",
                (database.now(), person, on.isoformat()),
            )

    def may_be_shown(self, person: str, filmed_on: date, used_on: date) -> Answer:
        """The rules' answer (`pipeline.consent.may_be_shown`) for one person; someone unknown is a no."""
        return may_be_shown(self.record(person), filmed_on, used_on, self._purpose)

    def record(self, person: str) -> ConsentRecord:
        """All that is known of one person's consent."""
        with self._lock, _told(self._path), database.reading(self._connection):
            return self._history(person).record(person)

    def people(self, on: date) -> list[RegisteredPerson]:
        """Everyone whom the register knew on the day ``on``, by id, with the answer for that day."""
        with self._lock, _told(self._path), database.reading(self._connection):
            history = self._history()
        found: list[RegisteredPerson] = []
        for person in sorted(history.versions):
            known = [version for version in history.versions[person] if history.days[version.import_number] <= on]
            if known:
                listed = known[-1].listed
                name = " ".join(filter(None, (listed.first_name, listed.infix, listed.last_name)))
                answer = may_be_shown(history.record(person), on, on, self._purpose)
                found.append(RegisteredPerson(person, name, listed.group, listed.portrait_folder, answer))
        return found

    def portrait_folder(self, person: str) -> str | None:
        """The folder that the latest list names for this person; None when it names none or leaves the person out."""
        with self._lock, _told(self._path), database.reading(self._connection):
            current = self._history(person).current(person)
        return None if current is None else current.listed.portrait_folder

    def digest(self, on: date | None = None) -> str:
        """SHA-256 of everything that an answer given on the day ``on`` (default: today) depends on; no names.

        The day counts because a birthday or an end date changes answers without changing the register.
        """
        day = on or date.today()
        with self._lock, _told(self._path), database.reading(self._connection):
            history = self._history()
        state = []
        for person in sorted(history.versions):
            record, current = history.record(person), history.current(person)
            answer = may_be_shown(record, day, day, self._purpose)
            folder = None if current is None else current.listed.portrait_folder
            state.append([repr(record), repr(answer), folder])
        return hashlib.sha256(json.dumps([self._purpose, state]).encode()).hexdigest()

    def _base(self) -> str:
        imports = self._connection.execute("SELECT count(*) FROM imports").fetchone()[0]
        withdrawals = self._connection.execute("SELECT count(*) FROM withdrawals").fetchone()[0]
        return f"{imports}.{withdrawals}"

    def _history(self, person: str | None = None) -> History:
        """The whole memory, or that of one person."""
        only, whose = ("WHERE person = ?", (person,)) if person is not None else ("", ())
        days = {
            number: date.fromisoformat(day)
            for number, day in self._connection.execute("SELECT number, day FROM imports")
        }
        versions: dict[str, list[Version]] = defaultdict(list)
        for row in self._connection.execute(f"SELECT {VERSION} FROM versions {only} ORDER BY import, row", whose):
            versions[row[2]].append(from_row(row))
        withdrawals: dict[str, list[Withdrawal]] = defaultdict(list)
        for number, who, day in self._connection.execute(
            f"SELECT number, person, day FROM withdrawals {only} ORDER BY number", whose
        ):
            withdrawals[who].append(Withdrawal(date.fromisoformat(day), f"withdrawal {number}"))
        return History(days, dict(versions), dict(withdrawals))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk say into one sentence."""
    try:
        yield
    except OSError as error:
        raise ConsentError(
            "The register {file} cannot be opened ({why}); check the folder and its permissions.",
            file=path,
            why=error.strerror,
        ) from error
    except database.NewerSchemaError as error:
        raise ConsentError("The register {file} was written by a newer Lesveil; update Lesveil.", file=path) from error
    except (sqlite3.Error, ValueError) as error:
        raise ConsentError(
            "The register {file} cannot be used ({why}); nothing was changed: put back a copy of it.",
            file=path,
            why=error,
        ) from error
