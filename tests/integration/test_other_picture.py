"""What is written is the very picture that was looked at, or nobody sees it: two passes over a film are compared."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import jobs
from pipeline.adapters import files
from pipeline.adapters.pictures import fingerprint, planes, shrunk
from pipeline.adapters.video_in import open_clip
from pipeline.errors import QuarantinedError, TruncatedVideoError
from pipeline.records import Frame
from pipeline.run import Networks, redact_clip
from pipeline.settings import Settings
from pipeline.stages import decide, detect, render
from samples import damage
from tests import clips
from tests.conftest import TABLES


def picture(pixels="yuv420p", width=70, height=50, seed=0):
    made = av.VideoFrame(width, height, pixels)
    draw = np.random.default_rng(seed)
    for plane in made.planes:
        plane.update(draw.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    return made


@given(st.sampled_from(["yuv420p", "yuv422p", "yuv420p10le", "yuv422p10le", "yuv444p"]), st.data())
def test_any_sample_of_any_plane_makes_another_fingerprint(pixels, data):
    made = picture(pixels)
    before = fingerprint(made)
    plane = data.draw(st.sampled_from(planes(made, writable=True)))
    at = data.draw(st.integers(0, plane.shape[0] - 1)), data.draw(st.integers(0, plane.shape[1] - 1))
    assert fingerprint(made) == before
    plane[at] ^= 1
    assert fingerprint(made) != before
    plane[at] ^= 1
    assert fingerprint(made) == before


@pytest.mark.parametrize("width", [64, 70, 33])
def test_what_lies_beyond_the_edge_does_not_count(width):
    made = picture(width=width)
    before = fingerprint(made)
    for plane in made.planes:
        rows = np.frombuffer(plane, np.uint8).copy().reshape(plane.height, plane.line_size)
        rows[:, plane.width :] ^= 255
        plane.update(rows.tobytes())
    assert fingerprint(made) == before


class Film:
    """Frames whose pictures are numbers."""

    def __init__(self, numbers, damaged=()):
        self.numbers, self.damaged = numbers, damaged

    def frames(self):
        for n, number in enumerate(self.numbers):
            yield Frame(n, n, Fraction(n), None if n in self.damaged else number, n in self.damaged)


class Tape:
    def __init__(self):
        self.written = []

    def write(self, picture, pts):
        self.written.append(picture)


def planned(prints):
    made = decide.plan("a", 5, [], [], [], Settings().redaction.style, "", "", "", prints=np.empty(0, np.uint64))
    return replace(made, prints=np.array(prints, np.uint64))


def test_a_picture_that_comes_out_otherwise_is_hidden_whole():
    tape = Tape()
    done = render.render(
        Film([7, 8, 99, 10, 11]),
        planned([7, 8, 9, 10, 11]),
        tape,
        hide=None,
        blank=lambda: "blank",
        fingerprint=lambda it: it,
    )
    assert tape.written == [7, 8, "blank", 10, 11]
    assert done.damaged == (2,)


def test_a_picture_that_was_not_to_be_seen_the_first_time_is_hidden_the_second():
    tape = Tape()
    done = render.render(
        Film([7, 8, 9, 10, 11], damaged=[3]),
        planned([7, 0, 9, 10, 11]),
        tape,
        None,
        lambda: "blank",
        fingerprint=lambda it: it,
    )
    assert tape.written == [7, "blank", 9, "blank", 11]
    assert done.damaged == (1, 3)


@pytest.fixture(scope="module")
def networks():
    return Networks(recognition=False)


KINDS = {
    "h264": {"bf": "2"},
    "hevc": {"codec": "libx265"},
    "hevc, without rows": {"codec": "libx265", "x265-params": "log-level=none:wpp=0"},
    "hevc, slices": {"codec": "libx265", "x265-params": "log-level=none:slices=3:bframes=3"},
    "interlaced": {"flags": "+ilme+ildct", "x264-params": "tff=1:keyint=20"},
    "mjpeg": {"codec": "mjpeg", "pixel_format": "yuvj422p"},
    "vp9": {"codec": "libvpx-vp9"},
    "av1": {"codec": "libsvtav1"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_sound_films_come_out_the_same_both_ways(tmp_path, networks, kind):
    path = clips.make(tmp_path / "a.mkv", frames=30, size="192x128", **KINDS[kind])
    done = redact_clip(path, tmp_path / "out.mp4", [], Settings(), networks)
    assert done.render.damaged == ()
    assert len(done.analysis.plan.prints) == 30
    assert done.analysis.plan.prints.all()
    assert len(set(done.analysis.plan.prints.tolist())) > 1


def test_whoever_changes_a_film_between_two_passes_changes_nothing_that_is_seen(tmp_path):
    """The second pass meets other pictures than the first in ten frames: those are blank, and it is told."""
    path = clips.make(tmp_path / "a.mp4", frames=30)
    clip = open_clip(path)
    found = detect.detect(clip, Blind(), 0.5, fingerprint=fingerprint, shrink=shrunk, cut_out=None)
    plan = decide.plan("a", 30, [], [], [], Settings().redaction.style, "", "", "", prints=found.prints)
    other = plan.prints.copy()
    other[10:20] += 1
    partial = files.partial_path(tmp_path / "out.mp4")
    done, _ = jobs.carry_out(clip, clip, replace(plan, prints=other), partial, Settings().rendering, ())
    assert done.damaged == tuple(range(10, 20))
    shown = [planes(frame.picture)[0].copy() for frame in open_clip(partial).frames()]
    assert all(one.std() < 2 for one in shown[10:20])
    assert all(one.std() > 10 for one in shown[:10] + shown[20:])


def test_too_many_of_them_and_the_film_is_not_released(tmp_path, networks, monkeypatch):
    path = clips.make(tmp_path / "a.mp4", frames=30)
    real = detect.detect

    def otherwise(*given, fingerprint, **more):
        return real(*given, fingerprint=lambda picture: fingerprint(picture) ^ 1, **more)

    monkeypatch.setattr(detect, "detect", otherwise)
    with pytest.raises(QuarantinedError):
        redact_clip(path, tmp_path / "out.mp4", [], Settings(), networks)
    assert not (tmp_path / "out.mp4").exists()


class Blind:
    """A detector that finds nothing."""

    def __call__(self, shown, threshold):
        return np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32)


FLIPS = 40


def test_a_garbled_picture_of_hevc_mostly_comes_out_otherwise_the_other_way(tmp_path, request):
    """One bit flipped at each of FLIPS places: what the decoder itself reports, and what comparing two ways finds."""
    film = clips.make(tmp_path / "a.mp4", codec="libx265", frames=15, size="256x192")

    def prints(path, otherwise):
        with open_clip(path) as clip:
            if otherwise:
                clip.read_otherwise()
            frames = list(clip.frames())
            return [fingerprint(frame.picture) if frame.picture else 0 for frame in frames], bool(clip.damaged)

    sound, _ = prints(film, False)
    assert prints(film, True)[0] == sound
    changed = reported = found = 0
    for place in range(FLIPS):
        path = damage.flip(film, tmp_path / f"{place}.mp4", 1, place)
        try:
            one, told = prints(path, False)
            other, _ = prints(path, True)
        except (QuarantinedError, TruncatedVideoError):
            continue
        if one != sound:
            changed, reported, found = changed + 1, reported + told, found + (one != other)
    line = f"HEVC, {changed} flips that changed the picture: reported by the decoder {reported}, by comparing {found}"
    request.config.stash.setdefault(TABLES, []).append(line)
    assert changed > FLIPS / 2
    assert found > 0.6 * changed
    assert found > 2 * reported
