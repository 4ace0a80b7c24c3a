"""From the card into the vault: a copy counts only after it was read back and found equal.

The card is only read. What the ledger gets is the digest and the names on the card of the film and its sidecars, so
that the wipe can later take exactly those. A second call finds a verified copy by a sample of the film and goes on.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pipeline.adapters import files
from pipeline.adapters.card import CardClip, is_complete, open_card_file
from pipeline.adapters.sealed import sealed_size
from pipeline.adapters.vault import Vault
from pipeline.errors import CardError, DiskFullError, NotAVideoError, NotReadyError, VaultError
from pipeline.records import Clip, Progress, no_progress

KIND = "ingest"
"""Rows of this stage: ``{sha256, bytes, sample, files: [{path, bytes, sha256, kind}]}``, paths as on the card."""
SPARE = 64 << 20
"""Bytes that stay free beside the copy, for the ledger and what else runs."""


class Recorder(Protocol):
    """What ingest asks of the ledger: entries have a ``payload``, the dict that was appended."""

    def append(self, kind: str, clip: str | None, payload: dict[str, Any]) -> object: ...

    def entries(self, kind: str | None = None, clip: str | None = None) -> Sequence[Any]: ...


def ingest(card_clip: CardClip, vault: Vault, ledger: Recorder, progress: Progress = no_progress) -> Clip:
    """Copy one take into the vault, verify the copy, record it; a take that is there already is found and returned.

    ``progress`` counts bytes under the stages "copy" and "verify". Raises CardError (the card cannot be read, the file
    changed or the copy differs), NotAVideoError (no bytes), NotReadyError (a take in several files), DiskFullError,
    OutputNotWritableError.
    """
    if len(card_clip.paths) > 1 or not is_complete(card_clip):
        raise NotReadyError(
            "{files}: chapters of one take cannot be joined yet; keep the card, or join them into one file yourself.",
            files=", ".join(str(path) for path in card_clip.paths),
        )
    path = card_clip.path
    before = _look(path)
    if before.st_size == 0:
        raise NotAVideoError("{file} is empty.", file=path)
    sample = _sample(path, before.st_size)
    if (known := _known(card_clip, before.st_size, sample, vault, ledger)) is not None:
        return known
    _check_room(vault, path, before.st_size)
    sha256 = _copy(path, before, vault, progress)
    id = sha256[:16]
    _verify(path, id, sha256, vault, progress)
    if _changed(before, _look(path)):
        raise _grew(path)
    listed = [_listed(card_clip, path, before.st_size, sha256, "video")]
    for sidecar in card_clip.sidecars:
        size = _look(sidecar).st_size
        listed.append(_listed(card_clip, sidecar, size, _hash(sidecar), "sidecar"))
    ledger.append(KIND, id, {"sha256": sha256, "bytes": before.st_size, "sample": sample, "files": listed})
    return _clip(path, id, sha256, before.st_size, vault)


def clip_name(path: Path, id: str) -> str:
    """What the clip is called from here on: the camera's name and enough of the id to keep two cards apart."""
    return f"{files.safe_name(path.stem)}-{id[:6]}"


def _clip(path: Path, id: str, sha256: str, size: int, vault: Vault) -> Clip:
    return Clip(id=id, name=clip_name(path, id), path=vault.path(id), sha256=sha256, bytes=size)


def _listed(card_clip: CardClip, path: Path, size: int, sha256: str, kind: str) -> dict[str, Any]:
    return {"path": card_clip.relative(path), "bytes": size, "sha256": sha256, "kind": kind}


def _known(card_clip: CardClip, size: int, sample: str, vault: Vault, ledger: Recorder) -> Clip | None:
    """The verified copy of this very file, sidecars as they are now, if the ledger and the vault both have it."""
    now = {(card_clip.relative(path), _look(path).st_size) for path in card_clip.files}
    for entry in reversed(ledger.entries(kind=KIND)):
        held = entry.payload
        recorded = {(file["path"], file["bytes"]) for file in held["files"]}
        id = held["sha256"][:16]
        if (held["sample"], held["bytes"], recorded) == (sample, size, now) and vault.has(id):
            try:
                vault.open(id).close()  # the key fits and the end is there
            except VaultError:
                vault.destroy(id)  # it cannot be read, and the card is here to copy from
                return None
            return _clip(card_clip.path, id, held["sha256"], size, vault)
    return None


def _look(path: Path) -> os.stat_result:
    try:
        return os.lstat(path)
    except OSError as error:
        raise _unreadable(path, 0, error) from error


def _check_room(vault: Vault, path: Path, size: int) -> None:
    free, needed = shutil.disk_usage(vault.root).free, sealed_size(size) + SPARE
    if free < needed:
        raise DiskFullError(
            "There is no room for {file}: {needed} MB are needed and {free} MB are free; make room and try again.",
            file=path,
            needed=-(-needed // 1_000_000),
            free=free // 1_000_000,
        )


def _copy(path: Path, before: os.stat_result, vault: Vault, progress: Progress) -> str:
    """Write the film into the vault, hashing what was read; its SHA-256. A copy that is there already is left."""
    digest, done = hashlib.sha256(), 0
    with open_card_file(path) as card, vault.writer() as copy:
        while block := _read(card, path, done):
            done += len(block)
            if done > before.st_size:
                raise _grew(path)
            digest.update(block)
            copy.write(block)
            progress("copy", done, before.st_size)
        if done != before.st_size or _changed(before, os.fstat(card.fileno())):
            raise _grew(path)
        id = digest.hexdigest()[:16]
        if not vault.has(id):
            copy.commit(id)
    return digest.hexdigest()


def _verify(path: Path, id: str, sha256: str, vault: Vault, progress: Progress) -> None:
    """Read the copy back from the medium, decrypted, and compare; a copy that differs is destroyed."""
    files.drop_cache(vault.path(id))
    try:
        found = _hash_of_copy(vault, id, progress)
    except VaultError:
        found = ""
    if found != sha256:
        vault.destroy(id)
        raise CardError("The copy of {file} differs from the card and was destroyed; try again.", file=path)


def _hash_of_copy(vault: Vault, id: str, progress: Progress) -> str:
    digest = hashlib.sha256()
    with vault.open(id) as copy:
        while block := copy.read(files.BLOCK):
            digest.update(block)
            progress("verify", copy.tell(), copy.size)
    return digest.hexdigest()


def _sample(path: Path, size: int) -> str:
    """SHA-256 of the first, middle and last MiB: tells one film from another, and says nothing of its every byte."""
    digest = hashlib.sha256(size.to_bytes(8, "big"))
    with open_card_file(path) as card:
        for at in (0, size // 2, max(0, size - files.BLOCK)):
            card.seek(at)
            digest.update(_read(card, path, at))
    return digest.hexdigest()


def _hash(path: Path) -> str:
    digest, done = hashlib.sha256(), 0
    with open_card_file(path) as card:
        while block := _read(card, path, done):
            digest.update(block)
            done += len(block)
    return digest.hexdigest()


def _read(card: BinaryIO, path: Path, at: int) -> bytes:
    try:
        return card.read(files.BLOCK)
    except OSError as error:
        raise _unreadable(path, at, error) from error


def _changed(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)


def _grew(path: Path) -> CardError:
    return CardError("{file} changed while it was copied; stop what writes to the card and try again.", file=path)


def _unreadable(path: Path, at: int, error: OSError) -> CardError:
    return CardError(
        "{file} cannot be read at byte {offset}: {why}; keep the card and try again.",
        file=path,
        offset=at,
        why=error.strerror,
    )
