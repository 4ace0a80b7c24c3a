"""Somebody's double is seen beside them in one clip of a lesson: alone in another they do not count as that person."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import interruption, run, workspace
from pipeline.adapters.consent_list import ConsentList
from pipeline.adapters.consent_rows import ListedPerson
from pipeline.adapters.pictures import fingerprint
from pipeline.cli import main
from pipeline.consent import Giver
from pipeline.doubles import CLEARLY, hidden_beside
from pipeline.engine import Here, side_by_side
from pipeline.errors import ApprovalError, CheckFailedError, DeliveryError, WorkerError
from pipeline.lesson import card
from pipeline.lesson import seen as kept_beside
from pipeline.lesson.approve import judge
from pipeline.lesson.deliver import deliver, remove_clip
from pipeline.lesson.lookalikes import DOUBLES, in_lesson
from pipeline.lesson.plans import digest_of
from pipeline.lesson.recall import execute_recall, recall_plan
from pipeline.lesson.repair import repair
from pipeline.lesson.state import find, states
from pipeline.lesson.withdraw import reconcile, states_on
from pipeline.records import Decision, Person, Reason, Style
from pipeline.stages import decide, naming
from pipeline.workspace import Workspace
from tests import clips
from tests.faces import ANN, EYE, RATE, RISK, SMALLEST, beside, every, lesson, sorted_rows

TODAY = date(2026, 11, 25)
FILMED = TODAY - timedelta(5)
FRAMES = 60

ONE = Person("1", ANN.template, 3)
ROOS: dict[str, Any] = {
    "row": 2, "id": "1", "first_name": "Roos", "infix": "", "last_name": "D", "group": "3HA",
    "portrait_folder": None, "birth": date(2012, 1, 1), "purpose": "beeldcoaching", "granted": True,
    "recognition": True, "giver": Giver.PARENT, "start": date(2026, 9, 1), "end": None, "withdrawn": None,
}  # fmt: skip
ALONE = [every(10, 0, FRAMES, beside(ANN.template, 0.2, EYE[5]))]
BOTH = [every(10, 0, FRAMES, beside(ANN.template, 0.18, EYE[2])), *ALONE]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workspace]:
    folder = tmp_path / "w"
    workspace.create(folder, key_file=True)
    (folder / "lesveil.toml").write_text('[recognition]\nmode = "on"\n[privacy]\ndpia = "DPIA"\n', encoding="utf-8")
    with workspace.opened(folder) as opened:
        listed = ConsentList("l.csv", "0" * 64, (ListedPerson(**ROOS),), (), False)
        opened.register.apply(opened.register.plan_import(listed, date(2026, 9, 1)))
        workspace.save_templates(opened, [ONE])
        yield opened


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., Path]:
    """A card with a film by name, each of the day that is asked for."""

    def shot(days: dict[str, date]) -> Path:
        folder = tmp_path / "card/DCIM/100CANON"
        folder.mkdir(parents=True)
        for number, (name, day) in enumerate(days.items()):
            path = clips.make(folder / f"{name}.MP4", frames=FRAMES, size=f"{320 + 16 * number}x160")
            at = datetime(day.year, day.month, day.day, 12).timestamp()
            os.utime(path, (at, at))
        return tmp_path / "card"

    return shot


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What is seen in each film, by name, instead of what is in its pictures."""
    scenes: dict[str, list[Any]] = {}

    def analyse(clip: Any, name: str, people: Any, grounds: Any, register: str, *_: Any) -> run.Analysis:
        tracks, found, views = lesson(*sorted_rows(scenes[name.split("-")[0]]), frames=FRAMES)
        identities = naming.identify(tracks, found, views, people, RATE, SMALLEST, RISK)
        decisions = decide.decide(tracks, identities, grounds)
        prints = np.array([fingerprint(frame.picture) for frame in clip.frames()], np.uint64)
        plan = decide.plan(name, FRAMES, tracks, decisions, (), Style.VEIL, "s", "m", register, prints=prints)
        return run.Analysis(found, tracks, identities, decisions, plan)

    monkeypatch.setattr(run, "analyse", analyse)
    return scenes


def shown(place: Workspace) -> dict[str, list[str]]:
    """Who is shown in the latest rendering of each film; it lies where it should."""
    found = {}
    for state in states(place):
        assert state.render is not None
        assert (place.finished / state.render["file"]).is_file()
        found[Path(state.file).stem] = sorted({entry["person"] for entry in state.render["kept"]})
    return found


class SideBySide(Here):
    """Here, but as many films at once as an engine with workers would take."""

    workers = 3


@pytest.fixture
def three_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "opened", lambda chosen: SideBySide())


@pytest.mark.parametrize("engine", [Here, SideBySide])
@pytest.mark.parametrize("first", ["A", "B"])
def test_a_double_in_one_clip_hides_in_all_of_the_day(
    place: Workspace, film: Any, seen: Any, first: str, engine: type[Here], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever comes first, or at once: the clip that was rendered before is made again, and the old one is gone."""
    monkeypatch.setattr(card, "opened", lambda chosen: engine())
    folder = film({"A": FILMED, "B": FILMED, "C": FILMED - timedelta(1)})
    other = "B" if first == "A" else "A"
    seen |= {first: ALONE, other: BOTH, "C": ALONE}
    done = card.run_card(place, folder, TODAY, any_card=True)
    assert not done.failed
    assert shown(place) == {first: [], other: [], "C": ["1"]}
    assert len(list(place.finished.glob("*.mp4"))) == 3
    assert place.ledger.verify() == []
    assert [row.payload for row in place.ledger.entries(DOUBLES)] == [{"nearest": {"1": pytest.approx(0.2, abs=0.001)}}]
    rows = len(place.ledger.entries("receipt"))
    card.run_card(place, folder, TODAY, any_card=True)
    assert len(place.ledger.entries("receipt")) == rows  # nothing is made a third time


def test_without_a_double_they_are_shown(place: Workspace, film: Any, seen: Any) -> None:
    folder = film({"A": FILMED, "B": FILMED})
    seen |= {"A": ALONE, "B": ALONE}
    card.run_card(place, folder, TODAY, any_card=True)
    assert shown(place) == {"A": ["1"], "B": ["1"]}
    assert not place.ledger.entries(DOUBLES)


def test_a_rendering_that_shows_too_much_is_gone_though_the_next_one_fails(
    place: Workspace, film: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = film({"A": FILMED, "B": FILMED})
    seen |= {"A": ALONE, "B": BOTH}
    real, made = run.render_checked, []

    def render(*args: Any, **more: Any) -> Any:
        made.append(args)
        if len(made) == 3:
            raise CheckFailedError("{clip} was not made.", clip="A")
        return real(*args, **more)

    monkeypatch.setattr(run, "render_checked", render)
    done = card.run_card(place, folder, TODAY, any_card=True)
    assert [name for name, _ in done.failed] == ["DCIM/100CANON/A.MP4"]
    (a,) = (state for state in states(place) if Path(state.file).stem == "A")
    assert a.render is not None
    assert not (place.finished / a.render["file"]).exists()
    with pytest.raises(ApprovalError, match="lesveil run makes it anew"):
        judge(place, a.clip, "Geertje", approve=True)
    card.run_card(place, folder, TODAY, any_card=True)
    assert shown(place) == {"A": [], "B": []}


def stage(place: Workspace, name: str) -> tuple[Any, ...]:
    state = find(place, name)
    return state.stage, state.waits_for, state.lapsed, state.doubted


def test_what_was_made_before_a_double_was_known_is_not_approved_if_the_run_ends_there(
    place: Workspace, film: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = film({"A": FILMED, "B": FILMED, "C": FILMED - timedelta(1)})
    seen |= {"A": ALONE, "B": BOTH, "C": ALONE}
    calls: list[Any] = []

    def killed(*given: Any) -> None:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        side_by_side(*given)

    with monkeypatch.context() as patch:
        patch.setattr(card, "reconcile", lambda *_: None)  # killed before it marks anything
        patch.setattr(card, "side_by_side", killed)
        with pytest.raises(KeyboardInterrupt):
            card.run_card(place, folder, TODAY, any_card=True)
    assert shown(place) == {"A": ["1"], "B": [], "C": ["1"]}
    assert stage(place, "A") == ("rendered", "lesveil approve", (), ())
    with pytest.raises(ApprovalError, match=r"looks like a person shown in A\.MP4; lesveil run"):
        judge(place, "A.MP4", "Geertje", approve=True)
    assert judge(place, "A.MP4", "Geertje", approve=False).rejected
    assert judge(place, "C.MP4", "Geertje", approve=True).stage == "approved"
    assert [(one.lapsed, one.doubted, one.waits_for) for one in states_on(place, TODAY)] == [
        (("1",), ("1",), "lesveil run"),
        ((), (), "lesveil approve"),
        ((), (), "lesveil deliver"),
    ]
    card.run_card(place, None, TODAY)  # the card need not be in
    assert shown(place) == {"A": [], "B": [], "C": ["1"]}
    assert judge(place, "A.MP4", "Geertje", approve=True).stage == "approved"
    assert [(row.clip, row.payload["because"]) for row in place.ledger.entries("lapsed")] == [
        (find(place, "A").clip, "double")
    ]
    assert place.ledger.verify() == []


@pytest.fixture
def earlier(place: Workspace, film: Any, seen: Any, tmp_path: Path) -> Callable[[], None]:
    """A clip of another card of that day is approved; calling this brings the card with the double."""
    seen |= {"A": ALONE, "B": BOTH}
    one = film({"A": FILMED})
    card.run_card(place, one, TODAY, any_card=True)
    judge(place, "A.MP4", "Geertje", approve=True)
    one.rename(tmp_path / "one")
    other = film({"X": FILMED, "B": FILMED})
    (other / "DCIM/100CANON/X.MP4").unlink()
    return lambda: card.run_card(place, other, TODAY, any_card=True) and None


@pytest.fixture
def delivered(place: Workspace, earlier: Callable[[], None], tmp_path: Path) -> Callable[[], None]:
    """The same, and the clip that was approved lies in the archive."""
    archive(place, tmp_path)
    with workspace.opened(place.folder) as opened:
        assert not isinstance(deliver(opened, TODAY)[0][1], Exception)
    return earlier


def test_a_double_on_another_card_of_that_day_hides_what_was_approved_before(
    place: Workspace, earlier: Callable[[], None]
) -> None:
    earlier()
    assert shown(place) == {"A": [], "B": []}
    assert stage(place, "A") == ("rendered", "lesveil approve", (), ())
    assert len(list(place.finished.glob("*.mp4"))) == 2


def test_what_was_approved_before_does_not_leave_once_a_double_is_known(
    place: Workspace, earlier: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(place, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(card, "reconcile", lambda *_: None)
        patch.setattr(card, "waiting", lambda *_: [])
        earlier()
    with workspace.opened(place.folder) as opened:
        ((state, error),) = deliver(opened, TODAY)
    assert state.stage == "approved"
    assert isinstance(error, DeliveryError)
    assert "may not be shown any more; lesveil run makes it anew" in str(error)
    assert not list((tmp_path / "archive").rglob("*.mp4"))
    assert stage(place, "A") == ("approved", "lesveil deliver", (), ())
    card.run_card(place, None, TODAY)
    assert stage(place, "A") == ("rendered", "lesveil approve", (), ())


def test_what_was_delivered_before_a_double_was_known_is_hidden_there_by_a_recall(
    place: Workspace, delivered: Callable[[], None], seen: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    delivered()
    assert stage(place, "A") == ("delivered", "lesveil recall", ("1",), ("1",))
    assert main(["status", "-C", str(place.folder), "--lang", "en"]) == 0
    assert "(shows 1, but another clip of that day has somebody who looks like them)" in capsys.readouterr().out
    seen["DCIM/100CANON/A.MP4"] = ALONE
    with workspace.opened(place.folder) as opened:
        (item,) = recall_plan(opened, TODAY)
        assert item["people"] == ["1"]
        assert item["action"] == "hide again"
        ((_, told),) = execute_recall(opened, digest_of([item]), TODAY)
        assert isinstance(told, dict), told
        assert told["outcome"] == "replaced"
    assert stage(place, "A") == ("delivered", "lesveil wipe", (), ())
    assert shown(place) == {"A": [], "B": []}
    assert place.ledger.verify() == []


def test_what_was_hidden_by_hand_stays_hidden_when_a_double_takes_the_name_away(
    place: Workspace, film: Any, seen: Any
) -> None:
    """Hiding somebody hides every track of theirs; which these are is told by the name that the double takes."""
    far, near = beside(ANN.template, 0.2, EYE[5]), beside(ANN.template, 0.05, EYE[7])
    seen |= {"A": [every(10, 0, 25, far), every(5, 30, FRAMES, near)], "B": BOTH}
    folder = film({"A": FILMED, "B": FILMED})
    (folder / "DCIM/100CANON/B.MP4").rename(folder / "B.MP4")
    card.run_card(place, folder, TODAY, any_card=True)
    hand(place, "A.MP4", "hide", 1, start=5)
    before = places_shown(place, "A.MP4")
    assert max(stop for _, stop in before) <= 5
    (folder / "B.MP4").rename(folder / "DCIM/100CANON/B.MP4")
    card.run_card(place, folder, TODAY, any_card=True)
    state = find(place, "A.MP4")
    assert stage(place, "A") == ("rendered", "lesveil approve", (), ())
    assert state.render is not None
    made = kept_beside.load(place.vault, state.clip, state.render["sha256"])
    assert made is not None
    assert set(range(30, FRAMES - 5)) <= set(made.plan.frame.tolist()), "the near track is hidden still"


def test_a_double_is_not_forgotten_while_nobody_looks_for_the_person(place: Workspace, film: Any, seen: Any) -> None:
    seen |= {"A": ALONE, "B": BOTH}
    folder = film({"A": FILMED, "B": FILMED})
    (folder / "DCIM/100CANON/A.MP4").rename(folder / "A.MP4")
    card.run_card(place, folder, TODAY, any_card=True)
    agree(place, False)
    card.run_card(place, folder, TODAY, any_card=True)
    agree(place, True)
    (folder / "A.MP4").rename(folder / "DCIM/100CANON/A.MP4")
    (folder / "DCIM/100CANON/B.MP4").unlink()
    card.run_card(place, folder, TODAY, any_card=True)
    assert shown(place)["A"] == []


def test_what_an_older_version_made_is_not_trusted_once_a_double_is_known(
    place: Workspace, earlier: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its receipts do not say how near anybody came."""
    state = find(place, "A.MP4")
    assert state.render is not None
    old = [{name: value for name, value in one.items() if name != "distance"} for one in state.render["kept"]]
    key = place.ledger.entries("receipt", state.clip)[-1].payload["settings"]
    place.ledger.record("render", state.ingest.payload["sha256"], key, state.clip, {**state.render, "kept": old})
    with monkeypatch.context() as patch:
        patch.setattr(card, "reconcile", lambda *_: None)
        patch.setattr(card, "waiting", lambda *_: [])
        earlier()
    with pytest.raises(ApprovalError, match="looks like a person"):
        judge(place, "A.MP4", "Geertje", approve=True)
    card.run_card(place, None, TODAY)
    assert shown(place) == {"A": [], "B": []}
    assert stage(place, "A") == ("rendered", "lesveil approve", (), ())


def test_who_is_named_by_hand_after_a_double_was_known_is_shown_and_that_is_that(
    place: Workspace, film: Any, seen: Any
) -> None:
    """The bytes are those of the rendering that was marked; what a person says is why they may be shown."""
    vector = beside(ANN.template, 0.2, EYE[5])
    seen |= {"A": [[*every(10, 0, FRAMES, vector), (FRAMES - 1, vector, 0)]], "B": BOTH}
    card.run_card(place, film({"A": FILMED, "B": FILMED}), TODAY, any_card=True)
    assert stage(place, "A") == ("rendered", "lesveil approve", (), ())
    hand(place, "A.MP4", "show", 1, person="1")
    rows = len(place.ledger.entries("receipt"))
    for _ in range(2):
        card.run_card(place, None, TODAY)
        assert stage(place, "A") == ("rendered", "lesveil approve", (), ())
    assert len(place.ledger.entries("receipt")) == rows
    assert shown(place)["A"] == ["1"]
    assert judge(place, "A.MP4", "Geertje", approve=True).waits_for == "lesveil deliver"


def test_consent_that_comes_back_brings_the_same_film_back(place: Workspace, film: Any, seen: Any) -> None:
    seen |= {"A": ALONE}
    folder = film({"A": FILMED})
    card.run_card(place, folder, TODAY, any_card=True)
    before = find(place, "A.MP4").render
    agree(place, False)
    assert stage(place, "A") == ("rendered", "lesveil run", ("1",), ())
    card.run_card(place, folder, TODAY, any_card=True)
    agree(place, True)
    card.run_card(place, folder, TODAY, any_card=True)
    assert before is not None
    assert (find(place, "A.MP4").render or {})["sha256"] == before["sha256"]
    assert stage(place, "A") == ("rendered", "lesveil approve", (), ())
    judge(place, "A.MP4", "Geertje", approve=True)
    agree(place, False)
    assert stage(place, "A") == ("approved", "lesveil run", ("1",), ())
    with pytest.raises(ApprovalError, match="may not be shown any more"):
        judge(place, "A.MP4", "Anna", approve=True)


def test_consent_comes_back_and_then_a_double_is_known(
    place: Workspace, delivered: Callable[[], None], seen: Any
) -> None:
    """What is delivered is hidden by one recall, and each time the reason that is told is the one that holds."""
    agree(place, False)
    assert stage(place, "A") == ("delivered", "lesveil recall", ("1",), ())
    agree(place, True)
    delivered()
    assert stage(place, "A") == ("delivered", "lesveil recall", ("1",), ("1",))
    seen["DCIM/100CANON/A.MP4"] = ALONE
    with workspace.opened(place.folder) as opened:
        (item,) = recall_plan(opened, TODAY)
        ((_, told),) = execute_recall(opened, digest_of([item]), TODAY)
        assert isinstance(told, dict), told
        assert told["outcome"] == "replaced"
    assert stage(place, "A") == ("delivered", "lesveil wipe", (), ())
    agree(place, False)
    assert stage(place, "A") == ("delivered", "lesveil wipe", (), ())


def test_what_was_taken_away_and_is_marked_later_comes_back_with_its_card(
    place: Workspace, delivered: Callable[[], None], tmp_path: Path
) -> None:
    with workspace.opened(place.folder) as opened:
        remove_clip(opened, "A.MP4")
    delivered()
    assert stage(place, "A")[:2] == ("removed", "")
    with pytest.raises(ApprovalError, match="put its card in"):
        judge(place, "A.MP4", "Geertje", approve=True)
    card.run_card(place, tmp_path / "one", TODAY, any_card=True)
    assert stage(place, "A") == ("rendered", "lesveil approve", (), ())
    assert shown(place) == {"A": [], "B": []}


def test_who_withdraws_after_a_double_was_known_is_told_to_have_withdrawn(
    place: Workspace, delivered: Callable[[], None]
) -> None:
    delivered()
    agree(place, False)
    assert stage(place, "A") == ("delivered", "lesveil recall", ("1",), ())
    clip = find(place, "A").clip
    assert [row.payload.get("because") for row in place.ledger.entries("lapsed", clip)] == ["double", None]
    reconcile(place, TODAY)
    assert len(place.ledger.entries("lapsed", clip)) == 2


def hand(place: Workspace, name: str, kind: str, track: int, start: int = 0, **more: str) -> None:
    """A repair as the reviewers' page writes it, carried out."""
    state = find(place, name)
    assert state.render is not None
    before = kept_beside.load(place.vault, state.clip, state.render["sha256"])
    assert before is not None
    row = {"id": "1" * 32, "kind": kind, "start": start, "stop": FRAMES, "track": track, "analysis": before.analysis}
    place.ledger.append("repair", state.clip, row | {"by": "G", "role": "coach", "said": "G"} | more)
    repair(place, state.clip, TODAY)


def places_shown(place: Workspace, name: str) -> list[tuple[int, int]]:
    return [(one["start"], one["stop"]) for one in (find(place, name).render or {})["kept"]]


def agree(place: Workspace, granted: bool) -> None:
    """A new list from administration, on which the person agrees or does not; enrolled again if they do."""
    person = ListedPerson(**ROOS | {"granted": granted, "recognition": granted})
    listed = ConsentList("l.csv", "0" * 64, (person,), (), False)
    place.register.apply(place.register.plan_import(listed, TODAY), allow_loss=True)
    if granted:
        workspace.save_templates(place, [ONE])
    reconcile(place, TODAY)


def archive(place: Workspace, folder: Path) -> None:
    (folder / "archive").mkdir()
    with (place.folder / "lesveil.toml").open("a", encoding="utf-8") as file:
        file.write(f"[deliver]\ntarget = 'folder'\nfolder = {json.dumps(str(folder / 'archive'))}\n")


@pytest.mark.usefixtures("three_at_once")
def test_clips_of_a_card_go_side_by_side_and_are_told_of_in_its_order(place: Workspace, film: Any, seen: Any) -> None:
    folder = film({"C": FILMED, "A": FILMED, "B": FILMED, "D": FILMED})
    films = folder / "DCIM/100CANON"
    films.joinpath("B.MP4").write_bytes(b"no film")
    films.joinpath("E.MP4").write_bytes(films.joinpath("A.MP4").read_bytes())  # one clip, though it lies there twice
    seen |= {"A": ALONE, "C": ALONE, "D": ALONE, "E": ALONE}
    together, among = Barrier(3), set()

    def progress(name: str, of: int) -> Any:
        waited: list[str] = []

        def told(stage: str, done: int, total: int) -> None:
            if stage == "render" and not waited:
                waited.append(name)
                together.wait(60)  # three are at it at once, or this never comes to pass

        if name.endswith(".MP4"):
            among.add(of)
        return told

    done = card.run_card(place, folder, TODAY, progress, any_card=True)
    assert [Path(state.file).stem for state in done.done] == ["A", "C", "D"]
    assert [name for name, _ in done.failed] == ["DCIM/100CANON/B.MP4"]
    assert among == {4}
    assert place.ledger.verify() == []
    assert len(list(place.finished.iterdir())) == 3


@pytest.mark.usefixtures("three_at_once")
def test_what_ends_one_ends_the_clips_beside_it(
    place: Workspace, film: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in one thread; the other's workers are let go, which is no failure of its clip."""
    folder = film({"A": FILMED, "B": FILMED})
    seen |= {"A": ALONE, "B": ALONE}
    both = Barrier(2)
    monkeypatch.setattr(interruption, "_asked", Event())

    def interrupted(clip: Any, plan: Any, *args: Any, **more: Any) -> Any:
        both.wait(60)
        interruption._asked.set()
        if plan.clip.startswith("A"):
            raise KeyboardInterrupt
        raise WorkerError("The workers have been let go.")

    monkeypatch.setattr(run, "render_checked", interrupted)
    with pytest.raises(KeyboardInterrupt):
        card.run_card(place, folder, TODAY, any_card=True)
    assert not list(place.finished.iterdir())
    assert not place.ledger.entries("failure")


def test_of_several_clips_the_nearest_double_counts(place: Workspace) -> None:
    for clip, day, far in (("a", FILMED, 0.2), ("b", FILMED, 0.15), ("c", TODAY, 0.1), ("b", FILMED, 0.18)):
        place.ledger.append("filmed", clip, {"day": day.isoformat()})
        place.ledger.append(DOUBLES, clip, {"nearest": {"1": far, "2": 0.3}})
    assert in_lesson(place.ledger, "x", FILMED) == {"1": 0.18, "2": 0.3}
    assert in_lesson(place.ledger, "b", FILMED) == {"1": 0.2, "2": 0.3}
    assert in_lesson(place.ledger, "a", TODAY) == {"1": 0.1, "2": 0.3}


decisions = st.lists(
    st.builds(
        Decision,
        track=st.integers(1, 4),
        start=st.integers(0, 50),
        stop=st.integers(51, 99),
        keep=st.booleans(),
        reason=st.sampled_from(list(Reason)),
        person=st.sampled_from([None, "1", "2"]),
        distance=st.one_of(st.none(), st.floats(0, 0.5)),
        ground=st.just("g"),
    )
)


@given(decisions, st.dictionaries(st.sampled_from(["1", "2", "3"]), st.floats(0, 0.5)))
def test_doubles_only_ever_hide(before: list[Decision], nearest: dict[str, float]) -> None:
    after = hidden_beside(before, nearest)
    assert hidden_beside(before, {}) == before
    assert hidden_beside(after, nearest) == after
    for old, new in zip(before, after, strict=True):
        if new != old:
            assert old.keep
            assert old.reason is Reason.MATCHED
            assert new == replace(old, keep=False, reason=Reason.TWO_PLACES, person=None, ground=None)
        elif new.keep and new.reason is Reason.MATCHED and new.person in nearest:
            assert new.distance is not None
            assert new.distance <= nearest[new.person] - CLEARLY + 1e-9
    assert np.all([not new.keep or old.keep for old, new in zip(before, after, strict=True)])


def test_who_was_shown_by_portraits_that_are_replaced_is_decided_anew(place: Workspace, film: Any, seen: Any) -> None:
    seen["A"] = ALONE
    card.run_card(place, film({"A": FILMED}), TODAY, any_card=True)
    assert shown(place) == {"A": ["1"]}
    place.ledger.append("enrolment", None, {"people": ["1"], "replaced": ["1"]})
    workspace.save_templates(place, [replace(ONE, template=-ONE.template)])
    card.run_card(place, None, TODAY)
    assert shown(place) == {"A": []}
    (made, again) = (
        row.payload["outcome"] for row in place.ledger.entries("receipt") if "kept" in row.payload["outcome"]
    )
    assert (made["enrolled"], again["enrolled"]) == (0, place.ledger.entries("enrolment")[-1].seq)


def test_of_a_film_that_does_not_say_its_day_the_earliest_counts(
    place: Workspace, film: Any, seen: Any, tmp_path: Path
) -> None:
    """A copy bears the day of copying, by which more people may have agreed."""
    seen["A"] = ALONE
    later = ListedPerson(**ROOS | {"start": FILMED + timedelta(2)})
    listed = ConsentList("l.csv", "1" * 64, (later,), (), False)
    place.register.apply(place.register.plan_import(listed, FILMED - timedelta(1)), allow_loss=True)
    card.run_card(place, film({"A": FILMED}), TODAY, any_card=True)
    assert shown(place) == {"A": []}
    copy = shutil.copytree(tmp_path / "card", tmp_path / "copy")
    at = datetime(TODAY.year, TODAY.month, TODAY.day, 12).timestamp()
    os.utime(copy / "DCIM/100CANON/A.MP4", (at, at))
    card.run_card(place, copy, TODAY, any_card=True)
    assert shown(place) == {"A": []}
    (state,) = states(place)
    assert state.filmed == FILMED.isoformat()
    place.ledger.append("filmed", state.clip, {"day": TODAY.isoformat()})  # as an older version took it
    card.run_card(place, copy, TODAY, any_card=True)
    assert [one.filmed for one in states(place)] == [FILMED.isoformat()]
