"""Packets that hold one field of a picture each: two of them make one frame, and nothing else does."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import av.error
import pytest

from pipeline.adapters.packets import COLOURS, Samples

DESCRIBED = dict.fromkeys(COLOURS, 1)


class Film:
    """A container, its stream and its decoder, which is one packet behind; of 25 pictures a second.

    ``packets`` are (pts, whether a picture comes of it; None: it breaks).
    """

    def __init__(self, packets, rate=25):
        self._packets, self._waiting = packets, None
        self.format = SimpleNamespace(name="mpegts")
        self.average_rate = self.guessed_rate = self.base_rate = Fraction(rate)
        self.time_base = Fraction(1, 1000)
        self.codec_context = SimpleNamespace(name="h264", flags=0, has_b_frames=0, decode=self._decode, **DESCRIBED)
        self.metadata, self.start_time, self.duration = {}, 0, 0

    def demux(self, _):
        for number, (pts, gives) in enumerate(self._packets):
            yield SimpleNamespace(
                duration=None,
                pts=pts, dts=pts or 40 * number, size=9, is_discard=False, is_corrupt=False, is_keyframe=number == 0,
                gives=gives,
            )  # fmt: skip

    def _decode(self, packet):
        ready, self._waiting = self._waiting, packet
        if ready is not None and ready.gives is None:
            raise av.error.InvalidDataError(1, "broken")
        if ready is None or not ready.gives:
            return []
        told = {"interlaced_frame": True, "is_corrupt": False, "key_frame": not ready.pts}
        return [SimpleNamespace(pts=ready.pts, format=SimpleNamespace(is_rgb=False), **told, **DESCRIBED)]


def read(packets, rate=25):
    film = Film(packets, rate)
    return [(sample.pts, sample.damaged) for sample in Samples(film, film).run()]


@pytest.mark.parametrize("second", [20, None])
def test_two_fields_are_one_frame(second):
    packets = [(40 * n + part, part == 0) for n in range(5) for part in (0, 20)]
    packets = [(pts if gives or second else None, gives) for pts, gives in packets]
    assert read(packets) == [(40 * n, False) for n in range(5)]


def test_what_gives_a_picture_is_a_frame_whatever_its_time():
    assert len(read([(0, True), (None, True), (None, True), (120, True)])) == 4
    assert len(read([(0, True), (10, True), (20, True), (30, True)])) == 4


def test_a_picture_that_never_comes_is_damage():
    assert read([(0, True), (40, False), (80, True)])[1] == (40, True)
    assert read([(0, True), (40, True), (80, False), (120, True)])[2] == (80, True)
    assert read([(0, True), (40, None), (80, True)])[1] == (40, True)


def test_packets_that_were_counted_may_be_fields():
    """Wrapped as MP4, a packet holds a field, and the rate counts packets: every second one was taken for a loss."""
    packets = [(40 * n + part, part == 0) for n in range(8) for part in (0, 20)]
    film = Film(packets, 50)
    book = Samples(film, film)
    assert [(sample.pts, sample.damaged) for sample in book.run()] == [(40 * n, False) for n in range(8)]
    assert book.rate == 25


def test_a_broken_second_field_breaks_its_picture_only():
    packets = [(40 * n + part, part == 0) for n in range(8) for part in (0, 20)]
    packets[1] = (20, None)
    assert [pts for pts, _ in read(packets, 50)] == [0, 20, *(40 * n for n in range(1, 8))]


def test_where_no_two_pictures_are_as_near_as_a_loss_it_is_a_loss():
    packets = [(40 * n, n % 2 == 0 or n < 2) for n in range(8)]
    assert [pts for pts, _ in read(packets)] == [40 * n for n in range(8)]
