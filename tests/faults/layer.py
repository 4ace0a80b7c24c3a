"""The layer: every call that changes a disk is a numbered point at which the process can be killed, or be refused.

Points are each write to a file (before it, and again with half of it written), each flush, rename, link, unlink,
truncation, new folder and new file, and each BEGIN and COMMIT of the ledger. Between two points nothing on a disk
changes, so that killing before each is killing anywhere.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
import sqlite3
from collections.abc import Callable
from typing import Any

SECTOR = 512


class Layer:
    """Counts points from 1; at ``at`` the process is killed, or, with ``error`` (an errno), that call fails once."""

    def __init__(self, at: int = 0, error: int = 0) -> None:
        self.at, self.error, self.count = at, error, 0
        self.kinds: dict[str, int] = {}

    def point(self, kind: str, can_fail: bool = True) -> None:
        self.count += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if self.count != self.at:
            return
        if not self.error:
            os.kill(os.getpid(), signal.SIGKILL)
        elif can_fail:
            raise OSError(self.error, os.strerror(self.error))

    def install(self) -> None:
        """Put the layer under this process, for good."""
        for name in ("fsync", "fdatasync", "rename", "replace", "link", "unlink", "truncate", "ftruncate", "mkdir"):
            setattr(os, name, self._before(name, getattr(os, name)))
        really_open = os.open

        def counted_open(path: Any, flags: int, *more: Any, **named: Any) -> int:
            if flags & os.O_CREAT:
                self.point("create")
            return really_open(path, flags, *more, **named)

        os.open = counted_open
        plain_open = builtins.open

        def layered_open(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
            opened = plain_open(file, mode, *more, **named)
            return _Written(opened, self) if set(mode) & set("wax+") and "b" in mode else opened

        builtins.open = layered_open  # type: ignore[assignment]
        connect = sqlite3.connect

        def traced(*args: Any, **named: Any) -> sqlite3.Connection:
            connection = connect(*args, **named)
            connection.set_trace_callback(self._statement)
            return connection

        sqlite3.connect = traced  # type: ignore[assignment]

    def _before(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            self.point(kind)
            return call(*args, **named)

        return counted

    def _statement(self, text: str) -> None:
        if text.startswith(("BEGIN", "COMMIT")):
            self.point(text.split()[0].lower(), can_fail=False)


class _Written:
    """A file whose writes are points."""

    def __init__(self, file: Any, layer: Layer) -> None:
        self._file, self._layer = file, layer

    def write(self, data: Any) -> int:
        self._layer.point("write")
        view = memoryview(data).cast("B")
        half = len(view) // 2
        if isinstance(self._file, io.FileIO):
            half = half // SECTOR * SECTOR  # straight to the medium: a sector is written whole or not at all
            if not half:
                return int(self._file.write(view))
        done = int(self._file.write(view[:half]))
        if done < half:
            return done
        if self._layer.count + 1 == self._layer.at:
            self._file.flush()  # the worst case: what was written so far is on the disk
        self._layer.point("half a write")
        return done + int(self._file.write(view[half:]))

    def truncate(self, *size: int) -> int:
        self._layer.point("truncate")
        return int(self._file.truncate(*size))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Written:
        self._file.__enter__()
        return self

    def __exit__(self, *gone: Any) -> Any:
        return self._file.__exit__(*gone)

    def __iter__(self) -> Any:
        return iter(self._file)
