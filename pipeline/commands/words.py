"""Words that several commands say."""

from __future__ import annotations

import re

from pipeline.messages import tr


def ground_in_words(ground: str) -> str:
    """The ground of an answer about consent, as people read it."""
    said = []
    for part in filter(None, ground.split("; ")):
        if match := re.fullmatch(r"import (\d+) row (\d+)", part):
            said.append(tr("row {row} of import {n}", row=match[2], n=match[1]))
        elif match := re.fullmatch(r"withdrawal (\d+)", part):
            said.append(tr("withdrawal {n}", n=match[1]))
    return "; ".join(said)
