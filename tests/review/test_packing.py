"""Records to bytes and back, also when the program has changed in between."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from fractions import Fraction

import numpy as np
import pytest

from pipeline.adapters.packing import pack, unpack
from pipeline.errors import VaultError
from pipeline.records import Decision, Reason, RedactionPlan, Style, Track


@dataclass(frozen=True)
class Old:
    name: str
    when: Fraction
    plan: RedactionPlan
    tracks: list[Track]
    decisions: list[Decision]
    gone: int = 3
    by_id: dict[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    maybe: Reason | None = None


@dataclass(frozen=True)
class New:
    name: str
    plan: RedactionPlan
    tracks: list[Track]
    decisions: list[Decision]
    extra: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Needs:
    name: str
    more: int


def example(tracks: int = 3) -> Old:
    rows = np.arange(4, dtype=np.int32)
    plan = RedactionPlan(
        "les", 4, Style.SOLID, rows, np.ones((4, 4), np.float32), rows.astype(np.uint8), rows, (1, 3), "s", "m", "r"
    )
    made = [
        Track(n, n, np.full((n + 1, 4), n, np.float32), np.zeros(n + 1, np.uint8), rows[:n], 0.5) for n in range(tracks)
    ]
    said = [Decision(n, 0, 2, n % 2 == 0, Reason.MATCHED, "7" if n else None, 0.25) for n in range(tracks)]
    return Old("les", Fraction(1, 3), plan, made, said, 4, {"a": ((1, 2), (3, 4))}, Reason.UNSURE)


@pytest.mark.parametrize("tracks", [0, 1, 2, 40])
def test_what_goes_in_comes_out(tracks: int) -> None:
    before = example(tracks)
    after = unpack(Old, pack(before))
    assert (after.name, after.when, after.gone, after.by_id, after.maybe) == (
        "les",
        Fraction(1, 3),
        4,
        before.by_id,
        Reason.UNSURE,
    )
    assert after.decisions == before.decisions
    assert after.plan.style is Style.SOLID
    assert after.plan.hidden_frames == (1, 3)
    assert np.array_equal(after.plan.region, before.plan.region)
    for one, other in zip(before.tracks, after.tracks, strict=True):
        for each in fields(Track):
            a, b = getattr(one, each.name), getattr(other, each.name)
            assert np.array_equal(a, b), each.name
            assert type(a) is type(b), each.name


def test_a_field_that_went_is_passed_over_and_one_that_came_has_its_default() -> None:
    after = unpack(New, pack(example()))
    assert (after.name, after.extra) == ("les", (1, 2))


def test_a_field_that_is_needed_stops_the_reading() -> None:
    with pytest.raises(VaultError, match="cannot be read"):
        unpack(Needs, pack(example()))


def test_what_is_left_out_is_not_there() -> None:
    data = pack(example(), frozenset({"strength"}))
    assert unpack(New, data).tracks[0].strength == 0.0


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all" * 10])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(VaultError):
        unpack(Old, data)


def test_only_plain_things_are_kept() -> None:
    with pytest.raises(TypeError):
        pack(Needs("x", object()))  # type: ignore[arg-type]
