"""Measurements against peers and against the truth. What all of them need: the real command line, and its guests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EVAL = Path(os.environ.get("LESVEIL_EVAL") or ROOT.parent / "shared" / "eval")
"""Clips with their truth, and score.py and reident.py: outside of the repository, because they show people."""

MEBIBYTE = 1 << 20


class FailedError(Exception):
    """A program that is measured did not run."""


@dataclass(frozen=True)
class Run:
    """One run of a program as a whole process, its start included.

    ``cpu`` is user and system time of the process and its children; ``peak`` is the most memory any one of them
    held, in bytes. Both are None where the system does not tell.
    """

    seconds: float
    cpu: float | None
    peak: int | None


def timed(command: Sequence[str | Path], log: Path) -> Run:
    """Run ``command`` and time it. What it prints goes to ``log``. Raises FailedError with the end of that."""
    with log.open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        cpu: float | None = None
        peak: int | None = None
        try:
            if hasattr(os, "wait4"):
                _, status, used = os.wait4(process.pid, 0)
                process.returncode = code = os.waitstatus_to_exitcode(status)
                cpu = used.ru_utime + used.ru_stime
                peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            else:
                code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - started
    if code != 0:
        end = log.read_text(encoding="utf-8", errors="replace").strip()[-1500:]
        raise FailedError(f"{' '.join(map(str, command))}\nended with code {code}:\n{end}")
    return Run(seconds, cpu, peak)


def ours(clip: Path, out: Path, keep: Path | None, report: Path, *more: str) -> list[str]:
    """The command line of ``lesveil redact`` for one clip, in this environment."""
    keeping = ["--keep", str(keep)] if keep else []
    command = [sys.executable, "-m", "pipeline", "redact", str(clip), "-o", str(out)]
    return [*command, *keeping, "--report", str(report), "--quiet", *more]


def truth_of(clip: Path) -> Path:
    """Where the truth about a clip lies: NAME.gt.json beside it."""
    return clip.with_name(f"{clip.stem}.gt.json")


def consented(clip: Path, into: Path) -> Path | None:
    """A new folder in ``into`` with the portraits of only those who may be seen, or None if nobody may.

    They are taken from NAME_portraits beside the clip; who may be seen is said by NAME.gt.json: its ``consented``,
    else the names of the faces marked ``keep``.
    """
    portraits, truth = clip.with_name(f"{clip.stem}_portraits"), truth_of(clip)
    if not portraits.is_dir() or not truth.is_file():
        return None
    said: dict[str, Any] = json.loads(truth.read_text(encoding="utf-8"))
    names = said.get("consented") or {face.get("id") for face in said["faces"] if face["keep"]}
    present = [portraits / name for name in sorted(filter(None, names)) if (portraits / name).is_dir()]
    if not present:
        return None
    folder = into / f"{clip.stem}_keep"
    for person in present:
        shutil.copytree(person, folder / person.name)
    return folder


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns also line up in a terminal; the first row is the heading."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "| " + " | ".join("-" * width for width in widths) + " |", *lines[1:]])
