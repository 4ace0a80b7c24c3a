"""What is said of a clip, in status and reports alike: what it waits for, and who in it may not be shown any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline.errors import (
    NoConsentError,
    NotAVideoError,
    NoVideoStreamError,
    QuarantinedError,
    TruncatedVideoError,
)
from pipeline.lesson.failures import failure_in_words
from pipeline.lesson.state import State
from pipeline.messages import tr
from pipeline.workspace import Workspace

AT_FAULT = frozenset(
    kind.__name__ for kind in (NotAVideoError, TruncatedVideoError, NoVideoStreamError, QuarantinedError)
)
"""Failures that come again however often the same film is tried."""


def rendering_lost(workspace: Workspace, state: State) -> bool:
    """The rendering that is to be approved, delivered or repaired is not here: each of these refuses, and names run."""
    if (
        state.render is None
        or state.hidden_again
        or state.nothing_left
        or (workspace.finished / state.render["file"]).is_file()
    ):
        return False
    return state.stage in ("rendered", "approved") or state.waits_for == "lesveil repairs"


def failed_in_words(reason: str) -> str:
    return tr("failed: {reason}", reason=reason)


def called(clips: Iterable[State]) -> dict[str, str]:
    """What people call each clip, by its id: its film's name, and where several bear that, as cameras count from one
    anew, what tells them apart: the day, the folder, the beginning of the id."""
    every = list(clips)
    names = {state.clip: Path(state.file).name for state in every}
    more: tuple[Callable[[State], str], ...] = (
        lambda one: one.filmed or "",
        lambda one: Path(one.file).parent.name,
        lambda one: one.clip[:8],
    )
    for says in more:
        said: dict[str, set[str]] = {}
        for one in every:
            said.setdefault(names[one.clip], set()).add(says(one))
        apart = [one for one in every if says(one) and len(said[names[one.clip]]) > 1]
        names |= {one.clip: f"{names[one.clip]} ({says(one)})" for one in apart}
    return names


def waits_for(state: State, lost: bool = False) -> str:
    """The command that a clip waits for; empty where nothing more is to be done. ``lost``: `rendering_lost`."""
    return "lesveil run" if lost else state.waits_for


def waits_in_words(state: State, lost: bool = False) -> str:
    """What a clip waits for, or why it failed; empty where nothing more is to be done. ``lost``: `rendering_lost`."""
    if state.nothing_left and state.deleted is None:
        if state.wiped:
            return tr("nothing of it is left")
        return tr("nothing of it is left; should its card turn up: put that in, then lesveil run")
    gone = state.deleted is not None or state.waits_for == "lesveil recall"  # no run makes what a recall makes
    if state.failure is not None and not gone:
        failed = failed_in_words(failure_in_words(state.failure.payload))
        if state.failure.payload["error"] not in AT_FAULT | {NoConsentError.__name__}:
            return failed
        if state.used is not None:
            return f"{failed} {tr('(given up; waits for lesveil purge)')}"
        return f"{failed} {tr('(to give it up: lesveil used {id} --by NAME, then lesveil purge)', id=state.clip[:8])}"
    if lost:
        return tr("its finished film is gone; waits for lesveil run")
    if state.rejected is not None and state.waits_for == "lesveil approve":
        return tr("rejected by {by}; waits for lesveil review", by=state.rejected.payload["by"])
    if state.rejected is not None and state.standing:
        return tr(
            "rejected by {by}, but it still lies there: take it away with lesveil deliver --remove",
            by=state.rejected.payload["by"],
        )
    if state.deleted is not None and state.stage == "deleted":
        return tr("on {day}, because {reason}", day=state.deleted.day, reason=tr(state.deleted.because))
    return f"{tr('waits for')} {state.waits_for}" if state.waits_for else ""


def notes_of(state: State) -> list[str]:
    """What is to be known of a clip besides its stage and what it waits for."""
    notes = ended_in_words(state)
    if state.given_up is not None:
        who, day = state.given_up.payload.get("by") or "?", state.given_up.day
        notes.append(
            tr("(not all wiped: {by} said on {day} that the rest of it, or its card, is gone)", by=who, day=day)
        )
    for row in state.lost:
        told = {"where": row.payload["where"], "by": row.payload["by"], "day": row.day}
        notes.append(tr("(lost at {where}, as {by} said on {day}; it may be seen there still)", **told))
    return notes


def ended_in_words(state: State) -> list[str]:
    """Of whom the rendering shows, or what lies where it was delivered: whose consent ended, who has a double, who was
    recognised by what does not hold any more."""
    here = state.outdated or not state.standing
    told = []
    if people := ", ".join(state.ended):
        told.append(
            tr("(shows {people}, whose consent has ended)", people=people)
            if here
            else tr("(what was delivered shows {people}, whose consent has ended)", people=people)
        )
    if people := ", ".join(state.doubted):
        told.append(
            tr("(shows {people}, but another clip of that day has somebody who looks like them)", people=people)
            if here
            else tr(
                "(what was delivered shows {people}, but another clip of that day has somebody who looks like them)",
                people=people,
            )
        )
    if people := ", ".join(state.mistaken):
        told.append(
            tr(
                "(shows {people}, recognised by portraits that were replaced since, or while recognition was on)",
                people=people,
            )
            if here
            else tr(
                "(what was delivered shows {people}, recognised by portraits that were replaced since)", people=people
            )
        )
    return told
