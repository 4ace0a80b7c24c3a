"""Faults on cue: each rule waits for the n-th time that something happens, and then makes it go wrong.

A rule is a dictionary: ``event`` (see EVENTS), ``nth`` (counted from 1 among that event, or among the pieces that begin
at ``piece`` * 327,680 bytes if that is given), ``times`` (how often in a row, default 1), and what to do:

- ``status`` with ``code``, ``retry_after`` and ``kept``: answer so; the work was done first if ``kept`` is true;
- ``gone``: the upload session no longer exists from now on (with ``status`` 404, 401 or 403);
- ``cut``: close the connection after that many bytes of the body; none of them count (as documented);
- ``lost``: do the work, and close the connection instead of answering;
- ``ranges``: answer 202 (or 200 when asked) with these nextExpectedRanges;
- ``corrupt``: spoil one byte of what is kept;
- ``other``: somebody else puts a file of that name there first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

EVENTS = (
    "drive",
    "at",
    "item",
    "children",
    "folder",
    "session",
    "put",
    "status",
    "cancel",
    "content",
    "download",
    "versions",
    "version_delete",
    "delete",
    "permanent_delete",
)


@dataclass
class Rule:
    event: str
    what: dict[str, Any]
    nth: int = 1
    piece: int | None = None
    times: int = 1
    seen: int = 0


@dataclass
class Faults:
    """The rules of one drive, in the order in which they were given."""

    rules: list[Rule] = field(default_factory=list)

    def add(self, said: dict[str, Any]) -> None:
        if said["event"] not in EVENTS:
            raise ValueError(f"{said['event']} is no event; known are {', '.join(EVENTS)}")
        what = {k: v for k, v in said.items() if k not in ("event", "nth", "piece", "times")}
        self.rules.append(Rule(said["event"], what, said.get("nth", 1), said.get("piece"), said.get("times", 1)))

    def strike(self, event: str, piece: int | None = None) -> dict[str, Any]:
        """What goes wrong with this one; empty when nothing does."""
        for rule in self.rules:
            if rule.event != event or (rule.piece is not None and rule.piece != piece):
                continue
            rule.seen += 1
            if rule.nth <= rule.seen < rule.nth + rule.times:
                return rule.what
        return {}

    @property
    def struck(self) -> int:
        """How many rules had their effect at least once."""
        return sum(rule.seen >= rule.nth for rule in self.rules)
