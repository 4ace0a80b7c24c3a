"""What every request passes before anything else looks at it, and what every answer carries.

A page in another tab, on another site or under another name must not get anywhere: names other than ours are refused
(DNS rebinding), changes need our own origin, and the browser is told to run nothing and to load nothing that is not
ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import PlainTextResponse

LARGEST_BODY = 64 * 1024
"""Bytes that a request may bring."""

LONGEST_URL = 2048

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), display-capture=()",
}

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]


class Guard:
    """An ASGI application around the one that answers. ``origins`` are ours: https://review.school.nl:8420."""

    def __init__(self, app: App, origins: frozenset[str]) -> None:
        self._app = app
        self._origins = origins
        self._hosts = frozenset(origin.split("://", 1)[1] for origin in origins)
        self._secure = any(origin.startswith("https:") for origin in origins)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            status, text = refusal
            await PlainTextResponse(text, status)(scope, receive, self._dressed(send))
            return
        await self._app(scope, _limited(receive), self._dressed(send))

    def _refusal(self, scope: Any) -> tuple[int, str] | None:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = [value.decode("latin-1").lower() for value in headers.get(b"host", [])]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return 421, "This server does not go by that name."
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, "Not allowed."
        if len(scope.get("raw_path", b"")) + len(scope.get("query_string", b"")) > LONGEST_URL:
            return 414, "Too long."
        length = headers.get(b"content-length", [b"0"])
        if len(length) != 1 or not length[0].isdigit() or int(length[0]) > LARGEST_BODY:
            return 413, "Too large."
        if scope["method"] == "POST":
            origins = [value.decode("latin-1").lower() for value in headers.get(b"origin", [])]
            site = [value.decode("latin-1").lower() for value in headers.get(b"sec-fetch-site", [])]
            if any(origin not in self._origins for origin in origins) or any(one != "same-origin" for one in site):
                return 403, "This was asked by another page."
        return None

    def _dressed(self, send: Send) -> Send:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                more = dict(HEADERS)
                if self._secure:
                    more["strict-transport-security"] = "max-age=31536000"
                if b"cache-control" not in names:
                    more["cache-control"] = "no-store"
                message["headers"] = [
                    *message["headers"],
                    *((name.encode(), value.encode()) for name, value in more.items()),
                ]
            await send(message)

        return dressed


def _limited(receive: Receive) -> Receive:
    """A body that claims no length must not be longer than allowed either: what is too much is dropped."""
    got = 0

    async def limited() -> Message:
        nonlocal got
        message = await receive()
        if message["type"] == "http.request":
            got += len(message.get("body", b""))
            if got > LARGEST_BODY:
                return {"type": "http.disconnect"}
        return message

    return limited
