"""Runs lesveil in a child that is killed at a chosen point: ``python -m tests.life.runner``, one JSON job a line.

Everything is imported once; each job is a fork of this process. ``at`` is the point (see `tests.faults.layer`) at which
the child is killed, 0 for never. The answer is one line of JSON: how the child ended (-9 is the kill), the points that
it passed, and what it said.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pipeline.lesson.card
import pipeline.lesson.deliver
import pipeline.lesson.desk
import pipeline.lesson.recall
import pipeline.lesson.report_page
import pipeline.lesson.retention
import pipeline.lesson.wipe
import pipeline.lesson.withdraw
import pipeline.lesson.worker  # noqa: F401 - imported for the forks
from pipeline.cli import main as lesveil
from tests.faults.layer import Layer
from tests.faults.school import without_flushing


def work(job: dict[str, Any], said: Path) -> int:
    """The child: one command."""
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    err = os.open(said.with_suffix(".err"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for module, name, value in without_flushing():
        setattr(module, name, value)
    layer = Layer(job["at"])
    layer.install()
    code = lesveil(job["words"])
    said.with_suffix(".points").write_text(str(layer.count))
    return code


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        said = Path(job["said"])
        said.with_suffix(".points").unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = work(job, said)
            finally:
                sys.stdout.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        points = said.with_suffix(".points")
        answer = {
            "ended": os.waitstatus_to_exitcode(status),
            "points": int(points.read_text()) if points.exists() else 0,
            "said": said.read_text(encoding="utf-8"),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
