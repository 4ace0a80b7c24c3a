"""The second pair of eyes: BlazeFace, networks of another family than the one that looks first.

Source: Bazarevsky et al. 2019, "BlazeFace" (arXiv 1907.05047). Their weights lie in the ``mediapipe`` package and are
run by OpenVINO; mediapipe itself, which tells Google of its use, is never imported, so nothing can be sent.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import local
from typing import Any

import cv2
import numpy as np

from pipeline.adapters.inference import compile_model, core
from pipeline.adapters.networks import MOST_WORKERS
from pipeline.adapters.weights import Weights, manifest
from pipeline.geometry import overlaps, suppress
from pipeline.records import F32, U8

FAR, NEAR = "blazeface_full_range", "blazeface_short_range"
"""For faces up to about 5 m away, and for a selfie's distance; names in the manifest."""

STRIDES = {FAR: ((4, 1),), NEAR: ((8, 2), (16, 6))}
"""Pixels between the cells of each map, and the anchors per cell (mediapipe's own graphs, face_detection_*.pbtxt)."""

TILE = 640
"""Side in pixels of the pieces into which a larger picture is cut, so that small faces are not lost in the shrinking
to 192 x 192."""

LAP = 0.25
"""Share of a tile that its neighbour shows as well: a face that one cuts is whole in the other."""


CLOSE_UPS = ((NEAR, 2.0), (NEAR, 3.0), (FAR, 2.0), (FAR, 4.0))
"""Close-ups of one place: by which network, and how many times the face's size the square around it is."""


def installed() -> bool:
    """Whether the weights are here; whether they are the right ones is seen when they are read."""
    return all(manifest()[name].present() for name in (FAR, NEAR))


class BlazeFace:
    """Finds faces: the far network on the whole picture and on tiles of it, the near one on the whole picture.

    Several threads may call it at once. Raises ModelError when the weights are missing or are not the right ones.
    """

    def __init__(self, tile: int = TILE, workers: int = 0) -> None:
        self._tile = tile
        self.workers = workers or min(os.cpu_count() or 1, MOST_WORKERS)
        self._nets = {name: _Net(name, manifest()[name], self.workers) for name in (FAR, NEAR)}

    def __call__(self, picture: U8, threshold: float) -> tuple[F32, F32]:
        """Faces in a BGR picture (H, W, 3), best first: boxes (N, 4) in pixels of it, scores (N,)."""
        height, width = picture.shape[:2]
        parts = [self._nets[NEAR](picture, threshold), self._nets[FAR](picture, threshold)]
        for x, y in _corners(width, height, self._tile):
            boxes, scores = self._nets[FAR](picture[y : y + self._tile, x : x + self._tile], threshold)
            parts.append((boxes + np.array([x, y, x, y], np.float32), scores))
        boxes, scores = (np.concatenate([part[i] for part in parts]) for i in range(2))
        boxes = np.clip(boxes, 0, (width, height, width, height)).astype(np.float32)
        whole = (boxes[:, 2] - boxes[:, 0] >= 2) & (boxes[:, 3] - boxes[:, 1] >= 2)
        boxes, scores = boxes[whole], scores[whole]
        kept = suppress(boxes, scores, 0.3)
        return boxes[kept], scores[kept]

    def closely(self, picture: U8, boxes: F32) -> F32:
        """How surely (N,) there is a face in each box (N, 4): the mean over CLOSE_UPS, each also in the mirror.

        Hands, knees and collars that the first glance takes for faces seldom stand this; faces mostly do.
        """
        views = [
            [_best(self._nets[name], picture, box, times, mirrored) for name, times in CLOSE_UPS for mirrored in (0, 1)]
            for box in boxes
        ]
        return np.array(views, np.float32).reshape(len(boxes), -1).mean(axis=1) if views else np.empty(0, np.float32)


def _best(net: _Net, picture: U8, box: F32, times: float, mirrored: int) -> float:
    """The best score of a face that lies where ``box`` (4,) does, in a square ``times`` as large around it."""
    x1, y1, x2, y2 = box.tolist()
    half = times * max(x2 - x1, y2 - y1) / 2
    left, top, side = round((x1 + x2) / 2 - half), round((y1 + y2) / 2 - half), max(2, round(2 * half))
    square = np.zeros((side, side, 3), np.uint8)
    height, width = picture.shape[:2]
    rows, columns = slice(max(top, 0), min(top + side, height)), slice(max(left, 0), min(left + side, width))
    if rows.stop > rows.start and columns.stop > columns.start:
        square[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = picture[rows, columns]
    boxes, scores = net(np.ascontiguousarray(square[:, ::-1]) if mirrored else square, 0.01)
    if mirrored:
        boxes = np.stack([side - boxes[:, 2], boxes[:, 1], side - boxes[:, 0], boxes[:, 3]], axis=1)
    same = overlaps(box, np.asarray(boxes + np.array([left, top, left, top]), np.float32)) > 0.3
    return float(scores[same].max(initial=0))


def _corners(width: int, height: int, tile: int) -> Iterator[tuple[int, int]]:
    """Upper left corners of overlapping tiles that together cover the picture; none when one would show it all."""
    if max(width, height) <= tile:
        return
    step = int(tile * (1 - LAP))

    def starts(length: int) -> list[int]:
        count = max(1, -(-(length - tile) // step) + 1)
        return [round(at * max(length - tile, 0) / max(count - 1, 1)) for at in range(count)]

    yield from ((x, y) for y in starts(height) for x in starts(width))


class _Net:
    """One of the networks: pictures of any size in, boxes in their pixels and scores out."""

    def __init__(self, name: str, weights: Weights, workers: int) -> None:
        # OpenVINO reads this format from a file alone: it gets the very bytes that were checked, not the package's file
        with tempfile.TemporaryDirectory(prefix="lesveil-") as folder:
            path = Path(folder) / "network.tflite"
            path.write_bytes(weights.read())
            model = core().read_model(path)
            self._network = compile_model(model, workers)
        self.side = int(model.inputs[0].partial_shape[1].get_length())
        self._anchors = _anchors(self.side, STRIDES[name])
        self._mine = local()

    def __call__(self, picture: U8, threshold: float) -> tuple[F32, F32]:
        height, width = picture.shape[:2]
        scale = self.side / max(height, width)
        wide, tall = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = (self.side - wide) // 2, (self.side - tall) // 2
        small = cv2.resize(picture, (wide, tall), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        canvas = np.zeros((self.side, self.side, 3), np.uint8)
        canvas[top : top + tall, left : left + wide] = small[:, :, ::-1]
        if not hasattr(self._mine, "request"):
            self._mine.request = self._network.create_infer_request()
        request = self._mine.request
        request.infer({0: canvas[None].astype(np.float32) / 127.5 - 1})
        raw, logit = request.get_output_tensor(0).data[0], request.get_output_tensor(1).data[0, :, 0]
        scores = 1 / (1 + np.exp(-np.clip(logit, -60, 60)))
        found = np.flatnonzero(scores > threshold)
        middle = raw[found, :2] + self._anchors[found]
        half = raw[found, 2:4] / 2
        boxes = np.concatenate([middle - half, middle + half], axis=1) - [left, top, left, top]
        return (boxes / scale).astype(np.float32), scores[found].astype(np.float32)


def _anchors(side: int, strides: Any) -> F32:
    """Middles of the anchors (A, 2) in pixels of the network's picture, in the order of its outputs."""
    parts = []
    for stride, each in strides:
        cells = side // stride
        at = (np.arange(cells, dtype=np.float32) + 0.5) * stride
        grid = np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)
        parts.append(np.repeat(grid, each, axis=0))
    return np.concatenate(parts)
