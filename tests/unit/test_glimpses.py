"""Where something small is new, and what is seen there close up: squares of a picture, side by side, and back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import glimpses
from pipeline.adapters.pictures import cut_out
from pipeline.glances import sizes
from pipeline.glimpses import ACROSS, CELLS, MOST, SIDE, in_frame, mosaic, places
from pipeline.records import VideoInfo
from pipeline.stages.detect import joined_segments
from tests.unit.test_detect import THRESHOLD, Detector, Source, detect, picture
from tests.unit.test_detect import info as of

HD = of(1920, 1080)


def test_what_the_edge_of_its_square_cuts_is_told():
    where = np.tile(np.float32([0, 0, SIDE, SIDE]), (2, 1))
    boxes = np.float32([[2, 20, 60, 60], [20, 20, 60, SIDE + 3], [SIDE + 1, 20, SIDE + 60, 60], [20, 20, 60, SIDE - 9]])
    assert in_frame(boxes, np.ones(4, np.float32), where)[2].tolist() == [True, True, True, False]


def new(*clumps: tuple[int, int, int, int], shape: tuple[int, int] = CELLS[::-1]) -> np.ndarray:
    """Cells (x, y, wide, high) that are new."""
    cells = np.zeros(shape, bool)
    for x, y, wide, high in clumps:
        cells[y : y + high, x : x + wide] = True
    return cells


def test_where_nothing_is_new_nobody_looks():
    found = places(new(), HD)
    assert found.small.shape == found.tiles.shape == (0, 4)


def test_noise_is_nothing_new():
    cells = new()
    cells[::4, ::3] = True
    found = places(cells, HD)
    assert len(found.small) == len(found.tiles) == 0


@pytest.mark.parametrize("about", [HD, of(640, 360), of(1280, 720), of(3840, 2160), of(720, 576, Fraction(64, 45))])
@pytest.mark.parametrize(("wide", "high"), [(2, 2), (3, 4), (6, 8), (12, 4)])
def test_the_square_holds_what_is_new_with_room_around_it(about: VideoInfo, wide: int, high: int):
    ((x1, y1, x2, y2),) = places(new((40, 30, wide, high)), about).small
    across, down = about.width / CELLS[0], about.height / CELLS[1]
    assert x1 < (40 - wide / 4) * across
    assert x2 > (40 + wide * 1.25) * across
    assert y1 < (30 - high / 4) * down
    assert y2 > (30 + high * 1.25) * down
    assert (x2 - x1) * about.sample_aspect == pytest.approx(y2 - y1, abs=0.1)  # a square, as it is seen


def test_somebody_small_is_looked_at_beside_many_who_move():
    cells = new(*((10 + 20 * n, 10, 5, 5) for n in range(5)), (60, 50, 2, 3))
    found = places(cells, HD).small
    assert len(found) == 6
    assert np.allclose((found[-1, :2] + found[-1, 2:]) / 2, (61 * 15, 51.5 * 15), atol=1)


def test_of_many_places_none_is_left():
    cells = new(*((5 + 11 * n, 20, 3 + n % 3, 3) for n in range(11)))
    found = places(cells, HD)
    assert len(found.small) == 11
    assert not found.crowded


def test_of_too_many_places_all_of_the_picture_is_looked_at():
    small = [(4 + 10 * (n % 12), 4 + 10 * (n // 12), 3, 3) for n in range(MOST + 1)]
    assert not places(new(*small[:-1]), HD).crowded
    assert places(new(*small), HD).crowded


@pytest.mark.parametrize("about", [HD, of(640, 360), of(1280, 720), of(720, 576, Fraction(64, 45)), of(1080, 1920)])
def test_a_large_place_is_covered_by_tiles_as_sharp_as_the_large_picture(about: VideoInfo):
    across, down = glimpses.cells(about)
    found = places(new((40, 30, 20, 20), shape=(down, across)), about)
    assert len(found.small) == 0
    cell = np.array([about.width / across, about.height / down])
    points = (np.stack(np.meshgrid(range(40, 60), range(30, 50)), axis=-1).reshape(-1, 2) + 0.5) * cell
    size = (found.tiles[:, 2:] - found.tiles[:, :2]) * [float(about.sample_aspect), 1]
    assert np.allclose(size, SIDE * about.width * float(about.sample_aspect) / sizes(about).large[0], atol=0.1)
    room = np.minimum(points[:, None] - found.tiles[:, :2], found.tiles[:, 2:] - points[:, None]) / size
    room *= [float(about.sample_aspect), 1]
    assert (room.min(axis=2).max(axis=1) >= 0.12).all()  # an eighth of a tile lies around each of them in one


def test_a_place_is_large_by_the_box_around_it():
    """A raised arm beside a head is new in few cells; all of what they lie in counts."""
    assert len(places(new((40, 30, 18, 18)), HD).small) == 1
    arm = new(*((40 + n, 30 + n, 2, 2) for n in range(24)))
    found = places(arm, HD)
    assert len(found.small) == 0
    assert 3 <= len(found.tiles) < 12


def test_an_upright_film_has_upright_cells():
    about = of(1080, 1920)
    assert glimpses.cells(about) == CELLS[::-1]
    ((x1, y1, x2, y2),) = places(new((30, 60, 3, 3), shape=CELLS), about).small
    assert np.allclose([(x1 + x2) / 2, (y1 + y2) / 2], [31.5 * 15, 61.5 * 15], atol=1)


def bright(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    boxes, scores, _ = Detector()(shown, 0.5)
    return boxes, scores


@given(
    st.integers(0, 620),
    st.integers(0, 340),
    st.integers(5, 60),
    st.sampled_from([48, 64, 100, 200, 300]),
    st.integers(0, 3),
)
def test_what_is_seen_in_a_square_lies_where_it_is_in_the_frame(x, y, size, side, place):
    x2, y2 = min(x + size, 640), min(y + size, 360)
    blur = 2 + 2 * side / SIDE
    if size > side / 2 - blur or min(x2 - x, y2 - y) < max(5, side / 16):
        return
    shown = picture((x, y, x2, y2), width=640, height=360)
    where = np.tile(np.float32([-2000, -2000, -2000 + side, -2000 + side]), (place + 1, 1))
    where[place] = x - side / 2, y - side / 2, x + side / 2, y + side / 2
    ((box,), (score,), (cut,)) = in_frame(*bright(mosaic(shown, where, cut_out)), where)
    assert np.abs(box - (x, y, x2, y2)).max() <= blur
    assert score == pytest.approx(0.9)
    assert not cut or size > side / 2 - blur - side / 16


def test_what_lies_over_two_squares_or_in_none_is_no_face():
    where = np.tile(np.float32([0, 0, SIDE, SIDE]), (3, 1))
    boxes = np.float32(
        [[20, 20, 60, 60], [100, 20, 160, 60], [20, 100, 60, 160], [160, 160, 200, 200], [140, 20, 180, 60]]
    )
    found, scores, cut = in_frame(boxes, np.arange(5, dtype=np.float32), where)
    assert scores.tolist() == [0, 4]
    assert cut.tolist() == [False, False]
    assert found.tolist() == [[20, 20, 60, 60], [140 - SIDE, 20, 180 - SIDE, 60]]


@given(st.integers(1, 60), st.integers(1, 4), st.sampled_from([24, 25, 30, 60, 120]))
def test_whoever_pops_up_is_looked_at_closely_in_that_very_frame(start, frames, rate):
    empty, there = picture(width=640, height=360), picture((300, 160, 316, 180), width=640, height=360)
    made = [there if start <= n < start + frames else empty for n in range(start + frames + 3)]
    found = detect(Source(made, Fraction(rate), width=640, height=360), Detector(), THRESHOLD, cut_out=cut_out)
    assert start in found.glimpses.frame.tolist()
    first = found.glimpses.box[found.glimpses.frame.tolist().index(start)]
    assert np.allclose(first, (300, 160, 316, 180), atol=2)


def test_where_somebody_large_or_many_small_ones_pop_up_the_frame_is_looked_at_as_well():
    """Somebody large may be cut by every tile, and of many a look at all of the picture is cheaper: at all sizes."""
    empty = picture(width=640, height=360)
    arm = [(300 + 5 * n, 100 + 5 * n, 308 + 5 * n, 108 + 5 * n) for n in range(26)]
    many = [(24 + 50 * (n % 12), 24 + 50 * (n // 12), 36 + 50 * (n % 12), 36 + 50 * (n // 12)) for n in range(72)]
    for faces, thorough in ((arm, False), (many, True)):
        there = picture(*faces, width=640, height=360)
        made = [empty, empty, there, empty]
        found = detect(Source(made, width=640, height=360), Detector(), THRESHOLD, cut_out=cut_out)
        assert {1, 2} <= set(found.looked.tolist())
        assert (2 in found.thorough.tolist()) is thorough


def test_a_still_film_costs_no_glimpse():
    detector = Detector()
    found = detect(Source([picture((60, 40, 84, 70))] * 30), detector, THRESHOLD, cut_out=cut_out)
    assert len(found.glimpses.frame) == 0
    assert (ACROSS * SIDE, ACROSS * SIDE) not in detector.shown


def test_nothing_is_new_after_a_cut_or_damage():
    empty, there = picture(ground=40), picture((60, 40, 84, 70), ground=220)
    detector = Detector()
    made = [empty, empty, there, there, None, empty, empty]
    found = detect(Source(made), detector, THRESHOLD, cut_out=cut_out)
    assert found.cuts.tolist() == [2, 4, 5]
    assert (ACROSS * SIDE, ACROSS * SIDE) not in detector.shown


def test_segments_put_their_glimpses_one_after_the_other():
    empty, there = picture(width=640, height=360), picture((300, 160, 316, 180), width=640, height=360)
    one = detect(Source([empty, there, empty], width=640, height=360), Detector(), THRESHOLD, cut_out=cut_out)
    both = joined_segments([one, one])
    shift = [*one.glimpses.frame.tolist(), *(frame + 3 for frame in one.glimpses.frame.tolist())]
    assert both.glimpses.frame.tolist() == shift
    assert both.glimpses.box.shape == (len(shift), 4)
    assert both.glimpses.frame.dtype == np.int32


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuv420p10le", "yuv422p10le", "gray"])
@pytest.mark.parametrize("size", [(16, 16), (18, 50), (640, 360), (360, 640)])
def test_pictures_of_every_kind_and_size_are_looked_at(pixels, size):
    width, height = size
    patch = width // 3, height // 3, width // 3 + max(4, width // 12), height // 3 + max(4, height // 10)
    empty, there = (picture(*some, width=width, height=height, pixels=pixels) for some in ((), (patch,)))
    found = detect(Source([empty, there, empty], width=width, height=height), Detector(), THRESHOLD, cut_out=cut_out)
    if min(size) > 100:
        assert 1 in found.glimpses.frame.tolist()


def test_a_glimpse_that_fails_ends_the_search():
    """In silence somebody would stay clear."""

    class Failing(Detector):
        def __call__(self, shown, threshold):
            if shown.shape[:2] == (ACROSS * SIDE, ACROSS * SIDE):
                raise RuntimeError("the driver is gone")
            return super().__call__(shown, threshold)

    empty, there = picture(width=640, height=360), picture((300, 160, 316, 180), width=640, height=360)
    with pytest.raises(RuntimeError, match="driver"):
        detect(Source([empty, there, empty], width=640, height=360), Failing(), THRESHOLD, cut_out=cut_out)
