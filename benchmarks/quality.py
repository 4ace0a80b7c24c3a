"""How well people are hidden: ``python -m benchmarks.quality [CLIP ...]``.

Every clip goes through the real command line; then programs that know nothing of Lesveil judge the result by its
pixels: score.py (against the truth) and reident.py (does a recogniser still name the hidden?), both of which stay
with the clips, outside of the repository. Without CLIP: every clip in LESVEIL_EVAL/dev that has its truth beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from benchmarks import EVAL, FailedError, consented, ours, table, timed, truth_of

SAME_TIME = 0.001
"""Seconds by which the time of a frame may differ from the source's: containers count time in different ticks."""

PSNR_CLASS = 40.0


@dataclass(frozen=True)
class Target:
    """Bounds of one clip; None where nothing is asked. Shares, except ``exposed_tracks``."""

    exposed: float
    collateral: float
    exposed_tracks: int | None = None
    clear: float | None = None
    psnr_kept: float | None = None


TARGETS = {
    "class": Target(exposed=0.001, exposed_tracks=0, clear=0.90, collateral=0.02, psnr_kept=PSNR_CLASS),
    "hamilton": Target(exposed=0.003, exposed_tracks=1, clear=0.85, collateral=0.02),
    "street": Target(exposed=0.0, exposed_tracks=0, collateral=0.02),
    "classroom": Target(exposed=0.0, exposed_tracks=0, collateral=0.02),
    "crowd": Target(exposed=0.04, collateral=0.03),
}


@dataclass(frozen=True)
class Figure:
    """One line of the table. ``met`` is None where there is no target, or nothing to hold against it."""

    clip: str
    name: str
    value: str
    target: str = ""
    met: bool | None = None

    def row(self) -> list[str]:
        word = "" if self.met is None else "met" if self.met else "MISSED"
        return [self.clip, self.name, self.value, self.target, word]


def frame_times(path: Path) -> list[float]:
    """Seconds at which each picture is shown, in order."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return [float(frame.time) for frame in container.decode(stream) if frame.time is not None]


def judged_by(program: str, clip: Path, out: Path, *more: str) -> str:
    """What ``program`` of the eval folder prints about ``out``. Raises FailedError."""
    command = [sys.executable, str(EVAL / program), "--source", str(clip), "--output", str(out)]
    command += ["--gt", str(truth_of(clip)), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise FailedError(
            f"{program}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'no reason given'}"
        )
    return done.stdout


def share(value: float) -> str:
    return f"{100 * value:.2f} %"


def scored(name: str, found: dict[str, Any], target: Target | None) -> Iterator[Figure]:
    """score.py's figures beside the targets."""

    def figure(key: str, value: str, bound: float | None, most: bool, show: str) -> Figure:
        if bound is None or target is None or found[key] is None:
            return Figure(name, key, value)
        met = found[key] <= bound if most else found[key] >= bound
        return Figure(name, key, value, f"{'<=' if most else '>='} {show}", met)

    def percent(bound: float | None) -> str:
        return "" if bound is None else f"{100 * bound:g} %"

    if found["hidden_faces"]:
        many = f"{share(found['exposed'])} ({found['exposed_faces']} of {found['hidden_faces']})"
        bound = target.exposed if target else None
        yield figure("exposed", many, bound, True, percent(bound))
        tracks = target.exposed_tracks if target else None
        yield figure(
            "exposed_tracks", f"{found['exposed_tracks']} of {found['hidden_tracks']}", tracks, True, f"{tracks}"
        )
        yield Figure(name, "longest_exposure", f"{found['longest_exposure']} frames")
    if found["kept_faces"]:
        bound = target.clear if target else None
        yield figure("clear", f"{share(found['clear'])} of {found['kept_faces']}", bound, False, percent(bound))
    if found["collateral"] is not None:
        bound = target.collateral if target else None
        yield figure("collateral", share(found["collateral"]), bound, True, percent(bound))
    if found["psnr_kept"] is not None:
        bound = target.psnr_kept if target else None
        yield figure("psnr_kept", f"{found['psnr_kept']:.2f} dB", bound, False, f"{bound} dB")


def like_source(name: str, found: dict[str, Any], clip: Path, out: Path) -> Iterator[Figure]:
    """Frames, size and times are those of the source."""
    before, after = frame_times(clip), frame_times(out)
    same = len(before) == len(after) == found["source_frames"] == found["output_frames"]
    yield Figure(name, "frames", f"{found['output_frames']} of {found['source_frames']}", "equal", same)
    yield Figure(name, "size", "kept" if found["size_kept"] else "changed", "kept", bool(found["size_kept"]))
    apart = max((abs(a - b) for a, b in zip(before, after, strict=False)), default=math.inf)
    limit = f"<= {1000 * SAME_TIME:g} ms"
    yield Figure(name, "times", f"at most {1000 * apart:.3f} ms off", limit, same and apart <= SAME_TIME)


def recognised(name: str, clip: Path, out: Path) -> Figure:
    """Does a recogniser that has seen them clear still name the hidden more often than chance?

    Two standard errors above chance count as chance. The probes of one person resemble each other, so that this is
    stricter than it looks. It needs people who are at least 30 pixels high in 20 frames; where there are none, it fails
    and nothing is said.
    """
    target = "chance + 2 s.e."
    try:
        words = judged_by("reident.py", clip, out).replace("rank-1", "rank1").split()
    except FailedError as error:
        return Figure(name, "recognised", f"not measured: {error}", target)
    said = dict(zip(words[::2], map(float, words[1::2]), strict=True))
    chance, probes = said["chance"], said["probes"]
    limit = chance + 2 * math.sqrt(chance * (1 - chance) / max(probes, 1))
    text = f"{share(said['rank1'])}, chance {share(chance)}, {probes:.0f} probes of {said['people']:.0f}"
    return Figure(name, "recognised", text, f"<= {share(limit)}", said["rank1"] <= limit)


def quality_of(clip: Path, out: Path, work: Path, style: str, reident: bool) -> tuple[list[Figure], dict[str, Any]]:
    """Redact one clip to ``out`` and judge it."""
    name = clip.stem
    keep = consented(clip, work)
    run = timed(ours(clip, out, keep, work / f"{name}.json", "--style", style), work / f"{name}.log")
    found: dict[str, Any] = json.loads(judged_by("score.py", clip, out, "--json"))
    figures = [*scored(name, found, TARGETS.get(name)), *like_source(name, found, clip, out)]
    if reident:
        figures.append(recognised(name, clip, out))
    figures.append(Figure(name, "wall time", f"{run.seconds:.1f} s"))
    return figures, found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__.partition("\n")[0])
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP", help="with NAME.gt.json beside it")
    parser.add_argument("--style", choices=("veil", "solid", "pixelate"), default="veil")
    parser.add_argument("--no-reident", action="store_true", help="leave the recogniser out; it takes minutes")
    parser.add_argument("--misses", action="store_true", help="list every face that was exposed")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the redacted clips in this new folder")
    parser.add_argument("--strict", action="store_true", help="end with code 1 if a target was missed")
    chosen = parser.parse_args(arguments)
    clips = chosen.clips or sorted(path for path in (EVAL / "dev").glob("*.mp4") if truth_of(path).is_file())
    if not clips or not (EVAL / "score.py").is_file():
        parser.error(f"no clips or no score.py in {EVAL}; set LESVEIL_EVAL to the folder with score.py and dev/")
    if absent := [str(path) for clip in clips for path in (clip, truth_of(clip)) if not path.is_file()]:
        parser.error(f"there is no {', '.join(absent)}")
    reident = not chosen.no_reident and (EVAL / "reident.py").is_file()
    if reident and importlib.util.find_spec("dlib") is None:
        reident = False
        print("dlib is not installed: reident.py is left out", file=sys.stderr)
    if chosen.out is not None:
        chosen.out.mkdir(parents=True, exist_ok=False)
    figures: list[Figure] = []
    misses: list[str] = []
    failures = 0
    with tempfile.TemporaryDirectory(prefix="lesveil-quality-") as folder:
        work = Path(folder)
        for clip in clips:
            print(f"  {clip.name} ...", file=sys.stderr, flush=True)
            out = (chosen.out or work) / clip.name
            try:
                found, score = quality_of(clip, out, work, chosen.style, reident)
            except FailedError as error:
                failures += 1
                print(f"benchmarks.quality: {clip.name}: {error}", file=sys.stderr)
                figures.append(Figure(clip.stem, "redact and judge", "failed", "done", False))
                continue
            figures += found
            misses += [f"{clip.stem}: frame {f}, person {t}, box {b}, {s:.0%} seen" for f, t, b, s in score["misses"]]
    print(table([["clip", "figure", "value", "target", ""], *(figure.row() for figure in figures)]))
    print()
    judged = [figure for figure in figures if figure.met is not None]
    missed = [f"{figure.clip} {figure.name}" for figure in judged if not figure.met]
    print(
        f"{len(judged) - len(missed)} of {len(judged)} targets met"
        + (f"; missed: {', '.join(missed)}" if missed else "")
    )
    if chosen.misses:
        print("\n".join(misses) or "no face was exposed")
    return 1 if failures or (chosen.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
