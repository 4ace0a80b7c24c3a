"""Overwriting the free space of a card: what earlier deletions left there goes as well.

Files of random bytes are written until the card is full, flushed, and removed. FAT32 holds no file of 4 GiB, so there
are several; the last of them is filled sector by sector.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.adapters import files
from pipeline.adapters.erase import Disk
from pipeline.records import Progress

LARGEST = (4 << 30) - files.BLOCK
"""Bytes in one file at most."""

MOST = 1000
"""Files at most, of four terabytes together: so many have a number of three digits, and FAT likes names of eight."""

_SECTOR = 512


class Filler:
    """Fills the free space of the volume at ``card`` under names that follow from the plan's ``digest``."""

    def __init__(self, card: Path, digest: str) -> None:
        self._card, self._stem = card, f"LV{digest[:3].upper()}"

    def leftovers(self) -> list[Path]:
        """What an interrupted attempt under this plan left on the card."""
        return sorted(self._card.glob(f"{self._stem}[0-9][0-9][0-9].TMP"))

    def fill(self, disk: Disk, progress: Progress) -> None:
        """Fill, flush, remove; what an interrupted attempt left is removed first. Raises OSError, also where the card
        is so large that it is not full at the end."""
        self.clear(disk)
        free = self._free()
        written = 0
        try:
            for n in range(MOST):
                size = self._fill_one(n, disk, partial(_told, progress, written, free))
                written += size
                if size < LARGEST:
                    break
            else:
                raise OSError(errno.EFBIG, f"its free space is larger than {MOST * LARGEST >> 30} GiB")
        finally:
            self.clear(disk)

    def _fill_one(self, n: int, disk: Disk, told: Callable[[int], None]) -> int:
        """Fill one file until it or the card is full; its size in bytes."""
        block = files.BLOCK
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(self._name(n), flags, 0o600), "wb", buffering=0) as file:
            while (size := file.tell()) < LARGEST:
                try:
                    disk.write(file, os.urandom(block))
                except OSError:
                    if block == _SECTOR:
                        if self._free():
                            raise
                        break
                    block = max(_SECTOR, block // 16)
                told(size)
            try:
                disk.sync(file)
            except OSError:  # the system took more than there is room for, and says so only now
                if self._free():
                    raise
        return size

    def _free(self) -> int:
        """What the volume says is free: when a write fails and this is 0 it is full, whatever the failure is called."""
        return shutil.disk_usage(self._card).free

    def clear(self, disk: Disk) -> None:
        """Remove what an interrupted attempt left. Raises OSError."""
        found = self.leftovers()
        for path in found:
            disk.unlink(path)
        if found:
            disk.sync_folder(self._card)

    def _name(self, n: int) -> Path:
        return self._card / f"{self._stem}{n:03d}.TMP"


def _told(progress: Progress, before: int, free: int, more: int) -> None:
    progress("fill", min(free, before + more), free)
