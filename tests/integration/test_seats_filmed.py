"""Drawn people who swap seats, pass in front of each other, leave and come back, filmed and run through everything."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import samples
from pipeline import run
from pipeline.adapters.portraits import people
from pipeline.adapters.video_in import open_clip
from pipeline.records import Figures, no_progress
from pipeline.settings import Settings
from samples import lesson

SIZE, RATE, SECONDS = (960, 540), 12, 8
MAY_BE_SEEN = {"zoe": "41207", "renee": "41215"}

SCENE = (
    # zoe, who may be seen, and andre, who may not, swap seats in front of each other; renee sits between and behind
    lesson.Actor("renee", lesson.BACK, 96, ((0, 960, 450, 0), (1, 966, 452, 4))),
    lesson.Actor("andre", lesson.FRONT, 124, (
        (0, 1450, 690, 4), (0.15, 1450, 690, 0), (0.5, 480, 680, -12), (0.7, 480, 690, 2), (1, 486, 690, 4),
    )),
    lesson.Actor("zoe", lesson.FRONT, 132, (
        (0, 480, 690, 0), (0.2, 484, 690, 6), (0.5, 1440, 690, 10), (0.62, 1440, 690, 0), (0.72, 2150, 690, 0),
    )),
    # she comes back to a third seat
    lesson.Actor("zoe", lesson.FRONT, 132, ((0.8, 1180, 690, 0), (1, 1186, 690, -4))),
    # and jurgen, who may not be seen, takes the one that she left
    lesson.Actor("jurgen", lesson.FRONT, 130, ((0.76, 1560, 690, 0), (1, 1566, 690, 4))),
)  # fmt: skip

FRAMES = 25 * SECONDS


def _visits(*stretches: tuple[int, int]) -> tuple[tuple[float, float, float, float], ...]:
    """The path of somebody who is in the middle seat from one frame to another, several times, and nowhere else."""
    path = [(0.0, 2400.0, 690.0, 0.0)]
    for first, last in stretches:
        path += [((first - 1) / FRAMES, 2400, 690, 0), (first / FRAMES, 964, 690, 0)]
        path += [(last / FRAMES, 964, 690, 0), ((last + 1) / FRAMES, 2400, 690, 0)]
    return (*path, (1, 2400, 690, 0))


VISITS = (
    # renee stays where she is; jurgen, who may not be seen, takes her place on the picture for some frames at a time
    lesson.Actor("renee", lesson.FRONT, 130, ((0, 960, 690, 0), (1, 966, 690, 2))),
    lesson.Actor("jurgen", lesson.FRONT, 130, _visits((41, 46), (83, 90), (121, 126), (147, 156), (181, 184))),
    lesson.Actor("zoe", lesson.BACK, 96, ((0, 420, 450, 0), (1, 426, 452, 4))),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "rate", "share"), [(SCENE, RATE, 1 / 2), (VISITS, 25, 1 / 4)], ids=["swap", "visits"]
)
def test_no_name_moves_with_a_seat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: tuple[lesson.Actor, ...], rate: int, share: float
) -> None:
    monkeypatch.setitem(lesson.SCENES, "swap", scene)
    truth = samples.make_lesson(tmp_path / "swap.mp4", SECONDS, SIZE, rate, scene="swap")
    samples.make_portraits(tmp_path / "all")
    keep = tmp_path / "keep"
    keep.mkdir()
    for number in MAY_BE_SEEN.values():
        (tmp_path / "all" / number).rename(keep / number)
    assert set(people(keep)) == set(MAY_BE_SEEN.values())
    networks = run.Networks(True)
    enrolled = run.enrol_folder(keep, networks)
    grounds = {person.id: "portrait" for person in enrolled}
    with open_clip(tmp_path / "swap.mp4") as clip:
        figures = Figures()
        found = run.analyse(clip, "swap", enrolled, grounds, "", Settings(), networks, no_progress, figures)
    ids = dict(enumerate(MAY_BE_SEEN.get(actor.name, actor.name) for actor in scene))
    numbers = {track.number: track for track in found.tracks}
    shown: Counter[str] = Counter()
    for frame in range(truth.frames):
        boxes = [
            (one.person if one.keep else None, numbers[one.track].box[frame - numbers[one.track].start])
            for one in found.decisions
            if one.start <= frame < one.stop
        ]
        named = [name for name, _ in boxes if name is not None]
        assert len(named) == len(set(named)), f"somebody is in two places of frame {frame}"
        for face in truth.faces:
            if face["frame"] != frame or face.get("ignore"):
                continue
            who = ids[face["track"]]
            x, y = np.array(face["box"]).reshape(2, 2).mean(axis=0)
            over = {name for name, (x1, y1, x2, y2) in boxes if x1 <= x <= x2 and y1 <= y <= y2}
            if over and None not in over:
                assert over == {who}, f"frame {frame}: {who} is shown as {over}"
                shown[who] += 1
    assert shown[MAY_BE_SEEN["renee"]] > truth.frames * share
    assert shown[MAY_BE_SEEN["zoe"]] > truth.frames / 3
    assert set(shown) == set(MAY_BE_SEEN.values())
