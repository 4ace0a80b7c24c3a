"""A workspace and a card for tests of copying and wiping; chains are completed by hand, without any network."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipeline import workspace as workspaces
from pipeline.adapters import files
from pipeline.lesson.copy import Copied, copy_card
from pipeline.lesson.wipe import Wanted, execute_wipe, wipe_plan
from pipeline.records import WipePlan
from pipeline.stages.wipe import Wiped
from pipeline.workspace import Workspace

TODAY = date(2026, 11, 25)


@dataclass(frozen=True)
class World:
    """``folder`` holds the workspace and the archive; ``card`` is where the card is mounted."""

    folder: Path
    card: Path

    @property
    def place(self) -> Path:
        return self.folder / "workspace"

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    def create(self, settings: str = "") -> World:
        workspaces.create(self.place)
        self.archive.mkdir()
        self.settle(self.archive, settings)
        return self

    def settle(self, archive: Path, settings: str = "") -> None:
        target = f'[deliver]\ntarget = "folder"\nfolder = {json.dumps(str(archive))}\nfolder_is_the_archive = true\n'
        (self.place / "lesveil.toml").write_text(target + settings)

    @contextlib.contextmanager
    def open(self) -> Iterator[Workspace]:
        with workspaces.opened(self.place) as opened, workspaces.alone(opened):
            yield opened

    def copy(self, **options: Any) -> Copied:
        with self.open() as place:
            return copy_card(place, self.card, **options)

    def finish(self, *films: str) -> None:
        """Complete the chains of the clips with these films on the card (all when none is named)."""
        with self.open() as place:
            for row in {row.clip: row for row in place.ledger.entries("ingest")}.values():
                name = Path(row.payload["files"][0]["path"]).name
                if not films or name in films:
                    complete(place, str(row.clip), row.payload["sha256"], self.archive)

    def plan(self, **wishes: Any) -> WipePlan:
        with self.open() as place:
            return wipe_plan(place, TODAY, Wanted(self.card, **wishes))

    def wipe(self, digest: str, confirmed: str = "", **wishes: Any) -> Wiped:
        with self.open() as place:
            return execute_wipe(place, digest, TODAY, Wanted(self.card, **wishes), confirmed)

    def on_card(self) -> dict[str, bytes]:
        return {p.relative_to(self.card).as_posix(): p.read_bytes() for p in self.card.rglob("*") if p.is_file()}


def complete(place: Workspace, clip: str, source: str, archive: Path) -> None:
    """The rows of a clip that was rendered (to a film of nobody), checked, approved and delivered to the archive."""
    rendering = f"a rendering of {clip}".encode()
    (place.finished / f"{clip}.mp4").write_bytes(rendering)
    (archive / f"{clip}.mp4").write_bytes(rendering)
    digest = files.sha256_of(archive / f"{clip}.mp4")
    ledger = place.ledger
    ledger.append("filmed", clip, {"day": TODAY.isoformat()})
    done = {"sha256": digest, "file": f"{clip}.mp4", "kept": [], "doubts": [], "seconds": 1.0, "hidden_at_once": 0}
    done["bytes"] = len(rendering)
    ledger.record("render", source, "settings", clip, done)
    ledger.record("check", digest, "settings", clip, {"passed": True, "regions": 0})
    ledger.append("approval", clip, {"sha256": digest, "verdict": "approved", "by": "test"})
    where = str(archive / f"{clip}.mp4")
    ledger.append(
        "delivery",
        clip,
        {"sha256": digest, "target": "folder", "where": where, "bytes": len(rendering), "is_archive": True},
    )
