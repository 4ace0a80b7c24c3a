"""A person's word on a rendering."""

from __future__ import annotations

from pipeline.adapters import files
from pipeline.errors import ApprovalError
from pipeline.lesson.state import State, find
from pipeline.workspace import Workspace


def judge(workspace: Workspace, name: str, by: str, approve: bool) -> State:
    """Approve or reject the latest rendering of a clip; bound to the digest of the file as it lies there now."""
    state = find(workspace, name)
    if state.render is None:
        raise ApprovalError("{clip} has no rendering yet; run lesveil run first.", clip=name)
    path = workspace.finished / state.render["file"]
    if not path.is_file() or files.sha256_of(path) != state.render["sha256"]:
        raise ApprovalError("{file} is not the file that was checked; run lesveil run again.", file=path)
    verdict = "approved" if approve else "rejected"
    workspace.ledger.append("approval", state.clip, {"sha256": state.render["sha256"], "by": by, "verdict": verdict})
    return find(workspace, state.clip)
