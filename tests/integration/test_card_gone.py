"""Films and cards of which a person says that they are gone: nothing waits for them, and nothing calls them wiped."""

from __future__ import annotations

import shlex
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.volumes import Volume
from pipeline.errors import CardError, WipeError
from pipeline.lesson import on_card, retention
from pipeline.lesson.state import State, find
from pipeline.stages import ingest as stage
from pipeline.stages.wipe import NOT_ALL_THERE
from tests.integration.test_card_flow import AT, as_volume, begun, lay, lesveil
from tests.world import World

LABELLED = Volume(Path("-"), "", "EOS_DIGITAL", "vfat", True)
"""A card that another may be named like."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two films on a card without a serial, of which all is done but the wipe."""
    lay(tmp_path / "one", A=b"first lesson" * 999, B=b"second lesson" * 999)
    (tmp_path / "school").mkdir()
    made = World(tmp_path / "school", tmp_path / "one").create()
    as_volume(monkeypatch, LABELLED)
    made.copy()
    made.finish()
    return made


def of(world: World, name: str = "A.MP4") -> State:
    with world.open() as place:
        return find(place, name)


def due(world: World, day: date) -> set[tuple[str, str]]:
    with world.open() as place:
        return {(Path(item["file"]).name, item["kind"]) for item in retention.due(place, day)}


def clip_in(document: Any, name: str = "A.MP4") -> Any:
    return next(one for one in document["clips"] if one["file"].endswith(name))


def test_a_film_that_was_deleted_in_the_camera_is_given_up_and_not_called_wiped(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    later = date.today() + timedelta(40)
    give_up = ["wipe", "--gone", "A.MP4", "--by", "A. Jansen"]
    assert "lies on the card that is in" in lesveil(world, capsys, *give_up, code=WipeError.code)
    (world.card / AT / "A.MP4").unlink()
    (refused,) = world.plan().refused
    assert "lesveil wipe --gone CLIP --by NAME" in refused[1]
    assert ("A.MP4", "working copy") not in due(world, later)
    assert "say whose" in lesveil(world, capsys, "wipe", "--gone", "A.MP4", code=WipeError.code)
    assert "is not called wiped" in lesveil(world, capsys, *give_up, js=False)
    assert "No card of A.MP4 waits" in lesveil(world, capsys, *give_up, code=WipeError.code)

    plan = world.plan()
    assert (plan.refused, {Path(item.path).name for item in plan.items if item.kind == "video"}) == ((), {"B.MP4"})
    told = clip_in(lesveil(world, capsys, "status"))
    assert (told["stage"], told["waits_for"]) == ("delivered", "")
    assert "A. Jansen said on" in told["notes"][0]
    page = tmp_path / "page.html"
    said = clip_in(lesveil(world, capsys, "report", "--html", str(page))["batches"][0])
    assert (said["wiped_from_card"], said["given_up"]["by"]) == (False, "A. Jansen")
    assert "A. Jansen said so; nobody saw it wiped" in page.read_text(encoding="utf-8")
    assert ("A.MP4", "working copy") in due(world, later), "its term counts now"
    world.wipe(plan.digest)
    assert [of(world, name).stage for name in ("A.MP4", "B.MP4")] == ["delivered", "wiped"]
    with world.open() as place:
        assert on_card.cards_left(place) == []


def test_a_film_that_turns_up_after_all_is_waited_for_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    film = world.card / AT / "A.MP4"
    film.rename(world.folder / "A.MP4")
    lesveil(world, capsys, "wipe", "--gone", "A.MP4", "--by", "A. Jansen")
    (world.folder / "A.MP4").rename(film)
    world.copy()
    assert of(world).waits_for == "lesveil wipe"
    world.wipe(world.plan().digest)
    assert world.on_card() == {}
    assert of(world).stage == "wiped"


def test_of_a_film_that_was_renamed_in_the_camera_no_more_is_promised_than_was_seen(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another card of that name may hold it under the old one."""
    (world.card / AT / "A.MP4").rename(world.card / AT / "Z.MP4")
    world.copy()
    assert len(world.plan().refused) == 1
    lesveil(world, capsys, "wipe", "--gone", "A.MP4", "--by", "A. Jansen")
    plan = world.plan()
    assert {Path(item.path).name: item.kind for item in plan.items if item.kind != "working_copy"} == {
        "A.MP4": "unseen",
        "B.MP4": "video",
        "Z.MP4": "video",
    }
    assert world.wipe(plan.digest).promise == NOT_ALL_THERE
    assert world.on_card() == {}
    with world.open() as place:
        assert [row.payload["path"] for row in place.ledger.entries("wipe_outcome")].count(f"{AT}/A.MP4") == 0
        assert place.vault.ids() == []
    assert world.plan().items == ()


def test_a_card_that_got_a_name_is_waited_for_under_the_old_one_until_somebody_says_so(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_volume(monkeypatch, Volume(Path("-"), "", "LES 1", "vfat", True))
    world.copy()
    world.wipe(world.plan().digest)
    assert {of(world, name).waits_for for name in ("A.MP4", "B.MP4")} == {"lesveil wipe"}
    said = lesveil(world, capsys, "wipe", js=False)
    assert "EOS_DIGITAL (if one is lost, was formatted or has another name now: lesveil cards --gone CARD" in said
    gone = lesveil(world, capsys, "cards", "--gone", "EOS_DIGITAL", "--by", "A. Jansen")
    assert {Path(one["file"]).name for one in gone["not_wiped"]} == {"A.MP4", "B.MP4"}
    assert {of(world, name).waits_for for name in ("A.MP4", "B.MP4")} == {""}
    assert "Other cards" not in lesveil(world, capsys, "wipe", js=False)


def test_all_that_waits_for_a_card_that_is_lost_ends(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its begun wipe as well; and what a run finds on a card of that name waits for it again."""
    digest = begun(world, monkeypatch, "pipeline.adapters.erase.Disk.rename")
    away = world.card.rename(world.folder / "lost")
    said = lesveil(world, capsys, "wipe", "--execute", digest, code=WipeError.code)
    command = "lesveil cards --gone EOS_DIGITAL --by NAME"
    assert command in said
    assert "say whose" in lesveil(world, capsys, "cards", "--gone", "EOS_DIGITAL", code=CardError.code)
    gone = lesveil(world, capsys, *shlex.split(command)[1:])
    assert (len(gone["not_wiped"]), gone["half"]) == (2, [f"{AT}/A.MP4"])
    plan = lesveil(world, capsys, "wipe")
    assert (plan["items"], plan["refused"], plan["begun"], plan["other_cards"]) == ([], [], [], [])
    assert {one["waits_for"] for one in lesveil(world, capsys, "status")["clips"]} == {""}
    assert "Nothing waits for a card" in lesveil(
        world, capsys, "cards", "--gone", "EOS_DIGITAL", "--by", "A", code=CardError.code
    )
    away.rename(world.card)
    world.copy()
    assert [of(world, name).waits_for for name in ("A.MP4", "B.MP4")] == ["lesveil wipe"] * 2
    world.wipe(world.plan().digest)
    assert [of(world, name).stage for name in ("A.MP4", "B.MP4")] == ["wiped"] * 2


def test_a_lost_card_takes_no_film_that_is_not_done(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    lay(world.card, C=b"third lesson" * 999)
    world.copy()
    world.card.rename(world.folder / "lost")
    lesveil(world, capsys, "cards", "--gone", "EOS_DIGITAL", "--by", "A. Jansen")
    told = clip_in(lesveil(world, capsys, "status"), "C.MP4")
    assert (told["stage"], told["waits_for"]) == ("copied", "lesveil run")
    with world.open() as place:
        assert len(place.vault.ids()) == 3


def test_of_a_film_that_is_twice_on_a_card_only_what_is_not_there_is_gone(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    lay(world.card, A2=b"first lesson" * 999)
    world.copy()
    (world.card / AT / "A2.MP4").unlink()
    said = lesveil(world, capsys, "wipe", "--gone", "A.MP4", "--by", "A. Jansen", js=False)
    assert "What else there is of A.MP4 on a card still waits for lesveil wipe" in said
    assert of(world).waits_for == "lesveil wipe"
    assert ("A.MP4", "working copy") not in due(world, date.today() + timedelta(40))
    assert "lies on the card" in lesveil(world, capsys, "wipe", "--gone", "A.MP4", "--by", "A", code=WipeError.code)
    world.wipe(world.plan().digest)
    assert world.on_card() == {}
    assert (of(world).wiped, of(world).waits_for) == (False, ""), "nobody saw what became of the other"


def test_a_thumbnail_that_is_deleted_says_nothing_of_its_film(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    thumbnail = world.card / AT / "A.THM"
    thumbnail.write_bytes(b"small")
    world.copy()
    thumbnail.unlink()
    world.copy()
    assert "lies on the card" in lesveil(world, capsys, "wipe", "--gone", "A.MP4", "--by", "A", code=WipeError.code)
    world.wipe(world.plan().digest)
    with world.open() as place:
        assert on_card.cards_left(place) == []


def test_a_card_that_is_in_and_holds_its_films_is_not_written_off(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that was formatted is, though it is in; so is another of that name once this one is out."""
    gone = ["cards", "--gone", "EOS_DIGITAL", "--by", "A. Jansen"]
    assert f"{AT}/A.MP4 lies on it" in lesveil(world, capsys, *gone, code=CardError.code)
    assert of(world).waits_for == "lesveil wipe"
    for film in (world.card / AT).iterdir():
        film.unlink()
    assert len(lesveil(world, capsys, *gone)["not_wiped"]) == 2


def test_a_card_that_is_in_and_holds_a_film_that_was_not_copied_is_not_written_off(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    film = lay(world.card, E=b"") / AT / "E.MP4"
    world.copy()
    world.wipe(world.plan().digest)
    gone = ["cards", "--gone", "EOS_DIGITAL", "--by", "A. Jansen"]
    assert f"{AT}/E.MP4 lies on it" in lesveil(world, capsys, *gone, code=CardError.code)
    film.unlink()
    assert lesveil(world, capsys, *gone)["written_off"] == [f"{AT}/E.MP4"]


def test_a_film_that_is_deleted_here_and_turns_up_on_its_card_waits_for_its_wipe(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    away = world.card.rename(world.folder / "lost")
    lesveil(world, capsys, "cards", "--gone", "EOS_DIGITAL", "--by", "A. Jansen")
    lesveil(world, capsys, "used", "A.MP4", "--by", "A. Jansen")
    lesveil(world, capsys, "purge", "--execute", lesveil(world, capsys, "purge")["digest"])
    assert (of(world).stage, of(world).waits_for) == ("deleted", "")
    away.rename(world.card)
    assert [state.file for state in world.copy().deleted] == [f"{AT}/A.MP4"]
    assert (of(world).stage, of(world).waits_for) == ("deleted", "lesveil wipe")
    with world.open() as place:
        rows = len(place.ledger.entries("film_back"))
    world.copy()
    with world.open() as place:
        assert len(place.ledger.entries("film_back")) == rows == 1
        assert on_card.cards_left(place) == ["EOS_DIGITAL"]
    world.wipe(world.plan().digest)
    assert of(world).stage == "wiped"


def test_a_film_of_which_nothing_is_left_waits_for_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """And before the last of it goes that is said: no card may hold it any more."""
    lay(world.card, C=b"third lesson" * 999)
    world.copy()
    away = world.card.rename(world.folder / "lost")
    only = "C.MP4 lies nowhere else"
    settings = world.place / "lesveil.toml"
    settings.write_text(settings.read_text() + "\n[retention]\nworking_copy_days = 0\n")
    assert f"{only}: after this nothing of it is left, except perhaps" in lesveil(world, capsys, "purge", js=False)
    lesveil(world, capsys, "cards", "--gone", "EOS_DIGITAL", "--by", "A. Jansen")
    assert f"{only}, and for all that is known on no card any more" in lesveil(world, capsys, "purge", js=False)
    assert "C.MP4" not in str(lesveil(world, capsys, "purge")["not_yet"])
    lesveil(world, capsys, "purge", "--execute", lesveil(world, capsys, "purge")["digest"])
    told = clip_in(lesveil(world, capsys, "status"), "C.MP4")
    assert (told["stage"], told["waits_for"]) == ("copied", "")
    assert "should its card turn up" in told["said"]
    assert "put the card in" not in lesveil(world, capsys, "status", js=False)
    assert clip_in(lesveil(world, capsys, "report")["batches"][-1], "C.MP4")["waits_for"] == ""
    away.rename(world.card)
    world.copy()
    assert of(world, "C.MP4").waits_for == "lesveil run"


def test_a_report_says_that_a_lost_rendering_waits_for_what_status_says(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    state = of(world)
    with world.open() as place:
        sha256 = (state.render or {})["sha256"]
        where = str(world.archive / f"{state.clip}.mp4")
        place.ledger.append("delivery_removed", state.clip, {"where": where, "sha256": sha256, "permanent": True})
        place.ledger.append("approval", state.clip, {"sha256": sha256, "verdict": "approved", "by": "test"})
        (place.finished / f"{state.clip}.mp4").unlink()
    told = clip_in(lesveil(world, capsys, "status"))
    said = clip_in(lesveil(world, capsys, "report")["batches"][0])
    assert said["waits_for"] == told["waits_for"] == "lesveil run"
    assert said["said"] == told["said"]


@pytest.mark.parametrize("how", ["killed", "unreadable"])
def test_a_card_that_turns_up_is_waited_for_though_its_films_are_not_read_to_the_end(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A run saw them on it: no more is needed to know that they are not gone."""
    away = world.card.rename(world.folder / "lost")
    lesveil(world, capsys, "cards", "--gone", "EOS_DIGITAL", "--by", "A. Jansen")
    away.rename(world.card)

    def broken(path: Path, *_: Any) -> Any:
        if how == "killed":
            raise KeyboardInterrupt
        raise CardError("{file} cannot be read.", file=path)

    monkeypatch.setattr(stage, "sample_of", lambda paths, _: broken(paths[0]))
    if how == "killed":
        with pytest.raises(KeyboardInterrupt):
            world.copy()
    else:
        monkeypatch.setattr("pipeline.adapters.copies.sample_of", lambda paths, _: broken(paths[0]))
        assert len(world.copy().failed) == 2
    assert [of(world, name).waits_for for name in ("A.MP4", "B.MP4")] == ["lesveil wipe"] * 2
    with world.open() as place:
        assert on_card.cards_left(place) == ["EOS_DIGITAL"]
