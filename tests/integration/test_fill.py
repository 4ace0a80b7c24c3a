"""Overwriting the free space of a card, on a card that is full when the test says so."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import BinaryIO

import pytest

from pipeline.adapters import fill
from pipeline.adapters.erase import Disk
from pipeline.records import no_progress

BLOCK = 4096


class Small(Disk):
    """A disk with room for so many bytes."""

    def __init__(self, room: int) -> None:
        self.room, self.written = room, 0
        self.names: set[str] = set()

    def write(self, file: BinaryIO, data: bytes) -> None:
        if self.written + len(data) > self.room:
            raise OSError(errno.ENOSPC, "full")
        super().write(file, data)
        self.written += len(data)

    def unlink(self, path: Path) -> None:
        self.names.add(path.name)
        super().unlink(path)


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    monkeypatch.setattr(fill.files, "BLOCK", BLOCK)
    monkeypatch.setattr(fill, "LARGEST", 2 * BLOCK)


def filled(card: Path, disk: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    filler = fill.Filler(card, "ab" * 32)
    monkeypatch.setattr(filler, "_free", lambda: disk.room - disk.written if disk.room - disk.written >= 512 else 0)
    filler.fill(disk, no_progress)


@pytest.mark.parametrize("files", [0, 1, 99, 100, 101, 250])
@pytest.mark.parametrize("more", [0, 1, 512, BLOCK + 700])
def test_a_card_is_filled_to_its_last_sector_however_many_files_it_takes(tmp_path, monkeypatch, files, more):
    (tmp_path / "holiday.jpg").write_bytes(b"not ours")
    disk = Small(files * fill.LARGEST + more)
    filled(tmp_path, disk, monkeypatch)
    assert disk.room - disk.written < 512
    assert len(disk.names) == files + 1
    assert all(len(Path(name).stem) <= 8 for name in disk.names)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_card_that_is_not_full_at_the_end_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(fill, "MOST", 5)
    with pytest.raises(OSError, match="larger"):
        filled(tmp_path, Small(6 * fill.LARGEST), monkeypatch)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_attempt_left_is_removed_first(tmp_path, monkeypatch):
    (tmp_path / "LVABA117.TMP").write_bytes(b"half")
    (tmp_path / "LVABAB17.TMP").write_bytes(b"a file that is being erased")
    filled(tmp_path, Small(3 * BLOCK), monkeypatch)
    assert [path.name for path in tmp_path.iterdir()] == ["LVABAB17.TMP"]
