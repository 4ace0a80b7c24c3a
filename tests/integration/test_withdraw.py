"""Who is shown where, and what happens to it when consent ends: clips are found, marked, and taken out of the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import workspace
from pipeline.adapters.consent_list import ConsentList
from pipeline.adapters.consent_rows import ListedPerson
from pipeline.adapters.files import sha256_of
from pipeline.consent import Giver
from pipeline.errors import ApprovalError, ConsentError, NoConsentError, OutputNotWritableError
from pipeline.lesson.approve import judge
from pipeline.lesson.enrol import _without_doubles
from pipeline.lesson.recall import recall_plan
from pipeline.lesson.report import Wanted, report
from pipeline.lesson.report_page import page
from pipeline.lesson.report_person import about_person
from pipeline.lesson.report_words import in_words
from pipeline.lesson.state import State, consent_holds, find, states
from pipeline.lesson.teacher import expect_teacher, note_teacher, teacher_of
from pipeline.lesson.withdraw import reconcile, refuse_changed, withdraw
from pipeline.records import Person
from pipeline.workspace import Workspace

TODAY = date(2026, 11, 25)
FILMED = TODAY - timedelta(5)
ON = '[recognition]\nmode = "on"\n[privacy]\ndpia = "DPIA"\n'


def person(number: str, **changes: Any) -> ListedPerson:
    fields: dict[str, Any] = {
        "row": 2, "id": number, "first_name": "Roos", "infix": "", "last_name": f"D{number}", "group": "3HA",
        "portrait_folder": None, "birth": date(2012, 1, 1), "purpose": "beeldcoaching", "granted": True,
        "recognition": True, "giver": Giver.PARENT, "start": date(2026, 9, 1), "end": None, "withdrawn": None,
    }  # fmt: skip
    return ListedPerson(**{**fields, **changes})


def bring(place: Workspace, on: date, *people: ListedPerson, staff: bool = False) -> None:
    listed = ConsentList("l.csv", f"{len(place.ledger.entries()):x}{on}", people, (), staff)
    place.register.apply(place.register.plan_import(listed, on))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workspace]:
    folder = tmp_path / "w"
    workspace.create(folder)
    (folder / "lesveil.toml").write_text(ON, encoding="utf-8")
    with workspace.opened(folder) as opened:
        teacher = person("HUL", giver=Giver.STAFF_FORM, birth=None, recognition=False, group="")
        bring(opened, date(2026, 9, 1), *(person(str(n)) for n in range(1, 6)))
        bring(opened, date(2026, 9, 1), teacher, staff=True)
        yield opened


def clip(place: Workspace, name: str, *shown: str, by_hand: tuple[str, ...] = ()) -> Path:
    """A clip of FILMED that was copied and rendered; the rendering's file."""
    id = name * 8
    files = [{"path": f"DCIM/{name}.MP4", "sha256": id, "bytes": 1, "kind": "video"}]
    if not place.ledger.entries("ingest", id):
        place.ledger.append("ingest", id, {"sha256": id, "bytes": 1, "files": files, "card": "c"})
        place.ledger.append("filmed", id, {"day": FILMED.isoformat()})
    path = place.finished / f"{name}.{len(place.ledger.entries())}.mp4"
    path.write_bytes(path.name.encode())
    kept: list[dict[str, Any]] = [{"person": one, "start": 0, "stop": 5, "ground": "g"} for one in shown]
    kept += [{"person": one, "start": 0, "stop": 5, "ground": "g", "by_hand": True} for one in by_hand]
    outcome = {"sha256": sha256_of(path), "file": path.name, "kept": kept, "doubts": [], "seconds": 1}
    place.ledger.record("render", id, path.name, id, outcome)
    return path


def deliver(place: Workspace, path: Path, where: str = "") -> None:
    id = path.name.split(".")[0] * 8
    payload = {"sha256": sha256_of(path), "where": where or f"/archive/{path.name}", "is_archive": True}
    place.ledger.append("approval", id, {"sha256": sha256_of(path), "by": "x", "verdict": "approved"})
    place.ledger.append("delivery", id, payload)


def state(place: Workspace, name: str) -> State:
    return find(place, name)


def test_every_clip_that_shows_the_person_is_named_and_marked(place: Workspace) -> None:
    a, b, c = clip(place, "a", "1", "2"), clip(place, "b", "2"), clip(place, "c", "1")
    deliver(place, c)
    reach = withdraw(place, "1", TODAY, TODAY)
    assert [Path(one.file).stem for one in reach.clips] == ["a", "c"]
    assert (a.exists(), b.exists(), c.exists()) == (False, True, False)
    assert [(one.lapsed, one.waits_for) for one in states(place)] == [
        (("1",), "lesveil run"),
        ((), "lesveil approve"),
        (("1",), "lesveil recall"),
    ]
    assert not consent_holds(place, state(place, "a"), TODAY)
    assert [row.payload["person"] for row in place.ledger.entries("lapsed")] == ["1", "1"]
    assert place.ledger.verify() == []


def test_what_was_delivered_is_found_though_a_newer_rendering_hides_the_person(place: Workspace) -> None:
    old = clip(place, "a", "1")
    deliver(place, old)
    new = clip(place, "a", "2")
    assert [Path(one.file).stem for one in withdraw(place, "1", TODAY, TODAY).clips] == ["a"]
    assert state(place, "a").lapsed == ("1",)
    assert not state(place, "a").outdated
    assert (old.exists(), new.exists()) == (False, True)


def test_what_was_delivered_and_may_show_them_by_a_later_consent_is_not_named(place: Workspace) -> None:
    deliver(place, clip(place, "a", "1"))
    clip(place, "b", "1")
    agreed = date(2026, 9, 1)
    reach = withdraw(place, "1", agreed - timedelta(1), TODAY)
    assert reach.later == {"1": agreed}
    assert [Path(one.file).stem for one in reach.clips] == ["b"], "the next run has no template of theirs"
    assert recall_plan(place, TODAY) == []
    assert [Path(one.file).stem for one in withdraw(place, "1", agreed, TODAY).clips] == ["a", "b"]


def test_older_renderings_that_show_the_person_go_as_well(place: Workspace) -> None:
    old = clip(place, "a", "1")
    new = clip(place, "a", "2")
    assert withdraw(place, "1", TODAY, TODAY).clips == []
    assert (old.exists(), new.exists()) == (False, True)
    assert state(place, "a").lapsed == ()


def test_a_new_rendering_is_no_longer_marked(place: Workspace) -> None:
    clip(place, "a", "1", "2")
    withdraw(place, "1", TODAY, TODAY)
    assert state(place, "a").outdated
    clip(place, "a", "2")
    assert (state(place, "a").lapsed, state(place, "a").waits_for) == ((), "lesveil approve")


def test_nothing_is_marked_twice_and_a_crash_in_between_is_made_good(place: Workspace) -> None:
    path = clip(place, "a", "1")
    withdraw(place, "1", TODAY, TODAY)
    path.write_bytes(path.name.encode())  # as if the machine had stopped before the file went
    assert reconcile(place, TODAY).clips == []
    assert not path.exists()
    assert len(place.ledger.entries("lapsed")) == 1


def test_a_film_that_cannot_be_removed_keeps_no_other_from_being_marked(place: Workspace) -> None:
    """On Windows one that somebody watches in the review cannot be; here a folder takes its place."""
    a, b = clip(place, "a", "1"), clip(place, "b", "1")
    a.unlink()
    a.mkdir()
    with pytest.raises(OutputNotWritableError, match=str(a)):
        withdraw(place, "1", TODAY, TODAY)
    assert not b.exists()
    assert [one.lapsed for one in states(place)] == [("1",), ("1",)]
    a.rmdir()
    a.write_bytes(b"film")
    assert [Path(one.file).stem for one in withdraw(place, "1", TODAY, TODAY).clips] == ["a", "b"], "as it was told to"
    assert reconcile(place, TODAY).clips == []
    assert not a.exists()


def test_what_was_delivered_and_replaced_shows_nobody_any_more(place: Workspace) -> None:
    old = clip(place, "a", "1")
    deliver(place, old)
    new = clip(place, "a", "2")
    deliver(place, new, where=f"/archive/{old.name}")
    assert withdraw(place, "1", TODAY, TODAY).clips == []
    assert (old.exists(), new.exists()) == (False, True)
    assert reconcile(place, TODAY).clips == []
    assert place.ledger.entries("lapsed") == []


def test_a_delivery_that_is_told_again_is_still_the_one_that_was_marked(place: Workspace) -> None:
    """A folder that is said to be the archive later brings a new row, and no new film."""
    path = clip(place, "a", "1")
    deliver(place, path)
    withdraw(place, "1", TODAY, TODAY)
    path.write_bytes(path.name.encode())
    clip(place, "a", "2")
    deliver(place, path)
    assert (state(place, "a").lapsed, state(place, "a").waits_for) == (("1",), "lesveil recall")


def test_consent_that_ends_by_itself_is_found_by_the_next_run(place: Workspace) -> None:
    people = [person(str(n)) for n in range(2, 6)]
    sixteen = TODAY + timedelta(3)
    bring(place, FILMED, person("1", birth=sixteen.replace(year=sixteen.year - 16)), *people)
    clip(place, "a", "1")
    assert reconcile(place, TODAY).clips == []
    (marked,) = reconcile(place, sixteen).clips
    assert marked.lapsed == ("1",)


def test_a_withdrawal_for_a_later_day_names_the_clips_and_leaves_them(place: Workspace) -> None:
    path = clip(place, "a", "1")
    later = TODAY + timedelta(10)
    assert len(withdraw(place, "1", later, TODAY).clips) == 1
    assert path.exists()
    assert reconcile(place, later - timedelta(1)).clips == []
    assert len(reconcile(place, later).clips) == 1
    assert not path.exists()


def test_of_who_was_known_by_hand_consent_to_be_filmed_is_enough(place: Workspace) -> None:
    people = [person(str(n)) for n in range(2, 6)]
    bring(place, FILMED, person("1", recognition=False), *people)
    hand, program = clip(place, "a", by_hand=("1",)), clip(place, "b", "1")
    assert [Path(one.file).stem for one in reconcile(place, TODAY).clips] == ["b"]
    assert (hand.exists(), program.exists()) == (True, False)
    assert consent_holds(place, state(place, "a"), TODAY)
    withdraw(place, "1", TODAY, TODAY)
    assert not hand.exists()


def test_twins_are_shown_together_or_not_at_all(place: Workspace) -> None:
    path = clip(place, "a", "1")
    place.register.decide_alike("1", "2", 2, "Geertje")
    assert reconcile(place, TODAY).clips == []
    hand = clip(place, "b", by_hand=("1",))
    withdraw(place, "2", TODAY, TODAY)
    assert not path.exists()
    assert hand.exists(), "a person does not mistake one for the other"
    assert state(place, "a").lapsed == ("1",)
    place.register.decide_alike("1", "2", 1, "Geertje")  # but they are one
    reconcile(place, TODAY)
    assert not hand.exists()


def test_a_twin_who_says_no_counts_before_the_first_list_as_well(tmp_path: Path) -> None:
    """A consent that is dated reaches back before the list that brought it; so does a no of who looks like them."""
    folder, early = tmp_path / "w", date(2026, 9, 10)
    workspace.create(folder)
    with workspace.opened(folder) as place:
        bring(place, date(2026, 9, 20), person("1"), person("2", granted=False, recognition=False))
        assert set(workspace.grounds(place, ["1"], early, TODAY)) == {"1"}
        for people in (2, 1):
            place.register.decide_alike("1", "2", people, "Geertje")
            assert workspace.grounds(place, ["1"], early, TODAY) == {}


def test_an_old_copy_of_the_register_does_not_forget_who_looks_alike(place: Workspace) -> None:
    place.ledger.append("alike", None, {"pair": ["1", "2"], "people": 1, "by": "Geertje"})
    place.ledger.append("alike", None, {"pair": ["1", "2"], "people": 2, "by": "Geertje"})
    place.ledger.append("alike", None, {"pair": ["1", "99"], "people": 2, "by": "Geertje"})
    with workspace.opened(place.folder) as again:
        assert again.register.alikes() == [("1", "2", 2)]
        withdraw(again, "2", TODAY, TODAY)
        assert workspace.grounds(again, ["1"], FILMED, TODAY) == {}
    with workspace.opened(place.folder) as again:
        assert again.register.alikes() == [("1", "2", 2)]


def test_a_list_that_a_crash_kept_from_the_ledger_is_missed_in_an_old_copy_of_the_register(tmp_path: Path) -> None:
    workspace.create(tmp_path)
    with workspace.opened(tmp_path) as place:
        bring(place, date(2026, 9, 1), person("1"))
    (tmp_path / "old.db").write_bytes((tmp_path / "register.db").read_bytes())
    with workspace.opened(tmp_path) as place:
        bring(place, date(2026, 9, 20), person("1", granted=False, recognition=False))
    for _ in range(2):
        with workspace.opened(tmp_path) as place:
            assert [row.payload["import"] for row in place.ledger.entries("import")] == [1, 2]
    (tmp_path / "old.db").replace(tmp_path / "register.db")
    for _ in range(2):
        with pytest.raises(ConsentError, match="an old copy"), workspace.opened(tmp_path):
            pass


def test_an_old_copy_of_the_ledger_does_not_forget_that_two_are_one(place: Workspace) -> None:
    """The later word of the two counts, and both come to know it; so too where a crash kept it from the ledger."""
    place.ledger.append("alike", None, {"pair": ["1", "2"], "people": 2, "by": "Geertje"})
    place.register.decide_alike("1", "2", 2, "Geertje")
    place.register.decide_alike("1", "2", 1, "Anneke")
    place.register.decide_alike("3", "4", 2, "Anneke")
    withdraw(place, "1", TODAY, TODAY)
    for _ in range(2):
        with workspace.opened(place.folder) as again:
            assert sorted(again.register.alikes()) == [("1", "2", 1), ("3", "4", 2)]
            assert not again.register.may_be_shown("2", FILMED, TODAY, recognised=False).kept
            rows = [row.payload for row in again.ledger.entries("alike")]
    assert [(row["pair"], row["people"], row["by"]) for row in rows[1:]] == [
        (["1", "2"], 1, "Anneke"),
        (["3", "4"], 2, "Anneke"),
    ]


def test_a_twin_who_was_not_at_the_school_yet_does_not_matter(place: Workspace) -> None:
    place.register.decide_alike("1", "2", 2, "Geertje")
    people = [person("1"), *(person(str(n)) for n in range(3, 6))]
    bring(place, FILMED - timedelta(1), *people)  # 2 left the school before the film was made
    assert set(workspace.grounds(place, ["1"], FILMED, TODAY)) == {"1"}
    assert set(workspace.grounds(place, ["1"], FILMED - timedelta(5), TODAY)) == set(), "2 was there then"
    place.register.decide_alike("1", "2", 1, "Geertje")
    place.register.withdraw("2", FILMED - timedelta(1))
    assert workspace.grounds(place, ["1"], FILMED, TODAY) == {}, "one person: withdrawn is withdrawn"


@pytest.mark.parametrize("agrees", [False, True])
def test_a_twin_counts_under_a_new_number_too(place: Workspace, agrees: bool) -> None:
    place.register.decide_alike("1", "2", 2, "Geertje")
    again = person("9", last_name="D2", granted=agrees, recognition=agrees)
    bring(place, FILMED - timedelta(1), person("1"), again, *(person(str(n)) for n in range(3, 6)))
    assert set(workspace.grounds(place, ["1"], FILMED, TODAY)) == ({"1"} if agrees else set())
    place.register.decide_alike("9", "2", 2, "Geertje")  # somebody else, of one name and age with who left
    assert set(workspace.grounds(place, ["1"], FILMED, TODAY)) == {"1"}


def test_what_was_said_of_a_twins_new_number_is_not_asked_of_the_old_one_again(place: Workspace) -> None:
    """Nobody ever decided about the old number, and no portraits bear it any more."""
    place.register.note_alikes([("1", "2")], ["1", "2"])
    bring(place, FILMED - timedelta(1), person("9", last_name="D2"), *(person(n) for n in "1345"))
    assert workspace.grounds(place, ["1"], FILMED, TODAY) == {}
    twin = [Person("1", np.ones(128, np.float32), 1)]
    assert _without_doubles(place, twin, [], TODAY) == ([], [("1", "look_alike", "2")]), "and it says what to do"
    place.register.decide_alike("1", "9", 2, "Geertje")
    assert _without_doubles(place, twin, [], TODAY) == (twin, [])
    assert set(workspace.grounds(place, ["1", "9"], FILMED, TODAY)) == {"1", "9"}
    place.register.withdraw("9", TODAY)
    assert workspace.grounds(place, ["1"], FILMED, TODAY) == {}


def test_a_withdrawal_reaches_templates_and_clips_of_every_number(place: Workspace) -> None:
    """Two numbers on one list, and a third that somebody said is the same person."""
    people = [person(one, last_name="Dam") for one in ("1", "2")]
    bring(place, TODAY, *people, *(person(str(n)) for n in range(3, 6)))
    place.register.decide_alike("1", "3", 1, "Geertje")
    ids = ("1", "2", "3", "4")
    workspace.save_templates(place, [Person(one, np.ones(128, np.float32), 1) for one in ids])
    path = clip(place, "a", "2")
    deliver(place, path)
    ahead = TODAY + timedelta(3)
    reach = withdraw(place, "1", ahead, TODAY)
    assert reach.templates == ["1", "2", "3"]
    assert (list(reach.selves), [one.clip for one in reach.clips]) == (["2", "3"], ["a" * 8])
    assert [(one["clip"][0], one["people"]) for one in recall_plan(place, ahead)] == [("a", ["2"])]


@pytest.mark.parametrize("start", [TODAY - timedelta(9), TODAY + timedelta(9)])
def test_a_consent_that_is_dated_after_the_withdrawal_is_told(place: Workspace, start: date) -> None:
    """It counts, now or from its day on: nobody is to think that the person is hidden for good."""
    everyone = [person(str(n)) for n in range(3, 6)]
    bring(place, TODAY, person("1", last_name="Dam", start=start), person("2", last_name="Dam"), *everyone)
    on = min(TODAY, start - timedelta(1))
    assert withdraw(place, "2", on, TODAY).later == {"1": start}
    later = max(start, TODAY)
    assert place.register.may_be_shown("1", later, later).kept
    assert withdraw(place, "1", start, TODAY).later == {}
    assert not place.register.may_be_shown("1", later, later).kept
    assert withdraw(place, "1", on, TODAY).later == {}, "it was said before that this is taken back, too"
    assert withdraw(place, "3", TODAY, TODAY).later == {}


def test_who_entered_a_withdrawal_is_kept_and_told(place: Workspace) -> None:
    withdraw(place, "1", TODAY, TODAY)
    withdraw(place, "1", TODAY, TODAY, "A. Jansen")
    withdraw(place, "1", TODAY, TODAY, "somebody else")
    withdraw(place, "2", TODAY, TODAY, "A. Jansen")
    assert place.register.record("1").withdrawals[0].by == "A. Jansen", "the first who said so"
    told = report(place, Wanted(), TODAY)
    assert [(one["person"], one.get("by")) for one in told["withdrawals"]] == [
        ("1", None), ("1", "A. Jansen"), ("1", "somebody else"), ("2", "A. Jansen"),
    ]  # fmt: skip
    assert "<td>2</td><td>2026-11-25</td><td>A. Jansen</td>" in page(told, "report")
    assert "A. Jansen" in page(about_person(place, "1", TODAY), "person")


def test_who_entered_a_withdrawal_comes_back_with_it(place: Workspace) -> None:
    place.ledger.append("withdrawal", None, {"person": "1", "day": TODAY.isoformat(), "by": "A. Jansen"})
    with workspace.opened(place.folder) as again:
        assert [one.by for one in again.register.record("1").withdrawals] == ["A. Jansen"]


# --- the teacher --------------------------------------------------------------------------------------------------


def test_a_teacher_is_asked_for_only_where_the_school_says_so(place: Workspace) -> None:
    assert teacher_of(place, None, TODAY) is None
    (place.folder / "lesveil.toml").write_text("[consent]\nteacher_required = true\n")
    with workspace.opened(place.folder) as strict:
        with pytest.raises(NoConsentError, match="--teacher"):
            teacher_of(strict, None, TODAY)
        assert teacher_of(strict, "HUL", TODAY) == "HUL"
    (place.folder / "lesveil.toml").write_text('[consent]\nteacher = "HUL"\n')
    with workspace.opened(place.folder) as usual:
        assert teacher_of(usual, None, TODAY) == "HUL"
        with pytest.raises(NoConsentError, match=r"teacher NEMO .*not on any list"):
            teacher_of(usual, "NEMO", TODAY)


def test_a_teacher_is_asked_about_the_day_of_filming_too(place: Workspace) -> None:
    clip(place, "a")
    with pytest.raises(NoConsentError, match="2026-08-01"):
        note_teacher(place, "a" * 8, "HUL", date(2026, 8, 1), TODAY)
    note_teacher(place, "a" * 8, "HUL", FILMED, TODAY)
    note_teacher(place, "a" * 8, "HUL", FILMED, TODAY)
    (row,) = place.ledger.entries("teacher")
    assert row.payload == {"person": "HUL", "ground": "import 2 row 2"}
    assert state(place, "a").teacher == "HUL"


def test_who_was_refused_is_not_forgotten_by_a_run_that_names_nobody(place: Workspace) -> None:
    """With another card, or at night. What was made before of a lesson says nothing less about it by a slip later."""
    early = date(2026, 8, 1)
    expect_teacher(place, "b" * 8, "HUL", TODAY)
    for teacher in ("HUL", None):
        with pytest.raises(NoConsentError, match="2026-08-01"):
            note_teacher(place, "b" * 8, teacher, early, TODAY)
    (row,) = place.ledger.entries("teacher")
    assert (row.clip, row.payload) == ("b" * 8, {"person": "HUL", "ground": "import 2 row 2"})
    clip(place, "a")
    expect_teacher(place, "a" * 8, "HUL", TODAY)
    with pytest.raises(NoConsentError, match="2026-08-01"):
        note_teacher(place, "a" * 8, "HUL", early, TODAY)
    assert state(place, "a").teacher is None


def test_without_the_teachers_consent_the_clip_stops_though_nobody_is_shown(place: Workspace) -> None:
    path = clip(place, "a")
    note_teacher(place, "a" * 8, "HUL", FILMED, TODAY)
    assert consent_holds(place, state(place, "a"), TODAY)
    assert [Path(one.file).stem for one in withdraw(place, "HUL", TODAY, TODAY).clips] == ["a"]
    assert not path.exists()
    assert not consent_holds(place, state(place, "a"), TODAY)
    with pytest.raises(NoConsentError, match="withdrawn"):
        note_teacher(place, "a" * 8, None, FILMED, TODAY)  # a later run that names nobody


def test_a_rendering_made_while_somebody_withdrew_is_thrown_away(place: Workspace, tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    partial.write_bytes(b"film")
    made_on = workspace.grounds(place, ["1", "2"], FILMED, TODAY)
    refuse_changed(place, made_on, FILMED, TODAY, partial)
    assert partial.exists()
    withdraw(place, "2", TODAY, TODAY)
    with pytest.raises(NoConsentError, match="taken back while"):
        refuse_changed(place, made_on, FILMED, TODAY, partial)
    assert not partial.exists()


def replaced(place: Workspace, *people: str) -> None:
    place.ledger.append("enrolment", None, {"people": ["1", "2"], "replaced": list(people)})


def test_who_withdraws_the_morning_after_a_run_began_is_asked_about_that_day(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Morning(date):
        @classmethod
        def today(cls) -> Morning:
            return cls(2026, 11, 26)

    monkeypatch.setattr("pipeline.lesson.withdraw.date", Morning)
    partial = tmp_path / "a.partial"
    partial.write_bytes(b"film")
    refuse_changed(place, {"1"}, FILMED, TODAY, partial)
    withdraw(place, "1", Morning.today(), Morning.today())
    with pytest.raises(NoConsentError, match="while the clip was made"):
        refuse_changed(place, {"1"}, FILMED, TODAY, partial)
    assert not partial.exists()


def test_whom_wrong_portraits_showed_is_found_when_they_are_put_right(place: Workspace) -> None:
    a, b, c = clip(place, "a", "1", "2"), clip(place, "b", "1"), clip(place, "c", by_hand=("1",))
    deliver(place, b)
    replaced(place, "1")
    assert not consent_holds(place, state(place, "a"), TODAY)
    with pytest.raises(ApprovalError, match="lesveil run makes it anew"):
        judge(place, "a", "coach", True)
    reconcile(place, TODAY)
    found = state(place, "a")
    assert (found.lapsed, found.mistaken, found.ended, found.doubted) == (("1",), ("1",), (), ())
    assert (found.waits_for, a.exists()) == ("lesveil run", False)
    assert state(place, "b").waits_for == "lesveil recall"
    assert [(item["clip"][0], item["people"]) for item in recall_plan(place, TODAY)] == [("b", ["1"])]
    assert (state(place, "c").lapsed, c.exists()) == ((), True), "a person said so"
    clip(place, "a", "1")
    assert state(place, "a").waits_for == "lesveil approve"
    assert consent_holds(place, state(place, "a"), TODAY)
    assert reconcile(place, TODAY).clips == []


def test_a_repair_does_not_make_old_portraits_right(place: Workspace) -> None:
    """It goes by what was seen when the clip was looked through, whenever it is carried out."""
    path = clip(place, "a")
    replaced(place, "1")
    outcome = (state(place, "a").render or {}) | {"kept": [{"person": "1", "start": 0, "stop": 5, "ground": "g"}]}
    for enrolled, holds in ((0, False), (place.ledger.entries("enrolment")[-1].seq, True)):
        place.ledger.record("render", "a" * 8, f"k{enrolled}", "a" * 8, outcome | {"enrolled": enrolled})
        assert consent_holds(place, state(place, "a"), TODAY) is holds
    assert path.exists()


def test_who_ended_and_was_mistaken_is_told_to_have_ended(place: Workspace) -> None:
    clip(place, "a", "1")
    replaced(place, "1")
    place.register.withdraw("1", TODAY)
    reconcile(place, TODAY)
    found = state(place, "a")
    assert (found.lapsed, found.ended, found.mistaken) == (("1",), ("1",), ())


def test_without_recognition_nothing_leaves_that_shows_people_by_it(place: Workspace) -> None:
    a, b, _ = clip(place, "a", "1"), clip(place, "b", "1"), clip(place, "c", by_hand=("1",))
    deliver(place, b)
    (place.folder / "lesveil.toml").write_text("", encoding="utf-8")
    with workspace.opened(place.folder) as off:
        assert [consent_holds(off, state(off, name), TODAY) for name in "abc"] == [False, True, True]
        with pytest.raises(ApprovalError, match="lesveil run makes it anew"):
            judge(off, "a", "coach", True)
        reconcile(off, TODAY)
        assert [state(off, name).lapsed for name in "abc"] == [("1",), (), ()]
        assert (state(off, "a").waits_for, a.exists()) == ("lesveil run", False)
        assert (state(off, "b").waits_for, b.exists()) == ("lesveil wipe", True), "it was made while it was on"


def test_a_request_for_access_names_the_other_numbers(place: Workspace) -> None:
    bring(place, TODAY, *(person(one, last_name="Dam") for one in ("1", "2")), *(person(str(n)) for n in range(3, 6)))
    document = about_person(place, "1", TODAY)
    assert document["other_numbers"] == ["2"]
    said = "2 seems to be the same person: lesveil report --person 2 tells the rest."
    assert said in in_words(document, "person")
    assert said in page(document, "person")
