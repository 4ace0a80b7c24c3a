"""The pages: signing in, the list, a clip, the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pipeline.adapters.review_book import LONGEST_SECONDS, Account
from pipeline.messages import LANGUAGES, minutes
from pipeline.review import words
from pipeline.review.door import Asked
from pipeline.review.rates import SIGN_IN
from pipeline.views import Role

HERE = Path(__file__).parent

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["minutes"] = minutes
_templates.filters["moment"] = lambda at: f"{at[:10]} {at[11:16]}"


def page(asked: Asked, template: str, status: int = 200, **fields: Any) -> Response:
    """A template filled in, in the language of who asks."""
    speech, session = asked.speech, asked.session
    given = {
        "tr": speech.tr,
        "language": speech.language,
        "session": session,
        "token": session.token if session else "",
        "role": words.role(speech, session.role) if session else "",
        "may_read_log": session is not None and session.role in (Role.COACH, Role.OFFICER),
        "stage": lambda key: words.stage(speech, key),
        "kind": lambda key, of="": words.kind(speech, key, of),
    }
    return HTMLResponse(_templates.get_template(template).render(given | fields), status)


def problem(asked: Asked, status: int, text: str) -> Response:
    return page(asked, "problem.html", status, text=text)


def clips(asked: Asked) -> Response:
    """The list."""
    return page(asked, "list.html", rows=asked.desk.house.clips())


def clip(asked: Asked) -> Response:
    """One clip: a frame that its scripts fill."""
    row = asked.desk.house.row(asked.path("clip"))
    roles = {"hands": asked.role in (Role.COACH, Role.REVIEWER), "coach": asked.role is Role.COACH}
    document = {
        "clip": row.id,
        "name": asked.name,
        "role": asked.role.value,
        "title": words.role(asked.speech, asked.role),
        "token": asked.session.token if asked.session else "",
        "roles": roles,
        "words": words.script(asked.speech),
    }
    # in an attribute of an element, not in a script: nothing in a name can end it
    return page(asked, "clip.html", row=row, setup=json.dumps(document), **roles)


def log(asked: Asked) -> Response:
    """What people did."""
    return page(asked, "log.html", rows=asked.desk.house.log())


def sign_in(asked: Asked) -> Response:
    """The form; who is signed in goes to the list."""
    if asked.session is not None:
        return RedirectResponse("/", 303)
    return page(asked, "sign_in.html", accounts=bool(asked.desk.book.accounts()), wrong=False)


def sign_in_with_password(asked: Asked) -> Response:
    name, password = str(asked.form.get("name", "")), str(asked.form.get("password", ""))
    wait = asked.desk.rates.wait(f"name {name.casefold()[:80]}", SIGN_IN)
    if wait:
        text = asked.speech.tr("Too often; wait a moment and try again.")
        answer = problem(asked, 429, text)
        answer.headers["retry-after"] = str(int(wait) + 1)
        return answer
    account = asked.desk.book.check_password(name[:80], password[:1000])
    if account is None:
        return page(asked, "sign_in.html", 403, accounts=True, wrong=True)
    return _signed_in(asked, account)


def link(asked: Asked) -> Response:
    """Somebody came by a link. It is used up only by the button: looking at a link must not spend it."""
    account = asked.desk.book.link(asked.path("secret"))
    if account is None:
        return problem(asked, 403, asked.speech.tr("This link was used already, or is too old; ask for a new one."))
    return page(
        asked,
        "link.html",
        here=asked.request.url.path,
        account=account,
        its_role=words.role(asked.speech, account.role),
    )


def use_link(asked: Asked) -> Response:
    account = asked.desk.book.use_link(asked.path("secret"))
    if account is None:
        return problem(asked, 403, asked.speech.tr("This link was used already, or is too old; ask for a new one."))
    return _signed_in(asked, account)


def _signed_in(asked: Asked, account: Account) -> Response:
    desk = asked.desk
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        desk.cookie,
        desk.book.begin(account),
        max_age=LONGEST_SECONDS,
        path="/",
        secure=desk.secure,
        httponly=True,
        samesite="strict",
    )
    return answer


def sign_out(asked: Asked) -> Response:
    asked.desk.book.end(asked.request.cookies.get(asked.desk.cookie, ""))
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(asked.desk.cookie, path="/")
    return answer


def language(asked: Asked) -> Response:
    """Another language from now on."""
    chosen = str(asked.form.get("language", ""))
    back = str(asked.form.get("back", "/"))
    # only a path of ours: //other.site or a scheme would lead away
    safe = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable()
    answer = RedirectResponse(back if safe else "/", 303)
    if chosen in LANGUAGES:
        answer.set_cookie(
            "language", chosen, max_age=31536000, path="/", secure=asked.desk.secure, httponly=True, samesite="strict"
        )
    return answer
