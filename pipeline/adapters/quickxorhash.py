"""quickXorHash: the one hash that OneDrive promises for a file.

Every byte is XORed into 160 bits, each 11 bits further on than the one before; the length is XORed into the last 64.
(Microsoft, "Code snippets: QuickXorHash algorithm", OneDrive developer documentation.) It finds damage, and nothing
else: two files of one hash are easily made on purpose, so what was approved is always named by its SHA-256.
"""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt

BITS = 160
SHIFT = 11
PERIOD = 160
"""Bytes after which the shift is where it began: 11 and 160 have no common divisor."""

_ROW = PERIOD * 256
"""Bytes folded at a time: a row that stays in the processor's first cache."""


class QuickXorHash:
    """Takes bytes in order, as hashlib's objects do."""

    def __init__(self) -> None:
        self._columns = np.zeros(PERIOD, np.uint8)
        self._length = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""
        raw = np.frombuffer(data, np.uint8)
        head = min(-self._length % PERIOD, len(raw))
        at = self._length % PERIOD
        self._columns[at : at + head] ^= raw[:head]
        body = raw[head:]
        rows = len(body) // _ROW
        if rows:
            words = body[: rows * _ROW].view(np.uint64).reshape(rows, -1)
            self._fold(np.bitwise_xor.reduce(words, axis=0).view(np.uint8))
        rest = body[rows * _ROW :]
        whole = len(rest) // PERIOD * PERIOD
        self._fold(rest[:whole])
        self._columns[: len(rest) - whole] ^= rest[whole:]
        self._length += len(raw)

    def _fold(self, data: npt.NDArray[np.uint8]) -> None:
        self._columns ^= np.bitwise_xor.reduce(data.reshape(-1, PERIOD), axis=0)

    def copy(self) -> QuickXorHash:
        """Another one that has seen the same bytes."""
        other = QuickXorHash()
        other._columns = self._columns.copy()
        other._length = self._length
        return other

    def digest(self) -> bytes:
        """The 20 bytes of the hash of what was taken so far."""
        bits = self._length << (BITS - 64)
        for place, byte in enumerate(self._columns.tolist()):
            shifted = byte << (SHIFT * place % BITS)
            bits ^= (shifted & ((1 << BITS) - 1)) ^ (shifted >> BITS)
        return (bits & ((1 << BITS) - 1)).to_bytes(BITS // 8, "little")

    def base64(self) -> str:
        """The hash as Graph writes it."""
        return base64.b64encode(self.digest()).decode()


def quickxorhash(data: bytes) -> str:
    """The hash of some bytes as Graph writes it: 28 characters of base64."""
    whole = QuickXorHash()
    whole.update(data)
    return whole.base64()
