"""lesveil wipe: what may be wiped is shown, and exactly what was shown is wiped."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from datetime import date

from pipeline import workspace
from pipeline.commands.clips import clip_document, given_up, half_gone, listed
from pipeline.commands.terminal import Add, Bar, Group, answer, asked, named
from pipeline.messages import kept_in_words, told, tr
from pipeline.records import WipePlan


def wipe(args: argparse.Namespace) -> int:
    """lesveil wipe"""
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        if args.call_off:
            return _call_off(place, args)
        if args.gone:
            return _give_up(place, args)
        if args.execute:
            return _execute(place, args)
        return _show(place, args)


def _call_off(place: workspace.Workspace, args: argparse.Namespace) -> int:
    """lesveil wipe --call-off CODE"""
    from pipeline.lesson import wipe as wiping

    half = wiping.call_off(place, args.call_off, args.by or "")
    line = tr("The wipe {digest} was called off; what it wiped stays wiped.", digest=args.call_off)
    return answer(args, {"digest": args.call_off, "half": half}, line, *map(half_gone, half))


def _give_up(place: workspace.Workspace, args: argparse.Namespace) -> int:
    """lesveil wipe --gone CLIP"""
    from pipeline.lesson import wipe as wiping

    state = wiping.give_up(place, args.gone, args.by or "")
    more = tr("What else there is of {clip} on a card still waits for lesveil wipe.", clip=args.gone)
    return answer(args, clip_document(state), more if state.to_wipe else given_up(state))


@contextlib.contextmanager
def _bar(args: argparse.Namespace) -> Iterator[Bar]:
    bar = Bar(tr("card"), args.quiet or args.json)
    try:
        yield bar
    finally:
        bar.close()


def _execute(place: workspace.Workspace, args: argparse.Namespace) -> int:
    """lesveil wipe --execute CODE"""
    from pipeline.lesson import wipe as wiping

    wanted = wiping.Wanted(args.card, args.fill, args.whole_card)
    with _bar(args) as bar:
        confirmed = args.confirm or ""
        if args.whole_card and not confirmed:
            title = wiping.title(place, wanted.card, args.execute)
            confirmed = asked(tr("Everything on {title} goes. Type its name to confirm: ", title=title), args)
        done = wiping.execute_wipe(place, args.execute, date.today(), wanted, confirmed, bar)
        left = wiping.left(place, wanted.card, args.execute)
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
        files=listed(left),
    )
    return answer(args, document, line, *filled, tr(done.promise), *([lost] if left else []))


def _show(place: workspace.Workspace, args: argparse.Namespace) -> int:
    """lesveil wipe, which shows the plan and does nothing."""
    from pipeline.lesson import on_card
    from pipeline.lesson import wipe as wiping
    from pipeline.lesson.state import states
    from pipeline.lesson.waiting import called

    wanted = wiping.Wanted(args.card, args.fill, args.whole_card)
    with _bar(args) as bar:
        plan = wiping.wipe_plan(place, date.today(), wanted, bar)
        others = [one for one in on_card.cards_left(place) if one != plan.card]
        films = called(states(place))
        unkept = wiping.unkept(place, plan)
        begun = wiping.begun(place)
        hindered = wiping.hindrance(place, plan, wanted.card) if plan.items else None
    document = {
        "digest": plan.digest if plan.items else None,
        "card": plan.card,
        "whole_card": plan.whole,
        "begun": [one.digest for one in begun],
        "items": [{"path": item.path, "bytes": item.bytes, "kind": item.kind} for item in plan.items],
        "refused": [{"clip": clip, "reason": reason} for clip, reason in plan.refused],
        "deleted": [clip_document(state) for state in unkept],
        "other_cards": others,
        "hindered": None if hindered is None else told(hindered),
    }
    lines = []
    if hindered is not None:
        lines.append(
            tr("Nothing can be wiped now (once this is mended, repeat lesveil wipe): {why}", why=told(hindered))
        )
    lines += _items_in_words(plan)
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
    return answer(args, document, *lines, *_elsewhere_in_words(begun, others))


def _items_in_words(plan: WipePlan) -> list[str]:
    """What a plan takes from which card."""
    from pipeline.wipeable import GONE, UNSEEN

    lines = [tr("Card: {title}", title=plan.card)] if plan.items else []
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
    return lines


def _elsewhere_in_words(begun: list[WipePlan], others: list[str]) -> list[str]:
    """Wipes that were begun and are not finished, and other cards of which something is left."""
    lines = [
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
    return lines


def add_to(add: Add, group: Group) -> None:
    wiped = add("wipe", wipe, "show what may be wiped; wipe exactly what was shown")
    wiped.add_argument("--execute", metavar="CODE", help="do what was shown under this code")
    wiped.add_argument(
        "--card",
        type=named,
        metavar="FOLDER",
        help="where the card is; if left out, the one of those that are in that was read last",
    )
    wiped.add_argument(
        "--call-off", metavar="CODE", help="end a wipe that was begun, as its card was lost or used again"
    )
    wiped.add_argument(
        "--gone", metavar="CLIP", help="say that a film was deleted from its card otherwise: it is waited for no more"
    )
    wiped.add_argument("--by", metavar="NAME", help="who says so")
    wiped.add_argument("--fill", action="store_true", help="also overwrite the free space of the card")
    wiped.add_argument("--whole-card", action="store_true", help="everything on the card, if every film on it may go")
    wiped.add_argument("--confirm", metavar="NAME", help="the card's name, to confirm that the whole card goes")
