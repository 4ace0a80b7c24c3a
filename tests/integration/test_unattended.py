"""A run that nobody watches: exit codes, JSON, one at a time, a crashed one recovered; and what doctor says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import messages, workspace
from pipeline.cli import main
from pipeline.commands import unattended
from pipeline.lesson import card as cards
from pipeline.lesson import house_checks
from tests.clips import make

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)
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
        return json.loads(said.out)

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
    assert len(list(archive.glob("lesveil-ledger/*/*"))) == 1


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


def test_a_crashed_run_is_recovered_and_told(school: School) -> None:
    school.film()
    words = [sys.executable, "-c", "import sys\nfrom pipeline.lesson import card\nimport os, signal\n"]
    words[-1] += "card._render = lambda *a, **k: os.kill(os.getpid(), signal.SIGTERM if os.name == 'nt' else 9)\n"
    words[-1] += "from pipeline.cli import main\nsys.exit(main(sys.argv[1:]))"
    more = ["run", "--unattended", "--card", str(school.card), "-C", str(school.place)]
    ended = subprocess.run([*words, *more], cwd=ROOT, capture_output=True, env=dict(os.environ), timeout=120)
    assert ended.returncode != 0
    assert cards._render is not None
    told = school.run()
    assert told["result"] == "done"
    assert told["recovered"]
    with workspace.opened(school.place) as place:
        assert len(place.ledger.entries("recovered")) == 1
        assert place.ledger.verify() == []
    assert school.run()["recovered"] is None


def test_status_tells_of_the_last_one(school: School, capsys: pytest.CaptureFixture[str]) -> None:
    school.run()
    capsys.readouterr()
    main(["status", "-C", str(school.place), "--lang", "nl"])
    assert "Laatste run zonder toezicht" in capsys.readouterr().out
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
        "this machine", "models", "keys and permissions", "privacy", "cards", "delivering"
    ]  # fmt: skip
    for section in told:
        for one in section["findings"]:
            assert one["state"] == "good" or one["todo"], one
    assert "looks a second" in findings(school, "models")[-1]["text"]
    if os.name == "posix":
        (school.place / "register.db").chmod(0o644)
        bad = [one for one in findings(school, "keys and permissions", code=4) if one["state"] == "bad"]
        assert "register.db" in bad[0]["text"]
        (school.place / "register.db").chmod(0o600)
    (school.place / "lesveil.toml").write_text('[recognition]\nmode = "on"\n')
    assert findings(school, "privacy", code=4)[0]["state"] == "bad"


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
