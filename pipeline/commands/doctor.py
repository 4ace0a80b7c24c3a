"""lesveil doctor: what is missing, one line each, with what to do."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from datetime import date

from pipeline import workspace
from pipeline.commands.terminal import Add, Group, answer
from pipeline.errors import LesveilError, NotReadyError
from pipeline.lesson.checks import Finding, tried
from pipeline.messages import tr
from pipeline.workspace import Workspace


def _machine(place: Workspace) -> list[Finding]:
    from pipeline.lesson.house_checks import machine_findings

    return machine_findings(place)


def _models(place: Workspace) -> list[Finding]:
    from pipeline.lesson.house_checks import model_findings

    return model_findings(place)


def _keys(place: Workspace) -> list[Finding]:
    from pipeline.lesson.house_checks import key_findings

    return key_findings(place)


def _privacy(place: Workspace) -> list[Finding]:
    from pipeline.lesson.house_checks import privacy_findings

    return privacy_findings(place)


def _cards(place: Workspace) -> list[Finding]:
    from pipeline.lesson.house_checks import card_findings

    return card_findings(place)


def _delivering(place: Workspace) -> list[Finding]:
    from pipeline.lesson.target_checks import target_findings

    return tried((target_findings,), place)


OPENING = "the workspace"
"""Title of the section that comes first: which parts of it can be opened at all."""

SECTIONS: tuple[tuple[str, Callable[[Workspace], list[Finding]]], ...] = (
    ("this machine", _machine),
    ("models", _models),
    ("keys and permissions", _keys),
    ("privacy", _privacy),
    ("cards", _cards),
    ("delivering", _delivering),
)
"""(title, what it finds), in the order in which they are shown. Each section is a list of findings of its own."""

_SIGNS = {"good": "+", "warning": "!", "bad": "-"}


def doctor(args: argparse.Namespace) -> int:
    """lesveil doctor

    It only looks, so it waits for no run that is at work, and needs no folder that can be written.
    """
    from pipeline.lesson.house_checks import EARLIEST, part_findings

    with workspace.opened_in_part(args.workspace) as (place, broken):
        if args.clock_is_right and date.today() >= EARLIEST:
            with workspace.alone(place, tidy=False), contextlib.suppress(LesveilError):
                place.ledger.append("clock", None, {"said": date.today().isoformat()})
                place.register.settle_clock()  # of a part that is broken, what is found says so
        found = [(OPENING, part_findings(broken))]
        for title, work in SECTIONS:  # who needs a part that is broken says the same again
            found.append((title, [one for one in work(place) if one not in found[0][1]]))
    lines: list[str] = []
    for title, findings in found:
        lines.append(tr(title))
        for one in findings:
            lines.append(f"  {_SIGNS[one.state]} {one.text}")
            lines += [f"      {one.todo}"] if one.todo else []
    document = {
        "sections": [
            {"section": title, "findings": [{"state": f.state, "text": f.text, "todo": f.todo} for f in findings]}
            for title, findings in found
        ]
    }
    answer(args, document, *lines)
    return NotReadyError.code if any(one.state == "bad" for _, findings in found for one in findings) else 0


def add_to(add: Add, group: Group) -> None:
    command = add("doctor", doctor, "what is missing here, and what to do about it")
    command.add_argument(
        "--clock-is-right",
        action="store_true",
        help="say so where the ledger has a row of a later day: it was wrong when that was written",
    )
