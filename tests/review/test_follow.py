"""A drawn region follows what it was drawn on; where that is lost it holds, grows and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from pipeline.records import U8
from pipeline.stages.follow import LARGEST, follow

SIZE = (360, 640)


@pytest.fixture(scope="module")
def scene(face: U8) -> Callable[..., U8]:
    """Luma of a noisy room with a face of ``high`` pixels whose top left corner is at x, y."""
    random = np.random.default_rng(5)
    room = cv2.resize(random.integers(60, 190, (18, 32)).astype(np.uint8), SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    head = cv2.cvtColor(face[40:330, 120:400], cv2.COLOR_BGR2GRAY)

    def at(x: float, y: float, high: float = 90) -> U8:
        picture = room.copy()
        small = cv2.resize(head, (round(high), round(high)), interpolation=cv2.INTER_AREA)
        left, top = round(x), round(y)
        picture[top : top + small.shape[0], left : left + small.shape[1]] = small
        return np.asarray(picture, np.uint8)

    return at


def share_inside(box: np.ndarray, x: float, y: float, high: float) -> float:
    """How much of the face lies in the box."""
    wide = max(0.0, min(box[2], x + high) - max(box[0], x))
    tall = max(0.0, min(box[3], y + high) - max(box[1], y))
    return float(wide * tall / high**2)


def test_it_stays_on_a_face_that_moves_and_comes_nearer(scene: Callable[..., U8]) -> None:
    path = [(60 + 5 * n, 100 + 20 * np.sin(n / 6), 90 + n) for n in range(60)]
    x, y, high = path[0]
    done = follow(((n, scene(*at)) for n, at in enumerate(path)), (x, y, x + high, y + high))
    assert done.frame.tolist() == list(range(60))
    assert done.sure.mean() > 0.9
    for box, (left, top, size) in zip(done.box, path, strict=True):
        assert share_inside(box, left, top, size) > 0.9
    area = (done.box[-1, 2] - done.box[-1, 0]) * (done.box[-1, 3] - done.box[-1, 1])
    assert area < 2.2 * path[-1][2] ** 2


def test_behind_something_it_holds_grows_and_says_so_then_finds_the_face_again(scene: Callable[..., U8]) -> None:
    def film() -> Iterator[tuple[int, U8 | None]]:
        for n in range(50):
            picture = scene(200, 120)
            if 15 <= n < 30:
                picture[100:240, 180:320] = 128
            yield n, picture

    done = follow(film(), (200, 120, 290, 210))
    assert done.sure[:15].all()
    assert not done.sure[16:30].any()
    widths = done.box[:, 2] - done.box[:, 0]
    assert widths[29] > 1.5 * widths[14]
    assert widths.max() <= LARGEST * widths[0] + 1
    assert done.sure[-10:].all()
    assert min(share_inside(box, 200, 120, 90) for box in done.box) > 0.9


def test_after_a_cut_it_is_not_sure(scene: Callable[..., U8]) -> None:
    other = np.random.default_rng(1).integers(0, 255, SIZE).astype(np.uint8)
    done = follow(((n, scene(200, 120) if n < 10 else other) for n in range(20)), (200, 120, 290, 210))
    assert not done.sure[10:].any()


def test_a_frame_that_did_not_decode_is_held(scene: Callable[..., U8]) -> None:
    done = follow(((n, None if n in (3, 4) else scene(200, 120)) for n in range(8)), (200, 120, 290, 210))
    assert done.sure.tolist() == [True] * 3 + [False] * 3 + [True] * 2
    assert len(done.box) == 8


def test_a_flat_picture_is_never_sure_for_long() -> None:
    flat = np.full(SIZE, 90, np.uint8)
    done = follow(((n, flat) for n in range(6)), (200, 120, 290, 210))
    assert not done.sure[1:].any()
    assert len(done.box) == 6


def test_nothing_to_follow_is_nothing() -> None:
    assert len(follow(iter(()), (0, 0, 5, 5)).frame) == 0


def test_it_leaves_the_picture_without_an_error(scene: Callable[..., U8]) -> None:
    def film() -> Iterator[tuple[int, U8]]:
        for n in range(40):
            wide = np.pad(scene(500, 120), ((0, 0), (0, 400)), mode="edge")
            yield n, np.ascontiguousarray(wide[:, 8 * n : 8 * n + 640][:, ::-1])

    done = follow(film(), (50, 120, 140, 210))
    assert np.isfinite(done.box).all()
