"""The master key: in the keyring where there is a good one, else in a file of its owner's; never lost in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keyring
import pytest
from keyring.backends import SecretService, fail, null
from keyring.backends.chainer import ChainerBackend

from pipeline.adapters import keys
from pipeline.adapters.vault import Vault
from pipeline.errors import VaultError


class Kept:
    """A keyring in memory. ``fault``: what it raises when it is asked to keep something."""

    def __init__(self, fault: Exception | None = None, forgets: bool = False) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.fault, self.forgets = fault, forgets

    def get_password(self, service: str, username: str) -> str | None:
        if self.fault:
            raise self.fault
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.fault:
            raise self.fault
        if not self.forgets:
            self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Kept:
    chain = Kept()
    monkeypatch.setattr(keys, "system_keyring", lambda: chain)
    return chain


def use(root: Path, text: bytes) -> bytes:
    """Seal something, forget the vault, open it again."""
    store = Vault(root)
    store.destroy("a")
    with store.writer() as copy:
        copy.write(text)
        copy.commit("a")
    with Vault(root).open("a") as reader:
        return reader.read()


def test_with_a_keyring_no_key_lies_in_the_folder(tmp_path: Path, chain: Kept) -> None:
    assert use(tmp_path, b"film") == b"film"
    assert len(chain.entries) == 1
    ((service, name), secret), *_ = chain.entries.items()
    assert service == "lesveil"
    assert not (tmp_path / keys.FILE).exists()
    assert (tmp_path / keys.POINTER).read_text().strip() == name
    inside = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in inside


def test_a_copy_of_the_folder_opens_nothing_elsewhere(
    tmp_path: Path, chain: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(tmp_path, b"film")
    for elsewhere, said in ((None, "none can be reached"), (Kept(), "not here")):
        monkeypatch.setattr(keys, "system_keyring", lambda there=elsewhere: there)
        with pytest.raises(VaultError, match=said):
            Vault(tmp_path)
    assert not (tmp_path / keys.FILE).exists()


def test_a_locked_keyring_asks_to_be_unlocked_and_makes_no_new_key(tmp_path: Path, chain: Kept) -> None:
    use(tmp_path, b"film")
    chain.fault = RuntimeError("locked")
    with pytest.raises(VaultError, match="unlock it"):
        Vault(tmp_path)
    chain.fault = None
    with Vault(tmp_path).open("a") as reader:
        assert reader.read() == b"film"


@pytest.mark.parametrize("bad", [Kept(fault=RuntimeError("no bus")), Kept(forgets=True)], ids=["raises", "forgets"])
def test_a_keyring_that_does_not_keep_is_replaced_by_a_key_file(
    tmp_path: Path, bad: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "system_keyring", lambda: bad)
    assert use(tmp_path, b"film") == b"film"
    assert (tmp_path / keys.FILE).stat().st_size == 32
    assert not (tmp_path / keys.POINTER).exists()


def test_a_workspace_with_a_key_file_keeps_it(tmp_path: Path, chain: Kept) -> None:
    (tmp_path / keys.FILE).write_bytes(os.urandom(32))
    assert use(tmp_path, b"film") == b"film"
    assert chain.entries == {}


def test_a_key_file_can_be_asked_for(tmp_path: Path, chain: Kept) -> None:
    Vault(tmp_path, key_file=True)
    assert (tmp_path / keys.FILE).is_file()
    assert chain.entries == {}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    Vault(tmp_path)
    path = tmp_path / keys.FILE
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    Vault(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_pointer_that_was_tampered_with_is_no_way_in(tmp_path: Path, chain: Kept) -> None:
    use(tmp_path, b"film")
    for text in ("", "other-service", "0" * 32):
        (tmp_path / keys.POINTER).write_text(text)
        with pytest.raises(VaultError, match="not here"):
            Vault(tmp_path)


def test_without_its_key_nothing_is_made_anew(tmp_path: Path, chain: Kept) -> None:
    use(tmp_path, b"film")
    (tmp_path / keys.POINTER).unlink()
    with pytest.raises(VaultError, match=r"missing.*put back a copy"):
        Vault(tmp_path)


def test_only_keyrings_that_encrypt_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    class PlainText(Kept):
        """As keyrings.alt has one."""

    secret = SecretService.Keyring()
    chainer = ChainerBackend()
    monkeypatch.setattr(ChainerBackend, "backends", [fail.Keyring(), PlainText(), secret])
    for chosen, found in (
        (fail.Keyring(), None),
        (null.Keyring(), None),
        (PlainText(), None),
        (secret, secret),
        (chainer, secret),
    ):
        monkeypatch.setattr(keyring, "get_keyring", lambda chosen=chosen: chosen)
        assert keys.system_keyring() is found

    def broken() -> object:
        raise RuntimeError("no session bus")

    monkeypatch.setattr(keyring, "get_keyring", broken)
    assert keys.system_keyring() is None


def test_where_there_is_no_desktop_it_says_nothing(tmp_path: Path) -> None:
    """The real library, in a process of its own as on a server: no session bus, no display."""
    gone = ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "PYTHON_KEYRING_BACKEND", "XDG_RUNTIME_DIR")
    there = {name: value for name, value in os.environ.items() if name not in gone}
    if sys.platform != "linux":
        pytest.skip("this system always has a keyring")
    code = f"from pathlib import Path; from pipeline.adapters.vault import Vault; Vault(Path({str(tmp_path)!r}))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=there | {"HOME": str(tmp_path / "home")},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / keys.FILE).stat().st_size == 32


def test_another_master_key_is_refused_and_destroys_nothing(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "system_keyring", lambda: None)
        for vault in (tmp_path / "new", tmp_path / "made by an older version"):
            assert use(vault, b"film") == b"film"
        (tmp_path / "made by an older version" / keys.CHECK).unlink()
        Vault(tmp_path / "made by an older version")  # opened once since
        for vault in (tmp_path / "new", tmp_path / "made by an older version"):
            right = (vault / keys.FILE).read_bytes()
            (vault / keys.FILE).write_bytes(bytes(keys.SIZE))
            with pytest.raises(VaultError, match="put that one back"):
                Vault(vault)
            (vault / keys.FILE).write_bytes(right)
            (vault / keys.CHECK).write_bytes(b"0" * 64)
            assert Vault(vault).get("a") == b"film", "what opens proves more than a digest that was damaged"


def test_where_nothing_was_sealed_any_master_key_is_the_right_one(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "system_keyring", lambda: None)
        Vault(tmp_path)
        (tmp_path / keys.FILE).unlink()
        assert use(tmp_path, b"film") == b"film"
        assert use(tmp_path, b"film") == b"film"
