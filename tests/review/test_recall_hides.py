"""What was hidden by hand since a film was delivered stays hidden in what a recall puts there."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from school import School, pictures

from pipeline.adapters.sound import loudest
from pipeline.lesson import card, repair, seen
from pipeline.lesson.retention import COPY, _delete

TODAY = date.today()
WITHDRAWN, OTHER, FRAME = "41215", "90017", 40


def detail(path: Path, box: Any, frame: int = FRAME) -> float:
    x1, y1, x2, y2 = (int(value) for value in box)
    part = pictures(path)[frame][1][y1:y2, x1:x2].astype(float)
    return float(np.abs(np.diff(part, axis=0)).mean() + np.abs(np.diff(part, axis=1)).mean())


def run_without_card(school: School) -> None:
    with school.opened() as place:
        assert card.run_card(place, None, TODAY).failed == []


class Delivered:
    """The long clip, approved and delivered, in which both are shown."""

    def __init__(self, school: School) -> None:
        self.school, found = school, school.seen()
        self.clip = school.state().clip
        decisions = {one.person: one for one in found.decisions if one.person is not None}
        tracks = {track.number: track for track in found.tracks}
        self.tracks = {person: tracks[one.track] for person, one in decisions.items()}
        school.lesveil("approve", self.clip, "--by", "coach")
        school.lesveil("deliver")
        assert min(self.detail(WITHDRAWN), self.detail(OTHER)) > 10

    def box(self, person: str) -> Any:
        track = self.tracks[person]
        return track.box[FRAME - track.start]

    def detail(self, person: str) -> float:
        (path,) = self.school.archive.rglob("*.mp4")
        return detail(path, self.box(person))

    def repaired(self) -> None:
        with self.school.opened() as place:
            repair.repair(place, self.clip, TODAY)

    def recall(self, code: int = 0) -> Any:
        self.school.lesveil("consent", "withdraw", WITHDRAWN)
        plan = self.school.lesveil("recall")
        (done,) = self.school.lesveil("recall", "--execute", plan["digest"], code=code)["done"]
        return done


@pytest.fixture
def delivered(school: School) -> Delivered:
    return Delivered(school)


@pytest.mark.parametrize("how", ["waits for its rendering", "rendered", "approved"])
def test_who_was_hidden_by_hand_since_is_not_bare_again(delivered: Delivered, how: str) -> None:
    delivered.school.add("hide", 0, 80, track=delivered.tracks[OTHER].number)
    if how != "waits for its rendering":
        delivered.repaired()
    if how == "approved":
        delivered.school.lesveil("approve", delivered.clip, "--by", "coach")
    assert delivered.recall()["outcome"] == "replaced"
    assert max(delivered.detail(WITHDRAWN), delivered.detail(OTHER)) < 3
    with delivered.school.opened() as place:
        now = delivered.school.state()
        assert not repair.waiting(place, now)
    assert now.render is not None
    assert not {WITHDRAWN, OTHER} & {row["person"] for row in now.render["kept"]}


def test_what_was_drawn_since_is_hidden_and_what_was_muted_is_silent(delivered: Delivered) -> None:
    box = [float(value) for value in delivered.box(OTHER)]
    delivered.school.add("region", 30, 50, box=box, at_frame=FRAME)
    delivered.school.add("mute", 30, 50)
    delivered.recall()
    assert max(delivered.detail(WITHDRAWN), delivered.detail(OTHER)) < 3
    (path,) = delivered.school.archive.rglob("*.mp4")
    assert loudest(path, 3.2, 4.8) < repair.SILENCE
    assert detail(path, delivered.box(OTHER), 70) > 10


def test_one_that_waits_for_approval_is_made_again_with_it(delivered: Delivered) -> None:
    with (delivered.school.place / "lesveil.toml").open("a") as settings:
        settings.write("[review]\nafter_withdrawal = true\n")
    delivered.school.add("hide", 0, 80, track=delivered.tracks[OTHER].number)
    assert delivered.recall()["outcome"] == "waits for approval"
    delivered.school.rendering().unlink()
    (item,) = delivered.school.lesveil("recall")["items"]
    assert item["people"] == [WITHDRAWN], "what was to be approved is gone: it is to be made again"
    third = next(person for person in delivered.tracks if person not in (WITHDRAWN, OTHER))
    delivered.school.lesveil("consent", "withdraw", third)
    plan = delivered.school.lesveil("recall")
    (done,) = delivered.school.lesveil("recall", "--execute", plan["digest"])["done"]
    assert done["outcome"] == "waits for approval"
    for person in (WITHDRAWN, OTHER, third):
        assert detail(delivered.school.rendering(), delivered.box(person)) < 3


def test_one_that_was_rejected_is_made_again_with_everybody_hidden(delivered: Delivered) -> None:
    with (delivered.school.place / "lesveil.toml").open("a") as settings:
        settings.write("[review]\nafter_withdrawal = true\n")
    assert delivered.recall()["outcome"] == "waits for approval"
    assert detail(delivered.school.rendering(), delivered.box(OTHER)) > 10
    delivered.school.lesveil("reject", delivered.clip, "--by", "coach")
    plan = delivered.school.lesveil("recall")
    assert [item["action"] for item in plan["items"]] == ["hide everybody"]
    (done,) = delivered.school.lesveil("recall", "--execute", plan["digest"])["done"]
    assert done["outcome"] == "waits for approval"
    assert delivered.school.state().waits_for == "lesveil approve"
    for person in delivered.tracks:
        assert detail(delivered.school.rendering(), delivered.box(person)) < 3
    assert delivered.school.lesveil("recall")["items"] == [], "more cannot be hidden"
    delivered.school.lesveil("approve", delivered.clip, "--by", "coach")
    delivered.school.lesveil("deliver")
    assert not delivered.school.state().to_recall


def test_what_is_hidden_while_the_new_one_waits_for_approval_is_in_the_next_one(delivered: Delivered) -> None:
    """Written down while a recall was at work, say: then neither approve nor repairs can go on."""
    with (delivered.school.place / "lesveil.toml").open("a") as settings:
        settings.write("[review]\nafter_withdrawal = true\n")
    analysis = delivered.school.seen().analysis
    assert delivered.recall()["outcome"] == "waits for approval"
    late = {"id": "late", "analysis": analysis, "kind": "hide", "start": 0, "stop": 80, "track": 0}
    with delivered.school.opened() as place:
        row = late | {"track": delivered.tracks[OTHER].number, "by": "Geertje", "role": "coach"}
        place.ledger.append("repair", delivered.clip, row)
    assert delivered.school.state().waits_for == "lesveil recall"
    delivered.school.lesveil("approve", delivered.clip, "--by", "coach", code=55)
    plan = delivered.school.lesveil("recall")
    (done,) = delivered.school.lesveil("recall", "--execute", plan["digest"])["done"]
    assert done["outcome"] == "waits for approval"
    assert delivered.school.state().waits_for == "lesveil approve"
    assert detail(delivered.school.rendering(), delivered.box(OTHER)) < 3


def test_what_is_taken_back_after_a_recall_is_made_by_the_next_run(delivered: Delivered) -> None:
    id = delivered.school.add("hide", 0, 80, track=delivered.tracks[OTHER].number)
    delivered.recall()
    delivered.school.undo(id)
    assert delivered.school.state().waits_for == "lesveil run", "nothing can be repaired in a delivered film"
    run_without_card(delivered.school)
    now = delivered.school.state()
    assert not now.hidden_again
    assert now.waits_for == "lesveil approve"
    assert detail(delivered.school.rendering(), delivered.box(OTHER)) > 10
    assert detail(delivered.school.rendering(), delivered.box(WITHDRAWN)) < 3


def test_after_a_recall_the_card_brings_back_a_film_in_which_it_is_hidden_too(delivered: Delivered) -> None:
    delivered.school.add("hide", 0, 80, track=delivered.tracks[OTHER].number)
    delivered.repaired()
    delivered.recall()
    delivered.school.lesveil("run", "--card", delivered.school.sample.card)
    assert not delivered.school.state().hidden_again
    assert detail(delivered.school.rendering(), delivered.box(OTHER)) < 3


def test_what_cannot_be_read_any_more_places_nothing_and_ends_nothing_else(delivered: Delivered) -> None:
    with delivered.school.opened() as place:
        (path,) = (place.vault.path(kept) for kept in place.vault.beside(delivered.clip))
    sealed = path.read_bytes()
    path.write_bytes(b"its disk rots")
    delivered.school.lesveil("run", "--card", delivered.school.sample.card)
    path.write_bytes(sealed)
    delivered.school.add("hide", 0, 80, track=delivered.tracks[OTHER].number)
    path.write_bytes(b"its disk rots")
    assert "can no longer be placed" in delivered.recall(code=65)["error"]
    delivered.school.lesveil("run", "--card", delivered.school.sample.card)
    for person in (WITHDRAWN, OTHER):  # looked at anew, and found under the same number
        assert detail(delivered.school.rendering(), delivered.box(person)) < 3


def test_what_cannot_be_placed_leaves_everything_as_it_is(delivered: Delivered) -> None:
    id = delivered.school.add("hide", 0, 80, track=delivered.tracks[OTHER].number)
    delivered.repaired()
    with delivered.school.opened() as place:
        _delete(place, {"kind": COPY, "clip": delivered.clip})  # its term was over
        render = delivered.school.state().render
        assert render is not None
        assert seen.load(place.vault, delivered.clip, render["sha256"]) is None
    before = {path: path.read_bytes() for path in delivered.school.archive.rglob("*.mp4")}
    done = delivered.recall(code=65)
    assert id in done["error"]
    assert "lesveil deliver --remove" in done["error"]
    assert {path: path.read_bytes() for path in delivered.school.archive.rglob("*.mp4")} == before
