"""lesveil run --unattended: a run that nobody watches, for a scheduler; its result is JSON, its end an exit code."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pipeline import interruption, workspace
from pipeline.adapters import files
from pipeline.commands.deliver import leave_head
from pipeline.commands.terminal import answer
from pipeline.errors import BusyError, DeliveryError, LesveilError, code_of
from pipeline.messages import told, tr
from pipeline.records import no_progress
from pipeline.unforeseen import ours

NOBODY_WAITS = -10
"""Added to the engine's priority: on a cluster whoever waits for a clip goes first."""

RESULT, MARK = "last-run.json", "run.begun"
"""In the workspace: the last result; and when the run that is at work began, left there by one that crashed."""


def unattended(args: argparse.Namespace) -> int:
    """Every card that is in, then (with --deliver) what was approved. Asks nothing, wipes nothing, deletes nothing."""
    args.json = True
    document: dict[str, Any] = {"started": _now(), "cards": [], "clips": [], "failed": [], "delivered": []}
    document["deleted"] = []
    try:
        with workspace.opened(args.workspace) as place:
            try:
                with workspace.alone(place), _marked(place, document):
                    code = _run(place, args, document)
            except Exception as unknown:  # noqa: BLE001 -- the run is over, and whoever reads of it later must hear why
                interruption.heed()
                code = _refused(document, ours(unknown))
            document |= {"result": _result(code, document), "code": code, "ended": _now()}
            if document["result"] != "busy":  # that file belongs to the run that is at work
                _keep(place.folder / RESULT, document)
    except Exception as unknown:  # noqa: BLE001 -- there is no workspace, it cannot be opened, or nothing kept there
        interruption.heed()
        code = _refused(document, ours(unknown))
        document.setdefault("recovered", None)  # what holds a file here is no other run
        document |= {"result": _result(code, document), "code": code, "ended": _now()}
    answer(args, document)
    return code


@contextlib.contextmanager
def _marked(place: workspace.Workspace, document: dict[str, Any]) -> Iterator[None]:
    """A run that does not come to its end, well or badly, leaves its mark behind, one that was interrupted as well; the
    next one tells of it."""
    mark = place.folder / MARK
    before = mark.read_text(encoding="ascii", errors="replace") if mark.is_file() else None
    if before is not None:
        place.ledger.append("recovered", None, {"begun": before[:40]})
    document["recovered"] = before
    try:
        with files.writing(mark):
            mark.write_text(document["started"], encoding="ascii")
        yield
    except Exception:
        files.remove(mark)
        raise
    files.remove(mark)


def _run(place: workspace.Workspace, args: argparse.Namespace, document: dict[str, Any]) -> int:
    from pipeline.commands.run_card import run_document
    from pipeline.lesson import card, retention
    from pipeline.lesson.copy import find_card, not_copied
    from pipeline.lesson.state import states
    from pipeline.lesson.withdraw import reconcile

    today = date.today()
    folders: list[Path | None] = [args.card] if args.card else [volume.root for volume in find_card(place)]
    if not folders and card.waiting(place, today):
        folders = [None]
    codes: list[int] = []
    for folder in folders:
        try:
            result = card.run_card(
                place, folder, today, lambda *_: no_progress, args.any_card, args.teacher, priority=NOBODY_WAITS
            )
        except Exception as unknown:  # noqa: BLE001 -- this card is not done; the others can be
            interruption.heed()
            codes.append(_refused(document, ours(unknown), str(folder or "")))
            continue
        told_of = run_document(result)
        document["cards"] += [told_of["card"]] if told_of["card"] else []
        document["clips"] += told_of["clips"]
        document["failed"] += told_of["failed"]
        document["deleted"] += told_of["deleted"]
        codes += [entry["code"] for entry in told_of["failed"]]
    if args.deliver:
        codes += _deliver(place, document, today)
    standing = [state.file for state in states(place) if state.failure is not None and not state.nothing_left]
    document["still_failed"] = len(standing) + len(not_copied(place.ledger))
    reconcile(place, today)
    document["to_recall"] = sum(state.to_recall for state in states(place))
    document["to_purge"] = len(retention.due(place, today))
    return code_of(codes)


def _deliver(place: workspace.Workspace, document: dict[str, Any], today: date) -> list[int]:
    from pipeline.lesson import deliver

    try:
        done = deliver.deliver(place, today)
    except Exception as unknown:  # noqa: BLE001 -- nothing was delivered; what else was done counts
        interruption.heed()
        return [_refused(document, ours(unknown))]
    codes = []
    for state, what in done:
        if isinstance(what, LesveilError):
            codes.append(_refused(document, what, state.file))
        else:
            one = {"clip": state.clip, "where": what.where, "versions_left": what.versions_left}
            document["delivered"].append(one)
            if what.versions_left:  # somebody who is hidden now is seen in them
                codes.append(DeliveryError.code)
    if document["delivered"]:
        leave_head(place)
    return codes


def _refused(document: dict[str, Any], error: LesveilError, what: str = "") -> int:
    document["failed"].append({"clip": what, "error": told(error), "code": error.code})
    return error.code


def _result(code: int, document: dict[str, Any]) -> str:
    if code == BusyError.code and "recovered" not in document:  # it did not even begin
        return "busy"
    if code == 0:
        if document["clips"] or document["delivered"]:
            return "done"
        return "recall needed" if document.get("to_recall") else "nothing to do"
    return "partly done" if document["clips"] or document["delivered"] else "failed"


def last_run(place: workspace.Workspace) -> str:
    """A line about the last run that nobody watched; "" when there was none."""
    path = place.folder / RESULT
    try:
        last = json.loads(path.read_text(encoding="utf-8"))
        ended = datetime.fromisoformat(last["ended"]).astimezone()
        return tr("Last unattended run: {at}, {result}.", at=f"{ended:%Y-%m-%d %H:%M}", result=tr(last["result"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _keep(path: Path, document: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.part")
    text = json.dumps(document, ensure_ascii=False, indent=1, default=str)
    try:
        with files.writing(path):
            partial.write_text(text, encoding="utf-8", errors="backslashreplace")
            os.replace(partial, path)
    finally:
        files.remove(partial)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


RESULTS = ("done", "nothing to do", "recall needed", "busy", "failed", "partly done")
