"""A sample card through everything, on this machine: the same commands a coach would type, one after the other."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from pipeline import workspace
from pipeline.adapters import files
from pipeline.adapters.graph_http import loopback
from pipeline.adapters.video_in import open_clip
from pipeline.errors import INTERRUPTED, CheckFailedError, OutputExistsError, UsageError
from pipeline.lesson.onedrive_target import open_onedrive
from pipeline.messages import printable, quoted, tr
from pipeline.records import U8

SHEET_TIMES = (0.1, 0.35, 0.6, 0.9)
"""Moments of the contact sheet, as shares of the clip."""

SHEET_WIDTH = 640

SAMPLE, WORKSPACE, ARCHIVE, SHEET = "sample", "workspace", "onedrive", "before-after.png"
"""What the demo makes in its folder."""

Main = Callable[[Sequence[str]], int]


class Tell(Protocol):
    """Tells what came of it, as data or in lines, and says the exit code."""

    def __call__(self, document: Any, *lines: str) -> int: ...


def show(folder: Path, language: str, main: Main, tell: Tell, onedrive_url: str = "", quiet: bool = False) -> int:
    """Make the samples in ``folder`` and run every command of the workspace over them; returns an exit code.

    ``tell`` is told at the end what came of it and where to look; with ``quiet`` the steps are not shown.
    ``onedrive_url`` is the address of a test service on this machine (``http://127.0.0.1:PORT``): clips then go
    there, after a sign-in as with the real one, and are fetched from there again to be shown.
    """
    if onedrive_url and not loopback(onedrive_url):
        raise UsageError("--onedrive-url is for a test service on this machine: http://127.0.0.1:PORT.")
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputExistsError("{folder} is not empty; delete it or choose a new folder for the demo.", folder=folder)
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        return _through(folder, language, main, tell, onedrive_url, quiet)
    except KeyboardInterrupt:
        _remove(folder, new)
        raise
    except _StoppedError:  # by the command that was at work, which told it
        _remove(folder, new)
        return INTERRUPTED


class _StoppedError(Exception):
    """A command of the demo was interrupted."""


def _remove(folder: Path, new: Sequence[Path]) -> None:
    """Take away what an interrupted demo made, and nothing else; ``new`` are the folders that it made for it."""
    for made in (SAMPLE, WORKSPACE, ARCHIVE):
        shutil.rmtree(folder / made, ignore_errors=True)
    (folder / SHEET).unlink(missing_ok=True)
    for place in new:
        with contextlib.suppress(OSError):
            place.rmdir()
    if any((folder / made).exists() for made in (SAMPLE, WORKSPACE, ARCHIVE)):
        _step(tr("{folder} could not be removed; delete it.", folder=folder))


def _through(folder: Path, language: str, main: Main, tell: Tell, onedrive_url: str, quiet: bool) -> int:
    """The demo itself, in an empty folder."""
    step: Callable[[str], None] = (lambda text: None) if quiet else _step
    started = time.perf_counter()
    today = date.today()
    samples: Any = importlib.import_module("samples" if _in_checkout() else "pipeline._samples")
    step(tr("Making a sample card, portraits and a consent list"))
    made = samples.make_samples(folder / SAMPLE, today=today)
    before = {clip.name: _pictures(clip) for clip in made.clips}
    place, archive = folder / WORKSPACE, folder / ARCHIVE
    archive.mkdir()
    onedrive_url = onedrive_url.rstrip("/")

    def lesveil(*words: str) -> Any:
        said = [str(word) for word in words]
        step("lesveil " + " ".join(map(quoted, said)))
        out = io.StringIO()
        options = [
            "-C",
            str(place),
            "--json",
            *(["--lang", language] if language else []),
            *(["--quiet"] if quiet else []),
        ]
        with contextlib.redirect_stdout(out):
            code = main([*said, *options])
        if code == INTERRUPTED:
            raise _StoppedError
        if code:
            raise CheckFailedError("The demo stopped: lesveil {command} ended with {code}.", command=said[0], code=code)
        return json.loads(out.getvalue())

    lesveil("init", str(place), "--key-file")  # a demo leaves nothing in the system's keyring
    _settings(place, archive, onedrive_url)
    imported = lesveil("consent", "import", str(made.consent_list))
    enrolled = lesveil("enrol", str(made.portraits))
    run = lesveil("run", "--card", str(made.card))
    for clip in run["clips"]:
        lesveil("approve", clip["clip"], "--by", "demo")
    if onedrive_url:
        lesveil("login", "--device-code")
    delivered = lesveil("deliver")
    lesveil("deliver", "--audit")
    sheet = folder / SHEET
    arrived = {Path(clip["file"]).name: clip["clip"] for clip in run["clips"]}
    where = {entry["clip"]: Path(entry["where"]) for entry in delivered["delivered"]}
    if onedrive_url:
        where = _fetched(place, archive)
    _sheet(sheet, [(before[name], _pictures(where[id])) for name, id in arrived.items()])
    plan = lesveil("wipe")
    wiped = lesveil("wipe", "--execute", plan["digest"], "--card", str(made.card))
    book = lesveil("ledger", "verify")
    seconds = sum(clip["seconds"] for clip in run["clips"])
    shown = {person for clip in run["clips"] for person in clip["people_shown"]}
    doubts = sum(len(clip["doubts"]) for clip in run["clips"])
    took = round(time.perf_counter() - started)
    document = {
        "clips": len(run["clips"]),
        "film_seconds": round(seconds),
        "on_list": len(imported["new"]),
        "enrolled": len(enrolled["enrolled"]),
        "refused": len(enrolled["refused"]),
        "shown": len(shown),
        "doubts": doubts,
        "wiped": wiped["files"],
        "head": book["head"],
        "wall_seconds": took,
        "before_after": str(sheet),
        "delivered": [str(path) for path in where.values()],
        "workspace": str(place),
    }
    lines = [
        "",
        tr(
            "{clips} {clips:clip|clips}, {seconds} {seconds:second|seconds} of film.",
            clips=len(run["clips"]),
            seconds=round(seconds),
        ),
        tr(
            "{n} {n:person|people} on the consent list; {enrolled} may be recognised.",
            n=len(imported["new"]),
            enrolled=len(enrolled["enrolled"]),
        ),
        tr(
            "{n} portrait {n:folder was|folders were} refused, because consent is missing or withdrawn.",
            n=len(enrolled["refused"]),
        ),
        tr(
            "{n} {n:person is|people are} shown; everyone else is hidden; {doubts} {doubts:moment|moments} to look at.",
            n=len(shown),
            doubts=doubts,
        ),
        tr(
            "Delivered and verified: {n} {n:clip|clips}. Wiped from the card: {files} {files:file|files}.",
            n=len(where),
            files=wiped["files"],
        ),
        tr("The ledger is whole; its head is {head}.", head=book["head"]),
        tr(
            "Nothing has left this machine. It took {seconds} {seconds:second|seconds}.",
            seconds=took,
        ),
        "",
        tr("Where to look:"),
        f"  {sheet}   " + tr("before and after, side by side"),
        *(f"  {path}" for path in where.values()),
        f"  {place}   " + tr("the workspace: lesveil -C {folder} status", folder=quoted(place)),
    ]
    return tell(document, *lines)


def _in_checkout() -> bool:
    return (Path(__file__).parents[1] / "samples" / "__init__.py").is_file()


def _step(text: str) -> None:
    print(printable(f"> {text}"), file=sys.stderr, flush=True)


def _settings(place: Path, archive: Path, onedrive_url: str) -> None:
    """The workspace's settings as a school would fill them in."""
    if onedrive_url:
        delivering = [
            'target = "onedrive"',
            "[onedrive]",
            'tenant = "demo"',
            'client_id = "demo"',
            f"authority = {json.dumps(onedrive_url)}",
            f"graph = {json.dumps(onedrive_url + '/v1.0')}",
        ]
    else:
        delivering = [
            'target = "folder"',
            f"folder = {json.dumps(str(archive.absolute()))}",
            "folder_is_the_archive = true",
        ]
    lines = [
        "[recognition]",
        'mode = "on"',
        "[privacy]",
        'dpia = "demo: the people in it are drawn"',
        "[deliver]",
        *delivering,
        "",
    ]
    (place / "lesveil.toml").write_text("\n".join(lines), encoding="utf-8")


def _fetched(place: Path, into: Path) -> dict[str, Path]:
    """Every delivered clip fetched from OneDrive again and compared, by its id."""
    found = {}
    with workspace.opened(place) as opened, open_onedrive(opened) as target:
        for row in opened.ledger.entries("delivery"):
            if row.clip is not None:
                found[row.clip] = into / row.payload["where"].rsplit("/", 1)[-1]
                target.download(row.payload, found[row.clip])
    return found


def _pictures(clip: Path) -> list[U8]:
    """A few moments of a clip as BGR pictures, SHEET_WIDTH wide."""
    with open_clip(clip) as source:
        count = source.info.frames or round(source.info.duration * source.info.rate)
        wanted = {min(count - 1, round(share * count)) for share in SHEET_TIMES}
        height = round(SHEET_WIDTH * source.info.height / source.info.width)
        return [
            cv2.resize(frame.picture.to_ndarray(format="bgr24"), (SHEET_WIDTH, height), interpolation=cv2.INTER_AREA)
            for frame in source.frames()
            if frame.number in wanted and frame.picture is not None
        ]


def _sheet(path: Path, pairs: list[tuple[list[U8], list[U8]]]) -> None:
    """Before in the left column, after in the right; one row per moment."""
    rows = [np.hstack([a, b]) for before, after in pairs for a, b in zip(before, after, strict=True)]
    done, data = cv2.imencode(".png", np.vstack(rows))
    if not done:
        raise CheckFailedError("The contact sheet {file} could not be made.", file=path)
    with files.writing(path):
        path.write_bytes(data.tobytes())
