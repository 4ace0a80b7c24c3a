"""What happens to a lesson afterwards: recall, used, purge, report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pipeline import workspace
from pipeline.commands.deliver import gaps, in_bin, leave_head, lost_document, lost_in_words
from pipeline.commands.terminal import Add, Bar, Group, answer, day, named
from pipeline.errors import LedgerError, LesveilError, UsageError, code_of
from pipeline.messages import told, tr


def recall(args: argparse.Namespace) -> int:
    """lesveil recall"""
    from pipeline.lesson import plans
    from pipeline.lesson import recall as recalling
    from pipeline.lesson.lost import all_lost

    today, quiet = date.today(), args.quiet or args.json
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        if args.execute:
            done = recalling.execute_recall(place, args.execute, today, lambda name: Bar(name, quiet), args.by)
            _noted(place, done)
            return _told(args, done)
        items = recalling.recall_plan(place, today)
        waiting = recalling.waiting(place)
        lost = [one for one in all_lost(place, today) if one.people]
        lacking, whole = gaps(place)
    lines = list(lacking)
    for item in items:
        lines.append(
            tr(
                "{file} shows {people}: {action}",
                file=Path(item["file"]).name,
                people=", ".join(item["people"]),
                action=tr(item["action"]),
            )
            + (f" ({tr(item['because'])})" if "because" in item else "")
        )
        lines += [f"    {where}" for where in item["where"]]
    for state in waiting:
        lines += [_waits(state), *(f"    {where}" for where in state.standing)]
    lines += map(lost_in_words, lost)
    digest = plans.digest_of(items)
    if items or not (waiting or lost):
        lines.append(
            tr("To do exactly this: lesveil recall --execute {digest}", digest=digest)
            if items
            else tr("No delivered clip shows anybody who may not be shown any more.")
            if whole
            else tr("No delivered clip that the ledger knows of shows anybody who may not be shown any more.")
        )
    told_of = [
        {"clip": one.clip, "file": one.file, "people": sorted(one.lapsed), "where": list(one.standing)}
        for one in waiting
    ]
    document = {"digest": digest or None, "items": items, "waiting": told_of, "ledger": lacking}
    answer(args, document | {"lost": [lost_document(one) for one in lost]}, *lines)
    return LedgerError.code if lacking else 0


def _waits(state: Any) -> str:
    """What is to be done about a clip of which a recall made what is to take its place."""
    told_of = {"file": Path(state.file).name, "people": ", ".join(sorted(state.lapsed)), "id": state.clip[:8]}
    if state.rejected is not None:
        return tr(
            "{file} shows {people}, and the film with everybody hidden was rejected: bring it with lesveil approve {id}"
            " --despite-rejection and lesveil deliver, or take the clip away with lesveil deliver --remove {id}:",
            **told_of,
        )
    return tr(
        "{file} shows {people} until lesveil approve {id} and lesveil deliver bring the film that is to take its"
        " place:",
        **told_of,
    )


def used(args: argparse.Namespace) -> int:
    """lesveil used"""
    from pipeline.lesson.retention import tick
    from pipeline.lesson.state import NOTHING_LEFT

    with workspace.opened(args.workspace) as place, workspace.alone(place):
        found = [tick(place, name, args.by, not args.undo) for name in args.clips]
        lost = [state for state in found if args.undo and state.nothing_left]
    document = {
        "clips": [
            {"clip": state.clip, "file": state.file, "used": state.used is not None, "nothing_left": state in lost}
            for state in found
        ]
    }
    lines = [f"{Path(state.file).name}: {_ticked(state)}" for state in found]
    lines += [tr(NOTHING_LEFT, clip=Path(state.file).name) for state in lost]
    return answer(args, document, *lines)


def _ticked(state: Any) -> str:
    if state.used is None:
        return tr("has not served yet")
    return tr("is given up; lesveil purge deletes it") if state.render is None else tr("has served")


def purge(args: argparse.Namespace) -> int:
    """lesveil purge"""
    from pipeline.lesson import plans, retention
    from pipeline.lesson.lost import come_back

    today = date.today()
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        come_back(place)
        if args.execute:
            done = retention.execute_purge(place, args.execute, today)
            _noted(place, done)
            return _told(args, done)
        items = retention.due(place, today)
        held = retention.held(place, today)
        last = retention.nowhere_else(place, items)
    lines = [_line(item) for item in items]
    lines += [
        tr(
            "Not yet: {clip}, because its originals on the card are not wiped; {command} comes first"
            " (if they or their card are gone: lesveil wipe --gone {id} --by NAME).",
            clip=Path(state.file).name,
            command=state.waits_for,
            id=state.clip[:8],
        )
        for state in held
    ]
    lines += [
        tr(
            "{clip} lies nowhere else: after this nothing of it is left, except perhaps on its card.",
            clip=Path(state.file).name,
        )
        if state.to_wipe
        else tr(
            "{clip} lies nowhere else, and for all that is known on no card any more: after this nothing of it is"
            " left.",
            clip=Path(state.file).name,
        )
        for state in last
    ]
    digest = plans.digest_of(items)
    lines.append(
        tr("To delete exactly this: lesveil purge --execute {digest}", digest=digest)
        if items
        else tr("Nothing can be deleted now.")
        if held
        else tr("Nothing is past its term.")
    )
    not_yet = [{"clip": state.clip, "file": state.file, "waits_for": state.waits_for} for state in held]
    document = {"digest": digest or None, "items": items, "not_yet": not_yet, "last": [state.clip for state in last]}
    return answer(args, document, *lines)


def _noted(place: workspace.Workspace, done: Sequence[Any]) -> None:
    if done and place.settings.deliver.target:
        leave_head(place)


def _line(item: dict[str, Any]) -> str:
    what = Path(item["file"]).name if "file" in item else item.get("person", "")
    where = item.get("where") or item.get("rendering") or ""
    said = tr("since {day}, because {reason}", day=item.get("since") or "?", reason=tr(item["because"]))
    return f"  {tr(item['kind']):22} {what}  {where}  ({said})"


def _told(args: argparse.Namespace, done: Sequence[tuple[dict[str, Any], Any]]) -> int:
    """What became of each item of a plan, and the exit code."""
    lines: list[str] = []
    documents: list[dict[str, Any]] = []
    for item, what in done:
        file = item.get("file") or item.get("rendering")
        name = Path(file).name if file else item.get("person") or tr(item["kind"])
        if isinstance(what, LesveilError):
            lines.append(f"{name}: {told(what)}")
            documents.append({"item": item, "error": str(what), "code": what.code})
            continue
        documents.append({"item": item, **what})
        outcome = what.get("outcome") or ("deleted" if what.get("found") else "was gone already")
        if what.get("permanent") is False:
            outcome = "deleted; the recycle bin keeps it for its term"
        said = f"{tr(item['kind'])} {tr(outcome)}" if "kind" in item else tr(outcome)
        lines.append(f"{name}: {said}")
        lines += [in_bin(where) for where in what.get("in_bin", ())]
        if what.get("second_look_left"):
            lines.append(
                tr(
                    "{clip}: a second look still sees {n} {n:face that is|faces that are} not hidden, as "
                    "{n:it was|they were} not before; watch it,"
                    " and take it away with lesveil deliver --remove {id} if somebody is to be hidden.",
                    clip=name,
                    n=what["second_look_left"],
                    id=item["clip"][:8],
                )
            )
    answer(args, {"done": documents}, *(lines or [tr("There was nothing left to do.")]))
    return code_of(what.code for _, what in done if isinstance(what, LesveilError))


OUTCOMES = ("deleted", "was gone already", "deleted; the recycle bin keeps it for its term")


def _batch(given: str) -> str:
    """A batch's number, or a day however it was written, as ISO 8601 has it."""
    try:
        return given if given.isdecimal() else day(given).isoformat()
    except argparse.ArgumentTypeError:
        return given  # then there is none, which is said


def report(args: argparse.Namespace) -> int:
    """lesveil report"""
    from pipeline.lesson.processing import processing_entry
    from pipeline.lesson.report import Wanted
    from pipeline.lesson.report import report as reported
    from pipeline.lesson.report_page import write_page
    from pipeline.lesson.report_person import about_person
    from pipeline.lesson.report_words import in_words

    wanted = Wanted(args.batch and _batch(args.batch), getattr(args, "from"), args.to)
    if wanted.first and wanted.last and wanted.first > wanted.last:
        raise UsageError("--from {first} lies after --to {last}; swap the two.", first=wanted.first, last=wanted.last)
    with workspace.opened(args.workspace, old_register=True) as place:
        if args.person is not None:
            document, kind = about_person(place, args.person, date.today()), "person"
        elif args.processing:
            document, kind = processing_entry(place), "processing"
        else:
            document, kind = reported(place, wanted, date.today()), "report"
    lines = in_words(document, kind)
    if args.html:
        write_page(args.html, document, kind)
        lines.append(tr("Written: {file}", file=args.html))
    answer(args, document, *lines)
    changed = document.get("ledger", {}).get("findings")  # told in full, and yet no proof of anything
    return LedgerError.code if changed else 0


def add_to(add: Add, group: Group) -> None:
    recalled = add("recall", recall, "hide or delete, in what was delivered, who may not be seen any more; shown first")
    recalled.add_argument("--execute", metavar="CODE", help="do what was shown under this code")
    recalled.add_argument("--by", default="", metavar="NAME", help="who does it; the reports have it")
    ticked = add("used", used, "say that clips have served, so that purge deletes them")
    ticked.add_argument(
        "clips", nargs="+", metavar="CLIP", help="a clip: its film's name, or the beginning of its number"
    )
    ticked.add_argument("--by", required=True, metavar="NAME", help="who says so")
    ticked.add_argument("--undo", action="store_true", help="take it back: it is needed after all")
    purged = add("purge", purge, "show what has served or is past its term; delete exactly what was shown")
    purged.add_argument("--execute", metavar="CODE", help="do what was shown under this code")
    told_of = add("report", report, "what happened, for the coach and the privacy officer")
    one = told_of.add_mutually_exclusive_group()
    one.add_argument("batch", nargs="?", metavar="BATCH", help="a number as lesveil report lists them, or a day")
    told_of.add_argument("--from", type=day, metavar="DATE", help="the first day told of")
    told_of.add_argument("--to", type=day, metavar="DATE", help="the last one")
    one.add_argument("--person", metavar="NUMBER", help="everything about one person (GDPR article 15)")
    one.add_argument("--processing", action="store_true", help="an entry for the register of processing (article 30)")
    told_of.add_argument("--html", type=named, metavar="FILE", help="a page to print")
