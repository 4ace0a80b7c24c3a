"""People who are not upright, through the real network: a camera that hung upside down, and somebody on their head."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.adapters.video_in import open_clip
from pipeline.run import Networks, redact_clip
from pipeline.settings import Settings
from samples.corpus import drawn
from tests import judge

SIZE, RATE = (320, 240), 10


@pytest.fixture(scope="module")
def networks():
    return Networks(recognition=False)


def film(path, turns):
    """A face that moves about, turned by quarters frame by frame; its box in every frame, and its look upright."""
    boxes = []
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "14"})
        video.width, video.height, video.pix_fmt = SIZE[0], SIZE[0], "yuv420p"
        for number, turn in enumerate(turns):
            shown = np.full((SIZE[0], SIZE[0], 3), 120, np.uint8)
            picture, (x1, y1, x2, y2) = drawn(SIZE, number / 4)
            shown[40:-40] = picture
            mark = np.zeros(shown.shape[:2], bool)
            mark[y1 + 40 : y2 + 40, x1:x2] = True
            (rows,), (columns,) = (np.nonzero(np.rot90(mark, turn).any(axis=axis)) for axis in (1, 0))
            boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(shown, turn)), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    picture, (x1, y1, x2, y2) = drawn(SIZE, 0)
    return np.array(boxes), picture[y1:y2, x1:x2]


def seen(out, face, turn):
    """How surely the face is seen in every frame."""
    known = judge.Judge(np.ascontiguousarray(np.rot90(face, turn)))
    return np.array([known.seen(frame)[0] for frame in judge.decoded(out, (SIZE[0], SIZE[0]))])


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_film_that_is_not_upright_and_says_nothing_of_it_shows_nobody(turn, tmp_path, networks):
    path, out = tmp_path / "a.mp4", tmp_path / "out.mp4"
    _, face = film(path, [turn] * 30)
    assert open_clip(path).info.rotation == 0
    assert seen(path, face, turn).min() > 0.8, "the oracle does not see the face in the source"
    redact_clip(path, out, [], Settings(), networks)
    assert seen(out, face, turn).max() < judge.SEEN


def test_whoever_stands_on_their_head_is_found_again(tmp_path, networks):
    """In sight for a second at most: so often every turn is tried."""
    path, out = tmp_path / "a.mp4", tmp_path / "out.mp4"
    turns = [0] * 20 + [2] * 60
    _, face = film(path, turns)
    redact_clip(path, out, [], Settings(), networks)
    assert seen(out, face, 0)[:20].max() < judge.SEEN
    after = seen(out, face, 2)[20:] >= judge.SEEN
    assert not after[RATE:].any()
    assert not after[:3].any(), "a face that was just there is held"
