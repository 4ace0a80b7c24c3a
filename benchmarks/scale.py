"""How one clip goes faster with more workers, and what a district would need: ``python -m benchmarks.scale [CLIP]``.

A clip of a few segments is made by repeating one. It goes through in this order, in one run: in one process (as by
default), then with each number of worker processes asked for, with a core for each (on Linux). What counts is the
ratios, and that all plans are alike. The second part is arithmetic on what was measured, and says what it assumes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import EVAL, MEBIBYTE, FailedError, Run, consented, ours, table, timed
from benchmarks.memory import lengthened

SCHOOLS, LESSONS, MINUTES = 30, 10, 50
"""Of a district, a day."""

NIGHT = 12
"""Hours in which a day's lessons should be done."""

BUSY = 0.8
"""Share of a worker's time that work fills: the rest is waiting for the last segments of a clip, and for disks."""

WATTS, PRICE = 8.0, 0.05
"""Of one busy core of a server, and the price of an hour of it when rented, in euros. Change them to yours."""


@dataclass(frozen=True)
class Measured:
    """One run: the process, its own report of the clip, and the plan's digest in its report."""

    name: str
    run: Run
    clip: dict[str, Any]
    tracks: Any

    @property
    def seconds(self) -> dict[str, float]:
        found: dict[str, float] = self.clip["figures"]["seconds"]
        return found


def measure(clip: Path, keep: Path | None, engine: str, counts: Sequence[int], work: Path) -> list[Measured]:
    """The clip without workers, then with so many. Raises FailedError."""
    found: list[Measured] = []
    ways = [("here, all cores", ["--engine", "here"], 0)]
    ways += [
        (f"{n} worker{'s' * (n > 1)} on {n} core{'s' * (n > 1)}", ["--engine", engine, "--workers", str(n)], n)
        for n in counts
    ]
    for name, words, some in ways:
        out, report = work / "out.mp4", work / "report.json"
        print(f"  {name} ...", end="", file=sys.stderr, flush=True)
        run = timed([*pinned(some), *ours(clip, out, keep, report, *words)], work / "log.txt")
        print(f" {run.seconds:.1f} s", file=sys.stderr)
        told = json.loads(report.read_text(encoding="utf-8"))["clips"][0]
        found.append(Measured(name, run, told, told["tracks"]))
        out.unlink()
        report.unlink()
    return found


def pinned(count: int) -> list[str]:
    """Words before a command that give it so many cores: a worker alone would use those of the other, too. 0: all."""
    taskset = shutil.which("taskset")
    if not count or taskset is None:
        return []
    return [taskset, "-c", ",".join(str(core) for core in sorted(os.sched_getaffinity(0))[:count])]


def scaling(found: Sequence[Measured]) -> str:
    base = next((one for one in found if one.name.startswith("1 worker ")), found[0])
    rows = [["", "wall s", "beside 1 worker", "CPU s", "frames/s", "plan"]]
    for one in found:
        rows.append(
            [
                one.name,
                f"{one.run.seconds:.1f}",
                f"{base.run.seconds / one.run.seconds:.2f} times as fast",
                f"{one.run.cpu:.0f}" if one.run.cpu else "-",
                f"{one.clip['frames'] / one.run.seconds:.1f}",
                "the same" if one.tracks == found[0].tracks else "ANOTHER",
            ]
        )
    return table(rows)


def serial(one: Measured) -> float:
    """Seconds that whoever asks for the work spends himself on each second of film: deciding and checking."""
    return float((one.seconds.get("decide", 0) + one.seconds.get("check", 0)) / one.clip["seconds"])


def sizing(one: Measured, size: int) -> str:
    """What a district needs, from one run's CPU time. ``size`` is the clip's in bytes."""
    film = one.clip["seconds"]
    cpu = (one.run.cpu or one.run.seconds) / film
    hours = SCHOOLS * LESSONS * MINUTES / 60
    cores = hours * cpu / NIGHT / BUSY
    network = 2 * size / film  # bytes for each second of film
    rows = [
        ["what", "figure", "from"],
        ["film a day", f"{hours:.0f} h", f"{SCHOOLS} schools x {LESSONS} lessons x {MINUTES} minutes"],
        ["core-hours per hour of film", f"{cpu:.2f}", "measured: CPU time of the run / length of the film"],
        ["core-hours a day", f"{hours * cpu:.0f}", "the two multiplied"],
        [f"cores to be done in {NIGHT} h", f"{cores:.0f}", f"at {BUSY:.0%} of their time at work"],
        [
            "to decide and check, per hour of film",
            f"{60 * serial(one):.1f} min",
            "measured; at whoever asks, not a worker",
        ],
        ["the same, a school a day", f"{LESSONS * MINUTES / 60 * serial(one):.1f} h", "each school asks for its own"],
        ["read over the network", f"{network * 3600 / 1e9:.1f} GB/h of film", "the clip's own size, twice"],
        [
            "the same for the district",
            f"{network * hours / NIGHT * 8 / 1e6:.0f} Mbit/s",
            "on average",
        ],
        ["electricity per hour of film", f"{cpu * WATTS / 1000:.3f} kWh", f"{WATTS:g} W a core, assumed"],
        ["rent per hour of film", f"{cpu * PRICE:.2f} euros", f"{PRICE:g} euros a core-hour, assumed"],
    ]
    return table(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.partition("\n")[0])
    parser.add_argument("clip", type=Path, nargs="?", default=EVAL / "dev" / "class.mp4", metavar="CLIP")
    parser.add_argument("--minutes", type=float, default=4.0, help="length of the film (default 4: as many segments)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--engine", choices=("processes", "dask"), default="processes")
    parser.add_argument("--hide-all", action="store_true", help="without portraits: everyone is hidden")
    chosen = parser.parse_args(arguments)
    if not chosen.clip.is_file():
        parser.error(f"{chosen.clip} is not a file")
    try:
        with tempfile.TemporaryDirectory(prefix="lesveil-scale-") as folder:
            work = Path(folder)
            keep = None if chosen.hide_all else consented(chosen.clip, work)
            film = lengthened(chosen.clip, 60 * chosen.minutes, work)
            size = film.stat().st_size
            found = measure(film, keep, chosen.engine, chosen.workers, work)
    except (FailedError, OSError, subprocess.CalledProcessError) as error:
        print(f"benchmarks.scale: {error}", file=sys.stderr)
        return 1
    print(
        f"{chosen.clip.name} repeated to {found[0].clip['seconds'] / 60:.1f} minutes, {size / MEBIBYTE:.0f} MiB, "
        f"{chosen.engine}, {os.cpu_count()} cores"
    )
    print()
    print(scaling(found))
    print()
    print(f"A district of {SCHOOLS} schools, on paper, from the run with {found[-1].name}:")
    print()
    print(sizing(found[-1], size))
    print()
    print(
        "Limits: one kind of lesson was measured, on this machine's cores; film of more bits costs more to decode, more"
    )
    print("faces cost more to tell apart; a network or disk that is slower than the workers read was not tried.")
    return 0 if all(one.tracks == found[0].tracks for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
