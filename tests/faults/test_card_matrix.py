"""Copying and wiping a card, killed at every point at which anything on a disk changes, and refused at every second."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="NOTHING WAS KILLED: this system cannot fork"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: processes are killed here, not machines; flushing would only take time."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    made = Path(tempfile.mkdtemp(prefix="lesveil-", dir="/dev/shm"))
    yield made
    shutil.rmtree(made)


def matrix(command: str, folder: Path, error: int = 0) -> dict[str, Any]:
    words = [sys.executable, "-m", "tests.faults.matrix", command, str(folder), *([str(error)] if error else [])]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def told(command: str, found: dict[str, Any], capsys: pytest.CaptureFixture[str], how: str) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in found["kinds"].items())
    with capsys.disabled():
        print(f"\n{command}: {how} {found['points']} points; there are {kinds}", end=" ")


@pytest.mark.parametrize(("command", "least"), [("copy", 100), ("wipe", 80)])
def test_a_card_survives_a_kill_at_every_point(
    command: str, least: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = matrix(command, folder)
    told(command, found, capsys, "killed at each of")
    assert found["points"] >= least
    assert {"write", "half a write", "fsync", "unlink", "begin", "commit"} <= found["kinds"].keys()
    assert "rename" in found["kinds"] or "link" in found["kinds"]


@pytest.mark.parametrize("command", ["copy", "wipe"])
def test_a_card_survives_an_error_at_every_second_point(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The laptop's disk or the card fails once: a person is told, and repeating the command does the rest."""
    found = matrix(command, folder, errno.EIO)
    told(command, found, capsys, "an error at")
    assert found["told"] >= 15
