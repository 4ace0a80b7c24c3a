"""What doctor finds: one line per thing that must be right, with what to do when it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """``text`` and ``todo`` are sentences in the person's language; ``todo`` is empty when nothing needs doing."""

    state: Literal["good", "warning", "bad"]
    text: str
    todo: str = ""
