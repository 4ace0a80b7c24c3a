"""One line of the school's list, understood; and what the lines say of each other.

A cell that is blank, not understood or contradicted by another is a no, and is remarked upon with its row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from pipeline.adapters import consent_cells as cells
from pipeline.adapters.consent_cells import Cell
from pipeline.adapters.consent_headers import Columns
from pipeline.adapters.consent_layout import Layout
from pipeline.consent import OWN_WORD_FROM, Giver, has_reached

OLDEST = 1900
"""Birth years before this are somebody's typing."""

READERS: dict[str, Callable[[Cell], Any]] = {
    "birth": cells.day,
    "granted": cells.yes_or_no,
    "recognition": cells.yes_or_no,
    "giver": cells.giver,
    "start": cells.day,
    "end": cells.day,
    "withdrawn": cells.day_of_withdrawal,
    "portrait_folder": cells.folder,
}
"""The fields whose cells can be wrong; names and the group are taken as they are."""


@dataclass(frozen=True)
class Remark:
    """Something in the list that a person should look at. ``row`` counts from 1 as a spreadsheet shows it.

    ``template`` has the fields ``{row}``, ``{column}``, ``{number}`` and ``{other}`` (the numbers of two lines that the
    remark is about); the command line translates it. The cell's content is left out on purpose: where columns were
    swapped it is somebody's name.
    """

    row: int
    column: str
    template: str
    number: str = ""
    other: str = ""

    @property
    def fields(self) -> dict[str, object]:
        return {"row": self.row, "column": self.column, "number": self.number, "other": self.other}

    def __str__(self) -> str:
        return self.template.format(**self.fields)


@dataclass(frozen=True)
class ListedPerson:
    """One line of the school's list as it was understood; what was not understood is already a no."""

    row: int
    id: str
    first_name: str
    infix: str
    last_name: str
    group: str
    portrait_folder: str | None
    birth: date | None
    purpose: str
    granted: bool
    recognition: bool
    giver: Giver
    start: date | None
    end: date | None
    withdrawn: date | None

    def __repr__(self) -> str:
        # A traceback or a log line that shows this object must not show the person's name.
        return f"ListedPerson(row={self.row}, id={self.id!r})"

    @property
    def says_yes(self) -> bool:
        return self.granted and self.recognition


@dataclass
class Sheet:
    """A list while it is being read. ``lines`` are the rows under the header that hold anything, with their number.

    ``hidden`` and ``merged`` as in `Table`.
    """

    file: str
    columns: Columns
    layout: Layout
    today: date
    lines: list[tuple[int, Sequence[Cell]]]
    hidden: frozenset[int] = frozenset()
    merged: frozenset[int] = frozenset()
    remarks: list[Remark] = field(default_factory=list)

    @property
    def unsaid(self) -> Giver:
        """Who is taken to have given consent where the list does not say."""
        if self.layout.staff:
            return Giver.STAFF_FORM
        return Giver.ADMINISTRATION if self.layout.giver == Giver.ADMINISTRATION else Giver.UNKNOWN

    def read(self, name: str, cell: Cell) -> Any:
        """The value of a cell of the field ``name``, None for a blank one; ValueError when it is not understood."""
        if name in ("granted", "recognition"):
            return cells.yes_or_no(cell, *self.layout.words)
        return READERS.get(name, cells.text)(cell)

    def cell(self, row: Sequence[Cell], name: str) -> Cell:
        return row[self.columns.index[name]] if name in self.columns.index else None

    def place(self, number: int | str, name: str) -> dict[str, object]:
        """The fields ``file``, ``row`` and ``column`` of a message."""
        return {"file": self.file, "row": number, "column": self.columns.title.get(name, "")}

    def remark(self, row: int, name: str, template: str, *people: str) -> None:
        self.remarks.append(Remark(row, self.columns.title.get(name, ""), template, *people))


def rows(numbers: Sequence[int | str]) -> str:
    """Row numbers, or people's, for a message; the first ten of many."""
    return ", ".join(map(str, numbers[:10])) + (", …" if len(numbers) > 10 else "")


def person(sheet: Sheet, number: int, row: Sequence[Cell]) -> ListedPerson:
    """The person on one line, whose number is known to be one."""
    value = {name: _read(sheet, number, row, name) for name in READERS}
    unclear = [name for name in ("giver", "start", "end", "withdrawn") if isinstance(value[name], ValueError)]
    clean = {name: None if isinstance(value[name], ValueError) else value[name] for name in READERS}
    first_name, infix, last_name = _names(sheet, row)
    giver = clean["giver"] or (Giver.UNKNOWN if "giver" in unclear else sheet.unsaid)
    listed = ListedPerson(
        row=number,
        id=cells.number(sheet.cell(row, "id")) or "",
        first_name=first_name,
        infix=infix,
        last_name=last_name,
        group=cells.text(sheet.cell(row, "group")),
        portrait_folder=clean["portrait_folder"],
        birth=clean["birth"],
        purpose=sheet.layout.purpose,
        # A day or a giver that cannot be read may be a limit to the yes beside it.
        granted=bool(clean["granted"]) and not unclear,
        recognition=bool(clean["recognition"]),
        giver=Giver.STAFF_FORM if sheet.layout.staff and giver is Giver.STAFF else giver,
        start=clean["start"],
        end=clean["end"],
        withdrawn=clean["withdrawn"],
    )
    listed = _looked_at(sheet, listed)
    return _without_contradictions(sheet, listed, said=[n for n in READERS if value[n] is not None])


def _names(sheet: Sheet, row: Sequence[Cell]) -> tuple[str, str, str]:
    """First name, infix and last name. Of a list with whole names in one column the last holds all that is in it."""
    first, infix, last, whole = (
        cells.text(sheet.cell(row, name)) for name in ("first_name", "infix", "last_name", "name")
    )
    if last or not whole:
        return first, infix, last
    held = set(cells.plain(whole).split())
    first, infix = ("" if set(cells.plain(part).split()) <= held else part for part in (first, infix))
    return first, infix, whole


def _looked_at(sheet: Sheet, listed: ListedPerson) -> ListedPerson:
    """``listed`` as a no where nobody who looked at the sheet can have seen, or can tell, what its row says."""
    if listed.row in sheet.merged:
        sheet.remark(listed.row, "", "Row {row}: cells are merged with others, so the answer is no; split them.")
    if listed.row in sheet.hidden:
        sheet.remark(listed.row, "", "Row {row}: this row is hidden in the sheet, so the answer is no; show it.")
    if listed.row in sheet.merged or listed.row in sheet.hidden:
        return replace(listed, granted=False, recognition=False)
    return listed


def _read(sheet: Sheet, number: int, row: Sequence[Cell], name: str) -> Any:
    """The cell's value, None for a blank one, the ValueError for one that is not understood."""
    try:
        found = sheet.read(name, sheet.cell(row, name))
    except ValueError as error:
        if sheet.cell(row, name) == cells.NO_RESULT:
            sheet.remark(
                number,
                name,
                "Row {row}: {column} is a formula whose result is not in the file, so the answer is no; open the file"
                " in Excel and save it.",
            )
        else:
            sheet.remark(number, name, "Row {row}: {column} was not understood, so the answer is no.")
        return error
    expected = ("granted", "recognition") if sheet.layout.staff else ("birth", "granted", "recognition")
    if found is None and name in expected and name in sheet.columns.index:
        sheet.remark(number, name, "Row {row}: {column} is blank, so the answer is no.")
    return found


def _without_contradictions(sheet: Sheet, listed: ListedPerson, said: Sequence[str]) -> ListedPerson:
    """``listed`` with what cannot be true made a no, and remarks on what does not count. ``said``: cells not blank."""

    def remark(name: str, template: str) -> None:
        sheet.remark(listed.row, name, template)

    birth, start = listed.birth, listed.start
    if birth and (birth > sheet.today or birth.year < OLDEST or (start and birth >= start)):
        remark("birth", "Row {row}: {column} cannot be true, so the answer is no.")
        listed, birth = replace(listed, birth=None), None
    if start and start > sheet.today:
        remark("start", "Row {row}: {column} lies in the future; until that day the answer is no.")
    if listed.end and start and listed.end <= start:
        remark("end", "Row {row}: {column} comes before the consent, so the answer is no.")
    if listed.withdrawn and start and listed.withdrawn < start:
        remark("withdrawn", "Row {row}: {column} comes before the consent, so the answer is no.")
    if {"granted", "recognition"} <= set(said) and listed.recognition and not listed.granted:
        remark("recognition", "Row {row}: {column} is yes but filming is not agreed to, so the answer is no.")
    if sheet.layout.staff and listed.granted and listed.giver is not Giver.STAFF_FORM:
        remark("giver", "Row {row}: {column} is not the member of staff, so the answer is no.")
        listed = replace(listed, granted=False, recognition=False)
    if listed.granted and listed.giver is Giver.UNKNOWN:
        remark("giver", "Row {row}: {column} does not say whose word it is, so the answer is no.")
    if listed.granted and listed.giver is Giver.STAFF and listed.group:
        remark("giver", "Row {row}: {column} says staff but the row is a pupil's, so the answer is no.")
        listed = replace(listed, granted=False, recognition=False)
    if listed.granted and birth:
        grown = has_reached(OWN_WORD_FROM, birth, sheet.today)
        if grown and listed.giver is Giver.PARENT:
            remark("giver", "Row {row}: from 16 the pupil's own word is needed ({column}), so the answer is no.")
        if not grown and listed.giver is Giver.PUPIL:
            remark("giver", "Row {row}: under 16 a parent's word is needed ({column}), so the answer is no.")
    return listed
