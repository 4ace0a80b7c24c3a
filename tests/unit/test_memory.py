"""Freed memory goes back to the system; where it cannot, nothing happens."""

from __future__ import annotations

import ctypes
from unittest.mock import patch

import numpy as np
import pytest

from pipeline.adapters.memory import give_back
from pipeline.columns import Column
from pipeline.records import F32


@pytest.mark.parametrize("fault", [OSError, TypeError, AttributeError])
def test_another_system_does_not_mind(fault):
    with patch.object(ctypes, "CDLL", side_effect=fault):
        give_back()


def test_it_can_be_asked_again_and_again():
    for _ in range(3):
        give_back()


def test_a_column_holds_what_was_put_in_and_gives_it_up_once():
    column, parts = Column(np.float32, 4), []
    random = np.random.default_rng(3)
    for count in random.integers(0, 90, 200).tolist():
        rows: F32 = random.uniform(0, 1, (count, 4)).astype(np.float32)
        parts.append(rows)
        column.add(rows)
    np.testing.assert_array_equal(column.taken(), np.concatenate(parts))
    assert column.taken().shape == (0, 4)


def test_a_column_takes_little_more_than_what_is_in_it():
    column = Column(np.uint8, 128)
    for _ in range(3000):
        column.add(np.ones((70, 128), np.uint8))
    assert column._rows.nbytes < 1.1 * 3000 * 70 * 128
