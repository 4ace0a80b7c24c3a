"""login, deliver, its audit and removal, doctor and the wipe's last question: the commands, and the faithful Graph."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline import messages, workspace
from pipeline.adapters import graph_http
from pipeline.adapters.graph_http import Clock
from pipeline.adapters.graph_names import Labels
from pipeline.cli import main
from pipeline.errors import DeliveryError, SignInError
from pipeline.lesson import deliver as delivering
from pipeline.lesson import targets
from pipeline.lesson.deliver import Arrived
from pipeline.lesson.folder_target import FolderTarget
from pipeline.lesson.onedrive_target import OneDriveTarget
from pipeline.lesson.state import states
from pipeline.lesson.targets import open_target
from tests.faults import school
from tests.faults.school import Made, NoWaiting
from tests.graph.control import Control, running

ONEDRIVE = """\
[deliver]
target = "onedrive"
layout = "{layout}"
[onedrive]
tenant = "school.example"
client_id = "lesveil"
folder = "Beeldcoaching/lessen"
authority = "{url}"
graph = "{url}/v1.0"
"""
LAYOUT = "{class}/{date}_{teacher}/{clip}_{id}"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    messages.choose("en")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with running(tmp_path_factory.mktemp("graph")) as control:
        yield control


@pytest.fixture
def drive(graph: Control) -> str:
    """The signed-in person's drive, empty."""
    graph.post("drop", drive="me")
    graph.post("drive", id="me")
    return "me"


class Place:
    """A workspace with three approved clips, and the commands in it."""

    def __init__(self, made: Made, capsys: pytest.CaptureFixture[str]) -> None:
        self.made, self._capsys = made, capsys

    def lesveil(self, *words: object, code: int = 0) -> Any:
        self._capsys.readouterr()
        told = main([*map(str, words), "-C", str(self.made.folder), "--json", "--lang", "en"])
        said = self._capsys.readouterr()
        assert told == code, said.err + said.out
        assert school.secrets_in(said.out + said.err) == []
        return json.loads(said.out) if said.out else said.err

    def settle(self, text: str) -> None:
        (self.made.folder / "lesveil.toml").write_text(text, encoding="utf-8")

    def stages(self) -> list[str]:
        with workspace.opened(self.made.folder) as place:
            return [state.stage for state in states(place)]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return school.make(tmp_path_factory.mktemp("three") / "werkmap", clips=3)


@pytest.fixture
def place(three: Made, graph: Control, drive: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    own = Place(school.copied(three, tmp_path / "werkmap"), capsys)
    own.settle(ONEDRIVE.format(url=graph.url, layout=LAYOUT))
    return own


WORDS = ("--class", "3B", "--teacher", "VRI")


def test_from_login_to_removal(place: Place, graph: Control, drive: str) -> None:
    assert "run lesveil login" in place.lesveil("deliver", *WORDS, code=60)
    signed = place.lesveil("login", "--device-code")
    assert (signed["person"], signed["drive"]) == ("coach-0001@school.example", "me")

    done = place.lesveil("deliver", *WORDS)
    assert [entry["replaced"] for entry in done["delivered"]] == [False] * 3
    paths = sorted(entry["where"] for entry in done["delivered"])
    assert paths[0].startswith("OneDrive:/Beeldcoaching/lessen/3B/2026-11-25_VRI/MVI_000")
    there = graph.state(drive)
    assert sorted(f"OneDrive:/{file['path']}" for file in there["files"]) == paths
    assert {file["sha256"] for file in there["files"]} == {
        hashlib.sha256(school.film(n)).hexdigest() for n in (1, 2, 3)
    }
    assert place.stages() == ["delivered"] * 3
    assert place.lesveil("deliver", *WORDS)["delivered"] == []

    audited = place.lesveil("deliver", "--audit")["files"]
    assert {line["verdict"] for line in audited} == {"as delivered"}

    clip = done["delivered"][0]["clip"]
    shown = place.lesveil("deliver", "--remove", clip)
    assert shown["removed"] is False
    assert len(graph.state(drive)["files"]) == 3, "it is shown first"
    gone = place.lesveil("deliver", "--remove", clip, "--yes")
    assert (gone["removed"], gone["permanent"]) == (True, True)
    assert len(graph.state(drive)["files"]) == 2
    assert graph.state(drive)["bin"] == []
    assert place.stages().count("removed") == 1
    assert place.lesveil("deliver", *WORDS)["delivered"] == [], "what was taken away is not brought again by itself"
    assert place.lesveil("ledger", "verify")["findings"] == []

    place.lesveil("login", "--forget")
    assert "run lesveil login" in place.lesveil("deliver", "--audit", code=60)


def test_a_withdrawal_is_answered_before_the_archive_is_asked(
    place: Place, graph: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A parent waits, and there is no line: the answer comes first, and the archive is given ten seconds."""
    place.lesveil("login", "--device-code")
    names = "Leerlingnummer;Roepnaam;Achternaam;Geboortedatum;Beeldcoaching;Gezichtsherkenning;Toestemming van\n"
    (tmp_path / "lijst.csv").write_text(names + "41207;Noa;Jansen;01-02-2005;Ja;Ja;leerling\n", encoding="utf-8")
    place.lesveil("consent", "import", tmp_path / "lijst.csv")
    withdrawn_by_then, waits, asked = list[str](), NoWaiting(), targets.heads_left
    request = httpx.Client.request

    def heads_left(*said: Any) -> list[str]:
        withdrawn_by_then.append(capsys.readouterr().out)
        return asked(*said)

    def no_line(client: httpx.Client, method: str, url: Any, **more: Any) -> httpx.Response:
        if str(url).startswith(f"{graph.url}/v1.0/"):
            raise httpx.ConnectError("no")
        return request(client, method, url, **more)

    monkeypatch.setattr(targets, "heads_left", heads_left)
    slow = functools.partial(Clock, waits.clock.sleep, waits.clock.now, waits.clock.chance)
    monkeypatch.setattr(graph_http, "Clock", slow)
    monkeypatch.setattr(httpx.Client, "request", no_line)
    assert main(["consent", "withdraw", "41207", "-C", str(place.made.folder), "--lang", "en"]) == 0
    assert "Consent of 41207 is withdrawn" in withdrawn_by_then[0]
    assert "could not be asked" in capsys.readouterr().err
    assert sum(waits.waited) < 10


def test_what_cannot_be_asked_in_the_archive_is_known_before_a_wipe(place: Place, drive: str) -> None:
    place.lesveil("login", "--device-code")
    place.lesveil("deliver", *WORDS)
    with workspace.opened(place.made.folder) as opened:
        delivery = opened.ledger.entries("delivery")[0].payload
        targets.refuse_away(opened, delivery)
    place.lesveil("login", "--forget")
    with workspace.opened(place.made.folder) as opened, pytest.raises(SignInError, match="run lesveil login"):
        targets.refuse_away(opened, delivery)


def test_ctrl_c_stops_soon_and_the_next_run_goes_on(place: Place, graph: Control, drive: str) -> None:
    place.lesveil("login", "--device-code")
    graph.post("pace", bytes_per_second=2_000_000)
    command = [sys.executable, "-m", "pipeline", "deliver", *WORDS, "-C", str(place.made.folder), "--lang", "en"]
    try:
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            for _ in range(600):
                if any(row["event"] == "session" for row in graph.state(drive)["log"]):
                    break
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1]
    finally:
        graph.post("pace", bytes_per_second=0)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert len(graph.state(drive)["files"]) < 3
    done = place.lesveil("deliver", *WORDS)
    assert (len(done["delivered"]), done["failed"]) == (3, [])
    state = graph.state(drive)
    assert (len(state["files"]), state["sessions"]) == (3, 0)
    assert all(row["start"] == 0 for row in state["log"] if row["event"] == "put" and row["status"] == 201)


def test_the_recycle_bin_is_told(place: Place, graph: Control, drive: str) -> None:
    place.lesveil("login", "--device-code")
    done = place.lesveil("deliver", *WORDS)
    graph.post("settle", drive=drive, permanent=False)
    gone = place.lesveil("deliver", "--remove", done["delivered"][0]["clip"], "--yes")
    assert (gone["removed"], gone["permanent"]) == (True, False)
    assert len(graph.state(drive)["bin"]) == 1
    with workspace.opened(place.made.folder) as opened:
        assert opened.ledger.entries("delivery_removed")[-1].payload["permanent"] is False


def test_the_recycle_bin_is_told_of_what_a_recall_deleted(place: Place, graph: Control, drive: str) -> None:
    place.lesveil("login", "--device-code")
    place.lesveil("deliver", *WORDS)
    graph.post("settle", drive=drive, permanent=False)
    place.lesveil("used", place.made.clip, "--by", "Geertje")
    with workspace.opened(place.made.folder) as opened:
        said = opened.ledger.entries("delivery", place.made.clip)[-1].payload
        row = {"person": "41207", "day": "2026-11-25", "renderings": [said["sha256"]]}
        opened.ledger.append("lapsed", place.made.clip, row)
    (done,) = place.lesveil("recall", "--execute", place.lesveil("recall")["digest"])["done"]
    assert (done["outcome"], done["in_bin"]) == ("deleted", [said["where"]])
    assert len(graph.state(drive)["bin"]) == 1


def test_the_audit_names_every_difference(place: Place, graph: Control, drive: str) -> None:
    place.lesveil("login", "--device-code")
    place.lesveil("deliver", *WORDS)
    first, second, _ = (file["path"] for file in graph.state(drive)["files"])
    with workspace.opened(place.made.folder) as opened, school.target(opened, graph, drive) as target:
        call = target._drive.graph.call
        call("DELETE", f"/drives/me/root:/{first}:")
        call("PUT", f"/drives/me/root:/{second}:/content", json={"another": "film"})
        call("PUT", "/drives/me/root:/Beeldcoaching/lessen/vreemd.mp4:/content", json={})
    audited = place.lesveil("deliver", "--audit", code=56)["files"]
    assert {line["where"].removeprefix("OneDrive:/"): line["verdict"] for line in audited} == {
        first: "missing",
        second: "changed",
        audited[2]["where"].removeprefix("OneDrive:/"): "as delivered",
        "Beeldcoaching/lessen/vreemd.mp4": "unknown",
    }


@pytest.mark.parametrize("ours", ["moved", "missing"])
def test_a_strange_film_in_the_place_of_ours_is_named(place: Place, graph: Control, drive: str, ours: str) -> None:
    place.lesveil("login", "--device-code")
    place.lesveil("deliver", *WORDS)
    first, *_ = (file for file in graph.state(drive)["files"])
    with workspace.opened(place.made.folder) as opened, school.target(opened, graph, drive) as target:
        call = target._drive.graph.call
        if ours == "moved":
            moved = call("PATCH", f"/drives/me/items/{first['id']}", json={"name": "anders.mp4"})
            assert moved.status_code == 200
        else:
            call("DELETE", f"/drives/me/items/{first['id']}")
        call("PUT", f"/drives/me/root:/{first['path']}:/content", json={"another": "film"})
    audited = place.lesveil("deliver", "--audit", code=56)["files"]
    assert sorted(line["verdict"] for line in audited) == sorted([ours, "as delivered", "as delivered", "unknown"])
    assert [line["where"] for line in audited if line["verdict"] == "unknown"] == [f"OneDrive:/{first['path']}"]


def test_a_film_at_the_top_of_the_drive_lies_where_it_was_delivered(place: Place, graph: Control, drive: str) -> None:
    place.settle(ONEDRIVE.format(url=graph.url, layout="{id}").replace('"Beeldcoaching/lessen"', '""'))
    place.lesveil("login", "--device-code")
    where = {entry["where"] for entry in place.lesveil("deliver")["delivered"]}
    audited = place.lesveil("deliver", "--audit")["files"]
    assert {line["where"] for line in audited} == where
    assert {line["verdict"] for line in audited} == {"as delivered"}


def test_the_wipe_asks_onedrive_again(place: Place, graph: Control, drive: str) -> None:
    place.lesveil("login", "--device-code")
    place.lesveil("deliver", *WORDS)
    with workspace.opened(place.made.folder) as opened:
        (row, *_) = [state.delivered for state in states(opened)]
        assert row is not None
        assert delivering.still_there(opened, row.payload)
        graph.post("settle", drive=drive, hashes=-1)
        assert delivering.still_there(opened, row.payload), "without a hash the bytes are fetched"
        with school.target(opened, graph, drive) as target:
            target._drive.graph.call("DELETE", f"/drives/me/items/{row.payload['item']}")
        assert not delivering.still_there(opened, row.payload), "in the recycle bin is not there"
        elsewhere = row.payload | {"drive": "another"}
        with pytest.raises(DeliveryError, match="another OneDrive"):
            delivering.still_there(opened, elsewhere)


def test_the_layout_asks_for_what_it_needs(place: Place) -> None:
    place.lesveil("login", "--device-code")
    failed = place.lesveil("deliver", code=56)["failed"]
    assert len(failed) == 3
    assert "--class" in failed[0]["error"]
    assert (
        "nobody's name"
        in place.lesveil("deliver", "--class", "3B", "--teacher", "Jan de Vries", code=56)["failed"][0]["error"]
    )


@pytest.mark.parametrize("name", ["a:b", "les/", "../x", "les//x", "con", "~$x", " les"])
def test_a_folder_that_onedrive_does_not_take(name: str, place: Place, graph: Control) -> None:
    text = ONEDRIVE.format(url=graph.url, layout="{id}").replace("Beeldcoaching/lessen", name)
    place.settle(text)
    place.lesveil("login", "--device-code")
    if name == "les/":
        assert place.lesveil("deliver")["delivered"][0]["where"].startswith("OneDrive:/les/")
    else:
        assert "folder cannot be" in place.lesveil("deliver", code=3)


def test_only_the_clips_that_are_named(place: Place, drive: str) -> None:
    place.lesveil("login", "--device-code")
    done = place.lesveil("deliver", place.made.clip, *WORDS)
    assert [entry["clip"] for entry in done["delivered"]] == [place.made.clip]
    place.lesveil("deliver", "nosuchclip", *WORDS, code=55)


def test_consent_is_judged_before_the_first_byte(
    place: Place, graph: Control, drive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.lesveil("login", "--device-code")
    monkeypatch.setattr(delivering, "consent_holds", lambda workspace, state, today: state.clip != place.made.clip)
    done = place.lesveil("deliver", *WORDS, code=56)
    assert [entry["clip"] for entry in done["failed"]] == [place.made.clip]
    assert "may not be shown any more" in done["failed"][0]["error"]
    state = graph.state(drive)
    assert len(state["files"]) == 2
    assert sum(row["event"] == "session" for row in state["log"]) == 2, "not even a session was asked for"


def test_a_rendering_that_changed_since_does_not_leave(place: Place, graph: Control, drive: str) -> None:
    place.lesveil("login", "--device-code")
    path = next((place.made.folder / "redacted").iterdir())
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1] + bytes([255 - data[-1]]))
    done = place.lesveil("deliver", *WORDS, code=56)
    assert len(done["delivered"]) == 2
    assert "not the file that was approved" in done["failed"][0]["error"]
    assert sum(row["event"] == "session" for row in graph.state(drive)["log"]) == 2


def test_doctor_says_what_to_do(place: Place, graph: Control, drive: str, tmp_path: Path) -> None:
    def findings(code: int = 0) -> list[dict[str, str]]:
        (section,) = (one for one in place.lesveil("doctor", code=code)["sections"] if one["section"] == "delivering")
        return list(section["findings"])

    assert [(f["state"], "lesveil login" in f["todo"]) for f in findings(4)][-1] == ("bad", True)
    place.lesveil("login", "--device-code")
    states_ = [f["state"] for f in findings()]
    assert states_ == ["warning", "good", "good", "good"], "the first: this is a test service"
    graph.post("settle", drive=drive, quota=5_000_000_000)
    assert findings()[-1] == {"state": "warning", "text": "5.0 GB are free there.", "todo": "Make room in time."}
    place.settle('[deliver]\ntarget = "onedrive"\n')
    assert "tenant is missing" in findings(4)[0]["text"]
    place.settle("[deliver]\nlayout = '../../{id}'\n")
    for words in (("doctor",), ("status",), ("run",)):
        assert "deliver.layout cannot be '../../{id}'" in place.lesveil(*words, code=3)
    place.settle("")
    assert findings()[0]["state"] == "warning"
    place.settle(f"[deliver]\ntarget = 'folder'\nfolder = {json.dumps(str(tmp_path / 'weg'))}\n")
    assert "is not there" in findings(4)[0]["text"]
    (tmp_path / "weg").mkdir()
    assert "permits a wipe" in findings()[-1]["text"]


def test_a_certificate_needs_a_site(place: Place, graph: Control) -> None:
    place.settle(
        f'[deliver]\ntarget = "onedrive"\n[onedrive]\ntenant = "t"\nclient_id = "c"\nsign_in = "certificate"\n'
        f'certificate = "/nowhere.pem"\nsite = "https://school.sharepoint.com/sites/lessen"\n'
        f'authority = "{graph.url}"\ngraph = "{graph.graph}"\n'
    )
    section = place.lesveil("doctor", code=4)["sections"][-1]
    assert "PEM" in section["findings"][-1]["text"]
    place.lesveil("login", "--device-code", code=2)


# --- the folder, by the same commands ------------------------------------------------------------------------------


@pytest.fixture
def folder(place: Place, tmp_path: Path) -> Path:
    target = tmp_path / "archief"
    target.mkdir()
    place.settle(f"[deliver]\ntarget = 'folder'\nfolder = {json.dumps(str(target))}\nlayout = '{LAYOUT}'\n")
    return target


def test_a_folder_is_laid_out_audited_and_cleared_alike(place: Place, folder: Path) -> None:
    done = place.lesveil("deliver", *WORDS)
    assert len(done["delivered"]) == 3
    assert sorted(Path(entry["where"]) for entry in done["delivered"]) == sorted(folder.rglob("*.mp4"))
    assert (folder / "3B" / "2026-11-25_VRI").is_dir()
    assert {line["verdict"] for line in place.lesveil("deliver", "--audit")["files"]} == {"as delivered"}
    first, second, third = (Path(entry["where"]) for entry in done["delivered"])
    first.unlink()
    second.write_bytes(b"changed")
    (folder / "vreemd.mp4").write_bytes(b"?")
    verdicts = {line["where"]: line["verdict"] for line in place.lesveil("deliver", "--audit", code=56)["files"]}
    assert verdicts == {
        str(first): "missing",
        str(second): "changed",
        str(third): "as delivered",
        str(folder / "vreemd.mp4"): "unknown",
    }
    clips = [entry["clip"] for entry in done["delivered"]]
    assert "no longer what was delivered" in place.lesveil("deliver", "--remove", clips[1], "--yes", code=56)
    assert place.lesveil("deliver", "--remove", clips[2], "--yes")["permanent"] is True
    assert not third.exists()
    with workspace.opened(place.made.folder) as opened:
        assert all(row.payload["is_archive"] is False for row in opened.ledger.entries("delivery"))


def test_a_newer_rendering_takes_the_place_of_the_older(place: Place, folder: Path) -> None:
    place.lesveil("deliver", *WORDS)
    with workspace.opened(place.made.folder) as opened:
        digest = school.approve(opened, place.made.clip, school.film(99, 1234), "second")
    done = place.lesveil("deliver", "--class", "9Z", "--teacher", "X")
    assert [entry["replaced"] for entry in done["delivered"]] == [True]
    assert hashlib.sha256(Path(done["delivered"][0]["where"]).read_bytes()).hexdigest() == digest
    assert len(list(folder.rglob("*.mp4"))) == 3
    assert not list(folder.rglob(".*"))


@pytest.mark.parametrize("where", ["folder", "onedrive"])
def test_what_was_delivered_is_fetched_again_or_refused(
    where: str, place: Place, request: pytest.FixtureRequest, graph: Control, drive: str, tmp_path: Path
) -> None:
    """For a rendering made from the released film, once the original is gone."""
    if where == "folder":
        request.getfixturevalue("folder")
    else:
        place.lesveil("login", "--device-code")
    place.lesveil("deliver", *WORDS)
    with workspace.opened(place.made.folder) as opened, contextlib.ExitStack() as stack:
        target = open_target(opened)
        if isinstance(target, OneDriveTarget):
            stack.enter_context(target)
        row = opened.ledger.entries("delivery")[0].payload
        target.download(row, tmp_path / "back.mp4")
        assert hashlib.sha256((tmp_path / "back.mp4").read_bytes()).hexdigest() == row["sha256"]
        with pytest.raises(DeliveryError, match="no longer what was delivered"):
            target.download(row | {"sha256": "0" * 64}, tmp_path / "other.mp4")
        assert not (tmp_path / "other.mp4").exists()


def test_a_rendering_made_after_the_wipe_is_brought_too(place: Place, graph: Control, drive: str) -> None:
    place.lesveil("login", "--device-code")
    place.lesveil("deliver", *WORDS)
    clip = place.made.clip
    with workspace.opened(place.made.folder) as opened:
        (held,) = opened.ledger.entries("ingest", clip)
        (film,) = held.payload["files"]
        gone = {"digest": "d", "card": "kaart", "path": film["path"], "sha256": film["sha256"], "kind": "video"}
        opened.ledger.append("wipe_outcome", clip, gone)
        digest = school.approve(opened, clip, school.film(98, 2345), "second")
        (state,) = [state for state in states(opened) if state.clip == clip]
        assert state.stage == "wiped"
    (done,) = place.lesveil("deliver", *WORDS)["delivered"]
    assert (done["clip"], done["replaced"]) == (clip, True)
    assert digest in {file["sha256"] for file in graph.state(drive)["files"]}


def test_a_link_does_not_lead_out_of_the_folder(place: Place, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "3B").symlink_to(outside)
    failed = place.lesveil("deliver", *WORDS, code=56)["failed"]
    assert "leads out of the target folder" in failed[0]["error"]
    assert list(outside.rglob("*.mp4")) == []


def test_a_clip_moves_from_the_folder_to_onedrive(place: Place, folder: Path, graph: Control, drive: str) -> None:
    """The target was changed, and a newer rendering approved: the older one does not stay behind in the old place."""
    place.lesveil("deliver", *WORDS)
    with workspace.opened(place.made.folder) as opened:
        digest = school.approve(opened, place.made.clip, school.film(99, 400_000), "second")
        target = FolderTarget(folder, False)
        with school.target(opened, graph, drive) as there:
            (what,) = [
                what for _, what in delivering.deliver(opened, school.TODAY, labels=Labels("3B", "VRI"), target=there)
            ]
        assert isinstance(what, Arrived)
        assert len(list(target.listing())) == 2
    (file,) = graph.state(drive)["files"]
    assert file["sha256"] == digest
