"""What a target of approved clips is: it puts, looks again, takes away and lists, wherever it lies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.adapters import files
from pipeline.errors import DeliveryError
from pipeline.records import Delivery

HEADS = "lesveil-ledger"
"""Folder at the target that holds the ledger's heads, each the name of an empty folder: nothing has to be uploaded,
and making one twice is making it once."""


@dataclass(frozen=True)
class Parcel:
    """One approved rendering on its way. ``path`` is below the target, with slashes; ``earlier`` the ledger's row
    (its payload) of what was delivered of this clip before, and is to be replaced."""

    clip: str
    file: Path
    sha256: str
    path: str
    earlier: dict[str, Any] | None
    may_leave: Callable[[], None]
    begin: Callable[[dict[str, Any]], None]
    """Called before the first byte goes out, with what `Target.settle` needs to find it: ``where``, and more."""


@dataclass(frozen=True)
class Found:
    """One file that lies at the target: ``where`` as in the ledger, its size in bytes, how to compare it."""

    where: str
    bytes: int
    item: str = ""
    quickxor: str | None = None
    sha256: str | None = None


class Target(Protocol):
    """A place for approved clips. Payloads are those of the ledger's delivery rows."""

    kind: str
    at_once: int
    """Clips that are brought at a time."""

    def put(self, parcel: Parcel, told: Callable[[int], None]) -> Delivery: ...

    def settle(self, clip: str, payload: dict[str, Any]) -> Delivery | None:
        """What became of a delivery that was begun, and of which nothing was heard since: None where it does not lie
        there, and nothing of it. Raises DeliveryError where that cannot be known."""

    def settled(self, clip: str) -> None:
        """The delivery is in the ledger: nothing needs to be remembered of its way."""

    def sweep(self, waiting: set[str]) -> None:
        """Forget what is under way of any clip but these."""

    def stop(self) -> None:
        """End what is under way as soon as it can go on later from there."""

    def still_there(self, payload: dict[str, Any]) -> bool:
        """Whether what was delivered lies there now, asked afresh, byte for byte as far as that can be known."""

    def remove(self, payload: dict[str, Any], begin: Callable[[], None], begun: bool) -> bool:
        """Take what was delivered away; whether it is gone for good (False: a recycle bin keeps it).

        ``begin`` is called when it was seen to be there and before it goes; ``begun``: that was done before, so what
        is not there now went then. Raises DeliveryError where nobody knows what became of it.
        """

    def listing(self) -> Iterator[Found]:
        """Every file at the target."""

    def note(self, ledger: str, head: str) -> None:
        """Leave a head of the ledger (named by its first row's hash) at the target, for good."""

    def noted(self, ledger: str) -> list[str]:
        """Every head of this ledger that was left there."""

    def download(self, payload: dict[str, Any], into: Path) -> None:
        """Fetch what was delivered into a new file, compared with its digest. Raises DeliveryError."""


def fetch(blocks: Iterator[bytes], payload: dict[str, Any], into: Path) -> None:
    """Write ``blocks`` into a new file that has its name only if they are what was delivered."""
    partial = files.partial_path(into)
    try:
        with files.writing(into), files.create_private(partial) as file:
            for block in blocks:
                file.write(block)
        if files.sha256_of(partial) != payload["sha256"]:
            raise not_ours(payload["where"])
        files.publish(partial, into)
    finally:
        files.remove(partial)


def absent(where: str, moved_to: str = "") -> DeliveryError:
    """What was delivered does not lie there any more, and not by our doing."""
    if moved_to:
        return DeliveryError(
            "{file} lies at {other} now; put it back under its old name, then repeat the command.",
            file=where,
            other=moved_to,
        )
    return DeliveryError(
        "{file} is not there any more, and Lesveil did not remove it: put it back and repeat the command, or, if it is "
        "gone for good, say so with lesveil deliver --remove.",
        file=where,
    )


def not_ours(where: str) -> DeliveryError:
    return DeliveryError(
        "{file} is no longer what was delivered, so it was left; look at it, and if it may go, delete it and say so "
        "with lesveil deliver --remove.",
        file=where,
    )


def name_of_head(head: str) -> str:
    """The folder's name for ``<row>:<hash>``."""
    seq, _, digest = head.partition(":")
    return f"{int(seq):08}-{digest}"


def heads_in(names: Iterable[str]) -> list[str]:
    """The heads that these names of folders stand for; other names are passed over."""
    found = (re.fullmatch(r"(\d{8,18})-([0-9a-f]{64})", name) for name in names)
    return [f"{int(match[1])}:{match[2]}" for match in found if match]
