"""A person's word on a rendering; two people's where lesveil.toml asks for that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pipeline.adapters import files
from pipeline.adapters.ledger import Entry
from pipeline.adapters.review_book import known_as
from pipeline.doubt import undecided
from pipeline.errors import ApprovalError
from pipeline.lesson.lookalikes import doubted
from pipeline.lesson.repair import waiting
from pipeline.lesson.state import NOTHING_LEFT, State, consent_holds, find, made_anew_by
from pipeline.workspace import Workspace

FIRST = "first"
"""The verdict of the first of two: not an approval yet."""


def judge(
    workspace: Workspace,
    name: str,
    by: str,
    approve: bool,
    watched: str | None = None,
    despite: bool = False,
    despite_rejection: bool = False,
    played: float | None = None,
) -> State:
    """Approve or reject the latest rendering of a clip; bound to the digest of the file as it lies there now.

    ``watched`` is the digest of the file that was looked at, where that is known: another one is not approved.
    ``despite``: who approves says that what the second look sees in it is nobody who must be hidden;
    ``despite_rejection``: that they know that somebody rejected this very rendering. ``played``: how many seconds of it
    the page played to them, for the ledger. Raises ApprovalError.
    """
    state = find(workspace, name)
    by = " ".join(by.split())
    if not by:
        raise ApprovalError("An approval needs the name of who gives it.")
    digest = _still_there(workspace, state, name, watched)
    told: dict[str, float] = {}
    verdict = "rejected"
    if approve:
        _refuse_outdated(workspace, state, name)
        told = _known(state, name, despite, despite_rejection)
        before = approvals(workspace, state)
        if state.stage in ("approved", "delivered") and known_as(by) in map(known_as, before):
            return state
        verdict = "approved"
        if workspace.settings.review.two_people and state.approved is None:
            others = [one for one in before if known_as(one) != known_as(by)]
            if before and not others:
                raise ApprovalError("{by} approved {clip} already; a second person must, too.", by=by, clip=name)
            verdict = "approved" if others else FIRST
    if played is not None and state.render is not None:
        all_ = float(state.render["seconds"])
        told = {**told, "played": round(min(played, all_), 1), "of": round(all_, 1)}
    workspace.ledger.append("approval", state.clip, {"sha256": digest, "by": by, "verdict": verdict, **told})
    return find(workspace, state.clip)


def _still_there(workspace: Workspace, state: State, name: str, watched: str | None) -> str:
    """The digest of the latest rendering, which lies there as it was checked. Raises ApprovalError."""
    if state.deleted is not None and state.wiped:
        raise ApprovalError("{clip} was deleted on {day}, and its film is gone.", clip=name, day=state.deleted.day)
    if state.deleted is not None:
        raise ApprovalError(
            "{clip} was deleted on {day}; if it is needed after all: lesveil used {clip} --undo --by NAME, then lesveil"
            " run with its card.",
            clip=name,
            day=state.deleted.day,
        )
    if state.nothing_left:  # somebody took its deletion back
        raise ApprovalError(NOTHING_LEFT, clip=Path(state.file).name)
    if state.render is None and state.failure is not None:
        raise ApprovalError(
            "{clip} has no rendering, because it failed; lesveil status says why and what to do.", clip=name
        )
    if state.render is None:
        raise ApprovalError("{clip} has no rendering yet; run lesveil run first.", clip=name)
    digest = state.render["sha256"]
    if watched is not None and watched != digest:
        raise ApprovalError("There is a newer rendering of {clip} than the one that was watched.", clip=name)
    path = workspace.finished / state.render["file"]
    if state.removed is not None and not path.is_file():
        raise ApprovalError(
            "The rendering of {clip} is gone; put its card in, then lesveil run makes it anew.", clip=name
        )
    if state.outdated and not path.is_file():  # it was removed because of that
        raise _outdated(state, name)
    if not path.is_file() and not state.standing and not workspace.vault.has(state.clip):
        raise ApprovalError(
            "The rendering of {clip} is gone; put its card in, then lesveil run makes it anew.", clip=name
        )
    if not path.is_file() or files.sha256_of(path) != digest:
        if state.replaces and state.to_recall:  # there may be no film any more, but what lies there is enough
            raise ApprovalError("{file} is not the file that was checked; lesveil recall makes it anew.", file=path)
        raise ApprovalError("{file} is not the file that was checked; run lesveil run again.", file=path)
    return str(digest)


def _refuse_outdated(workspace: Workspace, state: State, name: str) -> None:
    """Raise ApprovalError where the rendering is to be made anew before anybody approves it."""
    if waiting(workspace, state):
        raise ApprovalError(
            "{clip} has repairs that are not rendered yet; wait for them, or do {command}.",
            clip=name,
            # what was taken away on purpose waits for nothing; in a film that was delivered nothing can be repaired
            command=state.waits_for or ("lesveil run" if state.hidden_again else "lesveil repairs"),
        )
    if doubted(workspace.ledger, state.clip, state.filmed, state.render or {}):
        raise ApprovalError(
            "Another clip of that day has somebody who looks like a person shown in {clip}; {command} makes it anew.",
            clip=name,
            command=made_anew_by(state),
        )
    # a withdrawal may have come between the last question and the receipt of a rendering
    if state.outdated or not consent_holds(workspace, state, date.today()):
        raise _outdated(state, name)


def _outdated(state: State, name: str) -> ApprovalError:
    return ApprovalError(
        "{clip} shows somebody who may not be shown any more; {command} makes it anew.",
        clip=name,
        command=made_anew_by(state),
    )


def _known(state: State, name: str, despite: bool, despite_rejection: bool) -> dict[str, float]:
    """What who approves must say that they know, for the ledger. Raises ApprovalError where they did not say so."""
    rejection = state.rejected
    if rejection is not None and not despite_rejection:
        raise ApprovalError(
            "{by} rejected this rendering of {clip} on {day}; ask why, and mend it with lesveil review, or approve it "
            "with --despite-rejection, which takes the rejection back.",
            by=rejection.payload["by"],
            clip=name,
            day=rejection.day,
        )
    left = undecided(state.render or {})
    if left and not despite:
        raise ApprovalError(
            "A second look sees {n} {n:face|faces} in {clip} that {n:is|are} not hidden; look at "
            "{n:it, hide it|each, hide them} with lesveil review, "
            "or approve it with --despite-second-look if there is nobody to hide.",
            n=left,
            clip=name,
        )
    told: dict[str, float] = {"despite_second_look": left} if left else {}
    return told | ({"despite_rejection": rejection.seq} if rejection is not None else {})


def approvals(workspace: Workspace, state: State) -> list[str]:
    """Who approved the latest rendering, since it was last rejected."""
    return approvers(workspace.ledger.entries("approval", state.clip), state)


def approvers(rows: Sequence[Entry], state: State) -> list[str]:
    """The same from rows of the ledger at hand."""
    names: list[str] = []
    for row in rows:
        if state.render is None or row.payload["sha256"] != state.render["sha256"] or row.seq <= state.since:
            continue
        if row.payload["verdict"] == "rejected":
            names.clear()
        elif known_as(row.payload["by"]) not in map(known_as, names):
            names.append(row.payload["by"])
    return names


def rejecters_of(rows: Sequence[Entry]) -> dict[int, str]:
    """Who rejected a rendering, by the number of the row, by which an approval names what it takes back."""
    return {
        row.seq: row.payload["by"] for row in rows if row.kind == "approval" and row.payload["verdict"] == "rejected"
    }
