"""Working copies, encrypted from the first byte: no clear original ever lies on the laptop's disk.

``clips/ID.vault`` is the data, ``keys/ID.key`` its key, wrapped by the workspace's master key and bound to the id.
Destroying a key is the wipe that flash memory cannot undo. The master key lies in the system's keyring, or in a key
file where there is none (`pipeline.adapters.keys`).
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipeline.adapters import files, keys
from pipeline.adapters.sealed import SealedReader, SealedWriter
from pipeline.errors import VaultError

KEY_MAGIC = b"LESVKEY1"
NOTES = ".seen-"
"""What was found in a working copy is kept under the copy's id, this, and a name of its own."""
UNFINISHED = ".unfinished"
PATIENCE = 7 * 24 * 3600
"""Seconds for which an interrupted copy waits for its card. What waits is sealed, but takes room."""
FRESH = 60
"""Seconds for which an unfinished small thing may still be at work: a template, a note or a picture is written by
whoever needs it, also while a run holds the workspace."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Vault:
    """The folder of working copies. Making one creates its folders and master key when they are not there.

    ``key_file``: a new master key goes into a file even where the system has a keyring. Raises VaultError where the
    master key is gone, is none, or is another one: what does not open with it would be destroyed as damaged.
    """

    def __init__(self, root: Path, *, key_file: bool = False) -> None:
        self.root = root
        self._clips, self._keys = root / "clips", root / "keys"
        with files.writing(root):
            for folder in (root, self._clips, self._keys):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            in_use = any(self._keys.glob("*.key"))
            key = keys.master_key(root, in_use=in_use, key_file=key_file)
            self._master = AESGCM(key)
            keys.check(root, key, in_use=in_use, fits=self._opens_something)

    def _opens_something(self) -> bool:
        """Whether any key in it is wrapped by this master key: of some it may not be, of all of them it is another."""
        for path in self._keys.glob("*.key"):
            with contextlib.suppress(VaultError):
                self._unwrap(path.read_bytes(), path, path.stem)
                return True
        return False

    def path(self, id: str) -> Path:
        """Where the sealed bytes of ``id`` lie, or will."""
        return self._clips / f"{_checked(id)}.vault"

    def has(self, id: str) -> bool:
        """Whether a whole working copy and its key are there. Says nothing of its bytes: the ledger does."""
        return self.path(id).is_file() and self._key_path(id).is_file()

    def ids(self) -> list[str]:
        """Everything that is kept whole, working copies and what goes with them, sorted."""
        return sorted(id for p in self._clips.glob("*.vault") if self.has(id := p.name.removesuffix(".vault")))

    def beside(self, id: str) -> list[str]:
        """What goes with a working copy, and with it: the ids that begin with its id and NOTES, sorted."""
        return sorted(p.name.removesuffix(".vault") for p in self._clips.glob(f"{_checked(id)}{NOTES}*.vault"))

    def writer(self) -> VaultWriter:
        """A new working copy. Until ``commit`` its key is in memory only: what a crash leaves can never be read."""
        return VaultWriter(self)

    def resumable(self, name: str, seen: Callable[[bytes], object]) -> VaultWriter:
        """A new working copy that survives an interruption: what an earlier call under ``name`` wrote is gone on with.

        ``seen`` is given the clear bytes that are there already, in order. The key is kept, wrapped, from the start;
        closing the writer leaves the file, ``discard`` removes it with its key.
        """
        return VaultWriter(self, name, seen)

    def put(self, id: str, data: bytes) -> None:
        """Keep something small (a frame for review, a contact sheet), in place of what ``id`` was before.

        What is made from a working copy is named ``CLIP.something``: it goes when the copy goes.
        """
        self.destroy(id)
        with self.writer() as writer:
            writer.write(data)
            writer.commit(id)

    def get(self, id: str) -> bytes:
        """What was ``put`` under ``id``. Raises VaultError."""
        with self.open(id) as reader:
            return reader.read()

    def open(self, id: str) -> SealedReader:
        """Open a working copy for reading. Raises VaultError when it, its key or its end is missing or was changed."""
        path, key_path = self.path(id), self._key_path(id)
        try:
            wrapped = key_path.read_bytes()
            file = open(path, "rb", buffering=0)  # noqa: SIM115 - the reader closes it
        except OSError as error:
            raise VaultError(
                "{file} cannot be opened: {why}; copy this clip from its card again.",
                file=error.filename,
                why=error.strerror,
            ) from error
        try:
            return SealedReader(path, file, self._unwrap(wrapped, key_path, id))
        except BaseException:
            file.close()
            raise

    def key(self, id: str) -> bytes:
        """The key of a working copy, for a worker that reads it without this vault. Raises VaultError."""
        path = self._key_path(id)
        try:
            wrapped = path.read_bytes()
        except OSError as error:
            raise VaultError(
                "{file} cannot be opened: {why}; copy this clip from its card again.", file=path, why=error.strerror
            ) from error
        return self._unwrap(wrapped, path, id)

    def destroy(self, id: str) -> None:
        """Overwrite and remove the key, flushed, then remove the data, with all that was made from it.

        May be repeated after a crash.
        """
        made = {p.stem for folder in (self._clips, self._keys) for p in folder.glob(f"{_checked(id)}.*.*")}
        for one in (*sorted(name for name in made if _ID.fullmatch(name)), id):
            self._destroy_alone(one)

    def _destroy_alone(self, id: str) -> None:
        self._destroy_key(self._key_path(id))
        files.remove(self.path(id))
        files.sync_folder(self._clips)

    def _destroy_key(self, path: Path) -> None:
        if path.exists():
            with files.writing(path):
                with open(path, "r+b", buffering=0) as key:
                    key.write(secrets.token_bytes(os.fstat(key.fileno()).st_size))
                    files.sync(key.fileno())
                files.remove(path)
                files.sync_folder(self._keys)

    def sweep(self) -> int:
        """Remove what crashed writes left; only for the one run that holds the workspace. Returns the count.

        What is `FRESH` stays, and an interrupted copy that can be gone on with for `PATIENCE`.
        """
        found = [p for folder in (self._clips, self._keys) for p in folder.glob(".*.partial") if _age(p) >= FRESH]
        for path in found:
            files.remove(path)
        names = {p.stem for folder in (self._clips, self._keys) for p in folder.iterdir() if _ID.fullmatch(p.stem)}
        halves = [id for id in names if self._is_left(id)]
        for id in halves:
            self.destroy(id)
        return len(found) + len(halves) + self._sweep_unfinished()

    def _is_left(self, id: str) -> bool:
        """Whether a crash left this half of a copy: the other half is not there, and nobody is at it."""
        there = [path for path in (self.path(id), self._key_path(id)) if path.exists()]
        return len(there) == 1 and _age(there[0]) >= FRESH

    def unfinished(self, name: str) -> int:
        """Bytes on disk of what a `resumable` writer of this name can go on with."""
        data, kept = (folder / f".{_checked(name)}{UNFINISHED}" for folder in (self._clips, self._keys))
        return data.stat().st_size if data.is_file() and kept.is_file() else 0

    def forget(self, name: str) -> None:
        """Destroy what a `resumable` writer of this name left, key first. May be repeated after a crash."""
        unfinished = f".{_checked(name)}{UNFINISHED}"
        self._destroy_key(self._keys / unfinished)
        files.remove(self._clips / unfinished)

    def forget_unfinished(self) -> None:
        """Destroy every interrupted copy: nothing of a card that is wiped may wait to be gone on with."""
        for name in self._unfinished():
            self.forget(name)

    def _unfinished(self) -> list[str]:
        found = {p.name for folder in (self._clips, self._keys) for p in folder.glob(f".*{UNFINISHED}")}
        return sorted(name[1 : -len(UNFINISHED)] for name in found)

    def _sweep_unfinished(self) -> int:
        old = []
        for name in self._unfinished():
            data, key = (folder / f".{name}{UNFINISHED}" for folder in (self._clips, self._keys))
            if not (data.exists() and key.exists()) or _age(data) > PATIENCE:
                old.append(name)
                self.forget(name)
        return len(old)

    def _key_path(self, id: str) -> Path:
        return self._keys / f"{_checked(id)}.key"

    def _wrap(self, id: str, key: bytes) -> None:
        """Keep ``key`` under ``id``. A key without its data is what a crash left: it is replaced."""
        path = self._key_path(id)
        if path.exists() and not self.path(id).exists():
            self._destroy_key(path)
        self._write_key(path, id, key)

    def _write_key(self, path: Path, id: str, key: bytes) -> None:
        nonce = secrets.token_bytes(12)
        files.write_new(path, KEY_MAGIC + nonce + self._master.encrypt(nonce, key, _key_aad(id)))

    def _unwrap(self, wrapped: bytes, path: Path, id: str) -> bytes:
        start = len(KEY_MAGIC)
        try:
            return self._master.decrypt(wrapped[start : start + 12], wrapped[start + 12 :], _key_aad(id))
        except (InvalidTag, ValueError) as error:
            raise VaultError(
                "{file} is not the key of this working copy; copy the clip from its card again.", file=path
            ) from error


class VaultWriter(SealedWriter):
    """Takes the clear bytes of one working copy in order. ``commit`` keeps it.

    Closing it otherwise removes it, or, made by `Vault.resumable`, leaves it to be gone on with.
    """

    def __init__(self, vault: Vault, name: str | None = None, seen: Callable[[bytes], object] | None = None) -> None:
        self._vault = vault
        self._key_kept: Path | None = None
        if name is None or seen is None:
            super().__init__(files.partial_path(vault.root / "clips" / "new"))
            return
        unfinished = f".{_checked(name)}{UNFINISHED}"
        data, kept = vault._clips / unfinished, vault._keys / unfinished
        if data.exists() and kept.exists():
            try:
                super().__init__(
                    files.partial_path(vault.root / "clips" / "new"), vault._unwrap(kept.read_bytes(), kept, unfinished)
                )
                self.resume(data, seen)
            except VaultError:  # what cannot be believed is begun again
                if self._file is not None:  # not by ``close``, which is for ever, and this is to be used
                    self._file.close()
                    files.remove(self.partial)
            else:
                self._key_kept, self.keep = kept, True
                return
        vault.forget(name)
        key = secrets.token_bytes(32)
        with files.writing(kept):
            vault._write_key(kept, unfinished, key)
        super().__init__(data, key)
        self._key_kept, self.keep = kept, True

    def commit(self, id: str, instead: bool = False) -> Path:
        """Seal the end, flush, keep the key, and only then give the data its name. Raises OutputExistsError.

        ``instead``: in place of a copy of the same film that cannot be read, or half of one; what was made from it
        stays.
        """
        final = self._vault.path(id)
        if self._file is not None:
            self.finish()
        if instead:
            files.sync_file(self.partial)
            self._vault._destroy_alone(id)
        self._vault._wrap(id, self.key)
        files.publish(self.partial, final)
        self.discard()
        return final

    def discard(self) -> None:
        """Close, and leave nothing that could be gone on with."""
        self.keep = False
        try:
            with contextlib.suppress(OSError):  # a full disk refuses even the last bytes of what is thrown away
                self.close()
        finally:
            if self._key_kept is not None:
                self._vault._destroy_key(self._key_kept)


def _age(path: Path) -> float:
    """Seconds since a file was written, or until then by a clock that goes otherwise; no end where there is no file."""
    try:
        return abs(time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return math.inf


def _key_aad(id: str) -> bytes:
    return KEY_MAGIC + id.encode()


def _checked(id: str) -> str:
    if not _ID.fullmatch(id):
        raise VaultError("{id} is no name for a working copy.", id=repr(id))
    return id
