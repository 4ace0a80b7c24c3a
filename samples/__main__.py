"""``python -m samples DIR``: the whole sample in DIR."""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

from .card import DAY, make_samples


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m samples", description="Make a sample card, portraits and list.")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--seconds", type=float, default=12.0, help="length of the first clip (default 12)")
    parser.add_argument("--today", type=date.fromisoformat, default=DAY, help=f"day of filming (default {DAY})")
    chosen = parser.parse_args(arguments)
    try:
        samples = make_samples(chosen.folder, chosen.seconds, chosen.today)
    except FileExistsError as error:
        print(error, file=sys.stderr)
        return 30
    for path in (*samples.clips, samples.portraits, samples.consented, samples.consent_list, samples.truth_file):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
