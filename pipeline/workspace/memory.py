"""Ledger and register know the same of what hides people, so that an old copy of either undoes nothing."""

from __future__ import annotations

import sys
from datetime import date

from pipeline.adapters.ledger import Entry
from pipeline.messages import tr
from pipeline.workspace.place import Workspace
from pipeline.workspace.templates import prune_templates

KNOWN = "withdrawal_known"
"""Kind of the rows by which the ledger has a withdrawal that is in the register and was not told as it was made."""


def heed_withdrawals(workspace: Workspace) -> None:
    """The ledger and the register have the same withdrawals, so that an old copy of either loses none.

    What the register lacks counts again. The ledger comes to know what a list stated, and what a crash kept from it.
    """
    ledger = workspace.ledger
    if ledger.entries("clock") and (ledger.latest() or date.max) <= date.today():
        workspace.register.settle_clock()  # an earlier version did not, or it was cut off
    lost = lost_withdrawals(workspace)
    rows = ledger.entries("withdrawal") if lost else []
    by = {(row.payload["person"], row.payload["day"]): row.payload.get("by", "") for row in rows}
    for person, day in lost:
        workspace.register.heed(person, date.fromisoformat(day), by.get((person, day), ""))
        workspace.ledger.append("withdrawal_heeded", None, {"person": person, "day": day})
        prune_templates(workspace, date.today(), person)
        text = tr("The register had lost the withdrawal of {id} of {day}; it counts again.", id=person, day=day)
        print(text, file=sys.stderr)
    for person, day in sorted(workspace.register.withdrawn() - _told_withdrawals(workspace)):
        workspace.ledger.append(KNOWN, None, {"person": person, "day": day})


def lost_withdrawals(workspace: Workspace) -> list[tuple[str, str]]:
    """Withdrawals that the ledger has and the register has not, because an old copy of it was put back."""
    return sorted(_told_withdrawals(workspace) - workspace.register.withdrawn())


def _told_withdrawals(workspace: Workspace) -> set[tuple[str, str]]:
    """Every withdrawal that the ledger has: (person, the day from which it counts)."""
    found = {(row.payload["person"], row.payload["day"]) for row in workspace.ledger.entries(KNOWN)}
    for row in workspace.ledger.entries("withdrawal"):
        person, day = row.payload["person"], row.payload["day"]
        found.add((person, min(day, row.day.isoformat()) if row.right else day))
    return found


def heed_alikes(workspace: Workspace) -> None:
    """The ledger and the register have the same word on who looks alike, the later one: with a withdrawal it hides
    both, and an old copy of either has not heard it."""
    ledger, register = workspace.ledger, workspace.register
    said = {(row.payload["pair"][0], row.payload["pair"][1]): row for row in ledger.entries("alike")}
    known = register.decisions()
    for pair in sorted(said.keys() | known.keys()):
        row, (at, people, by) = said.get(pair), known.get(pair, ("", 0, ""))
        if row is not None and row.payload["people"] == people:
            continue
        if row is None or row.at < at:
            ledger.append("alike", None, {"pair": list(pair), "people": people, "by": by})
        elif register.knows(pair[0]) and register.knows(pair[1]):
            register.decide_alike(pair[0], pair[1], row.payload["people"], row.payload["by"])


def heed_lists(workspace: Workspace) -> None:
    """The ledger comes to know the newest list where a crash kept it from it: by that an old copy of the register is
    told."""
    lost, rows = _lists_lost(workspace), workspace.ledger.entries("import")
    known = {(row.payload["import"], row.payload["sha256"]) for row in rows}
    for number, sha256, people, staff in workspace.register.newest_imports():
        if staff not in lost and (number, sha256) not in known:
            row = {"import": number, "sha256": sha256, "people": people, "staff": staff}
            workspace.ledger.append("import", None, row)


def missing_list(workspace: Workspace) -> Entry | None:
    """The ledger's row of the newest list, of pupils or of staff, that the register does not hold; None: none."""
    return next((rows[-1] for rows in _lists_lost(workspace).values()), None)


def older_than_lost(workspace: Workspace, sha256: str, *, staff: bool) -> date | None:
    """The day on which the list with this digest was imported, where the register lost a newer one of its kind."""
    rows = _lists_lost(workspace).get(staff, [])
    days = [row.day for row in rows if row.payload["sha256"] == sha256]
    return days[-1] if days and rows[-1].payload["sha256"] != sha256 else None


def _lists_lost(workspace: Workspace) -> dict[bool, list[Entry]]:
    """The ledger's rows of all lists, of the pupils (False) and of the staff, where the register lacks the newest."""
    lists: dict[bool, list[Entry]] = {}
    for row in workspace.ledger.entries("import"):
        lists.setdefault(bool(row.payload.get("staff")), []).append(row)

    def held(row: Entry) -> bool:
        return workspace.register.imported(row.payload["import"], row.payload["sha256"])

    return {staff: rows for staff, rows in lists.items() if not held(rows[-1])}
