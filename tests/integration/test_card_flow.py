"""Cards in a workspace: whose they are, two of them with equal names, a phone, and the commands that tell."""

from __future__ import annotations

import itertools
import json
import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.adapters import volumes
from pipeline.adapters.volumes import Volume
from pipeline.commands import lessons
from pipeline.errors import UnknownCardError, WipeError
from pipeline.lesson import copy as copying
from pipeline.lesson import wipe as wiping
from pipeline.lesson.state import states
from pipeline.stages.wipe import DELETED_ONLY
from tests import clips
from tests.world import World

AT = "DCIM/100CANON"


def lay(card: Path, **films: bytes) -> Path:
    for name, data in films.items():
        (card / AT).mkdir(parents=True, exist_ok=True)
        (card / AT / f"{name}.MP4").write_bytes(data)
    return card


@pytest.fixture
def world(tmp_path: Path) -> World:
    lay(tmp_path / "one", A=b"first lesson" * 999, B=b"second lesson" * 999)
    (tmp_path / "school").mkdir()
    return World(tmp_path / "school", tmp_path / "one").create()


def as_volume(monkeypatch: pytest.MonkeyPatch, volume: Volume) -> None:
    for module in (copying, wiping):
        monkeypatch.setattr(module, "volume_of", lambda folder, _=None: replace(volume, root=Path(folder).resolve()))


def test_a_film_that_is_there_twice_is_one_clip_and_that_is_told(world: World) -> None:
    """Also while the first of the two is still being proved when the second is read."""
    lay(world.card, C=b"first lesson" * 999, A2=b"first lesson" * 999)
    copied = world.copy()
    assert copied.failed == []
    assert len({clip.id for _, clip in copied.clips}) == 2
    assert copied.notes == [
        f"{AT}/A2.MP4 holds the same film as {AT}/A.MP4; they are one clip.",
        f"{AT}/C.MP4 holds the same film as {AT}/A.MP4; they are one clip.",
    ]
    assert not list(world.place.rglob("*.unfinished"))


def test_what_stays_on_the_card_is_told_wherever_it_lies(world: World) -> None:
    lay(world.card / "holiday", show=b"not a lesson" * 99)
    (world.card / "holiday/show.mov").write_bytes(b"a lesson after all" * 99)
    (world.card / "MISC").mkdir()
    (world.card / "MISC/note.txt").write_text("x")
    (world.card / "System Volume Information").mkdir()
    (world.card / "System Volume Information/WPSettings.dat").write_text("x")
    (world.card / ".Trashes").mkdir()
    copied = world.copy()
    assert copied.left == ["show.MP4", "show.mov", "note.txt"]
    assert [one.split(" lies outside")[0] for one in copied.notes] == [f"holiday/{AT}/show.MP4", "holiday/show.mov"]


def test_a_card_of_photographs_is_told_as_such(world: World) -> None:
    for path in (world.card / AT).iterdir():
        path.rename(path.with_suffix(".JPG"))
    copied = world.copy()
    assert copied.notes == ["No film lies in the camera's folders of this card."]
    assert copied.left == ["A.JPG", "B.JPG"]


# --- whose card -------------------------------------------------------------------------------------------------------


def test_where_no_card_is_registered_any_is_taken(world: World) -> None:
    assert not world.copy().registered


@pytest.mark.parametrize("entry", ["3934-6430", "3934-6430 ", "les kaart", "C3441325012345"])
def test_a_registered_card_is_known_by_serial_label_or_camera(
    world: World, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    as_volume(monkeypatch, Volume(world.card, "3934-6430", "LES KAART", "vfat", True))
    (world.card / "MISC").mkdir()
    (world.card / "MISC/version.txt").write_text('"camera serial number":"C3441325012345",')
    (world.place / "lesveil.toml").write_text(f"[cards]\nregistered = {json.dumps(['0000-0001', entry])}\n")
    assert world.copy().registered


def test_an_unknown_card_is_refused_unless_told(world: World) -> None:
    (world.place / "lesveil.toml").write_text('[cards]\nregistered = ["0000-0001"]\n')
    with pytest.raises(UnknownCardError, match="--any-card"):
        world.copy()
    with world.open() as place:
        assert place.ledger.entries("card") == []
        assert place.vault.ids() == []
    copied = world.copy(any_card=True)
    assert len(copied.clips) == 2
    with world.open() as place:
        assert place.ledger.entries("card")[-1].payload["registered"] is False


# --- two cards --------------------------------------------------------------------------------------------------------


def test_two_cards_with_equal_names(world: World, tmp_path: Path) -> None:
    other = World(world.folder, lay(tmp_path / "two", A=b"third lesson" * 999, B=b"second lesson" * 999))
    world.copy()
    other.copy()
    world.finish()
    one, two = world.plan(), other.plan()
    assert {(item.path, item.sha256) for item in one.items} != {(item.path, item.sha256) for item in two.items}
    with pytest.raises(WipeError, match="not the plan that was shown"):
        other.wipe(one.digest)
    before = other.on_card()
    world.wipe(one.digest)
    assert world.on_card() == {}
    assert other.on_card() == before
    with world.open() as place:
        stages = {Path(s.file).name + s.clip[:4]: s.stage for s in states(place)}
        assert sorted(stages.values()) == ["delivered", "delivered", "wiped"], "B lies on the other card still"
        assert wiping.other_cards(place, world_plan(place)) == [str(other.card)]
    other.wipe(other.plan().digest)
    assert other.on_card() == {}
    with world.open() as place:
        assert {s.stage for s in states(place)} == {"wiped"}
        assert place.vault.ids() == []


def world_plan(place: Any) -> Any:
    return wiping.wipe_plan(place, wiping.date(2026, 11, 25), wiping.Wanted(place.folder.parents[1] / "one"))


def test_another_card_in_the_machine_is_not_wiped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        as_volume(patch, Volume(world.card, "3934-6430", "", "vfat", True))
        world.copy()
        world.finish()
        plan = world.plan()
    as_volume(monkeypatch, Volume(world.card, "0000-0002", "", "vfat", True))
    with pytest.raises(WipeError):
        world.wipe(plan.digest)
    assert len(world.on_card()) == 2


def test_a_card_that_is_not_in_the_machine_is_planned_and_missed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mount point is an empty folder now; that is not the card."""
    with monkeypatch.context() as patch:
        as_volume(patch, Volume(world.card, "3934-6430", "", "vfat", True))
        world.copy()
        world.finish()
        shown = world.plan()
    with world.open() as place:
        plan = wiping.wipe_plan(place, wiping.date.today())
        assert plan.digest == shown.digest
        with pytest.raises(WipeError, match="3934-6430 is not here"):
            wiping.execute_wipe(place, plan.digest, wiping.date.today())
        with pytest.raises(WipeError, match="3934-6430 is not here"):
            wiping.wipe_plan(place, wiping.date.today(), wiping.Wanted(whole=True))
    assert len(world.on_card()) == 2


def test_what_was_wiped_and_put_back_is_wiped_again(world: World) -> None:
    before = world.on_card()
    world.copy()
    world.finish()
    first = world.plan()
    world.wipe(first.digest)
    for name, data in before.items():
        (world.card / name).write_bytes(data)
    assert len(world.copy().clips) == 2
    with world.open() as place:
        assert {s.stage for s in states(place)} == {"delivered"}
        assert len(place.vault.ids()) == 2
    again = world.plan()
    assert again.digest != first.digest
    with pytest.raises(WipeError, match="works once"):
        world.wipe(first.digest)
    world.wipe(again.digest)
    assert world.on_card() == {}
    with world.open() as place:
        assert place.vault.ids() == []


# --- a phone or camera over MTP ---------------------------------------------------------------------------------------


def test_over_mtp_it_deletes_and_says_what_that_is_worth(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    as_volume(monkeypatch, Volume(world.card, "", "Canon", "mtp", True, mtp=True))
    monkeypatch.setattr("pipeline.adapters.erase.Disk.write", lambda *_: 1 / 0)
    monkeypatch.setattr("pipeline.adapters.erase.Disk.rename", lambda *_: 1 / 0)
    world.copy()
    world.finish()
    done = world.wipe(world.plan().digest)
    assert world.on_card() == {}
    assert done.promise == DELETED_ONLY


# --- the commands -----------------------------------------------------------------------------------------------------


def lesveil(world: World, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0, js: bool = True) -> Any:
    capsys.readouterr()
    more = ["--json"] if js else []
    assert cli.main([*words, "-C", str(world.place), "--lang", "en", *more]) == code
    said = capsys.readouterr()
    if code:
        return said.err
    return json.loads(said.out) if js else said.out


def test_cards_are_listed_as_they_are_registered(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes, "candidates", lambda: [Volume(world.card, "3934-6430", "LES", "vfat", True)])
    (card,) = lesveil(world, capsys, "cards")["cards"]
    assert (card["serial"], card["label"], card["registered"]) == ("3934-6430", "LES", False)
    (world.place / "lesveil.toml").write_text('[cards]\nregistered = ["3934-6430"]\n')
    said = lesveil(world, capsys, "cards", js=False)
    assert "3934-6430" in said
    assert "registered" in said
    monkeypatch.setattr(volumes, "candidates", lambda: [])
    assert lesveil(world, capsys, "cards")["cards"] == []
    assert "No card was found" in lesveil(world, capsys, "run", code=53)


def test_of_several_cards_one_must_be_chosen(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = lay(tmp_path / "two", A=b"x")
    found = [Volume(world.card, "1", "", "vfat", True), Volume(other, "2", "", "vfat", True)]
    monkeypatch.setattr(copying, "candidates", lambda: found)
    assert "several cards" in lesveil(world, capsys, "run", code=53)
    (world.place / "lesveil.toml").write_text('[cards]\nregistered = ["2"]\n')
    with world.open() as place:
        assert [volume.root for volume in copying.find_card(place)] == [other], "the school's own is taken"
        for typed, chosen in (("2", found[1].root), ("3", None), ("x", None)):
            monkeypatch.setattr(copying, "find_card", lambda _: found)
            monkeypatch.setattr(lessons, "asked", lambda *_, typed=typed: typed)
            args: Any = None
            if chosen:
                assert lessons._choose_card(place, args) == chosen
            else:
                with pytest.raises(lessons.CardError, match="several cards"):
                    lessons._choose_card(place, args)


def test_the_plan_says_how_to_carry_it_out(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.copy()
    world.finish()
    said = lesveil(world, capsys, "wipe", "--fill", "--card", str(world.card), js=False)
    line = next(line for line in said.splitlines() if "--execute" in line)
    assert shlex.split(line.split(": ", 1)[1])[4:] == ["--fill", "--card", str(world.card)]
    assert "free_space" in said
    assert "working_copy" in said


def test_a_whole_card_needs_its_name(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.copy()
    world.finish()
    (world.card / "holiday.jpg").write_bytes(b"photograph")
    # a plain folder is on the disk we work on: filling that is not for a test
    with world.open() as place:
        plan = wiping.wipe_plan(place, wiping.date.today(), wiping.Wanted(world.card, whole=True))
    assert "holiday.jpg" in {item.path for item in plan.items}
    words = ["wipe", "--whole-card", "--execute", plan.digest, "--card", str(world.card)]
    assert "must be typed: one" in lesveil(world, capsys, *words, code=57)
    assert "must be typed: one" in lesveil(world, capsys, *words, "--confirm", "two", code=57)
    assert len(world.on_card()) == 3


# --- a take in chapters, from the card to a rendering -----------------------------------------------------------------


@pytest.mark.slow
def test_a_take_in_chapters_is_rendered_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = clips.make(tmp_path / "whole.mp4", audio="aac", frames=90, size="320x180", g=15, bf=0, sound_seconds=3.6)
    card = tmp_path / "card/DCIM/100GOPRO"
    card.mkdir(parents=True)
    clips.call(
        *("-i", whole, "-map", "0", "-c", "copy", "-f", "segment", "-segment_time", "1.2", "-reset_timestamps", "1"),
        *("-segment_start_number", "1", card / "GX%02d0007.MP4"),
    )
    assert len(list(card.iterdir())) == 3
    (tmp_path / "school").mkdir()
    world = World(tmp_path / "school", tmp_path / "card").create()
    (clip,) = lesveil(world, capsys, "run", "--card", str(world.card))["clips"]
    assert clip["file"] == "DCIM/100GOPRO/GX010007.MP4"
    finished = world.place / "redacted" / clip["rendering"]
    times = [time for time, _ in clips.oracle(finished)]
    assert len(times) == 90
    assert {round(float(b - a), 6) for a, b in itertools.pairwise(times)} == {0.04}
    assert clip["seconds"] == pytest.approx(3.6)
    again = lesveil(world, capsys, "run", "--card", str(world.card))
    assert again["clips"][0]["sha256"] == clip["sha256"]
    assert os.listdir(world.place / "redacted") == [finished.name]


def test_after_a_wipe_what_formatting_would_lose_is_told(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.copy()
    world.finish("A.MP4")
    (world.card / AT / "IMG_1.JPG").write_bytes(b"x")
    digest = lesveil(world, capsys, "wipe", "--card", str(world.card))["digest"]
    said = lesveil(world, capsys, "wipe", "--card", str(world.card), "--execute", digest, js=False)
    assert f"gone once it is formatted: {AT}/B.MP4, {AT}/IMG_1.JPG; copy what is to be kept first." in said
    for path in (world.card / AT).iterdir():
        path.unlink()
    world.finish("B.MP4")
    lay(world.card, B=b"second lesson" * 999)
    digest = lesveil(world, capsys, "wipe", "--card", str(world.card))["digest"]
    said = lesveil(world, capsys, "wipe", "--card", str(world.card), "--execute", digest, js=False)
    assert "Still on the card" not in said


def test_a_card_without_a_name_is_not_to_be_registered(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    said = lesveil(world, capsys, "cards", "--card", str(world.card), js=False)
    assert "neither serial nor name" in said
    assert "put one of its lines" not in said
    (world.place / "lesveil.toml").write_text('[cards]\nregistered = ["0000-0001"]\n')
    assert "cannot be registered; give it a name" in lesveil(world, capsys, "run", "--card", str(world.card), code=71)


def test_one_clip_is_approved_at_a_time(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert "one clip at a time" in lesveil(world, capsys, "approve", "A", "B", "--by", "Jan", code=2)


def test_clips_of_one_name_can_be_told_apart(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (world.card / "DCIM/101CANON").mkdir()
    (world.card / "DCIM/101CANON/A.MP4").write_bytes(b"third lesson" * 999)
    world.copy()
    said = lesveil(world, capsys, "status", js=False)
    assert "A.MP4 (100CANON)" in said
    assert "A.MP4 (101CANON)" in said
    said = lesveil(world, capsys, "wipe", "--card", str(world.card), js=False)
    assert "Not wiped: A.MP4 (101CANON), because it was not rendered." in said


def test_loose_clips_are_told_where_to_go(tmp_path: Path, capsys: pytest.CaptureFixture[str], world: World) -> None:
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose/les.mp4").write_bytes(b"x")
    assert "make a folder DCIM" in lesveil(world, capsys, "run", "--card", str(tmp_path / "loose"), code=53)
