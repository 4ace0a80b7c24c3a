"""Where deliveries of one clip lie, or may lie: a pure question to its rows of the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from pipeline.adapters.ledger import Entry

SENDING, UNSENT = "delivery_sending", "delivery_unsent"
"""Kinds of rows: a rendering is about to be brought somewhere; it turned out that it does not lie there."""

CLEARED = "delivery_cleared"
"""Kind of row: older versions that OneDrive kept of a delivery are gone since."""

LOST, BACK = "delivery_lost", "delivery_back"
"""Kinds of rows: a person (``by``) says that the folder in which a delivery lies, or may lie, is gone for good; it is
there again. In between nothing is asked of it, nothing rests on it, and nothing of it is called removed."""


def standing(rows: Iterable[Entry]) -> list[Entry]:
    """The deliveries of one clip that still lie where they were brought: not replaced, and not taken away since.

    More than one only where the target was changed in between and the older place could not be cleared. What is lost
    is not among them.
    """
    return _lying(rows, "delivery", ("delivery_removed",))


def unsettled(rows: Iterable[Entry]) -> list[Entry]:
    """What was about to be brought somewhere, and nothing was heard of it since: it may lie there."""
    return _lying(rows, SENDING, ("delivery", "delivery_removed", UNSENT))


def _lying(rows: Iterable[Entry], begins: str, endings: Collection[str]) -> list[Entry]:
    """The rows of the kind ``begins`` of one clip after which none of ``endings`` is about the same place, without
    those of what is lost."""
    found: list[Entry] = []
    away: list[Entry] = []
    for row in _with_rows(rows):
        if row.kind == begins or row.kind in endings:
            found = [one for one in found if one.payload["where"] != row.payload["where"]]
            found += [row] if row.kind == begins else []
        elif row.kind == LOST:
            away += [one for one in found if _about(row, one)]
            found = [one for one in found if not _about(row, one)]
        elif row.kind == BACK:
            found += [one for one in away if _about(row, one)]
            away = [one for one in away if not _about(row, one)]
        elif row.kind == CLEARED and begins == "delivery":
            mine = [one.payload["where"] == row.payload["where"] for one in found]
            none = {"versions_left": 0}
            found = [replace(o, payload=o.payload | none) if its else o for o, its in zip(found, mine, strict=True)]
    return found


def lost(rows: Iterable[Entry]) -> list[Entry]:
    """The rows of one clip in which somebody said that a place is gone for good at which it lies, or may lie."""
    found: dict[int, Entry] = {}
    for row in _with_rows(rows):
        if row.kind in (LOST, BACK):  # the same that is lost once more is lost by its latest row
            found.pop(row.payload["row"], None)
        if row.kind == LOST:
            found[row.payload["row"]] = row
    return list(found.values())


def _about(row: Entry, delivery: Entry) -> bool:
    """Whether a row LOST or BACK is about that delivery: at the place of a disk that is lost there may be another
    since, with the very same film."""
    return bool(row.payload["row"] == delivery.seq)


def _with_rows(rows: Iterable[Entry]) -> Iterator[Entry]:
    """The rows of one clip, of which LOST and BACK all say by its row which delivery they are about. Those of an older
    version do not: a loss is of what was brought to that place last, and what came back is what was lost there last."""
    last: dict[tuple[str, str], int] = {}
    gone: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row.payload.get("where", ""), row.payload.get("sha256", ""))
        if row.kind in ("delivery", SENDING):
            last[key] = row.seq
        elif row.kind in (LOST, BACK) and "row" not in row.payload:
            seq = last.get(key, 0) if row.kind == LOST else gone.get(key, 0)
            row = replace(row, payload=row.payload | {"row": seq})
        if row.kind == LOST:
            gone[key] = row.payload["row"]
        yield row


def ends(rows: Iterable[Entry]) -> dict[int, Entry]:
    """Of each delivery of one clip that no longer lies where it was brought, by its row's number, the row that ended
    it: taken away, replaced, or lost. The same film that is brought to its place again is told twice and lies there
    once."""
    there: list[list[Entry]] = []  # each all deliveries of one film to one place, since it came there
    away: list[list[Entry]] = []
    found: dict[int, Entry] = {}
    for row in _with_rows(rows):
        over: list[list[Entry]] = []
        if row.kind in ("delivery", "delivery_removed"):
            here = [film for film in there if film[0].payload["where"] == row.payload["where"]]
            same = [film for film in here if row.kind == "delivery" and _alike(film[0], row)]
            over = [film for film in here if film not in same]
            for film in same:
                film.append(row)
            there += [[row]] if row.kind == "delivery" and not same else []
        elif row.kind == LOST:
            over = [film for film in there if any(_about(row, one) for one in film)]
            away += over
        elif row.kind == BACK:
            back = [film for film in away if any(_about(row, one) for one in film)]
            away = [film for film in away if film not in back]
            there += back
            for one in (one for film in back for one in film):
                found.pop(one.seq, None)  # where two disks had come back to one place, both held it
        there = [film for film in there if film not in over]
        found |= {one.seq: row for film in over for one in film}
    return found


def _alike(one: Entry, other: Entry) -> bool:
    return bool(one.payload["sha256"] == other.payload["sha256"])


def may_lie(rows: Iterable[Entry]) -> list[Entry]:
    """The deliveries of one clip that lie where they were brought, and those that may lie there."""
    rows = list(rows)
    return [*standing(rows), *unsettled(rows)]


def still_delivered(rows: Iterable[Entry]) -> set[str]:
    """The digests of one clip's renderings that may still be seen where they were delivered, or may just have been.

    What was replaced or taken away shows nobody any more, unless OneDrive keeps older versions of it.
    """
    everything = list(rows)
    there = standing(everything)
    kept = any(row.payload.get("versions_left") for row in there)
    found = {row.payload["sha256"] for row in (everything if kept else there) if row.kind == "delivery"}
    return found | {row.payload["sha256"] for row in unsettled(everything)}


def since(rows: Iterable[Entry]) -> dict[str, int]:
    """The digests of one clip's renderings that may still be seen where they were delivered, each with the row by which
    it came there."""
    rows = list(rows)
    came: dict[str, tuple[str, int]] = {}  # by place
    sent: dict[tuple[str, str], int] = {}  # by place and digest: it may have been there before the ledger heard of it
    for row in rows:
        key = (row.payload.get("where", ""), row.payload.get("sha256", ""))
        if row.kind == SENDING:
            sent.setdefault(key, row.seq)
        elif row.kind == UNSENT:
            sent.pop(key, None)
        elif row.kind in ("delivery_removed", LOST):
            came.pop(row.payload["where"], None)
        elif row.kind == "delivery":
            seq = sent.pop(key, row.seq)
            # the same again is told again, and nothing new
            if came.get(row.payload["where"], ("", 0))[0] != row.payload["sha256"]:
                came[row.payload["where"]] = (row.payload["sha256"], seq)
    there = {row.payload["sha256"]: row.seq for row in unsettled(rows)} | dict(came.values())
    first = {row.payload["sha256"]: row.seq for row in reversed(rows) if row.kind in ("delivery", SENDING)}
    return {digest: there.get(digest, first[digest]) for digest in still_delivered(rows)}
