"""A film in which people change heads: who names somebody by seat, clothes or light, names somebody else.

The control that an attack on hidden faces needs. In a lesson everybody sits in one place, so that whatever is made of
the surroundings (a veil is) tells seats apart, and seats are people. Here every body gets another head in every frame,
at random; what still names the head must come out of the head itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

WIDE, HIGH = 0.56, 0.58
"""Half axes of what is laid over a face, in its widths and heights: within what every style hides of a head."""

EDGE = 0.12
"""Share of the half axes over which the two heads run into each other."""

HEADS = 24
"""Looks of one person that are used, spread over the film."""


def swapped(clip: Path, people: Mapping[str, Sequence[dict[str, Any]]], out: Path, seed: int = 0) -> list[Any]:
    """Write ``clip`` to ``out`` (MP4, with hardly any loss) with other heads on its ``people``.

    ``people`` are all faces (``frame``, ``box`` in pixels) of everyone who takes part, by name. They come back as one
    list, in order of time, with ``id``: whose face is in the box now.
    """
    heads = _heads(clip, people)
    bodies: dict[int, list[tuple[str, Any]]] = defaultdict(list)
    for name, faces in people.items():
        for face in faces:
            bodies[face["frame"]].append((name, face["box"]))
    names, draw, made = sorted(people), np.random.default_rng(seed), []
    with av.open(str(clip)) as source, av.open(str(out), "w", format="mp4") as target:
        film = source.streams.video[0]
        film.thread_type = "AUTO"
        stream = target.add_stream("libx264", rate=film.average_rate, options={"preset": "veryfast", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, "yuv420p"
        stream.time_base = film.time_base
        for number, frame in enumerate(source.decode(film)):
            whose = dict(zip(names, draw.permutation(names).tolist(), strict=True))
            picture = frame.to_ndarray(format="rgb24")
            for name, box in bodies.get(number, ()):
                looks = heads[whose[name]]
                _lay(looks[number % len(looks)], picture, box)
                made.append({"frame": number, "box": box, "id": whose[name]})
            new = av.VideoFrame.from_ndarray(picture, format="rgb24")
            new.pts, new.time_base = frame.pts, frame.time_base
            target.mux(stream.encode(new))
        target.mux(stream.encode())
    return made


def _heads(clip: Path, people: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, list[Any]]:
    """Looks of everyone: (H, W, 3) RGB, of WIDE and HIGH around the face."""
    wanted: dict[int, list[tuple[str, Any]]] = defaultdict(list)
    for name, faces in people.items():
        for n in np.unique(np.linspace(0, len(faces) - 1, HEADS).astype(int)):
            wanted[faces[n]["frame"]].append((name, faces[n]["box"]))
    found: dict[str, list[Any]] = defaultdict(list)
    with av.open(str(clip)) as source:
        source.streams.video[0].thread_type = "AUTO"
        for number, frame in enumerate(source.decode(video=0)):
            for name, (x1, y1, x2, y2) in wanted.get(number, ()):
                size = (max(2, round(2 * WIDE * (x2 - x1))), max(2, round(2 * HIGH * (y2 - y1))))
                picture = frame.to_ndarray(format="rgb24")
                cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
                place = np.array([[1.0, 0, cx - size[0] / 2], [0, 1.0, cy - size[1] / 2]])
                how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
                found[name].append(cv2.warpAffine(picture, place, size, flags=how, borderMode=cv2.BORDER_REPLICATE))
    return found


def _lay(head: Any, picture: Any, box: Sequence[float]) -> None:
    """Lay ``head`` over the face in ``box`` of ``picture``, which is changed."""
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = box
    wide, high = max(2, round(2 * WIDE * (x2 - x1))), max(2, round(2 * HIGH * (y2 - y1)))
    moved = cv2.resize(head, (wide, high), interpolation=cv2.INTER_AREA).astype(np.float32)
    y, x = np.mgrid[:high, :wide]
    far = np.hypot((x + 0.5) / wide * 2 - 1, (y + 0.5) / high * 2 - 1)
    weight = np.clip((1 - far) / EDGE, 0, 1)[..., None].astype(np.float32)
    left, top = round((x1 + x2 - wide) / 2), round((y1 + y2 - high) / 2)
    rows = slice(max(0, -top), min(high, height - top))
    columns = slice(max(0, -left), min(wide, width - left))
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    part = picture[top + rows.start : top + rows.stop, left + columns.start : left + columns.stop]
    share = weight[rows, columns]
    part[:] = (share * moved[rows, columns] + (1 - share) * part).round()
