"""What nobody foresaw is told in a sentence with the place where it arose."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from pipeline.errors import ClipNotFoundError, LesveilError, NotReadyError, OutputNotWritableError
from pipeline.geometry import overlaps
from pipeline.unforeseen import MOST, TRACEBACK, noted, ours


def caught(error: Exception) -> Exception:
    try:
        raise error
    except Exception as same:  # noqa: BLE001 -- any kind is what is asked for
        return same


def a_mistake() -> Exception:
    with pytest.raises(TypeError) as told:
        overlaps(np.zeros(4, np.float32), None)  # type: ignore[arg-type]
    return told.value


def test_errors_of_ours_are_left_as_they_are() -> None:
    error = ClipNotFoundError("{file} is gone.", file="a.mp4")
    assert ours(error) is error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ImportError("libGL.so.1"), NotReadyError, "(libGL.so.1)"),
        (OSError(13, "Permission denied", "/x/y"), OutputNotWritableError, "/x/y cannot be used: Permission denied."),
        (OSError("odd"), OutputNotWritableError, "- cannot be used: odd."),
        (MemoryError(), NotReadyError, "too little memory"),
        (ValueError("a. b\n  c."), LesveilError, "(ValueError: a; b c, in test_unforeseen.py:"),
        (RuntimeError(), LesveilError, "(RuntimeError, in test_unforeseen.py:"),
    ],
)
def test_everything_else_becomes_a_sentence(error: Exception, kind: type[LesveilError], words: str) -> None:
    told = ours(caught(error))
    assert type(told) is kind
    assert words in str(told)
    assert "\n" not in str(told)
    assert ". " not in str(told)


def test_a_message_is_cut() -> None:
    assert len(str(ours(caught(ValueError("x" * 10_000))))) < MOST + 200


def test_the_place_is_the_last_line_of_ours() -> None:
    assert str(ours(a_mistake()).fields["place"]).startswith("geometry.py:")
    assert ours(ValueError("never raised")).fields["place"] == "-:0"


def test_the_place_travels_with_the_exception() -> None:
    sent = pickle.loads(pickle.dumps(noted(a_mistake())))
    assert str(ours(caught(sent)).fields["place"]).startswith("geometry.py:")


def test_the_trace_is_printed_for_those_who_ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours(a_mistake())
    assert capsys.readouterr().err == ""
    monkeypatch.setenv(TRACEBACK, "1")
    ours(a_mistake())
    assert "Traceback" in capsys.readouterr().err
