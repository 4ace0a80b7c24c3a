"""The manifest of a verified copy in the form of the film trade: ASC MHL 2.0 (media hash list).

`HISTORY/ascmhl/0001_NAME_DATE.mhl` lists files by their names on the card with size and XXH128; one more is added by
each run that copied something. ``ascmhl_chain.xml`` names every list with its C4 id, so that none can be exchanged
unseen. What is hashed is the film as it lies on the card, not its sealed copy: ``ascmhl`` checks a card, or a copy
that was taken out of the vault, against it. (Schema: github.com/ascmitc/mhl-specification; C4: SMPTE ST 2114.)
"""

from __future__ import annotations

import hashlib
import platform
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline import __version__
from pipeline.adapters import files

HASHES = "urn:ASC:MHL:v2.0"
DIRECTORY = "urn:ASC:MHL:DIRECTORY:v2.0"
FOLDER = "ascmhl"
CHAIN = "ascmhl_chain.xml"
_LIST = re.compile(r"(\d{4,})_.*\.mhl")
_C4 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_NOT_XML = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Hashed:
    """One file that was copied and read back: ``path`` as on the card, ``modified`` in UTC, ``xxh128`` in hex.

    ``again``: it was listed before, and found equal.
    """

    path: str
    bytes: int
    modified: datetime
    xxh128: str
    again: bool = False


def add_list(history: Path, title: str, hashed: Sequence[Hashed], now: datetime | None = None) -> Path:
    """Write one more list below ``history``, flushed, and enter it into the chain; the list's path.

    Repeated after a crash it enters what was left out. Raises DiskFullError and OutputNotWritableError.
    """
    at = (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    folder = history / FOLDER
    with files.writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for torn in folder.glob(".*.partial"):
            files.remove(torn)
        number = 1 + max((int(match[1]) for p in folder.iterdir() if (match := _LIST.fullmatch(p.name))), default=0)
        name = f"{number:04d}_{files.safe_name(title)}_{at:%Y-%m-%d_%H%M%S}Z.mhl"
        _write(folder / name, _list(hashed, at))
        _write(folder / CHAIN, _chain(folder))
    return folder / name


def c4(data: bytes) -> str:
    """The C4 id: SHA-512 in base 58, 88 digits, after the letters c4."""
    number, digits = int.from_bytes(hashlib.sha512(data).digest()), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _C4[digit] + digits
    return "c4" + digits.rjust(88, _C4[0])


def _list(hashed: Sequence[Hashed], at: datetime) -> ElementTree.Element:
    root = ElementTree.Element("hashlist", {"version": "2.0", "xmlns": HASHES})
    creator = ElementTree.SubElement(root, "creatorinfo")
    _text(creator, "creationdate", at.isoformat())
    _text(creator, "hostname", platform.node() or "unknown")
    _text(creator, "tool", "lesveil", version=__version__)
    process = ElementTree.SubElement(root, "processinfo")
    _text(process, "process", "transfer")
    ignore = ElementTree.SubElement(process, "ignore")
    _text(ignore, "pattern", FOLDER)
    entries = ElementTree.SubElement(root, "hashes")
    for one in hashed:
        entry = ElementTree.SubElement(entries, "hash")
        when = one.modified.astimezone(UTC).isoformat()
        _text(entry, "path", one.path, size=str(one.bytes), lastmodificationdate=when)
        _text(entry, "xxh128", one.xxh128, action="verified" if one.again else "original", hashdate=at.isoformat())
    return root


def _chain(folder: Path) -> ElementTree.Element:
    root = ElementTree.Element("ascmhldirectory", {"xmlns": DIRECTORY})
    for path in sorted(p for p in folder.iterdir() if _LIST.fullmatch(p.name)):
        entry = ElementTree.SubElement(root, "hashlist", {"sequencenr": str(int(path.name.split("_")[0]))})
        _text(entry, "path", path.name)
        _text(entry, "c4", c4(path.read_bytes()))
    return root


def _text(parent: ElementTree.Element, tag: str, text: str, **attributes: str) -> None:
    """A name that XML cannot hold (a control character, half a character) is shown with U+FFFD there."""
    ElementTree.SubElement(parent, tag, attributes).text = _NOT_XML.sub("\ufffd", text)


def _write(path: Path, root: ElementTree.Element) -> None:
    ElementTree.indent(root)
    partial = files.partial_path(path)
    try:
        with files.create_private(partial) as file:
            ElementTree.ElementTree(root).write(file, encoding="UTF-8", xml_declaration=True)
        files.sync_file(partial)
        partial.replace(path)
        files.sync_folder(path.parent)
    finally:
        files.remove(partial)
