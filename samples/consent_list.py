"""The consent list as a school's administration exports it: semicolons, cp1252, Dutch headers, blank means no."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from .cast import CAST

HEADERS = (
    "Leerlingnummer", "Roepnaam", "Tussenvoegsel", "Achternaam", "Geboortedatum", "Klas", "Beeldcoaching",
    "Gezichtsherkenning", "Toestemming van", "Datum toestemming", "Datum intrekking", "Portretmap",
)  # fmt: skip
GROUP = "3HA"
STAFF = "medewerker"


@dataclass(frozen=True)
class _Line:
    """``age`` in years and a few months on the day; days are counted back from it."""

    id: str
    first: str
    infix: str
    last: str
    age: float
    filmed: str = ""
    recognised: str = ""
    giver: str = ""
    given: int | None = None
    withdrawn: int | None = None


def _lines() -> tuple[_Line, ...]:
    number = {name: member.id for name, member in CAST.items()}
    return (
        _Line(number["teacher"], "Geertje", "", "Hulzebosch", 58.4, "Ja", "Ja", STAFF, 75),
        _Line(number["zoe"], "Zoë", "", "Brandsma", 16.7, "Ja", "Ja", "leerling", 68),
        _Line(number["renee"], "Renée", "de", "Groot", 14.6, "Ja", "Ja", "ouder", 66),
        _Line(number["jurgen"], "Jürgen", "van 't", "Hoff", 15.3, "Ja", "Ja", "ouder", 67, 6),
        _Line(number["aicha"], "Aïcha", "", "el Amrani", 15.1, "Nee", "Nee", "ouder", 64),
        _Line(number["chloe"], "Chloé", "van den", "Berg", 14.9, "Ja", "Nee", "ouder", 65),
        _Line(number["andre"], "André", "", "Pruis", 16.4),
        _Line("41251", "Björn", "", "Sikkema", 15.6, "Nee", "Nee", "ouder", 60),
        _Line("41259", "Maaike", "te", "Velde", 14.8),
        _Line("41263", "Françoise", "", "Oosterhuis", 16.2, "Ja", "", "leerling", 58),
    )


def make_consent_list(path: Path, today: date) -> list[dict[str, Any]]:
    """Write the list as it stands on ``today`` and return its people: number, name, whether seen, whether withdrawn.

    Invented names. An existing file is not written over: FileExistsError.
    """
    sheet = io.StringIO(newline="")
    writer = csv.writer(sheet, delimiter=";", lineterminator="\r\n")
    writer.writerow(HEADERS)
    members = {member.id: member for member in CAST.values()}
    people: list[dict[str, Any]] = []

    def back(days: float | None) -> str:
        return "" if days is None else (today - timedelta(days=round(days))).strftime("%d-%m-%Y")

    for line in _lines():
        member = members.get(line.id)
        portraits = line.id if member is not None and member.portraits else ""
        group = "" if line.giver == STAFF else GROUP
        writer.writerow(
            (
                line.id, line.first, line.infix, line.last, back(line.age * 365.25), group, line.filmed,
                line.recognised, line.giver, back(line.given), back(line.withdrawn), portraits,
            )
        )  # fmt: skip
        people.append(
            {
                "id": line.id,
                "name": " ".join(part for part in (line.first, line.infix, line.last) if part),
                "may_be_seen": member is not None and member.may_be_seen,
                "withdrawn": line.withdrawn is not None,
                "in_the_lesson": member is not None,
            }
        )
    with path.open("xb") as file:
        file.write(sheet.getvalue().encode("cp1252"))
    return people
