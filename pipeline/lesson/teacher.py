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


def note_teacher(workspace: Workspace, clip: str, teacher: str | None, filmed: date, today: date) -> None:
    """Keep in the ledger whose lesson a clip is, on what ground; NoConsentError when that was not in force then.

    Where nobody is named now, whoever was named for this clip before still counts: also who was refused when nothing
    was made of it yet, or the next run with another card would take it for nobody's lesson.
    """
    rows = workspace.ledger.entries("teacher", clip)
    known = rows[-1].payload["person"] if rows else None
    teacher = teacher or known
    if teacher is None:
        return
    answer = workspace.register.may_be_shown(teacher, filmed, today, recognised=False)
    nothing_made = not workspace.ledger.entries("receipt", clip)
    if teacher != known and (answer.kept or (known is None and nothing_made)):
        workspace.ledger.append("teacher", clip, {"person": teacher, "ground": answer.ground})
    _refuse(answer, teacher, filmed)


def _refuse(answer: Answer, teacher: str, day: date) -> None:
    if not answer.kept:
        raise NoConsentError(
            "The consent of teacher {person} for film of {day} is not in force ({why}), so it is not processed; see"
            " lesveil consent list.",
            person=teacher,
            day=day,
            why=tr(TEXTS[answer.why]),
        )
