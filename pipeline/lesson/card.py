"""Everything on a card: copied, analysed, decided, rendered, checked."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pipeline import opinion, run
from pipeline.adapters import copies, files, inspect
from pipeline.adapters.video_in import open_clip
from pipeline.adapters.volumes import Volume
from pipeline.adapters.weights import models_digest
from pipeline.doubles import doubles, hidden_beside
from pipeline.elsewhere import Elsewhere
from pipeline.engine import Here, opened, side_by_side
from pipeline.errors import (
    DiskFullError,
    LesveilError,
    NotAVideoError,
    NoVideoStreamError,
    QuarantinedError,
    TruncatedVideoError,
)
from pipeline.lesson import seen
from pipeline.lesson.copy import copy_card
from pipeline.lesson.failures import failure_row, set_aside
from pipeline.lesson.lookalikes import in_lesson, note, notes
from pipeline.lesson.mending import Agreed, Mending, agreed_now, carry_over, lay_over, outcome_of
from pipeline.lesson.state import State, film, sealed_film, states
from pipeline.lesson.teacher import note_teacher, teacher_of
from pipeline.lesson.withdraw import reconcile, refuse_changed, states_on
from pipeline.opinion import Planned
from pipeline.records import Clip, Figures, Person, Progress, Sighting, no_progress
from pipeline.stages.second_opinion import Watch
from pipeline.workspace import Workspace, in_force, load_templates

RENDER_SETTINGS = (*run.PLAN_SETTINGS, "rendering", "privacy", "second_opinion")


AT_FAULT = frozenset(
    kind.__name__ for kind in (NotAVideoError, TruncatedVideoError, NoVideoStreamError, QuarantinedError)
)
"""Failures that come again however often the same film is tried."""


@dataclass(frozen=True)
class CardRun:
    """What one run over a card came to."""

    done: list[State]
    failed: list[tuple[str, LesveilError]]
    left: list[str]
    """Files in the camera's folders that belong to no film (photographs); they stay where they are."""
    notes: list[str]
    registered: bool
    card: Volume | None
    """None where there was none, and only what waited was done."""
    deleted: list[State]
    """Clips that were deleted on purpose: their films are left on the card, and nothing is made of them."""


@dataclass(frozen=True)
class _Job:
    """A clip to be done, what it is called on its card, and whose lesson it is said to be."""

    name: str
    clip: Clip
    teacher: str | None


def waiting(workspace: Workspace, today: date) -> list[State]:
    """Clips that can be done without their card: decided anew as consent ended or a double came to be known, never
    rendered since they were copied, or their rendering is gone where it is still needed. One whose film is at fault
    waits for its card, so that it does not fail again with every other card."""
    return [state for state in _copied(workspace, today) if not _lacks_teacher(workspace, state)]


def held_back(workspace: Workspace, today: date) -> list[State]:
    """Clips that could be done without their card if anybody knew whose lesson they are: none is filmed unasked."""
    if not workspace.settings.consent.teacher_required:
        return []
    return [state for state in _copied(workspace, today) if _lacks_teacher(workspace, state)]


def _copied(workspace: Workspace, today: date) -> list[State]:
    return [
        state
        for state in states_on(workspace, today)
        if (state.waits_for == "lesveil run" or _rendering_lost(workspace, state))
        and (state.failure is None or state.failure.payload["error"] not in AT_FAULT)
        and workspace.vault.has(state.clip)
    ]


def _rendering_lost(workspace: Workspace, state: State) -> bool:
    """The rendering that is to be approved, delivered or repaired is not here: each of these refuses, and names run."""
    if state.render is None or state.hidden_again or (workspace.finished / state.render["file"]).is_file():
        return False
    return state.stage in ("rendered", "approved") or state.waits_for == "lesveil repairs"


def _lacks_teacher(workspace: Workspace, state: State) -> bool:
    return workspace.settings.consent.teacher_required and not state.teacher


def run_card(
    workspace: Workspace,
    folder: Path | None,
    today: date,
    progress: Callable[[str, int], Progress] = lambda *_: no_progress,
    any_card: bool = False,
    teacher: str | None = None,
    priority: int = 0,
) -> CardRun:
    """Copy a card, then analyse, decide, render and check its clips, and after them those that wait though their card
    is not in (``folder`` None: these alone). One clip's failure does not stop the others.

    ``progress`` makes the Progress of something by its name; the number says among how many, side by side, it is one.
    ``teacher`` is the number of whose lessons these are; ``priority`` is added to the engine's own.
    Raises NoConsentError when they may not be filmed.
    """
    teacher = teacher_of(workspace, teacher, today) if folder is not None else None
    reconcile(workspace, today)
    copied = None
    if folder is not None:
        copied = copy_card(workspace, folder, any_card, progress(folder.name, 1))
    mine = copied.clips if copied is not None else []
    todo = [_Job(take.relative(take.path), clip, teacher) for take, clip in mine]
    here = {clip.id for _, clip in mine}
    todo += [job for job in _waiting_jobs(workspace, today) if job.clip.id not in here]
    # the same film twice on a card is one clip, and two at work on it would be in each other's way
    first_of = {job.clip.id: job for job in reversed(todo)}
    todo = [job for job in todo if first_of[job.clip.id] is job]
    people = load_templates(workspace) if workspace.recognises else []
    chosen = workspace.settings
    networks = run.Networks(bool(people), device=chosen.detection.device, ahead=chosen.engine.kind == "here")
    done: set[str] = set()
    failed: dict[str, LesveilError] = {}
    with opened(workspace.settings.engine) as engine:

        def each(job: _Job, among: int) -> None:
            clip, elsewhere = job.clip, None
            told = progress(Path(job.name).name, among)
            try:
                if not isinstance(engine, Here):
                    sealed = sealed_film(workspace, clip.id, clip.name, clip.parts)
                    elsewhere = Elsewhere(engine, sealed, workspace.settings.engine.priority + priority)
                _render(workspace, clip, people, networks, today, told, job.teacher, elsewhere)
                done.add(clip.id)
            except Exception as unknown:  # noqa: BLE001 -- this clip is not released; the others can be done
                error = set_aside(unknown)
                workspace.ledger.append("failure", None, failure_row(job.name, error, clip.id))
                failed[clip.id] = error

        known = notes(workspace.ledger)
        side_by_side(engine, each, todo)
        if notes(workspace.ledger) != known:  # another clip showed somebody's double: those done before must know
            reconcile(workspace, today)
            again = [job for job in todo if job.clip.id in done]
            again += [job for job in _waiting_jobs(workspace, today) if job.clip.id not in first_of]
            todo += [job for job in again if job.clip.id not in first_of]
            done.clear()
            side_by_side(engine, each, again)
    by_id = {state.clip: state for state in states(workspace)}
    clips = [by_id[job.clip.id] for job in todo if job.clip.id in done]
    bad = [(job.name, failed[job.clip.id]) for job in todo if job.clip.id in failed]
    if copied is None:
        return CardRun(clips, bad, [], [], False, None, [])
    bad = [*copied.failed, *bad]
    return CardRun(clips, bad, copied.left, copied.notes, copied.registered, copied.card, copied.deleted)


def _waiting_jobs(workspace: Workspace, today: date) -> list[_Job]:
    return [_Job(state.file, _clip_of(workspace, state), None) for state in waiting(workspace, today)]


def _clip_of(workspace: Workspace, state: State) -> Clip:
    """A clip that was copied before, as its card's copy was."""
    films = [file for file in state.ingest.payload["files"] if file["kind"] == "video"]
    sizes = tuple(int(file["bytes"]) for file in films)
    return copies.clip_of(Path(state.file), state.clip, state.ingest.payload["sha256"], sizes, workspace.vault)


def _render(
    workspace: Workspace,
    clip: Clip,
    people: list[Person],
    networks: run.Networks,
    today: date,
    progress: Progress,
    teacher: str | None,
    elsewhere: Elsewhere | None = None,
) -> None:
    settings = workspace.settings

    openers = film(workspace, clip.id, clip.parts)
    filmed = inspect.filmed_on(openers[0]) or _written_on(workspace, clip)
    days = [row.payload["day"] for row in workspace.ledger.entries("filmed", clip.id)]
    if days[-1:] != [filmed.isoformat()]:  # the latest counts
        workspace.ledger.append("filmed", clip.id, {"day": filmed.isoformat()})
    note_teacher(workspace, clip.id, teacher, filmed, today)
    grounds = in_force(workspace, people, filmed, today) if people else {}
    shown = [person for person in people if person.id in grounds]
    register = hashlib.sha256(json.dumps(sorted(grounds.items())).encode()).hexdigest()
    templates = hashlib.sha256(b"".join(person.template.tobytes() for person in shown)).hexdigest()
    digests = settings.digest(*RENDER_SETTINGS) + models_digest() + register + templates
    digests += opinion.state_of(settings.second_opinion)
    alone = hashlib.sha256(digests.encode()).hexdigest()
    nearest = {person: far for person, far in in_lesson(workspace.ledger, clip.id, filmed).items() if person in grounds}
    made_with = hashlib.sha256((alone + json.dumps(nearest)).encode()).hexdigest() if nearest else alone
    all_repairs = seen.repairs(workspace.ledger, clip.id)
    before = seen.last(workspace, clip.id)
    by_hand = agreed_now(workspace, [], all_repairs, filmed, today).known
    key = seen.rendering_key(made_with, all_repairs, by_hand)
    receipt = workspace.ledger.receipt("render", clip.sha256, key)
    final = workspace.finished / f"{clip.name}.{key[:8]}.mp4"
    if receipt is not None and final.is_file() and files.sha256_of(final) == receipt["sha256"]:
        return
    files.remove(final)  # a rendering without its receipt, or one whose bytes changed, counts for nothing
    files.sweep_partials(final)
    eyes, state = opinion.eyes_of(settings.second_opinion)  # demanded and not there: told before the clip is analysed
    figures = Figures()
    started = time.perf_counter()
    with open_clip(Path(clip.name), openers) as source:
        if before is not None and before.made_with == made_with:  # looked through already, only repairs are new
            found = before
        elif before is not None and before.made_with == alone:  # only doubles in other clips are new
            found = replace(before, made_with=made_with, decisions=hidden_beside(before.decisions, nearest))
            if found.decisions != before.decisions:
                _unpublish(workspace, clip)
        else:
            run.refuse_full(source, final)
            analysis = run.analyse(
                source, clip.name, shown, grounds, register, settings, networks, progress, figures, elsewhere
            )
            note(workspace.ledger, clip.id, doubles(analysis.identities, analysis.tracks), {one.id for one in shown})
            found = seen.of_analysis(analysis, made_with, source)
            found = replace(found, decisions=hidden_beside(found.decisions, nearest))
        placed = before.placed if before is not None else {}
        if before is not None and (before.analysis != found.analysis or before.decisions != found.decisions):
            placed = carry_over(before, all_repairs)  # who is hidden by hand is hidden wherever the same name was
        agreed = Agreed(grounds, by_hand)
        if found is before:
            agreed = agreed_now(workspace, found.decisions, all_repairs, filmed, today)
        mending = lay_over(clip.name, source, found, all_repairs, placed, agreed, settings, progress)
        partial = files.partial_path(final)

        def write(planned: Planned, watch: Watch | None) -> Any:
            silent = mending.silent(found, source)
            try:
                return run.render_checked(
                    source, planned.plan, partial, settings, progress, figures, silent, elsewhere, watch
                )
            except DiskFullError as error:
                raise files.disk_full(final) from error

        def hide_more(planned: Planned, made: Any, sightings: list[Sighting]) -> Planned:
            nonlocal found, mending
            files.remove(partial)
            tracks, decisions = opinion.hiding(_planned(mending, found), sightings, source, made[0].pts)
            new = len(sightings)
            tracks, decisions = [*found.tracks, *tracks[-new:]], [*found.decisions, *decisions[-new:]]
            found = replace(found, tracks=tracks, decisions=decisions)
            mending = lay_over(clip.name, source, found, all_repairs, placed, agreed, settings, progress)
            return _planned(mending, found)

        # repairs know people by the numbers of the analysis they saw: nothing is added to one that has any
        rounds = 0 if found is before or all_repairs else opinion.rounds_of(settings.second_opinion)
        looked = opinion.settle(_planned(mending, found), eyes, state, rounds, write, hide_more)
        done, written, result = looked.result
        digest = files.sha256_of(partial)
        refuse_changed(workspace, agreed.recognised, filmed, today, partial, agreed.known)
        seen.keep(workspace.vault, clip.id, mending.kept(found, digest, done, written.shift, looked.opinion.left))
        files.publish(partial, final)
        rate = source.info.rate
    figures.add("total", time.perf_counter() - started)
    outcome = {
        **seen.of_file(digest, final.name, done, written, result.regions),
        **outcome_of(mending, float(rate), looked.opinion),
        "enrolled": max((row.seq for row in workspace.ledger.entries("enrolment")), default=0),
        "took": round(figures.seconds["total"], 2),
    }
    seen.record(workspace, clip.id, clip.sha256, key, outcome)


def _planned(mending: Mending, found: seen.Seen) -> Planned:
    return Planned(mending.mended.tracks, mending.mended.decisions, mending.plan, found.cuts)


def _unpublish(workspace: Workspace, clip: Clip) -> None:
    """Take back the latest rendering: it shows somebody whom the next one hides, and the next one may fail."""
    for row in reversed(workspace.ledger.entries("receipt", clip.id)):
        if row.payload["stage"] == "render":
            files.remove(workspace.finished / row.payload["outcome"]["file"])
            return


def _written_on(workspace: Workspace, clip: Clip) -> date:
    """The day on which the camera wrote the film, for a film that does not say itself when it was filmed: the earliest
    of all its copies', for a later one is the day of copying, and by then more people may have agreed."""
    rows = workspace.ledger.entries("ingest", clip.id)
    copied = [datetime.fromisoformat(one["modified"]).date() for row in rows for one in row.payload["listed"][:1]]
    known = [date.fromisoformat(row.payload["day"]) for row in workspace.ledger.entries("filmed", clip.id)]
    return min(copied + known)
