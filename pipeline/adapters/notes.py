"""Small secrets kept in the vault: the address of an upload that is under way, the tokens of a sign-in.

A note is replaced without a moment in which neither the old nor the new one is whole: each writing is a sealed file
with a number of its own, and the highest number counts.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pipeline.adapters.vault import Vault
from pipeline.errors import VaultError


class Note:
    """One secret, under a name of letters, digits and dashes."""

    def __init__(self, vault: Vault, name: str) -> None:
        self._vault = vault
        self.name = name
        self._pattern = re.compile(rf"note\.{re.escape(name)}\.(\d+)")
        self._prefix = f"note.{name}."

    def save(self, data: bytes) -> None:
        """Keep ``data`` from now on; what was kept before is destroyed."""
        before = self._numbers()
        name = f"{self._prefix}{(before[-1] if before else 0) + 1}"
        self._vault.destroy(name)  # half of one may be left, where a kill came between its key and its data
        with self._vault.writer() as writer:
            writer.write(data)
            writer.commit(name)
        self._destroy(before)

    def load(self) -> bytes | None:
        """What is kept, or None. Raises VaultError when it was changed."""
        numbers = self._numbers()
        if not numbers:
            return None
        with self._vault.open(f"{self._prefix}{numbers[-1]}") as reader:
            return reader.read()

    def saved_at(self) -> float | None:
        """When it was kept, in seconds since 1970; None when there is none."""
        numbers = self._numbers()
        return self._vault.path(f"{self._prefix}{numbers[-1]}").stat().st_mtime if numbers else None

    def destroy(self) -> None:
        """Keep nothing from now on."""
        self._destroy(self._numbers())

    def _destroy(self, numbers: list[int]) -> None:
        for number in numbers:
            self._vault.destroy(f"{self._prefix}{number}")

    def _numbers(self) -> list[int]:
        return sorted(int(match[1]) for id in self._vault.ids() if (match := self._pattern.fullmatch(id)))


def note_names(vault: Vault, prefix: str) -> list[str]:
    """The names of all notes that are kept whose name begins so."""
    found = (re.fullmatch(r"note\.(.+)\.\d+", id) for id in vault.ids())
    return sorted({match[1] for match in found if match and match[1].startswith(prefix)})


def load_document(note: Note) -> dict[str, Any] | None:
    """A note that holds one JSON object; None when there is none, or none that can be read: it is made anew then."""
    try:
        data = note.load()
        document = json.loads(data) if data else None
    except (VaultError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def save_document(note: Note, document: dict[str, Any]) -> None:
    """Keep one JSON object."""
    note.save(json.dumps(document).encode())
