"""Reading the school's list from the file that the administration exported, as it is.

CSV in the encodings and with the separators that Dutch school systems and Excel write, or XLSX. The bytes decide what
a file is, not its name.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
from collections.abc import Sequence
from datetime import date
from itertools import islice
from pathlib import Path

from pipeline.adapters.consent_cells import Cell, Table
from pipeline.adapters.consent_headers import WITHIN, recognised
from pipeline.adapters.consent_layout import USUAL, Layout
from pipeline.adapters.consent_list import ConsentList, understand
from pipeline.adapters.consent_xlsx import xlsx_table
from pipeline.errors import ConsentError

LARGEST = 32 * 1024 * 1024
"""Bytes of a list, unpacked as well; 10,000 people take about 1 MB. A larger one is something else, or a trap."""

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
"""UTF-32 comes first: its little-endian mark begins with that of UTF-16."""
_OLD_OFFICE = bytes.fromhex("d0cf11e0a1b11ae1")


def read_consent_file(path: Path, layout: Layout = USUAL, *, today: date | None = None) -> ConsentList:
    """The people on the list ``path``; ConsentError, in one sentence, when it cannot be trusted as a whole.

    ``layout`` is what lesveil.toml says of the list; ``today`` tells which dates lie in the future.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ConsentError("{file} is too large for a list of people; export the list again.", file=path.name)
        content = path.read_bytes()
    except OSError as error:
        raise ConsentError(
            "{file} cannot be read ({why}); check its name, and whether you may open it.",
            file=path,
            why=error.strerror,
        ) from error
    if content.startswith(_OLD_OFFICE):
        raise ConsentError(
            "{file} is an old Excel file or has a password; save it as .xlsx without a password.", file=path.name
        )
    if content.startswith(b"PK"):

        def is_list(rows: Sequence[Sequence[Cell]]) -> bool:
            return any(len(recognised(row, layout)) > 1 for row in rows[:WITHIN])

        table = xlsx_table(content, path.name, LARGEST, is_list)
    else:
        table = Table(_csv_rows(_decoded(content, path.name), path.name, layout))
    return understand(table, path.name, hashlib.sha256(content).hexdigest(), layout, today or date.today())


def _decoded(content: bytes, file: str) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            candidates = [encoding]
            break
    else:
        if b"\0" in content:
            # UTF-16 without its mark: in Dutch text every other byte is 0.
            candidates = ["utf-16-le" if content.find(b"\0") % 2 else "utf-16-be"]
        else:
            candidates = ["utf-8", "cp1252"]
    for encoding in candidates:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if re.search(r"[\x00-\x08\x0e-\x1f]", text) is None:
            return text
    raise ConsentError(
        "{file} is neither CSV nor XLSX, or it was cut off; export the list again as CSV or XLSX.", file=file
    )


def _csv_rows(text: str, file: str, layout: Layout) -> list[list[Cell]]:
    marked = re.match(r"sep=(.)\r?\n", text)  # Excel's own first line, which it does not show as a row
    if marked:
        text = text[marked.end() :]
    separator = max(";,\t", key=lambda one: _headers_found(text, one, layout))
    table: list[list[Cell]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row in reader:
            table.append(list(row))
    except csv.Error as error:
        raise ConsentError(
            "{file}, row {row}: a quotation mark is not closed, so the file was cut off or changed; export the list"
            " again.",
            file=file,
            row=len(table) + 1,
        ) from error
    if table and not text.endswith(("\n", "\r")):
        # The missing end of this row may have held a withdrawal, or the rest of a portrait folder's name.
        raise ConsentError(
            "{file}, row {row} ends without a line end, so the file may have been cut off; export the list again, or"
            " open it in a spreadsheet program, look at its last rows and save it.",
            file=file,
            row=len(table),
        )
    return table


def _headers_found(text: str, separator: str, layout: Layout) -> int:
    try:
        top = list(islice(csv.reader(io.StringIO(text, newline=""), delimiter=separator), WITHIN))
    except csv.Error:
        return 0
    return max((len(recognised(row, layout)) for row in top), default=0)
