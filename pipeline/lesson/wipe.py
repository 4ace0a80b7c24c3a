"""What may be wiped, and wiping it: one card at a time, the one that is in the machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipeline import wipeable
from pipeline.adapters import card as cards
from pipeline.adapters import copies
from pipeline.adapters.volumes import Volume
from pipeline.errors import CardError, LesveilError, WipeError
from pipeline.lesson import on_card
from pipeline.lesson.deliver import still_there
from pipeline.lesson.namesakes import is_alone
from pipeline.lesson.state import State, consent_holds, find, lay_at, made_anew_by, states
from pipeline.lesson.targets import in_archive, refuse_away
from pipeline.messages import quoted
from pipeline.records import Progress, WipePlan, no_progress
from pipeline.stages import wipe
from pipeline.workspace import Workspace

ASKED = 10.0
"""Seconds for which the archive is waited for where nothing is wiped yet."""


@dataclass(frozen=True)
class Wanted:
    """What is to be wiped: from which card (by default the one that was read last), how far."""

    card: Path | None = None
    fill: bool = False
    whole: bool = False


def wipe_plan(
    workspace: Workspace, today: date, wanted: Wanted = Wanted(), progress: Progress = no_progress
) -> WipePlan:
    """What may be wiped now; a wipe of this card that was interrupted comes first, as it was planned.

    Raises WipeError, and CardError when the card cannot be read.
    """
    volume = on_card.meant(workspace, wanted.card)
    if volume is None:  # no card was ever read here
        return wipeable.plan((), number=wipe.plans_done(workspace.ledger))
    interrupted = wipe.unfinished(workspace.ledger, volume.identity)
    if interrupted is not None:
        return interrupted
    if wanted.whole and volume.root == on_card.MISSING:
        raise _not_in(volume)
    if wanted.whole:
        _refuse_our_own(workspace, volume.root)
    everything = on_card.everything(volume.root, progress) if wanted.whole else None
    rows = [row for row in workspace.ledger.entries("ingest") if row.payload["card"] == volume.identity]
    wiped = {(path, sha256) for _, path, sha256 in wipe.wiped_since(workspace.ledger, rows)}
    not_there = on_card.not_there(workspace, volume, rows, wiped)
    moved = on_card.moved(volume, rows, wiped, not_there)
    here = {row.clip for row in rows}
    chains = [_chain(workspace, state, volume.identity, today) for state in states(workspace) if state.clip in here]

    return wipeable.plan(
        chains,
        wiped,
        not_there,
        on_card.given_up(workspace, volume, rows, not_there - moved.keys()),
        moved,
        card=volume.identity,
        number=wipe.plans_done(workspace.ledger),
        fill=wanted.fill or wanted.whole,
        everything=everything,
        sure=is_alone(workspace.ledger, volume),
    )


def _not_in(volume: Volume) -> WipeError:
    return WipeError(
        "The card {card} is not here; put it in, or name its place with --card (if it is lost or has another name now:"
        " lesveil cards --gone {quoted} --by NAME).",
        card=volume.identity,
        quoted=quoted(volume.identity),
    )


def hindrance(workspace: Workspace, plan: WipePlan, card: Path | None) -> LesveilError | None:
    """What keeps all of a plan from being carried out now, by where ``card`` is said to be: the card, or the archive,
    is not there. None where nothing does, for all that is known before anything is read."""
    clips = _clips_of(workspace, plan)
    delivered = [state.delivered.payload for state in states(workspace) if state.delivered and state.clip in clips]
    try:
        volume = on_card.meant(workspace, card, plan.card)
        if volume is not None:
            _refuse_away(volume)
        for delivery in {delivery["target"]: delivery for delivery in delivered}.values():
            refuse_away(workspace, delivery, ASKED)
    except LesveilError as error:
        return error
    return None


def _refuse_away(volume: Volume) -> None:
    """Raise WipeError where the card is not in the machine, or cannot be written."""
    if not os.path.isdir(volume.root):
        raise _not_in(volume)
    if volume.read_only:
        raise WipeError("The card at {folder} is write-protected; move its switch and try again.", folder=volume.root)


def title(workspace: Workspace, card: Path | None, digest: str) -> str:
    """What a person types to confirm that a whole card goes by the plan with this digest."""
    interrupted = _begun_as(workspace, digest)
    volume = on_card.meant(workspace, card, interrupted.card if interrupted else "")
    return volume.title if volume else ""


def left(workspace: Workspace, card: Path | None, digest: str) -> list[str]:
    """The files that are on the card now of which the plan with this digest was carried out, by their names on it, and
    the films among the hidden ones (in a computer's bin, say); none where it cannot be read."""
    begun = [row.payload["card"] for row in workspace.ledger.entries(wipe.BEGIN) if row.payload["digest"] == digest]
    try:
        root = volume.root if (volume := on_card.meant(workspace, card, *begun[-1:])) else on_card.MISSING
        seen = {path.relative_to(root).as_posix() for path in cards.visible_files(root)}
        hidden = {name for name, _ in cards.all_files(root, lambda *_: None) if cards.is_film(name)}
        return sorted(seen | {name for name in hidden if not Path(name).name.startswith("._")})
    except (CardError, WipeError):
        return []


def unkept(workspace: Workspace, plan: WipePlan) -> list[State]:
    """The clips on the plan that were deleted on purpose: what goes is all that there still is of them."""
    return [state for state in states(workspace) if state.clip in plan.unkept]


def options(plan: WipePlan, card: Path | None, fill: bool = False) -> str:
    """What is typed behind ``lesveil wipe --execute CODE`` to carry out this plan."""
    words = [word for word, given in (("--fill", fill), ("--whole-card", plan.whole)) if given]
    if card is not None:
        words += ["--card", quoted(card)]
    return "".join(f" {word}" for word in words)


def begun(workspace: Workspace) -> list[WipePlan]:
    """The plans, of whatever cards, that were begun and neither came to their ends nor were called off."""
    return list(wipe.all_unfinished(workspace.ledger))


def refuse_unfinished_wipe(workspace: Workspace, volume: Volume) -> None:
    """Raise WipeError when this card is half wiped: what lies on it now is no film to be copied."""
    interrupted = wipe.unfinished(workspace.ledger, volume.identity)
    if interrupted is not None:
        raise WipeError(
            "A wipe of this card was interrupted; finish it first: lesveil wipe --execute {digest}{options} (if the"
            " camera used the card again since: lesveil wipe --call-off {digest} --by NAME)",
            digest=interrupted.digest,
            options=options(interrupted, volume.root),
        )


def call_off(workspace: Workspace, digest: str, by: str) -> list[str]:
    """End a wipe that was begun and cannot come to its end, since its card was lost or used again. What is wiped stays
    wiped; returns the names of the files on the card of which something may be overwritten. Raises WipeError."""
    by = " ".join(by.split())
    if not by:
        raise WipeError("A wipe is called off in somebody's name; say whose with --by.")
    if _begun_as(workspace, digest) is None:
        raise WipeError("No wipe with the code {digest} is under way; look at lesveil wipe.", digest=digest)
    return wipe.call_off(workspace.ledger, digest, by)


def give_up(workspace: Workspace, name: str, by: str) -> State:
    """Say that a film that is not wiped lies on no card any more, as it was deleted in the camera or its card is lost:
    its wipe is waited for no longer, and what is here of it keeps its term. Nothing is called wiped by that.

    Raises ApprovalError where no such clip is, WipeError where its card is in and holds it, CardError.
    """
    state = find(workspace, name)
    by = " ".join(by.split())
    if not by:
        raise WipeError("A film is given up in somebody's name; say whose with --by.")
    if not state.to_wipe:
        raise WipeError("No card of {clip} waits to be wiped.", clip=name)
    rows = workspace.ledger.entries("ingest", state.clip)
    here = {(card, *file) for card in state.cards for file in on_card.lying(workspace, card)}
    known = wipe.wiped_since(workspace.ledger, rows) | copies.given_up(workspace.ledger, rows).keys()
    gone = [list(key) for key in sorted(lay_at(rows) - known - here)]
    if not gone:
        raise WipeError("{clip} lies on the card that is in; wipe it with lesveil wipe.", clip=name)
    workspace.ledger.append(copies.FILM_GONE, state.clip, {"files": gone, "by": by})
    return find(workspace, state.clip)


def execute_wipe(
    workspace: Workspace,
    digest: str,
    today: date,
    wanted: Wanted = Wanted(),
    confirmed: str = "",
    progress: Progress = no_progress,
) -> wipe.Wiped:
    """Carry out the plan that was shown, made again with the same wishes: it must come to the same digest.

    ``confirmed`` is what was typed to confirm that a whole card goes. Raises WipeError.
    """
    if any(row.payload["digest"] == digest for row in workspace.ledger.entries(wipe.END)):
        raise WipeError("The plan {digest} was carried out already; a plan works once.", digest=digest)
    plan = _begun_as(workspace, digest) or wipe_plan(workspace, today, wanted, progress)
    volume = on_card.meant(workspace, wanted.card, plan.card)
    if volume is None:
        raise WipeError("No card was ever read here; name it with --card.")
    _refuse_away(volume)
    if plan.items and volume.identity != plan.card:
        raise WipeError(
            "The card at {folder} is {here}, and the plan is for {card}; put that one in.",
            folder=volume.root,
            here=volume.identity,
            card=plan.card,
        )
    if plan.whole:
        _refuse_our_own(workspace, volume.root)
    if plan.whole and confirmed != volume.title:
        raise WipeError(
            "To wipe everything on this card its name must be typed: {title} (lesveil wipe --whole-card --execute asks"
            " for it; a script gives --confirm NAME)",
            title=volume.title,
        )
    clips = _clips_of(workspace, plan)
    _still_delivered(workspace, clips)

    def still() -> None:
        _may_still_go(workspace, clips, today)
        if not wipe.is_begun(workspace.ledger, digest):  # reading the card took minutes; this may take some, too
            _still_delivered(workspace, clips)

    try:
        _may_still_go(workspace, clips, today)
    except WipeError:
        wipe.call_off(workspace.ledger, digest)  # begun before: what stops it could not be mended otherwise
        raise
    return wipe.execute(
        plan,
        digest,
        volume.root,
        workspace.ledger,
        workspace.vault,
        tied=cards.tied_files if not plan.whole else lambda _: (),
        everything=lambda root: (name for name, _ in on_card.listed(root)),
        in_place=not volume.mtp,
        progress=progress,
        still=still,
    )


def _begun_as(workspace: Workspace, digest: str) -> WipePlan | None:
    """The plan that was begun under this digest and is not finished, of whatever card."""
    return next((plan for plan in begun(workspace) if plan.digest == digest), None)


def _clips_of(workspace: Workspace, plan: WipePlan) -> set[str]:
    """Every clip of which something goes; the copy of one whose film lies on two cards went with the other card."""
    items = {(item.path, item.sha256) for item in plan.items}
    films = {
        str(row.clip)
        for row in workspace.ledger.entries("ingest")
        if row.payload["card"] == plan.card
        and any((file["path"], file["sha256"]) in items for file in row.payload["files"])
    }
    return films | {item.path for item in plan.items if item.kind == wipeable.COPY}


def _chain(workspace: Workspace, state: State, card: str, today: date) -> wipeable.Chain:
    rows = workspace.ledger.entries(clip=state.clip)
    ingests = [row.payload for row in rows if row.kind == "ingest"]
    render = state.render["sha256"] if state.render else None
    checked = [
        row.payload["input"]
        for row in rows
        if row.kind == "receipt" and row.payload["stage"] == "check" and row.payload["outcome"]["passed"]
    ]
    delivery = state.delivered.payload if state.delivered else None
    return wipeable.Chain(
        clip=state.clip,
        copied=state.ingest.payload["sha256"],
        bytes=state.ingest.payload["bytes"],
        files=wipeable.sources_of(ingests, card),
        verified=tuple(state.ingest.payload["verified"]),
        rendered=render,
        checked=render if render in checked else None,
        approved=state.approved.payload["sha256"] if state.approved else None,
        delivered=delivery["sha256"] if delivery else None,
        archived=delivery is not None and in_archive(workspace, delivery),
        waits=state.repairs_wait,
        consent=consent_holds(workspace, state, today),
        unread=wipeable.lacks_sidecar(ingests, card),
        deleted=state.deleted is not None and not state.standing,
    )


def _still_delivered(workspace: Workspace, clips: Iterable[str]) -> None:
    """What was delivered must still be there, asked afresh and byte for byte, before anything goes."""
    wanted = set(clips)
    for state in states(workspace):
        if state.clip not in wanted:
            continue
        # Wiped from its card, its copy is still to go: a newer film that was not brought yet does not keep that from
        # going, but an archive that holds none does.
        kept = not state.wiped or (not state.standing and workspace.vault.has(state.clip))
        if state.delivered is None and state.deleted is None and kept:
            raise WipeError(
                "{clip} does not lie in the archive any more; nothing more was wiped: approve and deliver it again.",
                clip=state.clip,
            )
        if state.delivered is None or still_there(workspace, state.delivered.payload):
            continue
        where = state.delivered.payload["where"]
        raise WipeError(
            "{file} is no longer what was delivered; nothing more was wiped: see lesveil deliver --audit.", file=where
        )


def _may_still_go(workspace: Workspace, clips: Iterable[str], today: date) -> None:
    """No repair, no rejection and no withdrawal came in since the plan was made: to heed them, the working copy that
    goes is needed.

    Of a clip that is wiped from its card already there is only that left, and nothing can be repaired.
    """
    wanted = set(clips)
    for state in states(workspace):
        kept = state.clip in wanted and not state.wiped and state.deleted is None
        if kept and not consent_holds(workspace, state, today):
            raise WipeError(
                "{clip} shows somebody who may not be shown any more; nothing was wiped now: do {command} first.",
                clip=state.clip,
                command=made_anew_by(state),
            )
        if state.clip in wanted and state.rejected is not None and not state.wiped and state.deleted is None:
            raise WipeError(
                "{by} rejected {clip}; nothing was wiped now: mend it or approve it again, and deliver it.",
                by=state.rejected.payload["by"],
                clip=state.clip,
            )
        if state.clip in wanted and state.repairs_wait:
            raise WipeError(
                "{clip} has repairs that are not rendered yet; nothing was wiped now: do {command}, then approve and"
                " deliver it again.",
                clip=state.clip,
                command=state.waits_for,
            )


def _refuse_our_own(workspace: Workspace, root: Path) -> None:
    """Raise WipeError where the workspace or the folder delivered to lies on the card: all of it would go."""
    target = workspace.settings.deliver
    ours = [workspace.folder] + ([workspace.target_folder] if target.target == "folder" and target.folder else [])
    for folder in ours:
        real = Path(os.path.realpath(folder))
        if any(os.path.samefile(at, root) for at in (real, *real.parents) if at.exists()):
            raise WipeError(
                "{folder} lies on this card, and a wipe of the whole card would take it; wipe without --whole-card, or"
                " move it to another disk first.",
                folder=folder,
            )
