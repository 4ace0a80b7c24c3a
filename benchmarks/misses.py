"""Why faces stay exposed: ``python -m benchmarks.misses [CLIP ...]``.

Every clip is looked through, written and judged as by ``benchmarks.quality``; then each exposed face (per frame) is
held against what was found around it. The causes, in the order in which they are asked:

- *not found*: no detection lies on the face in the nearest looks, however faint;
- *too faint*: there are detections, but not enough to make a face of them;
- *begins or ends*: a track covers it from before its first or after its last sight only;
- *between looks*: a track covers it between two sights;
- *beside*: it was seen in this very frame, and the region does not cover enough of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import EVAL, FailedError, consented, table, truth_of
from benchmarks.quality import judged_by
from pipeline import run
from pipeline.adapters.video_in import open_clip
from pipeline.geometry import closeness
from pipeline.records import Figures, Support, no_progress
from pipeline.settings import Settings

CAUSES = ("not found", "too faint", "begins or ends", "between looks", "beside")
SIZES = (24, 48, 96)
"""Heights in pixels at which faces are divided."""


def cause(analysis: run.Analysis, frame: int, box: Sequence[float]) -> str:
    """The first of CAUSES that holds for an exposed face ``box`` (pixels) in ``frame``."""
    face = np.array([box], np.float32)
    best, support = 0.0, Support.SEEN
    for track in analysis.tracks:
        if track.start <= frame < track.stop:
            near = float(closeness(track.box[frame - track.start][None], face)[0, 0])
            if near > best:
                best, support = near, Support(int(track.support[frame - track.start]))
    if best > 0:
        return {Support.EXTENDED: "begins or ends", Support.FILLED: "between looks"}.get(support, "beside")
    found = analysis.found
    for look in found.looked[np.argsort(np.abs(found.looked - frame))[:2]].tolist():
        rows = np.flatnonzero(found.frame == look)
        if len(rows) and float(closeness(found.box[rows], face).max()) > 0:
            return "too faint"
    return "not found"


def misses(clip: Path, folder: Path, networks: run.Networks) -> tuple[dict[str, Any], run.Analysis]:
    """score.py's figures of a clip with its list of misses, and the analysis behind it."""
    settings, figures, out = Settings(), Figures(), folder / f"{clip.stem}.mp4"
    keep = consented(clip, folder)
    people = run.enrol_folder(keep, networks) if keep else []
    grounds = {person.id: "portrait" for person in people}
    with open_clip(clip) as source:
        analysis = run.analyse(source, clip.name, people, grounds, "", settings, networks, no_progress, figures)
        run.render_checked(source, analysis.plan, out, settings, no_progress, figures)
    return json.loads(judged_by("score.py", clip, out, "--json")), analysis


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP", help="default: every clip in LESVEIL_EVAL/dev")
    args = parser.parse_args(argv)
    chosen = args.clips or sorted(path for path in (EVAL / "dev").glob("*.mp4") if truth_of(path).is_file())
    if not chosen:
        print(f"no clips: {EVAL}/dev holds none with their truth; set LESVEIL_EVAL", file=sys.stderr)
        return 2
    networks = run.Networks(True)
    rows = [["clip", "exposed", *CAUSES, *(f"under {size} px" for size in SIZES), "larger"]]
    with tempfile.TemporaryDirectory(prefix="lesveil-misses-") as folder:
        for clip in chosen:
            try:
                found, analysis = misses(clip, Path(folder), networks)
            except FailedError as error:
                print(error, file=sys.stderr)
                return 1
            why = Counter(cause(analysis, frame, box) for frame, _, box, _ in found["misses"])
            tall = Counter(int(np.searchsorted(SIZES, box[3] - box[1], "right")) for _, _, box, _ in found["misses"])
            share = f"{found['exposed_faces']} of {found['hidden_faces']}"
            counts = [str(why[one]) for one in CAUSES] + [str(tall[place]) for place in range(len(SIZES) + 1)]
            rows.append([clip.stem, share, *counts])
    print(table(rows))
    print("Faces per frame. The truth of each clip:", ", ".join(truth_of(clip).name for clip in chosen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
