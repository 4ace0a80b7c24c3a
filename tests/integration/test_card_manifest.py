"""The manifest, read by the trade's own program: ascmhl finds in it exactly what was copied, and what was changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import xxhash

from pipeline.adapters.manifest import Hashed, add_list, c4

FILES = {
    "DCIM/100CANON/MVI_0001.MP4": os.urandom(100_000),
    "DCIM/100CANON/MVI_0001.THM": b"thumbnail",
    "DCIM/100CANON/les vijf é & <zes>.MP4": os.urandom(5000),
}
WHEN = datetime(2026, 11, 25, 9, 30, 1, tzinfo=UTC)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / "card" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "card" / name).write_bytes(data)
    return tmp_path / "card"


def hashed(again: bool = False) -> list[Hashed]:
    return [Hashed(name, len(data), WHEN, xxhash.xxh128(data).hexdigest(), again) for name, data in FILES.items()]


def ascmhl(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Its commands in a process of their own; its command line itself asks the network for updates first."""
    line = "import sys; from ascmhl import commands; getattr(commands, sys.argv.pop(1))()"
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", line, *map(str, words)], capture_output=True, text=True, check=False
    )


def test_ascmhl_verifies_a_card_against_it(tmp_path: Path, card: Path) -> None:
    made = add_list(tmp_path / "history", "LES KAART", hashed(), WHEN)
    assert made.name == "0001_LES KAART_2026-11-25_093001Z.mhl"
    add_list(tmp_path / "history", "LES KAART", hashed(again=True), WHEN)
    shutil.copytree(tmp_path / "history" / "ascmhl", card / "ascmhl")
    good = ascmhl("diff", card)
    assert good.returncode == 0, good.stdout + good.stderr
    good = ascmhl("verify", card)
    assert good.returncode == 0, good.stdout + good.stderr
    (card / "DCIM/100CANON/MVI_0001.THM").write_bytes(b"thumbnaiL")
    bad = ascmhl("verify", card)
    assert bad.returncode != 0
    assert "MVI_0001.THM" in bad.stdout + bad.stderr


def test_a_list_that_was_exchanged_is_noticed(tmp_path: Path, card: Path) -> None:
    made = add_list(tmp_path / "history", "K", hashed(), WHEN)
    shutil.copytree(tmp_path / "history" / "ascmhl", card / "ascmhl")
    changed = card / "ascmhl" / made.name
    changed.write_text(changed.read_text().replace("lesveil", "nobody"))
    assert ascmhl("verify", card).returncode != 0


def test_the_parser_of_the_trade_finds_every_field(tmp_path: Path) -> None:
    from ascmhl.hashlist_xml_parser import parse

    made = add_list(tmp_path, "K", hashed(), WHEN)
    found = parse(str(made))
    assert {m.path: (m.file_size, m.hash_entries[0].hash_string) for m in found.media_hashes} == {
        one.path: (one.bytes, one.xxh128) for one in hashed()
    }
    assert {entry.action for m in found.media_hashes for entry in m.hash_entries} == {"original"}
    assert found.creator_info.tool.name == "lesveil"


def test_c4_ids_are_those_of_the_trade(tmp_path: Path) -> None:
    from ascmhl.hasher import hash_file

    for n, data in enumerate((b"", b"foo", os.urandom(1000))):
        path = tmp_path / str(n)
        path.write_bytes(data)
        assert c4(data) == hash_file(str(path), "c4")


def test_names_that_xml_cannot_hold(tmp_path: Path) -> None:
    from ascmhl.hashlist_xml_parser import parse

    made = add_list(tmp_path, "a/b\n", [Hashed("DCIM/1/\x01\udcff\n.MP4", 1, WHEN, "00" * 16)], WHEN)
    assert [m.path for m in parse(str(made)).media_hashes] == ["DCIM/1/\ufffd\ufffd\n.MP4"]
