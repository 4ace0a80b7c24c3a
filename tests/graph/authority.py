"""The sign-in service: enough of OAuth 2.0 as Entra ID documents it for a real client library to sign in.

PKCE is checked, a device code waits for the person's word, an app's assertion is verified against its certificate.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography import x509

TOKEN = "TOKEN-SECRET-"
REFRESH = "REFRESH-SECRET-"
"""Every token begins so, so that a test can look for it where it must not be."""


class Denied(Exception):
    """An error of the token endpoint: ``error`` as OAuth names it."""

    def __init__(self, error: str, number: str = "") -> None:
        super().__init__(error)
        self.document = {"error": error, "error_description": f"{number or 'AADSTS0'}: {error}"}


@dataclass
class Grant:
    """Whom a token is for, and until when."""

    kind: str  # "user" or "app"
    client: str
    scopes: str
    until: float
    person: str = "0001"


@dataclass
class Authority:
    base: str
    lifetime: float = 3600
    slow_people: int = 1
    """How often a device code is polled before the person has said yes; -1: policy forbids device codes."""
    tokens: dict[str, Grant] = field(default_factory=dict)
    refreshes: dict[str, Grant] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    certificates: dict[str, Any] = field(default_factory=dict)
    issued: int = 0
    person: str = "0001"
    """Who signs in: their number in the tenant."""

    def configuration(self, tenant: str) -> dict[str, Any]:
        # The browser is sent here; the rest is named as it really is, since msal takes nothing but https. Whoever
        # tests brings those requests here.
        real = f"https://login.microsoftonline.com/{tenant}"
        return {
            "issuer": f"{real}/v2.0",
            "authorization_endpoint": f"{self.base}/{tenant}/oauth2/v2.0/authorize",
            "token_endpoint": f"{real}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{real}/oauth2/v2.0/devicecode",
        }

    def authorize(self, query: dict[str, str]) -> str:
        """The page that brings the browser back to the program on this machine, with a code (form_post)."""
        if query.get("response_mode") != "form_post":
            raise Denied("invalid_request", "AADSTS70000")
        back = urllib.parse.urlsplit(query["redirect_uri"])
        if back.scheme != "http" or back.hostname not in ("localhost", "127.0.0.1"):
            raise Denied("invalid_request", "AADSTS50011")
        if query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
            raise Denied("invalid_request", "AADSTS9002325")
        code = "CODE-SECRET-" + secrets.token_urlsafe(16)
        self.codes[code] = query
        fields = {"code": code, "state": query.get("state", "")}
        inputs = "".join(f'<input type="hidden" name="{k}" value="{html.escape(v)}">' for k, v in fields.items())
        form = f'<form method="post" action="{html.escape(query["redirect_uri"])}">{inputs}</form>'
        return f"<!doctype html><body onload='document.forms[0].submit()'>{form}"

    def device_code(self, form: dict[str, str]) -> dict[str, Any]:
        if self.slow_people < 0:
            raise Denied("access_denied", "AADSTS50097")
        code = "DEVICE-SECRET-" + secrets.token_urlsafe(16)
        self.devices[code] = {"form": form, "polls": 0}
        return {
            "device_code": code,
            "user_code": "LESV3IL42",
            "verification_uri": f"{self.base}/device",
            "expires_in": 900,
            "interval": 0,
            "message": f"Open {self.base}/device and enter LESV3IL42.",
        }

    def token(self, tenant: str, form: dict[str, str]) -> dict[str, Any]:
        kind, client = form.get("grant_type", ""), form.get("client_id", "")
        if kind == "authorization_code":
            asked = self.codes.pop(form.get("code", ""), None)
            verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
            if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
                raise Denied("invalid_grant", "AADSTS70008")
            return self._user(tenant, client, self.person, asked["scope"], asked.get("nonce"))
        if kind.endswith("device_code"):
            waiting = self.devices.get(form.get("device_code", ""))
            if waiting is None:
                raise Denied("expired_token")
            waiting["polls"] += 1
            if waiting["polls"] <= self.slow_people:
                raise Denied("authorization_pending")
            del self.devices[form["device_code"]]
            return self._user(tenant, client, self.person, waiting["form"]["scope"], None)
        if kind == "refresh_token":
            grant = self.refreshes.pop(form.get("refresh_token", ""), None)
            if grant is None:
                raise Denied("invalid_grant", "AADSTS700082")
            return self._user(tenant, client, grant.person, grant.scopes, None)
        if kind == "client_credentials":
            self._assertion(tenant, client, form.get("client_assertion", ""))
            return {"token_type": "Bearer", "expires_in": int(self.lifetime), "access_token": self.mint("app", client)}
        raise Denied("unsupported_grant_type")

    def mint(self, kind: str, client: str = "", scopes: str = "Files.ReadWrite", person: str = "0001") -> str:
        token = TOKEN + secrets.token_urlsafe(24)
        self.tokens[token] = Grant(kind, client, scopes, time.time() + self.lifetime, person)
        self.issued += 1
        return token

    def bearer(self, header: str | None) -> Grant | None:
        grant = self.tokens.get((header or "").removeprefix("Bearer "))
        return grant if grant and grant.until > time.time() else None

    def _user(self, tenant: str, client: str, person: str, scopes: str, nonce: str | None) -> dict[str, Any]:
        refresh = REFRESH + secrets.token_urlsafe(24)
        self.refreshes[refresh] = Grant("user", client, scopes, 0, person)
        now = int(time.time())
        claims = {
            "aud": client,
            "iss": f"https://login.microsoftonline.com/{tenant}/v2.0",
            "iat": now,
            "exp": now + 3600,
            "sub": f"someone-{person}",
            "oid": person,
            "tid": tenant,
            "preferred_username": f"coach-{person}@school.example",
            **({"nonce": nonce} if nonce else {}),
        }
        info = base64.urlsafe_b64encode(json.dumps({"uid": person, "utid": tenant}).encode()).rstrip(b"=").decode()
        return {
            "token_type": "Bearer",
            "scope": scopes,
            "expires_in": int(self.lifetime),
            "access_token": self.mint("user", client, scopes, person),
            "refresh_token": refresh,
            "id_token": jwt.encode(claims, "not checked, because it comes from the token endpoint itself", "HS256"),
            "client_info": info,
        }

    def _assertion(self, tenant: str, client: str, assertion: str) -> None:
        known = self.certificates.get(client)
        if known is None:
            raise Denied("unauthorized_client", "AADSTS700016")
        key = x509.load_pem_x509_certificate(known.encode()).public_key()
        at = f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
        try:
            claims = jwt.decode(
                assertion,
                key,  # type: ignore[arg-type]
                algorithms=["RS256", "PS256"],
                audience=[at, f"{self.base}/{tenant}/oauth2/v2.0/token"],
            )
        except jwt.InvalidTokenError as error:
            raise Denied("invalid_client", "AADSTS700027") from error
        if claims["iss"] != client or claims["sub"] != client:
            raise Denied("invalid_client", "AADSTS700023")
