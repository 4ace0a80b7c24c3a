"""One moment of a clip as a small JPEG: somebody's surroundings in a finished file, or somebody as filmed."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np

from pipeline.adapters import files
from pipeline.adapters.chapters import Opener
from pipeline.adapters.part import Part, PartError, Times
from pipeline.adapters.pictures import make_convertible
from pipeline.adapters.video_in import open_clip
from pipeline.errors import RepairError
from pipeline.records import U8

SIDE = 192
"""Pixels of a side of the pictures."""

AROUND = 0.9
"""Share of a face's size that is shown on every side of it."""

AROUND_CLEAR = 0.35
"""The same of an original: no more than the one whom it is about."""

Box = tuple[float, float, float, float]


def shown_moment(path: Path, pts: int, box: Box) -> bytes:
    """What a finished file shows around ``box`` at ``pts`` of its picture. Raises RepairError."""
    with av.open(files.url(path)) as container:
        stream = container.streams.video[0]
        container.seek(pts, stream=stream)
        for frame in container.decode(stream):
            if frame.pts is not None and frame.pts >= pts:
                make_convertible(frame)
                return _cut(cast(U8, frame.to_ndarray(format="bgr24")), box, AROUND)
    raise RepairError("{file} shows nothing at that moment.", file=path)


def in_file(pts: Times, time_base: Fraction, shift: Fraction) -> Times:
    """Times (N,) on a source's clock, on that of the file made of it: its ticks are of 1 / denominator seconds."""
    return (pts - round(shift / time_base)) * time_base.numerator


def clear_moment(openers: Sequence[Opener], pts: Times, frame: int, box: Box) -> bytes:
    """What was filmed around ``box`` in a frame of a working copy. Raises RepairError."""
    try:
        with open_clip(Path("original"), openers) as clip:
            for one in Part(clip, pts, frame, frame + 1).frames():
                if one.picture is not None:
                    return _cut(one.picture.to_ndarray(format="bgr24"), box, AROUND_CLEAR)
    except PartError as error:
        raise RepairError("Frame {frame} of the working copy cannot be shown.", frame=frame) from error
    raise RepairError("Frame {frame} of the working copy cannot be shown.", frame=frame)


def frame_times(path: Path) -> tuple[float, Times, int, int]:
    """(seconds per tick, pts (N,), width, height) of a finished file."""
    with av.open(files.url(path)) as container:
        stream = container.streams.video[0]
        pts = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        return float(stream.time_base or 1), np.array(pts, np.int64), stream.width, stream.height


def _cut(picture: U8, box: Box, around: float) -> bytes:
    """A square around the box, SIDE pixels a side; what lies outside of the picture is grey."""
    x1, y1, x2, y2 = box
    half = max(x2 - x1, y2 - y1, 8.0) * (0.5 + around)
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    scale = SIDE / (2 * half)
    shift = np.array([[scale, 0, SIDE / 2 - cx * scale], [0, scale, SIDE / 2 - cy * scale]])
    small = cv2.warpAffine(
        picture, shift, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_CONSTANT, borderValue=(96, 96, 96)
    )
    return bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])[1])
