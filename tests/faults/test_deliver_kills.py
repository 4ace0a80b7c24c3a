"""The process is killed at every request, in every piece, again and again; the next run ends it well."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import workspace
from pipeline.lesson import deliver as delivering
from pipeline.lesson.state import find
from tests.faults import school
from tests.faults.school import PIECES, Made, judge
from tests.faults.test_deliver_faults import renewed
from tests.graph.control import ROOT, Control

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

REQUESTS = 18
"""At least as many as one delivery makes: two looks, two folders, a session, ten pieces, a look; some to spare."""
KILLED = -9


class Runner:
    """The warm process that forks a child for each job."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.runner"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, made: Made, control: Control, drive: str, when: str, n: int = 0) -> int:
        assert self._process.stdin
        assert self._process.stdout
        job: dict[str, Any] = {
            "workspace": str(made.folder),
            "graph": control.graph,
            "drive": drive,
            "token": control.token(),
            "when": when,
            "n": n,
            "log": str(made.folder / "said.log"),
        }
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    one = Runner()
    yield one
    one.close()


def said(made: Made) -> str:
    return (made.folder / "said.log").read_text(encoding="utf-8")


def sent(control: Control, drive: str) -> int:
    return sum(row["event"] == "put" for row in control.state(drive)["log"])


@pytest.mark.parametrize("n", range(1, REQUESTS + 1))
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_a_request(
    when: str, n: int, graph: Control, made: Made, new_drive: Callable[..., str], runner: Runner
) -> None:
    drive = new_drive()
    ended = runner.run(made, graph, drive, when, n)
    assert ended in (KILLED, 0)
    if ended == KILLED:
        assert runner.run(made, graph, drive, "never") == 0
    # Killed between the session's making and our writing its address down: it stays on the server until it expires.
    judge(made, graph, drive, said(made), sessions=1)
    assert sent(graph, drive) == PIECES, "no piece that arrived is sent again"


@pytest.mark.parametrize("piece", range(1, PIECES + 1))
def test_killed_within_a_piece(
    piece: int, graph: Control, made: Made, new_drive: Callable[..., str], runner: Runner
) -> None:
    drive = new_drive()
    assert runner.run(made, graph, drive, "within", piece) == KILLED
    assert runner.run(made, graph, drive, "never") == 0
    judge(made, graph, drive, said(made))
    log = graph.state(drive)["log"]
    assert [row["event"] for row in log].count("session") == 1, "it goes on with the session that was begun"
    assert sum(row["event"] == "put" and row["status"] in (201, 202) for row in log) == PIECES


def test_killed_between_the_ledger_and_the_end(
    graph: Control, made: Made, new_drive: Callable[..., str], runner: Runner
) -> None:
    drive = new_drive()
    assert runner.run(made, graph, drive, "ledger") == KILLED
    judge(made, graph, drive, said(made), ended=False)
    assert runner.run(made, graph, drive, "never") == 0
    judge(made, graph, drive, said(made))
    assert sent(graph, drive) == PIECES


@pytest.mark.parametrize(("when", "n", "there"), [("within", 5, 0), ("after", 16, 1)])
def test_what_may_lie_there_is_known_and_settled_by_a_look(
    when: str, n: int, there: int, graph: Control, made: Made, new_drive: Callable[..., str], runner: Runner
) -> None:
    drive = new_drive()
    assert runner.run(made, graph, drive, when, n) == KILLED
    assert len(graph.state(drive)["files"]) == there
    with workspace.opened(made.folder) as place:
        (where,) = find(place, made.clip).standing
        with school.target(place, graph, drive) as target:
            found = delivering.settle(place, made.clip, target)
        assert [one.where for one in found] == [where] * there
        assert find(place, made.clip).standing == (where,) * there
    assert runner.run(made, graph, drive, "never") == 0
    judge(made, graph, drive, said(made), sessions=1)


@pytest.mark.parametrize("seed", range(12))
def test_killed_again_and_again(
    seed: int, graph: Control, made: Made, new_drive: Callable[..., str], runner: Runner
) -> None:
    chance = random.Random(seed)
    faults = [
        {"event": "put", "piece": chance.randrange(PIECES), "lost": True},
        {"event": "put", "piece": chance.randrange(PIECES), "status": 503, "kept": chance.random() < 0.5},
        {"event": "put", "piece": chance.randrange(PIECES), "status": 404, "gone": True},
    ]
    drive = new_drive(*faults)
    for _ in range(6):
        ended = runner.run(made, graph, drive, chance.choice(["before", "after", "within"]), chance.randint(1, 7))
        assert ended in (KILLED, 0)
    assert runner.run(made, graph, drive, "never") == 0
    judge(made, graph, drive, said(made), sessions=6)


@pytest.mark.parametrize("n", range(1, REQUESTS + 1))
def test_killed_at_a_request_of_a_replacement(
    n: int, graph: Control, made: Made, new_drive: Callable[..., str], runner: Runner
) -> None:
    drive = new_drive()
    assert runner.run(made, graph, drive, "never") == 0
    (before,) = graph.state(drive)["files"]
    newer = renewed(made)
    assert runner.run(newer, graph, drive, "after", n) in (KILLED, 0)
    assert runner.run(newer, graph, drive, "never") == 0
    judge(newer, graph, drive, said(made), sessions=1)
    (after,) = graph.state(drive)["files"]
    assert after["id"] == before["id"]


def test_the_kills_cover_every_request(
    graph: Control, made: Made, new_drive: Callable[..., str], runner: Runner
) -> None:
    """A kill after the last number does not strike any more: none was left out."""
    drive = new_drive()
    assert runner.run(made, graph, drive, "after", REQUESTS + 1) == 0
    with workspace.opened(made.folder) as place:
        assert len(place.ledger.entries("delivery")) == 1
    assert school.secrets_in(said(made)) == []


def test_a_log_of_everything_would_show_a_secret(tmp_path: Path) -> None:
    """The positive control of every look for secrets."""
    assert school.secrets_in("PUT http://127.0.0.1:1/upload/x?tempauth-SECRET-=1") != []
    assert school.secrets_in(b"Bearer TOKEN-SECRET-abc") != []
