"""A workspace's life in miniature, through the commands that a coach types; and what each of them refuses."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import samples
from pipeline import messages, workspace
from pipeline.adapters import files
from pipeline.adapters.ledger import Ledger
from pipeline.cli import main
from pipeline.errors import NoConsentError, NotReadyError, WorkspaceError
from pipeline.settings import load

SETTINGS = """\
[recognition]
mode = "{mode}"
[privacy]
dpia = "{dpia}"
[deliver]
target = "folder"
folder = {folder}
folder_is_the_archive = {archive}
"""


@dataclass(frozen=True)
class School:
    """One workspace with what belongs to it, in a folder of its own."""

    folder: Path
    capsys: Any = None

    @property
    def place(self) -> Path:
        return self.folder / "werkmap"

    @property
    def card(self) -> Path:
        return self.folder / "sample" / "kaart"

    @property
    def archive(self) -> Path:
        return self.folder / "onedrive"

    @property
    def films(self) -> list[Path]:
        """Every file in the camera's folders."""
        return sorted(path for path in (self.card / "DCIM").rglob("*") if path.is_file())

    @property
    def rendered(self) -> dict[str, int]:
        """Finished clips, by name, with the time each was written; unfinished ones too."""
        return {path.name: path.stat().st_mtime_ns for path in (self.place / "redacted").iterdir()}

    @property
    def receipts(self) -> list[Any]:
        with Ledger.open(self.place / "ledger.db") as ledger:
            return [row.payload for row in ledger.entries("receipt")]

    def settle(self, mode: str = "on", dpia: str = "DPIA 2026-3", archive: bool = True) -> None:
        text = SETTINGS.format(mode=mode, dpia=dpia, folder=json.dumps(str(self.archive)), archive=str(archive).lower())
        (self.place / "lesveil.toml").write_text(text, encoding="utf-8")

    def lesveil(self, *words: object, code: int = 0) -> Any:
        """What a command answers with --json; None when it answers nothing."""
        self.capsys.readouterr()
        told = main([*map(str, words), "-C", str(self.place), "--json", "--lang", "en"])
        said = self.capsys.readouterr()
        assert told == code, said.err
        assert "Traceback" not in said.err
        return json.loads(said.out) if said.out else None

    def words(self, *words: object, code: int = 0) -> list[str]:
        """What a command answers to people."""
        self.capsys.readouterr()
        assert main([*map(str, words), "-C", str(self.place), "--quiet", "--lang", "en"]) == code
        return self.capsys.readouterr().out.splitlines()

    def refused(self, *words: object, code: int) -> str:
        """The one sentence with which a command is refused."""
        self.capsys.readouterr()
        told = main([*map(str, words), "-C", str(self.place), "--lang", "en"])
        said = self.capsys.readouterr()
        assert told == code, said.err
        line = str(said.err.splitlines()[-1])
        assert line.startswith("lesveil: ")
        assert line.endswith(".")
        return line

    def stages(self) -> list[str]:
        return [clip["stage"] for clip in self.lesveil("status")["clips"]]

    def approve(self) -> None:
        for clip in self.lesveil("status")["clips"]:
            self.lesveil("approve", clip["clip"], "--by", "Geertje")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    messages.choose("en")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> samples.Samples:
    """Two clips of two seconds, portraits and a list, of today."""
    folder = tmp_path_factory.mktemp("school") / "sample"
    return samples.make_samples(folder, seconds=2, today=date.today(), size=(960, 540), rate=10)


@pytest.fixture(scope="module")
def enrolled(sample: samples.Samples) -> tuple[School, dict[str, Any]]:
    """The school after init, import, enrol and a first run, and what the commands said."""
    import contextlib
    import io

    school = School(sample.folder.parent)
    said: dict[str, Any] = {}

    def lesveil(name: str, *words: object) -> None:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            assert main([*map(str, words), "-C", str(school.place), "--json", "--lang", "en"]) == 0
        said[name] = json.loads(out.getvalue())

    school.archive.mkdir()
    lesveil("init", "init", school.place)
    school.settle()
    lesveil("import", "consent", "import", sample.consent_list)
    lesveil("enrol", "enrol", sample.portraits)
    lesveil("run", "run", "--card", sample.card)
    sample.card.rename(sample.card.with_name("away"))  # a copy of a card is another card while that one is there
    return school, said


@pytest.fixture
def school(enrolled: tuple[School, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> School:
    """A copy of that school for one test, card and all."""
    shutil.copytree(enrolled[0].folder, tmp_path / "school")
    (tmp_path / "school" / "sample" / "away").rename(tmp_path / "school" / "sample" / "kaart")
    own = School(tmp_path / "school", capsys)
    own.settle()
    return own


@pytest.fixture
def bare(sample: samples.Samples, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> School:
    """A school with a card of one clip and a workspace as ``init`` leaves it."""
    own = School(tmp_path / "school", capsys)
    shutil.copytree(sample.folder, own.folder / "sample")
    away = own.folder / "sample" / "away"
    if away.exists():
        away.rename(own.card)
    for path in own.films:
        if path.stem == "MVI_0001":
            path.unlink()
    own.archive.mkdir()
    own.lesveil("init", own.place)
    return own


def luma(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray").astype(np.float32) for frame in container.decode(video=0)]


# --- the whole way ----------------------------------------------------------------------------------------------


def test_only_who_agreed_is_enrolled(enrolled: tuple[School, dict[str, Any]], sample: samples.Samples) -> None:
    _, said = enrolled
    assert len(said["import"]["new"]) == 10
    assert sorted(entry["id"] for entry in said["enrol"]["enrolled"]) == sorted(sample.may_be_seen)
    (refusal,) = said["enrol"]["refused"]
    assert refusal["folder"] == sample.withdrawn[0]
    assert refusal["reason"]
    assert refusal["ground"]


def test_the_run_shows_those_and_nobody_else(enrolled: tuple[School, dict[str, Any]], sample: samples.Samples) -> None:
    school, said = enrolled
    run = said["run"]
    assert run["failed"] == []
    assert [clip["stage"] for clip in run["clips"]] == ["rendered", "rendered"]
    for clip in run["clips"]:
        name = Path(clip["file"]).name
        truth = sample.truths[name]
        assert set(clip["people_shown"]) == {row["id"] for row in truth.faces if row["keep"]}
        assert clip["filmed"] == sample.today.isoformat()
        before = luma(school.card.with_name("away") / clip["file"])
        after = luma(school.place / "redacted" / clip["rendering"])
        for row in truth.faces:
            if not row["keep"] and not row.get("ignore"):
                x1, y1, x2, y2 = (round(v) for v in row["box"])
                frame = row["frame"]
                assert np.abs(before[frame] - after[frame])[y1:y2, x1:x2].mean() > 8


def test_nothing_lies_there_in_the_clear(enrolled: tuple[School, dict[str, Any]]) -> None:
    school, _ = enrolled
    book = b"".join(path.read_bytes() for path in school.place.glob("ledger.db*"))
    assert b"Brandsma" not in book
    assert b"Hulzebosch" not in book
    sealed = [path for path in (school.place / "vault").rglob("*") if path.is_file()]
    assert sealed
    for path in sealed:
        assert b"ftypisom" not in path.read_bytes()[:4096]
        assert b"template" not in path.read_bytes()


def test_a_second_run_does_nothing_twice(school: School) -> None:
    receipts, rendered = school.receipts, school.rendered
    again = school.lesveil("run", "--card", school.card)
    assert [clip["stage"] for clip in again["clips"]] == ["rendered", "rendered"]
    assert school.receipts == receipts
    assert school.rendered == rendered


def test_from_approval_to_nothing(school: School) -> None:
    assert school.stages() == ["rendered", "rendered"]
    school.approve()
    assert school.stages() == ["approved", "approved"]
    delivered = school.lesveil("deliver")
    assert delivered["failed"] == []
    assert {Path(entry["where"]) for entry in delivered["delivered"]} == set(school.archive.glob("*.mp4"))
    assert school.stages() == ["delivered", "delivered"]
    assert school.lesveil("deliver")["delivered"] == []

    plan = school.lesveil("wipe")
    assert plan["refused"] == []
    planned = {item["path"] for item in plan["items"] if item["kind"] != "working_copy"}
    assert planned == {path.relative_to(school.card).as_posix() for path in school.films}
    assert len(school.films) == 6, "showing the plan wipes nothing"
    school.refused("wipe", "--execute", "0" * 64, "--card", school.card, code=57)
    assert len(school.films) == 6

    wiped = school.lesveil("wipe", "--execute", plan["digest"], "--card", school.card)
    assert (wiped["files"], wiped["copies"]) == (6, 2)
    assert school.films == []
    assert school.stages() == ["wiped", "wiped"]
    school.refused("wipe", "--execute", plan["digest"], "--card", school.card, code=57)
    assert len(list(school.archive.glob("*.mp4"))) == 2
    assert school.lesveil("ledger", "verify")["findings"] == []


# --- refused ----------------------------------------------------------------------------------------------------


def test_nothing_goes_out_or_away_before_approval(school: School) -> None:
    assert school.lesveil("deliver") == {"delivered": [], "failed": []}
    assert list(school.archive.glob("*.mp4")) == []
    plan = school.lesveil("wipe")
    assert (plan["items"], plan["digest"]) == ([], None)
    assert {entry["reason"] for entry in plan["refused"]} == {"the rendering was not approved"}
    school.refused("wipe", "--execute", "0" * 64, "--card", school.card, code=57)
    school.approve()
    assert {entry["reason"] for entry in school.lesveil("wipe")["refused"]} == {
        "it is not delivered yet, or was taken away again"
    }
    assert len(school.films) == 6


def test_a_folder_that_is_not_the_archive_permits_no_wipe(school: School) -> None:
    school.settle(archive=False)
    school.approve()
    school.lesveil("deliver")
    plan = school.lesveil("wipe")
    assert plan["items"] == []
    assert len(plan["refused"]) == 2
    assert all("folder_is_the_archive = true" in entry["reason"] for entry in plan["refused"])
    school.capsys.readouterr()
    main(["status", "-C", str(school.place), "--lang", "nl"])
    assert "folder_is_the_archive = true" in school.capsys.readouterr().out
    assert school.lesveil("deliver")["delivered"] == [], "the setting does not say so yet"


def test_a_folder_that_becomes_the_archive_is_looked_at_again(school: School) -> None:
    school.settle(archive=False)
    school.approve()
    school.lesveil("deliver")
    school.settle(archive=True)
    gone, kept = sorted(school.archive.glob("*.mp4"))
    whole = gone.read_bytes()
    gone.write_bytes(whole[:-1] + bytes([255 - whole[-1]]))
    done = school.lesveil("deliver", code=56)
    assert [one["where"] for one in done["delivered"]] == [str(kept)]
    assert "no longer what was delivered" in done["failed"][0]["error"]
    assert len(school.lesveil("wipe")["refused"]) == 1
    gone.write_bytes(whole)
    assert [one["where"] for one in school.lesveil("deliver")["delivered"]] == [str(gone)]
    assert school.lesveil("deliver") == {"delivered": [], "failed": []}, "once"
    plan = school.lesveil("wipe")
    assert plan["refused"] == []
    school.lesveil("wipe", "--execute", plan["digest"], "--card", school.card)
    assert school.stages() == ["wiped", "wiped"]


def test_a_folder_that_is_no_archive_any_more_permits_no_wipe(school: School) -> None:
    school.settle(archive=True)
    school.approve()
    school.lesveil("deliver")
    plan = school.lesveil("wipe")
    assert plan["refused"] == []
    school.settle(archive=False)
    school.refused("wipe", "--execute", plan["digest"], "--card", school.card, code=57)
    assert len(school.lesveil("wipe")["refused"]) == 2
    assert len(school.films) == 6


def test_the_archive_is_asked_of_a_film_on_a_second_card_too(school: School) -> None:
    """Its working copy went with the first card, and is on no plan any more."""
    other, second = (school.folder / name for name in ("kaart1", "kaart2"))
    for card in (other, second):
        shutil.copytree(school.card, card)
        school.lesveil("run", "--card", card)
    school.approve()
    school.lesveil("deliver")
    first = school.lesveil("wipe", "--card", other)
    school.lesveil("wipe", "--execute", first["digest"], "--card", other)
    plan = school.lesveil("wipe", "--card", second)
    assert {item["kind"] for item in plan["items"]} & {"video"}
    assert "working_copy" not in {item["kind"] for item in plan["items"]}
    gone = sorted(school.archive.glob("*.mp4"))[0]
    gone.rename(school.folder / "elsewhere.mp4")
    before = sorted(path for path in second.rglob("*") if path.is_file())
    told = school.refused("wipe", "--execute", plan["digest"], "--card", second, code=57)
    assert "no longer what was delivered" in told
    assert sorted(path for path in second.rglob("*") if path.is_file()) == before


def test_a_card_that_is_not_there_is_not_empty(school: School) -> None:
    assert "The card is not at" in school.refused("wipe", "--card", school.folder / "none", code=57)


def test_a_clip_that_is_named_and_not_brought_is_told_why(school: School) -> None:
    one, two = school.lesveil("status")["clips"]
    school.lesveil("reject", two["clip"], "--by", "Bea")
    school.lesveil("approve", one["clip"], "--by", "Geertje")
    told = school.lesveil("deliver", two["clip"], code=56)
    assert told["delivered"] == []
    assert "rejected by Bea" in told["failed"][0]["error"]
    (line,) = school.words("deliver", two["clip"], code=56)
    assert line.count("MVI_0002.MP4") == 1
    assert "rejected by Bea" in "".join(school.words("report"))
    assert len(school.lesveil("deliver", one["clip"])["delivered"]) == 1
    assert school.lesveil("deliver", one["clip"]) == {"delivered": [], "failed": []}, "it lies there"


def test_a_report_says_what_left_this_machine(school: School) -> None:
    assert "nothing has left this machine" in "".join(school.words("report"))
    school.approve()
    school.lesveil("deliver")
    assert "2 clips were delivered" in "".join(school.words("run", "--card", school.card))
    for clip in school.lesveil("status")["clips"]:
        school.lesveil("deliver", "--remove", clip["clip"], "--yes")
    assert "2 clips were delivered and taken away again" in "".join(school.words("report"))


def test_redact_heeds_the_workspace_that_is_named(school: School) -> None:
    clip, keep = school.card / "DCIM" / "100LESVL" / "MVI_0001.MP4", school.folder / "sample" / "portretten"
    words = ["redact", str(clip), "-o", str(school.folder / "o.mp4"), "--keep", str(keep), "--lang", "en"]
    assert main([*words, "-C", str(school.folder / "nowhere")]) == WorkspaceError.code
    school.capsys.readouterr()
    assert main([*words, "-C", str(school.place)]) == NoConsentError.code
    assert "41222" in school.capsys.readouterr().err
    school.settle(mode="off")
    assert main([*words, "-C", str(school.place)]) == NoConsentError.code
    assert "Recognition is off" in school.capsys.readouterr().err
    assert not (school.folder / "o.mp4").exists()


def test_no_portrait_is_looked_at_of_whoever_did_not_agree(school: School) -> None:
    clip, keep = school.card / "DCIM" / "100LESVL" / "MVI_0001.MP4", school.folder / "keep"
    (keep / "41222").mkdir(parents=True)
    (keep / "41222" / "torn.jpg").write_bytes(b"no picture: whoever looks at it says so")
    words = ["redact", str(clip), "-o", str(school.folder / "o.mp4"), "--keep", str(keep), "--lang", "en"]
    assert main([*words, "-C", str(school.place)]) == NoConsentError.code
    assert "41222" in school.capsys.readouterr().err


def test_doctor_knows_a_target_without_its_folder(school: School) -> None:
    text = (school.place / "lesveil.toml").read_text(encoding="utf-8")
    (school.place / "lesveil.toml").write_text(re.sub(r"(?m)^folder = .*$", "", text), encoding="utf-8")
    found = school.lesveil("doctor", code=NotReadyError.code)
    (section,) = [one["findings"] for one in found["sections"] if one["section"] == "delivering"]
    assert [(one["state"], one["text"]) for one in section] == [("bad", "lesveil.toml does not say where clips go.")]


def test_nothing_is_purged_that_the_wipe_still_needs(school: School) -> None:
    school.approve()
    school.lesveil("deliver")
    clip = school.lesveil("status")["clips"][0]["clip"]
    school.lesveil("used", clip, "--by", "Geertje")
    plan = school.lesveil("purge")
    assert (plan["items"], plan["digest"]) == ([], None)
    assert [(one["clip"], one["waits_for"]) for one in plan["not_yet"]] == [(clip, "lesveil wipe")]
    school.capsys.readouterr()
    main(["purge", "-C", str(school.place), "--lang", "nl"])
    assert "eerst lesveil wipe" in school.capsys.readouterr().out
    wiping = school.lesveil("wipe")
    assert wiping["refused"] == []
    school.lesveil("wipe", "--execute", wiping["digest"], "--card", school.card)
    plan = school.lesveil("purge")
    assert plan["not_yet"] == []
    assert {item["kind"] for item in plan["items"]} >= {"delivered clip"}
    school.lesveil("purge", "--execute", plan["digest"])
    assert len(list(school.archive.glob("*.mp4"))) == 1


def test_a_clip_whose_card_is_lost_can_be_purged_once_it_is_taken_away(school: School) -> None:
    school.approve()
    school.lesveil("deliver")
    clip = school.lesveil("status")["clips"][0]["clip"]
    school.lesveil("used", clip, "--by", "Geertje")
    school.lesveil("deliver", "--remove", clip, "--yes")
    assert {item["kind"] for item in school.lesveil("purge")["items"]} == {"working copy", "finished clip here"}


def test_a_delivered_file_that_is_gone_stops_the_wipe(school: School) -> None:
    school.approve()
    school.lesveil("deliver")
    plan = school.lesveil("wipe")
    next(school.archive.glob("*.mp4")).unlink()
    school.refused("wipe", "--execute", plan["digest"], "--card", school.card, code=57)
    assert len(school.films) == 6


def test_reject_takes_an_approval_back(school: School) -> None:
    school.approve()
    clip = school.lesveil("status")["clips"][0]
    assert school.lesveil("reject", clip["clip"], "--by", "Geertje")["stage"] == "rendered"
    assert "Geertje rejected this" in school.refused("approve", clip["clip"], "--by", "Bob", code=55)
    delivered = school.lesveil("deliver")["delivered"]
    assert len(delivered) == 1
    assert delivered[0]["clip"] != clip["clip"]


def test_a_clip_must_be_named_clearly(school: School) -> None:
    assert "There is no clip nosuchclip; look up" in school.refused("approve", "nosuchclip", "--by", "Geertje", code=55)
    assert school.lesveil("approve", "mvi_0002.mp4", "--by", "Geertje")["stage"] == "approved"
    school.refused("approve", "mvi_0002", code=2)


def test_no_name_at_all_means_no_clip(school: School) -> None:
    """As a script gives it whose variable is not set: it is not the start of the only clip, nor of all."""
    (clip, *_) = school.lesveil("status")["clips"]
    for words in (
        ["approve", "", "--by", "G"],
        ["used", "", "--by", "G"],
        ["deliver", ""],
        ["deliver", "--remove", ""],
    ):
        assert "There is no clip" in school.refused(*words, code=55)
    assert "not in the register; look up the number" in school.refused("report", "--person", "", code=68)
    assert school.lesveil("status")["clips"][0]["stage"] == clip["stage"]


@pytest.mark.parametrize("when", ["before approval", "after approval"])
def test_a_file_that_was_tampered_with_is_not_delivered(when: str, school: School) -> None:
    if when == "after approval":
        school.approve()
    clip = school.lesveil("status")["clips"][0]
    with (school.place / "redacted" / clip["rendering"]).open("ab") as file:
        file.write(b"\0")
    if when == "before approval":
        school.refused("approve", clip["clip"], "--by", "Geertje", code=55)
        return
    result = school.lesveil("deliver", code=56)
    assert [entry["clip"] for entry in result["failed"]] == [clip["clip"]]
    assert len(result["delivered"]) == 1, "the other clip is delivered all the same"
    assert len(list(school.archive.glob("*.mp4"))) == 1


def test_a_withdrawal_reaches_the_clip(school: School, sample: samples.Samples) -> None:
    school.approve()
    clips = {Path(clip["file"]).name: clip for clip in school.lesveil("status")["clips"]}
    gone = samples.CAST["zoe"].id
    assert all(gone in clip["people_shown"] for clip in clips.values())
    said = school.lesveil("consent", "withdraw", gone)
    assert {entry["clip"] for entry in said["clips"]} == {clip["clip"] for clip in clips.values()}

    result = school.lesveil("deliver", code=56)
    assert result["delivered"] == []
    assert list(school.archive.glob("*.mp4")) == []

    again = school.lesveil("run", "--card", school.card)
    for clip in again["clips"]:
        assert clip["stage"] == "rendered", "the approval was of another rendering"
        assert gone not in clip["people_shown"]
        name = Path(clip["file"]).name
        before = luma(school.card / clip["file"])
        after = luma(school.place / "redacted" / clip["rendering"])
        for row in sample.truths[name].faces:
            if row["id"] == gone and not row.get("ignore"):
                x1, y1, x2, y2 = (round(v) for v in row["box"])
                assert np.abs(before[row["frame"]] - after[row["frame"]])[y1:y2, x1:x2].mean() > 8
    assert school.lesveil("deliver")["delivered"] == []
    school.approve()
    assert len(school.lesveil("deliver")["delivered"]) == 2


def test_the_old_rendering_does_not_outlive_a_withdrawal(school: School) -> None:
    """Where somebody is recognisable who withdrew, no file may stay behind."""
    old = set(school.rendered)
    school.lesveil("consent", "withdraw", samples.CAST["zoe"].id)
    school.lesveil("run", "--card", school.card)
    assert not old & set(school.rendered)


def test_somebody_can_withdraw_while_a_run_is_at_work(school: School) -> None:
    gone = samples.CAST["zoe"].id
    with workspace.opened(school.place) as place, workspace.alone(place):
        said = school.lesveil("consent", "withdraw", gone)
        assert len(said["clips"]) == 2
        assert said["templates_destroyed"] == [gone]
    assert school.rendered == {}
    clips = school.lesveil("status")["clips"]
    assert [(clip["consent_lapsed"], clip["waits_for"]) for clip in clips] == [([gone], "lesveil run")] * 2


def test_a_list_that_takes_consent_away_reaches_the_clip(school: School) -> None:
    gone = samples.CAST["zoe"].id
    path = school.folder / "sample" / "toestemming.csv"
    lines = [line for line in path.read_text("cp1252").splitlines() if not line.startswith(gone)]
    path.write_text("\n".join(lines) + "\n", "cp1252")
    said = school.lesveil("consent", "import", path)
    assert said["losses"] == [gone]
    assert [clip["people"] for clip in said["clips"]] == [[gone]] * 2
    again = school.lesveil("run", "--card", school.card)
    assert all(gone not in clip["people_shown"] for clip in again["clips"])
    assert all(clip["consent_lapsed"] == [] for clip in again["clips"])


def test_without_the_teachers_consent_nothing_is_processed(school: School) -> None:
    teacher = samples.CAST["teacher"].id
    again = school.lesveil("run", "--card", school.card, "--teacher", teacher)
    assert [clip["teacher"] for clip in again["clips"]] == [teacher] * 2
    school.lesveil("consent", "withdraw", teacher)
    told = school.lesveil("run", "--card", school.card, "--teacher", teacher, code=59)
    assert [one["clip"] for one in told["failed"]][:1] == [school.card.name], "and those that wait are not done either"
    assert all(teacher in one["error"] for one in told["failed"])
    school.lesveil("run", "--card", school.card, code=59)  # whose lessons these are is known by now
    assert school.rendered == {}
    assert school.lesveil("deliver")["delivered"] == []


def test_a_school_that_asks_for_the_teacher_copies_nothing_without(bare: School) -> None:
    with (bare.place / "lesveil.toml").open("a") as file:
        file.write("[consent]\nteacher_required = true\n")
    text = (bare.place / "lesveil.toml").read_text().replace("[consent]\n# If", "# If")
    (bare.place / "lesveil.toml").write_text(text)
    assert "--teacher" in bare.refused("run", "--card", bare.card, code=59)
    bare.refused("run", "--card", bare.card, "--teacher", "90017", code=59)
    assert bare.lesveil("status")["clips"] == []
    assert list((bare.place / "vault" / "clips").iterdir()) == []
    bare.lesveil("consent", "import", bare.folder / "sample" / "toestemming.csv")
    assert [clip["teacher"] for clip in bare.lesveil("run", "--card", bare.card, "--teacher", "90017")["clips"]] == [
        "90017"
    ]


def test_without_recognition_everyone_is_hidden(bare: School) -> None:
    assert "mode" in bare.refused("enrol", bare.folder / "sample" / "portretten", code=25)
    bare.settle(mode="on", dpia="")
    bare.refused("enrol", bare.folder / "sample" / "portretten", code=25)
    run = bare.lesveil("run", "--card", bare.card)
    assert [clip["people_shown"] for clip in run["clips"]] == [[]]
    assert [clip["hidden_at_once"] for clip in run["clips"]] == [3]


def test_one_run_at_a_time(school: School) -> None:
    with workspace.opened(school.place) as place, workspace.alone(place):
        assert str(school.place) in school.refused("run", "--card", school.card, code=5)
        school.refused("deliver", code=5)
        assert school.stages() == ["rendered", "rendered"], "looking is allowed"
    school.lesveil("deliver")


def test_where_runs_cannot_be_kept_apart_none_begins(bare: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network shares know no locks."""

    def locked(file: Any) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files, "lock", locked)
    assert f"{bare.place / 'run.lock'} cannot be locked" in bare.refused("run", "--card", bare.card, code=50)
    with (
        workspace.opened(bare.place) as place,
        pytest.raises(WorkspaceError, match=r"templates\.lock cannot be locked"),
    ):
        workspace.load_templates(place)


def test_a_workspace_is_made_once(bare: School) -> None:
    before = (bare.place / "lesveil.toml").read_bytes()
    bare.refused("init", bare.place, code=30)
    assert (bare.place / "lesveil.toml").read_bytes() == before


def test_a_workspace_that_lost_its_settings_is_not_made_anew(bare: School) -> None:
    bare.lesveil("consent", "import", bare.folder / "sample" / "toestemming.csv")
    (bare.place / "lesveil.toml").unlink()
    for command in (("status",), ("init", bare.place)):
        assert "is a workspace that lost its lesveil.toml" in bare.refused(*command, code=50)
    assert not (bare.place / "lesveil.toml").exists()
    (bare.place / "ledger.db").unlink()
    assert "is a workspace that lost its lesveil.toml" in bare.refused("init", bare.place, code=50)
    assert not (bare.place / "ledger.db").exists()
    bare.place.rename(bare.folder / "moved")
    assert "There is no folder" in bare.refused("status", code=50)


def test_init_goes_on_where_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(files, "publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(["init", str(tmp_path / "place"), "--key-file"]) == 130
    assert main(["init", str(tmp_path / "place"), "--key-file"]) == 0


@pytest.mark.parametrize(("name", "code"), [("", 2), ("  ", 2), ("file", 30), ("link", 30), ("file/deep", 31)])
def test_a_workspace_needs_a_folder(
    name: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    assert main(["init", name, "--key-file", "--lang", "en"]) == code
    assert "lesveil.toml" not in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_a_workspace_without_clips_says_what_comes_first(
    bare: School, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", str(tmp_path / "new"), "--key-file"])
    capsys.readouterr()
    assert main(["status", "-C", str(tmp_path / "new"), "--lang", "en"]) == 0
    first = capsys.readouterr().out
    assert "No clip was copied yet; put the camera's card in and run lesveil run." in first
    assert "Run lesveil consent import" in first
    bare.lesveil("consent", "import", bare.folder / "sample" / "toestemming.csv")
    assert main(["status", "-C", str(bare.place), "--lang", "en"]) == 0
    assert "consent import" not in capsys.readouterr().out


def test_delivering_without_a_target_says_what_to_write(bare: School) -> None:
    (bare.place / "lesveil.toml").write_text("")
    assert 'target = "folder"' in bare.refused("deliver", code=3)


def test_what_is_no_workspace_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = replace(School(tmp_path), capsys=capsys)
    assert str(nowhere.place) in nowhere.refused("status", code=50)
    nowhere.place.mkdir()
    (nowhere.place / "lesveil.toml").write_text("[recognition]\nmodus = 'on'\n")
    assert "modus" in nowhere.refused("status", code=3)


def test_a_clip_that_fails_does_not_stop_the_others(bare: School) -> None:
    (bare.card / "DCIM" / "100LESVL" / "MVI_0000.MP4").write_bytes(b"Dit is geen video.\n" * 500)
    result = bare.lesveil("run", "--card", bare.card, code=11)
    assert [Path(entry["clip"]).name for entry in result["failed"]] == ["MVI_0000.MP4"]
    assert [clip["stage"] for clip in result["clips"]] == ["rendered"]
    assert list(bare.rendered) == [result["clips"][0]["rendering"]]
    told = {Path(clip["file"]).name: clip["failure"] for clip in bare.lesveil("status")["clips"]}
    assert "MVI_0000" in told.pop("MVI_0000.MP4")
    assert set(told.values()) == {None}
    bare.capsys.readouterr()
    main(["status", "-C", str(bare.place), "--lang", "nl"])
    assert "mislukt: MVI_0000" in bare.capsys.readouterr().out
    main(["report", "-C", str(bare.place), "--lang", "nl"])
    said = bare.capsys.readouterr().out
    assert "mislukt: MVI_0000" in said
    assert "NotAVideoError" not in said
    page = bare.folder / "verslag.html"
    bare.lesveil("report", "--html", page)
    assert "NotAVideoError" not in page.read_text(encoding="utf-8")


def test_a_clip_that_cannot_be_read_can_be_given_up(bare: School) -> None:
    broken = bare.card / "DCIM" / "100LESVL" / "MVI_0000.MP4"
    for path in broken.parent.iterdir():
        path.unlink()
    broken.write_bytes(b"Dit is geen video.\n" * 500)
    broken.with_name("MVI_0008.MOV").write_bytes(b"")
    bare.lesveil("run", "--card", bare.card, code=11)
    (clip,) = bare.lesveil("status")["clips"]
    assert f"to give it up: lesveil used {clip['clip'][:8]} --by NAME, then lesveil purge" in clip["said"]
    assert "because it failed" in bare.refused("approve", "MVI_0000", "--by", "A", code=55)
    assert bare.words("used", "MVI_0000", "--by", "A") == ["MVI_0000.MP4: is given up; lesveil purge deletes it"]
    assert "given up; waits for lesveil purge" in bare.lesveil("status")["clips"][0]["said"]
    plan = bare.lesveil("purge")
    assert plan["last"] == [clip["clip"]], "nothing else holds it"
    assert {item["because"] for item in plan["items"]} == {"it was given up"}
    bare.lesveil("purge", "--execute", plan["digest"])
    (clip,) = bare.lesveil("status")["clips"]
    assert clip["said"].endswith("because it was given up")
    assert "MVI_0008 was never copied" in bare.refused("used", "MVI_0008", "--by", "A", code=55)
    broken.with_name("MVI_0008.MOV").unlink()
    assert bare.lesveil("run", "--card", bare.card)["failed"] == []


def test_who_makes_a_workspace_is_told_what_comes_next(tmp_path, capsys):
    assert main(["init", str(tmp_path / "place"), "--key-file", "--lang", "en"]) == 0
    assert f"lesveil consent import FILE -C {tmp_path / 'place'}" in capsys.readouterr().out


def test_the_first_settings_are_in_the_language_of_who_reads_them(tmp_path, capsys):
    """What may be switched on is the same in both: a line that is one once its # is gone."""
    made = {}
    for language in ("en", "nl"):
        assert main(["init", str(tmp_path / language), "--key-file", "--lang", language]) == 0
        made[language] = (tmp_path / language / "lesveil.toml").read_text(encoding="utf-8")
    assert "veilige standaardwaarde" in made["nl"]
    assert "safe default" not in made["nl"]
    assert load(tmp_path / "nl" / "lesveil.toml") == load(tmp_path / "en" / "lesveil.toml")
    keys = {language: re.findall(r"(?m)^(\[\w+\]|(?:# )?\w+ = )", text) for language, text in made.items()}
    assert keys["nl"] == keys["en"]


def test_a_ledger_or_register_that_is_gone_is_not_quietly_made_anew(tmp_path, capsys):
    assert main(["init", str(tmp_path / "place"), "--key-file"]) == 0
    for name in ("ledger.db", "register.db"):
        kept = (tmp_path / "place" / name).rename(tmp_path / name)
        assert main(["--lang", "en", "-C", str(tmp_path / "place"), "ledger", "verify"]) == WorkspaceError.code
        assert f"{name} is gone" in capsys.readouterr().err
        assert not (tmp_path / "place" / name).exists()
        kept.rename(tmp_path / "place" / name)
    assert main(["-C", str(tmp_path / "place"), "ledger", "verify"]) == 0
