"""The rules, pure: who may be shown on a day, and on what ground.

The answer is no unless everything needed for a yes is there. Under 16 only a parent's or guardian's word counts, from
16 only the pupil's own (UAVG art. 5); agreeing to be filmed is not agreeing to be recognised (GDPR art. 9), so whom the
program itself is to recognise needs both; and all is asked on the day of filming and on the day of use, because consent
may end in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

OWN_WORD_FROM = 16
"""Age in years from which the pupil's own word is needed and the parent's no longer carries."""
STAFF_FROM = 18
"""Below this a "staff" word on the pupils' list is more likely a teacher who signed for a pupil, and nobody may."""
PURPOSE = "beeldcoaching"


class Giver(StrEnum):
    """Whose word a line of the list holds."""

    PUPIL = "pupil"
    PARENT = "parent"
    PARENT_AND_PUPIL = "parent_and_pupil"
    STAFF = "staff"
    """A line of the pupils' list that says it is a member of staff."""
    STAFF_FORM = "staff_form"
    """A line of the staff's own list: whoever stands on it signed for themselves."""
    ADMINISTRATION = "administration"
    """The list does not say, and the school states in lesveil.toml that it checked."""
    UNKNOWN = "unknown"


class Why(StrEnum):
    """The reason for an answer. Its text for people is in `TEXTS`."""

    IN_FORCE = "in_force"
    NOT_LISTED = "not_listed"
    NO_LONGER_LISTED = "no_longer_listed"
    OTHER_PURPOSE = "other_purpose"
    PURPOSE_NOT_GRANTED = "purpose_not_granted"
    RECOGNITION_NOT_GRANTED = "recognition_not_granted"
    OTHER_NUMBER = "other_number"
    NO_BIRTH_DATE = "no_birth_date"
    NOT_YET = "not_yet"
    NOT_YET_KNOWN = "not_yet_known"
    ENDED = "ended"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    GIVER_UNKNOWN = "giver_unknown"
    PARENT_NEEDED = "parent_needed"
    OWN_WORD_NEEDED = "own_word_needed"
    OWN_WORD_GIVEN_TOO_YOUNG = "own_word_given_too_young"
    NOT_STAFF = "not_staff"
    USED_BEFORE_FILMED = "used_before_filmed"


TEXTS: Mapping[Why, str] = {
    Why.IN_FORCE: "consent is in force",
    Why.NOT_LISTED: "not on any list",
    Why.NO_LONGER_LISTED: "no longer on the list",
    Why.OTHER_PURPOSE: "agreed to another purpose only",
    Why.PURPOSE_NOT_GRANTED: "did not agree to be filmed",
    Why.RECOGNITION_NOT_GRANTED: "did not agree to be recognised",
    Why.OTHER_NUMBER: "under another number that seems to be theirs the answer is no",
    Why.NO_BIRTH_DATE: "the birth date is missing",
    Why.NOT_YET: "consent starts later",
    Why.NOT_YET_KNOWN: "not on any list by that day",
    Why.ENDED: "consent has ended",
    Why.SUPERSEDED: "a newer list says otherwise",
    Why.WITHDRAWN: "consent was withdrawn",
    Why.GIVER_UNKNOWN: "nobody knows whose word it is",
    Why.PARENT_NEEDED: "under 16, so a parent's word is needed",
    Why.OWN_WORD_NEEDED: "16 or older, so the pupil's own word is needed",
    Why.OWN_WORD_GIVEN_TOO_YOUNG: "the pupil's own word was given before the 16th birthday",
    Why.NOT_STAFF: "listed as staff, but too young for it",
    Why.USED_BEFORE_FILMED: "filmed later than used: a clock is wrong",
}
"""Each reason in words, for ``tr``."""


@dataclass(frozen=True)
class ConsentRow:
    """One version of a person's consent, as a row of an import stated it.

    ``start`` is the date that the list gives, ``since`` the first day on which the row carries (see `carries_since`).
    ``end``, ``withdrawn`` and ``superseded`` (a newer import says otherwise, or leaves the person out) are the first
    days on which it does not.
    """

    person: str
    birth: date | None
    purpose: str
    granted: bool
    recognition: bool
    giver: Giver
    start: date | None
    since: date
    end: date | None
    withdrawn: date | None
    imported: date
    superseded: date | None
    import_number: int
    row: int

    @property
    def ground(self) -> str:
        return f"import {self.import_number} row {self.row}"

    @property
    def says_yes(self) -> bool:
        return self.granted and self.recognition


@dataclass(frozen=True)
class Withdrawal:
    """Consent taken back from the day ``on``: ``ground`` says where that was learned, ``by`` who entered it, or ""."""

    on: date
    ground: str
    by: str = ""


@dataclass(frozen=True)
class ConsentRecord:
    """All that the register knows of one person's consent: its versions, oldest first, and the withdrawals.

    ``elsewhere`` are the versions under other numbers of the same person: they give nothing, and a no in them is one.
    """

    person: str
    rows: tuple[ConsentRow, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
    elsewhere: tuple[ConsentRow, ...] = ()


@dataclass(frozen=True)
class Answer:
    """May this person be shown? ``ground`` names the rows of imports, or the withdrawal, that decided it.

    ``ground`` is empty only where the register holds nothing at all about the person.
    """

    kept: bool
    ground: str
    why: Why

    def __post_init__(self) -> None:
        if self.kept and (not self.ground or self.why is not Why.IN_FORCE):
            raise ValueError("nobody is kept without a ground that is in force")


def has_reached(years: int, birth: date, on: date) -> bool:
    """Whether someone born on ``birth`` is ``years`` or older on the day ``on``; 29 February counts as 1 March."""
    return (on.year - years, on.month, on.day) >= (birth.year, birth.month, birth.day)


def birthday(years: int, birth: date) -> date:
    """The day on which someone born on ``birth`` becomes ``years`` old; `has_reached` is true from that day on."""
    try:
        return birth.replace(year=birth.year + years)
    except ValueError:  # 29 February, in a year without one
        return date(birth.year + years, 3, 1)


def carries_since(start: date | None, imported: date, last_no: date | None) -> date:
    """The first day on which a row carries.

    An undated yes carries from the day we were told. A dated one carries from its date, unless an import on or after
    that date (``last_no``) told us no: then two lists contradict each other about the days between.
    """
    if start is None or (last_no is not None and start <= last_no):
        return imported
    return start


@dataclass(frozen=True)
class Terms:
    """What a school settles about consent, besides the law."""

    purpose: str = PURPOSE
    grace_days: int = 0
    """Days after the 16th birthday on which a parent's word, given before it, still carries."""


USUAL = Terms()


@dataclass(frozen=True)
class Ending:
    """The first day ``on`` which a consent that is in force no longer is, as far as is known today; and why."""

    on: date
    why: Why


def may_be_shown(
    record: ConsentRecord, filmed_on: date, used_on: date, terms: Terms = USUAL, *, recognised: bool = True
) -> Answer:
    """Whether ``record``'s person may be recognisable in what was filmed on one day and is used on another.

    ``recognised``: by the program, which needs consent to that as well. False asks for consent to be filmed alone: for
    the teacher of a clip, and for somebody whom a person knows and un-hides by hand.
    """
    if used_on < filmed_on:
        # A clock is wrong, and no rule about days can be trusted with it.
        return Answer(False, "", Why.USED_BEFORE_FILMED)
    record = replace(record, elsewhere=tuple(row for row in record.elsewhere if row.imported <= used_on))
    # Asked first about the day of use: that answer is what someone who wonders wants to hear.
    on_use = _best(record, [row for row in record.rows if row.imported <= used_on], used_on, terms, recognised)
    if not on_use.kept:
        return on_use
    on_filming = _best(record, record.rows, filmed_on, terms, recognised)
    if not on_filming.kept:
        return on_filming
    grounds = dict.fromkeys((on_filming.ground, on_use.ground))
    return Answer(True, "; ".join(grounds), Why.IN_FORCE)


def ending(record: ConsentRecord, on: date, within: int, terms: Terms = USUAL) -> Ending | None:
    """When the consent to be filmed that is in force on the day ``on`` ends, if that is within so many days.

    Known beforehand are the end that a list gives, a withdrawal dated ahead, and a 16th birthday.
    """
    if not may_be_shown(record, on, on, terms, recognised=False).kept:
        return None
    days = {withdrawal.on for withdrawal in record.withdrawals}
    for row in record.rows:
        days |= {day for day in (row.end, row.withdrawn, row.superseded) if day is not None}
        if row.birth is not None:
            days.add(birthday(OWN_WORD_FROM, row.birth) + timedelta(terms.grace_days))
    days |= {row.end for row in record.elsewhere if row.end is not None}
    for day in sorted(day for day in days if on < day <= on + timedelta(within)):
        answer = may_be_shown(record, on, day, terms, recognised=False)
        if not answer.kept:
            return Ending(day, answer.why)
    return None


def _best(record: ConsentRecord, rows: Iterable[ConsentRow], day: date, terms: Terms, recognised: bool) -> Answer:
    """The answer of the first row that carries on ``day``; else the newest row's reason for not carrying."""
    answer: Answer | None = None
    for row in sorted(rows, key=lambda row: row.import_number, reverse=True):
        judged = _judge(record, row, day, terms, recognised)
        if judged.kept:
            return judged
        answer = answer or judged
    if answer is None:
        return Answer(False, "", Why.NOT_YET_KNOWN if record.rows else Why.NOT_LISTED)
    if answer.why is Why.SUPERSEDED:
        return Answer(False, answer.ground, Why.NO_LONGER_LISTED)
    return answer


def _judge(record: ConsentRecord, row: ConsentRow, day: date, terms: Terms, recognised: bool) -> Answer:
    def no(why: Why, ground: str = row.ground) -> Answer:
        return Answer(False, ground, why)

    if row.person != record.person or row.purpose != terms.purpose:
        return no(Why.OTHER_PURPOSE)
    if row.superseded is not None and day >= row.superseded:
        return no(Why.SUPERSEDED)
    if not row.granted:
        return no(Why.PURPOSE_NOT_GRANTED)
    if recognised and not row.recognition:
        return no(Why.RECOGNITION_NOT_GRANTED)
    if row.withdrawn is not None and day >= row.withdrawn:
        return no(Why.WITHDRAWN)
    for withdrawal in record.withdrawals:
        # Only a consent that is dated later undoes a withdrawal: an old list imported again must not.
        given_again = row.start is not None and row.start > withdrawal.on
        if day >= withdrawal.on and not given_again:
            return no(Why.WITHDRAWN, withdrawal.ground)
    if day < row.since:
        return no(Why.NOT_YET)
    if row.end is not None and day >= row.end:
        return no(Why.ENDED)
    why = _whose_word(row, day, terms.grace_days)
    if why is not Why.IN_FORCE:
        return no(why)
    for other in record.elsewhere:
        # Two lists that follow each other may differ; two lines that stand beside each other are no agreement.
        if other.purpose != terms.purpose or (other.superseded is not None and day >= other.superseded):
            continue
        if not other.granted or (recognised and not other.recognition):
            return no(Why.OTHER_NUMBER, other.ground)
        if other.end is not None and day >= other.end:
            return no(Why.ENDED, other.ground)
    return Answer(True, row.ground, Why.IN_FORCE)


def _whose_word(row: ConsentRow, day: date, grace_days: int) -> Why:
    given = row.since if row.start is None else row.start
    if row.giver is Giver.STAFF_FORM and row.birth is None:
        return Why.IN_FORCE  # the school employs nobody under 16, and has no need to tell us how old its staff is
    if row.birth is None:
        return Why.NO_BIRTH_DATE
    grown_when_given = has_reached(OWN_WORD_FROM, row.birth, given)
    grown = has_reached(OWN_WORD_FROM, row.birth, day)
    giver = row.giver
    if giver in (Giver.ADMINISTRATION, Giver.PARENT_AND_PUPIL):
        # What was asked, or checked, on the day it was given is the word that counted on that day.
        giver = Giver.PUPIL if grown_when_given else Giver.PARENT
    if giver is Giver.PARENT:
        if grown and (grown_when_given or day >= birthday(OWN_WORD_FROM, row.birth) + timedelta(grace_days)):
            return Why.OWN_WORD_NEEDED
        return Why.IN_FORCE
    if giver is Giver.PUPIL:
        if not grown:
            return Why.PARENT_NEEDED
        return Why.IN_FORCE if grown_when_given else Why.OWN_WORD_GIVEN_TOO_YOUNG
    if giver is Giver.STAFF:
        return Why.IN_FORCE if has_reached(STAFF_FROM, row.birth, min(given, day)) else Why.NOT_STAFF
    if giver is Giver.STAFF_FORM:
        return Why.IN_FORCE if grown_when_given and grown else Why.NOT_STAFF
    return Why.GIVER_UNKNOWN
