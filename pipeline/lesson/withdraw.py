"""Somebody changed their mind, turned 16, is no longer on the list, has a double in another clip of the day, or was
recognised by what does not hold any more: what they are shown in is found and marked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from pipeline.adapters import files
from pipeline.errors import NoConsentError, OutputNotWritableError
from pipeline.lesson.lookalikes import doubted
from pipeline.lesson.lying import still_delivered
from pipeline.lesson.state import DOUBLE, TEMPLATE, State, replaced_since, shown_by, states, still_allowed
from pipeline.workspace import Workspace, grounds, prune_templates


@dataclass(frozen=True)
class Reach:
    """What lapsed consent came to: whose templates were destroyed, and the clips that show somebody it was of.

    ``selves`` are the other numbers for which a withdrawal counts, as they seem to be the same person. ``later`` is of
    which of all these the list dates a consent after the withdrawal, so that it still counts, and that day.
    """

    templates: list[str]
    clips: list[State]
    selves: Sequence[str] = ()
    later: Mapping[str, date] = field(default_factory=dict)


@dataclass(frozen=True)
class _Shown:
    """Who is shown in the renderings of a clip: by person, the renderings' digests. Of the ``doubted`` a double came
    to be known since; the ``mistaken`` the program would not recognise so any more.

    ``files`` gives the name of each in the folder of finished clips; ``counts`` are the latest rendering and those that
    can still be seen where they were delivered.
    """

    by_program: dict[str, set[str]]
    by_hand: dict[str, set[str]]
    doubted: dict[str, set[str]]
    mistaken: dict[str, set[str]]
    files: dict[str, str]
    counts: set[str]

    @property
    def everyone(self) -> set[str]:
        return {*self.by_program, *self.by_hand}

    def renderings(self, person: str) -> set[str]:
        return self.by_program.get(person, set()) | self.by_hand.get(person, set())


@dataclass(frozen=True)
class _Gone:
    """The renderings in which somebody may not be shown, and why: "" is their consent, as in the ledger."""

    renderings: set[str]
    because: str


def withdraw(workspace: Workspace, person: str, on: date, today: date, by: str = "") -> Reach:
    """Take back somebody's consent from the day ``on``; the template goes at once, whatever day that is.

    ``by`` is who enters it, "" where nobody said. Returned are all clips that show the person, but for what was
    delivered and may show them still. A run that is at work need not end first: it asks again before it gives a clip
    its name.
    """
    workspace.register.withdraw(person, on, by)
    row = {"person": person, "day": on.isoformat()}
    workspace.ledger.append("withdrawal", None, row | ({"by": by} if by else {}))
    gone = prune_templates(workspace, today, person)
    reconcile(workspace, today)
    selves = workspace.register.selves(person)
    shown = [one for one in states(workspace) if _touches(workspace, one, {person, *selves}, max(on, today))]
    agreed = {who: _agreed_after(workspace, who, on, today) for who in (person, *selves)}
    return Reach(gone, shown, selves, {who: start for who, start in agreed.items() if start is not None})


def _agreed_after(workspace: Workspace, person: str, on: date, today: date) -> date | None:
    """The day after ``on`` by which the list dates a consent to be filmed that counts now, or will."""
    for row in workspace.register.record(person).rows:
        if row.superseded is None and row.start is not None and row.start > on:
            day = max(row.start, today)
            if workspace.register.may_be_shown(person, day, day, recognised=False).kept:
                return row.start
    return None


def reconcile(workspace: Workspace, today: date) -> Reach:
    """Bring templates and clips in line with the consent that is in force today.

    A clip that shows somebody who may no longer be shown, of whom a double is known by now, or who was recognised by
    what does not hold any more, is marked in the ledger, and its rendering is removed here: it is decided anew by the
    next run. What was delivered is marked alike. Where a rendering cannot be removed all others are marked and removed
    before that is told: OutputNotWritableError.
    """
    templates = prune_templates(workspace, today)
    marked: list[str] = []
    left: list[tuple[Path, OSError]] = []
    for state in states(workspace):
        shown, gone = _gone(workspace, state, today)
        lapsed = _news(state, shown, gone)
        for person in lapsed:
            because = {"because": gone[person].because} if gone[person].because else {}
            payload = {"person": person, "day": today.isoformat(), "renderings": sorted(gone[person].renderings)}
            workspace.ledger.append("lapsed", state.clip, payload | because)
        if lapsed:
            marked.append(state.clip)
        for digest in {digest for one in gone.values() for digest in one.renderings}:
            path = workspace.finished / shown.files[digest]
            try:
                files.remove(path)
            except OSError as error:
                left.append((path, error))
    for path, cause in left:
        raise OutputNotWritableError(
            "{file} shows somebody who may not be shown any more and cannot be removed ({why}); close it wherever it "
            "is watched and repeat the command.",
            file=path,
            why=cause.strerror or cause,
        ) from cause
    return Reach(templates, [state for state in states(workspace) if state.clip in marked])


def states_on(workspace: Workspace, today: date) -> list[State]:
    """Every clip as `reconcile` would leave it, with nothing written: consent may have ended by its date alone."""
    return [_on(workspace, state, today) for state in states(workspace)]


def _on(workspace: Workspace, state: State, today: date) -> State:
    shown, gone = _gone(workspace, state, today)
    new = _news(state, shown, gone)
    digest = state.render["sha256"] if state.render else None

    def told(because: str, before: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted({*before} - {*new} | {person for person in new if gone[person].because == because}))

    return replace(
        state,
        lapsed=tuple(sorted({*new, *state.lapsed})),
        doubted=told(DOUBLE, state.doubted),
        mistaken=told(TEMPLATE, state.mistaken),
        outdated=state.outdated or any(digest in one.renderings for one in gone.values()),
    )


def _news(state: State, shown: _Shown, gone: dict[str, _Gone]) -> list[str]:
    """Of whom the ledger does not say yet, in every rendering that counts, that they may not be shown, and why."""

    def told(person: str, digest: str) -> bool:
        return state.marks.get(person, {}).get(digest) == gone[person].because

    return [one for one in gone if not all(told(one, digest) for digest in gone[one].renderings & shown.counts)]


def _gone(workspace: Workspace, state: State, today: date) -> tuple[_Shown, dict[str, _Gone]]:
    """Who is shown in a clip, and who of them may not be any more, in order of id."""
    shown = _shown_in(workspace, state)
    ended = shown.everyone - still_allowed(workspace, state, shown.by_program, shown.by_hand, today)
    gone = {person: _Gone(which, DOUBLE) for person, which in shown.doubted.items()}
    gone |= {one: _Gone(which | shown.doubted.get(one, set()), TEMPLATE) for one, which in shown.mistaken.items()}
    gone |= {person: _Gone(shown.renderings(person), "") for person in ended}
    return shown, dict(sorted(gone.items()))


def may_not_be_seen(workspace: Workspace, state: State, today: date) -> dict[str, list[str]]:
    """Who is shown in a clip's renderings and may not be any more, by the renderings' digests, wherever those lie."""
    found: dict[str, list[str]] = defaultdict(list)
    for person, one in _gone(workspace, state, today)[1].items():
        for digest in one.renderings:
            found[digest].append(person)
    return found


def recognised_in(workspace: Workspace) -> set[str]:
    """Whom any clip shows, in its latest rendering or where it was delivered, because the program recognised them."""
    found: set[str] = set()
    for state in states(workspace):
        shown = _shown_in(workspace, state)
        found |= {person for person, which in shown.by_program.items() if which & shown.counts}
    return found


def _touches(workspace: Workspace, state: State, people: set[str], day: date) -> bool:
    """Whether a clip shows one of ``people``, unless it was delivered and may show them all from ``day`` on, too."""
    shown = _shown_in(workspace, state)
    by_program, by_hand = (
        {one for one in people if which.get(one, set()) & shown.counts} for which in (shown.by_program, shown.by_hand)
    )
    seen = by_program | by_hand
    return bool(seen) and not (state.standing and seen <= still_allowed(workspace, state, by_program, by_hand, day))


def refuse_changed(
    workspace: Workspace,
    made_on: Iterable[str],
    filmed: date,
    today: date,
    partial: Path,
    by_hand: Iterable[str] = (),
    again: str = "lesveil run",
) -> None:
    """Remove a rendering when consent that it was made on is no longer in force, on the day ``today`` on which the
    command began or on that which it is by now; NoConsentError then.

    ``made_on`` are the people whom the program may show in it, ``by_hand`` those whom a person named.
    """
    today = max(today, date.today())  # a clip may take all night, and who withdraws at breakfast does so from that day
    recognised, known = set(made_on), set(by_hand)
    still = set(grounds(workspace, recognised, filmed, today))
    if not (recognised <= still and known <= set(grounds(workspace, known, filmed, today, recognised=False))):
        files.remove(partial)
        raise NoConsentError(
            "Somebody's consent was taken back while the clip was made; do {command} again.", command=again
        )


def _shown_in(workspace: Workspace, state: State) -> _Shown:
    rows = workspace.ledger.entries(clip=state.clip)
    made = [row.payload["outcome"] for row in rows if row.kind == "receipt" and row.payload["stage"] == "render"]
    renders = list({render["sha256"]: render for render in made}.values())  # of equal bytes the latest says who it is
    teacher = {state.teacher} if state.teacher else set()  # without whose consent a clip is not used either
    by_program: dict[str, set[str]] = defaultdict(set)
    by_hand: dict[str, set[str]] = defaultdict(set)
    doubts: dict[str, set[str]] = defaultdict(set)
    mistaken: dict[str, set[str]] = defaultdict(set)
    there = still_delivered(rows)
    lay = there | {row.payload["sha256"] for row in state.lost}
    for render in renders:
        for person in doubted(workspace.ledger, state.clip, state.filmed, render):
            doubts[person].add(render["sha256"])
        recognised, known = shown_by(render)
        off = not workspace.recognises and render["sha256"] not in lay
        for person in recognised if off else replaced_since(workspace.ledger, state.clip, render):
            mistaken[person].add(render["sha256"])
        for person in recognised:
            by_program[person].add(render["sha256"])
        for person in known | teacher:
            by_hand[person].add(render["sha256"])
    names = {render["sha256"]: render["file"] for render in renders}
    counts = there | {one["sha256"] for one in made[-1:]}
    return _Shown(dict(by_program), dict(by_hand), dict(doubts), dict(mistaken), names, counts)
