"""What of one clip lies where it was brought, or may, told by its rows alone."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.adapters.ledger import Entry
from pipeline.lesson.state import BACK, LOST, SENDING, UNSENT, may_lie, standing, unsettled

PLACE = "/archief/les.mp4"


def rows(*said: tuple[str, dict[str, Any]]) -> list[Entry]:
    of_all = {"where": PLACE, "sha256": "a", "target": "folder"}
    return [
        Entry(seq, "2026-11-28T09:00:00+00:00", kind, "clip", of_all | payload, "", "")
        for seq, (kind, payload) in enumerate(said, 1)
    ]


@pytest.mark.parametrize("kind", ["delivery", SENDING])
@pytest.mark.parametrize(("about", "back"), [({}, {}), ({"row": 1}, {"row": 1})])
def test_what_was_brought_in_the_place_of_a_lost_disk_is_not_forgotten_when_that_comes_back(
    kind: str, about: dict[str, Any], back: dict[str, Any]
) -> None:
    """Rows of an older version do not say which delivery they are about, and it let the disk come back beside it."""
    known = rows((kind, {}), (LOST, about), (kind, {"sha256": "b"}), (BACK, back))
    assert sorted(one.seq for one in may_lie(known)) == [1, 3]
    assert [one.seq for one in may_lie(known[:3])] == [3]


def test_what_is_taken_away_lies_nowhere_whoever_came_back() -> None:
    for kind, ends in (("delivery", "delivery_removed"), (SENDING, UNSENT), (SENDING, "delivery_removed")):
        known = rows((kind, {}), (LOST, {"row": 1}), (BACK, {"row": 1}), (ends, {}))
        assert may_lie(known) == []


def test_what_arrived_is_no_longer_on_its_way() -> None:
    known = rows((SENDING, {}), ("delivery", {}))
    assert ([one.seq for one in standing(known)], unsettled(known)) == ([2], [])
