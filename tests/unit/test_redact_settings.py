"""What `lesveil redact` takes from a workspace's lesveil.toml, and that the command line goes before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import cli
from pipeline.commands import redact
from pipeline.errors import SettingsError, UsageError, WorkspaceError
from pipeline.records import Style
from pipeline.settings import Settings

TOML = """
[redaction]
style = "solid"
extent = "person"
[rendering]
audio = "mute"
crf = 24
encoder = "auto"
[detection]
device = "auto"
[second_opinion]
mode = "off"
[engine]
kind = "processes"
workers = 3
priority = 7
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "lesveil.toml").write_text(TOML, encoding="utf-8")
    return tmp_path


def settings(place: Path | None, *words: str) -> Settings:
    args = cli.parser().parse_args(["redact", "a.mp4", "-o", "b.mp4", *words])
    args.workspace = place
    return redact._settings(args)


def test_without_a_workspace_all_is_as_it_comes(tmp_path: Path) -> None:
    assert settings(None) == Settings()
    for typo, told in ((tmp_path, "is not a workspace"), (tmp_path / "nowhere", "There is no folder")):
        with pytest.raises(WorkspaceError, match=told):
            settings(typo)


def test_the_workspace_is_heeded(place: Path) -> None:
    made = settings(place)
    assert made.redaction.style is Style.SOLID
    assert made.redaction.extent == "person"
    assert made.rendering.audio == "mute"
    assert (made.rendering.crf, made.rendering.encoder, made.detection.device) == (24, "auto", "auto")
    assert made.second_opinion.mode == "off"
    assert (made.engine.kind, made.engine.workers, made.engine.priority) == ("processes", 3, 7)


def test_the_command_line_goes_before_it(place: Path) -> None:
    words = "--style veil --hide head --audio keep --second-opinion --engine here --workers 1"
    made = settings(place, *words.split())
    assert made.redaction.style is Style.VEIL
    assert made.redaction.extent == "head"
    assert made.rendering.audio == "keep"
    assert made.rendering.crf == 24
    assert made.second_opinion.mode == "on"
    assert (made.engine.kind, made.engine.workers, made.engine.priority) == ("here", 1, 7)


@pytest.mark.parametrize(
    ("words", "mode", "finding"),
    [
        ("", "auto", "hide"),
        ("--second-opinion", "on", "hide"),
        ("--no-second-opinion", "off", "hide"),
        ("--on-finding ask", "on", "ask"),
        ("--on-finding hide", "auto", "hide"),
        ("--second-opinion --on-finding hide", "on", "hide"),
    ],
)
def test_whoever_says_what_comes_of_a_finding_wants_the_look(words: str, mode: str, finding: str, place: Path) -> None:
    made = settings(None, *words.split()).second_opinion
    assert (made.mode, made.on_finding) == (mode, finding)
    if words:  # whatever the workspace says
        assert settings(place, *words.split()).second_opinion == made


@pytest.mark.parametrize(
    ("words", "kind", "workers"),
    [("", "here", 0), ("--workers 1", "here", 1), ("--workers 2", "processes", 2), ("--engine dask", "dask", 0)],
)
def test_where_the_work_runs(words: str, kind: str, workers: int) -> None:
    made = settings(None, *words.split()).engine
    assert (made.kind, made.workers) == (kind, workers)


def test_more_workers_of_the_workspaces_kind(place: Path) -> None:
    made = settings(place, "--workers", "5").engine
    assert (made.kind, made.workers) == ("processes", 5)


def test_what_cannot_be_is_refused(place: Path) -> None:
    with pytest.raises(UsageError):
        settings(place, "--workers", "0")
    with pytest.raises(UsageError):
        settings(place, "--no-second-opinion", "--on-finding", "ask")
    (place / "lesveil.toml").write_text("[redaction]\nstyle = 'none'\n", encoding="utf-8")
    with pytest.raises(SettingsError):
        settings(place)
