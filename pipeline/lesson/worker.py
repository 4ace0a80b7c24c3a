"""The worker: picks up repairs as they come, one clip after the other. A process of its own."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import time
from collections.abc import Callable
from datetime import date

from pipeline.adapters.review_book import Progressed, ReviewBook
from pipeline.errors import BusyError, DiskFullError, LesveilError
from pipeline.lesson import repair, seen
from pipeline.lesson.failures import set_aside
from pipeline.lesson.state import State, states
from pipeline.messages import told
from pipeline.workspace import Workspace, alone

LOOK_AGAIN = 0.4
"""Seconds between two looks at the ledger."""

ROOM_AGAIN = 60.0
"""Seconds after which what there was no room for is tried again: whoever made room need not say so."""

LOG = logging.getLogger(__name__)


def wanted(workspace: Workspace, state: State) -> str:
    """A name for the repairs that a clip should have."""
    ids = seen.standing(seen.repairs(workspace.ledger, state.clip))
    return hashlib.sha256(repr((ids, state.render and state.render["sha256"])).encode()).hexdigest()[:16]


def work(
    workspace: Workspace, book: ReviewBook, stop: Callable[[], bool], watch: bool
) -> list[tuple[State, LesveilError | None]]:
    """Carry out all repairs that wait, and with ``watch`` all that will come until ``stop``: [(clip, why it failed)].

    A repair that fails is told in the book and tried again only when the clip's repairs change, or, with ``watch``,
    there may be room.
    """
    out: list[tuple[State, LesveilError | None]] = []
    failed: dict[tuple[str, str], float] = {}  # until when it is left alone
    head = ""
    while not stop():
        now = workspace.ledger.head()
        due = [key for key, until in failed.items() if until <= time.monotonic()]
        for key in due:
            del failed[key]
        if now == head and not due:
            if not watch:
                return out
            time.sleep(LOOK_AGAIN)
            continue
        head = now
        for state in states(workspace):
            name = wanted(workspace, state)
            if stop() or not repair.waiting(workspace, state) or (state.clip, name) in failed:
                continue
            try:
                with alone(workspace):
                    _one(workspace, book, state, name)
                out.append((state, None))
                head = ""
            except BusyError as error:
                book.set_work(state.clip, Progressed(name, "busy", 0, 0, ""))
                if not watch:
                    raise error
                time.sleep(1)
                head = ""
            except Exception as unknown:  # noqa: BLE001 -- this repair is not done; the others can be
                reason = set_aside(unknown)
                LOG.warning("repair of %s failed: %s", state.clip, reason)
                book.set_work(state.clip, Progressed(name, "", 0, 0, told(reason)))
                again = watch and isinstance(reason, DiskFullError)
                failed[state.clip, name] = time.monotonic() + ROOM_AGAIN if again else math.inf
                out.append((state, reason))
    return out


def _one(workspace: Workspace, book: ReviewBook, state: State, name: str) -> None:
    last = 0.0

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > 0.3:
            last = time.monotonic()
            book.set_work(state.clip, Progressed(name, stage, done, total, ""))

    book.set_work(state.clip, Progressed(name, "begin", 0, 0, ""))
    repair.repair(workspace, state.clip, date.today(), progress)
    with contextlib.suppress(LesveilError):  # the ledger has it; this line is only for the eye
        book.set_work(state.clip, Progressed(name, "", 0, 0, ""))
