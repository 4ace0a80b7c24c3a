"""Signing in to the school's Microsoft 365, with msal.

Three ways: in the browser with PKCE (a laptop with a person at it), by a device code (no browser here; many schools
forbid it), with a certificate (a server without a person, given one site by Sites.Selected). Passwords are never seen
here. What lets us come back without the person, a refresh token, is kept encrypted: by the system (msal-extensions:
DPAPI, Keychain, libsecret), or sealed in the workspace's vault where the system offers nothing. Never in the clear.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msal
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from msal.exceptions import MsalError
from msal_extensions import PersistedTokenCache
from msal_extensions.persistence import BasePersistence

from pipeline.adapters.graph_http import AUTHORITY, MICROSOFT, checked_service, loopback
from pipeline.adapters.token_cache import VaultPersistence, persistence
from pipeline.adapters.vault import Vault
from pipeline.errors import SettingsError, SignInError

PERSONS_SCOPES = ["Files.ReadWrite"]
"""Delegated: the signed-in person's own files, and no one else's."""
SITES_SCOPES = ["Sites.Selected"]
"""Delegated: only sites that an administrator gave to this program, as far as the person may go there."""
APPS_SCOPES = ["https://graph.microsoft.com/.default"]
"""What an administrator granted to the program itself: Sites.Selected, and one site."""
PASSING = ("temporarily_unavailable", "server_error")
"""Errors of the sign-in service (RFC 6749, 4.1.2.1) that are nobody's fault here: who is signed in stays so."""
TIMEOUT = 30.0
"""Seconds that an answer of the sign-in service may take."""


@dataclass(frozen=True)
class Registration:
    """The program as the school's administrator registered it, and how we sign in. Values of [onedrive]."""

    tenant: str
    client_id: str
    way: str
    certificate: str = ""
    site: str = ""
    authority: str = AUTHORITY
    graph: str = MICROSOFT


def checked(registration: Registration) -> Registration:
    """``registration`` if it can be used. Raises SettingsError that names what is missing."""
    for name, value in (("tenant", registration.tenant), ("client_id", registration.client_id)):
        if not value:
            raise SettingsError("[onedrive] {name} is missing in lesveil.toml; see docs/onedrive.md.", name=name)
    if not registration.tenant.replace("-", "").replace(".", "").isalnum():
        raise SettingsError("[onedrive] {name} is missing in lesveil.toml; see docs/onedrive.md.", name="tenant")
    authority = checked_service("authority", registration.authority, AUTHORITY)
    graph = checked_service("graph", registration.graph, MICROSOFT)
    if loopback(authority) != loopback(graph):
        raise SettingsError(
            "[onedrive] authority and graph belong together: both real, or both a test service on this machine."
        )
    if registration.way == "certificate":
        for name, value in (("certificate", registration.certificate), ("site", registration.site)):
            if not value:
                raise SettingsError("[onedrive] {name} is missing in lesveil.toml; see docs/onedrive.md.", name=name)
    return registration


class _OnThisMachine:
    """Sends what msal has for the real sign-in service to a test service on this machine instead.

    msal speaks to nothing but https, rightly; this is used for a checked loopback address only.
    """

    def __init__(self, authority: str, timeout: float) -> None:
        self._authority = httpx.URL(authority)
        self._timeout = timeout

    def get(self, url: str, params: Any = None, headers: dict[str, str] | None = None, **_: Any) -> httpx.Response:
        return self._send("GET", url, params=params, headers=headers)

    def post(
        self, url: str, params: Any = None, data: Any = None, headers: dict[str, str] | None = None, **_: Any
    ) -> httpx.Response:
        # msal gives an assertion as bytes, which requests takes for text.
        form = {name: value.decode() if isinstance(value, bytes) else value for name, value in (data or {}).items()}
        return self._send("POST", url, params=params, data=form, headers=headers)

    def close(self) -> None:
        """msal asks for it; nothing is held."""

    def _send(self, method: str, url: str, **more: Any) -> httpx.Response:
        there = httpx.URL(url).copy_with(scheme="http", host=self._authority.host, port=self._authority.port)
        with httpx.Client(trust_env=False, timeout=self._timeout) as client:
            return client.request(method, there, **more)


class SignIn:
    """One registration on one machine. Calling it gives an access token for Graph, without asking anybody.

    ``timeout``: seconds that each answer of the sign-in service may take.
    """

    def __init__(self, registration: Registration, vault: Vault, timeout: float = TIMEOUT) -> None:
        self._said = checked(registration)
        self._timeout = timeout
        # A cache of its own for each: a token of one service must never be shown to another.
        mark = hashlib.sha256("\n".join((registration.authority, registration.tenant, registration.client_id)).encode())
        self._name = f"signin-{mark.hexdigest()[:16]}"
        self._vault = vault
        self._lock = threading.Lock()
        self._app: Any = None
        self._persistence: BasePersistence | None = None

    @property
    def kept_by(self) -> str:
        """Who keeps the tokens: "system", "vault", or "nobody" (a certificate needs no cache)."""
        if self._said.way == "certificate":
            return "nobody"
        return "vault" if isinstance(self._keeping(), VaultPersistence) else "system"

    def in_browser(self, timeout: int = 600) -> None:
        """Let the person sign in in the browser within ``timeout`` seconds. Raises SignInError.

        PKCE: the answer comes to a port of this machine, and only we can use it.
        """
        application = self._application()
        # they choose: the browser would take whoever is signed in there, who may be somebody else
        choose = msal.Prompt.SELECT_ACCOUNT
        self._alone(
            _reached(lambda: application.acquire_token_interactive(self._scopes, prompt=choose, timeout=timeout))
        )

    def by_device_code(self, show: Callable[[str, str], None]) -> None:
        """Let the person sign in on another device: ``show`` is given the address and the code. Raises SignInError."""
        application = self._application()
        flow = _reached(lambda: application.initiate_device_flow(scopes=self._scopes))
        if "user_code" not in flow:
            raise _told(flow)
        show(str(flow["verification_uri"]), str(flow["user_code"]))
        self._alone(_reached(lambda: application.acquire_token_by_device_flow(flow)))

    def forget(self) -> None:
        """Sign out on this machine: nothing that could be used to come back is left here."""
        application = self._application()
        if self._said.way != "certificate":
            for account in application.get_accounts():
                application.remove_account(account)
        persistence = self._keeping()
        if isinstance(persistence, VaultPersistence):
            persistence.destroy()

    @property
    def person(self) -> str:
        """Who is signed in here, as they write it when they sign in; "" for nobody, or a certificate."""
        accounts = [] if self._said.way == "certificate" else self._application().get_accounts()
        return str(accounts[0]["username"]) if len(accounts) == 1 else ""

    def signed_in(self) -> bool:
        """Whether somebody signed in here before; whether it still holds, only the service knows."""
        return self._said.way == "certificate" or bool(self._application().get_accounts())

    def __call__(self, fresh: bool = False) -> str:
        """An access token; a ``fresh`` one when the last was refused. Raises SignInError when a person is needed."""
        with self._lock:
            application = self._application()
            if self._said.way == "certificate":
                if fresh:
                    application.remove_tokens_for_client()
                return self._finish(_reached(lambda: application.acquire_token_for_client(APPS_SCOPES)))
            accounts = application.get_accounts()
            if not accounts:
                raise SignInError("Nobody is signed in to OneDrive here; run lesveil login.")
            if len(accounts) > 1:  # a login was cut off; into whose OneDrive a film goes is never guessed
                raise SignInError("More than one person is signed in to OneDrive here; run lesveil login.")
            result = _reached(
                lambda: application.acquire_token_silent_with_error(
                    self._scopes, account=accounts[0], force_refresh=fresh
                )
            )
            if result and result.get("error") in PASSING:
                raise _away(str(result["error"]))
            if not result or "error" in result:
                raise SignInError("The sign-in to OneDrive has ended; run lesveil login.")
            return self._finish(result)

    @property
    def _scopes(self) -> list[str]:
        return SITES_SCOPES if self._said.site else PERSONS_SCOPES

    def _alone(self, result: dict[str, Any]) -> None:
        """Sign everybody out but whoever signed in just now: msal would go on with who came first."""
        self._finish(result)
        claims = result.get("id_token_claims", {})
        application = self._application()
        for account in application.get_accounts():
            if account["local_account_id"] != claims.get("oid", claims.get("sub")):
                application.remove_account(account)

    def _finish(self, result: dict[str, Any]) -> str:
        if "access_token" not in result:
            raise _told(result)
        return str(result["access_token"])

    def _keeping(self) -> BasePersistence:
        if self._persistence is None:
            self._persistence = persistence(self._vault, self._name)
        return self._persistence

    def _application(self) -> Any:
        if self._app is None:
            self._app = _reached(self._build)
        return self._app

    def _build(self) -> Any:
        said = self._said
        how: dict[str, Any] = {"authority": f"{AUTHORITY}/{said.tenant}", "instance_discovery": False}
        if loopback(said.authority):
            how["http_client"] = _OnThisMachine(said.authority, self._timeout)
        else:
            how["timeout"] = self._timeout
        if said.way == "certificate":
            how["client_credential"] = read_certificate(Path(said.certificate))
            return msal.ConfidentialClientApplication(said.client_id, **how)
        cache = PersistedTokenCache(self._keeping())
        return msal.PublicClientApplication(said.client_id, token_cache=cache, **how)


def read_certificate(path: Path) -> dict[str, str]:
    """The private key and certificate of one PEM file, as msal takes them. Raises SettingsError."""
    try:
        text = path.read_text(encoding="ascii")
        certificate = x509.load_pem_x509_certificate(text.encode())
    except (OSError, ValueError) as error:
        raise SettingsError(
            "{file} is not a PEM file with a certificate and its private key; see docs/onedrive.md.", file=path
        ) from error
    if "PRIVATE KEY-----" not in text:
        raise SettingsError(
            "{file} is not a PEM file with a certificate and its private key; see docs/onedrive.md.", file=path
        )
    thumbprint = certificate.fingerprint(hashes.SHA1()).hex()  # the name Entra ID knows it by
    return {"private_key": text, "thumbprint": thumbprint}


def certificate_ends(path: Path) -> float:
    """Days until the certificate ends (negative: it has ended). Raises SettingsError."""
    read_certificate(path)
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return (certificate.not_valid_after_utc.timestamp() - time.time()) / 86400


def _reached(build: Callable[[], Any]) -> Any:
    """msal asks the sign-in service about the tenant at once: say so in one sentence when that fails."""
    try:
        return build()
    except SignInError:
        raise
    except json.JSONDecodeError as error:  # somebody on the way answers in its place
        raise _away(type(error).__name__) from error
    except (ValueError, KeyError) as error:
        raise SignInError(
            "Microsoft knows no such tenant, or answers otherwise than it should; check [onedrive]."
        ) from error
    except (OSError, httpx.HTTPError, MsalError) as error:  # requests' are OSErrors; a 5xx is msal's own
        raise _away(type(error).__name__) from error


def _away(why: str) -> SignInError:
    return SignInError("The sign-in service cannot be reached ({why}); try again when the line is better.", why=why)


def _told(result: dict[str, Any]) -> SignInError:
    """The answer of the sign-in service as one sentence: its error and number, never its text, which names people."""
    text = str(result.get("error_description", ""))
    number = next((word.strip(":;,.") for word in text.split() if word.startswith("AADSTS")), "")
    return SignInError(
        "Signing in did not succeed ({error}); run lesveil doctor, or show this to the administrator.",
        error=" ".join(filter(None, (str(result.get("error", "")), number))),
    )
