"""Retention, reports and the ledger's heads, by the commands, on a workspace whose clips were made by hand."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import messages, workspace
from pipeline.adapters import files
from pipeline.adapters.review_book import ReviewBook
from pipeline.cli import main
from pipeline.errors import DiskFullError, LedgerError, PlanChangedError
from pipeline.lesson import plans, retention
from pipeline.lesson.desk import Desk
from pipeline.lesson.report_words import in_words, summary_line
from pipeline.lesson.state import find
from pipeline.stages import deliver as into_folder
from tests.faults import school


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    messages.choose("en")


class Place:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.made = school.make(folder / "werkmap", clips=2)
        self.archive = folder / "archief"
        self.archive.mkdir()
        self.settle()
        self._capsys = capsys

    def settle(self, more: str = "") -> None:
        target = f"[deliver]\ntarget = 'folder'\nfolder = {json.dumps(str(self.archive))}\n"
        (self.made.folder / "lesveil.toml").write_text(target + more, encoding="utf-8")

    def lesveil(self, *words: object, code: int = 0, lang: str = "en") -> Any:
        self._capsys.readouterr()
        told = main([*map(str, words), "-C", str(self.made.folder), "--json", "--lang", lang])
        said = self._capsys.readouterr()
        assert told == code, said.err + said.out
        return json.loads(said.out) if said.out else said.err


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path, capsys)


def full_disk(render: Path, sha256: str, final: Path, over: bool) -> None:
    """In place of copying into a folder."""
    raise files.disk_full(final)


def clips(place: Place) -> list[Path]:
    return sorted(place.archive.rglob("*.mp4"))


def test_who_delivers_to_a_folder_need_not_sign_in(place: Place) -> None:
    assert place.lesveil("login") == {"signed_in": False}


# --- retention ----------------------------------------------------------------------------------------------------


def test_nothing_is_deleted_that_was_not_shown(place: Place) -> None:
    place.lesveil("deliver")
    assert place.lesveil("purge")["items"] == []
    assert "not the plan that was shown" in place.lesveil("purge", "--execute", "0" * 16, code=67)
    place.lesveil("used", place.made.clip, "--by", "Geertje")
    plan = place.lesveil("purge")
    assert {item["clip"] for item in plan["items"]} == {place.made.clip}
    assert len(clips(place)) == 2, "it is shown first"
    other = next(row.clip for row in _rows(place, "ingest") if row.clip != place.made.clip)
    place.lesveil("used", other, "--by", "Geertje")
    place.lesveil("purge", "--execute", plan["digest"], code=67)
    assert len(clips(place)) == 2, "what is due changed since: it is shown again"
    place.lesveil("used", other, "--by", "Geertje", "--undo")
    done = place.lesveil("purge", "--execute", plan["digest"])["done"]
    assert [(one["item"]["kind"], one["found"]) for one in done] == [
        ("delivered clip", True),
        ("finished clip here", True),
    ]
    assert len(clips(place)) == 1
    assert len(list((place.made.folder / "redacted").iterdir())) == 1
    assert place.lesveil("purge", "--execute", plan["digest"])["done"] == [], "a plan works once"
    assert {row.payload["item"]["kind"] for row in _rows(place, "purge_done")} == {
        "delivered clip",
        "finished clip here",
    }


def _rows(place: Place, kind: str) -> Any:
    with workspace.opened(place.made.folder) as opened:
        return opened.ledger.entries(kind)


def test_terms_count_from_copying_and_from_the_first_delivery(place: Place) -> None:
    place.lesveil("deliver")
    place.settle("[retention]\nworking_copy_days = 10\ndelivered_days = 20\n")
    today = date.today()
    with workspace.opened(place.made.folder) as opened:
        with opened.vault.writer() as writer:
            writer.write(b"a film")
            writer.commit(place.made.clip)
        kinds = {
            n: sorted(item["kind"] for item in retention.due(opened, today + timedelta(n))) for n in (9, 10, 19, 20)
        }
        mine = [item for item in retention.due(opened, today + timedelta(20)) if item["clip"] == place.made.clip]
    assert kinds[9] == []
    assert kinds[10] == ["finished clip here", "finished clip here", "working copy"] == kinds[19]
    assert kinds[20] == ["delivered clip", "delivered clip", "finished clip here", "finished clip here", "working copy"]
    assert [item["kind"] for item in mine] == ["delivered clip", "working copy", "finished clip here"]
    assert {item["because"] for item in mine} == {"its term is over"}


@pytest.mark.parametrize("begun", [False, True])
def test_what_became_the_last_of_a_clip_since_is_shown_as_that_first(place: Place, begun: bool) -> None:
    """The plan was shown while the archive had the film, and it was taken away there."""
    place.lesveil("deliver")
    place.settle("[retention]\nworking_copy_days = 0\n")
    plan = place.lesveil("purge")
    assert (len(plan["items"]), plan["last"]) == (2, [])
    if begun:
        with workspace.opened(place.made.folder) as opened:
            opened.ledger.append("purge_begun", None, {"digest": plan["digest"], "items": plan["items"]})
    place.lesveil("deliver", "--remove", place.made.clip, "--yes")
    finished = place.made.folder / "redacted"
    place.lesveil("purge", "--execute", plan["digest"], code=0 if begun else 67)
    assert len(list(finished.iterdir())) == (1 if begun else 2)
    plan = place.lesveil("purge")
    assert plan["last"] == [place.made.clip]
    place.lesveil("purge", "--execute", plan["digest"])
    assert not list(finished.iterdir())


def test_what_somebody_changed_in_the_archive_is_told_and_left(place: Place) -> None:
    place.lesveil("deliver")
    place.lesveil("used", place.made.clip, "--by", "Geertje")
    plan = place.lesveil("purge")
    where = Path(plan["items"][0]["where"])
    where.write_bytes(b"somebody's own")
    done = place.lesveil("purge", "--execute", plan["digest"], code=56)["done"]
    assert "no longer what was delivered" in done[0]["error"]
    assert done[1]["found"] is True
    assert where.read_bytes() == b"somebody's own"


def test_a_crash_between_deleting_and_telling_is_made_good(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.lesveil("deliver")
    place.lesveil("used", place.made.clip, "--by", "Geertje")
    plan = place.lesveil("purge")
    with workspace.opened(place.made.folder) as opened:
        append = opened.ledger.append

        def dies(kind: str, clip: str | None, payload: dict[str, Any]) -> int:
            if kind == "purge_done":
                raise KeyboardInterrupt
            return append(kind, clip, payload)

        monkeypatch.setattr(opened.ledger, "append", dies)
        with pytest.raises(KeyboardInterrupt):
            retention.execute_purge(opened, plan["digest"], date.today())
    done = place.lesveil("purge", "--execute", plan["digest"])["done"]
    assert [one["found"] for one in done] == [False, True]
    assert len(_rows(place, "purge_done")) == 2
    assert len(clips(place)) == 1


def test_a_plan_that_was_begun_is_not_widened(place: Place) -> None:
    with workspace.opened(place.made.folder) as opened:
        seen: list[Any] = []
        items = [{"n": 1}, {"n": 2}]
        digest = plans.digest_of(items)
        plans.carry_out(opened.ledger, "try", digest, items, lambda _: True, lambda item: seen.append(item) or {})
        assert seen == items
        assert plans.carry_out(opened.ledger, "try", digest, [{"n": 3}], lambda _: True, lambda _: {}) == []
        with pytest.raises(PlanChangedError):
            plans.carry_out(opened.ledger, "try", "", [], lambda _: True, lambda _: {})


def test_the_ledger_goes_last_and_says_what_came_before(place: Place) -> None:
    place.lesveil("deliver")
    place.settle("[retention]\nledger_days = 1\n")
    later = date.today() + timedelta(400)
    with workspace.opened(place.made.folder) as opened:
        head = opened.ledger.head()
        for item in retention.due(opened, later):
            assert item["kind"] != "ledger", "a clip still lies in the archive"
        digest = plans.digest_of(retention.due(opened, later))
        retention.execute_purge(opened, digest, later)
        (item,) = retention.due(opened, later)
        assert item["kind"] == "ledger"
        retention.execute_purge(opened, plans.digest_of([item]), later)
        first, second = opened.ledger.entries()
        assert (first.kind, second.kind) == ("continued", "purge_done")
        assert first.payload["head"] != head
        assert opened.ledger.verify() == []
        assert retention.due(opened, later) == []
    raw = (place.made.folder / "ledger.db").read_bytes()
    assert b"MVI_0001" not in raw, "deleted for good, not only from the index"


def _delivered_used_and_lapsed(place: Place) -> None:
    """The clip has served, and somebody in what was delivered may not be shown any more."""
    place.lesveil("deliver")
    place.lesveil("used", place.made.clip, "--by", "Geertje")
    with workspace.opened(place.made.folder) as opened:
        sent = opened.ledger.entries("delivery", place.made.clip)[-1].payload["sha256"]
        row = {"person": "41207", "day": "2026-11-25", "renderings": [sent]}
        opened.ledger.append("lapsed", place.made.clip, row)


def test_a_clip_past_its_use_is_deleted_rather_than_made_anew(place: Place) -> None:
    _delivered_used_and_lapsed(place)
    (told,) = [one for one in place.lesveil("status")["clips"] if one["waits_for"] == "lesveil recall"]
    assert told["clip"] == place.made.clip
    plan = place.lesveil("recall")
    assert [(item["action"], item["people"]) for item in plan["items"]] == [("delete", ["41207"])]
    place.lesveil("recall", "--execute", "0" * 16, code=67)
    assert len(clips(place)) == 2
    done = place.lesveil("recall", "--execute", plan["digest"], "--by", "A. Jansen")["done"]
    assert [one["outcome"] for one in done] == ["deleted"]
    assert [one["by"] for one in place.lesveil("report")["recalled"]] == ["A. Jansen"]
    assert len(clips(place)) == 1
    assert place.lesveil("recall")["items"] == []
    assert place.lesveil("ledger", "verify")["findings"] == []


def test_a_recall_that_failed_deletes_nothing_that_is_needed_after_all(place: Place) -> None:
    """Begun while the archive was not connected; meanwhile somebody took back that the clip has served."""
    _delivered_used_and_lapsed(place)
    plan = place.lesveil("recall")
    away = place.archive.with_name("away")
    place.archive.rename(away)
    place.lesveil("recall", "--execute", plan["digest"], code=56)
    away.rename(place.archive)
    place.lesveil("used", place.made.clip, "--by", "Geertje", "--undo")
    (done,) = place.lesveil("recall", "--execute", plan["digest"], code=56)["done"]
    assert "look at lesveil recall again" in done["error"]
    assert len(clips(place)) == 2, "it may be all that there is of it"
    assert [item["action"] for item in place.lesveil("recall")["items"]] == ["hide again"]
    place.lesveil("used", place.made.clip, "--by", "Geertje")
    place.lesveil("recall", "--execute", plan["digest"])
    assert len(clips(place)) == 1


# --- the ledger ---------------------------------------------------------------------------------------------------


def test_the_head_goes_along_with_every_delivery(place: Place) -> None:
    place.lesveil("deliver")
    verified = place.lesveil("ledger", "verify")
    assert (verified["heads_compared"], verified["findings"]) == (2, []), "one from before the first film is there, too"
    assert verified["head"].replace(":", "-").lstrip("0") in {
        path.name.lstrip("0") for path in place.archive.glob("lesveil-ledger/*/*")
    }
    place.lesveil("used", place.made.clip, "--by", "x")
    plan = place.lesveil("purge")
    place.lesveil("purge", "--execute", plan["digest"])
    assert place.lesveil("ledger", "verify")["heads_compared"] == 3
    assert {line["verdict"] for line in place.lesveil("deliver", "--audit")["files"]} == {"as delivered"}


def test_a_history_that_was_rewritten_whole_is_found_in_the_archive(place: Place) -> None:
    """The laptop's owner makes the chain anew from the second row on: nothing in the file itself tells."""
    place.lesveil("deliver")
    book = place.made.folder / "ledger.db"
    with workspace.opened(place.made.folder) as opened:
        rows = opened.ledger.entries()
    from pipeline.adapters.chain import canonical, hash_of

    connection = sqlite3.connect(book)
    for name in ("no_update", "no_delete", "only_next"):
        connection.execute(f"DROP TRIGGER entries_{name}")
    previous = rows[0].hash
    for row in rows[1:]:
        (receipt,) = connection.execute("SELECT receipt FROM entries WHERE seq = ?", (row.seq,)).fetchone()
        payload = dict(row.payload) | ({"by": "somebody else"} if "by" in row.payload else {})
        own = hash_of(row.seq, row.at, row.kind, row.clip, receipt, canonical(payload), previous)
        connection.execute(
            "UPDATE entries SET payload = ?, previous = ?, hash = ? WHERE seq = ?",
            (canonical(payload), previous, own, row.seq),
        )
        previous = own
    connection.commit()
    connection.close()
    from pipeline.adapters import ledger as ledgers

    connection = sqlite3.connect(book)
    for statement in ledgers._MIGRATIONS[0]:
        if "TRIGGER" in statement:
            connection.execute(statement)
    connection.commit()
    connection.close()
    with workspace.opened(place.made.folder) as opened:
        assert opened.ledger.verify() == [], "it hangs together in itself"
    found = place.lesveil("ledger", "verify", code=54)["findings"]
    assert [line for line in found if "noted elsewhere" in line]


def test_a_ledger_that_was_begun_anew_in_secret_has_no_head_in_the_archive(place: Place) -> None:
    place.lesveil("deliver")
    for path in place.archive.glob("lesveil-ledger/*"):
        path.rename(path.with_name("f" * 16))  # as the archive looks to a ledger with another first row
    assert "no head of this ledger" in place.lesveil("ledger", "verify", code=54)["findings"][0]


def test_every_cell_of_every_row_is_guarded(place: Place, tmp_path: Path) -> None:
    """Each column of each row is changed once, past the triggers; each time it is found."""
    place.lesveil("deliver")
    with workspace.opened(place.made.folder) as opened:
        head, count = opened.ledger.head(), len(opened.ledger.entries())
    book = tmp_path / "book.db"
    with closing(sqlite3.connect(place.made.folder / "ledger.db")) as source, closing(sqlite3.connect(book)) as copy:
        source.backup(copy)
    columns = ("seq", "at", "kind", "clip", "receipt", "payload", "previous", "hash")
    for number in range(1, count + 1):
        for column in columns:
            tampered = tmp_path / "tampered.db"
            shutil.copy(book, tampered)
            connection = sqlite3.connect(tampered)
            triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in triggers:
                connection.execute(f"DROP TRIGGER {name}")
            value = f"{column} + 1000" if column == "seq" else f"coalesce({column}, '') || ' '"
            connection.execute(f"UPDATE entries SET {column} = {value} WHERE seq = ?", (number,))
            for _, sql in triggers:
                connection.execute(sql)
            connection.commit()
            connection.close()
            from pipeline.adapters.ledger import Ledger

            with Ledger.open(tampered) as ledger:
                assert ledger.verify(head) != [], (number, column)


# --- reports ------------------------------------------------------------------------------------------------------


def test_the_report_answers_what_the_officer_asks(place: Place, tmp_path: Path) -> None:
    with workspace.opened(place.made.folder) as opened:
        opened.ledger.append("card", None, {"folder": "/k", "card": "kaart", "registered": False})
        row = opened.ledger.entries("ingest")[0]
        opened.ledger.append("ingest", row.clip, row.payload)
    place.lesveil("deliver")
    page = tmp_path / "verslag.html"
    document = place.lesveil("report", "--html", page, lang="nl")
    (batch,) = document["batches"]
    (clip,) = batch["clips"]
    assert [(one["by"], one["verdict"]) for one in clip["approvals"]] == [("coach", "approved")]
    assert clip["deliveries"][0]["where"] in {str(path) for path in clips(place)}
    assert (document["ledger"]["findings"], document["summary"]["delivered"]) == ([], 1)
    text = page.read_text(encoding="utf-8")
    assert os.name == "nt" or stat.S_IMODE(page.stat().st_mode) == 0o600, "it says who was there when"
    assert '<html lang="nl">' in text
    assert "Goedgekeurd" in text or "goedgekeurd" in text
    assert not [mark for mark in ("http://", "https://", "<script", "<img", "url(", "@import") if mark in text]
    place.lesveil("report", "--html", page, code=30)
    assert place.lesveil("report", batch["day"], lang="nl")["batches"] == document["batches"]
    dutch = "-".join(reversed(batch["day"].split("-")))
    assert place.lesveil("report", dutch)["batches"][0]["number"] == batch["number"]
    assert place.lesveil("report", "--from", "2001-01-01", "--to", "2001-02-01")["batches"] == []
    place.lesveil("report", "--from", "02-02-2001", "--to", "01-02-2001", code=2)
    assert "no batch 9" in place.lesveil("report", "9", code=68)
    assert "not in the register" in place.lesveil("report", "--person", "1", code=68)
    assert place.lesveil("report", "--processing")["retention_days"]["working copy"] == 30


@pytest.mark.parametrize("words", [["1", "--person", "1"], ["--person", "1", "--processing"], ["1", "--processing"]])
def test_a_report_on_one_thing_passes_over_no_other(words: list[str], place: Place) -> None:
    assert "not allowed with" in place.lesveil("report", *words, code=2)


def test_films_of_one_name_are_told_apart_wherever_they_are_named(place: Place, tmp_path: Path) -> None:
    with workspace.opened(place.made.folder) as opened:
        opened.ledger.append("card", None, {"folder": "/k", "card": "kaart", "registered": False})
        row = opened.ledger.entries("ingest")[0]
        film = row.payload["files"][0]
        other = film | {"path": f"DCIM/999OTHER/{Path(film['path']).name}", "sha256": "e" * 64}
        opened.ledger.append("ingest", row.clip, row.payload)
        opened.ledger.append("ingest", "e" * 16, row.payload | {"files": [other], "sha256": "e" * 64})
        with ReviewBook.open(tmp_path / "review.db") as book:
            listed = {one.name for one in Desk(opened, book).clips()}
    document = place.lesveil("report", "--html", tmp_path / "verslag.html")
    named = {one["called"] for one in document["batches"][0]["clips"]}
    assert len(named) == 2
    assert named <= listed
    assert all(f"     {one}: " in "".join(in_words(document, "report")) for one in named)
    assert all(f"<h3>{one} " in (tmp_path / "verslag.html").read_text(encoding="utf-8") for one in named)


def test_a_delivery_that_only_began_is_not_told_as_one(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with workspace.opened(place.made.folder) as opened:
        opened.ledger.append("card", None, {"folder": "/k", "card": "kaart", "registered": False})
        row = opened.ledger.entries("ingest")[0]
        opened.ledger.append("ingest", row.clip, row.payload)
    with monkeypatch.context() as patch:
        patch.setattr(into_folder, "_copy", full_disk)
        place.lesveil("deliver", "--quiet", code=DiskFullError.code)
    document = place.lesveil("report", "--html", tmp_path / "verslag.html")
    ((clip,),) = [batch["clips"] for batch in document["batches"]]
    assert (clip["deliveries"], clip["delivered_to"], len(clip["begun"])) == ([], [], 1)
    assert (document["summary"]["delivered"], document["summary"]["begun"]) == (0, 1)
    told = "of 1 clip a delivery was begun, and whether it arrived is not known."
    assert summary_line(document["summary"]).endswith(told)
    assert "What became of a delivery that was begun" in "".join(in_words(document, "report"))
    assert "was begun; whether it lies there is not known" in (tmp_path / "verslag.html").read_text(encoding="utf-8")
    place.lesveil("deliver", "--audit")
    document = place.lesveil("report")
    assert summary_line(document["summary"]).endswith("nothing has left this machine.")


def test_a_report_from_a_changed_ledger_is_told_and_ends_as_such(place: Place) -> None:
    with closing(sqlite3.connect(place.made.folder / "ledger.db")) as book, book:
        for (name,) in book.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            book.execute(f"DROP TRIGGER {name}")
        book.execute("UPDATE entries SET payload = replace(payload, 'coach', 'kok') WHERE kind = 'approval'")
    document = place.lesveil("report", code=LedgerError.code)
    assert document["ledger"]["findings"]


def test_the_entry_for_the_register_of_processing_is_in_the_language_chosen(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.lesveil("report", "--processing", lang="nl")["people"][0] == "leerlingen die worden gefilmd"
    assert main(["report", "--processing", "-C", str(place.made.folder), "--lang", "nl"]) == 0
    said = capsys.readouterr().out
    assert "verwerkingsverantwoordelijke: niet ingevuld: zet het in lesveil.toml onder [school] controller\n" in said
    assert "bewaard, in dagen: werkkopie 30" in said


def test_a_page_escapes_what_a_card_is_called(place: Place, tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    with workspace.opened(place.made.folder) as opened:
        opened.ledger.append("card", None, {"folder": "/k", "card": bad, "registered": False})
        row = opened.ledger.entries("ingest")[0]
        named = [dict(row.payload["files"][0], path=f"DCIM/{bad}.MP4")]
        opened.ledger.append("ingest", "c" * 16, row.payload | {"files": named})
        opened.ledger.append("failure", None, {"path": bad, "error": bad})
    place.lesveil("report", "--html", tmp_path / "r.html")
    assert "<script" not in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_ticking_needs_a_name_and_is_taken_back(place: Place) -> None:
    place.lesveil("used", place.made.clip, "--by", " ", code=55)
    place.lesveil("used", place.made.clip, "--by", "G")
    place.lesveil("used", place.made.clip, "--by", "G")
    assert len(_rows(place, "used")) == 1
    place.lesveil("used", place.made.clip, "--by", "G", "--undo")
    with workspace.opened(place.made.folder) as opened:
        assert find(opened, place.made.clip).used is None
