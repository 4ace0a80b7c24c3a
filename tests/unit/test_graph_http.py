"""Where bytes may go, and how long we wait."""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.adapters import graph_http
from pipeline.adapters.graph_http import AUTHORITY, MICROSOFT, Graph, Patience, checked_service, loopback, retry_after
from pipeline.adapters.onedrive import OneDrive
from pipeline.adapters.upload_session import GRANULE, Line, cancel, is_open, send
from pipeline.errors import DeliveryError, SettingsError
from tests.faults.school import NoWaiting

LOCAL = "http://127.0.0.1:8765/v1.0"


@pytest.mark.parametrize(
    "url",
    [
        "http://graph.microsoft.com/v1.0",
        "https://graph.microsoft.com.example.org/v1.0",
        "https://graph.microsoft.example/v1.0",
        "https://127.0.0.1:8765",
        "http://localhost:8765",
        "http://127.0.0.1.example.org",
        "http://user@127.0.0.1:1",
        "http://127.0.0.1@example.org",
        "http://10.0.0.1:8765",
        "http://0.0.0.0:8765",
        "http://[::ffff:10.0.0.1]:1",
        "//127.0.0.1",
        "ftp://127.0.0.1",
        "",
        "http://",
        "http://[",
    ],
)
def test_no_setting_sends_films_elsewhere(url: str) -> None:
    with pytest.raises(SettingsError, match="graph cannot be"):
        checked_service("graph", url, MICROSOFT)
    with pytest.raises(SettingsError):
        Graph(url, lambda fresh: "t")


@pytest.mark.parametrize("url", [MICROSOFT, MICROSOFT + "/", LOCAL, "http://127.1.2.3:1", "http://[::1]:8765/"])
def test_the_real_service_and_this_machine(url: str) -> None:
    assert checked_service("graph", url, MICROSOFT) == url.rstrip("/")
    assert loopback(url) == ("microsoft" not in url)
    assert AUTHORITY.startswith("https://")


@pytest.mark.parametrize(
    ("base", "url", "fine"),
    [
        (MICROSOFT, "https://school-my.sharepoint.com/personal/x/_api/v2.0/y?tempauth=z", True),
        (MICROSOFT, "https://sn3302.up.1drv.com/up/x", True),
        (MICROSOFT, "http://school-my.sharepoint.com/x", False),
        (MICROSOFT, "https://sharepoint.com.example.org/x", False),
        (MICROSOFT, "https://evilsharepoint.com/x", False),
        (MICROSOFT, "http://127.0.0.1:8765/x", False),
        (MICROSOFT, "https://sharepoint.com:port/x", False),
        (LOCAL, "http://127.0.0.1:8765/x", True),
        (LOCAL, "https://school-my.sharepoint.com/x", False),
        (LOCAL, "http://192.168.1.4/x", False),
    ],
)
def test_an_address_handed_out_is_used_only_where_it_belongs(base: str, url: str, fine: bool) -> None:
    with Graph(base, lambda fresh: "t") as graph:
        assert graph.handed_out(url) is fine
        if not fine:
            with pytest.raises(DeliveryError, match="not its own"):
                graph.bare("PUT", url, content=[b"film"])
        with pytest.raises(DeliveryError, match="not its own"):
            graph.call("GET", "https://example.org/next")
        with pytest.raises(DeliveryError, match="not its own"):
            graph.call("GET", f"{base}.example.org/next")


def test_nothing_for_this_machine_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with Graph(LOCAL, lambda fresh: "t") as graph:
        assert not graph._client._mounts


def answer(text: str) -> httpx.Response:
    return httpx.Response(429, headers={"Retry-After": text})


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("120", 120.0), (" 7 ", 7.0)])
def test_retry_after_in_seconds(text: str, seconds: float) -> None:
    assert retry_after(answer(text)) == seconds


def test_retry_after_as_a_date() -> None:
    soon = retry_after(answer(email.utils.formatdate(time.time() + 90, usegmt=True)))
    assert soon is not None
    assert 85 < soon <= 90
    assert retry_after(answer("Wed, 21 Oct 2015 07:28:00 GMT")) == 0.0


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
@example("Mon, 01 Jan 99999999999 00:00:00 GMT")
@example("Mon, 01 Jan 2026 00:00:00 +99999999999999")
def test_retry_after_that_says_nothing(text: str) -> None:
    found = retry_after(answer(text))
    assert found is None or found >= 0


def test_pauses_grow_at_random_and_end() -> None:
    waits = NoWaiting()
    with Graph(LOCAL, lambda fresh: "t", waits.clock) as graph:
        patience = Patience(graph)
        for _ in range(graph_http.ATTEMPTS - 1):
            patience.wait(httpx.ConnectError("no"))
        assert waits.waited == [0.5 * min(60, 2**n) for n in range(graph_http.ATTEMPTS - 1)]
        with pytest.raises(DeliveryError, match=r"cannot be reached \(ConnectError\)"):
            patience.wait(httpx.ConnectError("no"))
        patience.progress()
        patience.wait(answer("3"))
        assert waits.waited[-1] == 3.0
        with pytest.raises(DeliveryError, match="come back in 100 minutes"):
            patience.wait(answer("6000"))


@pytest.mark.parametrize("answers", [httpx.ConnectError("no"), answer("30")], ids=["no line", "asked to wait"])
def test_whoever_has_little_time_is_told_within_it(
    answers: httpx.Response | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, timeouts = NoWaiting(), list[float]()

    def request(*_: object, timeout: httpx.Timeout, **__: object) -> httpx.Response:
        timeouts.append(timeout.as_dict()["read"] or 0)
        if isinstance(answers, Exception):
            raise answers
        return answers

    with Graph(LOCAL, lambda fresh: "t", waits.clock, 10) as graph:
        monkeypatch.setattr(graph._client, "request", request)
        with pytest.raises(DeliveryError, match="cannot be reached"):
            graph.call("GET", "/me/drive")
    assert sum(waits.waited) < 10
    assert timeouts[0] == 10
    assert timeouts[-1] == 10 - sum(waits.waited), "a call that hangs ends then too"


def answering(graph: Graph, answers: Callable[[httpx.Request], httpx.Response]) -> OneDrive:
    graph._client = httpx.Client(transport=httpx.MockTransport(answers))
    return OneDrive(graph, "d")


ANSWERED = {
    "a page": httpx.Response(200, html="<html>Sign in to the school's network</html>"),
    "half an answer": httpx.Response(200, content=b'{"id": "1", "na'),
    "other letters": httpx.Response(200, content=b'{"id": "\xff"}'),
    "a list": httpx.Response(200, json=[]),
}


@pytest.mark.parametrize("answered", ANSWERED)
def test_what_answers_in_the_place_of_onedrive_is_told(answered: str) -> None:
    with Graph(LOCAL, lambda fresh: "t") as graph:
        drive = answering(graph, lambda request: ANSWERED[answered])
        for look in (lambda: drive.item("1"), lambda: list(drive.children("1")), lambda: OneDrive.open(graph)):
            with pytest.raises(DeliveryError, match=r"OneDrive (cannot be reached|refuses)"):
                look()


def test_what_cannot_be_unpacked_is_asked_for_again_and_then_told(tmp_path: Path) -> None:
    """A proxy that says of its answer that it is packed, and it is not."""
    film, waits, asked = tmp_path / "film", NoWaiting(), list[str]()
    film.write_bytes(b"film")

    def spoilt(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"not packed"))

    with Graph(LOCAL, lambda fresh: "t", waits.clock) as graph:
        drive = answering(graph, spoilt)
        url = "http://127.0.0.1:8765/upload"
        for method, at in (("GET", None), ("PUT", 0)):
            with pytest.raises(DeliveryError, match="cannot be reached"):
                send(graph, url, film, 4, Line(), lambda _: None, at)
            assert asked[0] == method
            asked.clear()
        assert not is_open(graph, url)
        cancel(graph, url)
        with pytest.raises(DeliveryError, match="cannot be reached"):
            drive.item("1")


def test_a_film_is_fetched_as_it_lies_there() -> None:
    """Packed on the way, its bytes would be others than those that were sent; and a way to nowhere is told."""
    place = {"Location": "http://127.0.0.1:8765/film"}

    def packing(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/content"):
            return httpx.Response(302, headers=place)
        packed = "gzip" in request.headers.get("Accept-Encoding", "")
        return httpx.Response(200, stream=httpx.ByteStream(gzip.compress(b"film") if packed else b"film"))

    with Graph(LOCAL, lambda fresh: "t") as graph:
        drive = answering(graph, packing)
        assert drive.sha256("1") == (hashlib.sha256(b"film").hexdigest(), 4)
        place.clear()
        with pytest.raises(DeliveryError, match="not its own"):
            drive.sha256("1")


@given(st.integers(0, 1 << 28), st.floats(0, 1000), st.integers(1, 40), st.integers(1, 40))
def test_pieces_are_always_what_the_service_takes(size: int, took: float, smallest: int, more: int) -> None:
    line = Line(smallest * GRANULE, smallest * GRANULE, (smallest + more) * GRANULE)
    for piece in (line.next(size, took), line.smaller(size)):
        assert piece % GRANULE == 0
        assert line.smallest <= piece <= line.largest
    assert Line().largest < 60 * 1024 * 1024
    assert Line().first % GRANULE == Line().largest % GRANULE == 0


def test_pieces_follow_the_line() -> None:
    line = Line()
    slow = line.next(line.first, 40.0)
    assert slow == line.smallest
    fast = line.first
    for _ in range(5):
        fast = line.next(fast, fast / 100e6)
    assert fast == line.largest
    assert line.smaller(line.first) == line.first // 2


@pytest.mark.parametrize("name", ["httpx", "httpcore", "httpcore.http11", "urllib3", "msal"])
def test_libraries_that_would_log_addresses_are_quiet(name: str) -> None:
    import logging

    assert logging.getLogger(name).getEffectiveLevel() >= logging.WARNING
