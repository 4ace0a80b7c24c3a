"""The faithful Graph as a process of its own, and a hand on its counter, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]


class Control:
    """Speaks to /control/ of a running faithful Graph."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=f"{url}/control/", trust_env=False, timeout=60)

    @property
    def graph(self) -> str:
        return f"{self.url}/v1.0"

    def post(self, what: str, **said: Any) -> dict[str, Any]:
        return self._checked(self._client.post(what, json=said))

    def state(self, drive: str) -> dict[str, Any]:
        return self._checked(self._client.get("state", params={"drive": drive}))

    def token(self, kind: str = "user") -> str:
        return str(self.post("token", kind=kind)["token"])

    def close(self) -> None:
        self._client.close()

    @staticmethod
    def _checked(answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        document: dict[str, Any] = answer.json()
        return document


@contextlib.contextmanager
def running(root: Path, seconds: float = 900) -> Iterator[Control]:
    """Start it on a free port of this machine; it ends with this block, with this process, or after ``seconds``."""
    command = [sys.executable, "-m", "tests.graph", "--root", str(root), "--seconds", str(seconds), "--with-parent"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdin
    try:
        control = Control(process.stdout.readline().strip())
        yield control
        control.close()
    finally:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()
