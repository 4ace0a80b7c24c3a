"""The house itself: init, demo, ledger, models."""

from __future__ import annotations

import argparse
import contextlib
import re
import tempfile
from functools import partial
from pathlib import Path

from pipeline import workspace
from pipeline.commands.terminal import Add, Group, answer, named, say
from pipeline.errors import LesveilError, UsageError
from pipeline.messages import kept_in_words, quoted, told, tr

NO_HEAD = "no head of this ledger lies in the archive, though clips were delivered"


def init(args: argparse.Namespace) -> int:
    """lesveil init"""
    if not args.folder.strip():
        raise UsageError("Give the folder for the workspace a name: lesveil init lessons.")
    folder = Path(args.folder)
    workspace.create(folder, key_file=args.key_file)
    lines = [
        tr("Workspace made in {folder}.", folder=folder),
        tr(
            "Next: fill in {settings}, then lesveil consent import FILE -C {folder} with administration's list.",
            settings=folder / "lesveil.toml",
            folder=quoted(folder),
        ),
    ]
    return answer(args, {"workspace": str(folder)}, *lines)


def ledger(args: argparse.Namespace) -> int:
    """lesveil ledger verify"""
    from pipeline.errors import LedgerError
    from pipeline.lesson.targets import proof

    with workspace.opened(args.workspace, old_register=True) as place:
        heads: list[str] = list(args.head or ())
        for one in heads:
            if not re.fullmatch(r"\d+:[0-9a-f]{64}", one):
                raise UsageError("{head} is no head of a ledger: those are written N:HASH.", head=one)
        found = proof(place, *heads)
        if found.unasked is not None:
            say("The heads in the archive could not be asked: {why}", why=told(found.unasked))
        findings = list(found.findings)
        asked = place.settings.deliver.target and found.unasked is None
        if asked and found.compared == len(heads) and place.ledger.entries("delivery"):
            findings.append(NO_HEAD)
        head = place.ledger.head()
    lines = [kept_in_words(one) for one in findings]
    if findings:
        lines.append(tr("Keep the ledger's file as it is, and tell the privacy officer."))
    else:
        lines.append(tr("The ledger is whole; its head is {head}.", head=head))
    lines.append(tr("Compared with {n} {n:head that was|heads that were} noted elsewhere.", n=found.compared))
    document = {"head": head, "findings": findings, "heads_compared": found.compared}
    answer(args, document | {"archive_asked": found.unasked is None}, *lines)
    return LedgerError.code if findings else 0


def models(args: argparse.Namespace) -> int:
    """lesveil models list"""
    from pipeline.adapters.weights import manifest

    entries = []
    for weights in manifest().values():
        path = None
        try:
            weights.read()
            state, path = "ok", str(weights.path())
        except LesveilError as error:
            state = tr("not installed") if weights.optional and not weights.present() else told(error)
        entries.append(
            {
                "model": weights.name,
                "package": weights.package,
                "licence": weights.licence,
                "file": path,
                "state": state,
                "optional": weights.optional,
            }
        )
    lines = [f"{e['model']:21} {e['licence']:10} {e['package']:26} {e['state']}  {e['file'] or ''}" for e in entries]
    answer(args, {"models": entries}, *lines)
    return 0 if all(entry["state"] in ("ok", tr("not installed")) for entry in entries) else 6


def demo(args: argparse.Namespace) -> int:
    """lesveil demo"""
    from pipeline import demo as showing

    def show(folder: Path) -> int:
        tell = partial(answer, args)
        return showing.show(folder, args.lang or "", args.main, tell, args.onedrive_url, args.quiet)

    if args.folder is not None:
        return show(args.folder)
    folder = Path(tempfile.mkdtemp(prefix="lesveil-demo-"))
    try:
        return show(folder)
    finally:
        with contextlib.suppress(OSError):  # empty only where it was interrupted
            folder.rmdir()


def add_to(add: Add, group: Group) -> None:
    shown = add("demo", demo, "make a sample card and take it through everything")
    shown.add_argument(
        "folder", nargs="?", type=named, metavar="FOLDER", help="where to leave it to look at; a new folder if left out"
    )
    shown.add_argument("--onedrive-url", default="", metavar="URL", help="deliver to a test service on this machine")
    made = add("init", init, "make a workspace")
    made.add_argument("folder", metavar="FOLDER", help="the folder; it is made where it is not there yet")
    made.add_argument("--key-file", action="store_true", help="keep its key in the folder, not in the system's keyring")
    verified = add("verify", ledger, "find any change to the ledger", group("ledger", "the ledger"))
    verified.add_argument("--head", action="append", metavar="N:HASH", help="a head that was noted elsewhere")
    add("list", models, "every weight file and whether it is the right one", group("models", "the models"))
