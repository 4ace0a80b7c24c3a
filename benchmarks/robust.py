"""The same clips a little different: ``python -m benchmarks.robust [CLIP ...] [--only CHANGE ...]``.

Whoever tunes on five clips fits five clips. So each is also mirrored, made smaller, darker and coarser, cut to another
frame, laid on its side and stood on its head, with its truth; then redacted and judged by score.py, like in
benchmarks.quality. Nothing was tuned on these.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from benchmarks import EVAL, FailedError, consented, ours, table, timed, truth_of
from benchmarks.quality import judged_by, share

Box = Sequence[float]


@dataclass(frozen=True)
class Change:
    """``filters`` are ffmpeg's; ``box`` says where a box (x1, y1, x2, y2) of a picture of (width, height) then lies."""

    filters: str
    box: Callable[[Box, int, int], list[float]]
    crf: int = 16


def same(box: Box, width: int, height: int) -> list[float]:
    return list(box)


SMALLER, LEFT, TOP = 0.7, 30, 18

CHANGES = {
    "mirrored": Change("hflip", lambda b, w, h: [w - b[2], b[1], w - b[0], b[3]]),
    "smaller": Change(
        f"scale=trunc(iw*{SMALLER}/2)*2:trunc(ih*{SMALLER}/2)*2:flags=area",
        lambda b, w, h: [v * (int(side * SMALLER / 2) * 2 / side) for v, side in zip(b, (w, h, w, h), strict=True)],
    ),
    "darker": Change("eq=brightness=-0.12:contrast=0.55", same),
    "coarser": Change("null", same, crf=34),
    "shifted": Change(
        f"crop=iw-46:ih-26:{LEFT}:{TOP}", lambda b, w, h: [b[0] - LEFT, b[1] - TOP, b[2] - LEFT, b[3] - TOP]
    ),
    "on its side": Change("transpose=clock", lambda b, w, h: [h - b[3], b[0], h - b[1], b[2]]),
    "upside down": Change("hflip,vflip", lambda b, w, h: [w - b[2], h - b[3], w - b[0], h - b[1]]),
}


def changed(clip: Path, change: Change, folder: Path) -> Path:
    """The clip with the change made, and its truth beside it. Raises FailedError."""
    import imageio_ffmpeg

    out = folder / clip.name
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(clip), "-vf", change.filters]
    words += ["-c:v", "libx264", "-preset", "veryfast", "-crf", str(change.crf), "-c:a", "copy"]
    words += ["-fps_mode", "passthrough", "-enc_time_base", "demux", str(out)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise FailedError(done.stderr.strip())
    truth: dict[str, Any] = json.loads(truth_of(clip).read_text(encoding="utf-8"))
    with av.open(str(clip)) as container:
        film = container.streams.video[0]
        for face in truth["faces"]:
            face["box"] = change.box(face["box"], film.width, film.height)
    truth_of(out).write_text(json.dumps(truth), encoding="utf-8")
    return out


def row(clip: Path, name: str, keep: Path | None, folder: Path) -> list[str]:
    folder.mkdir()
    other = changed(clip, CHANGES[name], folder)
    out = folder / "out.mp4"
    timed(ours(other, out, keep, folder / "out.json"), folder / "out.log")
    found: dict[str, Any] = json.loads(judged_by("score.py", other, out, "--json"))
    exposed = f"{found['exposed_faces']} of {found['hidden_faces']} = {share(found['exposed'] or 0)}"
    clear = "-" if found["clear"] is None else share(found["clear"])
    people, longest = str(found["exposed_tracks"]), str(found["longest_exposure"])
    return [clip.stem, name, exposed, people, longest, clear, share(found["collateral"] or 0)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robust", description=__doc__.partition("\n")[0])
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP", help="with NAME.gt.json beside it")
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES), metavar="CHANGE")
    chosen = parser.parse_args(arguments)
    clips = chosen.clips or sorted(path for path in (EVAL / "dev").glob("*.mp4") if truth_of(path).is_file())
    if not clips or not (EVAL / "score.py").is_file():
        parser.error(f"no clips or no score.py in {EVAL}; set LESVEIL_EVAL to the folder with score.py and dev/")
    rows = [["clip", "change", "exposed", "people", "longest (frames)", "clear", "collateral"]]
    failures = 0
    with tempfile.TemporaryDirectory(prefix="lesveil-robust-") as work:
        for clip in clips:
            keep = consented(clip, Path(work))
            for name in chosen.only:
                print(f"  {clip.name}, {name} ...", file=sys.stderr, flush=True)
                try:
                    rows.append(row(clip, name, keep, Path(work) / f"{clip.stem} {name}"))
                except FailedError as error:
                    failures += 1
                    print(f"benchmarks.robust: {clip.name}, {name}: {error}", file=sys.stderr)
    print(table(rows))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
