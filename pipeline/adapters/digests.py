"""Hashing beside other work: it takes longer than reading or encrypting, and needs no interpreter lock."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import xxhash

WAITING = 3
"""Blocks that may await being hashed, so that neither side waits for the other's every hiccup."""


class Digests:
    """SHA-256 and XXH128 of one file after another, computed in a thread, one block at a time; a context manager.

    A block given to ``update`` must not change until `WAITING` more were given: ``WAITING + 1`` buffers that are filled
    in turn will do, and nothing has to be copied.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lesveil-hash")
        self._working: deque[Future[None]] = deque()
        self._sha, self._xxh = hashlib.sha256(), xxhash.xxh128()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown()

    def update(self, block: bytes | memoryview) -> None:
        """Hash a block; waits until the one `WAITING` before it is hashed."""
        self._wait(WAITING - 1)
        self._working.append(self._pool.submit(self._hash, block))

    def next(self) -> tuple[str, str]:
        """(SHA-256, XXH128) in hex of all blocks since the last call, and begin anew."""
        self._wait(0)
        found = self._sha.hexdigest(), self._xxh.hexdigest()
        self._sha, self._xxh = hashlib.sha256(), xxhash.xxh128()
        return found

    def _wait(self, left: int) -> None:
        while len(self._working) > left:
            self._working.popleft().result()

    def _hash(self, block: bytes | memoryview) -> None:
        self._sha.update(block)
        self._xxh.update(block)
