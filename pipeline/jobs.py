"""Work on a stretch of one clip, as plain data that may be sent to another process or machine, and what becomes of it.

A job names its film, says which stretch, and holds all else that the work needs; what comes back are arrays, or the
path of a piece of the finished film in a folder that both sides reach. Who gives out the jobs of one clip and puts
together what comes of them is `elsewhere`.
"""

from __future__ import annotations

import contextlib
import gc
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2

from pipeline.adapters.film import Film
from pipeline.adapters.networks import CenterFace, FaceNet
from pipeline.adapters.pictures import cut_out, fingerprint, planes, shrunk
from pipeline.adapters.segment import Mark, Segment, SegmentError
from pipeline.adapters.video_in import ClipReader
from pipeline.adapters.video_out import ClipWriter, Written, hidden_frame
from pipeline.records import Detections, Figures, FrameSource, Person, Progress, RedactionPlan, Views, no_progress
from pipeline.settings import Rendering
from pipeline.stages import detect, identify, redact, render

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while another has a picture to hand to a network. Python's own 5 ms are as
long as decoding a frame."""


class Networks:
    """The two networks, loaded once, in the background while the first clip is being opened.

    ``workers`` threads look at once; 0: as many as there are cores. Faces are looked for on ``device`` ("cpu", "auto").
    With ``ahead`` false nothing is loaded before it is asked for: workers elsewhere load their own. After ``clips``
    clips (0: nobody knows how many there will be) they have served.
    """

    def __init__(
        self, recognition: bool, workers: int = 0, device: str = "cpu", ahead: bool = True, clips: int = 0
    ) -> None:
        cv2.setNumThreads(1)  # the cores belong to the decoder, the networks and the encoder
        sys.setswitchinterval(SWITCH_SECONDS)
        self._workers, self._device, self._clips = workers, device, clips
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="lesveil-load")
        self._detector: Future[CenterFace] | None = None
        self._embedder: Future[FaceNet] | None = None
        if ahead:
            self._detector = self._pool.submit(CenterFace, workers, wanted=device)
            self._embedder = self._pool.submit(FaceNet, workers) if recognition else None

    @contextlib.contextmanager
    def served(self, long: bool) -> Iterator[None]:
        """A clip was looked through, and in here it is decided. After the last one, and after a ``long`` one, the
        networks are given up, and some 300 MB with them, beside what comes next; whoever asks for one again waits for
        it. That takes a fifth of a second, during which Python hardly gets on: so it is done when all is decided. But
        what was found in a long one takes their room, which is then needed here already."""
        self._clips -= 1
        if long:
            self._give_up()
        try:
            yield
        finally:
            if self._clips == 0:
                self._give_up()

    def _give_up(self) -> None:
        held: list[Future[CenterFace] | Future[FaceNet] | None] = [self._detector, self._embedder]
        self._detector = self._embedder = None
        self._pool.submit(_freed, held)

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


def _freed(held: list[Future[CenterFace] | Future[FaceNet] | None]) -> None:
    for one in held:
        if one is not None:
            one.result().give_up()
    held.clear()
    gc.collect()


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
    """What was found. ``first`` and ``following`` are the marks at the stretch's ends; ``damaged`` and ``resized``
    those of the clip.

    ``why`` is empty, or says why the stretch cannot be looked at apart.
    """

    found: Detections | None = None
    views: Views | None = None
    first: Mark | None = None
    following: Mark | None = None
    damaged: tuple[int, ...] = ()
    resized: tuple[int, ...] = ()
    figures: Figures = field(default_factory=Figures)
    why: str = ""


def search(
    source: FrameSource,
    networks: Networks,
    people: Sequence[Person],
    smallest: float,
    faint: float,
    *,
    progress: Progress = no_progress,
    figures: Figures,
    origin: Fraction | None = None,
) -> tuple[Detections, Views]:
    """Everything that is found in ``source``, and views of faces from ``smallest`` on that may be one of ``people``."""
    sampler = identify.Sampler(networks.embedder, cut_out, people, smallest) if people else None
    finder = networks.detector
    found = detect.detect(
        source,
        finder,
        faint,
        sampler,
        progress,
        figures,
        finder.workers + 1,  # while one hands over a picture or reads what was found in it, none of the cores waits
        origin=origin,
        fingerprint=fingerprint,
        shrink=shrunk,
        cut_out=cut_out,
    )
    return found, sampler.views() if sampler else identify.no_views()


def look(job: Look) -> Looked:
    """Carry out a Look. Raises what reading a clip raises."""
    networks, figures = _networks(job.threads, job.device), Figures()
    with job.film.open() as clip:
        whole = job.stretch.whole
        source = clip if whole else Segment(clip, job.stretch.since, job.stretch.until, beyond=True)
        origin = None if whole else origin_of(clip)
        try:
            found, views = search(source, networks, job.people, job.smallest, job.faint, figures=figures, origin=origin)
        except SegmentError as error:
            return Looked(why=str(error))
        if isinstance(source, Segment) and job.stretch.until is None and not source.ended:
            return Looked(why="the clip is longer than it says")
        first, following = (source.first, source.following) if isinstance(source, Segment) else (None, None)
        damaged, resized = tuple(sorted(clip.damaged)), tuple(sorted(clip.resized))
        return Looked(found, views, first, following, damaged, resized, figures)


def origin_of(clip: ClipReader) -> Fraction:
    """When the first frame begins, in seconds on the clip's clock."""
    assert clip.start is not None
    return clip.start * clip.info.time_base


@dataclass(frozen=True)
class Write:
    """Write a stretch with a plan of its own to a file in ``folder``."""

    film: Film
    stretch: Stretch
    plan: RedactionPlan
    folder: Path
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
    path = job.folder / f"{secrets.token_hex(6)}.partial"
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


__all__ = ["Networks", "carry_out", "hider", "look", "write"]
