"""lesveil approve and lesveil reject: what somebody decided who watched a clip."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline import workspace
from pipeline.commands.clips import clip_document
from pipeline.commands.terminal import Add, Group, answer
from pipeline.errors import UsageError
from pipeline.messages import tr


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
    return answer(args, clip_document(state), *lines)


def add_to(add: Add, group: Group) -> None:
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
