"""lesveil consent and lesveil enrol: who agreed to what, and whom the program may recognise."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from pipeline import workspace
from pipeline.commands.terminal import Add, Group, answer, day
from pipeline.errors import LesveilError, NotReadyError
from pipeline.messages import told, tr


def consent_import(args: argparse.Namespace) -> int:
    """lesveil consent import"""
    from pipeline.adapters.consent_file import read_consent_file

    today = date.today()
    with workspace.opened(args.workspace) as place:
        consent = place.settings.consent
        listed = read_consent_file(Path(args.file), purpose=consent.purpose, giver=consent.giver, today=today)
        plan = place.register.plan_import(listed, today)
        number = None
        if not args.dry_run:
            number = place.register.apply(plan)
            row = {"import": number, "sha256": listed.sha256, "people": len(listed.people)}
            place.ledger.append("import", None, row)
    document = {
        "import": number,
        "new": list(plan.new),
        "gone": list(plan.gone),
        "gains": list(plan.gains),
        "losses": list(plan.losses),
        "unchanged": len(plan.unchanged),
        "remarks": [{"row": r.row, "column": r.column, "text": str(r)} for r in plan.remarks],
    }
    lines = [
        tr(
            "{n} people on the list: {new} new, {gone} gone.",
            n=len(listed.people),
            new=len(plan.new),
            gone=len(plan.gone),
        )
    ]
    if plan.losses:
        lines.append(tr("LOSE consent: {people}", people=", ".join(plan.losses)))
    if plan.gone:
        lines.append(tr("NO LONGER on the list, so no longer shown: {people}", people=", ".join(plan.gone)))
    if plan.gains:
        lines.append(tr("gain consent: {people}", people=", ".join(plan.gains)))
    lines += [str(remark) for remark in plan.remarks]
    lines.append(tr("Nothing was changed (--dry-run).") if args.dry_run else tr("Imported as number {n}.", n=number))
    return answer(args, document, *lines)


def consent_list(args: argparse.Namespace) -> int:
    """lesveil consent list"""
    on = args.on or date.today()
    with workspace.opened(args.workspace) as place:
        people = place.register.people(on)
    document = [
        {
            "id": person.id,
            "name": person.name,
            "class": person.group,
            "portraits": person.portrait_folder,
            "shown": person.answer.kept,
            "why": str(person.answer.why),
            "ground": person.answer.ground,
        }
        for person in people
    ]
    lines = [
        f"{entry['id']:>10}  {tr('shown') if entry['shown'] else tr('hidden'):8} {entry['name']}"
        f"  ({entry['why']}; {entry['ground']})"
        for entry in document
    ]
    return answer(args, {"on": on.isoformat(), "people": document}, *lines)


def consent_withdraw(args: argparse.Namespace) -> int:
    """lesveil consent withdraw"""
    from pipeline.lesson.withdraw import withdraw

    on = args.on or date.today()
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        shown = withdraw(place, args.id, on)
    document = {"id": args.id, "on": on.isoformat(), "clips": [{"clip": s.clip, "stage": s.stage} for s in shown]}
    lines = [tr("Consent of {id} is withdrawn from {on} on; the template is destroyed.", id=args.id, on=on)]
    lines += [tr("Clip {clip} ({stage}) shows this person.", clip=s.clip, stage=tr(s.stage)) for s in shown]
    if shown:
        lines.append(
            tr("Run lesveil run again for clips not yet delivered; delivered ones must be taken back by hand for now.")
        )
    return answer(args, document, *lines)


def enrol(args: argparse.Namespace) -> int:
    """lesveil enrol"""
    from pipeline import run
    from pipeline.adapters import portraits
    from pipeline.stages import enrol as enrolling
    from pipeline.stages import identify

    folder = Path(args.portraits)
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        if not place.recognises:
            raise NotReadyError(
                'Recognition is off in this workspace; set [recognition] mode = "on" and name the assessment that '
                "covers it under [privacy] dpia in lesveil.toml."
            )
        wanted, refused = workspace.enrolled_folders(place, folder, date.today())
        networks = run.Networks(True)
        people = []
        for person, sub in wanted.items():
            chips = []
            try:
                for path in portraits.pictures_in(folder / sub):
                    picture = portraits.read(path)
                    marks = enrolling.portrait_face(str(path), picture, networks.detector)
                    chips.append(identify.align(picture, marks))
            except LesveilError as error:
                refused.append({"folder": sub, "id": person, "reason": told(error), "ground": ""})
                continue
            if not chips:
                refused.append({"folder": sub, "id": person, "reason": "no_pictures", "ground": ""})
                continue
            people.append(identify.template(person, chips, networks.embedder))
        alike = {name for pair in identify.look_alikes(people) for name in pair[:2]}
        refused += [
            {"id": name, "folder": wanted[name], "reason": "look_alike", "ground": ""} for name in sorted(alike)
        ]
        people = [person for person in people if person.id not in alike]
        workspace.save_templates(place, people)
        place.ledger.append("enrolment", None, {"people": [person.id for person in people]})
    document = {
        "enrolled": [{"id": person.id, "portraits": person.portraits} for person in people],
        "refused": refused,
    }
    lines = [tr("{n} people can be recognised.", n=len(people))]
    lines += [tr("Not enrolled: {folder} ({reason}; {ground})", **{"ground": "", **entry}) for entry in refused]
    return answer(args, document, *lines)


def add_to(add: Add, group: Group) -> None:
    consent = group("consent", "the consent register")
    imported = add("import", consent_import, "import the list that administration exported", consent)
    imported.add_argument("file", metavar="FILE")
    imported.add_argument("--dry-run", action="store_true", help="show what would change")
    listed = add("list", consent_list, "who may be shown, and on what ground", consent)
    listed.add_argument("--on", type=day, metavar="DATE")
    withdrawn = add("withdraw", consent_withdraw, "take back somebody's consent", consent)
    withdrawn.add_argument("id", metavar="ID")
    withdrawn.add_argument("--on", type=day, metavar="DATE")
    add("enrol", enrol, "make templates of people who agreed to be recognised").add_argument(
        "portraits", metavar="PORTRAITS"
    )
