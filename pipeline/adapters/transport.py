"""What lies at both ends of an MPEG transport stream, packet by packet.

Two such films put end to end make a file that plays through, but where their pictures bear different numbers (PIDs),
libavformat calls them two pictures of one film, and does not even tell of one that comes late.
"""

from __future__ import annotations

import os
from typing import BinaryIO

import numpy as np

SHARE = 2 << 20
"""Bytes that are looked at, at either end."""

STARTS = 16
"""Pictures from which a film that is put before or behind another is known among them."""

LAYOUTS = (188, 192, 204)
"""Bytes from one packet to the next: plain, with a time in front (AVCHD), with a checksum behind."""

VIDEO = range(0xE0, 0xF0)
"""How packetised pictures call themselves."""


def holds_another(file: BinaryIO, pid: int) -> bool:
    """Whether the film begins or ends with the pictures of a stream other than ``pid`` that lies not beside it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    first = _pictures(file.read(SHARE))
    file.seek(max(0, size - SHARE))
    last = _pictures(file.read(SHARE))
    return _alone(first, pid) or _alone(last[::-1], pid)


def _alone(seen: list[int], pid: int) -> bool:
    """Whether the first of these pictures are of a stream that ends where ``pid`` begins, and not of a second program
    or camera that only begins sooner."""
    if pid not in seen:
        return bool(seen)
    begins = seen.index(pid)
    return begins >= STARTS and not set(seen[:begins]) <= set(seen[begins:])


def _pictures(data: bytes) -> list[int]:
    """The PIDs of the packets with which a picture begins, in order; none where no packets are found."""
    held = np.frombuffer(data, np.uint8)
    for length in LAYOUTS:
        rows = len(held) // length
        if not rows:
            continue
        synced = (held[: rows * length].reshape(rows, length) == 0x47).mean(axis=0)
        offset = int(synced.argmax())
        if synced[offset] < 0.9:
            continue
        packets = held[offset : offset + (len(held) - offset) // length * length].reshape(-1, length)
        begins = packets[(packets[:, 1] & 0x40 > 0) & (packets[:, 3] & 0x10 > 0)]
        adapted = np.where(begins[:, 3] & 0x20, 1 + begins[:, 4].astype(int), 0)  # fields before what is carried
        begins, at = begins[adapted <= 180], 4 + adapted[adapted <= 180]
        code = [begins[np.arange(len(begins)), at + n] for n in range(4)]
        found = (code[0] == 0) & (code[1] == 0) & (code[2] == 1) & np.isin(code[3], VIDEO)
        return [int(one) for one in ((begins[:, 1].astype(int) & 0x1F) << 8 | begins[:, 2])[found]]
    return []
