"""Whether a long clip needs more memory, or goes slower, than a short one: ``python -m benchmarks.memory [--hours 3]``.

A clip is made as long as asked by repeating one, its packets copied as they are. It goes through in a process of its
own; how far it is and how much memory it holds are noted all the while, and printed over the length of the film. What
must grow with the film (what was found in it, and the plan) is measured apart, per minute. ``--sample`` makes a minute
of a drawn lesson and repeats that: everybody can run it, and it is done in less time than it lasts. Ctrl-C ends it and
prints what there was until then.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks import EVAL, MEBIBYTE, ROOT, FailedError, consented, table

EVERY = 0.5
"""Seconds between two looks at the memory."""

ROWS = 8
"""Lines printed per stage."""


@dataclass(frozen=True)
class Sample:
    """What the process and its children held (``rss``, bytes) and had used (``cpu``, seconds) when ``done`` frames of
    ``stage`` were through."""

    at: float
    stage: str
    done: int
    rss: int
    cpu: float


def lengthened(clip: Path, seconds: float, into: Path) -> Path:
    """``clip`` again and again until ``seconds`` are full, by copying packets."""
    from imageio_ffmpeg import get_ffmpeg_exe

    with av.open(str(clip)) as container:
        once = float(container.duration or 0) / av.time_base
    out = into / "long.mp4"
    times = max(1, round(seconds / once))
    command = [get_ffmpeg_exe(), "-v", "error", "-stream_loop", str(times - 1), "-i", clip, "-c", "copy", out]
    subprocess.run(list(map(str, command)), check=True)
    return out


def child(arguments: Sequence[str]) -> int:
    """In the process that is measured: the clip goes through, and how far it is is told on standard output."""
    from pipeline import run
    from pipeline.engine import opened
    from pipeline.settings import Engine, Settings

    clip, out, keep, kind, workers = arguments
    last = 0.0

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= EVERY or done == total:
            last = now
            print(json.dumps([stage, done]), flush=True)

    chosen: Any = kind
    settings = dataclasses.replace(Settings(), engine=Engine(kind=chosen, workers=int(workers)))
    networks = run.Networks(bool(keep))
    people = run.enrol_folder(Path(keep), networks) if keep else []
    with opened(settings.engine) as engine:
        outcome = run.redact_clip(Path(clip), Path(out), people, settings, networks, progress, engine)
    analysis = outcome.analysis
    grown = {
        "detections": _bytes(analysis.found),
        "tracks": sum(_bytes(track) for track in analysis.tracks),
        "plan": _bytes(analysis.plan),
        "times": 8 * len(outcome.times),
    }
    print(json.dumps({"grown": grown, "frames": outcome.render.frames, "seconds": outcome.render.seconds}), flush=True)
    return 0


def _bytes(record: Any) -> int:
    """Bytes of the arrays in a dataclass."""
    values = (getattr(record, field.name) for field in dataclasses.fields(record))
    return sum(value.nbytes for value in values if isinstance(value, np.ndarray))


def sampled(work: Path) -> tuple[Path, Path]:
    """A minute of drawn lesson, 1080p, and the folder with portraits of those who may be seen."""
    from samples.card import make_samples

    made = make_samples(work / "samples", 60)
    return made.clips[0], made.consented


def measure(clip: Path, keep: Path | None, kind: str, workers: int, work: Path) -> tuple[list[Sample], dict[str, Any]]:
    """Send the clip through; what was noted on the way, and what was told at the end, or nothing after Ctrl-C. Raises
    FailedError."""
    import psutil

    words = [str(clip), str(work / "out.mp4"), str(keep or ""), kind, str(workers)]
    log = work / "log.txt"
    samples: list[Sample] = []
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.memory", "--child", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            told: dict[str, Any] = {}
            watched = psutil.Process(process.pid)
            assert process.stdout is not None
            for line in process.stdout:
                said = json.loads(line)
                if isinstance(said, dict):
                    told = said
                    continue
                used = [_used(one) for one in (watched, *watched.children(recursive=True))]
                rss, cpu = sum(rss for rss, _ in used), sum(cpu for _, cpu in used)
                samples.append(Sample(time.monotonic(), said[0], said[1], rss, cpu))
                if sys.stderr.isatty():
                    print(f"\r  {said[0]} {said[1]:8} frames, {rss / MEBIBYTE:6.0f} MiB ", end="", file=sys.stderr)
            code = process.wait()
        except KeyboardInterrupt:
            return samples, {}
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code or not told:
        raise FailedError(log.read_text(encoding="utf-8", errors="replace")[-1500:])
    return samples, told


def _used(process: Any) -> tuple[int, float]:
    """Bytes of memory and seconds of CPU time."""
    import psutil

    try:
        times = process.cpu_times()
        return int(process.memory_info().rss), float(times.user + times.system)
    except psutil.Error:
        return 0, 0.0


def rows(samples: Sequence[Sample], rate: float) -> list[list[str]]:
    """A table over the film: per stage, in ``ROWS`` parts of equal length, frames per second and memory. Where the
    machine has other work, frames per second of CPU time tell more than frames per second."""
    out = [["stage", "minutes of film", "frames/s", "frames/CPU s", "memory MiB (median)", "(most)"]]
    for stage in dict.fromkeys(sample.stage for sample in samples):
        mine = [sample for sample in samples if sample.stage == stage]
        step = max(1, mine[-1].done // ROWS)
        for start in range(0, mine[-1].done - step // 2, step):
            part = [sample for sample in mine if start <= sample.done <= start + step]
            if len(part) < 2 or part[-1].at == part[0].at:
                continue
            frames = part[-1].done - part[0].done
            speed, cpu = frames / (part[-1].at - part[0].at), frames / max(part[-1].cpu - part[0].cpu, 1e-9)
            memory = [sample.rss / MEBIBYTE for sample in part]
            minutes = f"{start / rate / 60:.1f} to {(start + step) / rate / 60:.1f}"
            out.append(
                [stage, minutes, f"{speed:.1f}", f"{cpu:.1f}", f"{statistics.median(memory):.0f}", f"{max(memory):.0f}"]
            )
    return out


def slope(samples: Sequence[Sample], rate: float) -> float:
    """By how many bytes the memory grows per minute of film: the line fitted to a stage's second half on."""
    half = [sample for sample in samples if sample.done >= samples[-1].done // 4]
    if len(half) < 3:
        return 0.0
    minutes = np.array([sample.done for sample in half]) / rate / 60
    return float(np.polyfit(minutes, [sample.rss for sample in half], 1)[0])


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--child"]:
        return child(given[1:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.partition("\n")[0])
    parser.add_argument("clip", type=Path, nargs="?", default=EVAL / "dev" / "class.mp4", metavar="CLIP")
    parser.add_argument("--sample", action="store_true", help="a minute of the sample lesson instead of CLIP")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--hours", type=float)
    length.add_argument("--minutes", type=float, help="length of the film (default 5)")
    parser.add_argument("--hide-all", action="store_true", help="without portraits: everyone is hidden")
    parser.add_argument("--engine", choices=("here", "processes", "dask"), default="here")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args(given)
    if not chosen.sample and not chosen.clip.is_file():
        parser.error(f"{chosen.clip} is not a file")
    minutes = chosen.hours * 60 if chosen.hours else chosen.minutes or 5.0
    try:
        with tempfile.TemporaryDirectory(prefix="lesveil-memory-") as folder:
            work = Path(folder)
            clip, keep = sampled(work) if chosen.sample else (chosen.clip, consented(chosen.clip, work))
            keep = None if chosen.hide_all else keep
            film = lengthened(clip, 60 * minutes, work)
            with av.open(str(film)) as container:
                rate = float(container.streams.video[0].average_rate or 25)
            samples, told = measure(film, keep, chosen.engine, chosen.workers, work)
    except (FailedError, OSError, subprocess.CalledProcessError) as error:
        print(f"benchmarks.memory: {error}", file=sys.stderr)
        return 1
    print(f"{clip.name} repeated to {minutes:.1f} minutes, {chosen.engine}")
    print()
    print(table(rows(samples, rate)))
    print()
    if not told:
        print("ended before the film was done")
        return 1
    length_minutes = told["seconds"] / 60
    grown = {name: size / length_minutes for name, size in told["grown"].items()}
    print(table([["what grows with the film", "kB a minute"], *([n, f"{b / 1000:.0f}"] for n, b in grown.items())]))
    print()
    most = max(sample.rss for sample in samples) / MEBIBYTE
    all_of_it = sum(grown.values())
    for stage in dict.fromkeys(sample.stage for sample in samples):
        mine = [sample for sample in samples if sample.stage == stage]
        print(f"{stage}: memory grows by {slope(mine, rate) / 1000:.0f} kB a minute of film")
    print(f"most memory at any time: {most:.0f} MiB; what must grow is {all_of_it / 1000:.0f} kB a minute,")
    print(f"so three hours would end at about {most + all_of_it * (180 - length_minutes) / MEBIBYTE:.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
