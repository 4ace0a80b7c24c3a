"""All that is held about one person, for a request for access (GDPR article 15)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from pipeline import __version__
from pipeline.adapters.ledger import Entry
from pipeline.errors import ReportError, VaultError
from pipeline.lesson.lying import standing, still_delivered, unsettled
from pipeline.lesson.processing import recipient
from pipeline.lesson.report import Document, begun_of, delivery_of, lost_of
from pipeline.lesson.state import State, states
from pipeline.workspace import Workspace, load_templates

HIDDEN = (
    "In every other clip everybody whom the program did not recognise is hidden; it keeps nothing by which it could"
    " tell who they are, so it cannot say whether this person is among them."
)


def about_person(workspace: Workspace, person: str, today: date) -> Document:
    """All that is held about one person, for a request for access (GDPR 15). Raises ReportError."""
    known = next((one for one in workspace.register.people(today) if one.id == person), None)
    if known is None:
        raise ReportError(
            "{person} is not in the register; look up the number with lesveil consent list.", person=person
        )
    record = workspace.register.record(person)
    try:
        templates = [one for one in load_templates(workspace) if one.id == person]
    except VaultError:  # it cannot be read, and recognises nobody
        templates = []
    clips: list[Document] = []
    for state in states(workspace):
        rows = workspace.ledger.entries(clip=state.clip)
        for row in rows:
            if row.kind == "receipt" and row.payload["stage"] == "render":
                outcome = row.payload["outcome"]
                mine = [entry for entry in outcome["kept"] if entry["person"] == person]
                if mine:
                    clips.append(_appearance(state, row, mine, outcome, rows))
    concerning = [row for row in workspace.ledger.entries() if _concerns(row.payload, person)]
    return {
        "lesveil": __version__,
        "made_on": today.isoformat(),
        "person": {"id": known.id, "name": known.name, "class": known.group, "staff": known.staff},
        "other_numbers": workspace.register.selves(person),
        "may_be_filmed": {"answer": known.filmed.kept, "why": str(known.filmed.why), "ground": known.filmed.ground},
        "may_be_recognised": {"answer": known.answer.kept, "why": str(known.answer.why), "ground": known.answer.ground},
        "consent": [_plain(asdict(row)) for row in record.rows],
        "withdrawals": [_plain(asdict(one)) for one in record.withdrawals],
        "template": [
            {"portraits": one.portraits, "newest": one.taken.isoformat() if one.taken else None} for one in templates
        ],
        "shown_in": clips,
        "ledger_rows": [{"row": row.seq, "at": row.at, "kind": row.kind} for row in concerning],
        "retention": asdict(workspace.settings.retention),
        "recipient": recipient(workspace),
        "hidden": HIDDEN,
    }


def _appearance(state: State, row: Entry, mine: list[Document], outcome: Document, rows: Sequence[Entry]) -> Document:
    digest = outcome["sha256"]
    gone = [one for one in state.lost if one.payload["sha256"] == digest]
    lies = digest in {one.payload["sha256"] for one in standing(rows)}
    rate = outcome["frames"] / outcome["seconds"] if outcome.get("frames") and outcome.get("seconds") else None
    return {
        "clip": state.clip,
        "file": state.file,
        "filmed": state.filmed,
        "rendered_at": row.at,
        "ground": mine[0].get("ground"),
        "by_hand": any(entry.get("by_hand") for entry in mine),
        "seconds": round(sum(entry["stop"] - entry["start"] for entry in mine) / rate, 1) if rate else None,
        "deliveries": [
            delivery_of(one, rows) for one in rows if one.kind == "delivery" and one.payload["sha256"] == digest
        ],
        "begun": [begun_of(one) for one in unsettled(rows) if one.payload["sha256"] == digest],
        "lost": [lost_of(one, rows) for one in gone],
        "still_delivered": lies,
        # a delivery of which nothing was heard, an older version that OneDrive may keep, a disk that is lost
        "may_be_delivered": not lies and (bool(gone) or digest in still_delivered(rows)),
    }


def _concerns(value: Any, person: str) -> bool:
    """Whether something names this person by number, at any depth."""
    if isinstance(value, dict):
        named = [one for key, one in value.items() if key in ("person", "people", "pair")]
        return any(person == one or (isinstance(one, list) and person in one) for one in named) or any(
            _concerns(one, person) for one in value.values()
        )
    return isinstance(value, list) and any(_concerns(one, person) for one in value)


def _plain(record: Document) -> Document:
    return {key: value.isoformat() if isinstance(value, date) else value for key, value in record.items()}
