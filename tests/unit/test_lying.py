"""What of one clip lies where it was brought, or may, told by its rows alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters.ledger import Entry
from pipeline.lesson.lying import BACK, LOST, SENDING, UNSENT, ends, may_lie, standing, unsettled

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
    for kind, over in (("delivery", "delivery_removed"), (SENDING, UNSENT), (SENDING, "delivery_removed")):
        known = rows((kind, {}), (LOST, {"row": 1}), (BACK, {"row": 1}), (over, {}))
        assert may_lie(known) == []


def test_what_arrived_is_no_longer_on_its_way() -> None:
    known = rows((SENDING, {}), ("delivery", {}))
    assert ([one.seq for one in standing(known)], unsettled(known)) == ([2], [])


def test_how_a_delivery_ended_is_told_of_the_disk_that_it_lay_on() -> None:
    """A film brought again to the place of a lost disk is another one; brought to where it lies, it is the same."""
    known = rows(("delivery", {}), ("delivery", {}), (LOST, {"row": 2}), ("delivery", {}), (LOST, {"row": 4}))
    assert {seq: row.seq for seq, row in ends(known).items()} == {1: 3, 2: 3, 4: 5}
    back = rows(*((row.kind, row.payload) for row in known), (BACK, {"row": 2}), ("delivery", {"sha256": "b"}))
    assert {seq: row.seq for seq, row in ends(back).items()} == {1: 7, 2: 7, 4: 5}


def test_a_film_that_lay_on_two_disks_at_one_place_comes_back_once() -> None:
    """An older version let a lost disk come back beside the one that had its place since."""
    kinds = ("delivery", LOST, "delivery", BACK, "delivery", LOST, BACK)
    known = rows(*((kind, {}) for kind in kinds))
    assert {seq: row.seq for seq, row in ends(known[:6]).items()} == {1: 6, 3: 6, 5: 6}
    assert (ends(known), [one.seq for one in standing(known)]) == ({}, [5])


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("xy"), st.sampled_from("ab"), st.integers(0, 9))))
def test_what_did_not_end_lies_where_it_was_brought(steps: list[tuple[int, str, str, int]]) -> None:
    said: list[tuple[str, dict[str, Any]]] = []
    for what, where, sha256, which in steps:
        known = rows(*said)
        lying, lost = standing(known), {seq for seq, by in ends(known).items() if by.kind == LOST}
        gone = [row for row in known if row.kind == LOST and row.payload["row"] in lost]
        if what <= 1:
            said.append(("delivery", {"where": where, "sha256": sha256}))
        elif what == 2:
            said.append(("delivery_removed", {"where": where, "sha256": sha256}))
        elif what == 3 and lying:
            row = lying[which % len(lying)]
            said.append((LOST, row.payload | {"row": row.seq}))
        elif what == 4 and gone:
            said.append((BACK, gone[which % len(gone)].payload))
    known = rows(*said)
    over = ends(known)
    left = [row for row in known if row.kind == "delivery" and row.seq not in over]

    def places(found: list[Entry]) -> set[tuple[str, str]]:
        return {(row.payload["where"], row.payload["sha256"]) for row in found}

    assert places(left) == places(standing(known))
    assert not {row.seq for row in standing(known)} & over.keys()
