"""The form of a working copy on disk: sealed chunks that can be read from anywhere, and written only in order.

A file is a header of 32 bytes and chunks of 512 KiB, each sealed with AES-256-GCM under a random key of that file's
own. A chunk is a nonce, the sealed bytes and a tag; the header (with the file's random id), the chunk's number
and whether it is the last are authenticated with it, so that chunks that were changed, swapped, re-ordered or cut off
are noticed. (As in STREAM of Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO 2015; there the nonce is the number. Here
it counts on from a number drawn anew whenever a writer begins, because a copy that goes on after an interruption seals
the torn chunk again, and no nonce may serve twice.)
"""

from __future__ import annotations

import io
import os
import secrets
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipeline.adapters import files
from pipeline.adapters.reread import Reread
from pipeline.errors import VaultError

if TYPE_CHECKING:
    from typing_extensions import Buffer

CHUNK = 1 << 19
"""Bytes of clear text per chunk. Each costs two threads a turn of the interpreter: small ones make copying slow."""
CHUNKS = frozenset({1 << 16, CHUNK})
"""Those that can be read: copies made before had smaller ones."""
AT_ONCE = 2
"""Chunks that are written in one call."""
NONCE, TAG = 12, 16
SEAL = NONCE + TAG
"""Bytes that sealing adds to a chunk."""
HEADER = struct.Struct(">8sII16s")
"""Magic, version, chunk size, random file id."""
MAGIC = b"LESVAULT"
VERSION = 2


def sealed_size(size: int) -> int:
    """Bytes on disk of a working copy of ``size`` bytes."""
    return HEADER.size + size + max(1, -(-size // CHUNK)) * SEAL


class SealedWriter(io.RawIOBase):
    """Takes clear bytes in order and writes them sealed to ``path``, a new file, which closing removes again.

    ``key`` is random and made here unless it is given; whoever keeps the file (``finish``, then a new name) keeps the
    key as well. With ``keep`` set, closing leaves the file, to be continued by ``resume``.
    """

    _file: BinaryIO | None = None
    keep = False

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        super().__init__()
        self.key = key or secrets.token_bytes(32)
        self.partial = path
        self._cipher = AESGCM(self.key)
        self._header = HEADER.pack(MAGIC, VERSION, CHUNK, secrets.token_bytes(16))
        self._held = bytearray()
        self._index = 0
        self._out, self._full = bytearray(AT_ONCE * (CHUNK + SEAL)), 0
        self._nonces = int.from_bytes(secrets.token_bytes(NONCE), "big")
        with files.writing(path):
            self._file = files.create_private(path)
            self._file.write(self._header)
            self._file.flush()

    def resume(self, path: Path, seen: Callable[[bytes], object]) -> None:
        """Go on with the unfinished file at ``path``, sealed with this writer's key, in place of the new one.

        ``seen`` is given its clear bytes in order: every whole chunk that can be believed. What comes after the first
        that cannot is cut off. Raises VaultError when not even the header is right.
        """
        if self._index or self._held or self._file is None:
            raise ValueError("something was written already")
        with files.writing(path):
            file = open(path, "r+b")  # noqa: SIM115 - becomes this writer's own
            try:
                header = file.read(HEADER.size)
                if len(header) < HEADER.size or HEADER.unpack(header)[:3] != (MAGIC, VERSION, CHUNK):
                    raise VaultError("{file} is no working copy that can be gone on with.", file=path)
                index = 0
                while len(sealed := file.read(CHUNK + SEAL)) == CHUNK + SEAL:
                    try:
                        data = _unseal(self._cipher, sealed, header, index, False)
                    except InvalidTag:
                        break
                    seen(data)
                    index += 1
                file.seek(HEADER.size + index * (CHUNK + SEAL))
                file.truncate()
            except BaseException:
                file.close()
                raise
            self._file.close()
            files.remove(self.partial)
        self._file, self.partial, self._header, self._index = file, path, header, index

    @property
    def chunks(self) -> int:
        """How many chunks are in the file."""
        return self._index

    def reread(self, sizes: Sequence[int]) -> Reread:
        """Reads back what this writes, as it is written. ``sizes`` are those of the films in the copy, in bytes."""
        header, cipher, clear = self._header, self._cipher, memoryview(bytearray(CHUNK))

        def unseal(sealed: memoryview, index: int, last: bool) -> memoryview:
            try:
                data = clear[: max(0, len(sealed) - SEAL)]
                cipher.decrypt_into(sealed[:NONCE], sealed[NONCE:], _aad(header, index, last), data)
                return data
            except (InvalidTag, ValueError) as error:
                raise VaultError("{file} is not the copy that was written.", file=self.partial) from error

        return Reread(self.partial, HEADER.size, CHUNK + SEAL, unseal, sizes)

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        view = memoryview(data).cast("B")
        at, whole = 0, (len(self._held) + len(view) - 1) // CHUNK  # all but the last: which that is shows at the end
        if whole > 0:
            with files.writing(self.partial):
                if self._held:
                    at, whole = CHUNK - len(self._held), whole - 1
                    self._seal(bytes(self._held) + view[:at], False)
                    self._held.clear()
                for n in range(whole):
                    self._seal(view[at + n * CHUNK : at + (n + 1) * CHUNK], False)
                at += whole * CHUNK
                self._put()
        self._held += view[at:]
        return len(view)

    def finish(self) -> None:
        """Seal the end; the file is whole now, though not flushed."""
        if self._file is None:
            raise ValueError("this working copy was finished before")
        with files.writing(self.partial):
            self._seal(bytes(self._held), True)
            self._held.clear()
            self._put()
            self._file.close()
        self._file = None

    def _seal(self, data: bytes | memoryview, last: bool) -> None:
        if self._file is None:
            raise ValueError("write to a finished working copy")
        nonce = ((self._nonces + self._index) % (1 << 8 * NONCE)).to_bytes(NONCE, "big")
        start, end = self._full + NONCE, self._full + SEAL + len(data)
        self._out[self._full : start] = nonce
        out = memoryview(self._out)[start:end]
        self._cipher.encrypt_into(nonce, data, _aad(self._header, self._index, last), out)
        self._full = end
        self._index += 1
        if len(self._out) - end < CHUNK + SEAL:
            self._put()

    def _put(self) -> None:
        """Write what is sealed, many chunks at once."""
        if self._full and self._file is not None:
            self._file.write(memoryview(self._out)[: self._full])
            self._file.flush()
        self._full = 0

    def close(self) -> None:
        if not self.closed:
            try:
                if self._file is not None:
                    self._file.close()
            finally:
                if not self.keep and hasattr(self, "partial"):  # else it was never begun
                    files.remove(self.partial)
                super().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class SealedReader(io.RawIOBase):
    """The clear bytes of one working copy: seekable, read only, never on disk. ``av.open(reader)`` plays it."""

    KEPT = 8
    """Chunks kept in memory."""

    def __init__(self, path: Path, file: io.FileIO, key: bytes) -> None:
        super().__init__()
        self.path, self._file, self._cipher = path, file, AESGCM(key)
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._at = 0
        self._header = file.read(HEADER.size)
        body = os.fstat(file.fileno()).st_size - HEADER.size
        if body < SEAL:
            raise self._changed(0)
        magic, version, step, _ = HEADER.unpack(self._header)
        if (magic, version) != (MAGIC, VERSION) or step not in CHUNKS:
            raise self._changed(0)
        self._step = int(step)
        self._chunks = -(-body // (self._step + SEAL))
        self.size = body - self._chunks * SEAL
        self._chunk(self._chunks - 1)  # a copy that was cut off is refused now, not an hour into it

    def _chunk(self, index: int) -> bytes:
        if (data := self._kept.get(index)) is not None:
            self._kept.move_to_end(index)
            return data
        last = index == self._chunks - 1
        try:
            self._file.seek(HEADER.size + index * (self._step + SEAL))
            sealed = memoryview(self._file.read(self._step + SEAL))
            data = _unseal(self._cipher, sealed, self._header, index, last)
        except (InvalidTag, ValueError) as error:
            raise self._changed(index) from error
        except OSError as error:
            raise VaultError("{file} cannot be read: {why}.", file=self.path, why=error.strerror) from error
        self._kept[index] = data
        if len(self._kept) > self.KEPT:
            self._kept.popitem(last=False)
        return data

    def _changed(self, index: int) -> VaultError:
        return VaultError(
            "{file} was changed or cut off (chunk {chunk}); copy this clip from its card again.",
            file=self.path,
            chunk=index,
        )

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int | None = -1, /) -> bytes:
        self._open()
        left = self.size - self._at
        left = max(0, left if size is None or size < 0 else min(size, left))
        pieces: list[bytes] = []
        while left:
            index, offset = divmod(self._at, self._step)
            pieces.append(self._chunk(index)[offset : offset + left])
            self._at += len(pieces[-1])
            left -= len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._open()
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if at < 0:
            raise ValueError(f"cannot seek to {at}")
        self._at = at
        return at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._kept.clear()
            self._file.close()
        super().close()

    def _open(self) -> None:
        if self.closed:
            raise ValueError("read of a closed working copy")


def _unseal(cipher: AESGCM, sealed: bytes | memoryview, header: bytes, index: int, last: bool) -> bytes:
    return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], _aad(header, index, last))


def _aad(header: bytes, index: int, last: bool) -> bytes:
    return header + struct.pack(">QB", index, last)
