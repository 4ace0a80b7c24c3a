"""From the card to the archive: run, cards, status, approve, reject, wipe; deliver has a module of its own."""

from __future__ import annotations

import argparse
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pipeline import workspace
from pipeline.commands.terminal import Add, Bar, Bars, Group, answer, asked, named, say
from pipeline.errors import CardError, UsageError, code_of
from pipeline.lesson.failures import failure_in_words
from pipeline.messages import decimal, kept_in_words, printable, quoted, told, tr

MOST = 20
"""Names of files in one line."""

WIDEST = 36
"""Letters of a film's name before what is said of it."""


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
        "clips": [_clip_document(state) for state in result.done],
        "failed": [{"clip": name, "error": str(error), "code": error.code} for name, error in result.troubles],
        "deleted": [_clip_document(state) for state in result.deleted],
        "left_on_card": result.left,
        "notes": result.notes,
        "card": None if result.card is None else {**_card_document(result.card), "registered": result.registered},
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


def cards(args: argparse.Namespace) -> int:
    """lesveil cards"""
    from pipeline.adapters.cameras import camera_serials
    from pipeline.adapters.volumes import candidates, volume_of
    from pipeline.lesson.copy import known_by

    if args.gone is not None:
        return _gone(args)
    with workspace.opened(args.workspace) as place:
        registered = place.settings.cards.registered
    found = [volume_of(args.card)] if args.card else candidates()
    documents, lines, any_named = [], [], False
    for volume in found:
        cameras = sorted(camera_serials(volume.root))
        names = [name for name in (volume.serial, volume.label, *cameras) if name]
        known = known_by(volume, registered)
        documents.append({**_card_document(volume), "cameras": cameras, "registered": known is not None})
        lines.append(f"{volume.root}  {volume.system}  " + (tr("registered") if known else tr("not registered")))
        lines += [f"    {name}" for name in names]
        any_named = any_named or bool(names)
        if not names:
            lines.append(
                tr(
                    "    It has neither serial nor name, so it cannot be registered; give it a name on this computer, "
                    "or take it each time with lesveil run --any-card."
                )
            )
    if not found:
        lines.append(tr("No card was found; put one in, or name its folder with --card."))
    elif any_named:
        lines.append(tr("To register a card or camera, put one of its lines into lesveil.toml:"))
        lines += ["    [cards]", '    registered = ["…"]']
    return answer(args, {"cards": documents}, *lines)


def _gone(args: argparse.Namespace) -> int:
    """lesveil cards --gone CARD"""
    from pipeline.lesson.copy import write_off

    with workspace.opened(args.workspace) as place, workspace.alone(place):
        lost = write_off(place, args.gone, args.by or "")
    document = {
        "card": args.gone,
        "written_off": [one.path for one in lost.not_copied],
        "not_wiped": [_clip_document(state) for state in lost.not_wiped],
        "half": lost.half,
    }
    lines = [tr("Not waited for any more: {file}", file=one.path) for one in lost.not_copied]
    lines += [_given_up(state) for state in lost.not_wiped]
    return answer(
        args, document, *(lines or [tr("Nothing waits for this card any more.")]), *map(_half_gone, lost.half)
    )


def _given_up(state: Any) -> str:
    return tr(
        "No card is waited for any more to wipe {clip}; it is not called wiped, and what is here of it goes by its term"
        " (lesveil purge).",
        clip=Path(state.file).name,
    )


def _card_document(volume: Any) -> dict[str, Any]:
    return {
        "folder": volume.root,
        "serial": volume.serial,
        "label": volume.label,
        "file_system": volume.system,
        "read_only": volume.read_only,
        "mtp": volume.mtp,
    }


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
        lines.append(tr("Left on the card: {files}", files=_listed(result.left)))
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


def _listed(names: list[str]) -> str:
    """Names with commas between; of very many the first."""
    more = [tr("{n} more", n=len(names) - MOST)] if len(names) > MOST else []
    return ", ".join([*names[:MOST], *more])


def _clip_document(state: Any, lost: bool = False) -> dict[str, Any]:
    from pipeline.lesson.waiting import notes_of, waits_for, waits_in_words

    render = state.render or {}
    return {
        "clip": state.clip,
        "file": state.file,
        "filmed": state.filmed,
        "teacher": state.teacher,
        "consent_lapsed": list(state.ended),
        "look_alikes": list(state.doubted),
        "recognised_wrongly": list(state.mistaken),
        "rejected_by": state.rejected.payload["by"] if state.rejected else None,
        "stage": state.stage,
        "waits_for": waits_for(state, lost),
        "said": waits_in_words(state, lost),
        "notes": notes_of(state),
        "failure": failure_in_words(state.failure.payload) if state.failure else None,
        "rendering": render.get("file"),
        "sha256": render.get("sha256"),
        "seconds": render.get("seconds"),
        "people_shown": sorted({entry["person"] for entry in render.get("kept", [])}),
        "hidden_at_once": render.get("hidden_at_once"),
        "doubts": render.get("doubts", []),
        "second_look": render.get("second_look"),
        "damaged_frames": render.get("damaged"),
        "deleted": None if state.deleted is None else {"on": state.deleted.day, "because": state.deleted.because},
    }


def _in_columns(rows: list[tuple[str, str, str, list[str]]]) -> list[str]:
    """Clips as lines in which like stands below like: number, name, stage, what is said. A name that is longer than its
    column has a line of its own."""
    column = min(WIDEST, max((len(printable(name)) for _, name, *_ in rows), default=0))
    widest = max((len(stage) for *_, stage, _ in rows), default=0)
    lines = []
    for clip, name, stage, said in rows:
        first, shown = f"{clip:8}  ", printable(name)
        if len(shown) > column:
            lines.append(first + shown)
            first, shown = " " * len(first), ""
        lines.append(f"{first}{shown:{column}}  {stage:{widest}}  {' '.join(filter(None, said))}".rstrip())
    return lines


def status(args: argparse.Namespace) -> int:
    """lesveil status"""
    from pipeline.commands.unattended import last_run
    from pipeline.lesson.copy import not_copied
    from pipeline.lesson.retention import due
    from pipeline.lesson.waiting import called, failed_in_words, notes_of, rendering_lost, waits_in_words
    from pipeline.lesson.withdraw import states_on

    today = date.today()
    with workspace.opened(args.workspace) as place:
        found, missing = states_on(place, today), not_copied(place.ledger)
        over = due(place, today)
        soon = due(place, today + timedelta(place.settings.retention.warn_days))
        last = last_run(place)
        listed = any(not row.payload.get("staff") for row in place.ledger.entries("import"))
        makes = ("lesveil run", "lesveil repairs")
        lost = {s.clip for s in found if rendering_lost(place, s)}
        without = [s for s in found if (s.waits_for in makes or s.clip in lost) and not place.vault.has(s.clip)]
    names = called(found)
    rows = [(s.clip[:8], names[s.clip], tr(s.stage), [waits_in_words(s, s.clip in lost), *notes_of(s)]) for s in found]
    rows += [("-", Path(one.path).name, tr("not copied"), [failed_in_words(one.why)]) for one in missing]
    lines = _in_columns(rows)
    for card in dict.fromkeys(one.card for one in missing):
        lines.append(
            tr(
                "Something was not copied from the card {card}: put it in, then lesveil run; if it is lost or was "
                "formatted: lesveil cards --gone {quoted} --by NAME",
                card=card,
                quoted=quoted(card),
            )
        )
    if not lines:
        lines.append(tr("No clip was copied yet; put the camera's card in and run lesveil run."))
    if not found and not listed:
        lines.append(tr("No consent list was imported, so everyone is hidden."))
        lines.append(tr("Run lesveil consent import with administration's export."))
    elsewhere = [s for s in found if s.delivered and s.to_wipe and not s.delivered.payload["is_archive"]]
    if elsewhere:
        lines.append(
            tr(
                "{n} delivered {n:clip lies|clips lie} in a folder that was not the archive, so {n:it|they} cannot "
                "be wiped from the card;"
                " if it is, set folder_is_the_archive = true in lesveil.toml and run lesveil deliver.",
                n=len(elsewhere),
            )
        )
    if over:
        lines.append(
            tr(
                "{n} {n:thing has served or is past its|things have served or are past their} term: see lesveil purge.",
                n=len(over),
            )
        )
    if len(soon) > len(over):
        lines.append(
            tr(
                "{n} more will be past {n:its|their} term within {days} {days:day|days}.",
                n=len(soon) - len(over),
                days=place.settings.retention.warn_days,
            )
        )
    if without:
        lines.append(
            tr(
                "{n} {n:clip has|clips have} no working copy any more ({clips}): put the card in, then lesveil run.",
                n=len(without),
                clips=", ".join(names[s.clip] for s in without),
            )
        )
    if any(state.to_recall for state in found):
        lines.append(tr("What was delivered shows somebody who may not be shown any more: see lesveil recall."))
    lines += [last] if last else []
    document = {
        "clips": [_clip_document(state, state.clip in lost) for state in found],
        "not_copied": [{"file": one.path, "failure": one.why, "card": one.card} for one in missing],
        "due": over,
        "due_soon": len(soon) - len(over),
    }
    return answer(args, document, *lines)


def approve(args: argparse.Namespace) -> int:
    """lesveil approve, lesveil reject"""
    from pipeline.lesson.approve import judge
    from pipeline.lesson.state import find

    approves = args.command == "approve"
    if len(args.clip) > 1:
        raise UsageError("Say this of one clip at a time, after watching it.")
    (name,) = args.clip
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        before = find(place, name).rejected
        despite, anyway = (approves and getattr(args, f"despite_{what}") for what in ("second_look", "rejection"))
        state = judge(place, name, args.by, approves, despite=despite, despite_rejection=anyway)
    lines = [f"{Path(state.file).name}: {tr('approved') if approves else tr('rejected')}"]
    if approves and before is not None:
        lines.append(tr("The rejection by {by} of {day} no longer counts.", by=before.payload["by"], day=before.day))
    return answer(args, _clip_document(state), *lines)


def wipe(args: argparse.Namespace) -> int:
    """lesveil wipe"""
    from pipeline.lesson import wipe as wiping
    from pipeline.lesson.state import states
    from pipeline.lesson.waiting import called
    from pipeline.wipeable import GONE, UNSEEN

    today = date.today()
    wanted = wiping.Wanted(args.card, args.fill, args.whole_card)
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        if args.call_off:
            half = wiping.call_off(place, args.call_off, args.by or "")
            line = tr("The wipe {digest} was called off; what it wiped stays wiped.", digest=args.call_off)
            return answer(args, {"digest": args.call_off, "half": half}, line, *map(_half_gone, half))
        if args.gone:
            state = wiping.give_up(place, args.gone, args.by or "")
            more = tr("What else there is of {clip} on a card still waits for lesveil wipe.", clip=args.gone)
            line = more if state.to_wipe else _given_up(state)
            return answer(args, _clip_document(state), line)
        bar = Bar(tr("card"), args.quiet or args.json)
        try:
            if args.execute:
                confirmed = args.confirm or ""
                if args.whole_card and not confirmed:
                    title = wiping.title(place, wanted.card, args.execute)
                    confirmed = asked(tr("Everything on {title} goes. Type its name to confirm: ", title=title), args)
                done = wiping.execute_wipe(place, args.execute, today, wanted, confirmed, bar)
                left = wiping.left(place, wanted.card, args.execute)
            else:
                plan = wiping.wipe_plan(place, today, wanted, bar)
                others = [one for one in wiping.cards_left(place) if one != plan.card]
                films = called(states(place))
                unkept = wiping.unkept(place, plan)
                begun = wiping.begun(place)
                hindered = wiping.hindrance(place, plan, wanted.card) if plan.items else None
        finally:
            bar.close()
    if args.execute:
        document = {
            "digest": args.execute,
            "files": done.files,
            "copies": done.copies,
            "bytes": done.bytes,
            "filled": done.filled,
            "promise": done.promise,
            "left_on_card": left,
        }
        line = tr(
            "{files} {files:file|files} wiped from the card, {copies} working {copies:copy|copies} destroyed.",
            files=done.files,
            copies=done.copies,
        )
        filled = [tr("The free space of the card was overwritten.")] if done.filled else []
        lost = tr(
            "Still on the card, and gone once it is formatted: {files}; copy what is to be kept first.",
            files=_listed(left),
        )
        return answer(args, document, line, *filled, tr(done.promise), *([lost] if left else []))
    document = {
        "digest": plan.digest if plan.items else None,
        "card": plan.card,
        "whole_card": plan.whole,
        "begun": [one.digest for one in begun],
        "items": [{"path": item.path, "bytes": item.bytes, "kind": item.kind} for item in plan.items],
        "refused": [{"clip": clip, "reason": reason} for clip, reason in plan.refused],
        "deleted": [_clip_document(state) for state in unkept],
        "other_cards": others,
        "hindered": None if hindered is None else told(hindered),
    }
    lines = []
    if hindered is not None:
        lines.append(
            tr("Nothing can be wiped now (once this is mended, repeat lesveil wipe): {why}", why=told(hindered))
        )
    lines += [tr("Card: {title}", title=plan.card)] if plan.items else []
    lines += [
        f"  {tr(item.kind):16} {item.path}  ({item.bytes} bytes)" if item.bytes else f"  {tr(item.kind)}"
        for item in plan.items
        if item.kind not in (GONE, UNSEEN)
    ]
    lines += [tr("Not on the card any more: {file}", file=item.path) for item in plan.items if item.kind == GONE]
    lines += [
        tr("Said to be gone, and not called wiped: {file}", file=item.path)
        for item in plan.items
        if item.kind == UNSEEN
    ]
    lines += [
        tr(
            "Of {clip} nothing is kept anywhere: it was deleted on {day}, because {reason}.",
            clip=state.file,
            day=state.deleted.day,
            reason=tr(state.deleted.because),
        )
        for state in unkept
        if state.deleted
    ]
    lines += [
        tr("Not wiped: {clip}, because {reason}.", clip=films.get(clip, clip), reason=kept_in_words(reason))
        for clip, reason in plan.refused
    ]
    if plan.items and hindered is None:
        again = wiping.options(plan, args.card, args.fill)
        lines.append(tr("To wipe exactly this: lesveil wipe --execute {digest}", digest=plan.digest) + again)
    elif not plan.items and not plan.refused:
        lines.append(tr("There is nothing to wipe."))
    lines += [
        tr(
            "The wipe {digest} of the card {card} was begun and is not finished; if that card was lost or used again"
            " since: lesveil wipe --call-off {digest} --by NAME",
            digest=one.digest,
            card=one.card,
        )
        for one in begun
    ]
    if others:
        lines.append(
            tr(
                "Other cards of which something is left: {cards} (if one is lost, was formatted or has another name"
                " now: lesveil cards --gone CARD --by NAME)",
                cards=", ".join(others),
            )
        )
    return answer(args, document, *lines)


def _half_gone(file: str) -> str:
    return tr(
        "{file} may be overwritten in part and be no film any more; the next lesveil wipe of this card takes the rest,"
        " and so does formatting it in the camera.",
        file=file,
    )


def add_to(add: Add, group: Group) -> None:
    card = add("run", run_card, "copy, analyse, decide, render and check everything on a card")
    card.add_argument("--card", type=named, metavar="DIR", help="where the card is; if left out, the one that is in")
    card.add_argument("--any-card", action="store_true", help="take a card that is not registered, this once")
    card.add_argument("--teacher", metavar="ID", help="number of the teacher whose lessons these are")
    card.add_argument("--unattended", action="store_true", help="for a scheduler: ask nothing, answer in JSON")
    card.add_argument("--deliver", action="store_true", help="with --unattended: deliver what was approved, too")
    found = add("cards", cards, "the cards in this machine, and whether they are the school's")
    found.add_argument("--card", type=named, metavar="DIR", help="only this one")
    found.add_argument(
        "--gone",
        metavar="CARD",
        help="say that this card is lost, was formatted or has another name now: it is waited for no more",
    )
    found.add_argument("--by", metavar="NAME", help="who says so")
    add("status", status, "every clip, its stage, and what it waits for")
    for name, text in (("approve", "approve a clip's rendering"), ("reject", "reject a clip's rendering")):
        judged = add(name, approve, text)
        judged.add_argument(
            "clip", nargs="+", metavar="CLIP", help="a clip: its film's name, or the beginning of its number"
        )
        judged.add_argument("--by", required=True, metavar="NAME", help="who says so")
        if name == "approve":
            judged.add_argument(
                "--despite-second-look",
                action="store_true",
                help="you looked at every face that the second look sees, and there is nobody to hide",
            )
            judged.add_argument(
                "--despite-rejection",
                action="store_true",
                help="somebody rejected this rendering; you know why, and take that back",
            )
    wiped = add("wipe", wipe, "show what may be wiped; wipe exactly what was shown")
    wiped.add_argument("--execute", metavar="DIGEST", help="do what was shown under this digest")
    wiped.add_argument(
        "--card",
        type=named,
        metavar="DIR",
        help="where the card is; if left out, the one of those that are in that was read last",
    )
    wiped.add_argument(
        "--call-off", metavar="DIGEST", help="end a wipe that was begun, as its card was lost or used again"
    )
    wiped.add_argument(
        "--gone", metavar="CLIP", help="say that a film was deleted from its card otherwise: it is waited for no more"
    )
    wiped.add_argument("--by", metavar="NAME", help="who says so")
    wiped.add_argument("--fill", action="store_true", help="also overwrite the free space of the card")
    wiped.add_argument("--whole-card", action="store_true", help="everything on the card, if every film on it may go")
    wiped.add_argument("--confirm", metavar="NAME", help="the card's name, to confirm that the whole card goes")
