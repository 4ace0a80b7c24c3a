"""What a finished file carries besides one picture and one sound."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.error

from pipeline.adapters import files
from pipeline.adapters.packets import LENIENT

HARMLESS = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "handler_name", "vendor_id", "language", "encoder"}
)
"""Keys that every MP4 has. Their values are checked too: they must be among NEUTRAL."""

NEUTRAL = frozenset({"VideoHandler", "SoundHandler", "[0][0][0][0]", "und", "eng", ""})


def extras(path: Path, sound: bool = True) -> list[str]:
    """Everything in the file that should not be there, in words; empty when there is nothing. Whether ``sound`` may be
    there depends on what was asked for."""
    found: list[str] = []
    with av.open(files.url(path)) as container:
        kinds = [stream.type for stream in container.streams]
        for kind in sorted(set(kinds)):
            allowed = int(kind == "video" or (kind == "audio" and sound))
            if kinds.count(kind) > allowed:
                found.append(f"{kinds.count(kind)} {kind} streams")
        if container.chapters():
            found.append("chapters")
        for key in container.metadata:
            if key not in ("major_brand", "minor_version", "compatible_brands"):
                found.append(f"metadata: {key}")
        for stream in container.streams:
            for key, value in stream.metadata.items():
                if key not in HARMLESS or value not in NEUTRAL:
                    found.append(f"metadata of the {stream.type}: {key}")
    return found


def filmed_on(opener: Callable[[], BinaryIO]) -> date | None:
    """The day on which the camera says it filmed; None when the file does not say, or says nothing sensible."""
    source: Any = opener()
    try:
        with source, av.open(source, **LENIENT) as container:
            day = datetime.fromisoformat(container.metadata.get("creation_time", "")).date()
    except (ValueError, av.error.FFmpegError):  # no day means that nobody is shown on its strength; what is wrong
        return None  # with the file itself is told when its pictures are read
    return day if day.year > 2000 else None  # a camera whose clock was never set counts from 1904 or 1970
