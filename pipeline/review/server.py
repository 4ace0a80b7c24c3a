"""The server: where it listens, under which names, and how long it waits for anybody."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import ssl
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.errors import ReviewError
from pipeline.review.guard import App
from pipeline.settings import Review

PATIENCE = 20.0
"""Seconds that a connection may take to ask its first, or its next, question, all of it."""

MOST_CONNECTIONS = 400
"""Connections at once; further ones are closed at once, so that those that are there are served."""


class PoliteProtocol(H11Protocol):
    """HTTP/1.1 that does not wait for ever: a connection that asks nothing, or does not finish asking, is closed."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.close()
            return
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.more_body:
            self._calm()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._calm()
        self._timer = self.loop.call_later(PATIENCE, self._give_up)

    def _calm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.more_body or self.cycle.response_complete:
            self.transport.close()


def listen(settings: Review, host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ReviewError when the place is taken, or open to others without TLS."""
    if not _loopback(host):
        if not (settings.certificate and settings.key):
            raise ReviewError(
                "{host} is open to other machines, so the page needs a certificate; name [review] certificate and key"
                " in lesveil.toml.",
                host=host,
            )
        if not settings.names:
            raise ReviewError("Name under [review] names in lesveil.toml how {host} is reached.", host=host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_REUSEADDR") and not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(256)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise ReviewError(
                "Something listens on {host}:{port} already, most often this page in another window; look in your "
                "browser, or choose another --port.",
                host=host,
                port=port,
            ) from error
        raise ReviewError(
            "The page cannot listen on {host}:{port} ({why}); choose another --port.",
            host=host,
            port=port,
            why=error.strerror or error,
        ) from error
    return made


def origins(settings: Review, host: str, port: int) -> list[str]:
    """Every address under which the page answers, the one to print first."""
    secure = bool(settings.certificate)
    scheme, usual = ("https", 443) if secure else ("http", 80)
    names = [name.strip().lower() for name in settings.names.split(",") if name.strip()]
    if _loopback(host):
        own = f"[{host}]" if ":" in host else host
        names = [own, *(name for name in ("localhost", "127.0.0.1") if name != own), *names]
    tails = ["", f":{port}"] if port == usual else [f":{port}"]
    return [f"{scheme}://{name}{tail}" for name in names for tail in tails]


def serve(app: App, made: socket.socket, settings: Review) -> None:
    """Serve until interrupted. Raises ReviewError when the certificate cannot be used."""
    try:
        config = uvicorn.Config(
            app,
            http=PoliteProtocol,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=3,
            ssl_certfile=settings.certificate or None,
            ssl_keyfile=settings.key or None,
        )
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ReviewError(
            "The certificate {file} cannot be used ({why}); look at [review] in lesveil.toml.",
            file=Path(settings.certificate),
            why=error,
        ) from error
    with contextlib.suppress(KeyboardInterrupt):  # the way to stop it
        uvicorn.Server(config).run(sockets=[made])


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
