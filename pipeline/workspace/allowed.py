"""Who may be shown, as the register has it on a day: each with the ground of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from pipeline.adapters.register import UNDECIDED, Register
from pipeline.records import Person
from pipeline.workspace.place import Workspace


def in_force(workspace: Workspace, people: list[Person], filmed: date, used: date) -> dict[str, str]:
    """Who among ``people`` the program may recognise and show, by id, with the ground of it."""
    return grounds(workspace, {person.id for person in people}, filmed, used)


def grounds(
    workspace: Workspace, people: Iterable[str], filmed: date, used: date, *, recognised: bool = True
) -> dict[str, str]:
    """Who among ``people`` may be shown in what was filmed on one day and is used on another, with the ground of it.

    Of two who look so alike that the program may take one for the other, it shows each only while both may be shown,
    and none before somebody decided who they are.
    """
    register = workspace.register
    answers = {one: register.may_be_shown(one, filmed, used, recognised=recognised) for one in sorted(people)}
    found = {person: answer.ground for person, answer in answers.items() if answer.kept}
    for one, other, count in register.alikes() if found else ():
        if count != 1 and not recognised:
            continue  # a person does not mistake one for the other
        for person, double in ((one, other), (other, one)):
            if person in found and not _double_allows(register, person, double, count, filmed, used, recognised):
                del found[person]
    return found


def _double_allows(
    register: Register, person: str, double: str, people: int, filmed: date, used: date, recognised: bool
) -> bool:
    """Whether ``person``, who may be taken for ``double``, can be shown: ``double`` can be, or was not at the school
    under any number; who has a new one and may be shown under that is no reason to hide either."""

    def shown(number: str) -> bool:
        return people != UNDECIDED and register.may_be_shown(number, filmed, used, recognised=recognised).kept

    if shown(double):
        return True
    return register.left_out_on(double, filmed) and all(
        shown(one) or register.left_out_on(one, filmed) for one in register.unasked_selves(person, double)
    )
