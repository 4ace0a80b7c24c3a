"""The second look from outside, with eyes that see what the test says: what is released, and what is not."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline import messages, opinion
from pipeline.adapters.video_in import open_clip
from pipeline.cli import main
from pipeline.errors import UsageError
from pipeline.records import Sighting
from tests import clips

BOX = (200.0, 60.0, 240.0, 110.0)


DETAIL = 4.0
"""Mean grey levels between neighbouring pixels from which noise can be seen."""

OTHERS = ((20.0, 20.0, 50.0, 60.0), (100.0, 110.0, 130.0, 150.0), (270.0, 20.0, 300.0, 60.0))


def detail(grey: np.ndarray) -> float:
    return float(np.abs(np.diff(grey.astype(np.float32), axis=1)).mean())


class Eyes:
    """See a face at the first of ``places`` that has detail in it."""

    workers = 2

    def __init__(self, *places: tuple[float, ...], fails: bool = False) -> None:
        self.places, self.fails = places or (BOX,), fails

    def __call__(self, picture, threshold):
        if self.fails:
            raise RuntimeError("the lamp went out")
        for place in self.places:
            x1, y1, x2, y2 = map(int, place)
            if detail(picture[y1:y2, x1:x2].mean(axis=2)) >= DETAIL:
                return np.array([place], np.float32), np.ones(1, np.float32)
        return np.empty((0, 4), np.float32), np.empty(0, np.float32)

    def closely(self, picture, boxes):
        return np.full(len(boxes), 0.9, np.float32)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return clips.make(tmp_path / "les.mp4", size="320x180", frames=30, picture_filter="noise=alls=70:allf=t")


@pytest.fixture
def lesveil(monkeypatch, capsys):
    def run(eyes, *words):
        monkeypatch.setattr(opinion, "eyes_of", lambda setting: (eyes, opinion.LOOKED))
        code = main([*map(str, words), "--lang", "en", "--quiet"])
        said = capsys.readouterr()
        return code, said.out, said.err

    yield run
    messages.choose("en")


def picture(path: Path, number: int) -> np.ndarray:
    with av.open(str(path)) as container:
        for at, frame in enumerate(container.decode(video=0)):
            if at == number:
                return frame.to_ndarray(format="gray")
    raise AssertionError(number)


def inside(path: Path, number: int) -> np.ndarray:
    x1, y1, x2, y2 = map(int, BOX)
    return picture(path, number)[y1:y2, x1:x2]


def test_what_it_sees_is_hidden_and_the_film_released(clip, lesveil, tmp_path):
    out, report = tmp_path / "klaar.mp4", tmp_path / "r.json"
    code, said, _ = lesveil(Eyes(), "redact", clip, "-o", out, "--report", report, "--json")
    assert code == 0
    entry = json.loads(report.read_text())["clips"][0]
    assert json.loads(said)["clips"][0]["second_opinion"] == entry["second_opinion"]
    second = entry["second_opinion"]
    assert (second["state"], second["left"]) == ("looked", [])
    assert second["hidden"][0]["box"] == list(BOX)
    reasons = {span["reason"] for track in entry["tracks"] for span in track["spans"]}
    assert "second_look" in reasons
    for number in (0, 15, 29):
        assert detail(inside(clip, number)) >= DETAIL > detail(inside(out, number))
    assert np.abs(picture(out, 15)[:, :100].astype(int) - picture(clip, 15)[:, :100]).mean() < 12


def test_a_place_is_followed_by_the_clock_and_not_by_the_mean_rate(tmp_path):
    """A second at sixty frames and then one every two seconds: five seconds are all of the burst, not 16 frames."""
    path = tmp_path / "gesprek.mkv"
    room = np.random.default_rng(0).integers(0, 255, (180, 320), np.uint8)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=60, options={"preset": "ultrafast", "crf": "12"})
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        for number in range(70):
            frame = av.VideoFrame.from_ndarray(room, format="gray")
            frame.pts, frame.time_base = number if number < 60 else 60 + 120 * (number - 59), Fraction(1, 60)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    one = Sighting(48, 53, np.array([50], np.int32), np.array([BOX], np.float32), 0.9)
    with open_clip(path) as clip:
        pts = np.array([frame.pts for frame in clip.frames()], np.int64)
        frame, box = opinion.places(one, clip, pts, [])
    assert (frame[0], frame[-1]) == (0, 61)
    assert np.abs(box - BOX).max() < 6  # it is followed with some room


def test_asked_for_a_decision_it_releases_nothing(clip, lesveil, tmp_path):
    out = tmp_path / "klaar.mp4"
    code, said, err = lesveil(Eyes(), "redact", clip, "-o", out, "--on-finding", "ask", "--json")
    assert code == 42
    assert "0:00.0 at 220,85" in err
    assert json.loads(said)["failed"][0]["findings"][0]["box"] == list(BOX)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["les.mp4"]


@pytest.mark.parametrize("eyes", [Eyes(BOX, *OTHERS), Eyes(fails=True)], ids=["never content", "failing"])
def test_to_the_end_unsure_or_blind_it_releases_nothing(clip, lesveil, tmp_path, eyes):
    code, _, err = lesveil(eyes, "redact", clip, "-o", tmp_path / "klaar.mp4")
    assert code == 42
    assert "released" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["les.mp4"]


def test_one_refused_clip_does_not_stop_the_others(clip, lesveil, tmp_path):
    clips.make(tmp_path / "leeg.mp4", size="320x180", frames=10, picture_filter="drawbox=t=fill:color=gray")
    out = tmp_path / "uit"
    code, *_ = lesveil(Eyes(), "redact", clip, tmp_path / "leeg.mp4", "-o", out, "--on-finding", "ask")
    assert code == 42
    assert [path.name for path in out.iterdir()] == ["leeg.mp4"]


def test_without_the_weights_it_says_so_and_demanded_it_is_an_error(clip, monkeypatch, capsys, tmp_path):
    entries = opinion.blazeface.manifest()
    gone = {name: one.__class__(**{**vars(one), "package": "no_such_package"}) for name, one in entries.items()}
    monkeypatch.setattr(opinion.blazeface, "manifest", lambda: gone)
    opinion._blazeface.cache_clear()
    words = ["redact", str(clip), "--lang", "en", "--quiet", "--json", "-o"]
    for asked in (["--second-opinion"], ["--on-finding", "ask"]):
        assert main([*words, str(tmp_path / "a.mp4"), *asked]) == 6
        assert "pip install --no-deps" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "a.mp4"), "--on-finding", "ask", "--no-second-opinion"]) == UsageError.code
    capsys.readouterr()
    assert main([*words, str(tmp_path / "b.mp4"), "--no-second-opinion"]) == 0
    assert json.loads(capsys.readouterr().out)["clips"][0]["second_opinion"]["state"] == "off"
    assert main([*words, str(tmp_path / "c.mp4")]) == 0
    assert json.loads(capsys.readouterr().out)["clips"][0]["second_opinion"]["state"] == "not installed"
    assert not (tmp_path / "a.mp4").exists()
    messages.choose("en")
