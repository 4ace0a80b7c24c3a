"""What a printed report makes of what the ledger tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.lesson.report_page import _once, write_page


def delivery(at: str, where: str = "a.mp4", **more: Any) -> dict[str, Any]:
    return {"at": at, "where": where, "sha256": "1", "shows": ["41207"], "removed_at": None} | more


@pytest.mark.parametrize("name", ["report.pdf", "report", "report.docx"])
def test_a_report_that_no_browser_would_open_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"ends in \.html"):
        write_page(tmp_path / name, {}, "report")
    assert list(tmp_path.iterdir()) == []


def test_a_delivery_that_is_told_again_is_read_once() -> None:
    """As it is when its folder becomes the archive; what became of something else is told."""
    first, again = delivery("2026-11-28T10:12"), delivery("2026-11-28T10:13")
    others = [delivery("2026-11-28T10:14", "b.mp4"), delivery("2026-11-28T10:15", removed_at="2026-11-29T10:00")]
    assert _once([first, again, *others]) == [first, *others]
