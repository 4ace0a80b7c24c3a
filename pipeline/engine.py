"""Where work runs: here, in processes of this machine, or on a Dask cluster.

Work functions live at module level and take plain data, so that they can be sent elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, Self, TypeVar

from pipeline import settings

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Runs one function over many items and hands out results in order, each as soon as it is there.

    ``workers`` items are worked on at once, each with ``threads`` threads. Several threads may call ``map``.
    """

    workers: int
    threads: int

    def map(self, work: Callable[[Item], Result], items: Iterable[Item], priority: int = 0) -> Iterator[Result]:
        """``work`` on each item. Of those that wait, a higher ``priority`` goes first. Only a few items more than there
        are workers are taken before the first result is fetched. An exception of ``work`` reaches the caller, and what
        is left of its items is dropped; a worker that dies costs only what it was at, which another takes over.
        Raises WorkerError when an item has brought several workers down.
        """
        ...

    def close(self) -> None:
        """Let the workers go. What is still at work is given up."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Here:
    """In this process, one after the other; every stage uses all cores by itself."""

    workers = 1
    threads = 0

    def map(self, work: Callable[[Item], Result], items: Iterable[Item], priority: int = 0) -> Iterator[Result]:
        """``work`` on each item in turn; its exceptions reach the caller."""
        for item in items:
            yield work(item)

    def close(self) -> None:
        """Nothing to let go."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def opened(chosen: settings.Engine) -> Engine:
    """The engine that the settings choose. Raises EngineError when it cannot be had."""
    if chosen.kind == "dask":
        from pipeline.cluster import Dask

        return Dask(chosen)
    if chosen.kind == "processes":
        from pipeline.processes import Processes, cores

        return Processes(chosen.workers or max(1, cores() // 2))
    return Here()


def side_by_side(engine: Engine, work: Callable[[Item, int], None], items: Sequence[Item]) -> None:
    """``work`` on each film, as many at once as there are workers: one film alone may leave some of them idle.

    It is told among how many it is that go side by side: 1 where they go one after the other. What it raises ends all.
    """
    threads = min(len(items), engine.workers)
    if threads <= 1:
        for item in items:
            work(item, 1)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="lesveil-clip")
    try:
        list(pool.map(lambda item: work(item, len(items)), items))
    except BaseException:
        engine.close()  # so that no film waits for its workers any longer
        raise
    finally:
        pool.shutdown(cancel_futures=True)
