"""What makes the ledger's rows hold together, and what may not enter them; pure.

A row is ``(seq, at, kind, clip, receipt, payload, previous, hash)`` as SQLite stores it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from pipeline.errors import LedgerError

GENESIS = "0" * 64
"""The ``previous`` of the first row."""
LONGEST_FLOAT_LIST = 16
"""A longer list of floats is taken for an embedding (those have 128) and refused."""

_NAMES = {"name", "names", "naam", "namen", "roepnaam", "voornaam", "achternaam", "tussenvoegsel"}
_NAMES |= {"surname", "firstname", "lastname", "fullname", "birth", "birthdate", "birthday", "geboortedatum"}
_FACES = {"embedding", "embeddings", "template", "templates", "descriptor", "descriptors"}


def canonical(payload: object) -> str:
    """The one JSON text of a payload: keys sorted, no spaces, ASCII; LedgerError for what JSON cannot hold."""
    try:
        return json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise LedgerError(
            "This cannot be kept in the ledger, because it is not plain JSON: {why}.", why=error
        ) from error


def hash_of(seq: int, at: str, kind: str, clip: str | None, receipt: str | None, payload: str, previous: str) -> str:
    """SHA-256 over everything in a row but its own hash; ``previous`` ties it to the row before."""
    return hashlib.sha256(canonical([seq, at, kind, clip, receipt, payload, previous]).encode()).hexdigest()


def broken_links(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """What is wrong with ``rows``, which come in order of their number: deleted, changed, or in another order."""
    place = _places(rows)
    findings: list[str] = []
    expected, before = 1, GENESIS
    for row in rows:
        seq, previous, own = row[0], row[6], row[7]
        if seq > expected:
            findings.append(
                f"row {expected} was deleted" if seq == expected + 1 else f"rows {expected} to {seq - 1} were deleted"
            )
        if hash_of(*row[:7]) != own:
            moved = own in place and hash_of(place[own], *row[1:7]) == own
            findings.append(f"row {seq} was re-ordered: it is row {place[own]}" if moved else f"row {seq} was changed")
        elif seq == expected and previous != before:
            findings.append(f"row {seq} does not follow row {seq - 1} as it stands")
        expected, before = seq + 1, own
    return findings


def seq_of_head(head: str) -> int:
    """The row number in ``<number>:<hash>``; LedgerError when the text is not a head."""
    if not re.fullmatch(r"[0-9]{1,18}:[0-9a-f]{64}", head):
        raise LedgerError("{head} is not a head of the ledger; give <number>:<hash> as it was noted.", head=head)
    return int(head.partition(":")[0])


def refuse_personal(payload: object, where: str = "payload") -> None:
    """Raise LedgerError when ``payload`` has, at any depth, a key for a name or a face, or an embedding's numbers."""
    if isinstance(payload, dict):
        for key, value in payload.items():
            if not isinstance(key, str):
                raise LedgerError("The ledger does not keep {where}, because its keys are not all text.", where=where)
            words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).lower()))
            if words & (_NAMES | _FACES):
                raise LedgerError(
                    "The ledger does not keep {where}, because no name, birth date or face may enter it; give the"
                    " register id instead.",
                    where=f"{where}.{key}",
                )
            refuse_personal(value, f"{where}.{key}")
    elif isinstance(payload, list | tuple):
        if sum(isinstance(value, float) for value in payload) > LONGEST_FLOAT_LIST:
            raise LedgerError(
                "The ledger does not keep {where}, because so many numbers together may be a face.", where=where
            )
        for value in payload:
            refuse_personal(value, where)


def _places(rows: Sequence[tuple[Any, ...]]) -> dict[str, int]:
    """The number that each row's hash had when the chain was made: found by following it from the first link."""
    following = {row[6]: row[7] for row in rows}
    places: dict[str, int] = {}
    link = GENESIS
    while (link := following.pop(link, "")) != "":
        places[link] = len(places) + 1
    return places
