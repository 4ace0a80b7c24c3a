"""The house itself: init, demo, ledger, models, and what is not built yet."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from pipeline import workspace
from pipeline.commands.terminal import Add, Group, answer, not_ready
from pipeline.errors import LesveilError
from pipeline.messages import told, tr


def init(args: argparse.Namespace) -> int:
    """lesveil init"""
    folder = Path(args.folder)
    workspace.create(folder, key_file=args.key_file)
    return answer(args, {"workspace": str(folder)}, tr("Workspace made in {folder}.", folder=folder))


def ledger(args: argparse.Namespace) -> int:
    """lesveil ledger verify"""
    from pipeline.errors import LedgerError

    with workspace.opened(args.workspace) as place:
        findings = place.ledger.verify()
        head = place.ledger.head()
    answer(
        args,
        {"head": head, "findings": findings},
        *(findings or [tr("The ledger is whole; its head is {head}.", head=head)]),
    )
    return LedgerError.code if findings else 0


def models(args: argparse.Namespace) -> int:
    """lesveil models list"""
    from pipeline.adapters.weights import manifest

    entries = []
    for weights in manifest().values():
        try:
            weights.read()
            state, path = "ok", str(weights.path())
        except LesveilError as error:
            state, path = told(error), None
        entries.append(
            {
                "model": weights.name,
                "package": weights.package,
                "licence": weights.licence,
                "file": path,
                "state": state,
            }
        )
    lines = [f"{e['model']:12} {e['licence']:10} {e['package']:26} {e['state']}  {e['file'] or ''}" for e in entries]
    answer(args, {"models": entries}, *lines)
    return 0 if all(entry["state"] == "ok" for entry in entries) else 6


def demo(args: argparse.Namespace) -> int:
    """lesveil demo"""
    from pipeline import demo as showing

    folder = Path(args.folder) if args.folder else Path(tempfile.mkdtemp(prefix="lesveil-demo-"))
    return showing.show(folder, args.lang or "", args.main, args.onedrive_url)


def add_to(add: Add, group: Group) -> None:
    shown = add("demo", demo, "make a sample card and take it through everything")
    shown.add_argument("folder", nargs="?", metavar="DIR")
    shown.add_argument("--onedrive-url", default="", metavar="URL", help="deliver to a test service on this machine")
    made = add("init", init, "make a workspace")
    made.add_argument("folder", metavar="DIR")
    made.add_argument("--key-file", action="store_true", help="keep its key in the folder, not in the system's keyring")
    add("verify", ledger, "find any change to the ledger", group("ledger", "the ledger"))
    add("list", models, "every weight file and whether it is the right one", group("models", "the models"))
    for name, text in (
        ("purge", "delete what has served (not built yet)"),
        ("report", "a report for the privacy officer (not built yet)"),
    ):
        later = add(name, not_ready, text)
        later.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
