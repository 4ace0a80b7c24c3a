"""What an import would change in the register; pure.

The register keeps versions: a line of the list that says the same again makes no new version, so that the ground of a
consent stays the row in which it was first stated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

from pipeline.adapters.consent_cells import plain
from pipeline.adapters.consent_list import ConsentList
from pipeline.adapters.consent_rows import ListedPerson, Remark, rows
from pipeline.consent import Answer, ConsentRecord, ConsentRow, Terms, Why, Withdrawal, carries_since, may_be_shown
from pipeline.errors import ConsentError

MANY = 10
"""Percent of a list that may be gone from the next one before that looks like half a file, not like people who left."""
FEW = 3
"""And fewer people than this are people who left, unless they are most of the list."""


@dataclass(frozen=True)
class Version:
    """What one import said of a person. ``superseded_by`` is the import that said otherwise, or left them out."""

    listed: ListedPerson
    import_number: int
    since: date
    superseded_by: int | None = None


@dataclass(frozen=True)
class _Named:
    """What a line calls somebody: the words of the name, all its letters in order of the alphabet, the birth date."""

    words: frozenset[str]
    letters: str
    birth: date | None

    @property
    def keys(self) -> tuple[str | date, ...]:
        """Whoever seems to be the same person has one of these too."""
        return tuple(key for key in (self.letters, self.birth) if key)

    def same_person(self, other: _Named) -> bool:
        """Whether two lines with different numbers seem to be of one person.

        An infix or a second name may be missing, words may be in another order or run together. Without both birth
        dates only whole names that are the same say so. It takes consent away alone, so it may be too often true.
        """
        if self.birth is None or other.birth is None:
            return self.letters == other.letters and min(len(self.words), len(other.words)) > 1
        if self.birth != other.birth or not self.words or not other.words:
            return False
        return self.letters == other.letters or self.words <= other.words or other.words <= self.words


def _named(listed: ListedPerson) -> _Named:
    words = plain(f"{listed.first_name} {listed.infix} {listed.last_name}").split()
    return _Named(frozenset(words), "".join(sorted("".join(words))), listed.birth)


@dataclass(frozen=True)
class History:
    """The register's memory: the day of each import, the versions of each person (oldest first), the withdrawals.

    ``staff`` holds the numbers of the imports of the staff's own list, ``decided`` how many people somebody said that
    two numbers are (the first sorts first).
    """

    days: Mapping[int, date]
    versions: Mapping[str, Sequence[Version]]
    withdrawals: Mapping[str, Sequence[Withdrawal]]
    staff: frozenset[int] = frozenset()
    decided: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def last_import(self) -> int:
        return max(self.days, default=0)

    def current(self, person: str) -> Version | None:
        """The person's line in the latest import, or None."""
        newest = self.versions[person][-1] if self.versions.get(person) else None
        return newest if newest is not None and newest.superseded_by is None else None

    def listed(self, staff: bool) -> list[str]:
        """Everyone who is on the latest list of the pupils, or of the staff."""
        found = []
        for person in self.versions:
            current = self.current(person)
            if current is not None and (current.import_number in self.staff) == staff:
                found.append(person)
        return found

    def record(self, person: str, known: date | None = None) -> ConsentRecord:
        """Everything that counts for the answers of whoever had this number on the day ``known`` (default: now has).

        A withdrawal that a list once stated stays one, and one under another number of the same person is theirs; so is
        what the lists say under that. A number that passed on to somebody else takes no consent along.
        """
        versions = self.versions.get(person, ())
        upto = [one for one in versions if known is None or self.days[one.import_number] <= known] or versions
        rows = tuple(self._row(one) for one in versions if not is_another(one.listed, upto[-1].listed))
        stated = tuple(Withdrawal(row.withdrawn, row.ground) for row in rows if row.withdrawn is not None)
        selves = self.selves(person)
        withdrawn = [one for other in selves for one in self.withdrawn_under(other)]
        elsewhere = tuple(row for other in selves for row in self.lines(other))
        return ConsentRecord(person, rows, (*self.withdrawals.get(person, ()), *stated, *withdrawn), elsewhere)

    def lines(self, number: str) -> list[ConsentRow]:
        """What every list said under a number, whoever has it now."""
        return [self._row(one) for one in self.versions.get(number, ())]

    def withdrawn_under(self, number: str) -> list[Withdrawal]:
        """Every withdrawal under a number, said or stated by a list, whoever has the number now."""
        rows = self.lines(number)
        stated = [Withdrawal(row.withdrawn, row.ground) for row in rows if row.withdrawn is not None]
        return [*self.withdrawals.get(number, ()), *stated]

    def selves(self, person: str) -> list[str]:
        """The other numbers of whoever has this one, and their other numbers: who got a new one twice is one person.

        Who was said to be somebody else is none of them, and nothing comes by way of them.
        """
        found, new = {person}, [person]
        while new:
            others = {one for one in self._as(new.pop()) - found if self.decided.get(_pair(person, one)) != 2}
            found |= others
            new += others
        return sorted(found - {person})

    def _as(self, person: str) -> set[str]:
        """The numbers that are this one's person by the lists' names and birth dates, or by what people said."""
        if person not in self._likened:
            self._likened[person] = self._liken(person)
        return self._likened[person]

    def _liken(self, person: str) -> set[str]:
        versions = self.versions.get(person, ())
        own = [_named(one.listed) for one in versions if not is_another(one.listed, versions[-1].listed)]
        found = {
            number for one in own for key in one.keys for number, other in self._lines[key] if one.same_person(other)
        }
        found |= {one for pair, people in self.decided.items() if people == 1 and person in pair for one in pair}
        return {one for one in found if self.decided.get(_pair(person, one)) != 2}

    @cached_property
    def _likened(self) -> dict[str, set[str]]:
        """What `_as` found so far: an import asks for everyone."""
        return {}

    @cached_property
    def _lines(self) -> dict[date | str, list[tuple[str, _Named]]]:
        """The numbers with what each version calls them, by the birth date and by the letters of the name."""
        found: dict[date | str, list[tuple[str, _Named]]] = defaultdict(list)
        for person, versions in self.versions.items():
            for named in {_named(one.listed) for one in versions}:
                for key in named.keys:
                    found[key].append((person, named))
        return dict(found)

    def _row(self, version: Version) -> ConsentRow:
        listed, until = version.listed, version.superseded_by
        return ConsentRow(
            person=listed.id,
            birth=listed.birth,
            purpose=listed.purpose,
            granted=listed.granted,
            recognition=listed.recognition,
            giver=listed.giver,
            start=listed.start,
            since=version.since,
            end=listed.end,
            withdrawn=listed.withdrawn,
            imported=self.days[version.import_number],
            superseded=None if until is None else self.days[until],
            import_number=version.import_number,
            row=listed.row,
        )


@dataclass(frozen=True)
class Difference:
    """What importing ``listed`` on the day ``on`` would do; register ids in order of the list.

    ``gains`` and ``losses`` are the people whose answer on that day becomes a yes or stops being one, whether they are
    new, gone, or their line changed; ``filmed_gains`` and ``filmed_losses`` the same for consent to be filmed alone.
    ``answers`` holds the answer of everyone after the import. ``base`` names the state of the register that this was
    worked out against, and ``before`` is how many people its latest list of this kind held. ``imported`` is the day on
    which this very list was imported, where a newer one of its kind came since; ``gives_back``: so it may undo what
    people said in between, today or when consent would have ended.
    """

    listed: ConsentList
    on: date
    base: str
    new: tuple[str, ...]
    gone: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    gains: tuple[str, ...]
    losses: tuple[str, ...]
    filmed_gains: tuple[str, ...]
    filmed_losses: tuple[str, ...]
    remarks: tuple[Remark, ...]
    answers: Mapping[str, Answer]
    added: tuple[Version, ...]
    before: int = 0
    imported: date | None = None
    gives_back: bool = False

    @property
    def mass_loss(self) -> bool:
        """So many people are gone that the list may be half a file, or one class of the school."""
        gone = len(self.gone)
        return (gone >= FEW and 100 * gone > MANY * self.before) or 2 * gone > self.before


def _pair(one: str, other: str) -> tuple[str, str]:
    return min(one, other), max(one, other)


def is_another(one: ListedPerson, other: ListedPerson) -> bool:
    """Whether two lines with one number are of two people; a new name or a mended birth date alone does not say so."""
    names = (
        (plain(one.first_name), plain(other.first_name)),
        (plain(one.last_name), plain(other.last_name)),
    )
    differ = [bool(a and b and a != b) for a, b in names]
    if one.birth is None or other.birth is None:
        return all(differ)
    return one.birth != other.birth and any(differ)


def difference(
    history: History,
    listed: ConsentList,
    on: date,
    base: str,
    terms: Terms,
    imported: date | None = None,
    lost: bool = False,
) -> Difference:
    """Work out what the import would change; ConsentError when a number belongs to somebody else already.

    ``imported`` as in `Difference`; ``lost``: the newer list is not in ``history``, so nobody can tell who would gain.
    """
    _refuse_taken_numbers(history, listed)
    _refuse_other_spellings(history, listed)
    number = history.last_import + 1
    names = [person.id for person in listed.people]
    before = {person: history.current(person) for person in names}
    added = [
        Version(person, number, _since(history, person, on))
        for person in listed.people
        if not _same(before[person.id], person)
    ]
    listed_now = set(names)
    known = history.listed(listed.staff)
    gone = [person for person in known if person not in listed_now]
    after = _after(history, number, on, added, gone, listed.staff)
    everyone = (*names, *(person for person in history.versions if person not in listed_now))
    now, then = [after.record(one) for one in everyone], [history.record(one) for one in everyone]
    answers = _answers(now, on, terms, True)
    filmed = _answers(now, on, terms, False)
    kept = {person for person, answer in _answers(then, on, terms, True).items() if answer.kept}
    seen = {person for person, answer in _answers(then, on, terms, False).items() if answer.kept}
    moved = {version.listed.id for version in added}
    gains = tuple(person for person in everyone if answers[person].kept and person not in kept)
    filmed_gains = tuple(person for person in everyone if filmed[person].kept and person not in seen)
    agreed = any(one.listed.granted and not _as_agreed(before[one.listed.id], one.listed) for one in added)
    return Difference(
        listed=listed,
        on=on,
        base=base,
        new=tuple(person for person in names if before[person] is None),
        gone=tuple(gone),
        changed=tuple(person for person in names if before[person] is not None and person in moved),
        unchanged=tuple(person for person in names if person not in moved),
        gains=gains,
        losses=tuple(person for person in everyone if not answers[person].kept and person in kept),
        filmed_gains=filmed_gains,
        filmed_losses=tuple(person for person in everyone if not filmed[person].kept and person in seen),
        remarks=(*listed.remarks, *_remarks(after, listed.people, filmed, answers)),
        answers=answers,
        added=tuple(added),
        before=len(known),
        imported=imported,
        gives_back=imported is not None and (lost or agreed or bool(gains or filmed_gains)),
    )


def _answers(records: Iterable[ConsentRecord], on: date, terms: Terms, recognised: bool) -> dict[str, Answer]:
    return {one.person: may_be_shown(one, on, on, terms, recognised=recognised) for one in records}


def _refuse_taken_numbers(history: History, listed: ConsentList) -> None:
    """A number is one person's: not a pupil's and a member of staff's, and not somebody else's since the last list."""
    taken, passed = [], []
    for person in listed.people:
        current = history.current(person.id)
        if current is None:
            continue
        if (current.import_number in history.staff) != listed.staff:
            taken.append(person.row)
        elif is_another(current.listed, person):
            passed.append(person.row)
    if taken:
        raise ConsentError(
            "{file}, row {row}: this number is on the other list already (pupils and staff have a list each); give one"
            " of the two another number.",
            file=listed.file,
            row=rows(taken),
        )
    if passed:
        raise ConsentError(
            "{file}, row {row}: until now this number was somebody else's, with another name and birth date; give this"
            " person a number of their own, or first import a list without the number.",
            file=listed.file,
            row=rows(passed),
        )


def _refuse_other_spellings(history: History, listed: ConsentList) -> None:
    """A number that lost its zeros in a spreadsheet, or changed its case, would be somebody new, never withdrawn."""
    known = {_bare(number): number for number in (*history.withdrawals, *history.versions)}
    new = [one for one in listed.people if one.id not in history.versions and one.id not in history.withdrawals]
    other = [(one, known[_bare(one.id)]) for one in new if _bare(one.id) in known]
    if other:
        raise ConsentError(
            "{file}, row {row}: the number {number} was written {known} until now; write it as before (a spreadsheet"
            " program keeps zeros at the front in columns of text), or give this person another number if it is not"
            " theirs.",
            file=listed.file,
            row=rows([one.row for one, _ in other]),
            number=rows([one.id for one, _ in other]),
            known=rows([before for _, before in other]),
        )


def _bare(number: str) -> str:
    return number.casefold().lstrip("0")


def _after(
    history: History, number: int, on: date, added: Iterable[Version], gone: Iterable[str], staff: bool
) -> History:
    versions = {person: list(known) for person, known in history.versions.items()}
    for version in added:
        versions.setdefault(version.listed.id, [])
    for person in (*gone, *(version.listed.id for version in added)):
        if history.current(person) is not None:
            versions[person][-1] = replace(versions[person][-1], superseded_by=number)
    for version in added:
        versions[version.listed.id].append(version)
    lists = history.staff | {number} if staff else history.staff
    return replace(history, days={**history.days, number: on}, versions=versions, staff=lists)


def _same(version: Version | None, person: ListedPerson) -> bool:
    return version is not None and replace(version.listed, row=person.row) == person


def _since(history: History, person: ListedPerson, on: date) -> date:
    current = history.current(person.id)
    if current is not None and _facts(current.listed) == _facts(person):
        return current.since
    return carries_since(person.start, on, _last_no(history, person.id))


def _facts(person: ListedPerson) -> ListedPerson:
    """``person`` without what no answer depends on."""
    return replace(person, row=0, first_name="", infix="", last_name="", group="", portrait_folder=None)


def _as_agreed(version: Version | None, person: ListedPerson) -> bool:
    """Whether a line agrees to what the person's latest does; a withdrawal stays, so that it counts for neither."""
    if version is None:
        return False
    return _facts(replace(version.listed, withdrawn=None)) == _facts(replace(person, withdrawn=None))


def _last_no(history: History, person: str) -> date | None:
    """The day of the latest import that held no yes for this person, after having held a line for them."""
    following = history.last_import + 1
    for version in reversed(history.versions.get(person, ())):
        until = history.last_import + 1 if version.superseded_by is None else version.superseded_by
        if until < following or not version.listed.says_yes:
            return history.days[following - 1]
        following = version.import_number
    return None


def _remarks(
    history: History, people: Sequence[ListedPerson], filmed: Mapping[str, Answer], answers: Mapping[str, Answer]
) -> Iterator[Remark]:
    """Of each yes that a withdrawal or another number's line undoes, also where that yes stands on the other list, and
    of who has two numbers on this one.

    ``filmed`` are the answers to being filmed, ``answers`` to being recognised as well.
    """
    passed: set[str] = set()
    here = {person.id for person in people}
    for person in people:
        selves = history.selves(person.id)
        earlier = [one for one in selves if one in passed and not history.decided.get(_pair(person.id, one))]
        passed.add(person.id)
        agreed = person.granted and person.withdrawn is None
        grounds = {one.ground for one in (filmed[person.id], answers[person.id]) if agreed and not one.kept}
        torn = [one for one in selves if grounds & {row.ground for row in history.lines(one)}]
        own = {row.ground for row in history.lines(person.id)} if selves else set()
        torn += [one for one in selves if one not in here and own & {filmed[one].ground, answers[one].ground}]
        if agreed and filmed[person.id].why is Why.WITHDRAWN:
            others = [one for one in selves if grounds & {it.ground for it in history.withdrawn_under(one)}]
            if others:
                yield Remark(
                    person.row,
                    "",
                    "Row {row}: {number} seems to be the same person as {other}, who withdrew consent, so the answer is"
                    " no; only a consent with a later date undoes that; if they are two people, say lesveil consent"
                    " alike {number} {other} --are two --by NAME.",
                    person.id,
                    others[0],
                )
            else:
                yield Remark(
                    person.row,
                    "",
                    "Row {row}: this consent was withdrawn before; only a consent with a later date undoes that, so the"
                    " answer is no.",
                )
        elif torn:
            yield Remark(
                person.row,
                "",
                "Row {row}: {number} seems to be the same person as {other}, who has another answer, so the answer is"
                " no; if they are two people, say lesveil consent alike {number} {other} --are two --by NAME.",
                person.id,
                torn[0],
            )
        elif agreed and earlier:
            yield Remark(
                person.row,
                "",
                "Row {row}: {number} seems to be the same person as {other}, so a withdrawal under either counts for"
                " both; if they are two people, say lesveil consent alike {number} {other} --are two --by NAME.",
                person.id,
                earlier[0],
            )
