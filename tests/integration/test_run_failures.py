"""What could not be done is told: by the exit code, by status, and again by whoever asks later."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import messages, run, workspace
from pipeline.adapters import files
from pipeline.adapters.card_reader import CardReader, unreadable
from pipeline.cli import main
from pipeline.errors import ApprovalError, CardError, DiskFullError, NotAVideoError, PartialError, TruncatedVideoError
from pipeline.lesson import copy
from pipeline.lesson.state import find
from tests import clips

Lesveil = Callable[..., Any]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "card" / "DCIM" / "100CANON"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def lesveil(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Lesveil]:
    place = tmp_path / "place"

    def command(*words: object, code: int = 0, json_too: bool = True) -> Any:
        capsys.readouterr()
        told = main([*map(str, words), "-C", str(place), "--lang", "en", *(["--json"] * json_too)])
        said = capsys.readouterr()
        assert told == code, said.err + said.out
        return json.loads(said.out) if json_too and said.out else said.out + said.err

    assert main(["init", str(place), "--key-file"]) == 0
    yield command
    messages.choose("en")


def card(films: Path) -> Path:
    return films.parent.parent


def test_one_reason_has_its_own_code_however_many_clips_it_fails(films: Path, lesveil: Lesveil) -> None:
    (films / "MVI_0001.MP4").write_bytes(b"no film")
    (films / "MVI_0002.MP4").write_bytes(b"no film either")
    lesveil("run", "--card", card(films), code=NotAVideoError.code)
    clips.make(films / "MVI_0003.MP4", frames=5, size="160x96")
    said = lesveil("run", "--card", card(films), code=NotAVideoError.code, json_too=False)
    assert "2 of 3 clips were not done." in said
    assert lesveil("run", "--unattended", "--card", card(films), code=NotAVideoError.code)["still_failed"] == 2


def test_a_film_that_is_cut_off_on_the_card_is_told_by_its_own_name(films: Path, lesveil: Lesveil) -> None:
    """Its copy was verified: to copy it once more helps nothing."""
    clips.cut(clips.make(films.parent / "whole.mp4", frames=5, size="160x96"), films / "MVI_0003.MP4", 0.5)
    (films.parent / "whole.mp4").unlink()
    said = lesveil("run", "--card", card(films), code=TruncatedVideoError.code, json_too=False)
    assert "MVI_0003.MP4 is broken on the card itself" in said
    assert "1 clip was not done." in said
    assert "nothing new" not in said
    (clip,) = lesveil("status")["clips"]
    assert "again" not in clip["said"]
    assert "MVI_0003.MP4 is broken on the card itself" in clip["said"]
    assert f"lesveil used {clip['clip'][:8]}" in clip["said"]


def test_what_nobody_foresaw_in_one_clip_leaves_the_others_to_be_done(
    films: Path, lesveil: Lesveil, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        clips.make(films / f"MVI_000{number}.MP4", frames=4 + number, size="160x96")
    write = run.render_checked

    def second_breaks(reader: Any, plan: Any, *rest: Any, **more: Any) -> Any:
        if plan.frames == 6:
            raise ValueError("no such axis")
        return write(reader, plan, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(run, "render_checked", second_breaks)
        said = lesveil("run", "--card", card(films), code=1, json_too=False)
    assert "mistake of its own (ValueError: no such axis, in" in said
    assert "1 of 3 clips was not done." in said
    assert lesveil("run", "--unattended")["still_failed"] == 0


def test_what_never_reached_the_vault_is_in_status_until_it_does(films: Path, lesveil: Lesveil) -> None:
    film = films / "MVI_0001.MP4"
    film.write_bytes(b"")
    clips.make(films / "MVI_0002.MP4", frames=5, size="160x96")
    lesveil("run", "--card", card(films), code=NotAVideoError.code)
    (missing,) = lesveil("status")["not_copied"]
    assert missing["file"] == "DCIM/100CANON/MVI_0001.MP4"
    assert "MVI_0001.MP4 is empty" in missing["failure"]
    assert "MVI_0001.MP4  not copied  failed: MVI_0001.MP4 is empty" in lesveil("status", json_too=False)
    assert lesveil("run", "--unattended")["still_failed"] == 1
    clips.make(film, frames=7, size="160x96")
    lesveil("run", "--card", card(films))
    assert lesveil("status")["not_copied"] == []
    assert lesveil("run", "--unattended")["still_failed"] == 0


def test_a_report_tells_a_failure_once(films: Path, lesveil: Lesveil, tmp_path: Path) -> None:
    """However often it was tried: of a clip where it stands, and not with another card that was in by then."""
    (films / "MVI_0001.MP4").write_bytes(b"")
    (films / "MVI_0002.MP4").write_bytes(b"no film")
    for _ in range(3):
        lesveil("run", "--card", card(films), code=NotAVideoError.code)
    (other := tmp_path / "other" / "DCIM" / "100CANON").mkdir(parents=True)
    clips.make(other / "MVI_0003.MP4", frames=5, size="160x96")
    lesveil("run", "--card", tmp_path / "other")
    first, second = lesveil("report")["batches"]
    assert [Path(one["path"]).name for one in first["failed"]] == ["MVI_0001.MP4"]
    assert second["failed"] == []
    assert lesveil("report", json_too=False).count("failed") == 1
    assert lesveil("report", json_too=False).count("MVI_0002.MP4:") == 1


def test_what_was_not_copied_from_a_card_that_is_gone_can_be_written_off(films: Path, lesveil: Lesveil) -> None:
    """A card that was formatted in the camera, as is advised, comes back with another serial, and its film never."""
    (films / "MVI_0001.MP4").write_bytes(b"")
    clips.make(films / "MVI_0002.MP4", frames=5, size="160x96")
    lesveil("run", "--card", card(films), code=NotAVideoError.code)
    (missing,) = lesveil("status")["not_copied"]
    command = f"lesveil cards --gone {shlex.quote(missing['card'])} --by NAME"
    assert command in lesveil("status", json_too=False)
    lesveil("cards", "--gone", "another", "--by", "A", code=CardError.code)
    lesveil(*shlex.split(command)[1:], code=CardError.code)
    place = Path(card(films))
    away = place.rename(place.with_name("away"))
    assert lesveil(*shlex.split(command)[1:])["written_off"] == ["DCIM/100CANON/MVI_0001.MP4"]
    assert lesveil("status")["not_copied"] == []
    assert lesveil("run", "--unattended")["still_failed"] == 0
    assert "--gone" not in lesveil("status", json_too=False)
    lesveil("cards", "--gone", missing["card"], "--by", "A", code=CardError.code)
    away.rename(place)
    lesveil("run", "--card", card(films), code=NotAVideoError.code)
    assert len(lesveil("status")["not_copied"]) == 1, "it was not gone after all"


def test_what_cannot_be_read_beside_a_film_is_told_and_the_film_is_done_and_not_wiped(
    films: Path, lesveil: Lesveil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worn card: a thumbnail and a folder cannot be read; the film must leave it all the same."""
    clips.make(films / "MVI_0001.MP4", frames=5, size="160x96")
    (films / "MVI_0001.THM").write_bytes(b"thumbnail")
    other = films.parent / "101CANON"
    other.mkdir()
    read, scan = CardReader.readinto, os.scandir

    def worn(self: CardReader, buffer: memoryview) -> memoryview:
        if self.path.suffix == ".THM":
            raise unreadable(self.path, 0, OSError(5, "Input/output error"))
        return read(self, buffer)

    def torn(path: Any) -> Any:
        if Path(path) == other:
            raise OSError(5, "Input/output error", str(path))
        return scan(path)

    with monkeypatch.context() as patch:
        patch.setattr(CardReader, "readinto", worn)
        patch.setattr(os, "scandir", torn)
        for _ in range(2):
            told = lesveil("run", "--card", card(films), code=CardError.code)
            assert [Path(one["clip"]).name for one in told["failed"]] == ["101CANON", "MVI_0001.THM"]
        said = lesveil("run", "--card", card(films), code=CardError.code, json_too=False)
        assert "MVI_0001.THM cannot be read at byte 0" in said
        assert "not done" not in said
    told = lesveil("status")
    assert [one["stage"] for one in told["clips"]] == ["rendered"]
    assert [one["file"] for one in told["not_copied"]] == ["DCIM/101CANON", "DCIM/100CANON/MVI_0001.THM"]
    reason = "because a file beside its film could not be read (lesveil run with its card tries again)."
    assert f"Not wiped: MVI_0001.MP4, {reason}" in lesveil("wipe", "--card", card(films), json_too=False)
    lesveil("run", "--card", card(films))
    assert lesveil("status")["not_copied"] == []
    assert "could not be read" not in lesveil("wipe", "--card", card(films), json_too=False)


def test_films_after_the_card_was_pulled_are_in_status(
    films: Path, lesveil: Lesveil, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        clips.make(films / f"MVI_000{number}.MP4", frames=4 + number, size="160x96")
    real = copy.stage.ingest_all

    def pulled(takes: Any, *rest: Any) -> Iterator[Any]:
        yield from real(takes[:1], *rest)
        shutil.move(card(films), films.parents[2] / "drawer")
        yield takes[1], OSError(5, "Input/output error", str(takes[1].path))

    monkeypatch.setattr(copy.stage, "ingest_all", pulled)
    lesveil("run", "--card", card(films), code=PartialError.code)
    told = lesveil("status")
    assert [Path(one["file"]).name for one in told["clips"]] == ["MVI_0001.MP4"]
    assert [Path(one["file"]).name for one in told["not_copied"]] == ["MVI_0002.MP4", "MVI_0003.MP4"]
    assert "put it back" in told["not_copied"][1]["failure"]


def test_a_film_that_lies_there_twice_has_its_first_name_and_answers_to_both(films: Path, lesveil: Lesveil) -> None:
    clips.make(films / "MVI_0001.MP4", frames=5, size="160x96")
    shutil.copy(films / "MVI_0001.MP4", films / "MVI_0006.MP4")
    (clip,) = lesveil("run", "--card", card(films))["clips"]
    assert clip["file"] == "DCIM/100CANON/MVI_0001.MP4"
    assert clip["rendering"].startswith("MVI_0001-")
    with workspace.opened(films.parents[2] / "place") as place:
        assert find(place, "mvi_0001") == find(place, "MVI_0006.MP4")
        with pytest.raises(ApprovalError):
            find(place, "MVI_0007.MP4")


def test_a_full_disk_is_told_by_the_name_of_what_was_to_be_made(
    films: Path, lesveil: Lesveil, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips.make(films / "MVI_0001.MP4", frames=5, size="160x96")

    def full(clip: Any, plan: Any, partial: Path, *rest: Any) -> Any:
        raise DiskFullError("The disk is full while writing {file}; make room or choose another folder.", file=partial)

    monkeypatch.setattr(run, "render_checked", full)
    (failed,) = lesveil("run", "--card", card(films), code=DiskFullError.code)["failed"]
    assert ".partial" not in failed["error"]
    assert "MVI_0001-" in failed["error"]
    assert "make room and try again" in failed["error"]


def test_a_full_disk_is_told_before_a_film_is_looked_at(
    films: Path, lesveil: Lesveil, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips.make(films / "MVI_0001.MP4", frames=5, size="160x96")

    def full(final: Path, size: int) -> None:
        raise files.disk_full(final)

    monkeypatch.setattr(files, "refuse_full", full)
    monkeypatch.setattr(run, "analyse", lambda *_: pytest.fail("it was looked at"))
    (failed,) = lesveil("run", "--card", card(films), code=DiskFullError.code)["failed"]
    assert "MVI_0001-" in failed["error"]
    assert "make room and try again" in failed["error"]
