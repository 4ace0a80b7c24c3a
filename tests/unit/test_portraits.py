"""A folder of portraits: one sub-folder per person, and whatever does not fit that is named."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.adapters.portraits import people, pictures_in, read
from pipeline.errors import PortraitsNotFoundError, PortraitUnreadableError


def picture(path, height=4, width=6, value=200):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), value, np.uint8))
    return path


def test_people_and_their_pictures_are_sorted_by_name(tmp_path):
    for name in ("zoe/2.png", "zoe/1.jpg", "zoe/3.PNG", "ann/a.jpeg"):
        picture(tmp_path / name)
    (tmp_path / "zoe" / "notes.txt").write_text("x")
    picture(tmp_path / "zoe" / ".hidden.png")
    picture(tmp_path / ".thumbs" / "t.png")
    (tmp_path / "list.csv").write_text("x")
    found = people(tmp_path)
    assert list(found) == ["ann", "zoe"]
    assert [path.name for path in found["zoe"]] == ["1.jpg", "2.png", "3.PNG"]
    assert [path.name for path in found["ann"]] == ["a.jpeg"]


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_no_portraits_at_all(tmp_path, kind):
    folder = tmp_path / "faces"
    if kind == "file":
        folder.write_text("x")
    elif kind == "empty":
        folder.mkdir()
    with pytest.raises(PortraitsNotFoundError, match="faces"):
        people(folder)


def test_a_picture_that_belongs_to_nobody_is_named(tmp_path):
    picture(tmp_path / "ann" / "1.jpg")
    picture(tmp_path / "loose.jpg")
    with pytest.raises(PortraitsNotFoundError, match=r"loose\.jpg lies in no person's sub-folder"):
        people(tmp_path)


@pytest.mark.parametrize("page", ["README.md", "docs/consent.md"])
def test_what_the_manuals_call_a_picture_is_read(tmp_path, page):
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    named = re.search(r"JPEG, (\w+, )*\w+ or \w+(?=[.;])", text)
    assert named, page
    for kind in re.findall(r"[A-Z]\w+", named[0]):
        assert read(picture(tmp_path / f"a.{kind.lower()}")).shape == (4, 6, 3), kind
    assert "HEIC" in text


def test_what_a_mac_and_a_browser_on_windows_write(tmp_path):
    """A Mac leaves ``._`` files beside what it copies to a stick; Chrome and Edge save JPEGs as .jfif."""
    picture(tmp_path / "ann" / "a.jpg").rename(tmp_path / "ann" / "a.jfif")
    (tmp_path / "._klas.jpg").write_bytes(b"\x00\x05\x16\x07")
    assert [path.name for path in people(tmp_path)["ann"]] == ["a.jfif"]


def test_a_person_without_pictures_is_named(tmp_path):
    picture(tmp_path / "ann" / "1.jpg")
    (tmp_path / "ben").mkdir()
    with pytest.raises(PortraitsNotFoundError, match="ben holds no pictures"):
        people(tmp_path)


def test_a_folder_called_like_a_picture_is_no_picture(tmp_path):
    (tmp_path / "x.jpg").mkdir()
    assert pictures_in(tmp_path) == []


@pytest.mark.parametrize("data", [b"", b"this is text", b"\xff\xd8\xff\xe0 cut off", b"\x89PNG\r\n\x1a\n"])
def test_what_is_not_a_picture_is_named(tmp_path, data):
    path = tmp_path / "broken.jpg"
    path.write_bytes(data)
    with pytest.raises(PortraitUnreadableError, match=r"broken\.jpg"):
        read(path)


def test_opencv_adds_no_words_of_its_own(tmp_path):
    path = tmp_path / "film.tif"
    Image.fromarray(np.zeros((40, 40), np.float32)).save(path)  # 32 bits a sample, which OpenCV says aloud
    program = f"from pipeline.adapters.portraits import read; read(__import__('pathlib').Path({str(path)!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "film.tif is not a picture that can be read" in done.stderr
    assert "WARN" not in done.stderr


def test_a_picture_that_is_gone_is_named(tmp_path):
    with pytest.raises(PortraitUnreadableError, match=r"gone\.jpg"):
        read(tmp_path / "gone.jpg")


def test_grey_transparent_and_deep_pictures_become_bgr(tmp_path):
    for name, pixels in {
        "grey.png": np.full((4, 6), 200, np.uint8),
        "clear.png": np.full((4, 6, 4), 200, np.uint8),
        "deep.png": np.full((4, 6, 3), 200 << 8, np.uint16),
    }.items():
        assert cv2.imwrite(str(tmp_path / name), pixels)
        result = read(tmp_path / name)
        assert result.dtype == np.uint8
        assert result.shape == (4, 6, 3)
        assert abs(int(result[0, 0, 0]) - 200) <= 1


def test_names_beyond_ascii_are_read(tmp_path):
    path = tmp_path / "Zoë Šimić" / "één.png"
    picture(tmp_path / "a.png").rename(_made(path))
    assert read(path).shape == (4, 6, 3)


def _made(path):
    path.parent.mkdir()
    return path


def test_a_picture_is_turned_the_way_its_exif_says(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    image = Image.new("RGB", (60, 40), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 20, 40))
    image.save(path, exif=exif, quality=95)
    result = read(path)
    assert result.shape == (60, 40, 3)
    assert result[5].mean() > 200
    assert result[-5].mean() < 50
