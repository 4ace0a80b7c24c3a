"""Hashing beside other work: it takes longer than reading or encrypting, and needs no interpreter lock."""

from __future__ import annotations

import hashlib
import queue
import threading
from types import TracebackType
from typing import Self

import xxhash

DEPTH = 8
"""Blocks that may wait to be hashed; memory stays flat."""


class Digests:
    """SHA-256 and XXH128 of one file after another, computed in a thread; a context manager.

    The blocks given to ``update`` must not change afterwards.
    """

    def __init__(self) -> None:
        self._queue: queue.Queue[bytes | memoryview | threading.Event | None] = queue.Queue(DEPTH)
        self._fresh()
        self._thread = threading.Thread(target=self._work, name="lesveil-hash", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._queue.put(None)
        self._thread.join()

    def update(self, block: bytes | memoryview) -> None:
        self._queue.put(block)

    def next(self) -> tuple[str, str]:
        """(SHA-256, XXH128) in hex of all blocks since the last call, and begin anew."""
        done = threading.Event()
        self._queue.put(done)
        done.wait()
        found = self._sha.hexdigest(), self._xxh.hexdigest()
        self._fresh()
        return found

    def _fresh(self) -> None:
        self._sha, self._xxh = hashlib.sha256(), xxhash.xxh128()

    def _work(self) -> None:
        while (given := self._queue.get()) is not None:
            if isinstance(given, threading.Event):
                given.set()
            else:
                self._sha.update(given)
                self._xxh.update(given)
