"""What is worth a look is said in one place: narrow escapes on either side, and nothing that people decided."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.doubt import NARROW, doubtful, doubts
from pipeline.records import Decision, Reason
from pipeline.stages.decide import decide
from tests.faces import ANN, EYE, STRANGER, ask, beside, every

MATCHED = Decision(1, 0, 50, True, Reason.MATCHED, "ann", 0.2, 0.05, "g")
WORTH = {Reason.UNSURE, Reason.AMBIGUOUS, Reason.TWO_PLACES}


def test_whoever_is_shown_by_a_narrow_margin_is_in_doubt():
    assert not doubtful(MATCHED)
    assert not doubtful(replace(MATCHED, margin=NARROW))
    assert doubtful(replace(MATCHED, margin=NARROW - 0.001))
    assert doubtful(replace(MATCHED, margin=None))  # nobody can say by how much: look


@pytest.mark.parametrize("reason", [one for one in Reason if one is not Reason.MATCHED])
def test_of_the_hidden_those_who_may_have_agreed_are_in_doubt(reason: Reason):
    hidden = reason is not Reason.NAMED_BY_HAND
    assert doubtful(Decision(1, 0, 50, not hidden, reason)) is (reason in WORTH)


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 40)), max_size=6))
def test_moments_are_in_order_apart_and_hold_every_doubt(stretches):
    unsure = [Decision(n, a, a + long, False, Reason.UNSURE) for n, (a, long) in enumerate(stretches[::2])]
    held = [(a, a + long) for a, long in stretches[1::2]]
    found = doubts([*unsure, MATCHED], lambda frame: frame / 25, held=held)
    assert found == sorted(found)
    assert all(b[0] - a[1] > 1 - 0.02 for a, b in itertools.pairwise(found))
    for start, stop in [(d.start, d.stop) for d in unsure] + held:
        assert any(a - 0.01 <= start / 25 and stop / 25 <= b + 0.01 for a, b in found)


def test_moments_are_told_by_the_clock_of_the_film():
    """Two hundred frames in two seconds, then one a second."""
    unsure = [Decision(1, a, b, False, Reason.UNSURE) for a, b in ((190, 203), (208, 210))]
    found = doubts(unsure, lambda frame: frame / 100 if frame < 200 else frame - 198.0)
    assert found == [[1.9, 5.0], [10.0, 12.0]]


@given(st.floats(0.1, 0.25), st.floats(0.3, 0.5))
def test_every_kept_stretch_carries_its_margin_and_the_report_its_doubt(near, other):
    """From the views to the decision: filled in, and the lesser of the two margins."""
    rows = every(10, 0, 60, beside(ANN.template, near, EYE[2])), every(10, 0, 60, STRANGER)
    ben = replace(ANN, id="ben", template=beside(ANN.template, other, EYE[1]))
    tracks, identities = ask(*rows, people=[ANN, ben])
    for one in decide(tracks, identities, {"ann": "g", "ben": "g"}):
        if one.keep:
            assert one.margin is not None
            assert one.margin >= 0
            assert doubtful(one) is (one.margin < NARROW)
        elif one.reason is Reason.STRANGER:
            assert not doubtful(one)
