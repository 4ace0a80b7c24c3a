"""Working copies: what goes in comes out, and nothing that was changed does."""

import contextlib
import errno
import io
import os
import random
import stat
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.adapters import files, sealed, vault
from pipeline.adapters.reread import Reread
from pipeline.adapters.sealed import CHUNK, HEADER, SEAL, sealed_size
from pipeline.adapters.vault import Vault
from pipeline.errors import DiskFullError, OutputExistsError, VaultError


def keep(store: Vault, id: str, data: bytes) -> Path:
    with store.writer() as copy:
        copy.write(data)
        return copy.commit(id)


@pytest.fixture
def store(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "vault")


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_what_goes_in_comes_out(store: Vault, size: int) -> None:
    data = os.urandom(size)
    path = keep(store, "a", data)
    assert path.stat().st_size == sealed_size(size)
    with store.open("a") as copy:
        assert copy.size == size
        assert copy.read() == data
        assert copy.read(1) == b""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(-300_000, 300_000), st.integers(0, 150_000)), max_size=8)
)
def test_reads_and_seeks_like_a_plain_file(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int]]
) -> None:
    data = bytes(np.random.default_rng(1).integers(0, 256, 3 * CHUNK + 777, np.uint8))
    folder = tmp_path_factory.mktemp("vault")
    keep(Vault(folder), "a", data)
    plain = io.BytesIO(data)
    with Vault(folder).open("a") as copy:
        for whence, offset, size in steps:
            at = max(0, offset + {0: 0, 1: plain.tell(), 2: len(data)}[whence])
            assert copy.seek(at) == plain.seek(at)
            assert copy.read(size) == plain.read(size)
            assert copy.tell() == plain.tell()


def test_written_in_pieces_it_is_the_same(store: Vault) -> None:
    data = os.urandom(5 * CHUNK + 3)
    with store.writer() as copy:
        for at in range(0, len(data), 10_007):
            copy.write(data[at : at + 10_007])
        copy.commit("a")
    with store.open("a") as reader:
        assert reader.read() == data


def test_nothing_clear_is_on_the_disk_at_any_time(store: Vault, tmp_path: Path) -> None:
    with store.writer() as copy:
        for _ in range(40):
            copy.write(b"a face in the clear " * 1000)
            for path in tmp_path.rglob("*"):
                assert path.is_dir() or b"in the clear" not in path.read_bytes()
        copy.commit("a")
    assert b"in the clear" not in store.path("a").read_bytes()


def test_no_two_chunks_are_sealed_alike(store: Vault) -> None:
    """Under one nonce equal chunks would look equal, and any two would give away their difference."""
    raws = [keep(store, id, bytes(4 * CHUNK)).read_bytes()[FIRST:] for id in ("a", "b")]
    bodies = [raw[at : at + CHUNK] for raw in raws for at in range(0, len(raw), CHUNK + SEAL)]
    assert len(set(bodies)) == len(bodies) == 8


def test_secrets_are_for_their_owner(store: Vault, tmp_path: Path) -> None:
    keep(store, "a", b"x")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda raw: raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


FIRST, SECOND = HEADER.size, HEADER.size + CHUNK + SEAL
THIRD = SECOND + CHUNK + SEAL


@pytest.mark.parametrize(
    "change",
    [
        flipped(0),
        flipped(20),
        flipped(FIRST),
        flipped(SECOND - 1),
        flipped(-1 + THIRD),
        lambda raw: raw[:FIRST] + raw[SECOND:THIRD] + raw[FIRST:SECOND] + raw[THIRD:],
        lambda raw: raw[:THIRD],
        lambda raw: raw[:-1],
        lambda raw: raw + bytes(SEAL),
        lambda raw: raw + raw[THIRD:],
        lambda raw: raw[: HEADER.size],
        lambda raw: b"",
    ],
    ids=["magic", "file id", "byte", "tag", "last tag of 2", "order", "end", "cut", "more", "twice", "header", "empty"],
)
def test_what_was_changed_is_noticed(store: Vault, change: Callable[[bytes], bytes]) -> None:
    path = keep(store, "a", os.urandom(2 * CHUNK + 100))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(VaultError, match=r"a\.vault.*copy this clip from its card again"), store.open("a") as copy:
        copy.read()


def test_copies_that_changed_places_are_noticed(store: Vault) -> None:
    one, two = keep(store, "one", b"1" * 100), keep(store, "two", b"2" * 100)
    sealed = one.read_bytes()
    one.write_bytes(two.read_bytes())
    with pytest.raises(VaultError):
        store.open("one")
    one.write_bytes(sealed)
    keys = store.root / "keys"
    for half in (keys, store.root / "clips"):
        a, b = sorted(p for p in half.iterdir() if p.stem in ("one", "two"))
        for path, to in ((a, half / "x"), (b, a), (half / "x", b)):
            path.rename(to)
    with pytest.raises(VaultError, match=r"one\.key is not the key"):
        store.open("one")


def test_another_workspace_cannot_read_it(store: Vault, tmp_path: Path) -> None:
    keep(store, "a", b"x")
    (store.root / "master.key").write_bytes(os.urandom(32))
    with pytest.raises(VaultError):
        Vault(store.root).open("a")
    (store.root / "master.key").unlink()
    with pytest.raises(VaultError, match=r"master\.key is missing"):
        Vault(store.root)


def test_what_was_not_committed_is_not_there(store: Vault) -> None:
    with store.writer() as copy:
        copy.write(os.urandom(3 * CHUNK))
    assert store.ids() == []
    assert list((store.root / "clips").iterdir()) == []
    with pytest.raises(VaultError, match="copy this clip from its card again"):
        store.open("a")


def test_a_copy_is_never_written_over(store: Vault) -> None:
    keep(store, "a", b"first")
    with pytest.raises(OutputExistsError):
        keep(store, "a", b"second")
    with store.open("a") as copy:
        assert copy.read() == b"first"


@pytest.mark.parametrize("id", ["", "../a", "a/b", ".a", "a" * 101, "a\n"])
def test_ids_stay_in_the_vault(store: Vault, id: str) -> None:
    with pytest.raises(VaultError):
        store.path(id)


class Killed(BaseException):
    """A process that is no more runs no handlers; what is caught here is only the test's."""


def killed_at(monkeypatch: pytest.MonkeyPatch, number: int) -> Callable[[], int]:
    """Let the ``number``-th of the calls that change the disk end everything; returns how many were made."""
    made = 0

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def counting(*args: object) -> object:
            nonlocal made
            made += 1
            if made >= number:
                raise Killed
            return call(*args)

        return counting

    for module, name in [(files, "sync"), (files, "sync_file"), (files, "sync_folder"), (os, "unlink"), (os, "link")]:
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    return lambda: made


def test_destroying_survives_every_crash(tmp_path: Path) -> None:
    points = 0
    while True:
        store = Vault(tmp_path / str(points))
        path = keep(store, "a", b"x" * 1000)
        with pytest.MonkeyPatch.context() as patch:
            made = killed_at(patch, points + 1)
            with contextlib.suppress(Killed):
                store.destroy("a")
            if made() <= points:
                break
        with pytest.raises(VaultError):  # the key went first
            store.open("a")
        store.destroy("a")
        assert not path.exists()
        assert not store.has("a")
        points += 1
    assert points >= 5


def test_a_key_that_cannot_be_destroyed_is_named(store: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(store, "a", b"film")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", full)
        with pytest.raises(DiskFullError, match=r"a\.key"):
            store.destroy("a")
    store.destroy("a")
    assert not store.has("a")


def test_a_crash_while_committing_leaves_nothing_or_a_whole_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault, "FRESH", 0)
    points = 0
    while True:
        store = Vault(tmp_path / str(points))
        with pytest.MonkeyPatch.context() as patch:
            made = killed_at(patch, points + 1)
            copy = store.writer()
            copy.write(b"x" * 1000)
            try:
                copy.commit("a")
            except Killed:
                copy._file = None
            if made() <= points:
                copy.close()
                break
        again = Vault(store.root)
        if again.has("a"):
            with again.open("a") as reader:
                assert reader.read() == b"x" * 1000
        else:
            keep(again, "a", b"x" * 1000)
            with again.open("a") as reader:
                assert reader.read() == b"x" * 1000
        again.sweep()
        assert {p.name for p in store.root.rglob("*") if p.is_file()} == {
            "master.key",
            "master.check",
            "a.vault",
            "a.key",
        }
        copy.close()
        points += 1
    assert points >= 6


def test_a_crash_while_a_copy_takes_the_place_of_another_leaves_one_or_what_can_be_gone_on_with(tmp_path: Path) -> None:
    points = 0
    while True:
        store = Vault(tmp_path / str(points))
        keep(store, "a", b"the old one")
        keep(store, "a.seen-1", b"faces")
        with pytest.MonkeyPatch.context() as patch:
            made = killed_at(patch, points + 1)
            copy = None
            with contextlib.suppress(Killed):
                copy = store.resumable("n", lambda _: None)
                copy.write(b"x" * 1000)
                copy.commit("a", instead=True)
            if copy is not None:
                copy._file, copy.keep = None, True
            if made() <= points:
                break
        again = Vault(store.root)
        try:
            assert again.get("a") in (b"the old one", b"x" * 1000)
        except VaultError:
            assert len(list(store.root.rglob(".n.unfinished"))) == 2, "the new one and its key"
        with again.resumable("n", lambda _: None) as more:
            more.write(b"x" * 1000)
            more.commit("a", instead=True)
        assert again.get("a") == b"x" * 1000
        assert again.get("a.seen-1") == b"faces"
        assert not list(store.root.rglob("*.unfinished"))
        points += 1
    assert points >= 10


def test_sweep_removes_halves_and_keeps_wholes(store: Vault) -> None:
    keep(store, "whole", b"x")
    keep(store, "keyless", b"x")
    (store.root / "keys" / "keyless.key").unlink()
    files.partial_path(store.root / "clips" / "new").write_bytes(b"half")
    assert store.sweep() == 0, "somebody may be at it"
    for path in (store.root / "clips").iterdir():
        os.utime(path, (time.time() + 3,) * 2)
    assert store.sweep() == 0, "by the clock of a share"
    for path in (store.root / "clips").iterdir():
        os.utime(path, (0, 0))
    assert store.sweep() == 2
    assert store.ids() == ["whole"]
    assert len(list((store.root / "clips").iterdir())) == 1


def test_pyav_plays_and_seeks_through_it(store: Vault, tmp_path: Path) -> None:
    plain = tmp_path / "clip.mp4"
    with av.open(str(plain), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 320, 240, "yuv420p", 5
        rng = np.random.default_rng(0)
        for n in range(40):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (240, 320, 3), np.uint8), "rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    keep(store, "a", plain.read_bytes())

    def pictures(source: object) -> list[bytes]:
        with av.open(source) as container:
            video = container.streams.video[0]
            container.seek(int(1 / video.time_base), stream=video)
            return [bytes(frame.planes[0]) for frame in container.decode(video=0)]

    with store.open("a") as copy:
        through = pictures(copy)
    assert 10 <= len(through) < 40
    assert through == pictures(str(plain))


def test_a_copy_of_an_older_version_with_smaller_chunks_is_read(store: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(300_000)
    with monkeypatch.context() as patch:
        patch.setattr(sealed, "CHUNK", 1 << 16)
        keep(store, "old", data)
    with store.open("old") as copy:
        assert copy.read() == data
        copy.seek(200_000)
        assert copy.read(5) == data[200_000:200_005]


def test_a_size_of_chunks_that_nobody_wrote_is_refused(store: Vault) -> None:
    path = keep(store, "a", b"x" * 1000)
    raw = bytearray(path.read_bytes())
    raw[12:16] = (1 << 30).to_bytes(4, "big")
    path.write_bytes(raw)
    with pytest.raises(VaultError, match="was changed"):
        store.open("a")


def test_a_writer_that_could_not_begin_closes_quietly() -> None:
    """As the interpreter closes what is left of it; from Python 3.13 on it says aloud what goes wrong there."""
    writer = sealed.SealedWriter.__new__(sealed.SealedWriter)
    writer.close()
    assert writer.closed


@pytest.mark.parametrize("half", ["data", "key"])
def test_what_takes_the_place_of_a_half_that_cannot_be_believed_can_be_thrown_away(store: Vault, half: str) -> None:
    """Whoever closes or discards it must not be passed over as if that was done."""
    with store.resumable("film", print) as copy:
        copy.write(os.urandom(3 * CHUNK))
    (data,), (key,) = store.root.glob("clips/.*"), store.root.glob("keys/.*")
    path = data if half == "data" else key
    path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
    copy = store.resumable("film", print)
    assert not copy.closed
    assert [one.name for one in (*store.root.glob("clips/*"), *store.root.glob("keys/*"))] == [data.name, key.name]
    copy.write(os.urandom(3 * CHUNK))
    copy.close()
    assert copy.closed
    seen: list[bytes] = []
    copy = store.resumable("film", seen.append)
    assert len(seen) == 2
    copy.discard()
    assert [one for folder in ("clips", "keys") for one in (store.root / folder).iterdir()] == []
    copy = store.resumable("film", seen.append)
    copy.write(b"whole")
    copy.commit("a")
    with store.open("a") as reader:
        assert reader.read() == b"whole"


class InDrops(io.FileIO):
    """A file across a network: it gives a few bytes at a time."""

    def readinto(self, into):
        return super().readinto(memoryview(into)[:7])


def test_a_copy_is_proved_from_a_disk_that_gives_little_at_a_time(tmp_path: Path) -> None:
    """What came short was taken for a copy that differs, which is destroyed."""
    path, data = tmp_path / "copy", random.Random(1).randbytes(5 * 32 - 3)
    path.write_bytes(b"head" + data)
    with Reread(path, 4, 32, lambda sealed, _number, _last: sealed, [100, len(data) - 100]) as reread:
        reread._file.close()
        reread._file = InDrops(path)
        reread.ask_rest(5)
        assert reread.rest() == [xxhash.xxh128(part).hexdigest() for part in (data[:100], data[100:])]
