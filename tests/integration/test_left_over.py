"""What a crash, a clock, an odd moment or a second reader leaves behind, and who must hear of it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline import messages, workspace
from pipeline.adapters import database, files
from pipeline.adapters.ledger import Entry
from pipeline.adapters.moment import in_file
from pipeline.adapters.sound import EVER
from pipeline.adapters.video_in import open_clip
from pipeline.cli import main
from pipeline.commands import consent, doctor, terminal
from pipeline.errors import (
    ApprovalError,
    BusyError,
    DeliveryError,
    LesveilError,
    RepairError,
    UsageError,
    VaultError,
    WorkspaceError,
)
from pipeline.lesson import card, house_checks, report, retention, seen, worker
from pipeline.lesson import deliver as delivering
from pipeline.lesson.approve import approvals, judge
from pipeline.lesson.deliver import Arrived
from pipeline.lesson.mending import followed, times_of
from pipeline.lesson.state import State, find, states
from pipeline.records import Person, Repair, RepairKind
from pipeline.workspace import lock, templates
from tests import clips
from tests.faults import school as schools
from tests.faults.school import TODAY


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    messages.choose("en")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    workspace.create(tmp_path / "w", key_file=True)
    return tmp_path / "w"


def _with_one_clip(folder: Path) -> tuple[schools.Made, State]:
    """A workspace that holds one clip."""
    made = schools.make(folder)
    with workspace.opened(made.folder) as opened:
        (state,) = states(opened)
    return made, state


def row(kind: str, seq: int, **payload: Any) -> Entry:
    return Entry(seq, f"2026-11-{seq:02d}T12:00:00+00:00", kind, "c", payload, "", "")


# --- leftovers ------------------------------------------------------------------------------------------------------


def test_half_written_films_do_not_outlive_the_next_command(place: Path) -> None:
    left = place / "redacted" / ".MVI_0001-abcdef.01234567.mp4.0123456789ab.partial"
    pieces = place / "redacted" / ".MVI_0001-abcdef.01234567.mp4.0123456789ab0123456789ab.pieces"
    mine = place / "redacted" / ".hidden.partial"
    pieces.mkdir()
    for path in (left, pieces / "0.mp4", mine):
        path.write_bytes(b"somebody, clear")
    assert main(["used", "nothing", "--by", "Bea", "-C", str(place)]) != 0
    assert (left.exists(), pieces.exists(), mine.exists()) == (False, False, True), "what is not ours stays"


def test_a_film_that_no_receipt_names_is_shown_then_deleted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A crash came between its name and its receipt: nothing else would ever ask who is seen in it."""
    with workspace.opened(place) as opened:
        kept = opened.finished / "A.0.mp4"
        opened.ledger.record("render", "c", "k", "c" * 32, {"sha256": "d", "file": kept.name, "kept": []})
    stray = place / "redacted" / "MVI_0001-abcdef.01234567.mp4"
    for path in (kept, stray):
        path.write_bytes(b"a film")
    capsys.readouterr()
    assert main(["purge", "--json", "-C", str(place)]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [(item["kind"], item["rendering"]) for item in plan["items"]] == [("film without a receipt", stray.name)]
    assert main(["purge", "--execute", plan["digest"], "-C", str(place)]) == 0
    assert (kept.exists(), stray.exists()) == (True, False)

    stray.write_bytes(b"a film")  # the same crash once more
    capsys.readouterr()
    assert main(["purge", "--json", "-C", str(place)]) == 0
    again = json.loads(capsys.readouterr().out)["digest"]
    assert again != plan["digest"]
    stray.write_bytes(b"another film")
    assert main(["purge", "--execute", again, "-C", str(place)]) != 0, "this one was not shown"
    stray.write_bytes(b"a film")
    assert main(["purge", "--execute", again, "-C", str(place)]) == 0
    assert not stray.exists()
    assert main(["purge", "--lang", "nl", "-C", str(place)]) == 0


# --- the clock ------------------------------------------------------------------------------------------------------


def test_a_film_that_was_delivered_among_our_own_is_no_stray(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever names the folder of the finished films as the archive: the wipe would rest on what purge deletes."""
    made = schools.make(tmp_path / "w", settings="[deliver]\ntarget = 'folder'\nfolder = 'redacted'\n")
    assert main(["deliver", "-C", str(made.folder), "--json"]) == 0
    with workspace.opened(made.folder) as opened:
        where = opened.ledger.entries("delivery")[-1].payload["where"]
        (made.folder / "redacted" / "los.mp4").write_bytes(b"x")
        assert [item["rendering"] for item in retention.due(opened, date.today())] == ["los.mp4"]
    assert Path(where).parent == made.folder / "redacted"
    capsys.readouterr()


def test_nothing_is_done_on_a_day_before_the_last_row(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who withdrew since would be shown again."""
    with workspace.opened(place) as opened:
        opened.ledger.append("card", None, {"card": "k"})

        class Before(date):
            @classmethod
            def today(cls) -> date:
                return date.today() - timedelta(1)

        with monkeypatch.context() as patch:
            patch.setattr(lock, "date", Before)
            with pytest.raises(WorkspaceError, match="set the clock"), workspace.alone(opened):
                pass
            with workspace.alone(opened, tidy=False):
                pass  # doctor, which tells of it
        opened.ledger.append("card", None, {"card": "k"})
        with workspace.alone(opened):
            pass


def test_a_row_of_the_day_before_does_not_make_good_for_the_day_after(place: Path) -> None:
    with workspace.opened(place) as opened:
        for days in (0, -1):
            at = (datetime.now(UTC) + timedelta(1 + days)).isoformat()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(database, "now", lambda at=at: at)
                opened.ledger.append("watched", "c", {"sha256": "d", "by": "Bea"})
        with pytest.raises(WorkspaceError, match="set the clock"), workspace.alone(opened):
            pass


def test_a_clock_that_was_wrong_before_locks_nobody_out(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(database, "now", lambda: (datetime.now(UTC) + timedelta(9000)).isoformat())
        with workspace.opened(place) as opened:
            opened.ledger.append("card", None, {"card": "k"})
    words = ["used", "nothing", "--by", "Bea", "-C", str(place)]
    assert main(words) == WorkspaceError.code
    main(["doctor", "--clock-is-right", "-C", str(place)])
    assert main(words) not in (0, WorkspaceError.code), "there is no such clip, and that is told"


LIST = "Leerlingnummer;Roepnaam;Achternaam;Geboortedatum;Beeldcoaching;Gezichtsherkenning;Toestemming van;" + (
    "Datum toestemming\n"
)


def test_who_took_consent_back_under_a_clock_that_ran_ahead_is_hidden(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lesveil(*words: object, code: int = 0) -> Any:
        capsys.readouterr()
        assert main([*map(str, words), "-C", str(place), "--json", "--lang", "en"]) == code
        told = capsys.readouterr()
        assert "had lost" not in told.err
        return json.loads(told.out)

    def bring(yes: str) -> None:
        rows = [f"{who};Noa;Jansen{who};01-02-2018;{said};{said};ouder;01-09-2025\n" for who, said in
                (("41207", yes), ("41208", "ja"), ("41209", "ja"))]  # fmt: skip
        (tmp_path / "lijst.csv").write_text(LIST + "".join(rows), encoding="utf-8")
        lesveil("consent", "import", tmp_path / "lijst.csv")

    def shown() -> list[str]:
        return [one["id"] for one in lesveil("consent", "list")["people"] if one["shown"]]

    bring("ja")
    with monkeypatch.context() as patch:
        ahead = datetime.now(UTC) + timedelta(9000)
        patch.setattr(database, "now", lambda: ahead.isoformat(timespec="microseconds"))
        patch.setattr(consent, "date", SimpleNamespace(today=lambda: ahead.date()))
        bring("nee")
        lesveil("consent", "withdraw", "41208")
    assert shown() == ["41209"]
    told = [one["text"] for part in lesveil("doctor", "--clock-is-right")["sections"] for one in part["findings"]]
    assert "The consent list was imported 0 days ago." in told
    assert shown() == ["41209"]
    with workspace.opened(place) as opened:
        assert [row.day for row in opened.ledger.entries("import")] == [date.today()] * 2, "terms count from then"
    bring("nee")
    assert shown() == ["41209"]


def test_a_clock_that_cannot_be_right_is_not_taken_for_right(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "date", SimpleNamespace(today=lambda: date(2015, 1, 1)))
    main(["doctor", "--clock-is-right", "-C", str(place)])
    with workspace.opened(place) as opened:
        assert opened.ledger.entries("clock") == []


# --- approving, delivering ------------------------------------------------------------------------------------------


def test_an_approval_from_before_a_deletion_was_taken_back_counts_no_more(tmp_path: Path) -> None:
    made = schools.make(tmp_path / "w")
    (made.folder / "lesveil.toml").write_text("[review]\ntwo_people = true\n", encoding="utf-8")
    with workspace.opened(made.folder) as opened:
        (state,) = states(opened)
        judge(opened, state.clip, "Bea", True)
        assert approvals(opened, find(opened, state.clip)) != []
        item = {"kind": "delivered clip", "clip": state.clip, "because": "its term is over", "where": "x", "since": ""}
        opened.ledger.append("purge_done", state.clip, {"digest": "d", "item": item, "found": True})
        assert find(opened, state.clip).deleted is not None
        retention.tick(opened, state.clip, "Bea", used=False)
        assert approvals(opened, find(opened, state.clip)) == []
        assert judge(opened, state.clip, "Carla", True).approved is None, "hers is the first of two"
        assert judge(opened, state.clip, "Bea", True).approved is not None


def test_one_person_in_two_spellings_is_not_two(tmp_path: Path) -> None:
    made = schools.make(tmp_path / "w")
    (made.folder / "lesveil.toml").write_text("[review]\ntwo_people = true\n", encoding="utf-8")
    as_one, as_two = "Jos\u00e9 P\u00e9rez", "JOSE\u0301 Pe\u0301rez"
    with workspace.opened(made.folder) as opened:
        judge(opened, made.clip, "Bea", False)
        judge(opened, made.clip, as_one, True, despite_rejection=True)
        with pytest.raises(ApprovalError, match="a second person must"):
            judge(opened, made.clip, as_two, True)
        assert judge(opened, made.clip, "Bea", True).approved is not None
        assert judge(opened, made.clip, as_two, True).approved is not None
        assert approvals(opened, find(opened, made.clip)) == [as_one, "Bea"]


def test_older_versions_that_stay_are_no_success(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, state = _with_one_clip(place.parent / "s")
    monkeypatch.setattr(delivering, "deliver", lambda *_, **__: [(state, Arrived("OneDrive:/x", True, 2))])
    monkeypatch.setattr("pipeline.commands.unattended.leave_head", lambda place: None)
    monkeypatch.setattr("pipeline.lesson.copy.find_card", lambda *_: [])
    monkeypatch.setattr(card, "waiting", lambda *_: [])
    capsys.readouterr()
    assert main(["run", "--unattended", "--deliver", "-C", str(made.folder)]) == DeliveryError.code
    said = json.loads(capsys.readouterr().out)
    assert (said["result"], said["delivered"][0]["versions_left"]) == ("partly done", 2)


def test_another_card_does_not_keep_what_waits_from_being_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = schools.make(tmp_path / "w")
    done: list[str] = []
    monkeypatch.setattr("pipeline.lesson.making.make", lambda workspace, clip, *_, **__: done.append(clip.id))
    other = tmp_path / "kaart" / "DCIM" / "100TEST"
    other.mkdir(parents=True)
    text = '[cards]\nregistered = ["ABCD-1234"]\n'
    (made.folder / "lesveil.toml").write_text(text, encoding="utf-8")
    with workspace.opened(made.folder) as opened:
        (state,) = states(opened)
        with pytest.raises(LesveilError, match="cannot be registered"):
            card.run_card(opened, tmp_path / "kaart", TODAY)
        monkeypatch.setattr(card, "waiting", lambda *_: [state])
        came = card.run_card(opened, tmp_path / "kaart", TODAY)
    assert done == [state.clip]
    assert came.failed == []
    ((name, error),) = came.troubles
    assert name == "kaart"
    assert "cannot be registered" in str(error)


def test_a_removed_film_is_not_called_replaced() -> None:
    at = {"where": "x", "target": "folder"}
    rows = [
        row("delivery", 1, sha256="a", **at),
        row("delivery", 2, sha256="a", **at),  # looked at again: the same bytes
        row("delivery_removed", 3, sha256="a", permanent=True, **at),
        row("delivery", 4, sha256="a", **at),
        row("delivery", 5, sha256="b", **at),
    ]
    told = [report.delivery_of(one, rows) for one in rows if one.kind == "delivery"]
    assert [(bool(one["replaced_at"]), bool(one["removed_at"])) for one in told] == [
        (False, True),
        (False, True),
        (True, False),
        (False, False),
    ]
    assert told[0]["removed_for_good"] is True


# --- lists, templates -----------------------------------------------------------------------------------------------


def test_the_staffs_list_is_not_the_pupils(place: Path) -> None:
    with workspace.opened(place) as opened:
        opened.ledger.append("import", None, {"import": 1, "sha256": "0" * 64, "people": 9, "staff": True})
        found = house_checks._list(opened, date.today())
    assert found.state == "warning"
    assert "No consent list" in found.text


def test_a_template_made_anew_has_its_term_anew(place: Path) -> None:
    everybody = ["1", "2", "3"]
    rows = [row("enrolment", 1, people=everybody), row("enrolment", 9, people=everybody, replaced=["3"])]
    gone = [row("purge_done", 5, item={"kind": retention.TEMPLATE, "person": "2"})]
    kinds = {"enrolment": rows, "purge_done": gone}
    with workspace.opened(place) as opened:
        opened.ledger.entries = lambda kind=None, clip=None: kinds.get(kind, [])  # type: ignore[method-assign]
        found = retention._enrolled(opened, rows)
    assert {one: day.day for one, day in found.items()} == {"1": 1, "2": 9, "3": 9}


# --- nobody at the keyboard -----------------------------------------------------------------------------------------


def test_without_standard_input_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert terminal.asked("Which? ", Namespace(json=False, quiet=False)) == ""
    monkeypatch.setattr(sys, "stdin", io.StringIO("1\n"))
    assert terminal.asked("Which? ", Namespace(json=False, quiet=False)) == ""


def test_accounts_without_standard_input_are_told_why(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["accounts", "add", "Bea", "-C", str(place), "--lang", "en"]) not in (0, 1)
    assert "password" in capsys.readouterr().err.lower()


def test_a_repair_that_fails_has_its_own_code(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, state = _with_one_clip(place.parent / "s")
    monkeypatch.setattr(worker, "work", lambda *_: [(state, DeliveryError("The lamp went out."))])
    assert main(["repairs", "--json", "-C", str(made.folder)]) == DeliveryError.code
    said = json.loads(capsys.readouterr().out)
    assert said["failed"] == [{"clip": state.clip, "problem": "The lamp went out.", "code": DeliveryError.code}]


def test_sweeping_a_folder_takes_only_what_writers_leave(tmp_path: Path) -> None:
    partial = files.partial_path(tmp_path / "les.mp4")
    for path in (partial, tmp_path / "les.mp4", tmp_path / ".les.mp4.partial"):
        path.write_bytes(b"x")
    files.sweep_all_partials(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".les.mp4.partial", "les.mp4"]
    files.sweep_all_partials(tmp_path / "none")


# --- two at once ----------------------------------------------------------------------------------------------------

PRUNE = """
import sys
from datetime import date
from pathlib import Path
from pipeline import workspace
with workspace.opened(Path(sys.argv[1])) as place:
    print("ready", flush=True)
    sys.stdin.readline()
    workspace.prune_templates(place, date.today(), sys.argv[2])
"""


def test_two_withdrawals_at_once_both_take_their_template(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would write the set anew without its own person, and bring the other's back."""
    everybody = [Person(f"90{n}", np.eye(1, 128, n, dtype=np.float32)[0], 3) for n in range(4)]
    settings = "[recognition]\nmode = 'on'\n[privacy]\ndpia = 'DPIA 3'\n"
    (place / "lesveil.toml").write_text(settings, encoding="utf-8")
    lines = [f"{one.id};Jan{one.id};Smit;01-02-2005;Ja;Ja;leerling;01-01-2026" for one in everybody]
    header = "Leerlingnummer;Roepnaam;Achternaam;Geboortedatum;Beeldcoaching;Gezichtsherkenning;Toestemming van;"
    text = "\n".join([header + "Datum toestemming", *lines, ""])
    (place.parent / "lijst.csv").write_text(text, encoding="utf-8")
    assert main(["consent", "import", str(place.parent / "lijst.csv"), "-C", str(place)]) == 0
    for _ in range(3):
        with workspace.opened(place) as opened:
            workspace.save_templates(opened, everybody)
        words = [sys.executable, "-c", PRUNE, str(place)]
        both = [
            subprocess.Popen([*words, one], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for one in ("900", "901")
        ]
        for one in both:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in both:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        for one in both:
            one.communicate(timeout=60)
            assert one.returncode == 0
        with workspace.opened(place) as opened:
            assert [one.id for one in workspace.load_templates(opened)] == ["902", "903"]


def test_templates_that_somebody_holds_are_waited_for_and_not_taken(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "PATIENCE", 0.05)
    with (
        workspace.opened(place) as opened,
        templates._templates_held(opened),
        pytest.raises(BusyError, match="try again"),
    ):
        workspace.load_templates(opened)


def test_that_templates_were_destroyed_because_they_cannot_be_read_is_told(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everybody is hidden from then on; and no card helps that."""
    (place / "lesveil.toml").write_text('[recognition]\nmode = "on"\n[privacy]\ndpia = "2026/1"\n')
    with workspace.opened(place) as opened:
        workspace.save_templates(opened, [Person("900", np.zeros(128, np.float32), 3)])
        (sealed,) = (place / "vault" / "clips").glob("templates-*.vault")
        sealed.write_bytes(sealed.read_bytes()[:-1])
        with pytest.raises(VaultError, match=r"templates-1\.vault cannot be read; enrol everybody again"):
            workspace.load_templates(opened)
        assert workspace.prune_templates(opened, TODAY) == []
        assert "nobody is recognised until lesveil enrol is done" in capsys.readouterr().err
        assert workspace.load_templates(opened) == []


# --- films ----------------------------------------------------------------------------------------------------------


def region(start: int, stop: int, at: int) -> Repair:
    return Repair(1, "r", "c", "a", RepairKind.REGION, start, stop, "", "", "", box=(20, 20, 60, 60), at_frame=at)


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_what_is_drawn_is_followed_to_the_missing_end_of_a_film(tmp_path: Path, kind: str) -> None:
    """Frames that are promised and not there are hidden whole; they cannot be sought."""
    whole = clips.make(tmp_path / "f.mp4", size="160x96", frames=150, movflags="+faststart", g=25, bf=2)
    whole = whole if kind == "mp4" else clips.remux(whole, tmp_path / "f.mkv")
    with open_clip(clips.cut(whole, tmp_path / f"cut.{kind}", 0.96)) as clip:
        pts = times_of(clip)
        for start, stop, at in ((100, len(pts), 110), (100, 120, 110), (0, len(pts), 5)):
            placed = followed(clip, pts, region(start, stop, at))
            assert placed.regions.frame.tolist() == list(range(start, stop))


def test_a_film_that_gives_other_pictures_than_before_is_told(tmp_path: Path) -> None:
    film = clips.make(tmp_path / "f.mp4", size="160x96", frames=30)
    with open_clip(film) as clip, pytest.raises(RepairError, match="does not give the pictures"):
        followed(clip, times_of(clip) + 1, region(3, 9, 5))


def test_moments_of_a_file_are_found_whatever_the_sources_ticks() -> None:
    """Those of an AVI at 29.97 are of 1001 / 30000 seconds, and the file's of 1 / 30000."""
    found = in_file(np.arange(100, 103), Fraction(1001, 30000), Fraction(1001, 300))
    assert found.tolist() == [0, 1001, 2002]
    assert in_file(np.array([180, 270]), Fraction(1, 90), Fraction(1)).tolist() == [90, 180]


def test_what_is_muted_to_the_last_picture_is_muted_to_the_end() -> None:
    """Sound is written in blocks that reach beyond the last picture before anybody knows that it is the last."""
    timed = SimpleNamespace(pts=np.arange(10), mutes=((2, 4), (6, 10)), seconds=lambda n: n / 25)
    assert seen.Seen.silent(timed) == ((0.08, 0.16), (0.24, EVER))  # type: ignore[arg-type]


@pytest.mark.skipif(os.name == "nt", reason="no file has such a name there")
def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clips.make(Path("f.mp4"), size="160x96", frames=6)
    assert main(["redact", "f.mp4", "-o", "10:30.mp4", "--quiet"]) == 0
    assert Path("10:30.mp4").is_file()


# --- words ----------------------------------------------------------------------------------------------------------


def test_a_head_that_is_none_is_no_broken_ledger(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ledger", "verify", "-C", str(place), "--lang", "en", "--head"]
    assert main([*words, "x"]) == UsageError.code
    assert "no head of a ledger" in capsys.readouterr().err
    with workspace.opened(place) as opened:
        opened.ledger.append("card", None, {"card": "k"})
        head = opened.ledger.head()
    assert main([*words, head]) == 0


def test_a_rendering_that_was_removed_because_consent_ended_was_not_tampered_with(tmp_path: Path) -> None:
    made = schools.make(tmp_path / "w")
    with workspace.opened(made.folder) as opened:
        (state,) = states(opened)
        assert state.render is not None
        lapsed = {"person": "41207", "day": "2026-11-25", "renderings": [state.render["sha256"]]}
        opened.ledger.append("lapsed", state.clip, lapsed)
        (opened.finished / state.render["file"]).unlink()
        with pytest.raises(ApprovalError, match="may not be shown any more; lesveil run makes it anew"):
            judge(opened, state.clip, "Bea", True)
