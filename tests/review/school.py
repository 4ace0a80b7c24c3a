"""A school with a short lesson, and how tests speak to it."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

import samples
from pipeline import workspace
from pipeline.cli import main
from pipeline.lesson import seen
from pipeline.lesson.state import State, states

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class School:
    """A workspace with one long clip and one short one, and what is true of them."""

    place: Path
    archive: Path
    sample: samples.Samples

    def lesveil(self, *words: object, code: int = 0) -> Any:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            told = main([*map(str, words), "-C", str(self.place), "--json", "--lang", "en"])
        assert told == code, err.getvalue()
        return json.loads(out.getvalue()) if out.getvalue() else None

    @contextlib.contextmanager
    def opened(self) -> Iterator[workspace.Workspace]:
        with workspace.opened(self.place) as place:
            yield place

    def state(self, number: int = 0) -> State:
        """The long clip (0), or the short one (1)."""
        with self.opened() as place:
            return sorted(states(place), key=lambda state: Path(state.file).name != "MVI_0001.MP4")[number]

    def rendering(self, number: int = 0) -> Path:
        render = self.state(number).render
        assert render is not None
        return self.place / "redacted" / str(render["file"])

    def seen(self, number: int = 0) -> seen.Seen:
        state = self.state(number)
        assert state.render is not None
        with self.opened() as place:
            found = seen.load(place.vault, state.clip, state.render["sha256"])
        assert found is not None
        return found

    def add(self, kind: str, start: int, stop: int, number: int = 0, **more: Any) -> str:
        """A repair of a clip as the page would write it."""
        id = uuid.uuid4().hex
        row = {"id": id, "analysis": self.seen(number).analysis, "kind": kind, "start": start, "stop": stop}
        with self.opened() as place:
            place.ledger.append("repair", self.state(number).clip, row | {"by": "Geertje", "role": "coach"} | more)
        return id

    def undo(self, id: str) -> None:
        with self.opened() as place:
            place.ledger.append("repair_undone", self.state().clip, {"id": id, "by": "Geertje"})


def pictures(path: Path) -> list[tuple[int, Any]]:
    """(pts, planes) of every picture."""
    with av.open(str(path)) as container:
        return [(int(frame.pts or 0), frame.to_ndarray()) for frame in container.decode(video=0)]


def heard(path: Path) -> Any:
    """Samples (channels, N) of the sound."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One browser's worth of HTTP: an address, and the cookie it was given."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.host = address.split("://", 1)[1]
        self.cookie = ""
        self.token = ""

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.host, timeout=30)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            sent.setdefault("cookie", self.cookie)
        data = body
        if isinstance(body, dict):
            data = json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
            sent.setdefault("x-csrf-token", self.token)
        try:
            connection.request(method, path, data, sent)
            said = connection.getresponse()
            answer = Answer(said.status, {k.lower(): v for k, v in said.getheaders()}, said.read())
        finally:
            connection.close()
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].split(";")[0]
        return answer

    def sign_in(self, link: str) -> Answer:
        answer = self.ask("POST", link.removeprefix(self.address), b"")
        if answer.status == 303:
            found = re.search(r'name="token" value="([^"]+)"', self.ask("GET", "/").body.decode())
            assert found
            self.token = found[1]
        return answer


@dataclass
class Page:
    """``lesveil review`` at work, in processes of its own."""

    school: School
    process: subprocess.Popen[str]
    link: str
    address: str

    @property
    def port(self) -> str:
        return self.address.rsplit(":", 1)[1]

    def link_for(self, name: str, role: str) -> str:
        said = self.school.lesveil("accounts", "link", name, "--role", role, "--port", self.port)
        return str(said["link"])

    def client(self, role: str = "coach", name: str = "") -> Client:
        """Somebody who signed in."""
        client = Client(self.address)
        assert client.sign_in(self.link_for(name or f"een {role}", role)).status == 303
        return client


@contextlib.contextmanager
def reviewing(school: School, *options: str) -> Iterator[Page]:
    """The page of a school, on a port that is free."""
    command = [sys.executable, "-m", "pipeline", "review", "-C", str(school.place), "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, "--by", "Geertje", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = ""
    try:
        while True:
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            said += line
            with contextlib.suppress(json.JSONDecodeError):
                document = json.loads(said)
                break
        yield Page(school, process, document["link"], document["address"])
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def until(true: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for something to become true."""
    ends = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.1)
    return found
