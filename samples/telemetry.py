"""A GPS track as action cameras write it beside picture and sound (GPMF: key, type, size, repeat, padded values).

Source of the layout: GoPro's published GPMF introduction (github.com/gopro/gpmf-parser).
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from typing import Any

import av


def _entry(key: bytes, kind: bytes, size: int, repeat: int, value: bytes) -> bytes:
    return key + kind + struct.pack(">BH", size, repeat) + value + bytes(-len(value) % 4)


def _text(key: bytes, text: str) -> bytes:
    data = text.encode("latin-1")
    return _entry(key, b"c", 1, len(data), data)


def payload(second: int, place: tuple[float, float], filmed: datetime, device: str) -> bytes:
    """One second of GPS: the device's name, the time, and one GPS5 sample (degrees * 1e7, metres and m/s * 1000)."""
    latitude, longitude = place[0] + second * 2e-6, place[1] - second * 1e-6
    when = (filmed + timedelta(seconds=second)).strftime("%y%m%d%H%M%S.000")
    sample = struct.pack(">5i", round(latitude * 1e7), round(longitude * 1e7), 12_000, 20, 20)
    scale = struct.pack(">5i", 10_000_000, 10_000_000, 1000, 1000, 1000)
    stream = b"".join(
        (
            _text(b"STNM", "GPS (Lat., Long., Alt., 2D speed, 3D speed)"),
            _entry(b"GPSU", b"U", 16, 1, when.encode()),
            _entry(b"SCAL", b"l", 4, 5, scale),
            _entry(b"GPS5", b"l", 20, 1, sample),
        )
    )
    inner = _text(b"DVNM", device) + _entry(b"STRM", b"\0", 1, len(stream), stream)
    return _entry(b"DEVC", b"\0", 1, len(inner), inner)


def packet(stream: Any, second: int, place: tuple[float, float], filmed: datetime, device: str) -> Any:
    """The packet of that second for a ``bin_data`` stream counting in milliseconds."""
    made: Any = av.Packet(payload(second, place, filmed, device))
    made.stream, made.time_base = stream, stream.time_base
    made.pts = made.dts = second * 1000
    made.duration = 1000
    return made
