"""The terminal: progress bars, lines for people, JSON for programs, and what commands share when they are parsed."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn, Protocol

from tqdm import tqdm

from pipeline.errors import UsageError
from pipeline.messages import decimal, printable, quoted, tr

NAME = 32
"""Letters of a clip's name before a bar; of a longer one its middle is left out, so that the bar still fits."""


def _shortened(name: str) -> str:
    half = (NAME - 3) // 2
    return name if len(name) <= NAME else f"{name[:half]}...{name[-half:]}"


class _Meter(tqdm):  # type: ignore[misc]
    """tqdm, with the sign before decimals that the language chosen has."""

    @staticmethod
    def format_meter(*args: Any, **fields: Any) -> str:
        told = str(tqdm.format_meter(*args, **fields))
        # what comes before may be a name
        name, sign, figures = told.rpartition("|" if "|" in told else "[")
        return name + sign + re.sub(r"(?<=\d)\.(?=\d)", decimal(0.0)[1], figures)


class Bar:
    """A Progress for a terminal: one bar per stage with frames, speed and time left. Silent where none is wanted."""

    def __init__(self, name: str, quiet: bool) -> None:
        self._name = _shortened(printable(name))
        self._quiet = quiet
        self._stage = ""
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._quiet:
            return
        if stage != self._stage:
            self.close()
            self._stage = stage
            unit, scale = (
                ("B", True)
                if stage in ("copy", "verify", "fill", "upload")
                else (" " + tr("files" if stage in ("recheck", "wipe") else "frames"), False)
            )
            if stage == "batch":
                unit = " %"
            if stage == "enrol":
                unit = " " + tr("people")
            self._bar = _Meter(
                total=total or None,
                desc=f"{self._name}: {tr(stage)}",
                unit=unit,
                unit_scale=scale,
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
                mininterval=0.2,
            )
        if total and self._bar.total != total:
            self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


SHARES = {"detect": (0.0, 0.55), "render": (0.55, 0.35), "check": (0.9, 0.1)}
"""Where each stage begins and how much of a clip's time it takes, about."""


class Together:
    """One bar for several clips that are worked on side by side: per cent of all of them."""

    def __init__(self, clips: int, quiet: bool) -> None:
        self._bar = Bar(tr("{n} clips", n=clips), quiet)
        self._shares: list[float] = []
        self._clips = clips
        self._lock = Lock()

    def clip(self) -> Bar:
        """The Progress of one of them."""
        with self._lock:
            self._shares.append(0.0)
            return _OneOf(self, len(self._shares) - 1)

    @property
    def full(self) -> bool:
        """Whether all of them have their Progress."""
        with self._lock:
            return len(self._shares) >= self._clips

    def told(self, clip: int, share: float) -> None:
        with self._lock:
            self._shares[clip] = max(share, self._shares[clip])
            progress = self._bar
            progress("batch", int(100 * sum(self._shares) / self._clips), 100)

    def close(self) -> None:
        self._bar.close()


class _OneOf(Bar):
    def __init__(self, together: Together, clip: int) -> None:
        super().__init__("", True)
        self._together, self._clip = together, clip

    def __call__(self, stage: str, done: int, total: int) -> None:
        start, length = SHARES.get(stage, (0.0, 0.0))
        self._together.told(self._clip, start + length * (min(done / total, 1.0) if total else 0.0))


class Bars:
    """The bars of a command that works on several clips, one after the other or side by side."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._shown: Bar | Together | None = None
        self._lock = Lock()

    def __call__(self, name: str, among: int = 1) -> Bar:
        """The Progress of one, which shares its bar with those ``among`` which it is."""
        with self._lock:
            if among == 1:
                self.close()
                self._shown = alone = Bar(name, self._quiet)
                return alone
            if not isinstance(self._shown, Together) or self._shown.full:
                self.close()
                self._shown = Together(among, self._quiet)
            return self._shown.clip()

    def close(self) -> None:
        """Take away what is shown."""
        if self._shown is not None:
            self._shown.close()
            self._shown = None


ARGPARSE = (
    "usage: ",
    "positional arguments",
    "options",
    "show this help message and exit",
    "show program's version number and exit",
    "the following arguments are required: %s",
    "unrecognized arguments: %s",
    "argument %(argument_name)s: %(message)s",
    "invalid choice: %(value)r (choose from %(choices)s)",
    "invalid %(type)s value: %(value)r",
    "not allowed with argument %s",
    "one of the arguments %s is required",
    "expected one argument",
    "expected at most one argument",
    "expected at least one argument",
    "ambiguous option: %(option)s could match %(matches)s",
    "ignored explicit argument %r",
)
"""What argparse itself says to people: it asks gettext for the words, and gets ours."""

# argparse looks both names up in its own module each time that it has something to say
setattr(argparse, "_", tr)  # noqa: B010
setattr(argparse, "ngettext", lambda one, many, count: tr(one if count == 1 else many))  # noqa: B010


class Help(argparse.HelpFormatter):
    """Help in the language of the person."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        return text and tr(text)

    def _format_text(self, text: str) -> str:
        return super()._format_text(tr(text))


class PlainHelp(Help, argparse.RawDescriptionHelpFormatter):
    """The same, with lines as they are."""


class Parser(argparse.ArgumentParser):
    """argparse, with mistakes told as UsageError, and in the language of the person."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": Help} | options)
        self._words: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def _add_action(self, action: Any) -> Any:
        text = action.metavar
        if isinstance(text, str):
            action.metavar = tr(text)
        return super()._add_action(action)

    def error(self, message: str) -> NoReturn:
        for word in self._words:
            if word.startswith("-") and os.path.lexists(word):
                raise UsageError(
                    "{file} begins with a dash, so it is taken for an option; write it as {written}.",
                    file=word,
                    written=quoted(os.path.join(os.curdir, word)),
                )
        raise UsageError("{message}; see {command} --help.", message=message, command=self.prog)


def say(text: str, **fields: object) -> None:
    """A line for the person, on standard error: standard output is for results."""
    print(tr(text, **fields), file=sys.stderr)


def asked(question: str, args: argparse.Namespace) -> str:
    """What the person types; "" where nobody sits at a terminal."""
    if args.json or args.quiet or sys.stdin is None or not sys.stdin.isatty():
        return ""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def print_json(document: Any) -> None:
    """One JSON document on standard output, in letters that it can take."""
    text = json.dumps(document, ensure_ascii=False, indent=1, default=str)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(document, indent=1, default=str)
    print(text)


def answer(args: argparse.Namespace, document: Any, *lines: str) -> int:
    """The result of a command: one JSON document with --json, else lines for people.

    A line stays one line, whatever the names of files in it hold.
    """
    if args.json:
        print_json(document)
    else:
        for line in lines:
            print(printable(line))
    return 0


class Add(Protocol):
    """Adds one command with its help: ``add(name, work, text)``; ``into`` a group of its own if given."""

    def __call__(self, name: str, work: Callable[[argparse.Namespace], int], text: str, into: Any = None) -> Parser: ...


class Group(Protocol):
    """Makes a group of commands under one word: ``group(name, text)``."""

    def __call__(self, name: str, text: str) -> Any: ...


def named(text: str) -> Path:
    """The name of a file or folder on the command line, for argparse. An empty one, as a script gives whose variable
    is not set, would be the folder one happens to be in."""
    if not text:
        raise argparse.ArgumentTypeError(tr("a file or folder must be named"))
    return Path(text)


def day(text: str) -> date:
    """A date on the command line, for argparse: as in ISO 8601, or as people here write it."""
    written = re.fullmatch(r"(\d{1,2})-(\d{1,2})-(\d{4})", text.strip())
    try:
        return date(int(written[3]), int(written[2]), int(written[1])) if written else date.fromisoformat(text)
    except ValueError as error:
        told = tr("{given} is not a date like 2026-11-23 or 23-11-2026", given=repr(text))
        raise argparse.ArgumentTypeError(told) from error
