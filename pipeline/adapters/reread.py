"""Reading a working copy back while it is still being written: what was flushed a moment ago is proved already.

A stretch that was written is flushed to the medium, dropped from the system's cache, read again, authenticated chunk by
chunk, and hashed film by film, in threads of their own; so proving a copy takes hardly longer than making it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import xxhash

from pipeline.adapters import files
from pipeline.errors import VaultError

STRETCH = 32
"""Chunks that are proved at a time: 16 MiB."""

LAG = 4
"""Stretches that may wait to be proved. Who writes waits for them then, or in the end one core would still prove while
the others have nothing to do."""

AT_ONCE = 2
"""Chunks that are read in one call."""

Unseal = Callable[[memoryview, int, bool], memoryview]
"""Opens one sealed chunk, given its number and whether it is the last; good until the next. Raises VaultError."""


class Reread:
    """Follows a writer of sealed chunks of ``step`` bytes, which begin at ``start`` of ``path``; a context manager.

    ``sizes`` are those of the films, in bytes of clear text, that lie end to end in the copy.
    """

    def __init__(self, path: Path, start: int, step: int, unseal: Unseal, sizes: Sequence[int]) -> None:
        self._path, self._start, self._step, self._unseal = path, start, step, unseal
        self._left = list(sizes)
        self._hash = xxhash.xxh128()
        self._found: list[str] = []
        self._asked = 0
        self._jobs: list[Future[None]] = []
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="lesveil-flush")
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lesveil-reread")
        self._buffer = bytearray(AT_ONCE * step)
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed when this is left

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file: Windows renames and removes none that is open."""
        self._flusher.shutdown(cancel_futures=True)
        self._pool.shutdown(cancel_futures=True)
        self._file.close()

    def advance(self, chunks: int) -> None:
        """So many chunks are written: prove the stretches that are whole. Raises what went wrong with earlier ones."""
        while chunks - self._asked >= STRETCH:
            self._ask(self._asked + STRETCH, False)
        while self._jobs and (len(self._jobs) > LAG or self._jobs[0].done()):
            self._jobs.pop(0).result()

    def ask_rest(self, chunks: int) -> None:
        """The copy is whole, of so many chunks: prove what is left of it, meanwhile."""
        self._ask(chunks, True)

    @property
    def done(self) -> bool:
        """Whether `rest` would not wait."""
        return all(job.done() for job in self._jobs)

    def rest(self) -> list[str]:
        """Wait for it, and let go of the file: XXH128 in hex of each film. Raises VaultError."""
        for job in self._jobs:
            job.result()
        self._jobs.clear()
        self.close()
        return self._found

    def _ask(self, stop: int, whole: bool) -> None:
        at, size = self._start + self._asked * self._step, (stop - self._asked) * self._step
        flushed = self._flusher.submit(self._flush, at, size, whole)
        self._jobs.append(self._pool.submit(self._prove, self._asked, stop, whole, flushed))
        self._asked = stop

    def _prove(self, first: int, stop: int, whole: bool, flushed: Future[None]) -> None:
        flushed.result()
        self._file.seek(self._start + first * self._step)
        for index in range(first, stop, AT_ONCE):
            count = min(AT_ONCE, stop - index)
            read = memoryview(self._buffer)[: count * self._step]
            size = 0
            while more := self._file.readinto(read[size:]):  # disks across a network may give less than was asked
                size += more
            for n in range(count):
                sealed = read[n * self._step : min(size, (n + 1) * self._step)]
                last = whole and index + n == stop - 1
                self._take(self._unseal(sealed, index + n, last))
        if whole and (self._left or self._file.read(1)):
            raise VaultError("{file} is not the copy that was written.", file=self._path)

    def _flush(self, at: int, size: int, whole: bool) -> None:
        """To the medium, and out of the system's cache where that can be asked for; then it is soon on its way back."""
        if whole:
            files.sync_file(self._path)
        elif hasattr(os, "fdatasync"):
            os.fdatasync(self._file.fileno())
        files.drop_stretch(self._file.fileno(), at, size)
        files.fetch_stretch(self._file.fileno(), at, size)

    def _take(self, data: memoryview) -> None:
        while data:
            if not self._left:
                raise VaultError("{file} is not the copy that was written.", file=self._path)
            piece = data[: self._left[0]]
            self._hash.update(piece)
            data = data[len(piece) :]
            self._left[0] -= len(piece)
            if not self._left[0]:
                self._left.pop(0)
                self._found.append(self._hash.hexdigest())
                self._hash = xxhash.xxh128()
