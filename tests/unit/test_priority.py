"""What a test that encodes AV1 leaves behind for those after it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import av
import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="there SVT-AV1 changes nothing")
@pytest.mark.parametrize("turn", ["encodes", "comes after"])
def test_who_encodes_av1_leaves_the_ordinary_priority_to_the_next(tmp_path: Path, turn: str) -> None:
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    if turn == "encodes":
        with av.open(str(tmp_path / "film.mp4"), "w") as film:
            stream = film.add_stream("libsvtav1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            stream.options = {"preset": "12"}
            for _ in range(4):
                film.mux(stream.encode(av.VideoFrame(320, 240, "yuv420p")))
            film.mux(stream.encode(None))
