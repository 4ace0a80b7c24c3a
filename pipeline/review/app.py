"""The application: every route with who may use it. What is not in this list does not exist."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pipeline.adapters.review_book import ReviewBook
from pipeline.messages import Speech
from pipeline.review import data, media, pages
from pipeline.review.door import (
    COACH,
    EVERYBODY,
    HANDS,
    NOBODY_NEEDED,
    READERS_OF_THE_LOG,
    Asked,
    Desk,
    Rule,
    endpoint,
    language_of,
)
from pipeline.review.guard import App, Guard
from pipeline.review.house import House
from pipeline.review.rates import CHANGES, ORIGINALS, PASSWORDS, Rates

RULES = (
    Rule("GET", "/sign-in", pages.sign_in, NOBODY_NEEDED),
    Rule("POST", "/sign-in", pages.sign_in_with_password, NOBODY_NEEDED, PASSWORDS),
    Rule("GET", "/sign-in/{secret}", pages.link, NOBODY_NEEDED),
    Rule("POST", "/sign-in/{secret}", pages.use_link, NOBODY_NEEDED),
    Rule("POST", "/language", pages.language, NOBODY_NEEDED),
    Rule("POST", "/sign-out", pages.sign_out, EVERYBODY),
    Rule("GET", "/", pages.clips, EVERYBODY),
    Rule("GET", "/log", pages.log, READERS_OF_THE_LOG),
    Rule("GET", "/clips/{clip}", pages.clip, EVERYBODY),
    Rule("GET", "/clips/{clip}/{digest}.mp4", media.film, EVERYBODY, data=True),
    Rule("GET", "/clips/{clip}/{digest}/{track}.jpg", media.picture, EVERYBODY, data=True, by_itself=True),
    Rule("GET", "/originals/{clip}/{track}/{number}.jpg", media.original, COACH, ORIGINALS, data=True),
    Rule("GET", "/data/session", data.session, EVERYBODY, data=True, by_itself=True),
    Rule("GET", "/data/clips/{clip}", data.clip, EVERYBODY, data=True, by_itself=True),
    Rule("GET", "/data/clips/{clip}/work", data.work, EVERYBODY, data=True, by_itself=True),
    Rule("GET", "/data/clips/{clip}/offered", data.offered, COACH, data=True),
    Rule("POST", "/data/clips/{clip}/looked", data.looked, EVERYBODY, CHANGES, data=True, by_itself=True),
    Rule("POST", "/data/clips/{clip}/repairs", data.add, HANDS, CHANGES, data=True),
    Rule("POST", "/data/clips/{clip}/repairs/{repair}/undo", data.undo, HANDS, CHANGES, data=True),
    Rule("POST", "/data/clips/{clip}/verdict", data.judge, HANDS, CHANGES, data=True),
)


class _Static(StaticFiles):
    """Our own scripts and style: the same for everybody, so that a browser may keep them a while."""

    async def get_response(self, path: str, scope: Any) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers["cache-control"] = "private, max-age=60"
        return answer


def make(house: House, book: ReviewBook, origins: frozenset[str], cookie: str, language: str = "") -> App:
    """The application for one workspace. ``origins`` are the addresses it answers to, with scheme and port."""
    secure = all(origin.startswith("https:") for origin in origins)
    desk = Desk(house, book, Rates(), cookie, secure, language)
    routes: list[Any] = [Route(rule.path, endpoint(rule, desk, pages.problem), methods=[rule.method]) for rule in RULES]
    routes.append(Mount("/static", _Static(directory=pages.HERE / "static")))

    def asked(request: Request) -> Asked:
        return Asked(request, desk, None, Speech(language_of(request, desk.language)), {})

    async def not_there(request: Request, error: Exception) -> Response:
        one = asked(request)
        text = one.speech.tr("There is no such page; go to the list of clips.")
        return pages.problem(one, getattr(error, "status_code", 404), text)

    async def broken(request: Request, error: Exception) -> Response:
        one = asked(request)
        text = one.speech.tr(
            "Lesveil ran into a mistake of its own; load the page again, and if it comes back tell whoever started "
            "lesveil review: the terminal says what it was."
        )
        return pages.problem(one, 500, text)

    inner = Starlette(routes=routes, exception_handlers={404: not_there, 405: not_there, 500: broken})
    return Guard(inner, origins)
