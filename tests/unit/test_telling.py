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
        ("delivery_lost", {"target": "folder", "by": "Geertje"}, "folder"),
        ("approval", {"verdict": "rejected", "by": "Geertje"}, "rejected"),
        ("look", {"track": 3, "frame": 40}, "3:40"),
        ("watched", {"by": "Geertje"}, ""),
    ],
)
def test_what_a_row_is_about(kind: str, payload: dict[str, Any], what: str) -> None:
    told = log_row(row(kind, **payload), {"ab": "les.mp4"}, {})
    assert (told.what, told.clip, told.by) == (what, "les.mp4", payload.get("by", ""))
    assert kind in TOLD


def test_what_a_recall_made_was_approved_by_nobody() -> None:
    told = log_row(row("approval", verdict="approved", by="Geertje", carried="d"), {}, {})
    assert (told.by, told.what, told.of) == ("", "carried", "Geertje")
    assert "overgenomen van de goedkeuring van Geertje" in words.kind(Speech("nl"), told.what, told.of)


def test_whose_rejection_was_taken_back_is_told() -> None:
    told = log_row(row("approval", verdict="approved", by="Geertje", despite_rejection=7), {}, {7: "Truus"})
    assert (told.by, told.what, told.of) == ("Geertje", "despite_rejection", "Truus")
    assert words.kind(Speech("en"), told.what, told.of) == "approved, which took back the rejection by Truus"


def test_who_is_like_no_template_is_not_said_to_have_refused() -> None:
    """They may have agreed, and not be enrolled."""
    assert words.reason(Speech("nl"), "stranger") == "Lijkt op niemand die herkend mag worden."
    assert "agreed" not in words.reason(Speech("en"), "stranger")


@pytest.mark.parametrize("key", ["folder", "carried", "despite_rejection"])
def test_every_word_beside_a_row_is_in_both_languages(key: str) -> None:
    assert words.kind(Speech("nl"), key) != words.kind(Speech("en"), key)


@pytest.mark.parametrize("kind", TOLD)
def test_every_row_that_is_told_has_a_name_in_both_languages(kind: str) -> None:
    assert words.kind(Speech("nl"), kind) != words.kind(Speech("en"), kind)
