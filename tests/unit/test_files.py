"""Publishing, names and what a full disk is called."""

import contextlib
import errno
import os
import shutil
import string
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import run
from pipeline.adapters import files
from pipeline.errors import BusyError, DiskFullError, OutputExistsError, OutputNotWritableError


def test_publish_gives_the_whole_file_its_name(tmp_path: Path) -> None:
    final = tmp_path / "clip.mp4"
    partial = files.partial_path(final)
    partial.write_bytes(b"whole")
    files.publish(partial, final)
    assert final.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["clip.mp4"]


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "none (FAT)"])
def test_publish_never_writes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        _forbid_links(monkeypatch)
    final, partial = tmp_path / "clip.mp4", tmp_path / ".new.partial"
    final.write_bytes(b"theirs")
    partial.write_bytes(b"ours")
    with pytest.raises(OutputExistsError, match=r"clip\.mp4"):
        files.publish(partial, final)
    assert final.read_bytes() == b"theirs"
    assert partial.read_bytes() == b"ours"


def test_publish_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _forbid_links(monkeypatch)
    final, partial = tmp_path / "clip.mp4", tmp_path / ".new.partial"
    partial.write_bytes(b"ours")
    files.publish(partial, final)
    assert final.read_bytes() == b"ours"
    assert not partial.exists()


def test_publish_onto_a_dangling_link_is_refused(tmp_path: Path) -> None:
    final, partial = tmp_path / "clip.mp4", tmp_path / ".new.partial"
    final.symlink_to(tmp_path / "elsewhere")
    partial.write_bytes(b"ours")
    with pytest.raises(OutputExistsError):
        files.publish(partial, final)
    assert not (tmp_path / "elsewhere").exists()


def test_publish_flushes_the_file_before_it_is_named_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final, partial = tmp_path / "clip.mp4", tmp_path / ".new.partial"
    partial.write_bytes(b"x")
    order: list[str] = []
    monkeypatch.setattr(files, "sync_file", lambda path: order.append(f"file {final.exists()}"))
    monkeypatch.setattr(files, "sync_folder", lambda path: order.append(f"folder {final.exists()}"))
    files.publish(partial, final)
    assert order == ["file False", "folder True"]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFullError),
        (errno.EDQUOT, DiskFullError),
        (errno.EACCES, OutputNotWritableError),
        (errno.EROFS, OutputNotWritableError),
        (errno.EPERM, OutputNotWritableError),
        (errno.EFBIG, OutputNotWritableError),
    ],
)
def test_what_the_system_says_names_the_file(number: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"clip\.mp4"), files.writing(Path("clip.mp4")):
        raise OSError(number, os.strerror(number))


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(OSError, match="Input/output") as raised, files.writing(Path("clip.mp4")):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert raised.value.filename == "clip.mp4"
    with pytest.raises(OSError, match="Input/output") as raised, files.writing(Path("clip.mp4")):
        raise OSError(errno.EIO, os.strerror(errno.EIO), "another")
    assert raised.value.filename == "another"


def test_partial_names_are_hidden_unique_and_short(tmp_path: Path) -> None:
    final = tmp_path / ("é" * 125 + ".mp4")
    one, two = files.partial_path(final), files.partial_path(final)
    assert one != two
    assert one.parent == tmp_path
    assert one.name.startswith(".")
    assert one.name.endswith(".partial")
    one.write_bytes(b"")
    files.sweep_partials(final)
    assert not one.exists()


def test_sweeping_leaves_other_files(tmp_path: Path) -> None:
    kept = [files.partial_path(tmp_path / "b.mp4"), tmp_path / "a.mp4", tmp_path / ".a.mp4.partial"]
    for path in kept:
        path.write_bytes(b"")
    files.sweep_partials(tmp_path / "a.mp4")
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("MVI_0001", "MVI_0001"),
        ("les: 4/5?", "les_ 4_5_"),
        ("CON.mp4", "_CON.mp4"),
        ("..", "clip"),
        ("~$draft", "$draft"),
        ("a\nb", "a_b"),
        ("e\u0301", "é"),
        ("dot. ", "dot"),
    ],
)
def test_safe_names(name: str, safe: str) -> None:
    assert files.safe_name(name) == safe


@given(st.text(max_size=300) | st.text(alphabet=string.printable + "éß日", min_size=100, max_size=300))
def test_a_safe_name_is_safe_and_stays_so(name: str) -> None:
    safe = files.safe_name(name)
    assert 0 < len(safe.encode()) <= 200
    assert not set(safe) & set('"*:<>?/\\|\0\n')
    assert not safe.startswith((".", " "))
    assert not safe.endswith((".", " "))
    assert files.safe_name(safe) == safe


def _forbid_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)


def test_pieces_go_with_their_film_and_nothing_else_does(tmp_path):
    final = tmp_path / "lés.mp4"
    partial, other = files.partial_path(final), files.partial_path(final)
    kept = [tmp_path / "lés.mp4.partial", tmp_path / ".lés.mp4.txt", files.partial_path(tmp_path / "x.mp4")]
    for path in (partial, other, *kept):
        path.touch()
    for end in (RuntimeError, None):
        with contextlib.suppress(RuntimeError), files.pieces(partial) as folder:
            (folder / "one.partial").touch()
            assert folder.parent == tmp_path
            if end is not None:
                raise end
        with pytest.raises(FileNotFoundError):
            (folder / "late.partial").touch()
        assert sorted(tmp_path.iterdir()) == sorted([partial, other, *kept])


def test_what_a_run_left_that_was_killed_is_swept_with_its_pieces(tmp_path):
    final = tmp_path / "lés.mp4"
    with files.pieces(files.partial_path(final)) as mine, files.pieces(files.partial_path(tmp_path / "x.mp4")) as other:
        (mine / "one.partial").touch()
        files.partial_path(final).touch()
        files.sweep_partials(final)
        assert list(tmp_path.iterdir()) == [other]


def test_whether_a_place_can_be_written_is_found_out_without_a_trace(tmp_path: Path) -> None:
    files.refuse_unwritable(tmp_path / "deep" / "deeper" / "report.json")
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").write_bytes(b"theirs")
    with pytest.raises(OutputNotWritableError, match=r"report\.json"):
        files.refuse_unwritable(tmp_path / "file" / "deep" / "report.json")
    assert os.listdir(tmp_path) == ["file"]


def test_whether_there_is_room_is_found_out_without_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    sync = files.sync

    def counted(fd: int) -> None:
        written.append(os.fstat(fd).st_size)
        sync(fd)

    monkeypatch.setattr(files, "sync", counted)
    sizes = [1, files.BLOCK, files.BLOCK + 1]
    for size in sizes:
        files.refuse_full(tmp_path / "clip.mp4", size)
    assert written == sizes
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_no_room_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "create_private", lambda _: os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb"))
    with pytest.raises(DiskFullError, match=r"clip\.mp4"):
        files.refuse_full(tmp_path / "clip.mp4", 1)
    assert os.listdir(tmp_path) == []


def test_one_writer_at_a_time_holds_a_name(tmp_path: Path) -> None:
    final = tmp_path / "clip.mp4"
    left = files.partial_path(final)
    left.write_bytes(b"of one that was killed")
    with files.claim(final):
        assert not left.exists()
        ours = files.partial_path(final)
        ours.write_bytes(b"ours")
        with pytest.raises(BusyError, match=r"clip\.mp4"), files.claim(final):
            pass
        assert ours.read_bytes() == b"ours"
        with files.claim(tmp_path / "other.mp4"):
            pass
    assert os.listdir(tmp_path) == [ours.name]
    with files.claim(final):
        pass
    assert os.listdir(tmp_path) == []


def test_a_name_is_free_again_when_its_writer_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), files.claim(tmp_path / "clip.mp4"):
        raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_what_killed_runs_left_is_swept_and_what_others_write_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, alive, odd = (tmp_path / name for name in ("dead.mp4", "alive.mp4", "odd.mp4"))
    left = [files.partial_path(final) for final in (dead, alive, odd)]
    with files.claim(alive):
        for path in left:
            path.write_bytes(b"half a film")
        (tmp_path / ".dead.mp4.claim").touch()
        with monkeypatch.context() as without:
            without.setattr(files, "lock", lambda _: (_ for _ in ()).throw(OSError(errno.ENOLCK, "No locks available")))
            files.sweep_abandoned(tmp_path)
        assert len(list(tmp_path.iterdir())) == 5
        files.sweep_abandoned(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([*left[1:], tmp_path / ".alive.mp4.claim"])
    files.sweep_abandoned(tmp_path / "none")


def test_a_claim_that_cannot_be_removed_fails_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, while another asks whether it is held."""

    def held(path: Path) -> None:
        raise PermissionError(13, "in use", str(path))

    with files.claim(tmp_path / "clip.mp4"):
        monkeypatch.setattr(os, "unlink", held)
    monkeypatch.undo()
    with files.claim(tmp_path / "clip.mp4"):
        pass
    assert os.listdir(tmp_path) == []


def test_no_more_is_tried_to_be_written_than_a_film_can_say_for_certain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One broken number in a file may promise two thousand million pictures: that is no reason to fill the disk."""
    asked: list[int] = []
    monkeypatch.setattr(files, "refuse_full", lambda final, size: asked.append(size))
    for frames in (0, 100, 2**31 - 1):
        clip = SimpleNamespace(info=SimpleNamespace(frames=frames, container="mov,mp4"))
        run.refuse_full(clip, tmp_path / "clip.mp4")
    assert asked == [run.LEAST, 100 * run.LEAST, run.BELIEVED * run.LEAST]


def test_a_file_that_got_a_new_inode_was_not_written_to(tmp_path: Path) -> None:
    """Cards and network shares number files anew while they lie there."""
    clip, other = tmp_path / "clip.mp4", tmp_path / "other.mp4"
    clip.write_bytes(b"film")
    before = run._state(clip)
    shutil.copy2(clip, other)
    other.replace(clip)
    assert run._state(clip) == before
    clip.write_bytes(b"film, and more of it")
    assert run._state(clip) != before
