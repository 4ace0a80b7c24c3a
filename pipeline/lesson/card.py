"""Everything on a card: copied, analysed, decided, rendered, checked."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipeline import run
from pipeline.adapters import card as cards
from pipeline.adapters import files, inspect
from pipeline.adapters.video_in import open_clip
from pipeline.adapters.weights import models_digest
from pipeline.errors import LesveilError
from pipeline.lesson.state import State, states
from pipeline.records import Clip, Decision, Figures, Person, Progress, Reason, no_progress
from pipeline.stages.ingest import ingest
from pipeline.workspace import Workspace, in_force, load_templates

RENDER_SETTINGS = (*run.PLAN_SETTINGS, "rendering", "privacy")
DOUBTS = frozenset({Reason.UNSURE, Reason.AMBIGUOUS, Reason.TWO_PLACES})
"""Reasons for hiding that a person should look at: it may be somebody who agreed to be seen."""


@dataclass(frozen=True)
class CardRun:
    """What one run over a card came to."""

    done: list[State]
    failed: list[tuple[str, LesveilError]]
    left: list[str]
    """Files in the camera's folders that belong to no film (photographs); they stay where they are."""


def run_card(
    workspace: Workspace, folder: Path, today: date, progress: Callable[[str], Progress] | None = None
) -> CardRun:
    """Copy, analyse, decide, render and check every clip of a card. One clip's failure does not stop the others."""
    found = cards.find_clips(folder)
    workspace.ledger.append("card", None, {"folder": str(folder.resolve())})
    people = load_templates(workspace) if workspace.recognises else []
    networks = run.Networks(bool(people))
    done: list[str] = []
    failed: list[tuple[str, LesveilError]] = []
    for take in found:
        name = take.relative(take.path)
        told = progress(Path(name).name) if progress else no_progress
        try:
            clip = ingest(take, workspace.vault, workspace.ledger, told)
            _render(workspace, clip, take.path, people, networks, today, told)
            done.append(clip.id)
        except LesveilError as error:
            workspace.ledger.append("failure", None, {"path": name, "error": type(error).__name__})
            failed.append((name, error))
    by_id = {state.clip: state for state in states(workspace)}
    left = [path.name for path in cards.other_files(folder)]
    return CardRun([by_id[id] for id in dict.fromkeys(done)], failed, left)


def _render(
    workspace: Workspace,
    clip: Clip,
    original: Path,
    people: list[Person],
    networks: run.Networks,
    today: date,
    progress: Progress,
) -> None:
    settings = workspace.settings

    def opener() -> BinaryIO:
        return cast(BinaryIO, workspace.vault.open(clip.id))

    filmed = inspect.filmed_on(opener) or datetime.fromtimestamp(original.stat().st_mtime, UTC).date()
    if not any(row.payload["day"] == filmed.isoformat() for row in workspace.ledger.entries("filmed", clip.id)):
        workspace.ledger.append("filmed", clip.id, {"day": filmed.isoformat()})
    grounds = in_force(workspace, people, filmed, today) if people else {}
    shown = [person for person in people if person.id in grounds]
    register = hashlib.sha256(json.dumps(sorted(grounds.items())).encode()).hexdigest()
    templates = hashlib.sha256(b"".join(person.template.tobytes() for person in shown)).hexdigest()
    made_with = settings.digest(*RENDER_SETTINGS) + models_digest() + register + templates
    key = hashlib.sha256(made_with.encode()).hexdigest()
    receipt = workspace.ledger.receipt("render", clip.sha256, key)
    final = workspace.finished / f"{clip.name}.{key[:8]}.mp4"
    if receipt is not None and final.is_file() and files.sha256_of(final) == receipt["sha256"]:
        return
    files.remove(final)  # a rendering without its receipt, or one whose bytes changed, counts for nothing
    files.sweep_partials(final)
    figures = Figures()
    started = time.perf_counter()
    with open_clip(Path(clip.name), opener) as source:
        analysis = run.analyse(source, clip.name, shown, grounds, register, settings, networks, progress, figures)
        partial = files.partial_path(final)
        done, written, result = run.render_checked(source, analysis.plan, partial, settings, progress, figures)
        digest = files.sha256_of(partial)
        files.publish(partial, final)
        rate = source.info.rate
    figures.add("total", time.perf_counter() - started)
    outcome = {
        "sha256": digest,
        "bytes": written.bytes,
        "file": final.name,
        "frames": len(done.pts),
        "seconds": round(written.seconds, 3),
        "damaged": len(done.damaged),
        "regions": result.regions,
        "kept": _kept(analysis.decisions),
        "doubts": doubts(analysis.decisions, float(rate)),
        "hidden_at_once": hidden_at_once(analysis),
        "took": round(figures.seconds["total"], 2),
    }
    workspace.ledger.record("render", clip.sha256, key, clip.id, outcome)
    workspace.ledger.record("check", digest, key, clip.id, {"passed": result.passed, "regions": result.regions})


def _kept(decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    return [
        {"person": d.person, "start": d.start, "stop": d.stop, "ground": d.ground, "margin": d.margin}
        for d in decisions
        if d.keep
    ]


def doubts(decisions: Iterable[Decision], rate: float) -> list[list[float]]:
    """Moments (start, stop in seconds) at which somebody is hidden who may have agreed; those within 1 s are one."""
    spans = sorted((d.start / rate, d.stop / rate) for d in decisions if d.reason in DOUBTS)
    out: list[list[float]] = []
    for start, stop in spans:
        if out and start <= out[-1][1] + 1:
            out[-1][1] = max(out[-1][1], round(stop, 2))
        else:
            out.append([round(start, 2), round(stop, 2)])
    return out


def hidden_at_once(analysis: run.Analysis) -> int:
    """The largest number of faces hidden in one frame, counting those that were clearly faces."""
    clear = {track.number for track in analysis.tracks if track.strength >= 0.5}
    plan = analysis.plan
    counts: dict[int, int] = {}
    for frame, track in zip(plan.frame.tolist(), plan.track.tolist(), strict=True):
        if track in clear:
            counts[frame] = counts.get(frame, 0) + 1
    return max(counts.values(), default=0)
