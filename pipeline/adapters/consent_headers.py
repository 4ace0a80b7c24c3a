"""Which column of the school's list holds what.

No vendor documents its export, so headers are recognised by the words that schools use, in Dutch and English.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from pipeline.adapters.consent_cells import Cell, plain, text
from pipeline.adapters.consent_layout import KEYS, Layout
from pipeline.consent import PURPOSE, Giver
from pipeline.errors import ConsentError

WITHIN = 10
"""Rows from the top among which the header is looked for; some exports begin with a title."""

_KNOWN: dict[str, str] = {
    "id": "Leerlingnummer|leerlingnr|leerling nr|leerling nummer|lln nr|llnr|lln nummer|llnnummer|stamnummer|stamnr"
    "|stam nr|studentnummer|student number|student id|pupil number|personeelsnummer",
    "first_name": "Roepnaam|roepn|voornaam|voorn|first name|given name",
    "infix": "Tussenvoegsel|tussenvoegsels|tussenv|tussenvoegs|voorvoegsel|voorvoegsels|infix|name prefix",
    "last_name": "Achternaam|achtern|geslachtsnaam|surname|last name|family name",
    "name": "Naam|volledige naam|naam leerling|naam medewerker|naam docent|name|full name",
    "birth": "Geboortedatum|geb datum|gebdatum|date of birth|birth date|birthdate|dob",
    "group": "Klas|groep|stamgroep|stamklas|class|group|form",
    "recognition": "Gezichtsherkenning|toestemming gezichtsherkenning|herkenning|face recognition"
    "|facial recognition|recognition",
    "giver": "Toestemming van|toestemming door|gegeven door|toestemming gegeven door|consent given by"
    "|consent from|consent by|given by|ingevuld door|ondertekend door|getekend door|akkoord door|door wie|wie"
    "|verklaring van|relatie|rol ondertekenaar|signed by|relationship",
    "start": "Datum toestemming|toestemmingsdatum|toestemming op|toestemming vanaf|ingangsdatum"
    "|date of consent|consent date|start date|ingevuld op|datum ingevuld|invuldatum|ondertekend op|getekend op"
    "|datum ondertekening|ondertekeningsdatum|datum formulier|antwoorddatum|datum antwoord|datum akkoord|akkoord op"
    "|toestemming gegeven op|gegeven op|date signed|signed on",
    "end": "Geldig tot|toestemming tot|toestemming geldig tot|einddatum|einddatum toestemming|valid until|consent until"
    "|end date|consent end date|consent valid until",
    "withdrawn": "Datum intrekking|intrekkingsdatum|datum intrekking toestemming|ingetrokken op|ingetrokken"
    "|toestemming ingetrokken op|toestemming ingetrokken|date of withdrawal|withdrawal date|withdrawn on|withdrawn"
    "|consent withdrawn on|consent withdrawn",
    "portrait_folder": "Portretmap|portret map|map portretten|portrait folder|portraits",
}
"""Each field with its headers, the one that we would write first; compared without case, accents or punctuation."""
_ALSO_COACHING = ("video coaching", "videocoaching", "coaching")
_KNOWN_STAFF = {
    "id": "Personeelsnummer|personeelsnr|medewerkernummer|medewerkernr|docentcode|docentafkorting|afkorting"
    "|staff number|staff id|employee number|teacher code"
}


@dataclass(frozen=True)
class Columns:
    """Where the header stands (index into the table), and for each field its column and the header as written."""

    header: int
    width: int
    index: Mapping[str, int]
    title: Mapping[str, str]


def recognised(row: Sequence[Cell], layout: Layout) -> list[tuple[int, str]]:
    """The cells of ``row`` that are headers: (column, field)."""
    ignored = set(map(plain, layout.ignored))
    # A column that lesveil.toml names is the only one for its field, and is for nothing else.
    field_of = {w: name for w, name in known(layout).items() if name not in layout.columns and w not in ignored}
    field_of |= {plain(header): name for name, header in layout.columns.items()}
    return [(at, field_of[word]) for at, cell in enumerate(row) if (word := plain(cell)) and word in field_of]


def known(layout: Layout) -> dict[str, str]:
    """Every header that is known without lesveil.toml, with its field."""
    field_of = {plain(word): name for name, words in _KNOWN.items() for word in words.split("|")}
    field_of |= dict.fromkeys((plain(layout.purpose), plain(f"toestemming {layout.purpose}")), "granted")
    if layout.purpose == PURPOSE:
        field_of |= dict.fromkeys(_ALSO_COACHING, "granted")
    if layout.staff:  # by a pupil's number the wrong list is known
        field_of = {word: name for word, name in field_of.items() if name != "id"}
        field_of |= {plain(word): name for name, words in _KNOWN_STAFF.items() for word in words.split("|")}
    for name in _KNOWN | {"granted": ""}:
        field_of |= dict.fromkeys(map(plain, layout.headers(name)), name)
    return field_of


def find_columns(table: Sequence[Sequence[Cell]], layout: Layout, file: str) -> Columns:
    """The header of ``table``; ConsentError when there is none, when it lacks a column or has one twice."""
    _refuse_double_mapping(layout, file)
    found = [recognised(row, layout) for row in table[:WITHIN]]
    best = max(range(len(found)), key=lambda at: len(found[at]), default=0)
    if not found or not found[best]:
        raise ConsentError(
            "{file} has no row with headers such as Leerlingnummer and Geboortedatum; export it with its headers.",
            file=file,
        )
    index: dict[str, int] = {}
    for at, name in found[best]:
        if name in index:
            raise ConsentError(
                "{file}, row {row}: the columns {one} and {other} hold the same thing; keep the one that counts, and"
                " remove the other or name that in lesveil.toml under [consent] ignore.",
                file=file,
                row=best + 1,
                one=text(table[best][index[name]]),
                other=text(table[best][at]),
            )
        index[name] = at
    _refuse_missing(layout, index, file, best + 1, set(map(plain, table[best])))
    written = {name: text(table[best][at]) for name, at in index.items()}
    return Columns(best, len(table[best]), index, written)


def _refuse_missing(layout: Layout, index: Mapping[str, int], file: str, row: int, written: Set[str]) -> None:
    """``written``: the headers in that row, as `plain` gives them."""
    titles = {name: words.partition("|")[0] for name, words in _KNOWN.items()} | {
        "granted": layout.purpose.capitalize()
    }
    if layout.staff:
        titles["id"] = _KNOWN_STAFF["id"].partition("|")[0]
    titles |= layout.columns
    required = ["id", "granted"] + ["birth"] * (not layout.staff) + ["recognition"] * layout.asks_recognition
    named = [name for name in layout.columns if name != "recognition" or layout.asks_recognition]
    missing = {name: titles[name] for name in dict.fromkeys([*required, *named]) if name not in index}
    if missing:
        place = {"file": file, "row": row, "n": len(missing), "columns": ", ".join(missing.values())}
        if layout.staff:  # [consent.columns] is about the pupils' list
            raise ConsentError(
                "{file}, row {row}: {n} {n:column|columns} of the staff's list {n:is|are} missing ({columns}); export"
                " it again with {n:it|them}, or call the {n:column|columns} so.",
                **place,
            )
        if written & {plain(word) for words in _KNOWN_STAFF.values() for word in words.split("|")}:
            raise ConsentError(
                "{file}, row {row}: {n} {n:column|columns} of the pupils' list {n:is|are} missing ({columns}), and this"
                " looks like the staff's; import that with --staff.",
                **place,
            )
        if list(missing) == ["recognition"]:
            raise ConsentError(
                "{file}, row {row}: there is no column {column}; export the list again with it, say in lesveil.toml"
                ' under [consent.columns] what it is called here (recognised = "…"), or, if nobody is to be recognised,'
                " write there under [consent] asks_recognition = false.",
                file=file,
                row=row,
                column=missing["recognition"],
            )
        raise ConsentError(
            "{file}, row {row}: {n} {n:column|columns} {n:is|are} missing ({columns}); export the list again with"
            " {n:it|them}, or say in lesveil.toml under [consent.columns] what {n:it is|they are} called here: {keys}.",
            **place,
            keys=", ".join(f'{KEYS[name]} = "…"' for name in missing),
        )
    if "giver" not in index and layout.giver != Giver.ADMINISTRATION and not layout.staff:
        raise ask_whose_word(file, row)


def ask_whose_word(file: str, row: int) -> ConsentError:
    """The question that an import stops with when the list does not say whose word it holds."""
    return ConsentError(
        "{file}, row {row}: there is no column Toestemming van that is filled in, so the list does not say whose word"
        ' it holds; export it with that column, or state in lesveil.toml under [consent] giver = "administration" that'
        " the school checked it.",
        file=file,
        row=row,
    )


def _refuse_double_mapping(layout: Layout, file: str) -> None:
    headers = [plain(header) for header in layout.columns.values()]
    twice = next((header for header in headers if not header or headers.count(header) > 1), None)
    if twice is not None:
        raise ConsentError(
            "{file} cannot be read: in lesveil.toml [consent.columns] the header {header} is given to two things, or is"
            " no header.",
            file=file,
            header=repr(twice),
        )
