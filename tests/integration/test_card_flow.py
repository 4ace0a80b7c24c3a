"""Cards in a workspace: whose they are, two of them with equal names, a phone, and the commands that tell."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import shutil
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import cli
from pipeline.adapters import database, erase, files, volumes
from pipeline.adapters.card import VIDEO
from pipeline.adapters.card_reader import CardReader
from pipeline.adapters.fill import Filler
from pipeline.adapters.ledger import Ledger
from pipeline.adapters.volumes import Volume
from pipeline.commands import run_card
from pipeline.errors import ApprovalError, CardError, UnknownCardError, WipeError
from pipeline.lesson import copy as copying
from pipeline.lesson import namesakes, on_card
from pipeline.lesson import wipe as wiping
from pipeline.lesson.state import find, states
from pipeline.stages import ingest as stage
from pipeline.stages.wipe import DELETED_ONLY
from pipeline.wipeable import NOT_HERE
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


def days_old(film: Path) -> None:
    """As a film that was written before its card was read here."""
    written = time.time() - 3 * 86400
    os.utime(film, (written, written))


def as_volume(monkeypatch: pytest.MonkeyPatch, volume: Volume) -> None:
    for module in (copying, on_card):
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


@pytest.mark.parametrize("name", ["00001", "00001.mts", f"{AT}/00001.MTS"])
def test_a_film_is_found_without_its_ending_and_as_plans_name_it(world: World, name: str) -> None:
    """Whatever its ending is: README.md shows a name without one."""
    (world.card / AT / "00001.MTS").write_bytes(b"third lesson" * 999)
    world.copy()
    with world.open() as place:
        assert find(place, name).file == f"{AT}/00001.MTS"
        with pytest.raises(ApprovalError, match="look up its number"):
            find(place, "0000")


class Disk:
    """A disk of so many bytes, as the vault is told of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: Path, size: int) -> None:
        self.place, self.size = place, size
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=self.free, total=size))

    @property
    def free(self) -> int:
        return self.size - sum(path.stat().st_size for path in self.place.rglob("*") if path.is_file())


@pytest.mark.parametrize("late", [False, True], ids=["while it is read", "before it is recorded"])
def test_a_copy_that_was_interrupted_needs_no_room_for_what_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    lay(world.card, C=os.urandom(12 << 20))
    disk = Disk(monkeypatch, world.place, stage.SPARE + (14 << 20))
    with monkeypatch.context() as patch:
        if late:
            append = Ledger.append

            def interrupted(self: Ledger, kind: str, clip: str | None, payload: dict[str, Any]) -> int:
                if kind == "ingest" and payload["bytes"] == 12 << 20:
                    raise KeyboardInterrupt
                return append(self, kind, clip, payload)

            patch.setattr(Ledger, "append", interrupted)
        else:
            read = CardReader.readinto

            def pulled(self: CardReader, buffer: memoryview) -> memoryview:
                if self.path.name == "C.MP4" and 8 << 20 <= self.at < 11 << 20:
                    raise KeyboardInterrupt
                return read(self, buffer)

            patch.setattr(CardReader, "readinto", pulled)
        with pytest.raises(KeyboardInterrupt):
            world.copy()
    assert disk.free < stage.SPARE + (12 << 20)
    assert len(world.copy().clips) == 3


def test_a_film_that_could_not_be_copied_is_not_forgotten_when_the_next_run_is_killed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a run that came to the end of the card can say that it is copied now, or gone."""

    def waits() -> list[str]:
        with world.open() as place:
            return [one.path for one in copying.not_copied(place.ledger)]

    lay(world.card, E=b"")
    world.copy()
    assert waits() == [f"{AT}/E.MP4"]
    with monkeypatch.context() as patch:
        patch.setattr(stage, "ingest_all", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.copy()
    assert waits() == [f"{AT}/E.MP4"]
    world.copy()
    assert waits() == [f"{AT}/E.MP4"]
    (world.card / AT / "E.MP4").unlink()
    world.copy()
    assert waits() == []


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
        assert on_card.cards_left(place) == [str(other.card)]
    other.wipe(other.plan().digest)
    assert other.on_card() == {}
    with world.open() as place:
        assert {s.stage for s in states(place)} == {"wiped"}
        assert place.vault.ids() == []


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


def test_a_copy_of_the_card_that_was_never_read_is_not_wiped_in_its_place(world: World, tmp_path: Path) -> None:
    """A folder with the same films, while the one that was read is still there: its films would stay."""
    world.copy()
    world.finish()
    reserve = tmp_path / "reserve"
    shutil.copytree(world.card, reserve)
    with world.open() as place:
        with pytest.raises(WipeError, match="was never read here"):
            wiping.wipe_plan(place, date.today(), wiping.Wanted(reserve))
        assert wiping.wipe_plan(place, date.today(), wiping.Wanted(world.card)).items
        world.card.rename(tmp_path / "moved")
        assert wiping.wipe_plan(place, date.today(), wiping.Wanted(tmp_path / "moved")).items


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


def test_of_the_cards_that_are_in_the_one_that_was_read_last_is_meant(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that was read since may be back in its camera."""
    two, three = (World(world.folder, lay(tmp_path / name, C=name.encode() * 999)) for name in ("two", "three"))
    serials = {world.card: "3934-6430", two.card: "64B1-1E0F", three.card: "5E1D-7A20"}
    for module in (copying, on_card):
        monkeypatch.setattr(module, "volume_of", lambda folder, _=None: Volume(folder, serials[folder]))
    for one in (two, world, three, two, world):
        one.copy()
    world.finish()
    assert lesveil(world, capsys, "wipe")["card"] == serials[world.card]
    for away, meant in ((world, two), (two, three), (three, world)):
        away.card.rename(away.card.with_name(f"{away.card.name} away"))
        told = lesveil(world, capsys, "wipe")
        assert (told["card"], told["hindered"] is None) == (serials[meant.card], meant is not world)


def test_a_folder_that_was_once_read_is_not_meant_for_a_card_that_is_away(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder is always there; with --fill its disk would be filled."""
    World(world.folder, lay(tmp_path / "copy", C=b"third lesson" * 999)).copy()
    as_volume(monkeypatch, Volume(world.card, "3934-6430", "", "vfat", True))
    world.copy()
    world.finish()
    monkeypatch.undo()
    world.card.rename(tmp_path / "away")
    told = lesveil(world, capsys, "wipe", "--fill")
    assert told["card"] == "3934-6430"
    assert "put it in" in told["hindered"]


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


def test_week_after_week_a_camera_may_use_the_same_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wiped each time, or written over in the camera: what was there before keeps nothing."""
    as_volume(monkeypatch, Volume(world.card, "3934-6430", "", "vfat", True))
    digests = set()
    for week in range(3):
        lay(world.card, A=b"week %d" % week * 999)
        world.copy()
        world.finish()
        plan = world.plan()
        assert plan.refused == ()
        digests.add(plan.digest)
        world.wipe(plan.digest)
        assert world.on_card() == {}
    assert len(digests) == 3
    lay(world.card, A=b"a first version" * 999)
    world.copy()
    world.finish()
    lay(world.card, A=b"rated in the camera" * 999)
    world.copy()
    kept = world.plan()
    assert [reason for _, reason in kept.refused] == ["it was not rendered"]
    assert [item.kind for item in kept.items] == ["working_copy", "gone"], "the film that lies there is another one"
    world.finish()
    world.wipe(world.plan().digest)
    assert world.on_card() == {}
    with world.open() as place:
        assert place.vault.ids() == []
        assert {state.stage for state in states(place)} == {"wiped"}
    assert world.plan(whole=True).refused == ()


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("how", ["deleted", "renamed"])
def test_a_film_that_is_not_on_the_card_any_more_is_told_and_keeps_no_other(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, how: str, whole: bool
) -> None:
    monkeypatch.setattr("pipeline.adapters.fill.Filler.fill", lambda *_: None)
    as_volume(monkeypatch, Volume(world.card, "3934-6430", "one", "vfat", True))
    world.copy()
    world.finish()
    shown = world.plan(whole=whole)
    if how == "deleted":
        (world.card / AT / "A.MP4").unlink()
    else:
        (world.card / AT / "A.MP4").rename(world.card / AT / "Z.MP4")
        world.copy()
    plan = world.plan(whole=whole)
    assert [item.path for item in plan.items if item.kind == "gone"] == [f"{AT}/A.MP4"]
    with pytest.raises(WipeError, match="not the plan that was shown"):
        world.wipe(shown.digest, "one", whole=whole)
    words = ["wipe", "--card", str(world.card), *(["--whole-card"] if whole else [])]
    said = lesveil(world, capsys, *words, js=False)
    assert f"Not on the card any more: {AT}/A.MP4" in said
    done = lesveil(world, capsys, *words, "--execute", plan.digest, "--confirm", "one")
    assert (done["files"], done["copies"]) == (1 if how == "deleted" else 2, 2)
    assert world.on_card() == {}
    with world.open() as place:
        assert {state.stage for state in states(place)} == {"wiped"}
        assert place.vault.ids() == []


@pytest.mark.parametrize("card", [Volume(Path("-"), "3934-6430", "one"), Volume(Path("-"), "", "EOS")], ids=["s", "l"])
@pytest.mark.parametrize("to", [".Trash-1000/files/A.MP4", "backup.mp4", f"{AT}/LESSON.MP4"])
def test_a_film_that_was_moved_on_its_card_is_not_called_gone(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, to: str, card: Volume
) -> None:
    """Into the bin of a computer, say: it is not wiped from there, and must not be told so."""
    as_volume(monkeypatch, card)
    world.copy()
    world.finish()
    moved = world.card / to
    moved.parent.mkdir(parents=True, exist_ok=True)
    film = (world.card / AT / "A.MP4").rename(moved)
    (world.card / "other.bin").write_bytes(b"x" * film.stat().st_size)
    said = lesveil(world, capsys, "wipe", "--card", str(world.card), js=False)
    assert f"because its film lies on this card as {to} (do lesveil run;" in said
    world.wipe(world.plan().digest)
    with world.open() as place:
        assert [state.stage for state in states(place)] == ["delivered", "wiped"]
        assert len(place.vault.ids()) == 1
    by = ("--by", "A. Jansen")
    assert "lies on the card that is in" in lesveil(world, capsys, "wipe", "--gone", "A.MP4", *by, code=57)
    gone = lesveil(world, capsys, "cards", "--gone", card.identity, *by, code=CardError.code)
    assert f"{to} lies on it" in gone
    world.copy()
    if not to.startswith(AT):
        assert world.plan().items == (), "a run reads no film there"
        moved.unlink()
    if not card.serial:
        lesveil(world, capsys, "wipe", "--gone", "A.MP4", *by)
    elif world.plan().items:
        world.wipe(world.plan().digest)
    assert world.plan().refused == ()
    with world.open() as place:
        assert bool(place.vault.ids()) is not bool(card.serial), "where another card may hold it, it goes by its term"


def test_all_may_be_gone_from_a_card_that_is_known_and_from_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty folder where a plain one lay may be any, and so may a card of the same label, or of a blank serial;
    any other serial is one card's."""
    world.copy()
    world.finish()
    not_here = NOT_HERE
    label = Volume(world.card, "", "EOS_DIGITAL", "vfat", True)
    blank = [replace(label, serial=serial) for serial in ("0000-0000", "FFFF-FFFF")]
    for card in (volumes.volume_of(world.card), label, *blank):
        with monkeypatch.context() as patch:
            as_volume(patch, card)
            world.copy()
            (world.card / "DCIM").rename(world.folder / "aside")
            assert (world.plan().items, {why for _, why in world.plan().refused}) == ((), {not_here})
            (world.folder / "aside").rename(world.card / "DCIM")
    as_volume(monkeypatch, Volume(world.card, "3934-6430", "", "vfat", True))
    world.copy()
    for film in (world.card / AT).iterdir():
        film.unlink()
    plan = world.plan()
    assert {item.kind for item in plan.items} == {"gone", "working_copy"}
    world.wipe(plan.digest)
    with world.open() as place:
        assert place.vault.ids() == []


@pytest.mark.parametrize("how", ["of another size", "comes back", "comes back late", "older", "of many", "in"])
def test_a_serial_that_two_cards_have_makes_neither_sure(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """What shows it: another size, a film that is there again, or one that was there before and was not read."""
    serial = "1234-5678" if how == "of many" else "3934-6430"
    as_volume(monkeypatch, Volume(world.card, serial, "", "vfat", True))
    world.copy()
    world.finish()
    two = World(world.folder, lay(tmp_path / "two", A=b"third lesson" * 999, C=b"fourth lesson" * 999))
    if how == "older":
        days_old(two.card / AT / "C.MP4")
    if how == "of another size":
        for module in (copying, namesakes):
            monkeypatch.setattr(module, "size_of", lambda root: (32 if root == world.card else 64) << 30)
    elif how != "of many":
        two.copy()
    if how == "in":
        both = [Volume(card, serial) for card in (world.card, two.card)]
        monkeypatch.setattr(namesakes, "volumes", lambda: both)
    if how == "comes back":
        world.copy()
        two.copy()
    elif how == "comes back late":
        two.wipe(two.plan().digest)
        world.copy()
        world.finish()
    plan = two.plan()
    assert "gone" not in {item.kind for item in plan.items}
    assert NOT_HERE in {why for _, why in plan.refused}
    world.copy()
    world.finish()
    there = {item.path for item in world.plan().items if item.kind == "video"}
    assert there == {f"{AT}/A.MP4", f"{AT}/B.MP4"}
    world.wipe(world.plan().digest)
    assert world.on_card() == {}


@pytest.mark.parametrize(
    ("devices", "sure"), [(("8:17/", "8:17/"), True), (("8:17/", "8:33/"), False), (("", ""), False)]
)
def test_a_card_that_is_mounted_at_two_places_is_no_second_card(
    world: World, monkeypatch: pytest.MonkeyPatch, devices: tuple[str, str], sure: bool
) -> None:
    as_volume(monkeypatch, Volume(world.card, "3934-6430", "", "vfat", True))
    both = [Volume(Path(f"/media/{n}"), "3934-6430", device=device) for n, device in enumerate(devices)]
    monkeypatch.setattr(namesakes, "volumes", lambda: both)
    world.copy()
    world.finish()
    (world.card / AT / "B.MP4").unlink()
    assert (world.plan().refused == ()) == sure


def test_what_was_there_and_could_not_be_read_makes_no_second_card(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_volume(monkeypatch, Volume(world.card, "3934-6430", "", "vfat", True))
    film = lay(world.card, E=b"") / AT / "E.MP4"
    world.copy()
    with monkeypatch.context() as patch:
        patch.setattr(stage, "ingest_all", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.copy()
    film.write_bytes(b"fifth lesson" * 999)
    days_old(film)
    world.copy()
    moved = (world.card / AT / "A.MP4").rename(world.folder / "Z.MP4")
    lay(world.card, A=b"sixth lesson" * 999)
    world.copy()
    days_old(moved.rename(world.card / AT / "Z.MP4"))
    world.copy()
    world.finish()
    assert world.plan().refused == ()


@pytest.mark.parametrize("how", ["second chapter", "outside", "bin", "clock", "laptop's clock"])
def test_what_an_ordinary_card_holds_makes_no_second_card(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A chapter of a take that could not be read before, a film that was moved to where a run reads it, or taken out of
    a bin, one by a camera whose clock began anew, and one that came after a run by a clock that ran ahead."""
    as_volume(monkeypatch, Volume(world.card, "3934-6430", "", "vfat", True))
    folder = world.card / AT
    if how == "second chapter":
        lay(world.card, GX010007=b"", GX020007=b"seventh lesson" * 999)
        world.copy()
        (folder / "GX010007.MP4").write_bytes(b"sixth lesson" * 999)
        days_old(folder / "GX010007.MP4")
        days_old(folder / "GX020007.MP4")
    elif how == "clock":
        world.copy()
        os.utime(lay(world.card, C=b"third lesson" * 999) / AT / "C.MP4", (1e9, 1e9))
    elif how == "laptop's clock":
        with monkeypatch.context() as patch:
            patch.setattr(database, "now", lambda: (datetime.now(UTC) + timedelta(31)).isoformat())
            world.copy()
        cli.main(["doctor", "--clock-is-right", "-C", str(world.place)])
        lay(world.card, C=b"third lesson" * 999)
    else:
        film = world.card / (".Trash-1000/files/C.MP4" if how == "bin" else "C.MP4")
        film.parent.mkdir(parents=True, exist_ok=True)
        film.write_bytes(b"third lesson" * 999)
        days_old(film)
        assert bool(world.copy().notes) == (how == "outside"), "it says to move it"
        film.rename(folder / "C2.MP4")
    world.copy()
    world.finish()
    (folder / "B.MP4").unlink()
    plan = world.plan()
    assert plan.refused == ()
    assert "gone" in {item.kind for item in plan.items}


def test_what_cannot_be_looked_up_is_not_taken_for_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.copy()
    world.finish()

    def broken(*_: Any) -> bool:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(on_card, "is_there", broken)
    with pytest.raises(CardError, match="cannot be read"):
        world.plan()


def test_a_card_without_its_cameras_folders_keeps_no_copy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted on a computer, or by a camera that formats and leaves the serial: the films are gone all the same."""
    as_volume(monkeypatch, Volume(world.card, "3934-6430", "", "vfat", True))
    world.copy()
    world.finish()
    shutil.rmtree(world.card / "DCIM")
    world.wipe(world.plan().digest)
    with world.open() as place:
        assert place.vault.ids() == []


@pytest.mark.parametrize("how", ["changed", "unreadable"])
def test_a_film_that_its_card_lost_part_of_keeps_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A run takes it for what it copied, so the wipe must say what else to do."""
    as_volume(monkeypatch, Volume(world.card, "3934-6430", "", "vfat", True))
    film = lay(world.card, A=os.urandom(5 << 20)) / AT / "A.MP4"
    world.copy()
    world.finish()
    written = film.stat().st_mtime_ns
    with film.open("r+b") as file:
        file.seek(1_500_000)  # where no sample is taken
        file.write(b"lost")
    os.utime(film, ns=(written, written))
    if how == "unreadable":
        hashed = erase._hash

        def broken(path: Path) -> str:
            if path == film:
                raise OSError(5, "Input/output error")
            return hashed(path)

        monkeypatch.setattr(erase, "_hash", broken)
    copied = world.copy()
    assert (len(copied.clips), copied.failed) == (2, [])
    before = world.on_card()
    with pytest.raises(WipeError, match="delete it in the camera"):
        world.wipe(world.plan().digest)
    assert world.on_card() == before
    film.unlink()
    world.wipe(world.plan().digest)
    assert world.on_card() == {}
    with world.open() as place:
        assert place.vault.ids() == []


# --- a wipe that was begun and cannot be finished ---------------------------------------------------------------------


def begun(world: World, monkeypatch: pytest.MonkeyPatch, at: str = "pipeline.adapters.vault.Vault.destroy") -> str:
    """A wipe of the card is killed: between its films and their copies, or in another place; its digest."""
    world.copy()
    world.finish()
    digest = world.plan().digest
    with monkeypatch.context() as patch:
        patch.setattr(at, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.wipe(digest)
    return digest


def test_a_begun_wipe_whose_card_was_used_again_is_called_off(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = begun(world, monkeypatch)
    lay(world.card, A=b"a new lesson, of which this is all there is" * 99)
    at = ["--card", str(world.card)]
    off = f"lesveil wipe --call-off {digest} --by"
    assert off in lesveil(world, capsys, "run", *at, code=57)
    assert "do lesveil run" in lesveil(world, capsys, "wipe", "--execute", digest, *at, code=57)
    assert off in lesveil(world, capsys, "wipe", *at, js=False)
    assert lesveil(world, capsys, "wipe", *at)["begun"] == [digest]
    assert "say whose" in lesveil(world, capsys, "wipe", "--call-off", digest, code=57)
    assert "No wipe with" in lesveil(world, capsys, "wipe", "--call-off", "0" * 64, "--by", "A", code=57)
    said = lesveil(world, capsys, "wipe", "--call-off", digest, "--by", "A. Jansen")
    assert said == {"digest": digest, "half": []}
    with world.open() as place:
        assert place.ledger.entries("wipe_called_off")[-1].payload == {"digest": digest, "by": "A. Jansen", "half": []}
        assert {state.stage for state in states(place)} == {"wiped"}, "what was done stays done"
    assert not lesveil(world, capsys, "wipe", *at)["begun"]
    assert len(world.copy().clips) == 1
    world.finish()
    world.wipe(world.plan().digest)
    assert world.on_card() == {}
    with world.open() as place:
        assert place.vault.ids() == []


@pytest.mark.parametrize(
    "step", ["Disk.write", "Disk.rename", "Disk.unlink"], ids=["to be overwritten", "overwritten", "renamed"]
)
def test_what_a_wipe_that_was_called_off_left_half_done_is_told_and_goes_by_a_new_plan(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Also when that one is interrupted: what lies there bears the mark of the first."""
    digest = begun(world, monkeypatch, f"pipeline.adapters.erase.{step}")
    said = lesveil(world, capsys, "wipe", "--call-off", digest, "--by", "A. Jansen", js=False)
    assert f"{AT}/A.MP4 may be overwritten in part" in said
    assert "the next lesveil wipe of this card takes the rest" in said
    with world.open() as place:
        assert place.ledger.entries("wipe_called_off")[-1].payload["half"] == [f"{AT}/A.MP4"]
    again = world.plan(fill=True)
    assert again.digest != digest
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.adapters.erase.Disk.unlink", lambda *_: 1 / 0)
        patch.setattr("pipeline.adapters.fill.Filler.fill", lambda *_: None)
        with pytest.raises(ZeroDivisionError):
            world.wipe(again.digest, fill=True)
    monkeypatch.setattr("pipeline.adapters.fill.Filler.fill", lambda *_: None)
    world.wipe(again.digest)
    assert world.on_card() == {}


@pytest.mark.parametrize("step", ["Disk.write", "Disk.rename"], ids=["to be overwritten", "overwritten"])
def test_a_name_that_the_camera_uses_again_after_a_wipe_was_called_off_keeps_neither_film(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Of the older one nothing is there any more, so the new one under its name may be wiped."""
    as_volume(monkeypatch, Volume(world.card, "3934-6430", "", "vfat", True))
    digest = begun(world, monkeypatch, f"pipeline.adapters.erase.{step}")
    with world.open() as place:
        wiping.call_off(place, digest, "A. Jansen")
    lay(world.card, A=b"a new lesson" * 5000)
    world.copy()
    assert [why for _, why in world.plan().refused] == ["it was not rendered"]
    world.finish()
    plan = world.plan()
    assert plan.refused == ()
    assert [item.path for item in plan.items if item.kind == "gone"] == [f"{AT}/A.MP4"]
    world.wipe(plan.digest)
    assert world.on_card() == {}


@pytest.mark.parametrize("size", [400, 12000], ids=["less than a sector", "more than the mark"])
def test_what_a_wipe_left_half_done_is_no_film_to_a_run(
    world: World, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """It would be copied as another that took the place of the first, which would count as gone."""
    lay(world.card, A=b"film" * (size // 4))
    as_volume(monkeypatch, Volume(world.card, "3934-6430", "", "vfat", True))
    with monkeypatch.context() as patch:
        digest = begun(world, patch, "pipeline.adapters.erase.Disk.sync")
    with world.open() as place:
        wiping.call_off(place, digest, "A. Jansen")
    copied = world.copy()
    assert [name for name, _ in copied.failed] == [f"{AT}/A.MP4"]
    plan = world.plan()
    assert (f"{AT}/A.MP4", "video") in {(item.path, item.kind) for item in plan.items}
    world.wipe(plan.digest)
    assert world.on_card() == {}


def test_a_film_that_comes_back_under_its_name_is_what_lies_there(world: World) -> None:
    """A, then B, then A again: the latest row of that name must be of what is there."""
    first = world.on_card()
    world.copy()
    world.finish()
    lay(world.card, A=b"another lesson" * 999)
    world.copy()
    world.finish()
    for name, data in first.items():
        (world.card / name).write_bytes(data)
        os.utime(world.card / name, (1e9, 1e9))
    world.copy()
    plan = world.plan()
    there = {item.path: item.sha256 for item in plan.items if item.kind == "video"}
    assert there[f"{AT}/A.MP4"] == files.sha256_of(world.card / AT / "A.MP4")
    world.wipe(plan.digest)
    assert world.on_card() == {}


def test_a_begun_wipe_binds_its_own_card_alone(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = begun(world, monkeypatch)
    other = World(world.folder, lay(tmp_path / "two", C=b"third lesson" * 999))
    other.copy()
    other.finish("C.MP4")
    plan = other.plan()
    assert plan.card == str(other.card)
    said = lesveil(world, capsys, "wipe", js=False)
    assert f"The wipe {digest} of the card {world.card} was begun and is not finished" in said, "that one may be lost"
    with pytest.raises(WipeError, match="put that one in"):
        other.wipe(digest)
    other.wipe(plan.digest)
    assert other.on_card() == {}
    with world.open() as place:
        assert len(place.vault.ids()) == 2
    lesveil(world, capsys, "wipe", "--execute", digest)  # it knows its own card, though another was read since
    with world.open() as place:
        assert place.vault.ids() == []


def test_what_a_run_says_of_a_begun_wipe_can_be_typed(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.adapters.fill.Filler.fill", lambda *_: None)
    world.copy()
    world.finish()
    digest = world.plan(whole=True).digest
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.adapters.vault.Vault.destroy", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.wipe(digest, "one", whole=True)
    lay(world.folder / "two", C=b"third lesson" * 999)
    World(world.folder, world.folder / "two").copy()  # read since: what is asked for is the name of the begun one
    with world.open() as place:
        assert wiping.title(place, None, digest) == "one"
    assert "one (lesveil wipe --whole-card" in lesveil(world, capsys, "wipe", "--execute", digest, code=57)
    film = next(world.archive.glob("*.mp4"))
    film.rename(world.folder / "away.mp4")
    away = lesveil(world, capsys, "wipe", "--execute", digest, "--confirm", "one", code=57)
    assert "nothing more was wiped" in away
    (world.folder / "away.mp4").rename(film)
    with pytest.raises(WipeError) as said:
        world.copy()
    words = str(said.value).split("finish it first: lesveil ", 1)[1].split(" (if")[0]
    assert shlex.split(words)[-3:] == ["--whole-card", "--card", str(world.card)]
    lesveil(world, capsys, *shlex.split(words), "--confirm", "one")


@pytest.mark.parametrize("off", [False, True], ids=["repeated", "called off"])
def test_what_filled_a_disk_goes_before_anything_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch, off: bool
) -> None:
    """The ledger may lie on that very disk; and a camera would find its card full."""
    world.copy()
    world.finish()
    digest = world.plan(fill=True).digest

    def killed(self: Filler, *_: Any) -> None:
        self._name(0).write_bytes(b"random")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Filler, "fill", killed)
        with pytest.raises(KeyboardInterrupt):
            world.wipe(digest, fill=True)
    (filling,) = world.on_card()
    assert filling.endswith(".TMP")
    if off:
        with world.open() as place:
            wiping.call_off(place, digest, "A. Jansen")
        digest = world.plan().digest
    append = Ledger.append

    def with_room(self: Ledger, kind: str, clip: str | None, payload: dict[str, Any]) -> int:
        assert world.on_card() == {}, f"no room to write {kind}"
        return append(self, kind, clip, payload)

    monkeypatch.setattr(Filler, "fill", lambda *_: None)
    monkeypatch.setattr(Ledger, "append", with_room)
    world.wipe(digest, fill=not off)
    assert world.plan().items == ()


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
            monkeypatch.setattr(run_card, "asked", lambda *_, typed=typed: typed)
            args: Any = None
            if chosen:
                assert run_card._choose_card(place, args) == chosen
            else:
                with pytest.raises(run_card.CardError, match="several cards"):
                    run_card._choose_card(place, args)


def test_the_plan_says_how_to_carry_it_out(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.copy()
    world.finish()
    said = lesveil(world, capsys, "wipe", "--fill", "--card", str(world.card), js=False)
    line = next(line for line in said.splitlines() if "--execute" in line)
    assert shlex.split(line.split(": ", 1)[1])[4:] == ["--fill", "--card", str(world.card)]
    assert "free_space" in said
    assert "working_copy" in said


@pytest.mark.parametrize("away", ["card", "archive", "switch"])
def test_a_plan_that_cannot_be_carried_out_now_says_so_first(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    world.copy()
    world.finish()
    digest = world.plan().digest
    if away == "switch":
        as_volume(monkeypatch, replace(volumes.volume_of(world.card), read_only=True))
    else:
        folder = world.card if away == "card" else world.archive
        folder.rename(folder.with_name("away"))
    why = {"card": f"The card {world.card} is not here; put it in", "switch": f"The card at {world.card} is write-"}
    why["archive"] = f"The target folder {world.archive} is not there; connect it"
    said = lesveil(world, capsys, "wipe", js=False)
    assert said.splitlines()[0].startswith("Nothing can be wiped now")
    assert why[away] in said.splitlines()[0]
    assert f"{AT}/A.MP4" in said
    assert "--execute" not in said
    told = lesveil(world, capsys, "wipe")
    assert (told["digest"], told["hindered"].startswith(why[away])) == (digest, True)
    if away != "switch":
        folder.with_name("away").rename(folder)
        assert lesveil(world, capsys, "wipe")["hindered"] is None


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


def test_what_can_hold_no_film_keeps_no_whole_card(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither can ever be copied; a film that is only called so, or begins so, can hold anything."""
    monkeypatch.setattr("pipeline.adapters.fill.Filler.fill", lambda *_: None)
    note = bytes.fromhex("00051607") + b"Mac OS X" * 500
    (world.card / AT / "._A.MP4").write_bytes(note)
    (world.card / AT / "EMPTY.MP4").write_bytes(b"")
    world.copy()
    world.finish()
    for name, data in (("._B.MP4", b"a film" * 999), ("C.MP4", note)):
        (world.card / AT / name).write_bytes(data)
        plan = world.plan(whole=True)
        assert (plan.items, [path for path, _ in plan.refused]) == ((), [f"{AT}/{name}"])
        (world.card / AT / name).unlink()
    world.wipe(world.plan(whole=True).digest, "one", whole=True)
    assert world.on_card() == {}


@pytest.mark.parametrize("end", ["M2T", "MXF", "TOD", "3GPP", "360", "CRM"])
def test_a_film_of_any_ending_keeps_a_whole_card_until_it_is_copied(world: World, end: str) -> None:
    """What `redact` takes for a clip a run copies; what only a maker's program reads is a film all the same."""
    film = world.card / AT / f"C.{end}"
    film.write_bytes(b"third lesson" * 999)
    before = world.on_card()
    copied = world.copy()
    world.finish("A.MP4", "B.MP4")
    plan = world.plan(whole=True)
    assert (plan.items, len(plan.refused)) == ((), 1)
    with pytest.raises(WipeError, match="nothing to wipe"):
        world.wipe(plan.digest, "one", whole=True)
    assert world.on_card() == before
    if f".{end.lower()}" in VIDEO:
        assert [take.path.name for take, _ in copied.clips] == ["A.MP4", "B.MP4", film.name]
    else:
        assert copied.left == [film.name]
        assert copied.notes == [
            f"{AT}/{film.name} is a film that cannot be read here and was not copied; keep it elsewhere before the card"
            " is formatted."
        ]


@pytest.mark.parametrize("ours", ["workspace", "archive"])
def test_the_wipe_of_a_whole_card_never_takes_what_is_ours(tmp_path: Path, ours: str) -> None:
    """A disk that holds the camera's folders and the workspace, or the folder delivered to (here through a link)."""
    disk = lay(tmp_path / "disk", A=b"first lesson" * 999)
    (disk / "ours").mkdir()
    (tmp_path / "school").mkdir()
    world = World(tmp_path / "school", disk)
    if ours == "workspace":
        world.place.symlink_to(disk / "ours")
    world.create()
    if ours == "archive":
        world.archive.rmdir()
        world.archive.symlink_to(disk / "ours")
    world.copy()
    world.finish()
    with pytest.raises(WipeError, match=f"{ours} lies on this card"):
        world.plan(whole=True)
    world.wipe(world.plan().digest)
    assert not [name for name in world.on_card() if name.startswith("DCIM")]


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
    for name in (".Trash-1000/files/OLD.MP4", ".Trash-1000/info/OLD.MP4.trashinfo", ".Trashes/._OLD.MP4"):
        (world.card / name).parent.mkdir(parents=True, exist_ok=True)
        (world.card / name).write_bytes(b"deleted on a computer")
    digest = lesveil(world, capsys, "wipe", "--card", str(world.card))["digest"]
    said = lesveil(world, capsys, "wipe", "--card", str(world.card), "--execute", digest, js=False)
    there = f".Trash-1000/files/OLD.MP4, {AT}/B.MP4, {AT}/IMG_1.JPG"
    assert f"gone once it is formatted: {there}; copy what is to be kept first." in said
    shutil.rmtree(world.card / ".Trash-1000")
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
