"""Why a clip failed: kept in the ledger without names of people, told in words."""

from __future__ import annotations

import string
from pathlib import PurePath
from typing import Any

from pipeline import interruption
from pipeline.errors import LesveilError, NoConsentError
from pipeline.messages import tr
from pipeline.unforeseen import ours

FILES = ("clip", "file", "folder")
"""Fields of an error that name a file; of a path only its last part is kept."""

COPY_AGAIN = "copy it from the card again."
"""How the sentences end that ask for another copy."""

BROKEN_THERE = (
    "{file} is broken on the card itself, and its copy is exact; play it in the camera, and if it does not play there "
    "either, give it up as lesveil status says."
)


def set_aside(error: Exception) -> LesveilError:
    """Why this one is not done, where the others are done all the same. Raises KeyboardInterrupt instead if the user
    asked for an end: what was let go because of that is no failure."""
    interruption.heed()
    return ours(error)


def of_its_film(error: LesveilError, film: str) -> LesveilError:
    """The same of a verified copy: to copy the film once more helps nothing, so it is the one on the card that is at
    fault, and it is that one that is named."""
    if not error.template.endswith(COPY_AGAIN):
        return error
    return type(error)(BROKEN_THERE, file=PurePath(film).name)


def failure_row(path: str, error: LesveilError, clip: str | None = None, card: str | None = None) -> dict[str, Any]:
    """The payload of a ``failure`` row: the film's path on the card, its clip if it was copied, else the card, and why.

    The text of the reason is kept where nothing is filled into it but files and numbers; otherwise only its kind.
    """
    row: dict[str, Any] = {"path": path, "error": type(error).__name__}
    if clip is not None:
        row["clip"] = clip
    if card is not None:
        row["card"] = card
    fields: dict[str, str | int | float] = {}
    for _, name, _, _ in string.Formatter().parse(error.template):
        value = error.fields.get(name) if name else None
        if name in FILES:
            fields[name] = PurePath(str(value)).name
        elif name and isinstance(value, int | float):
            fields[name] = value
        elif name:
            return row
    return row | {"text": error.template, "fields": fields}


def failure_in_words(payload: dict[str, Any]) -> str:
    """The reason in the language chosen."""
    text = payload.get("text")
    if text is None and payload["error"] == NoConsentError.__name__:
        return tr("Consent that it needs is not in force: lesveil run says whose, and lesveil consent list why.")
    if text is None:
        return tr("It could not be finished; run lesveil run again and read what it says.")
    return tr(text, **payload["fields"])
