"""The entry for the register of processing (GDPR article 30), from the settings as they are."""

from __future__ import annotations

from pipeline.lesson.report import Document
from pipeline.messages import tr
from pipeline.workspace import Workspace


def processing_entry(workspace: Workspace) -> Document:
    """The entry, in the language chosen, as plain data."""
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
        "recipients": [recipient(workspace)],
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


def recipient(workspace: Workspace) -> str:
    """Who gets the finished clips."""
    said = workspace.settings.deliver
    if said.target == "onedrive":
        return tr("the school's OneDrive, folder {folder}", folder=workspace.settings.onedrive.folder)
    return tr("the folder {folder}", folder=said.folder) if said.folder else tr("nobody yet")
