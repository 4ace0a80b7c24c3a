"""How near must a face come to a name? ``python -m benchmarks.calibrate`` prints it, ``--write`` remakes
pipeline/likeness.toml.

*Level* comes from LFW, whose strangers were measured once (docs/measured/recognising.md): at which distance the
nearest of 25 templates is taken for one stranger in a thousand, or for three in ten thousand.
*Shape* comes from the films and portraits of LESVEIL_EVAL: how far that distance moves with the height of the face, the
number of portraits and the number of views. Every face of the films is looked at again smaller, and then blurred and
darker too, and held against every template that is not its own. The lower tail of those distances, taken as normal
through the median and the 1 % quantile, says how near one pair in so many comes. Three rules make the table safe:
smaller faces and fewer views never allow a larger distance; from fewer portraits strangers lie farther, and so does the
limit, but never nearer to where strangers begin; of two sources that differ the stricter counts.

*Room*: two people who look alike are made out of two who do not, by moving the one's template towards the other's until
they lie a given distance apart. With the spread of real views around their own template, how much nearer the wrong one
may come is read off as above.

Only numbers over many people are printed and written; faces and embeddings end with the program.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import NormalDist
from typing import Any

import av
import cv2
import numpy as np

from benchmarks import EVAL, ROOT, table, truth_of
from pipeline import run
from pipeline.adapters import portraits
from pipeline.geometry import overlaps
from pipeline.likeness import FACING, frontal
from pipeline.stages import enrol, identify

TABLE = ROOT / "pipeline" / "likeness.toml"

HEIGHTS, PORTRAITS, VIEWS = (24, 32, 48, 80), (1, 2, 3, 4), (2, 3, 5)
"""Lower edges of the table's bands; a face's height is in pixels."""


@dataclass(frozen=True)
class Measured:
    """Distances up to which a share of LFW's strangers was taken for one of 25 people, three views each.

    ``five`` and ``three`` portraits of faces at their own size; ``smaller`` by height, with five portraits.
    """

    five: float
    three: float
    smaller: dict[int, float]


LFW = {
    0.001: Measured(0.270, 0.278, {48: 0.269, 32: 0.266}),
    0.0003: Measured(0.258, 0.245, {48: 0.257, 32: 0.257}),
}
"""By the share of strangers; docs/measured/recognising.md."""

GALLERY = 25
"""Against how many people a stranger is held, of whom each may be taken for them."""

EVERY = 0.4
"""Seconds between two views: the neighbouring frame is nearly the same picture."""

MOST, EACH = 8, 4
"""Views of one person in one film that are used at most, and distances of one pair of people."""

APART = (0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50)
"""Distances of two templates for which room is measured."""

LEAST_ROOM = 0.04
"""Room to somebody who looks nothing like it: by so much neighbouring views of one face differ among themselves."""

CONDITIONS = ("as it is", "blurred", "dark")


@dataclass(frozen=True)
class Face:
    """One view of somebody: ``vectors`` by (height or 0 for its own, condition), the height in pixels, how frontal."""

    vectors: dict[tuple[int, str], Any]
    height: float
    facing: float


def tail(distances: Any, share: float) -> float:
    """How near ``share`` of the pairs come: the lower tail taken as normal through the median and the 1 % quantile."""
    middle, low = np.quantile(distances, [0.5, 0.01])
    return float(middle + (middle - low) / NormalDist().inv_cdf(0.99) * NormalDist().inv_cdf(share))


def pair_share(false_accept: float) -> float:
    """The share for one pair that comes to ``false_accept`` for a stranger who is held against GALLERY people."""
    return float(1 - (1 - false_accept) ** (1 / GALLERY))


def unit(vector: Any) -> Any:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def between(one: Any, other: Any, distance: float) -> Any:
    """The unit vector at this chord distance from ``one``, in the direction of ``other``."""
    way = unit(other - one * float(one @ other))
    cosine = 1 - distance * distance / 2
    return cosine * one + np.sqrt(1 - cosine * cosine) * way


def _looks(picture: Any, marks: Any, height: float) -> Iterator[tuple[tuple[int, str], Any]]:
    """The aligned chips of one face: at its own height and at each smaller one, and there blurred and darker too."""
    low, high = marks.min(axis=0) - 0.9 * height, marks.max(axis=0) + 0.9 * height
    x1, y1 = (max(0, int(value)) for value in low)
    x2, y2 = (int(value) for value in high)
    part, at = np.ascontiguousarray(picture[y1:y2, x1:x2]), marks - np.array([x1, y1], np.float32)
    for wanted in (0, *HEIGHTS):
        if wanted and height < wanted:
            continue
        scale = wanted / height if wanted else 1.0
        size = max(8, round(part.shape[1] * scale)), max(8, round(part.shape[0] * scale))
        small = part if not wanted else cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        there = (at * np.array([small.shape[1] / part.shape[1], small.shape[0] / part.shape[0]])).astype(np.float32)
        for condition in CONDITIONS if wanted else CONDITIONS[:1]:
            if condition == "blurred":
                changed = cv2.GaussianBlur(small, (0, 0), 0.03 * wanted)
            elif condition == "dark":
                changed = cv2.convertScaleAbs(small, alpha=0.45)
            else:
                changed = small
            yield (wanted, condition), identify.align(np.asarray(changed, np.uint8), there)


def faces_of(clip: Path, networks: run.Networks) -> dict[str, list[Face]]:
    """Views of everybody in a film, by their id in its truth, else their track, in order of time."""
    truth = json.loads(truth_of(clip).read_text(encoding="utf-8"))
    by_frame: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for face in truth["faces"]:
        if not face.get("ignore"):
            by_frame[face["frame"]].append(face)
    found: dict[str, list[Face]] = defaultdict(list)
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        step = max(1, round(EVERY * float(stream.average_rate or 25)))
        for number, frame in enumerate(container.decode(stream)):
            if number % step:
                continue
            picture = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
            boxes, _, marks = networks.detector(picture, 0.4)
            for face in by_frame[number]:
                name = f"{clip.stem} {face.get('id') or face['track']}"
                shares = overlaps(np.array(face["box"], np.float32), boxes)
                if not len(boxes) or shares.max() < 0.4 or len(found[name]) >= MOST:
                    continue
                which = int(shares.argmax())
                height = float(boxes[which, 3] - boxes[which, 1])
                facing = float(frontal(marks[which][None])[0])
                if height < HEIGHTS[0] or facing < FACING:
                    continue
                keys, chips = zip(*_looks(picture, marks[which], height), strict=True)
                vectors = networks.embedder(np.stack(chips))
                found[name].append(Face(dict(zip(keys, vectors, strict=True)), height, facing))
    return {name: views for name, views in found.items() if len(views) >= VIEWS[0]}


def portraits_of(clip: Path, networks: run.Networks) -> dict[str, Any]:
    """Everybody's portraits beside a film, embedded one by one with their mirror image: (P, 128) by the same id."""
    folder = clip.with_name(f"{clip.stem}_portraits")
    out: dict[str, Any] = {}
    for person in sorted(folder.iterdir()) if folder.is_dir() else ():
        single = []
        for path in portraits.pictures_in(person):
            picture = portraits.read(path)
            chip = identify.align(picture, enrol.portrait_face(str(path), picture, networks.detector))
            single.append(identify.template("", [chip], networks.embedder).template)
        if single:
            out[f"{clip.stem} {person.name}"] = np.stack(single)
    return out


def templates(single: dict[str, Any], portraits: int) -> dict[str, Any]:
    """Every template that so many of somebody's portraits make: (T, 128) by id; of those alone who have all of them."""
    return {
        name: np.stack([unit(rows[list(which)].mean(axis=0)) for which in combinations(range(len(rows)), portraits)])
        for name, rows in single.items()
        if len(rows) >= PORTRAITS[-1]
    }


def means(faces: Sequence[Face], views: int, height: int, condition: str) -> Any:
    """Means (W, 128) of every series of so many views of somebody, in order of time."""
    rows = [face.vectors[height, condition] for face in faces if (height, condition) in face.vectors]
    series = [unit(np.mean(rows[at : at + views], axis=0)) for at in range(len(rows) - views + 1)]
    return np.stack(series) if series else np.empty((0, 128), np.float32)


def strangers(seen: dict[str, list[Face]], gallery: dict[str, Any], views: int, height: int) -> Any:
    """Distances of people to templates of others, every pair of people with the same weight. (N,)"""
    chance = np.random.default_rng(0)
    out = []
    for condition in CONDITIONS:
        for who, faces in seen.items():
            rows = means(faces, views, height, condition)
            for name, made in gallery.items() if len(rows) else ():
                if name != who:
                    far = np.linalg.norm(rows[:, None] - made[None], axis=2).ravel()
                    out.append(chance.choice(far, EACH))
    return np.concatenate(out)


def owners(seen: dict[str, list[Face]], gallery: dict[str, Any], views: int, height: int) -> Any:
    """Distances of people to templates of their own, as they are. (N,)"""
    rows = {name: means(seen.get(name, ()), views, height, CONDITIONS[0]) for name in gallery}
    return np.concatenate([np.linalg.norm(rows[n][:, None] - gallery[n][None], axis=2).ravel() for n in gallery])


def gaps(seen: dict[str, list[Face]], gallery: dict[str, Any], height: int, apart: float) -> Any:
    """How much nearer people come to a made-up look-alike's template than to their own, as fewest views show. (N,)

    The look-alike keeps their own template; the person is turned, with all views, to lie ``apart`` from it.
    """
    out = []
    for name, made in gallery.items():
        rows = means(seen.get(name, ()), VIEWS[0], height, CONDITIONS[0])
        for other, theirs in gallery.items() if len(rows) else ():
            if other != name:
                mine = between(theirs[0], made[0], apart)
                turned = turn(made[0], mine, rows)
                out.append(np.linalg.norm(turned - mine, axis=1) - np.linalg.norm(turned - theirs[0], axis=1))
    return np.concatenate(out)


def turn(start: Any, end: Any, rows: Any) -> Any:
    """``rows`` (N, 128) turned by the smallest rotation that takes the unit vector ``start`` to ``end``."""
    cosine = float(start @ end)
    way = unit(end - cosine * start)
    sine = float(end @ way)
    along, across = rows @ start, rows @ way
    on_start = along * (cosine - 1) - across * sine
    on_way = along * sine + across * (cosine - 1)
    return rows + np.outer(on_start, start) + np.outer(on_way, way)


@dataclass(frozen=True)
class Level:
    """One share of strangers: ``limit`` (portraits, views, heights), ``room`` (portraits, heights, apart) and
    ``begin`` (portraits): how near strangers come, as measured here."""

    limit: Any
    room: Any
    begin: Any


def level(share: float, seen: dict[str, list[Face]], single: dict[str, Any]) -> Level:
    """The table for one share of strangers, by the rules above."""
    pair, usual, fewest = pair_share(share), VIEWS[1], HEIGHTS[2]
    galleries = {count: templates(single, count) for count in PORTRAITS}
    most = galleries[PORTRAITS[-1]]
    begin = np.array([tail(strangers(seen, galleries[count], usual, fewest), pair) for count in PORTRAITS])
    known = LFW[share]
    by_portraits = np.full(len(PORTRAITS), known.five)
    by_portraits[2] = min(known.five + begin[2] - begin[3], known.three)
    between_them = begin[2] - by_portraits[2]
    by_portraits[:2] = begin[:2] - between_them
    many = {name: faces for name, faces in seen.items() if len(faces) >= VIEWS[-1]}
    views = np.array([tail(strangers(many, most, count, fewest), pair) for count in VIEWS])
    large = {name: [face for face in faces if face.height >= HEIGHTS[-1]] for name, faces in seen.items()}
    heights = np.array([tail(strangers(large, most, usual, height), pair) for height in HEIGHTS])
    by_views = never_looser(views - views[1])
    by_height = heights - heights[-1]
    lfw = [min(known.smaller[max(height, 32)] - known.five, 0) if height < HEIGHTS[-1] else 0.0 for height in HEIGHTS]
    by_height = never_looser(np.minimum(by_height, lfw))
    limit = by_portraits[:, None, None] + by_views[None, :, None] + by_height[None, None, :]
    room = np.empty((len(PORTRAITS), len(HEIGHTS), len(APART)))
    for at, count in enumerate(PORTRAITS):
        for place, height in enumerate(HEIGHTS):
            for column, apart in enumerate(APART):
                found = gaps(seen, galleries[count], height, apart)
                room[at, place, column] = found.mean() + found.std() * NormalDist().inv_cdf(1 - share)
    for axis in range(3):  # whoever is smaller, has fewer portraits or is more alike needs at least as much
        room = np.flip(np.maximum.accumulate(np.flip(room, axis), axis), axis)
    return Level(np.floor(1000 * limit) / 1000, np.ceil(1000 * np.maximum(room, LEAST_ROOM)) / 1000, begin)


def never_looser(moved: Any) -> Any:
    """Steps from the last band down to the first, none of which allows more than the band above it or than 0."""
    return np.minimum.accumulate(np.minimum(moved, 0)[::-1])[::-1]


def toml(levels: dict[float, Level]) -> str:
    """The table as the package holds it."""

    def row(values: Any) -> str:
        return "[" + ", ".join(f"{value:.3f}" for value in values) + "]"

    lines = [
        "# How near a face must come to a name: made by python -m benchmarks.calibrate --write (docs/quality.md).",
        "# Numbers over many people; nobody's face is in them. Rows are numbers of portraits; in each of them",
        "# limit: a row for each number of views, with a number for each height;",
        "# room: a row for each height, with a number for each distance of two templates;",
        "# begin: how near strangers come.",
        f"heights = {list(HEIGHTS)}",
        f"portraits = {list(PORTRAITS)}",
        f"views = {list(VIEWS)}",
        f"apart = {row(APART)}",
    ]
    for share, made in levels.items():
        lines += ["", "[[level]]", f"false_accept = {share}", f"begin = {row(made.begin)}"]
        for name, cube in (("limit", made.limit), ("room", made.room)):
            lines += [f"{name} = [", *("    [" + ", ".join(map(row, face)) + "]," for face in cube), "]"]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibrate", description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.relative_to(ROOT)}")
    chosen = parser.parse_args(arguments)
    clips = [path for path in sorted((EVAL / "dev").glob("*.mp4")) if truth_of(path).is_file()]
    if not any(path.with_name(f"{path.stem}_portraits").is_dir() for path in clips):
        parser.error(f"no films with portraits in {EVAL}; set LESVEIL_EVAL to the folder with dev/")
    networks = run.Networks(True)
    seen: dict[str, list[Face]] = {}
    single: dict[str, Any] = {}
    for clip in clips:
        print(f"  {clip.name} ...", file=sys.stderr, flush=True)
        seen |= faces_of(clip, networks)
        single |= portraits_of(clip, networks)
    report(seen, single)
    made = toml({share: level(share, seen, single) for share in sorted(LFW, reverse=True)})
    print(made)
    if chosen.write:
        TABLE.write_text(made, encoding="utf-8")
    return 0


def report(seen: dict[str, list[Face]], single: dict[str, Any]) -> None:
    """What the table rests on."""
    rows = [
        ["portraits", "views", "height", "own: half / 90 % / 99 % within", "strangers: 1 % / 0.1 % within", "pairs"]
    ]
    usual = PORTRAITS[-1], VIEWS[1], HEIGHTS[2]
    cells = [(count, *usual[1:]) for count in PORTRAITS]
    cells += [(usual[0], count, usual[2]) for count in VIEWS] + [(*usual[:2], height) for height in HEIGHTS]
    for count, views, height in dict.fromkeys(cells):
        gallery = templates(single, count)
        mine, others = owners(seen, gallery, views, height), strangers(seen, gallery, views, height)
        own = " / ".join(f"{value:.3f}" for value in np.quantile(mine, [0.5, 0.9, 0.99]))
        far = " / ".join(f"{value:.3f}" for value in np.quantile(others, [0.01, 0.001]))
        rows.append([str(count), str(views), str(height), own, far, str(len(others) // EACH // len(CONDITIONS))])
    print(
        f"{len(seen)} people in films, {len(templates(single, 1))} of them or others with {usual[0]} portraits or more"
    )
    print(table(rows), end="\n\n")


if __name__ == "__main__":
    sys.exit(main())
