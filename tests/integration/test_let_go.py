"""The networks are let go once a long film was looked at, and come back for the next."""

from __future__ import annotations

import weakref
from pathlib import Path

import pytest

from pipeline import run
from pipeline.adapters.video_in import open_clip
from pipeline.records import Figures, no_progress
from pipeline.settings import Settings
from tests.clips import make


@pytest.mark.parametrize("long", [True, False])
def test_only_a_long_film_lets_the_networks_go(tmp_path: Path, long: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LONG_SECONDS", 0 if long else 600)
    film = make(tmp_path / "film.mp4", size="320x240", frames=8)
    networks = run.Networks(False)
    detector = weakref.ref(networks.detector)

    def plan() -> object:
        with open_clip(film) as clip:
            return run.analyse(clip, "film", [], {}, "", Settings(), networks, no_progress, Figures()).plan.frames

    assert plan() == 8
    assert (detector() is None) == long
    assert plan() == 8
