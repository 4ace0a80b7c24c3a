"""Where the tokens of a sign-in are kept: encrypted by the system, else sealed in the workspace's vault."""

from __future__ import annotations

import sys
from pathlib import Path

from msal_extensions.persistence import (
    BasePersistence,
    FilePersistenceWithDataProtection,
    KeychainPersistence,
    LibsecretPersistence,
    PersistenceNotFound,
)

from pipeline.adapters.notes import Note
from pipeline.adapters.vault import Vault
from pipeline.errors import VaultError


def persistence(vault: Vault, name: str) -> BasePersistence:
    """The keeping of the cache ``name``; never one that writes in the clear."""
    return _system_persistence(vault.root, name) or VaultPersistence(vault, name)


class VaultPersistence(BasePersistence):  # type: ignore[misc]
    """A token cache sealed in the workspace's vault, for systems without a keyring."""

    is_encrypted = True

    def __init__(self, vault: Vault, name: str) -> None:
        self._note = Note(vault, name)
        self._location = str(vault.root / name)

    def save(self, content: str) -> None:
        self._note.save(content.encode())

    def load(self) -> str:
        try:
            data = self._note.load()
        except VaultError:
            data = None  # a cache that cannot be read is no cache: the person signs in again
        if data is None:
            raise PersistenceNotFound(location=self._location)
        return data.decode()

    def time_last_modified(self) -> float:
        saved = self._note.saved_at()
        if saved is None:
            raise PersistenceNotFound(location=self._location)
        return saved

    def get_location(self) -> str:
        return self._location

    def destroy(self) -> None:
        self._note.destroy()


def _system_persistence(folder: Path, name: str) -> BasePersistence | None:
    """The system's own encrypted keeping, tried before it is trusted; None where there is none."""
    at = str(folder / f"{name}.bin")
    try:
        if sys.platform == "win32":
            return FilePersistenceWithDataProtection(at)
        if sys.platform == "darwin":
            return KeychainPersistence(at, "lesveil", name)
        return LibsecretPersistence(at, schema_name="lesveil", attributes={"cache": name})
    except Exception:  # noqa: BLE001 - D-Bus has its own errors; whatever is wrong, the vault keeps the tokens
        return None
