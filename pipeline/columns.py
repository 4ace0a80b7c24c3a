"""Arrays that grow at their end, for what becomes more with the film."""

from __future__ import annotations

from typing import Any

import numpy as np

SPARE, FEW = 16, 256
"""Whenever there is no room left, there is made room for a sixteenth more, and for so many rows."""


class Column:
    """Rows of one kind and shape in one piece: a lesson's worth of small arrays would take twice the memory."""

    def __init__(self, kind: type, *shape: int) -> None:
        self._rows: Any = np.empty((0, *shape), kind)
        self._used = 0

    def add(self, rows: Any) -> None:
        """Put rows (N, ...) at the end."""
        start, self._used = self._used, self._used + len(rows)
        if self._used > len(self._rows):
            self._grow(self._used + self._used // SPARE + FEW)
        self._rows[start : self._used] = rows

    def taken(self) -> Any:
        """All rows; the column gives them up."""
        self._grow(self._used)
        rows, self._rows, self._used = self._rows, self._rows[:0].copy(), 0
        return rows

    def _grow(self, count: int) -> None:
        # in place where the system can, so that the rows are not there twice; nobody else holds on to them
        self._rows.resize((count, *self._rows.shape[1:]), refcheck=False)
