"""Signing in with the real msal, in all three ways, to the faithful sign-in service."""

from __future__ import annotations

import dataclasses
import html
import re
import threading
import time
import webbrowser
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pipeline.adapters import sign_in
from pipeline.adapters.graph_http import Graph
from pipeline.adapters.onedrive import OneDrive
from pipeline.adapters.sign_in import Registration, SignIn
from pipeline.adapters.vault import Vault
from pipeline.errors import DeliveryError, SettingsError, SignInError
from tests.faults.school import Ears, secrets_in
from tests.graph.control import Control, running

SITE = "https://school.sharepoint.com/sites/lessen"


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with running(tmp_path_factory.mktemp("graph")) as control:
        yield control


@pytest.fixture
def person(graph: Control) -> Iterator[Registration]:
    yield Registration("school.example", "lesveil", "browser", authority=graph.url, graph=graph.graph)
    graph.post("authority", slow_people=1, lifetime=3600, person="0001")


def pem(folder: Path, days: int = 365) -> tuple[Path, str]:
    """A new key with its certificate in one file, and the certificate alone."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lesveil")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    path = folder / "lesveil.pem"
    path.write_bytes(secret + public)
    return path, public.decode()


def reaches(registration: Registration, signed: SignIn) -> str:
    with Graph(registration.graph, signed) as graph:
        return OneDrive.open(graph, registration.site).id


def test_in_the_browser(person: Registration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PKCE: the answer comes to a port of this machine; a wrong verifier would be refused."""
    opened: list[str] = []

    def browse(url: str, *_: object, **__: object) -> bool:
        opened.append(url)

        def walk() -> None:
            page = httpx.get(url, trust_env=False).text
            (back,) = re.findall(r'action="([^"]*)"', page)
            fields = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', page)}
            httpx.post(html.unescape(back), data=fields, trust_env=False)

        threading.Thread(target=walk).start()
        return True

    monkeypatch.setattr(webbrowser, "open", browse)
    with Ears() as ears:
        signed = SignIn(person, Vault(tmp_path / "vault"))
        signed.in_browser(timeout=20)
        assert reaches(person, signed) == "me"
    assert secrets_in(ears.text) == []
    asked = httpx.URL(opened[0]).params
    assert asked["prompt"] == "select_account", "somebody else may be signed in in that browser"
    assert asked["code_challenge_method"] == "S256"
    assert "Files.ReadWrite" in asked["scope"].split()
    assert not {"Files.ReadWrite.All", "Sites.ReadWrite.All"} & set(asked["scope"].split())


def test_with_a_device_code(person: Registration, tmp_path: Path) -> None:
    shown: list[tuple[str, str]] = []
    vault = Vault(tmp_path / "vault")
    signed = SignIn(person, vault)
    signed.by_device_code(lambda at, code: shown.append((at, code)))
    assert shown == [(f"{person.authority}/device", "LESV3IL42")]
    assert reaches(person, SignIn(person, vault)) == "me", "another run needs nobody"


def test_a_policy_that_forbids_device_codes(graph: Control, person: Registration, tmp_path: Path) -> None:
    graph.post("authority", slow_people=-1)
    with pytest.raises(SignInError, match="access_denied AADSTS50097"):
        SignIn(person, Vault(tmp_path / "vault")).by_device_code(lambda at, code: None)


def test_nothing_is_kept_in_the_clear(person: Registration, tmp_path: Path) -> None:
    signed = SignIn(person, Vault(tmp_path / "vault"))
    signed.by_device_code(lambda at, code: None)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        data = path.read_bytes()
        assert b"SECRET" not in data, path
        assert b"@school.example" not in data, path


def test_a_token_that_ended_is_replaced_and_one_that_was_refused_too(
    graph: Control, person: Registration, tmp_path: Path
) -> None:
    graph.post("authority", lifetime=2)
    signed = SignIn(person, Vault(tmp_path / "vault"))
    signed.by_device_code(lambda at, code: None)
    first = signed()
    time.sleep(0.1)
    assert signed() != first, "msal replaces a token five minutes before its end"
    graph.post("authority", lifetime=3600)
    signed(fresh=True)
    graph.post("forget")
    assert reaches(person, signed) == "me", "the service forgot the token: a fresh one is fetched once"


ANSWERS = {
    "half an answer": lambda answer: httpx.Response(200, text=answer.text[:-20]),
    "a page": lambda answer: httpx.Response(200, text="<html>Sign in to the school's network</html>"),
    "busy": lambda answer: httpx.Response(429, json={"error": "temporarily_unavailable"}),
    "a failure": lambda answer: httpx.Response(503, text="later"),
}


@pytest.mark.parametrize("answered", ANSWERS)
def test_a_service_that_answers_badly_is_away_and_what_it_said_is_in_no_log(
    answered: str, person: Registration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = SignIn(person, Vault(tmp_path / "vault"))
    signed.by_device_code(lambda at, code: None)
    send = sign_in._OnThisMachine._send

    def badly(here: sign_in._OnThisMachine, method: str, url: str, **more: object) -> httpx.Response:
        answer = send(here, method, url, **more)
        return ANSWERS[answered](answer) if url.endswith("/token") else answer

    with monkeypatch.context() as patch, Ears() as ears:
        patch.setattr(sign_in._OnThisMachine, "_send", badly)
        with pytest.raises(SignInError, match="cannot be reached"):
            signed(fresh=True)
    assert secrets_in(ears.text) == []
    assert SignIn(person, Vault(tmp_path / "vault"))(), "who was signed in still is"


def test_signing_out_leaves_nothing_to_come_back_with(person: Registration, tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    signed = SignIn(person, vault)
    signed.by_device_code(lambda at, code: None)
    signed.forget()
    with pytest.raises(SignInError, match="lesveil login"):
        SignIn(person, vault)()
    assert vault.ids() == []


def test_who_signed_in_last_is_the_only_one(graph: Control, person: Registration, tmp_path: Path) -> None:
    """A film goes into the OneDrive of whoever signed in, and of nobody who did so before."""
    vault = Vault(tmp_path / "vault")
    graph.post("drive", id="me-0002")
    SignIn(person, vault).by_device_code(lambda at, code: None)
    graph.post("authority", person="0002")
    signed = SignIn(person, vault)
    signed.by_device_code(lambda at, code: None)
    later = SignIn(person, vault)
    assert (later.person, reaches(person, later)) == ("coach-0002@school.example", "me-0002")
    later(fresh=True)
    assert reaches(person, later) == reaches(person, signed) == "me-0002"


def test_where_two_are_signed_in_neither_is_taken(
    graph: Control, person: Registration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login that was cut off before the other was signed out."""
    vault = Vault(tmp_path / "vault")
    SignIn(person, vault).by_device_code(lambda at, code: None)
    graph.post("authority", person="0002")
    with monkeypatch.context() as patch:
        patch.setattr(SignIn, "_alone", SignIn._finish)
        SignIn(person, vault).by_device_code(lambda at, code: None)
    with pytest.raises(SignInError, match="More than one person"):
        SignIn(person, vault)()
    SignIn(person, vault).by_device_code(lambda at, code: None)
    assert SignIn(person, vault).person == "coach-0002@school.example"


def test_nobody_signed_in(person: Registration, tmp_path: Path) -> None:
    with pytest.raises(SignInError, match="Nobody is signed in"):
        SignIn(person, Vault(tmp_path / "vault"))()


def test_a_spoilt_cache_means_signing_in_again(person: Registration, tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    SignIn(person, vault).by_device_code(lambda at, code: None)
    (id,) = vault.ids()
    data = bytearray(vault.path(id).read_bytes())
    data[-1] ^= 1
    vault.path(id).write_bytes(bytes(data))
    with pytest.raises(SignInError, match="Nobody is signed in"):
        SignIn(person, vault)()


def test_with_a_certificate_and_one_site(graph: Control, person: Registration, tmp_path: Path) -> None:
    path, public = pem(tmp_path)
    server = dataclasses.replace(person, client_id="server", way="certificate", certificate=str(path), site=SITE)
    signed = SignIn(server, Vault(tmp_path / "vault"))
    with pytest.raises(SignInError, match="unauthorized_client AADSTS700016"):
        signed()
    graph.post("authority", certificates={"server": public})
    signed = SignIn(server, Vault(tmp_path / "vault"))
    with pytest.raises(DeliveryError, match="403 accessDenied"):
        reaches(server, signed)
    graph.post("grant", site="site-lessen", client="server")
    assert reaches(server, signed) == "site-lessen"
    assert signed.kept_by == "nobody"
    graph.post("forget")
    assert reaches(server, signed) == "site-lessen"


def test_another_servers_certificate_is_refused(graph: Control, person: Registration, tmp_path: Path) -> None:
    _, public = pem(tmp_path)
    graph.post("authority", certificates={"other": public})
    path, _ = pem(tmp_path)
    other = dataclasses.replace(person, client_id="other", way="certificate", certificate=str(path), site=SITE)
    with pytest.raises(SignInError, match="invalid_client AADSTS700027"):
        SignIn(other, Vault(tmp_path / "vault"))()


def test_a_certificate_says_when_it_ends(tmp_path: Path) -> None:
    path, _ = pem(tmp_path, days=12)
    assert 11 < sign_in.certificate_ends(path) < 12
    path.write_text("no certificate")
    with pytest.raises(SettingsError, match=r"lesveil\.pem is not a PEM file"):
        sign_in.read_certificate(path)
    path, public = pem(tmp_path)
    path.write_text(public)
    with pytest.raises(SettingsError, match="private key"):
        sign_in.read_certificate(path)


def test_tokens_of_one_service_are_never_shown_to_another(person: Registration, tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    SignIn(person, vault).by_device_code(lambda at, code: None)
    with pytest.raises(SignInError, match="Nobody"):
        SignIn(dataclasses.replace(person, client_id="another"), vault)()


def test_a_service_that_is_away(tmp_path: Path) -> None:
    nowhere = Registration("t", "c", "browser", authority="http://127.0.0.1:9", graph="http://127.0.0.1:9/v1.0")
    with pytest.raises(SignInError, match="cannot be reached"):
        SignIn(nowhere, Vault(tmp_path / "vault"))()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"tenant": ""}, "tenant"),
        ({"tenant": "a/b"}, "tenant"),
        ({"client_id": ""}, "client_id"),
        ({"authority": "http://login.example"}, "authority"),
        ({"graph": "https://graph.microsoft.example/v1.0"}, "graph"),
        ({"authority": sign_in.AUTHORITY}, "belong together"),
        ({"way": "certificate"}, "certificate"),
        ({"way": "certificate", "certificate": "x.pem"}, "site"),
    ],
)
def test_what_cannot_be_used_is_named(change: dict[str, str], named: str, tmp_path: Path) -> None:
    fine = Registration("t", "c", "browser", authority="http://127.0.0.1:9", graph="http://127.0.0.1:9/v1.0")
    with pytest.raises(SettingsError, match=named):
        SignIn(dataclasses.replace(fine, **change), Vault(tmp_path / "vault"))
