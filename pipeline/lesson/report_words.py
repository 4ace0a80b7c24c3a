"""A report in words: lines for a terminal. `report_page` prints the same."""

from __future__ import annotations

from typing import Any

from pipeline.lesson.report import Document
from pipeline.messages import decimal, ground_in_words, tr

LABELS = {
    "processing": "processing",
    "controller": "controller",
    "data_protection_officer": "data protection officer",
    "purpose": "purpose",
    "legal_basis": "legal basis",
    "special_categories": "special categories",
    "dpia": "impact assessment (DPIA)",
    "people": "whose data",
    "data": "which data",
    "recipients": "recipients",
    "transfers_outside_eea": "transfers outside the EEA",
    "retention_days": "kept for, in days",
    "security": "security",
    "working copy": "working copy",
    "delivered clip": "delivered clip",
    "template": "portrait template",
    "log, after the last clip is gone": "log, after the last clip is gone",
}
"""What the entry's keys are called for people; in JSON they are the same in every language."""


KEPT_IN = {"controller": "[school] controller", "data_protection_officer": "[school] officer", "dpia": "[privacy] dpia"}
"""Where the school says what it leaves unsaid."""


def filled_in(key: str, told: str) -> str:
    """One line of the entry, or how it is filled in."""
    return told or tr("not filled in: put it in lesveil.toml under {setting}", setting=KEPT_IN.get(key, key))


def another_number(number: str) -> str:
    """What is said of another number of a person to who answers a request for access."""
    return tr("{other} seems to be the same person: lesveil report --person {other} tells the rest.", other=number)


def _there(shown: Document) -> str:
    if shown["still_delivered"]:
        return tr("delivered now")
    return tr("not known whether it is delivered") if shown["may_be_delivered"] else tr("not delivered now")


def in_words(document: Document, kind: str) -> list[str]:
    """A document as lines for a terminal: the coach's summary; the other two are read as a page or as JSON."""
    if kind == "processing":
        return [f"{tr(LABELS[key])}: {filled_in(key, _joined(value))}" for key, value in document.items()]
    if kind == "person":
        lines = [
            tr(
                "{person}: shown in {n} {n:clip|clips}; as delivered now in {still} of them.",
                person=document["person"]["id"],
                n=len({one["clip"] for one in document["shown_in"]}),
                still=len({one["clip"] for one in document["shown_in"] if one["still_delivered"]}),
            )
        ]
        lines += [another_number(one) for one in document["other_numbers"]]
        if unknown := sum(one["may_be_delivered"] for one in document["shown_in"]):
            lines.append(
                tr(
                    "Of {n} more {n:rendering|renderings} it is not known whether {n:it lies|they lie} there.",
                    n=unknown,
                )
            )
        latest = {one["clip"]: one for one in document["shown_in"]}  # the latest rendering of each
        for there in ("may_be_delivered", "still_delivered"):  # but first what can be seen elsewhere
            latest |= {one["clip"]: one for one in document["shown_in"] if one[there]}
        lines += [
            f"  {one['filmed']}  {one['clip'][:8]}  {how_long(one['seconds'])}"
            f"  ({ground_in_words(one['ground'] or '')}; {_there(one)})"
            for one in latest.values()
        ]
        lines.append(tr("All of it: lesveil report --person {person} --html FILE", person=document["person"]["id"]))
        return lines
    lines = []
    for batch in document["batches"]:
        said = summary_line(batch["summary"]) if batch["clips"] else tr("nothing new")
        lines.append(f"{batch['number']}  {batch['day']}  {said}")
        for clip in batch["clips"]:
            lines.append(f"     {clip['called']}: {stands_at(clip)}")
        for failure in batch["failed"]:
            lines.append(f"     {failure['path']}: {failure['why']}")
    if not document["batches"]:
        lines.append(tr("Nothing came in in this period."))
    if document["due"]:
        lines.append(
            tr(
                "{n} {n:thing has served or is past its|things have served or are past their} term: see lesveil purge.",
                n=len(document["due"]),
            )
        )
    clips = [clip for batch in document["batches"] for clip in batch["clips"]]
    if any(clip["begun"] for clip in clips):
        lines.append(tr("What became of a delivery that was begun is found out by lesveil deliver --audit."))
    if any(clip["still_shows"] and (clip["delivered_to"] or clip["begun"]) for clip in clips):
        lines.append(tr("What was delivered shows somebody who may not be shown any more: see lesveil recall."))
    if any(one["may_not_be_seen"] for clip in clips for one in clip["lost"]):
        lines.append(tr("What is lost shows somebody who may not be shown any more: tell the privacy officer."))
    if document["ledger"]["findings"]:
        lines.append(tr("THE LEDGER WAS CHANGED: run lesveil ledger verify and keep the file as it is."))
    return lines


def stands_at(clip: Document) -> str:
    """A clip's stage, what it waits for or why it failed, and who in it may not be shown any more."""
    return " ".join([", ".join(filter(None, (tr(clip["stage"]), clip["said"]))), *clip["notes"]])


def summary_line(figures: Document) -> str:
    """The coach's sentence about a batch."""
    told = tr(
        "{clips} {clips:clip|clips}, {minutes} {minutes:minute|minutes}; {hidden} of {all} {all:person|people} "
        "unrecognisable; {doubts} {doubts:moment|moments} to look at",
        clips=figures["clips"],
        minutes=_minutes(figures["seconds"]),
        hidden=figures["hidden"],
        all=figures["hidden"] + figures["shown"],
        doubts=figures["doubts"],
    )
    begun = figures.get("begun")
    if begun:
        told += "; " + tr("of {n} {n:clip|clips} a delivery was begun, and whether it arrived is not known", n=begun)
    if figures.get("delivered"):
        return f"{told}; " + tr("{n} {n:clip was|clips were} delivered.", n=figures["delivered"])
    if figures.get("lost"):
        told += "; " + tr("{n} {n:clip lies|clips lie}, or may lie, at a place that is lost.", n=figures["lost"])
        return told
    if figures.get("taken_away"):
        gone = figures["taken_away"]
        return f"{told}; " + tr("{n} {n:clip was|clips were} delivered and taken away again.", n=gone)
    return f"{told}." if begun else f"{told}; " + tr("nothing has left this machine.")


def _minutes(seconds: float) -> str:
    return decimal(seconds / 60, 1 if seconds < 600 else 0)


def how_long(seconds: float | None) -> str:
    """Seconds for people; "" where they are not known."""
    return "" if seconds is None else f"{decimal(seconds)} s"


def _joined(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{tr(LABELS[key])} {one}" for key, one in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
