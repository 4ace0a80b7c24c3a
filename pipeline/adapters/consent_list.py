"""From a table of cells to the people on the school's list.

A table that cannot be trusted as a whole is refused: columns swapped, a row cut short, two answers for one person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from pipeline.adapters import consent_cells as cells
from pipeline.adapters.consent_cells import Cell, Table
from pipeline.adapters.consent_headers import ask_whose_word, find_columns
from pipeline.adapters.consent_layout import Layout
from pipeline.adapters.consent_others import may_limit, speaks_of_consent, unread
from pipeline.adapters.consent_rows import ListedPerson, Remark, Sheet, person, rows
from pipeline.consent import Giver
from pipeline.errors import ConsentError

FEW = 3
"""Fewer bad cells than this in a column are somebody's typing, not swapped columns."""

_SHAPES = {"id": cells.looks_like_number} | dict.fromkeys(("first_name", "last_name", "name"), cells.looks_like_name)
_DAYS = ("birth", "start", "end", "withdrawn")
_ANSWERS = ("granted", "recognition")


@dataclass(frozen=True)
class ConsentList:
    """A whole list that was understood. ``file`` is its name without folders, ``sha256`` of its bytes.

    ``staff``: it is the staff's own list; otherwise the pupils'. A list is full: who is not on it has no consent.
    """

    file: str
    sha256: str
    people: tuple[ListedPerson, ...]
    remarks: tuple[Remark, ...] = ()
    staff: bool = False


def understand(table: Table, file: str, sha256: str, layout: Layout, today: date) -> ConsentList:
    """Read ``table``; ConsentError when it cannot be trusted as a whole.

    ``today`` tells which dates lie in the future.
    """
    columns = find_columns(table.rows, layout, file)
    below = enumerate(table.rows[columns.header + 1 :], columns.header + 2)
    lines = [(number, row) for number, row in below if not all(map(cells.is_blank, row))]
    if not lines:
        raise ConsentError("{file} names nobody; export the list again.", file=file)
    sheet = Sheet(file, columns, layout, today, lines, hidden=table.hidden, merged=table.merged)
    _look_at_the_header(sheet, table)
    _refuse_wrong_widths(sheet)
    _look_at_other_columns(sheet, table)
    for name in columns.index:
        _refuse_month_first(sheet, name)
        _refuse_swapped(sheet, name)
    _refuse_days_as_names(sheet)
    _refuse_without_number(sheet)
    people = [person(sheet, number, row) for number, row in lines]
    _refuse_unsaid_giver(sheet, people)
    _refuse_swapped_days(sheet, people)
    people = _one_line_each(sheet, people)
    people = _own_portraits(sheet, people)
    remarks = tuple(sorted(sheet.remarks, key=lambda remark: remark.row))
    return ConsentList(file, sha256, tuple(people), remarks, layout.staff)


def _look_at_the_header(sheet: Sheet, table: Table) -> None:
    number = sheet.columns.header + 1
    if number in table.merged:
        raise ConsentError(
            "{file}, row {row}: cells of the header are merged, so nobody can tell which column is which; split them.",
            **sheet.place(number, ""),
        )
    if cells.NO_RESULT in table.rows[sheet.columns.header]:
        raise ConsentError(
            "{file}, row {row}: a header is a formula whose result is not in the file; open the file in Excel, save it"
            " and try again.",
            **sheet.place(number, ""),
        )
    for name, at in sheet.columns.index.items():
        if at in table.hidden_columns:
            sheet.remark(number, name, "Row {row}: the column {column} is hidden in the sheet, and its answers count.")


def _look_at_other_columns(sheet: Sheet, table: Table) -> None:
    """Refuse what may limit consent under headers that are not known, all at once: the yes beside it would hold."""
    header, titles, found = table.rows[sheet.columns.header], [], set()
    for at in unread(header, sheet.layout):
        title = cells.text(header[at]) or str(at + 1)
        limits = [number for number, row in sheet.lines if may_limit(header[at], row[at], sheet.layout)]
        if limits:
            titles.append(title)
            found.add(limits[0])
        elif speaks_of_consent(header[at]) or not all(cells.is_blank(row[at]) for _, row in sheet.lines):
            sheet.remarks.append(
                Remark(
                    sheet.columns.header + 1,
                    title,
                    "Row {row}: the column {column} is not read; name it in lesveil.toml under [consent.columns] if it"
                    " counts, or under [consent] ignore.",
                )
            )
    if titles:
        raise ConsentError(
            "{file}, row {row}, column {column}: this may limit consent, and the header is not known; if it counts,"
            " call it Toestemming van, Datum toestemming, Geldig tot or Datum intrekking, name it in lesveil.toml under"
            " [consent.columns], or write a no where it limits a yes and remove the column; if it is about something"
            " else, name it there under [consent] ignore.",
            **sheet.place(rows(sorted(found)), "") | {"column": rows(titles)},
        )


def _refuse_without_number(sheet: Sheet) -> None:
    """Every row whose number is missing or is none, at once, so that administration need not try row by row."""
    missing, wrong = [], []
    for number, row in sheet.lines:
        try:
            if cells.number(sheet.cell(row, "id")) is None:
                missing.append(number)
        except ValueError:
            wrong.append(number)
    if wrong:
        raise ConsentError(
            "{file}, row {row}, column {column}: this is not a number of a person; write at most 32 letters, digits,"
            " dots or dashes, without spaces, or take the row out if it names nobody, as a total does.",
            **sheet.place(rows(wrong), "id"),
        )
    if missing:
        raise ConsentError(
            "{file}, row {row}, column {column}: the number is missing; fill it in, or remove the row.",
            **sheet.place(rows(missing), "id"),
        )


def _refuse_unsaid_giver(sheet: Sheet, people: Sequence[ListedPerson]) -> None:
    """A column for whose word it is, in which nothing stands beside any yes, says as little as none."""
    agreed = [one for one in people if one.granted]
    if agreed and all(one.giver is Giver.UNKNOWN for one in agreed) and sheet.unsaid is Giver.UNKNOWN:
        at = dict(sheet.lines)
        if all(cells.is_blank(sheet.cell(at[one.row], "giver")) for one in agreed):
            raise ask_whose_word(sheet.file, sheet.columns.header + 1)


def _refuse_wrong_widths(sheet: Sheet) -> None:
    width = sheet.columns.width
    for number, row in sheet.lines:
        if len(row) < width or not all(map(cells.is_blank, row[width:])):
            raise ConsentError(
                "{file}, row {row} has {found} {found:column|columns} where the header has {width}, so the file was "
                "cut off or cells"
                " have shifted; export the list again, or take the row out if it names nobody, as a total does.",
                **sheet.place(number, ""),
                found=len(row),
                width=width,
            )


def _refuse_month_first(sheet: Sheet, name: str) -> None:
    for number, row in sheet.lines:
        if name in _DAYS and cells.is_month_first(sheet.cell(row, name)):
            raise ConsentError(
                "{file}, row {row}, column {column}: this date has the month first, so no date of the column is sure;"
                " write dates as dd-mm-yyyy.",
                **sheet.place(number, name),
            )


def _refuse_swapped(sheet: Sheet, name: str) -> None:
    """Refuse a column most of whose cells are something else; a birth date that is blank is wrong as well."""
    filled = [(number, cell) for number, row in sheet.lines if not cells.is_blank(cell := sheet.cell(row, name))]
    wrong = [number for number, cell in filled if not _fits(sheet, name, cell)]
    due = len(filled)
    if name == "birth" and not sheet.layout.staff:
        wrong += [number for number, row in sheet.lines if cells.is_blank(sheet.cell(row, name))]
        due = len(sheet.lines)
    if 2 * len(wrong) <= due or len(wrong) < FEW:
        return
    where = sheet.place(min(wrong), name)
    if name in _DAYS:
        raise ConsentError(
            "{file}, row {row}, column {column}: most cells of this column are missing or no date, as if columns were"
            " swapped; export the list again, with dates as dd-mm-yyyy.",
            **where,
        )
    if name in _ANSWERS:
        raise ConsentError(
            "{file}, row {row}, column {column}: most cells of this column are neither yes nor no, as if columns were"
            " swapped; export the list again, or name the school's own words under [consent] yes and no in"
            " lesveil.toml.",
            **where,
        )
    raise ConsentError(
        "{file}, row {row}, column {column}: most cells of this column are missing or something else, as if columns"
        " were swapped; export the list again.",
        **where,
    )


def _refuse_days_as_names(sheet: Sheet) -> None:
    """A day where a name belongs is a cell that has shifted; what it meant, a withdrawal perhaps, would be lost."""
    for name in ("first_name", "infix", "last_name", "name", "group"):
        for number, row in sheet.lines:
            if cells.looks_like_day(sheet.cell(row, name)):
                raise ConsentError(
                    "{file}, row {row}, column {column}: there is a date in this column, as if columns were swapped;"
                    " export the list again.",
                    **sheet.place(number, name),
                )


def _fits(sheet: Sheet, name: str, cell: Cell) -> bool:
    if name in _SHAPES and not (name == "id" and sheet.layout.staff):  # a teacher's number may be letters alone
        return _SHAPES[name](cell)
    try:
        sheet.read(name, cell)
    except ValueError:
        return False
    return True


def _refuse_swapped_days(sheet: Sheet, people: Sequence[ListedPerson]) -> None:
    """Each date may be a date and yet stand in another's column; then most people contradict themselves."""
    unborn = [] if sheet.layout.staff else [listed.row for listed in people if listed.birth is None]
    yes = [listed for listed in people if listed.says_yes]
    undone = [one.row for one in yes if one.withdrawn and (one.start is None or one.withdrawn < one.start)]
    for name, wrong, due in (("birth", unborn, len(people)), ("withdrawn", undone, len(yes))):
        if 2 * len(wrong) > due and len(wrong) >= FEW:
            raise ConsentError(
                "{file}, row {row}, column {column}: most dates of this column cannot be true beside the others, as if"
                " columns were swapped; export the list again.",
                **sheet.place(wrong[0], name),
            )


def _one_line_each(sheet: Sheet, people: Sequence[ListedPerson]) -> list[ListedPerson]:
    first: dict[str, ListedPerson] = {}
    torn: dict[int, int] = {}
    for listed in people:
        # Numbers that differ in case alone would share a file name on some systems.
        earlier = first.setdefault(listed.id.casefold(), listed)
        if earlier is listed:
            continue
        if replace(listed, row=earlier.row) != earlier:
            torn[listed.row] = earlier.row
        sheet.remark(listed.row, "id", "Row {row}: this person is on the list twice with the same answers.")
    if torn:
        raise ConsentError(
            "{file}, row {row}, column {column}: this number stands in row {earlier} too, with another content;"
            " keep the one that is right.",
            **sheet.place(rows(list(torn)), "id"),
            earlier=rows(list(torn.values())),
        )
    return list(first.values())


def _own_portraits(sheet: Sheet, people: Sequence[ListedPerson]) -> list[ListedPerson]:
    """Two people with one folder of portraits: neither gets it, or one would be shown on the other's consent."""
    owners: dict[str, list[str]] = defaultdict(list)
    for listed in people:
        if listed.portrait_folder:
            owners[listed.portrait_folder.casefold()].append(listed.id)
    shared = {name for name, ids in owners.items() if len(ids) > 1}
    found: list[ListedPerson] = []
    for listed in people:
        if listed.portrait_folder and listed.portrait_folder.casefold() in shared:
            sheet.remark(
                listed.row, "portrait_folder", "Row {row}: {column} is another person's too, so it is not used."
            )
            listed = replace(listed, portrait_folder=None)
        found.append(listed)
    return found
