"""A school with a short lesson, and how tests speak to it."""

from __future__ import annotations

import contextlib
import io
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

import samples
from pipeline import workspace
from pipeline.cli import main
from pipeline.lesson import seen
from pipeline.lesson.state import State, states


@dataclass(frozen=True)
class School:
    """A workspace with one long clip and one short one, and what is true of them."""

    place: Path
    archive: Path
    sample: samples.Samples

    def lesveil(self, *words: object, code: int = 0) -> Any:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            told = main([*map(str, words), "-C", str(self.place), "--json", "--lang", "en"])
        assert told == code, err.getvalue()
        return json.loads(out.getvalue()) if out.getvalue() else None

    @contextlib.contextmanager
    def opened(self) -> Iterator[workspace.Workspace]:
        with workspace.opened(self.place) as place:
            yield place

    def state(self, number: int = 0) -> State:
        with self.opened() as place:
            return states(place)[number]

    def rendering(self, number: int = 0) -> Path:
        render = self.state(number).render
        assert render is not None
        return self.place / "redacted" / str(render["file"])

    def seen(self, number: int = 0) -> seen.Seen:
        state = self.state(number)
        assert state.render is not None
        with self.opened() as place:
            found = seen.load(place.vault, state.clip, state.render["sha256"])
        assert found is not None
        return found

    def add(self, kind: str, start: int, stop: int, **more: Any) -> str:
        """A repair as the page would write it."""
        id = uuid.uuid4().hex
        row = {"id": id, "analysis": self.seen().analysis, "kind": kind, "start": start, "stop": stop}
        with self.opened() as place:
            place.ledger.append("repair", self.state().clip, row | {"by": "Geertje", "role": "coach"} | more)
        return id

    def undo(self, id: str) -> None:
        with self.opened() as place:
            place.ledger.append("repair_undone", self.state().clip, {"id": id, "by": "Geertje"})


def pictures(path: Path) -> list[tuple[int, Any]]:
    """(pts, planes) of every picture."""
    with av.open(str(path)) as container:
        return [(int(frame.pts or 0), frame.to_ndarray()) for frame in container.decode(video=0)]


def heard(path: Path) -> Any:
    """Samples (channels, N) of the sound."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
