"""Whether a film on the card goes on in the next file: asked where only size and number suggest it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error

from pipeline.adapters.card import CardClip
from pipeline.adapters.card_reader import look, open_card_file
from pipeline.adapters.chapters import CONTINUES, Extent, extent
from pipeline.adapters.packets import LENIENT
from pipeline.errors import CardError

SLACK = 5.0
"""Seconds between the end of one file and the beginning of the next that are one take: FAT keeps times to 2 s, and
some cameras stamp a file when they open the next."""


@dataclass(frozen=True)
class Film:
    """One film file: its own clock, and when it was written last (seconds, POSIX); ``extent`` None if unreadable."""

    extent: Extent | None
    written: float


def runs_on(first: Film, second: Film) -> bool | None:
    """Whether ``second`` is where ``first`` goes on; None when neither clock says."""
    if first.extent is None or second.extent is None or second.extent.end <= second.extent.start:
        return None
    one_clock = first.extent.format == second.extent.format == "mpegts"
    if one_clock and abs(second.extent.start - first.extent.end) <= CONTINUES:
        return True
    began = second.written - float(second.extent.end - second.extent.start)
    if second.written <= first.written:
        return None  # a clock that was set in between, or copies that were made at once
    return abs(began - first.written) <= SLACK


def settled(clip: CardClip) -> Iterator[tuple[CardClip, bool]]:
    """The takes that a guessed one really is, each with whether it is sure that it ends where it does.

    Where nobody can tell the files stay apart: two clips of one take lose nothing.
    """
    if not clip.guessed:
        yield clip, True
        return
    films = [_film(path) for path in clip.paths]
    together = [clip.paths[0]]
    for n in range(1, len(films)):
        goes_on = runs_on(films[n - 1], films[n])
        if not goes_on:
            yield clip.only(*together), goes_on is not None
            together = []
        together.append(clip.paths[n])
    yield clip.only(*together), True


def _film(path: Path) -> Film:
    written = look(path).st_mtime
    try:
        source: Any = open_card_file(path)
        with source, av.open(source, **LENIENT) as container:
            streams = container.streams.video
            found = extent(container, streams[0]) if streams else None
    except (av.error.FFmpegError, OSError, ValueError, CardError):
        found = None  # what is wrong with it is told when it is copied or decoded
    return Film(found, written)


__all__ = ["Film", "runs_on", "settled"]
