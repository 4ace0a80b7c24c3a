"""HTTP with Microsoft Graph: where bytes may go, how often we try again, and what never reaches a log.

Two kinds of request leave this module: those to Graph itself, with a token, and those to the pre-authenticated
addresses that Graph hands out for uploads and downloads, without one (a PUT with a token is refused there). Such an
address is a secret like a password: it is in no log, no error and no ledger row.
"""

from __future__ import annotations

import email.utils
import ipaddress
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

import httpx

from pipeline.errors import DeliveryError, SettingsError, SignInError

MICROSOFT = "https://graph.microsoft.com/v1.0"
AUTHORITY = "https://login.microsoftonline.com"
HANDED_OUT = (".sharepoint.com", ".svc.ms", ".1drv.com", ".onedrive.com", ".microsoft.com")
"""Where Graph's addresses for uploads and downloads lie (work and school accounts: the tenant's sharepoint.com)."""

ATTEMPTS = 8
"""Failures in a row, without a byte of progress between them, after which we give up."""
LONGEST_WAIT = 600.0
"""Seconds: when OneDrive asks for a longer pause than this, the person is told instead."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds of the pauses that nobody asked for: they double, and are drawn at random up to that."""
AGAIN = frozenset({429, 500, 502, 503, 504})
LONGEST_CALL, LONGEST_CONNECT = 120.0, 20.0
"""Seconds that an answer may take, and reaching the service."""

# httpx logs every address it calls, httpcore every header, msal an answer that it does not understand: all hold secrets
# here. Of the others only warnings are of use to anyone.
for _name in ("httpx", "httpcore", "urllib3", "requests"):
    logging.getLogger(_name).setLevel(logging.WARNING)
for _name in ("msal", "msal_extensions"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Clock:
    """Time and chance, so that tests need neither. ``sleep`` None: really, but `Graph.stop` ends it."""

    sleep: Callable[[float], None] | None = None
    now: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random


class Tokens(Protocol):
    """Gives an access token for Graph; a ``fresh`` one when the last was refused."""

    def __call__(self, fresh: bool) -> str: ...


def loopback(url: str) -> bool:
    """Whether ``url`` is plain HTTP to this very machine, by number: a name could be pointed elsewhere."""
    try:
        parts = httpx.URL(url)
        return parts.scheme == "http" and ipaddress.ip_address(parts.host).is_loopback and not parts.userinfo
    except (httpx.InvalidURL, ValueError):
        return False


def checked_service(name: str, url: str, real: str) -> str:
    """``url`` without its last slash if it is ``real``, or lies on this machine. Raises SettingsError otherwise.

    Nothing else is ever allowed, so that no slip in a settings file sends films of children to another host.
    """
    if url.rstrip("/") != real and not loopback(url):
        raise SettingsError(
            "[onedrive] {name} cannot be {url}; it is {real}, or a test service at http://127.0.0.1:PORT.",
            name=name,
            url=repr(url),
            real=real,
        )
    return url.rstrip("/")


class Patience:
    """Counts failures in a row and waits between them: as long as OneDrive asks, else longer each time, at random."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._failures = 0

    def progress(self) -> None:
        """Something went right: the count begins anew."""
        self._failures = 0

    def wait(self, failure: httpx.Response | Exception) -> None:
        """Wait after a failure. Raises DeliveryError when we have tried often enough, or are to wait for too long."""
        self._failures += 1
        asked = retry_after(failure) if isinstance(failure, httpx.Response) else None
        if asked is not None and asked > LONGEST_WAIT:
            raise DeliveryError(
                "OneDrive asks to come back in {minutes} {minutes:minute|minutes}; run lesveil deliver again then.",
                minutes=round(asked / 60) or 1,
            )
        limit = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._failures - 1))
        pause = self._graph.clock.chance() * limit if asked is None else asked
        if self._failures >= ATTEMPTS or pause >= self._graph.left:
            raise unreachable(failure)
        if asked is not None:
            self._graph.hold(asked)
        else:
            self._graph.pause(pause)


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that the answer asks us to wait (RFC 9110: a number, or a date), or None."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def error_code(response: httpx.Response) -> str:
    """Graph's own word for what is wrong (``error.code``): never its message, which may repeat an address."""
    try:
        code = response.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return ""
    return "".join(c for c in str(code) if c.isalnum())[:60]


def refused(response: httpx.Response) -> DeliveryError:
    """What a person is told of an answer that nothing can be done about."""
    return DeliveryError(
        "OneDrive refuses what we ask ({status} {code}); run lesveil doctor, or show this to the administrator.",
        status=response.status_code,
        code=error_code(response),
    )


def elsewhere() -> DeliveryError:
    """What a person is told where films would go to a host that nobody knows."""
    return DeliveryError("OneDrive sends us to an address that is not its own; nothing was sent there.")


def unreachable(failure: httpx.Response | Exception) -> DeliveryError:
    """What a person is told after trying often enough."""
    if isinstance(failure, httpx.Response):
        why = f"{failure.status_code} {error_code(failure)}"
    else:
        why = type(failure).__name__
    return DeliveryError(
        "OneDrive cannot be reached ({why}); nothing is lost: run lesveil deliver again when the line is better.",
        why=why,
    )


class Graph:
    """One connection to Graph; threads may share it. ``base`` is checked (see `checked_service`).

    ``within``: so many seconds from now on nothing is tried any more, for whoever has no time for more.
    """

    def __init__(self, base: str, tokens: Tokens, clock: Clock | None = None, within: float = math.inf) -> None:
        self.base = checked_service("graph", base, MICROSOFT)
        self.local = loopback(self.base)
        self.clock = clock or Clock()
        self._tokens = tokens
        self._not_before = 0.0
        self._until = self.clock.now() + within
        self._stopping = threading.Event()
        # A proxy of the environment may see where we go, but nothing for this machine leaves it.
        self._client = httpx.Client(
            timeout=httpx.Timeout(LONGEST_CALL, connect=LONGEST_CONNECT),
            trust_env=not self.local,
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def stop(self) -> None:
        """End every pause in every thread, and let none begin: the person wants to go home."""
        self._stopping.set()

    @property
    def left(self) -> float:
        """Seconds that are left of ``within``."""
        return self._until - self.clock.now()

    def pause(self, seconds: float) -> None:
        """Wait. Raises DeliveryError when we were told to stop."""
        if self.clock.sleep is not None:
            self.clock.sleep(seconds)
        else:
            self._stopping.wait(seconds)
        if self._stopping.is_set():
            raise DeliveryError("Stopped; run lesveil deliver again to go on.")

    def hold(self, seconds: float) -> None:
        """Nothing goes out for so long, from any thread: the pause was asked for by the service, not by one clip."""
        self._not_before = max(self._not_before, self.clock.now() + seconds)
        self._wait_for_it()

    def _wait_for_it(self) -> None:
        while (left := self._not_before - self.clock.now()) > 0:
            self.pause(left)

    def call(
        self, method: str, path: str, *, json: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """One request to Graph, repeated where that may help; the answer, whatever it is.

        ``path`` begins with a slash, or is a whole address below ``base`` (the next page of a list). Raises
        SignInError when the token is refused twice, DeliveryError when the service cannot be reached.
        """
        if path.startswith("/"):
            path = self.base + path
        elif not path.startswith(self.base + "/"):
            raise elsewhere()
        patience, fresh = Patience(self), False
        while True:
            self._wait_for_it()
            bearer = {"Authorization": f"Bearer {self._tokens(fresh)}"}
            try:
                response = self._client.request(
                    method, path, json=json, headers=(headers or {}) | bearer, timeout=self._timeout()
                )
            except httpx.RequestError as error:
                patience.wait(error)
                continue
            if response.status_code == 401:
                if fresh:
                    raise SignInError("OneDrive no longer knows this sign-in; run lesveil login.")
                fresh = True
            elif response.status_code in AGAIN:
                patience.wait(response)
            else:
                return response

    def _timeout(self) -> httpx.Timeout:
        """Raises DeliveryError where the time is up."""
        if self.left <= 0:
            raise unreachable(TimeoutError())
        return httpx.Timeout(min(LONGEST_CALL, self.left), connect=min(LONGEST_CONNECT, self.left))

    def bare(
        self,
        method: str,
        url: str,
        *,
        content: Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
        stream: bool = False,
    ) -> httpx.Response:
        """One request, once and without a token, to an address that Graph handed out. Raises httpx.RequestError,
        and DeliveryError where it is not Microsoft's.

        With ``stream`` the answer's body is left for the caller to read and close.
        """
        if not self.handed_out(url):
            raise elsewhere()
        self._wait_for_it()
        request = self._client.build_request(method, url, content=content, headers=headers)
        return self._client.send(request, stream=stream)

    def handed_out(self, url: str) -> bool:
        """Whether an address for uploads or downloads is one of Microsoft's (or of the test service's)."""
        if self.local:
            return loopback(url)
        try:
            parts = httpx.URL(url)
        except httpx.InvalidURL:
            return False
        return parts.scheme == "https" and ("." + parts.host).endswith(HANDED_OUT)
