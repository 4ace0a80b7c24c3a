"""From a card in a folder into a vault: verified, recorded, and the card untouched."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.adapters import card, files
from pipeline.adapters.card import CardClip, find_clips
from pipeline.adapters.ledger import Ledger
from pipeline.adapters.vault import Vault
from pipeline.errors import CardError, DiskFullError, NotAVideoError, NotReadyError
from pipeline.stages import ingest as stage
from pipeline.stages.ingest import ingest

FILM = os.urandom(3 * files.BLOCK + 12345)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "vault")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db") as opened:
        yield opened


@pytest.fixture
def take(tmp_path: Path) -> CardClip:
    folder = tmp_path / "card/DCIM/100CANON"
    folder.mkdir(parents=True)
    (folder / "MVI_0001.MP4").write_bytes(FILM)
    (folder / "MVI_0001.THM").write_bytes(b"thumbnail")
    return find_clips(tmp_path / "card")[0]


def test_the_copy_is_the_film_and_the_ledger_knows_it(take: CardClip, vault: Vault, ledger: Ledger) -> None:
    told: list[tuple[str, int, int]] = []
    clip = ingest(take, vault, ledger, lambda *row: told.append(row))
    assert clip.sha256 == hashlib.sha256(FILM).hexdigest()
    assert clip.id == clip.sha256[:16]
    assert clip.name == f"MVI_0001-{clip.id[:6]}"
    assert (clip.path, clip.bytes) == (vault.path(clip.id), len(FILM))
    with vault.open(clip.id) as copy:
        assert copy.read() == FILM
    (row,) = ledger.entries(kind="ingest", clip=clip.id)
    thumb = hashlib.sha256(b"thumbnail").hexdigest()
    assert row.payload["files"] == [
        {"path": "DCIM/100CANON/MVI_0001.MP4", "bytes": len(FILM), "sha256": clip.sha256, "kind": "video"},
        {"path": "DCIM/100CANON/MVI_0001.THM", "bytes": 9, "sha256": thumb, "kind": "sidecar"},
    ]
    assert told[-1] == ("verify", len(FILM), len(FILM))
    assert ("copy", len(FILM), len(FILM)) in told


def test_the_card_stays_as_it_was(take: CardClip, vault: Vault, ledger: Ledger) -> None:
    before = [(p, p.stat().st_mtime_ns) for p in sorted(take.card.rglob("*"))]
    ingest(take, vault, ledger)
    assert [(p, p.stat().st_mtime_ns) for p in sorted(take.card.rglob("*"))] == before


def test_a_second_call_finds_the_copy(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ingest(take, vault, ledger)
    monkeypatch.setattr(stage, "_copy", None)
    assert ingest(take, vault, ledger) == first
    assert len(ledger.entries(kind="ingest")) == 1


def test_another_film_of_the_same_name_is_another_clip(take: CardClip, vault: Vault, ledger: Ledger) -> None:
    first = ingest(take, vault, ledger)
    times = os.stat(take.path)
    take.path.write_bytes(FILM[:-1] + bytes([FILM[-1] ^ 1]))
    os.utime(take.path, ns=(times.st_atime_ns, times.st_mtime_ns))
    second = ingest(take, vault, ledger)
    assert second.id != first.id
    assert second.name != first.name
    assert vault.ids() == sorted([first.id, second.id])


def test_a_copy_that_was_not_recorded_is_verified_and_recorded(take: CardClip, vault: Vault, ledger: Ledger) -> None:
    clip = ingest(take, vault, ledger)
    with Ledger.open(vault.root / "new.db") as empty:
        assert ingest(take, vault, empty) == clip
        assert len(empty.entries(kind="ingest")) == 1


def test_a_sidecar_that_appeared_is_recorded(take: CardClip, vault: Vault, ledger: Ledger) -> None:
    ingest(take, vault, ledger)
    (take.path.parent / "MVI_0001.XML").write_bytes(b"<x/>")
    ingest(find_clips(take.card)[0], vault, ledger)
    assert len(ledger.entries(kind="ingest")[-1].payload["files"]) == 3


def test_a_copy_that_reads_back_otherwise_is_destroyed(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rot(path: Path) -> None:
        raw = bytearray(path.read_bytes())
        raw[100_000] ^= 1
        path.write_bytes(raw)

    with monkeypatch.context() as patch:
        patch.setattr(files, "drop_cache", rot)
        with pytest.raises(CardError, match=r"MVI_0001\.MP4 differs"):
            ingest(take, vault, ledger)
    assert vault.ids() == []
    assert ledger.entries() == []
    assert ingest(take, vault, ledger).bytes == len(FILM)


def test_a_recorded_copy_that_was_cut_off_is_copied_again(take: CardClip, vault: Vault, ledger: Ledger) -> None:
    clip = ingest(take, vault, ledger)
    os.truncate(clip.path, 100_000)
    assert ingest(take, vault, ledger) == clip
    with vault.open(clip.id) as copy:
        assert copy.read() == FILM


@pytest.mark.parametrize("change", ["grow", "touch"])
def test_a_film_that_changes_while_copied_is_refused(take: CardClip, vault: Vault, ledger: Ledger, change: str) -> None:
    def meddle(name: str, done: int, total: int) -> None:
        if name == "copy" and done == files.BLOCK:
            if change == "grow":
                with open(take.path, "ab") as film:
                    film.write(b"more")
            else:
                os.utime(take.path, ns=(1, 1))

    with pytest.raises(CardError, match="changed while it was copied"):
        ingest(take, vault, ledger, meddle)
    assert vault.ids() == []
    assert ledger.entries() == []


def test_a_film_that_changes_while_the_copy_is_verified_is_not_recorded(
    take: CardClip, vault: Vault, ledger: Ledger
) -> None:
    def meddle(name: str, done: int, total: int) -> None:
        if name == "verify":
            os.utime(take.path, ns=(1, 1))

    with pytest.raises(CardError, match="changed while it was copied"):
        ingest(take, vault, ledger, meddle)
    assert ledger.entries() == []


def test_a_bad_block_is_named_with_its_place(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path) -> Any:
        opened = card.open_card_file(path)
        reads = 0

        def read(size: int) -> bytes:
            nonlocal reads
            reads += 1
            if reads == 3:
                raise OSError(errno.EIO, "Input/output error")
            return opened.read(size)

        return _Wrapped(opened, read)

    with monkeypatch.context() as patch:
        patch.setattr(stage, "_sample", lambda *_: "sample")
        patch.setattr(stage, "open_card_file", failing)
        with pytest.raises(CardError, match=rf"MVI_0001\.MP4 cannot be read at byte {2 * files.BLOCK}: Input/output"):
            ingest(take, vault, ledger)
    assert vault.ids() == []
    assert not list(vault.root.rglob("*.partial"))


class _Wrapped:
    def __init__(self, file: Any, read: Any) -> None:
        self._file, self.read, self.fileno = file, read, file.fileno

    def __enter__(self) -> "_Wrapped":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def test_room_is_looked_for_before_the_first_byte(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=len(FILM) + (1 << 20)))
    monkeypatch.setattr(Vault, "writer", None)
    with pytest.raises(DiskFullError, match=r"no room for .*MVI_0001\.MP4: 71 MB are needed and 4 MB are free"):
        ingest(take, vault, ledger)


def test_a_disk_that_fills_up_leaves_nothing(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", full)
        with pytest.raises(DiskFullError):
            ingest(take, vault, ledger)
    assert [p.name for p in vault.root.rglob("*") if p.is_file()] == ["master.key"]


def test_an_empty_film_and_a_take_in_parts_are_refused(tmp_path: Path, vault: Vault, ledger: Ledger) -> None:
    folder = tmp_path / "card/DCIM/100GOPRO"
    folder.mkdir(parents=True)
    for name in ("GX010001.MP4", "GX020001.MP4", "GX020002.MP4"):
        (folder / name).write_bytes(b"film")
    (folder / "GX010003.MP4").touch()
    whole, empty, lone = find_clips(tmp_path / "card")
    with pytest.raises(NotReadyError, match=r"GX010001\.MP4, .*GX020001\.MP4: chapters of one take"):
        ingest(whole, vault, ledger)
    with pytest.raises(NotReadyError, match=r"GX020002\.MP4"):
        ingest(lone, vault, ledger)
    with pytest.raises(NotAVideoError, match=r"GX010003\.MP4 is empty"):
        ingest(empty, vault, ledger)
