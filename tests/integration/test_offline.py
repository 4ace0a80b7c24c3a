"""``redact`` never reaches for the network: it works where every socket but a local one is forbidden."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import samples

FORBID = """
import os, socket

real, log = socket.socket, os.environ["LESVEIL_TEST_SOCKETS"]

def told(what):
    with open(log, "a") as file:
        file.write(what + "\\n")
    raise OSError("the network is forbidden in this test: " + what)

class Forbidden(real):
    def __init__(self, family=-1, *args, **kwargs):
        if family != getattr(socket, "AF_UNIX", None):
            told(f"socket({family})")
        super().__init__(family, *args, **kwargs)

socket.socket = Forbidden
socket.create_connection = lambda address, *_, **__: told(f"connection to {address}")
socket.getaddrinfo = lambda host, *_, **__: told(f"look-up of {host}")
socket.gethostbyname = lambda host: told(f"look-up of {host}")

import sys

def watch(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        if not isinstance(args[-1], (str, bytes)) or event != "socket.connect":
            told(f"{event} {args[1:]}")
    if event in ("subprocess.Popen", "os.system", "os.posix_spawn"):
        told(f"{event} {args[:1]}")

sys.addaudithook(watch)
"""
"""A sitecustomize module: Python runs it before anything else, in child processes too. Other programs, which it
could not watch, may not be started."""


@pytest.fixture
def forbidden(tmp_path: Path) -> dict[str, str]:
    """An environment in which every use of the network is written down and refused."""
    folder = tmp_path / "forbid"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(FORBID, encoding="utf-8")
    path = os.pathsep.join(part for part in (str(folder), os.environ.get("PYTHONPATH", "")) if part)
    return os.environ | {"PYTHONPATH": path, "LESVEIL_TEST_SOCKETS": str(tmp_path / "attempts")}


def _attempts(environment: dict[str, str]) -> list[str]:
    log = Path(environment["LESVEIL_TEST_SOCKETS"])
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def test_the_guard_sees_what_is_tried(forbidden: dict[str, str]) -> None:
    tries = (
        "import socket, urllib.request\n"
        "for reach in (lambda: socket.socket(), lambda: socket.create_connection(('127.0.0.1', 9)),\n"
        "              lambda: urllib.request.urlopen('http://localhost:9')):\n"
        "    try:\n"
        "        reach()\n"
        "    except OSError:\n"
        "        continue\n"
        "    raise SystemExit('the guard sleeps')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", tries], env=forbidden, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(_attempts(forbidden)) == 3


def test_redact_works_without_a_network(forbidden: dict[str, str], tmp_path: Path) -> None:
    clip, portraits, out = tmp_path / "les.mp4", tmp_path / "portretten", tmp_path / "klaar.mp4"
    samples.make_lesson(clip, 0.5, (960, 540), 10, scene="group")
    samples.make_portraits(portraits, everyone=False)
    words = ["redact", str(clip), "-o", str(out), "--keep", str(portraits), "--report", str(tmp_path / "report.json")]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *words, "--json", "--lang", "en"],
        env=forbidden,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert _attempts(forbidden) == []
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["clips"][0]["frames"] == 5
    assert out.stat().st_size > 0
