"""One clip's work, given to an engine's workers in segments, and put together again.

What a segment's work is stands in `jobs`. Nothing of a worker's answer is taken on trust: segments must meet at the
very same frame, and the joined film is checked as a whole by whoever asked for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np

from pipeline.adapters import files
from pipeline.adapters.film import Film
from pipeline.adapters.joiner import Joiner, JoinError
from pipeline.adapters.segment import can_be_cut
from pipeline.adapters.video_in import ClipReader
from pipeline.adapters.video_out import Written
from pipeline.engine import Engine
from pipeline.errors import QuarantinedError
from pipeline.jobs import Look, Looked, Stretch, Write, look, origin_of, write
from pipeline.records import Detections, Figures, Person, Progress, RedactionPlan, Views
from pipeline.settings import Rendering, Settings
from pipeline.stages import detect, identify, render

LONGEST = 48 * 3600
"""Seconds from which a film's own word about its length is not believed: so many segments would fill the memory."""


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
        clip.resized.update(whole.resized)
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
            progress("detect", frames, max(frames, clip.info.frames))
        promised = clip.info.frames if "mp4" in clip.info.container else 0
        if parts[-1].following is not None or (promised and promised != frames):
            return None
        for part in parts:  # of one that was cut in vain nothing counts: the whole is looked at
            _add(figures, part.figures)
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
        silent, given = replace(rendering, audio="mute"), tuple(mutes)
        threads = self._engine.threads

        def job(stretch: Stretch, start: int, stop: int, folder: Path) -> Write:
            cut = not stretch.whole
            return Write(
                self._film,
                stretch,
                plan.part(start, stop) if cut else plan,
                folder.absolute(),
                silent if cut else rendering,
                () if cut else given,
                threads,
            )

        with files.pieces(partial) as folder:
            jobs: list[Write] = []
            start = 0
            for stretch, count in self._cut:
                jobs.append(job(stretch, start, start + count, folder))
                start += count
            if jobs and start == plan.frames:
                whole = self._joined(clip, plan, jobs, partial, rendering, given, progress, figures)
                if whole is not None:
                    return whole
            (wrote,) = self._engine.map(write, [job(Stretch(), 0, plan.frames, folder)], self._priority)
            assert wrote.rendered is not None
            assert wrote.written is not None
            _add(figures, wrote.figures)
            progress("render", plan.frames, plan.frames)
            with files.writing(partial):
                wrote.path.replace(partial)
            return wrote.rendered, wrote.written

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
                        "The clip gave {planned} frames when it was looked through and {read} when it was written; see "
                        "that nothing changes it meanwhile, and try again.",
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
    if not can_be_cut(clip) or clip.info.duration > LONGEST:
        return [Stretch()]
    origin = origin_of(clip)
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
