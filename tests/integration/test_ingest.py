"""From a card in a folder into a vault: verified, recorded, and the card untouched."""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import xxhash

from pipeline.adapters import card_reader, copies, files
from pipeline.adapters.card import CardClip, find_clips
from pipeline.adapters.ledger import Ledger
from pipeline.adapters.reread import Reread
from pipeline.adapters.sealed import CHUNK, SEAL, SealedReader
from pipeline.adapters.vault import NOTES, Vault, VaultWriter
from pipeline.errors import CardError, CopyDiffersError, DiskFullError, NotAVideoError, VaultError
from pipeline.lesson.failures import failure_row
from pipeline.records import Clip, Progress, no_progress
from pipeline.stages import ingest as stage
from pipeline.stages.ingest import ingest, ingest_all
from tests import sharing

FILM = os.urandom(6 * files.BLOCK + 12345)


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


def test_a_card_in_a_folder_whose_name_is_in_no_alphabet_is_copied(
    take: CardClip, vault: Vault, ledger: Ledger
) -> None:
    """Such a folder exists on Linux; without a serial and a label the card is known by it."""
    assert copies.lacking(take, "/media/k\udcff", vault, ledger) == len(FILM)
    assert ingest(take, vault, ledger, card="/media/k\udcff").bytes == len(FILM)


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
    assert row.payload["verified"] == [clip.sha256]
    assert row.payload["listed"][0]["xxh128"] == xxhash.xxh128(FILM).hexdigest()
    assert told[-1] == ("verify", len(FILM), len(FILM))
    assert ("copy", len(FILM), len(FILM)) in told


def test_no_file_is_renamed_or_removed_while_it_is_open(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses that."""
    sharing.keep(lambda name, function: monkeypatch.setattr(os, name, function))
    first, second = two_takes(take)
    assert vault.has(ingest(first, vault, ledger).id)
    with monkeypatch.context() as patch:
        patch.setattr(Reread, "rest", lambda self: ["another"])
        with pytest.raises(CopyDiffersError):
            ingest(second, vault, ledger)
    assert len(list(vault.path("x").parent.iterdir())) == 1


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


def test_a_take_that_cannot_be_read_does_not_stop_the_others(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = {n: os.urandom(3 * files.BLOCK) for n in (2, 3)}
    for n, film in films.items():
        (take.path.parent / f"MVI_000{n}.MP4").write_bytes(film)
    takes = find_clips(take.card)
    Worn(monkeypatch, takes[1].path, AT)
    outcomes = [outcome for _, outcome in ingest_all(takes, vault, ledger)]
    assert isinstance(outcomes[1], CardError)
    wanted = [hashlib.sha256(film).hexdigest() for film in (FILM, films[3])]
    assert [clip.sha256 for clip in outcomes if isinstance(clip, Clip)] == wanted
    assert [row.payload["sha256"] for row in ledger.entries(kind="ingest")] == wanted


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch) -> list[Reread]:
    """The proofs that were asked for, in order."""
    asked: list[Reread] = []
    ask = Reread.ask_rest

    def ask_rest(self: Reread, chunks: int) -> None:
        asked.append(self)
        ask(self, chunks)

    monkeypatch.setattr(Reread, "ask_rest", ask_rest)
    return asked


def waiting_for(proofs: list[Reread], then: Callable[[], object]) -> Progress:
    """While this take is read: once the one before is proved, ``then``, at every block."""

    def told(stage: str, done: int, total: int) -> None:
        if stage == "copy":
            for _ in range(1000):
                if proofs[0].done:
                    break
                time.sleep(0.01)
            then()

    return told


def two_takes(take: CardClip) -> list[CardClip]:
    (take.path.parent / "MVI_0002.MP4").write_bytes(os.urandom(3 * files.BLOCK))
    return find_clips(take.card)


def test_a_film_is_recorded_as_soon_as_it_is_proved(
    take: CardClip, vault: Vault, ledger: Ledger, proofs: list[Reread]
) -> None:
    """Not only when the next is read; and leaving off then loses nothing."""
    both = two_takes(take)
    told: list[int] = []
    watching = waiting_for(proofs, lambda: told.append(len(ledger.entries(kind="ingest"))))
    outcomes = ingest_all(both, vault, ledger, lambda one: watching if one is both[1] else no_progress)
    first, clip = next(outcomes)
    assert (told[0], told[-1]) == (0, 1)
    assert first is both[0]
    assert isinstance(clip, Clip)
    outcomes.close()
    assert vault.ids() == [clip.id]
    assert [clip.bytes for _, clip in ingest_all(both, vault, ledger) if isinstance(clip, Clip)] == [
        len(FILM),
        3 * files.BLOCK,
    ]
    assert not list(vault.root.rglob("*.unfinished"))


def test_the_next_film_is_read_while_the_one_before_is_proved(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = two_takes(take)
    told: list[str] = []
    rest = Reread.rest

    def proved(self: Reread) -> list[str]:
        told.append("proved")
        return rest(self)

    monkeypatch.setattr(Reread, "rest", proved)
    monkeypatch.setattr(Reread, "done", False)

    def progress(one: CardClip) -> Progress:
        return lambda stage, done, total: told.append(one.path.name) if (stage, done) == ("copy", total) else None

    assert len(list(ingest_all(both, vault, ledger, progress))) == 2
    assert told == ["MVI_0001.MP4", "MVI_0002.MP4", "proved", "proved"]


def test_a_film_that_changes_while_the_next_is_read_leaves_no_copy(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = two_takes(take)
    monkeypatch.setattr(Reread, "done", False)

    def meddle(stage: str, done: int, total: int) -> None:
        with take.path.open("ab") as film:
            film.write(b"more")

    outcomes = [
        clip for _, clip in ingest_all(both, vault, ledger, lambda one: meddle if one is both[1] else no_progress)
    ]
    assert isinstance(outcomes[0], CardError)
    assert isinstance(outcomes[1], Clip)
    assert vault.ids() == [outcomes[1].id]
    assert not list(vault.root.rglob("*.unfinished"))


def test_a_sidecar_that_appeared_is_recorded(take: CardClip, vault: Vault, ledger: Ledger) -> None:
    ingest(take, vault, ledger)
    (take.path.parent / "MVI_0001.XML").write_bytes(b"<x/>")
    ingest(find_clips(take.card)[0], vault, ledger)
    assert len(ledger.entries(kind="ingest")[-1].payload["files"]) == 3


def test_a_sidecar_that_cannot_be_read_keeps_no_film_from_being_copied(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def copied() -> Clip | Exception:
        ((_, outcome),) = ingest_all([take], vault, ledger, unread=lambda path, why: told.append(f"{path} {why}"))
        return outcome

    with monkeypatch.context() as patch:
        Worn(patch, take.sidecars[0], 3)
        clip = copied()
        assert isinstance(clip, Clip)
        assert copied() == clip
    assert len(told) == 2, "it is told each time"
    assert "DCIM/100CANON/MVI_0001.THM cannot be read at byte 0" in told[0]
    (row,) = ledger.entries(kind="ingest")
    assert [file["kind"] for file in row.payload["files"]] == ["video"]
    assert row.payload["unread"] == ["DCIM/100CANON/MVI_0001.THM"]
    assert copied() == clip
    (_, row) = ledger.entries(kind="ingest")
    assert [file["kind"] for file in row.payload["files"]] == ["video", "sidecar"]
    assert row.payload["unread"] == []


def test_a_sidecar_that_was_changed_is_recorded_as_it_is_now(take: CardClip, vault: Vault, ledger: Ledger) -> None:
    """Also one of the same size and time: a camera without a clock notes a rating. Else no wipe could ever take it."""
    clip = ingest(take, vault, ledger)
    (thumb,) = take.sidecars
    times = os.stat(thumb)
    thumb.write_bytes(b"THUMBNAIL")
    os.utime(thumb, ns=(times.st_atime_ns, times.st_mtime_ns))
    for _ in range(2):
        assert ingest(take, vault, ledger) == clip
    first, second = ledger.entries(kind="ingest")
    assert second.payload["files"][0] == first.payload["files"][0]
    assert second.payload["files"][1]["sha256"] == hashlib.sha256(b"THUMBNAIL").hexdigest()


def test_a_film_whose_time_alone_changed_is_recorded_without_another_copy(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Summer time shifts all of a card's: there may be no room for a second copy of each."""
    clip = ingest(take, vault, ledger)
    os.utime(take.path, ns=(1, 1))
    monkeypatch.setattr(stage, "_copy", None)
    for _ in range(2):
        assert ingest(take, vault, ledger) == clip
    rows = ledger.entries(kind="ingest")
    assert len(rows) == 2
    assert rows[1].payload["files"] == rows[0].payload["files"]
    assert rows[1].payload["listed"][0]["modified"].startswith("1970")


def test_a_film_that_was_changed_where_no_sample_looks_is_another_clip(
    take: CardClip, vault: Vault, ledger: Ledger
) -> None:
    first = ingest(take, vault, ledger)
    take.path.write_bytes(FILM[:AT] + b"changed" + FILM[AT + 7 :])
    os.utime(take.path, ns=(1, 1))
    second = ingest(take, vault, ledger)
    assert vault.ids() == sorted([first.id, second.id])
    assert ledger.entries(kind="ingest")[-1].payload["sha256"] == hashlib.sha256(take.path.read_bytes()).hexdigest()
    assert ingest(take, vault, ledger) == second


@pytest.mark.parametrize("at", [100_000, -5], ids=["early", "its last byte"])
def test_a_copy_that_reads_back_otherwise_is_destroyed(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Between flushing it and reading it again the medium changes a bit."""

    def rot(fd: int, start: int, size: int) -> None:
        (path,) = (vault.root / "clips").glob("*.unfinished")
        raw = bytearray(path.read_bytes())
        raw[at] ^= 1
        path.write_bytes(raw)

    with monkeypatch.context() as patch:
        patch.setattr(files, "drop_stretch", rot)
        with pytest.raises(CopyDiffersError, match=r"MVI_0001\.MP4 differs"):
            ingest(take, vault, ledger)
    assert vault.ids() == []
    assert ledger.entries() == []
    assert not list(vault.root.rglob("*.unfinished"))
    assert ingest(take, vault, ledger).bytes == len(FILM)


def test_a_copy_of_one_chunk_too_few_is_no_copy(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Authentic chunks are not enough: what is read back must be the films, to their last byte."""
    write = VaultWriter.write
    lost = iter([0, 0, 1])

    def losing(self: VaultWriter, data: bytes) -> int:
        return len(data) if next(lost, 0) else write(self, data)

    monkeypatch.setattr(VaultWriter, "write", losing)
    with pytest.raises(CopyDiffersError):
        ingest(take, vault, ledger)
    assert ledger.entries() == []


@pytest.mark.parametrize("stretch", [1, 3, 7, 1000])
def test_stretches_of_any_length_prove_the_same(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, stretch: int
) -> None:
    monkeypatch.setattr("pipeline.adapters.reread.STRETCH", stretch)
    clip = ingest(take, vault, ledger)
    with vault.open(clip.id) as copy:
        assert copy.read() == FILM


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
    assert not list(vault.root.rglob("*.unfinished"))


def test_a_film_that_changes_while_the_copy_is_verified_is_not_recorded(
    take: CardClip, vault: Vault, ledger: Ledger
) -> None:
    def meddle(name: str, done: int, total: int) -> None:
        if name == "verify":
            os.utime(take.path, ns=(1, 1))

    with pytest.raises(CardError, match="changed while it was copied"):
        ingest(take, vault, ledger, meddle)
    assert ledger.entries(kind="ingest") == []


class Worn:
    """A card whose files cannot be read at some bytes: always, or the first few times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path, at: int, times: int = 1 << 30) -> None:
        self.path, self.at, self.times, self.failed = path, at, times, 0
        self._open = card_reader.open_card_file
        monkeypatch.setattr(card_reader, "open_card_file", self.open)
        monkeypatch.setattr(card_reader, "PAUSES", (0.0, 0.0, 0.0))

    def open(self, path: Path) -> Any:
        opened = self._open(path)
        return _Reading(opened, self) if path == self.path else opened


class _Reading:
    def __init__(self, file: Any, worn: Worn) -> None:
        self._file, self._worn = file, worn
        self.fileno, self.close, self.seek = file.fileno, file.close, file.seek

    def readinto(self, buffer: memoryview) -> int:
        at, worn = self._file.tell(), self._worn
        if at <= worn.at < at + len(buffer) and worn.failed < worn.times:
            worn.failed += 1
            raise OSError(errno.EIO, "Input/output error")
        return int(self._file.readinto(buffer))


AT = 2 * files.BLOCK + 5000
"""A byte of the film that no sample looks at."""


@pytest.mark.parametrize("at", [0, AT, 3 * files.BLOCK + 10_000, len(FILM) - 1])
def test_a_bad_block_is_named_with_its_place(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    worn = Worn(monkeypatch, take.path, at)
    place = at - at % 512 if at == AT else r"\d+"
    with pytest.raises(CardError, match=rf"MVI_0001\.MP4 cannot be read at byte {place}: Input/output"):
        ingest(take, vault, ledger)
    assert worn.failed >= 4, "it was tried again"
    assert vault.ids() == []
    assert ledger.entries() == []


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_block_that_is_read_at_last_costs_nothing(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    worn = Worn(monkeypatch, take.path, AT, times)
    clip = ingest(take, vault, ledger)
    assert worn.failed == times
    assert clip.sha256 == hashlib.sha256(FILM).hexdigest()


def test_what_was_copied_before_a_bad_block_is_not_copied_again(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a card that was pulled: once it can be read, the copy goes on where it stopped."""
    with monkeypatch.context() as patch:
        Worn(patch, take.path, AT)
        with pytest.raises(CardError):
            ingest(take, vault, ledger)
    assert vault.sweep() == 0, "what can be gone on with stays"
    told: list[int] = []
    clip = ingest(take, vault, ledger, lambda stage, done, _: told.append(done) if stage == "copy" else None)
    assert told[0] == AT // CHUNK * CHUNK
    assert clip.sha256 == hashlib.sha256(FILM).hexdigest()
    with vault.open(clip.id) as copy:
        assert copy.read() == FILM
    assert not list(vault.root.rglob("*.unfinished"))


def test_what_is_gone_on_with_must_be_believable(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torn copy (the power went) is cut off at its first bad chunk; one of another film is none."""
    with monkeypatch.context() as patch:
        Worn(patch, take.path, AT)
        with pytest.raises(CardError):
            ingest(take, vault, ledger)
    (half,) = (vault.root / "clips").glob("*.unfinished")
    raw = bytearray(half.read_bytes())
    raw[2 * (CHUNK + SEAL) + 500] ^= 1
    half.write_bytes(raw)
    told: list[int] = []
    clip = ingest(take, vault, ledger, lambda stage, done, _: told.append(done) if stage == "copy" else None)
    assert told[0] == 2 * CHUNK
    with vault.open(clip.id) as copy:
        assert copy.read() == FILM


def test_a_copy_that_was_proved_and_not_recorded_is_not_copied_again(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read back once more, for nothing says any longer that it was; one that rotted meanwhile is made again."""

    append = ledger.append

    def interrupted(kind: str, clip: str | None, payload: dict[str, Any]) -> object:
        if kind == "ingest":
            raise KeyboardInterrupt
        return append(kind, clip, payload)

    monkeypatch.setattr(ledger, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ingest(take, vault, ledger)
    assert ledger.entries(kind="ingest") == []
    (id,) = vault.ids()
    whole = vault.path(id).read_bytes()
    vault.path(id).write_bytes(whole[:70_000] + bytes([whole[70_000] ^ 1]) + whole[70_001:])
    with pytest.raises(KeyboardInterrupt):
        ingest(take, vault, ledger)
    assert vault.ids() == [id]
    monkeypatch.setattr(ledger, "append", append)
    monkeypatch.setattr(stage, "_copy", None)
    assert ingest(take, vault, ledger).sha256 == hashlib.sha256(FILM).hexdigest()


def test_a_copy_that_could_not_be_read_is_made_again(take: CardClip, vault: Vault, ledger: Ledger) -> None:
    clip = ingest(take, vault, ledger)
    raw = bytearray(clip.path.read_bytes())
    raw[len(raw) // 2] ^= 1
    clip.path.write_bytes(raw)
    assert ingest(take, vault, ledger) == clip, "nobody read it yet, and to read all at every run takes too long"
    with vault.open(clip.id) as copy, pytest.raises(VaultError) as caught:
        copy.read()
    ledger.append("failure", None, failure_row("MVI_0001.MP4", caught.value, clip.id))
    assert ingest(take, vault, ledger) == clip
    with vault.open(clip.id) as copy:
        assert copy.read() == FILM
    assert len(ledger.entries(kind="ingest")) == 2


def rotten(path: Path) -> None:
    """The laptop's disk changes one bit of a copy."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


class Failing:
    """The laptop's disk, which cannot read the sealed chunks of a copy: the first few times, or always."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.times = times
        real = SealedReader.__init__

        def failing(reader: SealedReader, path: Path, file: Any, key: bytes) -> None:
            real(reader, path, _Sealed(file, self), key)

        monkeypatch.setattr(SealedReader, "__init__", failing)


class _Sealed:
    def __init__(self, file: Any, disk: Failing) -> None:
        self._file, self._disk = file, disk
        self.fileno, self.close, self.seek = file.fileno, file.close, file.seek

    def read(self, size: int) -> bytes:
        if size > 1000 and self._disk.times:
            self._disk.times -= 1
            raise OSError(errno.EIO, "Input/output error")
        return bytes(self._file.read(size))


def test_a_copy_that_the_disk_fails_to_read_once_stays_though_the_card_cannot_be_read_any_more(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = ingest(take, vault, ledger)
    vault.put(f"{clip.id}{NOTES}first", b"faces")
    with monkeypatch.context() as patch:
        disk = Failing(patch, 1)
        Worn(patch, take.path, AT)
        assert ingest(take, vault, ledger) == clip
        assert disk.times == 0
    with vault.open(clip.id) as copy:
        assert copy.read() == FILM
    assert vault.beside(clip.id)


@pytest.mark.parametrize("rots", [False, True], ids=["the disk fails", "the disk changed it"])
def test_a_copy_that_cannot_be_read_stays_until_another_is_proved(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, rots: bool
) -> None:
    """A bad block in the card may leave it the most that there is of the film."""
    clip = ingest(take, vault, ledger)
    vault.put(f"{clip.id}{NOTES}first", b"faces")
    before = clip.path.read_bytes()
    if rots:
        os.truncate(clip.path, len(before) - 7)
    with monkeypatch.context() as patch:
        if not rots:
            Failing(patch, 1 << 30)
        with patch.context() as worn:
            Worn(worn, take.path, AT)
            with pytest.raises(CardError, match="cannot be read at byte"):
                ingest(take, vault, ledger)
        assert clip.path.read_bytes() == (before[:-7] if rots else before)
        assert ingest(take, vault, ledger) == clip
    assert clip.path.read_bytes() != before, "a copy that the disk cannot read is replaced as well"
    with vault.open(clip.id) as copy:
        assert copy.read() == FILM
    assert vault.get(f"{clip.id}{NOTES}first") == b"faces"
    assert not list(vault.root.rglob("*.unfinished"))


def test_a_copy_that_rotted_is_replaced_by_that_of_another_card(
    take: CardClip, vault: Vault, ledger: Ledger, tmp_path: Path
) -> None:
    clip = ingest(take, vault, ledger, card="one")
    rotten(clip.path)
    shutil.copytree(take.card, tmp_path / "two")
    (other,) = find_clips(tmp_path / "two")
    assert ingest(other, vault, ledger, card="two").id == clip.id
    with vault.open(clip.id) as copy:
        assert copy.read() == FILM
    assert not list(vault.root.rglob("*.unfinished"))


def test_an_unfinished_copy_of_long_ago_is_swept(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    Worn(monkeypatch, take.path, AT)
    with pytest.raises(CardError):
        ingest(take, vault, ledger)
    (half,) = (vault.root / "clips").glob("*.unfinished")
    os.utime(half, (0, 0))
    assert vault.sweep() == 1
    assert not list(vault.root.rglob("*.unfinished"))


def _fails_at(patch: pytest.MonkeyPatch, kind: str, error: BaseException) -> None:
    """From now on the ledger raises ``error`` where a row of this kind is to be appended."""
    append = Ledger.append

    def failing(self: Ledger, row: str, clip: str | None, payload: dict[str, Any]) -> int:
        if row == kind:
            raise error
        return append(self, row, clip, payload)

    patch.setattr(Ledger, "append", failing)


def test_a_copy_that_was_never_recorded_waits_for_its_card_and_is_then_destroyed(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _fails_at(patch, "ingest", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            ingest(take, vault, ledger)
    (id,) = vault.ids()
    assert copies.forget_unrecorded(vault, ledger) == []
    with monkeypatch.context() as patch:
        patch.setattr(copies, "PATIENCE", -1)
        assert copies.forget_unrecorded(vault, ledger) == [id]
        assert vault.ids() == []
        assert ingest(take, vault, ledger).id == id
        assert copies.forget_unrecorded(vault, ledger) == []
    assert vault.ids() == [id]


def test_a_disk_too_full_for_the_ledger_is_a_full_disk(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _fails_at(patch, "copied", files.disk_full(Path("ledger.db")))
        with pytest.raises(DiskFullError):
            ingest(take, vault, ledger)
    assert not any(vault.root.rglob("*.unfinished")), "the copy only fills the disk"
    assert not vault.ids()


def test_room_is_looked_for_before_the_first_byte(
    take: CardClip, vault: Vault, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=len(FILM) + (1 << 20)))
    monkeypatch.setattr(Vault, "writer", None)
    with pytest.raises(DiskFullError, match=r"no room for .*MVI_0001\.MP4: 74 MB are needed and 7 MB are free"):
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
    assert {p.name for p in vault.root.rglob("*") if p.is_file()} == {"master.key", "master.check"}


def test_an_empty_film_is_refused(tmp_path: Path, vault: Vault, ledger: Ledger) -> None:
    folder = tmp_path / "card/DCIM/100GOPRO"
    folder.mkdir(parents=True)
    (folder / "GX010003.MP4").touch()
    with pytest.raises(NotAVideoError, match=r"GX010003\.MP4 is empty"):
        ingest(find_clips(tmp_path / "card")[0], vault, ledger)


def test_a_take_in_chapters_is_one_copy(tmp_path: Path, vault: Vault, ledger: Ledger) -> None:
    folder = tmp_path / "card/DCIM/100GOPRO"
    folder.mkdir(parents=True)
    parts = [os.urandom(size) for size in (files.BLOCK + 77, 3, 2 * CHUNK)]
    for n, data in enumerate(parts, 1):
        (folder / f"GX0{n}0001.MP4").write_bytes(data)
    (take,) = find_clips(tmp_path / "card")
    clip = ingest(take, vault, ledger)
    assert clip.parts == tuple(len(data) for data in parts)
    digests = [hashlib.sha256(data).hexdigest() for data in parts]
    (row,) = ledger.entries(kind="ingest")
    assert [file["sha256"] for file in row.payload["files"]] == row.payload["verified"] == digests
    assert clip.sha256 == hashlib.sha256("\n".join(digests).encode()).hexdigest()
    with vault.open(clip.id) as copy:
        assert copy.read() == b"".join(parts)
    assert ingest(take, vault, ledger) == clip
    assert len(ledger.entries(kind="ingest")) == 1


def test_films_of_one_name_on_two_cards_are_two_clips(tmp_path: Path, vault: Vault, ledger: Ledger) -> None:
    clips = []
    for card in ("one", "two"):
        folder = tmp_path / card / "DCIM/100CANON"
        folder.mkdir(parents=True)
        (folder / "MVI_0001.MP4").write_bytes(card.encode() * 1000)
        clips.append(ingest(find_clips(tmp_path / card)[0], vault, ledger, card=card))
    assert clips[0].id != clips[1].id
    assert clips[0].name != clips[1].name
    assert [row.payload["card"] for row in ledger.entries(kind="ingest")] == ["one", "two"]


@pytest.mark.parametrize("name", ["les\nvijf é ✓.MP4", "x" * 251 + ".MP4", "ünï çödé 课堂.MP4", "{les}.MP4", "-rf.MP4"])
def test_names_of_all_kinds(tmp_path: Path, vault: Vault, ledger: Ledger, name: str) -> None:
    folder = tmp_path / "card/DCIM/1"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"film")
    clip = ingest(find_clips(tmp_path / "card")[0], vault, ledger)
    assert ledger.entries(kind="ingest")[0].payload["files"][0]["path"] == f"DCIM/1/{name}"
    assert "\n" not in clip.name
    assert len(clip.name.encode()) < 230


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_film_that_may_not_be_read(take: CardClip, vault: Vault, ledger: Ledger) -> None:
    take.path.chmod(0)
    with pytest.raises(CardError, match="Permission denied"):
        ingest(take, vault, ledger)
