"""``lesveil demo`` that does not come to its end: what it made goes, what was there stays."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import samples
from pipeline import demo
from pipeline.cli import main
from pipeline.errors import OutputExistsError


def _interrupted(words: list[str], sign: Path, **env: str) -> tuple[int, str]:
    """Start a demo and send it SIGINT once ``sign`` matches something; (exit code, standard error)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "--lang", "en", "demo", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | env,
    )
    try:
        until = time.monotonic() + 120
        while not list(sign.parent.glob(sign.name)):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until, "the demo did not begin"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        return process.returncode, err
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(os.name == "nt", reason="a process of Windows is not sent Ctrl-C by another")
@pytest.mark.parametrize("named", [True, False])
def test_an_interrupted_demo_leaves_nothing(named: bool, tmp_path: Path) -> None:
    words = [str(tmp_path / "deep" / "demo")] if named else []
    sign = tmp_path / "deep" / "demo" / "sample" if named else tmp_path / "lesveil-demo-*"
    code, err = _interrupted(words, sign, TMPDIR=str(tmp_path))
    assert code == 130
    assert err.endswith("lesveil: interrupted; nothing half-done looks finished: repeat the command to go on.\n")
    assert list(tmp_path.iterdir()) == []


def _untold(document: Any, *lines: str) -> int:
    raise AssertionError("it came to its end")


def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(folder: Path, today: object) -> Any:
        folder.mkdir(parents=True)
        return SimpleNamespace(clips=[])

    monkeypatch.setattr(samples, "make_samples", make)


def test_a_command_of_the_demo_that_is_interrupted_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _small(monkeypatch)

    def stopped(words: Any) -> int:
        (tmp_path / "workspace").mkdir()
        (tmp_path / "theirs.txt").write_text("put here meanwhile")
        return 130

    assert demo.show(tmp_path, "en", stopped, _untold) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.txt"]


def test_what_cannot_be_removed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _small(monkeypatch)
    monkeypatch.setattr(demo.shutil, "rmtree", lambda *args, **options: None)
    assert demo.show(tmp_path, "en", lambda words: 130, _untold) == 130
    assert f"{tmp_path} could not be removed; delete it." in capsys.readouterr().err


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sample").write_text("theirs")
    for place in (tmp_path, tmp_path / "sample"):
        with pytest.raises(OutputExistsError):
            demo.show(place, "en", lambda words: 130, _untold)
    assert (tmp_path / "sample").read_text() == "theirs"


@pytest.mark.slow
def test_a_demo_says_what_came_of_it_in_json_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", str(tmp_path / "demo"), "--json", "--quiet", "--lang", "en"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["clips"] == len(told["delivered"]) > 0
    assert all(Path(place).exists() for place in (told["before_after"], told["workspace"], *told["delivered"]))
    assert "> lesveil" not in said.err


@pytest.mark.skipif(os.name == "nt", reason="quotes of Unix")
def test_what_it_says_to_type_works_in_a_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(folder: Path, today: object) -> Any:
        folder.mkdir(parents=True)
        return SimpleNamespace(clips=[], consent_list=folder / "l.csv", portraits=folder / "p", card=folder / "kaart")

    def answers(words: Sequence[str]) -> int:
        if words[0] == "init":
            Path(words[1]).mkdir()
        nothing: dict[str, list[Any]] = {name: [] for name in ("new", "enrolled", "refused", "clips", "delivered")}
        print(json.dumps(nothing | {"digest": "abc", "files": 0, "head": "1:abc"}))
        return 0

    said: list[str] = []
    monkeypatch.setattr(samples, "make_samples", make)
    monkeypatch.setattr(demo, "_sheet", lambda *_: None)
    folder = tmp_path / "mijn 'demo' map"
    assert demo.show(folder, "en", answers, lambda _, *lines: said.extend(lines) or 0) == 0
    (line,) = (one for one in said if "lesveil -C" in one)
    typed = line.partition("the workspace: ")[2]
    assert shlex.split(typed) == ["lesveil", "-C", str(folder / "workspace"), "status"]
