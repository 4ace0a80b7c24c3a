"""What nobody foresaw: an exception of another kind than ours becomes one that is told in a sentence.

Caught where one clip ends and the next begins, and where a command ends. Nowhere deeper: whoever knows what an
exception means there catches that one kind.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from pipeline.errors import LesveilError, NotReadyError, OutputNotWritableError

TRACEBACK = "LESVEIL_TRACEBACK"
"""Set in the environment, the whole trace of what nobody foresaw is printed on standard error."""

HOME = Path(__file__).parent

MOST = 200
"""Letters of a message of others that are shown; some print whole arrays."""


def ours(error: Exception) -> LesveilError:
    """The error as the person at the keyboard is told it; ours are left as they are."""
    if isinstance(error, LesveilError):
        return error
    _print(error)
    if isinstance(error, ImportError):
        return NotReadyError(
            "A part of what Lesveil needs cannot be loaded ({why}); install Lesveil again, and where a file of the"
            " system is missing, on Debian and Ubuntu: apt install libgl1 libglib2.0-0.",
            why=error,
        )
    if isinstance(error, OSError):
        return OutputNotWritableError(
            "{file} cannot be used: {why}.", file=error.filename or "-", why=error.strerror or error
        )
    if isinstance(error, MemoryError):
        return NotReadyError("This machine has too little memory free for it; close other programs and try again.")
    return LesveilError(
        "Lesveil ran into a mistake of its own ({why}, in {place}); try again, and if it comes back give this line to "
        "whoever looks after Lesveil.",
        why=" ".join(f"{type(error).__name__}: {error}".split())[:MOST].replace(". ", "; ").rstrip(" :."),
        place=_place(error),
    )


def noted(error: Exception) -> Exception:
    """The exception with the place where it arose: it is about to leave its process, and its trace stays behind."""
    _print(error)
    error.add_note(_place(error))
    return error


def _print(error: Exception) -> None:
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error, file=sys.stderr)


def _place(error: Exception) -> str:
    """The line of ours that was at work last, or that of a library where none was: ``hiding/canvas.py:88``."""
    if notes := getattr(error, "__notes__", None):
        return str(notes[0])
    lines = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    inside = [(path.relative_to(HOME).as_posix(), line) for path, line in lines if path.is_relative_to(HOME)]
    name, line = inside[-1] if inside else (lines[-1][0].name, lines[-1][1]) if lines else ("-", 0)
    return f"{name}:{line}"
