"""Files that are whole or are not there: publishing, flushing, hashing, names, and what a full disk is called."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO

from pipeline.errors import BusyError, DiskFullError, LesveilError, OutputExistsError, OutputNotWritableError

try:
    import fcntl
except ImportError:  # Windows
    FULL_SYNC = None
else:
    FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None)
    """macOS: fsync leaves the bytes in the drive's own cache, this does not."""

BLOCK = 1 << 20
"""Bytes read or written at a time."""

LITTLE = 1 << 16
"""Bytes that a report takes, about: on a full disk an empty file can often still be made."""

ADVISE: Callable[[int, int, int, int], None] | None = getattr(os, "posix_fadvise", None)
"""Tells the system how a stretch of a file will be used, where it listens."""

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EFBIG, errno.ENAMETOOLONG}
_NO_LINKS = {
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.ENOSYS,
    getattr(errno, "ENOTSUP", errno.ENOSYS),
    getattr(errno, "EOPNOTSUPP", errno.ENOSYS),
}
_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}
"""What a system says of a lock that somebody else holds."""
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d|desktop\.ini|\.lock)(\.|$)")


def url(path: Path) -> str:
    """The path for libav, which takes what is before a colon for a protocol."""
    return "file:" + os.fspath(path)


def partial_path(final: Path) -> Path:
    """A hidden, unique sibling of ``final`` to write to first; its name ends in ``.partial`` and fits in 255 bytes."""
    stem = _cut(final.name, 200)
    return final.with_name(f".{stem}.{secrets.token_hex(6)}.partial")


def lock(file: IO[bytes]) -> bool:
    """Hold an open file for this process alone, until it is closed; False while another holds it. Raises OSError."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _HELD:
            raise
        return False
    return True


@contextlib.contextmanager
def claim(final: Path) -> Iterator[None]:
    """Be the only writer of ``final``; what killed ones left behind is removed. Raises BusyError while another is.

    A hidden file beside it is held meanwhile, and gone afterwards. Volumes that know no locks (some network shares)
    are written without.
    """
    path = final.with_name(f".{_cut(final.name, 200)}.claim")
    with writing(final):
        file = path.open("a+b")
    with file:
        try:
            free = lock(file) and _lies_at(file, path)  # not there any more: who held it has just finished
        except OSError:
            free = True
        if not free:
            raise BusyError("Another run is making {file}; wait for it to end.", file=final)
        try:
            sweep_partials(final)
            yield
        finally:
            if os.name == "nt":  # an open file cannot be removed there
                file.close()
            with contextlib.suppress(PermissionError):  # there, too, while another asks whether it is held
                remove(path)


def _lies_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def refuse_unwritable(final: Path) -> None:
    """Find out before any work whether ``final``, a file of LITTLE, and the folders above it can be made; nothing is
    left behind.

    Raises OutputNotWritableError and DiskFullError.
    """
    with writing(final):
        with contextlib.suppress(FileNotFoundError):
            os.lstat(final)  # a name that is too long, or a file where a folder should be, shows here
        folder = next(place for place in final.absolute().parents if os.path.lexists(place))
        _try_out(folder / partial_path(final).name, LITTLE)


def refuse_full(final: Path, size: int) -> None:
    """Find out before any work whether there is room for ``size`` bytes beside ``final``; nothing is left behind.

    They are written: what a volume says of its room leaves out quotas, and what it keeps for itself. Raises
    OutputNotWritableError and DiskFullError.
    """
    with writing(final):
        # swept, should this be killed, and not taken for a film
        _try_out(partial_path(final).with_suffix(".pieces"), size)


def _try_out(tried: Path, size: int) -> None:
    block = secrets.token_bytes(BLOCK)
    try:
        with create_private(tried) as file:
            for at in range(0, size, BLOCK):
                file.write(block[: size - at])
            file.flush()
            sync(file.fileno())  # network shares say it no sooner
    finally:
        remove(tried)


def sweep_partials(final: Path) -> None:
    """Remove what writers of ``final`` that were killed left behind; for the only writer of that name."""
    _sweep(final.parent, re.escape(_cut(final.name, 200)))


def sweep_all_partials(folder: Path) -> None:
    """The same of every name in a folder; for whoever holds all of it."""
    if folder.is_dir():
        with contextlib.suppress(PermissionError):  # Windows, where somebody looks at it; the next time, then
            _sweep(folder, ".+")


def sweep_abandoned(folder: Path) -> None:
    """Remove what runs that were killed left behind under any name in ``folder``: what `claim` held and nobody holds.

    Where locks are not known nobody can tell, and all stays. What cannot be removed stays, too.
    """
    with contextlib.suppress(OSError):
        for path in list(folder.glob(".*.claim")):
            final = folder / path.name[1 : -len(".claim")]
            with contextlib.suppress(OSError), path.open("r+b") as file:
                if lock(file) and _lies_at(file, path):
                    sweep_partials(final)
                    if os.name == "nt":  # as in `claim`
                        file.close()
                    path.unlink()


def _sweep(folder: Path, names: str) -> None:
    pattern = re.compile(rf"\.{names}\.([0-9a-f]{{12}}){{1,2}}\.(partial|pieces)")
    for path in folder.iterdir():
        if pattern.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                remove(path)


@contextlib.contextmanager
def pieces(partial: Path) -> Iterator[Path]:
    """A folder beside ``partial`` for the files of which it is put together; gone afterwards with whatever is in it.

    Whoever begins to write one after that finds no folder and leaves nothing. Raises DiskFullError and
    OutputNotWritableError.
    """
    stem = partial.name.removesuffix(".partial")
    folder, gone = (partial.with_name(f"{stem}{secrets.token_hex(6)}.pieces") for _ in range(2))
    with writing(partial):
        folder.mkdir()
    with contextlib.suppress(OSError):
        shutil.copymode(partial.parent, folder)  # who may write beside it may write in it: workers elsewhere, too
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            folder = folder.rename(gone)  # a name that nobody knows: what is being removed does not grow
        shutil.rmtree(folder, ignore_errors=True)


def publish(partial: Path, final: Path) -> None:
    """Give the finished ``partial`` its final name, flushed to the disk, never over an existing file.

    Where the file system has no hard links (FAT, exFAT) the name is reserved by an empty file first: a power cut
    between the two steps leaves that empty file, never half a film. Raises OutputExistsError, DiskFullError or
    OutputNotWritableError; the partial file then stays where it was.
    """
    with writing(final):
        sync_file(partial)
        try:
            _rename_to_new(partial, final)
        except FileExistsError as error:
            raise OutputExistsError("{file} exists already; nothing is written over.", file=final) from error
        sync_folder(final.parent)


def replace(partial: Path, final: Path) -> None:
    """Give the finished ``partial`` the name of an existing file, which is gone then; flushed to the disk.

    Raises DiskFullError or OutputNotWritableError; both files then stay as they were.
    """
    with writing(final):
        sync_file(partial)
        os.replace(partial, final)
        sync_folder(final.parent)


def _rename_to_new(partial: Path, final: Path) -> None:
    if os.name == "nt":
        os.rename(partial, final)  # never replaces on Windows
        return
    try:
        os.link(partial, final)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        os.unlink(partial)
        return
    os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        os.replace(partial, final)
    except OSError:
        os.unlink(final)
        raise


def sync(fd: int) -> None:
    """Flush an open file to the medium itself."""
    if FULL_SYNC is not None:
        try:
            fcntl.fcntl(fd, FULL_SYNC)
        except OSError:  # not every volume knows it
            os.fsync(fd)
    else:
        os.fsync(fd)


def sync_file(path: Path) -> None:
    """Flush a file that is closed by now. Windows flushes only what was opened for writing."""
    fd = os.open(path, (os.O_RDWR if os.name == "nt" else os.O_RDONLY) | getattr(os, "O_BINARY", 0))
    try:
        sync(fd)
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    """Flush the names in a folder. Windows has no such call; some network and FUSE volumes refuse it."""
    if os.name == "nt":
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(fd)


def drop_cache(path: Path) -> None:
    """Ask the system to forget the file's pages, so that the next read comes from the medium (where it can)."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        drop_stretch(fd, 0, 0)
    finally:
        os.close(fd)


def drop_stretch(fd: int, at: int, size: int) -> None:
    """The same of some bytes of an open file; of all after ``at`` when ``size`` is 0."""
    if ADVISE is not None:
        ADVISE(fd, at, size, getattr(os, "POSIX_FADV_DONTNEED", 4))


def fetch_stretch(fd: int, at: int, size: int) -> None:
    """Ask the system to read a stretch from the medium meanwhile, because it is needed soon."""
    if ADVISE is not None:
        ADVISE(fd, at, size, getattr(os, "POSIX_FADV_WILLNEED", 3))


def sha256_of(path: Path) -> str:
    """SHA-256 of the file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def create_private(path: Path) -> BinaryIO:
    """Create a file that only its owner can read, opened for writing. Raises FileExistsError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    return open(fd, "wb")


def write_new(path: Path, data: bytes) -> None:
    """A small new file, whole or not there, readable by its owner alone. Raises OutputExistsError, DiskFullError and
    OutputNotWritableError."""
    _write_private(path, data, publish)


def write_over(path: Path, data: bytes) -> None:
    """The same in place of what is there, if anything is."""
    _write_private(path, data, replace)


def _write_private(path: Path, data: bytes, name: Callable[[Path, Path], None]) -> None:
    partial = partial_path(path)
    try:
        with writing(path), create_private(partial) as file:
            file.write(data)
        name(partial, path)
    finally:
        remove(partial)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Inside, an OSError that means a full disk or a place that cannot be written becomes an error that names it; of
    another kind it names ``path`` where it names nothing (a flush and a lock do not)."""
    try:
        yield
    except OSError as error:
        told = told_error(error, path)
        if told is None:
            if error.errno is not None and error.filename is None:
                error.filename = os.fspath(path)
            raise
        raise told from error


def is_full(error: OSError) -> bool:
    """Whether it says that there is no room, on the disk or for this user."""
    return error.errno in _FULL


def disk_full(path: Path) -> DiskFullError:
    """What a person is told when there was no room for ``path``."""
    return DiskFullError("The disk is full: {file} was not written; make room and try again.", file=path)


def told_error(error: OSError, path: Path) -> LesveilError | None:
    """The error a person is told for ``error`` while writing ``path``; None if it means neither full nor refused."""
    if is_full(error):
        return disk_full(path)
    if error.errno in _NOT_WRITABLE or isinstance(error, FileExistsError):
        return OutputNotWritableError("{file} cannot be written: {why}.", file=path, why=error.strerror)
    return None


def remove(path: Path) -> None:
    """Unlink a file that may be gone already, and its folder, too."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def safe_name(name: str) -> str:
    """``name`` as a file name that Windows, OneDrive and FAT accept too: at most 200 bytes, never empty, never hidden.

    Two names may become one; the caller keeps them apart (clips carry part of their id).
    """
    clean = unicodedata.normalize("NFC", name)
    clean = "".join("_" if c in '"*:<>?/\\|' or unicodedata.category(c).startswith("C") else c for c in clean)
    clean = clean.replace("_vti_", "_").lstrip(" .~").rstrip(" .")
    if _RESERVED.match(clean):
        clean = "_" + clean
    return _cut(clean, 200).rstrip(" .") or "clip"


def _cut(name: str, size: int) -> str:
    """The name in at most ``size`` bytes of UTF-8, its (short) suffix kept, cut between characters."""
    raw = name.encode(errors="replace")
    if len(raw) <= size:
        return raw.decode()
    stem, dot, suffix = name.rpartition(".")
    tail = (dot + suffix).encode(errors="replace") if stem and len(suffix.encode(errors="replace")) <= 16 else b""
    return raw[: size - len(tail)].decode(errors="ignore") + tail.decode()
