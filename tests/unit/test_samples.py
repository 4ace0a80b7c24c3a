"""The sample lesson: what it promises about itself, checked without any detector."""

from __future__ import annotations

import csv
import hashlib
import importlib
import importlib.util
import json
import struct
import sys
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from samples import CAST, Samples, make_consent_list, make_lesson, make_portraits, make_samples
from samples.__main__ import main
from samples.consent_list import HEADERS
from samples.lesson import MAKE, MODEL, OWNER, PLACE, SERIAL, draw_frames

SMALL = (320, 180)
DAY = date(2026, 11, 16)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return make_samples(tmp_path_factory.mktemp("sample") / "s", seconds=2, today=DAY, size=SMALL, rate=10)


def boxes_are_sound(faces: Any, frames: int, size: tuple[int, int]) -> None:
    seen = set()
    for face in faces:
        x1, y1, x2, y2 = face["box"]
        assert 0 <= x1 < x2 <= size[0]
        assert 0 <= y1 < y2 <= size[1]
        assert 0 <= face["frame"] < frames
        seen.add((face["frame"], face["track"]))
    assert len(seen) == len(faces), "one box per person and frame"
    assert {face["frame"] for face in faces} == set(range(frames))


def test_clip_holds_what_the_truth_counts(small: Samples) -> None:
    for clip in small.clips:
        truth = small.truths[clip.name]
        with av.open(str(clip)) as container:
            assert [stream.type for stream in container.streams] == ["video", "audio", "data"]
            video = container.streams.video[0]
            assert (video.codec_context.name, video.width, video.height) == ("h264", *SMALL)
            assert container.streams.audio[0].codec_context.name == "aac"
            times = [frame.time for frame in container.decode(video)]
        assert times == pytest.approx([n / 10 for n in range(truth.frames)])
        boxes_are_sound(truth.faces, truth.frames, SMALL)


def test_everyone_plays_their_part(small: Samples) -> None:
    by_person = defaultdict(set)
    for face in small.truths["MVI_0001.MP4"].faces:
        by_person[face["id"]].add(face["frame"])
    assert set(by_person) == {member.id for member in CAST.values()}
    zoe, andre = by_person[CAST["zoe"].id], by_person[CAST["andre"].id]
    assert 0 in zoe
    assert 19 not in zoe
    assert 0 not in andre
    assert 19 in andre
    assert any(face.get("ignore") for face in small.truths["MVI_0001.MP4"].faces), "somebody is covered for a while"


def test_faces_are_where_the_truth_says() -> None:
    size = (960, 540)
    empty, _ = next(draw_frames("group", 1, size, 25, 1))
    picture, rows = next(draw_frames("lesson", 1, size, 25, 1))
    for row in rows:
        x1, y1, x2, y2 = (round(v) for v in row["box"])
        here = picture[y1:y2, x1:x2].astype(int) - empty[y1:y2, x1:x2]
        if row["id"] not in {CAST["renee"].id}:
            assert np.abs(here).mean() > 8


def test_what_cameras_write_is_planted(small: Samples) -> None:
    for clip in small.clips:
        content = clip.read_bytes()
        for text in (MAKE, MODEL, SERIAL, OWNER):
            assert text.encode() in content
        with av.open(str(clip)) as container:
            assert container.metadata["location"] == f"{PLACE[0]:+.4f}{PLACE[1]:+09.4f}/"
            assert container.metadata["creation_time"].startswith("2026-11-16T09:")
            packets = [bytes(packet) for packet in container.demux(container.streams.data[0]) if packet.size]
        assert b"gpmd" in content
        assert len(packets) == -(-small.truths[clip.name].frames // 10)
        at = packets[0].index(b"GPS5") + 8
        latitude, longitude = struct.unpack(">2i", packets[0][at : at + 8])
        assert (latitude / 1e7, longitude / 1e7) == pytest.approx(PLACE)


def test_there_is_something_to_hear(small: Samples) -> None:
    with av.open(str(small.clips[0])) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert len(sound) / 48_000 == pytest.approx(2.0, abs=0.05)
    assert 0.01 < float(np.abs(sound).mean()) < 0.3
    assert float(np.abs(sound).max()) < 1


def test_card_looks_like_a_card(small: Samples) -> None:
    names = {path.name for path in (small.card / "DCIM" / "100LESVL").iterdir()}
    assert names == {f"MVI_000{n}.{kind}" for n in (1, 2) for kind in ("MP4", "THM", "XML")}
    thumbnail = np.frombuffer((small.card / "DCIM/100LESVL/MVI_0001.THM").read_bytes(), np.uint8)
    assert cv2.imdecode(thumbnail, cv2.IMREAD_COLOR).shape == (120, 160, 3)
    assert SERIAL in (small.card / "DCIM/100LESVL/MVI_0002.XML").read_text(encoding="utf-8")


def test_portraits_of_the_consented_and_of_the_withdrawn(small: Samples) -> None:
    assert {path.name for path in small.portraits.iterdir()} == {*small.may_be_seen, *small.withdrawn}
    assert {path.name for path in small.consented.iterdir()} == set(small.may_be_seen)
    assert small.withdrawn == (CAST["jurgen"].id,)
    for folder in small.portraits.iterdir():
        pictures = [path.read_bytes() for path in folder.iterdir()]
        assert len(pictures) == len(set(pictures)) == 4


def test_consent_list_is_a_dutch_export(small: Samples) -> None:
    content = small.consent_list.read_bytes()
    with pytest.raises(UnicodeDecodeError):
        content.decode("utf-8")
    table = list(csv.DictReader(content.decode("cp1252").splitlines(), delimiter=";"))
    assert tuple(table[0]) == HEADERS
    by_number = {row["Leerlingnummer"]: row for row in table}
    assert len(by_number) == len(table) == 10
    for number in small.may_be_seen:
        row = by_number[number]
        assert (row["Gezichtsherkenning"], row["Datum intrekking"], row["Portretmap"]) == ("Ja", "", number)
    withdrawn = by_number[small.withdrawn[0]]
    assert withdrawn["Datum intrekking"] == "10-11-2026"
    assert {row["Beeldcoaching"] for row in table} == {"Ja", "Nee", ""}
    assert [row["Klas"] for row in table if row["Toestemming van"] == "medewerker"] == [""]


@pytest.mark.parametrize("today", [date(2024, 2, 29), date(2027, 12, 31)])
def test_ages_and_words_fit_on_any_day(tmp_path: Path, today: date) -> None:
    make_consent_list(tmp_path / "list.csv", today)
    for row in csv.DictReader((tmp_path / "list.csv").read_text("cp1252").splitlines(), delimiter=";"):
        day, month, year = map(int, row["Geboortedatum"].split("-"))
        age = today.year - year - ((today.month, today.day) < (month, day))
        giver = row["Toestemming van"]
        assert {"leerling": 16 <= age < 18, "ouder": age < 16, "medewerker": age > 30, "": True}[giver]


def test_truth_file_repeats_the_truth(small: Samples) -> None:
    told = json.loads(small.truth_file.read_text(encoding="utf-8"))
    assert [clip["clip"] for clip in told["clips"]] == ["MVI_0001.MP4", "MVI_0002.MP4"]
    assert told["clips"][0]["frames"] == small.truths["MVI_0001.MP4"].frames
    assert {p["id"] for p in told["people"] if p["may_be_seen"]} == set(small.may_be_seen)
    kept = {face["id"] for clip in told["clips"] for face in clip["faces"] if face["keep"]}
    assert kept == set(small.may_be_seen)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_arguments_same_bytes(small: Samples, tmp_path: Path) -> None:
    again = make_samples(tmp_path / "again", seconds=2, today=DAY, size=SMALL, rate=10)
    assert digests(again.folder) == digests(small.folder)
    other = make_lesson(tmp_path / "other.mp4", 1, SMALL, 10, seed=2)
    same = make_lesson(tmp_path / "same.mp4", 1, SMALL, 10, seed=1)
    assert [face["box"] for face in other.faces] != [face["box"] for face in same.faces]


def test_nothing_is_written_over(small: Samples, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = digests(small.folder)
    with pytest.raises(FileExistsError, match="kaart"):
        make_samples(small.folder, seconds=1, size=SMALL)
    with pytest.raises(FileExistsError):
        make_lesson(small.clips[0], 1, SMALL)
    with pytest.raises(FileExistsError):
        make_consent_list(small.consent_list, DAY)
    with pytest.raises(FileExistsError):
        make_portraits(small.portraits)
    assert main([str(small.folder)]) == 30
    assert "kaart" in capsys.readouterr().err
    assert digests(small.folder) == before
    with pytest.raises(ValueError, match="even"):
        make_lesson(tmp_path / "odd.mp4", 1, (321, 180))


def test_runs_under_another_name() -> None:
    """In the wheel the package is pipeline._samples, so it may not import itself by name."""
    root = Path(__file__).resolve().parents[2] / "samples"
    spec = importlib.util.spec_from_file_location(
        "shipped", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["shipped"] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        assert module.make_samples.__module__ == "shipped.card"
        assert not [path for path in root.glob("*.py") if "from samples" in path.read_text(encoding="utf-8")]
    finally:
        for name in [name for name in sys.modules if name == "shipped" or name.startswith("shipped.")]:
            del sys.modules[name]


@pytest.mark.slow
def test_full_size(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "s", today=DAY)
    lesson, group = (samples.truths[clip.name] for clip in samples.clips)
    assert (lesson.frames, group.frames) == (300, 100)
    for truth in (lesson, group):
        boxes_are_sound(truth.faces, truth.frames, (1920, 1080))
    counted = [face for face in lesson.faces if not face.get("ignore")]
    heights = [face["box"][3] - face["box"][1] for face in counted]
    assert 40 < min(heights) < 55
    assert 120 < max(heights) < 150
    assert len(counted) > 1500
    with av.open(str(samples.clips[0])) as container:
        assert sum(1 for _ in container.decode(video=0)) == 300
    assert samples.clips[0].stat().st_size < 12_000_000
