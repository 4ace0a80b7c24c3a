"""The digests of a card's films: as they are read in one stream, and a quick sample that tells takes apart."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.adapters import files
from pipeline.adapters.card_reader import CardReader
from pipeline.adapters.digests import Digests
from pipeline.errors import CardChangedError


@dataclass(frozen=True)
class Read:
    """One film as it was read: SHA-256 and XXH128 in hex."""

    sha256: str
    xxh128: str


class Films:
    """Cuts a stream of blocks at the ends of its films and hashes each by itself."""

    def __init__(self, sizes: Sequence[int], digests: Digests) -> None:
        self._left, self._digests = list(sizes), digests
        self.done = 0
        self.read: list[Read] = []

    def feed(self, block: bytes | memoryview) -> None:
        view = memoryview(block)
        self.done += len(view)
        while view:
            piece = view[: self._left[0]]
            self._digests.update(piece)
            view = view[len(piece) :]
            self._left[0] -= len(piece)
            if not self._left[0]:
                self._left.pop(0)
                self.read.append(Read(*self._digests.next()))


def sample_of(paths: Sequence[Path], sizes: Sequence[int]) -> str:
    """SHA-256 of the first, middle and last MiB of each film: tells takes apart, says nothing of their every byte."""
    digest = hashlib.sha256()
    for path, size in zip(paths, sizes, strict=True):
        digest.update(size.to_bytes(8, "big"))
        for at in (0, size // 2, max(0, size - files.BLOCK)):
            with CardReader(path, at) as card:
                while (missing := min(size, at + files.BLOCK) - card.at) > 0 and (block := card.read(missing)):
                    digest.update(block)
    return digest.hexdigest()


def hashed(path: Path) -> tuple[os.stat_result, Read]:
    """One file of the card, read to its end, and what it was like before. Raises CardError."""
    with Digests() as digests, CardReader(path) as card:
        found = card.look()
        while block := card.read():
            digests.update(block)
        if card.at != found.st_size or changed(found, card.look()):
            raise grew(path)
        return found, Read(*digests.next())


def changed(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether somebody wrote to a file between two looks at it."""
    return (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)


def grew(path: Path) -> CardChangedError:
    """What is raised then."""
    return CardChangedError(
        "{file} changed while it was copied; stop what writes to the card and try again.", file=path
    )
