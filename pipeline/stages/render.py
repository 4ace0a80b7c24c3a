"""The plan is carried out on the pictures: the only place where a clip is written."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.errors import QuarantinedError
from pipeline.records import F32, U8, Figures, FrameSource, Progress, RedactionPlan, no_progress

AT_ONCE = 2 if (os.cpu_count() or 1) > 2 else 1
"""Pictures that are being hidden at once, beside decoding and encoding; more would only wait for the encoder."""

Hide = Callable[[Any, F32, U8], None]
"""Hides regions (R, 4) of shapes (R,) in one picture, in place."""


class Writer(Protocol):
    """Takes pictures at their times (in the source's time base)."""

    def write(self, picture: Any, pts: int) -> None: ...


@dataclass(frozen=True)
class Rendered:
    """``pts`` (N,) of every frame written, on the source's clock. ``damaged`` were hidden whole."""

    pts: npt.NDArray[np.int64]
    damaged: tuple[int, ...]


def render(
    source: FrameSource,
    plan: RedactionPlan,
    writer: Writer,
    hide: Hide,
    blank: Callable[[], Any],
    progress: Progress = no_progress,
    figures: Figures | None = None,
    fingerprint: Callable[[Any], int] | None = None,
) -> Rendered:
    """Write every frame of ``source`` to ``writer`` with the plan's regions hidden by ``hide``.

    ``blank`` makes a wholly hidden picture; it stands for every frame that did not decode, that the plan hides, or
    whose ``fingerprint`` is not that of the picture that was looked at. Raises QuarantinedError when the frames read
    are not the frames that were planned for, ValueError when the plan does not say which pictures were looked at.
    """
    figures = figures or Figures()
    whole = set(plan.hidden_frames)
    prints = plan.prints.tolist()
    if fingerprint is not None and len(prints) != plan.frames:
        raise ValueError(f"{len(prints)} fingerprints for {plan.frames} frames")
    pts: list[int] = []
    damaged: list[int] = []
    # Pictures are hidden beside that and written in their order, each only when its own hiding is done.
    at_work: deque[tuple[Any, int, Future[float] | None]] = deque()

    def write_first() -> None:
        picture, when, hiding = at_work.popleft()
        if hiding is not None:
            figures.add("redact", hiding.result())
        writer.write(picture, when)

    def hidden(picture: Any, rows: slice) -> float:
        started = time.perf_counter()
        hide(picture, plan.region[rows], plan.shape[rows])
        return time.perf_counter() - started

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="lesveil-hide") as pool:
        for frame in source.frames():
            progress("render", frame.number, plan.frames)
            if frame.number >= plan.frames:
                break
            rows = plan.regions(frame.number)
            hiding = None
            trusted = not frame.damaged and frame.picture is not None and frame.number not in whole
            if trusted and fingerprint is not None:
                trusted = fingerprint(frame.picture) == prints[frame.number]
            if not trusted:
                damaged.append(frame.number)
                picture = blank()
            else:
                picture = frame.picture
                if rows.stop > rows.start:
                    hiding = pool.submit(hidden, picture, rows)
            at_work.append((picture, frame.pts, hiding))
            pts.append(frame.pts)
            while len(at_work) > AT_ONCE:
                write_first()
        else:
            while at_work:
                write_first()
            if len(pts) == plan.frames:
                progress("render", plan.frames, plan.frames)
                return Rendered(np.array(pts, np.int64), tuple(damaged))
    raise QuarantinedError(
        "The clip gave {planned} frames when it was looked through and {read} when it was written; see that nothing "
        "changes it meanwhile, and try again.",
        planned=plan.frames,
        read="more" if len(pts) == plan.frames else len(pts),
    )
