"""From the card into the vault: a copy counts only after it was read back and found equal.

The card is only read. Every byte that is read is hashed on its way into the vault, with SHA-256 for the ledger and
XXH128 for the manifest; the copy is then flushed, read from the disk again, decrypted and compared film by film. For
that XXH128 is enough: a changed copy would have to pass the authentication of every chunk first, and what is left are
accidents. What the ledger gets is the digests and names on the card of the films and their sidecars, so that the wipe
can later take exactly those.

The next take is read from the card while the last stretches of the one before it are still proved.

Interrupted anywhere, a second call goes on from the last chunk that can be believed, or from the reading back, and
finds a finished copy by a sample of the film.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import xxhash

from pipeline.adapters import files
from pipeline.adapters.card import CardClip
from pipeline.adapters.card_digests import Films, Read, changed, grew, hashed, sample_of
from pipeline.adapters.card_reader import CardReader, look
from pipeline.adapters.copies import (
    COPIED,
    KIND,
    Recorder,
    clip_of,
    digest_of,
    is_readable,
    recorded,
    source_of,
    written,
)
from pipeline.adapters.digests import WAITING, Digests
from pipeline.adapters.reread import Reread
from pipeline.adapters.sealed import CHUNK, sealed_size
from pipeline.adapters.vault import Vault
from pipeline.errors import (
    CardChangedError,
    CardError,
    CopyDiffersError,
    DiskFullError,
    LesveilError,
    NotAVideoError,
    OutputNotWritableError,
    VaultError,
)
from pipeline.records import Clip, Progress, no_progress

SPARE = 64 << 20
"""Bytes that stay free beside the copy, for the ledger and what else runs."""


Unread = Callable[[str, CardError], object]
"""Is told of a file by its path on the card, and why it cannot be read."""

_Beside = list[tuple[Path, os.stat_result, Read]]


def ingest_all(
    takes: Sequence[CardClip],
    vault: Vault,
    ledger: Recorder,
    progress: Callable[[CardClip], Progress] = lambda take: no_progress,
    card: str = "",
    unread: Unread = lambda path, error: None,
) -> Generator[tuple[CardClip, Clip | LesveilError | OSError]]:
    """Copy takes into the vault: each with its clip, or with why it is not there, in order.

    What one raises does not stop the others; whoever wants no more of them leaves off. A take is recorded as soon as it
    is proved, be it in the midst of the next. ``unread`` is told of each sidecar that cannot be read; its film is
    copied all the same.
    """
    with contextlib.ExitStack() as unfinished:
        before: _Begun | None = None
        for take in takes:
            begun = _Begun(take, _steps(take, vault, ledger, _meanwhile(progress(take), before), card, unread))
            unfinished.callback(begun.steps.close)
            begun.go_on()
            if before is not None:
                yield before.take, before.end()
            before = begun
        if before is not None:
            yield before.take, before.end()


def ingest(
    card_clip: CardClip, vault: Vault, ledger: Recorder, progress: Progress = no_progress, card: str = ""
) -> Clip:
    """Copy one take into the vault, verify the copy, record it; a take that is there already is found and returned.

    ``card`` tells this card from others. ``progress`` counts bytes under the stages "copy" and "verify". Raises
    CardError (the card cannot be read, a file changed or the copy differs), NotAVideoError (no bytes), DiskFullError,
    OutputNotWritableError.
    """
    ((_, outcome),) = ingest_all([card_clip], vault, ledger, lambda take: progress, card)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


_Steps = Generator[Reread, None, Clip]
"""Ingest as far as the end of the card's films, where it hands out the proof that is still under way; then the rest."""


@dataclass
class _Begun:
    """A take that was begun: what became of it, or the proof that it waits for."""

    take: CardClip
    steps: _Steps
    proof: Reread | None = None
    outcome: Clip | LesveilError | OSError | None = None

    def go_on(self) -> None:
        try:
            self.proof = next(self.steps)
        except StopIteration as done:
            self.outcome = cast(Clip, done.value)
        except (LesveilError, OSError) as error:  # the laptop's own disk may fail as well
            self.outcome = error

    def end(self) -> Clip | LesveilError | OSError:
        while self.outcome is None:
            self.go_on()
        return self.outcome


def _meanwhile(progress: Progress, before: _Begun | None) -> Progress:
    """``progress`` of a take, in which the one before is recorded as soon as it is proved."""

    def told(stage: str, done: int, total: int) -> None:
        progress(stage, done, total)
        if before is not None and before.proof is not None and before.proof.done:
            before.end()

    return told


def _steps(card_clip: CardClip, vault: Vault, ledger: Recorder, progress: Progress, card: str, told: Unread) -> _Steps:
    before = [look(path) for path in card_clip.paths]
    for path, found in zip(card_clip.paths, before, strict=True):
        if found.st_size == 0:
            raise NotAVideoError("{file} is empty, so there is nothing to copy; play it in the camera.", file=path)
    sizes = tuple(found.st_size for found in before)
    sample = sample_of(card_clip.paths, sizes)
    beside, unread = _beside(card_clip, told)
    entry, latest = recorded(card_clip, card, sizes, sample, vault, ledger)
    as_recorded = entry is not None and _is_as_recorded(entry.payload, card_clip, before, beside, unread)
    if entry is not None and as_recorded and latest and is_readable(entry, vault, ledger):
        sha256 = entry.payload["sha256"]
        return clip_of(card_clip.path, sha256[:16], sha256, sizes, vault)
    source = source_of(card_clip, card, before, sample)
    read = written(source, vault, ledger)
    if read is None and entry is not None:  # perhaps no more than its time of writing changed: that needs no room
        read = _still(entry.payload, card_clip)
    if read is not None and _holds(read, sizes, vault, progress):
        progress("verify", sum(sizes), sum(sizes))
        _refuse_changed(card_clip.paths, before)
    else:
        check_room(vault, card_clip.path, sum(sizes) - vault.unfinished(source[:32]))
        read = yield from _copy(card_clip, before, source, vault, ledger, progress)
    vault.forget(source[:32])  # a crash may have left a second name, and a second key, of the finished copy
    id = _record(card_clip, card, before, sample, read, beside, unread, ledger)
    return clip_of(card_clip.path, id, digest_of(read), sizes, vault)


def record_beside(
    card_clip: CardClip, card: str, rows: Sequence[dict[str, Any]], ledger: Recorder, told: Unread, anew: bool = False
) -> None:
    """Of a take that is not to be copied and was met on this card before: record where it lies and what lies beside its
    films now, where the last row about that place says otherwise, so that a wipe can take all of it; ``anew``: in any
    case. ``rows`` are what was recorded of this card so far, oldest first.

    Nothing is recorded where no row on this card is about these films, byte for byte. Raises CardError.
    """
    before = [look(path) for path in card_clip.paths]
    sample = sample_of(card_clip.paths, [found.st_size for found in before])
    first = card_clip.relative(card_clip.path)
    last = next((row for row in reversed(rows) if row["files"][0]["path"] == first), None)
    alike = [row for row in rows if row["sample"] == sample]  # under other names, too
    beside, unread = _beside(card_clip, told)
    if not alike:
        return
    as_it_lies = [row for row in alike if row is last]
    row = (as_it_lies or alike)[-1]
    if as_it_lies and not anew and _has_beside(row, card_clip, beside, unread):
        return
    read = _still(row, card_clip)
    if read is not None:
        _record(card_clip, card, before, row["sample"], read, beside, unread, ledger)


def _record(
    card_clip: CardClip,
    card: str,
    before: Sequence[os.stat_result],
    sample: str,
    read: Sequence[Read],
    beside: _Beside,
    unread: list[str],
    ledger: Recorder,
) -> str:
    """Leave the row of a take that was read as it lies on the card; the clip's id."""
    films = zip(card_clip.paths, before, read, strict=True)
    listed = [
        (_listed(card_clip, path, found, one.sha256, kind), _for_manifest(found, one.xxh128))
        for kind, each in (("video", films), ("sidecar", beside))
        for path, found, one in each
    ]
    row = {
        "card": card,
        "sha256": digest_of(read),
        "bytes": sum(found.st_size for found in before),
        "sample": sample,
        "verified": [one.sha256 for one in read],
        "files": [file for file, _ in listed],
        "listed": [entry for _, entry in listed],
        "unread": unread,
    }
    id = digest_of(read)[:16]
    ledger.append(KIND, id, row)
    return id


def _beside(card_clip: CardClip, told: Unread) -> tuple[_Beside, list[str]]:
    """The sidecars as they were read, and the paths on the card of those that cannot be: no film waits for them."""
    found: _Beside = []
    unread = []
    for path in card_clip.sidecars:
        try:
            found.append((path, *hashed(path)))
        except CardError as error:
            unread.append(card_clip.relative(path))
            told(unread[-1], error)
    return found, unread


def _is_as_recorded(
    row: dict[str, Any], card_clip: CardClip, before: Sequence[os.stat_result], beside: _Beside, unread: list[str]
) -> bool:
    """Whether nobody wrote to the films since that row, and it has the sidecars as they lie there now."""
    times = [
        more["modified"] for file, more in zip(row["files"], row["listed"], strict=True) if file["kind"] == "video"
    ]
    return times == [_modified(found) for found in before] and _has_beside(row, card_clip, beside, unread)


def _has_beside(row: dict[str, Any], card_clip: CardClip, beside: _Beside, unread: list[str]) -> bool:
    now = [_listed(card_clip, path, found, read.sha256, "sidecar") for path, found, read in beside]
    return bool(now == row["files"][len(card_clip.paths) :] and unread == row.get("unread", []))


def _still(row: dict[str, Any], card_clip: CardClip) -> list[Read] | None:
    """What is read in the films, if it is what that row says of them. Raises CardError."""
    read = [hashed(path)[1] for path in card_clip.paths]
    return read if digest_of(read) == row["sha256"] else None


def check_room(vault: Vault, path: Path, size: int) -> None:
    """Raise DiskFullError when ``size`` more bytes from ``path`` and `SPARE` do not fit into the vault any more."""
    free, needed = shutil.disk_usage(vault.root).free, sealed_size(max(0, size)) + SPARE
    if free < needed:
        raise DiskFullError(
            "There is no room for {file}: {needed} MB are needed and {free} MB are free; make room and try again.",
            file=path,
            needed=-(-needed // 1_000_000),
            free=free // 1_000_000,
        )


def _listed(card_clip: CardClip, path: Path, found: os.stat_result, sha256: str, kind: str) -> dict[str, Any]:
    return {"path": card_clip.relative(path), "bytes": found.st_size, "sha256": sha256, "kind": kind}


def _for_manifest(found: os.stat_result, xxh128: str) -> dict[str, str]:
    return {"xxh128": xxh128, "modified": _modified(found)}


def _modified(found: os.stat_result) -> str:
    return datetime.fromtimestamp(found.st_mtime, UTC).isoformat()


def _copy(
    card_clip: CardClip,
    before: Sequence[os.stat_result],
    source: str,
    vault: Vault,
    ledger: Recorder,
    progress: Progress,
) -> Generator[Reread, None, list[Read]]:
    """Write the films into the vault, one after the other, and read them back: what was read, and lies there proved.

    A copy of the same bytes that is there already is read back as well: if it holds them it is left, and else the new
    one takes its place, so that at no time there is none. Raises CardError.
    """
    sizes = [found.st_size for found in before]
    total = sum(sizes)
    buffers = itertools.cycle([memoryview(bytearray(files.BLOCK)) for _ in range(WAITING + 1)])
    with Digests() as digests:
        films = Films(sizes, digests)
        with vault.resumable(source[:32], films.feed) as copy, copy.reread(sizes) as reread:
            try:
                progress("copy", films.done, total)
                end = 0
                for path, found in zip(card_clip.paths, before, strict=True):
                    start, end = end, end + found.st_size
                    if films.done >= end:
                        continue
                    with CardReader(path, films.done - start) as card:
                        while block := card.readinto(next(buffers)):
                            if films.done + len(block) > end:
                                raise grew(path)
                            films.feed(block)
                            copy.write(block)
                            reread.advance(copy.chunks)
                            progress("copy", films.done, total)
                        if films.done != end or changed(found, card.look()):
                            raise grew(path)
                copy.finish()
                reread.ask_rest(copy.chunks)
                yield reread  # from here on the card may be pulled
                if reread.rest() != [one.xxh128 for one in films.read]:
                    raise _differs(card_clip.path)
                progress("verify", total, total)
                _refuse_changed(card_clip.paths, before)  # before it has a name: what is refused must not stay
                sha256 = digest_of(films.read)
                parts = [{"sha256": one.sha256, "xxh128": one.xxh128} for one in films.read]
                ledger.append(COPIED, sha256[:16], {"source": source, "sha256": sha256, "parts": parts})
                if vault.has(sha256[:16]) and _holds(films.read, sizes, vault, progress):
                    copy.discard()
                else:
                    copy.commit(sha256[:16], instead=vault.path(sha256[:16]).exists())
            except VaultError as error:
                reread.close()
                copy.discard()
                raise _differs(card_clip.path) from error
            except (CopyDiffersError, CardChangedError, DiskFullError, OutputNotWritableError):
                reread.close()
                copy.discard()  # of this nothing can be gone on with, or it only fills the disk
                raise
    return films.read


def _holds(read: Sequence[Read], sizes: Sequence[int], vault: Vault, progress: Progress) -> bool:
    """Whether the copy of these films that was written before can be read back, decrypted, and equals every one."""
    id = digest_of(read)[:16]
    found: list[str] = []
    try:
        files.drop_cache(vault.path(id))
        with vault.open(id) as copy:
            for size in sizes if copy.size == sum(sizes) else ():
                digest, left = xxhash.xxh128(), size
                while block := copy.read(min(left, CHUNK)):
                    digest.update(block)
                    left -= len(block)
                    progress("verify", copy.tell(), copy.size)
                found.append(digest.hexdigest())
    except (VaultError, OSError):
        return False
    return found == [one.xxh128 for one in read]


def _refuse_changed(paths: Sequence[Path], before: Sequence[os.stat_result]) -> None:
    """Raise CardChangedError when a film is not what it was. Of a card that was pulled all was read before."""
    for path, found in zip(paths, before, strict=True):
        try:
            now = look(path)
        except CardError:
            continue
        if changed(found, now):
            raise grew(path)


def _differs(path: Path) -> CopyDiffersError:
    return CopyDiffersError("The copy of {file} differs from the card and was destroyed; try again.", file=path)
