"""What leaves is asked for at the moment at which it leaves, and what may lie in the archive is never forgotten."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from pipeline import workspace
from pipeline.errors import DeliveryError, WipeError
from pipeline.lesson import deliver as delivering
from pipeline.lesson import wipe as wiping
from pipeline.lesson.approve import judge
from pipeline.lesson.deliver import Arrived
from pipeline.lesson.state import find, states
from tests.faults import school
from tests.world import World


class Place:
    """A workspace with two approved clips, and the folder into which they are delivered."""

    def __init__(self, folder: Path) -> None:
        self.made = school.make(folder / "werkmap", clips=2)
        self.archive = folder / "archief"
        self.archive.mkdir()
        self.settle(self.archive)

    def settle(self, archive: Path) -> None:
        text = f"[deliver]\ntarget = 'folder'\nfolder = {json.dumps(str(archive))}\n"
        (self.made.folder / "lesveil.toml").write_text(text, encoding="utf-8")

    def opened(self) -> Any:
        return workspace.opened(self.made.folder)

    def clips(self) -> list[str]:
        with self.opened() as place:
            return [state.clip for state in states(place)]

    def deliver(self, progress: Any = lambda *_: None) -> list[Any]:
        with self.opened() as place:
            return [what for _, what in delivering.deliver(place, school.TODAY, progress=progress)]

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
        assert find(opened, second).stage == "delivered"
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
