"""The sheet of an Excel file that holds the list, with what its rows and columns hide.

Values come through openpyxl's reading mode, which needs little memory. Hidden rows and merged cells it leaves out, and
a formula without a result it takes for a blank cell, so the sheet's XML (ECMA-376 part 1, 18.3.1) is looked through
once more for those.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree

import openpyxl
from openpyxl.utils import coordinate_to_tuple, range_boundaries
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from pipeline.adapters.consent_cells import NO_RESULT, Cell, Table
from pipeline.errors import ConsentError

MOST_CELLS = 5_000_000
"""A wider or longer sheet is no list of people, or one stray cell makes it look so."""


def xlsx_table(content: bytes, file: str, largest: int, is_list: Callable[[Sequence[Sequence[Cell]]], bool]) -> Table:
    """The one sheet for which ``is_list`` holds; no rows when there is none.

    ``largest``: bytes that the file may unpack to. Raises ConsentError.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > largest:
                raise ConsentError("{file} is too large for a list of people; export the list again.", file=file)
            with warnings.catch_warnings():
                # openpyxl warns of styles and checks that it does not keep; they are not read here.
                warnings.simplefilter("ignore")
                return _table(archive, content, file, is_list)
    except ConsentError:
        raise
    except Exception as error:
        # Every kind: openpyxl lets through whatever a broken file provokes in it.
        raise ConsentError(
            "{file} is not a whole Excel file; open it, save it as .xlsx and try again.", file=file
        ) from error


def _table(
    archive: zipfile.ZipFile, content: bytes, file: str, is_list: Callable[[Sequence[Sequence[Cell]]], bool]
) -> Table:
    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    try:
        found: list[tuple[Any, list[list[Cell]]]] = []
        for sheet in book.worksheets:
            # Some exporters state a wrong size, and openpyxl would read no further than that.
            sheet.reset_dimensions()
            rows = _rows(sheet, file)
            if is_list(rows):
                found.append((sheet, rows))
        if len(found) > 1:
            raise ConsentError(
                "{file} has several sheets with a list ({sheets}); keep the one that counts.",
                file=file,
                sheets=", ".join(sheet.title for sheet, _ in found),
            )
        if not found:
            return Table([])
        ((sheet, rows),) = found
        if sheet.sheet_state != "visible":
            raise ConsentError(
                "{file}: the sheet {sheet} with the list is hidden, so nobody may have looked at it; show it and save"
                " the file.",
                file=file,
                sheet=sheet.title,
            )
        if book.epoch == CALENDAR_MAC_1904:
            raise ConsentError(
                "{file} counts its days from 1904, as old Macs did, so no date in it is sure; save it as CSV.",
                file=file,
            )
        # openpyxl has no public word for where in the archive the sheet lies.
        return _marked(archive, sheet._worksheet_path, rows)
    finally:
        book.close()


def _rows(sheet: Any, file: str) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    width = 0
    for row in sheet.iter_rows(values_only=True):  # counted as it grows: a few bytes can stand for a huge sheet
        rows.append(list(row))
        width = max(width, len(row))
        if width * len(rows) > MOST_CELLS:
            raise ConsentError(
                "{file} has a sheet of {rows} rows and {columns} columns, which is no list of people; copy the list"
                " into a new file.",
                file=file,
                rows=len(rows),
                columns=width,
            )
    # A sheet does not store blank cells at the end of a row.
    return [row + [None] * (width - len(row)) for row in rows]


def _marked(archive: zipfile.ZipFile, path: str, rows: list[list[Cell]]) -> Table:
    hidden: set[int] = set()
    merged: set[int] = set()
    columns: set[int] = set()
    number = 0
    with archive.open(path.lstrip("/")) as xml:
        for _, element in ElementTree.iterparse(xml):
            kind, said = element.tag.rpartition("}")[2], element.attrib
            if kind == "row":
                number = int(said.get("r", number + 1))
                if _is_true(said.get("hidden")) or (said.get("ht") and float(said["ht"]) == 0):
                    hidden.add(number)
                _mark_formulas(element, number, rows)
                element.clear()
            elif kind == "col" and (_is_true(said.get("hidden")) or float(said.get("width", 1)) == 0):
                columns |= set(range(int(said["min"]) - 1, min(int(said["max"]), len(rows[0]) if rows else 0)))
            elif kind == "mergeCell":
                _, first, _, last = range_boundaries(said["ref"])
                merged |= set(range(first or 1, min(last or len(rows), len(rows)) + 1))
    return Table(rows, frozenset(hidden), frozenset(merged), frozenset(columns))


def _mark_formulas(row: ElementTree.Element, number: int, rows: list[list[Cell]]) -> None:
    """NO_RESULT in ``rows`` for each formula of the row whose result the program that wrote the file left out."""
    column = 0
    for cell in row:
        column = coordinate_to_tuple(cell.attrib["r"])[1] if "r" in cell.attrib else column + 1
        parts = {part.tag.rpartition("}")[2]: part for part in cell}
        formula, result = parts.get("f"), parts.get("v")
        # a formula may say nothing: then its result is a text, and empty
        if formula is None or (result is not None and (result.text or cell.get("t") == "str")):
            continue
        several = formula.get("t") == "array" and formula.get("ref")
        left, top, right, bottom = range_boundaries(several) if several else (column, number, column, number)
        for line in rows[(top or 1) - 1 : bottom]:
            for at in range((left or 1) - 1, min(right or len(line), len(line))):
                line[at] = NO_RESULT if line[at] is None else line[at]


def _is_true(value: str | None) -> bool:
    return value in ("1", "true")
