"""What the page asks of the house it stands in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from pipeline.views import ClipRow, ClipView, LogRow, Offered, Role, Work


class House(Protocol):
    """Every method may be called from several threads, and raises LesveilError with a sentence for the person."""

    def clips(self) -> list[ClipRow]: ...

    def row(self, id: str) -> ClipRow: ...

    def clip(self, id: str) -> ClipView: ...

    def file(self, id: str, digest: str) -> Path: ...

    def picture(self, id: str, digest: str, track: int) -> bytes: ...

    def original(self, id: str, track: int, number: int, by: str) -> bytes: ...

    def offered(self, id: str) -> list[Offered]: ...

    def add(self, id: str, asked: dict[str, Any], by: str, role: Role) -> str: ...

    def undo(self, id: str, repair: str, by: str, role: Role) -> None: ...

    def judge(
        self,
        id: str,
        digest: str,
        by: str,
        approve: bool,
        despite: bool = False,
        despite_rejection: bool = False,
        played: float | None = None,
    ) -> None: ...

    def looked(self, id: str, digest: str, by: str) -> None: ...

    def work(self, id: str) -> Work: ...

    def log(self) -> list[LogRow]: ...
