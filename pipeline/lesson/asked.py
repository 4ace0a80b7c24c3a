"""What somebody asks for, checked against the clip before it is written down: nothing from outside is believed."""

from __future__ import annotations

import re
from typing import Any

from pipeline.errors import RepairError
from pipeline.records import RepairKind

ID = re.compile(r"[0-9a-f]{32}")
"""Ids are made where the repair is made, so that one that is sent twice is known."""

SMALLEST = 4.0
"""Pixels that a drawn region measures at least, each way."""

LARGEST = 10**9
"""No frame, track or pixel has a larger number: JSON can say numbers that nothing here can count with."""


def checked(asked: dict[str, Any], frames: int, size: tuple[int, int], tracks: set[int]) -> dict[str, Any]:
    """The row for the ledger. ``size`` (width, height) in pixels. Raises RepairError."""
    if not isinstance(asked.get("id"), str) or not ID.fullmatch(asked["id"]):
        raise _nonsense("id")
    try:
        kind = RepairKind(str(asked.get("kind")))
    except ValueError as error:
        raise _nonsense("kind") from error
    start, stop = _whole(asked, "start"), _whole(asked, "stop")
    if not 0 <= start < stop <= frames:
        raise RepairError("Frames {start} to {stop} are not in this clip.", start=start, stop=stop)
    row: dict[str, Any] = {"id": asked["id"], "kind": kind.value, "start": start, "stop": stop}
    if kind in (RepairKind.HIDE, RepairKind.SHOW, RepairKind.SPLIT, RepairKind.JOIN):
        row["track"] = _track(asked, "track", tracks)
    if kind is RepairKind.JOIN:
        row["other"] = _track(asked, "other", tracks)
        if row["other"] == row["track"]:
            raise _nonsense("other")
    if kind is RepairKind.SHOW:
        row |= {"person": _text(asked, "person", 100), "said": _text(asked, "said", 100)}
        row["tracks"] = _tracks(asked.get("tracks", [row["track"]]), tracks)
    if kind is RepairKind.REGION:
        row["at_frame"] = _whole(asked, "at_frame")
        if not start <= row["at_frame"] < stop:
            raise _nonsense("at_frame")
        row["box"] = _box(asked.get("box"), size)
    return row


def _box(box: Any, size: tuple[int, int]) -> list[float]:
    if not isinstance(box, list) or len(box) != 4:
        raise _nonsense("box")
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) <= LARGEST for n in box):
        raise _nonsense("box")
    x1, x2 = sorted(min(max(float(n), 0.0), size[0]) for n in (box[0], box[2]))
    y1, y2 = sorted(min(max(float(n), 0.0), size[1]) for n in (box[1], box[3]))
    if x2 - x1 < SMALLEST or y2 - y1 < SMALLEST:
        raise RepairError("The region is too small; draw it around the whole head.")
    return [round(n, 1) for n in (x1, y1, x2, y2)]


def _whole(asked: dict[str, Any], name: str) -> int:
    value = asked.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > LARGEST:
        raise _nonsense(name)
    return value


def _track(asked: dict[str, Any], name: str, tracks: set[int]) -> int:
    number = _whole(asked, name)
    if number not in tracks:
        raise _nonsense(name)
    return number


def _tracks(numbers: Any, tracks: set[int]) -> list[int]:
    if not isinstance(numbers, list) or not numbers or len(numbers) > len(tracks):
        raise _nonsense("tracks")
    return [_track({"tracks": number}, "tracks", tracks) for number in numbers]


def _text(asked: dict[str, Any], name: str, longest: int) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > longest or not value.isprintable():
        raise _nonsense(name)
    return value.strip()


def _nonsense(name: str) -> RepairError:
    return RepairError("This repair cannot be understood ({field}); load the page again.", field=name)
