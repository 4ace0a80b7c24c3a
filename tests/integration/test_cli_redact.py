"""``lesveil redact`` from outside: what goes in, what comes out, and what every kind of bad input comes to."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import ffmpeg
import numpy as np
import pytest

import samples
from pipeline import jobs, messages, run
from pipeline.adapters import files
from pipeline.cli import main
from pipeline.commands import redact as redacting
from pipeline.errors import CheckFailedError, NotReadyError, UsageError, all_errors
from pipeline.records import U8
from tests import clips

SIZE = (960, 540)
RATE = 10


@dataclass(frozen=True)
class Said:
    """What one command came to."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The error, after checking that it is one sentence on a line of its own and no traceback."""
        line = self.err.rstrip("\n").splitlines()[-1]
        assert "Traceback" not in self.err
        assert line.startswith("lesveil: ")
        assert line.endswith(".")
        assert ". " not in line
        return line


@pytest.fixture
def lesveil(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Said]]:
    """Run a command in this process, in English unless told otherwise."""

    def run(*words: object) -> Said:
        capsys.readouterr()
        language = [] if "--lang" in words else ["--lang", "en"]
        code = main([str(word) for word in (*words, *language)])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    yield run
    messages.choose("en")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder for results, empty."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames in which nobody is, with sound."""
    path = tmp_path_factory.mktemp("clip") / "leeg.mp4"
    return clips.make(path, size="320x180", frames=10, audio="aac")


@pytest.fixture(scope="session")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, samples.Truth, Path]:
    """(clip, truth, portraits of those who may be seen): seven people, two seconds."""
    folder = tmp_path_factory.mktemp("lesson")
    truth = samples.make_lesson(folder / "les.mp4", 2, SIZE, RATE)
    samples.make_portraits(folder / "portretten", everyone=False)
    return folder / "les.mp4", truth, folder / "portretten"


@pytest.fixture(scope="session")
def group(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, samples.Truth]:
    """Three people, half a second."""
    path = tmp_path_factory.mktemp("group") / "groep.mp4"
    return path, samples.make_lesson(path, 0.5, SIZE, RATE, scene="group")


def names(folder: Path) -> list[str]:
    """Everything under a folder, hidden files too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def streams(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [stream.type for stream in container.streams]


def heard(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def luma(path: Path) -> list[U8]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="gray"), np.uint8) for frame in container.decode(video=0)]


def change(before: list[U8], after: list[U8], row: dict[str, Any]) -> float:
    """Mean difference in a face's box, 0..255."""
    x1, y1, x2, y2 = (round(v) for v in row["box"])
    one, other = (frames[row["frame"]][y1:y2, x1:x2].astype(np.float32) for frames in (before, after))
    return float(np.abs(one - other).mean())


# --- what it is for ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def kept(lesson: tuple[Path, samples.Truth, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """(result, report) of the lesson with the portraits of those who may be seen."""
    folder = tmp_path_factory.mktemp("kept")
    source, _, portraits = lesson
    out, report = folder / "les.mp4", folder / "report.json"
    assert main(["redact", str(source), "-o", str(out), "--keep", str(portraits), "--report", str(report)]) == 0
    assert names(folder) == ["les.mp4", "report.json"]
    return out, json.loads(report.read_text(encoding="utf-8"))


def test_only_the_right_people_are_seen(lesson: tuple[Path, samples.Truth, Path], kept: tuple[Path, Any]) -> None:
    source, truth, _ = lesson
    before, after = luma(source), luma(kept[0])
    assert [frame.shape for frame in before] == [frame.shape for frame in after]
    rows = [row for row in truth.faces if not row.get("ignore")]
    hidden = [change(before, after, row) for row in rows if not row["keep"]]
    shown = [change(before, after, row) for row in rows if row["keep"]]
    assert len(hidden) > 30
    assert len(shown) > 30
    assert min(hidden) > 20
    # a neighbour's veil may touch a face that is kept, not cover it; one who runs off at 16 faces a second is not told
    # apart from another who came as they went, and hidden for two frames
    assert np.mean(np.array(shown) < 12) > 0.95
    assert np.mean(np.array(shown) < 3) > 0.75


def test_the_report_accounts_for_every_track(lesson: tuple[Path, samples.Truth, Path], kept: tuple[Path, Any]) -> None:
    out, report = kept
    (one,) = report["clips"]
    assert report["failed"] == []
    mode = (out.parent / "report.json").stat().st_mode
    assert os.name == "nt" or stat.S_IMODE(mode) == 0o600, "it says who was there when"
    assert (one["source"], one["output"]) == (str(lesson[0]), str(out))
    assert one["sha256"] == files.sha256_of(out)
    assert one["bytes"] == out.stat().st_size
    assert one["frames"] == lesson[1].frames
    assert one["check"]["passed"]
    assert one["kept"] == sorted({row["id"] for row in lesson[1].faces if row["keep"]})
    assert len(one["tracks"]) >= 6
    for track in one["tracks"]:
        spans = track["spans"]
        assert spans
        assert all(a["last_frame"] + 1 == b["first_frame"] for a, b in itertools.pairwise(spans))
        for span in spans:
            assert 0 <= span["first_frame"] <= span["last_frame"] < one["frames"]
            assert span["start"] == pytest.approx(span["first_frame"] / RATE, abs=0.002)
            assert span["stop"] == pytest.approx((span["last_frame"] + 1) / RATE, abs=0.002)
            assert span["decision"] in ("keep", "hide")
            assert span["reason"]
            assert (span["decision"] == "keep") == (span["person"] in one["kept"])
    assert one["figures"]["frames_per_second"] > 0
    assert {"detect", "render", "check", "total"} <= set(one["figures"]["seconds"])


def test_the_report_tells_time_by_the_finished_film(
    lesson: tuple[Path, samples.Truth, Path], out: Path, tmp_path: Path, lesveil: Callable[..., Said]
) -> None:
    """A camera's .MTS begins anywhere; what is made of it begins at zero."""
    clip = clips.remux(lesson[0], tmp_path / "a.ts", output_ts_offset="1000")
    assert lesveil("redact", clip, "-o", out / "x.mp4", "--report", out / "r.json").code == 0
    with av.open(str(out / "x.mp4")) as film:
        times = [frame.time for frame in film.decode(video=0)]
    (one,) = json.loads((out / "r.json").read_text())["clips"]
    spans = [span for track in one["tracks"] for span in track["spans"]]
    assert spans
    for span in spans:
        assert span["start"] == pytest.approx(times[span["first_frame"]], abs=0.001)


def test_without_portraits_everyone_is_hidden(
    group: tuple[Path, samples.Truth], out: Path, lesveil: Callable[..., Said]
) -> None:
    source, truth = group
    said = lesveil("redact", source, "-o", out, "--json")
    assert said.code == 0
    document = json.loads(said.out)
    assert document["clips"][0]["kept"] == []
    before, after = luma(source), luma(out / "groep.mp4")
    assert min(change(before, after, row) for row in truth.faces if not row.get("ignore")) > 8


@pytest.mark.parametrize("style", ["solid", "pixelate"])
def test_the_other_styles(
    style: str, group: tuple[Path, samples.Truth], out: Path, lesveil: Callable[..., Said]
) -> None:
    source, truth = group
    said = lesveil("redact", source, "-o", out / "klaar.mp4", "--style", style, "--json")
    assert said.code == 0
    assert json.loads(said.out)["clips"][0]["style"] == style
    before, after = luma(source), luma(out / "klaar.mp4")
    for row in truth.faces:
        if row.get("ignore"):
            continue
        assert change(before, after, row) > 5
        if style == "solid":
            x1, y1, x2, y2 = (round(v) for v in row["box"])
            assert after[row["frame"]][y1:y2, x1:x2].std() < 4


@pytest.mark.parametrize("style", ["veil", "solid", "pixelate"])
def test_the_whole_person_on_request(
    style: str, group: tuple[Path, samples.Truth], out: Path, lesveil: Callable[..., Said]
) -> None:
    """Where shoulders are, a face's height below the chin, nothing of them is left; heads are hidden as ever."""
    source, truth = group
    said = lesveil("redact", source, "-o", out / "klaar.mp4", "--style", style, "--hide", "person", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["clips"][0]["hides"] == "person"
    before, after = luma(source), luma(out / "klaar.mp4")
    for row in truth.faces:
        if row.get("ignore"):
            continue
        x1, y1, x2, y2 = (round(v) for v in row["box"])
        assert change(before, after, row) > 5
        below = row | {"box": (x1, y2 + (y2 - y1), x2, y2 + 2 * (y2 - y1))}
        assert change(before, after, below) > 3
        if style == "solid":
            part = after[row["frame"]][y2 + (y2 - y1) : y2 + 2 * (y2 - y1), x1:x2]
            assert part.std() < 4


def test_mute_leaves_no_sound(clip: Path, out: Path, lesveil: Callable[..., Said]) -> None:
    assert lesveil("redact", clip, "-o", out / "stil.mp4", "--audio", "mute").code == 0
    assert streams(out / "stil.mp4") == ["video"]
    assert lesveil("redact", clip, "-o", out / "hoorbaar.mp4").code == 0
    assert streams(out / "hoorbaar.mp4") == ["video", "audio"]
    assert lesveil("redact", clip, "-o", out / "vreemd.mp4", "--audio", "disguise").code == 0
    assert streams(out / "vreemd.mp4") == ["video", "audio"]
    known, strange = (heard(out / f"{name}.mp4") for name in ("hoorbaar", "vreemd"))
    assert known.shape == strange.shape
    assert abs(np.corrcoef(known, strange)[0, 1]) < 0.2
    assert np.abs(strange).max() > 0.05


def test_sound_that_was_to_be_left_out_is_not_released(
    clip: Path, out: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = jobs.ClipWriter
    monkeypatch.setattr(jobs, "ClipWriter", lambda *a, **k: writer(*a, **{**k, "audio": "keep"}))
    said = lesveil("redact", clip, "-o", out / "stil.mp4", "--audio", "mute")
    assert said.code == CheckFailedError.code
    assert "1 audio streams" in said.sentence
    assert names(out) == []


def test_nothing_else_rides_along(lesson: tuple[Path, samples.Truth, Path], kept: tuple[Path, Any]) -> None:
    assert "data" in streams(lesson[0])
    assert streams(kept[0]) == ["video", "audio"]


def test_a_folder_goes_in_and_a_folder_comes_out(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    source = tmp_path / "kaart"
    (source / "sub").mkdir(parents=True)
    for name in ("a.mp4", "sub/A.MP4", "b.MP4", ".verborgen.mp4"):
        (source / name).write_bytes(clip.read_bytes())
    (source / "lees mij.txt").write_text("no clip")
    said = lesveil("redact", source, "-o", out / "nieuw", "--json")
    assert said.code == 0
    assert len(json.loads(said.out)["clips"]) == 3
    assert names(out / "nieuw") == ["a.mp4", "b.mp4", "sub", "sub/A.mp4"]


def test_nothing_in_a_folder_is_passed_over_in_silence(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    """What a DVD or an older camera wrote is a clip, too; a link to a disk that is gone is told."""
    source = tmp_path / "kaart"
    source.mkdir()
    kinds = ("VTS_01_1.VOB", "MOV001.MOD", "oud.3g2", "band.m2t", "tv.trp", "web.f4v", "cd.mpe", "bel.3gpp", "x.divx")
    for name in kinds:
        (source / name).write_bytes(clip.read_bytes())
    (source / "schijf").symlink_to(tmp_path / "schijf")
    (source / "weg.mp4").symlink_to(tmp_path / "schijf" / "weg.mp4")
    _pipe(source / "buis.mp4", clip)
    said = lesveil("redact", source, "-o", out / "nieuw")
    assert "weg.mp4 does not exist" in said.err
    assert "buis.mp4 is a pipe or a device" in said.err
    assert "schijf does not exist" in said.err
    assert "3 of 12 clips were not done." in said.err
    assert names(out / "nieuw") == sorted(f"{Path(name).stem}.mp4" for name in kinds)


def test_a_folder_that_is_a_link_is_gone_into_once(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    source, real = tmp_path / "kaart", tmp_path / "echt"
    for place in (source / "sub", real / "diep", real / "klaar"):
        place.mkdir(parents=True)
    (source / "sub" / "a.mp4").write_bytes(clip.read_bytes())
    (real / "diep" / "b.mp4").write_bytes(clip.read_bytes())
    (source / "een").symlink_to(real)
    (source / "nog eens").symlink_to(real / "diep")
    (source / "ander").symlink_to(source / "sub")
    (source / "sub" / "terug").symlink_to(source)
    (real / "rond").symlink_to(real)
    assert lesveil("redact", source, "-o", out / "nieuw").code == 0
    assert names(out / "nieuw") == ["een", "een/diep", "een/diep/b.mp4", "sub", "sub/a.mp4"]


def test_a_link_to_where_results_lie_is_told_and_the_others_are_done(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    source, other = tmp_path / "kaart", tmp_path / "ander"
    for place in (source, out, other):
        place.mkdir(exist_ok=True)
        (place / "a.mp4").write_bytes(clip.read_bytes())
    (source / "ander").symlink_to(other)
    (source / "uit").symlink_to(out)
    said = lesveil("redact", source, "-o", out / "klaar")
    assert said.code == 2
    assert f"uit: {out / 'klaar'} lies within {source / 'uit'}" in said.err
    assert "1 of 3 clips was not done." in said.err
    assert names(out / "klaar") == ["a.mp4", "ander", "ander/a.mp4"]


@pytest.mark.parametrize("which", ["dicht", "kaart"])
def test_a_folder_that_cannot_be_read_is_told_and_the_others_are_done(
    which: str, clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kaart" / "dicht").mkdir(parents=True)
    (tmp_path / "kaart" / "a.mp4").write_bytes(clip.read_bytes())
    scandir = os.scandir

    def refused(path: Any = ".") -> Any:
        if Path(os.fsdecode(path)).name == which:
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    said = lesveil("redact", tmp_path / "kaart", "-o", out / "nieuw")
    assert said.code == 10
    assert f"{which} cannot be opened: " in said.err
    assert names(out) == ([] if which == "kaart" else ["nieuw", "nieuw/a.mp4"])


def test_what_was_deleted_is_not_made_again(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    """On a card or a stick it lies in a hidden folder, or in one that Windows hides; on a share in one of its own."""
    deleted = (
        *(".Trashes/501/b.mp4", ".Trash-1000/files/c.mp4", "$RECYCLE.BIN/S-1-5-21/$R5JZ0Q1.mp4"),
        *("#recycle/d.mp4", "@Recycle/e.mp4", "@eaDir/a.mp4/SYNOPHOTO_FILM_H.mp4"),
    )
    for name in ("a.mp4", *deleted):
        (tmp_path / "kaart" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kaart" / name).write_bytes(clip.read_bytes())
    assert lesveil("redact", tmp_path / "kaart", "-o", out / "nieuw").code == 0
    assert names(out / "nieuw") == ["a.mp4"]


def test_a_clip_that_comes_in_later_changes_no_other_name(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    source = tmp_path / "kaart"
    (source / "b").mkdir(parents=True)
    (source / "a").mkdir()
    (source / "b/x.mp4").write_bytes(clip.read_bytes())
    assert lesveil("redact", source, "-o", out / "nieuw").code == 0
    for name in ("a/x.mp4", "b/x.mov"):
        (source / name).write_bytes(clip.read_bytes())
    said = lesveil("redact", source, "-o", out / "nieuw")
    assert f"b/x.mp4: {out / 'nieuw/b/x.mp4'} exists already" in said.err
    assert "1 of 3 clips was not done." in said.err
    assert names(out / "nieuw") == ["a", "a/x.mp4", "b", "b/x.mp4", "b/x_mov.mp4"]


@pytest.mark.parametrize("what", ["two clips", "a folder"])
def test_a_name_for_one_clip_is_no_name_for_a_folder(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said], what: str
) -> None:
    """``redact *.MTS -o les.mp4``: what it comes to is not to depend on how many there are."""
    (tmp_path / "b").mkdir()
    for place in ("a.mp4", "b/b.mp4"):
        (tmp_path / place).write_bytes(clip.read_bytes())
    clips = [tmp_path / "a.mp4", tmp_path / "b/b.mp4"] if what == "two clips" else [tmp_path / "b"]
    said = lesveil("redact", *clips, "-o", out / "les.mp4")
    assert said.code == UsageError.code
    assert said.err.strip() == f"lesveil: {out / 'les.mp4'} is a name for one clip; several clips need a folder."
    assert names(out) == []


def test_same_names_from_two_folders_are_numbered(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    for name in ("een", "twee", "drie"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "les.mp4").write_bytes(clip.read_bytes())
    said = lesveil("redact", *(tmp_path / name / "les.mp4" for name in ("een", "twee", "drie")), "-o", out)
    assert said.code == 0
    assert names(out) == ["les.mp4", "les_2.mp4", "les_3.mp4"]


def test_a_clip_and_a_folder_of_one_name_are_both_done(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    for name in ("les.mov", "les.mp4/deel.mp4"):
        (tmp_path / "kaart" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kaart" / name).write_bytes(clip.read_bytes())
    assert lesveil("redact", tmp_path / "kaart", "-o", out).code == 0
    assert names(out) == ["les.mp4", "les.mp4/deel.mp4", "les_mov.mp4"]


def test_results_cannot_lie_in_a_link_that_leads_in_a_circle(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    (tmp_path / "kaart").mkdir()
    (tmp_path / "kaart" / "les.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "rond").symlink_to(tmp_path / "om")
    (tmp_path / "om").symlink_to(tmp_path / "rond")
    said = lesveil("redact", tmp_path / "kaart", "-o", tmp_path / "rond")
    assert said.code == 31
    assert "cannot be written" in said.err


def test_a_clip_that_is_named_twice_is_done_once(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "lessen"
    (folder / "sub").mkdir(parents=True)
    for name in ("b.mp4", "sub/a.mp4"):
        (folder / name).write_bytes(clip.read_bytes())
    said = lesveil("redact", "lessen/sub/a.mp4", folder, "lessen/./b.mp4", folder, "-o", out / "nieuw")
    assert said.code == 0
    assert names(out / "nieuw") == ["a.mp4", "b.mp4"]
    said = lesveil("redact", folder / "b.mp4", "lessen/b.mp4", "-o", out / "een.mp4")
    assert said.code == 0
    assert names(out) == ["een.mp4", "nieuw", "nieuw/a.mp4", "nieuw/b.mp4"]


def test_a_clip_that_goes_away_or_changes_meanwhile_is_told_as_such(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "les.mp4"
    shorter = clips.cut(clip, tmp_path / "kort.mp4", 0.6).read_bytes()
    for change, code, words in (
        (source.unlink, 10, "went away while it was worked on"),
        (lambda: source.write_bytes(shorter), 14, "was changed while it was worked on"),
    ):
        source.write_bytes(clip.read_bytes())
        decide = run.decide.decide

        def first(*args: Any, change: Any = change, decide: Any = decide) -> Any:
            change()
            return decide(*args)

        with monkeypatch.context() as patch:
            patch.setattr(run.decide, "decide", first)
            said = lesveil("redact", source, "-o", out / "klaar.mp4")
        assert (said.code, words in said.sentence, str(source) in said.sentence) == (code, True, True), said.sentence
        assert names(out) == []


@pytest.mark.parametrize("becomes", ["nothing", "a file"])
def test_a_folder_of_results_that_goes_away_meanwhile_is_told_as_such(
    becomes: str, clip: Path, out: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = run.checking.check

    def last(*args: Any) -> Any:
        result = checked(*args)
        shutil.rmtree(out)
        if becomes == "a file":
            out.write_bytes(b"")
        return result

    monkeypatch.setattr(run.checking, "check", last)
    said = lesveil("redact", clip, "-o", out / "klaar.mp4")
    assert said.code == 31
    assert f"{out / 'klaar.mp4'} cannot be written: " in said.sentence
    assert "choose another folder" in said.sentence


@pytest.mark.parametrize(("there", "before"), [(0.97, "decide"), (0.5, "look")])
def test_a_clip_that_is_still_being_copied_is_not_done_by_half(
    there: float,
    before: str,
    tmp_path: Path,
    out: Path,
    lesveil: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = clips.make(tmp_path / "kaart.mp4", size="320x180", frames=100, audio=None, g="5")
    whole = clips.remux(made, tmp_path / "vooraan.mp4", movflags="faststart")
    source = clips.cut(whole, tmp_path / "les.mp4", there)
    room, name = (run.decide, "decide") if before == "decide" else (run.jobs, "search")
    work = getattr(room, name)

    def copied(*words: Any, **named: Any) -> Any:
        found = work(*words, **named)
        source.write_bytes(whole.read_bytes())
        return found

    monkeypatch.setattr(room, name, copied)
    said = lesveil("redact", source, "-o", out / "klaar.mp4")
    assert (said.code, "was changed while it was worked on" in said.sentence) == (14, True), said.sentence
    assert names(out) == []


def test_json_is_one_document_and_nothing_else(clip: Path, out: Path, lesveil: Callable[..., Said]) -> None:
    said = lesveil("redact", clip, out / "weg.mp4", "-o", out / "klaar", "--json")
    document = json.loads(said.out)
    assert said.code == 10
    assert [entry["source"] for entry in document["clips"]] == [str(clip)]
    assert [(entry["source"], entry["code"]) for entry in document["failed"]] == [(str(out / "weg.mp4"), 10)]
    alone = lesveil("redact", out / "weg.mp4", "-o", out / "x.mp4", "--json")
    assert alone.code == 10
    assert json.loads(alone.out)["clips"] == []


def test_dutch_when_asked_for(clip: Path, out: Path, lesveil: Callable[..., Said]) -> None:
    said = lesveil("redact", clip, "-o", out / "a.mp4", "--lang", "nl")
    assert said.code == 0
    assert "leeg.mp4: klaar, 10 beelden" in said.err
    said = lesveil("--lang=nl", "redact", out / "weg.mp4", "-o", out / "b.mp4", "--lang", "nl")
    assert said.sentence == f"lesveil: {out / 'weg.mp4'} bestaat niet; kijk de naam na."
    assert names(out) == ["a.mp4"]


def test_help_lists_the_exit_codes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    rows = {line.split()[0] for line in done.stdout.split("exit codes:")[1].splitlines() if line.strip()}
    assert {"0", "130", *(str(kind.code) for kind in all_errors())} <= rows
    assert done.stderr == ""


# --- bad input --------------------------------------------------------------------------------------------------


def _missing(path: Path, _: Path) -> None:
    assert not path.exists()


def _empty(path: Path, _: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path, _: Path) -> None:
    path.write_text("Dit is geen video.\n" * 200)


def _truncated(path: Path, good: Path) -> None:
    assert [kind for kind, *_ in clips.boxes(good.read_bytes())][-1] == "moov"
    clips.cut(good, path, 0.5)


def _sound_only(path: Path, _: Path) -> None:
    clips.run(ffmpeg.output(clips.sound(), str(path), **{"c:a": "aac"}))


def _pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


BAD = [
    pytest.param(_missing, 10, id="no such file"),
    pytest.param(_empty, 11, id="zero bytes"),
    pytest.param(_text, 11, id="text"),
    pytest.param(_truncated, 12, id="no moov"),
    pytest.param(_sound_only, 13, id="sound only"),
    pytest.param(
        _pipe, 10, id="a pipe", marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
    ),
]


@pytest.mark.parametrize(("spoil", "code"), BAD)
def test_a_bad_clip_alone(
    spoil: Callable[[Path, Path], None], code: int, clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    bad = tmp_path / "les 3b.mp4"
    spoil(bad, clip)
    said = lesveil("redact", bad, "-o", out / "klaar.mp4")
    assert said.code == code
    assert str(bad) in said.sentence
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
    assert names(out) == []


@pytest.mark.parametrize(("spoil", "code"), BAD)
def test_a_bad_clip_among_others(
    spoil: Callable[[Path, Path], None], code: int, clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    bad = tmp_path / "les 3b.mp4"
    spoil(bad, clip)
    said = lesveil("redact", bad, clip, "-o", out)
    assert said.code == code
    assert f"les 3b.mp4: {bad}" in said.err
    assert "1 of 2 clips was not done." in said.err
    assert "Traceback" not in said.err
    assert names(out) == ["leeg.mp4"]


def test_different_troubles_have_a_code_of_their_own(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    _empty(tmp_path / "a.mp4", clip)
    _sound_only(tmp_path / "b.mp4", clip)
    said = lesveil("redact", tmp_path / "a.mp4", clip, tmp_path / "b.mp4", "-o", out)
    assert said.code == 41
    assert said.sentence == "lesveil: 2 of 3 clips were not done."
    assert names(out) == ["leeg.mp4"]


def test_what_nobody_foresaw_in_one_clip_leaves_the_others_to_be_done(
    clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        shutil.copy(clip, tmp_path / name)
    write = run.render_checked

    def second_breaks(reader: Any, plan: Any, *rest: Any, **more: Any) -> Any:
        if plan.clip == "b.mp4":
            raise ValueError("operands could not be broadcast. At all.")
        return write(reader, plan, *rest, **more)

    monkeypatch.setattr(run, "render_checked", second_breaks)
    said = lesveil("redact", *(tmp_path / f"{one}.mp4" for one in "abc"), "-o", out, "--report", out / "r.json")
    assert said.code == 1
    assert said.err.splitlines()[-1] == "1 of 3 clips was not done."
    assert "Traceback" not in said.err
    assert "b.mp4: Lesveil ran into a mistake of its own (ValueError: operands could not be broadcast; At all, in" in (
        said.err
    )
    assert names(out) == ["a.mp4", "c.mp4", "r.json"]
    report = json.loads((out / "r.json").read_text())
    assert [Path(one["source"]).name for one in report["failed"]] == ["b.mp4"]
    assert len(report["clips"]) == 2
    alone = lesveil("redact", tmp_path / "b.mp4", "-o", out / "b.mp4")
    assert alone.code == 1
    assert "ValueError" in alone.sentence
    assert names(out) == ["a.mp4", "c.mp4", "r.json"]


def test_a_command_that_breaks_says_so_in_a_sentence(
    clip: Path, out: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("side")

    monkeypatch.setattr(files, "refuse_unwritable", broken)
    said = lesveil("redact", clip, "-o", out / "x.mp4", "--report", out / "r.json")
    assert said.code == 1
    assert "(KeyError: 'side', in commands/redact.py:" in said.sentence
    assert names(out) == []


def test_a_folder_without_clips(tmp_path: Path, out: Path, lesveil: Callable[..., Said]) -> None:
    (tmp_path / "leeg").mkdir()
    said = lesveil("redact", tmp_path / "leeg", "-o", out)
    assert (said.code, names(out)) == (10, [])
    assert str(tmp_path / "leeg") in said.sentence


def _no_pictures(folder: Path, _: U8) -> Path:
    return folder


def _no_folder(folder: Path, _: U8) -> Path:
    folder.rmdir()
    return folder


def _empty_person(folder: Path, _: U8) -> Path:
    (folder / "noor").mkdir()
    return folder / "noor"


def _unreadable(folder: Path, _: U8) -> Path:
    return _portrait(folder, b"no picture at all")


def _of_an_iphone(folder: Path, face: U8) -> Path:
    _portrait(folder, cv2.imencode(".png", face)[1].tobytes())
    (folder / "noor" / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    return folder / "noor" / "IMG_0001.HEIC"


def _huge(folder: Path, _: U8) -> Path:
    """30,000 x 30,000 pixels in a few bytes: the head alone says so."""
    head = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    chunk = (13).to_bytes(4, "big") + head + zlib.crc32(head).to_bytes(4, "big")
    return _portrait(folder, b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT")


def _no_face(folder: Path, _: U8) -> Path:
    grey = np.full((400, 400, 3), 128, np.uint8)
    return _portrait(folder, cv2.imencode(".png", grey)[1].tobytes())


def _two_faces(folder: Path, face: U8) -> Path:
    return _portrait(folder, cv2.imencode(".png", np.hstack([face, face]))[1].tobytes())


def _portrait(folder: Path, data: bytes) -> Path:
    (folder / "noor").mkdir()
    (folder / "noor" / "een.png").write_bytes(data)
    return folder / "noor" / "een.png"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(_no_pictures, 20, id="empty folder"),
        pytest.param(_no_folder, 20, id="no folder"),
        pytest.param(_empty_person, 20, id="person without pictures"),
        pytest.param(_unreadable, 21, id="unreadable"),
        pytest.param(_of_an_iphone, 21, id="HEIC"),
        pytest.param(_huge, 21, id="huge"),
        pytest.param(_no_face, 22, id="no face"),
        pytest.param(_two_faces, 23, id="two faces"),
    ],
)
def test_bad_portraits(
    spoil: Callable[[Path, U8], Path],
    code: int,
    face: U8,
    clip: Path,
    tmp_path: Path,
    out: Path,
    lesveil: Callable[..., Said],
) -> None:
    folder = tmp_path / "portretten"
    folder.mkdir()
    named = spoil(folder, face)
    said = lesveil("redact", clip, "-o", out / "klaar.mp4", "--keep", folder)
    assert said.code == code
    assert str(named) in said.sentence
    assert names(out) == []


def test_who_has_pictures_of_two_people_stays_hidden(
    lesson: tuple[Path, samples.Truth, Path], tmp_path: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    """One picture of one pupil among two of another: the mean would be the other one."""
    samples.make_portraits(tmp_path / "all")
    zoe, jurgen = (samples.CAST[name].id for name in ("zoe", "jurgen"))
    folder = tmp_path / "portretten"
    shutil.copytree(tmp_path / "all" / jurgen, folder / jurgen)
    (folder / zoe).mkdir()
    (mine, *_), (_, *others) = (sorted((tmp_path / "all" / one).iterdir()) for one in (zoe, jurgen))
    for path in (mine, *others[:2]):
        shutil.copy(path, folder / zoe)
    said = lesveil("redact", lesson[0], "-o", out / "k.mp4", "--keep", folder, "--report", out / "r.json")
    assert said.code == 0, said.err
    assert f"{zoe} stays hidden: {folder / zoe / mine.name}" in said.err
    assert json.loads((out / "r.json").read_text())["clips"][0]["kept"] == [jurgen]


def test_out_exists(clip: Path, out: Path, lesveil: Callable[..., Said]) -> None:
    there = out / "klaar.mp4"
    there.write_bytes(b"precious")
    before = there.stat().st_mtime_ns
    said = lesveil("redact", clip, "-o", there)
    assert said.code == 30
    assert str(there) in said.sentence
    assert (there.read_bytes(), there.stat().st_mtime_ns) == (b"precious", before)
    assert lesveil("redact", clip, "-o", clip).code == 30
    (out / "leeg.mp4").symlink_to(out / "nowhere")
    assert lesveil("redact", clip, "-o", out).code == 30
    assert names(out) == ["klaar.mp4", "leeg.mp4"]


def test_out_exists_for_one_of_several(clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]) -> None:
    other = tmp_path / "ander.mp4"
    other.write_bytes(clip.read_bytes())
    (out / "leeg.mp4").write_bytes(b"precious")
    said = lesveil("redact", clip, other, "-o", out)
    assert said.code == 30
    assert names(out) == ["ander.mp4", "leeg.mp4"]
    assert (out / "leeg.mp4").read_bytes() == b"precious"
    (tmp_path / "file").write_bytes(b"")
    assert lesveil("redact", clip, other, "-o", tmp_path / "file").code == 30


def test_a_report_is_not_written_over(clip: Path, out: Path, lesveil: Callable[..., Said]) -> None:
    (out / "report.json").write_text("precious")
    said = lesveil("redact", clip, "-o", out / "klaar.mp4", "--report", out / "report.json")
    assert said.code == 30
    assert "report.json" in said.sentence
    assert names(out) == ["report.json"]
    assert (out / "report.json").read_text() == "precious"


def test_what_was_meant_is_not_guessed(clip: Path, out: Path, lesveil: Callable[..., Said]) -> None:
    said = lesveil("redact", clip, "-o", out / "klaar.mkv")
    assert said.code == 2
    assert "klaar.mkv" in said.sentence
    assert lesveil("redact", clip, "-o", out / "klaar.mp4", "--style", "blur").code == 2
    assert lesveil("redact", clip).code == 2
    assert lesveil("redact", clip, "-o", out / "klaar.mp4", "--audio", "whisper").code == 2
    assert names(out) == []


def test_no_permission(clip: Path, tmp_path: Path, out: Path, lesveil: Callable[..., Said]) -> None:
    (tmp_path / "file").write_bytes(b"")
    places = [tmp_path / "file" / "deep" / "klaar.mp4"]
    if Path("/proc/self").exists():
        places.append(Path("/proc/klaar.mp4"))
    if os.name == "posix" and os.geteuid() != 0:
        out.chmod(0o500)
        places.append(out / "klaar.mp4")
    for place in places:
        said = lesveil("redact", clip, "-o", place)
        assert said.code == 31
        assert place.name in said.sentence
    out.chmod(0o700)
    assert names(out) == []
    assert (tmp_path / "file").read_bytes() == b""


def test_out_directly_under_a_file(clip: Path, tmp_path: Path, lesveil: Callable[..., Said]) -> None:
    (tmp_path / "file").write_bytes(b"")
    said = lesveil("redact", clip, "-o", tmp_path / "file" / "klaar.mp4")
    assert said.code == 31
    assert str(tmp_path / "file") in said.sentence


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with 32 kB on it."""
    place = tmp_path / "schijf"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, timeout=20, check=False)
    except OSError as error:
        pytest.skip(f"THE FULL DISK WAS NOT TESTED: {error}")
    if done.returncode:
        pytest.skip(f"THE FULL DISK WAS NOT TESTED: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True, timeout=20)


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """A clip that needs more than 32 kB."""
    return clips.make(tmp_path / "groot.mp4", size="640x360", frames=25, picture_filter="noise=alls=80:allf=t")


def test_a_full_disk(small_disk: Path, noisy: Path, lesveil: Callable[..., Said]) -> None:
    said = lesveil("redact", noisy, "-o", small_disk / "klaar.mp4")
    assert said.code == 32
    assert "klaar.mp4" in said.sentence
    assert names(small_disk) == []


def test_a_full_disk_is_told_by_the_name_that_was_asked_for(
    small_disk: Path, noisy: Path, lesveil: Callable[..., Said]
) -> None:
    said = lesveil("redact", noisy, "-o", small_disk / "klaar.mp4")
    assert str(small_disk / "klaar.mp4") in said.sentence
    assert ".partial" not in said.sentence


@pytest.mark.parametrize(("frames", "left"), [(25, 0), (3600, 32 << 10)])
def test_a_disk_on_which_no_such_film_fits_is_told_before_the_film_is_looked_at(
    small_disk: Path,
    tmp_path: Path,
    frames: int,
    left: int,
    lesveil: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """3600 pictures take more than 32 kB, whatever they show."""
    clip = clips.make(tmp_path / "lang.mp4", size="64x64", frames=frames)
    (small_disk / "others").write_bytes(bytes((32 << 10) - left))
    monkeypatch.setattr(run, "analyse", lambda *_: pytest.fail("it was looked at"))
    said = lesveil("redact", clip, "-o", small_disk / "klaar.mp4")
    assert said.code == 32
    assert str(small_disk / "klaar.mp4") in said.sentence
    assert names(small_disk) == ["others"]


def test_a_disk_without_room_for_the_report_is_told_before_the_film_is_looked_at(
    small_disk: Path, clip: Path, out: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    (small_disk / "others").write_bytes(bytes(32 << 10))
    monkeypatch.setattr(run, "analyse", lambda *_: pytest.fail("it was looked at"))
    said = lesveil("redact", clip, "-o", out / "klaar.mp4", "--report", small_disk / "klaar.json")
    assert said.code == 32
    assert str(small_disk / "klaar.json") in said.sentence
    assert names(small_disk) + names(out) == ["others"]


def test_a_report_for_which_there_is_no_room_any_more_is_on_the_screen_where_it_was_asked_for(
    clip: Path, out: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _: bytes) -> None:
        raise files.disk_full(path)

    monkeypatch.setattr(files, "write_new", full)
    said = lesveil("redact", clip, "-o", out / "klaar.mp4", "--report", out / "klaar.json", "--json")
    assert said.code == 32
    assert [Path(entry["output"]) for entry in json.loads(said.out)["clips"]] == [out / "klaar.mp4"]


def test_the_report_is_written_though_nobody_reads_what_is_on_the_screen(
    clip: Path, out: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(redacting, "print_json", gone)
    said = lesveil("redact", clip, "-o", out / "klaar.mp4", "--report", out / "klaar.json", "--json")
    assert said.code == 1
    (entry,) = json.loads((out / "klaar.json").read_text(encoding="utf-8"))["clips"]
    assert Path(entry["output"]) == out / "klaar.mp4"


def test_a_disk_that_is_full_at_the_last_moment(
    clip: Path, out: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "sync_file", full)
    said = lesveil("redact", clip, "-o", out / "klaar.mp4")
    assert said.code == 32
    assert str(out / "klaar.mp4") in said.sentence
    assert names(out) == []


# --- interrupted ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough to be interrupted."""
    return clips.make(tmp_path_factory.mktemp("long") / "lang.mp4", size="640x360", frames=500)


def _while_rendering(source: Path, out: Path, number: signal.Signals) -> tuple[int, str]:
    """Start redact, send it a signal once the unfinished result is there; (exit code, standard error)."""
    command = [sys.executable, "-m", "pipeline", "redact", str(source), "-o", str(out), "--lang", "en", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 120
        while not list(out.parent.glob(".*.partial")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until, "rendering did not begin"
            time.sleep(0.02)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        return process.returncode, err
    finally:
        process.kill()
        process.wait()


HANG_UP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, *HANG_UP])
def test_an_interruption_leaves_nothing(number: signal.Signals, long_clip: Path, out: Path) -> None:
    code, err = _while_rendering(long_clip, out / "klaar.mp4", number)
    assert (code, err) == (
        130,
        "lesveil: interrupted; nothing half-done looks finished: repeat the command to go on.\n",
    )
    assert names(out) == []


@pytest.mark.parametrize("name", ["klaar.mp4", "anders.mp4"])
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_what_a_kill_leaves_is_swept_by_the_next_run(
    name: str, long_clip: Path, clip: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    code, _ = _while_rendering(long_clip, out / "klaar.mp4", signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not (out / "klaar.mp4").exists()
    assert all(name.endswith((".partial", ".claim")) for name in names(out))
    assert lesveil("redact", clip, "-o", out / name).code == 0
    assert names(out) == [name]


def test_two_runs_do_not_make_one_file(
    long_clip: Path, clip: Path, out: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Said] = []
    real = run.analyse

    def second(*args: Any) -> Any:
        if not seen:
            seen.append(lesveil("redact", long_clip, "-o", out / "klaar.mp4"))
        return real(*args)

    monkeypatch.setattr(run, "analyse", second)
    assert lesveil("redact", clip, "-o", out / "klaar.mp4").code == 0
    assert seen[0].code == 5
    assert seen[0].sentence == f"lesveil: Another run is making {out / 'klaar.mp4'}; wait for it to end."
    assert names(out) == ["klaar.mp4"]
    assert lesveil("redact", long_clip, "-o", out / "klaar.mp4").code == 30


def test_a_volume_without_locks_is_written_all_the_same(
    clip: Path, out: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_: object) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files, "lock", refuses)
    assert lesveil("redact", clip, "-o", out / "klaar.mp4").code == 0
    assert names(out) == ["klaar.mp4"]


@pytest.mark.parametrize("place", [".", "klaar", "../les/klaar/diep", "link"])
def test_results_do_not_lie_among_the_clips(
    place: str, clip: Path, tmp_path: Path, lesveil: Callable[..., Said]
) -> None:
    folder = tmp_path / "les"
    folder.mkdir()
    shutil.copy(clip, folder)
    (tmp_path / "link").symlink_to(folder)
    target = tmp_path / "link" if place == "link" else folder / place
    said = lesveil("redact", folder, "-o", target)
    assert said.code == 2
    assert f"lies within {folder}" in said.sentence
    assert names(folder) == ["leeg.mp4"]
    assert lesveil("redact", folder, "-o", tmp_path / "klaar").code == 0


@pytest.mark.parametrize("place", ["file/report.json", "x" * 260 + ".json", "/proc/report.json"])
def test_a_report_that_cannot_be_written_is_told_before_the_work(
    place: str, clip: Path, tmp_path: Path, lesveil: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    said = lesveil("redact", clip, "-o", tmp_path / "out" / "klaar.mp4", "--report", place)
    assert said.code == 31
    assert place in said.sentence
    assert names(tmp_path) == ["file"]


def test_a_report_cannot_be_the_clip_itself(clip: Path, out: Path, lesveil: Callable[..., Said]) -> None:
    said = lesveil("redact", clip, "-o", out / "klaar.mp4", "--report", out / "klaar.mp4")
    assert said.code == 2
    assert names(out) == []


@pytest.mark.parametrize(
    ("film", "report"),
    [
        ("klaar.mp4", "klaar.mp4/r.json"),
        ("klaar.mp4", "diep/../klaar.mp4/r.json"),
        ("klaar.mp4", "diep/../klaar.mp4"),
        ("r.json/klaar.mp4", "r.json"),
    ],
)
def test_a_report_and_a_clip_that_cannot_both_lie_there_are_told_before_the_work(
    film: str, report: str, clip: Path, out: Path, lesveil: Callable[..., Said]
) -> None:
    said = lesveil("redact", clip, "-o", out / film, "--report", out / report)
    assert said.code == 2
    assert str(out / report) in said.sentence
    assert names(out) == []


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8 exist on Linux alone")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_a_name_in_no_or_another_alphabet_is_reported_all_the_same(tmp_path, encoding):
    places = [os.fsdecode(os.fsencode(tmp_path) + b"/les\xff.mp4"), str(tmp_path / "les\u65e5.mp4")]
    for place in places:
        shutil.move(clips.make(tmp_path / "made.mp4", size="320x180", frames=4), place)
    command = [sys.executable, "-m", "pipeline", "--lang", "en", "--json", "redact", *places, "-o", tmp_path / "out"]
    done = subprocess.run(
        [*command, "--report", tmp_path / "report.json"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        timeout=120,
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [clip["source"] for clip in report["clips"]] == places
    assert [clip["source"] for clip in json.loads(done.stdout.decode(encoding))["clips"]] == places


def test_a_library_that_cannot_be_loaded_is_told_in_a_sentence(clip: Path, out: Path, tmp_path: Path) -> None:
    """OpenCV needs files of the system that a bare server lacks."""
    lacking = "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')"
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking/cv2.py").write_text(lacking, encoding="utf-8")
    said = subprocess.run(
        [sys.executable, "-m", "pipeline", "--lang", "en", "redact", str(clip), "-o", str(out / "a.mp4")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "lacking"), str(Path.cwd())])},
        timeout=120,
        check=False,
    )
    assert said.returncode == NotReadyError.code
    assert Said(said.returncode, said.stdout, said.stderr).sentence.startswith(
        "lesveil: A part of what Lesveil needs cannot be loaded (libGL.so.1: cannot open shared object file"
    )
    assert not list(out.iterdir())


@pytest.mark.parametrize(("wanted", "told"), [("", "cpu"), ('[detection]\ndevice = "auto"\n', "auto")])
def test_faces_are_looked_for_where_the_workspace_says(lesveil, tmp_path, monkeypatch, wanted, told):
    (tmp_path / "lesveil.toml").write_text(wanted, encoding="utf-8")
    (tmp_path / "a.mp4").write_bytes(b"never opened")
    asked: list[dict[str, Any]] = []

    def networks(*_: Any, **options: Any) -> None:
        asked.append(options)
        raise NotReadyError("no more is needed.")

    monkeypatch.setattr(run, "Networks", networks)
    assert lesveil("-C", tmp_path, "redact", tmp_path / "a.mp4", "-o", tmp_path / "b.mp4").code == NotReadyError.code
    assert [options["device"] for options in asked] == [told]
