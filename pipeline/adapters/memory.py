"""Memory that was freed, handed back to the system."""

from __future__ import annotations

import contextlib
import ctypes


def give_back() -> None:
    """Let the system have what is free. glibc keeps freed memory for later, some hundred MB after the pictures of a
    clip were looked at; where the C library is another, nothing happens."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # nothing depends on it
        ctypes.CDLL(None).malloc_trim(0)
