"""Every error a person can meet, with its exit code.

A message is one sentence that says what happened, to which file, row or frame, and what to do. It is written in
English with named fields; the command line translates the template and fills the fields in (``messages.py``), so an
error carries both apart.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import Any


class _Words(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        one, bar, many = format_spec.partition("|")
        if bar:
            return one if str(value) == "1" else many
        return str(super().format_field(value, format_spec))


def fill(template: str, fields: Mapping[str, object]) -> str:
    """A template with its named fields filled in: "{n} {n:clip was|clips were} copied" says the one where n is 1."""
    return _Words().vformat(template, (), fields)


class LesveilError(Exception):
    """Something went wrong that has no code of its own.

    Base of all errors that are told to the person at the keyboard; ``code`` is the process's exit code.
    """

    code = 1

    def __init__(self, template: str, **fields: object) -> None:
        self.template = template
        self.fields = fields
        super().__init__(fill(template, fields))

    def __reduce__(self) -> tuple[object, ...]:
        """Errors travel from worker processes with their message in parts."""
        return _rebuilt, (type(self), self.template, {name: _plain(value) for name, value in self.fields.items()})


def _rebuilt(kind: type[LesveilError], template: str, fields: dict[str, object]) -> LesveilError:
    return kind(template, **fields)


def _plain(value: object) -> object:
    return value if isinstance(value, (int, float, str)) else str(value)


class UsageError(LesveilError):
    """The command line asks for something that does not exist or does not fit together."""

    code = 2


class SettingsError(LesveilError):
    """lesveil.toml cannot be read, or holds a key or value that is not known."""

    code = 3


class NotReadyError(LesveilError):
    """Something that the work needs is missing or not set up; lesveil doctor says what."""

    code = 4


class BusyError(LesveilError):
    """Another run is at work in this workspace, or on this file."""

    code = 5


class ModelError(LesveilError):
    """A weight file is missing, or is not the file that models/manifest.toml names."""

    code = 6


class ClipNotFoundError(LesveilError):
    """The file or folder named does not exist, cannot be opened, or holds no video."""

    code = 10


class NotAVideoError(LesveilError):
    """The file is empty or is no video at all."""

    code = 11


class TruncatedVideoError(LesveilError):
    """The file was cut off so that nothing of it can be decoded (an MP4 without its index)."""

    code = 12


class NoVideoStreamError(LesveilError):
    """The file is sound only."""

    code = 13


class QuarantinedError(LesveilError):
    """Too much of the clip is damaged, or frames read, planned and written differ: nothing is released."""

    code = 14


class PortraitsNotFoundError(LesveilError):
    """The portraits folder does not exist or holds no pictures."""

    code = 20


class PortraitUnreadableError(LesveilError):
    """A portrait is not a picture that can be read."""

    code = 21


class PortraitNoFaceError(LesveilError):
    """A portrait shows no face, or one too small."""

    code = 22


class PortraitSeveralFacesError(LesveilError):
    """A portrait shows several people alike."""

    code = 23


class LookAlikesError(LesveilError):
    """Two enrolled people look too alike to be told apart, or are one person under two names."""

    code = 24


class RecognitionOffError(LesveilError):
    """Recognition is off in this workspace, so that nobody is enrolled."""

    code = 25


class PortraitPoorError(LesveilError):
    """A portrait is blurred, turned away or too dark to tell anyone apart by it."""

    code = 26


class OutputExistsError(LesveilError):
    """Nothing is written over."""

    code = 30


class OutputNotWritableError(LesveilError):
    """The place for the result cannot be written."""

    code = 31


class DiskFullError(LesveilError):
    """There is no room for the result."""

    code = 32


class CheckFailedError(LesveilError):
    """The finished file is not what was planned; it is not released."""

    code = 40


class PartialError(LesveilError):
    """Clips of a batch failed for different reasons (for one reason: its own code); the others are done."""

    code = 41


def code_of(codes: Iterable[int]) -> int:
    """The exit code of a command some of whose work failed, for these reasons; 0 where none did."""
    reasons = set(codes)
    return reasons.pop() if len(reasons) == 1 else PartialError.code if reasons else 0


class SecondLookError(LesveilError):
    """A second look at the finished film sees faces that are not hidden, or could not be taken: not released.

    ``findings`` is what it saw, for JSON.
    """

    code = 42
    findings: list[dict[str, object]] = []  # noqa: RUF012 - replaced whole, never added to


class WorkspaceError(LesveilError):
    """No workspace was named, or the folder is not one."""

    code = 50


class ConsentError(LesveilError):
    """The consent list was not imported; the register is unchanged."""

    code = 51


class EnrolmentError(LesveilError):
    """A portrait folder cannot be enrolled, or nobody in it could."""

    code = 52


class CardError(LesveilError):
    """The card cannot be read, or a copy differs from it."""

    code = 53


class LedgerError(LesveilError):
    """The ledger is damaged or was changed."""

    code = 54


class ApprovalError(LesveilError):
    """There is no such rendering to approve."""

    code = 55


class DeliveryError(LesveilError):
    """A clip did not arrive as it was approved."""

    code = 56


class WipeError(LesveilError):
    """The wipe was refused, or stopped before its end."""

    code = 57


class VaultError(LesveilError):
    """A working copy cannot be decrypted: wrong key, or changed bytes."""

    code = 58


class NoConsentError(LesveilError):
    """A clip is not processed, because the teacher's consent, or the consent it was made with, is not in force."""

    code = 59


class SignInError(LesveilError):
    """Nobody is signed in to OneDrive here, or the sign-in was refused."""

    code = 60


class RepairError(LesveilError):
    """A reviewer's repair cannot be taken, or cannot be carried out."""

    code = 65


class ReviewError(LesveilError):
    """The reviewers' page cannot be opened, or an account does not exist."""

    code = 66


class PlanChangedError(LesveilError):
    """What was to be deleted or hidden again is not what was shown; nothing was done."""

    code = 67


class ReportError(LesveilError):
    """What was asked of a report is not in the ledger or the register."""

    code = 68


class CardChangedError(CardError):
    """A file on the card is not what it was a moment ago: something still writes to it."""

    code = 70


class CopyDiffersError(CardError):
    """What was read back from the disk is not what was read from the card."""

    code = 72


class UnknownCardError(LesveilError):
    """The card is not among those that lesveil.toml registers."""

    code = 71


class EngineError(LesveilError):
    """The workers that the settings ask for cannot be had, or must not be used."""

    code = 80


class WorkerError(LesveilError):
    """Workers died over a piece of work, again and again."""

    code = 81


INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def all_errors() -> list[type[LesveilError]]:
    """Every kind of error with an exit code of its own, in order of code."""
    found: list[type[LesveilError]] = []
    todo: list[type[LesveilError]] = [LesveilError]
    while todo:
        kind = todo.pop()
        found.append(kind)
        todo.extend(kind.__subclasses__())
    return sorted(found, key=lambda kind: kind.code)
