"""Delivering beside a plain upload: ``python -m benchmarks.deliver [--megabytes 2048] [--rounds 2]``.

`lesveil deliver` as a whole process (start, hashing every file before its first byte leaves, upload sessions, a fresh
look at each) and `curl -T` of the same bytes to the same server, which does the same work for both, in turn; medians.
One large film, and a card of eight; over lines of 200 Mbit/s and 1 Gbit/s, which is more than most schools have, and
with no line in between, where the programs and the server share one processor and the hashing stands out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import MEBIBYTE, FailedError, Run, table, timed
from pipeline import workspace
from pipeline.adapters import files
from tests.graph.control import Control, running

LINES = {"200 Mbit/s": 25e6, "1 Gbit/s": 125e6, "none": 0.0}
"""Bytes a second; 0: as many as come."""
SETTINGS = """\
[deliver]
target = "onedrive"
[onedrive]
tenant = "benchmark"
client_id = "benchmark"
authority = "{url}"
graph = "{url}/v1.0"
"""


def film(path: Path, megabytes: int, seed: int) -> str:
    """A file of random bytes, which nothing on the way can make smaller; its SHA-256."""
    chance = np.random.default_rng(seed)
    with open(path, "wb") as file:
        for _ in range(megabytes):
            file.write(chance.bytes(MEBIBYTE))
    return files.sha256_of(path)


def approved(folder: Path, films: dict[Path, str], url: str) -> None:
    """A new workspace in which ``films`` (and their digests) wait to be delivered; signed in."""
    workspace.create(folder, key_file=True)
    (folder / "lesveil.toml").write_text(SETTINGS.format(url=url), encoding="utf-8")
    with workspace.opened(folder) as place:
        for number, (source, sha256) in enumerate(films.items(), 1):
            os.link(source, folder / "redacted" / source.name)
            clip, size = f"{number:012x}".ljust(32, "0"), source.stat().st_size
            listed = {"path": f"DCIM/100/{number}.MP4", "bytes": size, "sha256": clip * 2, "kind": "video"}
            place.ledger.append("ingest", clip, {"card": "c", "sha256": clip * 2, "bytes": size, "files": [listed]})
            outcome = {"sha256": sha256, "bytes": size, "file": source.name, "kept": [], "seconds": 1.0}
            place.ledger.record("render", clip, "benchmark", clip, outcome)
            place.ledger.append("filmed", clip, {"day": "2026-11-25"})
            place.ledger.append("approval", clip, {"sha256": sha256, "by": "benchmark", "verdict": "approved"})
    command = [sys.executable, "-m", "pipeline", "login", "--device-code", "-C", str(folder), "--json", "--lang", "en"]
    subprocess.run(command, check=True, capture_output=True)


def delivered(folder: Path, log: Path) -> Run:
    return timed([sys.executable, "-m", "pipeline", "deliver", "-C", str(folder), "--quiet", "--lang", "en"], log)


def curl(films: dict[Path, str], url: str, log: Path) -> Run:
    bars = [word for source in films for word in ("-T", str(source), f"{url}/control/raw/{source.name}")]
    return timed(["curl", "-sS", "--noproxy", "*", "-H", "Expect:", *bars], log)


def beside(control: Control, films: dict[Path, str], root: Path, pace: float, rounds: int) -> list[str]:
    """``rounds`` of both in turn, over a line of ``pace`` bytes a second: times, their ratio, and our peak memory."""
    control.post("pace", bytes_per_second=pace)
    ours: list[Run] = []
    bar: list[Run] = []
    for _ in range(rounds):
        folder = root / "workspace"
        approved(folder, films, control.url)
        bar.append(curl(films, control.url, root / "curl.log"))
        ours.append(delivered(folder, root / "deliver.log"))
        if sorted(file["sha256"] for file in control.state("me")["files"]) != sorted(films.values()):
            raise FailedError("what arrived is not what was sent")
        shutil.rmtree(folder)
        control.post("drop", drive="me")
        control.post("drive", id="me")
    mine = statistics.median(run.seconds for run in ours)
    theirs = statistics.median(run.seconds for run in bar)
    peak = max(run.peak or 0 for run in ours) / MEBIBYTE
    return [f"{mine:.1f} s", f"{theirs:.1f} s", f"{theirs / mine:.0%}", f"{peak:.0f} MiB"]


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m benchmarks.deliver", description=__doc__)
    words.add_argument("--megabytes", type=int, default=2048)
    words.add_argument("--rounds", type=int, default=2)
    asked = words.parse_args()
    if shutil.which("curl") is None:
        raise SystemExit("curl is needed.")
    rows = [["films", "line", "lesveil deliver", "curl -T", "throughput beside curl", "peak memory"]]
    with tempfile.TemporaryDirectory(prefix="lesveil-bench-") as folder, running(Path(folder) / "graph") as control:
        root = Path(folder)
        for count, total, line in (
            (1, asked.megabytes // 4, "200 Mbit/s"),
            (1, asked.megabytes, "1 Gbit/s"),
            (8, asked.megabytes, "1 Gbit/s"),
            (1, asked.megabytes, "none"),
            (8, asked.megabytes, "none"),
        ):
            each = total // count
            films = {path: film(path, each, n) for n in range(count) if (path := root / f"film{n}.mp4")}
            row = beside(control, films, root, LINES[line], asked.rounds)
            rows.append([f"{count} x {each} MiB", line, *row])
            for path in films:
                path.unlink()
        started = delivered_nothing(root)
    print(f"{asked.rounds} rounds, medians\n\n{table(rows)}")
    print(f"\nThe program's start takes {started:.1f} s of it, whatever the films' length.")
    return 0


def delivered_nothing(root: Path) -> float:
    """Seconds that ``lesveil deliver`` takes when nothing waits."""
    workspace.create(root / "empty", key_file=True)
    (root / "empty" / "lesveil.toml").write_text('[deliver]\ntarget = "folder"\nfolder = "/"\n', encoding="utf-8")
    return delivered(root / "empty", root / "empty.log").seconds


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except FailedError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from error
