"""An oracle that knows one face: is it to be seen in a film, wherever in the picture? No detector, no code of ours.

ffmpeg (imageio-ffmpeg's binary) decodes. The face, and parts of it that name a person by themselves, are searched for
in every place of every frame, by their detail alone: correlation of pictures from which the soft part is taken off.
"""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tests import clips

SEEN = 0.50
"""Correlation from which a part of the face is seen. Whole and half ones reach 0.8 to 1, what is veiled 0.2 to 0.35;
half a face in a garbled picture has been seen at 0.46, so what lies just below is worth a look."""

CONTRAST = 0.35
"""A place with less than this share of the face's own detail shows nothing, whatever it correlates with."""

Gray = npt.NDArray[np.uint8]


def decoded(path: Path, size: tuple[int, int], first: str = "null") -> list[Gray]:
    """All frames of the first film in ``path``, upright, (height, width) grey; scaled where they have another size.

    ``first`` is a filter of ffmpeg's that they go through.
    """
    command = [clips.FFMPEG, "-hide_banner", "-loglevel", "quiet", "-i", str(path), "-map", "0:V:0"]
    command += [
        "-fps_mode",
        "passthrough",
        "-vf",
        f"{first},scale={size[0]}:{size[1]}",
        "-pix_fmt",
        "gray",
        "-f",
        "rawvideo",
        "-",
    ]
    data = subprocess.run(command, capture_output=True, check=False).stdout
    each = size[0] * size[1]
    frames = np.frombuffer(data[: len(data) // each * each], np.uint8).reshape(-1, size[1], size[0])
    return list(frames)


def shown_at(path: Path) -> list[Fraction]:
    """Seconds of every frame from the first, by ffmpeg's account."""
    times = [time for time, _ in clips.oracle(path)]
    return [time - times[0] for time in times]


def detail(picture: Any) -> npt.NDArray[np.float32]:
    """What is left of a grey picture without its soft part."""
    grey = np.asarray(picture, np.float32)
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), 5), np.float32)


class Judge:
    """Knows the face ``face`` (H, W, 3) BGR at the size it has in the film."""

    def __init__(self, face: Any) -> None:
        grey = detail(cv2.cvtColor(np.asarray(face), cv2.COLOR_BGR2GRAY))
        height, width = grey.shape
        top, side = height // 2, width // 2
        self.parts = {
            "face": grey,
            "eyes": grey[:top],
            "nose and mouth": grey[top - height // 6 :],
            "left half": grey[:, : side + width // 10],
            "right half": grey[:, side - width // 10 :],
        }

    def seen(self, frame: Gray) -> tuple[float, str]:
        """How surely a part of the face is seen in this frame (-1..1), and which."""
        picture = detail(frame)
        best, which = -1.0, ""
        square = picture * picture
        for name, part in self.parts.items():
            if part.shape[0] > picture.shape[0] or part.shape[1] > picture.shape[1]:
                continue
            found = cv2.matchTemplate(picture, np.ascontiguousarray(part), cv2.TM_CCOEFF_NORMED)
            height, width = part.shape
            power = cv2.boxFilter(square, -1, (width, height), anchor=(0, 0), borderType=cv2.BORDER_REFLECT)
            power = power[: found.shape[0], : found.shape[1]]
            found[power < CONTRAST**2 * float((part * part).mean())] = 0
            if float(found.max()) > best:
                best, which = float(found.max()), name
        return best, which
