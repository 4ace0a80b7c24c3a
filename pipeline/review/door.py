"""Who asks, and whether they may: every route says which roles it is for, and none is for everybody by accident."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from pipeline.adapters.review_book import ReviewBook, Session
from pipeline.errors import BusyError, DiskFullError, LedgerError, LesveilError, VaultError
from pipeline.messages import LANGUAGES, Speech
from pipeline.review.house import House
from pipeline.review.rates import CHANGES, PASSWORDS, READS, STRANGERS, Rate, Rates
from pipeline.views import Role

EVERYBODY = frozenset(Role)
COACH = frozenset({Role.COACH})
HANDS = frozenset({Role.COACH, Role.REVIEWER})
READERS_OF_THE_LOG = frozenset({Role.COACH, Role.OFFICER})
PASSING = (BusyError, DiskFullError, LedgerError, VaultError)
"""What is the house's trouble, not that of whoever asks: a ledger that somebody else holds, a disk that is full."""
NOBODY_NEEDED: frozenset[Role] = frozenset()
"""Routes that are there before anybody signed in."""


@dataclass(frozen=True)
class Desk:
    """What all routes share."""

    house: House
    book: ReviewBook
    rates: Rates
    cookie: str
    secure: bool
    language: str


@dataclass(frozen=True)
class Asked:
    """One request, with who asks. ``form`` is what a POST brought."""

    request: Request
    desk: Desk
    session: Session | None
    speech: Speech
    form: dict[str, Any]

    @property
    def name(self) -> str:
        return self.session.name if self.session else ""

    @property
    def role(self) -> Role:
        assert self.session is not None
        return Role(self.session.role)

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])


Answer = Callable[[Asked], Response]


@dataclass(frozen=True)
class Rule:
    """One route: who may use it, and how often. ``data``: a program asks, and is answered in JSON. ``by_itself``: an
    open page asks, whether anybody sits before it or not, so this keeps nobody signed in."""

    method: str
    path: str
    answer: Answer
    roles: frozenset[Role]
    rate: Rate = READS
    data: bool = False
    by_itself: bool = False


def endpoint(rule: Rule, desk: Desk, problem: Callable[[Asked, int, str], Response]) -> Callable[[Request], Any]:
    """The rule as Starlette wants it. ``problem`` makes a page of a sentence."""

    async def answer(request: Request) -> Response:
        form: dict[str, Any] = {}
        if rule.method == "POST":
            try:
                form = _form(request, await request.body())
            except (ClientDisconnect, ValueError, RecursionError):
                return Response("Not understood.", 400)
        return await run_in_threadpool(_answer, rule, desk, problem, request, form)

    return answer


def _answer(
    rule: Rule, desk: Desk, problem: Callable[[Asked, int, str], Response], request: Request, form: dict[str, Any]
) -> Response:
    secret = request.cookies.get(desk.cookie, "")
    session = desk.book.session(secret) if secret else None
    speech = Speech(language_of(request, desk.language))
    asked = Asked(request, desk, session, speech, form)

    def refuse(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
        answer = JSONResponse({"problem": text}, status) if rule.data else problem(asked, status, text)
        answer.headers.update(headers or {})
        return answer

    who = f"session {session.name}" if session else f"address {request.client.host if request.client else ''}"
    rate = rule.rate if session or rule.rate is PASSWORDS else STRANGERS
    wait = desk.rates.wait(who, rate)
    if wait:
        text = speech.tr("Too often; wait a moment and try again.")
        return refuse(429, text, {"retry-after": str(int(wait) + 1)})
    if rule.roles:
        if session is None:
            if rule.data or request.method == "POST":
                return refuse(401, speech.tr("You are no longer signed in."))
            return RedirectResponse("/sign-in", 303)
        if Role(session.role) not in rule.roles:
            return refuse(403, speech.tr("This is not for your role."))
        if rule.method == "POST":
            token = request.headers.get("x-csrf-token") or str(form.get("token", ""))
            if not hmac.compare_digest(token.encode(errors="replace"), session.token.encode()):
                return refuse(403, speech.tr("This form is not ours, or an old one; load the page again."))
            wait = desk.rates.wait(who, CHANGES)
            if wait:
                return refuse(429, speech.tr("Too often; wait a moment and try again."), {"retry-after": "2"})
        if not rule.by_itself:
            desk.book.renew(secret, session)
    try:
        return rule.answer(asked)
    except PASSING as error:  # the page asks again: what was asked for is not refused for good
        return refuse(503, speech.told(error))
    except LesveilError as error:
        return refuse(409 if rule.data else 404, speech.told(error))


def _form(request: Request, body: bytes) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "application/json":
        said = json.loads(body)
        if not isinstance(said, dict):
            raise ValueError("not an object")
        return said
    if kind == "application/x-www-form-urlencoded":
        return {name: values[-1] for name, values in parse_qs(body.decode(), max_num_fields=20).items()}
    if body:
        raise ValueError("neither a form nor JSON")
    return {}


def language_of(request: Request, house: str) -> str:
    """Of whoever asks: the one they chose, else ``house``'s, else their browser's, else Dutch."""
    chosen = request.cookies.get("language", "")
    if chosen in LANGUAGES:
        return chosen
    if house:
        return house
    for part in request.headers.get("accept-language", "").split(","):
        tag = part.split(";")[0].strip()[:2].lower()
        if tag in LANGUAGES:
            return tag
    return "nl"
