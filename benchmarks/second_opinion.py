"""What the second look adds, and what it costs: ``python -m benchmarks.second_opinion [CLIP ...]``.

Two questions. What does it find in films as Lesveil finishes them: faces that the truth knows and that are still seen,
or false alarms? And whom would it have found if nobody had been hidden at all: the net under a first look that fails?
It needs the weights of the ``mediapipe`` package. Without CLIP: every clip in LESVEIL_EVAL/dev that has its truth.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import EVAL, consented, table, truth_of
from pipeline import run
from pipeline.adapters.blazeface import BlazeFace, installed
from pipeline.adapters.pictures import whole
from pipeline.adapters.video_in import open_clip
from pipeline.geometry import overlaps
from pipeline.records import RedactionPlan, Sighting
from pipeline.settings import SecondOpinion, Settings
from pipeline.stages.second_opinion import Faces, Watch, kept_faces

SAME = 0.25
"""Overlap (intersection over union) from which on a sight is of a face in the truth: the two draw boxes differently."""

LEAST_SECONDS = 0.8
"""People who are to be hidden for less than two looks are not counted among those whom it would have found."""


@dataclass(frozen=True)
class Truth:
    """Faces by frame: (person, box), of whoever must be hidden; ``shown`` likewise of whoever may be seen."""

    hidden: dict[int, list[tuple[int, Any]]]
    shown: dict[int, list[tuple[int, Any]]]

    @classmethod
    def load(cls, path: Path) -> Truth:
        hidden: dict[int, list[tuple[int, Any]]] = {}
        shown: dict[int, list[tuple[int, Any]]] = {}
        for face in json.loads(path.read_text(encoding="utf-8"))["faces"]:
            if not face.get("ignore"):
                into = shown if face["keep"] else hidden
                into.setdefault(face["frame"], []).append((face["track"], np.array(face["box"], np.float32)))
        return cls(hidden, shown)

    def people(self, one: Sighting, among: dict[int, list[tuple[int, Any]]]) -> set[int]:
        """Whose faces a sighting saw."""
        found = set()
        for frame, box in zip(one.frame.tolist(), one.box, strict=True):
            there = among.get(frame, [])
            found |= {person for person, face in there if overlaps(box, face[None])[0] >= SAME}
        return found


def looked(path: Path, plan: RedactionPlan, kept: Faces, cuts: Sequence[int], eyes: BlazeFace) -> tuple[Watch, float]:
    """A film watched from end to end, and the seconds that took beyond decoding it."""
    started = time.perf_counter()
    with open_clip(path) as film:
        for _ in film.frames():
            pass
    bare = time.perf_counter() - started
    watch = Watch(eyes, plan, kept, whole, cuts)
    started = time.perf_counter()
    with open_clip(path) as film:
        for _ in watch.over(film).frames():
            pass
    return watch, time.perf_counter() - started - bare


def without_regions(plan: RedactionPlan) -> RedactionPlan:
    """The plan that hides nothing."""
    none = np.zeros(0, np.int32)
    return replace(plan, frame=none, region=np.zeros((0, 4), np.float32), shape=none.astype(np.uint8), track=none)


def measured(clip: Path, work: Path, eyes: BlazeFace) -> tuple[list[str], list[str]]:
    """One row for each of the two tables."""
    networks = run.Networks(recognition=True)
    keep = consented(clip, work)
    people = run.enrol_folder(keep, networks) if keep else []
    settings = Settings(second_opinion=SecondOpinion(mode="off"))
    done = run.redact_clip(clip, work / clip.name, people, settings, networks)
    plan, cuts = done.analysis.plan, done.analysis.found.cuts.tolist()
    truth = Truth.load(truth_of(clip))
    kept = kept_faces(done.analysis.tracks, done.analysis.decisions)
    watch, seconds = looked(work / clip.name, plan, kept, cuts, eyes)
    found = watch.sightings()
    true = sum(bool(truth.people(one, truth.hidden)) for one in found)
    own = sum(bool(truth.people(one, truth.shown)) and not truth.people(one, truth.hidden) for one in found)
    minutes = done.render.seconds / 60
    first = [
        clip.stem,
        str(watch.looks),
        str(len(found)),
        str(true),
        str(own),
        f"{(len(found) - true) / minutes:.1f}",
        f"{100 * seconds / done.figures.seconds['total']:.0f} %",
    ]
    blind, _ = looked(
        clip, without_regions(plan), Faces(np.zeros(0, np.int32), np.zeros((0, 4), np.float32)), cuts, eyes
    )
    frames: Counter[int] = Counter()
    height: dict[int, float] = {}
    for faces in truth.hidden.values():
        for person, box in faces:
            frames[person] += 1
            height[person] = max(height.get(person, 0.0), float(box[3] - box[1]))
    counted = {person for person, count in frames.items() if count >= LEAST_SECONDS * done.rate}
    seen = {person for one in blind.sightings() for person in truth.people(one, truth.hidden)}
    second = [clip.stem]
    for low, high in ((0, 24), (24, 48), (48, 96), (96, 1e9)):
        those = {person for person in counted if low <= height[person] < high}
        second.append(f"{len(those & seen)} of {len(those)}" if those else "-")
    second.append(f"{len(counted & seen)} of {len(counted)}")
    return first, second


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.second_opinion", description=__doc__.partition("\n")[0])
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP", help="with NAME.gt.json beside it")
    chosen = parser.parse_args(arguments)
    clips = chosen.clips or sorted(path for path in (EVAL / "dev").glob("*.mp4") if truth_of(path).is_file())
    if not clips:
        parser.error(f"no clips with their truth in {EVAL / 'dev'}; set LESVEIL_EVAL")
    if not installed():
        parser.error("the weights of the second look are not installed: pip install --no-deps mediapipe==0.10.21")
    eyes = BlazeFace()
    finished = [["finished film", "looks", "sightings", "true", "of people shown", "false per minute", "time"]]
    nobody = [["nobody hidden: people found", "under 24 px", "under 48 px", "under 96 px", "larger", "in all"]]
    with tempfile.TemporaryDirectory(prefix="lesveil-second-") as folder:
        for clip in clips:
            print(f"  {clip.name} ...", file=sys.stderr, flush=True)
            one, other = measured(clip, Path(folder), eyes)
            finished.append(one)
            nobody.append(other)
    print(table(finished))
    print("time: of what redact takes without it\n")
    print(table(nobody))
    return 0


if __name__ == "__main__":
    sys.exit(main())
