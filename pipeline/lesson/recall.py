"""A withdrawal reaches what was delivered: the clip is made anew from what was released, and takes its place.

The film may be gone, so the released clip is all there is; hiding more in it needs nothing else. Everything is kept
in the ledger step by step, and a recall that was interrupted goes on from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pipeline import opinion, run
from pipeline.adapters import files
from pipeline.adapters.copies import clip_name
from pipeline.adapters.video_in import open_clip
from pipeline.doubt import doubts, undecided
from pipeline.errors import DeliveryError, LesveilError
from pipeline.lesson import deliver as delivering
from pipeline.lesson import plans, seen, shown
from pipeline.lesson.deleted import TEACHER
from pipeline.lesson.lookalikes import doubted
from pipeline.lesson.lost import come_back
from pipeline.lesson.lying import may_lie, standing
from pipeline.lesson.mending import hidden_at_once, laid_on, still_hidden, times_of
from pipeline.lesson.onedrive_target import OneDriveTarget
from pipeline.lesson.retention import past_use
from pipeline.lesson.state import State, find, replaced_since, shown_by, states
from pipeline.lesson.targets import open_target
from pipeline.lesson.withdraw import reconcile, refuse_changed
from pipeline.opinion import Planned
from pipeline.records import Figures, Progress, RepairKind, joined, no_progress
from pipeline.regions import together
from pipeline.stages import decide
from pipeline.stages.rehide import Face, besides, rehide
from pipeline.workspace import Workspace, grounds

KIND = "recall"
HIDE, EVERYBODY, DELETE = "hide again", "hide everybody", "delete"
"""What is done with a clip."""


@dataclass(frozen=True)
class Recalled:
    """What became of one clip: ``outcome`` is one of OUTCOMES, ``where`` the place it is about.

    ``left`` is how many faces a second look sees in it that are not hidden; ``in_bin`` is what was taken away and is
    kept by a recycle bin for its term.
    """

    outcome: str
    where: str
    left: int = 0
    in_bin: tuple[str, ...] = ()


OUTCOMES = ("replaced", "deleted", "waits for approval", "no longer needed")


def recall_plan(workspace: Workspace, today: date) -> list[plans.Item]:
    """What is to be done with every delivered clip that shows somebody whose consent ended; plain data for JSON."""
    come_back(workspace)
    reconcile(workspace, today)
    return [_item(workspace, state, today) for state in states(workspace) if _concerned(workspace, state)]


def waiting(workspace: Workspace) -> list[State]:
    """The clips of which a recall made what is to take their place, and a person is to approve it: until then they show
    somebody who may not be shown, and no plan of a recall names them."""
    return [state for state in states(workspace) if state.to_recall and not _concerned(workspace, state)]


def execute_recall(
    workspace: Workspace, digest: str, today: date, progress: Callable[[str], Progress] | None = None, by: str = ""
) -> list[tuple[plans.Item, plans.Item | LesveilError]]:
    """Carry out the plan that was shown, ``by`` whom if that was said. Raises PlanChangedError; what fails for one clip
    is told beside it."""
    items = recall_plan(workspace, today)
    device = workspace.settings.detection.device
    networks = run.Networks(False, device=device, ahead=any(item["action"] != DELETE for item in items))

    def act(item: plans.Item) -> plans.Item:
        told = progress(Path(item["file"]).name) if progress else no_progress
        done = _recall(workspace, item, today, networks, told)
        more: plans.Item = {"second_look_left": done.left} if done.left else {}
        more |= {"in_bin": list(done.in_bin)} if done.in_bin else {}
        more |= {"by": by} if by else {}
        return {"outcome": done.outcome, "where": done.where, **more}

    return plans.carry_out(workspace.ledger, KIND, digest, items, lambda _: True, act)


def _concerned(workspace: Workspace, state: State) -> bool:
    a_person_is_to_look = _asked(workspace, state) and not _more_to_hide(workspace, state)
    return state.to_recall and not (a_person_is_to_look and _whole(workspace, state))


def _asked(workspace: Workspace, state: State) -> bool:
    """Whether a person is asked for approval of what is to take the place of a delivered film."""
    return workspace.settings.review.after_withdrawal and state.waits_for == "lesveil approve"


def _more_to_hide(workspace: Workspace, state: State) -> bool:
    """Whether that person said no, and it still shows somebody: then everybody is hidden."""
    return _asked(workspace, state) and state.rejected is not None and bool((state.render or {}).get("kept"))


def _item(workspace: Workspace, state: State, today: date) -> plans.Item:
    there = may_lie(workspace.ledger.entries(clip=state.clip))
    why = TEACHER if state.teacher in state.lapsed else past_use(workspace, state, today)
    if state.deleted is not None:  # nothing of it is made again, so nothing can take the place of what is left
        why = why or state.deleted.because
    return {
        "clip": state.clip,
        "file": state.file,
        "people": sorted(state.lapsed),
        "action": DELETE if why else EVERYBODY if _more_to_hide(workspace, state) else HIDE,
        **({"because": why} if why else {}),
        "where": [row.payload["where"] for row in there],
        "sha256": [row.payload["sha256"] for row in there],
        "rows": [row.seq for row in there],
        **({"instead": state.render["sha256"]} if state.replaces and state.render else {}),
    }


def _recall(
    workspace: Workspace, item: plans.Item, today: date, networks: run.Networks, progress: Progress
) -> Recalled:
    clip = item["clip"]
    if item["action"] == DELETE:
        _refuse_needed(workspace, item, today)
        gone = delivering.remove_all(workspace, clip, lambda row: row["sha256"] in item["sha256"])
        others = standing(workspace.ledger.entries(clip=clip))
        # nothing lies there: it went, and a crash came before that was told; another film: nobody was shown that
        outcome = "deleted" if gone or not others else "no longer needed"
        return Recalled(outcome, ", ".join(item["where"]), in_bin=_in_bin(gone))
    rows, unknown = delivering.lying(workspace, clip)
    state = find(workspace, clip)
    if unknown is not None and not rows:
        raise unknown
    if not rows or not state.lapsed:  # done before it could be told, or consent came back
        done = state.hidden_again and state.delivered is not None
        left = undecided(state.render or {}) if done else 0
        return Recalled("replaced" if done else "no longer needed", ", ".join(item["where"]), left)
    there = state.delivered.payload if state.delivered is not None and not state.outdated else None
    if there is not None and not state.repairs_wait:
        # an older film lies at another place, or may lie there, or OneDrive keeps it as an older version
        latest, where = there["sha256"], str(there["where"])
        gone = delivering.remove_all(workspace, clip, lambda row: row["sha256"] != latest)
        if left := delivering.clear_versions(workspace, clip, there):
            raise _versions_stay(state, left)
        return Recalled("replaced", where, undecided(state.render or {}), _in_bin(gone))
    payload = max(rows, key=lambda row: (delivering.within_reach(workspace, row.payload), row.seq)).payload
    made_from = (state.render or {}).get("released")
    whole = made_from == payload["sha256"] and not state.outdated and _whole(workspace, state)
    everybody = item["action"] == EVERYBODY
    if not whole or state.repairs_wait or (everybody and _more_to_hide(workspace, state)):
        _make(workspace, state, payload, today, networks, progress, everybody)
        state = find(workspace, clip)
    left = undecided(state.render or {})
    if workspace.settings.review.after_withdrawal and state.approved is None:
        return Recalled("waits for approval", payload["where"], left)
    if state.approved is None:
        _carry_approval_over(workspace, state, payload["sha256"])
    arrived = _bring(workspace, state, today, progress)
    made = (state.render or {})["sha256"]
    gone = delivering.remove_all(workspace, clip, lambda row: row["sha256"] != made)  # it may lie at other places still
    if arrived.versions_left:
        raise _versions_stay(state, arrived.versions_left)
    return Recalled("replaced", arrived.where, left, _in_bin([*arrived.cleared, *gone]))


def _in_bin(gone: Sequence[delivering.Removed]) -> tuple[str, ...]:
    return tuple(one.where for one in gone if not one.permanent)


def _refuse_needed(workspace: Workspace, item: plans.Item, today: date) -> None:
    """Raises DeliveryError where a plan that was begun would delete what is to be hidden again by now: somebody took
    back that it has served, or its term was made longer, and what lies there may be all that there is of it. Not where
    a newer film came since."""
    there = may_lie(workspace.ledger.entries(clip=item["clip"]))
    state = find(workspace, item["clip"])
    only = bool(there) and all(row.payload["sha256"] in item["sha256"] for row in there)
    if only and _item(workspace, state, today)["action"] != DELETE:
        raise DeliveryError("{clip} is not to be deleted any more; look at lesveil recall again.", clip=state.file)


def _versions_stay(state: State, left: int) -> DeliveryError:
    return DeliveryError(
        "{clip} was replaced, but OneDrive still keeps {n} older {n:version that shows|versions that show} "
        "somebody; remove {n:it|them} there, or take the clip away with lesveil deliver --remove.",
        clip=state.file,
        n=left,
    )


def _bring(workspace: Workspace, state: State, today: date, progress: Progress) -> delivering.Arrived:
    done = [what for _, what in delivering.deliver(workspace, today, clips=[state.clip], progress=progress)]
    for what in done:
        if isinstance(what, LesveilError):
            raise what
    arrived = [what for what in done if isinstance(what, delivering.Arrived)]
    if not arrived:  # it was brought to one place and taken away again, and lies at another still
        raise DeliveryError(
            "{clip} was taken away from one place and still lies at {where}; take it away there as well: "
            "lesveil deliver --remove {id}.",
            clip=state.file,
            where=", ".join(state.standing),
            id=state.clip[:8],
        )
    return arrived[-1]


def _whole(workspace: Workspace, state: State) -> bool:
    assert state.render is not None
    path = workspace.finished / state.render["file"]
    return path.is_file() and files.sha256_of(path) == str(state.render["sha256"])


def _carry_approval_over(workspace: Workspace, state: State, before: str) -> None:
    """It hides whatever the approved one hid, and more; who approved that one stands behind it."""
    assert state.render is not None
    rows = [row for row in workspace.ledger.entries("approval", state.clip) if row.payload["sha256"] == before]
    rows = [row for row in rows if row.payload["verdict"] == "approved"]  # a later rejection does not stop a withdrawal
    if not rows:
        raise DeliveryError("{clip} is not approved any more; approve it, then deliver it.", clip=state.file)
    row = {"sha256": state.render["sha256"], "by": rows[-1].payload["by"], "verdict": "approved", "carried": before}
    workspace.ledger.append("approval", state.clip, row)


def _make(
    workspace: Workspace,
    state: State,
    payload: dict[str, Any],
    today: date,
    networks: run.Networks,
    progress: Progress,
    everybody: bool,
) -> None:
    """Render the released clip again with more hidden in it, or ``everybody``, checked, and leave the receipts."""
    settings, clip, old = workspace.settings, state.clip, str(payload["sha256"])
    before = _outcome(workspace, clip, old)
    disguised = before.get("audio") == "disguise"
    if disguised and settings.rendering.audio == "disguise":  # once more, and less and less is understood
        settings = replace(settings, rendering=replace(settings.rendering, audio="keep"))
    filmed = date.fromisoformat(state.filmed) if state.filmed else None
    known = shown.load(workspace.vault, clip, old)
    all_repairs = seen.repairs(workspace.ledger, clip)
    stand, there = seen.standing(all_repairs), set(before.get("repairs", ()))
    taken_back = {r.person for r in all_repairs if r.kind is RepairKind.SHOW and r.undone and r.id in there}
    by_program, by_hand = shown_by(before)
    sure = by_program - doubted(workspace.ledger, clip, state.filmed, before)
    sure = sure - replaced_since(workspace.ledger, clip, before) if workspace.recognises else set()
    by_hand = by_hand - by_program - taken_back
    agreed = {} if filmed is None else grounds(workspace, sure, filmed, today)
    named = {} if filmed is None else grounds(workspace, by_hand, filmed, today, recognised=False)
    if everybody:
        agreed, named = {}, {}
    allowed = named | agreed
    last = seen.last(workspace, clip)

    def may_stay(face: Face) -> bool:
        return face.person in allowed and not (face.by_hand and face.person in taken_back)

    key = hashlib.sha256(repr(("released", old, sorted(allowed.items()), stand)).encode()).hexdigest()
    final = workspace.finished / f"{clip_name(Path(state.file), clip)}.{key[:8]}.mp4"
    files.remove(final)
    files.sweep_partials(final)
    figures, started = Figures(), time.perf_counter()
    partial = files.partial_path(final)
    eyes, looks = opinion.eyes_of(settings.second_opinion)  # demanded and not there: told before it is fetched
    try:
        with _released(workspace, payload, final) as path, open_clip(path) as source:
            analysis = run.analyse(source, state.file, [], {}, "", settings, networks, progress, figures)
            faces = known.faces if known is not None and known.frames == analysis.found.frames else ()
            pts = times_of(source)
            hidden = still_hidden(state.file, source, pts, last, all_repairs, there, progress)
            regions, under = together([one.regions for one in hidden]), together([one.faces for one in hidden])
            gone = tuple(face for face in faces if not may_stay(face))
            stays = tuple(besides([face for face in faces if may_stay(face)], regions))
            tracks, decisions = rehide(analysis.tracks, gone, stays, allowed)
            plan = decide.replanned(analysis.plan, tracks, decisions)
            mutes = tuple((r.start, r.stop) for r in all_repairs if r.kind is RepairKind.MUTE and not r.undone)
            timed = replace(seen.of_analysis(analysis, key, source), pts=pts, mutes=tuple(joined(mutes)))

            def laid(planned: Planned) -> Planned:
                plan = laid_on(planned.plan, regions, under, planned.tracks, planned.decisions)
                return replace(planned, plan=plan)

            # there is no film to repair, so what is seen is hidden whatever [second_opinion] on_finding says
            looked = opinion.settle(
                laid(Planned(tracks, decisions, plan, analysis.found.cuts.tolist())),
                eyes,
                looks,
                opinion.ROUNDS,
                lambda planned, watch: run.render_checked(
                    source, planned.plan, partial, settings, progress, figures, timed.silent(), watch=watch
                ),
                lambda planned, made, found: laid(run.with_hidden(planned, found, source, made[0].pts, partial)),
            )
            done, written, result = looked.result
            tracks, plan, second = list(looked.planned.tracks), looked.planned.plan, looked.opinion
            when = opinion.clock(done.pts, float(source.info.time_base), float(source.info.rate))
        digest = files.sha256_of(partial)
        if filmed is not None:
            refuse_changed(workspace, set(agreed), filmed, today, partial, set(named), again="lesveil recall")
        shown.keep(workspace.vault, clip, shown.Shown(digest, plan.frames, stays))
        files.publish(partial, final)
    finally:
        files.remove(partial)
    outcome = {
        **seen.of_file(digest, final.name, done, written, result.regions),
        "kept": _kept(stays, allowed, before),
        "doubts": doubts([], when, second.left),
        "second_look": {"state": second.state, "hidden": len(second.hidden), "left": len(second.left)},
        "hides": plan.extent.value,
        "hidden_at_once": max(hidden_at_once(tracks, plan), int(before.get("hidden_at_once", 0))),
        "repairs": list(stand),
        "released": old,
        "by_tracks": True,
        "audio": "disguise" if disguised and settings.rendering.audio == "keep" else settings.rendering.audio,
        "places_known": bool(faces),
        "took": round(time.perf_counter() - started, 2),
    }
    seen.record(workspace, clip, state.ingest.payload["sha256"], key, outcome)
    if last is not None:  # by it the next recall places what was hidden by hand, if this film is never put there
        seen.keep(workspace.vault, clip, last)


def _kept(stays: Sequence[Face], allowed: Mapping[str, str], before: dict[str, Any]) -> list[dict[str, Any]]:
    """The receipt's rows of who is shown still."""
    far: dict[str, float] = {}  # of all places at which the film showed somebody, the one that is the least sure
    for row in before["kept"]:
        if row.get("distance") is not None:
            far[row["person"]] = max(row["distance"], far.get(row["person"], 0.0))
    return [
        {
            "person": face.person,
            "start": face.start,
            "stop": face.stop,
            "ground": allowed[face.person],
            "margin": None,
            "distance": None if face.by_hand else far.get(face.person),
            "by_hand": face.by_hand,
        }
        for face in stays
    ]


def _outcome(workspace: Workspace, clip: str, sha256: str) -> dict[str, Any]:
    """The receipt's outcome of the rendering with this digest."""
    for row in reversed(workspace.ledger.entries("receipt", clip)):
        if row.payload["stage"] == "render" and row.payload["outcome"]["sha256"] == sha256:
            outcome: dict[str, Any] = row.payload["outcome"]
            return outcome
    return {"kept": []}


@contextlib.contextmanager
def _released(workspace: Workspace, payload: dict[str, Any], final: Path) -> Iterator[Path]:
    """The delivered clip as a file on this machine, exactly as it was delivered; fetched where it must be."""
    fetched = files.partial_path(final)
    try:
        target = open_target(workspace, payload["target"])
        with target if isinstance(target, OneDriveTarget) else contextlib.nullcontext():
            target.download(payload, fetched)
        yield fetched
    finally:
        files.remove(fetched)
