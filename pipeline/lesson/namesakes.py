"""Whether another card may bear a card's name: then what is not on the one that is in may lie on the other."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from pipeline.adapters import copies
from pipeline.adapters.ledger import Ledger
from pipeline.adapters.volumes import Volume, size_of, volumes
from pipeline.stages import wipe
from pipeline.wipeable import GONE

ON_MANY = frozenset({"12345678"})
"""Serials, without their dash, that makers and tools write on every card, beside those of one digit alone."""

CLOCKS = timedelta(days=1)
"""So far apart, at most, are a camera's clock and this machine's, and what either takes for the time of its zone."""


NEVER_SET = timedelta(days=365)
"""A film that seems older than this when its card is read is by a camera whose clock was never set, or began anew as
its battery ran down: its age tells nothing."""


def is_alone(ledger: Ledger, volume: Volume) -> bool:
    """Whether no other card has its identity, for all that is known: cards may share a label, and folders a place; what
    formatted them may have left their serials blank (0000-0000, FFFF-FFFF), or all alike."""
    serial = volume.serial.replace("-", "")
    of_many = len(set(serial)) < 2 or serial in ON_MANY or os.path.isabs(serial)
    return not of_many and not _is_of_two(ledger, volume)


def _is_of_two(ledger: Ledger, volume: Volume) -> bool:
    """Whether what is known of the card with this identity is of more than one: two are in, its size was another, a
    film came back to it, or one was there that was written before a run read the card and did not find it."""
    if sum(other.identity == volume.identity for other in volumes()) > 1:
        return True
    sizes = {size_of(volume.root)} if os.path.isdir(volume.root) else set()
    begun: dict[int, datetime | None] = {}  # None by a clock that ran ahead: then nothing is too old
    read: datetime | None = None
    lies: dict[str, str] = {}
    known: set[tuple[str, str]] = set()
    shown: set[str] = set()
    gone: set[tuple[str, str]] = set()
    unread: set[str] = set()
    elsewhere: set[int] = set()
    for row in ledger.entries():
        said = row.payload
        if said.get("card") != volume.identity:
            continue
        if row.kind == copies.CARD:
            sizes.add(said.get("size", 0))
            begun[row.seq] = None if row.right else datetime.fromisoformat(row.at)
        elif row.kind == copies.CARD_READ:
            read = begun[said["since"]]
            elsewhere.update(said.get("elsewhere", ()))
        elif row.kind == copies.FAILURE:
            unread.add(said["path"])
        elif row.kind == wipe.OUTCOME and said["kind"] == GONE:
            gone.add((said["path"], said["sha256"]))
        elif row.kind == copies.KIND:
            # a run that cannot read a take names the first of its films
            passed_over = any(f"{file['path']}/".startswith(f"{one}/") for file in said["files"] for one in unread)
            for file, more in zip(said["files"], said.get("listed", ()), strict=False):
                path, sha256 = key = file["path"], file["sha256"]
                if file["kind"] != "video":
                    continue
                came_back = key in gone or (key in known and lies[path] != sha256)
                new = sha256 not in shown and not passed_over and file["bytes"] not in elsewhere
                if came_back:
                    return True
                if new and read and read - NEVER_SET < datetime.fromisoformat(more["modified"]) < read - CLOCKS:
                    return True
                known.add(key)
                shown.add(sha256)
                lies[path] = sha256
    return len(sizes - {0}) > 1
