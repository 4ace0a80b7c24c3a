"""Delivers in a process that is killed at a chosen moment: ``python -m tests.faults.runner``, one JSON job a line.

Everything is imported once; each job is a fork of this process, killed by SIGKILL as the job says:

- ``before`` / ``after``: before the n-th request leaves, after the n-th answer arrived;
- ``within``: in the middle of the n-th piece;
- ``ledger``: just after the delivery was written into the ledger;
- ``never``.

The answer is one line: how the child ended (``os.waitstatus_to_exitcode``: -9 is the kill), as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pipeline import workspace
from pipeline.adapters import upload_session
from pipeline.adapters.graph_http import Graph
from pipeline.adapters.onedrive import OneDrive
from pipeline.errors import LesveilError
from pipeline.lesson import deliver as delivering
from pipeline.lesson.onedrive_target import OneDriveTarget
from tests.faults.school import LINE, TODAY, NoWaiting, without_flushing


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def armed(graph: Graph, when: str, n: int) -> None:
    """Make this process kill itself at the chosen moment."""
    count = {"before": 0, "after": 0, "within": 0}

    def at(moment: str) -> None:
        count[moment] += 1
        if moment == when and count[moment] == n:
            die()

    graph._client.event_hooks = {"request": [lambda _: at("before")], "response": [lambda _: at("after")]}
    plain = upload_session._bytes

    def torn(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
        half = (start + stop) // 2
        yield from plain(file, start, half)
        at("within")
        yield from plain(file, half, stop)

    upload_session._bytes = torn


def work(job: dict[str, Any]) -> int:
    """The child: one run of lesveil deliver."""
    out = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    logging.basicConfig(level=logging.DEBUG)
    for module, name, value in without_flushing():
        setattr(module, name, value)
    with workspace.opened(Path(job["workspace"])) as place, workspace.alone(place):
        graph = Graph(job["graph"], lambda fresh: str(job["token"]), NoWaiting().clock)
        armed(graph, job["when"], job["n"])
        with OneDriveTarget(OneDrive(graph, job["drive"]), "Lesveil", place, line=LINE) as target:
            if job["when"] == "ledger":
                target.settled = lambda clip: die()  # type: ignore[method-assign]
            done = delivering.deliver(place, TODAY, target=target)
    return sum(isinstance(what, LesveilError) for _, what in done)


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = work(json.loads(line))
            except BaseException:
                logging.exception("the job failed")
            finally:
                sys.stdout.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


if __name__ == "__main__":
    main()
