"""Whether a clip was deleted on purpose, read from its rows: then it stays deleted, though its film is still on a card.

On purpose is: somebody said that it has served, and the plan of a purge was carried out; it was deleted where it had
been delivered because its term was over; or a recall deleted it. A working copy or finished clip that went by its own
term alone is no such decision: the card may hold all that there is of it, and it is made again from there.

Somebody may take it back. Who says after that, once more, that it has served ends that, if nothing was made in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.adapters.ledger import Entry

USED, TERM, TEACHER = "it has served", "its term is over", "its teacher took consent back"
"""Why a clip is deleted."""

GIVEN_UP = "it was given up"
"""The same of one that was ticked though it was never rendered."""

TICKED = (USED, GIVEN_UP)

COPY, RENDERING, DELIVERED = "working copy", "finished clip here", "delivered clip"
"""What there is of a clip to be deleted."""


@dataclass(frozen=True)
class Deleted:
    """The day (yyyy-mm-dd) on which it was deleted, and why."""

    day: str
    because: str


@dataclass(frozen=True)
class Fate:
    """``deleted``, unless somebody took that back; ``since`` is the number of the row that last did, else 0."""

    deleted: Deleted | None
    since: int


def fate(rows: Iterable[Entry]) -> Fate:
    """What the rows of one clip, in order, say of it."""
    found: Deleted | None = None
    before: Deleted | None = None  # that was taken back, and nothing of the clip was made or brought since
    since, ticked = 0, ""
    there: set[str] = set()
    for row in rows:
        said = row.payload
        if row.kind == "used":
            ticked = row.at[:10] if said["used"] else ""
            if not said["used"] and found is not None:
                found, before, since = None, found, row.seq
            elif said["used"]:
                found, before = found or before, None
        elif row.kind in ("ingest", "receipt", "approval"):
            before = None
        elif row.kind == "delivery":
            before = None
            there.add(said["where"])
        elif row.kind in ("delivery_removed", "delivery_lost"):
            there.discard(said["where"])
        elif row.kind == "delivery_back":
            there.add(said["where"])
        elif row.kind == "recall_done" and said.get("outcome") == "deleted" and not there:  # nothing came since
            found = found or Deleted(row.day.isoformat(), said["item"].get("because", TERM))
        elif row.kind == "purge_done":
            item = said["item"]
            # one that was not carried out any more (a tick that was taken back meanwhile) decides nothing
            served = item["because"] in TICKED and ticked != "" and item["since"] == ticked
            over = item["because"] not in TICKED and item["kind"] == DELIVERED and item["where"] not in there
            if served or over:
                found = found or Deleted(row.day.isoformat(), item["because"])
    return Fate(found, since)
