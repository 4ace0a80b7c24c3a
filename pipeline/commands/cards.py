"""lesveil cards: the cards in this machine, and those that are gone."""

from __future__ import annotations

import argparse

from pipeline import workspace
from pipeline.commands.clips import card_document, clip_document, given_up, half_gone
from pipeline.commands.terminal import Add, Group, answer, named
from pipeline.messages import tr


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
        documents.append({**card_document(volume), "cameras": cameras, "registered": known is not None})
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
        "not_wiped": [clip_document(state) for state in lost.not_wiped],
        "half": lost.half,
    }
    lines = [tr("Not waited for any more: {file}", file=one.path) for one in lost.not_copied]
    lines += [given_up(state) for state in lost.not_wiped]
    return answer(args, document, *(lines or [tr("Nothing waits for this card any more.")]), *map(half_gone, lost.half))


def add_to(add: Add, group: Group) -> None:
    found = add("cards", cards, "the cards in this machine, and whether they are the school's")
    found.add_argument("--card", type=named, metavar="FOLDER", help="only this one")
    found.add_argument(
        "--gone",
        metavar="CARD",
        help="say that this card is lost, was formatted or has another name now: it is waited for no more",
    )
    found.add_argument("--by", metavar="NAME", help="who says so")
