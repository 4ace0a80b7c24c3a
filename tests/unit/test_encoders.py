"""An encoder is used only when it was seen to work; hardware is never required."""

from __future__ import annotations

import av
import pytest

from pipeline.adapters import encoders
from pipeline.adapters.video_in import open_clip
from pipeline.adapters.video_out import ClipWriter
from pipeline.errors import LesveilError
from tests import clips


@pytest.fixture(autouse=True)
def _fresh():
    encoders.works.cache_clear()
    yield
    encoders.works.cache_clear()


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv420p10le"])
def test_what_works_is_seen_to_work(pixels):
    assert encoders.works("libx264", pixels, 128, 96)


@pytest.mark.parametrize("name", ["no_such_encoder", "mpeg4", "png"])
def test_what_is_not_there_or_makes_no_h264_does_not_work(name):
    assert not encoders.works(name, "yuv420p", 128, 96)


def test_software_is_the_default_and_what_auto_falls_back_to(monkeypatch):
    monkeypatch.setattr(encoders, "HARDWARE", ("no_such_encoder",))
    for wanted in ("software", "auto", "no_such_encoder"):
        assert encoders.chosen(wanted, "yuv420p", 128, 96) == "libx264"


def test_software_asks_no_hardware(monkeypatch):
    monkeypatch.setattr(encoders, "works", lambda *_: pytest.fail("hardware was asked for"))
    assert encoders.chosen("software", "yuv420p", 128, 96) == "libx264"


def test_auto_takes_the_first_that_works(monkeypatch):
    asked = []

    def works(name, *_):
        asked.append(name)
        return name == "h264_qsv"

    monkeypatch.setattr(encoders, "works", works)
    assert encoders.chosen("auto", "yuv420p", 128, 96) == "h264_qsv"
    assert encoders.chosen("h264_videotoolbox", "yuv420p", 128, 96) == "libx264"
    assert asked == ["h264_nvenc", "h264_qsv", "h264_videotoolbox"]


@pytest.mark.parametrize("harm", ["empty", "black", "fails"])
def test_a_device_that_answers_with_rubbish_does_not_work(monkeypatch, harm):
    real = encoders._encoded

    def spoilt(name, pictures):
        if harm == "fails":
            raise av.error.ExternalError(1, "the driver is too old")
        if harm == "empty":
            return []
        return real("libx264", [encoders._picture(0, "yuv420p", 128, 96).reformat(format="yuv420p")] * 4)

    monkeypatch.setattr(encoders, "_encoded", spoilt)
    monkeypatch.setattr(encoders, "ALIKE", 1.0)
    assert not encoders.works("h264_nvenc", "yuv420p", 128, 96)


@pytest.mark.parametrize("name", encoders.HARDWARE)
def test_a_film_is_written_whether_the_hardware_is_there_or_not(tmp_path, name):
    clip = open_clip(clips.make(tmp_path / "a.mp4", frames=8))
    with ClipWriter(tmp_path / "b.mp4", clip, encoder=name) as writer:
        for frame in clip.frames():
            writer.write(frame.picture, frame.pts)
        assert writer.close().frames == 8
    assert sum(1 for _ in open_clip(tmp_path / "b.mp4").frames()) == 8


def test_options_of_every_encoder_ask_for_closed_groups():
    assert encoders.options("libx264", "superfast", 21)["forced-idr"] == "1"
    assert encoders.options("h264_nvenc", "superfast", 21)["forced-idr"] == "1"
    assert encoders.options("h264_qsv", "superfast", 21)["forced_idr"] == "1"


def test_hardware_that_stops_is_blamed_and_not_the_film(monkeypatch, tmp_path):
    """It worked when it was tried; now its driver has no place left."""
    monkeypatch.setattr(encoders, "works", lambda *_: True)
    film = clips.make(tmp_path / "f.mp4", size="160x96", frames=6)

    def write():
        with open_clip(film) as clip, ClipWriter(tmp_path / "out.mp4", clip, encoder="h264_nvenc") as writer:
            for frame in clip.frames():
                writer.write(frame.picture, frame.pts)
            writer.close()

    with pytest.raises(LesveilError, match="h264_nvenc of this machine stopped"):
        write()
    assert not (tmp_path / "out.mp4").exists()
