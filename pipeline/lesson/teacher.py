"""Whose lesson is filmed: without the teacher's consent a clip is not processed."""

from __future__ import annotations

from datetime import date

from pipeline.consent import TEXTS, Answer
from pipeline.errors import NoConsentError
from pipeline.messages import tr
from pipeline.workspace import Workspace


def teacher_of(workspace: Workspace, named: str | None, today: date) -> str | None:
    """The teacher's number, from the command line or lesveil.toml, if their consent to be filmed is in force today.

    None when nobody is named and lesveil.toml does not ask for it. Raises NoConsentError before anything is copied.
    """
    teacher = named or workspace.settings.consent.teacher
    if not teacher:
        if workspace.settings.consent.teacher_required:
            raise NoConsentError(
                "Nobody says whose lesson this is; name the teacher with --teacher NUMBER, or in lesveil.toml under"
                " [consent] teacher."
            )
        return None
    _refuse(workspace.register.may_be_shown(teacher, today, today, recognised=False), teacher, today)
    return teacher


def expect_teacher(workspace: Workspace, clip: str, teacher: str | None, today: date) -> None:
    """Keep in the ledger whose lesson a clip is said to be that was copied just now: a run that is cut off, or refuses
    it, leaves it to one that names nobody. Of what was made before it, that says nothing."""
    ledger = workspace.ledger
    if teacher and not ledger.entries("teacher", clip) and not ledger.entries("receipt", clip):
        ground = workspace.register.may_be_shown(teacher, today, today, recognised=False).ground
        ledger.append("teacher", clip, {"person": teacher, "ground": ground})


def note_teacher(workspace: Workspace, clip: str, teacher: str | None, filmed: date, today: date) -> None:
    """Keep in the ledger whose lesson a clip is, on what ground; NoConsentError when that was not in force then.

    Where nobody is named now, whoever was named for this clip before still counts.
    """
    rows = workspace.ledger.entries("teacher", clip)
    known = rows[-1].payload["person"] if rows else None
    teacher = teacher or known
    if teacher is None:
        return
    answer = workspace.register.may_be_shown(teacher, filmed, today, recognised=False)
    _refuse(answer, teacher, filmed)
    if teacher != known:
        workspace.ledger.append("teacher", clip, {"person": teacher, "ground": answer.ground})


def _refuse(answer: Answer, teacher: str, day: date) -> None:
    if not answer.kept:
        raise NoConsentError(
            "The consent of teacher {person} for film of {day} is not in force ({why}), so it is not processed; see"
            " lesveil consent list.",
            person=teacher,
            day=day,
            why=tr(TEXTS[answer.why]),
        )
