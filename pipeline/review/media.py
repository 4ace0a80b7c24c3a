"""Films by the piece, and small pictures. Nothing of them is kept by the browser."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse

from pipeline.errors import RepairError
from pipeline.review.door import Asked

BLOCK = 256 * 1024
"""Bytes read and sent at a time: no more than this is held for anybody, however much they ask for."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def film(asked: Asked) -> Response:
    """A rendering, or the piece of it that a player asks for (RFC 9110, section 14)."""
    clip, digest = asked.path("clip"), asked.path("digest")
    path = asked.desk.house.file(clip, digest)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        asked.desk.house.file(clip, digest)  # a newer rendering took its place in the meantime: that is said
        raise
    size = os.fstat(file.fileno()).st_size
    headers = {"accept-ranges": "bytes", "content-type": "video/mp4"}
    wanted = asked.request.headers.get("range")
    piece = (0, size) if wanted is None else _piece(wanted, size)
    if piece is None:
        file.close()
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{size}"})
    start, stop = piece
    status = 200
    if wanted is not None:
        status = 206
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["content-length"] = str(stop - start)
    if asked.request.method == "HEAD":
        file.close()
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_read(file, start, stop), status, headers)


def _piece(wanted: str, size: int) -> tuple[int, int] | None:
    """(start, stop) of the one range asked for; None when there is no such piece. Several at once are not served."""
    found = _RANGE.fullmatch(wanted.strip())
    if found is None or found.groups() == ("", "") or not size:
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        return (size - length, size) if length else None
    start = int(first)
    stop = min(int(last) + 1, size) if last else size
    return (start, stop) if start < stop else None


def _read(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < stop and (data := file.read(min(BLOCK, stop - start))):
            start += len(data)
            yield data


def picture(asked: Asked) -> Response:
    """Somebody as the rendering shows them."""
    data = asked.desk.house.picture(asked.path("clip"), asked.path("digest"), _number(asked, "track"))
    return Response(data, media_type="image/jpeg")


def original(asked: Asked) -> Response:
    """Somebody as filmed: for the coach, and each look is in the ledger."""
    clip, track, number = asked.path("clip"), _number(asked, "track"), _number(asked, "number")
    return Response(asked.desk.house.original(clip, track, number, asked.name), media_type="image/jpeg")


def _number(asked: Asked, name: str) -> int:
    text = asked.path(name)
    if not re.fullmatch(r"-?\d{1,9}", text):
        raise RepairError("This repair cannot be understood ({field}); load the page again.", field=name)
    return int(text)
