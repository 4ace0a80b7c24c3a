"""rclone, which nobody here wrote, against the faithful Graph, and against what we delivered there."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.adapters.quickxorhash import quickxorhash
from tests.faults import school
from tests.graph.control import Control, running
from tests.graph.proxy import certificate, proxy

RCLONE = shutil.which("rclone")
pytestmark = pytest.mark.skipif(RCLONE is None, reason="rclone is not installed (Debian: apt-get install rclone)")

Rclone = Callable[..., str]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with running(tmp_path_factory.mktemp("graph")) as control:
        yield control


@pytest.fixture
def rclone(graph: Control, tmp_path: Path) -> Iterator[Rclone]:
    """Run rclone on the drive ``shelf``: it believes that it speaks with graph.microsoft.com."""
    graph.post("drive", id="shelf")
    # rclone 1.60 sends its token along to upload addresses. The documentation says that this may be refused, and it
    # works with the real service; Lesveil's own tests run with the strict reading.
    graph.post("settle", drive="shelf", forbids_authorization=False)
    token = {"access_token": graph.token(), "token_type": "Bearer", "expiry": "2099-01-01T00:00:00Z"}
    pem = certificate(tmp_path)
    config = tmp_path / "rclone.conf"
    config.write_text(
        f"[od]\ntype = onedrive\ndrive_id = shelf\ndrive_type = business\ntoken = {json.dumps(token)}\n"
        "no_versions = false\n"
    )
    with proxy(pem, urllib.parse.urlsplit(graph.url).port or 0) as (address, asked):
        env = os.environ | {"HTTPS_PROXY": address, "https_proxy": address, "NO_PROXY": "127.0.0.1", "no_proxy": ""}

        def run(*words: object, code: int = 0) -> str:
            options = ["--config", str(config), "--ca-cert", str(pem), "--retries", "1", "--timeout", "20s"]
            done = subprocess.run(
                [str(RCLONE), *map(str, words), *options],
                env=env,
                capture_output=True,
                encoding="utf-8",
                timeout=120,
                check=False,
            )
            assert done.returncode == code, done.stderr
            return done.stdout

        yield run
        assert set(asked) <= {"graph.microsoft.com"}
    graph.post("drop", drive="shelf")


def films(folder: Path) -> dict[str, bytes]:
    """A small file, and one that needs a session of several pieces."""
    folder.mkdir()
    chance = random.Random(3)
    made = {"klein.mp4": chance.randbytes(70_001), "lang & vreemd #1 ë.mp4": chance.randbytes(9 * 327_680 + 13)}
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return made


def test_rclone_uploads_checks_downloads_and_removes(rclone: Rclone, graph: Control, tmp_path: Path) -> None:
    made = films(tmp_path / "films")
    rclone("copy", tmp_path / "films", "od:school/lessen", "--onedrive-chunk-size", "640k")
    state = graph.state("shelf")
    assert {file["path"]: file["sha256"] for file in state["files"]} == {
        f"school/lessen/{name}": hashlib.sha256(data).hexdigest() for name, data in made.items()
    }
    assert any(row["event"] == "put" and row["status"] == 202 for row in state["log"]), "it went in pieces"
    rclone("check", tmp_path / "films", "od:school/lessen", "--download")
    rclone("check", tmp_path / "films", "od:school/lessen")
    rclone("copy", "od:school/lessen", tmp_path / "back")
    assert {path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()} == made
    rclone("purge", "od:school")
    assert graph.state("shelf")["files"] == []


def test_rclone_agrees_on_the_hash(rclone: Rclone, tmp_path: Path) -> None:
    made = films(tmp_path / "films")
    told = rclone("hashsum", "quickxor", "--base64", tmp_path / "films")
    said = {
        name: base64.urlsafe_b64decode(value) for value, name in (line.split("  ", 1) for line in told.splitlines())
    }
    assert said == {name: base64.b64decode(quickxorhash(data)) for name, data in made.items()}


def test_rclone_finds_what_we_delivered(rclone: Rclone, graph: Control, tmp_path: Path) -> None:
    made = school.make(tmp_path / "werkmap")
    (arrived,) = school.deliver(made, graph, "shelf")
    at = arrived.where.removeprefix("OneDrive:/")
    (listed,) = json.loads(rclone("lsjson", "-R", "--files-only", "--hash", "od:"))
    data = school.film()
    assert (listed["Path"], listed["Size"]) == (at, len(data))
    assert listed["Hashes"]["quickxor"] == base64.b64decode(quickxorhash(data)).hex()
    rclone("copyto", f"od:{at}", tmp_path / "back.mp4")
    assert (tmp_path / "back.mp4").read_bytes() == data


def test_we_refuse_to_write_over_what_rclone_put_there(rclone: Rclone, graph: Control, tmp_path: Path) -> None:
    made = school.make(tmp_path / "werkmap")
    other = tmp_path / "other.mp4"
    other.write_bytes(b"theirs" * 1000)
    rclone("copyto", other, f"od:Lesveil/2026/2026-11-25_MVI_0001_{made.clip[:12]}.mp4")
    (refused,) = school.deliver(made, graph, "shelf")
    assert "exists and is not what was approved" in str(refused)
    assert [file["size"] for file in graph.state("shelf")["files"]] == [6000]
