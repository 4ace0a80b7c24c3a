"""What a printed report makes of what the ledger tells."""

from __future__ import annotations

from typing import Any

from pipeline.lesson.report_page import _once


def delivery(at: str, where: str = "a.mp4", **more: Any) -> dict[str, Any]:
    return {"at": at, "where": where, "sha256": "1", "shows": ["41207"], "removed_at": None} | more


def test_a_delivery_that_is_told_again_is_read_once() -> None:
    """As it is when its folder becomes the archive; what became of something else is told."""
    first, again = delivery("2026-11-28T10:12"), delivery("2026-11-28T10:13")
    others = [delivery("2026-11-28T10:14", "b.mp4"), delivery("2026-11-28T10:15", removed_at="2026-11-29T10:00")]
    assert _once([first, again, *others]) == [first, *others]
