"""The log as the reviewers' page tells it."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.adapters.ledger import Entry
from pipeline.lesson.telling import TOLD, log_row
from pipeline.messages import Speech
from pipeline.review import words

AT = "2026-11-26T10:00:00+00:00"


def row(kind: str, **payload: Any) -> Entry:
    return Entry(1, AT, kind, "ab", payload, "", "")


@pytest.mark.parametrize(
    ("kind", "payload", "what"),
    [
        ("withdrawal", {"person": "41215", "day": "2026-11-26"}, "41215"),
        ("withdrawal", {"person": "41215", "day": "2027-01-01"}, "41215 (2027-01-01)"),
        ("delivery", {"target": "folder"}, "folder"),
        ("delivery_removed", {"target": "onedrive"}, "onedrive"),
        ("approval", {"verdict": "rejected", "by": "Geertje"}, "rejected"),
        ("look", {"track": 3, "frame": 40}, "3:40"),
        ("watched", {"by": "Geertje"}, ""),
    ],
)
def test_what_a_row_is_about(kind: str, payload: dict[str, Any], what: str) -> None:
    told = log_row(row(kind, **payload), {"ab": "les.mp4"})
    assert (told.what, told.clip, told.by) == (what, "les.mp4", payload.get("by", ""))
    assert kind in TOLD


@pytest.mark.parametrize("kind", TOLD)
def test_every_row_that_is_told_has_a_name_in_both_languages(kind: str) -> None:
    assert words.kind(Speech("nl"), kind) != words.kind(Speech("en"), kind)
