"""How fast one clip goes through: ``python -m benchmarks.speed CLIP``.

Ours is the real command line as a whole process, start included. Beside it, in turn and in the same run: the bare
transcode by ffmpeg (x264 superfast, AAC), which no program that writes new pictures can do without, and deface with
its default settings. What counts is the ratios; seconds belong to the machine of the day.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av

from benchmarks import MEBIBYTE, FailedError, Run, consented, ours, table, timed
from benchmarks.chart import draw

AT_MOST = 2.5
"""Our wall time may be this many times that of the bare transcode."""

AT_LEAST = 8.0
"""deface's wall time should be at least this many times ours."""

JUDGED_FROM = 1920 * 1080
"""Pixels of a frame from which the targets apply. Small pictures cost a transcode little and finding faces much."""

DEFACE = "from deface.deface import main; main()"


@dataclass
class Measured:
    """All runs of one program, and the size of the file that it made."""

    runs: list[Run] = field(default_factory=list)
    bytes: int = 0

    @property
    def seconds(self) -> float:
        """Median wall time."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def cpu(self) -> float | None:
        """Median CPU time, None where the system does not tell."""
        told = [run.cpu for run in self.runs if run.cpu is not None]
        return statistics.median(told) if told else None

    def row(self, name: str, frames: int) -> list[str]:
        peak = [run.peak for run in self.runs if run.peak is not None]
        return [
            name,
            f"{self.seconds:.2f}",
            " ".join(f"{run.seconds:.2f}" for run in self.runs),
            "-" if self.cpu is None else f"{self.cpu:.2f}",
            f"{frames / self.seconds:.1f}",
            f"{max(peak) / MEBIBYTE:.0f}" if peak else "-",
            f"{self.bytes / MEBIBYTE:.1f}",
        ]


def transcode(clip: Path, out: Path) -> list[str]:
    """ffmpeg's command line for the bare transcode."""
    from imageio_ffmpeg import get_ffmpeg_exe

    quiet = ["-nostdin", "-hide_banner", "-v", "error"]
    return [
        get_ffmpeg_exe(),
        *quiet,
        "-i",
        str(clip),
        *["-c:v", "libx264", "-preset", "superfast", "-c:a", "aac"],
        str(out),
    ]


def deface_runs_on(python: str) -> str:
    """What deface would run its network with: it prefers ONNX Runtime and falls back to OpenCV without a word."""
    ask = "import cv2, deface.deface\ntry:\n import onnx, onnxruntime as o; print('ONNX Runtime', o.__version__)\n"
    ask += "except Exception: print('OpenCV', cv2.__version__)"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedError(f"{python} cannot import deface:\n{done.stderr.strip()[-500:]}")
    return done.stdout.strip()


def measure(
    clip: Path, keep: Path | None, runs: int, deface: str | None, style: str, work: Path
) -> tuple[dict[str, Measured], list[dict[str, Any]]]:
    """Run all of them in turn: what each took, and our own report of each of our runs."""
    log, report = work / "log.txt", work / "report.json"
    found = {"ffmpeg": Measured(), "lesveil": Measured()}
    reports: list[dict[str, Any]] = []

    def once(name: str, command: Sequence[str], out: Path) -> None:
        print(f"  {name} ...", end="", file=sys.stderr, flush=True)
        run = timed(command, log)
        print(f" {run.seconds:.2f} s", file=sys.stderr)
        found[name].runs.append(run)
        found[name].bytes = out.stat().st_size
        out.unlink()

    out = work / "out.mp4"
    for _ in range(runs):
        once("ffmpeg", transcode(clip, out), out)
        once("lesveil", ours(clip, out, keep, report, "--style", style), out)
        reports.append(json.loads(report.read_text(encoding="utf-8"))["clips"][0])
        report.unlink()
    if deface:
        found["deface"] = Measured()
        once("deface", [deface, "-c", DEFACE, str(clip), "-o", str(out)], out)
    return found, reports


def stages(reports: Sequence[dict[str, Any]], wall: float) -> dict[str, float]:
    """Median seconds of each stage by our own reports, and what the process needed around them."""
    names = [name for name in reports[0]["figures"]["seconds"] if name != "total"]
    medians = {name: statistics.median(r["figures"]["seconds"].get(name, 0.0) for r in reports) for name in names}
    total = statistics.median(r["figures"]["seconds"]["total"] for r in reports)
    medians["start, networks, portraits"] = max(wall - total, 0.0)
    return medians


def shares(medians: dict[str, float], wall: float) -> str:
    """The stages' seconds as a table."""
    rows = [[name, f"{value:.2f}", f"{100 * value / wall:.0f} %"] for name, value in medians.items()]
    return table([["stage", "seconds", "of wall time"], *rows])


def ratio(one: Measured, other: Measured, bound: float, most: bool, judged: bool) -> str:
    """How many times the wall time of ``other`` ``one`` took, beside its target; and the same of CPU time."""
    value = one.seconds / other.seconds
    met = value <= bound if most else value >= bound
    word = ("met" if met else "missed") if judged else "for 1080p, so not judged here"
    cpu = f"; in CPU time {one.cpu / other.cpu:.2f}" if one.cpu and other.cpu else ""
    return f"{value:6.2f}  (target {'<=' if most else '>='} {bound:g}: {word}{cpu})"


def load() -> str:
    """How busy the machine has been in the last minute: runnable processes, on average."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def pixels(clip: Path) -> int:
    """Pixels of a frame."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        return int(stream.width * stream.height)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.partition("\n")[0])
    parser.add_argument("clip", type=Path, metavar="CLIP")
    parser.add_argument("--runs", type=int, default=3, help="runs of ffmpeg and of ours, in turn (default 3)")
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="PORTRAITS",
        help="portraits of those who may be seen (default: the consented of CLIP's own portraits, if it has any)",
    )
    parser.add_argument("--hide-all", action="store_true", help="without portraits: everyone is hidden")
    parser.add_argument("--style", choices=("veil", "solid", "pixelate"), default="veil")
    parser.add_argument("--no-deface", action="store_true", help="leave deface out; it takes minutes")
    parser.add_argument(
        "--deface-python",
        default=sys.executable,
        metavar="PYTHON",
        help="an interpreter that has deface (and onnx, onnxruntime), if not this one",
    )
    parser.add_argument("--chart", type=Path, metavar="FILE.png", help="draw where the time goes")
    chosen = parser.parse_args(arguments)
    clip: Path = chosen.clip
    if not clip.is_file():
        parser.error(f"{clip} is not a file")
    if chosen.runs < 1:
        parser.error("--runs must be at least 1")
    before = load()
    try:
        with tempfile.TemporaryDirectory(prefix="lesveil-speed-") as folder:
            work = Path(folder)
            keep = None if chosen.hide_all else chosen.keep or consented(clip, work)
            deface = None if chosen.no_deface else chosen.deface_python
            library = deface_runs_on(deface) if deface else ""
            found, reports = measure(clip, keep, chosen.runs, deface, chosen.style, work)
            guests = len([path for path in keep.iterdir() if path.is_dir()]) if keep else 0
    except (FailedError, OSError, ImportError) as error:
        print(f"benchmarks.speed: {error}", file=sys.stderr)
        return 1
    frames = reports[0]["frames"]
    print(f"{clip.name}: {frames} frames, {guests} people in --keep, style {chosen.style}, {os.cpu_count()} cores")
    print()
    heading = ["program", "wall s (median)", "each run", "CPU s", "frames/s", "peak MiB", "file MiB"]
    print(table([heading, *(one.row(name, frames) for name, one in found.items())]))
    print()
    mine, judged = found["lesveil"].seconds, pixels(clip) >= JUDGED_FROM
    print(f"lesveil / ffmpeg superfast  {ratio(found['lesveil'], found['ffmpeg'], AT_MOST, True, judged)}")
    if deface:
        print(f"deface / lesveil            {ratio(found['deface'], found['lesveil'], AT_LEAST, False, judged)}")
        print(f"deface ran its network on {library}")
    print(f"load of the machine before: {before}, after: {load()}; others at work blur wall times")
    print()
    medians = stages(reports, mine)
    print(shares(medians, mine))
    print("Stages that work side by side add up to more than the whole.")
    if chosen.chart:
        programs = {name: one.seconds for name, one in found.items()}
        draw(chosen.chart, f"{clip.name}: {frames} frames, {os.cpu_count()} cores", programs, medians)
    return 0


if __name__ == "__main__":
    sys.exit(main())
