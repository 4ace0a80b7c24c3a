"""Where a workspace's master key lives: in the system's keyring, or in a key file where there is none.

In the keyring (macOS Keychain, Windows Credential Locker, Secret Service, KWallet) a copy of the workspace's folder
alone opens nothing. ``master.keyring`` then holds the name under which the key is kept, and no secret. A machine
without a keyring (a server, a container) keeps ``master.key``, 32 bytes that its owner alone can read (mode 0600);
so does every workspace that was made with one. Only keyrings that encrypt are used, never one that writes plain files.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from pipeline.adapters import files
from pipeline.errors import VaultError

SERVICE = "lesveil"
FILE = "master.key"
POINTER = "master.keyring"
CHECK = "master.check"
"""A digest of the key, by which another one is known, and from which nobody gets it: it is 32 random bytes."""
SIZE = 32
"""Bytes of a key (AES-256)."""

_TRUSTED = {"macOS", "Windows", "SecretService", "kwallet", "libsecret"}
"""Modules of keyring.backends whose keyrings encrypt with what the user signs in with."""
_NAME = re.compile(r"[0-9a-f]{32}")


class Keyring(Protocol):
    """What is needed of a keyring; `keyring.backend.KeyringBackend` has it."""

    def get_password(self, service: str, username: str) -> str | None: ...
    def set_password(self, service: str, username: str, password: str) -> None: ...
    def delete_password(self, service: str, username: str) -> None: ...


def master_key(root: Path, *, in_use: bool, key_file: bool = False) -> bytes:
    """The master key of the vault in ``root``; made, and kept, when the vault has none yet.

    ``in_use``: something in the vault was sealed with it, so that it must not be made anew. ``key_file``: keep a new
    key in a file though there is a keyring. Raises VaultError when the key is gone or is none, and OSError.
    """
    path, pointer = root / FILE, root / POINTER
    if path.exists():
        key = path.read_bytes()
        with contextlib.suppress(OSError):  # copied by hand or unpacked, it may have become readable for others
            path.chmod(0o600)
        if len(key) != SIZE:
            raise VaultError("{file} is not a master key; put back the one this workspace was made with.", file=path)
        return key
    if pointer.exists():
        return _from_keyring(pointer)
    if in_use:
        raise VaultError(
            "{file} is missing, and the working copies cannot be read without it; put back a copy of it, or make a new "
            "workspace.",
            file=path,
        )
    key = secrets.token_bytes(SIZE)
    keyring = None if key_file else system_keyring()
    if keyring is not None and (name := _into_keyring(keyring, key)):
        files.write_new(pointer, name.encode() + b"\n")
    else:
        files.write_new(path, key)
    return key


def check(root: Path, key: bytes, *, in_use: bool, fits: Callable[[], bool]) -> None:
    """Refuse another key than the one with which things in the vault were sealed. Raises VaultError, and OSError.

    ``fits``: whether something in the vault opens with it; asked where the digest kept is none, or another one.
    """
    path, digest = root / CHECK, hashlib.sha256(b"lesveil master key" + key).hexdigest().encode()
    kept = path.read_bytes() if path.exists() else b""
    if kept == digest:
        return
    if not in_use or fits():
        files.write_over(path, digest)
    else:
        raise VaultError(
            "The master key of {folder} is not the one with which its working copies were sealed; put that one back.",
            folder=root,
        )


def system_keyring() -> Keyring | None:
    """The system's keyring when there is one that works and encrypts; None otherwise, without a word."""
    # The library logs why a backend does not work here; that there is none is no news.
    logging.getLogger("keyring").setLevel(logging.CRITICAL)
    try:
        import keyring

        chosen: Any = keyring.get_keyring()
        candidates = list(getattr(chosen, "backends", None) or [chosen])
        return next((one for one in candidates if _trusted(one)), None)
    except Exception:  # noqa: BLE001 - whatever a desktop's service throws: the key then goes into the file
        return None


def _trusted(backend: object) -> bool:
    module = type(backend).__module__
    return module.startswith("keyring.backends.") and module.split(".")[2] in _TRUSTED


def _into_keyring(keyring: Keyring, key: bytes) -> str | None:
    """Keep the key under a new name; None when it does not come back as it went in (locked, refused, read-only)."""
    name, text = secrets.token_hex(16), base64.b64encode(key).decode()
    try:
        keyring.set_password(SERVICE, name, text)
        if keyring.get_password(SERVICE, name) == text:
            return name
        keyring.delete_password(SERVICE, name)
    except Exception:  # noqa: BLE001 - nothing was sealed with it yet, so the key file is as good
        return None
    return None


def _from_keyring(pointer: Path) -> bytes:
    name = pointer.read_text(encoding="ascii", errors="replace").strip()
    keyring, text = system_keyring(), None
    if keyring is None:
        raise VaultError(
            "The key of {folder} is in a keyring, and none can be reached from here; do this on the machine and as the "
            "user that made the workspace, signed in (a scheduler must run it in that session: docs/unattended.md).",
            folder=pointer.parent,
        )
    if _NAME.fullmatch(name):
        try:
            text = keyring.get_password(SERVICE, name)
        except Exception as error:
            raise VaultError(
                "The system's keyring does not give the key of {folder} ({why}); unlock it and try again.",
                folder=pointer.parent,
                why=type(error).__name__,
            ) from error
    try:
        key = base64.b64decode(text or "", validate=True)
    except ValueError:
        key = b""
    if len(key) != SIZE:
        raise VaultError(
            "The key of {folder} is in the keyring of the user and machine that made it, and not here; work there, or"
            " make a new workspace.",
            folder=pointer.parent,
        )
    return key
