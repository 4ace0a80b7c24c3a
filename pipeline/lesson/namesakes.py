"""Whether another card may bear a card's name: then what is not on the one that is in may lie on the other."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pipeline.adapters import copies
from pipeline.adapters.ledger import Entry, Ledger
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
    if len({other.drive for other in volumes() if other.identity == volume.identity}) > 1:
        return True
    known = _Known({size_of(volume.root)} if os.path.isdir(volume.root) else set())
    rows = (row for row in ledger.entries() if row.payload.get("card") == volume.identity)
    return any(known.shows_another(row) for row in rows) or len(known.sizes - {0}) > 1


@dataclass
class _Known:
    """What the rows about a card say of it, one after the other."""

    sizes: set[int]
    _begun: dict[int, datetime | None] = field(default_factory=dict)
    """When runs began to read it; None by a clock that ran ahead: then nothing is too old."""
    _read: datetime | None = None
    _lies: dict[str, str] = field(default_factory=dict)
    _met: set[tuple[str, str]] = field(default_factory=set)
    _shown: set[str] = field(default_factory=set)
    _gone: set[tuple[str, str]] = field(default_factory=set)
    _unread: set[str] = field(default_factory=set)
    _elsewhere: set[int] = field(default_factory=set)

    def shows_another(self, row: Entry) -> bool:
        """Whether this row, after those before it, shows that another card bears the name."""
        said = row.payload
        if row.kind == copies.CARD:
            self.sizes.add(said.get("size", 0))
            self._begun[row.seq] = None if row.right else datetime.fromisoformat(row.at)
        elif row.kind == copies.CARD_READ:
            self._read = self._begun[said["since"]]
            self._elsewhere.update(said.get("elsewhere", ()))
        elif row.kind == copies.FAILURE:
            self._unread.add(said["path"])
        elif row.kind == wipe.OUTCOME and said["kind"] == GONE:
            self._gone.add((said["path"], said["sha256"]))
        elif row.kind == copies.KIND:
            # a run that cannot read a take names the first of its films
            names = [f"{file['path']}/" for file in said["files"]]
            passed_over = any(name.startswith(f"{one}/") for name in names for one in self._unread)
            films = zip(said["files"], said.get("listed", ()), strict=False)
            return any(
                self._is_anothers(file, more["modified"], passed_over)
                for file, more in films
                if file["kind"] == "video"
            )
        return False

    def _is_anothers(self, file: dict[str, Any], modified: str, passed_over: bool) -> bool:
        path, sha256 = key = file["path"], file["sha256"]
        came_back = key in self._gone or (key in self._met and self._lies[path] != sha256)
        shown = passed_over or file["bytes"] in self._elsewhere or sha256 in self._shown
        self._met.add(key)
        self._shown.add(sha256)
        self._lies[path] = sha256
        if came_back or shown or self._read is None:
            return came_back
        return self._read - NEVER_SET < datetime.fromisoformat(modified) < self._read - CLOCKS
