"""One packet says that it comes much later than it does: nobody is bare in what follows, and not all of it is held."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.adapters.packets import Samples
from pipeline.adapters.video_in import open_clip
from pipeline.run import Networks, redact_clip
from pipeline.settings import Settings
from samples.corpus import drawn
from tests import judge

SIZE, RATE, WRONG = (640, 360), 25, 20


def film(path: Path, codec: str, frames: int, there: range, alter: Callable[[av.Packet], av.Packet]) -> object:
    """Somebody is ``there`` in some frames; the packet of frame WRONG is altered. The look of the face."""
    head, (x1, y1, x2, y2) = drawn((240, 180), 0)
    room = cv2.GaussianBlur(np.random.default_rng(3).integers(40, 200, (*SIZE[::-1], 3), np.uint8), (0, 0), 25)
    sound = path.with_name(f"sound {path.name}")
    with av.open(str(sound), "w") as container:
        video = container.add_stream(codec, rate=RATE)
        video.width, video.height = SIZE
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        video.options = {"bf": "0", "g": str(RATE), "qmin": "2", "qmax": "2"}
        for number in range(frames):
            picture = room.copy()
            if number in there:
                picture[90:270, 200:440] = head
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    with av.open(str(sound)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            altered = alter(packet) if number == WRONG else packet
            altered.stream = stream
            container.mux(altered)
    return head[y1:y2, x1:x2]


def test_who_comes_after_a_frame_that_is_two_seconds_early_is_looked_at(tmp_path: Path) -> None:
    """What follows it is crowded into a few hundredths of a second, where by the clock no look is due."""

    def later(packet: av.Packet) -> av.Packet:
        packet.pts = (packet.pts or 0) + round(2 / (packet.time_base or 1))
        return packet

    path, out = tmp_path / "a.mkv", tmp_path / "out.mp4"
    there = range(25, 50)
    face = film(path, "mjpeg", 100, there, later)
    with open_clip(path) as clip:
        times = [float(frame.time) for frame in clip.frames()]
    assert times[there.stop] - times[there.start] < 0.1, "the film is not what it should be"
    known = judge.Judge(face)
    before = judge.decoded(path, SIZE)
    assert min(known.seen(before[number])[0] for number in there) > 0.8, "the oracle does not see the face"
    redact_clip(path, out, [], Settings(), Networks(recognition=False))
    after = judge.decoded(out, SIZE)
    assert max(known.seen(picture)[0] for picture in after) < judge.SEEN


def test_a_broken_packet_with_a_far_time_does_not_hold_up_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(packet: av.Packet) -> av.Packet:
        other = av.Packet(b"\x00\x00\x00\x05\x41\xff\xff\xff\xff")
        other.time_base, other.dts = packet.time_base, packet.dts
        other.pts = (packet.pts or 0) + round(1000 / (packet.time_base or 1))
        return other

    path = tmp_path / "a.mkv"
    film(path, "libx264", 200, range(0), broken)
    arrived = 0
    arrive = Samples._arrive

    def counted(self: Samples, picture: av.VideoFrame) -> None:
        nonlocal arrived
        arrived += 1
        arrive(self, picture)

    monkeypatch.setattr(Samples, "_arrive", counted)
    with open_clip(path) as clip:
        ahead = [arrived - frame.number for frame in clip.frames() if frame.number <= 100]
        assert WRONG in clip.damaged
    assert max(ahead) < 60
