"""What the terminal shows of names that hold anything."""

from __future__ import annotations

from argparse import Namespace

import pytest

from pipeline.commands.terminal import Bar, answer

ODD = "les\n1\x1b[2J\udcff.mp4"


def test_a_bar_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar(ODD, quiet=False)
    bar("detect", 1, 2)
    bar.close()
    said = capsys.readouterr().err
    assert "les\\n1\\x1b[2J\\udcff.mp4: detect" in said
    assert "\n" not in said
    assert "\udcff" not in said


def test_a_line_of_an_answer_stays_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    answer(Namespace(json=False), {}, f"  {ODD}  één", "second")
    assert capsys.readouterr().out == "  les\\n1\\x1b[2J\\udcff.mp4  één\nsecond\n"
