"""Somebody changed their mind."""

from __future__ import annotations

from datetime import date

from pipeline.adapters import files
from pipeline.lesson.state import State, states
from pipeline.workspace import Workspace, load_templates, save_templates


def withdraw(workspace: Workspace, person: str, on: date) -> list[State]:
    """Take back somebody's consent: the template goes, and the clips that show the person are returned."""
    workspace.register.withdraw(person, on)
    people = load_templates(workspace)
    if any(one.id == person for one in people):
        save_templates(workspace, [one for one in people if one.id != person])
    workspace.ledger.append("withdrawal", None, {"person": person, "day": on.isoformat()})
    shown = [
        state
        for state in states(workspace)
        if state.render and any(entry["person"] == person for entry in state.render["kept"])
    ]
    for state in shown:  # where somebody who withdrew can be recognised, no file stays behind
        if state.render:
            files.remove(workspace.finished / state.render["file"])
    return shown
