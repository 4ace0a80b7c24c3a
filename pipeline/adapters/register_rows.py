"""The register's tables, and how a version of a person is written into one and read from it."""

from __future__ import annotations

from datetime import date
from typing import Any

from pipeline.adapters import database
from pipeline.adapters.consent_rows import ListedPerson
from pipeline.adapters.register_plan import Version
from pipeline.consent import Giver

MIGRATIONS: database.Migrations = (
    (
        "CREATE TABLE imports (number INTEGER PRIMARY KEY, at TEXT NOT NULL, day TEXT NOT NULL, file TEXT NOT NULL,"
        " sha256 TEXT NOT NULL, people INTEGER NOT NULL) STRICT",
        "CREATE TABLE versions (import INTEGER NOT NULL REFERENCES imports, row INTEGER NOT NULL, person TEXT NOT NULL,"
        " first_name TEXT NOT NULL, infix TEXT NOT NULL, last_name TEXT NOT NULL, class TEXT NOT NULL,"
        " portrait_folder TEXT, birth TEXT, purpose TEXT NOT NULL, granted INTEGER NOT NULL,"
        " recognition INTEGER NOT NULL, giver TEXT NOT NULL, start TEXT, until TEXT, withdrawn TEXT,"
        " since TEXT NOT NULL, superseded_by INTEGER REFERENCES imports, PRIMARY KEY (person, import)) STRICT",
        "CREATE TABLE withdrawals (number INTEGER PRIMARY KEY, at TEXT NOT NULL, person TEXT NOT NULL,"
        " day TEXT NOT NULL, UNIQUE (person, day)) STRICT",
    ),
    (
        "ALTER TABLE imports ADD COLUMN list TEXT NOT NULL DEFAULT 'pupils' CHECK (list IN ('pupils', 'staff'))",
        "CREATE TABLE alikes (number INTEGER PRIMARY KEY, at TEXT NOT NULL, one TEXT NOT NULL, other TEXT NOT NULL,"
        " people INTEGER NOT NULL CHECK (people IN (0, 1, 2)), decided_by TEXT NOT NULL, CHECK (one < other)) STRICT",
    ),
    ("ALTER TABLE withdrawals ADD COLUMN entered_by TEXT NOT NULL DEFAULT ''",),
)
"""How the tables came about. A version that was ever released is never changed: what is needed is added below it."""
VERSION = (
    "import, row, person, first_name, infix, last_name, class, portrait_folder, birth, purpose, granted, recognition,"
    " giver, start, until, withdrawn, since, superseded_by"
)
"""The columns of a version, in the order of `to_row`."""


def to_row(version: Version) -> tuple[Any, ...]:
    """The cells of VERSION for ``version``."""
    one = version.listed
    return (
        version.import_number,
        one.row,
        one.id,
        one.first_name,
        one.infix,
        one.last_name,
        one.group,
        one.portrait_folder,
        _iso(one.birth),
        one.purpose,
        int(one.granted),
        int(one.recognition),
        one.giver.value,
        _iso(one.start),
        _iso(one.end),
        _iso(one.withdrawn),
        _iso(version.since),
        version.superseded_by,
    )


def from_row(row: tuple[Any, ...]) -> Version:
    """The version whose cells of VERSION are ``row``."""
    listed = ListedPerson(
        row=row[1],
        id=row[2],
        first_name=row[3],
        infix=row[4],
        last_name=row[5],
        group=row[6],
        portrait_folder=row[7],
        birth=_day(row[8]),
        purpose=row[9],
        granted=row[10] == 1,
        recognition=row[11] == 1,
        giver=Giver(row[12]),
        start=_day(row[13]),
        end=_day(row[14]),
        withdrawn=_day(row[15]),
    )
    return Version(listed, row[0], date.fromisoformat(row[16]), row[17])


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
