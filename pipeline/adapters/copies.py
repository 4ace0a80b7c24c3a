"""What the ledger and the vault know of copies: which are proved, which wait for their card, which nobody claims."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from pipeline.adapters import files
from pipeline.adapters.card import CardClip
from pipeline.adapters.card_digests import Read, sample_of
from pipeline.adapters.card_reader import look
from pipeline.adapters.sealed import CHUNK
from pipeline.adapters.vault import PATIENCE, Vault
from pipeline.errors import VaultError
from pipeline.records import Clip

KIND = "ingest"
"""Rows that say that a take was copied and proved: ``{card, sha256, bytes, sample, verified, files, listed, unread}``,
each of ``files`` with its ``{path, bytes, sha256, kind}``.

Paths are as on the card, films first, in order; ``verified`` are the SHA-256 of the films whose bytes were found again
in the copy; ``listed`` has XXH128 and time of writing of every file, for the manifest; ``unread`` are the paths of the
sidecars that could not be read, and are not among the files.
"""
COPIED = "copied"
"""Rows that say that a copy was written and awaits being read back: ``{source, sha256, parts}``."""
CARD, CARD_READ = "card", "card_read"
"""Rows that say that a run began to read a card (``{folder, card, size, registered}``, the size in bytes of its volume,
0 where nothing tells), and that it came to the end of it (``{card, since, elsewhere}``, the number of that first row,
and the sizes in bytes of the films there that it does not copy, as they lie outside of the camera's folders or in a
bin)."""
CARD_GONE, FILM_GONE, FILM_BACK = "card_gone", "film_gone", "film_back"
"""Rows in which a person (``by``) says that a card, or what of a clip lay on cards, is gone: lost, formatted, deleted
or under another name now; ``{card, by}``, and ``{files, by}`` with ``[card, path, sha256]`` of each file. The last says
of such files that a run saw them on their card after all: ``{files}``."""
FAILURE = "failure"
"""Rows that say why a clip could not be gone on with: ``{clip, error, ...}``."""


class Recorder(Protocol):
    """What ingest asks of the ledger: entries have the ``payload`` that was appended, the ``clip`` it is about, ``at``
    what time, and a ``seq`` that grows."""

    def append(self, kind: str, clip: str | None, payload: dict[str, Any]) -> object: ...

    def entries(self, kind: str | None = None, clip: str | None = None) -> Sequence[Any]: ...


def lacking(card_clip: CardClip, card: str, vault: Vault, ledger: Recorder) -> int | None:
    """Bytes of this take that are yet to be written into the vault, so far as a glance tells; None where it seems to
    have its recorded copy. Raises CardError."""
    before = [look(path) for path in card_clip.paths]
    sizes = [found.st_size for found in before]
    sample = sample_of(card_clip.paths, sizes)
    entry, _ = recorded(card_clip, card, sizes, sample, vault, ledger)
    if entry is not None and is_readable(entry, vault, ledger):
        return None
    source = source_of(card_clip, card, before, sample)
    if entry is None and written(source, vault, ledger) is not None:
        return 0
    return max(0, sum(sizes) - vault.unfinished(source[:32]))


def met_before(card_clip: CardClip, ledger: Recorder) -> set[str]:
    """The ids of the clips that were copied from films like these, on whatever card. Raises CardError."""
    sizes = tuple(look(path).st_size for path in card_clip.paths)
    sample = sample_of(card_clip.paths, sizes) if all(sizes) else ""
    return {str(row.clip) for row in ledger.entries(kind=KIND) if row.payload.get("sample") == sample}


def forget_unrecorded(vault: Vault, ledger: Recorder) -> list[str]:
    """Destroy copies that were proved long ago and never recorded, as their card did not come back: no clip is theirs.

    Returns their ids. Like an interrupted copy they wait for `vault.PATIENCE` first.
    """
    long_ago = datetime.now(UTC) - timedelta(seconds=PATIENCE)
    recorded = {row.clip for row in ledger.entries(kind=KIND)}
    proved = {row.clip: datetime.fromisoformat(row.at) for row in ledger.entries(kind=COPIED)}
    gone = [id for id, at in proved.items() if at < long_ago and id not in recorded and vault.has(id)]
    for id in gone:
        vault.destroy(id)
    return gone


def clip_name(path: Path, id: str) -> str:
    """What the clip is called from here on: the camera's name and enough of the id to keep two cards apart."""
    return f"{files.safe_name(path.stem)}-{id[:6]}"


def digest_of(read: Sequence[Read]) -> str:
    """The take's SHA-256: that of its one film, or of the digests of its films in order."""
    if len(read) == 1:
        return read[0].sha256
    return hashlib.sha256("\n".join(one.sha256 for one in read).encode()).hexdigest()


def clip_of(path: Path, id: str, sha256: str, sizes: tuple[int, ...], vault: Vault) -> Clip:
    """The clip of a take whose first film was at ``path`` on the card and whose films have these sizes."""
    return Clip(id, clip_name(path, id), vault.path(id), sha256, sum(sizes), sizes)


def recorded(
    card_clip: CardClip, card: str, sizes: Sequence[int], sample: str, vault: Vault, ledger: Recorder
) -> tuple[Any | None, bool]:
    """The latest row of `KIND` about films of these names, sizes and sample on this card, if the vault has the copy;
    and whether nothing later says that one of this row's files is not there any more: another took its place, or a
    person said so (`given_up`)."""
    films = [(card_clip.relative(path), size) for path, size in zip(card_clip.paths, sizes, strict=True)]
    later: set[str] = set()
    for entry in reversed(ledger.entries(kind=KIND)):
        held = entry.payload
        if held["card"] != card:
            continue
        paths = {file["path"] for file in held["files"]}
        named = [(file["path"], file["bytes"]) for file in held["files"] if file["kind"] == "video"]
        if (held["sample"], named) == (sample, films) and vault.has(held["sha256"][:16]):
            return entry, paths.isdisjoint(later) and not given_up(ledger, [entry])
        later |= paths
    return None, False


def given_up(ledger: Recorder, ingests: Iterable[Any]) -> dict[tuple[str, str, str], Any]:
    """By (card, path, sha256), of the files that these rows of `KIND` name: the row in which somebody said since then
    that it is gone. Nobody saw what became of it."""
    said = [row for kind in (CARD_GONE, FILM_GONE, FILM_BACK) for row in ledger.entries(kind=kind)]
    said.sort(key=lambda row: int(row.seq))
    found: dict[tuple[str, str, str], Any] = {}
    for row in ingests if said else ():
        for file in row.payload["files"]:
            key = (row.payload["card"], file["path"], file["sha256"])
            found.pop(key, None)
            for one in said:
                names = one.payload.get("files", ())
                if one.seq > row.seq and (one.payload.get("card") == key[0] or list(key) in names):
                    found[key] = one
            if key in found and found[key].kind == FILM_BACK:
                del found[key]
    return found


def is_readable(entry: Any, vault: Vault, ledger: Recorder) -> bool:
    """Whether the copy of this row can be opened; one that could not be read since is read to its end."""
    id = entry.payload["sha256"][:16]
    broken = _found_broken(id, entry, ledger)
    try:
        with vault.open(id) as copy:  # the key fits and the end is there
            while broken and copy.read(CHUNK):
                pass  # each chunk is authenticated
    except (VaultError, OSError):
        return False  # it is copied anew, and stays until that is proved: the card, too, may fail
    return True


def _found_broken(id: str, ingested: Any, ledger: Recorder) -> bool:
    """Whether the copy could not be read to its end since it was made."""
    return any(
        row.seq > ingested.seq and (row.payload.get("clip"), row.payload["error"]) == (id, VaultError.__name__)
        for row in ledger.entries(kind=FAILURE)
    )


def source_of(card_clip: CardClip, card: str, before: Sequence[os.stat_result], sample: str) -> str:
    """Names exactly these files, so that an interrupted copy is gone on with from no others."""
    digest = hashlib.sha256(f"{card}\0{sample}".encode(errors="surrogatepass"))
    for path, found in zip(card_clip.paths, before, strict=True):
        digest.update(f"\0{card_clip.relative(path)}\0{found.st_mtime_ns}".encode(errors="surrogatepass"))
    return digest.hexdigest()


def written(source: str, vault: Vault, ledger: Recorder) -> list[Read] | None:
    """What was read when an earlier call wrote this copy whole, and was interrupted before it was recorded."""
    for entry in reversed(ledger.entries(kind=COPIED)):
        if entry.payload["source"] == source and vault.has(entry.payload["sha256"][:16]):
            return [Read(part["sha256"], part["xxh128"]) for part in entry.payload["parts"]]
    return None
