"""What an import would change in the register; pure.

The register keeps versions: a line of the list that says the same again makes no new version, so that the ground of a
consent stays the row in which it was first stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from pipeline.adapters.consent_list import ConsentList
from pipeline.adapters.consent_rows import ListedPerson, Remark
from pipeline.consent import Answer, ConsentRecord, ConsentRow, Why, Withdrawal, carries_since, may_be_shown


@dataclass(frozen=True)
class Version:
    """What one import said of a person. ``superseded_by`` is the import that said otherwise, or left them out."""

    listed: ListedPerson
    import_number: int
    since: date
    superseded_by: int | None = None


@dataclass(frozen=True)
class History:
    """The register's memory: the day of each import, the versions of each person (oldest first), the withdrawals."""

    days: Mapping[int, date]
    versions: Mapping[str, Sequence[Version]]
    withdrawals: Mapping[str, Sequence[Withdrawal]]

    @property
    def last_import(self) -> int:
        return max(self.days, default=0)

    def current(self, person: str) -> Version | None:
        """The person's line in the latest import, or None."""
        newest = self.versions[person][-1] if self.versions.get(person) else None
        return newest if newest is not None and newest.superseded_by is None else None

    def record(self, person: str) -> ConsentRecord:
        """Everything that counts for this person's answers; a withdrawal that a list once stated stays one."""
        rows = tuple(self._row(version) for version in self.versions.get(person, ()))
        stated = tuple(Withdrawal(row.withdrawn, row.ground) for row in rows if row.withdrawn is not None)
        return ConsentRecord(person, rows, (*self.withdrawals.get(person, ()), *stated))

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
    new, gone, or their line changed. ``answers`` holds the answer of everyone after the import. ``base`` names the
    state of the register that this was worked out against.
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
    remarks: tuple[Remark, ...]
    answers: Mapping[str, Answer]
    added: tuple[Version, ...]


def difference(history: History, listed: ConsentList, on: date, base: str, purpose: str) -> Difference:
    """Work out what the import would change."""
    number = history.last_import + 1
    names = [person.id for person in listed.people]
    before = {person: history.current(person) for person in names}
    added = [
        Version(person, number, _since(history, person, on))
        for person in listed.people
        if not _same(before[person.id], person)
    ]
    listed_now = set(names)
    gone = [person for person in history.versions if history.current(person) and person not in listed_now]
    after = _after(history, number, on, added, gone)
    everyone = (*names, *(person for person in history.versions if person not in listed_now))
    answers = {person: may_be_shown(after.record(person), on, on, purpose) for person in everyone}
    kept = {person for person in everyone if may_be_shown(history.record(person), on, on, purpose).kept}
    moved = {version.listed.id for version in added}
    return Difference(
        listed=listed,
        on=on,
        base=base,
        new=tuple(person for person in names if before[person] is None),
        gone=tuple(gone),
        changed=tuple(person for person in names if before[person] is not None and person in moved),
        unchanged=tuple(person for person in names if person not in moved),
        gains=tuple(person for person in everyone if answers[person].kept and person not in kept),
        losses=tuple(person for person in everyone if not answers[person].kept and person in kept),
        remarks=(*listed.remarks, *_remarks(listed.people, answers)),
        answers=answers,
        added=tuple(added),
    )


def _after(history: History, number: int, on: date, added: Iterable[Version], gone: Iterable[str]) -> History:
    versions = {person: list(known) for person, known in history.versions.items()}
    for version in added:
        versions.setdefault(version.listed.id, [])
    for person in (*gone, *(version.listed.id for version in added)):
        if history.current(person) is not None:
            versions[person][-1] = replace(versions[person][-1], superseded_by=number)
    for version in added:
        versions[version.listed.id].append(version)
    return History({**history.days, number: on}, versions, history.withdrawals)


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


def _last_no(history: History, person: str) -> date | None:
    """The day of the latest import that held no yes for this person, after having held a line for them."""
    following = history.last_import + 1
    for version in reversed(history.versions.get(person, ())):
        until = history.last_import + 1 if version.superseded_by is None else version.superseded_by
        if until < following or not version.listed.says_yes:
            return history.days[following - 1]
        following = version.import_number
    return None


def _remarks(people: Iterable[ListedPerson], answers: Mapping[str, Answer]) -> list[Remark]:
    return [
        Remark(
            person.row,
            "",
            "Row {row}: this consent was withdrawn before; only a consent with a later date undoes that, so the answer"
            " is no.",
        )
        for person in people
        if person.says_yes and person.withdrawn is None and answers[person.id].why is Why.WITHDRAWN
    ]
