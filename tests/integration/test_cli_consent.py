"""The consent list through the command line: every form of it gives one register, every broken copy none."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

from pipeline import messages, workspace
from pipeline.cli import main
from pipeline.records import Person

HEADER = [
    *("Leerlingnummer", "Roepnaam", "Tussenvoegsel", "Achternaam", "Geboortedatum", "Klas", "Beeldcoaching"),
    *("Gezichtsherkenning", "Toestemming van", "Datum toestemming", "Datum intrekking", "Portretmap"),
]
TODAY = date.today()


def days_ago(days: float) -> str:
    return (TODAY - timedelta(days=round(days))).strftime("%d-%m-%Y")


def a_class() -> list[list[str]]:
    """28 pupils: ten of 13 or 17 who agreed, three who agreed and withdrew, fifteen who did not agree."""
    rows = []
    for n in range(28):
        birth, giver = (days_ago(17.4 * 365), "leerling") if n % 2 else (days_ago(13.3 * 365), "ouder")
        agreed = n < 13
        words = ("Ja", "Ja", giver, days_ago(80)) if agreed else (("Nee", ""), ("", "Nee"))[n % 2] + ("", days_ago(80))
        withdrawn = days_ago(10) if 10 <= n < 13 else ""
        folder = f"P{n:02}" if agreed else ""
        rows.append(
            [str(1000 + n), f"Noa{n}", "van" if n % 3 else "", f"Çetin{n}", birth, "3HA", *words, withdrawn, folder]
        )
    return [HEADER, *rows]


def text_of(table: list[list[str]], separator: str = ";") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator).writerows(table)
    return out.getvalue()


def xlsx_of(table: list[list[str]]) -> bytes:
    book = openpyxl.Workbook()
    for row in table:
        book.active.append([cell or None for cell in row])
    out = io.BytesIO()
    book.save(out)
    book.close()
    return out.getvalue()


FORMS = {
    "semicolons.csv": lambda table: text_of(table).encode("cp1252"),
    "commas.csv": lambda table: text_of(table, ",").encode("utf-8-sig"),
    "utf16.csv": lambda table: text_of(table, "\t").encode("utf-16"),
    "list.xlsx": xlsx_of,
}


class Place:
    """A workspace and the command line."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self("init", folder)

    def __call__(self, *words: object, code: int = 0) -> Any:
        told = self.run(*words, "--json", code=code)[0]
        return json.loads(told) if told else None

    def run(self, *words: object, code: int = 0, lang: str = "en") -> tuple[str, str]:
        self.capsys.readouterr()
        told = main([*map(str, words), "-C", str(self.folder), "--lang", lang])
        said = self.capsys.readouterr()
        assert told == code, said.err
        assert "Traceback" not in said.err
        return said.out, said.err

    def settings(self, text: str) -> None:
        (self.folder / "lesveil.toml").write_text(text, encoding="utf-8")

    @property
    def register(self) -> list[str]:
        """Everything in the register's tables but the moments and the file of each import."""
        with closing(sqlite3.connect(self.folder / "register.db")) as db:
            return [line for line in db.iterdump() if 'INTO "imports"' not in line and "migrations" not in line]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    messages.choose("en")


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path / "w", capsys)


def write(folder: Path, name: str, table: list[list[str]]) -> Path:
    path = folder / name
    path.write_bytes(FORMS[name](table))
    return path


def test_every_form_of_the_list_gives_the_same_register(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for name in FORMS:
        place = Place(tmp_path / f"workspace of {name}", capsys)
        said = place("consent", "import", write(tmp_path, name, a_class()))
        assert (len(said["new"]), len(said["gains"]), said["losses"]) == (28, 10, [])
        found[name] = (place.register, place("consent", "list")["people"])
    assert all(one == found["list.xlsx"] for one in found.values())
    people = {one["id"]: one for one in found["list.xlsx"][1]}
    assert people["1000"]["shown"]
    assert people["1000"]["ground"] == "import 1 row 2"
    assert (people["1011"]["why"], people["1013"]["why"]) == ("withdrawn", "purpose_not_granted")


def swapped(table: list[list[str]], one: str, other: str) -> list[list[str]]:
    """The cells of two columns under each other's header."""
    a, b = HEADER.index(one), HEADER.index(other)
    rows = [list(row) for row in table]
    for row in rows[1:]:
        row[a], row[b] = row[b], row[a]
    return rows


def without(table: list[list[str]], column: str) -> list[list[str]]:
    at = HEADER.index(column)
    return [row[:at] + row[at + 1 :] for row in table]


BROKEN: dict[str, Any] = {
    "cut in half": lambda data, name: data[: len(data) // 2],
    "cut between two rows": lambda data, name: FORMS[name](a_class()[:15]),
    "columns swapped": lambda data, name: FORMS[name](swapped(a_class(), "Geboortedatum", "Datum toestemming")),
    "answers under the wrong header": lambda data, name: FORMS[name](swapped(a_class(), "Beeldcoaching", "Klas")),
    "no purpose": lambda data, name: FORMS[name](without(a_class(), "Beeldcoaching")),
    "no recognition": lambda data, name: FORMS[name](without(a_class(), "Gezichtsherkenning")),
    "nobody's word": lambda data, name: FORMS[name](without(a_class(), "Toestemming van")),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_copy_is_refused_and_changes_nothing(place: Place, tmp_path: Path, name: str, how: str) -> None:
    whole = write(tmp_path, name, a_class())
    place("consent", "import", whole)
    before, ledger = place.register, (place.folder / "ledger.db").read_bytes()
    whole.write_bytes(BROKEN[how](whole.read_bytes(), name))
    out, err = place.run("consent", "import", whole, code=51)
    assert out == ""
    sentence = err.splitlines()[-1]
    assert sentence.startswith(f"lesveil: {name}")
    assert sentence.endswith(".")
    assert place.register == before
    assert (place.folder / "ledger.db").read_bytes() == ledger


@pytest.mark.parametrize("name", FORMS)
def test_half_a_file_is_no_first_list_either(place: Place, tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, a_class())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    place.run("consent", "import", path, code=51)
    assert place("consent", "list")["people"] == []


def test_a_dry_run_shows_everything_and_changes_nothing(place: Place, tmp_path: Path) -> None:
    place("consent", "import", write(tmp_path, "list.xlsx", a_class()))
    table = a_class()
    table[1][10] = days_ago(1)  # 1000 withdrew
    table[2][6] = "Nee"  # 1001 says no now
    table[14][6:9] = ["Ja", "Ja", "leerling"]  # 1013 says yes
    del table[4]  # 1003 has left
    table.append(["2000", "Bo", "", "Nieuw", days_ago(13 * 365), "3HA", "Ja", "Ja", "ouder", days_ago(3), "", ""])
    path = write(tmp_path, "list.xlsx", table)
    before = place.register
    said = place("consent", "import", path, "--dry-run")
    assert (said["import"], said["new"], said["gone"]) == (None, ["2000"], ["1003"])
    assert sorted(said["losses"]) == ["1000", "1001", "1003"]
    assert sorted(said["gains"]) == ["1013", "2000"]
    assert place.register == before
    lines = place.run("consent", "import", path, "--dry-run", lang="nl")[0].splitlines()
    assert lines[-1] == "Er is niets veranderd (--dry-run)."
    at = next(n for n, line in enumerate(lines) if line.startswith("3 MENSEN VERLIEZEN TOESTEMMING"))
    assert [line.split()[1] for line in lines[at + 1 : at + 4]] == ["1000", "1001", "1003"], "the losses come last"
    assert "Noa0" in lines[at + 1]
    assert "ingetrokken" in lines[at + 1]
    assert place("consent", "import", path)["losses"] == said["losses"]


def test_many_who_left_need_somebody_who_looked(place: Place, tmp_path: Path) -> None:
    place("consent", "import", write(tmp_path, "list.xlsx", a_class()))
    half = write(tmp_path, "commas.csv", a_class()[:15])
    assert place("consent", "import", half, "--dry-run")["needs_allow_loss"]
    _, err = place.run("consent", "import", half, code=51)
    assert "14 of the 28" in err
    assert len(place("consent", "import", half, "--allow-loss")["gone"]) == 14


def test_an_older_list_needs_somebody_who_looked(place: Place, tmp_path: Path) -> None:
    old = write(tmp_path, "list.xlsx", a_class())
    place("consent", "import", old)
    table = a_class()
    table[1][6] = "Nee"
    place("consent", "import", write(tmp_path, "commas.csv", table))
    assert place("consent", "import", old, "--dry-run")["needs_allow_older"]
    assert "needs --allow-older" in place.run("consent", "import", old, "--dry-run")[0]
    _, err = place.run("consent", "import", old, code=51)
    assert "1000 Noa0" in err
    assert "--allow-older" in err
    assert place("consent", "import", old, "--allow-older")["gains"] == ["1000"]


def test_what_was_said_of_two_numbers_counts_at_once(place: Place, tmp_path: Path) -> None:
    place("consent", "import", write(tmp_path, "list.xlsx", a_class()))
    place("consent", "withdraw", "1000", "--by", "A. Jansen")
    assert place("report")["withdrawals"][0]["by"] == "A. Jansen"
    said = ("consent", "alike", "1000", "1002", "--by", "A. Jansen", "--are")
    out = place.run(*said, "two")[0]
    assert out.splitlines() == ["Kept; it counts from now on."], "nobody is enrolled where recognition is off"
    place.settings('[recognition]\nmode = "on"\n[privacy]\ndpia = "DPIA"\n')
    with workspace.opened(place.folder) as opened:
        workspace.save_templates(opened, [Person(one, np.ones(128, np.float32), 1) for one in ("1002", "1004")])
    lines = place.run(*said, "one")[0].splitlines()
    assert lines[1:] == ["Templates destroyed: 1002", "Run lesveil enrol again, so that the templates go by it too."]


def test_a_withdrawal_before_the_consent_says_what_still_counts(place: Place, tmp_path: Path) -> None:
    place("consent", "import", write(tmp_path, "list.xlsx", a_class()))
    on, given = TODAY - timedelta(90), TODAY - timedelta(80)
    out = place.run("consent", "withdraw", "1000", "--on", on)[0]
    assert f"so it still counts; if that is taken back as well, say lesveil consent withdraw 1000 --on {given}." in out
    assert place("consent", "withdraw", "1000", "--on", on)["agreed_later"] == {"1000": given.isoformat()}
    assert "still counts" not in place.run("consent", "withdraw", "1000", "--on", given)[0]


def test_any_past_day_can_be_asked(place: Place, tmp_path: Path) -> None:
    place("consent", "import", write(tmp_path, "list.xlsx", a_class()))
    with closing(sqlite3.connect(place.folder / "register.db")) as db:  # as if it had been imported a month ago
        db.execute("UPDATE imports SET day = ?", ((TODAY - timedelta(30)).isoformat(),))
        db.commit()
    place("consent", "withdraw", "1000")

    def shown(days: int) -> set[str]:
        on = (TODAY - timedelta(days)).isoformat()
        return {one["id"] for one in place("consent", "list", "--on", on)["people"] if one["shown"]}

    everyone = {str(1000 + n) for n in range(13)}
    assert shown(31) == set()
    assert shown(20) == everyone
    assert shown(9) == everyone - {"1010", "1011", "1012"}
    assert shown(0) == everyone - {"1000", "1010", "1011", "1012"}
    place.run("consent", "list", "--on", "gisteren", code=2)


def test_a_day_before_the_first_list_is_told_as_such(place: Place, tmp_path: Path) -> None:
    day = (TODAY - timedelta(5)).isoformat()
    nothing = "No consent list was imported, so everyone is hidden."
    assert place.run("consent", "list", "--on", day)[0].splitlines()[-1] == nothing
    place("consent", "import", write(tmp_path, "list.xlsx", a_class()))
    out = place.run("consent", "list", "--on", day)[0]
    assert nothing not in out
    assert f"By {day} no consent list had been imported" in out
    assert TODAY.isoformat() in out


def test_settings_say_how_the_list_is_read_and_what_ends_soon_is_told(place: Place, tmp_path: Path) -> None:
    soon = TODAY + timedelta(20)
    birth = soon.replace(year=soon.year - 16).strftime("%d-%m-%Y")
    rows = [
        ["Stamnr.", "Naam", "Geb.datum", "Filmen", "Herkennen", "Wie"],
        ["7", "A", birth, "Prima", "Prima", "ouder"],
    ]
    path = tmp_path / "eigen.csv"
    path.write_text(text_of(rows), encoding="utf-8")
    place.settings(
        '[consent]\nyes = ["prima"]\n[consent.columns]\nnumber = "Stamnr."\nlast_name = "Naam"\nbirth = "Geb.datum"\n'
        'filmed = "Filmen"\nrecognised = "Herkennen"\ngiver = "Wie"\n'
    )
    said = place("consent", "import", path)
    assert (said["gains"], said["ends_soon"]) == (["7"], ["7"])
    (person,) = place("consent", "list")["people"]
    assert person["ends"] == {"on": soon.isoformat(), "why": "own_word_needed"}
    assert "Ends soon:" in place.run("consent", "list")[0]


def test_staff_have_a_list_of_their_own(place: Place, tmp_path: Path) -> None:
    place("consent", "import", write(tmp_path, "list.xlsx", a_class()))
    staff = tmp_path / "personeel.csv"
    staff.write_text("Docentcode;Achternaam;Beeldcoaching;Gezichtsherkenning\nHUL;Hulzebosch;Ja;Nee\n", "utf-8")
    said = place("consent", "import", staff, "--staff")
    assert (said["new"], said["gone"], said["gains"], said["filmed_gains"]) == (["HUL"], [], [], ["HUL"])
    (teacher,) = [one for one in place("consent", "list")["people"] if one["staff"]]
    assert (teacher["id"], teacher["shown"], teacher["filmed"]) == ("HUL", False, True)


def test_names_stay_in_the_register_alone(place: Place, tmp_path: Path) -> None:
    place("consent", "import", write(tmp_path, "list.xlsx", a_class()))
    place("consent", "withdraw", "1000")
    for path in place.folder.rglob("*"):
        if path.is_file() and not path.name.startswith("register.db"):
            assert b"etin" not in path.read_bytes(), path


def test_what_cannot_be_read_is_named(place: Place, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "lijst.csv"):
        said = place.run("consent", "import", path, code=51)[1]
        assert path.name in said
        assert "check its name" in said


@pytest.mark.parametrize(
    ("lang", "on", "off"), [("en", "shown", "would be shown"), ("nl", "herkenbaar", "zou herkenbaar zijn")]
)
def test_where_recognition_is_off_nobody_is_said_to_be_shown(
    place: Place, tmp_path: Path, lang: str, on: str, off: str
) -> None:
    place("consent", "import", write(tmp_path, "list.xlsx", a_class()))

    def said() -> str:
        listed = place.run("consent", "list", lang=lang)[0].splitlines()
        (line,) = [line for line in listed if line.split()[:1] == ["1000"]]
        return line.split("Noa0")[0].split(maxsplit=1)[1].strip()

    assert said() == off
    place.settings('[recognition]\nmode = "on"\n[privacy]\ndpia = "DPIA"\n')
    assert said() == on


def test_an_import_that_is_killed_is_whole_or_not_there(place: Place, tmp_path: Path) -> None:
    """A real process, killed at moments spread over the whole of its work."""
    path = write(tmp_path, "list.xlsx", a_class())
    command = [sys.executable, "-m", "pipeline", "-C", str(place.folder), "consent", "import", str(path), "--quiet"]
    for wait in (0.15, 0.35, 0.45, 0.55, 0.7, 1.5):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                process.kill()
        assert len(place("consent", "list")["people"]) in (0, 28)
    assert stat.S_IMODE((place.folder / "register.db").stat().st_mode) == 0o600
    place("consent", "import", path)
    assert len(place("consent", "list")["people"]) == 28


def test_the_list_of_the_open_evaluation(place: Place, eval_folder: Path) -> None:
    said = place("consent", "import", eval_folder / "dev" / "class_consent.csv")
    assert len(said["new"]) == 28
    people = place("consent", "list")["people"]
    assert {one["id"] for one in people if one["shown"]} <= {str(1001 + n) for n in range(10)}
    withdrawn = {"1011", "1012", "1013"}
    assert withdrawn == {one["id"] for one in people if one["why"] == "withdrawn"}
    refused = place("enrol", eval_folder / "dev" / "class_portraits", code=25)["refused"]
    assert withdrawn == {one["id"] for one in refused if one["reason"] == "withdrawn"}
    assert all(one["ground"] for one in refused if one["reason"] == "withdrawn")


def test_where_recognition_is_off_an_import_says_so_of_whom_it_could_recognise(place: Place, tmp_path: Path) -> None:
    out = place.run("consent", "import", write(tmp_path, "list.xlsx", a_class()))[0]
    assert out.count("+ agreed to be recognised, and recognition is off: ") == 10
    assert "may be recognised" not in out


def test_a_schools_first_list_is_told_in_a_line_and_what_changes_later_by_name(place: Place, tmp_path: Path) -> None:
    school = [HEADER]
    for n in range(60):
        answers = ("Ja", "Ja" if n % 2 else "Nee", "ouder", days_ago(80), "", "")
        school.append([str(2000 + n), f"Bo{n}", "", f"Smit{n}", days_ago(4855 + n), "2HA", *answers])
    out = place.run("consent", "import", write(tmp_path, "list.xlsx", school), "--dry-run")[0]
    assert "+ from now on 30 people could be recognised, but recognition is off, and 30 more people may be" in out
    place.settings('[recognition]\nmode = "on"\n[privacy]\ndpia = "DPIA"\n')
    out = place.run("consent", "import", write(tmp_path, "list.xlsx", school))[0]
    assert "+ from now on 30 people may be recognised, and 30 more people filmed: see lesveil consent list." in out
    assert len(out.splitlines()) < 8
    assert place("consent", "import", tmp_path / "list.xlsx")["gains"] == []
    school.append([*school[2]])
    school[-1][:2] = ["2999", "Mo"]
    out = place.run("consent", "import", write(tmp_path, "list.xlsx", school))[0]
    assert "+ may be recognised from now on: 2999 Mo Smit1" in out
