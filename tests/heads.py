"""Drawn heads with soft edges, put into a room: films in which it is known where a face is, to the frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from pipeline.records import U8
from samples.corpus import drawn

Size = tuple[int, int]
Place = tuple[float, float]
"""The middle of a head, in pixels."""


@dataclass(frozen=True)
class Head:
    """``picture`` (H, W, 3) with its share of each pixel ``soft`` (H, W, 1); ``face`` is the part to look for."""

    picture: U8
    soft: Any
    face: U8

    def put(self, shown: U8, place: Place) -> None:
        """Into a picture, in place, as far as it lies within."""
        height, width = self.picture.shape[:2]
        left, top = round(place[0]) - width // 2, round(place[1]) - height // 2
        a, b = max(0, left), max(0, top)
        part = shown[b : top + height, a : left + width]
        inside = np.s_[b - top : b - top + part.shape[0], a - left : a - left + part.shape[1]]
        part[:] = (self.soft[inside] * self.picture[inside] + (1 - self.soft[inside]) * part).round()


def head(height: int, who: int = 0, turn: int = 0) -> Head:
    """Somebody's head, so many pixels high, turned by quarters."""
    size = (4 * height // 3 * 2, 2 * height)
    picture, (x1, y1, x2, y2) = drawn(size, who)
    y, x = np.mgrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    cx, cy = (x1 + x2) / 2 / size[0] * 2 - 1, (y1 + y2) / 2 / size[1] * 2 - 1
    near = np.hypot((x - cx) * size[0] / (x2 - x1), (y - cy) * size[1] / (y2 - y1))
    soft = np.clip((1.5 - near) * 3, 0, 1)[..., None]
    face = np.ascontiguousarray(np.rot90(picture[y1:y2, x1:x2], turn))
    return Head(np.rot90(picture, turn), np.rot90(soft, turn), face)


def room(size: Size) -> U8:
    """Soft shadows without anything like a face, (height, width, 3)."""
    noise = np.random.default_rng(3).integers(40, 200, (*size[::-1], 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 25), np.uint8)


def pictures(size: Size, frames: int, shown: Callable[[int], Iterable[tuple[Head, Place]]]) -> Iterator[U8]:
    """The room, frame by frame, with the heads that are ``shown`` in it."""
    empty = room(size)
    for number in range(frames):
        picture = empty.copy()
        for one, place in shown(number):
            one.put(picture, place)
        yield picture


def write(path: Path, size: Size, made: Iterable[U8], rate: int, when: Callable[[int], int] = lambda n: n) -> None:
    """BGR pictures as a film. ``when`` a frame comes is told in units of 1/``rate`` seconds."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "12"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        for number, picture in enumerate(made):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = when(number), Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode())
