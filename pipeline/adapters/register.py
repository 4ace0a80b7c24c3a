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
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Self

from pipeline.adapters import database
from pipeline.adapters.consent_list import ConsentList
from pipeline.adapters.database import day_of
from pipeline.adapters.register_plan import Difference, History, Version, difference
from pipeline.adapters.register_rows import MIGRATIONS, VERSION, from_row, to_row
from pipeline.consent import (
    USUAL,
    Answer,
    ConsentRecord,
    Ending,
    Terms,
    Withdrawal,
    ending,
    may_be_shown,
)
from pipeline.errors import ConsentError

UNDECIDED = 0
"""Instead of a number of people: nobody has looked yet at two who look alike."""


@dataclass(frozen=True)
class RegisteredPerson:
    """Someone in the register with the answers for one day; ``name`` is for the people who run Lesveil alone.

    ``answer`` is whether the program may recognise and show them, ``filmed`` whether they agreed to be filmed at all;
    ``ending`` is when the latter ends, if that is near. ``staff``: they stand on the staff's own list.
    """

    id: str
    name: str
    group: str
    portrait_folder: str | None
    answer: Answer
    filmed: Answer
    ending: Ending | None = None
    staff: bool = False

    def __repr__(self) -> str:
        # A traceback or a log line that shows this object must not show the person's name.
        return f"RegisteredPerson(id={self.id!r}, answer={self.answer!r})"


class Register(database.Held):
    """One open register, for one purpose. Threads may share it; processes each open their own and take turns."""

    def __init__(self, path: Path, connection: sqlite3.Connection, terms: Terms) -> None:
        self._path = path
        self._connection = connection
        self._terms = terms
        self._lock = threading.RLock()
        self._known: tuple[tuple[int, int, date], History] | None = None

    @classmethod
    def open(cls, path: Path, terms: Terms = USUAL) -> Self:
        """Open the register at ``path``, making it when there is none; ConsentError when it is not one."""
        with _told(path):
            return cls(path, database.connect(path, MIGRATIONS), terms)

    def plan_import(self, listed: ConsentList, on: date, lost: date | None = None) -> Difference:
        """What importing ``listed`` on the day ``on`` would change; nothing is written.

        ``lost`` is the day of its import where a newer list came since that this old copy of a register lost.
        ConsentError when a number on it belongs to somebody else, or the computer's clock was set back.
        """
        with self._lock, _told(self._path), database.reading(self._connection):
            history, base, imported = self._history(), self._base(), self._older(listed)
            latest = self._connection.execute("SELECT MAX(day) FROM imports").fetchone()[0] or on.isoformat()
        if on.isoformat() < latest:
            raise ConsentError(
                "The latest import into {file} is of {latest}, after {on}; set the clock, or, if it was wrong then and"
                " is right now: lesveil doctor --clock-is-right.",
                file=self._path,
                latest=latest,
                on=on,
            )
        return difference(history, listed, on, base, self._terms, lost or imported, lost is not None)

    def _older(self, listed: ConsentList) -> date | None:
        """The day on which this very list was last imported, where one of its kind came since."""
        kind = "staff" if listed.staff else "pupils"
        found = self._connection.execute("SELECT sha256, day FROM imports WHERE list = ? ORDER BY number", (kind,))
        *before, (latest, _) = found.fetchall() or [("", "")]
        days = [date.fromisoformat(day) for sha256, day in before if sha256 == listed.sha256]
        return days[-1] if days and latest != listed.sha256 else None

    def apply(self, plan: Difference, *, allow_loss: bool = False, allow_older: bool = False) -> int:
        """Import what `plan_import` showed, all or nothing, and return the number of the import (from 1).

        ConsentError when the register was changed since, because then something else was shown than would be done; and
        when so many people are gone from the list that it may be half of one (``allow_loss``: somebody looked), or it
        is an older one that may give somebody consent back (``allow_older``).
        """
        if plan.mass_loss and not allow_loss:
            raise ConsentError(
                "{file} names {now} {now:person|people} and {gone} of the {before} on the list before are gone, so "
                "it may be cut off"
                " or hold a part of the school; export all of it, or, if they have left, import it with --allow-loss.",
                file=plan.listed.file,
                now=len(plan.listed.people),
                gone=len(plan.gone),
                before=plan.before,
            )
        if plan.gives_back and not allow_older:
            raise ConsentError(
                "{file} is the list that was imported on {day}, and a newer one came since, so it may undo what people "
                "said in between; export it anew, or, if the newer one was wrong, import it with --allow-older.",
                file=plan.listed.file,
                day=plan.imported,
            )
        with self._lock, _told(self._path), database.writing(self._connection):
            if self._base() != plan.base:
                raise ConsentError(
                    "The register {file} was changed since {list} was looked at; import the list again.",
                    file=self._path,
                    list=plan.listed.file,
                )
            known = self._connection.execute(
                "INSERT INTO imports (at, day, file, sha256, people, list) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    database.now(),
                    plan.on.isoformat(),
                    plan.listed.file,
                    plan.listed.sha256,
                    len(plan.listed.people),
                    "staff" if plan.listed.staff else "pupils",
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

    def withdraw(self, person: str, on: date, by: str = "") -> None:
        """Take back ``person``'s consent from the day ``on``, the day itself included; twice is once.

        ``by`` is who enters it; "" where nobody said.
        """
        self._refuse_unknown(person)
        self.heed(person, on, by)

    def heed(self, person: str, on: date, by: str = "") -> None:
        """The same of somebody whom no list held yet: an old copy may have lost the list, and another brings it."""
        with self._lock, _told(self._path), database.writing(self._connection):
            self._connection.execute(
                "INSERT INTO withdrawals (at, person, day, entered_by) VALUES (?, ?, ?, ?) ON CONFLICT (person, day)"
                " DO UPDATE SET entered_by = excluded.entered_by WHERE entered_by = ''",
                (database.now(), person, on.isoformat(), by),
            )

    def withdrawn(self) -> set[tuple[str, str]]:
        """Every withdrawal there is, said here or stated by a list: (person, the day from which it counts)."""
        with self._lock, _told(self._path), database.reading(self._connection):
            stated = self._connection.execute("SELECT person, withdrawn FROM versions WHERE withdrawn IS NOT NULL")
            said = {(who, one.on.isoformat()) for who, found in self._withdrawals().items() for one in found}
            return said | set(stated.fetchall())

    def settle_clock(self) -> None:
        """The clock is right: what was entered while it ran ahead counts from today, for good.

        Before that it counts from the day on which it is asked for. A withdrawal keeps its first day besides, which
        counts from when it has come: if the clock is wrong today, no consent given before that day undoes it.
        """
        with self._lock, _told(self._path), database.writing(self._connection):
            now = database.now()
            today = day_of(now).isoformat()
            for number, at, day in self._connection.execute("SELECT number, at, day FROM imports").fetchall():
                if day_of(at) > day_of(now):
                    self._connection.execute(
                        "UPDATE imports SET at = ?, day = ? WHERE number = ?", (now, today, number)
                    )
                    self._connection.execute(
                        "UPDATE versions SET since = ? WHERE since = ? AND import >= ? AND start IS NOT since",
                        (today, day, number),
                    )
            asked = "SELECT at, person, day, entered_by FROM withdrawals"
            for at, who, day, by in self._connection.execute(asked).fetchall():
                if day_of(at) > day_of(now):
                    self._connection.execute(
                        "INSERT OR REPLACE INTO withdrawals (at, person, day, entered_by) VALUES (?, ?, ?, ?)",
                        (now, who, min(day, today), by),
                    )

    def knows(self, person: str) -> bool:
        """Whether any list ever held this person."""
        with self._lock, _told(self._path):
            return bool(self._connection.execute("SELECT 1 FROM versions WHERE person = ?", (person,)).fetchone())

    def imported(self, number: int, sha256: str) -> bool:
        """Whether the import with this number was of a list with this digest; one list may come in more than once."""
        asked = "SELECT 1 FROM imports WHERE number = ? AND sha256 = ?"
        with self._lock, _told(self._path):
            return bool(self._connection.execute(asked, (number, sha256)).fetchone())

    def newest_imports(self) -> list[tuple[int, str, int, bool]]:
        """The newest import of the pupils' list and of the staff's: (number, digest, people on it, of the staff)."""
        asked = "SELECT max(number), sha256, people, list = 'staff' FROM imports GROUP BY list"
        with self._lock, _told(self._path):
            rows = self._connection.execute(asked).fetchall()
        return [(number, sha256, people, bool(staff)) for number, sha256, people, staff in rows]

    def first_import(self) -> date | None:
        """The day of the first import; None before it."""
        with self._lock, _told(self._path):
            first = self._connection.execute("SELECT min(day) FROM imports").fetchone()[0]
        return None if first is None else date.fromisoformat(first)

    def may_be_shown(self, person: str, filmed_on: date, used_on: date, *, recognised: bool = True) -> Answer:
        """The rules' answer (`pipeline.consent.may_be_shown`) for one person; someone unknown is a no."""
        return may_be_shown(self.record(person), filmed_on, used_on, self._terms, recognised=recognised)

    def record(self, person: str) -> ConsentRecord:
        """All that is known of one person's consent."""
        with self._lock, _told(self._path), database.reading(self._connection):
            return self._history().record(person)

    def people(self, on: date, within: int = 0) -> list[RegisteredPerson]:
        """Everyone whom the register knew on the day ``on``, by id, with the answers for that day.

        ``within``: say whose consent ends in so many days.
        """
        with self._lock, _told(self._path), database.reading(self._connection):
            history = self._history()
        found: list[RegisteredPerson] = []
        for person in sorted(history.versions):
            known = [version for version in history.versions[person] if history.days[version.import_number] <= on]
            if known:
                listed = known[-1].listed
                record = history.record(person, on)
                found.append(
                    RegisteredPerson(
                        id=person,
                        name=" ".join(filter(None, (listed.first_name, listed.infix, listed.last_name))),
                        group=listed.group,
                        portrait_folder=listed.portrait_folder,
                        answer=may_be_shown(record, on, on, self._terms),
                        filmed=may_be_shown(record, on, on, self._terms, recognised=False),
                        ending=ending(record, on, within, self._terms),
                        staff=known[-1].import_number in history.staff,
                    )
                )
        return found

    def selves(self, person: str) -> list[str]:
        """The other numbers that seem to be the same person: a withdrawal under any of them counts for all."""
        with self._lock, _told(self._path), database.reading(self._connection):
            return self._history().selves(person)

    def unasked_selves(self, person: str, double: str) -> list[str]:
        """The other numbers of ``double``, but for ``person`` and those of which it was asked by themselves whether
        they look like ``person``: what was said of these counts."""
        asked = {pair for one, other, _ in self.alikes() for pair in ((one, other), (other, one))}
        return [one for one in self.selves(double) if one != person and (person, one) not in asked]

    def portrait_folder(self, person: str) -> str | None:
        """The folder that the latest list names for this person; None when it names none or leaves the person out."""
        with self._lock, _told(self._path), database.reading(self._connection):
            current = self._history().current(person)
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
            answer = may_be_shown(record, day, day, self._terms)
            folder = None if current is None else current.listed.portrait_folder
            state.append([repr(record), repr(answer), folder])
        alike = [list(pair) for pair in self.alikes()]
        return hashlib.sha256(json.dumps([repr(self._terms), state, alike]).encode()).hexdigest()

    def listed_on(self, person: str, day: date) -> bool:
        """Whether a list that counted on ``day`` held this person, whatever it said of them."""
        rows = self.record(person).rows
        return any(row.imported <= day and (row.superseded is None or day < row.superseded) for row in rows)

    def left_out_on(self, person: str, day: date) -> bool:
        """Whether the list that counted on ``day`` did not hold this person, who stood on another: they were not at the
        school. Before the first list of their kind nobody can tell."""
        with self._lock, _told(self._path), database.reading(self._connection):
            history = self._history()
        kinds = {version.import_number in history.staff for version in history.versions.get(person, ())}
        told = {number in history.staff for number, imported in history.days.items() if imported <= day}
        return bool(kinds & told) and not self.listed_on(person, day)

    def decide_alike(self, one: str, other: str, people: int, by: str) -> None:
        """Keep somebody's word that two who look alike are ``people`` (1 or 2) people; the latest word counts."""
        for person in (one, other):
            self._refuse_unknown(person)
        if one == other:
            raise ConsentError("{person} is one number; name the two that look alike.", person=one)
        self._note(one, other, people, by)

    def note_alikes(self, found: Iterable[tuple[str, str]], compared: Collection[str]) -> None:
        """Remember which pairs the program found alike, until somebody decides; ``compared``: everyone it looked at.

        What it once found counts until both are compared again, because one of two may have withdrawn meanwhile.
        """
        known = {(one, other): people for one, other, people in self.alikes()}
        pairs = {(min(pair), max(pair)) for pair in found}
        for one, other in sorted(pairs - set(known)):
            self._note(one, other, UNDECIDED, "")
        for pair, people in known.items():
            if people == UNDECIDED and pair not in pairs and set(pair) <= set(compared):
                with self._lock, _told(self._path), database.writing(self._connection):
                    self._connection.execute("DELETE FROM alikes WHERE one = ? AND other = ? AND people = 0", pair)

    def _note(self, one: str, other: str, people: int, by: str) -> None:
        with self._lock, _told(self._path), database.writing(self._connection):
            self._connection.execute(
                "INSERT INTO alikes (at, one, other, people, decided_by) VALUES (?, ?, ?, ?, ?)",
                (database.now(), min(one, other), max(one, other), people, by),
            )

    def alikes(self) -> list[tuple[str, str, int]]:
        """Pairs of numbers that look alike, with how many people they are (or UNDECIDED); the first sorts first."""
        with self._lock, _told(self._path):
            rows = self._connection.execute("SELECT one, other, people FROM alikes ORDER BY number").fetchall()
        return [(*pair, people) for pair, people in {(one, other): people for one, other, people in rows}.items()]

    def decisions(self) -> dict[tuple[str, str], tuple[str, int, str]]:
        """The latest word of a person on each pair: when it was said (as `database.now`), how many people, and by whom.

        The pair's first sorts first.
        """
        asked = "SELECT one, other, at, people, decided_by FROM alikes WHERE people != ? ORDER BY number"
        with self._lock, _told(self._path):
            rows = self._connection.execute(asked, (UNDECIDED,)).fetchall()
        return {(one, other): (at, people, by) for one, other, at, people, by in rows}

    def _refuse_unknown(self, person: str) -> None:
        if not self.knows(person):
            raise ConsentError(
                "There is no {person} in the register {file}; look the number up with lesveil consent list.",
                person=person,
                file=self._path,
            )

    def _base(self) -> str:
        imports = self._connection.execute("SELECT count(*) FROM imports").fetchone()[0]
        withdrawals = self._connection.execute("SELECT count(*) FROM withdrawals").fetchone()[0]
        alikes = self._connection.execute("SELECT max(number) FROM alikes").fetchone()[0]
        return f"{imports}.{withdrawals}.{alikes}"

    def _history(self) -> History:
        """The whole memory, read anew once anything in it was changed, here or by another process, or a day began."""
        changed = self._connection.execute("PRAGMA data_version").fetchone()[0]  # by others
        today = day_of(database.now())
        state = (changed, self._connection.total_changes, today)
        if self._known is None or self._known[0] != state:
            imports = self._connection.execute("SELECT number, at, day, list FROM imports").fetchall()
            days = {number: _counted(at, day, today) for number, at, day, _ in imports}
            staff = frozenset(number for number, _, _, kind in imports if kind == "staff")
            versions: dict[str, list[Version]] = defaultdict(list)
            for row in self._connection.execute(f"SELECT {VERSION} FROM versions ORDER BY import, row"):
                versions[row[2]].append(from_row(row))
            decided = {(one, other): people for one, other, people in self.alikes()}
            self._known = state, History(days, dict(versions), self._withdrawals(), staff, decided)
        return self._known[1]

    def _withdrawals(self) -> dict[str, list[Withdrawal]]:
        """All that were said here; none that was entered while the clock ran ahead once it was settled, or said again:
        that has another row."""
        asked = "SELECT number, at, person, day, entered_by FROM withdrawals ORDER BY number"
        rows, today = self._connection.execute(asked).fetchall(), day_of(database.now())
        settled = {
            who: number for number, at, who, day, _ in rows if day_of(at).isoformat() == day <= today.isoformat()
        }
        found: dict[str, list[Withdrawal]] = defaultdict(list)
        for number, at, who, day, by in rows:
            if day_of(at) <= today or settled.get(who, 0) < number:
                found[who].append(Withdrawal(_counted(at, day, today), f"withdrawal {number}", by))
        return dict(found)


def _counted(at: str, day: str, today: date) -> date:
    """The day from which something counts that was entered at the moment ``at`` under a day: today at the latest where
    the clock ran ahead then."""
    own = date.fromisoformat(day)
    return min(own, today) if day_of(at) > today else own


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk say into one sentence."""
    try:
        with database.passing(path):
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
