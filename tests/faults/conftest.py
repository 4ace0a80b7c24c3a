"""For delivering: one faithful Graph, which outlives every client that dies. Each case has a drive of its own."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import school
from tests.graph.control import Control, running

CASES: dict[str, int] = {}
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with running(tmp_path_factory.mktemp("graph")) as control:
        yield control


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> school.Made:
    """A workspace with one approved clip, to be copied."""
    return school.make(tmp_path_factory.mktemp("ready") / "werkmap")


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process wrote the system keeps, and nothing here cuts the power: flushing would only cost time."""
    for module, name, value in school.without_flushing():
        monkeypatch.setattr(module, name, value)


@pytest.fixture
def made(ready: school.Made, quick_disk: None, tmp_path: Path) -> Iterator[school.Made]:
    yield school.copied(ready, tmp_path / "werkmap")
    shutil.rmtree(tmp_path / "werkmap")


@pytest.fixture
def new_drive(graph: Control, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Make a drive with its faults; its id."""
    made: list[str] = []

    def make(*faults: dict[str, Any], **how: Any) -> str:
        kind = request.node.originalname
        CASES[kind] = CASES.get(kind, 0) + 1
        id = f"case{next(_NUMBERS)}"
        graph.post("drive", id=id, faults=list(faults), **how)
        made.append(id)
        return id

    yield make
    for id in made:
        graph.post("drop", drive=id)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if CASES:
        terminalreporter.write_sep("-", f"fault matrix: {sum(CASES.values())} cases")
        for kind, count in CASES.items():
            terminalreporter.write_line(f"{count:5}  {kind.removeprefix('test_').replace('_', ' ')}")
