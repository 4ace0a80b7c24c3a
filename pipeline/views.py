"""What the reviewers' page is shown: plain and frozen, so that the page needs to know nothing of how it came about.

Frames count from 0 and stretches are half-open, as everywhere; boxes are pixels of the displayed frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do. COACH alone sees originals and may un-hide; OFFICER watches and reads the log."""

    COACH = "coach"
    REVIEWER = "reviewer"
    OFFICER = "officer"


class Look(StrEnum):
    """How somebody appears in a stretch of a clip."""

    HIDDEN = "hidden"
    SHOWN = "shown"
    DOUBT = "doubt"


@dataclass(frozen=True)
class ClipRow:
    """One line of the list. ``looked`` are the people who opened this rendering, ``approved`` who approved it.

    ``digest`` is None where there is nothing to watch. ``carried``: a recall made it and took the approval over from
    what it takes the place of; ``approvable``, ``rejectable``: that would do something.
    """

    id: str
    name: str
    stage: str
    filmed: str | None
    seconds: float
    shown: int
    hidden: int
    doubts: int
    damaged: int
    looked: tuple[str, ...]
    approved: tuple[str, ...]
    needed: int
    rejected_by: str | None
    waiting: int
    digest: str | None
    carried: bool = False
    approvable: bool = False
    rejectable: bool = False


@dataclass(frozen=True)
class Span:
    """A stretch of a lane. ``reason`` is a records.Reason, or "drawn", "held" of a region drawn by hand, or "seen"."""

    start: int
    stop: int
    look: Look
    reason: str
    person: str | None = None


@dataclass(frozen=True)
class Lane:
    """One person, or one region drawn by hand (then ``repair`` is its id).

    ``track`` is the number that repairs use, ``joined`` are it and those of which people said that they are the same
    person. ``minor``: so short or faint that it may be nobody. ``moment`` is the
    frame at which the person is seen best, ``box`` where. ``sighting``: the second look sees somebody there, clear.
    """

    track: int
    tracks: tuple[int, ...]
    spans: tuple[Span, ...]
    moment: int
    box: tuple[float, float, float, float]
    minor: bool
    person: str | None = None
    repair: str | None = None
    sighting: bool = False
    joined: tuple[int, ...] = ()


@dataclass(frozen=True)
class Doubt:
    """A moment to look at, and the lane it is about (its track)."""

    start: int
    stop: int
    track: int
    reason: str


@dataclass(frozen=True)
class RepairRow:
    """A repair as people see it. ``rendered``: the file that is shown has it (or, undone, has it no more)."""

    id: str
    kind: str
    start: int
    stop: int
    track: int | None
    other: int | None
    person: str | None
    said: str
    by: str
    at: str
    undone: bool
    rendered: bool
    moot: bool


@dataclass(frozen=True)
class Work:
    """How far the repairs of a clip are. ``digest`` is of the rendering that is shown now."""

    digest: str
    waiting: int
    stage: str
    done: int
    total: int
    problem: str


@dataclass(frozen=True)
class ClipView:
    """Everything that the page of one clip shows besides pictures and sound.

    ``times`` are runs of (ticks between frames, how many such steps), from ``first`` on, in ticks of ``tick`` seconds
    on the file's clock. ``repairable`` is empty, or says why nothing can be repaired.
    """

    row: ClipRow
    digest: str
    frames: int
    width: int
    height: int
    tick: float
    first: int
    times: tuple[tuple[int, int], ...]
    lanes: tuple[Lane, ...]
    doubts: tuple[Doubt, ...]
    mutes: tuple[tuple[int, int], ...]
    repairs: tuple[RepairRow, ...]
    repairable: str = ""
    sightings: int = 0
    """Faces that the second look sees; who approves says that they are nobody who must be hidden."""
    analysis: str = ""
    """Names the analysis that gave the tracks their numbers; a repair says in which one it was chosen."""


@dataclass(frozen=True)
class Offered:
    """Somebody whose consent is in force for a clip. ``name`` is for the coach alone."""

    id: str
    name: str
    ground: str


@dataclass(frozen=True)
class LogRow:
    """One row of the ledger that tells what a person did; ``of`` is another person whom ``what`` is about."""

    at: str
    kind: str
    clip: str
    by: str
    what: str
    of: str = ""
