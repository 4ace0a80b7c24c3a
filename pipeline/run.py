"""The order of the stages: how one lesson goes through the house. The whole framework, readable in one sitting."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline import __version__, jobs, opinion
from pipeline.adapters import files, inspect, memory, portraits
from pipeline.adapters.film import Film
from pipeline.adapters.pictures import planes
from pipeline.adapters.video_in import ClipReader, open_clip
from pipeline.adapters.weights import models_digest
from pipeline.doubt import doubtful
from pipeline.elsewhere import Elsewhere
from pipeline.engine import Engine, Here
from pipeline.errors import (
    CheckFailedError,
    ClipNotFoundError,
    DiskFullError,
    LookAlikesError,
    OutputExistsError,
    OutputNotWritableError,
    QuarantinedError,
)
from pipeline.hiding.residues import RESIDUE_LIMIT, residues
from pipeline.jobs import Networks as Networks
from pipeline.likeness import frontal, look_alikes
from pipeline.opinion import Opinion, Planned
from pipeline.records import (
    U8,
    Check,
    Decision,
    Detections,
    Extent,
    Figures,
    Identity,
    Person,
    Progress,
    RedactionPlan,
    Render,
    Sighting,
    Track,
    no_progress,
)
from pipeline.settings import Settings
from pipeline.stages import check as checking
from pipeline.stages import decide, enrol, identify, naming, render, track
from pipeline.stages.second_opinion import Watch

PLAN_SETTINGS = ("detection", "recognition", "redaction")
"""Sections of the settings that a plan depends on."""


LONG_SECONDS = 600
"""Length of a film from which the networks are let go before it is decided and written: what was found in a long one
takes their room, and loading them again for the next clip is nothing beside it."""


LEAST = 12
"""Bytes that a picture takes in a finished film with its place in the index, at the very least: a black one of 16 x 16
pixels takes 22. A disk with less room is full for certain; how much more a film takes nobody knows beforehand."""

BELIEVED = 1_000_000
"""Pictures, eleven hours of them, up to which a file is believed: one broken number in it may say any."""


@dataclass(frozen=True)
class Analysis:
    """What was found in one clip, and what is to be done about it."""

    found: Detections
    tracks: list[Track]
    identities: list[Identity]
    decisions: list[Decision]
    plan: RedactionPlan


@dataclass(frozen=True)
class Outcome:
    """One clip, done."""

    source: Path
    render: Render
    analysis: Analysis
    check: Check
    figures: Figures
    rate: float
    times: Sequence[float]
    """Seconds of every frame on the finished film's clock."""
    sound: str
    silences: Sequence[tuple[float, float]] = ()
    """Stretches of it that are silent because no sound could be read, on the same clock."""
    opinion: Opinion = field(default_factory=lambda: Opinion(opinion.OFF))


def enrol_folder(folder: Path, networks: Networks, left_out: Callable[[str, Path], None] | None = None) -> list[Person]:
    """Templates of everyone who has a sub-folder of portraits in ``folder``; the person's id is the sub-folder's name.

    Whose pictures may not all be of one person is no one's template, and ``left_out`` hears who and by which picture.
    Raises the errors of `portrait_chip`, and LookAlikesError when two people are too alike to tell apart.
    """
    found = portraits.people(folder)
    people: list[Person] = []
    with ThreadPoolExecutor(networks.detector.workers) as pool:
        for person, paths in found.items():
            chips = [chip for chip, _ in pool.map(lambda path: portrait_chip(path, networks), paths)]
            views = identify.portrait_views(chips, networks.embedder)
            each = [identify.template_of("", views[at : at + 2]).template for at in range(0, len(views), 2)]
            odd = enrol.odd_ones(each)
            if not odd:
                people.append(identify.template_of(person, views))
            elif left_out is not None:
                left_out(person, paths[odd[0]])
    for one, other, _ in look_alikes(people):
        raise LookAlikesError(
            "The portraits of {one} and {other} look too alike to be told apart; check that they are two people, or "
            "leave both out so that both are hidden.",
            one=one,
            other=other,
        )
    return people


def portrait_chip(path: Path, networks: Networks) -> tuple[U8, float]:
    """The aligned face (150, 150, 3) of a portrait, and how far it looks towards the camera (0..1).

    Raises the errors of reading it and of finding one face in it.
    """
    picture = portraits.read(path)
    marks = enrol.portrait_face(str(path), picture, networks.detector)
    return identify.align(picture, marks), float(frontal(marks[None])[0])


def analyse(
    clip: ClipReader,
    name: str,
    people: Sequence[Person],
    grounds: Mapping[str, str],
    register_digest: str,
    settings: Settings,
    networks: Networks,
    progress: Progress,
    figures: Figures,
    elsewhere: Elsewhere | None = None,
) -> Analysis:
    """Detections, tracks, identities, decisions and the plan of one clip. Raises QuarantinedError.

    With ``elsewhere`` workers look at the pictures; what follows from what they saw is found here.
    """
    smallest = settings.recognition.smallest
    served: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if elsewhere is not None:
        found, views = elsewhere.look(clip, people, settings, progress, figures)
    else:
        found, views = jobs.search(
            clip, networks, people, smallest, settings.detection.faint, progress=progress, figures=figures
        )
        served = networks.served(long=found.frames >= LONG_SECONDS * clip.info.rate)
    with served, _timed(figures, "decide"):
        memory.give_back()
        damaged = _damaged(clip, name, found, settings.rendering.quarantine_share)
        scores = settings.detection
        size = clip.info.width, clip.info.height
        tracks = track.follow(found, clip.info.rate, size, scores.alone, scores.together, scores.sure)
        risk = settings.recognition.false_accept
        identities = naming.identify(tracks, found, views, people, clip.info.rate, smallest, risk)
        # how faces look, and when, has served, and it is most of what was found
        found = replace(found, look=found.look[:0].copy(), facing=found.facing[:0].copy(), times=found.times[:0].copy())
        decisions = decide.decide(tracks, identities, grounds)
        plan = decide.plan(
            name,
            found.frames,
            tracks,
            decisions,
            damaged,
            settings.redaction.style,
            settings.digest(*PLAN_SETTINGS),
            models_digest(),
            register_digest,
            Extent(settings.redaction.extent),
            prints=found.prints,
        )
    memory.give_back()
    return Analysis(found, tracks, identities, decisions, plan)


def _damaged(clip: ClipReader, name: str, found: Detections, most: float) -> list[int]:
    """The frames that did not decode. Raises QuarantinedError where these are more than a share, or all."""
    if found.frames == 0:
        raise QuarantinedError("{clip} has no frames that can be read.", clip=name)
    damaged = sorted({*found.damaged.tolist(), *clip.damaged})
    if len(damaged) / found.frames <= most:
        return damaged
    if 2 * len(clip.resized) > len(damaged):
        raise QuarantinedError(
            "{clip} cannot be done as one film: {bad} of {all} frames are of another size than the first; give its "
            "parts apart, or save it in one size with another program first.",
            clip=name,
            bad=len(clip.resized),
            all=found.frames,
        )
    raise QuarantinedError(
        "{clip} is too damaged: {bad} of {all} frames cannot be trusted; copy it from the card again.",
        clip=name,
        bad=len(damaged),
        all=found.frames,
    )


def render_checked(
    clip: ClipReader,
    plan: RedactionPlan,
    partial: Path,
    settings: Settings,
    progress: Progress,
    figures: Figures,
    mutes: Sequence[tuple[float, float]] = (),
    elsewhere: Elsewhere | None = None,
    watch: Watch | None = None,
) -> tuple[render.Rendered, Any, Check]:
    """Write the clip to ``partial``, then read it again; ``mutes`` are silent stretches in seconds.

    With ``elsewhere`` workers write it; the check is made here, over the whole, and ``watch`` looks on. Raises
    CheckFailedError; the partial file is then gone.
    """
    depth = 10 if clip.info.pixel_format.endswith("10le") else 8
    hide = jobs.hider(clip, plan)

    def again(numbers: Sequence[int]) -> Iterator[tuple[int, Any]]:
        wanted = set(numbers)
        for frame in clip.frames():
            if frame.number in wanted and frame.picture is not None:
                rows = plan.regions(frame.number)
                hide(frame.picture, plan.region[rows], plan.shape[rows])
                yield frame.number, planes(frame.picture)[0]
            if frame.number >= numbers[-1]:
                break

    rendering = settings.rendering
    if elsewhere is not None:
        done, written = elsewhere.write(clip, plan, partial, rendering, mutes, progress, figures)
    else:
        done, written = jobs.carry_out(clip, clip, plan, partial, rendering, mutes, progress, figures)
    damaged_share = len(done.damaged) / plan.frames
    try:
        if damaged_share > rendering.quarantine_share:
            raise QuarantinedError(
                "{clip} is too damaged: {bad} of {all} frames cannot be trusted; copy it from the card again.",
                clip=plan.clip,
                bad=len(done.damaged),
                all=plan.frames,
            )
        with _timed(figures, "check"), open_clip(partial) as finished:
            result = checking.check(
                finished if watch is None else watch.over(finished),
                plan,
                done.pts,
                done.damaged,
                float(clip.info.time_base),
                inspect.extras(partial, sound=rendering.audio != "mute"),
                lambda picture: planes(picture)[0],
                lambda plane, regions, shapes: (
                    residues(plane, regions, shapes, plan.style, depth) > RESIDUE_LIMIT[plan.style]
                ),
                again,
                progress,
                depth,
                written.seconds,
            )
        if not result.passed:
            raise CheckFailedError(
                "{clip} was written but is not what was planned ({finding}); it is not released.",
                clip=plan.clip,
                finding=result.findings[0],
            )
    except BaseException:
        files.remove(partial)
        raise
    return done, written, result


def redact_clip(
    source: Path,
    out: Path,
    people: Sequence[Person],
    settings: Settings,
    networks: Networks,
    progress: Progress = no_progress,
    engine: Engine | None = None,
) -> Outcome:
    """One clip from file to file. ``out`` appears whole, checked and under its name, or not at all.

    ``engine``: whose workers do what can be done apart; by default nobody's.
    """
    elsewhere = None
    if engine is not None and not isinstance(engine, Here):
        elsewhere = Elsewhere(engine, Film(source.name, source.absolute()), settings.engine.priority)
    if os.path.lexists(out):
        raise OutputExistsError("{file} exists already; nothing is written over.", file=out)
    figures = Figures()
    started = time.perf_counter()
    before = _state(source)
    with open_clip(source) as clip, _claimed(out):
        refuse_full(clip, out)
        partial = files.partial_path(out)
        try:
            grounds = {person.id: "portrait" for person in people}
            analysis = analyse(clip, source.name, people, grounds, "", settings, networks, progress, figures, elsewhere)
            eyes, state = opinion.eyes_of(settings.second_opinion)
            looked = opinion.settle(
                Planned(analysis.tracks, analysis.decisions, analysis.plan, analysis.found.cuts.tolist()),
                eyes,
                state,
                opinion.rounds_of(settings.second_opinion),
                lambda planned, watch: render_checked(
                    clip, planned.plan, partial, settings, progress, figures, elsewhere=elsewhere, watch=watch
                ),
                lambda planned, made, seen: with_hidden(planned, seen, clip, made[0].pts, partial),
            )
            done, written, result = looked.result
            when = opinion.clock(done.pts, float(clip.info.time_base), float(clip.info.rate))
            opinion.refuse(source.name, looked.opinion, when)
            planned = looked.planned
            analysis = replace(
                analysis, tracks=list(planned.tracks), decisions=list(planned.decisions), plan=planned.plan
            )
            with files.writing(partial):  # its folder may have gone away while it was checked
                digest = files.sha256_of(partial)
            if _state(source) not in (before, GONE):  # it was still being copied, say: what came later is missing
                raise _changed(source)
            files.publish(partial, out)
        except DiskFullError as error:
            files.remove(partial)
            raise DiskFullError(
                "The disk is full: {file} was not written; make room and try again.", file=out
            ) from error
        except OutputNotWritableError as error:
            files.remove(partial)
            if not source.exists():
                raise ClipNotFoundError(
                    "{file} went away while it was worked on; put it back and try again.", file=source
                ) from error
            why = error.fields.get("why", error)
            raise OutputNotWritableError(
                "{file} cannot be written: {why}; choose another folder.", file=out, why=why
            ) from error
        except QuarantinedError as error:
            files.remove(partial)
            if _state(source) != before:
                raise _changed(source) from error
            raise
        except BaseException:
            files.remove(partial)
            raise
        tick = clip.info.time_base
        shift = written.shift
        times = [float(pts * tick - shift) for pts in done.pts.tolist()]
        silences = [(max(0.0, since - float(shift)), until - float(shift)) for since, until in written.silences]
        seconds = time.perf_counter() - started
        figures.add("total", seconds)
        rendered = Render(out, digest, written.bytes, len(times), done.damaged, written.seconds)
        return Outcome(
            source,
            rendered,
            analysis,
            result,
            figures,
            float(clip.info.rate),
            times,
            written.sound,
            silences,
            looked.opinion,
        )


GONE: tuple[int, ...] = ()
"""The state of a file that is not there."""


def _state(source: Path) -> tuple[int, ...]:
    """What changes when a file is written to. Not its inode: cards and network shares give new ones as they like."""
    try:
        found = source.stat()
    except OSError:
        return GONE
    return found.st_size, found.st_mtime_ns


def _changed(source: Path) -> QuarantinedError:
    return QuarantinedError(
        "{clip} was changed while it was worked on; try again when nobody writes to it.", clip=source
    )


@contextlib.contextmanager
def _claimed(out: Path) -> Iterator[None]:
    """Be the only run that makes ``out``, from before the work is done. Raises BusyError and OutputNotWritableError."""
    with files.writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with files.claim(out):
        if os.path.lexists(out):  # another run has just finished it
            raise OutputExistsError("{file} exists already; nothing is written over.", file=out)
        yield


def refuse_full(clip: ClipReader, final: Path) -> None:
    """DiskFullError before any work where the finished film cannot fit beside ``final``, however well it shrinks."""
    counted = clip.info.frames if "mp4" in clip.info.container else 0  # others say it, and may be wrong
    files.refuse_full(final, LEAST * min(max(1, counted), BELIEVED))


def with_hidden(planned: Planned, seen: list[Sighting], clip: ClipReader, pts: Any, partial: Path) -> Planned:
    """The plan in which what the second look saw is hidden too; what was written does not count."""
    files.remove(partial)
    tracks, decisions = opinion.hiding(planned, seen, clip, pts)
    return Planned(tracks, decisions, decide.replanned(planned.plan, tracks, decisions), planned.cuts)


def report_of(outcome: Outcome) -> dict[str, Any]:
    """One clip's part of the report: plain data for JSON. All its seconds are those of the finished film's clock."""
    by_track: dict[int, list[Decision]] = {}
    for decision in outcome.analysis.decisions:
        by_track.setdefault(decision.track, []).append(decision)
    times = outcome.times
    end = times[-1] + 1 / outcome.rate

    def moment(frame: int) -> float:
        return round(times[frame] if frame < len(times) else end, 4)

    def span(decision: Decision) -> dict[str, Any]:
        return {
            "first_frame": decision.start,
            "last_frame": decision.stop - 1,
            "start": moment(decision.start),
            "stop": moment(decision.stop),
            "decision": "keep" if decision.keep else "hide",
            "reason": decision.reason.value,
            "person": decision.person,
            "score": decision.distance,
            "margin": decision.margin,
            "doubtful": doubtful(decision),
        }

    tracks = [
        {
            "track": item.number,
            "detections": len(item.detections),
            "strength": round(item.strength, 3),
            "spans": [span(decision) for decision in by_track.get(item.number, [])],
        }
        for item in outcome.analysis.tracks
    ]
    figures, frames = outcome.figures, outcome.render.frames
    seconds = figures.seconds.get("total", 0.0)
    kept = sorted({d.person for d in outcome.analysis.decisions if d.keep and d.person})
    return {
        "source": str(outcome.source),
        "output": str(outcome.render.path),
        "sha256": outcome.render.sha256,
        "bytes": outcome.render.bytes,
        "frames": frames,
        "seconds": round(outcome.render.seconds, 3),
        "damaged_frames": list(outcome.render.damaged),
        "sound": outcome.sound,
        "silences": [[round(since, 4), round(until, 4)] for since, until in outcome.silences],
        "style": outcome.analysis.plan.style.value,
        "hides": outcome.analysis.plan.extent.value,
        "kept": kept,
        "tracks": tracks,
        "second_opinion": outcome.opinion.document(moment),
        "check": {"frames": outcome.check.frames, "regions": outcome.check.regions, "passed": outcome.check.passed},
        "figures": {
            "seconds": {name: round(value, 3) for name, value in figures.seconds.items()},
            "counts": figures.counts,
            "frames_per_second": round(frames / seconds, 2) if seconds else None,
            "times_real_time": round(outcome.render.seconds / seconds, 2) if seconds else None,
        },
    }


@dataclass
class Batch:
    """The report of a run over several clips."""

    settings: Settings
    clips: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            "lesveil": __version__,
            "settings_digest": self.settings.digest(),
            "models_digest": models_digest(),
            "clips": self.clips,
            "failed": self.failed,
        }


@contextlib.contextmanager
def _timed(figures: Figures, stage: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        figures.add(stage, time.perf_counter() - started)
