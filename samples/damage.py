"""Broken copies of films: what a full card, a bad sector, a loose reader or a stray bit leave behind."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import av


def spans(data: bytes) -> list[tuple[int, int]]:
    """(start, stop) of the bytes that hold picture and sound: an MP4's mdat, of other files everything."""
    if data[4:8] != b"ftyp":
        return [(0, len(data))]
    found, at = [], 0
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", data[at + 8 : at + 16])[0], 16
        size = size or len(data) - at
        if kind == b"mdat":
            found.append((at + head, at + size))
        at += size
    return found


def cut(source: Path, path: Path, share: float) -> Path:
    """The first ``share`` of the bytes: the card was full, or the camera lost power."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def flip(source: Path, path: Path, flips: int, seed: int) -> Path:
    """``flips`` bits turned at random places of the picture's own bytes (the container is left whole)."""
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size and packet.pos]
    dice = random.Random(seed)
    for _ in range(flips):
        start, size = dice.choices(places, [size for _, size in places])[0]
        at = min(start + dice.randrange(size), len(data) - 1)
        data[at] ^= 1 << dice.randrange(8)
    path.write_bytes(bytes(data))
    return path


def flip_anywhere(source: Path, path: Path, flips: int, seed: int) -> Path:
    """``flips`` bits turned at random places of the whole file, its index included."""
    data = bytearray(source.read_bytes())
    dice = random.Random(seed)
    for _ in range(flips):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(bytes(data))
    return path


def blank(source: Path, path: Path, start: float, length: int) -> Path:
    """``length`` bytes of zero from a share of the picture's data on: a bad sector."""
    data = bytearray(source.read_bytes())
    first, last = spans(bytes(data))[0]
    at = int(first + (last - first) * start)
    data[at : at + length] = bytes(min(length, len(data) - at))
    path.write_bytes(bytes(data))
    return path


def hole(source: Path, path: Path, start: float, length: int) -> Path:
    """``length`` bytes from a share of the file on are missing: a lost stretch of a transport stream."""
    data = source.read_bytes()
    at = int(len(data) * start)
    path.write_bytes(data[:at] + data[at + length :])
    return path


def index_last(source: Path, path: Path) -> Path:
    """An MP4 with its index behind the picture, as cameras write it."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return path
