"""Nothing of a hidden face survives, nothing else changes: properties of redaction on small pictures."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.hiding.residues import RESIDUE_LIMIT, residues
from pipeline.hiding.spots import ONE, lay, snap
from pipeline.records import Shape, Style
from pipeline.stages import redact as stage
from pipeline.stages.redact import redact

STEPS = {"444": (1, 1), "422": (1, 2), "420": (2, 2), "440": (2, 1)}
property_test = settings(
    max_examples=300, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)


def picture(seed, height, width, step, depth, low=0.0, high=1.0):
    """Y, U, V of noise between two shares of the range."""
    rng = np.random.default_rng(seed)
    sizes = [(height, width)] + [(-(-height // step[0]), -(-width // step[1]))] * 2
    top = 1 << depth
    dtype = np.uint8 if depth == 8 else np.uint16
    return [rng.integers(int(low * top), int(high * top), size).astype(dtype) for size in sizes]


def interior(region, shape, size):
    """Rows, columns, and the mask within them, of what is hidden completely; ``size`` is (height, width)."""
    snapped = snap([float(value) for value in region], shape, *size)
    if snapped is None:
        return slice(0, 0), slice(0, 0), np.zeros((0, 0), bool)
    spot = lay(snapped, Style.VEIL, (2, 2), *size)
    rows, columns = spot.on_plane[0]
    return rows, columns, spot.template.layers[0][spot.on_template[0]] == ONE


def inside(planes, regions, shapes, step):
    """Masks, per plane, of the samples whose footprint touches what is hidden completely."""
    height, width = planes[0].shape
    luma = np.zeros((-(-height // step[0]) * step[0], -(-width // step[1]) * step[1]), dtype=bool)
    for region, shape in zip(regions, shapes, strict=True):
        rows, columns, mask = interior(region, shape, (height, width))
        luma[rows, columns] |= mask
    chroma = luma.reshape(luma.shape[0] // step[0], step[0], -1, step[1]).any(axis=(1, 3))
    return [luma[:height, :width], chroma, chroma]


@st.composite
def scenes(draw):
    """A size, a subsampling, a depth, a seed, and one to five regions: at edges, corners, over each other, outside."""
    height, width = draw(st.integers(1, 72)), draw(st.integers(1, 72))
    count = draw(st.integers(1, 5))
    place = st.floats(-30, 90, width=32)
    corners = [(draw(place), draw(place)) for _ in range(count)]
    sides = [(draw(st.floats(0, 60, width=32)), draw(st.floats(0, 60, width=32))) for _ in range(count)]
    regions = np.array([(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sides, strict=True)], dtype=np.float32)
    shapes = np.array([draw(st.sampled_from(Shape)) for _ in range(count)])
    step = STEPS[draw(st.sampled_from(sorted(STEPS)))]
    return height, width, step, draw(st.sampled_from([8, 10])), draw(st.integers(0, 2**31)), regions, shapes


@property_test
@given(scenes(), st.sampled_from([Style.VEIL, Style.SOLID]))
def test_nothing_depends_on_what_is_hidden(scene, style):
    height, width, step, depth, seed, regions, shapes = scene
    first = picture(seed, height, width, step, depth)
    second = picture(seed + 1, height, width, step, depth)
    for one, other, mask in zip(first, second, inside(first, regions, shapes, step), strict=True):
        other[~mask] = one[~mask]
    redact(first, regions, shapes, style, depth)
    redact(second, regions, shapes, style, depth)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@property_test
@given(scenes())
def test_every_pixel_that_a_region_touches_is_inside(scene):
    height, width, _, _, _, regions, shapes = scene
    turns = np.linspace(0, 2 * np.pi, 500)
    rim = 0.999 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    for region, shape in zip(regions.astype(np.float64), shapes, strict=True):
        if (region[2:] <= region[:2]).any():
            continue  # what has no height or no width lies on no pixel
        rows, columns, mask = interior(region, shape, (height, width))
        whole = np.zeros((height, width), dtype=bool)
        whole[rows, columns] = mask
        points = rim if shape == Shape.ELLIPSE else rim / np.abs(rim).max(axis=1, keepdims=True) * 0.999
        points = (region[:2] + region[2:]) / 2 + points * (region[2:] - region[:2]) / 2
        seen = ((points > 0) & (points < (width, height))).all(axis=1)
        x, y = points[seen].astype(int).T
        assert whole[y, x].all()


@property_test
@given(scenes(), st.sampled_from(Style))
def test_pixels_beyond_the_soft_edge_keep_every_bit(scene, style):
    height, width, step, depth, seed, regions, shapes = scene
    source = picture(seed, height, width, step, depth)
    planes = [plane.copy() for plane in source]
    redact(planes, regions, shapes, style, depth)
    for plane, before, scale in zip(planes, source, [(1, 1), step, step], strict=True):
        y, x = np.indices(plane.shape)
        far = np.ones(plane.shape, dtype=bool)
        for x1, y1, x2, y2 in regions.astype(float):
            # Snapping, growth of an ellipse and the widest edge of a region of this size, in luma pixels.
            reach = 5 + 0.2 * max(x2 - x1, y2 - y1)
            across = ((x + 1) * scale[1] < x1 - reach) | (x * scale[1] > x2 + reach)
            down = ((y + 1) * scale[0] < y1 - reach) | (y * scale[0] > y2 + reach)
            far &= across | down
        np.testing.assert_array_equal(plane[far], before[far])


@property_test
@given(scenes(), st.sampled_from(Style))
def test_levels_stay_legal(scene, style):
    height, width, step, depth, seed, regions, shapes = scene
    planes = picture(seed, height, width, step, depth, 16 / 256, 235 / 256)
    redact(planes, regions, shapes, style, depth)
    for plane, top in zip(planes, (235, 240, 240), strict=True):
        assert plane.min() >= 16 << (depth - 8)
        assert plane.max() <= top << (depth - 8)


@property_test
@given(
    st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False, width=32)] * 4), min_size=1, max_size=4),
    st.sampled_from(Shape),
    st.sampled_from(Style),
)
def test_any_finite_region_is_taken(regions, shape, style):
    planes = picture(3, 37, 41, (2, 2), 8)
    redact(planes, np.array(regions, dtype=np.float32), [shape] * len(regions), style)
    for region in regions:
        interior(region, shape, (37, 41))
        assert residues(planes[0], region, [shape], style)[0] >= 0


@pytest.mark.parametrize("shape", Shape)
def test_a_box_upside_down_hides_as_much_as_upright(shape):
    upright = interior([10, 20, 50, 70], shape, (100, 100))
    for turned in ([50, 20, 10, 70], [10, 70, 50, 20], [50, 70, 10, 20]):
        found = interior(turned, shape, (100, 100))
        assert found[:2] == upright[:2]
        np.testing.assert_array_equal(found[2], upright[2])


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_face_is_really_changed(style, depth, step):
    source = picture(1, 91, 77, step, depth)
    planes = [plane.copy() for plane in source]
    region = np.array([[20.3, 15.7, 60.1, 70.2]], dtype=np.float32)
    redact(planes, region, [Shape.ELLIPSE], style, depth)
    for plane, before, mask in zip(planes, source, inside(planes, region, [Shape.ELLIPSE], step), strict=True):
        assert (plane[mask] != before[mask]).mean() > 0.9
    assert residues(planes[0], region, [Shape.ELLIPSE], style, depth)[0] <= RESIDUE_LIMIT[style]
    assert residues(source[0], region, [Shape.ELLIPSE], style, depth)[0] > RESIDUE_LIMIT[style]


def test_a_veil_takes_its_colour_from_outside_of_all_regions():
    """The neighbour's white face must not shine into the veil beside it."""
    planes = [np.full((120, 160), 60, np.uint8), np.full((60, 80), 100, np.uint8), np.full((60, 80), 140, np.uint8)]
    regions = np.array([[20, 20, 80, 100], [70, 20, 130, 100]], dtype=np.float32)
    kinds = [Shape.ELLIPSE, Shape.ELLIPSE]
    for plane, mask in zip(planes, inside(planes, regions, kinds, (2, 2)), strict=True):
        plane[mask] = 235
    redact(planes, regions, kinds, Style.VEIL)
    for plane, level in zip(planes, (60, 100, 140), strict=True):
        assert np.abs(plane.astype(int) - level).max() <= 2


def test_a_veil_does_not_jump_when_its_region_moves_a_little():
    y, x = np.mgrid[0:200, 0:200]
    scene = np.clip(120 + 60 * np.sin(x / 9) + 40 * np.cos(y / 13), 16, 235).astype(np.uint8)
    shots = []
    for shift in np.arange(0, 8, 0.25):
        plane = scene.copy()
        redact([plane], np.array([[60 + shift, 50, 130 + shift, 150]], np.float32), [Shape.ELLIPSE], Style.VEIL)
        shots.append(plane[85:115, 85:115].astype(int))
    assert max(np.abs(a - b).max() for a, b in pairwise(shots)) <= 12


@pytest.mark.parametrize("style", [Style.VEIL, Style.SOLID])
def test_a_picture_with_nothing_outside_becomes_flat(style):
    planes = picture(2, 41, 63, (2, 2), 8)
    redact(planes, np.array([[-5, -5, 900, 900]], np.float32), [Shape.RECTANGLE], style)
    for plane in planes:
        assert len(np.unique(plane)) == 1
    if style is Style.VEIL:
        assert [int(plane[0, 0]) for plane in planes] == [128, 128, 128]


def test_a_veil_walled_in_by_others_takes_the_colour_of_the_picture():
    plane = np.full((240, 240), 90, np.uint8)
    plane[60:180, 60:180] = 230
    regions = np.array([[50, 50, 190, 190], [100, 100, 140, 140]], np.float32)
    redact([plane], regions, [Shape.RECTANGLE] * 2, Style.VEIL)
    assert np.abs(plane.astype(int) - 90).max() <= 2  # averages are rounded to whole grey levels


def test_pixelate_shows_at_most_six_tiles_across():
    plane = picture(4, 200, 200, (2, 2), 8)[0]
    redact([plane], np.array([[40, 40, 160, 160]], np.float32), [Shape.RECTANGLE], Style.PIXELATE)
    middle = plane[100, 42:158].astype(int)
    assert np.count_nonzero(np.diff(middle)) <= 5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_region_that_is_not_finite_is_refused_before_anything_changes(bad):
    planes = picture(5, 30, 30, (2, 2), 8)
    before = [plane.copy() for plane in planes]
    with pytest.raises(ValueError, match="not finite"):
        redact(planes, np.array([[1, 1, 9, 9], [1, 1, bad, 9]], np.float32), [0, 0], Style.VEIL)
    for plane, old in zip(planes, before, strict=True):
        np.testing.assert_array_equal(plane, old)


@pytest.mark.parametrize(
    ("sizes", "dtype", "depth"),
    [
        ([(8, 8), (3, 4), (3, 4)], np.uint8, 8),
        ([(8, 8), (4, 4), (8, 8)], np.uint8, 8),
        ([(8, 8), (4, 4)], np.uint8, 8),
        ([(8, 8), (4, 4), (4, 4)], np.uint8, 10),
        ([(8, 8), (4, 4), (4, 4)], np.uint16, 8),
    ],
)
def test_planes_that_do_not_fit_are_refused(sizes, dtype, depth):
    planes = [np.zeros(size, dtype) for size in sizes]
    with pytest.raises(ValueError, match=r"plane|chroma|bits"):
        redact(planes, np.zeros((1, 4), np.float32), [0], Style.SOLID, depth)


@pytest.mark.parametrize("style", [Style.VEIL, Style.SOLID])
def test_parts_of_a_large_picture_hide_as_well_as_the_whole(style):
    """Whether heads share a part of the picture or not, and whatever was hidden in the picture before."""
    rng = np.random.default_rng(11)
    height, width = 536, 968  # neither is a whole number of cells
    for count in (1, 9, 3):
        corner = rng.uniform((-20, -20), (width, height), (count, 2))
        regions = np.hstack([corner, corner + rng.uniform(20, 140, (count, 2))]).astype(np.float32)
        shapes = rng.integers(0, 2, count)
        one = picture(int(rng.integers(1000)), height, width, (2, 2), 8)
        before = [plane.copy() for plane in one]
        other = [plane.copy() for plane in one]
        masks = inside(other, regions, shapes, (2, 2))
        for plane, mask in zip(other, masks, strict=True):
            plane[mask] = rng.integers(0, 255, int(mask.sum()))
        redact(one, regions, shapes, style)
        redact(other, regions, shapes, style)
        for a, b, was, mask in zip(one, other, before, masks, strict=True):
            np.testing.assert_array_equal(a, b)
            far = ~cv2.dilate(mask.astype(np.uint8), np.ones((81, 81))).astype(bool)
            np.testing.assert_array_equal(a[far], was[far])


def test_a_picture_is_hidden_alike_whatever_was_hidden_before():
    """Memory is used again from picture to picture; one that was a little larger must leave nothing in it."""
    regions, shapes = np.array([[20, 10, 60, 40]], np.float32), [Shape.ELLIPSE]

    def hidden(height, width):
        planes = picture(5, height, width, (1, 1), 10)
        redact(planes, regions, shapes, Style.VEIL, 10)
        return planes

    stage._local.__dict__.clear()
    alone = hidden(41, 70)
    stage._local.__dict__.clear()
    hidden(48, 72)  # as many whole cells
    for one, other in zip(hidden(41, 70), alone, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("style", [Style.VEIL, Style.SOLID])
def test_thousands_of_regions_in_one_picture_are_judged_like_one(style):
    plane = np.random.default_rng(1).integers(0, 255, (90, 160), np.uint8)
    region = np.array([[20.0, 10.0, 60.0, 60.0]])
    one = residues(plane, region, [Shape.ELLIPSE], style)
    many = residues(plane, np.repeat(region, 3000, axis=0), [Shape.ELLIPSE] * 3000, style)
    assert one[0] > 0
    assert (many == one[0]).all()
