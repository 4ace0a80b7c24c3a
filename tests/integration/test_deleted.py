"""A clip that was deleted on purpose stays deleted, and its film on the card may be wiped; nothing else's may."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters import database
from pipeline.adapters.ledger import Entry
from pipeline.adapters.review_book import ReviewBook
from pipeline.cli import main
from pipeline.errors import ApprovalError, CardError, RepairError, WipeError
from pipeline.lesson import approve, plans, recall, retention
from pipeline.lesson import wipe as wiping
from pipeline.lesson.deleted import TERM, USED, Deleted, fate
from pipeline.lesson.desk import Desk
from pipeline.lesson.state import State, find, states
from pipeline.stages import ingest as stage
from pipeline.workspace import Workspace, lock
from tests.world import World, complete

NOW = date.today()
A, B = "DCIM/100CANON/A.MP4", "DCIM/100CANON/B.MP4"


@pytest.fixture
def world(tmp_path: Path) -> World:
    card, school = tmp_path / "card", tmp_path / "school"
    school.mkdir()
    (card / A).parent.mkdir(parents=True)
    (card / A).write_bytes(b"first lesson" * 999)
    (card / B).write_bytes(b"second lesson" * 999)
    made = World(school, card).create()
    made.copy()
    return made


def purged(place: Workspace, today: date = NOW) -> list[str]:
    """Show and carry out what is due; the kinds of what was deleted."""
    digest = plans.digest_of(retention.due(place, today))
    return [item["kind"] for item, what in retention.execute_purge(place, digest, today) if dict(what)["found"]]


def recalled(place: Workspace, name: str) -> None:
    """A clip in the archive that has served and shows somebody whose consent ended is deleted there."""
    state = find(place, name)
    retention.tick(place, name, "Geertje")
    assert state.delivered is not None
    row = {"person": "41207", "day": NOW.isoformat(), "renderings": [state.delivered.payload["sha256"]]}
    place.ledger.append("lapsed", state.clip, row)
    (item,) = recall.recall_plan(place, NOW)
    assert (item["action"], item["because"]) == ("delete", USED)
    recall.execute_recall(place, plans.digest_of([item]), NOW)


def names(states: list[State]) -> list[str]:
    return [state.file for state in states]


@pytest.mark.parametrize("purge", [False, True])
def test_what_a_recall_deleted_is_not_made_again_and_its_film_can_be_wiped(world: World, purge: bool) -> None:
    world.finish("A.MP4")
    with world.open() as place:
        recalled(place, "A.MP4")
        assert (find(place, "A.MP4").stage, find(place, "A.MP4").waits_for) == ("deleted", "lesveil wipe")
        if purge:
            assert purged(place) == ["working copy", "finished clip here"]
            assert retention.due(place, NOW) == []
    again = world.copy()
    assert names(again.deleted) == [A]
    assert again.deleted[0].deleted == Deleted(NOW.isoformat(), USED)
    assert [take.relative(take.path) for take, _ in again.clips] == [B]
    with world.open() as place:
        assert place.vault.has(find(place, "A.MP4").clip) is not purge
        plan = wiping.wipe_plan(place, NOW, wiping.Wanted(world.card))
        assert names(wiping.unkept(place, plan)) == [A]
    assert [item.path for item in plan.items if item.kind == "video"] == [A]
    assert [reason for _, reason in plan.refused] == ["it was not rendered"]
    world.wipe(plan.digest)
    assert list(world.on_card()) == [B]
    with world.open() as place:
        assert not place.vault.has(find(place, "A.MP4").clip)
        assert find(place, "A.MP4").stage == "wiped"


@pytest.mark.parametrize("what", ["appeared", "changed", "unreadable"])
def test_what_a_run_finds_beside_a_deleted_film_goes_with_it(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The wipe of its whole card stopped at it for ever, and sent to a run that left the clip alone."""
    note = (world.card / A).with_suffix(".XMP")
    if what == "changed":
        note.write_bytes(b"as it was")
        world.copy()
    world.finish()
    with world.open() as place:
        recalled(place, "A.MP4")
    note.write_bytes(b"as it is")
    with pytest.raises(WipeError, match=r"A\.XMP .* do lesveil run"):
        world.wipe(world.plan().digest)
    with monkeypatch.context() as patch:
        if what == "unreadable":
            hashed = stage.hashed

            def broken(path: Path) -> Any:
                if path == note.resolve():
                    raise CardError("{file} cannot be read.", file=path)
                return hashed(path)

            patch.setattr(stage, "hashed", broken)
        assert len(world.copy().unread) == (what == "unreadable")
    if what == "unreadable":
        assert "could not be read" in world.plan().refused[0][1]
        world.wipe(world.plan().digest)
        assert sorted(world.on_card()) == [A, A.replace("MP4", "XMP")], "the other one goes"
        world.copy()
    assert names(world.copy().deleted) == [A]
    world.wipe(world.plan().digest)
    assert world.on_card() == {}
    with world.open() as place:
        assert {state.stage for state in states(place)} == {"wiped"}
        assert place.vault.ids() == []


@pytest.mark.parametrize("name", ["A", "Q", "B"])
def test_a_deleted_film_that_was_wiped_and_put_back_is_wiped_again(world: World, name: str) -> None:
    """Under whatever name, be it one that another film had."""
    world.finish()
    with world.open() as place:
        recalled(place, "A.MP4")
    film = (world.card / A).read_bytes()
    world.wipe(world.plan().digest)
    back = world.card / A.replace("A.MP4", f"{name}.MP4")
    back.write_bytes(film)
    assert len(world.copy().deleted) == 1
    with world.open() as place:
        assert (find(place, "A.MP4").stage, find(place, "A.MP4").waits_for) == ("deleted", "lesveil wipe")
    world.wipe(world.plan().digest)
    assert world.on_card() == {}


def test_a_wipe_that_was_shown_while_the_archive_held_the_film_does_not_take_the_last_of_it(world: World) -> None:
    world.finish()
    shown, before = world.plan(), world.on_card()
    with world.open() as place:
        recalled(place, "A.MP4")
    with pytest.raises(WipeError, match="not the plan that was shown"):
        world.wipe(shown.digest)
    assert world.on_card() == before
    with world.open() as place:
        plan = wiping.wipe_plan(place, NOW, wiping.Wanted(world.card))
        assert plan.items == shown.items
        assert names(wiping.unkept(place, plan)) == [A]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.adapters.vault.Vault.destroy", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                wiping.execute_wipe(place, plan.digest, NOW, wiping.Wanted(world.card))
        begun = wiping.wipe_plan(place, NOW, wiping.Wanted(world.card))
        assert wiping.begun(place) == [begun]
        assert names(wiping.unkept(place, begun)) == [A]
    world.wipe(plan.digest)
    assert world.on_card() == {}


def test_what_has_served_before_it_was_delivered_stays_deleted(world: World) -> None:
    with world.open() as place:
        retention.tick(place, "A.MP4", "Geertje")
        assert purged(place) == ["working copy"]
    again = world.copy()
    assert names(again.deleted) == [A]
    with world.open() as place:
        assert retention.due(place, NOW) == [], "nothing was made again, so nothing is due"
        with pytest.raises(ApprovalError, match=r"A\.MP4 was deleted on 20.*--undo"):
            approve.judge(place, "A.MP4", "Geertje", True)


def test_a_copy_that_went_by_its_term_is_made_again_and_its_film_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.open() as place:
        later = NOW + timedelta(31)
        assert purged(place, later) == ["working copy", "working copy"]
    monkeypatch.setattr(database, "now", lambda: (datetime.now(UTC) + timedelta(31)).isoformat())
    monkeypatch.setattr(lock, "_refuse_set_back", lambda place: None)  # the clock of nothing else was put on
    assert world.plan().items == (), "nobody decided to delete it, and the card holds all there is of it"
    again = world.copy()
    assert (again.deleted, len(again.clips)) == ([], 2)
    with world.open() as place:
        assert retention.due(place, later + timedelta(29)) == [], "made again, it has its term anew"
        assert len(retention.due(place, later + timedelta(31))) == 2


def test_a_delivered_clip_that_went_by_its_term_is_deleted(world: World) -> None:
    (world.place / "lesveil.toml").write_text(
        (world.place / "lesveil.toml").read_text().replace("folder_is_the_archive = true", ""), encoding="utf-8"
    )
    world.finish("A.MP4")
    with world.open() as place:
        row = place.ledger.entries("delivery")[-1].payload
        place.ledger.append("delivery", find(place, "A.MP4").clip, row | {"is_archive": False})
        assert "delivered clip" in purged(place, NOW + timedelta(366))
        found = find(place, "A.MP4")
        assert found.deleted is not None
        assert found.deleted.because == TERM
        assert find(place, "B.MP4").deleted is None
    assert names(world.copy().deleted) == [A]
    with world.open() as place:
        retention.tick(place, "A.MP4", "Geertje", used=False)
    assert world.copy().deleted == []


def test_somebody_takes_it_back_and_it_is_made_and_approved_anew(world: World) -> None:
    world.finish("A.MP4")
    with world.open() as place:
        recalled(place, "A.MP4")
        purged(place)
        clip = find(place, "A.MP4").clip
        retention.tick(place, "A.MP4", "Geertje", used=False)
        assert find(place, "A.MP4").deleted is None
    assert world.plan().items == ()
    assert len(world.copy().clips) == 2
    with world.open() as place:
        state = find(place, "A.MP4")
        assert (place.vault.has(clip), state.approved, state.removed, state.to_deliver) == (True, None, None, False)
        complete(place, clip, state.ingest.payload["sha256"], world.archive)
        assert find(place, "A.MP4").stage == "delivered"


def test_what_still_lies_somewhere_keeps_its_film(world: World) -> None:
    world.finish("A.MP4")
    with world.open() as place:
        recalled(place, "A.MP4")
        row = place.ledger.entries("delivery")[-1].payload
        place.ledger.append(
            "delivery", find(place, "A.MP4").clip, row | {"where": "/elsewhere.mp4", "sha256": "0" * 64}
        )
    assert world.plan().items == ()
    assert names(world.copy().deleted) == [A], "but it is not made again"


def test_a_film_like_it_that_is_another_clip_too_is_not_left_out(world: World) -> None:
    with world.open() as place:
        retention.tick(place, "A.MP4", "Geertje")
        purged(place)
        row = next(row for row in place.ledger.entries("ingest") if row.payload["files"][0]["path"] == A)
        place.ledger.append("ingest", "f" * 16, row.payload | {"sha256": "f" * 64})
    assert world.copy().deleted == []


def test_a_second_card_with_the_same_film_makes_nothing_either(world: World, tmp_path: Path) -> None:
    with world.open() as place:
        retention.tick(place, "A.MP4", "Geertje")
        purged(place)
    other = tmp_path / "other"
    (other / B).parent.mkdir(parents=True)
    (other / B).write_bytes((world.card / A).read_bytes())
    second = World(world.folder, other)
    assert names(second.copy().deleted) == [A]
    assert second.plan().items == (), "it was never read from that card"


def entry(seq: int, kind: str, **payload: Any) -> Entry:
    return Entry(seq, f"2026-11-2{seq}T10:00:00+00:00", kind, "c", payload, "", "")


def item(kind: str = "working copy", because: str = USED, since: str = "2026-11-21", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "because": because, "since": since, **more}


def test_a_row_that_did_nothing_decides_nothing() -> None:
    ticked, undone = entry(1, "used", used=True), entry(2, "used", used=False)
    done = entry(3, "purge_done", item=item(), found=False)
    assert fate([ticked, done]).deleted == Deleted("2026-11-23", USED), "a crash came between deleting and telling"
    assert fate([ticked, undone, done]) == fate([])
    again = entry(3, "used", used=True)
    assert fate([ticked, undone, again, entry(4, "purge_done", item=item(), found=False)]).deleted is None
    sent = entry(1, "delivery", where="/a")
    over = entry(3, "purge_done", item=item("delivered clip", TERM, "2026-11-20", where="/a"), found=False)
    assert fate([sent, over]).deleted is None, "it lies there still"
    assert fate([sent, entry(2, "delivery_removed", where="/a"), over]).deleted == Deleted("2026-11-23", TERM)
    assert fate([sent, entry(2, "delivery_removed", where="/a")]).deleted is None, "taken away, not deleted"
    assert fate([entry(3, "purge_done", item=item(because=TERM))]).deleted is None


def test_run_and_status_name_it(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    def lesveil(*words: str, code: int = 0) -> str:
        assert main([*words, "-C", str(world.place), "--lang", "en"]) == code
        return capsys.readouterr().out

    (world.card / B).unlink()
    with world.open() as place:
        retention.tick(place, "A.MP4", "Geertje")
        purged(place)
        place.vault.destroy(find(place, "B.MP4").clip)  # else it would be done from its copy, card or not
        id = find(place, "A.MP4").clip[:8]
    said = lesveil("run", "--card", str(world.card))
    assert f"A.MP4 was deleted on {NOW}, because it was given up, and is left alone" in said
    assert f"lesveil used {id} --undo" in said
    document = json.loads(lesveil("run", "--card", str(world.card), "--json"))
    assert [(one["file"], one["deleted"]["on"]) for one in document["deleted"]] == [(A, NOW.isoformat())]
    assert document["clips"] == document["failed"] == document["left_on_card"] == []
    assert json.loads(lesveil("run", "--unattended", "--card", str(world.card)))["deleted"][0]["file"] == A
    (line,) = [line for line in lesveil("status").splitlines() if "A.MP4" in line]
    assert "deleted" in line
    assert "because it was given up" in line
    wiped = lesveil("wipe", "--card", str(world.card))
    assert f"Of {A} nothing is kept anywhere: it was deleted on {NOW}, because it was given up." in wiped


def test_who_takes_back_what_was_deleted_and_wiped_is_told_that_nothing_is_left(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(world.card, tmp_path / "another")
    with world.open() as place:
        retention.tick(place, "A.MP4", "Geertje")
        purged(place)
        clip = find(place, "A.MP4").clip
    undo = ["used", "A.MP4", "--by", "Geertje", "--undo", "-C", str(world.place), "--lang", "en"]
    world.wipe(world.plan().digest)
    assert main(undo) == 0
    left = "Nothing of A.MP4 is left, neither here nor on its card; if its film lies on another card: put that in"
    assert left in capsys.readouterr().out
    with world.open() as place, pytest.raises(ApprovalError, match=left):
        approve.judge(place, "A.MP4", "Geertje", True)
    assert len(World(world.folder, tmp_path / "another").copy().clips) == 2, "and there it is"
    with world.open() as place:
        assert place.vault.has(clip)
    with world.open() as place, pytest.raises(ApprovalError, match="no rendering yet; run lesveil run first"):
        approve.judge(place, "A.MP4", "Geertje", True)
    assert main(undo) == 0
    assert "Nothing of" not in capsys.readouterr().out


def test_a_clip_of_which_nothing_is_left_waits_for_nothing_and_is_closed_again(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was hidden anew where it lay, so what is gone is a rendering that once waited for approval."""
    world.finish("A.MP4")
    world.wipe(world.plan().digest)
    with world.open() as place:
        state = find(place, "A.MP4")
        assert state.render is not None
        made = {**state.render, "released": state.render["sha256"]}
        place.ledger.record("render", state.ingest.payload["sha256"], "recall", state.clip, made)
        retention.tick(place, "A.MP4", "Geertje")
        purged(place)

    def line(*more: str) -> str:
        assert main(["used", "A.MP4", "--by", "Geertje", *more, "-C", str(world.place), "--lang", "en"]) == 0
        capsys.readouterr()
        assert main(["status", "-C", str(world.place), "--lang", "en"]) == 0
        return next(one for one in capsys.readouterr().out.splitlines() if "A.MP4" in one)

    undone = line("--undo")
    assert "nothing of it is left" in undone
    assert "approve" not in undone
    with world.open() as place, ReviewBook.open(world.place / "review.db") as book:
        desk = Desk(place, book)
        row = next(one for one in desk.clips() if one.name == "A.MP4")
        assert (row.stage, row.digest) == ("wiped", None)
        with pytest.raises(RepairError):
            desk.row(row.id)
    assert line().rstrip().endswith("wiped")
    with world.open() as place:
        assert find(place, "A.MP4").deleted == Deleted(NOW.isoformat(), USED)


def test_who_takes_back_that_it_is_needed_after_all_deletes_it_again() -> None:
    told = [entry(1, "used", used=True), entry(2, "purge_done", item=item(since="2026-11-21"))]
    undone, again = entry(3, "used", used=False), entry(5, "used", used=True)
    assert fate([*told, undone]).deleted is None
    assert fate([*told, undone, again]).deleted == Deleted("2026-11-22", USED)
    for kind in ("ingest", "receipt", "approval", "delivery"):
        assert fate([*told, undone, entry(4, kind, where="/a"), again]).deleted is None, "a purge shows what goes"


def test_a_deleted_film_on_a_card_that_is_not_known_is_said_to_be_deleted_there(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wipe knows only cards from which it was copied."""
    world.finish("A.MP4")
    with world.open() as place:
        state = find(place, "A.MP4")
        retention.tick(place, "A.MP4", "Geertje")
        item = {"kind": "delivered clip", "clip": state.clip, "because": TERM, "where": "x", "since": ""}
        place.ledger.append("purge_done", state.clip, {"digest": "d", "item": item, "found": True})
    other = World(world.folder, tmp_path / "andere kaart")
    shutil.copytree(world.card, other.card)
    for card, words in ((world.card, "To wipe it from the card: lesveil wipe"), (other.card, "delete it there in the")):
        capsys.readouterr()
        main(["run", "--card", str(card), "--any-card", "--quiet", "-C", str(world.place), "--lang", "en"])
        assert words in capsys.readouterr().out
