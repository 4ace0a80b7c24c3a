"""Where each clip stands, read from the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from pipeline import wipeable
from pipeline.adapters import copies
from pipeline.adapters.chapters import Opener, windows
from pipeline.adapters.film import Film, Key
from pipeline.adapters.ledger import Entry, Ledger
from pipeline.errors import ApprovalError
from pipeline.lesson.deleted import Deleted, fate
from pipeline.lesson.lookalikes import doubted
from pipeline.lesson.lying import lost, may_lie, since, standing, unsettled
from pipeline.lesson.seen import lacking, repairs_in
from pipeline.stages import wipe
from pipeline.workspace import Workspace, grounds

DOUBLE = "double"
"""Why somebody may not be shown, where it is not their consent: another clip of that day shows who looks like them."""

TEMPLATE = "template"
"""The same, where the program would not recognise them so any more: their template was knowingly replaced since, or
recognition is off."""


@dataclass(frozen=True)
class State:
    """Where one clip stands. Every field is the latest row of its kind that belongs to the latest rendering."""

    clip: str
    ingest: Entry
    filmed: str | None
    render: dict[str, Any] | None
    approved: Entry | None
    delivered: Entry | None
    wiped: bool
    teacher: str | None = None
    """Number of whose lesson it is, where that was named."""
    lapsed: tuple[str, ...] = ()
    """Who is shown in the latest rendering, or in a delivered one, and may not be any more."""
    doubted: tuple[str, ...] = ()
    """Those of them whose consent is in force: somebody in another clip of that day looks too much like them."""
    mistaken: tuple[str, ...] = ()
    """Those of them whom the program would not recognise so any more, for a reason that is TEMPLATE."""
    marks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The same by person: the digests of the renderings in question, and what the ledger says why."""
    outdated: bool = False
    """The latest rendering is one of those: it is made anew before anything else happens to the clip."""
    removed: Entry | None = None
    """The latest rendering was delivered, and taken away again."""
    used: Entry | None = None
    """Somebody ticked it: it has served."""
    failure: Entry | None = None
    """The last try to render it failed, and nothing was rendered since."""
    rejected: Entry | None = None
    """Somebody rejected the latest rendering, and nobody approved it since."""
    deleted: Deleted | None = None
    """It was deleted on purpose: nothing of it is made again."""
    replaces: bool = False
    """The latest rendering was made from what lies where it was delivered, to take its place."""
    repairs_wait: bool = False
    """The latest rendering lacks a repair, or still has one that was undone."""
    standing: tuple[str, ...] = ()
    """Where something of this clip lies, or may lie, whichever rendering it is."""
    begun: tuple[str, ...] = ()
    """Those places of which nobody knows: it was about to be brought there, and nothing was heard of it since."""
    lost: tuple[Entry, ...] = ()
    """The rows in which somebody said that another place is gone for good: it may be seen there still."""
    cards: frozenset[str] = frozenset()
    """The cards on which its film was met and copied."""
    since: int = 0
    """The row that last took a deletion back: what was approved or delivered before it counts no more."""
    given_up: Entry | None = None
    """Not all of its film was wiped, and somebody said of the rest that it is gone: no card is waited for."""
    nothing_left: bool = False
    """Its film is wiped from every card from which it was copied, or said to be gone from there, and nothing of it is
    left: neither copy nor rendering, here or where it was delivered."""
    files: tuple[str, ...] = ()
    """The film's paths on the cards, in the order in which it was met there: it may lie there more than once."""

    @property
    def hidden_again(self) -> bool:
        """The latest rendering was made from what had been delivered, not from the film."""
        return bool((self.render or {}).get("released"))

    @property
    def to_wipe(self) -> bool:
        """Something of its film lies on a card, for all that is known."""
        return not self.wiped and self.given_up is None

    @property
    def stage(self) -> str:
        again = self.hidden_again or (bool(self.lost) and self.to_deliver)  # what is here is to be brought yet
        if self.wiped and (self.nothing_left or not again or self.delivered is not None):
            return "wiped"
        if self.delivered:
            return "delivered"
        if self.deleted:
            return "deleted"
        if self.removed:
            return "removed"
        if self.approved:
            return "approved"
        return "rendered" if self.render else "copied"

    @property
    def to_deliver(self) -> bool:
        """The latest rendering is approved and was not brought anywhere yet; so may be one made after the wipe."""
        kept = self.removed is None and self.deleted is None and not self.nothing_left
        return self.approved is not None and self.delivered is None and kept

    @property
    def lies(self) -> tuple[str, ...]:
        """Where something of this clip is known to lie."""
        return tuple(where for where in self.standing if where not in self.begun)

    @property
    def ended(self) -> tuple[str, ...]:
        """Those who lapsed because their consent is no longer in force."""
        return tuple(person for person in self.lapsed if person not in (*self.doubted, *self.mistaken))

    @property
    def to_recall(self) -> bool:
        """What lies where it was delivered shows somebody who may not be shown."""
        return bool(self.lapsed and self.standing)

    @property
    def waits_for(self) -> str:
        if self.nothing_left:
            return ""
        if self.stage == "deleted":
            return "lesveil wipe" if self.to_wipe else ""
        if self.replaces and not self.outdated and self.approved is None and not self.repairs_wait:
            return "lesveil approve"
        if self.to_recall and (self.outdated or not self.to_deliver):  # else what is to be delivered takes its place
            return "lesveil recall"
        if self.outdated and self.stage in ("rendered", "approved"):
            # wiped, there is nothing to make it of, and nothing lies anywhere
            return "" if self.wiped else "lesveil run"
        if self.repairs_wait and self.stage in ("rendered", "approved", "delivered"):
            if not self.hidden_again:
                return "lesveil repairs"
            if not (self.replaces and self.to_deliver):  # in a delivered film nothing can be repaired
                return "lesveil run"
        return {
            "copied": "lesveil run",
            "rendered": "lesveil approve",
            "approved": "lesveil deliver",
            "delivered": "lesveil wipe" if self.to_wipe else "",
        }.get(self.stage, "")

    @property
    def file(self) -> str:
        """The film's path on the card, where it was met first."""
        return self.files[0]


def made_anew_by(state: State) -> str:
    """The command that makes a clip anew which shows somebody who may not be shown."""
    return "lesveil recall" if state.standing else "lesveil run"


NOTHING_LEFT = (
    "Nothing of {clip} is left, neither here nor on its card; if its film lies on another card: put that in, then"
    " lesveil run."
)
"""What is said where `State.nothing_left` is so: to who takes a deletion back, which is done all the same, and to who
wants to approve, which is refused."""


def _nothing_left(workspace: Workspace, state: State) -> bool:
    if state.to_wipe or state.standing:
        return False
    rendered = state.render is not None and (workspace.finished / state.render["file"]).is_file()
    return not (rendered or workspace.vault.has(state.clip))


def states(workspace: Workspace) -> list[State]:
    """Every clip that was ever copied, in order of first copy."""
    rows = workspace.ledger.entries()
    clips: dict[str, list[Entry]] = {}
    for row in rows:
        if row.clip is not None:
            clips.setdefault(row.clip, []).append(row)
    gone = wipe.wiped_since(workspace.ledger, [row for row in rows if row.kind == "ingest"])
    failures = {row.payload["clip"]: row for row in rows if row.kind == copies.FAILURE and "clip" in row.payload}
    given = copies.given_up(workspace.ledger, [row for row in rows if row.kind == "ingest"])
    found = [
        _state(clip, mine, gone, given, failures.get(clip))
        for clip, mine in clips.items()
        if any(row.kind == "ingest" for row in mine)
    ]
    return [replace(state, nothing_left=True) if _nothing_left(workspace, state) else state for state in found]


def _state(
    clip: str,
    rows: list[Entry],
    gone: set[tuple[str, str, str]],
    given: Mapping[tuple[str, str, str], Entry],
    failure: Entry | None,
) -> State:
    ingests = [row for row in rows if row.kind == "ingest"]
    copied = ingests[-1]
    renders = [row for row in rows if row.kind == "receipt" and row.payload["stage"] == "render"]
    render = renders[-1].payload["outcome"] if renders else None
    if failure is not None and renders and renders[-1].seq > failure.seq:
        failure = None
    digest = render["sha256"] if render else None
    now = fate(rows)

    def latest(kind: str) -> Entry | None:
        found = [row for row in rows if row.kind == kind and row.seq > now.since]
        return found[-1] if found and found[-1].payload.get("sha256") == digest else None

    days = [row.payload["day"] for row in rows if row.kind == "filmed"]
    judged = latest("approval")
    verdict = judged.payload["verdict"] if judged is not None else ""
    latest_made = {digest: renders[-1].seq} if digest is not None else {}
    marks = _marks(rows, since(rows) | latest_made)
    teachers = [row.payload["person"] for row in rows if row.kind == "teacher"]
    lay = lay_at(ingests)
    wiped = lay <= gone
    said = [given[key] for key in lay - gone if key in given]
    # what was found out late about another rendering, or another place, says nothing of where this one lies
    mine = [row for row in rows if row.seq > now.since and row.payload.get("sha256") == digest]
    there = standing(rows)
    places, of_this = {row.payload["where"] for row in there}, {row.seq for row in mine}
    here = [row for row in there if row.seq in of_this]
    # at an earlier place it may have been found late: the archive's is the one that counts
    delivered = next((row for row in reversed(here) if row.payload["is_archive"]), here[-1] if here else None)
    others = [row.seq for row in rows if row.kind == "delivery" and row.payload["sha256"] != digest]
    taken = [row for row in mine if row.kind == "delivery_removed" and row.seq > max(others, default=0)]
    removed = taken[-1] if taken and delivered is None else None
    if judged is not None and removed is not None and verdict == "approved" and judged.seq > removed.seq:
        removed = None  # approved since: it may be brought there again
    outdated = bool(_marks(rows, latest_made))
    return State(
        clip,
        copied,
        days[-1] if days else None,
        render,
        judged if verdict == "approved" else None,
        delivered,
        wiped,
        teacher=teachers[-1] if teachers else None,
        lapsed=tuple(marks),
        doubted=tuple(person for person, why in marks.items() if set(why.values()) == {DOUBLE}),
        mistaken=tuple(person for person, why in marks.items() if TEMPLATE in why.values() and "" not in why.values()),
        marks=marks,
        outdated=outdated,
        removed=removed,
        used=_ticked(rows),
        failure=failure if render is None or outdated else None,  # a rendering that still counts is no failure
        rejected=judged if verdict == "rejected" else None,
        deleted=now.deleted,
        repairs_wait=render is not None and not wiped and now.deleted is None and lacking(render, repairs_in(rows)),
        replaces=render is not None and render.get("released") in {row.payload["sha256"] for row in there},
        standing=tuple(dict.fromkeys(row.payload["where"] for row in may_lie(rows))),
        begun=tuple(row.payload["where"] for row in unsettled(rows) if row.payload["where"] not in places),
        lost=tuple(lost(rows)),
        cards=frozenset(row.payload["card"] for row in ingests),
        since=now.since,
        given_up=max(said, key=lambda row: row.seq) if said and lay - gone <= given.keys() else None,
        files=tuple(dict.fromkeys(str(row.payload["files"][0]["path"]) for row in ingests)),
    )


def lay_at(ingests: Iterable[Entry]) -> set[tuple[str, str, str]]:
    """(card, path, sha256) of every file of one clip by its ingest rows: its film may lie on two cards, and on one of
    them twice."""
    held = wipeable.latest(row.payload for row in ingests)
    return {(row["card"], file["path"], file["sha256"]) for row in held for file in row["files"]}


def _marks(rows: Iterable[Entry], since: Mapping[str, int]) -> dict[str, dict[str, str]]:
    """Who was found to be shown and not to be any more, by person and digest, and why. A mark is about what was there
    when it was made: the same bytes may be made, or brought, again when they may be seen again."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        for digest in row.payload["renderings"] if row.kind == "lapsed" else ():
            if row.seq > since.get(digest, row.seq):
                found.setdefault(row.payload["person"], {})[digest] = row.payload.get("because", "")
    return found


def _ticked(rows: Iterable[Entry]) -> Entry | None:
    """The row that says that a clip has served, unless that was taken back."""
    ticks = [row for row in rows if row.kind == "used"]
    return ticks[-1] if ticks and ticks[-1].payload["used"] else None


def film(workspace: Workspace, clip: str, parts: Sequence[int] | None = None) -> tuple[Opener, ...]:
    """The working copy's film, to be given to `open_clip`: one opener for each file into which the camera cut it.

    ``parts`` are the sizes of these; by default as the ledger has them.
    """
    parts = parts or _parts(workspace, clip)

    def opener() -> BinaryIO:
        return cast(BinaryIO, workspace.vault.open(clip))

    return (opener,) if len(parts) < 2 else windows(opener, parts)


def sealed_film(workspace: Workspace, clip: str, name: str, parts: Sequence[int] | None = None) -> Film:
    """The same for a worker elsewhere: where the sealed bytes lie, and their key, to be kept in memory alone.

    Raises VaultError.
    """
    vault = workspace.vault
    return Film(name, vault.path(clip).absolute(), Key(vault.key(clip)), tuple(parts or _parts(workspace, clip)))


def _parts(workspace: Workspace, clip: str) -> list[int]:
    rows = workspace.ledger.entries("ingest", clip)
    return [file["bytes"] for file in rows[-1].payload["files"] if file["kind"] == "video"] if rows else []


def find(workspace: Workspace, name: str) -> State:
    """The clip that ``name`` means: its id, the start of it, or a name of its film on a card, with or without the
    folders there and the ending. Raises ApprovalError."""
    wanted = name.lower()

    def is_named(path: str) -> bool:
        film = PurePosixPath(path.lower())
        return wanted in (str(film), film.name, film.stem)

    found = [
        state
        for state in states(workspace)
        if (wanted and state.clip.startswith(wanted))  # no name at all is not the start of the only clip there is
        or any(map(is_named, state.files))
    ]
    failed = [row.payload["path"] for row in workspace.ledger.entries(copies.FAILURE) if "card" in row.payload]
    if not found and any(map(is_named, failed)):
        raise ApprovalError(
            "{clip} was never copied, so there is nothing of it here; play it in the camera, and delete it there if it "
            "is of no use.",
            clip=name,
        )
    if not found:
        raise ApprovalError("There is no clip {clip}; look up its number with lesveil status.", clip=name)
    if len(found) > 1:
        raise ApprovalError(
            "{clip} names {count} clips here; look up its number with lesveil status.", clip=name, count=len(found)
        )
    return found[0]


def consent_holds(workspace: Workspace, state: State, today: date) -> bool:
    """Everyone whom the latest rendering shows may still be shown today."""
    if state.render is None or (state.render["kept"] and state.filmed is None):
        return False
    if doubted(workspace.ledger, state.clip, state.filmed, state.render) or unvouched(workspace, state):
        return False
    by_program, by_hand = shown_by(state.render)
    if state.teacher:
        by_hand.add(state.teacher)
    return by_program | by_hand <= still_allowed(workspace, state, by_program, by_hand, today)


def unvouched(workspace: Workspace, state: State) -> set[str]:
    """Whom the latest rendering shows because they were recognised, though the program would not say so any more.

    That recognition is off now says nothing against what was delivered while it was on.
    """
    if state.render is None:
        return set()
    if not workspace.recognises and state.delivered is None:
        return shown_by(state.render)[0]
    return replaced_since(workspace.ledger, state.clip, state.render)


def replaced_since(ledger: Ledger, clip: str, render: Mapping[str, Any]) -> set[str]:
    """Whom a rendering shows because they were recognised by a template that was knowingly replaced since: the pictures
    that it was made of may have been somebody else's."""
    replaced = {one: row.seq for row in ledger.entries("enrolment") for one in row.payload.get("replaced", ())}
    if not replaced:  # as nearly always
        return set()
    made = [
        row.seq
        for row in ledger.entries("receipt", clip)
        if row.payload["stage"] == "render" and row.payload["outcome"]["sha256"] == render["sha256"]
    ]
    by = render.get("enrolled", made[-1] if made else 0)  # an older version did not say which templates there were
    return {person for person in shown_by(render)[0] if replaced.get(person, 0) > by}


def shown_by(render: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Whom a rendering shows because the program recognised them, and whom because a person said who they are."""
    by_hand = {entry["person"] for entry in render["kept"] if entry.get("by_hand")}
    return {entry["person"] for entry in render["kept"] if not entry.get("by_hand")}, by_hand


def still_allowed(
    workspace: Workspace, state: State, by_program: Iterable[str], by_hand: Iterable[str], today: date
) -> set[str]:
    """Who of them may be seen in the clip today. Consent to be filmed is enough for those known by hand alone."""
    filmed = date.fromisoformat(state.filmed) if state.filmed else today
    recognised = set(by_program)
    known = set(by_hand) - recognised
    return {*grounds(workspace, recognised, filmed, today), *grounds(workspace, known, filmed, today, recognised=False)}
