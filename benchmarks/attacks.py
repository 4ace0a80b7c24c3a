"""Can hidden people still be named? ``python -m benchmarks.attacks [CLIP ...]``: attacks on every style.

- *clear*: a recogniser that saw them clear (dlib's network) is shown their hidden faces.
- *parrot*: a classifier is taught from hidden faces, and asked about hidden faces of other moments (McPherson et al.,
  arXiv 1609.00408). It sees only what lies inside the hidden region. Ridge regression on the pixels of the patch. Every
  body gets another head in every frame (benchmarks/swap.py): what names a head then comes out of the head. *Nothing
  hidden* is the same parrot on the same film before it was hidden: how good the attack is.
- *parrot, shuffled*: the same with the names mixed up: what chance really looks like.
- *averaged*: hidden faces of one person, added up over time, are shown to the recogniser.
- *in place*, *beside*: the parrot on the film as it is, where everybody keeps to one place, on the pixels of the hidden
  region and on those around it alone. Clothes and place name people; no style that leaves them can help against that.

Without CLIP: those of LESVEIL_EVAL/dev that have enough people, and the sample lesson, which anybody can make. A person
is a face's id, or its track. Beside each figure stands chance with two standard errors.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks import EVAL, FailedError, ours, table, timed, truth_of
from benchmarks.swap import swapped

STYLES = ("veil", "solid", "pixelate")
SMALLEST, FEWEST = 24, 12
"""Height in pixels and number of frames from which a person takes part."""

EACH, SWAPPED = 24, 60
"""Frames of a person, and of a head on other bodies, that are used at most."""

SWAPS = 3
"""Films with other heads; by chance one of them alone puts some heads on some bodies more often."""

PATCH = 24
"""Side of the patches that the parrot sees."""

Look = Callable[[Any, Sequence[float]], Any]
"""What of a picture and a face's box the parrot is given."""

Named = tuple[tuple[float, int], tuple[float, int]]


Faces = dict[str, list[dict[str, Any]]]
"""Faces of a truth file by person, in order of time."""


def people_of(faces: Sequence[dict[str, Any]]) -> Faces:
    """Everyone who takes part, with all faces that are large enough."""
    by: Faces = defaultdict(list)
    for face in sorted(faces, key=lambda face: face["frame"]):
        if not face.get("ignore") and face["box"][3] - face["box"][1] >= SMALLEST:
            by[str(face.get("id") or face["track"])].append(face)
    return {name: faces for name, faces in by.items() if len(faces) >= FEWEST}


def some(people: Faces, each: int) -> Faces:
    """At most ``each`` faces of everyone, spread over time."""
    return {
        name: [faces[n] for n in np.unique(np.linspace(0, len(faces) - 1, each).astype(int))]
        for name, faces in people.items()
    }


def frames_of(people: Faces) -> set[int]:
    return {face["frame"] for faces in people.values() for face in faces}


def pictures(path: Path, wanted: set[int]) -> dict[int, Any]:
    """The frames asked for, (H, W, 3) RGB."""
    found = {}
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                found[number] = frame.to_ndarray(format="rgb24")
    return found


class Recogniser:
    """dlib's own network, landmarks and alignment: nothing of ours."""

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError as error:
            raise FailedError('dlib is not there: pip install -e ".[test]"') from error
        spec = importlib.util.find_spec("face_recognition_models")
        folder = Path((spec.submodule_search_locations or [""])[0] if spec else "") / "models"
        self._dlib = dlib
        self._marks = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
        self._network = dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))

    def __call__(self, picture: Any, box: Sequence[float]) -> Any:
        """The unit vector (128,) of the face in ``box`` of an RGB picture."""
        x1, y1, x2, y2 = box
        cx, cy, half = (x1 + x2) / 2, (y1 + y2) / 2 + 0.05 * (y2 - y1), 0.25 * ((x2 - x1) + (y2 - y1))
        where = self._dlib.rectangle(int(cx - half), int(cy - half), int(cx + half), int(cy + half))
        picture = np.ascontiguousarray(picture)
        chip = self._dlib.get_face_chip(picture, self._marks(picture, where), 150, 0.25)
        vector = np.array(self._network.compute_face_descriptor(chip))
        return vector / np.linalg.norm(vector)


def patch(picture: Any, box: Sequence[float], grow: float) -> Any:
    """(PATCH, PATCH, 3) of the box grown by a share of itself, as floats; beyond the picture its edge is repeated."""
    x1, y1, x2, y2 = box
    w, h = (x2 - x1) * (1 + 2 * grow), (y2 - y1) * (1 + 2 * grow)
    place = np.array([[w / PATCH, 0, (x1 + x2 - w) / 2], [0, h / PATCH, (y1 + y2 - h) / 2]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, place, (PATCH, PATCH), flags=how, borderMode=cv2.BORDER_REPLICATE).astype(float)


def inside(picture: Any, box: Sequence[float]) -> Any:
    """What the parrot sees: the middle of the hidden face (its ellipse, a tenth smaller), each channel with its
    mean taken off and its spread made one, so that the room's light says nothing."""
    y, x = np.mgrid[:PATCH, :PATCH] * 2 / (PATCH - 1) - 1
    kept = patch(picture, box, 0)[x * x + y * y < 0.81]
    kept = kept - kept.mean(axis=0)
    return (kept / (kept.std(axis=0) + 4)).ravel()


def beside(picture: Any, box: Sequence[float]) -> Any:
    """Only what lies around the hidden head: a box three times as large without its middle two thirds."""
    rim = patch(picture, box, 1.0)
    low, high = PATCH // 6, PATCH - PATCH // 6
    mask = np.ones((PATCH, PATCH), bool)
    mask[low:high, low:high] = False
    return (rim[mask] / 64).ravel()


def parrot(rows: Any, who: Any, moments: Any) -> tuple[float, int]:
    """Share named by ridge regression taught from the first and last thirds of each person and asked about the
    middle third, and from the middle asked about the others; and how many were asked."""
    middle = (moments >= 1 / 3) & (moments < 2 / 3)
    right = asked = 0
    people = np.unique(who)
    wanted = np.where(who[:, None] == people, 1.0, -1.0 / max(1, len(people) - 1))
    for teach, ask in ((~middle, middle), (middle, ~middle)):
        mean = rows[teach].mean(axis=0)
        a, b = rows[teach] - mean, rows[ask] - mean
        kernel = a @ a.T
        kernel += np.eye(len(a)) * (0.01 * np.trace(kernel) / len(a) + 1e-6)
        answer = people[np.argmax(b @ a.T @ np.linalg.solve(kernel, wanted[teach]), axis=1)]
        right += int((answer == who[ask]).sum())
        asked += int(ask.sum())
    return right / max(1, asked), asked


def nearest(gallery: dict[str, Any], probes: list[tuple[str, Any]]) -> tuple[float, int]:
    names = list(gallery)
    rows = np.stack([gallery[name] for name in names])
    return float(np.mean([names[int(np.argmax(rows @ vector))] == name for name, vector in probes])), len(probes)


def figure(named: float, asked: int, chance: float) -> tuple[str, bool]:
    limit = chance + 2 * math.sqrt(chance * (1 - chance) / max(1, asked))
    return f"{100 * named:.1f} % of {asked} (<= {100 * limit:.1f})", named <= limit


def asked(people: Faces, shown: dict[int, Any], look: Look, shuffles: int = 0) -> tuple[float, int]:
    """What the parrot makes of ``people`` as they are in the pictures ``shown``; with ``shuffles``, the mean share over
    so many ways to mix their names up."""
    rows, who, moments = [], [], []
    for name, faces in people.items():
        for number, face in enumerate(faces):
            rows.append(look(shown[face["frame"]], face["box"]))
            who.append(name)
            moments.append((number + 0.5) / len(faces))
    seen, names, at = np.stack(rows), np.array(who), np.array(moments)
    if not shuffles:
        return parrot(seen, names, at)
    mixed = [np.random.default_rng(seed).permutation(names) for seed in range(shuffles)]
    return float(np.mean([parrot(seen, one, at)[0] for one in mixed])), len(names)


def recognised(gallery: dict[str, Any], people: Faces, shown: dict[int, Any], recognise: Recogniser) -> Named:
    """What the recogniser makes of every fourth hidden face, and of everybody's faces added up."""
    probes, means = [], []
    for name, faces in people.items():
        chips = []
        for number, face in enumerate(faces):
            picture, (x1, y1, x2, y2) = shown[face["frame"]], face["box"]
            if number % 4 == 2:
                probes.append((name, recognise(picture, face["box"])))
            w, h = (x2 - x1) / 2, (y2 - y1) / 2
            place = np.array([[(x2 - x1 + 2 * w) / 200, 0, x1 - w], [0, (y2 - y1 + 2 * h) / 200, y1 - h]])
            chips.append(cv2.warpAffine(picture, place, (200, 200), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP))
        added = np.mean(chips, axis=0).round().astype(np.uint8)
        means.append((name, recognise(added, (50, 50, 150, 150))))
    return nearest(gallery, probes), nearest(gallery, means)


def attack(clip: Path, truth: dict[str, Any], work: Path, recognise: Recogniser) -> list[list[str]]:
    """Rows of the table for one clip: nobody in it is kept."""
    everyone = people_of(truth["faces"])
    if len(everyone) < 3:
        return []
    people, chance = some(everyone, EACH), 1 / len(everyone)
    clear = pictures(clip, frames_of(people))
    gallery = {}
    for name, faces in people.items():
        views = [recognise(clear[f["frame"]], f["box"]) for f in faces[:: max(1, len(faces) // 4)]]
        gallery[name] = np.mean(views, axis=0)
    films = [work / f"{clip.stem}_swapped{seed}.mp4" for seed in range(SWAPS)]
    moved = [some(people_of(swapped(clip, everyone, film, seed)), SWAPPED) for seed, film in enumerate(films)]

    def heads(style: str | None) -> tuple[float, float, int]:
        """What the parrot makes of the films with other heads, and of the same with the names mixed up; of how many."""
        told = []
        for film, people in zip(films, moved, strict=True):
            shown = pictures(_hidden(film, style, work) if style else film, frames_of(people))
            told.append((*asked(people, shown, inside), asked(people, shown, inside, shuffles=5)[0]))
        number = sum(count for _, count, _ in told)
        named, mixed = (sum(one[at] * one[1] for one in told) / number for at in (0, 2))
        return named, mixed, number

    clear_heads = heads(None)[0]
    rows = []
    for style in STYLES:
        hidden = pictures(_hidden(clip, style, work), frames_of(people))
        named, added = recognised(gallery, people, hidden, recognise)
        by_head, mixed, number = heads(style)
        cells = [
            figure(*named, chance),
            figure(by_head, number, chance),
            (f"{100 * clear_heads:.1f} %", True),
            (f"{100 * mixed:.1f} %", True),
            figure(*added, chance),
            (f"{100 * asked(people, hidden, inside)[0]:.1f} %", True),
            (f"{100 * asked(people, hidden, beside)[0]:.1f} %", True),
        ]
        said = [text if held else f"**{text}**" for text, held in cells]
        rows.append([clip.stem, style, f"{len(people)}: {100 * chance:.1f} %", *said])
    return rows


def _hidden(clip: Path, style: str, work: Path) -> Path:
    out = work / f"{clip.stem}_{style}.mp4"
    timed(ours(clip, out, None, work / f"{out.stem}.json", "--style", style), work / f"{out.stem}.log")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP", help="with NAME.gt.json beside it")
    parser.add_argument(
        "--sample-seconds", type=float, default=6.0, help="length of the sample lesson; 0 leaves it out"
    )
    chosen = parser.parse_args(arguments)
    clips = chosen.clips or [EVAL / "dev" / f"{name}.mp4" for name in ("class", "hamilton")]
    parrots = ["parrot", "parrot, nothing hidden", "parrot, shuffled"]
    rows = [["clip", "style", "people: chance", "clear", *parrots, "averaged", "in place", "beside"]]
    try:
        recognise = Recogniser()
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            if chosen.sample_seconds:
                from samples import make_lesson

                truth = make_lesson(work / "sample.mp4", seconds=chosen.sample_seconds, size=(1280, 720)).as_json()
                rows += attack(work / "sample.mp4", truth, work, recognise)
            for clip in clips:
                if not clip.is_file():
                    print(f"{clip} is not there and was left out; set LESVEIL_EVAL", file=sys.stderr)
                    continue
                truth = json.loads(truth_of(clip).read_text(encoding="utf-8"))
                rows += attack(clip, truth, work, recognise)
    except FailedError as error:
        print(error, file=sys.stderr)
        return 1
    print(table(rows))
    print("Bold: more than two standard errors above chance.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
