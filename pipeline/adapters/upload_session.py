"""Sending one file through one upload session, from the byte the server has to the end.

(Microsoft Graph documentation, "driveItem: createUploadSession".) Whatever goes wrong, the server is asked what it
has, and what it says counts: pieces that it took are not sent again, pieces that it lost are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO

import httpx

from pipeline.adapters.graph_http import AGAIN, Graph, Patience, refused
from pipeline.errors import DeliveryError

GRANULE = 327_680
"""Bytes: every piece but the last is a multiple of this."""
BLOCK = 1 << 20
"""Bytes read from the disk at a time."""


class Outcome(Enum):
    """How a session ended. Only a look at the item itself tells whether the file is there."""

    FINISHED = "finished"
    GONE = "gone"
    """It expired, was cancelled, or came to its end without our hearing of it."""
    TAKEN = "taken"
    """Another item has the name (409), or ours was changed meanwhile (412)."""
    FULL = "full"


@dataclass(frozen=True)
class Line:
    """How large pieces are, in bytes: as much as the line takes in ``seconds``, within limits; multiples of GRANULE.

    Microsoft advises 5 to 10 MiB and demands less than 60; a slow line loses less with smaller ones.
    """

    smallest: int = 4 * GRANULE
    first: int = 32 * GRANULE
    largest: int = 180 * GRANULE
    seconds: float = 5.0

    def next(self, size: int, took: float) -> int:
        """The next piece after one of ``size`` bytes that took so many seconds."""
        fits = int(size / max(took, 1e-3) * self.seconds)
        return self._within(min(fits, size * 2))

    def smaller(self, size: int) -> int:
        """The next piece after one that was lost."""
        return self._within(size // 2)

    def _within(self, size: int) -> int:
        return max(self.smallest, min(self.largest, size // GRANULE * GRANULE))


def send(
    graph: Graph, url: str, path: Path, size: int, line: Line, told: Callable[[int], None], known: int | None = None
) -> tuple[Outcome, str | None]:
    """Send ``path`` (of ``size`` bytes) to the session at ``url``; the outcome, and the item's id if it was told.

    ``known`` is the byte to begin at; None asks the server. ``told`` hears how many bytes the server has. Raises
    DeliveryError when we have tried often enough.
    """
    patience = Patience(graph)
    piece = line.first
    at = known
    furthest = known or 0
    with open(path, "rb", buffering=0) as file:
        while True:
            if at is None:
                there = _ask(graph, url, size, patience)
                if isinstance(there, Outcome):
                    return there, None
                at = there
            told(at)
            stop = min(size, at + piece)
            began = graph.clock.now()
            try:
                response = graph.bare("PUT", url, content=_bytes(file, at, stop), headers=_headers(at, stop, size))
            except httpx.RequestError as error:
                patience.wait(error)
                piece, at = line.smaller(piece), None
                continue
            status = response.status_code
            if status in (200, 201):
                told(size)
                return Outcome.FINISHED, _id(response)
            if status == 202:
                if stop - at == piece:
                    piece = line.next(piece, graph.clock.now() - began)
                at = _next(response, size)  # None: it says nothing that we understand, so it is asked
                if at is not None and at > furthest:
                    furthest = at
                    patience.progress()
                else:  # taken, and yet not kept: not for ever
                    patience.wait(response)
            elif status in AGAIN or status == 416:
                # 416: it has these bytes already. 5xx: it may have them. Both: ask.
                patience.wait(response)
                at = None
            else:
                return _judged(response), None


def is_open(graph: Graph, url: str) -> bool:
    """Whether the session lacks bytes still, so that no item came of it; False where that is not known."""
    try:
        response = graph.bare("GET", url)
        return response.status_code == 200 and bool(response.json()["nextExpectedRanges"])
    except (httpx.RequestError, DeliveryError, ValueError, KeyError, TypeError):
        return False


def cancel(graph: Graph, url: str) -> None:
    """Tell the server to forget the session and what it holds, if that can be; it expires by itself, too."""
    with contextlib.suppress(httpx.RequestError, DeliveryError):
        graph.bare("DELETE", url)


def _ask(graph: Graph, url: str, size: int, patience: Patience) -> int | Outcome:
    """The first byte that the server lacks."""
    while True:
        try:
            response = graph.bare("GET", url)
        except httpx.RequestError as error:
            patience.wait(error)
            continue
        if response.status_code in AGAIN:
            patience.wait(response)
            continue
        if response.status_code == 200:
            # Nothing expected, and yet no item: it could not be completed. A session cannot be mended from here.
            at = _next(response, size)
            return Outcome.GONE if at is None else at
        return _judged(response)


def _judged(response: httpx.Response) -> Outcome:
    status = response.status_code
    if status in (401, 403, 404, 410):
        return Outcome.GONE  # 401 after its day, 403 when the address's own token died, 404 ended or expired
    if status in (409, 412):
        return Outcome.TAKEN
    if status in (413, 507):
        return Outcome.FULL
    raise refused(response)


def _headers(start: int, stop: int, size: int) -> dict[str, str]:
    return {"Content-Length": str(stop - start), "Content-Range": f"bytes {start}-{stop - 1}/{size}"}


def _bytes(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    file.seek(start)
    while start < stop and (data := file.read(min(BLOCK, stop - start))):
        start += len(data)
        yield data


def _next(response: httpx.Response, size: int) -> int | None:
    """The lowest byte that the answer says is missing, or None."""
    try:
        ranges = response.json()["nextExpectedRanges"]
        starts = [int(str(one).partition("-")[0]) for one in ranges]
    except (ValueError, KeyError, TypeError):
        return None
    return min((start for start in starts if 0 <= start < size), default=None)


def _id(response: httpx.Response) -> str | None:
    try:
        return str(response.json()["id"])
    except (ValueError, KeyError, TypeError):
        return None
