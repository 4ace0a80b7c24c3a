"""The last look at a finished file: whatever differs from the plan is a finding, and no finding is lost."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.records import Frame, RedactionPlan, Shape, Style
from pipeline.stages.check import ENCODED, MOST_FINDINGS, check

TICK = Fraction(1, 1000)
FRAMES = 5
REGION = (10, 10, 30, 30)
VEILED, FACE = 100, 200


class Source:
    """A finished clip of given frames; a picture is its luma plane."""

    def __init__(self, frames, seconds=0.0):
        self._frames = frames
        self.info = SimpleNamespace(duration=seconds)

    def frames(self):
        yield from self._frames


def picture(value=VEILED, noise=0):
    plane = np.full((48, 64), VEILED, np.uint8)
    plane[10:30, 10:30] = value
    if noise:
        plane += np.random.default_rng(0).integers(0, noise, plane.shape).astype(np.uint8)
    return plane


def frame(number, plane=None, time=None, damaged=False, **_):
    return Frame(number, 0, Fraction(number, 25) if time is None else time, plane, damaged)


def finished(count=FRAMES, **odd):
    """A clip as planned, but for the frames named ``f<number>``."""
    return Source([frame(i, **{"plane": picture(), **odd.get(f"f{i}", {})}) for i in range(count)])


def planned(frames=FRAMES, rows=((1, REGION), (2, REGION))):
    count = len(rows)
    return RedactionPlan(
        clip="clip",
        frames=frames,
        style=Style.VEIL,
        frame=np.array([row[0] for row in rows], np.int32),
        region=np.array([row[1] for row in rows], np.float32).reshape(-1, 4),
        shape=np.full(count, Shape.ELLIPSE, np.uint8),
        track=np.ones(count, np.int32),
        hidden_frames=(),
        settings_digest="",
        models_digest="",
        register_digest="",
    )


class Again:
    """Hides the source anew; notes of which frames that was asked."""

    def __init__(self, value=VEILED, missing=()):
        self.value, self.missing, self.asked = value, missing, []

    def __call__(self, numbers):
        self.asked += list(numbers)
        for number in numbers:
            if number not in self.missing:
                yield number, picture(self.value)


def bright(plane, regions, shapes):
    assert (shapes == Shape.ELLIPSE).all()
    return np.array([plane[y1:y2, x1:x2].mean() > VEILED + 5 for x1, y1, x2, y2 in regions.astype(int)])


def ask(source=None, plan=None, damaged=(), extras=(), again=None, pts=None, clear=bright, **more):
    plan = plan or planned()
    pts = np.arange(plan.frames, dtype=np.int64) * 40 + 7 if pts is None else pts
    return check(
        source or finished(), plan, pts, damaged, float(TICK), extras, lambda p: p, clear, again or Again(), **more
    )


def test_a_clip_as_planned_passes():
    told = []
    result = ask(progress=lambda *what: told.append(what))
    assert result.passed
    assert (result.frames, result.regions, result.findings) == (FRAMES, 2, ())
    assert told[-1] == ("check", FRAMES, FRAMES)


@pytest.mark.parametrize("count", [0, FRAMES - 1, FRAMES + 1])
def test_a_frame_too_few_or_too_many_is_a_finding(count):
    result = ask(finished(count))
    assert not result.passed
    assert f"the file has {count} frames, planned were {FRAMES}" in result.findings


def test_whatever_else_the_file_carries_is_a_finding():
    assert ask(extras=["chapters", "2 audio streams"]).findings == (
        "the file carries chapters",
        "the file carries 2 audio streams",
    )


@pytest.mark.parametrize("odd", [{"plane": None}, {"damaged": True}])
def test_a_frame_that_does_not_decode_is_a_finding(odd):
    assert "frame 3 of the finished file does not decode" in ask(finished(f3=odd)).findings


def test_times_count_from_the_first_frame():
    shifted = Source([frame(i, picture(), Fraction(i, 25) + 2) for i in range(FRAMES)])
    assert ask(shifted).passed


@pytest.mark.parametrize("off", [Fraction(1, 1000), Fraction(-1, 1000), Fraction(1)])
def test_a_frame_at_another_time_is_a_finding(off):
    result = ask(finished(f2={"time": Fraction(2, 25) + off}))
    assert [f for f in result.findings if f.startswith("frame 2 is shown at")]


def test_half_a_tick_is_rounding():
    assert ask(finished(f2={"time": Fraction(2, 25) + TICK / 2})).passed


@pytest.mark.parametrize(("seconds", "passes"), [(6.16, True), (6.1604, True), (6.161, False), (0.2, False)])
def test_a_film_that_ends_sooner_or_later_is_a_finding(seconds, passes):
    frames = [frame(number, picture()) for number in range(FRAMES)]
    result = ask(Source(frames, seconds), seconds=6.16)
    assert result.findings == (() if passes else (f"the file ends after {seconds:.4f} s, not 6.1600 s",))


def test_a_face_in_a_planned_region_is_a_finding():
    result = ask(finished(f2={"plane": picture(FACE)}))
    assert result.findings == ("frame 2: what was planned hidden at [10.0, 10.0, 30.0, 30.0] is not",)
    assert result.regions == 2


def test_a_face_in_no_planned_region_is_not_looked_at():
    assert ask(finished(f4={"plane": picture(FACE)})).passed


def test_detail_that_the_veil_itself_has_is_no_finding():
    again = Again(FACE)
    assert ask(finished(f2={"plane": picture(FACE)}), again=again).passed
    assert again.asked == [2]


@pytest.mark.parametrize(
    ("off", "passes"), [(0, True), (ENCODED - 1, True), (ENCODED + 1, False), (-ENCODED - 1, False)]
)
def test_a_veil_made_again_may_differ_by_what_encoding_changes(off, passes):
    assert ask(finished(f1={"plane": picture(FACE)}), again=Again(FACE + int(off))).passed is passes


def test_samples_of_ten_bits_are_four_times_as_fine():
    assert ask(finished(f1={"plane": picture(FACE)}), again=Again(FACE + 3 * int(ENCODED)), depth=10).passed
    assert not ask(finished(f1={"plane": picture(FACE)}), again=Again(FACE + 5 * int(ENCODED)), depth=10).passed
    assert ask(finished(f3={"plane": picture(noise=90)}), damaged=[3], depth=10).passed


def test_what_cannot_be_made_again_is_a_finding():
    result = ask(finished(f1={"plane": picture(FACE)}), again=Again(FACE, missing=[1]))
    assert result.findings == ("frame 1: what was planned hidden could not be proved to be",)


def test_nothing_is_made_again_without_need():
    again = Again()
    ask(again=again)
    assert again.asked == []


def test_every_region_of_a_frame_is_judged():
    other = (32, 10, 52, 30)
    plane = picture()
    plane[10:30, 32:52] = FACE
    result = ask(finished(f1={"plane": plane}), plan=planned(rows=[(1, REGION), (1, other)]))
    assert result.findings == ("frame 1: what was planned hidden at [32.0, 10.0, 52.0, 30.0] is not",)


def test_a_damaged_frame_must_be_flat():
    assert ask(damaged=[3]).passed
    result = ask(finished(f3={"plane": picture(noise=100)}), damaged=[3])
    assert result.findings == ("frame 3 should be hidden whole and is not",)


def test_regions_of_a_frame_hidden_whole_are_not_judged_one_by_one():
    again = Again()
    assert ask(damaged=[1], again=again).regions == 1


def test_a_region_that_reaches_out_of_the_picture_is_judged_where_it_lies_inside():
    plan = planned(rows=[(1, (-20, -20, 200, 200))])
    every = np.ones(1, bool)
    bright_all = finished(f1={"plane": np.full((48, 64), FACE, np.uint8)})
    findings = ask(bright_all, plan, clear=lambda *_: every).findings
    assert len(findings) == 1


@pytest.mark.parametrize(
    "region", [(-90, 10, 10, 30), (54, 10, 154, 30), (10, -90, 30, 10), (10, 38, 30, 138), (30, 30, 10, 10)]
)
def test_a_region_is_judged_by_what_the_edge_of_the_picture_leaves_of_it(region):
    plan = planned(rows=[(1, region)])
    every = np.ones(1, bool)
    bright_all = finished(f1={"plane": np.full((48, 64), FACE, np.uint8)})
    assert len(ask(bright_all, plan, clear=lambda *_: every).findings) == 1
    assert ask(plan=plan, clear=lambda *_: every).passed


def test_many_findings_of_a_kind_are_counted():
    count = MOST_FINDINGS + 3
    plan = planned(count, [(i, REGION) for i in range(count)])
    source = Source([frame(i, picture(FACE)) for i in range(count)])
    findings = ask(source, plan).findings
    assert len(findings) == MOST_FINDINGS + 1
    assert findings[-1] == "and 3 more like it"


def test_each_frame_has_to_be_proved_by_itself():
    odd = {"plane": picture(FACE)}
    result = ask(finished(f1=odd, f2=odd), again=Again(FACE, missing=[2]))
    assert result.findings == ("frame 2: what was planned hidden could not be proved to be",)
