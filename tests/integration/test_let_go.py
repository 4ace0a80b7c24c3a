"""The networks are let go once a long film was looked at, or the last one, and come back for another."""

from __future__ import annotations

import time
import weakref
from pathlib import Path

import pytest

from pipeline import run
from pipeline.adapters.video_in import open_clip
from pipeline.records import Figures, no_progress
from pipeline.settings import Settings
from tests.clips import make


@pytest.mark.parametrize(("long", "clips"), [(True, 0), (False, 1), (False, 0), (False, 2)])
def test_only_a_long_film_and_the_last_let_the_networks_go(
    tmp_path: Path, long: bool, clips: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LONG_SECONDS", 0 if long else 600)
    film = make(tmp_path / "film.mp4", size="320x240", frames=8)
    networks = run.Networks(False, clips=clips)
    detector = weakref.ref(networks.detector)

    def plan() -> object:
        with open_clip(film) as clip:
            return run.analyse(clip, "film", [], {}, "", Settings(), networks, no_progress, Figures()).plan.frames

    assert plan() == 8
    goes, patience = long or clips == 1, time.monotonic() + 60
    while goes and detector() is not None and time.monotonic() < patience:
        time.sleep(0.02)  # they are freed beside what comes next
    assert (detector() is None) == goes
    assert plan() == 8
