"""The register: imports are all or nothing, nobody is shown without a ground, and every past day can be answered."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.adapters import database
from pipeline.adapters import register as register_module
from pipeline.adapters.consent_list import ConsentList
from pipeline.adapters.consent_rows import ListedPerson
from pipeline.adapters.register import UNDECIDED, Register
from pipeline.adapters.register_rows import MIGRATIONS
from pipeline.consent import Ending, Giver, Terms, Why
from pipeline.errors import ConsentError

AUTUMN = date(2026, 9, 1)
D1, D2, D3 = date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)


def person(number: str = "1", **changes: object) -> ListedPerson:
    whole = ListedPerson(
        row=2,
        id=number,
        first_name="Roos",
        infix="van",
        last_name=f"Dalen{number}",
        group="3HA",
        portrait_folder=f"P{number}",
        birth=date(2012, 1, 1),
        purpose="beeldcoaching",
        granted=True,
        recognition=True,
        giver=Giver.PARENT,
        start=AUTUMN,
        end=None,
        withdrawn=None,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def no(number: str = "1", **changes: object) -> ListedPerson:
    return person(number, granted=False, **changes)


digests = (f"{number:064x}" for number in count(1000))


def bring(register: Register, on: date, *people: ListedPerson) -> int:
    return register.apply(register.plan_import(ConsentList("lijst.csv", next(digests), people), on))


def kept(register: Register, filmed: date, used: date, number: str = "1") -> bool:
    return register.may_be_shown(number, filmed, used).kept


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "register.db"


@pytest.fixture
def register(path: Path) -> Iterator[Register]:
    with Register.open(path) as opened:
        yield opened


def test_a_plan_names_who_gains_and_loses_and_changes_nothing(register: Register) -> None:
    bring(register, D1, person("1"), person("2"), person("3"), no("4"), person("5"))
    before = register.digest(D2)
    listed = (person("1"), no("2"), person("4"), person("5", group="4HA"), person("6"), no("7"))
    plan = register.plan_import(ConsentList("nieuw.csv", "1" * 64, listed), D2)
    assert plan.new == ("6", "7")
    assert plan.gone == ("3",)
    assert plan.gains == ("4", "6")
    assert set(plan.losses) == {"2", "3"}
    assert plan.unchanged == ("1",)
    assert plan.changed == ("2", "4", "5")
    assert plan.answers["3"].why is Why.NO_LONGER_LISTED
    assert register.digest(D2) == before
    register.apply(plan)
    assert {one.id: one.answer for one in register.people(D2)} == plan.answers
    assert register.digest(D2) != before


def test_it_remembers_after_closing_and_keeps_to_itself(register: Register, path: Path) -> None:
    bring(register, D1, person())
    register.close()
    with Register.open(path) as again:
        people = again.people(D1)
        assert people[0].name == "Roos van Dalen1"
        assert again.portrait_folder("1") == "P1"
        assert kept(again, D1, D1)
    assert path.stat().st_mode & 0o077 == 0
    assert "Roos" not in repr(people)


def test_someone_unknown_is_a_no(register: Register) -> None:
    assert register.may_be_shown("9", D1, D1).why is Why.NOT_LISTED
    assert register.portrait_folder("9") is None


def test_the_ground_is_the_row_that_first_said_so(register: Register) -> None:
    bring(register, D1, person(row=7))
    bring(register, D2, person(row=9))
    assert register.may_be_shown("1", D2, D2).ground == "import 1 row 7"


def test_a_person_missing_from_a_newer_list_is_not_shown_and_has_no_portraits(register: Register) -> None:
    bring(register, D1, person("1"), person("2"))
    bring(register, D2, person("2"))
    assert kept(register, D1, D2 - timedelta(1))
    assert not kept(register, D1, D2)
    assert register.portrait_folder("1") is None
    bring(register, D3, person("1"), person("2"))
    assert kept(register, D3, D3)
    assert kept(register, D1, D3)
    assert not kept(register, D2, D3)  # on that day the register held no consent, whatever date the list gives now


def test_a_yes_that_comes_back_with_a_later_date_counts_from_that_date(register: Register) -> None:
    bring(register, D1, no())
    bring(register, D3, person(start=D2))
    assert kept(register, D2, D3)
    assert not kept(register, D1, D3)


def test_an_undated_yes_counts_from_the_first_import_that_held_it(register: Register) -> None:
    bring(register, D1, person(start=None))
    bring(register, D2, person(start=None, group="4HA"))
    assert kept(register, D1, D2)
    assert not kept(register, D1 - timedelta(1), D2)


def test_withdrawn_today_is_not_shown_from_today(register: Register) -> None:
    bring(register, D1, person())
    register.withdraw("1", D2)
    register.withdraw("1", D2)
    assert kept(register, D1, D2 - timedelta(1))
    answer = register.may_be_shown("1", D1, D2)
    assert (answer.kept, answer.ground, answer.why) == (False, "withdrawal 1", Why.WITHDRAWN)


class Clock:
    """The clock by which the register notes when something was entered."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def says(self, day: date) -> date:
        self._patch.setattr(database, "now", lambda: f"{day.isoformat()}T10:00:00.000000+00:00")
        return day


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_what_was_entered_while_the_clock_ran_ahead_counts_at_once(register: Register, clock: Clock) -> None:
    bring(register, clock.says(D1), person("1"), person("2"), no("3"), no("4"))
    ahead = clock.says(date(2031, 5, 5))
    bring(register, ahead, no("1"), person("2"), person("3", start=None), person("4"))
    register.withdraw("2", ahead)
    clock.says(D2)
    assert not kept(register, D2, D2, "1")
    assert not kept(register, D2, D2, "2")
    assert not kept(register, D2, D2, "3"), "undated, and told on a day that is to come"
    with pytest.raises(ConsentError, match="--clock-is-right"):
        bring(register, D2, person("1"))

    register.settle_clock()
    register.settle_clock()
    for used in (D2, D3):
        clock.says(used)
        assert [kept(register, D2, used, number) for number in "1234"] == [False, False, True, True]
        assert not kept(register, D1, used, "3"), "nobody had said so by then"
    listed = ConsentList(
        "lijst.csv", "1" * 64, (person("1", start=D3), person("2", start=D3), person("3"), person("4"))
    )
    register.apply(register.plan_import(listed, D3), allow_loss=True)
    assert [kept(register, D3, D3, number) for number in "1234"] == [True] * 4


def test_a_withdrawal_dated_ahead_on_purpose_keeps_its_day(register: Register, clock: Clock) -> None:
    bring(register, clock.says(D1), person("1"))
    register.withdraw("1", D3)
    register.settle_clock()
    clock.says(D2)
    register.settle_clock()
    assert kept(register, D2, D2)
    assert not kept(register, D2, clock.says(D3))


def test_a_clock_set_back_and_said_to_be_right_undoes_no_withdrawal(register: Register, clock: Clock) -> None:
    bring(register, clock.says(D1), person("1", start=AUTUMN))
    register.withdraw("1", clock.says(D2))
    clock.says(date(2026, 3, 1))
    register.settle_clock()
    assert not kept(register, D3, clock.says(D3)), "the consent is of a later day than that clock's"


def test_an_old_list_does_not_undo_a_withdrawal_but_a_newer_consent_does(register: Register) -> None:
    bring(register, D1, person())
    register.withdraw("1", D2)
    plan = register.plan_import(ConsentList("lijst.csv", "0" * 64, (person(row=5),)), D2)
    assert [remark.row for remark in plan.remarks] == [5]
    register.apply(plan)
    assert not kept(register, D2, D3)
    bring(register, D3, person(start=None))
    assert not kept(register, D3, D3)
    bring(register, D3, person(start=D3))
    assert kept(register, D3, D3)


def test_a_withdrawal_that_vanishes_from_the_list_still_stands(register: Register) -> None:
    bring(register, D1, person(withdrawn=D1))
    bring(register, D2, person())
    answer = register.may_be_shown("1", D2, D3)
    assert (answer.kept, answer.ground) == (False, "import 1 row 2")


ZOE = {"first_name": "Zoë", "infix": "", "last_name": "Brandsma-Vos"}


@pytest.mark.parametrize(
    "name",
    [
        ZOE,
        {"first_name": "ZOE", "infix": "", "last_name": "Brandsma Vos"},
        {"first_name": "Zoe Anna", "infix": "de", "last_name": "Brandsma-Vos"},
        {"first_name": "Zoe", "infix": "", "last_name": "Brandsma"},
        {"first_name": "", "infix": "", "last_name": "BrandsmaVos, Zoë"},
    ],
)
@pytest.mark.parametrize("stated", [True, False])
def test_a_withdrawal_survives_a_new_number(register: Register, name: dict[str, str], stated: bool) -> None:
    bring(register, D1, person("41207", **ZOE, withdrawn=D1 if stated else None))
    if not stated:
        register.withdraw("41207", D1)
    plan = register.plan_import(ConsentList("q.csv", "1" * 64, (person("51207", **name),)), D2)
    assert plan.gains == plan.filmed_gains == ()
    assert [str(one) for one in plan.remarks] == [
        "Row 2: 51207 seems to be the same person as 41207, who withdrew consent, so the answer is no; only a consent"
        " with a later date undoes that; if they are two people, say lesveil consent alike 51207 41207 --are two --by"
        " NAME."
    ]
    register.apply(plan, allow_loss=True)
    assert register.may_be_shown("51207", D2, D2).why is Why.WITHDRAWN
    assert register.may_be_shown("51207", D2, D2, recognised=False).why is Why.WITHDRAWN
    assert not register.people(D2)[-1].answer.kept
    register.decide_alike("51207", "41207", 2, "Geertje")
    assert kept(register, D2, D2, "51207")


def test_a_consent_under_a_new_number_that_is_dated_later_counts(register: Register) -> None:
    bring(register, D1, person("41207", **ZOE))
    register.withdraw("41207", D1)
    plan = register.plan_import(ConsentList("q.csv", "1" * 64, (person("51207", **ZOE, start=D2),)), D2)
    assert (plan.gains, plan.remarks) == (("51207",), ())


def test_a_twin_and_a_namesake_keep_their_own_consent(register: Register) -> None:
    twin, namesake = {**ZOE, "first_name": "Tim"}, {**ZOE, "birth": date(2012, 1, 2)}
    bring(register, D1, person("1", **ZOE), person("2", **twin), person("3", **namesake))
    register.withdraw("1", D1)
    assert [kept(register, D1, D1, one) for one in "123"] == [False, True, True]
    assert register.selves("1") == []


def test_without_a_birth_date_the_whole_name_tells_who_it_is(register: Register) -> None:
    fields = {"giver": Giver.STAFF_FORM, "birth": None, **ZOE}
    people = (person("HUL", **fields), person("HUZ", **fields), person("BRA", **{**fields, "first_name": ""}))
    register.apply(register.plan_import(ConsentList("p.csv", "0" * 64, people, (), True), D1))
    register.withdraw("HUL", D1)
    assert [kept(register, D1, D1, one) for one in ("HUL", "HUZ", "BRA")] == [False, False, True]


def test_a_withdrawal_under_one_of_two_numbers_counts_for_both(register: Register) -> None:
    bring(register, D1, person("1", **ZOE), person("2", **ZOE), person("3"))
    assert register.selves("1") == ["2"]
    register.withdraw("2", D2)
    assert [kept(register, D1, D2, one) for one in "123"] == [False, False, True]
    register.decide_alike("1", "3", 1, "Geertje")
    register.withdraw("3", D1)
    assert not kept(register, D1, D1, "1")


def test_a_withdrawal_survives_a_second_new_number(register: Register) -> None:
    """Of the first two numbers somebody had to say that they are one; the third is known by the name of the second."""
    zoe, married = person("41207", **ZOE), {**ZOE, "last_name": "Abels"}
    bring(register, D1, zoe, person("51207", **married))
    register.decide_alike("51207", "41207", 1, "Geertje")
    register.withdraw("41207", D1)
    plan = register.plan_import(ConsentList("q.csv", "1" * 64, (person("61207", **married),)), D2)
    assert plan.gains == plan.filmed_gains == ()
    assert "61207 seems to be the same person as 41207, who withdrew" in str(plan.remarks[-1])
    register.apply(plan, allow_loss=True)
    assert not kept(register, D2, D2, "61207")
    assert register.selves("41207") == ["51207", "61207"]
    register.decide_alike("61207", "41207", 2, "Geertje")
    assert kept(register, D2, D2, "61207")
    assert not kept(register, D1, D1, "51207")


def test_what_another_process_changed_counts_at_once(register: Register, path: Path) -> None:
    bring(register, D1, person("1"), person("2"))
    assert kept(register, D1, D1)
    assert kept(register, D1, D1, "2")
    with Register.open(path) as other:
        other.withdraw("1", D1)
        assert not kept(register, D1, D1)
        other.decide_alike("1", "2", 1, "Geertje")
        assert not kept(register, D1, D1, "2")
        bring(other, D2, person("1", start=D2))
        assert kept(register, D2, D2)


@pytest.mark.parametrize("name", [ZOE, {**ZOE, "first_name": "Zoe Anna"}])
def test_a_no_under_another_number_of_the_same_list_is_a_no(register: Register, name: dict[str, str]) -> None:
    yes, torn = person("41207", **ZOE), person("51207", **name, granted=False, recognition=False, row=3)
    plan = register.plan_import(ConsentList("q.csv", "1" * 64, (yes, torn, person("3", row=4))), D1)
    assert (plan.gains, plan.filmed_gains) == (("3",), ("3",))
    assert [one.row for one in plan.remarks] == [2]
    register.apply(plan)
    assert register.may_be_shown("41207", D1, D1).ground == "import 1 row 3"
    assert not kept(register, AUTUMN, D1, "41207"), "the list dates the yes, and not the no"
    bring(register, D2, yes, person("3", row=4))
    assert kept(register, D2, D2, "41207")
    assert not kept(register, D1, D2, "41207")


def test_of_two_lines_that_differ_in_recognition_alone_that_is_a_no(register: Register) -> None:
    bring(register, D1, person("1", **ZOE), person("2", **ZOE, recognition=False, row=3))
    assert not kept(register, D1, D1)
    assert register.may_be_shown("1", D1, D1, recognised=False).kept


def test_a_no_on_one_list_that_takes_a_yes_from_the_other_says_what_to_do(register: Register) -> None:
    """Of staff no birth date is known, so a pupil of a teacher's name seems to be that teacher."""
    bring(register, D1, person("1", **ZOE), person("2", row=3))
    teacher = person("HUL", **ZOE | {"birth": None}, giver=Giver.STAFF_FORM, group="")
    bring_staff(register, D1, teacher)
    plan = register.plan_import(ConsentList("q.csv", "1" * 64, (no("1", **ZOE), person("2", row=3))), D2)
    assert (plan.losses, plan.answers["HUL"].why) == (("1", "HUL"), Why.OTHER_NUMBER), "nobody says HUL said no"
    assert "alike 1 HUL --are two" in "".join(map(str, plan.remarks))
    register.apply(plan)
    register.decide_alike("1", "HUL", 2, "Geertje")
    assert kept(register, D2, D2, "HUL")
    assert register.plan_import(ConsentList("q.csv", "2" * 64, (no("1", **ZOE), person("2", row=3))), D2).remarks == ()


def test_two_people_of_one_name_and_age_have_each_their_own_answer_once_somebody_said_so(register: Register) -> None:
    people = (person("1", **ZOE), no("2", **ZOE, row=3))
    bring(register, D1, *people)
    assert not kept(register, D1, D1)
    register.decide_alike("1", "2", 2, "Geertje")
    assert [kept(register, D1, D1, one) for one in "12"] == [True, False]
    plan = register.plan_import(ConsentList("q.csv", "1" * 64, (people[0], person("2", **ZOE, row=3))), D2)
    assert (plan.gains, plan.remarks) == (("2",), ()), "nor is it asked again"
    register.decide_alike("1", "2", 1, "Geertje")
    assert not kept(register, D1, D1)


def test_withdrawing_someone_unknown_is_refused(register: Register) -> None:
    with pytest.raises(ConsentError, match="no 9 in the register"):
        register.withdraw("9", D1)


def test_the_list_of_a_past_day_is_what_was_known_then(register: Register) -> None:
    bring(register, D1, person("1"))
    bring(register, D2, no("1", last_name="Anders"), person("2"))
    assert [(one.name, one.answer.kept) for one in register.people(D1)] == [("Roos van Dalen1", True)]
    assert [(one.id, one.answer.kept) for one in register.people(D2)] == [("1", False), ("2", True)]
    assert register.people(D1 - timedelta(1)) == []


def test_filmed_on_the_parents_word_and_used_on_the_own(register: Register) -> None:
    born = date(2010, 11, 1)
    bring(register, D1, person(birth=born))
    bring(register, D3, person(birth=born, giver=Giver.PUPIL, start=D2))
    assert register.may_be_shown("1", D1, D3).ground == "import 1 row 2; import 2 row 2"


def test_the_digest_changes_with_every_change_of_an_answer_and_holds_no_names(register: Register) -> None:
    bring(register, D1, person(birth=date(2010, 12, 1)))
    seen = [register.digest(D2), register.digest(D3)]  # the sixteenth birthday lies between
    assert register.digest(D2) == seen[0]
    bring(register, D2, person(birth=date(2010, 12, 1), last_name="Anders", row=2))
    renamed = register.digest(D2)
    register.withdraw("1", D2)
    assert len({*seen, register.digest(D2)}) == 3
    assert renamed != register.digest(D2)


def test_only_the_plan_that_was_shown_is_carried_out(register: Register) -> None:
    plan = register.plan_import(ConsentList("lijst.csv", "0" * 64, (person(),)), D1)
    bring(register, D1, no())
    with pytest.raises(ConsentError, match="changed since"):
        register.apply(plan)
    assert not kept(register, D1, D1)


def test_a_clock_that_was_set_back_is_refused(register: Register) -> None:
    bring(register, D2, person())
    with pytest.raises(ConsentError, match="clock"):
        bring(register, D1, person())


def test_an_import_that_breaks_off_leaves_the_register_as_it_was(
    register: Register, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(register, D1, person("1"), person("2"))
    before = register.digest(D2)
    plan = register.plan_import(ConsentList("lijst.csv", "0" * 64, (no("1"), person("3"))), D2)

    def broken(version: object) -> tuple[object, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr(register_module, "to_row", broken)
    with pytest.raises(KeyboardInterrupt):
        register.apply(plan)
    monkeypatch.undo()
    assert register.digest(D2) == before
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM imports").fetchone() == (1,)
    register.apply(plan)


def test_an_older_list_gives_nobody_consent_back_unless_somebody_says_so(register: Register) -> None:
    """The file lies there still, and is taken for the new one; who said no in between would be shown again."""
    old = ConsentList("old.csv", "a" * 64, (person("1"), person("2")))
    register.apply(register.plan_import(old, D1))
    assert register.plan_import(old, D1).imported is None, "the same again"
    bring(register, D2, no("1"), person("2"))
    assert not register.plan_import(replace(old, staff=True, people=(person("HUL"),)), D3).gives_back, "another kind"
    plan = register.plan_import(old, D3)
    assert (plan.imported, plan.gains) == (D1, ("1",))
    with pytest.raises(ConsentError, match=r"old\.csv is the list that was imported on 2026-10-01.*--allow-older"):
        register.apply(plan)
    assert not kept(register, D3, D3)
    register.apply(plan, allow_older=True)
    assert kept(register, D3, D3)
    bring(register, D3, person("1"), person("2"), person("3"))
    register.apply(register.plan_import(old, D3))
    assert not kept(register, D3, D3, "3"), "to take consent away it may be as old as it likes"


def test_an_older_list_does_not_give_back_what_is_still_to_end(register: Register) -> None:
    """Nobody gains by it today; but the newer list has consent end, and that day comes."""
    old = ConsentList("old.csv", "a" * 64, (person("1"), person("2")))
    register.apply(register.plan_import(old, D1))
    bring(register, D2, replace(person("1"), end=D3 + timedelta(1)), person("2"))
    plan = register.plan_import(old, D3)
    assert not plan.gains
    with pytest.raises(ConsentError, match="--allow-older"):
        register.apply(plan)


@pytest.mark.parametrize("content", [b"no database at all, only text", b"SQLite format 3\x00" + b"\xff" * 200])
def test_a_file_that_is_no_register_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConsentError, match=r"register\.db"):
        Register.open(path)


# --- losses, lists, numbers --------------------------------------------------------------------------------------


def school(*numbers: int, **changes: object) -> tuple[ListedPerson, ...]:
    return tuple(person(str(number), row=number + 2, **changes) for number in numbers)


@pytest.mark.parametrize(
    ("before", "after", "mass"), [(28, 14, True), (28, 25, True), (40, 37, False), (28, 26, False), (3, 1, True)]
)
def test_half_a_list_is_not_imported_by_accident(register: Register, before: int, after: int, mass: bool) -> None:
    bring(register, D1, *school(*range(before)))
    state = register.digest(D2)
    plan = register.plan_import(ConsentList("half.csv", "2" * 64, school(*range(after))), D2)
    assert plan.mass_loss is mass
    assert len(plan.losses) == len(plan.gone) == before - after
    if mass:
        with pytest.raises(ConsentError, match=rf"{before - after} of the {before} .*--allow-loss"):
            register.apply(plan)
        assert register.digest(D2) == state
    register.apply(plan, allow_loss=True)
    assert sum(one.answer.kept for one in register.people(D2)) == after


def bring_staff(register: Register, on: date, *people: ListedPerson) -> int:
    return register.apply(register.plan_import(ConsentList("staff.csv", "3" * 64, people, staff=True), on))


def test_pupils_and_staff_are_two_lists(register: Register) -> None:
    teacher = person("HUL", giver=Giver.STAFF_FORM, birth=None, group="")
    bring(register, D1, *school(1, 2, 3, 4))
    other = person("VEL", giver=Giver.STAFF_FORM, birth=None, group="")
    bring_staff(register, D1, teacher, other)
    assert {one.id: one.staff for one in register.people(D1)} == {
        "1": False, "2": False, "3": False, "4": False, "HUL": True, "VEL": True,
    }  # fmt: skip
    assert all(one.answer.kept for one in register.people(D1)), "neither list takes anything from the other"
    bring(register, D2, *school(1, 2, 3, 4))
    assert kept(register, D2, D2, "HUL")
    bring_staff(register, D3, other)
    assert register.may_be_shown("HUL", D3, D3).why is Why.NO_LONGER_LISTED
    assert kept(register, D3, D3, "1")


def test_one_number_is_not_a_pupils_and_a_teachers(register: Register) -> None:
    bring(register, D1, *school(1, 2))
    with pytest.raises(ConsentError, match=r"staff\.csv, row 9: this number is on the other list"):
        bring_staff(register, D2, person("1", giver=Giver.STAFF_FORM, birth=None, row=9))
    assert kept(register, D2, D2, "1")


@pytest.mark.parametrize(("before", "now"), [("00123", "123"), ("123", "0123"), ("JAN", "jan"), ("0a1", "A1")])
def test_a_number_that_is_written_otherwise_is_nobody_new(register: Register, before: str, now: str) -> None:
    """Whoever withdrew, even if no list holds them any more: an undated yes under the new spelling is refused."""
    undated = person(now, start=None, row=3)
    bring(register, D1, person("7"), person(before))
    register.withdraw(before, D1)
    bring(register, D2, person("7"))
    told = f"row 3: the number {now} was written {before} until now"
    with pytest.raises(ConsentError, match=told):
        bring(register, D3, person("7"), undated)
    with pytest.raises(ConsentError, match=told):
        bring(register, D3, person("7"), person(before), undated)
    assert not register.knows(now)
    bring(register, D3, person("7"), person(before))


def test_numbers_that_only_look_alike_are_two_people(register: Register) -> None:
    bring(register, D1, person("00123"), person("1230"))
    bring(register, D2, person("00123"), person("1230"), person("1203"), person("123A"), person("23"))
    assert len(register.people(D2)) == 5


def test_a_number_that_passed_on_takes_no_consent_along(register: Register) -> None:
    bring(register, D1, *school(1, 2, 3))
    other = person("1", first_name="Sem", last_name="Vos", birth=date(2013, 5, 5), start=D1, row=4)
    with pytest.raises(ConsentError, match="row 4: until now this number was somebody else's"):
        bring(register, D2, other, *school(2, 3))
    bring(register, D2, *school(2, 3))
    bring(register, D3, other, *school(2, 3))
    assert kept(register, D3, D3)
    assert not kept(register, D1, D3), "film of Roos is not shown on the word of Sem"
    assert register.people(D1)[0].name == "Roos van Dalen1"
    assert register.people(D1)[0].answer.kept
    assert register.people(D3)[0].name == "Sem van Vos"


@pytest.mark.parametrize(
    "changes",
    [
        {"last_name": "Anders"},
        {"birth": date(2012, 1, 2)},
        {"first_name": "Ro"},
        {"birth": None},
        {"birth": date(2012, 1, 2), "first_name": "ROÓS", "last_name": "Dalén1"},
        {"first_name": "", "infix": "", "last_name": "Roos van Dalen1"},
    ],
)
def test_a_mended_line_is_no_other_person(register: Register, changes: dict[str, object]) -> None:
    bring(register, D1, *school(1, 2))
    bring(register, D2, person("1", **changes), *school(2))
    assert register.plan_import(ConsentList("lijst.csv", "4" * 64, school(1, 2)), D2).gone == ()


def test_filmed_and_recognised_are_told_apart(register: Register) -> None:
    bring(register, D1, *school(1, recognition=False), *school(2))
    first, second = register.people(D1)
    assert (first.answer.kept, first.filmed.kept) == (False, True)
    assert (second.answer.kept, second.filmed.kept) == (True, True)
    assert register.may_be_shown("1", D1, D1, recognised=False).kept
    plan = register.plan_import(ConsentList("l.csv", "5" * 64, (*school(1, granted=False), *school(2))), D2)
    assert (plan.losses, plan.filmed_losses) == ((), ("1",))


def test_whose_consent_ends_soon(path: Path) -> None:
    with Register.open(path, Terms(grace_days=7)) as register:
        bring(register, D1, person("1", birth=date(2010, 11, 20)), person("2"))
        first, second = register.people(D2, 60)
        assert first.ending == Ending(date(2026, 11, 27), Why.OWN_WORD_NEEDED)
        assert second.ending is None
        assert register.people(D2)[0].ending is None
        assert kept(register, D1, date(2026, 11, 26))
        assert not kept(register, D1, date(2026, 11, 27))


def test_who_was_at_the_school_on_a_day(register: Register) -> None:
    bring(register, D1, *school(1, 2))
    bring(register, D2, *school(2))
    assert register.listed_on("1", D1)
    assert not register.listed_on("1", D2)
    assert not register.listed_on("1", D1 - timedelta(1))
    assert register.listed_on("2", D3)


def test_who_was_not_at_the_school_on_a_day_by_the_list_of_that_day(register: Register) -> None:
    bring(register, D1, *school(1, 2))
    bring(register, D2, *school(2))
    assert register.left_out_on("1", D2)
    assert not register.left_out_on("1", D1)
    assert not register.left_out_on("1", D1 - timedelta(1)), "there was no list yet"
    assert not register.left_out_on("2", D2)
    assert not register.left_out_on("99", D2), "nobody knows whether they were"


def test_the_latest_word_on_two_who_look_alike_counts(register: Register) -> None:
    bring(register, D1, *school(1, 2, 3))
    before = register.digest(D1)
    register.decide_alike("2", "1", 2, "Geertje")
    register.decide_alike("3", "2", 2, "Geertje")
    register.decide_alike("1", "2", 1, "Geertje")
    assert sorted(register.alikes()) == [("1", "2", 1), ("2", "3", 2)]
    assert register.digest(D1) != before
    for pair in (("1", "1"), ("1", "9")):
        with pytest.raises(ConsentError):
            register.decide_alike(*pair, 2, "Geertje")


def test_two_found_alike_are_remembered_until_both_are_seen_apart_or_somebody_decides(register: Register) -> None:
    bring(register, D1, *school(1, 2, 3))
    register.note_alikes([("2", "1")], {"1", "2", "3"})
    register.note_alikes([("1", "2")], {"1", "2", "3"})
    assert register.alikes() == [("1", "2", UNDECIDED)]
    register.note_alikes([], {"1", "3"})
    assert register.alikes() == [("1", "2", UNDECIDED)], "2 was not looked at"
    register.note_alikes([], {"1", "2"})
    assert register.alikes() == []
    register.decide_alike("1", "2", 1, "Geertje")
    register.note_alikes([], {"1", "2"})
    register.note_alikes([("1", "2")], {"1", "2"})
    assert register.alikes() == [("1", "2", 1)], "what a person decided stands"


def test_a_register_of_the_first_version_is_brought_up_to_date(path: Path) -> None:
    with closing(database.connect(path, MIGRATIONS[:1])) as old:
        old.execute(
            "INSERT INTO imports VALUES (1, '2026-10-01T09:00:00.000000+00:00', '2026-10-01', 'lijst.csv', '0', 1)"
        )
        old.execute(
            "INSERT INTO versions VALUES (1, 2, '1', 'Roos', '', 'Dalen', '3HA', 'P1', '2012-01-01', 'beeldcoaching',"
            " 1, 1, 'parent', '2026-09-01', NULL, NULL, '2026-09-01', NULL)"
        )
        old.execute("INSERT INTO withdrawals VALUES (1, '2026-11-01T09:00:00.000000+00:00', '1', '2026-11-01')")
    with Register.open(path) as register:
        assert kept(register, D1, D1)
        assert register.may_be_shown("1", D1, D2).ground == "withdrawal 1"
        assert not register.people(D1)[0].staff
    with closing(sqlite3.connect(path)) as now:
        assert now.execute("SELECT version FROM migrations ORDER BY version").fetchall() == [(1,), (2,), (3,)]


def test_a_register_of_a_later_version_is_left_alone(path: Path) -> None:
    Register.open(path).close()
    with closing(sqlite3.connect(path)) as later:
        later.execute("INSERT INTO migrations VALUES (99, 'then')")
        later.commit()
    with pytest.raises(ConsentError, match="newer Lesveil"):
        Register.open(path)


def test_ten_thousand_people_are_no_trouble(register: Register) -> None:
    people = tuple(person(str(number), row=number + 2) for number in range(10_000))
    bring(register, D1, *people)
    plan = register.plan_import(ConsentList("lijst.csv", "0" * 64, people), D2)
    assert len(plan.unchanged) == 10_000


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("import"),
            st.integers(0, 40),
            st.builds(
                person,
                granted=st.sampled_from([True, True, True, False]),
                recognition=st.sampled_from([True, True, True, False]),
                giver=st.sampled_from(Giver),
                start=st.none() | st.integers(0, 200).map(lambda n: AUTUMN + timedelta(n)),
                end=st.none() | st.none() | st.integers(50, 300).map(lambda n: AUTUMN + timedelta(n)),
                withdrawn=st.none() | st.none() | st.integers(0, 200).map(lambda n: AUTUMN + timedelta(n)),
                birth=st.sampled_from([date(2012, 1, 1), date(2008, 1, 1), None])
                | st.integers(0, 200).map(lambda n: date(2010, 9, 1) + timedelta(n)),  # 16 within the story
            ),
        ),
        st.tuples(st.just("import"), st.integers(0, 40), st.none()),
        st.tuples(st.just("withdraw"), st.integers(0, 40), st.none()),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=steps, filmed=st.integers(0, 200), used=st.integers(0, 60), grace=st.sampled_from([0, 0, 20]))
def test_no_sequence_of_imports_withdrawals_and_birthdays_keeps_someone_without_a_ground(
    steps: list[tuple[str, int, ListedPerson | None]], filmed: int, used: int, grace: int
) -> None:
    """Told once more from the story itself: what the latest list and the withdrawals said on the day of use."""
    today = D1
    latest: ListedPerson | None = None
    withdrawals: list[date] = []
    known = False
    lists: dict[str, ListedPerson] = {}
    with TemporaryDirectory() as folder, Register.open(Path(folder) / "r.db", Terms(grace_days=grace)) as register:
        for what, days, one in steps:
            today += timedelta(days)
            if what == "import":
                number = bring(register, today, person("other"), *([one] if one else []))
                latest, known = one, known or one is not None
                if one:
                    lists[f"import {number} row {one.row}"] = one
                    withdrawals += [one.withdrawn] if one.withdrawn else []
            elif known:
                register.withdraw("1", today)
                withdrawals.append(today)
        used_on, filmed_on = today + timedelta(used), min(AUTUMN + timedelta(filmed), today)
        answer = register.may_be_shown("1", filmed_on, used_on)
    if not answer.kept:
        return
    assert latest is not None
    assert latest.granted
    assert latest.recognition
    assert latest.birth or latest.giver is Giver.STAFF_FORM
    assert latest.giver is not Giver.UNKNOWN
    assert latest.end is None or used_on < latest.end
    assert all(used_on < on or (latest.start is not None and on < latest.start) for on in withdrawals)
    grounds = answer.ground.split("; ")
    assert set(grounds) <= set(lists)
    for ground, day in zip((grounds[0], grounds[-1]), (filmed_on, used_on), strict=True):
        stated = lists[ground]
        assert stated.says_yes
        assert stated.start is None or stated.start <= day
        assert stated.withdrawn is None or day < stated.withdrawn
        sixteen = stated.birth.replace(year=stated.birth.year + 16) if stated.birth else day
        if stated.giver is Giver.PARENT and stated.start is not None and stated.start >= sixteen:
            assert day < sixteen, "a parent's word given after the birthday is none, grace or not"
        assert stated.giver is not Giver.PARENT or day < sixteen + timedelta(grace)
        assert stated.giver is not Giver.PUPIL or day >= sixteen
