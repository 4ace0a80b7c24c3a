"""A lesson under a workspace, from the card to nothing: a second run goes on from the first one's receipts."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipeline import run
from pipeline.adapters import card as cards
from pipeline.adapters import files, inspect
from pipeline.adapters.ledger import Entry
from pipeline.adapters.video_in import open_clip
from pipeline.adapters.weights import models_digest
from pipeline.errors import ApprovalError, DeliveryError, LesveilError, NotReadyError, WipeError
from pipeline.records import Clip, Decision, Figures, Person, Progress, Reason, WipePlan, no_progress
from pipeline.stages import wipe
from pipeline.stages.deliver import deliver_to_folder
from pipeline.stages.ingest import ingest
from pipeline.workspace import Workspace, in_force, load_templates, save_templates

RENDER_SETTINGS = (*run.PLAN_SETTINGS, "rendering", "privacy")
DOUBTS = frozenset({Reason.UNSURE, Reason.AMBIGUOUS, Reason.TWO_PLACES})
"""Reasons for hiding that a person should look at: it may be somebody who agreed to be seen."""


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

    @property
    def stage(self) -> str:
        if self.wiped:
            return "wiped"
        if self.delivered:
            return "delivered"
        if self.approved:
            return "approved"
        return "rendered" if self.render else "copied"

    @property
    def waits_for(self) -> str:
        return {
            "copied": "lesveil run",
            "rendered": "lesveil approve",
            "approved": "lesveil deliver",
            "delivered": "lesveil wipe",
        }.get(self.stage, "")

    @property
    def file(self) -> str:
        """The film's path on the card."""
        return str(self.ingest.payload["files"][0]["path"])


@dataclass(frozen=True)
class CardRun:
    """What one run over a card came to."""

    done: list[State]
    failed: list[tuple[str, LesveilError]]
    left: list[str]
    """Files in the camera's folders that belong to no film (photographs); they stay where they are."""


def states(workspace: Workspace) -> list[State]:
    """Every clip that was ever copied, in order of first copy."""
    rows = workspace.ledger.entries()
    clips: dict[str, list[Entry]] = {}
    for row in rows:
        if row.clip is not None:
            clips.setdefault(row.clip, []).append(row)
    gone = wipe.wiped_before(workspace.ledger)
    return [_state(clip, mine, gone) for clip, mine in clips.items() if any(row.kind == "ingest" for row in mine)]


def _state(clip: str, rows: list[Entry], gone: set[tuple[str, str]]) -> State:
    copied = [row for row in rows if row.kind == "ingest"][-1]
    renders = [row.payload["outcome"] for row in rows if row.kind == "receipt" and row.payload["stage"] == "render"]
    render = renders[-1] if renders else None
    digest = render["sha256"] if render else None

    def latest(kind: str) -> Entry | None:
        found = [row for row in rows if row.kind == kind]
        return found[-1] if found and found[-1].payload.get("sha256") == digest else None

    days = [row.payload["day"] for row in rows if row.kind == "filmed"]
    approved = latest("approval")
    if approved is not None and approved.payload["verdict"] != "approved":
        approved = None
    wiped = all((file["path"], file["sha256"]) in gone for file in copied.payload["files"])
    return State(clip, copied, days[-1] if days else None, render, approved, latest("delivery"), wiped)


def find(workspace: Workspace, name: str) -> State:
    """The clip that ``name`` means: its id, the start of it, or its file name on the card. Raises ApprovalError."""
    wanted = name.lower()
    found = [
        state
        for state in states(workspace)
        if state.clip.startswith(wanted) or Path(state.file).name.lower() in (wanted, wanted + ".mp4")
    ]
    if len(found) != 1:
        raise ApprovalError(
            "{clip} names {count} clips here; look up the id with lesveil status.", clip=name, count=len(found)
        )
    return found[0]


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


def judge(workspace: Workspace, name: str, by: str, approve: bool) -> State:
    """Approve or reject the latest rendering of a clip; bound to the digest of the file as it lies there now."""
    state = find(workspace, name)
    if state.render is None:
        raise ApprovalError("{clip} has no rendering yet; run lesveil run first.", clip=name)
    path = workspace.finished / state.render["file"]
    if not path.is_file() or files.sha256_of(path) != state.render["sha256"]:
        raise ApprovalError("{file} is not the file that was checked; run lesveil run again.", file=path)
    verdict = "approved" if approve else "rejected"
    workspace.ledger.append("approval", state.clip, {"sha256": state.render["sha256"], "by": by, "verdict": verdict})
    return find(workspace, state.clip)


def consent_holds(workspace: Workspace, state: State, today: date) -> bool:
    """Everyone whom the latest rendering shows may still be shown today."""
    if state.render is None or (state.render["kept"] and state.filmed is None):
        return False
    people = {entry["person"] for entry in state.render["kept"]}
    filmed = date.fromisoformat(state.filmed) if state.filmed else today
    return all(workspace.register.may_be_shown(person, filmed, today).kept for person in people)


def deliver(workspace: Workspace, today: date) -> list[tuple[State, str | LesveilError]]:
    """Bring every approved clip to the target; what became of each: where it lies, or why not."""
    settings = workspace.settings.deliver
    if settings.target != "folder" or not settings.folder:
        raise NotReadyError(
            'lesveil.toml names no [deliver] target; so far only target = "folder" works, OneDrive itself does not.'
        )
    out: list[tuple[State, str | LesveilError]] = []
    for state in states(workspace):
        if state.stage != "approved" or state.render is None:
            continue
        try:
            if not consent_holds(workspace, state, today):
                raise DeliveryError(
                    "{clip} shows somebody whose consent is no longer in force; run lesveil run again.", clip=state.clip
                )
            source = workspace.finished / state.render["file"]
            name = files.safe_name(f"{state.filmed}_{Path(state.file).stem}_{state.clip[:8]}.mp4")
            done = deliver_to_folder(
                source,
                state.render["sha256"],
                Path(settings.folder),
                name,
                settings.folder_is_the_archive,
                clip=state.clip,
            )
            workspace.ledger.append(
                "delivery",
                state.clip,
                {
                    "sha256": done.sha256,
                    "target": done.target,
                    "where": done.where,
                    "bytes": done.bytes,
                    "is_archive": done.is_archive,
                    "head": workspace.ledger.head(),
                },
            )
            out.append((state, done.where))
        except LesveilError as error:
            out.append((state, error))
    return out


def wipe_plan(workspace: Workspace, today: date) -> WipePlan:
    """What may be wiped now; a wipe that was interrupted comes first, as it was planned."""
    begun = wipe.unfinished(workspace.ledger)
    if begun is not None:
        return begun
    chains = [_chain(workspace, state, today) for state in states(workspace)]
    return wipe.plan(chains, wipe.wiped_before(workspace.ledger))


def _chain(workspace: Workspace, state: State, today: date) -> wipe.Chain:
    rows = workspace.ledger.entries(clip=state.clip)
    render = state.render["sha256"] if state.render else None
    checked = [
        row.payload["input"]
        for row in rows
        if row.kind == "receipt" and row.payload["stage"] == "check" and row.payload["outcome"]["passed"]
    ]
    delivery = state.delivered.payload if state.delivered else None
    return wipe.Chain(
        clip=state.clip,
        copied=state.ingest.payload["sha256"],
        bytes=state.ingest.payload["bytes"],
        files=wipe.sources_of(row.payload for row in rows if row.kind == "ingest"),
        rendered=render,
        checked=render if render in checked else None,
        approved=state.approved.payload["sha256"] if state.approved else None,
        delivered=delivery["sha256"] if delivery else None,
        archived=bool(delivery and delivery["is_archive"]),
        consent=consent_holds(workspace, state, today),
    )


def execute_wipe(
    workspace: Workspace, digest: str, today: date, card: Path | None, progress: Progress = no_progress
) -> wipe.Wiped:
    """Carry out the plan that was shown. ``card`` is where the card is mounted; by default where it was last."""
    plan = wipe_plan(workspace, today)
    if card is None:
        seen = workspace.ledger.entries("card")
        if not seen:
            raise WipeError("No card was ever read here; name it with --card.")
        card = Path(seen[-1].payload["folder"])
    if not os.path.isdir(card):
        raise WipeError("The card is not at {folder}; put it in, or name its place with --card.", folder=card)
    # a delivered file must still be there, byte for byte, before anything goes
    for state in states(workspace):
        if state.clip in {item.path for item in plan.items} and state.delivered is not None:
            where = Path(state.delivered.payload["where"])
            if not where.is_file() or files.sha256_of(where) != state.delivered.payload["sha256"]:
                raise WipeError("{file} is no longer what was delivered; nothing was wiped.", file=where)
    return wipe.execute(plan, digest, card, workspace.ledger, workspace.vault, tied=cards.tied_files, progress=progress)


def withdraw(workspace: Workspace, person: str, on: date) -> list[State]:
    """Take back somebody's consent: the template goes, and the clips that show the person are returned."""
    workspace.register.withdraw(person, on)
    people = load_templates(workspace)
    if any(one.id == person for one in people):
        save_templates(workspace, [one for one in people if one.id != person])
    workspace.ledger.append("withdrawal", None, {"person": person, "day": on.isoformat()})
    shown = [
        state
        for state in states(workspace)
        if state.render and any(entry["person"] == person for entry in state.render["kept"])
    ]
    for state in shown:  # where somebody who withdrew can be recognised, no file stays behind
        if state.render:
            files.remove(workspace.finished / state.render["file"])
    return shown
