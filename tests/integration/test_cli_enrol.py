"""Portraits into templates: who may, what is wrong with a picture, who looks alike, and what is left afterwards."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import samples
from pipeline import messages, run, workspace
from pipeline.cli import main
from pipeline.errors import BusyError
from pipeline.lesson.withdraw import withdraw
from pipeline.workspace import templates

ZOE, RENEE, JURGEN, TEACHER = (samples.CAST[name].id for name in ("zoe", "renee", "jurgen", "teacher"))
TODAY = date.today()
ON = '[recognition]\nmode = "on"\n[privacy]\ndpia = "DPIA 2026-3"\n'


@dataclass(frozen=True)
class School:
    """A workspace with the sample's list in it, and the portraits beside it."""

    folder: Path

    @property
    def place(self) -> Path:
        return self.folder / "werkmap"

    @property
    def portraits(self) -> Path:
        return self.folder / "portretten"

    @property
    def list(self) -> Path:
        return self.folder / "toestemming.csv"

    def pictures(self, person: str) -> list[Path]:
        return sorted((self.portraits / person).iterdir())

    def lesveil(self, *words: object, code: int = 0) -> Any:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            told = main([*map(str, words), "-C", str(self.place), "--json", "--lang", "en"])
        assert told == code, err.getvalue()
        return json.loads(out.getvalue()) if out.getvalue() else None

    def enrol(self, code: int = 0) -> Any:
        return self.lesveil("enrol", self.portraits, code=code)

    @property
    def templates(self) -> list[str]:
        with workspace.opened(self.place) as place:
            return [person.id for person in workspace.load_templates(place)]

    def rows(self, kind: str) -> list[dict[str, Any]]:
        with workspace.opened(self.place) as place:
            return [row.payload for row in place.ledger.entries(kind)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> School:
    school = School(tmp_path_factory.mktemp("school"))
    samples.make_portraits(school.portraits)
    for spare in school.portraits.glob("*/*_4.jpg"):
        spare.unlink()
    samples.make_consent_list(school.list, TODAY)
    school.lesveil("init", school.place)
    (school.place / "lesveil.toml").write_text(ON, encoding="utf-8")
    school.lesveil("consent", "import", school.list)
    return school


@pytest.fixture
def school(made: School, tmp_path: Path) -> School:
    shutil.copytree(made.folder, tmp_path / "school")
    return School(tmp_path / "school")


@pytest.fixture(autouse=True)
def _networks_loaded_once(monkeypatch: pytest.MonkeyPatch, center_face: Any, face_net: Any) -> None:
    """The real networks, though not loaded anew for each command."""
    monkeypatch.setattr(run, "Networks", lambda recognition: SimpleNamespace(detector=center_face, embedder=face_net))


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    messages.choose("en")


def refused(said: Any, folder: str) -> Any:
    return next(one for one in said["refused"] if one["folder"] == folder)


def test_only_people_whose_consent_is_in_force(school: School) -> None:
    shutil.copytree(school.portraits / ZOE, school.portraits / "somebody")
    said = school.enrol(52)
    assert {one["id"] for one in said["enrolled"]} == {ZOE, RENEE, TEACHER} == set(school.templates)
    withdrawn = refused(said, JURGEN)
    assert (withdrawn["reason"], withdrawn["ground"]) == ("withdrawn", "import 1 row 5")
    assert withdrawn["text"] == "consent was withdrawn (row 5 of import 1)."
    assert refused(said, "somebody")["reason"] == "not_in_register"


def test_without_recognition_nobody_is_enrolled_and_templates_go(school: School) -> None:
    school.enrol()
    (school.place / "lesveil.toml").write_text('[recognition]\nmode = "on"\n', encoding="utf-8")
    said = school.lesveil("enrol", school.portraits, code=25)
    assert said["enrolled"] == []
    assert refused(said, ZOE)["reason"] == "recognition_off"
    assert refused(said, JURGEN)["reason"] == "withdrawn"
    assert school.templates == []
    assert list((school.place / "vault").rglob("*templates*")) == []


@pytest.mark.parametrize("dpia", ["", "  ", "\\t\\n"])
def test_a_blank_assessment_is_none(school: School, dpia: str) -> None:
    settings = f'[recognition]\nmode = "on"\n[privacy]\ndpia = "{dpia}"\n'
    (school.place / "lesveil.toml").write_text(settings, encoding="utf-8")
    assert school.lesveil("enrol", school.portraits, code=25)["enrolled"] == []


@pytest.mark.parametrize("how", ["empty", "nobody's", "loose pictures", "no pictures", "other files"])
def test_a_wrong_folder_is_refused_and_changes_nothing(school: School, how: str) -> None:
    school.enrol()
    wrong = school.folder / "portreten"
    wrong.mkdir()
    if how == "nobody's":
        shutil.copytree(school.portraits / ZOE, wrong / "somebody")
    elif how == "loose pictures":
        shutil.copy(school.pictures(ZOE)[0], wrong)
    elif how != "empty":
        (wrong / ZOE).mkdir()
    if how == "other files":
        (wrong / ZOE / "notes.txt").write_text("none", encoding="utf-8")
    vault = school.place / "vault"
    before = {path: path.read_bytes() for path in vault.rglob("*") if path.is_file()}
    assert school.lesveil("enrol", wrong, code=20) is None
    assert set(school.templates) == {ZOE, RENEE, TEACHER}
    assert {path: path.read_bytes() for path in vault.rglob("*") if path.is_file()} == before
    assert len(school.rows("enrolment")) == 1


def test_a_wrong_folder_keeps_no_template_whose_consent_ended(school: School) -> None:
    school.enrol()
    with workspace.opened(school.place) as place:
        place.register.withdraw(ZOE, TODAY)
    (school.folder / "leeg").mkdir()
    school.lesveil("enrol", school.folder / "leeg", code=20)
    assert set(school.templates) == {RENEE, TEACHER}


def test_a_folder_that_is_not_there_is_to_be_looked_up(school: School, capsys: pytest.CaptureFixture[str]) -> None:
    school.enrol()
    assert main(["enrol", str(school.folder / "nope"), "-C", str(school.place), "--lang", "en"]) == 20
    assert "check its name" in capsys.readouterr().err
    assert set(school.templates) == {ZOE, RENEE, TEACHER}


def test_enrolling_nobody_is_a_failure_that_says_each_reason(school: School) -> None:
    for folder in (RENEE, TEACHER):
        shutil.rmtree(school.portraits / folder)
    for path in school.pictures(ZOE):
        _save(path, np.full((400, 300, 3), 120))
    shutil.copytree(school.portraits / ZOE, school.portraits / "somebody")
    said = school.lesveil("enrol", school.portraits, code=52)
    assert said["enrolled"] == []
    reasons = {one["folder"]: one["reason"] for one in said["refused"]}
    assert reasons == {ZOE: "no_face", JURGEN: "withdrawn", "somebody": "not_in_register"}


def _save(path: Path, picture: Any) -> None:
    assert cv2.imwrite(str(path), np.clip(picture, 0, 255).astype(np.uint8))


def test_each_poor_picture_is_named_with_what_to_do_and_the_good_ones_count(school: School) -> None:
    zoe = school.pictures(ZOE)
    good = cv2.imread(str(zoe[0])).astype(np.float32)
    own = school.portraits / ZOE
    _save(own / "a_blurred.png", cv2.GaussianBlur(good, (0, 0), 9))
    _save(own / "b_dark.png", good * 0.08)
    small = np.full_like(good, 120)
    tiny = cv2.resize(good, None, fx=0.13, fy=0.13, interpolation=cv2.INTER_AREA)
    small[100 : 100 + tiny.shape[0], 100 : 100 + tiny.shape[1]] = tiny
    _save(own / "c_small.png", small)
    _save(own / "d_nobody.png", np.full((400, 300, 3), 120))
    _save(own / "e_two.png", np.hstack([good, good[:, ::-1]]))
    (own / "f_broken.jpg").write_bytes(b"no picture")
    said = school.enrol(41)
    (one,) = [one for one in said["enrolled"] if one["id"] == ZOE]
    assert one["portraits"] == 3
    left = {Path(entry["text"].split(" ")[0]).name: entry["text"] for entry in said["left_out"]}
    assert set(left) == {path.name for path in own.iterdir()} - {path.name for path in zoe}
    for name, word in {
        "a_blurred.png": "steady", "b_dark.png": "light", "c_small.png": "at least 40", "d_nobody.png": "front",
        "e_two.png": "cut out one", "f_broken.jpg": "save it as JPEG",
    }.items():  # fmt: skip
        assert word in left[name], left[name]


def test_a_picture_that_lies_in_no_folder_is_told_and_the_rest_is_done(school: School) -> None:
    shutil.copy(school.pictures(ZOE)[0], school.portraits / "los.jpg")
    said = school.enrol(52)
    assert {one["id"] for one in said["enrolled"]} == {ZOE, RENEE, TEACHER}
    assert refused(said, "los.jpg")["reason"] == "no_folder"
    assert "sub-folder of their own" in refused(said, "los.jpg")["text"]


def test_one_picture_that_is_no_good_is_work_left_undone(school: School) -> None:
    (school.portraits / ZOE / "zz.heic").write_bytes(b"no picture")
    said = school.enrol(21)
    assert ZOE in school.templates
    assert [one["id"] for one in said["left_out"]] == [ZOE]


def test_who_was_not_in_the_folder_is_told_to_be_recognised_no_more(
    school: School, capsys: pytest.CaptureFixture[str]
) -> None:
    school.enrol()
    for folder in (RENEE, TEACHER):
        shutil.rmtree(school.portraits / folder)
    capsys.readouterr()
    assert main(["-C", str(school.place), "--lang", "en", "enrol", str(school.portraits)]) == 0
    out = capsys.readouterr().out
    people = ", ".join(sorted((RENEE, TEACHER)))
    assert f"2 of these were not in {school.portraits} and can no longer be recognised ({people})" in out
    assert "together" in out


def test_somebody_without_a_good_picture_is_not_enrolled(school: School) -> None:
    for path in school.pictures(ZOE):
        _save(path, cv2.imread(str(path)).astype(np.float32) * 0.05)
    said = school.enrol(26)
    assert ZOE not in school.templates
    assert refused(said, ZOE)["reason"] == "poor_picture"
    assert "light" in refused(said, ZOE)["text"]


def test_a_picture_of_somebody_else_is_found(school: School) -> None:
    shutil.copy(school.pictures(RENEE)[0], school.portraits / ZOE / "zz.jpg")
    said = school.enrol(52)
    wrong = refused(said, ZOE)
    assert (wrong["reason"], wrong["other"]) == ("different_people", "zz.jpg")
    assert ZOE not in school.templates
    assert RENEE in school.templates


def test_pictures_of_another_person_do_not_take_over_a_template(school: School) -> None:
    school.enrol()
    with workspace.opened(school.place) as place:
        before = {person.id: person.template.tolist() for person in workspace.load_templates(place)}
    for path in school.pictures(ZOE):
        path.unlink()
    for path in school.pictures(JURGEN):
        shutil.copy(path, school.portraits / ZOE)
    said = school.enrol(52)
    told = refused(said, ZOE)
    assert (told["reason"], told["id"]) == ("not_as_before", ZOE)
    assert f"enrol again with --replace {ZOE}." in told["text"]
    assert said["removed"] == []
    with workspace.opened(school.place) as place:
        assert {one.id: one.template.tolist() for one in workspace.load_templates(place)} == before
    school.lesveil("enrol", school.portraits, "--replace", "90000", code=52)
    with workspace.opened(school.place) as place:
        place.ledger.append(
            "ingest", "c", {"sha256": "c", "bytes": 1, "files": [{"path": "A", "sha256": "c"}], "card": ""}
        )
        kept = [{"person": ZOE, "start": 0, "stop": 5, "ground": "g"}]
        place.ledger.record("render", "c", "k", "c", {"sha256": "d", "file": "d.mp4", "kept": kept})
        place.ledger.append("filmed", "c", {"day": TODAY.isoformat()})
    said = school.lesveil("enrol", school.portraits, "--replace", ZOE)
    assert [(row["person"], row["because"]) for row in school.rows("lapsed")] == [(ZOE, "template")]
    assert [one["folder"] for one in said["refused"]] == [JURGEN]
    assert school.rows("enrolment")[-1]["replaced"] == [ZOE]
    with workspace.opened(school.place) as place:
        after = {one.id: one.template.tolist() for one in workspace.load_templates(place)}
    assert after.keys() == before.keys()
    assert {one for one in after if after[one] != before[one]} == {ZOE}
    assert [one["folder"] for one in school.enrol()["refused"]] == [JURGEN], "they are those from before by now"


def test_templates_that_another_command_holds_are_compared_with_all_the_same(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for none there are, another person's pictures would take over a template."""
    from pipeline.lesson import enrol as enrolling

    school.enrol()
    for path in school.pictures(ZOE):
        path.unlink()
    for path in school.pictures(JURGEN):
        shutil.copy(path, school.portraits / ZOE)
    read = enrolling.load_templates

    def held_meanwhile(place: Any) -> Any:
        monkeypatch.setattr(templates, "PATIENCE", 0.05)
        with templates._templates_held(place):
            return read(place)

    monkeypatch.setattr(enrolling, "load_templates", held_meanwhile)
    before = school.templates
    school.lesveil("enrol", school.portraits, code=BusyError.code)
    assert school.templates == before


def test_who_was_left_out_in_between_can_be_put_right_too(school: School, capsys: pytest.CaptureFixture[str]) -> None:
    """With the template went what new pictures could be compared with; what it showed is still there."""
    school.enrol()
    with workspace.opened(school.place) as place:
        source = {"sha256": "c", "bytes": 1, "files": [{"path": "A", "sha256": "c"}], "card": ""}
        place.ledger.append("ingest", "c", source)
        kept = [{"person": one, "start": 0, "stop": 5, "ground": "g"} for one in (ZOE, RENEE)]
        place.ledger.record("render", "c", "k", "c", {"sha256": "d", "file": "d.mp4", "kept": kept})
        place.ledger.append("filmed", "c", {"day": TODAY.isoformat()})
    away = (school.portraits / ZOE).rename(school.folder / "weg")
    assert school.enrol()["removed"] == [ZOE]
    away.rename(school.portraits / ZOE)
    assert school.enrol()["not_compared"] == [ZOE]
    assert school.rows("lapsed") == []
    away = (school.portraits / ZOE).rename(school.folder / "weg")
    school.enrol()
    away.rename(school.portraits / ZOE)
    capsys.readouterr()
    assert main(["-C", str(school.place), "--lang", "en", "enrol", str(school.portraits)]) == 0
    assert f"enrol again with --replace {ZOE}" in capsys.readouterr().out
    assert school.lesveil("enrol", school.portraits, "--replace", ZOE)["not_compared"] == []
    assert [(row["person"], row["because"]) for row in school.rows("lapsed")] == [(ZOE, "template")]


def test_a_template_from_before_does_not_outlive_the_consent(school: School) -> None:
    school.enrol()
    for path in school.pictures(ZOE):
        path.unlink()
    for path in school.pictures(JURGEN):
        shutil.copy(path, school.portraits / ZOE)
    school.lesveil("consent", "withdraw", ZOE)
    assert refused(school.enrol(), ZOE)["reason"] == "withdrawn"
    assert ZOE not in school.templates


def test_fewer_or_newer_pictures_of_the_same_person_are_taken(school: School) -> None:
    school.enrol()
    for kept in (2, 1):
        for person in (ZOE, RENEE, TEACHER):
            for path in school.pictures(person)[kept:]:
                path.unlink()
        said = school.enrol()
        assert [one["folder"] for one in said["refused"]] == [JURGEN]
        assert {one["portraits"] for one in said["enrolled"]} == {kept}


def test_old_pictures_are_told_and_used(school: School) -> None:
    two_years = (datetime.now() - timedelta(days=730)).timestamp()
    for path in school.pictures(ZOE):
        os.utime(path, (two_years, two_years))
    exif = Image.Exif()
    exif[0x0132] = "2021:05:04 10:00:00"
    for path in school.pictures(RENEE):
        with Image.open(path) as picture:
            picture.save(path, exif=exif, quality=95)
    said = school.enrol()
    old = {one["id"]: one["taken"] for one in said["enrolled"] if one["old"]}
    assert set(old) == {ZOE, RENEE}
    assert old[RENEE] == "2021-05-04"
    with workspace.opened(school.place) as place:
        assert {str(one.taken) for one in workspace.load_templates(place) if one.id == RENEE} == {"2021-05-04"}


def double(school: School) -> None:
    """Zoë's portraits once more, under Renée's number."""
    shutil.rmtree(school.portraits / RENEE)
    shutil.copytree(school.portraits / ZOE, school.portraits / RENEE)


def test_two_who_look_alike_wait_for_a_person(school: School) -> None:
    double(school)
    said = school.enrol(24)
    assert school.templates == [TEACHER]
    assert [one["pair"] for one in said["look_alikes"]] == [sorted((ZOE, RENEE))]
    assert refused(said, ZOE)["other"] == RENEE
    assert "lesveil consent alike" in refused(said, ZOE)["text"]

    school.lesveil("consent", "withdraw", RENEE)
    assert school.enrol(24)["look_alikes"] == [], "Renée's portraits are looked at no more"
    assert school.templates == [TEACHER], "and yet Zoë is not enrolled: Renée would be taken for her"


def test_twins_are_enrolled_when_somebody_said_so_and_lose_it_together(school: School) -> None:
    double(school)
    school.lesveil("consent", "alike", RENEE, ZOE, "--are", "two", "--by", "A. Jansen")
    assert {one["id"] for one in school.enrol()["enrolled"]} == {ZOE, RENEE, TEACHER}
    assert school.rows("alike") == [{"pair": sorted((ZOE, RENEE)), "people": 2, "by": "A. Jansen"}]
    said = school.lesveil("consent", "withdraw", RENEE)
    assert set(said["templates_destroyed"]) == {ZOE, RENEE}, "who may be taken for Renée is not recognised either"
    said = school.enrol()
    assert {one["id"] for one in said["enrolled"]} == {TEACHER}
    assert (refused(said, RENEE)["reason"], refused(said, ZOE)["reason"]) == ("withdrawn", "double_hidden")


def test_one_person_under_two_numbers_is_enrolled_once(school: School) -> None:
    double(school)
    first, second = sorted((ZOE, RENEE))
    school.lesveil("consent", "alike", second, first, "--are", "one", "--by", "A. Jansen")
    said = school.enrol()
    assert set(school.templates) == {first, TEACHER}
    assert (refused(said, second)["reason"], refused(said, second)["other"]) == ("same_person", first)
    school.lesveil("consent", "withdraw", second)
    assert school.templates == [TEACHER], "who withdrew under one number has withdrawn"


def test_a_folder_that_two_people_claim_is_nobodys(school: School) -> None:
    lines = school.list.read_text("cp1252").splitlines()
    taken = [line.rsplit(";", 1)[0] + ";" + ZOE if line.startswith(RENEE) else line for line in lines]
    free = [line.rsplit(";", 1)[0] + ";" if line.startswith(ZOE) else line for line in taken]
    school.list.write_text("\n".join(free) + "\n", "cp1252")
    school.lesveil("consent", "import", school.list)
    said = school.enrol(52)
    assert refused(said, ZOE)["reason"] == "two_owners"
    assert school.templates == [TEACHER]


@pytest.mark.parametrize("how", ["withdrawn", "gone", "no longer agreed"])
def test_a_template_goes_with_the_consent(school: School, how: str) -> None:
    school.enrol()
    vault = school.place / "vault"
    before = {path: path.read_bytes() for path in vault.rglob("*templates*")}
    assert before
    if how == "withdrawn":
        said = school.lesveil("consent", "withdraw", ZOE)
    else:
        lines = school.list.read_text("cp1252").splitlines()
        if how == "gone":
            lines = [line for line in lines if not line.startswith(ZOE)]
        else:
            lines = [line.replace(";Ja;Ja;", ";Ja;Nee;") if line.startswith(ZOE) else line for line in lines]
        school.list.write_text("\n".join(lines) + "\n", "cp1252")
        said = school.lesveil("consent", "import", school.list)
        assert said["losses"] == [ZOE]
    assert said["templates_destroyed"] == [ZOE]
    assert set(school.templates) == {RENEE, TEACHER}
    for path, data in before.items():
        assert not path.exists() or path.read_bytes() != data, "sealed anew, under a new key"


def test_a_withdrawal_for_a_later_day_takes_the_template_now(school: School) -> None:
    school.enrol()
    later = TODAY + timedelta(30)
    assert school.lesveil("consent", "withdraw", ZOE, "--on", later)["templates_destroyed"] == [ZOE]
    people = {one["id"]: one for one in school.lesveil("consent", "list")["people"]}
    assert people[ZOE]["shown"]
    assert people[ZOE]["ends"] == {"on": later.isoformat(), "why": "withdrawn"}
    assert set(school.templates) == {RENEE, TEACHER}


def test_templates_that_cannot_be_read_are_no_reason_to_keep_them(school: School) -> None:
    school.enrol()
    (sealed,) = (school.place / "vault" / "clips").glob("templates-*.vault")
    sealed.write_bytes(sealed.read_bytes()[:-1])
    school.lesveil("consent", "withdraw", ZOE)
    assert list((school.place / "vault").rglob("*templates*")) == []
    assert school.templates == []


def test_who_withdraws_while_portraits_are_looked_at_is_not_enrolled(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.lesson import enrol as enrolling

    look = enrolling._without_doubles

    def withdrawn_meanwhile(*given: Any) -> Any:
        with workspace.opened(school.place) as place:
            place.register.withdraw(ZOE, TODAY)
        return look(*given)

    monkeypatch.setattr(enrolling, "_without_doubles", withdrawn_meanwhile)
    assert refused(school.enrol(), ZOE)["reason"] == "withdrawn"
    assert set(school.templates) == {RENEE, TEACHER}


@pytest.mark.parametrize("days", [0, 30])
def test_who_withdraws_while_templates_are_written_loses_theirs(
    school: School, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Also from a later day on: what was said to be destroyed is not written back."""
    from pipeline.lesson import enrol as enrolling

    school.enrol()
    write = enrolling.save_templates

    def slow(*given: Any) -> None:
        with workspace.opened(school.place) as place:
            assert withdraw(place, ZOE, TODAY + timedelta(days), TODAY).templates == [ZOE]
        write(*given)

    monkeypatch.setattr(enrolling, "save_templates", slow)
    said = school.enrol()
    assert {one["id"] for one in said["enrolled"]} == {RENEE, TEACHER} == set(school.templates)
    assert said["removed"] == [ZOE]


def test_no_name_and_no_number_of_a_face_leaves_the_vault(school: School) -> None:
    school.enrol()
    school.lesveil("consent", "withdraw", ZOE)
    with workspace.opened(school.place) as place:
        template = workspace.load_templates(place)[0].template
    some = [repr(float(value))[:8].encode() for value in template[:20]]
    for path in school.place.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(one in data for one in some), path
            assert template.tobytes()[:32] not in data, path
    assert list(school.rows("enrolment")[0]) == ["people"]
