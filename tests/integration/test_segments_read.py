"""A clip read and written in segments: what comes is what comes in one go, or it says that it cannot."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from pipeline import jobs
from pipeline.adapters import files
from pipeline.adapters.film import Film
from pipeline.adapters.part import Part, keyframes
from pipeline.adapters.pictures import fingerprint
from pipeline.adapters.segment import Mark, Segment, SegmentError, can_be_cut
from pipeline.adapters.splice import Piece, SpliceError, _Clock, splice
from pipeline.adapters.video_in import open_clip
from pipeline.elsewhere import Elsewhere, segments
from pipeline.errors import DiskFullError, OutputNotWritableError, QuarantinedError
from pipeline.hiding.residues import residues
from pipeline.records import Figures, RedactionPlan, Style, no_progress
from pipeline.settings import Rendering
from pipeline.stages import check as checking
from pipeline.stages import detect
from tests import clips


class InTurn:
    """An Engine that does the jobs here, one after the other, and can spoil an answer."""

    workers, threads = 1, 1

    def __init__(self, spoil=lambda n, answer: answer):
        self.spoil, self.done = spoil, []

    def map(self, work, items, priority=0):
        for item in items:
            self.done.append(item)
            yield self.spoil(len(self.done) - 1, work(item))

    def close(self):
        pass


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch):
    monkeypatch.setattr(detect, "SEGMENT_SECONDS", Fraction(1))


KINDS = {
    "mp4": {},
    "B-frames, long groups": {"g": 40, "bf": 3, "b_strategy": 0, "codec": "libx264"},
    "open groups": {"x264-params": "open-gop=1:keyint=15:bframes=3:scenecut=0", "codec": "libx264"},
    "hevc": {"codec": "libx265", "x265-params": "log-level=none:keyint=20"},
    "29.97": {"rate": "30000/1001", "frames": 100, "g": 15},
    "mpeg4": {"codec": "mpeg4", "g": 12},
    "interlaced": {"flags": "+ilme+ildct", "x264-params": "tff=1:keyint=20"},
}


def marks(frames):
    return [(frame.time, Mark.of(frame).digest) for frame in frames]


def apart(clip):
    found = []
    for stretch in segments(clip):
        piece = Segment(clip, stretch.since, stretch.until)
        numbers = []
        for frame in piece.frames():
            numbers.append(frame.number)
            found.append((frame.time, Mark.of(frame).digest))
        assert numbers == list(range(len(numbers)))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
def test_segments_hold_the_very_frames_of_the_clip(tmp_path, kind, container):
    path = clips.make(tmp_path / f"a.{container}", **({"frames": 85} | KINDS[kind]))
    clip = open_clip(path)
    assert can_be_cut(clip)
    assert len(segments(clip)) == 4
    assert apart(clip) == marks(clip.frames())


def test_a_frame_beyond_is_the_next_segments_first(tmp_path):
    clip = open_clip(clips.make(tmp_path / "a.mp4", frames=70, g=30))
    parts = [Segment(clip, s.since, s.until, beyond=True) for s in segments(clip)]
    for part in parts:
        list(part.frames())
    for one, other in pairwise(parts):
        assert one.following == other.first
    assert parts[-1].following is None
    assert parts[-1].ended


@pytest.mark.parametrize("harm", ["flip", "cut", "blank"])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_damaged_clip_is_read_in_one_go_or_just_as_well(tmp_path, harm, container):
    whole = clips.make(tmp_path / f"a.{container}", frames=100, g=20)
    bad = tmp_path / f"b.{container}"
    if harm == "cut":
        clips.cut(whole, bad, 0.7)
        if container == "mp4":
            clips.remux(whole, tmp_path / "f.mp4", movflags="faststart")
            clips.cut(tmp_path / "f.mp4", bad, 0.7)
    elif harm == "flip":
        clips.flip(whole, bad, 12)
    elif container == "mp4":
        clips.blank(whole, bad, 0.5, 400)
    else:
        data = bytearray(whole.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
        bad.write_bytes(data)
    clip = open_clip(bad)
    engine = InTurn()
    found, _ = Elsewhere(engine, Film("b", bad)).look(clip, [], _settings(), no_progress, Figures())
    truth = open_clip(bad)
    frames = list(truth.frames())
    assert found.frames == len(frames)
    assert set(found.damaged.tolist()) | clip.damaged == truth.damaged
    if truth.damaged:
        assert engine.done[-1].stretch.whole


def _settings():
    from pipeline.settings import Settings

    return Settings()


def test_a_film_that_says_it_lasts_for_ever_is_not_cut_into_billions(tmp_path):
    """One broken byte of a Matroska's header is enough."""
    path = clips.make(tmp_path / "a.mkv", frames=30)
    data = bytearray(path.read_bytes())
    at = data.index(b"\x44\x89\x88") + 3
    data[at : at + 8] = struct.pack(">d", 9e15)
    path.write_bytes(data)
    clip = open_clip(path)
    assert clip.info.duration > 1e12
    assert [stretch.whole for stretch in segments(clip)] == [True]


def test_transport_streams_and_takes_of_several_files_are_not_cut(tmp_path):
    path = clips.make(tmp_path / "a.ts", frames=60)
    assert len(segments(open_clip(path))) == 1
    two = [clips.make(tmp_path / f"{n}.mp4", frames=40) for n in range(2)]
    clip = open_clip(tmp_path / "take", [lambda path=path: path.open("rb") for path in two])
    assert len(segments(clip)) == 1


def plan_for(frames, *regions):
    """Regions: (frame, box)."""
    rows = sorted(regions)
    return RedactionPlan(
        clip="a",
        frames=frames,
        style=Style.SOLID,
        frame=np.array([row[0] for row in rows], np.int32),
        region=np.array([row[1] for row in rows], np.float32).reshape(-1, 4),
        shape=np.ones(len(rows), np.uint8),
        track=np.zeros(len(rows), np.int32),
        hidden_frames=(33,),
        settings_digest="",
        models_digest="",
        register_digest="",
    )


def written(path, out, engine, audio="keep", mutes=(), plan=None, spoil=None):
    clip = open_clip(path)
    frames, prints = zip(*((frame.pts, fingerprint(frame.picture)) for frame in clip.frames()), strict=True)
    plan = plan or plan_for(len(frames), *((n, (20 + n % 30, 16, 60 + n % 30, 60)) for n in range(3, len(frames))))
    plan = replace(plan, prints=np.resize(np.array(prints, np.uint64), plan.frames))
    elsewhere = Elsewhere(engine, Film("a", path))
    stretches = segments(clip)
    tick = clip.info.time_base
    counts = [
        sum((s.since is None or p * tick >= s.since) and (s.until is None or p * tick < s.until) for p in frames)
        for s in stretches
    ]
    elsewhere._cut = list(zip(stretches, counts, strict=True))
    rendering = Rendering(audio=audio)
    done, told = elsewhere.write(clip, plan, out, rendering, mutes, no_progress, Figures())
    return clip, plan, done, told


def packets(path, kind):
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [(p.pts, p.dts, bytes(p)) for p in container.demux(stream) if p.size]


@pytest.mark.parametrize("kind", ["mp4", "B-frames, long groups", "29.97", "interlaced"])
def test_what_is_joined_is_what_was_planned(tmp_path, kind):
    path = clips.make(tmp_path / "a.mp4", audio="aac", sound_seconds=3.4, **({"frames": 85} | KINDS[kind]))
    partial = files.partial_path(tmp_path / "out.mp4")
    engine = InTurn()
    clip, plan, done, told = written(path, partial, engine, mutes=[(0.5, 0.7)])
    assert len(engine.done) == 4
    assert told.frames == len(done.pts) == plan.frames
    assert done.damaged == (33,)
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == [partial.name]
    here = files.partial_path(tmp_path / "here.mp4")
    _, also = jobs.carry_out(clip, clip, plan, here, Rendering(), [(0.5, 0.7)])
    assert replace(told, bytes=0) == replace(also, bytes=0)
    assert packets(partial, "audio") == packets(here, "audio")
    assert [p[:2] for p in sorted(packets(partial, "video"))] == [p[:2] for p in sorted(packets(here, "video"))] or (
        sorted(p[0] for p in packets(partial, "video")) == sorted(p[0] for p in packets(here, "video"))
    )
    decoded = [p[1] for p in packets(partial, "video")]
    assert all(one < other for one, other in pairwise(decoded))
    assert [t for t, _ in clips.oracle(partial)] == [t for t, _ in clips.oracle(here)]
    luma = lambda picture: jobs.planes(picture)[0]  # noqa: E731
    result = checking.check(
        open_clip(partial),
        plan,
        done.pts,
        done.damaged,
        float(clip.info.time_base),
        [],
        luma,
        lambda plane, regions, shapes: residues(plane, regions, shapes, plan.style, 8) > 2.0,
        lambda numbers: iter(()),
    )
    assert result.findings == ()
    assert result.regions == len(plan.frame) - 1


def test_a_segment_that_is_short_fails_the_clip_and_leaves_nothing(tmp_path):
    path = clips.make(tmp_path / "a.mp4", frames=85, audio="aac", sound_seconds=3.4)
    partial = files.partial_path(tmp_path / "out.mp4")

    def short(n, answer):
        return replace(answer, rendered=replace(answer.rendered, pts=answer.rendered.pts[:-1])) if n == 2 else answer

    with pytest.raises(QuarantinedError, match="gave"):
        written(path, partial, InTurn(short))
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_piece_that_is_begun_when_the_clip_has_failed_is_not_left_behind(tmp_path):
    """Whoever is done with the segment that failed is given the next before anybody hears of it."""
    path = clips.make(tmp_path / "a.mp4", frames=85)
    partial = files.partial_path(tmp_path / "out.mp4")

    def full(n, answer):
        raise files.disk_full(answer.path)

    engine = InTurn(full)
    with pytest.raises(DiskFullError):
        written(path, partial, engine)
    with pytest.raises(OutputNotWritableError):
        jobs.write(engine.done[0])
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_plan_of_other_frames_than_the_film_has_is_refused(tmp_path):
    path = clips.make(tmp_path / "a.mp4", frames=85)
    partial = files.partial_path(tmp_path / "out.mp4")
    with pytest.raises(QuarantinedError):
        written(path, partial, InTurn(), plan=plan_for(86))
    with pytest.raises(QuarantinedError):
        written(path, partial, InTurn(), plan=plan_for(84))
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_pieces_of_another_encoding_are_not_joined_but_the_film_is_written_in_one_go(tmp_path):
    path = clips.make(tmp_path / "a.mp4", frames=85)
    other = clips.make(tmp_path / "other.mp4", frames=25, size="64x64")
    partial = files.partial_path(tmp_path / "out.mp4")

    def swapped(n, answer):
        if n == 1:
            answer.path.write_bytes(other.read_bytes())
        return answer

    engine = InTurn(swapped)
    _, plan, done, _ = written(path, partial, engine)
    assert engine.done[-1].stretch.whole
    assert len(done.pts) == plan.frames
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([partial.name, "a.mp4", "other.mp4"])


def test_an_answer_that_does_not_meet_its_neighbour_is_not_believed(tmp_path):
    path = clips.make(tmp_path / "a.mp4", frames=85)

    def odd(n, answer):
        return replace(answer, first=Mark(answer.first.pts, b"another")) if n == 2 else answer

    engine, alone, figures = InTurn(odd), InTurn(), (Figures(), Figures())
    found, _ = Elsewhere(engine, Film("a", path)).look(open_clip(path), [], _settings(), no_progress, figures[0])
    assert engine.done[-1].stretch.whole
    assert found.frames == 85
    # and what it cost is not told beside what the whole did
    (whole,) = alone.map(jobs.look, [engine.done[-1]], 0)
    assert figures[0].counts == whole.figures.counts


def test_the_segment_before_the_first_keyframe_cannot_be_read_apart(tmp_path):
    clip = open_clip(clips.make(tmp_path / "a.mp4", frames=50))
    with pytest.raises(SegmentError):
        list(Segment(clip, Fraction(100), None).frames())
    with pytest.raises(SegmentError):
        list(Segment(clip, None, Fraction(100)).frames())


def test_a_spliced_film_of_uneven_times_is_as_long_as_it_was(tmp_path, monkeypatch):
    """A packet of an MP4 says how long it is until the next is decoded, not for how long its picture is shown."""
    dice, times = random.Random(6), [Fraction(0)]
    while len(times) < 60:
        times.append(times[-1] + Fraction(dice.choice((17, 40, 100, 900)), 1000))
    clip = open_clip(clips.uneven(tmp_path / "a.mp4", times, Fraction(1, 25)))
    pts, prints = zip(*((frame.pts, fingerprint(frame.picture)) for frame in clip.frames()), strict=True)
    plan = replace(plan_for(len(pts)), prints=np.array(prints, np.uint64))
    old, piece, new = (tmp_path / name for name in ("old.mp4", "piece.mp4", "new.mp4"))
    _, written = jobs.carry_out(clip, clip, plan, old, Rendering(audio="mute"), [])
    start, stop = keyframes(old, np.array(pts))[-2:]  # up to the last picture, which is a keyframe of its own
    part = Part(clip, np.array(pts), start, stop)
    jobs.carry_out(clip, part, plan.part(start, stop), piece, Rendering(audio="mute"), [])
    splice(old, [Piece(piece, start, stop)], new)
    assert open_clip(new).info.duration == pytest.approx(written.seconds)
    monkeypatch.setattr(_Clock, "lasts", lambda self, pts: 5000)
    with pytest.raises(SpliceError, match="length"):  # so that the film is rendered in one go
        splice(old, [Piece(piece, start, stop)], new)
    assert not new.exists()
