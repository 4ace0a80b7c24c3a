"""Words for people, in Dutch or English.

English is the key; ``locale/nl.po`` (gettext's format) holds the Dutch. A text without a translation is shown in
English rather than not at all.
"""

from __future__ import annotations

import locale
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import polib

from pipeline.errors import LesveilError, fill

CATALOGUES = Path(__file__).parent / "locale"
LANGUAGES = ("nl", "en")

SYSTEM = (
    "Cannot allocate memory",
    "Connection refused",
    "Device or resource busy",
    "Directory not empty",
    "Disk quota exceeded",
    "File exists",
    "File name too long",
    "File too large",
    "Function not implemented",
    "Input/output error",
    "Invalid argument",
    "Invalid data found when processing input",
    "Is a directory",
    "No locks available",
    "No space left on device",
    "No such device",
    "No such file or directory",
    "Not a directory",
    "Operation not permitted",
    "Operation not supported",
    "Permission denied",
    "Read-only file system",
    "Stale file handle",
    "Too many open files",
    "Too many levels of symbolic links",
    "Transport endpoint is not connected",
)
"""Reasons that Linux, macOS and FFmpeg give in English whatever the person speaks. Windows gives its own language's."""

_catalogue: dict[str, str] = {}
_spoken = "en"


def choose(*wishes: str) -> str:
    """Make the first known language among ``wishes``, then of the system, the one to speak; returns it."""
    system = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
    if not system:
        system = (locale.getlocale()[0] or "").replace("Dutch", "nl")
    language = next((wish[:2].lower() for wish in (*wishes, system) if wish[:2].lower() in LANGUAGES), "en")
    global _spoken
    _spoken = language
    _catalogue.clear()
    _catalogue.update(_words(language))
    return language


def tr(text: str, **fields: object) -> str:
    """The text in the language chosen, with its named fields filled in.

    A number may choose between two words, see `fill`. Without fields nothing is filled in: a reason may hold the name
    of a file, and that name a brace.
    """
    return _filled(text, fields, _catalogue)


def _filled(text: str, fields: Mapping[str, object], catalogue: Mapping[str, str]) -> str:
    """Names of files may hold anything, a line's end too: what cannot be shown is written as in Python.

    The field ``why`` may be one of the system's reasons, which are said in the same language.
    """
    words = catalogue.get(text, text)
    shown = {
        name: printable(value) if isinstance(value, str | os.PathLike) else value for name, value in fields.items()
    }
    if shown.get("why") in SYSTEM:
        shown["why"] = catalogue.get(str(shown["why"]), shown["why"])
    return fill(words, shown) if fields else words


def decimal(value: float, places: int = 1) -> str:
    """A number for people, with the sign before its decimals that the language chosen has."""
    return f"{value:.{places}f}".replace(".", "," if _spoken == "nl" else ".")


def minutes(seconds: float) -> str:
    """A length or a moment of a film, in whole seconds: 1:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def printable(value: str | os.PathLike[str]) -> str:
    """A name on one line: what cannot be shown is written as in Python."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in os.fspath(value))


def quoted(word: str | os.PathLike[str]) -> str:
    """A word as it is typed in this system's command line."""
    typed = os.fspath(word)
    return subprocess.list2cmdline([typed]) if os.name == "nt" else shlex.quote(typed)


class Speech:
    """One language for one listener, whatever the rest of the program speaks."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else "en"
        self._words = _words(self.language)

    def tr(self, text: str, **fields: object) -> str:
        """The text in this language, with its named fields filled in."""
        return _filled(text, fields, self._words)

    def told(self, error: LesveilError) -> str:
        """An error as one sentence."""
        return self.tr(error.template, **error.fields)


@lru_cache(maxsize=len(LANGUAGES))
def _words(language: str) -> dict[str, str]:
    if language == "en":
        return {}
    entries = polib.pofile(str(CATALOGUES / f"{language}.po"))
    return {entry.msgid: entry.msgstr for entry in entries if entry.msgstr and not entry.fuzzy}


def told(error: LesveilError) -> str:
    """An error as one sentence in the language chosen."""
    return tr(error.template, **error.fields)


KEPT = (
    (r"the guard (?P<name>\w+) was removed", "the guard {name} was removed"),
    (r"row (?P<row>\d+) was deleted", "row {row} was deleted"),
    (r"rows (?P<first>\d+) to (?P<last>\d+) were deleted", "rows {first} to {last} were deleted"),
    (r"row (?P<row>\d+) was changed", "row {row} was changed"),
    (r"row (?P<row>\d+) was re-ordered: it is row (?P<other>\d+)", "row {row} was re-ordered: it is row {other}"),
    (
        r"row (?P<row>\d+) does not follow row (?P<other>\d+) as it stands",
        "row {row} does not follow row {other} as it stands",
    ),
    (r"rows (?P<first>\d+) to (?P<last>\d+) were cut off the end", "rows {first} to {last} were cut off the end"),
    (r"row (?P<row>\d+) is not the one that was noted elsewhere", "row {row} is not the one that was noted elsewhere"),
    (r"(?P<file>.+) belongs to a clip that stays", "{file} belongs to a clip that stays"),
    (
        r"its film lies on this card as (?P<file>.+) \(do lesveil run; if that changes nothing: delete it there\)",
        "its film lies on this card as {file} (do lesveil run; if that changes nothing: delete it there)",
    ),
)
"""Sentences that are kept or handed on as plain text with their particulars in them, and how they are told."""


def kept_in_words(text: str) -> str:
    """A finding of the ledger, or a reason of a plan, in the language chosen."""
    for pattern, template in KEPT:
        if match := re.fullmatch(pattern, text, re.DOTALL):
            return tr(template, **match.groupdict())
    return tr(text)


def ground_in_words(ground: str) -> str:
    """The ground of an answer about consent, as people read it."""
    said = []
    for part in filter(None, ground.split("; ")):
        if match := re.fullmatch(r"import (\d+) row (\d+)", part):
            said.append(tr("row {row} of import {n}", row=match[2], n=match[1]))
        elif match := re.fullmatch(r"withdrawal (\d+)", part):
            said.append(tr("withdrawal {n}", n=match[1]))
    return "; ".join(said)
