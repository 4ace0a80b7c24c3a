"""Which files of a card are takes, and which go with them."""

import builtins
import os
from pathlib import Path

import pytest

from pipeline.adapters.card import CardClip, all_files, find_clips, is_complete, other_files, tied_files
from pipeline.adapters.card_reader import open_card_file
from pipeline.errors import CardError

GIB = 1 << 30


def lay(root: Path, *names: str, size: int = 10) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.truncate(path, size)  # sparse: costs nothing
    return root


def names(clip: CardClip) -> list[str]:
    return [clip.relative(path) for path in clip.files]


def test_canon_and_its_thumbnail(tmp_path: Path) -> None:
    lay(tmp_path, "DCIM/100CANON/MVI_0001.MP4", "DCIM/100CANON/MVI_0001.THM", "DCIM/100CANON/IMG_0002.JPG")
    (clip,) = find_clips(tmp_path)
    assert names(clip) == ["DCIM/100CANON/MVI_0001.MP4", "DCIM/100CANON/MVI_0001.THM"]
    assert clip.kind == "dcim"
    assert [p.name for p in other_files(tmp_path)] == ["IMG_0002.JPG"]


def test_a_photograph_is_not_a_sidecar(tmp_path: Path) -> None:
    lay(tmp_path, "DCIM/Camera/IMG_1.mov", "DCIM/Camera/IMG_1.jpg", "DCIM/Camera/IMG_1.aae")
    (clip,) = find_clips(tmp_path)
    assert names(clip) == ["DCIM/Camera/IMG_1.mov", "DCIM/Camera/IMG_1.aae"]


def test_gopro_with_proxy_and_thumbnail(tmp_path: Path) -> None:
    at = "DCIM/100GOPRO/"
    lay(tmp_path, at + "GX010123.MP4", at + "GL010123.LRV", at + "GX010123.THM", at + "GX010124.MP4")
    one, two = find_clips(tmp_path)
    assert names(one) == [at + "GX010123.MP4", at + "GL010123.LRV", at + "GX010123.THM"]
    assert names(two) == [at + "GX010124.MP4"]
    assert is_complete(one)


def test_avchd_takes_go_with_their_clip_information(tmp_path: Path) -> None:
    at = "PRIVATE/AVCHD/BDMV/"
    lay(tmp_path, *(at + n for n in ("STREAM/00000.MTS", "STREAM/00001.MTS", "CLIPINF/00000.CPI", "INDEX.BDM")))
    lay(tmp_path, "PRIVATE/AVCHD/AVCHDTN/THUMB.TDT")
    one, two = find_clips(tmp_path)
    assert names(one) == [at + "STREAM/00000.MTS", at + "CLIPINF/00000.CPI"]
    assert names(two) == [at + "STREAM/00001.MTS"]
    assert [p.name for p in other_files(tmp_path)] == ["THUMB.TDT", "INDEX.BDM"]


def test_sony_proxies_are_no_takes(tmp_path: Path) -> None:
    at = "PRIVATE/M4ROOT/"
    files = ("CLIP/C0001.MP4", "CLIP/C0001M01.XML", "SUB/C0001S03.MP4", "THMBNL/C0001T01.JPG")
    lay(tmp_path, *(at + n for n in (*files, "CLIP/C0002.MP4", "MEDIAPRO.XML")))
    one, two = find_clips(tmp_path)
    assert names(one) == [at + n for n in files]
    assert names(two) == [at + "CLIP/C0002.MP4"]


@pytest.mark.parametrize(
    "parts",
    [("GX010123.MP4", "GX020123.MP4", "GX030123.MP4"), ("GOPR1234.MP4", "GP011234.MP4")],
    ids=["chapters", "older chapters"],
)
def test_chapters_are_one_take_in_order(tmp_path: Path, parts: tuple[str, ...]) -> None:
    lay(tmp_path, *(f"DCIM/100GOPRO/{name}" for name in reversed(parts)))
    (clip,) = find_clips(tmp_path)
    assert tuple(p.name for p in clip.paths) == parts


@pytest.mark.parametrize(
    ("parts", "complete"),
    [
        (("GX010123",), True),
        (("GX010123", "GX020123"), True),
        (("GX020123",), False),
        (("GX010123", "GX030123"), False),
        (("GOPR0123",), True),
        (("GOPR0123", "GP010123", "GP020123"), True),
        (("GP010123",), False),
        (("GOPR0123", "GP020123"), False),
        (("MVI_0123",), True),
    ],
)
def test_a_take_is_complete_with_every_chapter_from_the_first_on(
    tmp_path: Path, parts: tuple[str, ...], complete: bool
) -> None:
    lay(tmp_path, *(f"DCIM/100GOPRO/{name}.MP4" for name in parts))
    (clip,) = find_clips(tmp_path)
    assert is_complete(clip) is complete


def test_a_film_cut_at_four_gigabytes_goes_on_in_the_next(tmp_path: Path) -> None:
    lay(tmp_path, "DCIM/100CANON/MVI_0001.MP4", "DCIM/100CANON/MVI_0002.MP4", size=4 * GIB - (20 << 20))
    lay(tmp_path, "DCIM/100CANON/MVI_0003.MP4", "DCIM/100CANON/MVI_0004.MP4")
    found = [([p.name for p in clip.paths], clip.guessed) for clip in find_clips(tmp_path)]
    assert found == [(["MVI_0001.MP4", "MVI_0002.MP4", "MVI_0003.MP4"], True), (["MVI_0004.MP4"], False)]


def test_files_that_may_be_one_take_are_tied_each_to_its_own(tmp_path: Path) -> None:
    at = "DCIM/100CANON/"
    lay(tmp_path, at + "MVI_0001.MP4", at + "MVI_0002.MP4", size=4 * GIB - (20 << 20))
    lay(tmp_path, at + "MVI_0001.THM", at + "MVI_0002.THM")
    (clip,) = find_clips(tmp_path)
    assert len(clip.files) == 4
    assert tied_files(tmp_path) == [{at + f"MVI_000{n}.{kind}" for kind in ("MP4", "THM")} for n in "12"]


def test_every_file_of_a_card_hidden_ones_too(tmp_path: Path) -> None:
    card = tmp_path / "card"
    lay(card, "DCIM/1/A.MP4", ".Trash-1000/files/B.MP4", "notes.txt")
    (card / "link").symlink_to(tmp_path)
    assert all_files(card) == [(".Trash-1000/files/B.MP4", 10), ("DCIM/1/A.MP4", 10), ("notes.txt", 10)]


@pytest.mark.parametrize("size", [3 * GIB, 5 * GIB])
def test_a_long_film_is_not_thereby_cut(tmp_path: Path, size: int) -> None:
    lay(tmp_path, "DCIM/100CANON/MVI_0001.MP4", "DCIM/100CANON/MVI_0002.MP4", size=size)
    assert [len(clip.paths) for clip in find_clips(tmp_path)] == [1, 1]


def test_links_are_never_followed(tmp_path: Path) -> None:
    card, home = tmp_path / "card", tmp_path / "home"
    lay(home, "wedding.mp4", "100CANON/MVI_0009.MP4")
    lay(card, "DCIM/100CANON/MVI_0001.MP4")
    (card / "DCIM/100CANON/MVI_0002.MP4").symlink_to(home / "wedding.mp4")
    (card / "DCIM/101CANON").symlink_to(home / "100CANON")
    (card / "PRIVATE").symlink_to(home)
    (clip,) = find_clips(card)
    assert names(clip) == ["DCIM/100CANON/MVI_0001.MP4"]
    with pytest.raises(CardError, match="not a plain file"):
        open_card_file(card / "DCIM/100CANON/MVI_0002.MP4")


def test_hidden_files_are_no_takes(tmp_path: Path) -> None:
    lay(tmp_path, "DCIM/100CANON/MVI_0001.MP4", "DCIM/100CANON/._MVI_0001.MP4", "DCIM/.thumbnails/1.mp4")
    assert len(find_clips(tmp_path)) == 1


def test_odd_names(tmp_path: Path) -> None:
    lay(tmp_path, "DCIM/1/les\nvijf é.MP4", "dcim2/x.MP4")
    (clip,) = find_clips(tmp_path)
    assert clip.path.name == "les\nvijf é.MP4"


def test_an_empty_card_is_a_card_and_another_folder_is_not(tmp_path: Path) -> None:
    (tmp_path / "DCIM").mkdir()
    assert find_clips(tmp_path) == []
    other = tmp_path / "DCIM"
    with pytest.raises(CardError, match="top folder of the card"):
        find_clips(other)


def test_a_card_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="gone"):
        find_clips(tmp_path / "gone")


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, "DCIM/100CANON/MVI_0001.MP4")
    real = os.scandir

    def failing(path: str | Path) -> object:
        if str(path).endswith("100CANON"):
            raise OSError(5, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(CardError, match="100CANON cannot be read: Input/output error"):
        find_clips(tmp_path)
    with pytest.raises(CardError):
        tied_files(tmp_path)  # a wipe must see all of the card
    lay(tmp_path, "DCIM/101CANON/MVI_0002.MP4")
    told: list[str] = []
    (clip,) = find_clips(tmp_path, lambda path, why: told.append(f"{path.name} {why}"))
    assert names(clip) == ["DCIM/101CANON/MVI_0002.MP4"]
    where = tmp_path / "DCIM/100CANON"
    assert told == [f"100CANON {where} cannot be read: Input/output error; check the card and try again."]


def test_nothing_is_opened_and_takes_are_tied_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, "DCIM/1/A.MP4", "DCIM/1/A.THM", "DCIM/1/B.MP4")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the card was opened")

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(os, "open", refuse)
    assert tied_files(tmp_path) == [{"DCIM/1/A.MP4", "DCIM/1/A.THM"}, {"DCIM/1/B.MP4"}]
