"""The rules: nobody is kept without a ground that is in force on both days, whatever the record looks like."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.consent import (
    TEXTS,
    Answer,
    ConsentRecord,
    ConsentRow,
    Ending,
    Giver,
    Terms,
    Why,
    Withdrawal,
    birthday,
    carries_since,
    ending,
    has_reached,
    may_be_shown,
)

BIRTH = date(2010, 11, 20)
SIXTEEN = date(2026, 11, 20)
START = date(2026, 9, 1)
FILMED = date(2026, 11, 10)
USED = date(2026, 11, 12)


def row(**changes: object) -> ConsentRow:
    whole = ConsentRow(
        person="1",
        birth=BIRTH,
        purpose="beeldcoaching",
        granted=True,
        recognition=True,
        giver=Giver.PARENT,
        start=START,
        since=START,
        end=None,
        withdrawn=None,
        imported=START,
        superseded=None,
        import_number=1,
        row=2,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def ask(
    *rows: ConsentRow, filmed: date = FILMED, used: date = USED, withdrawals: tuple[Withdrawal, ...] = ()
) -> Answer:
    return may_be_shown(ConsentRecord("1", rows, withdrawals), filmed, used)


def test_a_parents_word_keeps_someone_under_16_on_that_ground() -> None:
    assert ask(row()) == Answer(True, "import 1 row 2", Why.IN_FORCE)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"granted": False}, Why.PURPOSE_NOT_GRANTED),
        ({"recognition": False}, Why.RECOGNITION_NOT_GRANTED),
        ({"birth": None}, Why.NO_BIRTH_DATE),
        ({"purpose": "website"}, Why.OTHER_PURPOSE),
        ({"person": "2"}, Why.OTHER_PURPOSE),
        ({"giver": Giver.UNKNOWN}, Why.GIVER_UNKNOWN),
        ({"giver": Giver.PUPIL}, Why.PARENT_NEEDED),
        ({"giver": Giver.STAFF}, Why.NOT_STAFF),
        ({"end": USED}, Why.ENDED),
        ({"withdrawn": USED}, Why.WITHDRAWN),
        ({"withdrawn": FILMED}, Why.WITHDRAWN),
        ({"since": USED}, Why.NOT_YET),
        ({"imported": USED + timedelta(1)}, Why.NOT_YET_KNOWN),
        ({"superseded": USED}, Why.NO_LONGER_LISTED),
    ],
)
def test_whatever_is_missing_is_a_no_with_its_reason(changes: dict[str, object], why: Why) -> None:
    answer = ask(row(**changes))
    assert (answer.kept, answer.why) == (False, why)


def test_nobody_known_is_a_no() -> None:
    assert ask() == Answer(False, "", Why.NOT_LISTED)


def test_a_clock_that_runs_backwards_is_a_no() -> None:
    assert ask(row(), filmed=USED, used=FILMED).why is Why.USED_BEFORE_FILMED


def test_the_parents_word_ends_on_the_sixteenth_birthday() -> None:
    assert ask(row(), used=SIXTEEN - timedelta(1)).kept
    assert ask(row(), used=SIXTEEN).why is Why.OWN_WORD_NEEDED


def test_the_pupils_own_word_counts_from_16_and_only_when_given_from_16() -> None:
    own = row(giver=Giver.PUPIL, start=SIXTEEN, since=SIXTEEN, imported=SIXTEEN)
    assert ask(own, filmed=SIXTEEN, used=SIXTEEN).kept
    assert ask(row(giver=Giver.PUPIL), filmed=SIXTEEN, used=SIXTEEN).why is Why.OWN_WORD_GIVEN_TOO_YOUNG


def test_filmed_on_the_parents_word_and_used_on_the_own_names_both_grounds() -> None:
    parent = row(superseded=SIXTEEN)
    own = row(giver=Giver.PUPIL, start=SIXTEEN, since=SIXTEEN, imported=SIXTEEN, import_number=2, row=9)
    assert ask(parent, own, used=SIXTEEN) == Answer(True, "import 1 row 2; import 2 row 9", Why.IN_FORCE)
    assert ask(own, used=SIXTEEN).why is Why.NOT_YET


@pytest.mark.parametrize("giver", [Giver.ADMINISTRATION, Giver.PARENT_AND_PUPIL])
def test_a_word_of_both_or_that_the_school_checked_is_the_one_that_counted_when_it_was_given(giver: Giver) -> None:
    assert ask(row(giver=giver)).kept
    assert ask(row(giver=giver), used=SIXTEEN).why is Why.OWN_WORD_NEEDED
    assert ask(row(giver=giver, birth=date(2009, 1, 1))).kept


def test_staff_speak_for_themselves_when_grown_up() -> None:
    assert ask(row(giver=Giver.STAFF, birth=date(1980, 1, 1))).kept
    assert ask(row(giver=Giver.STAFF, birth=date(2009, 1, 1))).why is Why.NOT_STAFF


def test_a_grace_prolongs_what_a_parent_said_before_the_birthday_and_nothing_else() -> None:
    def ask_in(grace: int, used: date, **changes: object) -> Why:
        return may_be_shown(ConsentRecord("1", (row(**changes),)), FILMED, used, Terms(grace_days=grace)).why

    last = SIXTEEN + timedelta(13)
    assert ask_in(14, last) is Why.IN_FORCE
    assert ask_in(14, last + timedelta(1)) is Why.OWN_WORD_NEEDED
    assert ask_in(0, SIXTEEN) is Why.OWN_WORD_NEEDED
    assert ask_in(14, SIXTEEN, giver=Giver.PUPIL) is Why.OWN_WORD_GIVEN_TOO_YOUNG
    assert ask_in(92, FILMED, birth=date(2010, 8, 25), start=START) is Why.OWN_WORD_NEEDED, "a parent's word at 16"
    assert ask_in(92, FILMED, birth=date(2010, 8, 25), start=date(2026, 8, 24), since=START) is Why.IN_FORCE


def test_filmed_is_not_recognised() -> None:
    record = ConsentRecord("1", (row(recognition=False),))
    assert may_be_shown(record, FILMED, USED).why is Why.RECOGNITION_NOT_GRANTED
    assert may_be_shown(record, FILMED, USED, recognised=False).kept
    assert not may_be_shown(ConsentRecord("1", (row(granted=False),)), FILMED, USED, recognised=False).kept


def test_the_staffs_own_form_needs_no_birth_date() -> None:
    assert ask(row(giver=Giver.STAFF_FORM, birth=None)).kept
    assert ask(row(giver=Giver.STAFF_FORM, birth=date(2009, 1, 1))).kept  # a trainee of 17
    assert ask(row(giver=Giver.STAFF_FORM, birth=date(2012, 1, 1))).why is Why.NOT_STAFF
    assert ask(row(giver=Giver.STAFF, birth=None)).why is Why.NO_BIRTH_DATE


def test_what_ends_soon_is_told_beforehand_with_the_first_day_without() -> None:
    record = ConsentRecord("1", (row(),))
    assert ending(record, FILMED, 60) == Ending(SIXTEEN, Why.OWN_WORD_NEEDED)
    assert ending(record, FILMED, 9) is None
    assert ending(record, SIXTEEN, 60) is None, "it has ended"
    assert ending(record, SIXTEEN, 60, Terms(grace_days=30)) == Ending(SIXTEEN + timedelta(30), Why.OWN_WORD_NEEDED)
    ends = ConsentRecord("1", (row(end=FILMED + timedelta(3)),))
    assert ending(ends, FILMED, 60) == Ending(FILMED + timedelta(3), Why.ENDED)
    ahead = ConsentRecord("1", (row(),), (Withdrawal(FILMED + timedelta(2), "withdrawal 1"),))
    assert ending(ahead, FILMED, 60) == Ending(FILMED + timedelta(2), Why.WITHDRAWN)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"granted": False}, Why.OTHER_NUMBER),
        ({"recognition": False}, Why.OTHER_NUMBER),
        ({"end": USED}, Why.ENDED),
        ({"granted": False, "superseded": FILMED + timedelta(1)}, Why.OTHER_NUMBER),
        ({"granted": False, "superseded": FILMED}, Why.IN_FORCE),
        ({"granted": False, "purpose": "website"}, Why.IN_FORCE),
        ({"granted": False, "imported": USED + timedelta(1)}, Why.IN_FORCE),
        ({"birth": None, "giver": Giver.UNKNOWN}, Why.IN_FORCE),
    ],
)
def test_a_line_under_another_number_gives_nothing_and_its_no_is_one(changes: dict[str, object], why: Why) -> None:
    other = row(person="2", row=3, **changes)
    answer = may_be_shown(ConsentRecord("1", (row(),), elsewhere=(other,)), FILMED, USED)
    assert (answer.why, answer.ground) == (why, "import 1 row 2" if answer.kept else "import 1 row 3")
    assert not may_be_shown(ConsentRecord("1", (), elsewhere=(row(person="2"),)), FILMED, USED).kept
    if why is Why.ENDED:
        assert ending(ConsentRecord("1", (row(),), elsewhere=(other,)), FILMED, 60) == Ending(USED, why)


def test_every_reason_has_its_words() -> None:
    assert set(TEXTS) == set(Why)


def test_a_withdrawal_counts_from_its_day_until_a_consent_with_a_later_date() -> None:
    taken_back = (Withdrawal(FILMED, "withdrawal 1"),)
    earlier = FILMED - timedelta(1)
    assert ask(row(), filmed=earlier, used=earlier, withdrawals=taken_back).kept
    assert ask(row(), withdrawals=taken_back) == Answer(False, "withdrawal 1", Why.WITHDRAWN)
    again = row(start=USED, since=USED)
    assert ask(again, filmed=USED, used=USED, withdrawals=taken_back).kept
    assert ask(row(start=FILMED, since=FILMED), withdrawals=taken_back).why is Why.WITHDRAWN
    assert ask(row(start=None, since=USED), filmed=USED, used=USED, withdrawals=taken_back).why is Why.WITHDRAWN


def test_born_on_29_february() -> None:
    assert not has_reached(17, date(2012, 2, 29), date(2029, 2, 28))
    assert has_reached(17, date(2012, 2, 29), date(2029, 3, 1))
    for years in (16, 17):
        day = birthday(years, date(2012, 2, 29))
        assert has_reached(years, date(2012, 2, 29), day)
        assert not has_reached(years, date(2012, 2, 29), day - timedelta(1))


def test_a_yes_does_not_reach_back_over_a_no_that_we_were_told() -> None:
    assert carries_since(START, USED, None) == START
    assert carries_since(None, USED, None) == USED
    assert carries_since(START, USED, START) == USED
    assert carries_since(START, USED, START - timedelta(1)) == START


def test_a_yes_without_a_ground_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="ground"):
        Answer(True, "", Why.IN_FORCE)
    with pytest.raises(ValueError, match="ground"):
        Answer(True, "import 1 row 2", Why.WITHDRAWN)


def between(first: int, last: int) -> st.SearchStrategy[date]:
    return st.integers(first, last).map(lambda n: date(2025, 1, 1) + timedelta(n))


# Weighed so that about one answer in six is yes: a property of "kept" says little about records that never are.
early, days, late = between(0, 400), between(0, 1200), between(700, 1200)
pairs = st.tuples(between(300, 900), between(300, 900)).map(sorted)
limit = st.none() | st.none() | late | days
own_or_parent = st.sampled_from([Giver.PARENT, Giver.PUPIL, Giver.PARENT_AND_PUPIL, Giver.ADMINISTRATION])
rows = st.builds(
    ConsentRow,
    person=st.sampled_from(["1"] * 9 + ["2"]),
    birth=st.integers(0, 4000).map(lambda n: date(2004, 1, 1) + timedelta(n)) | st.just(date(1980, 2, 29)) | st.none(),
    purpose=st.sampled_from(["beeldcoaching"] * 9 + ["website"]),
    granted=st.sampled_from([True] * 5 + [False]),
    recognition=st.sampled_from([True] * 5 + [False]),
    giver=own_or_parent | st.sampled_from(Giver),
    start=st.none() | early | days,
    since=early | days,
    end=limit,
    withdrawn=limit,
    imported=early | days,
    superseded=limit,
    import_number=st.integers(1, 5),
    row=st.integers(2, 9),
)
records = st.builds(
    ConsentRecord,
    person=st.just("1"),
    rows=st.lists(rows, min_size=1, max_size=4).map(tuple),
    withdrawals=st.lists(st.builds(Withdrawal, late | days, st.just("withdrawal 1")), max_size=1).map(tuple),
    elsewhere=st.lists(rows, max_size=1).map(tuple),
)


def carries(record: ConsentRecord, one: ConsentRow, on: date, grace: int = 0, recognised: bool = True) -> bool:
    """The law and the school's procedure once more, written as one sentence instead of as a list of refusals."""
    # 16 years after a leap year is a leap year (until 2084), so 29 February needs no care here.
    sixteenth = date.max if one.birth is None else one.birth.replace(year=one.birth.year + 16)
    word_from = one.start or one.since
    parent = on < sixteenth or (word_from < sixteenth and (on - sixteenth).days < grace)
    return (
        one.person == record.person
        and one.purpose == "beeldcoaching"
        and one.granted
        and (one.recognition or not recognised)
        and (one.birth is not None or one.giver is Giver.STAFF_FORM)
        and one.since <= on
        and all(limit is None or on < limit for limit in (one.end, one.withdrawn, one.superseded))
        and all(on < w.on or (one.start is not None and w.on < one.start) for w in record.withdrawals)
        and (
            (one.giver is Giver.PARENT and parent)
            or (one.giver in (Giver.ADMINISTRATION, Giver.PARENT_AND_PUPIL) and word_from < sixteenth and parent)
            or (one.giver is Giver.ADMINISTRATION and sixteenth <= min(on, word_from))
            or (one.giver is Giver.STAFF_FORM and (one.birth is None or sixteenth <= min(on, word_from)))
            or (one.giver in (Giver.PUPIL, Giver.PARENT_AND_PUPIL) and sixteenth <= min(on, word_from))
            or (one.giver is Giver.STAFF and has_reached(18, one.birth or on, min(on, word_from)))
        )
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records, pairs, st.sampled_from([0, 0, 14, 92]), st.booleans())
def test_kept_means_a_named_ground_in_force_on_both_days(
    record: ConsentRecord, pair: list[date], grace: int, recognised: bool
) -> None:
    filmed, used = pair
    answer = may_be_shown(record, filmed, used, Terms(grace_days=grace), recognised=recognised)
    on_filming = {one.ground for one in record.rows if carries(record, one, filmed, grace, recognised)}
    on_use = {
        one.ground for one in record.rows if carries(record, one, used, grace, recognised) and one.imported <= used
    }
    if answer.kept:
        first, _, second = answer.ground.partition("; ")
        assert first in on_filming
        assert (second or first) in on_use
        # Taken back on the day of use, it is no longer used.
        taken = replace(record, withdrawals=(*record.withdrawals, Withdrawal(used, "w")))
        if all(one.start is None or one.start <= used for one in record.rows):
            assert not may_be_shown(taken, filmed, used).kept


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records, between(300, 900), st.sampled_from([0, 30]))
def test_an_ending_is_the_first_day_without_consent(record: ConsentRecord, on: date, grace: int) -> None:
    terms = Terms(grace_days=grace)
    found = ending(record, on, 400, terms)

    def still(day: date) -> bool:
        return may_be_shown(record, on, day, terms, recognised=False).kept

    first = next((day for n in range(401) if not still(day := on + timedelta(n))), None)
    assert (found.on if found else None) == (None if first == on else first)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records, pairs)
def test_less_consent_never_shows_more(record: ConsentRecord, pair: list[date]) -> None:
    filmed, used = pair
    if may_be_shown(record, filmed, used).kept:
        return
    for change in ({"granted": False}, {"recognition": False}, {"birth": None}, {"giver": Giver.UNKNOWN}):
        for at, one in enumerate(record.rows):
            less = (*record.rows[:at], replace(one, **change), *record.rows[at + 1 :])
            assert not may_be_shown(replace(record, rows=less), filmed, used).kept
