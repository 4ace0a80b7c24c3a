"""The second look in a workspace: what it sees is hidden, or waits for a person; undone, it is back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from school import School

from pipeline import doubt, opinion
from pipeline.adapters.review_book import ReviewBook
from pipeline.errors import RepairError, SecondLookError
from pipeline.lesson import repair
from pipeline.lesson.desk import Desk
from pipeline.records import Extent, Reason, RepairKind
from pipeline.views import Look, Role

BOX = (30.0, 40.0, 70.0, 90.0)
"""A place in the sample lesson where nobody is."""


class Eyes:
    """See a face at BOX on every picture, sure of it; or break."""

    workers = 2
    fails = False

    def __call__(self, picture, threshold):
        if self.fails:
            raise RuntimeError("the lamp went out")
        return np.array([BOX], np.float32), np.ones(1, np.float32)

    def closely(self, picture, boxes):
        return np.full(len(boxes), 0.9, np.float32)


@pytest.fixture
def eyes(monkeypatch) -> Eyes:
    made = Eyes()
    monkeypatch.setattr(opinion, "state_of", lambda setting: opinion.LOOKED)
    monkeypatch.setattr(opinion, "_blazeface", lambda: made)
    return made


def looked_at(school: School, on_finding: str, code: int = 0) -> None:
    settings = school.place / "lesveil.toml"
    text = settings.read_text(encoding="utf-8")
    more = f'[second_opinion]\non_finding = "{on_finding}"\n[rendering]\ncrf = 22\n'  # so that it is rendered anew
    settings.write_text(f"{text}\n{more}", encoding="utf-8")
    school.lesveil("run", "--card", school.sample.card, code=code)


@contextlib.contextmanager
def desk(place) -> Iterator[Desk]:
    with ReviewBook.open(place.folder / "review.db") as book:
        yield Desk(place, book)


def test_it_is_hidden_and_the_reviewer_sees_why(school: School, eyes: Eyes) -> None:
    looked_at(school, "hide")
    render = school.state().render
    assert render["second_look"] == {"state": "looked", "hidden": 1, "left": 0}
    found = school.seen()
    (decision,) = [one for one in found.decisions if one.reason is Reason.SECOND_LOOK]
    assert (decision.start, decision.stop, decision.keep) == (0, 80, False)
    rows = found.plan.regions(40)
    assert any(
        x1 < BOX[0] and y1 < BOX[1] and x2 > BOX[2] and y2 > BOX[3] for x1, y1, x2, y2 in found.plan.region[rows]
    )
    with school.opened() as place, desk(place) as asked:
        lanes = [one for one in asked.clip(school.state().clip).lanes if decision.track in one.tracks]
    assert lanes[0].spans[0].reason == "second_look"
    school.lesveil("approve", school.state().clip[:8], "--by", "Geertje")


@pytest.mark.parametrize("stands", [True, False])
def test_what_it_saw_stays_hidden_when_the_clip_is_analysed_anew(
    school: School, eyes: Eyes, monkeypatch: pytest.MonkeyPatch, stands: bool
) -> None:
    """A film with repairs is not written again for what it sees, and the eyes may be gone by then."""
    looked_at(school, "hide")
    id = school.add("mute", 5, 9)
    if not stands:
        school.undo(id)
    school.lesveil("repairs")
    monkeypatch.setattr(Eyes, "__call__", lambda *_: (np.empty((0, 4), np.float32), np.empty(0, np.float32)))
    settings = school.place / "lesveil.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace("crf = 22", "crf = 23"), encoding="utf-8")
    school.lesveil("run", "--card", school.sample.card)
    found = school.seen()
    (decision,) = [one for one in found.decisions if one.reason is Reason.SECOND_LOOK]
    assert (decision.start, decision.stop, decision.keep) == (0, 80, False)
    region = found.plan.region[found.plan.regions(40)]
    assert any(x1 < BOX[0] and y1 < BOX[1] and x2 > BOX[2] and y2 > BOX[3] for x1, y1, x2, y2 in region)


def test_a_person_must_decide_and_the_decision_is_written_down(school: School, eyes: Eyes) -> None:
    looked_at(school, "ask")
    state = school.state()
    assert state.render["second_look"] == {"state": "looked", "hidden": 0, "left": 1}
    assert [0.0, 8.0] in state.render["doubts"]
    assert doubt.undecided(state.render) == 1
    school.lesveil("approve", state.clip[:8], "--by", "Geertje", code=55)
    assert school.state().stage == "rendered"
    with school.opened() as place, desk(place) as asked:
        view = asked.clip(state.clip)
        assert view.sightings == 1
        (lane,) = [one for one in view.lanes if one.sighting]
        assert lane.box == BOX
        assert lane.spans[0].look is Look.DOUBT
        assert any(one.track == lane.track for one in view.doubts)
        with pytest.raises(RepairError):  # it is nobody who is followed, so there is no original of them to see
            asked.original(state.clip, lane.track, 0, "Geertje")
    assert not {"box", "frame"} & set(state.render["second_look"])  # where a face is stays in the vault
    school.lesveil("approve", state.clip[:8], "--by", "Geertje", "--despite-second-look")
    assert school.state().stage == "approved"
    with school.opened() as place:
        assert place.ledger.entries("approval", state.clip)[-1].payload["despite_second_look"] == 1


def test_hidden_by_hand_it_is_gone_and_undone_it_is_back(school: School, eyes: Eyes) -> None:
    looked_at(school, "ask")
    clip = school.state().clip
    x1, y1, x2, y2 = BOX
    box = [x1 - 20, y1 - 30, x2 + 20, y2 + 30]
    asked = {"id": "ab" * 16, "kind": RepairKind.REGION.value, "start": 0, "stop": 80, "box": box, "at_frame": 0}
    with school.opened() as place, desk(place) as page:
        page.add(clip, asked, "Geertje", Role.COACH)
        repair.repair(place, clip, date.today())
    assert school.state().render["second_look"] == {"state": "looked", "hidden": 0, "left": 0}
    with school.opened() as place, desk(place) as page:
        page.undo(clip, asked["id"], "Geertje", Role.COACH)
        repair.repair(place, clip, date.today())
    assert school.state().render["second_look"]["left"] == 1
    school.lesveil("approve", clip[:8], "--by", "Geertje", code=55)


def test_a_piece_is_looked_at_by_itself_and_the_rest_keeps_its_doubts(school: School, eyes: Eyes) -> None:
    looked_at(school, "ask")
    clip = school.state().clip
    asked = {"id": "cd" * 16, "kind": "region", "start": 22, "stop": 28, "box": [500, 10, 600, 90], "at_frame": 22}
    with school.opened() as place, desk(place) as page:
        page.add(clip, asked, "Geertje", Role.COACH)
        done = repair.repair(place, clip, date.today())
    assert 0 < done.encoded < 80
    assert school.state().render["second_look"]["left"] >= 1
    inside = [one for one in school.seen().sightings if 20 <= one.frame[0] < 40]
    assert inside
    assert all(one.stop <= 80 for one in school.seen().sightings)


def test_eyes_that_break_leave_the_clip_unrendered(school: School, eyes: Eyes) -> None:
    eyes.fails = True
    before = school.state().render["sha256"]
    looked_at(school, "hide", code=42)
    assert school.state().render["sha256"] == before
    with school.opened() as place:
        failure = place.ledger.entries("failure")[-1].payload
        assert not list(Path(place.finished).glob("*.partial"))
    assert failure["error"] == SecondLookError.__name__


def test_whole_people_are_hidden_where_the_settings_say_so(school: School) -> None:
    settings = school.place / "lesveil.toml"
    settings.write_text(settings.read_text(encoding="utf-8") + '\n[redaction]\nextent = "person"\n', encoding="utf-8")
    alone = school.seen().plan
    school.lesveil("run", "--card", school.sample.card)
    whole = school.seen().plan
    assert (alone.extent, whole.extent, school.state().render["hides"]) == (Extent.HEAD, Extent.PERSON, "person")
    assert set(map(tuple, alone.region.tolist())) <= set(map(tuple, whole.region.tolist()))
    assert len(whole.frame) > 1.5 * len(alone.frame)
    track = next(one for one in school.seen().tracks if one.strength > 0.5)
    school.add("hide", track.start, track.stop, track=track.number)
    with school.opened() as place:
        repair.repair(place, school.state().clip, date.today())
    assert school.seen().plan.extent is Extent.PERSON
