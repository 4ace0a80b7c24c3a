"""Where a clip's bytes lie, as plain data: what a worker elsewhere needs to open it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from pipeline.adapters.chapters import Opener, windows
from pipeline.adapters.sealed import SealedReader
from pipeline.adapters.video_in import ClipReader, open_clip
from pipeline.errors import VaultError


@dataclass(frozen=True)
class Key:
    """The key of one working copy, on its way to a worker: in memory alone, and never in a text or a log."""

    secret: bytes = field(repr=False)

    def __str__(self) -> str:
        return "Key(...)"


@dataclass(frozen=True)
class Film:
    """Where a clip's bytes lie, for whoever is to work on it. ``name`` is what errors call it.

    ``key`` opens a sealed working copy at ``path``; ``parts`` are then the sizes of the files of the take, end to end.
    """

    name: str
    path: Path
    key: Key | None = None
    parts: tuple[int, ...] = ()

    def open(self) -> ClipReader:
        """Raises what opening a clip raises, and VaultError."""
        if self.key is None:
            return open_clip(self.path)
        opener: Opener = self._unsealed
        return open_clip(Path(self.name), opener if len(self.parts) < 2 else windows(opener, self.parts))

    def _unsealed(self) -> BinaryIO:
        assert self.key is not None
        try:
            file = open(self.path, "rb", buffering=0)  # noqa: SIM115 - the reader closes it
        except OSError as error:
            raise VaultError(
                "{file} cannot be opened: {why}; does this worker reach the shared folder?",
                file=self.path,
                why=error.strerror,
            ) from error
        try:
            return cast(BinaryIO, SealedReader(self.path, file, self.key.secret))
        except BaseException:
            file.close()
            raise
