"""Which camera filmed a card, as far as the camera says so: a serial by which the school can register it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.adapters.card_reader import open_card_file
from pipeline.errors import CardError

_LARGEST = 64 << 10
"""Bytes of a note that are read; the serial stands at its beginning."""
_GOPRO = re.compile(rb'"camera serial number"\s*:\s*"([\w-]{4,40})"')
_SONY = re.compile(rb'<Device\b[^>]*\bserialNo="(\w{4,40})"')
_NONE = {"4294967295", "0000000", "0"}
"""What Sony writes where a camera has no serial to give."""


def camera_serials(root: Path) -> set[str]:
    """Serials that the notes on a card name: GoPro's MISC/version.txt, Sony's CLIP/*.XML. Empty where none does."""
    found = set()
    for path, pattern in _notes(root):
        try:
            with open_card_file(path) as note:
                match = pattern.search(note.read(_LARGEST))
        except (OSError, CardError):
            continue
        if match:
            found.add(match[1].decode("ascii"))
    return found - _NONE


def _notes(root: Path) -> Iterator[tuple[Path, re.Pattern[bytes]]]:
    for folder in _below(root, "misc"):
        yield from ((path, _GOPRO) for path in _files(folder) if path.name.lower() == "version.txt")
    for base in (root, *_below(root, "private")):
        for clips in (clip for m4root in _below(base, "m4root") for clip in _below(m4root, "clip")):
            yield from ((path, _SONY) for path in _files(clips) if path.suffix.lower() == ".xml")


def _below(folder: Path, name: str) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if e.name.lower() == name and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(e.path) for e in entries if e.is_file(follow_symlinks=False))
    except OSError:
        return []
