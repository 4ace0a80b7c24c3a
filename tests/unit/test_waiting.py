"""What is said of a clip, which status and reports say alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from pipeline.adapters.ledger import Entry
from pipeline.commands import run_card
from pipeline.errors import CardError
from pipeline.lesson.card import CardRun
from pipeline.lesson.deleted import Deleted
from pipeline.lesson.report_words import stands_at
from pipeline.lesson.state import State
from pipeline.lesson.waiting import called, ended_in_words, waits_in_words


def row(kind: str, **payload: Any) -> Entry:
    return Entry(1, "2026-11-28T09:00:00+00:00", kind, "c", payload, "", "")


RENDERED = State("c", row("ingest"), None, {"sha256": "d"}, None, None, wiped=False, files=("a.mp4",))
FAILED = row("failure", path="a.mp4", error="VideoError", text="The film is damaged.", fields={})
REJECTED = row("approval", by="A. Jansen", verdict="rejected")


def test_what_a_clip_waits_for_is_said() -> None:
    assert waits_in_words(RENDERED) == "waits for lesveil approve"
    assert waits_in_words(replace(RENDERED, rejected=REJECTED)) == "rejected by A. Jansen; waits for lesveil review"
    assert waits_in_words(replace(RENDERED, failure=FAILED)).startswith("failed: ")


def test_where_a_recall_waits_a_failure_of_a_run_is_not_what_is_said() -> None:
    shown = replace(
        RENDERED, failure=FAILED, lapsed=("41215",), standing=("/archive/a.mp4",), delivered=row("delivery")
    )
    assert waits_in_words(shown) == "waits for lesveil recall"
    assert ended_in_words(shown) == ["(what was delivered shows 41215, whose consent has ended)"]


def test_what_was_rejected_and_lies_there_is_to_be_taken_away() -> None:
    left = replace(RENDERED, rejected=REJECTED, standing=("/archive/a.mp4",), delivered=row("delivery"))
    assert "lesveil deliver --remove" in waits_in_words(left)


def test_clips_of_one_name_are_told_apart() -> None:
    one = replace(RENDERED, clip="a" * 64, filmed="2026-11-27", files=("DCIM/100CANON/MVI_0001.MP4",))
    day = replace(one, clip="b" * 64, filmed="2026-11-28")
    folder = replace(one, clip="c" * 64, files=("DCIM/101CANON/MVI_0001.MP4",))
    other = replace(one, clip="d" * 64, files=("DCIM/100CANON/MVI_0002.MP4",))
    assert list(called([one, other]).values()) == ["MVI_0001.MP4", "MVI_0002.MP4"]
    assert list(called([one, day]).values()) == ["MVI_0001.MP4 (2026-11-27)", "MVI_0001.MP4 (2026-11-28)"]
    assert called([one, day, folder])["c" * 64] == "MVI_0001.MP4 (2026-11-27) (101CANON)"
    assert called([one, folder])["c" * 64] == "MVI_0001.MP4 (101CANON)", "what both have in common helps nobody"
    assert called([one, replace(one, clip="e" * 64)])["e" * 64] == "MVI_0001.MP4 (eeeeeeee)"


def test_a_film_that_its_card_keeps_back_is_counted_once_where_its_copy_was_used() -> None:
    one, two = (replace(RENDERED, clip=n * 64, render=None, files=(f"DCIM/{n}.MP4",)) for n in "ab")
    trouble = [("DCIM/b.MP4", CardError("{file} cannot be read.", file="b")), ("DCIM/c.MP4", CardError("no"))]

    def told(done: list[State], failed: list[Any]) -> str:
        return run_card._summary(CardRun(done, failed, [], [], True, None, []))[-1]

    assert told([one, two], trouble[:1]) == "1 of 2 clips was not done."
    assert told([one, two], trouble) == "2 of 3 clips were not done."
    assert told([], trouble) == "2 clips were not done."


@pytest.mark.parametrize(("days", "told"), [(1, True), (0, False), (-1, False)])
def test_a_camera_whose_clock_runs_ahead_is_told(days: int, told: bool) -> None:
    """Nobody is shown in its films, and nothing else says why."""
    done = [replace(RENDERED, render=None, filmed=(date.today() + timedelta(days)).isoformat())]
    said = run_card._summary(CardRun(done, [], [], [], True, None, []))
    assert any(line.startswith("a.mp4 was filmed on") for line in said) == told


def test_why_a_clip_was_deleted_is_said() -> None:
    gone = replace(RENDERED, deleted=Deleted("2026-11-28", "it has served"))
    assert waits_in_words(gone) == "on 2026-11-28, because it has served"


def test_a_report_says_the_stage_and_all_of_that() -> None:
    told = {"stage": "rendered", "said": "waits for lesveil run", "notes": ["(shows 1)", "(shows 2)"]}
    assert stands_at(told) == "rendered, waits for lesveil run (shows 1) (shows 2)"
    assert stands_at({"stage": "wiped", "said": "", "notes": []}) == "wiped"
