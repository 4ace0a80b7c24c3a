"""Which H.264 encoder writes the film: libx264, or what this machine's hardware offers, where that is asked for.

A name in a list proves nothing: builds list encoders for hardware that is not there, and drivers fail when they are
used. So an encoder counts as there only when it has encoded a few pictures that decode to what went in. libx264 writes
the same file on every machine and is the default; hardware is faster and needs more bits for the same quality.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import av
import av.codec.context
import av.error
import numpy as np

SOFTWARE = "libx264"

HARDWARE = ("h264_nvenc", "h264_qsv", "h264_videotoolbox")
"""In this order they are tried: NVIDIA, Intel, Apple."""

TRIED = 4
"""Pictures encoded to see whether an encoder works."""

ALIKE = 6.0
"""Mean grey levels by which these may differ afterwards."""


HASTY = frozenset({"ultrafast", "superfast"})
"""Presets for those who wait. They do without three of x264's own decisions, a sixth to a quarter of its time: which
pictures are B-pictures, how a fade is predicted, and where a keyframe would pay; one comes every few seconds anyway."""


def chosen(wanted: str, pixel_format: str, width: int, height: int) -> str:
    """The encoder for pictures like these. ``wanted``: "software", "auto", or one of HARDWARE; what does not work here
    is replaced by libx264, which always does."""
    names = HARDWARE if wanted == "auto" else (wanted,) if wanted in HARDWARE else ()
    return next((name for name in names if works(name, pixel_format, width, height)), SOFTWARE)


def usual(wanted: str) -> str | None:
    """The encoder for what cameras make for the most part (1080p, 8 bits); None where not even libx264 works."""
    name = chosen(wanted, "yuv420p", 1920, 1080)
    return name if name != SOFTWARE or works(SOFTWARE, "yuv420p", 1920, 1080) else None


def options(name: str, preset: str, crf: int) -> dict[str, str]:
    """Options for about the quality that libx264 has at ``crf``; every keyframe begins a closed group (forced IDR)."""
    if name == "h264_nvenc":
        return {"preset": "p4", "rc": "vbr", "cq": str(crf), "b": "0", "forced-idr": "1", "a53cc": "0"}
    if name == "h264_qsv":
        return {"preset": "veryfast", "global_quality": str(crf), "forced_idr": "1", "a53cc": "0"}
    if name == "h264_videotoolbox":
        return {"q": str(max(1, 100 - 2 * crf)), "allow_sw": "0", "a53cc": "0"}
    hasty = {"x264-params": "b-adapt=0:weightp=0:scenecut=0"} if preset in HASTY else {}
    return {"preset": preset, "crf": str(crf), "forced-idr": "1", "a53cc": "0", "udu_sei": "0", **hasty}


@lru_cache(maxsize=64)
def works(name: str, pixel_format: str, width: int, height: int) -> bool:
    """Whether the encoder takes such pictures on this machine and what it makes of them can be seen again."""
    try:
        pictures = [_picture(n, pixel_format, width, height) for n in range(TRIED)]
        shown = _decoded(_encoded(name, pictures))
    except (av.error.FFmpegError, OSError, ValueError, LookupError):
        return False
    if len(shown) != TRIED:
        return False
    pairs = zip(pictures, shown, strict=True)
    return all(float(np.abs(_grey(one) - _grey(other)).mean()) < ALIKE for one, other in pairs)


def _picture(n: int, pixel_format: str, width: int, height: int) -> av.VideoFrame:
    """A slope of grey that is another in each picture."""
    slope = np.linspace(40, 120 + 20 * n, width, dtype=np.float32)
    grey = np.broadcast_to(slope.astype(np.uint8)[None, :, None], (height, width, 3))
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(grey), format="bgr24").reformat(format=pixel_format)
    picture.pts = n
    return picture


def _encoded(name: str, pictures: list[av.VideoFrame]) -> list[Any]:
    context: Any = av.codec.context.CodecContext.create(name, "w")
    first = pictures[0]
    context.width, context.height, context.pix_fmt = first.width, first.height, first.format.name
    context.framerate, context.options = 25, options(name, "superfast", 21)
    context.time_base = 1 / context.framerate
    packets = [packet for picture in pictures for packet in context.encode(picture)]
    return [*packets, *context.encode(None)]


def _decoded(packets: list[Any]) -> list[av.VideoFrame]:
    context: Any = av.codec.context.CodecContext.create("h264", "r")
    pictures = [picture for packet in packets for picture in context.decode(packet)]
    return [*pictures, *context.decode(None)]


def _grey(picture: av.VideoFrame) -> Any:
    return picture.to_ndarray(format="gray").astype(np.float32)
