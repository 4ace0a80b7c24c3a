"""As on Windows: a file that this process holds open is neither renamed nor removed nor replaced.

Python opens files there without sharing their deletion, and so does SQLite. What others do is not seen here, and of the
rules for names and folders nothing. ``LESVEIL_SHARING=windows pytest`` holds all tests to it (Linux, by /proc), but for
claims on a name, of which Windows has its own way (`files.claim`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

OPEN = "/proc/self/fd"
NAMES = {"unlink": 1, "remove": 1, "rename": 2, "replace": 2, "link": 1}
"""What is watched, and how many of the paths given may not be open. By a link a file is renamed that is not to replace
another; on Windows a rename does that."""


def held(path: str) -> bool:
    for number in os.listdir(OPEN):
        try:
            if os.readlink(f"{OPEN}/{number}") == path:
                return True
        except OSError:  # the listing itself, closed by now
            continue
    return False


def keep(patch: Callable[[str, Callable[..., Any]], None]) -> None:
    """Have these rules kept from here on; ``patch`` puts a function of `os` in the place of another."""
    for name, count in NAMES.items():
        patch(name, _guarded(getattr(os, name), count))


def _guarded(real: Callable[..., Any], count: int) -> Callable[..., Any]:
    def guarded(*paths: Any, **more: Any) -> Any:
        if not any(more.get(key) is not None for key in ("dir_fd", "src_dir_fd", "dst_dir_fd")):
            for path in paths[:count]:
                if not os.fspath(path).endswith(".claim") and held(
                    os.path.join(os.path.realpath(os.path.dirname(os.fspath(path))), os.path.basename(path))
                ):
                    raise PermissionError(13, "it is open, which Windows does not allow", os.fspath(path))
        return real(*paths, **more)

    return guarded
