"""What several commands say of clips and of cards, in words and for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.lesson.failures import failure_in_words
from pipeline.messages import tr

MOST = 20
"""Names of files in one line."""


def clip_document(state: Any, lost: bool = False) -> dict[str, Any]:
    from pipeline.lesson.waiting import notes_of, waits_for, waits_in_words

    render = state.render or {}
    return {
        "clip": state.clip,
        "file": state.file,
        "filmed": state.filmed,
        "teacher": state.teacher,
        "consent_lapsed": list(state.ended),
        "look_alikes": list(state.doubted),
        "recognised_wrongly": list(state.mistaken),
        "rejected_by": state.rejected.payload["by"] if state.rejected else None,
        "stage": state.stage,
        "waits_for": waits_for(state, lost),
        "said": waits_in_words(state, lost),
        "notes": notes_of(state),
        "failure": failure_in_words(state.failure.payload) if state.failure else None,
        "rendering": render.get("file"),
        "sha256": render.get("sha256"),
        "seconds": render.get("seconds"),
        "people_shown": sorted({entry["person"] for entry in render.get("kept", [])}),
        "hidden_at_once": render.get("hidden_at_once"),
        "doubts": render.get("doubts", []),
        "second_look": render.get("second_look"),
        "damaged_frames": render.get("damaged"),
        "deleted": None if state.deleted is None else {"on": state.deleted.day, "because": state.deleted.because},
    }


def card_document(volume: Any) -> dict[str, Any]:
    return {
        "folder": volume.root,
        "serial": volume.serial,
        "label": volume.label,
        "file_system": volume.system,
        "read_only": volume.read_only,
        "mtp": volume.mtp,
    }


def listed(names: list[str]) -> str:
    """Names with commas between; of very many the first."""
    more = [tr("{n} more", n=len(names) - MOST)] if len(names) > MOST else []
    return ", ".join([*names[:MOST], *more])


def given_up(state: Any) -> str:
    return tr(
        "No card is waited for any more to wipe {clip}; it is not called wiped, and what is here of it goes by its term"
        " (lesveil purge).",
        clip=Path(state.file).name,
    )


def half_gone(file: str) -> str:
    return tr(
        "{file} may be overwritten in part and be no film any more; the next lesveil wipe of this card takes the rest,"
        " and so does formatting it in the camera.",
        file=file,
    )
