"""Work on a stretch of one clip, as plain data that may be sent to another process or machine, and what becomes of it.

A job names its film, says which stretch, and holds all else that the work needs; what comes back are arrays, or the
path of a piece of the finished film in a folder that both sides reach. Nothing of a worker's answer is taken on
trust: segments must meet at the very same frame, and the joined film is checked as a whole by whoever asked for it.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from pipeline.adapters import files
from pipeline.adapters.film import Film
from pipeline.adapters.joiner import Joiner, JoinError
from pipeline.adapters.networks import CenterFace, FaceNet
from pipeline.adapters.pictures import cut_out, fingerprint, planes
from pipeline.adapters.segment import Mark, Segment, SegmentError, can_be_cut
from pipeline.adapters.video_in import ClipReader
from pipeline.adapters.video_out import ClipWriter, Written, hidden_frame
from pipeline.engine import Engine
from pipeline.errors import QuarantinedError
from pipeline.records import Detections, Figures, Person, Progress, RedactionPlan, Views, no_progress
from pipeline.settings import Rendering, Settings
from pipeline.stages import detect, identify, redact, render


class Networks:
    """The two networks, loaded once, in the background while the first clip is being opened.

    ``workers`` threads look at once; 0: as many as there are cores. Faces are looked for on ``device`` ("cpu", "auto").
    With ``ahead`` false nothing is loaded before it is asked for: workers elsewhere load their own.
    """

    def __init__(self, recognition: bool, workers: int = 0, device: str = "cpu", ahead: bool = True) -> None:
        cv2.setNumThreads(1)  # the cores belong to the decoder, the networks and the encoder
        self._workers, self._device = workers, device
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="lesveil-load")
        self._detector: Future[CenterFace] | None = None
        self._embedder: Future[FaceNet] | None = None
        if ahead:
            self._detector = self._pool.submit(CenterFace, workers, wanted=device)
            self._embedder = self._pool.submit(FaceNet, workers) if recognition else None

    @property
    def detector(self) -> CenterFace:
        if self._detector is None:
            self._detector = self._pool.submit(CenterFace, self._workers, wanted=self._device)
        return self._detector.result()

    @property
    def embedder(self) -> FaceNet:
        if self._embedder is None:
            self._embedder = self._pool.submit(FaceNet, self._workers)
        return self._embedder.result()


@lru_cache(maxsize=1)
def _networks(workers: int, device: str) -> Networks:
    """A worker's own, loaded at its first job and kept."""
    return Networks(False, workers, device)


@dataclass(frozen=True)
class Stretch:
    """From ``since`` on and before ``until``, in seconds on the clip's clock. None: from the first, to the last."""

    since: Fraction | None = None
    until: Fraction | None = None

    @property
    def whole(self) -> bool:
        return self.since is None and self.until is None


@dataclass(frozen=True)
class Look:
    """Find faces in a stretch, with ``threads`` at once, on ``device``; embed the views that may be of ``people``."""

    film: Film
    stretch: Stretch
    people: tuple[Person, ...]
    smallest: float
    faint: float
    threads: int
    device: str = "cpu"


@dataclass(frozen=True)
class Looked:
    """What was found. ``first`` and ``following`` are the marks at the stretch's ends; ``damaged`` those of the clip.

    ``why`` is empty, or says why the stretch cannot be looked at apart.
    """

    found: Detections | None = None
    views: Views | None = None
    first: Mark | None = None
    following: Mark | None = None
    damaged: tuple[int, ...] = ()
    figures: Figures = field(default_factory=Figures)
    why: str = ""


def look(job: Look) -> Looked:
    """Carry out a Look. Raises what reading a clip raises."""
    networks, figures = _networks(job.threads, job.device), Figures()
    people = list(job.people)
    sampler = identify.Sampler(networks.embedder, cut_out, people, job.smallest) if people else None
    finder = networks.detector
    with job.film.open() as clip:
        whole = job.stretch.whole
        source = clip if whole else Segment(clip, job.stretch.since, job.stretch.until, beyond=True)
        origin = None if whole else _origin(clip)
        try:
            found = detect.detect(
                source,
                finder,
                job.faint,
                sampler,
                figures=figures,
                workers=finder.workers,
                one_segment=origin,
                fingerprint=fingerprint,
            )
        except SegmentError as error:
            return Looked(why=str(error))
        if isinstance(source, Segment) and job.stretch.until is None and not source.ended:
            return Looked(why="the clip is longer than it says")
        views = sampler.views() if sampler else identify.no_views()
        first, following = (source.first, source.following) if isinstance(source, Segment) else (None, None)
        return Looked(found, views, first, following, tuple(sorted(clip.damaged)), figures)


def _origin(clip: ClipReader) -> Fraction:
    assert clip.start is not None
    return clip.start * clip.info.time_base


@dataclass(frozen=True)
class Write:
    """Write a stretch with a plan of its own. ``piece`` begins the name of the file to be made, in ``folder``."""

    film: Film
    stretch: Stretch
    plan: RedactionPlan
    folder: Path
    piece: str
    rendering: Rendering
    mutes: tuple[tuple[float, float], ...]
    threads: int


@dataclass(frozen=True)
class Wrote:
    """The file made, what was written to it, and its times. ``why`` as for Looked."""

    path: Path
    rendered: render.Rendered | None = None
    written: Written | None = None
    figures: Figures = field(default_factory=Figures)
    why: str = ""


def write(job: Write) -> Wrote:
    """Carry out a Write, to a new file of its own: two workers that were given one job do not meet.

    Raises what reading and writing a clip raise.
    """
    path = job.folder / f"{job.piece}{secrets.token_hex(6)}.partial"
    figures = Figures()
    with job.film.open() as clip:
        whole = job.stretch.whole
        source = clip if whole else Segment(clip, job.stretch.since, job.stretch.until)
        try:
            done, written = carry_out(
                clip, source, job.plan, path, job.rendering, job.mutes, figures=figures, threads=job.threads
            )
        except SegmentError as error:
            return Wrote(path, why=str(error))
    return Wrote(path, done, written, figures)


def hider(clip: ClipReader, plan: RedactionPlan) -> Callable[[Any, Any, Any], None]:
    """What hides regions of a picture of ``clip`` in the plan's style."""
    depth = 10 if clip.info.pixel_format.endswith("10le") else 8
    full_range = clip.colour.range == 2

    def hide(picture: Any, regions: Any, shapes: Any) -> None:
        redact.redact(planes(picture, writable=True), regions, shapes, plan.style, depth, full_range)

    return hide


def carry_out(
    clip: ClipReader,
    source: Any,
    plan: RedactionPlan,
    path: Path,
    rendering: Rendering,
    mutes: Sequence[tuple[float, float]],
    progress: Progress = no_progress,
    figures: Figures | None = None,
    threads: int | None = None,
) -> tuple[render.Rendered, Written]:
    """Write the frames of ``source``, which is ``clip`` or a part of it, to ``path`` with the plan carried out."""
    figures = figures or Figures()
    started = time.perf_counter()
    source.read_otherwise()
    with ClipWriter(
        path,
        source,
        preset=rendering.preset,
        crf=rendering.crf,
        audio=rendering.audio,
        mutes=mutes,
        threads=threads,
        encoder=rendering.encoder,
    ) as writer:
        done = render.render(
            source, plan, writer, hider(clip, plan), lambda: hidden_frame(clip), progress, figures, fingerprint
        )
        written = writer.close()
    figures.add("render", time.perf_counter() - started)
    return done, written


class Elsewhere:
    """One clip's work, given to an engine's workers in segments and put together again.

    Where a clip cannot be cut, one worker does the whole of it. What comes of it is the same.
    """

    def __init__(self, engine: Engine, film: Film, priority: int = 0) -> None:
        self._engine, self._film, self._priority = engine, film, priority
        self._cut: list[tuple[Stretch, int]] = []
        """The segments and how many frames each has, once the clip was looked through in them."""

    def look(
        self, clip: ClipReader, people: Sequence[Person], settings: Settings, progress: Progress, figures: Figures
    ) -> tuple[Detections, Views]:
        """What `detect` finds in the clip, and the views of it; ``clip.damaged`` is brought up to date."""

        def job(stretch: Stretch) -> Look:
            return Look(
                self._film,
                stretch,
                tuple(people),
                settings.recognition.smallest,
                settings.detection.faint,
                self._engine.threads,
                settings.detection.device,
            )

        stretches = segments(clip)
        if len(stretches) > 1:
            parts = self._looked(clip, [job(stretch) for stretch in stretches], progress, figures)
            if parts is not None:
                found = [cast(Detections, part.found) for part in parts]
                self._cut = [(s, f.frames) for s, f in zip(stretches, found, strict=True)]
                views = [(cast(Views, part.views), len(f)) for part, f in zip(parts, found, strict=True)]
                return detect.joined_segments(found), identify.joined_views(views)
        self._cut = []
        (whole,) = self._engine.map(look, [job(Stretch())], self._priority)
        clip.damaged.update(whole.damaged)
        _add(figures, whole.figures)
        assert whole.found is not None
        assert whole.views is not None
        progress("detect", whole.found.frames, whole.found.frames)
        return whole.found, whole.views

    def _looked(
        self, clip: ClipReader, jobs: Sequence[Look], progress: Progress, figures: Figures
    ) -> list[Looked] | None:
        """All segments looked at; None when they do not fit together to what the whole clip would give."""
        parts: list[Looked] = []
        frames = 0
        for part in self._engine.map(look, jobs, self._priority):
            if part.found is None or (parts and (part.first is None or parts[-1].following != part.first)):
                return None
            parts.append(part)
            frames += part.found.frames
            _add(figures, part.figures)
            progress("detect", frames, max(frames, clip.info.frames))
        promised = clip.info.frames if "mp4" in clip.info.container else 0
        if parts[-1].following is not None or (promised and promised != frames):
            return None
        progress("detect", frames, frames)
        return parts

    def write(
        self,
        clip: ClipReader,
        plan: RedactionPlan,
        partial: Path,
        rendering: Rendering,
        mutes: Sequence[tuple[float, float]],
        progress: Progress,
        figures: Figures,
    ) -> tuple[render.Rendered, Written]:
        """Write the plan to ``partial``. Raises what writing here raises; no piece is left behind."""
        piece = partial.name.removesuffix(".partial")
        silent, given = replace(rendering, audio="mute"), tuple(mutes)
        threads = self._engine.threads

        def job(stretch: Stretch, start: int, stop: int) -> Write:
            cut = not stretch.whole
            return Write(
                self._film,
                stretch,
                plan.part(start, stop) if cut else plan,
                partial.parent.absolute(),
                piece,
                silent if cut else rendering,
                () if cut else given,
                threads,
            )

        jobs: list[Write] = []
        start = 0
        for stretch, count in self._cut:
            jobs.append(job(stretch, start, start + count))
            start += count
        try:
            if jobs and start == plan.frames:
                whole = self._joined(clip, plan, jobs, partial, rendering, given, progress, figures)
                if whole is not None:
                    return whole
            (wrote,) = self._engine.map(write, [job(Stretch(), 0, plan.frames)], self._priority)
            assert wrote.rendered is not None
            assert wrote.written is not None
            _add(figures, wrote.figures)
            progress("render", plan.frames, plan.frames)
            with files.writing(partial):
                wrote.path.replace(partial)
            return wrote.rendered, wrote.written
        finally:
            files.sweep_pieces(partial)

    def _joined(
        self,
        clip: ClipReader,
        plan: RedactionPlan,
        jobs: Sequence[Write],
        partial: Path,
        rendering: Rendering,
        mutes: tuple[tuple[float, float], ...],
        progress: Progress,
        figures: Figures,
    ) -> tuple[render.Rendered, Written] | None:
        """The segments written and joined; None when one of them could not be read apart from the rest."""
        pts: list[Any] = []
        damaged: list[int] = []
        at = 0
        joiner: Joiner | None = None
        written: Written | None = None
        try:
            for job, wrote in zip(jobs, self._engine.map(write, jobs, self._priority), strict=True):
                if wrote.rendered is None or wrote.written is None:
                    return None
                if len(wrote.rendered.pts) != job.plan.frames:
                    raise QuarantinedError(
                        "The clip gave {planned} frames when it was looked through and {read} when it was written; it "
                        "is not released.",
                        planned=job.plan.frames,
                        read=len(wrote.rendered.pts),
                    )
                if joiner is None:
                    joiner = Joiner(partial, clip, wrote.path, audio=rendering.audio, mutes=mutes)
                joiner.add(wrote.path, wrote.rendered.pts, wrote.written.seconds)
                pts.append(wrote.rendered.pts)
                damaged += [at + number for number in wrote.rendered.damaged]
                at += job.plan.frames
                _add(figures, wrote.figures)
                progress("render", at, plan.frames)
            assert joiner is not None
            written = joiner.close()
        except JoinError:
            return None
        finally:
            if joiner is not None and written is None:
                joiner.abort()
        return render.Rendered(np.concatenate(pts), tuple(damaged)), written


def segments(clip: ClipReader) -> list[Stretch]:
    """The stretches in which a clip may be worked on apart: the segments of `detect`. One whole where it cannot."""
    if not can_be_cut(clip):
        return [Stretch()]
    origin = _origin(clip)
    info = clip.info
    # the last frame lies a frame's time before the end
    last = origin + Fraction(info.duration).limit_denominator(10**6) - Fraction(3, 4) / info.rate
    inner = [origin + n * detect.SEGMENT_SECONDS for n in range(1, detect.segment_of(last, origin) + 1)]
    return [Stretch(since, until) for since, until in itertools.pairwise([None, *inner, None])]


def _add(figures: Figures, more: Figures) -> None:
    """A worker's seconds and counts, added to those of the clip: side by side they come to more than passed."""
    for name, seconds in more.seconds.items():
        figures.add(name, seconds)
    for name, number in more.counts.items():
        figures.count(name, number)


__all__ = ["Elsewhere", "Networks", "carry_out", "hider", "look", "write"]
