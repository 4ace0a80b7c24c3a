"""A clip that waits for `lesveil run` is done from its working copy: its card need not be in again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import messages
from pipeline.cli import main
from pipeline.errors import INTERRUPTED, RepairError
from pipeline.lesson import copy
from pipeline.lesson.card import held_back, waiting
from pipeline.lesson.repair import repair
from pipeline.lesson.state import find
from tests import clips
from tests.world import TODAY, World


class Waiting:
    """A workspace into which a card was taken; then one of its clips is to be decided anew, and the card is out."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        (folder / "school").mkdir()
        card = folder / "card"
        (card / "DCIM" / "100CANON").mkdir(parents=True)
        for n in (1, 2):
            clips.make(card / "DCIM" / "100CANON" / f"MVI_000{n}.MP4", size="160x96", frames=10 + n)
        self.world = World(folder / "school", card).create()
        self.lesveil("run", "--card", str(card))
        monkeypatch.setattr(copy, "candidates", list)
        card.rename(folder / "in the drawer")

    def lesveil(self, *words: str, code: int = 0) -> Any:
        self._capsys.readouterr()
        told = main([*words, "-C", str(self.world.place), "--lang", "en", "--json"])
        said = self._capsys.readouterr()
        assert told == code, said.err + said.out
        return json.loads(said.out) if said.out else said.err

    def lapse(self, name: str = "MVI_0001.MP4") -> Path:
        """The clip shows somebody whose consent ended; the file of its rendering, which goes."""
        with self.world.open() as place:
            state = find(place, name)
            assert state.render is not None
            row = {"person": "41215", "day": TODAY.isoformat(), "renderings": [state.render["sha256"]]}
            place.ledger.append("lapsed", state.clip, row)
            made = place.finished / str(state.render["file"])
            made.unlink()
        return made

    def stages(self) -> list[str]:
        return [one["waits_for"] for one in self.lesveil("status")["clips"]]

    def renderings(self, made: Path) -> list[Path]:
        return sorted(made.parent.glob(made.name.partition(".")[0] + "*"))


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    yield Waiting(tmp_path, capsys, monkeypatch)
    messages.choose("en")


def test_without_a_card(place: Waiting) -> None:
    assert "No card was found; put one in" in place.lesveil("run", code=53)
    made = place.lapse()
    assert place.stages() == ["lesveil run", "lesveil approve"]
    done = place.lesveil("run")
    assert [one["file"] for one in done["clips"]] == ["DCIM/100CANON/MVI_0001.MP4"]
    assert (done["card"], done["left_on_card"], done["failed"]) == (None, [], [])
    assert place.renderings(made) == [made], "nobody is recognised here, so it is the same film again"


def test_with_another_card(place: Waiting, tmp_path: Path) -> None:
    made, other = place.lapse(), tmp_path / "other"
    (other / "DCIM" / "100CANON").mkdir(parents=True)
    clips.make(other / "DCIM" / "100CANON" / "MVI_0007.MP4", size="160x96", frames=9)
    done = place.lesveil("run", "--card", str(other))
    assert [Path(one["file"]).name for one in done["clips"]] == ["MVI_0007.MP4", "MVI_0001.MP4"]
    assert done["card"]["folder"] == str(other)
    assert made.is_file()


def test_at_night(place: Waiting) -> None:
    assert place.lesveil("run", "--unattended")["result"] == "nothing to do"
    made = place.lapse()
    said = place.lesveil("run", "--unattended")
    assert (said["result"], said["cards"], len(said["clips"])) == ("done", [], 1)
    assert made.is_file()


def test_what_failed_or_has_no_copy_or_no_teacher_waits_for_its_card(place: Waiting) -> None:
    made = place.lapse()
    with place.world.open() as opened:
        (state,) = waiting(opened, TODAY)
        opened.ledger.append("failure", None, {"path": "a", "error": "NoConsentError", "clip": state.clip})
        assert [one.clip for one in waiting(opened, TODAY)] == [state.clip], "which may be over"
        opened.ledger.append("failure", None, {"path": "a", "error": "QuarantinedError", "clip": state.clip})
        assert waiting(opened, TODAY) == []
        opened.ledger.record("render", state.ingest.payload["sha256"], "again", state.clip, dict(state.render or {}))
        made.touch()
        assert waiting(opened, TODAY) == [], "made anew since"
        (lapsed,) = opened.ledger.entries("lapsed", state.clip)
        opened.ledger.append("lapsed", state.clip, lapsed.payload)
        assert [one.clip for one in waiting(opened, TODAY)] == [state.clip]
    toml = place.world.place / "lesveil.toml"
    toml.write_text(toml.read_text(encoding="utf-8") + "[consent]\nteacher_required = true\n", encoding="utf-8")
    with place.world.open() as opened:
        assert waiting(opened, TODAY) == []
        assert [one.clip for one in held_back(opened, TODAY)] == [state.clip]
        opened.ledger.append("teacher", state.clip, {"person": "T1", "ground": "g"})
        assert [one.clip for one in waiting(opened, TODAY)] == [state.clip]
        opened.vault.destroy(state.clip)
        assert waiting(opened, TODAY) == []


def test_whose_copy_is_gone_is_told_to_need_its_card(place: Waiting, capsys: pytest.CaptureFixture[str]) -> None:
    place.lapse()
    assert place.stages()[0] == "lesveil run"
    with place.world.open() as opened:
        opened.vault.destroy(find(opened, "MVI_0001.MP4").clip)
    assert main(["status", "-C", str(place.world.place), "--lang", "en"]) == 0
    told = capsys.readouterr().out
    assert "1 clip has no working copy any more (MVI_0001.MP4): put the card in, then lesveil run." in told


def test_a_copy_that_was_never_rendered_is_done_as_well(place: Waiting, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "in the drawer", place.world.card)
    clips.make(place.world.card / "DCIM" / "100CANON" / "MVI_0003.MP4", size="160x96", frames=8)
    place.world.copy()
    shutil.rmtree(place.world.card)
    done = place.lesveil("run")
    assert [Path(one["file"]).name for one in done["clips"]] == ["MVI_0003.MP4"]
    assert place.stages() == ["lesveil approve"] * 3


def muted(place: Waiting, name: str) -> None:
    row = {"id": "m", "analysis": "a", "kind": "mute", "start": 2, "stop": 6, "by": "Geertje", "role": "coach"}
    with place.world.open() as opened:
        opened.ledger.append("repair", find(opened, name).clip, row)


@pytest.mark.parametrize("repairs", [False, True])
def test_whose_rendering_is_gone_is_made_again(place: Waiting, repairs: bool) -> None:
    """Approving, delivering and repairing refuse then, and say that lesveil run is to be done."""
    made = place.lapse()
    place.lesveil("run")
    if repairs:
        muted(place, "MVI_0001.MP4")
    made.unlink()
    assert place.stages()[0] == "lesveil run"
    if repairs:
        assert "run lesveil run again" in place.lesveil("repairs", code=65)["failed"][0]["problem"]
    else:
        assert "run lesveil run again" in place.lesveil("approve", "MVI_0001.MP4", "--by", "A", code=55)
    assert [Path(one["file"]).name for one in place.lesveil("run")["clips"]] == ["MVI_0001.MP4"]
    assert place.stages()[0] == "lesveil approve"
    assert place.lesveil("approve", "MVI_0001.MP4", "--by", "A")


def test_whose_copy_is_gone_while_repairs_wait_is_told_to_need_its_card(
    place: Waiting, capsys: pytest.CaptureFixture[str]
) -> None:
    muted(place, "MVI_0001.MP4")
    with place.world.open() as opened:
        clip = find(opened, "MVI_0001.MP4").clip
        opened.vault.destroy(clip)
        with pytest.raises(RepairError, match="put its card in, then lesveil run"):
            repair(opened, clip, TODAY)
    assert main(["status", "-C", str(place.world.place), "--lang", "en"]) == 0
    assert "1 clip has no working copy any more (MVI_0001.MP4)" in capsys.readouterr().out


def test_what_only_the_card_still_holds_is_told_before_and_after_it_is_purged(place: Waiting) -> None:
    """By its term, though nobody approved it yet: not where it was delivered, and not where somebody let it go."""
    with (place.world.place / "lesveil.toml").open("a") as settings:
        settings.write("[retention]\nworking_copy_days = 0\n")
    place.lesveil("used", "MVI_0002", "--by", "Geertje")
    (one, other) = place.lesveil("status")["clips"]
    plan = place.lesveil("purge")
    assert {item["clip"] for item in plan["items"]} == {one["clip"], other["clip"]}
    assert plan["last"] == [one["clip"]]
    place.lesveil("purge", "--execute", plan["digest"])
    (one, _) = place.lesveil("status")["clips"]
    assert (one["waits_for"], one["said"]) == ("lesveil run", "its finished film is gone; waits for lesveil run")
    said = place.lesveil("approve", "MVI_0001", "--by", "A", code=55)
    assert "put its card in, then lesveil run makes it anew" in said
    place.lesveil("run", "--card", str(place.world.folder.parent / "in the drawer"))
    assert place.stages()[0] == "lesveil approve"


def test_a_run_that_was_cut_off_leaves_whose_lesson_it_is_to_the_next(
    place: Waiting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it copies or later; and who names nobody does not take the consent of that teacher for granted."""
    (staff := tmp_path / "staff.csv").write_text("Docentcode;Naam;Beeldcoaching;Gezichtsherkenning\nHUL;H;Ja;Nee\n")
    place.lesveil("consent", "import", str(staff), "--staff")
    (tmp_path / "in the drawer").rename(place.world.card)
    clips.make(place.world.card / "DCIM" / "100CANON" / "MVI_0003.MP4", size="160x96", frames=8)

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(copy, "list_copies", cut_off)
    place.lesveil("run", "--card", str(place.world.card), "--teacher", "HUL", code=INTERRUPTED)
    monkeypatch.undo()
    monkeypatch.setattr(copy, "candidates", list)
    place.world.card.rename(tmp_path / "in the drawer")
    place.lesveil("run")
    teachers = {Path(one["file"]).name: one["teacher"] for one in place.lesveil("status")["clips"]}
    assert teachers == {"MVI_0001.MP4": None, "MVI_0002.MP4": None, "MVI_0003.MP4": "HUL"}
