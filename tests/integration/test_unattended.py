"""A run that nobody watches: exit codes, JSON, one at a time, a crashed one recovered; and what doctor says."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import messages, workspace
from pipeline.adapters import encoders
from pipeline.cli import main
from pipeline.commands import unattended
from pipeline.errors import INTERRUPTED, BusyError, LesveilError
from pipeline.lesson import card as cards
from pipeline.lesson import house_checks, making
from tests.clips import make

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    messages.choose("en")


class School:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.place, self.card, self._capsys = folder / "w", folder / "kaart", capsys
        (self.card / "DCIM" / "100TEST").mkdir(parents=True)
        workspace.create(self.place, key_file=True)

    def film(self, name: str = "MVI_0001.MP4") -> None:
        make(self.card / "DCIM" / "100TEST" / name, size="128x96", frames=6)

    def lesveil(self, *words: object, code: int = 0) -> Any:
        self._capsys.readouterr()
        told = main([*map(str, words), "-C", str(self.place), "--json", "--lang", "en"])
        said = self._capsys.readouterr()
        assert told == code, said.out + said.err
        return json.loads(said.out or "null")

    def run(self, *words: object, code: int = 0) -> Any:
        return self.lesveil("run", "--unattended", "--card", self.card, *words, code=code)


@pytest.fixture
def school(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> School:
    return School(tmp_path, capsys)


def test_it_does_what_is_there_and_says_so(school: School, tmp_path: Path) -> None:
    assert school.run()["result"] == "nothing to do"
    school.film()
    done = school.run()
    assert (done["result"], done["code"], done["recovered"]) == ("done", 0, None)
    assert [clip["stage"] for clip in done["clips"]] == ["rendered"]
    assert json.loads((school.place / "last-run.json").read_text())["result"] == "done"
    archive = tmp_path / "archief"
    archive.mkdir()
    (school.place / "lesveil.toml").write_text(f"[deliver]\ntarget = 'folder'\nfolder = {json.dumps(str(archive))}\n")
    assert school.run("--deliver")["delivered"] == [], "nobody approved"
    school.lesveil("approve", done["clips"][0]["clip"], "--by", "G")
    assert school.run()["delivered"] == []
    assert len(school.run("--deliver")["delivered"]) == 1
    assert len(list(archive.glob("*.mp4"))) == 1
    assert len(list(archive.glob("lesveil-ledger/*/*"))) == 2, "from before it and from after it"


def test_what_fails_has_its_code_and_the_rest_is_done(school: School) -> None:
    school.film()
    (school.card / "DCIM" / "100TEST" / "MVI_0002.MP4").write_bytes(b"no film")
    told = school.run(code=11)
    assert (told["result"], len(told["clips"]), told["failed"][0]["code"]) == ("partly done", 1, 11)
    (school.place / "lesveil.toml").write_text("[nonsense]\n")
    assert school.run(code=3)["result"] == "failed"


def test_one_at_a_time(school: School) -> None:
    with workspace.opened(school.place) as place, workspace.alone(place):
        told = school.run(code=5)
    assert told["result"] == "busy"
    assert not (school.place / "last-run.json").exists(), "that is for the run that is at work to write"


def test_what_was_held_by_another_within_a_run_is_a_failure(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(*_: Any, **__: Any) -> None:
        raise BusyError("Another command changes the templates in {folder}; try again.", folder=school.place)

    monkeypatch.setattr(cards, "run_card", held)
    assert school.run(code=5)["result"] == "failed"
    assert json.loads((school.place / "last-run.json").read_text())["result"] == "failed"


@pytest.mark.parametrize("name", ["run.begun", ".last-run.json.part"])
def test_a_full_disk_is_told_and_leaves_nothing(school: School, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write = Path.write_text

    def full(path: Path, *words: Any, **more: Any) -> int:
        if path.name == name:
            path.touch()
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        told = school.run(code=32)
    assert name.strip(".").removesuffix(".part") in told["failed"][-1]["error"]
    assert not (school.place / name).exists()
    assert school.run()["recovered"] is None, "it came to its end"


def test_a_crashed_run_is_recovered_and_told(school: School) -> None:
    school.film()
    words = [sys.executable, "-c", "import sys\nfrom pipeline.lesson import making\nimport os, signal\n"]
    words[-1] += "making.make = lambda *a, **k: os.kill(os.getpid(), signal.SIGTERM if os.name == 'nt' else 9)\n"
    words[-1] += "from pipeline.cli import main\nsys.exit(main(sys.argv[1:]))"
    more = ["run", "--unattended", "--card", str(school.card), "-C", str(school.place)]
    ended = subprocess.run([*words, *more], cwd=ROOT, capture_output=True, env=dict(os.environ), timeout=120)
    assert ended.returncode != 0
    assert making.make is not None
    told = school.run()
    assert told["result"] == "done"
    assert told["recovered"]
    with workspace.opened(school.place) as place:
        assert len(place.ledger.entries("recovered")) == 1
        assert place.ledger.verify() == []
    assert school.run()["recovered"] is None


def test_an_interrupted_run_is_told_by_the_next(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cards, "run_card", interrupted)
        assert main(["run", "--unattended", "--card", str(school.card), "-C", str(school.place)]) == INTERRUPTED
    assert school.run()["recovered"]
    assert school.run()["recovered"] is None


@pytest.mark.skipif(os.name != "posix", reason="a shell closes them")
@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_scheduler_may_give_no_standard_streams(school: School, closed: str) -> None:
    """Nor does a file take their place, into which a library's words would go."""
    watched = "import os, sys\nfrom pipeline import __main__, cli\nmain = cli.main\n"
    watched += "cli.main = lambda: main() if os.open(os.devnull, 0) > 2 else 99\nsys.exit(__main__.main())"
    words = ["run", "--unattended", "--card", str(school.card), "-C", str(school.place)]
    whole = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", watched, *words]
    ended = subprocess.run(whole, cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert json.loads((school.place / "last-run.json").read_text())["result"] == "nothing to do"


@pytest.mark.skipif(os.name != "posix", reason="a shell closes them")
def test_nor_does_a_file_take_their_place_in_a_worker() -> None:
    worker = "import os, sys; sys.exit(os.open(os.devnull, 0) < 3)"
    watched = "import subprocess, sys\nfrom pipeline import __main__, cli\n"
    watched += f"cli.main = lambda: subprocess.call([sys.executable, '-c', {worker!r}])\nsys.exit(__main__.main())"
    whole = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", watched]
    assert subprocess.run(whole, cwd=ROOT, timeout=60).returncode == 0


@pytest.mark.parametrize("where", ["run_card", "waiting"])
def test_what_nobody_foresaw_is_told_like_any_failure(
    school: School, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    school.film()

    def broken(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, "Input/output error", "somewhere")

    with monkeypatch.context() as patch:
        patch.setattr(cards, where, broken)
        patch.setattr("pipeline.lesson.copy.find_card", lambda *_: [])  # without a card what waits is asked for
        words = ["run", "--unattended", *(["--card", school.card] if where == "run_card" else [])]
        told = school.lesveil(*words, code=31)
    assert told["result"] == "failed"
    assert "somewhere" in told["failed"][0]["error"]
    assert json.loads((school.place / "last-run.json").read_text())["code"] == 31
    assert school.run()["recovered"] is None, "it came to its end"


def test_status_tells_of_the_last_one(school: School, capsys: pytest.CaptureFixture[str]) -> None:
    school.run()
    capsys.readouterr()
    main(["status", "-C", str(school.place), "--lang", "nl"])
    assert "Laatste run zonder toezicht" in capsys.readouterr().out
    (school.place / "last-run.json").write_text('{"ended": "2026-11-28T07:30:00+00:00", "result": "done"}')
    here = datetime(2026, 11, 28, 7, 30, tzinfo=UTC).astimezone()
    with workspace.opened(school.place) as place:
        assert f"{here:%Y-%m-%d %H:%M}" in unattended.last_run(place), "as the clock on the wall says it"
    (school.place / "last-run.json").write_text("[1]")
    with workspace.opened(school.place) as place:
        assert unattended.last_run(place) == ""


# --- doctor -------------------------------------------------------------------------------------------------------


def findings(school: School, section: str, code: int = 0) -> list[dict[str, str]]:
    sections = school.lesveil("doctor", code=code)["sections"]
    (found,) = (one["findings"] for one in sections if one["section"] == section)
    return list(found)


def test_doctor_looks_at_everything(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    told = school.lesveil("doctor")["sections"]
    assert [one["section"] for one in told] == [
        "the workspace", "this machine", "models", "keys and permissions", "privacy", "cards", "delivering"
    ]  # fmt: skip
    for section in told:
        for one in section["findings"]:
            assert one["state"] == "good" or one["todo"], one
    assert "a second." in findings(school, "models")[-1]["text"]
    if os.name == "posix":
        (school.place / "register.db").chmod(0o644)
        bad = [one for one in findings(school, "keys and permissions", code=4) if one["state"] == "bad"]
        assert "register.db" in bad[0]["text"]
        (school.place / "register.db").chmod(0o600)
    (school.place / "lesveil.toml").write_text('[recognition]\nmode = "on"\n')
    assert findings(school, "privacy", code=4)[0]["state"] == "bad"


@pytest.mark.skipif(os.name != "posix", reason="a command of Unix")
def test_what_doctor_says_to_type_works_in_a_folder_of_any_name(school: School) -> None:
    school.place = school.place.rename(school.place.with_name("mijn 'les' map"))
    (school.place / "register.db").chmod(0o644)
    (bad,) = (one for one in findings(school, "keys and permissions", code=4) if one["state"] == "bad")
    subprocess.run(bad["todo"], shell=True, check=True)
    assert all(one["state"] != "bad" for one in findings(school, "keys and permissions"))


def test_doctor_knows_how_old_the_list_is_and_what_the_clock_says(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    with workspace.opened(school.place) as place:
        assert "No consent list" in house_checks._list(place, date.today()).text
        place.ledger.append("import", None, {"import": 1, "sha256": "0" * 64, "people": 1, "staff": False})
        assert house_checks._list(place, date.today()).state == "good"
        old = house_checks._list(place, date.today() + timedelta(31))
        assert (old.state, "new export" in old.todo) == ("warning", True)
        assert house_checks.machine_findings(place)[1].state == "good"

        class Earlier(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime(2026, 2, 1, tzinfo=tz)

        monkeypatch.setattr(house_checks, "datetime", Earlier)
        assert house_checks.machine_findings(place)[1].state == "bad", "a clock before the ledger's last row is wrong"
        assert house_checks._list(place, date.today()).state == "good"


BROKEN = {"ledger.db": "The ledger", "register.db": "The register", "vault/master.key": "is not a master key"}
"""Parts of a workspace, and what is said when they are broken."""


@pytest.mark.parametrize("how", ["changed", "gone"])
@pytest.mark.parametrize("part", BROKEN)
def test_doctor_lists_what_is_broken_and_goes_on(school: School, part: str, how: str) -> None:
    path = school.place / part
    (school.place / "vault" / "keys" / ("0" * 64 + ".key")).write_bytes(b"of something that was sealed")
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"this is something else" * 300)
    before = path.read_bytes() if path.exists() else None
    told = {one["section"]: one["findings"] for one in school.lesveil("doctor", code=4)["sections"]}
    (broken,) = told["the workspace"]
    assert broken["state"] == "bad"
    assert broken["todo"]
    assert (BROKEN[part] if how == "changed" else path.name) in broken["text"]
    for section in ("this machine", "models", "keys and permissions", "privacy", "cards", "delivering"):
        assert told[section], section
        assert broken not in told[section]
    todo = [one["todo"] for findings in told.values() for one in findings]
    assert not any("permission" in one for one in todo), "what is gone is not to be made anew"
    said = [one["text"] for findings in told.values() for one in findings]
    assert any("GB are free" in text for text in said)
    assert any("The clock says" in text for text in said)
    assert any("Recognition is off" in text for text in said)
    assert any("The ledger is whole" in text for text in said) == (part != "ledger.db")
    assert (path.read_bytes() if path.exists() else None) == before
    with pytest.raises(LesveilError), workspace.opened(school.place):
        pass


def test_a_folder_that_cannot_be_written_is_told_as_that(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite needs a file beside its own: a ledger in such a folder is no worse, and no copy of it helps."""
    connect = sqlite3.connect

    def reads(path: Path, **options: Any) -> sqlite3.Connection:
        return connect(f"{path.as_uri()}?mode=ro", uri=True, **options)

    for name in ("ledger.db", "register.db"):
        with contextlib.closing(connect(school.place / name)) as held:
            held.execute("PRAGMA journal_mode=DELETE")  # else it need not be written to be opened
    monkeypatch.setattr("pipeline.adapters.database.sqlite3.connect", reads)
    told = {one["section"]: one["findings"] for one in school.lesveil("doctor", code=4)["sections"]}
    for one in told["the workspace"]:
        assert "check the folder and its permissions" in one["text"]
        assert one["todo"] == "Give yourself permission to read and write there."
    assert len(told["the workspace"]) == 2


@pytest.mark.parametrize("name", ["ledger.db", "register.db"])
def test_a_file_that_another_program_holds_is_not_called_broken(
    school: School, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Nobody is to put back an old copy of a register that is only waited for."""
    monkeypatch.setattr("pipeline.adapters.database.BUSY_SECONDS", 0.05)
    with contextlib.closing(sqlite3.connect(school.place / name, isolation_level=None)) as held:
        held.execute("PRAGMA locking_mode=EXCLUSIVE")
        held.execute("BEGIN EXCLUSIVE")
        assert main(["status", "-C", str(school.place), "--lang", "en"]) == BusyError.code
        told = capsys.readouterr().err
        assert f"{name} is held by another program" in told
        assert "move the workspace" in told, "there may be no such program, but a share that knows no locks"
        assert school.run(code=BusyError.code)["result"] == "failed", "no other run is at work"
        (broken,) = findings(school, "the workspace", code=4)
    assert (name in broken["text"], broken["todo"]) == (True, "Run lesveil doctor again then.")


def test_doctor_looks_while_a_run_is_at_work(school: School) -> None:
    """It is asked when somebody wonders about just that run; only what it is told of the clock waits."""
    with workspace.opened(school.place) as place, workspace.alone(place):
        assert findings(school, "the workspace")[0]["state"] == "good"
        school.lesveil("doctor", "--clock-is-right", code=5)


def test_doctor_lists_several_that_are_broken(school: School) -> None:
    for part in BROKEN:
        (school.place / part).write_bytes(b"this is something else" * 300)
    assert [one["state"] for one in findings(school, "the workspace", code=4)] == ["bad"] * 3


def _settings(school: School, text: str) -> None:
    (school.place / "lesveil.toml").write_text(text, encoding="utf-8")


def test_doctor_says_who_writes_the_film(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    def lines(code: int = 0) -> list[tuple[str, str]]:
        return [(one["state"], one["text"]) for one in findings(school, "this machine", code) if "film" in one["text"]]

    assert lines() == [("good", "libx264 writes the film.")]
    works = {"libx264"}
    monkeypatch.setattr(encoders, "works", lambda name, *_: name in works)
    _settings(school, '[rendering]\nencoder = "h264_nvenc"\n')
    ((state, text),) = lines()
    assert (state, "h264_nvenc" in text, "libx264 writes it" in text) == ("warning", True, True)
    _settings(school, '[rendering]\nencoder = "auto"\n')
    assert lines()[0][0] == "good"
    works.add("h264_qsv")
    assert lines() == [("good", "h264_qsv writes the film.")]
    _settings(school, '[rendering]\nencoder = "auto"\npreset = "slow"\n')
    told = findings(school, "this machine")
    assert any(one["state"] == "warning" and 'preset = "slow"' in one["text"] for one in told)
    works.clear()
    _settings(school, "")
    assert any("libx264 is missing" in one["text"] for one in findings(school, "this machine", code=4))


def test_doctor_says_that_dask_is_missing(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    _settings(school, '[engine]\nkind = "dask"\n')
    monkeypatch.setitem(sys.modules, "distributed", None)
    (one,) = [one for one in findings(school, "this machine", code=4) if "Dask" in one["text"]]
    assert (one["state"], "lesveil[cluster]" in one["todo"]) == ("bad", True)
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(__spec__=object()))
    monkeypatch.setitem(sys.modules, "dask", SimpleNamespace(__spec__=object()))
    (one,) = [one for one in findings(school, "this machine") if "Dask" in one["text"]]
    assert one["state"] == "good"


def test_a_run_says_once_that_no_hardware_writes_the_film(
    school: School, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(encoders, "works", lambda name, *_: name == "libx264")
    school.film()
    school.film("MVI_0002.MP4")
    words = ["run", "--card", str(school.card), "-C", str(school.place), "--lang", "en", "--quiet"]
    for wanted, times in (("h264_nvenc", 1), ("software", 0)):
        _settings(school, f'[rendering]\nencoder = "{wanted}"\n')
        assert main(words) == 0
        assert capsys.readouterr().err.count("No hardware here writes film") == times
