"""Which column of the school's list holds what.

No vendor documents its export, so headers are recognised by the words that schools use, in Dutch and English.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.adapters.consent_cells import Cell, plain, text
from pipeline.consent import PURPOSE
from pipeline.errors import ConsentError

WITHIN = 10
"""Rows from the top among which the header is looked for; some exports begin with a title."""

_KNOWN: dict[str, str] = {
    "id": "Leerlingnummer|leerlingnr|leerling nr|stamnummer|stamnr|studentnummer"
    "|student number|student id|pupil number|personeelsnummer",
    "first_name": "Roepnaam|voornaam|first name|given name",
    "infix": "Tussenvoegsel|tussenvoegsels|voorvoegsel|voorvoegsels|infix|name prefix",
    "last_name": "Achternaam|geslachtsnaam|surname|last name|family name",
    "birth": "Geboortedatum|geb datum|gebdatum|date of birth|birth date|birthdate|dob",
    "group": "Klas|groep|stamgroep|stamklas|class|group|form",
    "recognition": "Gezichtsherkenning|toestemming gezichtsherkenning|herkenning|face recognition"
    "|facial recognition|recognition",
    "giver": "Toestemming van|toestemming door|gegeven door|toestemming gegeven door|consent given by"
    "|consent from|consent by|given by",
    "start": "Datum toestemming|toestemmingsdatum|toestemming op|toestemming vanaf|ingangsdatum"
    "|date of consent|consent date|start date",
    "end": "Geldig tot|toestemming tot|einddatum|valid until|consent until|end date",
    "withdrawn": "Datum intrekking|intrekkingsdatum|ingetrokken op|ingetrokken|date of withdrawal"
    "|withdrawal date|withdrawn on|withdrawn",
    "portrait_folder": "Portretmap|portret map|map portretten|portrait folder|portraits",
}
"""Each field with its headers, the one that we would write first; compared without case, accents or punctuation."""
_ALSO_COACHING = ("video coaching", "videocoaching", "coaching")
_REQUIRED = ("id", "birth", "granted", "recognition")


@dataclass(frozen=True)
class Columns:
    """Where the header stands (index into the table), and for each field its column and the header as written."""

    header: int
    width: int
    index: Mapping[str, int]
    title: Mapping[str, str]


def recognised(row: Sequence[Cell], purpose: str) -> list[tuple[int, str]]:
    """The cells of ``row`` that are headers: (column, field)."""
    field_of = {plain(word): field for field, words in _KNOWN.items() for word in words.split("|")}
    field_of |= dict.fromkeys((plain(purpose), plain(f"toestemming {purpose}")), "granted")
    if purpose == PURPOSE:
        field_of |= dict.fromkeys(_ALSO_COACHING, "granted")
    return [(at, field_of[word]) for at, cell in enumerate(row) if (word := plain(cell)) in field_of]


def find_columns(table: Sequence[Sequence[Cell]], purpose: str, giver_is_told: bool, file: str) -> Columns:
    """The header of ``table``; ConsentError when there is none, when it lacks a column or has one twice.

    ``giver_is_told``: lesveil.toml states whose word the list holds, so that the list need not.
    """
    found = [recognised(row, purpose) for row in table[:WITHIN]]
    best = max(range(len(found)), key=lambda at: len(found[at]), default=0)
    if not found or not found[best]:
        raise ConsentError(
            "{file} has no row with headers such as Leerlingnummer and Geboortedatum; export it with its headers.",
            file=file,
        )
    index: dict[str, int] = {}
    for at, field in found[best]:
        if field in index:
            raise ConsentError(
                "{file}, row {row}: the columns {one} and {other} hold the same thing; keep the one that counts and"
                " remove the other.",
                file=file,
                row=best + 1,
                one=text(table[best][index[field]]),
                other=text(table[best][at]),
            )
        index[field] = at
    titles = {field: words.partition("|")[0] for field, words in _KNOWN.items()} | {"granted": purpose.capitalize()}
    missing = [titles[field] for field in _REQUIRED if field not in index]
    if missing:
        raise ConsentError(
            "{file}, row {row}: there is no column {columns}; export the list again with it.",
            file=file,
            row=best + 1,
            columns=", ".join(missing),
        )
    if "giver" not in index and not giver_is_told:
        raise ConsentError(
            "{file}, row {row}: there is no column Toestemming van, so the list does not say whose word it holds;"
            ' export it with that column, or state in lesveil.toml under [consent] giver = "administration" that the'
            " school checked it.",
            file=file,
            row=best + 1,
        )
    written = {field: text(table[best][at]) for field, at in index.items()}
    return Columns(best, len(table[best]), index, written)
