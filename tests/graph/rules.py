"""What the documentation says, as constants and plain functions. Sources are named in README.md."""

from __future__ import annotations

import re
import urllib.parse

GRANULE = 327_680
LARGEST_PIECE = 60 * 1024 * 1024
"""A piece must be smaller than this."""
LONGEST_PATH = 400
SESSION_SECONDS = 24 * 3600
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_FORBIDDEN = set('"*:<>?/\\|')
_DEVICES = {".lock", "con", "prn", "aux", "nul", "desktop.ini"}
_DEVICES |= {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}


class Refusal(Exception):
    """An answer that is an error, in Graph's form."""

    def __init__(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code, self.headers = status, code, headers or {}


def check_name(name: str) -> None:
    """Refuse a name that OneDrive for work or school does not take."""
    bare = name.casefold()
    if (
        not name
        or set(name) & _FORBIDDEN
        or any(ord(c) < 32 for c in name)
        or name != name.strip(" ")
        or name.endswith(".")
        or bare in _DEVICES
        or bare.split(".")[0] in _DEVICES
        or "_vti_" in bare
        or name.startswith("~$")
    ):
        raise Refusal(400, "invalidRequest")


def check_path(path: str) -> None:
    """Refuse a decoded path that is too long."""
    if len(path) > LONGEST_PATH:
        raise Refusal(400, "pathTooLong")


def content_range(header: str | None, length: int) -> tuple[int, int, int]:
    """(start, stop, total) of a piece, stop exclusive; what the header says must fit what is sent."""
    match = _RANGE.fullmatch(header or "")
    if not match:
        raise Refusal(400, "invalidRequest")
    start, last, total = map(int, match.groups())
    if last < start or last >= total or last - start + 1 != length:
        raise Refusal(400, "invalidRequest")
    if length >= LARGEST_PIECE:
        raise Refusal(413, "maxFragmentSizeExceeded")
    if last + 1 < total and length % GRANULE:
        raise Refusal(400, "invalidRequest")
    return start, last + 1, total


def split_path(path: str) -> list[str]:
    """A path of a URL as names."""
    return [urllib.parse.unquote(part) for part in path.split("/") if part]
