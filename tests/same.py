"""Two records of one kind, equal to the bit: arrays in them, and records in them, by what they hold."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def assert_equal(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert (a.dtype, a.shape) == (b.dtype, b.shape), field.name
            np.testing.assert_array_equal(a, b, field.name)
        elif is_dataclass(a):
            assert_equal(a, b)
        else:
            assert a == b, field.name
