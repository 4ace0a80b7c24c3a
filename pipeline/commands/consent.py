"""lesveil consent: who agreed to what, and what changes when a list comes in or somebody changes their mind."""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path
from typing import Any

from pipeline import workspace
from pipeline.commands.deliver import gaps, lost_document, lost_in_words
from pipeline.commands.terminal import Add, Group, answer, day, named, say
from pipeline.consent import TEXTS, Why
from pipeline.errors import LedgerError
from pipeline.messages import ground_in_words, printable, tr

ASKED_FOR = 10.0
"""Seconds in which OneDrive is asked for the ledger's heads, while who took consent back waits; recall asks again."""

AT_A_GLANCE = 40
"""Of a first list, so many people are named one by one; of a school's there are a thousand."""


def consent_import(args: argparse.Namespace) -> int:
    """lesveil consent import"""
    from pipeline.adapters.consent_file import read_consent_file
    from pipeline.lesson.withdraw import reconcile

    today = date.today()
    with workspace.opened(args.workspace, old_register=True) as place:
        listed = read_consent_file(args.file, workspace.layout(place.settings, staff=args.staff), today=today)
        names = {person.id: person.name for person in place.register.people(today)}
        names |= {one.id: " ".join(filter(None, (one.first_name, one.infix, one.last_name))) for one in listed.people}
        lost = workspace.older_than_lost(place, listed.sha256, staff=listed.staff)
        plan = place.register.plan_import(listed, today, lost)
        lines = _difference(plan, names, place.recognises)
        refused = (plan.mass_loss and not args.allow_loss) or (plan.gives_back and not args.allow_older)
        if refused and not args.dry_run and not args.json:
            print(*map(printable, lines), sep="\n", file=sys.stderr)
        number, reach = None, None
        if not args.dry_run:
            number = place.register.apply(plan, allow_loss=args.allow_loss, allow_older=args.allow_older)
            row = {"import": number, "sha256": listed.sha256, "people": len(listed.people), "staff": listed.staff}
            place.ledger.append("import", None, row)
            workspace.heed_withdrawals(place)  # those that the list states
            reach = reconcile(place, today)
        ending = [one for one in place.register.people(today, _warn_days(place)) if one.ending is not None]
    document = {
        "import": number,
        "new": list(plan.new),
        "gone": list(plan.gone),
        "gains": list(plan.gains),
        "losses": list(plan.losses),
        "filmed_gains": list(plan.filmed_gains),
        "filmed_losses": list(plan.filmed_losses),
        "changed": list(plan.changed),
        "unchanged": len(plan.unchanged),
        "needs_allow_loss": plan.mass_loss,
        "needs_allow_older": plan.gives_back,
        "remarks": [
            {"row": one.row, "column": one.column, "text": tr(one.template, **one.fields)} for one in plan.remarks
        ],
        "templates_destroyed": reach.templates if reach else [],
        "clips": [{"clip": state.clip, "stage": state.stage, "people": state.lapsed} for state in reach.clips]
        if reach
        else [],
        "ends_soon": [one.id for one in ending],
    }
    if reach:
        lines += _reached(reach)
    if ending:
        lines.append(tr("Consent of {n} {n:person|people} ends soon: see lesveil consent list.", n=len(ending)))
    if args.dry_run:
        lines.append(tr("Nothing was changed (--dry-run)."))
        if plan.mass_loss:
            lines.append(tr("So many people are gone that importing this needs --allow-loss."))
        if plan.gives_back:
            lines.append(
                tr(
                    "This list was imported on {day}, and a newer one since: importing it needs --allow-older.",
                    day=plan.imported,
                )
            )
    else:
        lines.append(tr("Imported as number {n}.", n=number))
    return answer(args, document, *lines)


def _difference(plan: Any, names: dict[str, str], recognises: bool) -> list[str]:
    """What an import changes, the losses last: they are what a person must not miss. ``recognises``: the program does
    in this workspace; otherwise nobody is, whatever they agreed to."""
    lines = [tr(one.template, **one.fields) for one in plan.remarks]
    lines.append(
        tr(
            "{n} {n:person|people} on the list: {new} new, {gone} gone, {changed} changed.",
            n=len(plan.listed.people),
            new=len(plan.new),
            gone=len(plan.gone),
            changed=len(plan.changed),
        )
    )
    only_filmed = sorted(set(plan.filmed_gains) - set(plan.gains))
    if not plan.before and len(plan.gains) + len(only_filmed) > AT_A_GLANCE:
        if recognises:
            many = tr(
                "+ from now on {recognised} {recognised:person|people} may be recognised, and {filmed} more"
                " {filmed:person|people} filmed: see lesveil consent list.",
                recognised=len(plan.gains),
                filmed=len(only_filmed),
            )
        else:
            many = tr(
                "+ from now on {recognised} {recognised:person|people} could be recognised, but recognition is off, and"
                " {filmed} more {filmed:person|people} may be filmed: see lesveil consent list.",
                recognised=len(plan.gains),
                filmed=len(only_filmed),
            )
        lines.append(many)
    else:
        for one in plan.gains:
            if recognises:
                lines.append(tr("+ may be recognised from now on: {person}", person=_who(one, names)))
            else:
                lines.append(tr("+ agreed to be recognised, and recognition is off: {person}", person=_who(one, names)))
        lines += [tr("+ may be filmed from now on: {person}", person=_who(one, names)) for one in only_filmed]
    if plan.before:  # of a first list that would be everyone
        arrived = sorted(set(plan.new) - set(plan.gains) - set(plan.filmed_gains))
        lines += [tr("+ new on the list, and hidden: {person}", person=_who(one, names)) for one in arrived]
    lost = list(dict.fromkeys((*plan.losses, *plan.filmed_losses)))
    quiet = sorted(set(plan.gone) - set(lost))
    lines += [tr("- no longer on the list: {person}", person=_who(one, names)) for one in quiet]
    if lost:
        lines.append(tr("{n} {n:PERSON LOSES|PEOPLE LOSE} CONSENT and {n:is|are} hidden from now on:", n=len(lost)))
    for one in lost:
        why = plan.answers[one].why
        said = tr(TEXTS[why]) if why is not Why.IN_FORCE else ""
        lines.append(tr("!! {person}: {why}", person=_who(one, names), why=said))
    return lines


def _who(person: str, names: dict[str, str]) -> str:
    return f"{person} {names.get(person, '')}".strip()


def _reached(reach: Any) -> list[str]:
    lines = []
    if reach.templates:
        lines.append(tr("Templates destroyed: {people}", people=", ".join(reach.templates)))
    for state in reach.clips:
        lines.append(_clip_line(state))
    return lines


def _clip_line(state: Any, ends: date | None = None) -> str:
    """What becomes of a clip that shows somebody; ``ends``: the day on which their consent will end."""
    name, clip = Path(state.file).name, state.clip[:8]
    if state.standing:
        where = ", ".join(state.standing)
        if ends is not None:
            return tr(
                "Clip {clip} ({file}) was delivered to {where}: from {day} on, see lesveil recall.",
                clip=clip,
                file=name,
                where=where,
                day=ends,
            )
        return tr(
            "Clip {clip} ({file}) was delivered to {where}: see lesveil recall.", clip=clip, file=name, where=where
        )
    return tr("Clip {clip} ({file}) is decided anew by the next lesveil run.", clip=clip, file=name)


def _warn_days(place: workspace.Workspace) -> int:
    consent = place.settings.consent
    return max(consent.warn_days, consent.grace_days)


def consent_list(args: argparse.Namespace) -> int:
    """lesveil consent list"""
    on = args.on or date.today()
    with workspace.opened(args.workspace) as place:
        people = place.register.people(on, _warn_days(place))
        first = place.register.first_import()
        recognises = place.recognises
    document = [
        {
            "id": person.id,
            "name": person.name,
            "class": person.group,
            "staff": person.staff,
            "portraits": person.portrait_folder,
            "shown": person.answer.kept,
            "why": str(person.answer.why),
            "ground": person.answer.ground,
            "filmed": person.filmed.kept,
            "filmed_why": str(person.filmed.why),
            "filmed_ground": person.filmed.ground,
            "ends": None
            if person.ending is None
            else {"on": person.ending.on.isoformat(), "why": str(person.ending.why)},
        }
        for person in people
    ]
    shown, width = (tr("shown"), 13) if recognises else (tr("would be shown"), 20)
    lines = [
        f"{person.id:>10}  {shown if person.answer.kept else tr('hidden'):{width}} {person.name}"
        f"  ({'; '.join(filter(None, (tr(TEXTS[person.answer.why]), ground_in_words(person.answer.ground))))})"
        for person in people
    ]
    ending = [(person, person.ending) for person in people if person.ending is not None]
    if ending:
        lines.append(tr("Ends soon:"))
    for person, end in sorted(ending, key=lambda pair: pair[1].on):
        lines.append(f"{person.id:>10}  {end.on}  {person.name}  ({tr(TEXTS[end.why])})")
    if not recognises and not args.json:
        say("Recognition is off in this workspace: everyone is hidden.")
    if first is not None and on < first:
        lines.append(
            tr(
                "By {day} no consent list had been imported, so everyone was hidden; the first was imported on"
                " {first}.",
                day=on,
                first=first,
            )
        )
    elif not people:
        lines.append(tr("No consent list was imported, so everyone is hidden."))
    return answer(args, {"on": on.isoformat(), "recognition": recognises, "people": document}, *lines)


def consent_withdraw(args: argparse.Namespace) -> int:
    """lesveil consent withdraw"""
    from pipeline.lesson.lost import all_lost
    from pipeline.lesson.withdraw import withdraw

    today = date.today()
    on = args.on or today
    with workspace.opened(args.workspace, old_register=True) as place:
        reach = withdraw(place, args.id, on, today, args.by)
        lost = [one for one in all_lost(place, today) if {args.id, *reach.selves} & {*one.people}]
        if not args.json:
            answer(args, None, *_withdrawn(args.id, on, today, reach), *map(lost_in_words, lost))
            sys.stdout.flush()  # it counts: nobody waits for what the archive says
        lacking, _ = gaps(place, ASKED_FOR)
    document = {
        "ledger": lacking,
        "id": args.id,
        "on": on.isoformat(),
        "counts_for": list(reach.selves),
        "agreed_later": {one: start.isoformat() for one, start in reach.later.items()},
        "templates_destroyed": reach.templates,
        "clips": [
            {
                "clip": state.clip,
                "file": state.file,
                "stage": state.stage,
                "where": state.delivered.payload["where"] if state.delivered else next(iter(state.standing), None),
            }
            for state in reach.clips
        ],
        "lost": [lost_document(one) for one in lost],
    }
    answer(args, document, *lacking)
    return LedgerError.code if lacking else 0


def _withdrawn(person: str, on: date, today: date, reach: Any) -> list[str]:
    lines = [tr("Consent of {id} is withdrawn from {on} on; no template of this person is left.", id=person, on=on)]
    lines += [_clip_line(state, on if on > today else None) for state in reach.clips]
    for one in reach.selves:
        lines.append(
            tr(
                "It counts for {other} too, who seems to be the same person; if they are two people, say lesveil"
                " consent alike {id} {other} --are two --by NAME.",
                id=person,
                other=one,
            )
        )
    for one, start in reach.later.items():
        lines.append(
            tr(
                "The list dates a consent of {id} {day}, after that, so it still counts; if that is taken back as well,"
                " say lesveil consent withdraw {id} --on {day}.",
                id=one,
                day=start,
            )
        )
    others = [one for one in reach.templates if one != person and one not in reach.selves]
    if others:
        lines.append(tr("Templates destroyed too, of who looks alike: {people}", people=", ".join(others)))
    return lines


def consent_alike(args: argparse.Namespace) -> int:
    """lesveil consent alike"""
    from pipeline.lesson.withdraw import reconcile

    people = {"one": 1, "two": 2}[args.are]
    with workspace.opened(args.workspace) as place:
        place.register.decide_alike(args.id, args.other, people, args.by)
        row = {"pair": sorted((args.id, args.other)), "people": people, "by": args.by}
        place.ledger.append("alike", None, row)
        reach = reconcile(place, date.today())  # a no or a withdrawal under either number may be both's now
    document = {
        "pair": sorted((args.id, args.other)),
        "people": people,
        "templates_destroyed": reach.templates,
        "clips": [{"clip": one.clip, "stage": one.stage, "people": one.lapsed} for one in reach.clips],
    }
    lines = [tr("Kept; it counts from now on."), *_reached(reach)]
    if place.recognises:
        lines.append(tr("Run lesveil enrol again, so that the templates go by it too."))
    return answer(args, document, *lines)


def add_to(add: Add, group: Group) -> None:
    consent = group("consent", "the consent register")
    imported = add("import", consent_import, "import the list that administration exported", consent)
    imported.add_argument("file", type=named, metavar="FILE", help="the export of administration: CSV or XLSX")
    imported.add_argument("--dry-run", action="store_true", help="show what would change")
    imported.add_argument("--staff", action="store_true", help="this is the staff's own list, not the pupils'")
    imported.add_argument("--allow-loss", action="store_true", help="import though many people are gone from the list")
    imported.add_argument("--allow-older", action="store_true", help="import though a newer list came since this one")
    listed = add("list", consent_list, "who may be shown, on what ground, and whose consent ends soon", consent)
    listed.add_argument("--on", type=day, metavar="DATE", help="as it is on that day; today if left out")
    withdrawn = add("withdraw", consent_withdraw, "take back somebody's consent", consent)
    withdrawn.add_argument("id", metavar="NUMBER", help="the number of who takes consent back")
    withdrawn.add_argument("--on", type=day, metavar="DATE", help="from that day on; today if left out")
    withdrawn.add_argument("--by", default="", metavar="NAME", help="who enters it; the reports have it")
    alike = add("alike", consent_alike, "say whether two numbers that look alike are one person or two", consent)
    alike.add_argument("id", metavar="NUMBER", help="one of the two numbers")
    alike.add_argument("other", metavar="NUMBER", help="the other")
    alike.add_argument("--are", required=True, choices=("one", "two"), help="whether they are one person or two")
    alike.add_argument("--by", required=True, metavar="NAME", help="who says so")
