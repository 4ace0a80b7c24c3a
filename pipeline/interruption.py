"""Ctrl-C, remembered until it has been heeded.

An interruption is raised wherever the interpreter happens to be; inside of a file that FFmpeg reads from, FFmpeg gets
it, takes it for the end of the file and goes on, as if the film were shorter than it is. So whoever reads asks here.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import NoReturn

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C, a polite request to end, and a terminal that was closed."""

OF_A_TERMINAL = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))
"""What a terminal sends to the workers that a command started, too, though it is the command that heeds it."""

_asked = False
"""Not a threading.Event: its lock would be waited for without end by a second signal while the first one holds it."""


def heed() -> None:
    """Raise KeyboardInterrupt if one was asked for while a command is at work."""
    if _asked:
        raise KeyboardInterrupt


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Take the signals that end a command, for as long as it is at work. What is ignored (nohup, a job in the
    background) stays so; threads other than the first cannot, and leave it. An interruption that nobody can raise is
    not printed: it will be heeded."""
    global _asked
    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, _interrupt) for number in heeded}
    hooks = sys.excepthook, sys.unraisablehook
    sys.excepthook = lambda kind, error, trace: None if kind is KeyboardInterrupt else hooks[0](kind, error, trace)
    sys.unraisablehook = lambda what: None if what.exc_type is KeyboardInterrupt else hooks[1](what)
    try:
        yield
    finally:
        sys.excepthook, sys.unraisablehook = hooks
        _asked = False
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def kept_from_workers() -> Iterator[None]:
    """A process that is started inside hears nothing of a terminal: before it comes to ignore that, it would die of it,
    with a trace. What comes meanwhile is heeded here, at the end if no other thread takes it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # where it is started it opens the signals again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OF_A_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt(*_: object) -> NoReturn:
    global _asked
    _asked = True
    raise KeyboardInterrupt
