"""Where a clip goes below the target, as ``[deliver] layout`` says it: which fields there are, and what a layout is."""

from __future__ import annotations

import string

FIELDS = ("date", "year", "month", "class", "teacher", "clip", "id")
USUAL = "{date}_{clip}_{id}"


def fields_of(layout: str) -> set[str] | None:
    """The fields that a layout uses; None when it is none.

    None is one with an unknown field, with no {id} in the file's own name, or that leads out of the target folder.
    """
    try:
        pieces = list(string.Formatter().parse(layout))
    except ValueError:
        return None
    if any(how or spec or (name is not None and name not in FIELDS) for _, name, spec, how in pieces):
        return None
    parts = layout.split("/")
    if "{id}" not in parts[-1] or any(part in ("", ".", "..") for part in parts):
        return None
    return {name for _, name, _, _ in pieces if name}


def in_words() -> str:
    """All fields, to be named to a person."""
    return ", ".join("{" + field + "}" for field in FIELDS)
