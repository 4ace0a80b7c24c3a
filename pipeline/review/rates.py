"""How often somebody may ask: a bucket that fills with time and is emptied by asking."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST_KEYS = 4096
"""Buckets that are remembered; the one that was asked least recently is forgotten first."""


@dataclass(frozen=True)
class Rate:
    """``burst`` askings at once, and ``per_second`` more as time goes by."""

    burst: float
    per_second: float


SIGN_IN = Rate(8, 1 / 30)
"""Passwords tried for one name."""
PASSWORDS = Rate(40, 1 / 5)
"""Passwords tried from one address: a school may have one address for everybody."""
ORIGINALS = Rate(30, 1.0)
CHANGES = Rate(60, 5.0)
READS = Rate(400, 60.0)
STRANGERS = Rate(60, 5.0)


class Rates:
    """One bucket per key. Threads share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[tuple[str, Rate], tuple[float, float]] = OrderedDict()

    def wait(self, key: str, rate: Rate) -> float:
        """Seconds to wait before asking again; 0 when it is allowed now, and then it counts."""
        with self._lock:
            now = self._clock()
            left, at = self._left.pop((key, rate), (rate.burst, now))
            left = min(rate.burst, left + (now - at) * rate.per_second)
            allowed = left >= 1
            self._left[key, rate] = (left - 1 if allowed else left, now)
            while len(self._left) > MOST_KEYS:
                self._left.popitem(last=False)
            return 0.0 if allowed else (1 - left) / rate.per_second
