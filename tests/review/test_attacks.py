"""What somebody tries who should not get in, or not so far. One test per attack."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import uvicorn
from conftest import SCRIPT
from school import Client, Page
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pipeline import review
from pipeline.adapters import review_book
from pipeline.errors import DiskFullError, LedgerError, LesveilError
from pipeline.review import server
from pipeline.review.app import RULES
from pipeline.review.door import NOBODY_NEEDED, Asked, Desk, Rule, endpoint
from pipeline.review.rates import Rates
from pipeline.settings import Review
from pipeline.views import Role

HERE = Path(review.__file__).parent
REPAIR = {"id": "0" * 32, "kind": "mute", "start": 1, "stop": 2}


@pytest.fixture(scope="module")
def signed(page: Page) -> dict[str, Client]:
    return {role.value: page.client(role.value) for role in Role}


@pytest.fixture(scope="module")
def clip(page: Page) -> tuple[str, str]:
    """Id and digest of the first clip."""
    state = page.school.state()
    assert state.render is not None
    return state.clip, state.render["sha256"]


def filled(rule: Rule, clip: tuple[str, str]) -> str:
    fields = {"clip": clip[0], "digest": clip[1], "track": "1", "number": "0", "repair": "f" * 32, "secret": "x"}
    return re.sub(r"\{(\w+)\}", lambda found: fields[found[1]], rule.path)


def rows(page: Page, kind: str) -> list[Any]:
    with page.school.opened() as place:
        return place.ledger.entries(kind)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.method} {rule.path}")
def test_no_route_is_open_to_whoever_is_not_meant(
    rule: Rule, page: Page, signed: dict[str, Client], clip: tuple[str, str]
) -> None:
    """Another role's address, typed in; and everything without a session."""
    path, body = filled(rule, clip), {} if rule.method == "POST" else None
    if rule.roles == NOBODY_NEEDED:
        assert rule.path.startswith(("/sign-in", "/language"))
        return
    before = len(rows(page, "repair")) + len(rows(page, "look")) + len(rows(page, "approval"))
    stranger = Client(page.address)
    stranger.cookie = "lesveil_0=made-up; session=x"
    assert stranger.ask(rule.method, path, body).status in (401, 303)
    if rule.path == "/sign-out":
        return
    for role, client in signed.items():
        if Role(role) not in rule.roles:
            answer = client.ask(rule.method, path, body)
            assert answer.status == 403, role
            assert b"JFIF" not in answer.body
    assert len(rows(page, "repair")) + len(rows(page, "look")) + len(rows(page, "approval")) == before


def test_a_link_works_once(page: Page) -> None:
    link = page.link_for("Bob", "reviewer")
    first, second = Client(page.address), Client(page.address)
    assert first.ask("GET", link.removeprefix(page.address)).status == 200  # looking does not spend it
    assert first.sign_in(link).status == 303
    assert second.sign_in(link).status == 403
    assert second.cookie == ""
    assert second.ask("GET", link.removeprefix(page.address)).status == 403
    assert second.ask("GET", "/").status == 303


def test_another_language_does_not_lose_the_link(page: Page) -> None:
    link = page.link_for("Bob", "reviewer").removeprefix(page.address)
    client = Client(page.address)
    shown = client.ask("GET", link).body.decode()
    assert f'name="back" value="{link}"' in shown
    body = urlencode({"language": "en", "back": link})
    answer = client.ask("POST", "/language", body, content_type="application/x-www-form-urlencoded")
    assert (answer.status, answer.headers["location"]) == (303, link)


def test_a_link_grows_old(page: Page) -> None:
    link = page.link_for("Bob", "reviewer")
    with sqlite3.connect(page.school.place / "review.db") as book:
        book.execute("UPDATE links SET ends = ?", (time.time() - 1,))
    book.close()
    assert Client(page.address).sign_in(link).status == 403


def test_a_guessed_link_is_nobodys(page: Page) -> None:
    client = Client(page.address)
    for secret in ("x", "A" * 43, "..", "%00", "' OR 1=1 --".replace(" ", "%20")):
        assert client.ask("POST", f"/sign-in/{secret}", b"").status in (403, 404, 429)


def test_nothing_in_the_book_signs_anybody_in(page: Page) -> None:
    """Whoever copies review.db has hashes only."""
    client = page.client("coach", "Copied")
    secret = client.cookie.split("=", 1)[1]
    data = b"".join(path.read_bytes() for path in page.school.place.glob("review.db*"))
    assert secret.encode() not in data
    with sqlite3.connect(page.school.place / "review.db") as book:
        (stored,) = book.execute("SELECT hash FROM sessions WHERE name = 'Copied'").fetchone()
    book.close()
    thief = Client(page.address)
    thief.cookie = f"{client.cookie.split('=', 1)[0]}={stored}"
    assert thief.ask("GET", "/").status == 303


def test_a_session_ends_when_somebody_signs_out(page: Page) -> None:
    client = page.client("reviewer", "Leaver")
    cookie = client.cookie
    form = f"token={client.token}".encode()
    kind = "application/x-www-form-urlencoded"
    assert client.ask("POST", "/sign-out", form, content_type=kind).status == 303
    client.cookie = cookie
    assert client.ask("GET", "/").status == 303


def test_who_is_signed_in_is_told_to_that_browser_alone(page: Page) -> None:
    """A page that was opened before somebody signed in anew asks for the new token; nobody else gets it."""
    first, second = page.client("reviewer", "Again"), page.client("reviewer", "Again")
    assert first.token != second.token
    assert second.ask("GET", "/data/session").json == {"name": "Again", "role": "reviewer", "token": second.token}
    first.cookie, path = second.cookie, "/data/clips/x/looked"
    assert first.ask("POST", path, {}).status == 403
    stranger = Client(page.address)
    assert stranger.ask("GET", "/data/session").status == 401
    told = second.ask("GET", "/data/session", origin="https://evil.example").headers
    assert "access-control-allow-origin" not in told


def test_an_open_page_alone_keeps_nobody_signed_in(page: Page, clip: tuple[str, str]) -> None:
    """It asks how far the repairs are, and loads what is new, with nobody before it."""
    client, book = page.client("reviewer", "Idle"), page.school.place / "review.db"
    data, then = f"/data/clips/{clip[0]}", round(time.time()) - 3600.0
    track = page.school.seen().tracks[0].number

    def seen(method: str, path: str, body: Any = None, **headers: str) -> float:
        with contextlib.closing(sqlite3.connect(book)) as opened, opened:
            opened.execute("UPDATE sessions SET seen = ? WHERE name = 'Idle'", (then,))
        client.ask(method, path, body, **headers)
        with contextlib.closing(sqlite3.connect(book)) as opened:
            return float(opened.execute("SELECT seen FROM sessions WHERE name = 'Idle'").fetchone()[0])

    for path in (f"{data}/work", data, "/data/session", f"/clips/{clip[0]}/{clip[1]}/{track}.jpg"):
        assert seen("GET", path) == then, path
    assert seen("POST", f"{data}/looked", {"digest": clip[1]}) == then
    repair = REPAIR | {"analysis": page.school.seen().analysis}
    assert seen("POST", f"{data}/repairs", repair, x_csrf_token="of another session") == then
    assert seen("GET", f"/originals/{clip[0]}/{track}/0.jpg") == then  # not for this role
    for path in ("/", f"/clips/{clip[0]}", f"/clips/{clip[0]}/{clip[1]}.mp4"):
        assert seen("GET", path) > then, path
    assert seen("POST", f"{data}/repairs", {}) > then


def test_the_cookie_is_out_of_reach(page: Page) -> None:
    client = Client(page.address)
    answer = client.sign_in(page.link_for("Bob", "reviewer"))
    said = answer.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said


def test_a_forged_form_does_nothing(page: Page, signed: dict[str, Client], clip: tuple[str, str]) -> None:
    client = signed["coach"]
    before = len(rows(page, "repair"))
    path = f"/data/clips/{clip[0]}/repairs"
    for token in ("", "x", signed["reviewer"].token):
        assert client.ask("POST", path, REPAIR, x_csrf_token=token).status == 403
    form = "&".join(f"{key}={value}" for key, value in REPAIR.items()).encode()
    answer = client.ask("POST", path, form, content_type="application/x-www-form-urlencoded")
    assert answer.status == 403
    assert client.ask("POST", path, json.dumps(REPAIR).encode(), content_type="text/plain").status == 400
    assert len(rows(page, "repair")) == before


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"])
def test_a_foreign_origin_is_refused(page: Page, signed: dict[str, Client], clip: tuple[str, str], origin: str) -> None:
    client = signed["coach"]
    before = len(rows(page, "repair"))
    for path in (f"/data/clips/{clip[0]}/repairs", "/sign-in", "/language", "/sign-out"):
        assert client.ask("POST", path, REPAIR, origin=origin).status == 403
    assert client.ask("POST", f"/data/clips/{clip[0]}/repairs", REPAIR, sec_fetch_site="cross-site").status == 403
    assert len(rows(page, "repair")) == before


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "a@127.0.0.1:{port}"]
)
def test_another_host_name_is_refused(page: Page, signed: dict[str, Client], host: str) -> None:
    """DNS rebinding: a page elsewhere makes its own name point here."""
    answer = signed["coach"].ask("GET", "/", host=host.format(port=page.port))
    assert answer.status in (400, 421)
    assert b"MVI" not in answer.body


def test_two_host_names_are_refused(page: Page, signed: dict[str, Client]) -> None:
    with socket.create_connection(("127.0.0.1", int(page.port)), timeout=20) as raw:
        own = page.address.split("://")[1]
        raw.sendall(f"GET / HTTP/1.1\r\nHost: {own}\r\nHost: evil\r\nCookie: {signed['coach'].cookie}\r\n\r\n".encode())
        assert raw.recv(100).split()[1] in (b"400", b"421")


def traversals(clip: tuple[str, str]) -> list[str]:
    up = ["../lesveil.toml", "..%2flesveil.toml", "%2e%2e/lesveil.toml", "..%5clesveil.toml", "....//lesveil.toml"]
    return [
        *(f"/static/{one}" for one in up),
        *(f"/static/../../../{one}" for one in up),
        "/static//etc/passwd",
        "/static/%00style.css",
        *(f"/clips/{one}" for one in up),
        *(f"/clips/{clip[0]}/{one}.mp4" for one in up),
        *(f"/clips/{one}/{clip[1]}.mp4" for one in up),
        f"/clips/{clip[0]}/{clip[1]}/..%2f..%2flesveil.toml.jpg",
        f"/originals/..%2f{clip[0]}/1/0.jpg",
        f"/originals/{clip[0]}/1/9.jpg",
        f"/originals/{clip[0]}/99999999999999999999/0.jpg",
        "/review.db",
        "/../review.db",
    ]


def test_no_path_leads_out_of_the_house(page: Page, signed: dict[str, Client], clip: tuple[str, str]) -> None:
    for path in traversals(clip):
        answer = signed["coach"].ask("GET", path)
        assert answer.status in (303, 404, 405, 409), path
        assert b"dpia" not in answer.body
        assert b"SQLite" not in answer.body
        assert b"root:" not in answer.body


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ("bytes=0-10737418239", 206),
        ("bytes=10737418240-21474836480", 416),
        ("bytes=10737418240-", 416),
        ("bytes=-10737418240", 206),
        ("bytes=-0", 416),
        ("bytes=5-2", 416),
        ("bytes=0-0,1-1,2-2", 416),
        ("bytes=" + ",".join(["0-"] * 200), 416),
        ("bytes=99999999999999999999999-", 416),
        ("bytes=a-b", 416),
        ("lines=0-1", 416),
        ("bytes=0-0", 206),
        ("", 416),
    ],
)
def test_a_range_of_ten_gigabytes_is_what_there_is(
    page: Page, signed: dict[str, Client], clip: tuple[str, str], wanted: str, status: int
) -> None:
    path = f"/clips/{clip[0]}/{clip[1]}.mp4"
    whole = page.school.rendering().read_bytes()
    answer = signed["reviewer"].ask("GET", path, range=wanted)
    assert answer.status == status
    assert answer.headers["cache-control"] == "no-store"
    if status == 206:
        assert int(answer.headers["content-length"]) == len(answer.body) <= len(whole)
        start, stop, size = map(int, re.findall(r"\d+", answer.headers["content-range"]))
        assert (answer.body, size) == (whole[start : stop + 1], len(whole))


def test_an_old_rendering_is_not_given_out(page: Page, signed: dict[str, Client], clip: tuple[str, str]) -> None:
    assert signed["coach"].ask("GET", f"/clips/{clip[0]}/{'0' * 64}.mp4").status == 409


def test_two_hundred_connections_keep_nobody_out(page: Page, signed: dict[str, Client], clip: tuple[str, str]) -> None:
    held: list[socket.socket] = []
    own = page.address.split("://")[1]
    try:
        for number in range(200):
            raw = socket.create_connection(("127.0.0.1", int(page.port)), timeout=20)
            if number % 3 == 1:
                raw.sendall(b"GET / HTTP/1.1\r\nHost: ")  # never finished
            if number % 3 == 2:  # asks for the film and does not read it
                film, cookie = f"/clips/{clip[0]}/{clip[1]}.mp4", signed["coach"].cookie
                raw.sendall(f"GET {film} HTTP/1.1\r\nHost: {own}\r\nCookie: {cookie}\r\n\r\n".encode())
            held.append(raw)
        assert signed["reviewer"].ask("GET", "/").status == 200
        assert signed["reviewer"].ask("GET", f"/clips/{clip[0]}/{clip[1]}.mp4", range="bytes=0-99").status == 206
    finally:
        for raw in held:
            raw.close()
    assert signed["coach"].ask("GET", "/").status == 200


def test_who_does_not_finish_asking_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that said that it brings something, and brings nothing."""
    monkeypatch.setattr(server, "PATIENCE", 0.2)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await PlainTextResponse("read")(scope, receive, send)

    with server.listen(Review(), "127.0.0.1", 0) as made:
        asking = uvicorn.Server(uvicorn.Config(app, http=server.PoliteProtocol, lifespan="off", log_level="error"))
        working = threading.Thread(target=asking.run, kwargs={"sockets": [made]}, daemon=True)
        working.start()
        try:
            with socket.create_connection(made.getsockname(), timeout=20) as raw:
                raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
                assert raw.recv(100) == b""  # closed; an answer would be in it
            with socket.create_connection(made.getsockname(), timeout=20) as raw:
                raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
                assert raw.recv(100).startswith(b"HTTP/1.1 200")
        finally:
            asking.should_exit = True
            working.join(20)


def test_passwords_are_tried_two_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes 64 MiB."""
    at_work, most, gate = [0], [0], threading.Barrier(2)

    class Hasher:
        def verify(self, *_: str) -> None:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
            with contextlib.suppress(threading.BrokenBarrierError):
                gate.wait(0.05)
            at_work[0] -= 1

    monkeypatch.setattr(review_book, "_hasher", Hasher())
    with review_book.ReviewBook.open(tmp_path / "review.db") as book, ThreadPoolExecutor(8) as hands:
        list(hands.map(lambda number: book.check_password("Bob", str(number)), range(8)))
    assert most[0] == 2


@pytest.mark.parametrize("error", [LedgerError("Another process holds it."), DiskFullError("The disk is full.")])
def test_the_house_in_trouble_refuses_nothing_for_good(error: LesveilError) -> None:
    """What was asked for waits in the page until the ledger takes it."""

    def answer(_: Asked) -> Any:
        raise error

    desk = Desk(None, SimpleNamespace(), Rates(), "c", False, "en")  # type: ignore[arg-type]
    rule = Rule("GET", "/", answer, NOBODY_NEEDED, data=True)
    route = Route("/", endpoint(rule, desk, lambda _, status, text: PlainTextResponse(text, status)))

    async def asked() -> int:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(Starlette(routes=[route])), base_url="http://x"
        ) as one:
            return (await one.get("/")).status_code

    assert asyncio.run(asked()) == 503


class _Markup(HTMLParser):
    """Every element that could run something, and every place that is named."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.places: list[str] = []
        self.within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.within = tag
        if tag == "script" and not given.get("src"):
            self.inline.append(tag)
        self.inline += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.places += [str(given[name]) for name in ("src", "href", "action") if given.get(name)]

    def handle_data(self, data: str) -> None:
        if self.within == "style":
            self.inline.append("style")


def test_a_clip_whose_name_is_a_script_is_only_a_name(page: Page, signed: dict[str, Client]) -> None:
    state = page.school.state(1)
    assert Path(state.file).name == SCRIPT
    for path in ("/", f"/clips/{state.clip}", "/log"):
        body = signed["coach"].ask("GET", path).body.decode()
        assert "<script>document" not in body
        markup = _Markup()
        markup.feed(body)
        assert markup.inline == []
    assert SCRIPT in signed["coach"].ask("GET", f"/data/clips/{state.clip}").json["row"]["name"]


def test_nothing_inline_and_nothing_from_elsewhere(
    page: Page, signed: dict[str, Client], clip: tuple[str, str]
) -> None:
    for path in ("/sign-in", "/", "/log", f"/clips/{clip[0]}", "/clips/nobody"):
        client = Client(page.address) if path == "/sign-in" else signed["coach"]
        markup = _Markup()
        answer = client.ask("GET", path)
        markup.feed(answer.body.decode())
        assert markup.inline == [], path
        assert all(
            (place.startswith("/") and not place.startswith("//")) or place == "#main" for place in markup.places
        )
    for file in [*HERE.glob("static/*"), *HERE.glob("templates/*")]:
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(|\beval\(|innerHTML|document\.write|\bnew Function", text), (
            file.name
        )


@pytest.mark.parametrize("path", ["/", "/sign-in", "/static/style.css", "/nothing", "/data/clips/x", "/log"])
def test_every_answer_says_what_the_browser_may_do(page: Page, signed: dict[str, Client], path: str) -> None:
    for client in (Client(page.address), signed["coach"]):
        headers = client.ask("GET", path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
        if not path.startswith("/static"):
            assert headers["cache-control"] == "no-store"


def test_an_original_is_for_the_coach_is_not_kept_and_is_written_down(
    page: Page, signed: dict[str, Client], clip: tuple[str, str]
) -> None:
    number = page.school.seen().tracks[0].number
    path = f"/originals/{clip[0]}/{number}/0.jpg"
    before = len(rows(page, "look"))
    for role in ("reviewer", "officer"):
        assert signed[role].ask("GET", path).status == 403
    assert len(rows(page, "look")) == before
    answer = signed["coach"].ask("GET", path)
    assert answer.status == 200
    assert answer.body.startswith(b"\xff\xd8")
    assert answer.headers["cache-control"] == "no-store"
    row = rows(page, "look")[before].payload
    assert (row["by"], row["track"]) == ("een coach", number)
    assert (
        "look" in signed["officer"].ask("GET", "/log").body.decode()
        or "origin" in signed["officer"].ask("GET", "/log").body.decode()
    )


def test_no_name_reaches_a_reviewer(page: Page, signed: dict[str, Client], clip: tuple[str, str]) -> None:
    names = {one["name"] for one in page.school.lesveil("consent", "list")["people"] if one["name"]}
    assert names
    for role in ("reviewer", "officer"):
        for path in ("/", f"/clips/{clip[0]}", f"/data/clips/{clip[0]}"):
            body = signed[role].ask("GET", path).body.decode()
            assert not [name for name in names if name in body]
    page.school.add("show", 0, 9, track=1, tracks=[1], person="41207", said="moeder van Zoë")
    for role in ("reviewer", "officer"):
        assert "moeder van" not in str(signed[role].ask("GET", f"/data/clips/{clip[0]}").json)
    told = json.dumps(signed["coach"].ask("GET", f"/data/clips/{clip[0]}").json, ensure_ascii=False)
    assert "moeder van" in told
    assert [name for name in names if name in told]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[" * 30000, 400),
        (b"[]", 400),
        (b'"x"', 400),
        (b"\xff\xfe", 400),
        (b"{}", 409),
        (b'{"id": 1}', 409),
    ],
)
def test_what_is_no_repair_is_refused(
    page: Page, signed: dict[str, Client], clip: tuple[str, str], body: bytes, status: int
) -> None:
    client = signed["coach"]
    answer = client.ask(
        "POST", f"/data/clips/{clip[0]}/repairs", body, content_type="application/json", x_csrf_token=client.token
    )
    assert answer.status == status


def test_a_body_that_is_too_large_is_refused(page: Page, signed: dict[str, Client], clip: tuple[str, str]) -> None:
    client, path = signed["coach"], f"/data/clips/{clip[0]}/repairs"
    assert client.ask("POST", path, b"x" * 70000, content_type="application/json").status == 413
    with socket.create_connection(("127.0.0.1", int(page.port)), timeout=20) as raw:
        own = page.address.split("://")[1]
        head = f"POST {path} HTTP/1.1\r\nHost: {own}\r\nTransfer-Encoding: chunked\r\nCookie: {client.cookie}\r\n\r\n"
        raw.sendall(head.encode())
        answer = b""
        try:
            for _ in range(40):
                raw.sendall(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
            raw.sendall(b"0\r\n\r\n")
            answer = raw.recv(200)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert not answer or answer.split()[1] in (b"400", b"413")
    assert client.ask("GET", "/").status == 200


def test_an_address_that_is_too_long_is_refused(page: Page, signed: dict[str, Client]) -> None:
    assert signed["coach"].ask("GET", "/clips/" + "a" * 3000).status == 414


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_the_language_leads_nowhere_else(page: Page, back: str) -> None:
    from urllib.parse import quote

    body = f"language=nl&back={quote(back, safe='')}".encode()
    answer = Client(page.address).ask("POST", "/language", body, content_type="application/x-www-form-urlencoded")
    assert answer.headers["location"] == "/"


def test_guessing_passwords_is_slow(page: Page) -> None:
    """Last, because it uses up the patience for this address."""
    client = Client(page.address)
    statuses = []
    for number in range(12):
        body = f"name=Bob&password=guess{number}".encode()
        answer = client.ask("POST", "/sign-in", body, content_type="application/x-www-form-urlencoded")
        statuses.append(answer.status)
    assert 403 in statuses
    assert statuses[-1] == 429
    assert int(answer.headers["retry-after"]) > 0
