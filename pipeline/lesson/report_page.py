"""A report as one page of HTML to print: no script, no picture, nothing fetched from anywhere."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.adapters import files
from pipeline.errors import OutputExistsError, UsageError
from pipeline.lesson.report import Document
from pipeline.lesson.report_person import HIDDEN
from pipeline.lesson.report_words import LABELS, another_number, filled_in, how_long, stands_at, summary_line
from pipeline.messages import ground_in_words, kept_in_words, minutes, tr

STYLE = """
@page { size: A4; margin: 18mm } * { box-sizing: border-box }
body { font: 10.5pt/1.45 system-ui, sans-serif; color: #1a1a1a; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5em; margin: 0 0 .2em } h2 { font-size: 1.15em; margin: 1.6em 0 .4em; border-bottom: 1px solid #999 }
h3 { font-size: 1em; margin: 1.2em 0 .3em } p { margin: .3em 0; overflow-wrap: anywhere } .lead { font-size: 1.1em }
table { border-collapse: collapse; width: 100%; margin: .4em 0 1em } tr { break-inside: avoid }
th, td { text-align: left; vertical-align: top; padding: .25em .6em .25em 0; border-bottom: 1px solid #ddd }
th { font-weight: 600 } td { overflow-wrap: anywhere; min-width: 5em }
td:empty { min-width: 0 } .pairs td:first-child { width: 30% } .bad { color: #9b1c1c; font-weight: 600 }
.small { color: #555; font-size: .85em }
@media screen and (max-width: 46rem) {
 table:not(.pairs) { display: block; overflow-x: auto } table:not(.pairs) td { overflow-wrap: normal }
}
@media print { body { margin: 0; max-width: none; padding: 0 } }
"""


def write_page(path: Path, document: Document, kind: str) -> None:
    """Write the page of a document that `report` made, for its owner alone; nothing is written over. Raises
    OutputExistsError, and UsageError where its name would have another program open it."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(
            "{file}: a report is a page for the browser, which can print it or save it as PDF; choose a name that ends "
            "in .html.",
            file=path,
        )
    if path.exists():
        raise OutputExistsError("{file} exists already; nothing is written over.", file=path)
    files.write_new(path, page(document, kind).encode(errors="backslashreplace"))


def page(document: Document, kind: str) -> str:
    """The page's text."""
    made = {"report": _report, "person": _person, "processing": _processing}[kind]
    title, body = made(document)
    return (
        f'<!doctype html><html lang="{tr("en")}"><head><meta charset="utf-8"><title>{_e(title)}</title>'
        '<meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{STYLE}</style></head><body><h1>{_e(title)}</h1>{''.join(body)}</body></html>\n"
    )


def _report(document: Document) -> tuple[str, list[str]]:
    period = document["period"]
    days = " - ".join(filter(None, (period["from"], period["to"]))) or tr("everything so far")
    body = [
        f'<p class="lead">{_e(summary_line(document["summary"]))}</p>',
        f'<p class="small">{_e(tr("Made on {day}; period: {days}.", day=document["made_on"], days=days))}</p>',
        f"<p>{_e(_ways(document))}</p>",
        _ledger(document["ledger"]),
    ]
    for batch in document["batches"]:
        title = tr("Batch {n}, copied on {day} from {card}", n=batch["number"], day=batch["day"], card=batch["card"])
        body += [f"<h2>{_e(title)}</h2>", f"<p>{_e(summary_line(batch['summary']))}</p>"]
        for clip in batch["clips"]:
            body += _clip(clip)
        if batch["failed"]:
            body.append(_table((tr("Failed"), tr("why")), [(one["path"], one["why"]) for one in batch["failed"]]))
    body += _afterwards(document)
    return tr("Report on lesson films"), body


def _ways(document: Document) -> str:
    if not document["recognition"]:
        return tr("Recognition is off in this workspace: everyone is hidden.")
    return tr("Recognition is on, under the assessment {dpia}.", dpia=document["dpia"])


def _ledger(ledger: Document) -> str:
    if ledger["findings"]:
        return f'<p class="bad">{_e("; ".join(map(kept_in_words, ledger["findings"])))}</p>'
    return f'<p class="small">{_e(tr("The ledger is whole; its head is {head}.", head=ledger["head"]))}</p>'


def _clip(clip: Document) -> list[str]:
    rows: list[tuple[Any, ...]] = [
        (tr("filmed"), clip["filmed"] or "?"),
        (tr("teacher"), clip["teacher"] or "-"),
        (tr("stands at"), stands_at(clip)),
        (tr("at most hidden at once"), clip["hidden_at_once"]),
        (tr("moments to look at"), len(clip["doubts"])),
        (tr("repaired by hand"), clip["repairs"]),
    ]
    rows += [(tr("original looked at by"), f"{one['by']}, {_at(one['at'])}") for one in clip["looks_at_originals"]]
    rows += [(tr(one["verdict"]), _judged(one)) for one in clip["approvals"]]
    for one in _once(clip["deliveries"]):
        people = ", ".join(one["shows"])
        told = tr("shows {people}", people=people) if people else tr("shows nobody")
        rows.append((tr("delivered"), f"{_delivered(one)}; {told}"))
    rows += [(tr("delivered"), _begun(one)) for one in clip["begun"]]
    rows += [(tr("lost"), _lost(one)) for one in clip["lost"]]
    rows += [(tr("consent ended of"), f"{one['person']}, {_at(one['at'])}") for one in clip["consent_lapsed"]]
    rows += [(tr("another clip has a double of"), f"{one['person']}, {_at(one['at'])}") for one in clip["look_alikes"]]
    rows += [(tr("no longer recognised"), f"{one['person']}, {_at(one['at'])}") for one in clip["recognised_wrongly"]]
    if clip["used"]:
        rows.append(
            (
                tr("has served") if clip["rendered"] else tr("given up"),
                f"{clip['used']['by']}, {_at(clip['used']['at'])}",
            )
        )
    rows.append((tr("wiped from the card"), tr("yes") if clip["wiped_from_card"] else tr("no")))
    if clip["given_up"]:
        told = tr("{by} said so; nobody saw it wiped", by=clip["given_up"]["by"])
        rows.append((tr("gone from its card"), f"{told}, {_at(clip['given_up']['at'])}"))
    rows.append((tr("still on this machine"), _still(clip)))
    shown = [
        (
            one["person"],
            one["name"],
            how_long(one["seconds"]),
            ground_in_words(one["ground"] or ""),
            tr("by hand") if one["by_hand"] else "",
        )
        for one in clip["shown"]
    ]
    body = [f"<h3>{_e(clip['called'])} <span class=small>{_e(clip['clip'][:16])}</span></h3>", _table((), rows)]
    if shown:
        heads = (tr("Shown"), "", tr("how long"), tr("on what ground"), "")
        body.append(_table(heads, shown))
    return body


def _judged(one: Document) -> str:
    """Whose word it was on a rendering, and when."""
    if one.get("carried_over"):  # nobody saw this one
        told = tr("carried over from the approval by {name}, after a recall", name=one["by"])
        return f"{told}, {_at(one['at'])}"
    told = f"{one['by']}, {_at(one['at'])}"
    if over := one.get("despite_rejection_by"):
        told += "; " + tr("took back the rejection by {name}", name=over)
    if "played" in one:
        told += "; " + tr("{played} of {all} played", played=minutes(one["played"]), all=minutes(one["of"]))
    return told


def _still(clip: Document) -> str:
    held = [tr("working copy")] if clip["working_copy_here"] else []
    held += [tr("finished clip here")] if clip["finished_clip_here"] else []
    return ", ".join(held) or tr("nothing")


def _afterwards(document: Document) -> list[str]:
    body: list[str] = []
    rows: list[tuple[Any, ...]]
    if document["wipes"]:
        body.append(f"<h2>{_e(tr('Wiped'))}</h2>")
        for one in document["wipes"]:
            said = tr(
                "{files} {files:file|files} wiped from the card, {copies} working {copies:copy|copies} destroyed.",
                files=one["files"],
                copies=one["working_copies"],
            )
            body.append(f"<p>{_e(_at(one['at']))}, {_e(one['card'])}: {_e(said)} {_e(tr(one['promise']))}</p>")
    if document["withdrawals"]:
        rows = [(_at(one["at"]), one["person"], one["day"], one.get("by", "")) for one in document["withdrawals"]]
        heads = (tr("told on"), tr("number"), tr("from"), tr("entered by"))
        body += [f"<h2>{_e(tr('Consent taken back'))}</h2>", _table(heads, rows)]
    if document["recalled"]:
        rows = [
            (
                _at(one["at"]),
                Path(one["file"]).name,
                ", ".join(one["people"]),
                tr(one.get("outcome") or "was gone already"),
                one.get("by", ""),
            )
            for one in document["recalled"]
        ]
        body += [f"<h2>{_e(tr('Hidden or deleted afterwards'))}</h2>", _table((), rows)]
    if document["deleted"]:
        rows = [(_at(one["at"]), tr(one["kind"]), _what(one), tr(one["because"])) for one in document["deleted"]]
        body += [f"<h2>{_e(tr('Deleted'))}</h2>", _table((), rows)]
    if document["due"]:
        rows = [(tr(one["kind"]), _what(one), tr(one["because"]), one.get("since") or "?") for one in document["due"]]
        body += [f"<h2>{_e(tr('Due to be deleted'))}</h2>", _table((), rows)]
    here = document["here"]
    said = tr(
        "{copies} working {copies:copy|copies} (encrypted), {clips} finished {clips:clip|clips}, {templates} "
        "{templates:template|templates}.",
        copies=len(here["working_copies"]),
        clips=len(here["finished_clips"]),
        templates=here["templates"],
    )
    return [*body, f"<h2>{_e(tr('Still on this machine'))}</h2><p>{_e(said)}</p>"]


def _once(deliveries: Iterable[Document]) -> list[Document]:
    """What was told again of the same bytes at the same place, as it became the archive, is read once."""
    first: dict[str, Document] = {}
    for one in deliveries:
        first.setdefault(str({**one, "at": ""}), one)
    return list(first.values())


def _delivered(one: Document) -> str:
    """Where a delivery went and when, and what became of it."""
    told = f"{one['where']}, {_at(one['at'])}"
    if one["replaced_at"]:
        told += "; " + tr("replaced on {at}", at=_at(one["replaced_at"]))
    if one["removed_at"]:
        told += "; " + tr("removed on {at}", at=_at(one["removed_at"]))
        told += "" if one["removed_for_good"] is not False else f" ({tr('into the recycle bin')})"
    if one["lost_at"]:
        told += "; " + _said(one["lost_by"], one["lost_at"])
    return told


def _lost(one: Document) -> str:
    """A place that is gone for good, and who is to be seen there though they may not be any more."""
    told = f"{one['where']}; {_said(one['by'], one['at'])}"
    if people := ", ".join(one["may_not_be_seen"]):
        told += "; " + tr("shows {people}, who may not be shown any more", people=people)
    return told


def _said(by: str, at: str) -> str:
    return tr("lost, as {by} said on {at}; it may be seen there still", by=by, at=_at(at))


def _begun(one: Document) -> str:
    """A delivery of which nothing was heard since it was begun."""
    return f"{one['where']}, {_at(one['at'])}; " + tr("was begun; whether it lies there is not known")


def _person(document: Document) -> tuple[str, list[str]]:
    who = document["person"]
    consent = [
        (
            row["imported"],
            ground_in_words(f"import {row['import_number']} row {row['row']}"),
            row["purpose"],
            *(tr("yes") if row[key] else tr("no") for key in ("granted", "recognition")),
            tr(GIVERS[row["giver"]]),
            row["start"] or "?",
            row["end"] or "-",
            row["birth"] or "?",
        )
        for row in document["consent"]
    ]
    shown = [
        (
            one["filmed"] or "?",
            Path(one["file"]).name,
            _at(one["rendered_at"]),
            how_long(one["seconds"]),
            ground_in_words(one["ground"] or ""),
            "; ".join([*map(_delivered, _once(one["deliveries"])), *map(_begun, one["begun"])]) or "-",
            tr("yes") if one["still_delivered"] else tr("not known") if one["may_be_delivered"] else tr("no"),
        )
        for one in document["shown_in"]
    ]
    body = [
        _table((), [(tr("number"), who["id"]), (tr("name"), who["name"]), (tr("class"), who["class"] or "-")]),
        *(f'<p class="bad">{_e(another_number(one))}</p>' for one in document["other_numbers"]),
        f"<h2>{_e(tr('Consent as it was listed'))}</h2>",
        _table(
            (
                *(tr("imported"), tr("row"), tr("purpose"), tr("filmed"), tr("recognised")),
                *(tr("on whose word"), tr("given on"), tr("until"), tr("born")),
            ),
            consent,
        ),
        _table(
            (tr("Consent taken back"), tr("entered by")), [(one["on"], one["by"]) for one in document["withdrawals"]]
        ),
        f"<h2>{_e(tr('Template for recognition'))}</h2>",
        _table((), [(tr("portraits"), one["portraits"], one["newest"] or "?") for one in document["template"]])
        or f"<p>{_e(tr('none'))}</p>",
        f"<h2>{_e(tr('Shown in'))}</h2>",
        _table(
            (
                *(tr("filmed"), tr("clip"), tr("rendered"), tr("how long"), tr("on what ground")),
                *(tr("delivered"), tr("there now")),
            ),
            shown,
        )
        or f"<p>{_e(tr('none'))}</p>",
        f"<p>{_e(tr(HIDDEN))}</p>",
        f"<p>{_e(tr('Recipient: {where}.', where=document['recipient']))}</p>",
        f'<p class="small">{_e(tr(RIGHTS))}</p>',
    ]
    return tr("What is held about {person}", person=who["id"]), body


GIVERS = {
    "pupil": "the pupil",
    "parent": "a parent",
    "parent_and_pupil": "a parent and the pupil",
    "staff": "staff",
    "staff_form": "staff, on a form of their own",
    "administration": "checked by administration",
    "unknown": "not said",
}
"""Whose word a row of the list holds."""

RIGHTS = (
    "You may ask the school to correct or delete this, take back your consent at any time, and complain to the Dutch"
    " Data Protection Authority."
)


def _processing(document: Document) -> tuple[str, list[str]]:
    rows = []
    for key, value in document.items():
        told = "; ".join(value) if isinstance(value, list) else value
        if isinstance(value, dict):
            told = "; ".join(f"{tr(LABELS[key])}: {days}" for key, days in value.items())
        rows.append((tr(LABELS[key]), filled_in(key, told)))
    return tr("Entry for the register of processing (GDPR article 30)"), [_table((), rows)]


def _table(heads: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = ["<tr>" + "".join(f"<td>{_e(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    if not lines:
        return ""
    top = "<tr>" + "".join(f"<th>{_e(head)}</th>" for head in heads) + "</tr>" if heads else ""
    return f"<table{'' if heads else ' class=pairs'}>{top}{''.join(lines)}</table>"


def _at(moment: str) -> str:
    return moment[:16].replace("T", " ") + " UTC"


def _e(value: Any) -> str:
    return html.escape(str(value))


def _what(item: Document) -> str:
    return str(item.get("file") or item.get("person") or item.get("rendering") or "")
