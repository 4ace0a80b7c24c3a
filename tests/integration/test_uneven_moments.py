"""The moments to look at are those of the film, also where its pictures do not come evenly."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline import run, workspace
from pipeline.adapters.pictures import fingerprint
from pipeline.lesson import card, seen
from pipeline.lesson.repair import repair
from pipeline.lesson.state import states
from pipeline.records import Decision, Reason, Style
from pipeline.stages import decide
from tests import clips
from tests.faces import STRANGER, every, lesson, sorted_rows

FRAMES = 60
DAY = date(2026, 11, 25)


def test_what_to_look_at_is_told_by_the_films_own_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty pictures in 1.6 seconds, then one a second: by their mean rate the doubt would lie elsewhere."""

    def analyse(clip: Any, name: str, people: Any, grounds: Any, register: str, *_: Any) -> run.Analysis:
        tracks, found, _ = lesson(*sorted_rows([every(10, 0, FRAMES, STRANGER)]), frames=FRAMES)
        (track,) = tracks
        whole = Decision(track.number, 0, track.stop, False, Reason.STRANGER)
        unsure = replace(whole, start=38, stop=45, reason=Reason.UNSURE)
        decisions = [replace(whole, stop=38), unsure, replace(whole, start=45)]
        prints = np.array([fingerprint(frame.picture) for frame in clip.frames()], np.uint64)
        plan = decide.plan(name, FRAMES, tracks, decisions, (), Style.VEIL, "s", "m", register, prints=prints)
        return run.Analysis(found, tracks, [], decisions, plan)

    monkeypatch.setattr(run, "analyse", analyse)
    folder = tmp_path / "card/DCIM/100CANON"
    folder.mkdir(parents=True)
    times = "setpts=if(lt(N\\,40)\\,N/25\\,N-38.4)/TB"
    path = clips.make(folder / "A.MP4", frames=FRAMES, size="320x160", picture_filter=times, fps_mode="vfr")
    at = datetime(DAY.year, DAY.month, DAY.day, 12).timestamp()
    os.utime(path, (at, at))
    workspace.create(tmp_path / "w", key_file=True)
    with workspace.opened(tmp_path / "w") as place:
        card.run_card(place, tmp_path / "card", DAY, any_card=True)
        told = []
        for again in (False, True):
            if again:
                (state,) = states(place)
                kept = seen.last(place, state.clip)
                assert kept is not None
                row = {"id": "1" * 32, "kind": "mute", "start": 0, "stop": 5, "analysis": kept.analysis}
                place.ledger.append("repair", state.clip, row | {"by": "G", "role": "coach"})
                repair(place, state.clip, DAY)
            (state,) = states(place)
            assert state.render is not None
            with av.open(str(place.finished / state.render["file"])) as film:
                shown = [float(frame.time or 0) for frame in film.decode(video=0)]
            assert shown[45] - shown[38] > 4, "the film is not what it should be"
            told.append((state.render["doubts"], [[round(t - shown[0], 2) for t in (shown[38], shown[45])]]))
    assert [said for said, _ in told] == [true for _, true in told]
