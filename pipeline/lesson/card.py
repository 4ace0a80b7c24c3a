"""Everything on a card: copied, analysed, decided, rendered, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from pipeline import run
from pipeline.adapters import copies
from pipeline.adapters.volumes import Volume
from pipeline.elsewhere import Elsewhere
from pipeline.engine import Here, opened, side_by_side
from pipeline.errors import LesveilError
from pipeline.lesson import making
from pipeline.lesson.copy import copy_card
from pipeline.lesson.failures import failure_row, of_its_film, set_aside
from pipeline.lesson.lookalikes import notes
from pipeline.lesson.state import State, sealed_film, states
from pipeline.lesson.teacher import expect_teacher, teacher_of
from pipeline.lesson.waiting import AT_FAULT, rendering_lost
from pipeline.lesson.withdraw import reconcile, states_on
from pipeline.records import Clip, Progress, no_progress
from pipeline.workspace import Workspace, load_templates


@dataclass(frozen=True)
class CardRun:
    """What one run over a card came to."""

    done: list[State]
    failed: list[tuple[str, LesveilError]]
    left: list[str]
    """Files that belong to no film that a camera wrote (photographs); they stay where they are."""
    notes: list[str]
    registered: bool
    card: Volume | None
    """None where there was none, and only what waited was done."""
    deleted: list[State]
    """Clips that were deleted on purpose: their films are left on the card, and nothing is made of them."""
    refused: tuple[str, LesveilError] | None = None
    """The card that was not taken, and why, where clips that waited were done all the same."""
    unread: Sequence[tuple[str, LesveilError]] = ()
    """Folders of the card, and files beside a film, that cannot be read; no clip is missing because of the latter."""

    @property
    def troubles(self) -> list[tuple[str, LesveilError]]:
        return [*([] if self.refused is None else [self.refused]), *self.unread, *self.failed]


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
        if (state.waits_for == "lesveil run" or rendering_lost(workspace, state))
        and (state.failure is None or state.failure.payload["error"] not in AT_FAULT)
        and workspace.vault.has(state.clip)
    ]


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
    Raises NoConsentError when they may not be filmed, and what copying raises; where others wait, those are done and
    the card is told among the failures.
    """
    reconcile(workspace, today)
    copied, refused = None, None
    if folder is not None:
        try:
            teacher = teacher_of(workspace, teacher, today)
            named = partial(expect_teacher, workspace, teacher=teacher, today=today)
            copied = copy_card(workspace, folder, any_card, progress(folder.name, 1), named)
        except LesveilError as error:
            if not waiting(workspace, today):
                raise
            refused = folder.name or str(folder), error  # those that wait are done all the same
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
                making.make(workspace, clip, people, networks, today, told, job.teacher, elsewhere)
                done.add(clip.id)
            except Exception as unknown:  # noqa: BLE001 -- this clip is not released; the others can be done
                error = of_its_film(set_aside(unknown), job.name)
                workspace.ledger.append(copies.FAILURE, None, failure_row(job.name, error, clip.id))
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
        return CardRun(clips, bad, [], [], False, None, [], refused)
    bad = [*copied.failed, *bad]
    return CardRun(
        clips,
        bad,
        copied.left,
        copied.notes,
        copied.registered,
        copied.card,
        copied.deleted,
        unread=copied.unread,
    )


def _waiting_jobs(workspace: Workspace, today: date) -> list[_Job]:
    return [_Job(state.file, _clip_of(workspace, state), None) for state in waiting(workspace, today)]


def _clip_of(workspace: Workspace, state: State) -> Clip:
    """A clip that was copied before, as its card's copy was."""
    films = [file for file in state.ingest.payload["files"] if file["kind"] == "video"]
    sizes = tuple(int(file["bytes"]) for file in films)
    return copies.clip_of(Path(state.file), state.clip, state.ingest.payload["sha256"], sizes, workspace.vault)
