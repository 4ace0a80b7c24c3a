"""What a safe copy costs beside a plain one, and what reading through the vault costs beside looking for faces.

``python -m benchmarks.ingest [--size MB] [--folder DIR] [--rounds N]`` makes its own card of random bytes, copies it in
turn with cp + sync + cmp and with ours (hash, encrypt, flush, read back, compare), and prints the ratio of the medians.
Then the memory of copying files of growing size, and a made-up 1080p film looked through, plain and out of the vault.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

MIB = 1 << 20
TARGET = 0.80
COST = 0.10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--size", type=int, default=768, metavar="MB", help="of the card's films together (default 768)"
    )
    parser.add_argument(
        "--folder", type=Path, help="where to work: a disk with three times as much room (default: temp)"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", choices=["copying", "memory", "reading"], help="only this one")
    parser.add_argument("--one", nargs=2, metavar=("CARD", "VAULT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return _one(Path(args.one[0]), Path(args.one[1]))
    folder = Path(tempfile.mkdtemp(prefix="lesveil-bench-", dir=args.folder))
    try:
        if args.part in (None, "copying"):
            copying(folder, args.size * MIB, args.rounds)
        if args.part in (None, "memory"):
            memory(folder)
        if args.part in (None, "reading"):
            reading(folder, args.rounds)
    finally:
        shutil.rmtree(folder)
    return 0


def make_card(card: Path, sizes: list[int]) -> None:
    at = card / "DCIM/100CANON"
    at.mkdir(parents=True)
    for n, size in enumerate(sizes, 1):
        with (at / f"MVI_{n:04d}.MP4").open("wb") as file:
            while size > 0:
                size -= file.write(os.urandom(min(size, MIB)))
    os.sync()


def copying(folder: Path, size: int, rounds: int) -> None:
    """cp + sync + cmp and ours in turn, on the same films; each begins with the films in the system's cache."""
    card = folder / "card"
    make_card(card, [size // 2, size // 3, size - size // 2 - size // 3])
    times: dict[str, list[float]] = {"cp + sync + cmp": [], "lesveil": []}
    for n in range(rounds):
        subprocess.run(["cat", *_films(card)], stdout=subprocess.DEVNULL, check=True)
        times["cp + sync + cmp"].append(_timed(lambda n=n: _plain(card, folder / f"plain{n}")))  # type: ignore[misc]
        shutil.rmtree(folder / f"plain{n}")
        os.sync()
        times["lesveil"].append(_timed(lambda n=n: _ours(card, folder / f"vault{n}")))  # type: ignore[misc]
        shutil.rmtree(folder / f"vault{n}")
        os.sync()
    print(f"\n## Copying {size // MIB} MB in 3 films, {rounds} rounds in turn\n")
    print("| | seconds (median) | MB/s | all |\n| --- | --- | --- | --- |")
    for name, took in times.items():
        middle = statistics.median(took)
        print(f"| {name} | {middle:.2f} | {size / MIB / middle:.0f} | {', '.join(f'{t:.2f}' for t in took)} |")
    ratio = statistics.median(times["cp + sync + cmp"]) / statistics.median(times["lesveil"])
    best = min(times["cp + sync + cmp"]) / min(times["lesveil"])
    print(f"\nspeed beside cp + sync + cmp: {ratio:.0%} by medians, {best:.0%} by the best (aim: {TARGET:.0%})")
    shutil.rmtree(card)


def _plain(card: Path, out: Path) -> None:
    out.mkdir()
    for film in _films(card):
        subprocess.run(["cp", film, out], check=True)
    subprocess.run(["sync", "-f", out], check=True)
    for film in _films(card):
        subprocess.run(["cmp", film, out / film.name], check=True)


def _ours(card: Path, place: Path) -> None:
    from pipeline.adapters.card import find_clips
    from pipeline.adapters.ledger import Ledger
    from pipeline.adapters.vault import Vault
    from pipeline.stages.ingest import ingest_all

    vault = Vault(place, key_file=True)
    with Ledger.open(place / "ledger.db") as ledger:
        for _, clip in ingest_all(find_clips(card), vault, ledger):
            if isinstance(clip, Exception):
                raise clip


def _films(card: Path) -> list[Path]:
    return sorted(card.rglob("*.MP4"))


def memory(folder: Path) -> None:
    """The largest resident memory of a process that copies one film, by its size."""
    print("\n## Memory of copying one film\n\n| film | largest resident memory |\n| --- | --- |")
    for size in (16, 128, 1024):
        card = folder / f"card{size}"
        make_card(card, [size * MIB])
        words = [sys.executable, "-m", "benchmarks.ingest", "--one", str(card), str(folder / f"one{size}")]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        print(f"| {size} MB | {json.loads(done.stdout)['peak'] / 1024:.0f} MB |")
        shutil.rmtree(card)
        shutil.rmtree(folder / f"one{size}")


def _one(card: Path, place: Path) -> int:
    import resource

    _ours(card, place)
    print(json.dumps({"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
    return 0


def reading(folder: Path, rounds: int) -> None:
    """A film read plain and out of the vault, beside what looking for faces in it takes."""
    import imageio_ffmpeg

    from pipeline import run
    from pipeline.adapters.vault import Vault
    from pipeline.adapters.video_in import open_clip
    from pipeline.records import Figures, no_progress
    from pipeline.settings import Settings

    film = folder / "film.mp4"
    made = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=1920x1080:rate=25:d=6",
    ]
    made += ["-vf", "noise=alls=20:allf=t", "-c:v", "libx264", "-preset", "veryfast", "-b:v", "28M", str(film)]
    subprocess.run(made, check=True)
    vault = Vault(folder / "vault", key_file=True)
    with vault.writer() as copy:
        copy.write(film.read_bytes())
        copy.commit("film")

    def sealed() -> BinaryIO:
        return cast(BinaryIO, vault.open("film"))

    def plain() -> BinaryIO:
        return film.open("rb")

    def through(opener: Callable[[], BinaryIO]) -> float:
        def work() -> None:
            with open_clip(film, opener) as clip:
                for _ in clip.frames():
                    pass

        return _timed(work)

    times: dict[str, list[float]] = {"plain": [], "vault": []}
    for _ in range(rounds):
        times["plain"].append(through(plain))
        times["vault"].append(through(sealed))
    networks = run.Networks(False)
    assert networks.detector is not None

    def looked() -> None:
        with open_clip(film, sealed) as clip:
            run.analyse(clip, "film", [], {}, "", Settings(), networks, no_progress, Figures())

    analysis = _timed(looked)
    read, size = _timed(lambda: _drain(sealed)), film.stat().st_size
    cost = statistics.median(times["vault"]) - statistics.median(times["plain"])
    print(f"\n## Reading through the vault: 6 s of 1080p, {size / MIB:.0f} MB, {rounds} rounds in turn\n")
    print("| | seconds |\n| --- | --- |")
    print(f"| decoded, plain (median) | {statistics.median(times['plain']):.3f} |")
    print(f"| decoded out of the vault (median) | {statistics.median(times['vault']):.3f} |")
    print(f"| its bytes decrypted, nothing decoded | {read:.3f} ({size / MIB / read:.0f} MB/s) |")
    print(f"| analysed (faces looked for, nobody recognised) | {analysis:.3f} |")
    print(
        f"\ncost of the vault: {max(cost, read) / analysis:.1%} of analysis (aim: below {COST:.0%}); the larger of the"
    )
    print("difference between the medians and the bare decryption counts")


def _drain(opener: Callable[[], BinaryIO]) -> None:
    with opener() as file:
        while file.read(32768):
            pass


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
