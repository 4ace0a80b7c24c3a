"""What happened, read from the ledger and the register: for the coach, the privacy officer, and the person concerned.

Everything is plain data, fit for JSON; `in_words` says it, `report_page` prints it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.adapters.ledger import Entry
from pipeline.errors import ReportError, VaultError
from pipeline.lesson import seen
from pipeline.lesson.failures import failure_in_words
from pipeline.lesson.retention import due
from pipeline.lesson.state import DOUBLE, State, standing, states
from pipeline.lesson.withdraw import states_on
from pipeline.messages import ground_in_words, tr
from pipeline.workspace import Workspace, load_templates

Document = dict[str, Any]

HIDDEN = (
    "In every other clip everybody whom the program did not recognise is hidden; it keeps nothing by which it could"
    " tell who they are, so it cannot say whether this person is among them."
)


@dataclass(frozen=True)
class Wanted:
    """``batch`` is a batch's number or the day on which it was copied; else all between two days, both included."""

    batch: str | None = None
    first: date | None = None
    last: date | None = None


def report(workspace: Workspace, wanted: Wanted, today: date) -> Document:
    """Everything that came in, and what became of it. Raises ReportError when there is no such batch."""
    rows = workspace.ledger.entries()
    names = {person.id: person.name for person in workspace.register.people(today)}
    by_clip = {state.clip: state for state in states_on(workspace, today)}
    batches = [
        _batch(workspace, number, card, clips, failed, by_clip, names)
        for number, (card, clips, failed) in enumerate(_batches(rows), 1)
    ]
    chosen = [batch for batch in batches if _wanted(batch, wanted)]
    if wanted.batch is not None and not chosen:
        raise ReportError("There is no batch {batch}; lesveil report lists them.", batch=wanted.batch)
    days = {"from": wanted.first, "to": wanted.last}
    return {
        "lesveil": __version__,
        "made_on": today.isoformat(),
        "period": {key: value.isoformat() if value else None for key, value in days.items()},
        "batch": wanted.batch,
        "recognition": workspace.recognises,
        "dpia": workspace.settings.privacy.dpia,
        "style": workspace.settings.redaction.style.value,
        "ledger": {"head": workspace.ledger.head(), "findings": workspace.ledger.verify()},
        "summary": summary([clip for batch in chosen for clip in batch["clips"]]),
        "batches": chosen,
        "wipes": _wipes(rows, wanted),
        "withdrawals": [{"at": row.at, **row.payload} for row in _within(rows, ("withdrawal",), wanted)],
        "consent_lists": [{"at": row.at, **row.payload} for row in _within(rows, ("import",), wanted)],
        "recalled": [{"at": row.at, **row.payload["item"], **_outcome(row)} for row in _done(rows, "recall", wanted)],
        "deleted": [{"at": row.at, **row.payload["item"], **_outcome(row)} for row in _done(rows, "purge", wanted)],
        "due": due(workspace, today),
        "here": _here(workspace, by_clip.values()),
    }


def summary(clips: Sequence[Document]) -> Document:
    """The figures of some clips. ``hidden`` is the most at one time in one clip: nobody counts whom nobody knows."""
    rendered = [clip for clip in clips if clip["rendered"]]
    shown = {entry["person"] for clip in rendered for entry in clip["shown"]}
    hidden = max((clip["hidden_at_once"] for clip in rendered), default=0)
    return {
        "clips": len(clips),
        "seconds": round(sum(clip["seconds"] for clip in rendered), 1),
        "shown": len(shown),
        "hidden": hidden,
        "doubts": sum(len(clip["doubts"]) for clip in rendered),
        "approved": sum(any(one["verdict"] == "approved" for one in clip["approvals"]) for clip in clips),
        "delivered": sum(bool(clip["delivered_to"]) for clip in clips),
    }


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
    if figures.get("delivered"):
        return f"{told}; " + tr("{n} {n:clip was|clips were} delivered.", n=figures["delivered"])
    return f"{told}; " + tr("nothing has left this machine.")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}" if seconds < 600 else f"{seconds / 60:.0f}"


def about_person(workspace: Workspace, person: str, today: date) -> Document:
    """All that is held about one person, for a request for access (GDPR 15). Raises ReportError."""
    known = next((one for one in workspace.register.people(today) if one.id == person), None)
    if known is None:
        raise ReportError("{person} is not in the register.", person=person)
    record = workspace.register.record(person)
    try:
        templates = [one for one in load_templates(workspace) if one.id == person]
    except VaultError:  # it cannot be read, and recognises nobody
        templates = []
    clips: list[Document] = []
    for state in states(workspace):
        rows = workspace.ledger.entries(clip=state.clip)
        sent = {row.payload["sha256"] for row in standing(rows)}
        for row in rows:
            if row.kind == "receipt" and row.payload["stage"] == "render":
                outcome = row.payload["outcome"]
                mine = [entry for entry in outcome["kept"] if entry["person"] == person]
                if mine:
                    clips.append(_appearance(state, row, mine, outcome, sent, rows))
    concerning = [row for row in workspace.ledger.entries() if _concerns(row.payload, person)]
    return {
        "lesveil": __version__,
        "made_on": today.isoformat(),
        "person": {"id": known.id, "name": known.name, "class": known.group, "staff": known.staff},
        "may_be_filmed": {"answer": known.filmed.kept, "why": str(known.filmed.why), "ground": known.filmed.ground},
        "may_be_recognised": {"answer": known.answer.kept, "why": str(known.answer.why), "ground": known.answer.ground},
        "consent": [_plain(asdict(row)) for row in record.rows],
        "withdrawals": [_plain(asdict(one)) for one in record.withdrawals],
        "template": [
            {"portraits": one.portraits, "newest": one.taken.isoformat() if one.taken else None} for one in templates
        ],
        "shown_in": clips,
        "ledger_rows": [{"row": row.seq, "at": row.at, "kind": row.kind} for row in concerning],
        "retention": asdict(workspace.settings.retention),
        "recipient": _recipient(workspace),
        "hidden": HIDDEN,
    }


def processing_entry(workspace: Workspace) -> Document:
    """The entry for the register of processing (GDPR 30), from the settings as they are."""
    settings = workspace.settings
    terms, people = settings.retention, tr("a person approves before anything is delivered")
    if settings.review.two_people:
        people = tr("two people approve before anything is delivered")
    templates = [tr("portraits' templates (128 numbers a person)")] if workspace.recognises else []
    special = tr("face templates for recognition, with explicit consent of its own (GDPR 9(2)(a))")
    return {
        "processing": tr("Lesson films for coaching teachers, made unrecognisable by Lesveil"),
        "controller": settings.school.controller,
        "data_protection_officer": settings.school.officer,
        "purpose": settings.consent.purpose,
        "legal_basis": tr("consent of the teacher, and of each pupil who is shown (GDPR 6(1)(a); below 16 a parent's)"),
        "special_categories": special if workspace.recognises else tr("none: recognition is off, everyone is hidden"),
        "dpia": settings.privacy.dpia,
        "people": [
            tr("pupils who are filmed"),
            tr("teachers and staff who are filmed"),
            tr("people who review and approve"),
        ],
        "data": [
            tr("film and sound of lessons"),
            tr("number, name, class, birth date and consent, from the school's own list"),
            *templates,
            tr("a log of who did what, with numbers instead of names"),
        ],
        "recipients": [_recipient(workspace)],
        "transfers_outside_eea": tr("none by Lesveil; see the agreement with the provider of the archive"),
        "retention_days": {
            "working copy": terms.working_copy_days,
            "delivered clip": terms.delivered_days,
            "template": terms.template_days,
            "log, after the last clip is gone": terms.ledger_days,
        },
        "security": [
            tr("everything runs on the school's own machine; nothing is sent anywhere but to the archive"),
            tr("working copies and templates are encrypted, their keys apart; destroying a key is the deletion"),
            tr("everyone is hidden unless recognised with certainty and consenting; every finished file is checked"),
            people,
            tr("a log that cannot be changed in silence, its head kept in the archive"),
        ],
    }


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

UNSAID = "not filled in: put it in lesveil.toml"


# --- a batch ------------------------------------------------------------------------------------------------------


def _batches(rows: Iterable[Entry]) -> list[tuple[Entry, list[str], list[Entry]]]:
    """Runs over a card that brought something in: the card's row, the clips, the failures. Later runs over the same
    card that bring nothing new belong to the one before."""
    found: list[tuple[Entry, list[str], list[Entry]]] = []
    for row in rows:
        if row.kind == "card":
            found.append((row, [], []))
        elif row.kind == "ingest" and found and row.clip not in found[-1][1]:
            found[-1][1].append(str(row.clip))
        elif row.kind == "failure" and found:
            found[-1][2].append(row)
    seen_before: set[str] = set()
    out: list[tuple[Entry, list[str], list[Entry]]] = []
    for card, clips, failed in found:
        fresh = [clip for clip in clips if clip not in seen_before]
        seen_before |= set(fresh)
        if fresh or failed:
            out.append((card, fresh, failed))
    return out


def _batch(
    workspace: Workspace,
    number: int,
    card: Entry,
    clips: list[str],
    failed: list[Entry],
    by_clip: dict[str, State],
    names: dict[str, str],
) -> Document:
    told = [_clip(workspace, by_clip[clip], names) for clip in clips if clip in by_clip]
    return {
        "number": number,
        "copied_at": card.at,
        "day": card.day.isoformat(),
        "card": card.payload["card"],
        "registered": card.payload.get("registered"),
        "summary": summary(told),
        "clips": told,
        "failed": [{"at": row.at, **row.payload, "why": failure_in_words(row.payload)} for row in failed],
    }


def _clip(workspace: Workspace, state: State, names: dict[str, str]) -> Document:
    rows = workspace.ledger.entries(clip=state.clip)
    render = state.render or {}
    rate = render["frames"] / render["seconds"] if render.get("frames") and render.get("seconds") else None
    return {
        "clip": state.clip,
        "file": state.file,
        "filmed": state.filmed,
        "teacher": state.teacher,
        "copied_at": state.ingest.at,
        "bytes": state.ingest.payload["bytes"],
        "stage": state.stage,
        "waits_for": state.waits_for,
        "failure": failure_in_words(state.failure.payload) if state.failure else None,
        "rendered": bool(render),
        "sha256": render.get("sha256"),
        "hidden_again_from": render.get("released"),
        "seconds": render.get("seconds", 0.0),
        "shown": _shown(render, rate, names),
        "hidden_at_once": render.get("hidden_at_once", 0),
        "doubts": render.get("doubts", []),
        "damaged_frames": render.get("damaged", 0),
        "checked": any(
            row.kind == "receipt" and row.payload["stage"] == "check" and row.payload["input"] == render.get("sha256")
            for row in rows
        ),
        "repairs": sum(not one.undone for one in seen.repairs(workspace.ledger, state.clip)),
        "looks_at_originals": [{"at": row.at, "by": row.payload["by"]} for row in rows if row.kind == "look"],
        "approvals": [
            {"at": row.at, "by": row.payload["by"], "verdict": row.payload["verdict"], "sha256": row.payload["sha256"]}
            | ({"carried_over": True} if row.payload.get("carried") else {})
            for row in rows
            if row.kind == "approval"
        ],
        "deliveries": [_delivery(row, rows) for row in rows if row.kind == "delivery"],
        "delivered_to": [row.payload["where"] for row in standing(rows)],
        "consent_lapsed": _lapsed(rows, None),
        "look_alikes": _lapsed(rows, DOUBLE),
        "still_shows": list(state.lapsed),
        "used": None if state.used is None else {"at": state.used.at, "by": state.used.payload["by"]},
        "deleted": None if state.deleted is None else {"on": state.deleted.day, "because": state.deleted.because},
        "wiped_from_card": state.wiped,
        "working_copy_here": workspace.vault.has(state.clip),
        "finished_clip_here": bool(render) and (workspace.finished / render["file"]).is_file(),
    }


def _shown(render: Document, rate: float | None, names: dict[str, str]) -> list[Document]:
    """Who is shown, on what ground, and how long."""
    out: dict[tuple[str, bool], Document] = {}
    for entry in render.get("kept", ()):
        key = entry["person"], bool(entry.get("by_hand"))
        one = out.setdefault(
            key,
            {
                "person": key[0],
                "name": names.get(key[0], ""),
                "ground": entry.get("ground"),
                "by_hand": key[1],
                "seconds": 0.0,
            },
        )
        if rate:
            one["seconds"] = round(one["seconds"] + (entry["stop"] - entry["start"]) / rate, 1)
    return list(out.values())


def _lapsed(rows: Sequence[Entry], because: str | None) -> list[Document]:
    """Who was found to be shown and may not be any more, for one reason: None is their consent."""
    found = [row for row in rows if row.kind == "lapsed" and row.payload.get("because") == because]
    return [{"at": row.at, "person": row.payload["person"]} for row in found]


def _delivery(row: Entry, rows: Sequence[Entry]) -> Document:
    said = row.payload
    later = [one for one in rows if one.seq > row.seq and one.payload.get("where") == said["where"]]
    replaced = next((one for one in later if one.kind == "delivery"), None)
    removed = next((one for one in later if one.kind == "delivery_removed"), None)
    return {
        "at": row.at,
        "target": said.get("target"),
        "where": said["where"],
        "sha256": said["sha256"],
        "shows": _shown_by(rows, said["sha256"]),
        "verified": said.get("verified", "sha256"),
        "replaced_at": replaced.at if replaced else None,
        "removed_at": removed.at if removed and not replaced else None,
        "removed_for_good": removed.payload.get("permanent") if removed and not replaced else None,
    }


def _shown_by(rows: Sequence[Entry], sha256: str) -> list[str]:
    """Whom the rendering with this digest shows; what was delivered may be an older one than the latest."""
    made = [row.payload["outcome"] for row in rows if row.kind == "receipt" and row.payload["stage"] == "render"]
    kept = [one for outcome in made if outcome["sha256"] == sha256 for one in outcome.get("kept", ())]
    return sorted({entry["person"] for entry in kept})


def _wipes(rows: Sequence[Entry], wanted: Wanted) -> list[Document]:
    begun = {row.payload["digest"]: row for row in rows if row.kind == "wipe_begin"}
    out = []
    for row in _within(rows, ("wipe_end",), wanted):
        plan = begun[row.payload["digest"]].payload
        kinds = [item["kind"] for item in plan["items"]]
        out.append(
            {
                "at": row.at,
                "digest": row.payload["digest"],
                "card": plan["card"],
                "files": sum(kind not in ("working_copy", "free_space") for kind in kinds),
                "working_copies": kinds.count("working_copy"),
                "promise": row.payload.get("promise", ""),
            }
        )
    return out


def _here(workspace: Workspace, all_states: Iterable[State]) -> Document:
    """What is still on this machine."""
    found = list(all_states)
    try:
        templates = len(load_templates(workspace))
    except VaultError:
        templates = 0
    return {
        "working_copies": [state.clip for state in found if workspace.vault.has(state.clip)],
        "finished_clips": sorted(
            path.name for path in workspace.finished.glob("*.mp4") if not path.name.startswith(".")
        ),
        "templates": templates,
    }


# --- helpers ------------------------------------------------------------------------------------------------------


def _appearance(
    state: State, row: Entry, mine: list[Document], outcome: Document, sent: set[str], rows: Sequence[Entry]
) -> Document:
    rate = outcome["frames"] / outcome["seconds"] if outcome.get("frames") and outcome.get("seconds") else None
    return {
        "clip": state.clip,
        "file": state.file,
        "filmed": state.filmed,
        "rendered_at": row.at,
        "ground": mine[0].get("ground"),
        "by_hand": any(entry.get("by_hand") for entry in mine),
        "seconds": round(sum(entry["stop"] - entry["start"] for entry in mine) / rate, 1) if rate else None,
        "deliveries": [
            _delivery(one, rows)
            for one in rows
            if one.kind == "delivery" and one.payload["sha256"] == outcome["sha256"]
        ],
        "still_delivered": outcome["sha256"] in sent,
    }


def _concerns(value: Any, person: str) -> bool:
    """Whether something names this person by number, at any depth."""
    if isinstance(value, dict):
        named = [one for key, one in value.items() if key in ("person", "people", "pair")]
        return any(person == one or (isinstance(one, list) and person in one) for one in named) or any(
            _concerns(one, person) for one in value.values()
        )
    return isinstance(value, list) and any(_concerns(one, person) for one in value)


def _recipient(workspace: Workspace) -> str:
    said = workspace.settings.deliver
    if said.target == "onedrive":
        return tr("the school's OneDrive, folder {folder}", folder=workspace.settings.onedrive.folder)
    return tr("the folder {folder}", folder=said.folder) if said.folder else tr("nobody yet")


def _outcome(row: Entry) -> Document:
    return {key: value for key, value in row.payload.items() if key not in ("item", "digest")}


def _done(rows: Sequence[Entry], kind: str, wanted: Wanted) -> list[Entry]:
    return _within(rows, (f"{kind}_done",), wanted)


def _within(rows: Sequence[Entry], kinds: tuple[str, ...], wanted: Wanted) -> list[Entry]:
    first, last = wanted.first or date.min, wanted.last or date.max
    return [row for row in rows if row.kind in kinds and first <= row.day <= last]


def _wanted(batch: Document, wanted: Wanted) -> bool:
    if wanted.batch is not None:
        return wanted.batch in (str(batch["number"]), batch["day"])
    return (wanted.first or date.min) <= date.fromisoformat(batch["day"]) <= (wanted.last or date.max)


def _plain(record: Document) -> Document:
    return {key: value.isoformat() if isinstance(value, date) else value for key, value in record.items()}


def in_words(document: Document, kind: str) -> list[str]:
    """A document as lines for a terminal: the coach's summary; the other two are read as a page or as JSON."""
    if kind == "processing":
        return [f"{tr(LABELS[key])}: {_joined(value) or tr(UNSAID)}" for key, value in document.items()]
    if kind == "person":
        lines = [
            tr(
                "{person}: shown in {n} {n:rendering|renderings}, {still} of them delivered now.",
                person=document["person"]["id"],
                n=len(document["shown_in"]),
                still=sum(one["still_delivered"] for one in document["shown_in"]),
            )
        ]
        lines += [
            f"  {one['filmed']}  {one['clip'][:8]}  {one['seconds']} s  ({ground_in_words(one['ground'] or '')})"
            for one in document["shown_in"]
        ]
        lines.append(tr("All of it: lesveil report --person {person} --html FILE", person=document["person"]["id"]))
        return lines
    lines = []
    for batch in document["batches"]:
        lines.append(f"{batch['number']}  {batch['day']}  {summary_line(batch['summary'])}")
        for clip in batch["clips"]:
            waits = f", {tr('waits for')} {clip['waits_for']}" if clip["waits_for"] else ""
            if clip["failure"]:
                waits = ", " + tr("failed: {reason}", reason=clip["failure"])
            lines.append(f"     {Path(clip['file']).name}: {tr(clip['stage'])}{waits}")
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
    if any(clip["still_shows"] and clip["delivered_to"] for batch in document["batches"] for clip in batch["clips"]):
        lines.append(tr("What was delivered shows somebody who may not be shown any more: see lesveil recall."))
    if document["ledger"]["findings"]:
        lines.append(tr("THE LEDGER WAS CHANGED: run lesveil ledger verify and keep the file as it is."))
    return lines


def _joined(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{tr(LABELS[key])} {one}" for key, one in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
