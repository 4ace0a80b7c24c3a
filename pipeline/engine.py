"""Where work runs. So far: here, one clip after the other; every stage uses all cores by itself.

Work functions live at module level and take plain data, so that other engines can send them elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Runs one function over many items and hands out results in order, each as soon as it is there."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]: ...


class Here:
    """In this process."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """``work`` on each item in turn; its exceptions reach the caller."""
        for item in items:
            yield work(item)
