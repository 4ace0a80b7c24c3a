"""The ledger: whatever is done to its rows behind its back is found, and no name or face gets in."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.adapters import chain, database
from pipeline.adapters.ledger import _MIGRATIONS, Ledger
from pipeline.errors import DiskFullError, LedgerError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.open(path) as opened:
        yield opened


def fill(ledger: Ledger, rows: int = 6) -> None:
    for number in range(rows):
        ledger.append("looked", f"clip{number % 2}", {"number": number})


def tamper(path: Path, *statements: str) -> None:
    """What someone with the file and any SQLite tool can do."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for name in ("entries_no_update", "entries_no_delete", "entries_only_next"):
            connection.execute(f"DROP TRIGGER {name}")
        guards = [text for text in _MIGRATIONS[0] if text.startswith("CREATE TRIGGER")]
        for statement in statements:
            connection.execute(statement)
        for guard in guards:
            connection.execute(guard)


def test_rows_come_back_in_order_and_hold_together(ledger: Ledger, path: Path) -> None:
    fill(ledger)
    assert [entry.seq for entry in ledger.entries()] == [1, 2, 3, 4, 5, 6]
    assert [entry.payload["number"] for entry in ledger.entries(kind="looked", clip="clip1")] == [1, 3, 5]
    assert ledger.entries(kind="wiped") == []
    assert ledger.verify() == []
    assert ledger.verify(ledger.head()) == []
    assert path.stat().st_mode & 0o077 == 0


def test_an_empty_ledger_is_whole(ledger: Ledger) -> None:
    assert ledger.verify(ledger.head()) == []


def test_it_opens_again_and_goes_on(ledger: Ledger, path: Path) -> None:
    fill(ledger, 2)
    early = ledger.head()
    ledger.close()
    with Ledger.open(path) as again:
        assert again.append("looked", None, {}) == 3
        assert again.verify(early) == []


def test_the_latest_receipt_counts_and_only_for_its_own_keys(ledger: Ledger) -> None:
    assert ledger.receipt("detect", "in", "set") is None
    ledger.record("detect", "in", "set", "clip", {"faces": 1})
    ledger.record("detect", "in", "set", "clip", {"faces": 2})
    ledger.record("track", "in", "set", "clip", {"faces": 3})
    assert ledger.receipt("detect", "in", "set") == {"faces": 2}
    assert ledger.receipt("detect", "in", "other") is None
    assert ledger.receipt("detect", "ins", "et") is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET payload = '{}' WHERE seq = 2",
        "DELETE FROM entries WHERE seq = 6",
        "INSERT OR REPLACE INTO entries SELECT 2, at, kind, clip, receipt, '{}', previous, hash || 'x'"
        " FROM entries WHERE seq = 2",
        "INSERT INTO entries SELECT 9, at, kind, clip, receipt, payload, previous, 'x' FROM entries WHERE seq = 2",
    ],
)
def test_the_file_itself_refuses_changes(ledger: Ledger, path: Path, statement: str) -> None:
    fill(ledger)
    with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(statement)
    assert ledger.verify() == []


@pytest.mark.parametrize("seq", range(1, 7))
@pytest.mark.parametrize("column", ["at", "kind", "clip", "receipt", "payload", "previous", "hash"])
def test_a_change_to_any_cell_of_any_row_is_found(ledger: Ledger, path: Path, seq: int, column: str) -> None:
    fill(ledger)
    tamper(path, f"UPDATE entries SET {column} = '{{\"number\":9}}' WHERE seq = {seq}")
    assert any(f"row {seq} was changed" in finding for finding in ledger.verify())


@pytest.mark.parametrize("seq", range(1, 6))
def test_a_deleted_row_is_named(ledger: Ledger, path: Path, seq: int) -> None:
    fill(ledger)
    tamper(path, f"DELETE FROM entries WHERE seq = {seq}")
    assert f"row {seq} was deleted" in ledger.verify()


def test_a_deleted_row_whose_gap_was_closed_is_found(ledger: Ledger, path: Path) -> None:
    fill(ledger)
    tamper(
        path,
        "DELETE FROM entries WHERE seq = 3",
        *[f"UPDATE entries SET seq = {n - 1} WHERE seq = {n}" for n in (4, 5, 6)],
    )
    assert any(finding.startswith("row 3 ") for finding in ledger.verify())


def test_two_rows_in_each_others_place_are_named(ledger: Ledger, path: Path) -> None:
    fill(ledger)
    tamper(path, *(f"UPDATE entries SET seq = {to} WHERE seq = {of}" for of, to in ((2, 99), (4, 2), (99, 4))))
    assert {"row 2 was re-ordered: it is row 4", "row 4 was re-ordered: it is row 2"} <= set(ledger.verify())


def test_a_tail_that_was_cut_off_is_found(ledger: Ledger, path: Path) -> None:
    fill(ledger)
    head = ledger.head()
    tamper(path, "DELETE FROM entries WHERE seq > 4")
    assert ledger.verify() == ["rows 5 to 6 were cut off the end"]
    tamper(path, "UPDATE sqlite_sequence SET seq = 4")
    assert ledger.verify() == []  # nothing in the file itself can show it any more; the head noted elsewhere does
    assert ledger.verify(head) == ["rows 5 to 6 were cut off the end"]


def test_a_history_written_anew_from_the_start_is_found_by_the_known_head(ledger: Ledger, path: Path) -> None:
    fill(ledger)
    head = ledger.head()
    rows, previous = [], chain.GENESIS
    for entry in ledger.entries():
        fields = (entry.seq, entry.at, entry.kind, entry.clip, None, '{"number":0}', previous)
        previous = chain.hash_of(*fields)
        rows.append((*fields, previous))
    values = ", ".join("(" + ", ".join("NULL" if v is None else repr(v) for v in row) + ")" for row in rows)
    tamper(path, "DELETE FROM entries", f"INSERT INTO entries VALUES {values}")
    assert ledger.verify() == []
    assert ledger.verify(head) == ["row 6 is not the one that was noted elsewhere"]


def test_a_removed_guard_is_found(ledger: Ledger, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TRIGGER entries_no_update")
    assert ledger.verify() == ["the guard entries_no_update was removed"]


def test_nothing_is_built_on_a_changed_row(ledger: Ledger, path: Path) -> None:
    ledger.record("detect", "in", "set", "clip", {"faces": 1})
    tamper(path, "UPDATE entries SET payload = replace(payload, '1', '0')")
    with pytest.raises(LedgerError, match=r"Row 1 of .*ledger\.db was changed"):
        ledger.append("looked", None, {})
    with pytest.raises(LedgerError, match="Row 1"):
        ledger.receipt("detect", "in", "set")


@pytest.mark.parametrize("change", ["payload = '{'", "payload = '[]'", "at = 'soon'"])
def test_a_row_that_cannot_be_read_any_more_is_named(ledger: Ledger, path: Path, change: str) -> None:
    fill(ledger)
    tamper(path, f"UPDATE entries SET {change} WHERE seq = 3")
    with pytest.raises(LedgerError, match=r"Row 3 of .*ledger\.db was changed"):
        ledger.entries()
    if change.startswith("at"):
        with pytest.raises(LedgerError, match=r"ledger\.db cannot be used"):
            ledger.latest()


@pytest.mark.parametrize(
    "key", ["name", "roepnaam", "Achternaam", "embedding", "template", "first_name", "reviewerName"]
)
@pytest.mark.parametrize(
    "wrap", [lambda x: x, lambda x: {"a": x}, lambda x: {"a": [1, {"b": x}]}, lambda x: {"a": (x,)}]
)
def test_names_and_faces_are_refused_at_any_depth(
    ledger: Ledger, key: str, wrap: Callable[[object], dict[str, object]]
) -> None:
    with pytest.raises(LedgerError, match=key):
        ledger.append("looked", None, wrap({key: "x"}))
    with pytest.raises(LedgerError, match=key):
        ledger.record("detect", "in", "set", None, wrap({key: "x"}))
    assert ledger.entries() == []


def test_an_embedding_under_any_key_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match=r"payload\.x"):
        ledger.append("looked", None, {"x": [0.1] * 128})
    ledger.append("looked", None, {"x": [0.1] * 16, "faces": list(range(100)), "renamed": True})


@pytest.mark.parametrize("value", [float("nan"), b"bytes", object(), {1: "x"}])
def test_what_json_cannot_hold_is_refused_in_a_sentence(ledger: Ledger, value: object) -> None:
    with pytest.raises(LedgerError, match="ledger"):
        ledger.append("looked", None, {"x": value})


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("qxyz_", max_size=5), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text("qxyz_", max_size=5), plain, max_size=4))
def test_one_payload_has_one_text_which_reads_back(payload: dict[str, object]) -> None:
    text = chain.canonical(payload)
    assert json.loads(text) == payload
    assert chain.canonical(dict(reversed(payload.items()))) == text


def test_threads_take_turns(ledger: Ledger) -> None:
    threads = [threading.Thread(target=fill, args=(ledger, 20)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.entries()) == 80
    assert ledger.verify() == []


def test_a_second_process_waits_its_turn(ledger: Ledger, path: Path) -> None:
    code = (
        "import sys, pathlib; from pipeline.adapters.ledger import Ledger\n"
        "with Ledger.open(pathlib.Path(sys.argv[1])) as ledger:\n"
        "    for n in range(15): ledger.append('looked', None, {'n': n})"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)]) as other:
        fill(ledger, 15)
        assert other.wait(timeout=60) == 0
    assert len(ledger.entries()) == 30
    assert ledger.verify() == []


def test_opening_it_twice_keeps_other_processes_from_clearing_up(ledger: Ledger, path: Path) -> None:
    """Closing a file that was opened by hand gives up every lock that this process has on it (POSIX)."""
    ledger.append("x", None, {"n": 1})
    code = "import sys, pathlib, pipeline.adapters.ledger as l\nwith l.Ledger.open(pathlib.Path(sys.argv[1])) as a:"
    code += "\n    print(len(a.entries()))"
    for rows in (1, 2):
        with Ledger.open(path):
            pass
        seen = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True).stdout
        assert int(seen) == rows
        assert path.with_name(path.name + "-wal").exists(), "the last one to close it thought that it was alone"
        ledger.append("x", None, {"n": rows + 1})


def test_it_is_for_its_owner_alone_from_the_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, modes = sqlite3.connect, []

    def connect(path: Path, **more: Any) -> sqlite3.Connection:
        modes.append(path.stat().st_mode & 0o777)
        return real(path, **more)

    monkeypatch.setattr(database.sqlite3, "connect", connect)
    before = os.umask(0)
    try:
        for _ in range(2):
            Ledger.open(tmp_path / "ledger.db").close()
        (tmp_path / "link.db").symlink_to(tmp_path / "nothing.db")
        with pytest.raises(LedgerError):
            Ledger.open(tmp_path / "link.db")
    finally:
        os.umask(before)
    assert modes == [0o600, 0o600]
    assert not (tmp_path / "nothing.db").exists()


@pytest.mark.parametrize("content", [b"no database at all, only text", b"SQLite format 3\x00" + b"\xff" * 200])
def test_a_file_that_is_no_ledger_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=r"ledger\.db"):
        Ledger.open(path)


def test_a_folder_that_is_not_there_and_a_newer_ledger_are_named(ledger: Ledger, path: Path) -> None:
    with pytest.raises(LedgerError, match="nowhere"):
        Ledger.open(path.parent / "nowhere" / "ledger.db")
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("INSERT INTO migrations VALUES (99, 'later')")
    with pytest.raises(LedgerError, match="newer"):
        Ledger.open(path)


def test_a_full_disk_is_told_as_a_full_disk_and_nothing_is_half_written(tmp_path):
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        ledger.append("note", None, {"n": 1})
        (pages,) = ledger._connection.execute("PRAGMA page_count").fetchone()
        ledger._connection.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(DiskFullError, match=r"ledger\.db was not written"):
            ledger.append("note", None, {"long": "x" * 100_000})
        ledger._connection.execute("PRAGMA max_page_count=100000")
        assert [row.payload for row in ledger.entries()] == [{"n": 1}]
        ledger.append("note", None, {"n": 2})
        assert ledger.verify() == []


@pytest.mark.parametrize("number", [errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)])
def test_no_room_for_this_user_is_no_room(tmp_path, number):
    with pytest.raises(DiskFullError), database.passing(tmp_path / "ledger.db"):
        raise OSError(number, "no room")
