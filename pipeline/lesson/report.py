"""What happened, read from the ledger and the register, for the coach and the privacy officer.

Everything is plain data, fit for JSON; `report_words` says it, `report_page` prints it. `report_person` is for the
person concerned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pipeline import __version__, wipeable
from pipeline.adapters import copies
from pipeline.adapters.ledger import Entry
from pipeline.errors import ReportError, VaultError
from pipeline.lesson import seen
from pipeline.lesson.approve import rejecters_of
from pipeline.lesson.failures import failure_in_words
from pipeline.lesson.lost import of_clip
from pipeline.lesson.lying import LOST, ends, unsettled
from pipeline.lesson.retention import due
from pipeline.lesson.state import DOUBLE, TEMPLATE, State
from pipeline.lesson.waiting import called, notes_of, rendering_lost, waits_for, waits_in_words
from pipeline.lesson.withdraw import states_on
from pipeline.workspace import Workspace, load_templates

Document = dict[str, Any]


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
    films = called(by_clip.values())
    batches = [
        _batch(workspace, number, card, clips, failed, by_clip, names, films, today)
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
        "begun": sum(bool(clip["begun"]) for clip in clips),
        "lost": sum(bool(clip["lost"]) and not clip["delivered_to"] for clip in clips),
        "taken_away": sum(bool(clip["deliveries"]) and not clip["delivered_to"] and not clip["lost"] for clip in clips),
    }


# --- a batch ------------------------------------------------------------------------------------------------------


def _batches(rows: Iterable[Entry]) -> list[tuple[Entry, list[str], list[Entry]]]:
    """Runs over a card that brought something in: the card's row, the clips, what was not copied. Later runs over the
    same card that bring nothing new belong to the one before. A clip that failed tells it itself, in its own batch."""
    found: list[tuple[Entry, list[str], list[Entry]]] = []
    for row in rows:
        if row.kind == copies.CARD:
            found.append((row, [], []))
        elif row.kind == copies.KIND and found and row.clip not in found[-1][1]:
            found[-1][1].append(str(row.clip))
        elif row.kind == copies.FAILURE and found and "clip" not in row.payload:
            found[-1][2].append(row)
    seen_before: set[str] = set()
    told: set[tuple[str, str, str]] = set()
    out: list[tuple[Entry, list[str], list[Entry]]] = []
    for card, clips, failed in found:
        fresh = [clip for clip in clips if clip not in seen_before]
        seen_before |= set(fresh)
        said = {(card.payload["card"], row.payload["path"], failure_in_words(row.payload)): row for row in failed}
        new = [row for key, row in said.items() if key not in told]
        told |= said.keys()
        if fresh or new:
            out.append((card, fresh, new))
    return out


def _batch(
    workspace: Workspace,
    number: int,
    card: Entry,
    clips: list[str],
    failed: list[Entry],
    by_clip: dict[str, State],
    names: dict[str, str],
    films: dict[str, str],
    today: date,
) -> Document:
    there = [clip for clip in clips if clip in by_clip]
    told = [_clip(workspace, by_clip[clip], names, today) | {"called": films[clip]} for clip in there]
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


def _clip(workspace: Workspace, state: State, names: dict[str, str], today: date) -> Document:
    rows = workspace.ledger.entries(clip=state.clip)
    render = state.render or {}
    rejecters = rejecters_of(rows)
    missing = rendering_lost(workspace, state)
    rate = render["frames"] / render["seconds"] if render.get("frames") and render.get("seconds") else None
    return {
        "clip": state.clip,
        "file": state.file,
        "filmed": state.filmed,
        "teacher": state.teacher,
        "copied_at": state.ingest.at,
        "bytes": state.ingest.payload["bytes"],
        "stage": state.stage,
        "waits_for": waits_for(state, missing),
        "said": waits_in_words(state, missing),
        "notes": notes_of(state),
        "rejected_by": state.rejected.payload["by"] if state.rejected else None,
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
            | ({"despite_rejection_by": rejecters[over]} if (over := row.payload.get("despite_rejection")) else {})
            | {key: row.payload[key] for key in ("played", "of") if key in row.payload}
            for row in rows
            if row.kind == "approval"
        ],
        "deliveries": [delivery_of(row, rows) for row in rows if row.kind == "delivery"],
        "delivered_to": list(state.lies),
        "begun": [begun_of(row) for row in unsettled(rows)],
        "lost": [
            lost_of(one.row, rows) | {"may_not_be_seen": list(one.people)} for one in of_clip(workspace, state, today)
        ],
        "consent_lapsed": _lapsed(rows, None),
        "look_alikes": _lapsed(rows, DOUBLE),
        "recognised_wrongly": _lapsed(rows, TEMPLATE),
        "still_shows": list(state.lapsed),
        "used": None if state.used is None else {"at": state.used.at, "by": state.used.payload["by"]},
        "deleted": None if state.deleted is None else {"on": state.deleted.day, "because": state.deleted.because},
        "wiped_from_card": state.wiped,
        "given_up": None
        if state.given_up is None
        else {"at": state.given_up.at, "by": state.given_up.payload.get("by") or "?"},
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


def begun_of(row: Entry) -> Document:
    """A delivery of which nothing was heard since it was begun: whether it lies there nobody knows."""
    return {"at": row.at, **{name: row.payload[name] for name in ("target", "where", "sha256")}}


def lost_of(row: Entry, rows: Sequence[Entry]) -> Document:
    """A place that somebody said is gone for good: what lay there, or may have, can be seen there still."""
    said = {name: row.payload[name] for name in ("by", "target", "where", "sha256")}
    return {"at": row.at, **said, "shows": _shown_by(rows, row.payload["sha256"])}


def delivery_of(row: Entry, rows: Sequence[Entry]) -> Document:
    said = row.payload
    ended = ends(rows).get(row.seq)
    removed, replaced, gone = (
        ended if ended is not None and ended.kind == kind else None for kind in ("delivery_removed", "delivery", LOST)
    )
    return {
        "at": row.at,
        "target": said.get("target"),
        "where": said["where"],
        "sha256": said["sha256"],
        "shows": _shown_by(rows, said["sha256"]),
        "verified": said.get("verified", "sha256"),
        "replaced_at": replaced.at if replaced else None,
        "removed_at": removed.at if removed else None,
        "removed_for_good": removed.payload.get("permanent")
        if removed and removed.payload.get("found", True)
        else None,
        "lost_at": gone.at if gone else None,
        "lost_by": gone.payload["by"] if gone else None,
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
                "files": sum(kind not in wipeable.NO_FILE for kind in kinds),
                "working_copies": kinds.count(wipeable.COPY),
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
