"""What leaves is asked for at the moment at which it leaves, and what may lie in the archive is never forgotten."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline import workspace
from pipeline.adapters import files
from pipeline.adapters.review_book import ReviewBook
from pipeline.cli import main
from pipeline.errors import ApprovalError, DeliveryError, LesveilError, RepairError, WipeError
from pipeline.lesson import deliver as delivering
from pipeline.lesson import retention, shown
from pipeline.lesson import wipe as wiping
from pipeline.lesson.approve import judge
from pipeline.lesson.audit import audit
from pipeline.lesson.deliver import Arrived
from pipeline.lesson.desk import Desk
from pipeline.lesson.folder_target import FolderTarget
from pipeline.lesson.lost import execute_lost, lost_plan, nowhere_else
from pipeline.lesson.plans import Item, digest_of
from pipeline.lesson.recall import execute_recall, recall_plan
from pipeline.lesson.state import find, states
from pipeline.stages import wipe as wipes
from pipeline.stages.rehide import Face
from pipeline.views import Role
from tests.faces import ANN
from tests.faults import school
from tests.faults.school import TODAY
from tests.integration.test_withdraw import bring, person
from tests.world import World

SHOWN_SECOND = shown.Shown(
    hashlib.sha256(school.film(9)).hexdigest(), 1, (Face("41207", False, 0, np.ones((1, 4), np.float32)),)
)


class Place:
    """A workspace with two approved clips, and the folder into which they are delivered."""

    def __init__(self, folder: Path) -> None:
        self.made = school.make(folder / "werkmap", clips=2)
        self.archive = folder / "archief"
        self.archive.mkdir()
        self.settle(self.archive)

    def settle(self, archive: Path, more: str = "") -> None:
        text = f"[deliver]\ntarget = 'folder'\nfolder = {json.dumps(str(archive))}\n{more}"
        (self.made.folder / "lesveil.toml").write_text(text, encoding="utf-8")

    def opened(self) -> Any:
        return workspace.opened(self.made.folder)

    def clips(self) -> list[str]:
        with self.opened() as place:
            return [state.clip for state in states(place)]

    def deliver(self, progress: Any = lambda *_: None) -> list[Any]:
        with self.opened() as place:
            return [what for _, what in delivering.deliver(place, TODAY, progress=progress)]

    def lies(self) -> list[Path]:
        return sorted(self.archive.rglob("*.mp4"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def hides(place: workspace.Workspace, clip: str) -> str:
    """Somebody is hidden by hand, and no rendering has it yet."""
    row = {"id": uuid.uuid4().hex, "analysis": "a", "kind": "hide", "start": 0, "stop": 9, "track": 1}
    place.ledger.append("repair", clip, row | {"by": "Geertje", "role": "coach"})
    return str(row["id"])


# --- asked at the last moment -----------------------------------------------------------------------------------------


def test_a_clip_leaves_only_when_its_repairs_are_rendered(place: Place) -> None:
    first, second = place.clips()
    with place.opened() as opened:
        id = hides(opened, first)
    refused, arrived = place.deliver()
    assert isinstance(refused, DeliveryError)
    assert "lesveil repairs" in str(refused)
    assert isinstance(arrived, Arrived)
    assert len(place.lies()) == 1
    with place.opened() as opened:
        assert find(opened, first).stage == "approved"
        assert find(opened, first).waits_for == "lesveil repairs", "status says what deliver says"
        assert find(opened, second).stage == "delivered"
        hides(opened, second)
        assert find(opened, second).waits_for == "lesveil repairs", "and what wipe would say"
        opened.ledger.append("repair_undone", first, {"id": id, "by": "Geertje"})
    (arrived,) = place.deliver()
    assert isinstance(arrived, Arrived)


def test_a_rejection_while_another_clip_is_on_its_way_is_heeded(place: Place) -> None:
    _, second = place.clips()

    def rejected(*_: object) -> None:
        with place.opened() as opened:
            if find(opened, second).rejected is None:
                judge(opened, second, "Rector", False)

    arrived, refused = place.deliver(rejected)
    assert isinstance(arrived, Arrived)
    assert isinstance(refused, DeliveryError)
    assert "not approved any more" in str(refused)
    assert len(place.lies()) == 1


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "card/DCIM/100CANON").mkdir(parents=True)
    for name in "AB":
        (tmp_path / f"card/DCIM/100CANON/{name}.MP4").write_bytes(name.encode() * 999)
    world = World(tmp_path, tmp_path / "card").create()
    world.copy()
    world.finish()
    return world


def test_a_clip_whose_repairs_wait_is_not_wiped(world: World) -> None:
    before = world.plan()
    with world.open() as place:
        hides(place, find(place, "A.MP4").clip)
    plan = world.plan()
    assert {Path(item.path).name for item in plan.items if item.kind == "video"} == {"B.MP4"}
    ((_, reason),) = plan.refused
    assert "lesveil repairs" in reason
    with pytest.raises(WipeError, match="not the plan that was shown"):
        world.wipe(before.digest)


def test_a_repair_that_comes_while_the_archive_is_asked_stops_the_wipe(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, there = [], wiping.still_there

    def slowly(place: workspace.Workspace, payload: dict[str, Any]) -> bool:
        if not asked:
            asked.append(hides(place, find(place, "A.MP4").clip))
        return there(place, payload)

    monkeypatch.setattr(wiping, "still_there", slowly)
    before = world.on_card()
    with pytest.raises(WipeError, match="not rendered yet"):
        world.wipe(world.plan().digest)
    assert asked
    assert world.on_card() == before
    with world.open() as place:
        assert len(place.vault.ids()) == 2


def test_whose_consent_ends_while_earlier_films_leave_does_not_leave(place: Place) -> None:
    """The command began on the day before, and is at work still."""
    with place.opened() as opened:
        bring(opened, TODAY, person("HUL", end=TODAY + timedelta(1)))
        for clip in place.clips():
            opened.ledger.append("teacher", clip, {"person": "HUL", "ground": "g"})
    assert ["may not be shown any more" in str(one) for one in place.deliver()] == [True, True]
    assert place.lies() == []


@pytest.mark.parametrize("moment", ["recheck", wipes.BEGIN])
@pytest.mark.parametrize("how", ["repair", "rejection", "withdrawal"])
def test_what_comes_while_the_card_is_read_stops_the_wipe(
    world: World, monkeypatch: pytest.MonkeyPatch, moment: str, how: str
) -> None:
    before, digest, said = world.on_card(), world.plan().digest, []

    def say(place: workspace.Workspace) -> None:
        if not said:
            said.append(how)
            clip = find(place, "A.MP4").clip
            if how == "withdrawal":  # they are shown, and no consent of theirs is in force
                place.ledger.append("teacher", clip, {"person": "777", "ground": "g"})
            else:
                hides(place, clip) if how == "repair" else judge(place, clip, "Rector", False)

    with world.open() as place:
        append = place.ledger.append

        def appends(kind: str, clip: str | None, payload: dict[str, Any]) -> int:
            if kind == moment:
                say(place)
            return append(kind, clip, payload)

        monkeypatch.setattr(place.ledger, "append", appends)
        wanted = wiping.Wanted(world.card)
        with pytest.raises(WipeError, match="nothing was wiped"):
            wiping.execute_wipe(place, digest, TODAY, wanted, "", lambda stage, *_: stage == moment and say(place))
    assert said
    assert world.on_card() == before
    with world.open() as place:
        assert len(place.vault.ids()) == 2
        assert wipes.unfinished(place.ledger) is None, "what stopped it can be mended"
        assert not wipes.going(place.ledger, find(place, "A.MP4").clip)
        if how == "rejection":
            judge(place, find(place, "A.MP4").clip, "Rector", True, despite_rejection=True)
            monkeypatch.undo()
            digest = wiping.wipe_plan(place, TODAY, wanted).digest
            wiping.execute_wipe(place, digest, TODAY, wanted, "")
            assert world.on_card() == {}


def test_the_archive_is_asked_again_when_the_card_was_read(world: World) -> None:
    before, digest = world.on_card(), world.plan().digest
    film = next(world.archive.glob("*.mp4"))

    def taken(stage: str, *_: int) -> None:
        if stage == "recheck" and film.exists():
            film.rename(world.folder / "taken.mp4")

    with world.open() as place, pytest.raises(WipeError, match="no longer what was delivered"):
        wiping.execute_wipe(place, digest, TODAY, wiping.Wanted(world.card), "", taken)
    assert world.on_card() == before
    with world.open() as place:
        assert wipes.unfinished(place.ledger) is None


def _die_wiping(place: workspace.Workspace, world: World, digest: str) -> None:
    """The process ends when the wipe has begun and nothing is overwritten yet."""
    append = place.ledger.append

    def dies(kind: str, clip: str | None, payload: dict[str, Any]) -> int:
        if kind == wipes.INTENT:
            raise KeyboardInterrupt
        return append(kind, clip, payload)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place.ledger, "append", dies)
        with pytest.raises(KeyboardInterrupt):
            wiping.execute_wipe(place, digest, TODAY, wiping.Wanted(world.card), "")


def test_what_was_taken_out_of_the_archive_keeps_its_film(world: World) -> None:
    """Also where a wipe had begun while it was there still."""
    digest, before = world.plan().digest, world.on_card()
    with world.open() as place:
        _die_wiping(place, world, digest)
        assert wipes.unfinished(place.ledger) is not None
        delivering.remove_all(place, find(place, "A.MP4").clip)
    with pytest.raises(WipeError, match="does not lie in the archive any more"):
        world.wipe(digest)
    assert world.on_card() == before


@pytest.mark.parametrize("begun", [False, True])
def test_a_wipe_rests_on_no_disk_that_is_lost(world: World, begun: bool) -> None:
    digest, before, thief = world.plan().digest, world.on_card(), world.folder / "thief"
    with world.open() as place:
        if begun:
            _die_wiping(place, world, digest)
        world.archive.rename(thief)
        execute_lost(place, world.archive, "Geertje", digest_of(lost_plan(place, world.archive)))
        (world.folder / "new").mkdir()
        world.settle(world.folder / "new")
    with pytest.raises(WipeError, match=r"not lie in the archive any more|not the plan that was shown"):
        world.wipe(digest)
    if not begun:
        assert {reason for _, reason in world.plan().refused} == {"it is not delivered yet, or was taken away again"}
    assert world.on_card() == before
    with world.open() as place:
        assert {state.waits_for for state in states(place)} == {"lesveil deliver"}
        assert {type(what) for _, what in delivering.deliver(place, TODAY)} == {Arrived}
    world.wipe(digest if begun else world.plan().digest)
    assert world.on_card() == {}, "the new one is what counts"


def test_what_is_wiped_and_lay_on_a_lost_disk_is_to_be_brought_again(world: World) -> None:
    """What is here of it goes by its term, and is all that there is."""
    world.wipe(world.plan().digest)
    world.archive.rename(world.folder / "thief")
    with world.open() as place:
        assert {(state.stage, state.waits_for) for state in states(place)} == {("wiped", "")}
        (place.finished / f"{find(place, 'B.MP4').clip}.mp4").unlink()
        plan = lost_plan(place, world.archive)
        assert [state.file for state in nowhere_else(place, plan)] == [find(place, "B.MP4").file]
        execute_lost(place, world.archive, "Geertje", digest_of(plan))
        first, second = find(place, "A.MP4"), find(place, "B.MP4")
        assert (first.stage, first.waits_for) == ("approved", "lesveil deliver")
        assert (second.stage, second.waits_for, second.nothing_left) == ("wiped", "", True)
        (world.folder / "new").mkdir()
        world.settle(world.folder / "new")
    with world.open() as place:
        ((brought, what),) = delivering.deliver(place, TODAY)  # and of the other nothing is left to fail
        assert (brought.clip, type(what)) == (first.clip, Arrived)
        assert {(state.stage, state.waits_for) for state in states(place)} == {("wiped", "")}


def test_a_working_copy_stays_where_nothing_else_is_left_since(world: World) -> None:
    """The wipe had taken the films from the card, and was cut off before the copies went."""
    digest = world.plan().digest
    with world.open() as place:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.adapters.vault.Vault.destroy", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                wiping.execute_wipe(place, digest, TODAY, wiping.Wanted(world.card))
        copies = set(place.vault.ids())
        assert find(place, "A.MP4").wiped
        delivering.remove_all(place, find(place, "A.MP4").clip)
    assert world.on_card() == {}
    with pytest.raises(WipeError, match="does not lie in the archive any more"):
        world.wipe(digest)
    with world.open() as place:
        assert copies <= set(place.vault.ids())
        judge(place, find(place, "A.MP4").clip, "Rector", True)
        assert [type(what) for _, what in delivering.deliver(place, TODAY)] == [Arrived]
    world.wipe(digest)
    with world.open() as place:
        assert not copies & set(place.vault.ids())


def test_nothing_is_repaired_once_a_wipe_has_begun(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever would repair is told at once, not that it was taken; also when it begins just then."""
    digest, told = world.plan().digest, []
    with world.open() as place, ReviewBook.open(world.folder / "review.db") as book:
        append, clip = place.ledger.append, find(place, "A.MP4").clip
        desk = Desk(place, book)
        monkeypatch.setattr(desk, "_both", lambda id: (find(place, clip), SimpleNamespace(analysis="x")))
        monkeypatch.setattr(desk, "_checked", lambda state, found, asked, role, first: asked)

        def appends(kind: str, clip: str | None, payload: dict[str, Any]) -> int:
            done = append(kind, clip, payload)
            if kind == wipes.INTENT and not told:
                with pytest.raises(RepairError, match="being wiped") as refused:
                    desk.add("A.MP4", {"id": "e" * 32, "kind": "hide"}, "Geertje", Role.REVIEWER)
                told.append(str(refused.value))
            return done

        monkeypatch.setattr(place.ledger, "append", appends)
        wiping.execute_wipe(place, digest, TODAY, wiping.Wanted(world.card), "")
        assert told
        assert place.ledger.entries("repair") == []
        assert world.on_card() == {}


# --- killed on the way ------------------------------------------------------------------------------------------------


def killed(place: Place, monkeypatch: pytest.MonkeyPatch, at: str = "delivery") -> str:
    """The first clip is on its way as the program is killed: before this row, or before the film has its name."""
    first = place.clips()[0]
    with place.opened() as opened, monkeypatch.context() as patch:
        append = opened.ledger.append

        def dies(kind: str, clip: str | None, payload: dict[str, Any]) -> int:
            if kind == at:
                raise KeyboardInterrupt
            return append(kind, clip, payload)

        def unnamed(partial: Path, final: Path) -> None:
            raise KeyboardInterrupt

        patch.setattr(opened.ledger, "append", dies)
        if at == "publish":
            patch.setattr(files, "publish", unnamed)
            patch.setattr(files, "remove", lambda path: None)
        with pytest.raises(KeyboardInterrupt):
            delivering.deliver(opened, TODAY, clips=[first])
    return first


def withdrawn(place: Place, clip: str) -> None:
    with place.opened() as opened:
        row = {"person": "41207", "day": "2026-11-25", "renderings": [find(opened, clip).render["sha256"]]}  # type: ignore[index]
        opened.ledger.append("lapsed", clip, row)


def test_the_ledger_knows_of_a_film_before_its_first_byte(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = killed(place, monkeypatch)
    (film,) = place.lies()
    with place.opened() as opened:
        state = find(opened, clip)
        assert (state.stage, state.standing) == ("approved", (str(film),))
    withdrawn(place, clip)
    with place.opened() as opened:
        assert find(opened, clip).waits_for == "lesveil recall"
        (item,) = recall_plan(opened, TODAY)
        assert (item["clip"], item["where"]) == (clip, [str(film)])
        (there,) = delivering.settle(opened, clip)
        assert there.where == str(film)
        state = find(opened, clip)
        assert state.stage == "delivered"
        assert state.to_recall, "what it was marked for before that was known still counts"


def test_the_next_delivery_settles_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = killed(place, monkeypatch)
    (film,) = place.lies()
    settled, other = place.deliver()
    assert settled == Arrived(str(film))
    assert isinstance(other, Arrived)
    with place.opened() as opened:
        assert find(opened, clip).stage == "delivered"
        assert delivering.settle(opened, clip) == []


def test_also_where_it_would_go_elsewhere_now(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = killed(place, monkeypatch)
    (film,) = place.lies()
    place.settle(place.archive, 'layout = "elders/{id}"\n')
    place.deliver()
    with place.opened() as opened:
        assert find(opened, clip).standing == (str(film),)


def test_a_recall_of_what_never_came_is_no_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = killed(place, monkeypatch, "publish")
    assert place.lies() == []
    assert list(place.archive.iterdir()), "half a film"
    withdrawn(place, clip)
    with place.opened() as opened:
        plan = recall_plan(opened, TODAY)
        ((_, done),) = execute_recall(opened, digest_of(plan), TODAY)
        assert isinstance(done, dict)
        assert done["outcome"] == "no longer needed"
        assert recall_plan(opened, TODAY) == []
        assert find(opened, clip).waits_for == "lesveil run"
    assert not [path for path in place.archive.rglob("*") if path.is_file()], "nor is half of it left"


@pytest.mark.skipif(os.name == "nt", reason="a name is never reserved there")
def test_a_name_that_was_reserved_is_no_film(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT and exFAT know no hard links: an empty file holds the name until the film gets it."""
    clip = place.clips()[0]

    def no_links(source: Path, to: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    def cut_off(source: Path, to: Path) -> None:
        raise KeyboardInterrupt

    with place.opened() as opened, monkeypatch.context() as patch:
        patch.setattr(os, "link", no_links)
        patch.setattr(os, "replace", cut_off)
        with pytest.raises(KeyboardInterrupt):
            delivering.deliver(opened, TODAY, clips=[clip])
    (empty,) = place.lies()
    assert empty.stat().st_size == 0
    arrived, other = place.deliver()
    assert arrived == Arrived(str(empty))
    assert isinstance(other, Arrived)


def test_an_archive_that_is_not_there_leaves_it_open(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = killed(place, monkeypatch)
    withdrawn(place, clip)
    place.archive.rename(place.archive.with_name("los"))
    with place.opened() as opened:
        plan = recall_plan(opened, TODAY)
        ((_, done),) = execute_recall(opened, digest_of(plan), TODAY)
        assert isinstance(done, DeliveryError)
        assert find(opened, clip).to_recall


@pytest.mark.parametrize("holds", [(), ("anything.txt",)])
def test_what_has_the_archives_place_settles_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, holds: tuple[str, ...]
) -> None:
    """A disk that is not in leaves an empty folder, or another one has its place."""
    clip = killed(place, monkeypatch)
    withdrawn(place, clip)
    away = place.archive.rename(place.archive.with_name("los"))
    place.archive.mkdir()
    for name in holds:
        (place.archive / name).write_bytes(b"x")
    with place.opened() as opened:
        ((_, done),) = execute_recall(opened, digest_of(recall_plan(opened, TODAY)), TODAY)
        assert isinstance(done, DeliveryError)
        assert "is not the folder into which it went" in str(done)
        assert find(opened, clip).to_recall
        assert len(lost_plan(opened, place.archive)) == 1, "as it says"
    for path in (*place.archive.iterdir(), place.archive):
        path.unlink() if path.is_file() else path.rmdir()
    away.rename(place.archive)
    with place.opened() as opened:
        assert [there.where for there in delivering.settle(opened, clip)] == [str(place.lies()[0])]


def test_what_has_served_goes_though_nobody_heard_that_it_came(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = killed(place, monkeypatch)
    with place.opened() as opened:
        retention.tick(opened, clip, "Geertje")
        plan = retention.due(opened, TODAY)
        assert retention.DELIVERED in {item["kind"] for item in plan}
        retention.execute_purge(opened, digest_of(plan), TODAY)
        assert find(opened, clip).standing == ()
    assert place.lies() == []


def audited(place: Place) -> list[tuple[str, str]]:
    with place.opened() as opened:
        return [(line.verdict, line.where) for line in audit(opened)]


def test_an_audit_looks_what_became_of_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = killed(place, monkeypatch)
    (film,) = place.lies()
    assert audited(place) == [("as delivered", str(film))]
    with place.opened() as opened:
        assert find(opened, clip).stage == "delivered"


def test_an_audit_tells_what_cannot_be_known(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(place, monkeypatch)
    (film,) = place.lies()
    elsewhere = film.rename(film.with_name("elders.mp4"))
    assert audited(place) == [("missing", str(film)), ("unknown", str(elsewhere))]


@pytest.mark.parametrize("at", ["delivery", "delivery_removed"])
def test_what_it_took_the_place_of_lies_nowhere_any_more(
    place: Place, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """The folder was brought elsewhere, disk and all, so the old film's place is another one than the new one's."""
    clip = place.clips()[0]
    place.deliver()
    with place.opened() as opened:
        school.approve(opened, clip, school.film(9), "second")
    place.archive = place.archive.rename(place.archive.with_name("nieuwe schijf"))
    place.settle(place.archive)
    assert killed(place, monkeypatch, at) == clip
    place.deliver()
    with place.opened() as opened:
        state = find(opened, clip)
        assert state.stage == "delivered"
        assert len(state.standing) == 1
    assert {verdict for verdict, _ in audited(place)} == {"as delivered"}
    assert len(audited(place)) == 2


def test_what_came_late_at_another_target_does_not_count_before_the_newest(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The target was changed in between; what was cut off there is found, and taken away, after the newest arrived."""
    clip = killed(place, monkeypatch)
    with place.opened() as opened:
        (sent,) = opened.ledger.entries("delivery_sending", clip)
        school.approve(opened, clip, school.film(9), "second")
        shown.keep(opened.vault, clip, SHOWN_SECOND)
    (film,) = place.lies()
    elsewhere = place.archive.with_name("elders")
    elsewhere.mkdir()
    place.settle(elsewhere)

    class Other(FolderTarget):
        kind = "another"

        def put(self, *of: Any) -> Any:
            return replace(super().put(*of), target=self.kind)

    def reached(opened: Any, kind: str = "") -> FolderTarget:
        return FolderTarget(place.archive, False) if kind == "folder" else Other(elsewhere, False)

    monkeypatch.setattr(delivering, "open_target", reached)
    (arrived, *_) = place.deliver()
    assert isinstance(arrived, Arrived)
    assert not film.exists()
    with place.opened() as opened:
        assert sent.payload["target"] == "folder"
        state = find(opened, clip)
        assert state.stage == "delivered"
        assert state.standing == (arrived.where,)
        assert shown.load(opened.vault, clip, SHOWN_SECOND.sha256) is not None
        film.write_bytes(school.film(1))
        opened.ledger.append("delivery", clip, sent.payload | {"is_archive": False})
        gone = delivering.remove_clip(opened, clip)
        assert [one.where for one in gone] == [arrived.where, str(film)]
        assert find(opened, clip).stage == "removed", "and what was taken away on purpose is not brought again"


# --- a new occurrence is a new plan -----------------------------------------------------------------------------------


def made_again(place: Place, clip: str) -> None:
    """The clip is needed after all, and is made and approved just as it was."""
    with place.opened() as opened:
        retention.tick(opened, clip, "Geertje", used=False)
        school.approve(opened, clip, school.film(1), "first")


def test_the_second_recall_of_the_same_film_is_carried_out(place: Place) -> None:
    clip = place.clips()[0]
    digests = set()
    for again in (False, True):
        if again:
            made_again(place, clip)
        place.deliver()
        assert len(place.lies()) == 2
        withdrawn(place, clip)
        with place.opened() as opened:
            retention.tick(opened, clip, "Geertje")
            plan = recall_plan(opened, TODAY)
            digests.add(digest_of(plan))
            ((_, done),) = execute_recall(opened, digest_of(plan), TODAY)
            assert isinstance(done, dict)
            assert done["outcome"] == "deleted"
            assert execute_recall(opened, digest_of(plan), TODAY) == [], "a plan works once"
        assert len(place.lies()) == 1
    assert len(digests) == 2


def test_the_second_purge_of_the_same_film_is_carried_out(place: Place) -> None:
    clip = place.clips()[0]
    for again in (False, True):
        if again:
            made_again(place, clip)
        with place.opened() as opened:
            retention.tick(opened, clip, "Geertje")
            plan = retention.due(opened, TODAY)
            assert [item["kind"] for item in plan] == [retention.RENDERING]
            ((item, done),) = retention.execute_purge(opened, digest_of(plan), TODAY)
            assert done == {"found": True}
            assert not (opened.finished / item["rendering"]).exists()


def test_the_second_purge_of_the_same_templates_is_carried_out(place: Place) -> None:
    old = replace(ANN, taken=TODAY - timedelta(999))
    with place.opened() as opened:
        for _ in range(2):
            workspace.save_templates(opened, [old])
            opened.ledger.append("enrolment", None, {"people": [old.id]})
            plan = retention.due(opened, TODAY)
            assert [item["kind"] for item in plan] == [retention.TEMPLATE]
            ((_, done),) = retention.execute_purge(opened, digest_of(plan), TODAY)
            assert done == {"found": True}
            assert workspace.load_templates(opened) == []


def test_a_plan_that_an_older_version_began_is_finished(place: Place) -> None:
    clip = place.clips()[0]
    with place.opened() as opened:
        retention.tick(opened, clip, "Geertje")
        items = [{name: said for name, said in one.items() if name != "row"} for one in retention.due(opened, TODAY)]
        opened.ledger.append("purge_begun", None, {"digest": digest_of(items), "items": items})
        ((_, done),) = retention.execute_purge(opened, digest_of(items), TODAY)
        assert done == {"found": True}


# --- a mistake of our own in one item ---------------------------------------------------------------------------------


def breaks_at(monkeypatch: pytest.MonkeyPatch, name: str, clip: str) -> None:
    """This function of delivering fails at this clip in a way that nobody foresaw."""
    as_before = getattr(delivering, name)

    def broken(opened: Any, which: Any, *more: Any, **named: Any) -> Any:
        if clip in (which, getattr(which, "clip", "")):
            raise ZeroDivisionError("nobody foresaw it")
        return as_before(opened, which, *more, **named)

    monkeypatch.setattr(delivering, name, broken)


def test_a_mistake_in_one_recall_leaves_the_others_to_be_done(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = place.clips()
    place.deliver()
    for clip in (first, second):
        withdrawn(place, clip)
        with place.opened() as opened:
            retention.tick(opened, clip, "Geertje")
    breaks_at(monkeypatch, "remove_delivered", first)
    with place.opened() as opened:
        plan = recall_plan(opened, TODAY)
        (_, bad), (_, done) = execute_recall(opened, digest_of(plan), TODAY)
        assert isinstance(bad, LesveilError)
        assert "ZeroDivisionError" in str(bad)
        assert isinstance(done, dict)
        assert [item["clip"] for item in recall_plan(opened, TODAY)] == [first], "the plan says what is left to do"


@pytest.mark.parametrize("name", ["settle", "keep_for_delivery"])
def test_a_mistake_in_one_delivery_leaves_the_others_to_be_done(
    place: Place, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    first = killed(place, monkeypatch)
    if name == "settle":
        breaks_at(monkeypatch, name, first)
    else:
        place.deliver()
        first, second = place.clips()
        with place.opened() as opened:
            for n, clip in enumerate((first, second)):
                school.approve(opened, clip, school.film(10 + n), "second")

        def broken(_: Any, state: Any) -> None:
            if state.clip == first:
                raise ZeroDivisionError("nobody foresaw it")

        monkeypatch.setattr(delivering.shown, name, broken)
    bad, arrived = place.deliver()
    assert isinstance(bad, LesveilError)
    assert "ZeroDivisionError" in str(bad)
    assert isinstance(arrived, Arrived)
    with place.opened() as opened:
        assert find(opened, first).to_deliver, "and is tried again the next time"


def to_be_deleted(place: Place) -> tuple[str, list[Item]]:
    """A clip that was delivered, shows somebody who withdrew, and has served; and the recall that would delete it."""
    clip = place.clips()[0]
    place.deliver()
    withdrawn(place, clip)
    with place.opened() as opened:
        retention.tick(opened, clip, "Geertje")
        return clip, recall_plan(opened, TODAY)


def test_a_recall_that_was_begun_deletes_nothing_that_came_since(place: Place) -> None:
    clip, plan = to_be_deleted(place)
    with place.opened() as opened:
        place.archive.rename(place.archive.with_name("los"))
        ((_, done),) = execute_recall(opened, digest_of(plan), TODAY)
        assert isinstance(done, DeliveryError)
        place.archive.with_name("los").rename(place.archive)
        retention.tick(opened, clip, "Geertje", used=False)
        school.approve(opened, clip, school.film(9), "second")
    place.deliver()
    before = place.lies()
    with place.opened() as opened:
        assert recall_plan(opened, TODAY) == [], "it shows nobody who may not be shown"
        ((_, done),) = execute_recall(opened, digest_of(plan), TODAY)
        assert isinstance(done, dict)
        assert done["outcome"] == "no longer needed"
        state = find(opened, clip)
        assert (state.stage, state.deleted) == ("delivered", None)
    assert place.lies() == before


def test_who_approves_is_always_told_what_to_do_first(place: Place) -> None:
    clip, other = place.clips()
    place.deliver()
    with place.opened() as opened:
        delivering.remove_clip(opened, clip)
        for one in (clip, other):
            hides(opened, one)
            with pytest.raises(ApprovalError, match="or do lesveil repairs"):
                judge(opened, one, "Rector", True)


# --- a place that cannot be asked -------------------------------------------------------------------------------------


class Elsewhere(FolderTarget):
    """Another target than the folder: a film that was cut off at the one may be delivered at the other."""

    kind = "another"

    def put(self, *of: Any) -> Any:
        return replace(super().put(*of), target=self.kind)


def goes_elsewhere(place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The target was changed, and the disk with the archive that there was is not connected any more."""
    elsewhere = place.archive.with_name("elders")
    elsewhere.mkdir()
    place.settle(elsewhere)

    def reached(opened: Any, kind: str = "") -> FolderTarget:
        return FolderTarget(place.archive, False) if kind == "folder" else Elsewhere(elsewhere, False)

    monkeypatch.setattr(delivering, "open_target", reached)
    place.archive.rename(place.archive.with_name("los"))
    return elsewhere


@pytest.mark.parametrize("how", ["recall", "purge", "remove"])
@pytest.mark.parametrize("known", [True, False])
def test_what_can_be_reached_is_taken_away_though_another_place_cannot_be_asked(
    place: Place, monkeypatch: pytest.MonkeyPatch, how: str, known: bool
) -> None:
    """A disk that broke must not keep in sight for ever whoever is shown in OneDrive as well."""
    clip = place.clips()[0]
    if known:
        place.deliver()
        with place.opened() as opened:
            school.approve(opened, clip, school.film(9), "second")
    else:
        killed(place, monkeypatch)
    elsewhere = goes_elsewhere(place, monkeypatch)
    place.deliver()
    withdrawn(place, clip)
    with place.opened() as opened:
        assert len(find(opened, clip).standing) == 2
        (film,) = (Path(one) for one in find(opened, clip).standing if Path(one).is_relative_to(elsewhere))
        if how == "remove":
            with pytest.raises(DeliveryError, match="is not there; connect it"):
                delivering.remove_clip(opened, clip)
        else:
            retention.tick(opened, clip, "Geertje")
            plan, execute = (
                (recall_plan(opened, TODAY), execute_recall)
                if how == "recall"
                else (retention.due(opened, TODAY), retention.execute_purge)
            )
            bad = [what for _, what in execute(opened, digest_of(plan), TODAY) if isinstance(what, DeliveryError)]
            assert len(bad) == 1, "what lies on the disk is told"
        assert not film.exists()
        (left,) = find(opened, clip).standing
        assert not Path(left).is_relative_to(elsewhere)


def test_what_hides_somebody_already_is_not_made_again_for_a_place_that_cannot_be_asked(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = killed(place, monkeypatch)
    withdrawn(place, clip)
    with place.opened() as opened:
        school.approve(opened, clip, school.film(9), "second")
    elsewhere = goes_elsewhere(place, monkeypatch)
    place.deliver()
    (before,) = (path for path in elsewhere.rglob("*.mp4") if clip[:12] in path.name)
    with place.opened() as opened:
        plan = recall_plan(opened, TODAY)
        assert [item["action"] for item in plan] == ["hide again"]
        ((_, bad),) = execute_recall(opened, digest_of(plan), TODAY)
        assert isinstance(bad, DeliveryError)
        place.archive.with_name("los").rename(place.archive)
        ((_, done),) = execute_recall(opened, digest_of(plan), TODAY)
        assert isinstance(done, dict)
        assert done["outcome"] == "replaced"
        assert find(opened, clip).standing == (str(before),)
        assert recall_plan(opened, TODAY) == []


def test_what_came_since_stays_though_the_older_film_is_deleted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It did not count as deleted on purpose: it could then neither be approved, nor replaced by a recall."""
    clip, plan = to_be_deleted(place)
    elsewhere = goes_elsewhere(place, monkeypatch)
    with place.opened() as opened:
        execute_recall(opened, digest_of(plan), TODAY)
        retention.tick(opened, clip, "Geertje", used=False)
        school.approve(opened, clip, school.film(9), "second")
    place.deliver()
    place.archive.with_name("los").rename(place.archive)
    with place.opened() as opened:
        ((_, done),) = execute_recall(opened, digest_of(plan), TODAY)
        assert isinstance(done, dict)
        assert done["outcome"] == "deleted"
        state = find(opened, clip)
        assert state.deleted is None
        assert [Path(one).is_relative_to(elsewhere) for one in state.standing] == [True]


def test_what_was_deleted_on_purpose_and_still_lies_somewhere_is_deleted_by_a_recall(place: Place) -> None:
    """Its term was over, it could not be deleted in one place, and the term was made longer since: nothing of it is
    made again, so nothing can take its place."""
    clip = place.clips()[0]
    place.deliver()
    over = {"kind": retention.DELIVERED, "clip": clip, "because": retention.TERM, "where": "elders", "since": ""}
    with place.opened() as opened:
        opened.ledger.append("purge_done", clip, {"digest": "", "item": over, "found": True})
    withdrawn(place, clip)
    with place.opened() as opened:
        plan = recall_plan(opened, TODAY)
        ((_, done),) = execute_recall(opened, digest_of(plan), TODAY)
        assert isinstance(done, dict)
        assert done["outcome"] == "deleted"
        assert find(opened, clip).standing == ()


# --- what can still be done -------------------------------------------------------------------------------------------


def recalled(opened: workspace.Workspace, clip: str, data: bytes) -> str:
    """A recall made a film from what was delivered; its digest."""
    render = find(opened, clip).render
    assert render is not None
    made, name = hashlib.sha256(data).hexdigest(), f"{clip[:8]}.recalled.mp4"
    (opened.finished / name).write_bytes(data)
    done = {"sha256": made, "bytes": len(data), "file": name, "kept": [], "released": render["sha256"]}
    opened.ledger.record("render", clip, "recalled", clip, done)
    return made


def test_of_what_was_wiped_and_taken_away_nothing_is_made(world: World) -> None:
    """Whom the film that was to take its place shows may not be shown either: there is nothing left to make it of."""
    world.wipe(world.plan().digest)
    with world.open() as place:
        clip = find(place, "A.MP4").clip
        made = recalled(place, clip, b"less")
        assert find(place, clip).waits_for == "lesveil approve"
        delivering.remove_clip(place, clip)
        place.ledger.append("lapsed", clip, {"person": "1", "day": "2026-11-25", "renderings": [made]})
        state = find(place, clip)
        assert (state.wiped, state.outdated, state.standing) == (True, True, ())
        assert state.waits_for == "", "lesveil run has no film to make it of"


def test_what_a_recall_made_and_was_taken_away_is_not_sent_to_the_repairs(place: Place) -> None:
    """They refuse: in a film that was delivered nothing can be repaired."""
    clip = place.clips()[0]
    place.deliver()
    with place.opened() as opened:
        made = recalled(opened, clip, school.film(9))
        opened.ledger.append("approval", clip, {"sha256": made, "by": "coach", "verdict": "approved"})
    place.deliver()
    with place.opened() as opened:
        delivering.remove_clip(opened, clip)
        hides(opened, clip)
        with pytest.raises(ApprovalError, match=r"do lesveil run\.$"):
            judge(opened, clip, "Rector", True)


def test_what_is_to_take_its_place_and_is_lost_is_made_again_by_the_recall(world: World) -> None:
    """lesveil run, which was named, has no film any more; and a changed file kept the recall from making it again."""
    world.wipe(world.plan().digest)
    with (world.place / "lesveil.toml").open("a") as settings:
        settings.write("[review]\nafter_withdrawal = true\n")
    with world.open() as place:
        state = find(place, "A.MP4")
        assert state.render is not None
        recalled(place, state.clip, b"less")
        row = {"person": "41207", "day": "2026-11-25", "renderings": [state.render["sha256"]]}
        place.ledger.append("lapsed", state.clip, row)
        assert recall_plan(place, TODAY) == [], "a person is to look"
        (path,) = place.finished.glob("*.recalled.mp4")
        path.write_bytes(b"changed")
        with pytest.raises(ApprovalError, match="lesveil recall makes it anew"):
            judge(place, state.clip, "Rector", True)
        assert [item["clip"] for item in recall_plan(place, TODAY)] == [state.clip]


def test_purge_says_what_comes_first_while_repairs_wait(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with world.open() as place:
        hides(place, find(place, "A.MP4").clip)
        for name in ("A.MP4", "B.MP4"):
            retention.tick(place, name, "Geertje")
    assert main(["purge", "-C", str(world.place), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["not_yet"]
    assert [one["waits_for"] for one in told] == ["lesveil repairs", "lesveil wipe"]
