"""Where approved clips go, by lesveil.toml: a folder, or OneDrive."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import NotReadyError
from pipeline.lesson.folder_target import FolderTarget
from pipeline.lesson.onedrive_target import OneDriveTarget, open_onedrive
from pipeline.workspace import Workspace


def open_target(workspace: Workspace, kind: str = "") -> FolderTarget | OneDriveTarget:
    """The target of lesveil.toml, or the one of this kind (for what was delivered before it was changed).

    Raises NotReadyError where lesveil.toml names none.
    """
    said = workspace.settings.deliver
    kind = kind or said.target
    if kind == "folder" and (said.folder or said.target != "folder"):
        return FolderTarget(Path(said.folder), said.folder_is_the_archive)
    if kind == "onedrive":
        return open_onedrive(workspace)
    raise NotReadyError('lesveil.toml names no [deliver] target; it is "onedrive", or "folder" with a folder.')
