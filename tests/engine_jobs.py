"""Work functions for the tests of engines: a worker finds them by their names."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from pipeline.errors import DiskFullError
from pipeline.geometry import overlaps

LOADED: list[object] = []


def doubled(n: int) -> int:
    return 2 * n


def length(item: bytes) -> int:
    return len(item)


def not_heard(_: int) -> set[int]:
    """The signals that this process was born deaf to."""
    return {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])}


def fills(_: int) -> None:
    """Takes memory and keeps it."""
    LOADED.append(np.ones(300 << 20, np.uint8))


def slowly(n: int) -> int:
    time.sleep(0.2 if n == 0 else 0.0)
    return n


def pid_and_loads(_: int) -> tuple[int, int]:
    """Which process, and how often it loaded something: once, however many jobs it does."""
    if not LOADED:
        LOADED.append(1)
    time.sleep(0.05)
    return os.getpid(), len(LOADED)


def full(n: int) -> int:
    if n == 3:
        raise DiskFullError("The disk is full: {file} was not written; make room and try again.", file=Path("a.mp4"))
    return n


def broken(n: int) -> int:
    raise ValueError(f"no {n}")


def breaks(_: int) -> object:
    return overlaps(np.zeros(4, np.float32), None)  # a mistake of ours, deep inside


def unpicklable(_: int) -> object:
    return lambda: None


nameless = lambda: 1  # noqa: E731 -- a function that no other process finds by its name


def unpicklable_by_name(_: int) -> object:
    return nameless


def dies_once(folder: str) -> str:
    """Killed in the middle of its first try, as by the system when memory runs out."""
    mark = Path(folder) / "died"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def freezes_once(folder: str) -> str:
    """Stands still in the middle of its first try, and is not gone."""
    mark = Path(folder) / "frozen"
    if not mark.exists():
        mark.write_text(str(os.getpid()), encoding="ascii")
        os.kill(os.getpid(), signal.SIGSTOP)
    return "done"


def freezes_always(n: int) -> int:
    if n == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    return n


def dies_always(n: int) -> int:
    if n == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def noted(item: tuple[str, str, float]) -> str:
    """Appends its name to a file, so that the order of work can be read."""
    path, name, seconds = item
    with open(path, "a", encoding="ascii") as file:
        file.write(name + "\n")
    time.sleep(seconds)
    return name
