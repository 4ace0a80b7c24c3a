"""Where clips go: login, deliver."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pipeline import workspace
from pipeline.commands.terminal import Add, Bar, Group, answer, named, say
from pipeline.errors import DeliveryError, LesveilError, UsageError, code_of
from pipeline.messages import decimal, kept_in_words, quoted, told, tr
from pipeline.unforeseen import ours


def leave_head(place: workspace.Workspace) -> None:
    """Leave the ledger's head in the archive; where that fails it is told, and the next delivery makes it good."""
    from pipeline.lesson import targets

    try:
        targets.leave_head(place)
    except (LesveilError, OSError) as error:
        say("The ledger's head could not be left in the archive: {why}", why=told(ours(error)))


def gaps(place: workspace.Workspace, within: float = math.inf) -> tuple[list[str], bool]:
    """A line for people where the ledger is not whole, so that it may not know of every delivery; and whether it is
    known to be whole. That the archive could not be asked is told; OneDrive is waited for ``within`` seconds."""
    from pipeline.lesson import targets

    found = targets.proof(place, within=within)
    if found.unasked is not None:
        say("The heads in the archive could not be asked: {why}", why=told(found.unasked))
    if not found.findings:
        return [], found.unasked is None
    line = tr(
        "The ledger is not whole ({what}), so it may not know of every delivery: look with lesveil deliver --audit "
        "what else lies there, and tell the privacy officer.",
        what=kept_in_words(found.findings[0]),
    )
    return [line], False


def deliver(args: argparse.Namespace) -> int:
    """lesveil deliver"""
    for option, other, astray in (
        ("--yes", "--remove", args.yes and args.remove is None),
        ("--execute", "--gone", args.execute is not None and args.gone is None),
    ):
        if astray:
            raise UsageError(
                "{option} goes with {other}; lesveil deliver alone brings what was approved.",
                option=option,
                other=other,
            )
    if args.audit:
        return _audit(args)
    if args.remove is not None:
        return _remove(args)
    if args.gone is not None:
        return _gone(args)
    from pipeline.adapters.graph_names import Labels
    from pipeline.lesson import deliver as delivering

    labels = Labels(args.school_class or "", args.teacher or "")
    bar = Bar(tr("clips"), args.quiet or args.json)
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        try:
            done = delivering.deliver(place, date.today(), clips=args.clips, labels=labels, progress=bar)
            done += _not_brought(place, args.clips, {state.clip for state, _ in done})
            if any(not isinstance(what, LesveilError) for _, what in done):
                leave_head(place)
        finally:
            bar.close()
    arrived = [(state, what) for state, what in done if not isinstance(what, LesveilError)]
    failed = [(state, what) for state, what in done if isinstance(what, LesveilError)]
    lines = [_line(Path(state.file).name, what) for state, what in done] or [tr("Nothing is approved and waiting.")]
    for state, what in arrived:
        if what.versions_left:
            lines.append(
                tr(
                    "{clip}: OneDrive still keeps {n} older {n:version|versions}; remove {n:it|them} there, or take "
                    "the clip away.",
                    clip=Path(state.file).name,
                    n=what.versions_left,
                )
            )
        lines += [in_bin(one.where) for one in what.cleared if not one.permanent]
        for where in what.may_lie_at:
            lines.append(
                tr(
                    "{clip}: an earlier delivery was cut off at {where}, which is not there, and the film may lie there"
                    " still; lesveil deliver looks when it is there again; if it is gone for good: "
                    "lesveil deliver --gone {folder} --by NAME",
                    clip=Path(state.file).name,
                    where=where,
                    folder=quoted(Path(where).parent),
                )
            )
    document = {
        "delivered": [
            {
                "clip": s.clip,
                "where": w.where,
                "replaced": w.replaced,
                "versions_left": w.versions_left,
                "may_lie_at": list(w.may_lie_at),
                "in_bin": [one.where for one in w.cleared if not one.permanent],
            }
            for s, w in arrived
        ],
        "failed": [{"clip": s.clip, "error": str(w), "code": w.code} for s, w in failed],
    }
    answer(args, document, *lines)
    kept = [DeliveryError.code for _, what in arrived if what.versions_left]
    return code_of([*kept, *(error.code for _, error in failed)])


def _line(name: str, what: Any) -> str:
    """What became of one clip: its name once, which many an error has already."""
    text = told(what) if isinstance(what, LesveilError) else tr("arrived and verified: {where}", where=what.where)
    return text if text.startswith(name) else f"{name}: {text}"


def _not_brought(place: workspace.Workspace, names: Sequence[str], done: set[str]) -> list[tuple[Any, LesveilError]]:
    """The clips that were named and that nothing was brought of, each with why; not those that lie there already."""
    from pipeline.lesson.state import find
    from pipeline.lesson.waiting import rendering_lost, waits_in_words

    found = {state.clip: state for state in (find(place, name) for name in names)}
    return [
        (
            state,
            DeliveryError(
                "{clip} was not brought: {why}.",
                clip=Path(state.file).name,
                why=waits_in_words(state, rendering_lost(place, state)) or tr(state.stage),
            ),
        )
        for state in found.values()
        if state.clip not in done and (state.delivered is None or state.outdated or state.repairs_wait)
    ]


def _audit(args: argparse.Namespace) -> int:
    """lesveil deliver --audit"""
    from pipeline.lesson.audit import audit

    with workspace.opened(args.workspace) as place, workspace.alone(place):
        found = audit(place)
    lines = [f"{tr(line.verdict):16} {line.where}{_lost(line)}" for line in found]
    document = {
        "files": [
            {"where": line.where, "clip": line.clip, "verdict": line.verdict}
            | ({"by": line.by, "on": line.on} if line.on else {})
            for line in found
        ]
    }
    answer(args, document, *(lines or [tr("Nothing was delivered yet.")]))
    return 0 if all(line.fine for line in found) else DeliveryError.code


def _lost(line: Any) -> str:
    if not line.on:
        return ""
    return "  " + tr("({by} said so on {day}; it may be seen there still)", by=line.by, day=line.on)


def _remove(args: argparse.Namespace) -> int:
    """lesveil deliver --remove CLIP"""
    from pipeline.lesson import deliver as delivering
    from pipeline.lesson.state import find

    with workspace.opened(args.workspace) as place, workspace.alone(place):
        state = find(place, args.remove)
        document: dict[str, Any] = {"clip": state.clip, "where": list(state.standing)}
        if not args.yes:
            lines = [tr("Would be removed: {where}", where=where) for where in document["where"]]
            lines.append(
                tr("To do so, say it again with --yes.") if state.standing else tr("Nothing of this clip lies there.")
            )
            return answer(args, document | {"removed": False}, *lines)
        gone = delivering.remove_clip(place, state.clip)
        leave_head(place)
    lines = [_removed(one) for one in gone] or [tr("Nothing of this clip lies there.")]
    outcome = {
        "removed": bool(gone),
        "permanent": all(one.permanent for one in gone),
        "not_found": [one.where for one in gone if not one.found],
    }
    return answer(args, document | outcome, *lines)


def _gone(args: argparse.Namespace) -> int:
    """lesveil deliver --gone FOLDER"""
    from pipeline.lesson import lost as losing
    from pipeline.lesson import plans

    if not (args.by or "").strip():
        raise DeliveryError("A folder is given up in somebody's name; say whose with --by.")
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        losing.come_back(place)
        if args.execute:
            done = losing.execute_lost(place, args.gone, args.by, args.execute)
            if place.settings.deliver.target:
                leave_head(place)
        else:
            items = losing.lost_plan(place, args.gone)
            seen = losing.seen_in(place, items, date.today())
            last = losing.nowhere_else(place, items)
    if args.execute:
        wheres = [item["where"] for item, what in done if not isinstance(what, LesveilError) and what["found"]]
        failed = [(item, what) for item, what in done if isinstance(what, LesveilError)]
        lines = [tr("Counts as lost: {where}", where=where) for where in wheres]
        lines += [f"{Path(item['file']).name}: {told(what)}" for item, what in failed]
        answer(args, {"lost": wheres}, *(lines or [tr("There was nothing left to do.")]))
        return code_of(what.code for _, what in failed)
    digest = plans.digest_of(items)
    lines = [tr("Would count as lost; nothing is deleted, and whoever has the disk can see it still:")]
    lines += [f"  {Path(item['file']).name}  {item['where']}" for item in items]
    for item in items:
        if people := ", ".join(seen[item["clip"], item["sha256"]]):
            lines.append(
                tr(
                    "{file} shows {people}, who may not be shown any more: nothing can be hidden there.",
                    file=Path(item["file"]).name,
                    people=people,
                )
            )
    lines += [
        tr("Of {clip} nothing else is left, for all that is known.", clip=Path(state.file).name) for state in last
    ]
    lines.append(
        tr(
            "To say exactly this: lesveil deliver --gone {folder} --by {by} --execute {digest}",
            folder=quoted(args.gone),
            by=quoted(args.by),
            digest=digest,
        )
    )
    document = {
        "digest": digest,
        "items": items,
        "may_not_be_seen": [{"clip": clip, "sha256": sha, "people": who} for (clip, sha), who in seen.items() if who],
        "last": [state.clip for state in last],
    }
    return answer(args, document, *lines)


def lost_in_words(one: Any) -> str:
    """Who is shown at a place that is lost, and may not be any more."""
    return tr(
        "{file} shows {people} at {where}, which is lost, as {by} said on {day}: nothing can be hidden there.",
        file=Path(one.state.file).name,
        people=", ".join(one.people),
        where=one.row.payload["where"],
        by=one.row.payload["by"],
        day=one.row.day,
    )


def lost_document(one: Any) -> dict[str, Any]:
    """A film at a place that is lost, and who is shown in it and may not be any more."""
    said = one.row.payload
    about = {"clip": one.state.clip, "file": one.state.file, "people": list(one.people)}
    return about | {"where": said["where"], "by": said["by"], "on": one.row.day.isoformat()}


def _removed(one: Any) -> str:
    if not one.found:
        return tr(
            "Was not there any more: {where}; if somebody moved it, remove it where it lies now.", where=one.where
        )
    if one.permanent:
        return tr("Removed for good: {where}", where=one.where)
    return in_bin(one.where)


def in_bin(where: str) -> str:
    """What is said of what was taken away and is not gone for good."""
    return tr("Removed: {where}; the recycle bin keeps it for its term: empty it there.", where=where)


def login(args: argparse.Namespace) -> int:
    """lesveil login"""
    from pipeline.adapters.graph_http import Graph
    from pipeline.adapters.onedrive import OneDrive
    from pipeline.adapters.sign_in import SignIn
    from pipeline.lesson.onedrive_target import registration_of

    with workspace.opened(args.workspace) as place, workspace.alone(place):
        said = place.settings.onedrive
        if place.settings.deliver.target == "folder" and not said.tenant:
            return answer(
                args, {"signed_in": False}, tr("Clips are delivered to a folder, so nobody needs to sign in.")
            )
        signing = SignIn(registration_of(place.settings), place.vault)
        if args.forget:
            signing.forget()
            return answer(args, {"signed_in": False}, tr("Signed out: nothing is kept here to come back with."))
        if said.sign_in == "certificate":
            if args.device_code:
                raise UsageError("lesveil.toml says to sign in with a certificate: there is nothing to do by hand.")
        elif args.device_code or said.sign_in == "device_code":
            signing.by_device_code(
                lambda at, code: say("Open {address} on any device and enter {code}.", address=at, code=code)
            )
        else:
            say("Your browser opens now; sign in there with the school's account.")
            signing.in_browser()
        with Graph(said.graph, signing) as graph:
            drive = OneDrive.open(graph, said.site)
    free = None if drive.remaining is None else round(drive.remaining / 1e9, 1)
    lines = [tr("Signed in as {person}.", person=signing.person) if signing.person else tr("Signed in.")]
    lines += [] if free is None else [tr("{free} GB are free there.", free=decimal(free))]
    document = {"signed_in": True, "person": signing.person, "drive": drive.id, "kept_by": signing.kept_by}
    return answer(args, document | {"free_gb": free}, *lines)


def add_to(add: Add, group: Group) -> None:
    signed = add("login", login, "sign in to the school's OneDrive")
    signed.add_argument("--device-code", action="store_true", help="with a code on another device, without a browser")
    signed.add_argument("--forget", action="store_true", help="sign out on this machine")
    brought = add("deliver", deliver, "bring approved clips to where they belong, verified")
    brought.add_argument("clips", nargs="*", metavar="CLIP", help="only these (default: all that are approved)")
    brought.add_argument("--class", dest="school_class", metavar="CLASS", help="for {class} in the layout")
    brought.add_argument("--teacher", metavar="CODE", help="for {teacher} in the layout: a code, not a name")
    brought.add_argument("--audit", action="store_true", help="compare what lies there with the ledger; brings nothing")
    brought.add_argument("--remove", metavar="CLIP", help="take a delivered clip away again; shows first")
    brought.add_argument(
        "--gone",
        type=named,
        metavar="FOLDER",
        help="say that a folder with delivered films is gone for good (a lost disk); shows first",
    )
    brought.add_argument("--by", metavar="NAME", help="with --gone: who says so")
    brought.add_argument("--execute", metavar="CODE", help="with --gone: do what was shown under this code")
    brought.add_argument("--yes", action="store_true", help="with --remove: do it")
