"""A clip worked on in segments by worker processes comes to the same plan, to the bit, even when a worker is killed."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline import jobs, run, settings
from pipeline.adapters.film import Film, Key
from pipeline.adapters.vault import Vault
from pipeline.cli import main
from pipeline.elsewhere import segments
from pipeline.engine import opened
from pipeline.errors import NotAVideoError, QuarantinedError, UsageError
from pipeline.settings import Settings
from tests import clips
from tests.same import assert_equal

SECONDS = 64
"""Of film, a frame each: one segment and a little."""


@pytest.fixture(scope="module")
def film(tmp_path_factory, hopper) -> Path:
    """Two faces, one of which moves and comes and goes; a frame a second, a keyframe every seventh, sound."""
    path = tmp_path_factory.mktemp("film") / "lesson.mp4"
    face = cv2.resize(cv2.imread(str(hopper)), (96, 112), interpolation=cv2.INTER_AREA)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=1, options={"bf": "2", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt, video.gop_size = 320, 180, "yuv420p", 7
        sound = out.add_stream("aac", rate=16000, layout="mono")
        for n in range(SECONDS):
            ground = 90 if n < 40 else 140
            picture = np.full((180, 320, 3), ground, np.uint8)
            picture[30:142, 4 + 2 * (n % 20) : 100 + 2 * (n % 20)] = face
            if n % 30 < 22:
                picture[60:172, 210:306] = cv2.flip(face, 1)
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(video.encode(None))
        tone = (0.2 * np.sin(np.arange(16000 * SECONDS) * 0.2)).astype(np.float32)
        for at in range(0, len(tone), 1024):
            block = av.AudioFrame.from_ndarray(tone[None, at : at + 1024], "fltp", "mono")
            block.sample_rate, block.pts = 16000, at
            out.mux(sound.encode(block))
        out.mux(sound.encode(None))
    return path


@pytest.fixture(scope="module")
def networks():
    return run.Networks(True)


@pytest.fixture(scope="module")
def people(tmp_path_factory, hopper, networks):
    folder = tmp_path_factory.mktemp("portraits")
    (folder / "grace").mkdir()
    (folder / "grace" / "a.jpg").write_bytes(hopper.read_bytes())
    return run.enrol_folder(folder, networks)


@pytest.fixture(scope="module")
def in_one_go(film, people, networks, tmp_path_factory):
    return run.redact_clip(film, tmp_path_factory.mktemp("one") / "out.mp4", people, Settings(), networks)


def assert_same(one, other):
    assert_equal(one.found, other.found)
    assert_equal(one.plan, other.plan)
    assert one.decisions == other.decisions
    assert one.identities == other.identities


def test_the_film_has_what_this_needs(in_one_go):
    analysis = in_one_go.analysis
    assert analysis.found.seams.tolist() == [60]
    assert len(analysis.found) > SECONDS
    assert any(decision.keep for decision in analysis.decisions) or len(analysis.identities) > 1


@pytest.mark.slow
@pytest.mark.logs_errors
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_workers_come_to_the_same_plan_though_one_is_killed(film, people, networks, in_one_go, kind, tmp_path):
    out = tmp_path / "out.mp4"
    killed = []
    with opened(settings.Engine(kind=kind, workers=2)) as engine:

        def progress(stage, done, total):
            # the first segment was looked at, or written: its worker is killed at whatever it does by now
            if stage in ("detect", "render") and done < SECONDS and len(killed) < 2 and engine.pids():
                killed.append(stage)
                os.kill(engine.pids()[-1], signal.SIGKILL)

        done = run.redact_clip(film, out, people, Settings(), networks, progress, engine)
    assert killed == ["detect", "render"]
    assert_same(in_one_go.analysis, done.analysis)
    assert done.check.passed
    assert replace(done.render, path=film, sha256="", bytes=0) == replace(
        in_one_go.render, path=film, sha256="", bytes=0
    )
    assert list(done.times) == list(in_one_go.times)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_worker_reads_a_sealed_copy_with_its_key_and_tells_nobody(film, tmp_path):
    vault = Vault(tmp_path / "vault", key_file=True)
    with vault.writer() as writer:
        writer.write(film.read_bytes())
        writer.commit("clip")
    sealed = Film("lesson", vault.path("clip"), Key(vault.key("clip")))
    assert vault.key("clip").hex() not in repr(sealed) + str(sealed.key)
    assert str(vault.key("clip")) not in repr(sealed) + str(sealed.key)
    with opened(settings.Engine(kind="processes", workers=1)) as engine:
        clip = sealed.open()
        stretch = segments(clip)[-1]
        (last,) = engine.map(jobs.look, [jobs.Look(sealed, stretch, (), 24.0, 0.07, 1)])
    assert stretch.since == Fraction(60)
    assert last.found.frames == SECONDS - 60
    assert len(last.found) > 0


def test_several_clips_go_side_by_side_and_one_that_fails_stops_none(tmp_path, capsys):
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("één.mp4", "b c.mp4", "d.mp4"):
        clips.make(folder / name, frames=12, audio="aac")
    (folder / "bad.mp4").write_bytes(b"no film")
    code = main(["redact", str(folder), "-o", str(tmp_path / "out"), "--workers", "2", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == NotAVideoError.code
    assert [Path(one["source"]).name for one in told["clips"]] == ["b c.mp4", "d.mp4", "één.mp4"]  # as in the folder
    assert [Path(one["source"]).name for one in told["failed"]] == ["bad.mp4"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b c.mp4", "d.mp4", "één.mp4"]
    assert all(one["frames"] == 12 and one["check"]["passed"] for one in told["clips"])


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_a_picture_that_changes_its_size_is_told_as_such(workers, tmp_path, capsys):
    parts = [clips.make(tmp_path / f"{size}.ts", size=size) for size in ("320x180", "160x90")]
    names = tmp_path / "parts.txt"
    names.write_text("".join(f"file '{part}'\n" for part in parts))
    film = tmp_path / "call.mkv"
    clips.call("-f", "concat", "-safe", "0", "-i", names, "-c", "copy", film)
    assert main(["redact", str(film), "-o", str(tmp_path / "out.mp4"), *workers]) == QuarantinedError.code
    said = capsys.readouterr().err
    assert "12 of 24 frames are of another size" in said
    assert "card" not in said


@pytest.mark.parametrize("count", ["0", "-1", "100000"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(tmp_path, count, capsys):
    assert main(["redact", "a.mp4", "-o", str(tmp_path / "out"), "--workers", count]) == UsageError.code


@pytest.mark.parametrize("kind", ["processes", "dask"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_workspace_gives_its_sealed_copies_to_workers(tmp_path, kind, capsys):
    place, card = tmp_path / "lessen", tmp_path / "card"
    (card / "DCIM" / "100TEST").mkdir(parents=True)
    for name, frames in (("MVI_0001.MP4", 12), ("MVI_0002.MP4", 14)):
        clips.make(card / "DCIM" / "100TEST" / name, frames=frames, audio="aac")
    assert main(["init", str(place), "--key-file"]) == 0
    with (place / "lesveil.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n[engine]\nkind = "{kind}"\nworkers = 2\n')
    capsys.readouterr()
    assert main(["run", "--card", str(card), "-C", str(place), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["stage"] for one in told["clips"]] == ["rendered", "rendered"]
    assert [Path(one["file"]).name for one in told["clips"]] == ["MVI_0001.MP4", "MVI_0002.MP4"]  # though at once
    assert not [path for path in (place / "redacted").iterdir() if path.name.endswith(".partial")]
