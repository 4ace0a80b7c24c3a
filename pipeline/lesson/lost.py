"""A folder to which films were delivered is gone for good: a disk that broke, or was stolen.

Who says so is kept with every delivery that lay there. None is called removed: whoever has the disk can see it still.
Nothing waits for it any more, and nothing rests on it, until the disk is there again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipeline.adapters.chain import seq_of_head
from pipeline.adapters.ledger import Entry
from pipeline.errors import DeliveryError, LesveilError
from pipeline.lesson import plans
from pipeline.lesson.folder_target import FolderTarget, heads_above
from pipeline.lesson.lying import BACK, LOST, lost, may_lie
from pipeline.lesson.state import State, states
from pipeline.lesson.targets import folder_target
from pipeline.lesson.withdraw import may_not_be_seen
from pipeline.workspace import Workspace

KIND = "lost"


@dataclass(frozen=True)
class Lost:
    """A film at a place that is gone for good, by which row, and who is shown in it and may not be any more."""

    state: State
    row: Entry
    people: tuple[str, ...]


def lost_plan(workspace: Workspace, folder: Path) -> list[plans.Item]:
    """What is delivered, or may be, in a folder that is gone, and is not at hand; plain data for JSON. Raises
    DeliveryError where nothing is, and where the folder or all that was brought there is at hand."""
    items = _away(workspace, _items(workspace, folder))
    if not items:
        rows = [row for state in states(workspace) for row in may_lie(workspace.ledger.entries(clip=state.clip))]
        places = {str(Path(row.payload["where"]).parent) for row in rows if row.payload["target"] == FolderTarget.kind}
        raise DeliveryError(
            "No delivered film counts as lying in {folder}; name one of these folders, or one in which they lie:"
            " {places}.",
            folder=_place(folder),
            places=", ".join(sorted(places)) or "-",
        )
    return items


def execute_lost(
    workspace: Workspace, folder: Path, by: str, digest: str
) -> list[tuple[plans.Item, plans.Item | LesveilError]]:
    """Say of what was shown under this digest that it is lost. Raises DeliveryError, PlanChangedError."""
    items = _away(workspace, _items(workspace, folder))

    def still(item: plans.Item) -> bool:
        return any(row.seq == item["row"] for row in may_lie(workspace.ledger.entries(clip=item["clip"])))

    def act(item: plans.Item) -> plans.Item:
        row = {name: item[name] for name in ("sha256", "target", "where", "bytes", "row")}
        workspace.ledger.append(LOST, item["clip"], row | {"by": " ".join(by.split())})
        return {"found": True}

    return plans.carry_out(workspace.ledger, KIND, digest, items, still, act)


def seen_in(workspace: Workspace, items: list[plans.Item], today: date) -> dict[tuple[str, str], list[str]]:
    """Who is shown in each film on the plan, by its clip and digest, and may not be any more."""
    found: dict[tuple[str, str], list[str]] = {}
    for state in states(workspace):
        if mine := [item for item in items if item["clip"] == state.clip]:
            people = may_not_be_seen(workspace, state, today)
            found |= {(state.clip, item["sha256"]): people.get(item["sha256"], []) for item in mine}
    return found


def nowhere_else(workspace: Workspace, items: list[plans.Item]) -> list[State]:
    """The clips on the plan of which nothing else is known to be left."""
    gone = {item["where"] for item in items}
    return [
        state
        for state in states(workspace)
        if gone.intersection(state.standing)
        and gone.issuperset(state.standing)
        and not state.to_wipe
        and not workspace.vault.has(state.clip)
        and not (state.render and (workspace.finished / state.render["file"]).is_file())
    ]


def come_back(workspace: Workspace) -> list[str]:
    """Find out which of what was said to be lost is there again, where it was brought or in the folder of
    lesveil.toml: it counts as delivered again, with all that is due there. Returns where it was brought. Raises
    DeliveryError where another disk has had that place since, and is not there: on which one a film goes, nobody could
    tell."""
    target, clips = folder_target(workspace), list(dict.fromkeys(row.clip for row in workspace.ledger.entries(LOST)))
    for clip in clips:  # before anything counts as back: that disk goes out again
        rows = workspace.ledger.entries(clip=clip)
        for one in lost(rows):
            _refuse_in_its_place(workspace, one, may_lie(rows))
    found: list[str] = []
    for clip in clips:
        away = lost(workspace.ledger.entries(clip=clip))
        for n, one in enumerate(away):
            where = one.payload["where"]
            besides = {row.payload["where"] for row in may_lie(workspace.ledger.entries(clip=clip))}
            if where in besides:  # another disk has its place
                continue
            again = any(other.payload["where"] == where for other in away[n + 1 :])  # by bytes it may be that one, too
            if _disk(workspace, where, one.seq) or (not again and target.found(one.payload, besides)):
                back = {name: one.payload[name] for name in ("sha256", "target", "where", "row")}
                workspace.ledger.append(BACK, clip, back)
                found.append(where)
    return found


def _refuse_in_its_place(workspace: Workspace, one: Entry, lying: list[Entry]) -> None:
    """Raises DeliveryError where a disk that was lost is there, and another one has had its place since: it has no head
    of this ledger that was left after it was lost, and the other has no older one."""
    if not any(row.seq > one.seq and row.payload["where"] == one.payload["where"] for row in lying):
        return
    besides = {row.payload["where"] for row in lying}
    for place in (one.payload["where"], folder_target(workspace).found(one.payload, besides)):
        folder, heads = next(heads_above(place, workspace.ledger.mark()), (None, []))
        if heads and all(seq_of_head(head) <= one.seq for head in heads):
            raise DeliveryError(
                "{folder} is the disk that {by} said was lost on {day}, and another one has had its place since, with "
                "a film of the same name; take it out, put that other one in and repeat the command, or, if that one "
                "is lost as well, say so before you put this one in again: lesveil deliver --gone FOLDER --by NAME.",
                folder=folder,
                by=one.payload["by"],
                day=one.day,
            )


def all_lost(workspace: Workspace, today: date) -> list[Lost]:
    """Every film at a place that is gone for good."""
    found: list[Lost] = []
    for state in states(workspace):
        found += of_clip(workspace, state, today)
    return found


def of_clip(workspace: Workspace, state: State, today: date) -> list[Lost]:
    """The same of one clip."""
    people = may_not_be_seen(workspace, state, today) if state.lost else {}
    return [Lost(state, row, tuple(people.get(row.payload["sha256"], ()))) for row in state.lost]


def _items(workspace: Workspace, folder: Path) -> list[plans.Item]:
    place, items = _place(folder), list[plans.Item]()
    for state in states(workspace):
        rows = workspace.ledger.entries(clip=state.clip)
        back = {row.payload["where"]: row.seq for row in rows if row.kind == BACK}
        for row in may_lie(rows):
            said = row.payload
            if said["target"] == FolderTarget.kind and _place(Path(said["where"])).is_relative_to(place):
                key = {name: said[name] for name in ("sha256", "target", "where", "bytes")}
                item = {"clip": state.clip, "file": state.file, **key, "row": row.seq}
                items.append(item | ({"back": back[said["where"]]} if said["where"] in back else {}))
    return items


def _away(workspace: Workspace, items: list[plans.Item]) -> list[plans.Item]:
    """Those that are not at hand; DeliveryError where all are. Neither an empty folder nor one with other things in it
    is more than the place of a disk that is not in."""
    at_hand, target, last = dict[str, str](), folder_target(workspace), seq_of_head(workspace.ledger.head())
    for item in items:
        where = item["where"]
        others = {row.payload["where"] for row in may_lie(workspace.ledger.entries(clip=item["clip"]))} - {where}
        if there := _disk(workspace, where, last) or target.found(item, others):
            at_hand[where] = there
    at_hand |= target.put_elsewhere([item for item in items if item["where"] not in at_hand])
    away = [item for item in items if item["where"] not in at_hand]
    if items and not away:
        raise DeliveryError(
            "{folder} is there, so nothing in it is lost: lesveil deliver --audit says what lies there, and lesveil "
            "deliver --remove CLIP that one film is gone (if another disk has the place of the one that is lost, take "
            "it out first).",
            folder=next(iter(at_hand.values())),
        )
    return away


def _disk(workspace: Workspace, where: str, before: int) -> str:
    """The folder in which, or below which, a delivery lay, if it is there; else "". A disk is known by a head of this
    ledger from ``before`` a row: one that was put in its place since has none."""
    above = heads_above(where, workspace.ledger.mark())
    return next((str(at) for at, heads in above if any(seq_of_head(head) <= before for head in heads)), "")


def _place(path: Path) -> Path:
    return Path(os.path.abspath(path))
