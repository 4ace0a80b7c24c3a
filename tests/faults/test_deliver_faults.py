"""Every documented error at every piece of a ten-piece upload, and at every other request."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline import run, workspace
from pipeline.adapters.graph_http import Clock
from pipeline.adapters.notes import Note, note_names, save_document
from pipeline.adapters.onedrive import OneDrive
from pipeline.errors import DeliveryError, SignInError
from pipeline.lesson import deliver as delivering
from pipeline.lesson import recall
from pipeline.lesson.audit import audit
from pipeline.lesson.deliver import Arrived
from pipeline.lesson.lying import standing, still_delivered, unsettled
from pipeline.lesson.onedrive_target import UPLOADS
from pipeline.lesson.state import states
from pipeline.records import no_progress
from pipeline.stages.deliver_onedrive import STARTS
from tests.faults import school
from tests.faults.school import PIECES, TODAY, Ears, Made, NoWaiting, failures, judge
from tests.graph.control import Control

NewDrive = Callable[..., str]

AT_A_PIECE: dict[str, dict[str, Any]] = {
    "404 the session is gone": {"status": 404, "gone": True},
    "401 after its day": {"status": 401, "gone": True},
    "403 the address's token died": {"status": 403, "gone": True},
    "409 name taken, once": {"status": 409},
    "412 changed, once": {"status": 412},
    "416 and it has the bytes": {"status": 416, "kept": True},
    "416 and it has not": {"status": 416},
    "429 with Retry-After": {"status": 429, "retry_after": 7, "times": 3},
    "429 without": {"status": 429},
    "500 not kept": {"status": 500},
    "500 kept": {"status": 500, "kept": True},
    "502": {"status": 502},
    "503 with Retry-After, not kept": {"status": 503, "retry_after": 5, "times": 2},
    "503 with Retry-After, kept": {"status": 503, "retry_after": 5, "kept": True},
    "503 with a date, kept": {"status": 503, "retry_after": "Wed, 25 Nov 2020 10:00:00 GMT", "kept": True},
    "504 kept": {"status": 504, "kept": True},
    "the connection is cut in the piece": {"cut": 100_000},
    "the connection is cut before the piece": {"cut": 0, "times": 3},
    "the answer is lost": {"lost": True},
    "it names the wrong ranges": {"ranges": ["0-"]},
    "it names no range": {"ranges": ["soon"]},
}


@pytest.mark.parametrize("piece", range(PIECES))
@pytest.mark.parametrize("fault", AT_A_PIECE)
def test_a_fault_at_a_piece(fault: str, piece: int, graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": "put", "piece": piece} | AT_A_PIECE[fault])
    waits = NoWaiting()
    with Ears() as ears:
        results = school.deliver(made, graph, drive, waits.clock)
        assert failures(results, ears) == []
    judge(made, graph, drive, ears.text)
    assert graph.state(drive)["struck"] == 1
    asked = AT_A_PIECE[fault].get("retry_after")
    if isinstance(asked, int):
        assert sum(waits.waited) >= asked * AT_A_PIECE[fault].get("times", 1)


@pytest.mark.parametrize("piece", range(PIECES))
def test_a_full_drive_at_a_piece(piece: int, graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": "put", "piece": piece, "status": 507})
    with Ears() as ears:
        (error,) = failures(school.deliver(made, graph, drive), ears)
        assert "OneDrive is full" in str(error)
        assert graph.state(drive)["files"] == []
        assert failures(school.deliver(made, graph, drive), ears) == []
    judge(made, graph, drive, ears.text)


ELSEWHERE = ("at", "folder", "session", "item")
ANYWHERE: dict[str, dict[str, Any]] = {
    "401 once": {"status": 401},
    "429": {"status": 429, "retry_after": 3},
    "500": {"status": 500},
    "503 kept": {"status": 503, "retry_after": 2, "kept": True},
    "the connection is cut": {"cut": 0},
    "the answer is lost": {"lost": True},
}


@pytest.mark.parametrize("event", ELSEWHERE)
@pytest.mark.parametrize("fault", ANYWHERE)
def test_a_fault_at_another_request(fault: str, event: str, graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": event} | ANYWHERE[fault])
    with Ears() as ears:
        assert failures(school.deliver(made, graph, drive), ears) == []
    judge(made, graph, drive, ears.text, sessions=1)  # a session whose address never reached us ends by itself
    assert graph.state(drive)["struck"] == 1


@pytest.mark.parametrize("fault", ["429", "500", "503 kept", "the connection is cut", "the answer is lost"])
def test_a_fault_while_asking_what_is_there(fault: str, graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": "put", "piece": 4, "cut": 9}, {"event": "status"} | ANYWHERE[fault])
    with Ears() as ears:
        assert failures(school.deliver(made, graph, drive), ears) == []
    judge(made, graph, drive, ears.text)
    assert graph.state(drive)["struck"] == 2


def test_a_session_that_expects_nothing_and_yet_has_no_film(graph: Control, made: Made, new_drive: NewDrive) -> None:
    """It could not be completed, and cannot be mended from here: it is cancelled, and another one begun."""
    drive = new_drive({"event": "put", "piece": 4, "cut": 9}, {"event": "status", "ranges": []})
    with Ears() as ears:
        assert failures(school.deliver(made, graph, drive), ears) == []
    judge(made, graph, drive, ears.text)
    assert [row["event"] for row in graph.state(drive)["log"]].count("session") == 2


def test_the_last_answer_is_lost_and_the_session_with_it(graph: Control, made: Made, new_drive: NewDrive) -> None:
    """The item is there, the session is not: it is looked at, and not sent a second time."""
    drive = new_drive({"event": "put", "piece": PIECES - 1, "lost": True})
    with Ears() as ears:
        assert failures(school.deliver(made, graph, drive), ears) == []
    judge(made, graph, drive, ears.text)
    assert sum(row["event"] == "put" for row in graph.state(drive)["log"]) == PIECES


def test_pieces_that_arrived_are_not_sent_again(graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": "put", "piece": 7, "cut": 1000}, {"event": "put", "piece": 8, "lost": True})
    school.deliver(made, graph, drive)
    starts = [row["start"] for row in graph.state(drive)["log"] if row["event"] == "put"]
    assert starts == sorted(starts)
    assert len(starts) == PIECES + 1, "only the piece that was cut goes twice"


@pytest.mark.parametrize("hashes", [1, 3, 4])
def test_the_hash_comes_late(hashes: int, graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive(hashes=hashes)
    with Ears() as ears:
        assert failures(school.deliver(made, graph, drive), ears) == []
    judge(made, graph, drive, ears.text)
    assert [row["event"] for row in graph.state(drive)["log"]].count("download") == 0


def test_no_hash_ever_comes_and_the_bytes_are_fetched(graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": "download", "after": 1_000_000}, {"event": "content", "status": 503}, hashes=-1)
    waits = NoWaiting()
    with Ears() as ears:
        assert failures(school.deliver(made, graph, drive, waits.clock), ears) == []
    judge(made, graph, drive, ears.text)
    assert sum(waits.waited) >= 30, "it is waited for first"
    with workspace.opened(made.folder) as place:
        assert place.ledger.entries("delivery")[-1].payload["verified"] == "sha256"


def test_a_download_that_stays_away_is_told(graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": "download", "status": 503, "times": 8}, hashes=-1)
    with Ears() as ears:
        (error,) = failures(school.deliver(made, graph, drive), ears)
    assert isinstance(error, DeliveryError), error
    assert "cannot be reached (503" in str(error)
    assert failures(school.deliver(made, graph, drive), ears) == []
    judge(made, graph, drive, ears.text)


@pytest.mark.parametrize("hashes", [0, -1])
def test_what_was_spoilt_there_is_removed_and_sent_again(
    hashes: int, graph: Control, made: Made, new_drive: NewDrive
) -> None:
    drive = new_drive({"event": "put", "piece": PIECES - 1, "corrupt": True}, hashes=hashes)
    with Ears() as ears:
        assert failures(school.deliver(made, graph, drive), ears) == []
    judge(made, graph, drive, ears.text)
    assert graph.state(drive)["bin"] == [], "what is wrong is not kept in a bin either"


def test_what_is_spoilt_every_time_is_not_delivered(graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": "put", "piece": PIECES - 1, "corrupt": True, "times": 99})
    with Ears() as ears:
        (error,) = failures(school.deliver(made, graph, drive), ears)
    assert "did not arrive" in str(error)
    assert graph.state(drive)["files"] == []
    with workspace.opened(made.folder) as place:
        assert place.ledger.entries("delivery") == []
    assert school.secrets_in(ears.text) == []


def test_somebody_elses_file_of_that_name_stays(graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": "put", "piece": PIECES - 1, "other": True})
    with Ears() as ears:
        (error,) = failures(school.deliver(made, graph, drive), ears)
    assert "exists and is not what was approved" in str(error)
    (file,) = graph.state(drive)["files"]
    assert file["size"] == len(b"somebody else's file")
    assert graph.state(drive)["sessions"] == 0
    (again,) = failures(school.deliver(made, graph, drive), ears)
    assert str(again) == str(error)
    assert sum(row["event"] == "put" for row in graph.state(drive)["log"]) == PIECES, "not a byte goes out again"
    assert school.secrets_in(ears.text) == []


def test_our_own_file_of_that_name_counts_once_its_bytes_were_compared(
    graph: Control, made: Made, new_drive: NewDrive, tmp_path: Path, ready: Made
) -> None:
    """The laptop was lost after the delivery: its successor finds the film there."""
    drive = new_drive()
    school.deliver(made, graph, drive)
    second = school.copied(ready, tmp_path / "tweede")
    with Ears() as ears:
        assert failures(school.deliver(second, graph, drive), ears) == []
    judge(second, graph, drive, ears.text)
    log = graph.state(drive)["log"]
    assert [row["event"] for row in log].count("put") == PIECES
    assert [row["event"] for row in log].count("download") == 1


@pytest.mark.parametrize("how", ["it stood there before", "it is handed out now"])
def test_an_upload_address_that_is_not_microsofts_holds_nothing_up(
    how: str, graph: Control, made: Made, new_drive: NewDrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = new_drive()
    address = "https://upload.unknown.example/x"
    if how == "it is handed out now":
        begin = OneDrive.new_session

        def odd(self: OneDrive, folder: str, name: str) -> httpx.Response:
            answer = begin(self, folder, name)
            return httpx.Response(200, json=answer.json() | {"uploadUrl": address}, request=answer.request)

        with monkeypatch.context() as patch:
            patch.setattr(OneDrive, "new_session", odd)
            (error,) = school.deliver(made, graph, drive)
        assert "an address that is not its own" in str(error)
    else:
        with workspace.opened(made.folder) as place:
            mark = {"graph": graph.graph, "drive": drive, "sha256": made.sha256, "item": None}
            note = Note(place.vault, f"{UPLOADS}{made.clip[:32]}")
            save_document(note, mark | {"path": "Lesveil/x.mp4", "url": address})
    with Ears() as ears:
        assert failures(school.deliver(made, graph, drive), ears) == []
    judge(made, graph, drive, ears.text, sessions=1)


def test_such_an_address_of_a_clip_that_waits_no_more_is_forgotten(
    graph: Control, made: Made, new_drive: NewDrive
) -> None:
    drive = new_drive()
    with workspace.opened(made.folder) as place:
        note = Note(place.vault, f"{UPLOADS}another")
        save_document(note, {"graph": graph.graph, "url": "https://upload.unknown.example/x"})
    with Ears() as ears:
        assert failures(school.deliver(made, graph, drive), ears) == []
    judge(made, graph, drive, ears.text)
    with workspace.opened(made.folder) as place:
        assert note_names(place.vault, UPLOADS) == []


def test_a_long_pause_is_told_not_slept_through(graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": "put", "piece": 3, "status": 429, "retry_after": 3600})
    waits = NoWaiting()
    with Ears() as ears:
        (error,) = failures(school.deliver(made, graph, drive, waits.clock), ears)
        assert "60 minutes" in str(error)
        assert sum(waits.waited) < 60
        assert failures(school.deliver(made, graph, drive), ears) == []
    judge(made, graph, drive, ears.text)
    starts = [row["start"] for row in graph.state(drive)["log"] if row["event"] == "put" and row["status"] != 429]
    assert len(starts) == PIECES, "the second run goes on where the first stopped"


@pytest.mark.parametrize("why", ["consent", "approval"])
def test_half_a_film_that_may_no_longer_leave_does_not_stay_there(
    why: str, graph: Control, made: Made, new_drive: NewDrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = new_drive({"event": "put", "piece": 6, "status": 429, "retry_after": 3600})
    with Ears() as ears:
        assert len(failures(school.deliver(made, graph, drive), ears)) == 1
        assert graph.state(drive)["sessions"] == 1
        if why == "consent":
            monkeypatch.setattr(delivering, "consent_holds", lambda *_: False)
        else:
            with workspace.opened(made.folder) as place:
                row = {"sha256": made.sha256, "by": "coach", "verdict": "rejected"}
                place.ledger.append("approval", made.clip, row)
        assert len(failures(school.deliver(made, graph, drive), ears)) == (why == "consent")
    state = graph.state(drive)
    assert (state["files"], state["sessions"]) == ([], 0)
    with workspace.opened(made.folder) as place:
        assert [id for id in place.vault.ids() if id.startswith("note.")] == []
    assert school.secrets_in(ears.text) == []


def test_being_told_to_stop_ends_a_long_pause(graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": "put", "piece": 3, "status": 503, "retry_after": 500})
    with workspace.opened(made.folder) as place, school.target(place, graph, drive, Clock()) as there:
        threading.Timer(0.5, there.stop).start()
        ((_, error),) = delivering.deliver(place, school.TODAY, target=there)
    assert "Stopped" in str(error)
    with Ears() as ears:
        assert failures(school.deliver(made, graph, drive), ears) == []
    judge(made, graph, drive, ears.text)


def test_a_service_that_stays_away_is_told(graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": "put", "piece": 5, "status": 503, "times": 99})
    waits = NoWaiting()
    with Ears() as ears:
        (error,) = failures(school.deliver(made, graph, drive, waits.clock), ears)
    assert "cannot be reached (503" in str(error)
    assert len(waits.waited) < 20
    assert waits.waited == sorted(waits.waited), "each pause is longer than the one before"
    assert graph.state(drive)["files"] == []


def test_a_sign_in_that_ended_is_told(graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": "session", "status": 401, "times": 9})
    with Ears() as ears:
        (error,) = failures(school.deliver(made, graph, drive), ears)
    assert isinstance(error, SignInError)
    assert school.secrets_in(ears.text) == []


def test_a_server_that_keeps_nothing_does_not_hold_us_for_ever(graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive({"event": "put", "piece": 0, "ranges": ["0-"], "times": 99}, {"event": "put", "status": 503})
    with Ears() as ears:
        school.deliver(made, graph, drive)
    judge(made, graph, drive, ears.text)


@pytest.mark.parametrize("piece", range(PIECES))
@pytest.mark.parametrize("fault", ["404 the session is gone", "503 with Retry-After, kept", "the answer is lost"])
def test_a_fault_at_a_piece_of_a_replacement(
    fault: str, piece: int, graph: Control, made: Made, new_drive: NewDrive
) -> None:
    drive = new_drive()
    school.deliver(made, graph, drive)
    (before,) = graph.state(drive)["files"]
    newer = renewed(made)
    graph.post("faults", drive=drive, faults=[{"event": "put", "piece": piece} | AT_A_PIECE[fault]])
    with Ears() as ears:
        (arrived,) = school.deliver(newer, graph, drive)
        assert isinstance(arrived, Arrived), arrived
    assert arrived.replaced
    judge(newer, graph, drive, ears.text)
    (after,) = graph.state(drive)["files"]
    assert (after["id"], after["path"]) == (before["id"], before["path"]), "the same item, so that links keep working"


def renewed(made: Made, seed: int = 77) -> Made:
    """The same clip with a newer rendering, approved."""
    with workspace.opened(made.folder) as place:
        digest = school.approve(place, made.clip, school.film(seed), "second")
    return Made(made.folder, made.clip, digest)


def test_a_replacement_never_writes_over_what_somebody_changed(graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive()
    school.deliver(made, graph, drive)
    (before,) = graph.state(drive)["files"]
    newer = renewed(made)
    graph.post("faults", drive=drive, faults=[])
    with workspace.opened(made.folder) as place, school.target(place, graph, drive) as there:
        folder, name = before["path"].rsplit("/", 1)
        put = there._drive.graph.call("PUT", f"/drives/{drive}/root:/{folder}/{name}:/content", json={"x": 1})
        assert put.status_code == 200
    with Ears() as ears:
        (error,) = failures(school.deliver(newer, graph, drive), ears)
    assert "no longer what was delivered" in str(error)
    with workspace.opened(made.folder) as place, school.target(place, graph, drive) as there:
        assert [line.verdict for line in audit(place, there)] == ["changed"]
        with pytest.raises(DeliveryError, match="no longer what was delivered"):
            delivering.remove_delivered(place, made.clip, place.ledger.entries("delivery")[-1].payload, there)
    assert len(graph.state(drive)["files"]) == 1
    with workspace.opened(made.folder) as place, school.target(place, graph, drive) as there:
        there._drive.remove(before["id"])  # by hand, as it says
        delivering.remove_delivered(place, made.clip, standing(place.ledger.entries())[0].payload, there, given_up=True)
    assert failures(school.deliver(newer, graph, drive), ears) == []
    judge(newer, graph, drive, ears.text)


def test_what_is_to_be_replaced_and_is_gone_is_not_called_replaced(
    graph: Control, made: Made, new_drive: NewDrive, tmp_path: Path
) -> None:
    """Somebody threw it away, and the recycle bin has it; or brought it to another library: it shows people still."""
    drive = new_drive()
    school.deliver(made, graph, drive)
    (before,) = graph.state(drive)["files"]
    newer = renewed(made)
    with workspace.opened(made.folder) as place, school.target(place, graph, drive) as there:
        assert there._drive.graph.call("DELETE", f"/drives/{drive}/items/{before['id']}").status_code == 204
        with pytest.raises(DeliveryError, match="Lesveil did not remove it"):  # a recall begins so
            there.download(standing(place.ledger.entries())[0].payload, tmp_path / "film.mp4")
    for _ in range(2):
        (error,) = school.deliver(newer, graph, drive)
        assert "Lesveil did not remove it" in str(error)
        with workspace.opened(made.folder) as place:
            assert still_delivered(place.ledger.entries(clip=made.clip)) == {made.sha256}
    with workspace.opened(made.folder) as place, school.target(place, graph, drive) as there:
        row = standing(place.ledger.entries())[0].payload
        assert not delivering.remove_delivered(place, made.clip, row, there, given_up=True).found
    (arrived,) = school.deliver(newer, graph, drive)
    assert isinstance(arrived, Arrived), arrived
    assert not arrived.replaced


@pytest.mark.parametrize("hashes", [0, -1])
@pytest.mark.parametrize("first", ["deliver", "audit", "remove"])
def test_what_somebody_moved_before_the_ledger_heard_of_it_is_found(
    first: str, hashes: int, graph: Control, made: Made, new_drive: NewDrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would lie there, unknown, whatever is withdrawn later."""
    drive = new_drive(hashes=hashes)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(delivering, "_has_arrived", dies)
        with pytest.raises(KeyboardInterrupt):
            school.deliver(made, graph, drive)
    with workspace.opened(made.folder) as place, school.target(place, graph, drive) as there:
        (lies,) = graph.state(drive)["files"]
        call = there._drive.graph.call
        folder = there._drive.folder("Lesveil/van juf Anna")
        moved = {"name": "anders.mp4", "parentReference": {"id": folder}}
        assert call("PATCH", f"/drives/{drive}/items/{lies['id']}", json=moved).status_code == 200
        assert call("PUT", f"/drives/{drive}/root:/Lesveil/vreemd.mp4:/content", json={"x": 1}).status_code == 201
        if first == "deliver":
            ((_, found),) = delivering.deliver(place, school.TODAY, target=there)
            assert isinstance(found, Arrived)
        elif first == "audit":
            assert sorted(line.verdict for line in audit(place, there)) == ["as delivered", "unknown"]
        else:
            delivering.settle(place, made.clip, there)
        (row,) = standing(place.ledger.entries(clip=made.clip))
        assert (row.payload["item"], row.payload["where"]) == (lies["id"], "OneDrive:/Lesveil/van juf Anna/anders.mp4")
        assert unsettled(place.ledger.entries(clip=made.clip)) == []
        assert {line.verdict for line in audit(place, there)} == {"as delivered", "unknown"}
        assert delivering.deliver(place, school.TODAY, target=there) == [], "and it is not brought again"
        delivering.remove_delivered(place, made.clip, row.payload, there)
    assert [file["path"] for file in graph.state(drive)["files"]] == ["Lesveil/vreemd.mp4"]


@pytest.mark.parametrize("times", [1, STARTS, STARTS + 1])
@pytest.mark.parametrize("hashes", [0, -1])
def test_a_replacement_that_was_spoilt_there_is_sent_again(
    times: int, hashes: int, graph: Control, made: Made, new_drive: NewDrive
) -> None:
    """Else the earlier rendering would stay in the item's history, and a withdrawal would not reach it."""
    drive = new_drive(hashes=hashes)
    school.deliver(made, graph, drive)
    (before,) = graph.state(drive)["files"]
    newer = renewed(made)
    spoils = {"event": "put", "piece": PIECES - 1, "corrupt": True, "times": times}
    graph.post("faults", drive=drive, faults=[spoils])
    with Ears() as ears:
        if times >= STARTS:
            (error,) = school.deliver(newer, graph, drive)
            assert "did not arrive" in str(error)
            with workspace.opened(made.folder) as place, school.target(place, graph, drive) as there:
                there.sweep(set())  # a newer rendering waits for approval meanwhile
            newer = renewed(made, 78)
        assert failures(school.deliver(newer, graph, drive), ears) == []
    judge(newer, graph, drive, ears.text)
    assert graph.state(drive)["files"][0]["id"] == before["id"]
    assert graph.state(drive)["bin"] == []
    with workspace.opened(made.folder) as place:
        assert note_names(place.vault, "") == []


def test_what_somebody_wrote_over_a_spoilt_replacement_stays(graph: Control, made: Made, new_drive: NewDrive) -> None:
    drive = new_drive()
    school.deliver(made, graph, drive)
    (before,) = graph.state(drive)["files"]
    newer = renewed(made)
    spoils = {"event": "put", "piece": PIECES - 1, "corrupt": True, "times": STARTS}
    graph.post("faults", drive=drive, faults=[spoils])
    school.deliver(newer, graph, drive)
    with workspace.opened(made.folder) as place, school.target(place, graph, drive) as there:
        there._drive.graph.call("PUT", f"/drives/{drive}/root:/{before['path']}:/content", json={"x": 1})
    (error,) = school.deliver(newer, graph, drive)
    assert "no longer what was delivered" in str(error)


def test_versions_that_may_not_be_seen_count_as_left(graph: Control, made: Made, new_drive: NewDrive) -> None:
    """What takes the place of an earlier film did arrive; that the earlier one went, nobody can say."""
    drive = new_drive()
    school.deliver(made, graph, drive)
    newer = renewed(made)
    graph.post("faults", drive=drive, faults=[{"event": "versions", "status": 403, "times": 3}])
    (arrived,) = school.deliver(newer, graph, drive)
    assert isinstance(arrived, Arrived), arrived
    assert arrived.versions_left == 1
    with workspace.opened(made.folder) as place, school.target(place, graph, drive) as there:
        assert [one.stage for one in states(place)] == ["delivered"]
        assert [line.verdict for line in audit(place, there)] == ["old versions"]
        assert still_delivered(place.ledger.entries(clip=made.clip)) == {made.sha256, newer.sha256}
    assert school.deliver(newer, graph, drive) == []
    with workspace.opened(made.folder) as place, school.target(place, graph, drive) as there:
        assert [line.verdict for line in audit(place, there)] == ["old versions"], "refused for the third time"
        assert [line.verdict for line in audit(place, there)] == ["as delivered"]
        assert graph.state(drive)["files"][0]["versions"] == 1
        assert still_delivered(place.ledger.entries(clip=made.clip)) == {newer.sha256}, "and no older one any more"
        (state,) = states(place)
        assert state.delivered is not None
        assert state.delivered.payload["versions_left"] == 0
        assert [line.verdict for line in audit(place, there)] == ["as delivered"]
        assert len(place.ledger.entries("delivery_cleared")) == 1, "told once"
        row = place.ledger.entries("delivery", made.clip)[-1].payload
        delivering.remove_delivered(place, made.clip, row, there)
        assert still_delivered(place.ledger.entries(clip=made.clip)) == set(), "taken away, no version shows anybody"


def test_a_recall_tries_older_versions_again_and_makes_nothing_anew(
    graph: Control, made: Made, new_drive: NewDrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies there hides them already: made of it, another film would only be worse, and leave one version more."""
    drive = new_drive()
    school.deliver(made, graph, drive)
    newer = renewed(made)
    refused = {"event": "versions", "status": 403, "times": 2}
    graph.post("faults", drive=drive, faults=[refused])
    school.deliver(newer, graph, drive)
    with workspace.opened(made.folder) as place, contextlib.ExitStack() as stack:
        row = {"person": "41207", "day": TODAY.isoformat(), "renderings": [made.sha256]}
        place.ledger.append("lapsed", made.clip, row)
        opening = lambda *_: stack.enter_context(school.target(place, graph, drive))  # noqa: E731
        monkeypatch.setattr(delivering, "open_target", opening)
        monkeypatch.setattr(recall, "_make", lambda *_: pytest.fail("it is made again"))
        networks = run.Networks(False)
        (item,) = recall.recall_plan(place, TODAY)
        with pytest.raises(DeliveryError, match="still keeps 1 older version"):
            recall._recall(place, item, TODAY, networks, no_progress)
        assert recall._recall(place, item, TODAY, networks, no_progress).outcome == "replaced"
        assert recall.recall_plan(place, TODAY) == []
    judge(newer, graph, drive, "")


def test_versions_that_cannot_be_removed_are_told_and_tried_again(
    graph: Control, made: Made, new_drive: NewDrive
) -> None:
    drive = new_drive()
    school.deliver(made, graph, drive)
    newer = renewed(made)
    graph.post("settle", drive=drive, versions_deletable=False)
    (arrived,) = school.deliver(newer, graph, drive)
    assert arrived.versions_left == 1
    with workspace.opened(made.folder) as place, school.target(place, graph, drive) as there:
        assert [line.verdict for line in audit(place, there)] == ["old versions"]
        graph.post("settle", drive=drive, versions_deletable=True)
        assert [line.verdict for line in audit(place, there)] == ["as delivered"]
    assert graph.state(drive)["files"][0]["versions"] == 1
