"""lesveil status: every clip, its stage, and what it waits for."""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from pathlib import Path

from pipeline import workspace
from pipeline.commands.clips import clip_document
from pipeline.commands.terminal import Add, Group, answer
from pipeline.messages import printable, quoted, tr

WIDEST = 36
"""Letters of a film's name before what is said of it."""


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
        "clips": [clip_document(state, state.clip in lost) for state in found],
        "not_copied": [{"file": one.path, "failure": one.why, "card": one.card} for one in missing],
        "due": over,
        "due_soon": len(soon) - len(over),
    }
    return answer(args, document, *lines)


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


def add_to(add: Add, group: Group) -> None:
    add("status", status, "every clip, its stage, and what it waits for")
