"""lesveil enrol: whom the program may recognise."""

from __future__ import annotations

import argparse
from datetime import date
from typing import TYPE_CHECKING

from pipeline import workspace
from pipeline.commands.terminal import Add, Bar, Group, answer, named
from pipeline.consent import TEXTS, Why
from pipeline.errors import EnrolmentError, RecognitionOffError, code_of
from pipeline.messages import ground_in_words, told, tr

if TYPE_CHECKING:
    from pipeline.lesson.enrol import Refused


def enrol(args: argparse.Namespace) -> int:
    """lesveil enrol"""
    from pipeline.lesson import enrol as enrolling

    today = date.today()
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        bar = Bar(tr("portraits"), args.quiet or args.json)
        try:
            done = enrolling.enrol(place, args.portraits, today, bar, args.replace)
        finally:
            bar.close()
        recognises = place.recognises
    old = enrolling.aged(done.people, today)
    document = {
        "enrolled": [
            {
                "id": one.id,
                "portraits": one.portraits,
                "taken": one.taken.isoformat() if one.taken else None,
                "old": one.id in old,
            }
            for one in done.people
        ],
        "refused": [
            {
                "folder": one.folder,
                "id": one.person,
                "reason": one.reason,
                "ground": one.ground,
                "other": one.other,
                "text": _why(one),
            }
            for one in done.refused
        ],
        "left_out": [{"id": person, "text": told(error)} for person, error in done.left_out],
        "look_alikes": [{"pair": [one, other], "distance": round(far, 3)} for one, other, far in done.alike],
        "removed": done.removed,
        "not_compared": done.not_compared,
    }
    lines = [tr("Not enrolled: {folder}: {why}", folder=one.folder, why=_why(one)) for one in done.refused]
    lines += [tr("Left out for {person}: {error}", person=person, error=told(error)) for person, error in done.left_out]
    lines += [tr("The pictures of {person} are over a year old; take new ones.", person=person) for person in old]
    if done.removed:
        lines.append(tr("Templates destroyed: {people}", people=", ".join(done.removed)))
    absent = [person for person in done.removed if person not in {one.person for one in done.refused}]
    if absent and recognises:
        lines.append(
            tr(
                "{n} of these {n:was|were} not in {folder} and can no longer be recognised"
                " ({people}); each time, enrol everybody's pictures together.",
                n=len(absent),
                people=", ".join(absent),
                folder=args.portraits,
            )
        )
    for person in done.not_compared:
        lines.append(
            tr(
                "Films show {person}, whose earlier pictures are gone and could not be compared; if they were of"
                " somebody else, enrol again with --replace {person}, so that these films are made again.",
                person=person,
            )
        )
    lines.append(tr("{n} {n:person|people} can be recognised.", n=len(done.people)))
    answer(args, document, *lines)
    if not recognises:
        raise RecognitionOffError(
            'Recognition is off in this workspace; set [recognition] mode = "on" and name the assessment that '
            "covers it under [privacy] dpia in lesveil.toml."
        )
    if not done.people:
        raise EnrolmentError("Nobody was enrolled; mend what is said of each folder and enrol again.")
    undone = [one.code for one in done.refused] + [error.code for _, error in done.left_out]
    return code_of(filter(None, undone))


def _why(one: Refused) -> str:
    """Why a folder was not enrolled, and what to do, in one sentence."""
    if one.error is not None:
        return told(one.error)
    if one.reason in list(Why):
        why, ground = tr(TEXTS[Why(one.reason)]), ground_in_words(one.ground)
        return f"{why} ({ground})." if ground else f"{why}."
    if one.reason == "recognition_off":
        return tr("recognition is off in this workspace.")
    if one.reason == "not_in_register":
        return tr("nobody in the register has this folder or number; check its name, or import the list first.")
    if one.reason == "no_folder":
        return tr("lies in no person's sub-folder; put each person's pictures in a sub-folder of their own.")
    if one.reason == "two_owners":
        return tr("the register gives this folder to {other}; give each a folder of their own.", other=one.other)
    if one.reason == "different_people":
        return tr("{other} may be of somebody else than the other pictures; take out what is wrong.", other=one.other)
    if one.reason == "not_as_before":
        return tr(
            "the pictures do not look like those that were enrolled before, whose template stays; check whose they are"
            " and, if they are right, enrol again with --replace {person}.",
            person=one.person,
        )
    if one.reason == "look_alike":
        return tr(
            "looks too much like {other}, so both stay hidden; look at both folders and then say lesveil consent alike"
            " {person} {other} --are one (or two) --by NAME.",
            person=one.person,
            other=one.other,
        )
    if one.reason == "double_hidden":
        return tr("looks like somebody who may not be shown, so neither is recognised.")
    if one.reason == "same_person":
        return tr("is the same person as {other}, who is enrolled.", other=one.other)
    return tr("the folder holds no pictures; add some.")


def add_to(add: Add, group: Group) -> None:
    enrolled = add("enrol", enrol, "make templates of people who agreed to be recognised")
    enrolled.add_argument(
        "portraits",
        type=named,
        metavar="PORTRAITS",
        help="a folder with a folder of pictures for each person, named after their number; whoever is not in it loses"
        " their template",
    )
    enrolled.add_argument(
        "--replace",
        action="append",
        default=[],
        metavar="NUMBER",
        help="this person's pictures are right and those from before were not, or were of years ago",
    )
