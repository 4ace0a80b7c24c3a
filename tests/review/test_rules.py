"""The page's rules, one by one: who may ask for what, what is asked twice, two people, the worker, the command line."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from school import ROOT, School, reviewing, until

from pipeline.adapters.files import disk_full
from pipeline.adapters.review_book import Progressed, ReviewBook
from pipeline.cli import main
from pipeline.errors import INTERRUPTED, ApprovalError, BusyError, DiskFullError, RepairError, ReviewError, UsageError
from pipeline.lesson import seen, worker
from pipeline.lesson.approve import judge
from pipeline.lesson.asked import checked
from pipeline.lesson.desk import Desk
from pipeline.lesson.worker import work
from pipeline.messages import Speech
from pipeline.review import app, data, rates, server
from pipeline.review.media import _piece
from pipeline.review.words import script
from pipeline.settings import Review
from pipeline.views import Look, Role
from pipeline.workspace import alone

SIZE = (960, 540)
TOOK_BACK = "approved, which took back the rejection by {name}"
CARRIED = "carried over from the approval by {name}, after a recall"


@contextlib.contextmanager
def desk(school: School) -> Any:
    with school.opened() as place, ReviewBook.open(school.place / "review.db") as book:
        yield Desk(place, book)


def hide(school: School, **more: Any) -> dict[str, Any]:
    found = school.seen()
    asked = {"id": uuid.uuid4().hex, "kind": "hide", "start": 0, "stop": 80, "track": found.tracks[0].number}
    return asked | {"analysis": found.analysis} | more


# --- what is asked


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x"},
        {"id": None},
        {"kind": "delete"},
        {"start": -1},
        {"start": 80},
        {"stop": 81},
        {"stop": 0},
        {"start": 1.5},
        {"start": True},
        {"track": 99},
        {"track": "1"},
        {"kind": "join", "other": 1},
        {"kind": "join"},
        {"kind": "show", "person": "41207"},
        {"kind": "show", "person": "41207", "said": "x\ny"},
        {"kind": "show", "person": "", "said": "x"},
        {"kind": "region", "box": [0, 0, 50, 50]},
        {"kind": "region", "box": [0, 0, 50, 50], "at_frame": 80},
        {"kind": "region", "box": [0, 0, 50], "at_frame": 3},
        {"kind": "region", "box": [0, 0, float("nan"), 5], "at_frame": 3},
        {"kind": "region", "box": [0, 0, "5", 5], "at_frame": 3},
        {"kind": "region", "box": [0, 0, 10**400, 50], "at_frame": 3},
        {"kind": "region", "box": [10, 10, 11, 50], "at_frame": 3},
        {"kind": "region", "box": [2000, 2000, 3000, 3000], "at_frame": 3},
    ],
)
def test_what_makes_no_sense_is_not_written_down(change: dict[str, Any]) -> None:
    asked = {"id": "a" * 32, "kind": "hide", "start": 0, "stop": 80, "track": 1}
    assert checked(asked, 80, SIZE, {1, 2})
    with pytest.raises(RepairError):
        checked(asked | change, 80, SIZE, {1, 2})


words = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["id", "kind", "start", "stop", "track", "other", "person", "said", "box", "at_frame", "by", "role"]
)
kinds = st.sampled_from(["hide", "show", "region", "mute", "split", "join"])


@given(st.dictionaries(names, words), kinds)
def test_whatever_is_sent_a_repair_or_a_refusal_comes_of_it(asked: dict[str, Any], kind: str) -> None:
    try:
        row = checked({"id": "b" * 32, "start": 1, "stop": 2} | asked | {"kind": kind}, 80, SIZE, {1, 2})
    except RepairError:
        return
    assert 0 <= row["start"] < row["stop"] <= 80
    assert "by" not in row
    assert "role" not in row
    json.dumps(row, allow_nan=False)


def test_a_repair_sent_twice_is_one(school: School) -> None:
    with desk(school) as house:
        clip, asked = school.state().clip, hide(school)
        for _ in range(3):
            assert house.add(clip, asked, "Bob", Role.REVIEWER) == asked["id"]
        with pytest.raises(RepairError, match="Another repair"):
            house.add(clip, asked | {"start": 5}, "Bob", Role.REVIEWER)
        with pytest.raises(RepairError, match="Another repair"):
            house.add(clip, asked, "Truus", Role.REVIEWER)
        assert [one.id for one in house.clip(clip).repairs] == [asked["id"]]
        mute = {"id": "b" * 32, "kind": "mute", "start": 0, "stop": 5}
        house.add(clip, mute, "Bob", Role.REVIEWER)
        with pytest.raises(RepairError, match="Another repair"):
            house.add(clip, asked | mute | {"kind": "split", "stop": 6, "start": 5}, "Bob", Role.REVIEWER)


@pytest.mark.parametrize("analysis", [None, "0123456789abcdef"])
@pytest.mark.parametrize("kind", ["hide", "show", "split", "join"])
def test_a_page_of_another_analysis_names_nobody(school: School, kind: str, analysis: str | None) -> None:
    more = {"kind": kind, "other": 2, "person": "41207", "said": "A. Jansen", "analysis": analysis}
    with desk(school) as house:
        clip = school.state().clip
        assert house.clip(clip).analysis == school.seen().analysis
        with pytest.raises(RepairError, match="load the page again"):
            house.add(clip, hide(school, **more), "Geertje", Role.COACH)
        mute = {"id": uuid.uuid4().hex, "kind": "mute", "start": 0, "stop": 9}
        assert house.add(clip, mute, "Bob", Role.REVIEWER) == mute["id"], "this one names no number"
        sent = hide(school)
        house.add(clip, sent, "Bob", Role.REVIEWER)
        again = sent | {"analysis": analysis}
        assert house.add(clip, again, "Bob", Role.REVIEWER) == sent["id"], "its answer was lost on the way"


def test_only_the_coach_shows_and_only_whoever_agreed(school: School) -> None:
    show = {"kind": "show", "person": "41207", "said": "A. Jansen"}
    with desk(school) as house:
        clip = school.state().clip
        with pytest.raises(RepairError, match="Only the coach"):
            house.add(clip, hide(school, **show), "Bob", Role.REVIEWER)
        with pytest.raises(RepairError, match="no consent"):
            house.add(clip, hide(school, **show | {"person": "41222"}), "Geertje", Role.COACH)
        offered = {one.id for one in house.offered(clip)}
        assert {"41207", "41215"} <= offered
        assert not {"41222", "41230"} & offered
        house.add(clip, hide(school, **show), "Geertje", Role.COACH)
    with school.opened() as place:
        (row,) = place.ledger.entries("repair")
        assert (row.payload["said"], row.payload["by"], row.payload["role"]) == ("A. Jansen", "Geertje", "coach")


def test_who_was_joined_is_looked_at_before_they_are_shown(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every track of somebody has originals of its own, and only those that the page names are shown."""
    monkeypatch.setattr("pipeline.lesson.desk.clear_moment", lambda film, pts, frame, box: f"{frame}".encode())
    first, second, third = (one for one in school.seen().tracks[:3])
    with desk(school) as house:
        clip = school.state().clip
        for other in (second, third):
            join = {"kind": "join", "track": first.number, "other": other.number}
            house.add(clip, hide(school, **join), "Bob", Role.REVIEWER)
        lane = next(one for one in house.clip(clip).lanes if first.number in one.tracks)
        assert lane.joined == (first.number, second.number, third.number)
        for track in (first, second, third):
            frames = [int(house.original(clip, track.number, n, "Geertje")) for n in range(3)]
            assert all(track.start <= frame < track.stop for frame in frames)
            assert frames == sorted(set(frames))
        for number in (-1, 3):
            with pytest.raises(RepairError):
                house.original(clip, first.number, number, "Geertje")
        show = {"kind": "show", "track": first.number, "person": "41207", "said": "A. Jansen"}
        for tracks in ([99], "1", [True], [], [None]):
            with pytest.raises(RepairError, match="tracks"):
                house.add(clip, hide(school, **show, tracks=tracks), "Geertje", Role.COACH)
        house.add(clip, hide(school, **show, tracks=[first.number, second.number]), "Geertje", Role.COACH)
        house.add(clip, hide(school, **show), "Geertje", Role.COACH)
    with school.opened() as place:
        said = [one.tracks for one in seen.repairs(place.ledger, clip) if one.kind == "show"]
        assert said == [(first.number, second.number), (first.number,)]
        looks = place.ledger.entries("look")
        assert [row.payload["track"] for row in looks] == [n for n in lane.joined for _ in range(3)]


def test_reviewers_undo_their_own(school: School) -> None:
    with desk(school) as house:
        clip = school.state().clip
        id = house.add(clip, hide(school), "Bob", Role.REVIEWER)
        with pytest.raises(RepairError, match="Only the coach"):
            house.undo(clip, id, "Truus", Role.REVIEWER)
        with pytest.raises(RepairError, match="no repair"):
            house.undo(clip, "f" * 32, "Bob", Role.REVIEWER)
        for _ in range(2):
            house.undo(clip, id, "Bob", Role.REVIEWER)
        assert [one.undone for one in house.clip(clip).repairs] == [True]
    with school.opened() as place:
        (row,) = place.ledger.entries("repair_undone")
        assert [one.undone_at for one in seen.repairs(place.ledger, clip)] == [row.seq]


def test_whose_a_repair_is_is_asked_as_who_approved_is(school: School) -> None:
    with desk(school) as house:
        clip = school.state().clip
        id = house.add(clip, hide(school), "Ren\u00e9e  Bos", Role.REVIEWER)
        with pytest.raises(RepairError, match="Only the coach"):
            house.undo(clip, id, "Ren\u00e9e", Role.REVIEWER)
        house.undo(clip, id, "rene\u0301e Bos ", Role.REVIEWER)
        assert [one.undone for one in house.clip(clip).repairs] == [True]


def test_the_timeline_shows_a_repair_before_it_is_rendered(school: School) -> None:
    with desk(school) as house:
        clip = school.state().clip
        track = next(d.track for d in school.seen().decisions if d.keep)
        house.add(clip, hide(school, track=track, start=10, stop=20), "Bob", Role.REVIEWER)
        view = house.clip(clip)
        lane = next(lane for lane in view.lanes if track in lane.tracks)
        spans = [(span.start, span.stop, span.reason) for span in lane.spans if span.look is Look.HIDDEN]
        assert (10, 20, "hidden_by_hand") in spans
        assert [one.rendered for one in view.repairs] == [False]
        assert view.row.waiting == 1


# --- verdicts


def two_people(school: School) -> None:
    path = school.place / "lesveil.toml"
    path.write_text(path.read_text(encoding="utf-8") + "[review]\ntwo_people = true\n", encoding="utf-8")


def test_two_people_approve_also_on_the_command_line(school: School) -> None:
    two_people(school)
    clip = school.state().clip
    school.lesveil("approve", clip, "--by", "Geertje")
    assert school.state().stage == "rendered"
    assert school.lesveil("deliver")["delivered"] == []
    school.lesveil("approve", clip, "--by", " geertje ", code=ApprovalError.code)
    assert school.state().stage == "rendered"
    school.lesveil("approve", clip, "--by", "Bob")
    assert school.state().stage == "approved"


def test_a_rejection_begins_anew(school: School) -> None:
    two_people(school)
    clip = school.state().clip
    school.lesveil("approve", clip, "--by", "Geertje")
    school.lesveil("reject", clip, "--by", "Truus")
    school.lesveil("approve", clip, "--by", "Bob", "--despite-rejection")
    assert school.state().stage == "rendered"
    school.lesveil("approve", clip, "--by", "Geertje")
    assert school.state().stage == "approved"


def test_a_rejection_is_taken_back_only_by_name(school: School, capsys: pytest.CaptureFixture[str]) -> None:
    state = school.state()
    school.lesveil("reject", state.clip, "--by", "Truus")
    assert [one["rejected_by"] for one in school.lesveil("status")["clips"]].count("Truus") == 1
    main(["status", "-C", str(school.place), "--lang", "en"])
    assert "rejected by Truus; waits for lesveil review" in capsys.readouterr().out
    for by in ("Bob", "Truus"):
        code = main(["approve", state.clip, "--by", by, "-C", str(school.place), "--lang", "en"])
        said = capsys.readouterr().err
        assert code == ApprovalError.code
        assert f"Truus rejected this rendering of {state.clip} on {date.today()}" in said
        assert "--despite-rejection" in said
    with desk(school) as house, pytest.raises(ApprovalError, match="Truus"):
        house.judge(state.clip, str(house.clip(state.clip).digest), "Bob", True)
    assert school.state().stage == "rendered"
    words = ["approve", state.clip, "--by", "Bob", "--despite-rejection", "-C", str(school.place), "--lang", "en"]
    assert main(words) == 0
    assert f"The rejection by Truus of {date.today()} no longer counts." in capsys.readouterr().out
    with school.opened() as place:
        rejection, approval = place.ledger.entries("approval", state.clip)
    assert approval.payload["despite_rejection"] == rejection.seq
    assert school.state().stage == "approved"
    assert school.state().rejected is None


def test_reports_and_the_log_tell_a_rejection_that_was_taken_back_and_an_approval_carried_over(
    school: School, tmp_path: Path
) -> None:
    state = school.state()
    school.lesveil("reject", state.clip, "--by", "Truus")
    school.lesveil("approve", state.clip, "--by", "Bob", "--despite-rejection")
    assert state.render is not None
    with school.opened() as place:  # as a recall writes it
        row = {"sha256": state.render["sha256"], "by": "Bob", "verdict": "approved", "carried": "0" * 64}
        place.ledger.append("approval", state.clip, row)
    school.lesveil("report", "--html", tmp_path / "r.html")
    with reviewing(school) as page:
        log = page.client("coach").ask("GET", "/log").body.decode()
    assert "took back the rejection by Truus" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "carried over from the approval by Bob, after a recall" in (tmp_path / "r.html").read_text(encoding="utf-8")
    told = [Speech(one) for one in ("nl", "en")]
    assert any(speech.tr(TOOK_BACK, name="Truus") in log for speech in told)
    assert any(speech.tr(CARRIED, name="Bob") in log for speech in told)


def test_the_page_takes_a_rejection_back_knowingly(school: School) -> None:
    state = school.state()
    school.lesveil("reject", state.clip, "--by", "Truus")
    with desk(school) as house:
        view = house.clip(state.clip)
        assert view.row.rejected_by == "Truus"
        house.judge(state.clip, view.digest, "Bob", True, despite_rejection=True)
        assert house.clip(state.clip).row.rejected_by is None
    assert school.state().stage == "approved"


def test_reports_say_how_much_was_played_before_it_was_approved(school: School, tmp_path: Path) -> None:
    state = school.state()
    with reviewing(school) as page:
        client = page.client("coach")
        assert state.render is not None
        said = {"digest": state.render["sha256"], "approve": True, "played": 0.04}
        assert client.ask("POST", f"/data/clips/{state.clip}/verdict", said).status == 200
    school.lesveil("approve", school.state(1).clip, "--by", "Bob")
    school.lesveil("report", "--html", tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text(encoding="utf-8").count("0:00 of 0:0") == 1, (
        "the command knows nothing of it"
    )


@pytest.mark.parametrize("played", [None, "3", True, -1, float("nan"), float("inf"), 10**400])
def test_what_a_page_says_was_played_is_a_number_of_seconds_or_nothing(school: School, played: Any) -> None:
    asked = SimpleNamespace(form={"digest": "d", "approve": True, "played": played}, path=str, name="Bob")
    told: list[Any] = []
    asked.desk = SimpleNamespace(house=SimpleNamespace(judge=lambda *said: told.append(said[-1])))
    data.judge(asked)  # type: ignore[arg-type]
    assert told == [None]


def test_approving_and_rejecting_are_offered_where_they_do_something(school: School) -> None:
    def offered() -> tuple[bool, bool]:
        with desk(school) as house:
            row = house.row(school.state().clip)
        return row.approvable, row.rejectable

    clip = school.state().clip
    assert offered() == (True, True)
    school.lesveil("approve", clip, "--by", "Bob")
    school.lesveil("deliver", clip)
    assert offered() == (False, True), "rejected, it is to be taken away there"
    school.rendering().unlink()
    assert offered() == (False, False)


def test_what_was_watched_is_what_is_approved(school: School) -> None:
    state = school.state()
    with school.opened() as place:
        with pytest.raises(ApprovalError, match="newer rendering"):
            judge(place, state.clip, "Bob", True, "0" * 64)
        school.add("mute", 3, 5)
        with pytest.raises(ApprovalError, match="not rendered yet"):
            judge(place, state.clip, "Bob", True)
        judge(place, state.clip, "Bob", False)
    assert school.state().stage == "rendered"


def test_who_has_just_withdrawn_is_not_approved(school: School) -> None:
    """The receipt of the rendering came after the marks of the withdrawal, so that nothing marks it yet."""
    with school.opened() as place:
        place.register.withdraw("41207", date.today())
        assert not school.state().outdated
        with pytest.raises(ApprovalError, match="may not be shown any more"):
            judge(place, school.state().clip, "Bob", True)
        judge(place, school.state().clip, "Bob", False)
    assert school.state().rejected is not None


def test_approving_twice_is_once(school: School) -> None:
    clip = school.state().clip
    for _ in range(2):
        school.lesveil("approve", clip, "--by", "Bob")
    with school.opened() as place:
        assert len(place.ledger.entries("approval")) == 1
    school.lesveil("approve", clip, "--by", "  ", code=ApprovalError.code)


# --- the worker


def test_the_worker_does_what_waits_and_tells_what_failed(school: School) -> None:
    school.add("mute", 3, 5)
    assert school.lesveil("repairs")["repaired"] == [school.state().clip]
    assert school.lesveil("repairs") == {"repaired": [], "failed": []}
    school.add("hide", 0, 9, track=1, analysis="0123456789abcdef")
    said = school.lesveil("repairs", code=RepairError.code)
    assert "can no longer be placed" in said["failed"][0]["problem"]
    with desk(school) as house:
        told = house.work(school.state().clip)
        assert told.waiting == 1
        assert "can no longer be placed" in told.problem


def test_the_worker_goes_on_after_what_nobody_foresaw(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no such axis")

    school.add("mute", 3, 5)
    with school.opened() as place, ReviewBook.open(school.place / "review.db") as book:
        with monkeypatch.context() as patch:
            patch.setattr("pipeline.lesson.worker.repair.repair", broken)
            ((_, why),) = work(place, book, lambda: False, False)
            assert "ValueError" in str(why)
        told = book.work(school.state().clip)
        assert told is not None
        assert "ValueError: no such axis" in told.problem
        assert [why for _, why in work(place, book, lambda: False, False)] == [None]


def test_the_worker_that_watches_tries_again_what_there_was_no_room_for(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page says: make room and try again; there is nothing there to say it to."""
    done, looks, really = [0], iter(range(300)), worker.repair.repair

    def full_at_first(*given: Any) -> Any:
        done[0] += 1
        if done[0] == 1:
            raise disk_full(school.place / "redacted")
        return really(*given)

    def stop() -> bool:
        return done[0] > 1 or next(looks, None) is None

    monkeypatch.setattr(worker.repair, "repair", full_at_first)
    monkeypatch.setattr(worker, "ROOM_AGAIN", 0.0)
    monkeypatch.setattr(worker, "LOOK_AGAIN", 0.01)
    school.add("mute", 3, 5)
    with school.opened() as place, ReviewBook.open(school.place / "review.db") as book:
        first, then = work(place, book, stop, True)
        assert (type(first[1]), then[1]) == (DiskFullError, None)
    assert not school.state().repairs_wait


def test_the_worker_that_does_what_waits_tries_each_repair_once(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the others take: what was told as failed would be told as repaired as well, and end as failed."""
    really = worker.repair.repair
    first = [True]

    def full_at_first(*given: Any) -> Any:
        if first:
            first.clear()
            raise disk_full(school.place / "redacted")
        return really(*given)

    monkeypatch.setattr(worker.repair, "repair", full_at_first)
    monkeypatch.setattr(worker, "ROOM_AGAIN", 0.0)
    school.add("mute", 3, 5)
    with school.opened() as place, ReviewBook.open(school.place / "review.db") as book:
        assert [type(why) for _, why in work(place, book, lambda: False, False)] == [DiskFullError]
        assert [why for _, why in work(place, book, lambda: False, False)] == [None]


def test_the_worker_waits_for_a_run_that_is_at_work(school: School) -> None:
    school.add("mute", 3, 5)
    with school.opened() as place, school.opened() as other, ReviewBook.open(school.place / "review.db") as book:
        with alone(other), pytest.raises(BusyError):
            work(place, book, lambda: False, False)
        assert book.work(school.state().clip) == Progressed(book.work(school.state().clip).wanted, "busy", 0, 0, "")  # type: ignore[union-attr]
        assert [why for _, why in work(place, book, lambda: False, False)] == [None]


def test_a_worker_that_is_killed_is_begun_again_and_ends_with_its_page(school: School) -> None:
    with reviewing(school, "--lang", "en") as page:
        tasks = Path(f"/proc/{page.process.pid}/task")
        if not tasks.is_dir():
            pytest.skip("this system does not tell a process's children")

        def children() -> list[int]:
            return [int(one) for path in tasks.glob("*/children") for one in path.read_text().split()]

        first = until(children)[0]
        os.kill(first, signal.SIGKILL)
        second = until(lambda: [one for one in children() if one != first])[0]
        school.add("mute", 3, 5)
        until(lambda: school.state().render["repairs"])  # type: ignore[index]
    until(lambda: not Path(f"/proc/{second}").exists())


def test_a_worker_without_any_input_goes_on_until_it_is_stopped(school: School) -> None:
    """As a service or with nohup, where standard input ends at once."""
    command = [sys.executable, "-m", "pipeline", "repairs", "--watch", "-C", str(school.place), "--quiet"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            for count in (1, 2):
                school.add("mute", 3 * count, 3 * count + 2)
                until(lambda wanted=count: len(school.state().render["repairs"]) == wanted)  # type: ignore[index, misc]
            assert process.poll() is None
        finally:
            process.terminate()


# --- the server


def test_it_listens_on_this_machine_alone_unless_there_is_a_certificate() -> None:
    with pytest.raises(ReviewError, match="certificate"):
        server.listen(Review(), "0.0.0.0", 0)
    with pytest.raises(ReviewError, match="names"):
        server.listen(Review(certificate="a", key="b"), "0.0.0.0", 0)
    with server.listen(Review(), "127.0.0.1", 0) as made, pytest.raises(ReviewError, match="another --port"):
        server.listen(Review(), "127.0.0.1", made.getsockname()[1])
    with server.listen(Review(), "127.0.0.1", 0) as made, pytest.raises(ReviewError, match="most often this page"):
        server.listen(Review(), "127.0.0.1", made.getsockname()[1])
    assert server.origins(Review(), "127.0.0.1", 8420)[0] == "http://127.0.0.1:8420"
    shared = server.origins(Review(certificate="c", names="review.school.nl"), "0.0.0.0", 443)
    assert shared == ["https://review.school.nl", "https://review.school.nl:443"]


def certificate(folder: Path) -> tuple[Path, Path]:
    """One that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(1))
        .not_valid_after(now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    own, secret = folder / "cert.pem", folder / "key.pem"
    own.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return own, secret


def test_with_a_certificate_it_speaks_tls(school: School, tmp_path: Path) -> None:
    own, secret = certificate(tmp_path)
    path = school.place / "lesveil.toml"
    more = f"[review]\ncertificate = {json.dumps(str(own))}\nkey = {json.dumps(str(secret))}\n"
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    with reviewing(school, "--no-worker") as page:
        assert page.link.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(own))
        connection = http.client.HTTPSConnection("localhost", int(page.port), context=trust, timeout=20)
        connection.request("POST", page.link.split(page.address)[1], b"")
        said = connection.getresponse()
        assert said.status == 303
        assert "Secure" in str(said.getheader("set-cookie"))
        assert said.getheader("strict-transport-security")
        connection.close()
        with socket.create_connection(("127.0.0.1", int(page.port)), timeout=20) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert b"200" not in raw.recv(100)


@pytest.mark.parametrize("words", [["review", "--no-worker"], ["accounts", "link", "Bob"]])
def test_a_port_that_cannot_be_is_told_before_a_link_is_given(
    words: list[str], school: School, capsys: pytest.CaptureFixture[str]
) -> None:
    for port in ("99999", "-1"):
        assert main([*words, f"--port={port}", "-C", str(school.place), "--lang", "en"]) == UsageError.code
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err == "lesveil: --port must lie between 0 and 65535.\n"


def test_a_page_that_is_stopped_is_not_called_interrupted_by_its_worker(
    school: School, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C reaches the worker of `lesveil review` too, and there is nothing to repeat."""

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.lesson.worker.work", stopped)
    for words, told in ((["--watch", "--while-input"], False), (["--watch"], True)):
        assert main(["repairs", *words, "-C", str(school.place)]) == INTERRUPTED
        assert bool(capsys.readouterr().err) is told


def test_a_certificate_that_is_none_is_told(school: School, tmp_path: Path) -> None:
    path = school.place / "lesveil.toml"
    (tmp_path / "no.pem").write_text("nothing", encoding="utf-8")
    broken = json.dumps(str(tmp_path / "no.pem"))
    path.write_text(
        path.read_text(encoding="utf-8") + f"[review]\ncertificate = {broken}\nkey = {broken}\n", encoding="utf-8"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pipeline",
            "review",
            "-C",
            str(school.place),
            "--port",
            "0",
            "--no-worker",
            "--lang",
            "en",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ReviewError.code
    assert "The certificate" in done.stderr
    assert "Traceback" not in done.stderr


@given(st.text(max_size=30), st.integers(0, 10**6))
def test_a_range_lies_within_the_file_or_is_none(wanted: str, size: int) -> None:
    for text in (wanted, f"bytes={wanted}"):
        piece = _piece(text, size)
        assert piece is None or 0 <= piece[0] < piece[1] <= size


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(1, 10**6))
def test_ranges_are_as_the_standard_says(first: int, last: int, size: int) -> None:
    inside = first <= last and first < size
    assert _piece(f"bytes={first}-{last}", size) == ((first, min(last + 1, size)) if inside else None)
    assert _piece(f"bytes={first}-", size) == ((first, size) if first < size else None)
    assert _piece(f"bytes=-{last}", size) == ((max(0, size - last), size) if last else None)


@pytest.mark.parametrize(
    ("path", "language", "status", "told"),
    [
        ("/nergens", "nl", 404, "Deze pagina bestaat niet; ga naar de lijst met clips."),
        ("/nergens", "en", 404, "There is no such page; go to the list of clips."),
        ("/static/nergens.js", "nl", 404, "Deze pagina bestaat niet"),
        ("/sign-in", "nl", 500, "laad de pagina opnieuw"),
        ("/sign-in", "en", 500, "load the page again"),
    ],
)
def test_a_page_that_is_not_there_or_breaks_is_told_in_the_language_of_who_asks(
    path: str, language: str, status: int, told: str
) -> None:
    house, book = SimpleNamespace(), SimpleNamespace()  # a book without accounts breaks the form to sign in
    made = app.make(house, book, frozenset({"http://testserver"}), "s")  # type: ignore[arg-type]

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(made, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.get(path, headers={"accept-language": language})

    answer = asyncio.run(asked())
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert f'<html lang="{language}">' in answer.text
    assert told in answer.text
    assert 'href="/"' in answer.text


def test_asking_too_often_has_to_wait() -> None:
    now = 0.0
    held = rates.Rates(lambda: now)
    rate = rates.Rate(3, 0.5)
    assert [held.wait("a", rate) for _ in range(3)] == [0, 0, 0]
    assert held.wait("a", rate) == 2
    assert held.wait("b", rate) == 0
    now = 2.0
    assert held.wait("a", rate) == 0
    assert held.wait("a", rate) > 0
    for number in range(rates.MOST_KEYS + 5):
        held.wait(str(number), rate)
    assert len(held._left) == rates.MOST_KEYS


# --- accounts


def test_accounts_by_the_command_line(
    school: School, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    school.lesveil("accounts", "add", "Bob", "--role", "reviewer")
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    school.lesveil("accounts", "add", "Truus", code=ReviewError.code)
    monkeypatch.setattr("sys.stdin", io.StringIO("another long password\n"))
    school.lesveil("accounts", "add", "bob", "--role", "coach", code=ReviewError.code)
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    school.lesveil("accounts", "add", "Bob", "--replace")
    assert school.lesveil("accounts", "list")["accounts"] == [{"name": "Bob", "role": "reviewer"}]
    assert main(["accounts", "list", "-C", str(school.place), "--lang", "nl"]) == 0
    assert capsys.readouterr().out.split() == ["beoordelaar", "Bob"]
    with ReviewBook.open(school.place / "review.db") as book:
        account = book.check_password("bob", "correct horse battery")
        assert account is not None
        session = book.begin(account)
        assert book.session(session) is not None
        assert book.check_password("Bob", "wrong") is None
        assert book.check_password("Nobody", "correct horse battery") is None
    data = b"".join(path.read_bytes() for path in school.place.glob("review.db*"))
    assert b"correct horse" not in data
    assert b"$argon2id$" in data
    school.lesveil("accounts", "remove", "Bob")
    school.lesveil("accounts", "remove", "Bob", code=ReviewError.code)
    with ReviewBook.open(school.place / "review.db") as book:
        assert book.session(session) is None


def test_sessions_end_by_themselves(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.adapters import review_book

    with ReviewBook.open(school.place / "review.db") as book:
        account = book.use_link(book.new_link("Bob", "reviewer"))
        assert account is not None
        secret = book.begin(account)
        for later in (review_book.IDLE_SECONDS + 1, review_book.LONGEST_SECONDS + 1):
            with monkeypatch.context() as patch:
                real = review_book.time.time
                patch.setattr(review_book.time, "time", lambda real=real, later=later: real() + later)
                assert book.session(secret) is None
        assert book.session(secret) is not None


def test_a_password_signs_in(school: School) -> None:
    with ReviewBook.open(school.place / "review.db") as book:
        book.add_account("Bob", "reviewer", "correct horse battery")
    with reviewing(school, "--no-worker") as page:
        from school import Client

        client = Client(page.address)
        kind = "application/x-www-form-urlencoded"
        for password, status in (("wrong", 403), ("correct+horse+battery", 303)):
            answer = client.ask("POST", "/sign-in", f"name=Bob&password={password}".encode(), content_type=kind)
            assert answer.status == status
            assert (b"vraag de beeldcoach" in answer.body) is (status == 403), "a forgotten password is no dead end"
        assert client.ask("GET", "/").status == 200
        assert client.ask("GET", "/log").status == 403


def test_a_clip_of_which_nothing_was_kept_is_watched_and_judged(school: School) -> None:
    state = school.state()
    with school.opened() as place:
        for one in place.vault.beside(state.clip):
            place.vault.destroy(one)
    with desk(school) as house:
        view = house.clip(state.clip)
        assert (view.repairable, view.frames, view.lanes) == ("unknown", 80, ())
        with pytest.raises(RepairError, match=r"Nothing was kept.*put its card in"):
            house.add(state.clip, {"id": "a" * 32}, "Bob", Role.REVIEWER)
        house.judge(state.clip, view.digest, "Bob", True)
    assert school.state().stage == "approved"


def test_what_a_recall_made_is_repaired_once_its_card_made_it_anew(school: School) -> None:
    """As the page says; without the card a run leaves it as it is."""
    clip = school.state().clip
    school.lesveil("approve", clip, "--by", "Geertje")
    school.lesveil("deliver")
    school.lesveil("consent", "withdraw", "41207")
    school.lesveil("recall", "--execute", school.lesveil("recall")["digest"])
    with desk(school) as house:
        why = house.clip(clip).repairable
        assert "card" in script(Speech("en"))[why]
    school.lesveil("run", "--card", school.sample.card)
    with desk(school) as house:
        assert house.clip(clip).repairable == ""


def test_looks_are_written_before_they_are_given(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the picture fail, the look was still asked for; never the other way round."""

    def fails(*_: object) -> bytes:
        raise RepairError("There is no clip {clip} that can be shown.", clip="x")

    monkeypatch.setattr("pipeline.lesson.desk.clear_moment", fails)
    with desk(school) as house, pytest.raises(RepairError):
        house.original(school.state().clip, school.seen().tracks[0].number, 0, "Geertje")
    with school.opened() as place:
        assert len(place.ledger.entries("look")) == 1


def test_help_names_the_page() -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        main(["--help"])
    assert "review" in out.getvalue()
    assert seen.REPAIR in out.getvalue()


def test_a_clip_that_shows_somebody_whose_consent_ended_says_so(school: School) -> None:
    school.lesveil("consent", "withdraw", "41207")
    state = school.state()
    with desk(school) as house:
        view = house.clip(state.clip)
        assert (view.row.stage, view.repairable) == ("outdated", "outdated")
        assert "41207" not in {lane.person for lane in view.lanes}
        with pytest.raises(RepairError, match="no longer the latest"):
            house.file(state.clip, view.digest)
        with pytest.raises(ApprovalError):
            house.judge(state.clip, view.digest, "Bob", True)


def test_of_what_lies_somewhere_it_says_that_a_recall_makes_it_anew(school: School) -> None:
    clip = school.state().clip
    school.lesveil("approve", clip, "--by", "Geertje")
    school.lesveil("deliver")
    school.add("mute", 3, 5)
    school.lesveil("consent", "withdraw", "41207")
    with desk(school) as house:
        assert house.clip(clip).repairable == "recall"
    ((_, why),) = [(one["clip"], one["problem"]) for one in school.lesveil("repairs", code=RepairError.code)["failed"]]
    assert "lesveil recall makes it anew" in why
    school.lesveil("recall", "--execute", school.lesveil("recall")["digest"])
    assert not school.state().repairs_wait


def test_a_split_is_where_the_person_is(school: School) -> None:
    with desk(school) as house:
        clip = school.state().clip
        lane = next(lane for lane in house.clip(clip).lanes if len(lane.spans) and lane.spans[-1].stop < 70)
        split = {"kind": "split", "track": lane.track, "start": 75, "stop": 76}
        with pytest.raises(RepairError, match="not in the picture"):
            house.add(clip, hide(school, **split), "Bob", Role.REVIEWER)
        taken = hide(school, **split | {"start": lane.spans[0].start + 5, "stop": 70})
        for _ in range(2):  # the answer was lost, so it is sent again
            house.add(clip, taken, "Bob", Role.REVIEWER)
        assert len(house.clip(clip).lanes) > 1
