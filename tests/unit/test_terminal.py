"""What the terminal shows of names that hold anything."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import messages
from pipeline.cli import main
from pipeline.commands.status import _in_columns
from pipeline.commands.terminal import Bar, _Meter, answer, day
from pipeline.errors import UsageError, WorkspaceError

ODD = "les\n1\x1b[2J\udcff.mp4"


def test_a_bar_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar(ODD, quiet=False)
    bar("detect", 1, 2)
    bar.close()
    said = capsys.readouterr().err
    assert "les\\n1\\x1b[2J\\udcff.mp4: detect" in said
    assert "\n" not in said
    assert "\udcff" not in said


def test_a_bar_of_a_long_name_still_tells_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar("Les 3B wiskunde kwadratische vergelijkingen mevrouw Jansen camera achterin links.mp4", quiet=False)
    bar("detect", 0, 200)
    assert bar._bar is not None
    bar._bar.ncols, bar._bar.dynamic_ncols = 80, None  # as on a terminal of 80 columns
    bar("detect", 100, 200)
    bar._bar.refresh()
    bar.close()
    said = capsys.readouterr().err
    assert "50%" in said
    assert "Les 3B" in said
    assert "links.mp4: detect" in said


def test_a_bar_has_the_signs_of_the_language_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    told = {"n": 50, "total": 100, "elapsed": 2.0, "rate": 108.67, "unit": " beelden", "prefix": "les 1.5.mp4: kijken"}
    assert "108.67 beelden/s" in _Meter.format_meter(**told)
    messages.choose("nl")
    try:
        assert "108,67 beelden/s" in _Meter.format_meter(**told)
        assert "108,67 beelden/s" in _Meter.format_meter(**told | {"total": None})
        assert "les 1.5.mp4" in _Meter.format_meter(**told)
    finally:
        messages.choose("en")


def test_a_line_of_an_answer_stays_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    answer(Namespace(json=False), {}, f"  {ODD}  één", "second")
    assert capsys.readouterr().out == "  les\\n1\\x1b[2J\\udcff.mp4  één\nsecond\n"


def test_columns_of_clips_stand_below_one_another() -> None:
    """Whatever films and stages are called; what is said follows on the next line where a name is too long."""
    long = "Les 3B wiskunde mevrouw Jansen camera achterin links.mp4"
    rows = [("7d4b0769", "MVI_0001.MP4", "niet gekopieerd", ["waits"]), ("1107fc8e", long, "made", ["waits", "(more)"])]
    rows.append(("-", "a\nfilm.MP4", "made", [""]))
    first, name, second, third = _in_columns(rows)
    assert name == f"1107fc8e  {long}"
    assert first.index("waits") == second.index("waits")
    assert first.index("niet") == second.index("made") == third.index("made")
    assert (second.split(), third.split()) == (["made", "waits", "(more)"], ["-", "a\\nfilm.MP4", "made"])
    assert max(map(len, _in_columns(rows[:1]))) == len("7d4b0769  MVI_0001.MP4  niet gekopieerd  waits")
    assert _in_columns([]) == []


@given(st.dates())
def test_a_day_is_read_as_it_is_written_here_and_everywhere(when: date) -> None:
    assert day(when.isoformat()) == when
    assert day(f"{when.day:02}-{when.month:02}-{when.year:04}") == when
    assert day(f"{when.day}-{when.month}-{when.year:04}") == when


@pytest.mark.parametrize("text", ["", "31-02-2026", "2026-13-01", "1-2-26", "vandaag", "11/26/2026", "01-12-2026x"])
def test_what_is_no_day_is_told_in_the_language_chosen(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not a date like 2026-11-23 or 23-11-2026"):
        day(text)
    messages.choose("nl")
    try:
        with pytest.raises(ArgumentTypeError, match="is geen datum zoals 23-11-2026"):
            day(text)
    finally:
        messages.choose("en")


@pytest.mark.parametrize(
    "words",
    [
        ["redact", "", "-o", "out"],
        ["redact", "les.mp4", "-o", ""],
        ["redact", "les.mp4", "-o", "out", "--keep", ""],
        ["redact", "les.mp4", "-o", "out", "--report", ""],
        ["run", "-C", ""],
        ["run", "--card", ""],
        ["wipe", "--card", ""],
        ["enrol", ""],
        ["consent", "import", ""],
        ["report", "--html", ""],
        ["demo", ""],
    ],
)
def test_an_empty_name_is_not_the_folder_one_is_in(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is it left out: whoever names portraits wants somebody to be seen, whoever names a card means that one."""
    assert main([*words, "--lang", "en"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "a file or folder must be named" in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("consent", "required: {import,list,withdraw,alike}; see lesveil consent --help."),
        ("redact a.mp4", "required: -o/--output; see lesveil redact --help."),
        ("consent list --on x", "see lesveil consent list --help."),
        ("deliver MVI_0001 --yes", "--yes goes with --remove; lesveil deliver alone brings what was approved."),
        ("deliver --execute 1a2b", "--execute goes with --gone; lesveil deliver alone brings what was approved."),
    ],
)
def test_a_mistake_on_the_command_line_names_what_may_stand_there_and_whose_help_says_more(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words.split(), "--lang", "en"]) == UsageError.code
    assert told in capsys.readouterr().err


def test_the_workspace_may_be_named_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["-C", "W", "consent", "list"], ["consent", "-C", "W", "list"], ["consent", "list", "-C", "W"]):
        assert main([str(tmp_path) if word == "W" else word for word in words]) == WorkspaceError.code
        assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["redact", "-rf.mp4", "-o", "out.mp4"],
        ["redact", "a.mp4", "-rf.mp4", "-o", "out"],
        ["redact", "a.mp4", "-o", "-rf.mp4"],
        ["run", "--card", "-rf.mp4"],
    ],
)
def test_a_file_that_is_named_like_an_option_is_told(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--lang", "en"]) == UsageError.code
    assert "dash" not in capsys.readouterr().err, "there is no such file"
    (tmp_path / "-rf.mp4").touch()
    assert main([*words, "--lang", "en"]) == UsageError.code
    assert "begins with a dash" in (said := capsys.readouterr().err)
    assert "./-rf.mp4" in said or ".\\-rf.mp4" in said
