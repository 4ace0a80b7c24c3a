"""lesveil run: everything on a card is copied, analysed, decided, rendered and checked."""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path
from typing import Any

from pipeline import workspace
from pipeline.commands.clips import card_document, clip_document, listed
from pipeline.commands.terminal import Add, Bars, Group, answer, asked, named, say
from pipeline.errors import CardError, UsageError, code_of
from pipeline.messages import decimal, printable, told, tr


def run_card(args: argparse.Namespace) -> int:
    """lesveil run"""
    from pipeline.commands.unattended import unattended
    from pipeline.lesson import card

    if args.unattended:
        return unattended(args)
    if args.deliver:
        raise UsageError("--deliver goes with --unattended; deliver what was approved with lesveil deliver.")
    today = date.today()
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        for state in card.held_back(place, today):
            say(
                "{clip} waits until you say whose lesson it is: put its card in, and run lesveil run --teacher NUMBER.",
                clip=Path(state.file).name,
            )
        folder = args.card or _choose_card(place, args, bool(card.waiting(place, today)))
        if not place.recognises:
            say("Recognition is off in this workspace: everyone is hidden.")
        if folder is not None and not place.settings.cards.registered:
            say("No card is registered in lesveil.toml, so any card is taken; lesveil cards shows how to register.")
        _say_slower(place)
        bars = Bars(args.quiet or args.json)
        try:
            result = card.run_card(place, folder, today, bars, args.any_card, args.teacher)
        finally:
            bars.close()
        _remind(place, today)
    lines = _summary(result)
    for name, error in result.troubles:
        say("{clip}: {error}", clip=name, error=told(error))
    answer(args, run_document(result), *lines)
    return code_of(error.code for _, error in result.troubles)


def run_document(result: Any) -> dict[str, Any]:
    """What a run came to, for JSON."""
    return {
        "clips": [clip_document(state) for state in result.done],
        "failed": [{"clip": name, "error": str(error), "code": error.code} for name, error in result.troubles],
        "deleted": [clip_document(state) for state in result.deleted],
        "left_on_card": result.left,
        "notes": result.notes,
        "card": None if result.card is None else {**card_document(result.card), "registered": result.registered},
    }


def _choose_card(place: workspace.Workspace, args: argparse.Namespace, waiting: bool = False) -> Path | None:
    """The card in this machine; when there are several a person chooses. None where there is none, and clips wait that
    do not need theirs. Raises CardError."""
    from pipeline.lesson.copy import find_card

    found = find_card(place)
    if not found and waiting:
        say("No card was found; the clips that were copied before and wait are done.")
        return None
    if not found:
        raise CardError("No card was found; put one in, or name its folder with --card.")
    if len(found) > 1:
        for number, volume in enumerate(found, 1):
            print(printable(f"  {number}  {volume.root}  {volume.label}  {volume.serial}"), file=sys.stderr)
        choice = asked(tr("Which card? Type its number: "), args)
        if not choice.isdecimal() or not 1 <= int(choice) <= len(found):
            raise CardError(
                "There are several cards ({folders}); name one with --card.",
                folders=", ".join(str(volume.root) for volume in found),
            )
        found = [found[int(choice) - 1]]
    say("Card: {folder} ({title})", folder=found[0].root, title=found[0].title)
    return found[0].root


def _say_slower(place: workspace.Workspace) -> None:
    """That hardware was asked for and none here works; found out once, with pictures as most cameras make them."""
    from pipeline.adapters import encoders
    from pipeline.lesson.house_checks import FALLS_BACK

    wanted = place.settings.rendering.encoder
    if wanted != "software" and encoders.usual(wanted) == encoders.SOFTWARE:
        say(FALLS_BACK, wanted=wanted)


def _remind(place: workspace.Workspace, today: date) -> None:
    """What somebody should see to before long; none of it stops a run."""
    from pipeline.lesson.enrol import aged

    ending = [one for one in place.register.people(today, place.settings.consent.warn_days) if one.ending is not None]
    if ending:
        say("Consent of {n} {n:person|people} ends soon: see lesveil consent list.", n=len(ending))
    old = aged(workspace.load_templates(place), today) if place.recognises else []
    if old:
        say("The pictures of {people} are over a year old; take new ones and enrol again.", people=", ".join(old))


def _summary(result: Any) -> list[str]:
    from pipeline.doubt import undecided
    from pipeline.lesson.report_words import summary_line
    from pipeline.lesson.waiting import called

    renders = [state.render for state in result.done if state.render]
    figures = {
        "clips": len(renders),
        "seconds": sum(render["seconds"] for render in renders),
        "shown": len({entry["person"] for render in renders for entry in render["kept"]}),
        "hidden": max((render["hidden_at_once"] for render in renders), default=0),
        "doubts": sum(len(render["doubts"]) for render in renders),
        "delivered": sum(bool(state.lies) for state in result.done),
        "begun": sum(bool(state.begun) for state in result.done),
        "lost": sum(bool(state.lost) for state in result.done),
    }
    lines = [summary_line(figures)] if renders else [] if result.failed else [tr("nothing new")]
    names = called(result.done)
    for state in result.done:
        if state.render and state.render["doubts"]:
            moments = ", ".join(f"{decimal(start)}-{decimal(stop)} s" for start, stop in state.render["doubts"])
            lines.append(tr("Look at {clip}: {moments}", clip=names[state.clip], moments=moments))
        if state.render and undecided(state.render):
            lines.append(
                tr(
                    "{clip}: a second look sees {n} {n:face that is|faces that are} not hidden; nobody can approve "
                    "it before deciding.",
                    clip=names[state.clip],
                    n=undecided(state.render),
                )
            )
        if state.render and state.render["damaged"]:
            lines.append(
                tr(
                    "{clip}: {n} damaged {n:frame is|frames are} hidden whole.",
                    clip=names[state.clip],
                    n=state.render["damaged"],
                )
            )
        if state.filmed and date.fromisoformat(state.filmed) > date.today():
            lines.append(
                tr(
                    "{clip} was filmed on {day} by its camera's clock, which is still to come, so nobody can be shown "
                    "in it; set that clock, as consent counts by the day of filming.",
                    clip=names[state.clip],
                    day=state.filmed,
                )
            )
    for state in result.deleted:
        told_of = {"clip": Path(state.file).name, "day": state.deleted.day, "reason": tr(state.deleted.because)}
        told_of["id"] = state.clip[:8]
        if result.card is None or result.card.identity in state.cards:
            line = tr(
                "{clip} was deleted on {day}, because {reason}, and is left alone. To wipe it from the card: lesveil"
                " wipe. To have it made again: lesveil used {id} --undo --by NAME, then lesveil run.",
                **told_of,
            )
        else:  # lesveil wipe knows nothing of it there
            line = tr(
                "{clip} was deleted on {day}, because {reason}, and is left alone; it lies on this card as well: "
                "delete it there in the camera. To have it made again: lesveil used {id} --undo --by NAME, then "
                "lesveil run.",
                **told_of,
            )
        lines.append(line)
    lines += result.notes
    if result.left:
        lines.append(tr("Left on the card: {files}", files=listed(result.left)))
    if result.failed:
        bad = len(result.failed)
        copied = {file for state in result.done for file in state.files}  # one of these may be done from its copy
        all_ = len(result.done) + sum(name not in copied for name, _ in result.failed)
        lines.append(
            tr("{bad} of {all} {all:clip|clips} {bad:was|were} not done.", bad=bad, all=all_)
            if result.done
            else tr("{n} {n:clip was|clips were} not done.", n=bad)
        )
    return lines


def add_to(add: Add, group: Group) -> None:
    card = add("run", run_card, "copy, analyse, decide, render and check everything on a card")
    card.add_argument("--card", type=named, metavar="FOLDER", help="where the card is; if left out, the one that is in")
    card.add_argument("--any-card", action="store_true", help="take a card that is not registered, this once")
    card.add_argument("--teacher", metavar="NUMBER", help="number of the teacher whose lessons these are")
    card.add_argument("--unattended", action="store_true", help="for a scheduler: ask nothing, answer in JSON")
    card.add_argument("--deliver", action="store_true", help="with --unattended: deliver what was approved, too")
