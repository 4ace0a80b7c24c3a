"""What is kept no longer than it serves: what is past its term is shown, then deleted here and where it was delivered.

Terms are in lesveil.toml under [retention]. A clip that is ticked as used has served, whatever its term.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pipeline.adapters import files
from pipeline.adapters.ledger import Entry
from pipeline.errors import ApprovalError, LesveilError, VaultError
from pipeline.lesson import deliver as delivering
from pipeline.lesson import plans
from pipeline.lesson.deleted import COPY, DELIVERED, GIVEN_UP, RENDERING, TERM, TICKED, USED
from pipeline.lesson.lying import may_lie
from pipeline.lesson.state import State, find, states
from pipeline.lesson.targets import in_archive
from pipeline.workspace import Workspace, drop_template, load_templates

KIND = "purge"
TEMPLATE, LEDGER, STRAY = "portrait template", "ledger", "film without a receipt"
KINDS = (COPY, RENDERING, DELIVERED, TEMPLATE, LEDGER, STRAY)
UNKNOWN = "the ledger does not know it"


def tick(workspace: Workspace, name: str, by: str, used: bool = True) -> State:
    """Say that a clip has served, or take that back; if it was deleted, `run` then makes it again from the card.

    Where that was wiped (`State.nothing_left`) only another card may hold its film. Raises ApprovalError.
    """
    state = find(workspace, name)
    by = " ".join(by.split())
    if not by:
        raise ApprovalError("Ticking a clip as used needs the name of who does it.")
    if (state.used is not None) != used or (not used and state.deleted is not None):
        workspace.ledger.append("used", state.clip, {"by": by, "used": used})
    return find(workspace, state.clip)


def past_use(workspace: Workspace, state: State, today: date) -> str:
    """Why a delivered clip is of no more use: somebody said that it has served, or its term is over; else ""."""
    if state.used is not None:
        return USED
    ends = _delivered_until(workspace, state)
    return TERM if ends is not None and ends <= today else ""


def held(workspace: Workspace, today: date) -> list[State]:
    """The clips that have served or are past a term, but of which nothing goes before their originals are wiped."""
    return [state for state in states(workspace) if _awaits_wipe(workspace, state) and _due_of(workspace, state, today)]


def nowhere_else(workspace: Workspace, items: Iterable[plans.Item]) -> list[State]:
    """The clips on the plan that lie nowhere else, and of which nobody said that they have served: only a card may
    still hold them. One that is wiped, or said to be gone, is among them where it was taken away again or never
    delivered."""
    return _nowhere_else(states(workspace), items)


def _nowhere_else(everything: Iterable[State], items: Iterable[plans.Item]) -> list[State]:
    why = {item["clip"]: item["because"] for item in items if item["kind"] in (COPY, RENDERING)}
    return [
        state
        for state in everything
        if (why.get(state.clip) == GIVEN_UP or (why.get(state.clip) == TERM and state.used is None))
        and not state.standing
        and state.deleted is None
    ]


def _awaits_wipe(workspace: Workspace, state: State) -> bool:
    """It lies in the archive, and on the card as well: without what purge deletes, the card could not be wiped.

    What was delivered elsewhere permits no wipe, and what was not delivered is made again from the card; those keep
    their terms.
    """
    return state.delivered is not None and state.to_wipe and in_archive(workspace, state.delivered.payload)


def due(workspace: Workspace, today: date) -> list[plans.Item]:
    """Everything that has served or is past its term on this day, in the order in which it goes; plain data."""
    everything = states(workspace)
    found = [
        item for state in everything if not _awaits_wipe(workspace, state) for item in _due_of(workspace, state, today)
    ]
    last = {state.clip for state in _nowhere_else(everything, found)}  # that is shown, so it is another plan
    found = [item | {"last": True} if item["clip"] in last else item for item in found]
    found += _templates(workspace, today)
    found += _strays(workspace)
    if not found:
        found += _old_ledger(workspace, everything, today)
    return found


def _due_of(workspace: Workspace, state: State, today: date) -> list[plans.Item]:
    found: list[plans.Item] = []
    used = state.used is not None
    why = TERM if not used else GIVEN_UP if state.render is None else USED
    rows = workspace.ledger.entries(clip=state.clip)
    there = may_lie(rows)
    until = _delivered_until(workspace, state)
    if there and (used or (until is not None and until <= today)):
        for row in there:
            key = {"where": row.payload["where"], "sha256": row.payload["sha256"], "row": row.seq}
            found.append(_item(state, DELIVERED, why, until, **key))
    ingest = _first(rows, "ingest", COPY) or state.ingest
    copied = ingest.day + timedelta(workspace.settings.retention.working_copy_days)
    if state.deleted is not None and not used and copied > today:  # nothing of it is to be kept
        why, copied = state.deleted.because, date.fromisoformat(state.deleted.day)
    if used or copied <= today:
        if workspace.vault.has(state.clip) or workspace.vault.beside(state.clip):
            size = state.ingest.payload["bytes"]
            found.append(_item(state, COPY, why, copied, bytes=size, row=state.ingest.seq))
        # what is to take the place of a film that lies there is needed until it does, or that film goes
        goes = any(item["kind"] == DELIVERED for item in found)
        needed = state.render["file"] if state.render and state.replaces and not goes else None
        for name, made in _renderings(workspace, rows).items():
            if name != needed:
                found.append(_item(state, RENDERING, why, copied, rendering=name, row=made))
    return found


def execute_purge(workspace: Workspace, digest: str, today: date) -> list[tuple[plans.Item, plans.Item | LesveilError]]:
    """Delete what was shown under this digest. Raises PlanChangedError; each failure is told beside its item."""

    def still(item: plans.Item) -> bool:
        # an older version's items name no row; what became the last of a clip since was not shown as that
        same = [one for one in due(workspace, today) if item.items() <= one.items()]
        return any(item.get("last") == one.get("last") for one in same)

    return plans.carry_out(
        workspace.ledger, KIND, digest, due(workspace, today), still, lambda i: _delete(workspace, i)
    )


def _delete(workspace: Workspace, item: plans.Item) -> plans.Item:
    if item["kind"] == DELIVERED:
        rows, unknown = delivering.lying(workspace, item["clip"])
        for row in rows:
            if row.payload["where"] == item["where"]:
                permanent = delivering.remove_delivered(workspace, item["clip"], row.payload).permanent
                return {"found": True, "permanent": permanent}
        if unknown is not None:
            raise unknown
        return {"found": False}  # it was on its way there, and never came
    if item["kind"] == COPY:
        for one in workspace.vault.beside(item["clip"]):
            workspace.vault.destroy(one)
        workspace.vault.destroy(item["clip"])
    elif item["kind"] in (RENDERING, STRAY):
        files.remove(workspace.finished / item["rendering"])
    elif item["kind"] == TEMPLATE:
        drop_template(workspace, item["person"])
    else:
        workspace.ledger.start_anew()
    return {"found": True}


def _item(state: State, kind: str, why: str, since: date | None, **more: Any) -> plans.Item:
    return {
        "kind": kind,
        "clip": state.clip,
        "file": state.file,
        "because": why,
        "since": _tick_day(state) if why in TICKED else since.isoformat() if since else "",
        **more,
    }


def _tick_day(state: State) -> str:
    assert state.used is not None
    return state.used.at[:10]


def _delivered_until(workspace: Workspace, state: State) -> date | None:
    """The last day of a clip's term, counted from its first delivery; None when it was never delivered."""
    first = _first(workspace.ledger.entries(clip=state.clip), "delivery", DELIVERED)
    return None if first is None else first.day + timedelta(workspace.settings.retention.delivered_days)


def _first(rows: Sequence[Entry], kind: str, thing: str) -> Entry | None:
    """The first row of this kind since the last time that ``thing`` was deleted: made again, it has its term anew."""
    gone = [
        n
        for n, row in enumerate(rows, 1)
        if (row.kind == f"{KIND}_done" and row.payload["item"]["kind"] == thing)
        or (thing == DELIVERED and row.kind == "recall_done" and row.payload.get("outcome") == "deleted")
    ]
    return next((row for at in (gone[-1] if gone else 0, 0) for row in rows[at:] if row.kind == kind), None)


def _renderings(workspace: Workspace, rows: Iterable[Entry]) -> dict[str, int]:
    """The finished films that are here, each with the row by which it was made last."""
    return {name: row for name, row in _rendered(rows).items() if (workspace.finished / name).is_file()}


def _rendered(rows: Iterable[Entry]) -> dict[str, int]:
    """The films that receipts name, each with the row by which it was made last."""
    renders = (row for row in rows if row.kind == "receipt" and row.payload["stage"] == "render")
    return {row.payload["outcome"]["file"]: row.seq for row in renders}


def _strays(workspace: Workspace) -> list[plans.Item]:
    """Films among the finished ones that no receipt names, and that were not delivered there: a crash came between, and
    nothing asks who is seen there."""
    told = _rendered(workspace.ledger.entries("receipt"))
    lie = {where for state in states(workspace) for where in state.standing}
    here = sorted(path for path in workspace.finished.glob("*.mp4") if path.name not in told)
    here = [path for path in here if os.path.abspath(path) not in lie]
    gone = [(row.seq, row.payload["item"]) for row in workspace.ledger.entries(f"{KIND}_done")]
    before = {item["rendering"]: seq for seq, item in gone if item["kind"] == STRAY}  # it may come back, byte for byte
    return [
        {
            "kind": STRAY,
            "rendering": path.name,
            "because": UNKNOWN,
            "since": "",
            "sha256": _digest(path),
            "row": before.get(path.name, 0),
        }
        for path in here
    ]


def _digest(path: Path) -> str:
    """Of a finished film; "" while it cannot be read, which keeps nothing else from being told."""
    try:
        return files.sha256_of(path)
    except OSError:
        return ""


def _templates(workspace: Workspace, today: date) -> list[plans.Item]:
    term = timedelta(workspace.settings.retention.template_days)
    try:
        people = load_templates(workspace)
    except VaultError:  # what cannot be read recognises nobody; the next run destroys it
        return []
    enrolled = workspace.ledger.entries("enrolment")
    since = _enrolled(workspace, enrolled)
    out: list[plans.Item] = []
    for person in people:
        taken = person.taken or since.get(person.id)
        if taken is None or taken + term <= today:
            ends = (taken + term).isoformat() if taken else ""
            row = enrolled[-1].seq if enrolled else 0
            out.append({"kind": TEMPLATE, "person": person.id, "because": TERM, "since": ends, "row": row})
    return out


def _enrolled(workspace: Workspace, enrolled: Sequence[Entry]) -> dict[str, date]:
    """The day on which each person was enrolled first, since they were last deleted or replaced: the same pictures
    enrolled again grow no younger."""
    begins = {
        row.payload["item"]["person"]: row.seq
        for row in workspace.ledger.entries(f"{KIND}_done")
        if row.payload["item"]["kind"] == TEMPLATE
    }
    for row in enrolled:
        begins |= dict.fromkeys(row.payload.get("replaced", ()), row.seq)
    days: dict[str, date] = {}
    for row in enrolled:
        for one in row.payload["people"]:
            if row.seq >= begins.get(one, 0):
                days.setdefault(one, row.day)
    return days


def _old_ledger(workspace: Workspace, everything: list[State], today: date) -> list[plans.Item]:
    """The ledger itself goes last: nothing it tells about is left, here or where it was delivered."""
    rows = workspace.ledger.entries()
    told = [row for row in rows if not row.kind.startswith(KIND)]
    if not told or told[-1].kind == "continued":
        return []
    ends = told[-1].day + timedelta(workspace.settings.retention.ledger_days)
    left = any(state.standing or workspace.vault.has(state.clip) for state in everything)
    return [] if left or ends > today else [{"kind": LEDGER, "because": TERM, "since": ends.isoformat()}]
