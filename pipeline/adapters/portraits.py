"""Reads a folder of portraits: one sub-folder of pictures per person."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from PIL import Image

from pipeline.errors import PortraitsNotFoundError, PortraitUnreadableError
from pipeline.records import U8

_EXIF, _TAKEN, _WRITTEN = 0x8769, 0x9003, 0x0132
"""Tags of the EXIF standard: its own part, DateTimeOriginal in it, and DateTime."""

ENDINGS = "jpg jpeg jpe jfif png bmp webp tif tiff gif heic heif avif"
SUFFIXES = frozenset(f".{end}" for end in ENDINGS.split())
"""What is taken for a picture. Of the last some cannot be read; that is told, instead of passing them over."""

MOST_PIXELS = 100_000_000
"""A picture of more takes gigabytes to read. Telephones make up to 50 million by themselves, some 200 on request."""


_one_at_a_time = Lock()


def people(folder: Path) -> dict[str, list[Path]]:
    """The pictures of each person, by the name of the sub-folder; sorted. Raises PortraitsNotFoundError.

    A picture that lies beside the sub-folders belongs to nobody and is refused by name.
    """
    if not folder.is_dir():
        raise PortraitsNotFoundError(
            "{folder} is not a folder; name a folder that holds one sub-folder of portraits per person.", folder=folder
        )
    loose = pictures_in(folder)
    if loose:
        raise PortraitsNotFoundError(
            "{file} lies in no person's sub-folder; put each person's pictures in a sub-folder of their own.",
            file=loose[0],
        )
    found: dict[str, list[Path]] = {}
    for sub in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        pictures = pictures_in(sub)
        if not pictures:
            raise PortraitsNotFoundError("{folder} holds no pictures; add portraits or remove it.", folder=sub)
        found[sub.name] = pictures
    if not found:
        raise PortraitsNotFoundError(
            "{folder} holds no portraits; it needs one sub-folder of pictures per person.", folder=folder
        )
    return found


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in one person's folder, sorted."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def read(path: Path) -> U8:
    """One picture as BGR (H, W, 3), turned the way its EXIF says. Raises PortraitUnreadableError."""
    try:
        _refuse_huge(path)
        data = np.fromfile(path, np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except (OSError, cv2.error):
        picture = None
    if picture is None:
        raise PortraitUnreadableError(
            "{file} is not a picture that can be read; save it as JPEG, or remove it.", file=path
        )
    return np.asarray(picture, np.uint8)


@contextlib.contextmanager
def _head(path: Path) -> Iterator[Image.Image]:
    """What the head of a picture says; what its reader would warn of is left out."""
    with _one_at_a_time, warnings.catch_warnings():  # which sets aside the warnings of the whole process
        warnings.simplefilter("ignore")
        with Image.open(path) as picture:
            yield picture


def _refuse_huge(path: Path) -> None:
    """Raise PortraitUnreadableError for more than MOST_PIXELS; the head of the file tells."""
    try:
        with _head(path) as picture:
            width, height = picture.size
    except Image.DecompressionBombError:
        width, height = MOST_PIXELS, 2
    except (OSError, ValueError, SyntaxError):
        return  # whoever reads it tells
    if width * height > MOST_PIXELS:
        raise PortraitUnreadableError(
            "{file} has more than {most} million pixels; save it smaller.", file=path, most=MOST_PIXELS // 1_000_000
        )


def taken_on(path: Path, today: date) -> date | None:
    """The day a picture was taken, as its EXIF says; else the day its file was last written, which is no earlier.

    None when neither can be, because it lies in the future.
    """
    try:
        with _head(path) as picture:
            exif = picture.getexif()
            said = exif.get_ifd(_EXIF).get(_TAKEN) or exif.get(_WRITTEN)
        day = datetime.strptime(str(said)[:10], "%Y:%m:%d").date()
    except Exception:  # noqa: BLE001 - whatever a camera wrote there: then the file's own date tells
        day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
    return day if day <= today else None
