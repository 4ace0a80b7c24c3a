"""The command line. What it prints, its exit codes and its JSON are a contract; other programs call it."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline import __version__, interruption, messages
from pipeline.commands import (
    afterwards,
    approve,
    cards,
    consent,
    deliver,
    doctor,
    enrol,
    house,
    redact,
    review,
    run_card,
    status,
    wipe,
)
from pipeline.commands.terminal import Parser, PlainHelp, named
from pipeline.errors import INTERRUPTED, LesveilError, UsageError, all_errors
from pipeline.messages import told, tr
from pipeline.unforeseen import ours

GROUPS = (
    redact,
    house,
    consent,
    enrol,
    run_card,
    cards,
    status,
    approve,
    wipe,
    review,
    deliver,
    afterwards,
    doctor,
)
"""In the order of ``lesveil --help``."""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    codes = "\n".join(f"  {kind.code:>4}  {kind.__name__}: {tr(first_line(kind))}" for kind in all_errors())
    top = Parser(
        prog="lesveil",
        description="Hides everyone in a filmed lesson who did not agree to be recognised.",
        epilog=f"{tr('exit codes')}:\n     0  {tr('done')}\n{codes}\n  {INTERRUPTED:>4}  {tr('interrupted')}",
        formatter_class=PlainHelp,
    )
    top.add_argument("--version", action="version", version=f"lesveil {__version__}")
    common = Parser(add_help=False)
    common.add_argument(
        "-C",
        dest="workspace",
        type=named,
        default=argparse.SUPPRESS,
        metavar="FOLDER",
        help="the workspace (or LESVEIL_WORKSPACE)",
    )
    common.add_argument("--lang", choices=messages.LANGUAGES, default=argparse.SUPPRESS, help="language of messages")
    common.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on standard output"
    )
    common.add_argument("--quiet", action="store_true", default=argparse.SUPPRESS, help="no progress")
    for action in common._actions:
        top._add_action(action)
    commands = top.add_subparsers(dest="command", metavar=tr("COMMAND"), parser_class=Parser)

    def add(name: str, work: Callable[[argparse.Namespace], int], text: str, into: Any = None) -> Parser:
        made: Parser = (into or commands).add_parser(name, help=text, description=text, parents=[common])
        made.set_defaults(work=work)
        return made

    def group(name: str, text: str) -> Any:
        made = commands.add_parser(name, help=text, description=text, parents=[common])
        return made.add_subparsers(required=True, parser_class=Parser)  # without a name, so that what lacks is listed

    for commands_of in GROUPS:
        commands_of.add_to(add, group)
    return top


def first_line(kind: type[LesveilError]) -> str:
    """What a kind of error means, in one line."""
    return (kind.__doc__ or kind.__name__).strip().splitlines()[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Errors are one sentence on standard error, never a traceback."""
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    messages.choose(_early_language(argv))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name may hold letters that this terminal has not
    with interruption.listening():
        return _code_of(argv)


def _code_of(argv: Sequence[str] | None) -> int:
    try:
        return _carried_out(argv)
    except KeyboardInterrupt:
        print(
            f"lesveil: {tr('interrupted; nothing half-done looks finished: repeat the command to go on.')}",
            file=sys.stderr,
        )
        return INTERRUPTED
    except BrokenPipeError:
        return 1
    except Exception as error:  # noqa: BLE001 -- the command ends with it, and nothing of it counts as done
        known = ours(error)
        print(f"lesveil: {told(known)}", file=sys.stderr)
        return known.code


def _carried_out(argv: Sequence[str] | None) -> int:
    try:
        args = parser().parse_args(argv)
        for name, default in (("lang", ""), ("json", False), ("quiet", False), ("workspace", None)):
            if not hasattr(args, name):
                setattr(args, name, default)
        if args.workspace is None and os.environ.get("LESVEIL_WORKSPACE"):
            args.workspace = Path(os.environ["LESVEIL_WORKSPACE"])
        if not getattr(args, "work", None):
            parser().print_help()
            return 0 if args.command is None else UsageError.code
        if args.workspace is not None and (args.workspace / "lesveil.toml").is_file():
            with contextlib.suppress(LesveilError):  # the command itself will tell
                from pipeline.settings import load

                messages.choose(args.lang, load(args.workspace / "lesveil.toml").language)
        args.main = main
        code = args.work(args)
        return int(code)
    except Exception:
        interruption.heed()  # a module that was being loaded, or a library, may have made something else of it
        raise


def _early_language(argv: Sequence[str] | None) -> str:
    """The language asked for, known before the rest of the line is understood."""
    words = list(sys.argv[1:] if argv is None else argv)
    for place, word in enumerate(words):
        if word == "--lang" and place + 1 < len(words):
            return words[place + 1]
        if word.startswith("--lang="):
            return word.removeprefix("--lang=")
    return ""
