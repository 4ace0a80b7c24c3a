"""Portraits of people who agreed to be recognised become templates; everything that does not fit is named."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from pipeline import run
from pipeline.adapters import portraits
from pipeline.adapters.register import UNDECIDED, RegisteredPerson
from pipeline.consent import Why
from pipeline.errors import (
    EnrolmentError,
    LesveilError,
    LookAlikesError,
    PortraitNoFaceError,
    PortraitPoorError,
    PortraitSeveralFacesError,
    PortraitsNotFoundError,
    PortraitUnreadableError,
    VaultError,
)
from pipeline.lesson.withdraw import recognised_in, reconcile
from pipeline.likeness import look_alikes, same_person
from pipeline.records import F32, U8, Person, Progress, no_progress
from pipeline.stages import enrol as enrolling
from pipeline.stages import identify
from pipeline.workspace import Workspace, in_force, load_templates, prune_templates, save_templates

OLD = 365
"""Days after which a picture of a child is old: recognition of children drops with every year
(docs/measured/recognising.md)."""

FAULTS: dict[type[LesveilError], str] = {
    PortraitUnreadableError: "unreadable",
    PortraitNoFaceError: "no_face",
    PortraitSeveralFacesError: "several_faces",
    PortraitPoorError: "poor_picture",
}
"""What may be wrong with one picture, with the code for it."""


NOBODYS = ("not_in_register", "no_folder")
"""Why a folder, or a picture that lies in none, is nobody's."""
SETTLED = (*Why, "same_person", "double_hidden")
"""Why a folder is rightly left out, so that there is nothing to mend: what is agreed or decided forbids it."""


@dataclass(frozen=True)
class Refused:
    """A folder that was not enrolled, or a picture in none: a code for programs, and the ground, the error or the other
    folders' people."""

    folder: str
    reason: str
    person: str | None = None
    ground: str = ""
    error: LesveilError | None = None
    other: str = ""

    @property
    def code(self) -> int:
        """Exit code of what is left undone; 0 where it was rightly left out."""
        if self.reason in SETTLED:
            return 0
        if self.error is not None:
            return self.error.code
        return LookAlikesError.code if self.reason == "look_alike" else EnrolmentError.code


@dataclass(frozen=True)
class Enrolled:
    """What came of a folder of portraits.

    ``left_out`` are pictures of enrolled people that were no use; ``removed`` is whose template there was before.
    Of those who are ``not_compared`` there was none any more, though films show them because they were recognised.
    """

    people: list[Person]
    refused: list[Refused] = field(default_factory=list)
    left_out: list[tuple[str, LesveilError]] = field(default_factory=list)
    alike: list[tuple[str, str, float]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)


def enrol(
    workspace: Workspace,
    folder: Path,
    today: date,
    progress: Progress = no_progress,
    replace_by_name: Collection[str] = (),
) -> Enrolled:
    """Make templates of everyone in ``folder`` who may be recognised today; whoever is not in it loses theirs.

    Pictures that do not look like somebody's template from before are not taken: it stays, unless the person is in
    ``replace_by_name``.

    Where recognition is off nobody is enrolled, and nothing is looked at but the names of folders. Raises
    EnrolmentError, and PortraitsNotFoundError for a folder that can only be the wrong one.
    """
    wanted, refused = folders(workspace, folder, today)
    refused += [Refused(path.name, "no_folder") for path in portraits.pictures_in(folder)]
    for person in replace_by_name:
        if person not in wanted:
            raise EnrolmentError(
                "--replace names {person}, who cannot be enrolled from {folder}; check the number.",
                person=person,
                folder=folder,
            )
    if not workspace.recognises:
        refused += [Refused(sub, "recognition_off", person) for person, sub in wanted.items()]
        return Enrolled([], refused, removed=prune_templates(workspace, today))
    try:
        _refuse_wrong_folder(folder, wanted, refused)
    except PortraitsNotFoundError:
        prune_templates(workspace, today)  # whose consent ended loses theirs, whatever folder was named
        raise
    withdrawn = len(workspace.ledger.entries("withdrawal"))
    networks = run.Networks(True)
    before = {person.id: person for person in _known(workspace)}
    replaced: list[str] = []
    people: list[Person] = []
    left_out: list[tuple[str, LesveilError]] = []
    for done, (person, sub) in enumerate(wanted.items()):
        progress("enrol", done, len(wanted))
        chips, vectors, taken, poor = _pictures(folder / sub, networks, today)
        odd = enrolling.odd_ones(vectors)
        if odd:
            names = ", ".join(chips[place][0] for place in odd)
            refused.append(Refused(sub, "different_people", person, other=names))
        elif not chips:
            first = poor[0][1] if poor else None
            refused.append(Refused(sub, FAULTS[type(first)] if first else "no_pictures", person, error=first))
        else:
            made = identify.template(person, [chip for _, chip in chips], networks.embedder)
            left_out += [(person, error) for _, error in poor]
            if person in replace_by_name:  # also where the old template is gone, or no longer differs
                replaced.append(person)
            elif person in before and not same_person(made, before[person]):
                refused.append(Refused(sub, "not_as_before", person))
                people.append(before[person])
                continue
            people.append(replace(made, taken=max(taken, default=None)))
    alike = look_alikes(people)
    people, doubles = _without_doubles(workspace, people, alike, today)
    refused += [Refused(wanted[one], why, one, other=other) for one, why, other in doubles]
    # Asked again at the end: the pictures take minutes, and somebody may have withdrawn meanwhile.
    allowed = in_force(workspace, people, today, today)
    for person in {one.id for one in people} - set(allowed):
        now = workspace.register.may_be_shown(person, today, today)
        refused.append(Refused(wanted[person], "double_hidden" if now.kept else str(now.why), person, now.ground))
    people = [person for person in people if person.id in allowed]
    row = {"people": [person.id for person in people]}
    # before the templates: if it ends in between, what the old ones showed is made anew for nothing, not trusted
    workspace.ledger.append("enrolment", None, row | ({"replaced": replaced} if replaced else {}))
    save_templates(workspace, people)
    # And once they lie there: who withdraws takes no lock, and finds no template that is written a moment later.
    gone = prune_templates(workspace, today)
    for withdrawal in workspace.ledger.entries("withdrawal")[withdrawn:]:
        gone += prune_templates(workspace, today, withdrawal.payload["person"])
    people = [person for person in people if person.id not in gone]
    if replaced:
        reconcile(workspace, today)
    enrolled = {person.id for person in people}
    new = enrolled - before.keys() - set(replaced)
    not_compared = sorted(new & recognised_in(workspace)) if new else []
    return Enrolled(people, refused, left_out, alike, sorted(before.keys() - enrolled), not_compared)


def aged(people: Iterable[Person], today: date) -> list[str]:
    """Whose newest picture is more than a year old."""
    return [person.id for person in people if person.taken is not None and (today - person.taken).days > OLD]


def _known(workspace: Workspace) -> list[Person]:
    try:
        return load_templates(workspace)
    except VaultError:  # what cannot be read is destroyed with the rest
        return []


def _pictures(
    folder: Path, networks: run.Networks, today: date
) -> tuple[list[tuple[str, U8]], list[F32], list[date], list[tuple[str, LesveilError]]]:
    """One person's pictures: (name, chip) of the good ones, their embeddings and days, and the poor with the error."""
    chips: list[tuple[str, U8]] = []
    vectors: list[F32] = []
    taken: list[date] = []
    poor: list[tuple[str, LesveilError]] = []
    for path in portraits.pictures_in(folder):
        try:
            chip, facing = run.portrait_chip(path, networks)
            enrolling.refuse_poor(str(path), chip, facing)
        except tuple(FAULTS) as error:
            poor.append((path.name, error))
            continue
        chips.append((path.name, chip))
        vectors.append(identify.template("", [chip], networks.embedder).template)
        if (day := portraits.taken_on(path, today)) is not None:
            taken.append(day)
    return chips, vectors, taken, poor


def _without_doubles(
    workspace: Workspace, people: list[Person], alike: list[tuple[str, str, float]], today: date
) -> tuple[list[Person], list[tuple[str, str, str]]]:
    """``people`` without those who look alike, unless somebody said who they are; and (person, why, the other).

    A pair that was found alike before counts though one of the two was not looked at now: they may have withdrawn.
    """
    compared, register = {person.id for person in people}, workspace.register
    register.note_alikes([(one, other) for one, other, _ in alike], compared)
    out: list[tuple[str, str, str]] = []

    def is_here(other: str, one: str) -> bool:
        numbers = (other, *register.unasked_selves(one, other))
        return any(number in compared or register.listed_on(number, today) for number in numbers)

    for first, second, count in register.alikes():
        if count == UNDECIDED:
            out += [
                (one, "look_alike", other)
                for one, other in ((first, second), (second, first))
                if one in compared and is_here(other, one)
            ]
        elif count == 1 and {first, second} <= compared:
            out.append((second, "same_person", first))
    gone = {person for person, _, _ in out}
    return [person for person in people if person.id not in gone], out


def _refuse_wrong_folder(folder: Path, wanted: dict[str, str], refused: list[Refused]) -> None:
    """PortraitsNotFoundError where nothing in ``folder`` is anybody's: a slip of the hand must not empty the vault."""
    known = [*wanted.values(), *(one.folder for one in refused if one.reason not in NOBODYS)]
    if not known:
        raise PortraitsNotFoundError(
            "{folder} holds no sub-folder of anybody in the register, so no template was replaced; check its name, or"
            " import the list first.",
            folder=folder,
        )
    if not any(portraits.pictures_in(folder / sub) for sub in known):
        raise PortraitsNotFoundError(
            "{folder} holds no pictures of anybody in the register, so no template was replaced; check its name, or add"
            " pictures.",
            folder=folder,
        )


def folders(workspace: Workspace, portraits: Path, on: date) -> tuple[dict[str, str], list[Refused]]:
    """Which portrait folders may be enrolled on a day, by person; and those that may not. Raises
    PortraitsNotFoundError."""
    if not portraits.is_dir():
        raise PortraitsNotFoundError("{folder} is not a folder of portraits; check its name.", folder=portraits)
    wanted: dict[str, str] = {}
    refused: list[Refused] = []
    owners: dict[str, list[RegisteredPerson]] = {}
    for person in workspace.register.people(on):
        owners.setdefault(unicodedata.normalize("NFC", person.portrait_folder or person.id), []).append(person)
    for sub in sorted(path.name for path in portraits.iterdir() if path.is_dir() and not path.name.startswith(".")):
        claims = owners.get(unicodedata.normalize("NFC", sub), [])
        # Who has left the school keeps no claim against somebody who is there.
        claims = [one for one in claims if one.answer.why is not Why.NO_LONGER_LISTED] or claims
        if not claims:
            refused.append(Refused(sub, "not_in_register"))
        elif len(claims) > 1:
            refused.append(Refused(sub, "two_owners", other=", ".join(one.id for one in claims)))
        elif not claims[0].answer.kept:
            refused.append(Refused(sub, str(claims[0].answer.why), claims[0].id, claims[0].answer.ground))
        else:
            wanted[claims[0].id] = sub
    return wanted, refused
