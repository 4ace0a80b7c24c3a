"""A workspace with an approved clip of ten pieces, its delivery to the faithful Graph, and the judge of its end."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import random
import shutil
import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipeline import workspace
from pipeline.adapters import database, files
from pipeline.adapters.graph_http import Clock, Graph
from pipeline.adapters.ledger import Ledger
from pipeline.adapters.onedrive import OneDrive
from pipeline.adapters.upload_session import GRANULE, Line
from pipeline.errors import LesveilError
from pipeline.lesson import deliver as delivering
from pipeline.lesson.onedrive_target import OneDriveTarget
from pipeline.lesson.state import states
from tests.graph.authority import TOKEN
from tests.graph.control import Control
from tests.graph.drive import SECRET

PIECES = 10
TODAY = date(2026, 11, 25)
LINE = Line(GRANULE, GRANULE, GRANULE)
SETTINGS = '[deliver]\ntarget = "onedrive"\nlayout = "{year}/{date}_{clip}_{id}"\n'


def film(seed: int = 1, size: int = GRANULE * (PIECES - 1) + 54_321) -> bytes:
    """Bytes that are no film; delivering does not look inside."""
    return random.Random(seed).randbytes(size)


@dataclass(frozen=True)
class Made:
    """A workspace and what was approved in it."""

    folder: Path
    clip: str
    sha256: str


def approve(place: workspace.Workspace, clip: str, data: bytes, key: str) -> str:
    """Put a rendering there as if it had been made, checked and approved; its digest."""
    digest = hashlib.sha256(data).hexdigest()
    name = f"{clip[:8]}.{key}.mp4"
    (place.finished / name).write_bytes(data)
    outcome = {"sha256": digest, "bytes": len(data), "file": name, "kept": [], "seconds": 1.0}
    place.ledger.record("render", clip, key, clip, outcome)
    place.ledger.record("check", digest, key, clip, {"passed": True, "regions": 0})
    place.ledger.append("approval", clip, {"sha256": digest, "by": "coach", "verdict": "approved"})
    return digest


def make(folder: Path, clips: int = 1, settings: str = SETTINGS) -> Made:
    """A new workspace with ``clips`` approved clips."""
    workspace.create(folder, key_file=True)
    (folder / "lesveil.toml").write_text(settings, encoding="utf-8")
    with workspace.opened(folder) as place:
        for n in range(clips):
            data = film(n + 1)
            clip = hashlib.sha256(b"original" + data).hexdigest()[:32]
            path = f"DCIM/100SCHOO/MVI_{n + 1:04}.MP4"
            source = {"path": path, "bytes": len(data), "sha256": clip * 2, "kind": "video"}
            row = {"card": "kaart", "sha256": clip * 2, "bytes": len(data), "files": [source]}
            place.ledger.append("ingest", clip, row)
            place.ledger.append("filmed", clip, {"day": TODAY.isoformat()})
            digest = approve(place, clip, data, "first")
    return Made(folder, clip, digest)


def _linked(source: str, to: str) -> str:
    """A copy of a small file; a film, which nobody writes to, is only given a second name."""
    if source.endswith(".mp4"):
        os.link(source, to)
        return to
    return str(shutil.copy2(source, to))


def copied(made: Made, folder: Path) -> Made:
    shutil.copytree(made.folder, folder, copy_function=_linked)
    return Made(folder, made.clip, made.sha256)


def without_flushing() -> list[tuple[Any, str, Any]]:
    """(module, name, value) to set there, so that nothing waits for the medium."""
    connect = database.connect

    def quick(path: Path, migrations: database.Migrations) -> sqlite3.Connection:
        connection = connect(path, migrations)
        connection.execute("PRAGMA synchronous=OFF")
        return connection

    quiet = [(files, name, lambda _: None) for name in ("sync", "sync_file", "sync_folder")]
    return [*quiet, (database, "connect", quick)]


class NoWaiting:
    """A clock on which every pause is over at once, and that knows how long it would have been."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self._now = 0.0

    @property
    def clock(self) -> Clock:
        return Clock(self._sleep, self._tick, lambda: 0.5)

    def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self._now += seconds

    def _tick(self) -> float:
        return self._now


@contextmanager
def target(
    place: workspace.Workspace, control: Control, drive: str, clock: Clock | None = None, line: Line = LINE
) -> Iterator[OneDriveTarget]:
    """The drive as lesveil would open it, with a token that the faithful Graph knows."""
    tokens = [control.token()]

    def token(fresh: bool) -> str:
        if fresh:
            tokens.append(control.token())
        return tokens[-1]

    graph = Graph(control.graph, token, clock or NoWaiting().clock)
    with OneDriveTarget(OneDrive(graph, drive), "Lesveil", place, line=line) as opened:
        yield opened


def deliver(made: Made, control: Control, drive: str, clock: Clock | None = None) -> list[Any]:
    """One run of lesveil deliver; what became of each clip."""
    with workspace.opened(made.folder) as place, workspace.alone(place), target(place, control, drive, clock) as there:
        return [what for _, what in delivering.deliver(place, TODAY, target=there)]


class Ears:
    """Hears every log line of every library, at every level."""

    def __init__(self) -> None:
        self._text = io.StringIO()
        self._handler = logging.StreamHandler(self._text)
        self._handler.setLevel(logging.DEBUG)

    def __enter__(self) -> Ears:
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(logging.DEBUG)
        root.addHandler(self._handler)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self._handler)
        logging.getLogger().setLevel(self._level)

    def hear(self, error: BaseException) -> None:
        """What a log of this error with its whole traceback would say."""
        self._text.write("".join(traceback.format_exception(error)))
        self._text.write(f"{error} {error!r}")

    @property
    def text(self) -> str:
        return self._text.getvalue()


def secrets_in(text: str | bytes) -> list[str]:
    """Secrets that stand in a text: upload addresses and tokens of the faithful Graph."""
    raw = text.encode() if isinstance(text, str) else text
    return [mark for mark in (SECRET, TOKEN, "/upload/", "/download/") if mark.encode() in raw]


def judge(made: Made, control: Control, drive: str, heard: str, *, sessions: int = 0, ended: bool = True) -> None:
    """Exactly one item, bytes equal, ledger true, no address or token anywhere it may not be."""
    state = control.state(drive)
    assert [(file["sha256"], file["versions"]) for file in state["files"]] == [(made.sha256, 1)]
    assert state["sessions"] <= sessions, "uploads left open on the server"
    assert all(not row["authorization"] for row in state["log"] if row["event"] in ("put", "status", "download"))
    with Ledger.open(made.folder / "ledger.db") as ledger:
        (row,) = [one.payload for one in ledger.entries("delivery") if one.payload["sha256"] == made.sha256]
        assert ledger.verify() == []
    (file,) = state["files"]
    assert (row["item"], row["bytes"], row["where"]) == (file["id"], file["size"], f"OneDrive:/{file['path']}")
    with workspace.opened(made.folder) as place:
        assert [one.stage for one in states(place)] == ["delivered"]
        assert [id for id in place.vault.ids() if id.startswith("note.")] == [] or not ended
    assert secrets_in(heard) == []
    for path in made.folder.rglob("*"):
        if path.is_file():
            assert secrets_in(path.read_bytes()) == [], path


def failures(results: list[Any], ears: Ears) -> list[LesveilError]:
    found = [what for what in results if isinstance(what, LesveilError)]
    for error in found:
        ears.hear(error)
    return found
