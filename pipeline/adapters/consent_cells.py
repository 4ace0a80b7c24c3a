"""One cell of the school's list: a yes or no, a day, whose word it is, a number.

Every reader returns None for a blank cell and raises ValueError for one that it does not understand; what that means
is for `consent_list` to say. Nothing is guessed: a day needs four digits for its year.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pipeline.consent import Giver

Cell = object
"""What a spreadsheet holds: text, a number, a truth value, a date, or None."""

NO_RESULT = "#?"
"""Stands for a formula whose result is not in the file. It may be a day or a no, so it is not blank, and nothing here
understands it."""


@dataclass(frozen=True)
class Table:
    """The cells of a list; ``rows[0]`` is row 1 of the sheet.

    ``hidden`` and ``merged`` are numbers of rows (from 1) that the sheet does not show, or whose cells it shares with
    others; ``hidden_columns`` are indices (from 0).
    """

    rows: Sequence[Sequence[Cell]]
    hidden: frozenset[int] = frozenset()
    merged: frozenset[int] = frozenset()
    hidden_columns: frozenset[int] = frozenset()


_YES = {"ja", "j", "yes", "y", "x", "1", "true", "waar"}
_NO = {"nee", "n", "no", "0", "false", "onwaar"}
_NO_ANSWER = {
    "-",
    "–",
    "—",
    "?",
    "n.v.t.",
    "nvt",
    "n/a",
    "onbekend",
    "unknown",
    "niet ingevuld",
    "geen antwoord",
    "leeg",
}
"""What stands for a cell that nobody filled in."""

_PUPIL = {"leerling", "leerlingen", "pupil", "student", "zelf", "self"}
_PARENT = {"ouder", "ouders", "moeder", "vader", "verzorger", "verzorgers", "voogd", "vertegenwoordiger"}
_PARENT |= {"parent", "parents", "mother", "father", "guardian", "guardians", "carer"}
_STAFF = {
    "medewerker",
    "docent",
    "leraar",
    "lerares",
    "leerkracht",
    "personeel",
    "staff",
    "teacher",
    "trainee",
    "stagiair",
    "stagiaire",
}
_FILLER = {"s", "en", "and", "wettelijk", "wettelijke", "legal", "de", "the"}
_EITHER = {"of", "or"}

_DUTCH_DAY = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})")
_ISO_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_MIDNIGHT = re.compile(r"[T ]0{1,2}:00(:00(\.0+)?)?Z?$")
_SERIAL_ZERO = date(1899, 12, 30)
"""Day 0 of Excel's 1900 calendar, as it counts from March 1900 on (ECMA-376 part 1, 18.17.4.1)."""
_SERIALS = range(10_000, 73_051)
"""May 1927 to 2099; a shorter number is the remains of a date, not a serial."""


def text(cell: Cell) -> str:
    """The cell as one line of text; a whole number without its decimal point, as a list shows it."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return " ".join(str(cell).split())


def plain(cell: Cell) -> str:
    """Text without case, accents and punctuation, for comparing."""
    spread = unicodedata.normalize("NFKD", text(cell)).casefold()
    bare = "".join(letter for letter in spread if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[^\W_]+", bare))


def is_blank(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def yes_or_no(cell: Cell, yes: Collection[str] = (), no: Collection[str] = ()) -> bool | None:
    """A yes or a no; ``yes`` and ``no`` hold more words for them, in lower case. None also for "unknown"."""
    word = text(cell).casefold()
    if is_blank(cell) or word in _NO_ANSWER:
        return None
    if word in _NO or word in no:
        return False
    if word in _YES or word in yes:
        return True
    raise ValueError("neither yes nor no")


def day(cell: Cell) -> date | None:
    """A date: dd-mm-yyyy (also with / or .), ISO, a spreadsheet's own date, or its serial number."""
    if is_blank(cell):
        return None
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    if isinstance(cell, bool):
        raise ValueError("a truth value is no day")
    written = _MIDNIGHT.sub("", text(cell))
    if match := _DUTCH_DAY.fullmatch(written):
        return date(int(match[4]), int(match[3]), int(match[1]))
    if match := _ISO_DAY.fullmatch(written):
        return date(int(match[1]), int(match[2]), int(match[3]))
    if re.fullmatch(r"[0-9]{5}", written) and int(written) in _SERIALS:
        return _SERIAL_ZERO + timedelta(days=int(written))
    raise ValueError("no day")


def day_of_withdrawal(cell: Cell) -> date | None:
    """A date as `day` reads it; a plain no says that nothing was withdrawn. A yes does not say when."""
    try:
        return day(cell)
    except ValueError:
        if text(cell).casefold() in _NO:
            return None
        raise


def is_month_first(cell: Cell) -> bool:
    """Whether this can only be an American date (12/25/2010): then no date of its column can be trusted."""
    match = _DUTCH_DAY.fullmatch(_MIDNIGHT.sub("", text(cell)))
    return match is not None and int(match[3]) > 12 >= int(match[1])


def giver(cell: Cell) -> Giver | None:
    """Whose word it is. "Ouder of leerling" does not say which, and so is not understood."""
    if is_blank(cell):
        return None
    words = set(plain(cell).split())
    found = {
        kind for kind, known in ((Giver.PUPIL, _PUPIL), (Giver.PARENT, _PARENT), (Giver.STAFF, _STAFF)) if words & known
    }
    understood = words <= _PUPIL | _PARENT | _STAFF | _FILLER | _EITHER
    if not found or not understood:
        raise ValueError("not a giver of consent")
    if len(found) == 1:
        return found.pop()
    together = words & {"en", "and"} or set(text(cell)) & {"+", "&"}
    if found == {Giver.PUPIL, Giver.PARENT} and together and not words & _EITHER:
        return Giver.PARENT_AND_PUPIL
    raise ValueError("several givers of consent")


def names_a_giver(cell: Cell) -> bool:
    """Whether a pupil or a parent is named, among whatever else."""
    return bool(set(plain(cell).split()) & (_PUPIL | _PARENT))


def number(cell: Cell) -> str | None:
    """A leerlingnummer as text, leading zeros kept; it becomes part of file names and of the ledger."""
    if is_blank(cell):
        return None
    written = text(cell)
    if isinstance(cell, bool | date) or not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z._-]{0,31}", written):
        raise ValueError("no number of a person")
    return written


def looks_like_day(cell: Cell) -> bool:
    """Whether the cell is a date, written out or the spreadsheet's own; serial numbers are not looked for."""
    written = _MIDNIGHT.sub("", text(cell))
    return isinstance(cell, date) or bool(_DUTCH_DAY.fullmatch(written) or _ISO_DAY.fullmatch(written))


def looks_like_number(cell: Cell) -> bool:
    """Whether a whole column of such cells may be people's numbers: a digit in it, and not a date."""
    written = text(cell)
    is_date = isinstance(cell, date) or _DUTCH_DAY.match(written) or _ISO_DAY.match(written)
    return bool(re.search(r"\d", written)) and not is_date


def looks_like_name(cell: Cell) -> bool:
    """Whether a whole column of such cells may be names: a letter in it, and not a yes or no."""
    word = text(cell)
    return isinstance(cell, str) and any(map(str.isalpha, word)) and word.casefold() not in _YES | _NO


def folder(cell: Cell) -> str | None:
    """The name of one folder, never a path: it is joined to the portraits folder."""
    if is_blank(cell):
        return None
    written = text(cell)
    if re.search(r'[/\\:*?"<>|\x00-\x1f]', written) or written.strip(".") != written or len(written) > 100:
        raise ValueError("not the name of one folder")
    return written
