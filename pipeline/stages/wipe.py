"""Planning and carrying out the wipe: exactly what was shown, once, and only where the whole chain holds.

`plan` is pure. `execute` checks every file again before it touches the first, writes an intent into the ledger
before each and an outcome after each, and can be repeated after any interruption until the plan is done.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from pipeline.adapters.erase import Disk, Victim
from pipeline.adapters.fill import Filler
from pipeline.errors import WipeError
from pipeline.records import Progress, WipeItem, WipePlan, no_progress

BEGIN, INTENT, OVERWRITTEN, OUTCOME, END = (f"wipe_{w}" for w in ("begin", "intent", "overwritten", "outcome", "end"))
"""Ledger rows: ``{digest, card, whole, number, items}`` first, ``{digest, card, path, sha256, kind}`` for each step of
an item, ``{digest}`` last."""

COPY = "working_copy"
"""The kind of item whose path is a clip's id: its key is destroyed, then its data, with all that was made from it."""

FREE_SPACE = "free_space"
"""The kind of the one item that stands for everything on the card that belongs to no file."""

OTHER = "other"
"""The kind of a file that belongs to no film, on the plan of a whole card."""

PROMISE = (
    "The originals can no longer be read through the card's normal interface, and the keys of the working copies are"
    " destroyed; remnants inside the memory chip cannot be excluded. Format the card in the camera before its next use."
)
DELETED_ONLY = (
    "This camera can only be told to delete its files, not to overwrite them: they are gone from its list, and"
    " recovery may still find them. The keys of the working copies are destroyed. Format the memory in the camera"
    " before its next use."
)


class Recorder(Protocol):
    """What the wipe asks of the ledger: entries have a ``payload``, the dict that was appended."""

    def append(self, kind: str, clip: str | None, payload: dict[str, Any]) -> object: ...

    def entries(self, kind: str | None = None, clip: str | None = None) -> Sequence[Any]: ...


class Copies(Protocol):
    """What the wipe asks of the vault."""

    def destroy(self, id: str) -> None: ...

    def forget_unfinished(self) -> None: ...


@dataclass(frozen=True)
class Source:
    """One file of a clip on the card. ``path`` is its name there, with slashes; ``kind`` is video or sidecar."""

    path: str
    bytes: int
    sha256: str
    kind: str


@dataclass(frozen=True)
class Chain:
    """What the ledger knows of one clip. A link is None or False until it is proven; digests are SHA-256 in hex."""

    clip: str
    copied: str | None
    """Of the working copy as it was read back; equal to that of the film on the card."""
    bytes: int
    files: tuple[Source, ...]
    """Those on the card that is to be wiped."""
    verified: tuple[str, ...] = ()
    """Of the films as they were read back from the working copy; by default its one film's."""
    rendered: str | None = None
    checked: str | None = None
    """Of the rendering whose check passed."""
    approved: str | None = None
    delivered: str | None = None
    archived: bool = False
    """Whether that delivery is to a target that may permit a wipe."""
    consent: bool = False
    """Whether what the rendering shows is still consented to today."""
    deleted: bool = False
    """Whether the clip was deleted on purpose, everywhere: nothing of it is to be kept, so nothing of it need be."""


@dataclass(frozen=True)
class Wiped:
    """What an execution came to. ``promise`` is a template for the person: no more is claimed than is so."""

    files: int
    copies: int
    bytes: int
    filled: bool = False
    promise: str = PROMISE


def sources_of(payloads: Iterable[dict[str, Any]], card: str | None = None) -> tuple[Source, ...]:
    """The files of one clip from its ingest rows, in order: of a film that was met again, the later row counts.

    ``card`` chooses those on one card; None takes all.
    """
    latest = {(p["card"], p["files"][0]["path"]): p["files"] for p in payloads if card in (None, p["card"])}
    return tuple(Source(**file) for listed in latest.values() for file in listed)


def missing_link(chain: Chain) -> str | None:
    """The first thing that is not proven about a clip, as a reason for people; None when the whole chain holds."""
    videos = {file.sha256 for file in chain.files if file.kind == "video"}
    if chain.copied is None or videos != set(chain.verified or (chain.copied,)):
        return "there is no verified copy"
    if chain.deleted:
        return None
    if chain.rendered is None:
        return "it was not rendered"
    if chain.checked != chain.rendered:
        return "the rendering did not pass its check"
    if chain.approved != chain.rendered:
        return "the rendering was not approved"
    if chain.delivered != chain.rendered:
        return "what was approved did not verifiably arrive"
    if not chain.archived:
        return (
            "it was delivered to a folder that was not the archive (if it is: folder_is_the_archive = true in"
            " lesveil.toml, then lesveil deliver)"
        )
    if not chain.consent:
        return "consent is no longer in force"
    return None


def plan(
    chains: Iterable[Chain],
    wiped: Collection[tuple[str, str]] = (),
    *,
    card: str = "",
    number: int = 0,
    fill: bool = False,
    everything: Iterable[Source] | None = None,
) -> WipePlan:
    """What may be wiped from one card: all files of the clips whose chain holds, then their working copies. Pure.

    ``wiped`` are the (path, sha256) of earlier outcomes (see `wiped_since`); a clip of which nothing is left is not
    mentioned. A file that two clips name goes only when both chains hold and agree on it. ``fill`` adds the free space.
    ``everything`` lists all files on the card and makes it the plan of the whole card: with one clip that must stay,
    nothing goes; a film (kind "video") that no chain names must stay.
    """
    everyone = list(chains)
    refused = {chain.clip: reason for chain in everyone if (reason := _reason(chain)) is not None}
    claims: dict[str, set[tuple[str, Source]]] = defaultdict(set)
    for chain in everyone:
        for file in chain.files:
            claims[_folded(file.path)].add((chain.clip, file))
    shared = [owners for owners in claims.values() if len(owners) > 1]
    before = -1
    while len(refused) != before:  # a refusal may spread over several shared files
        before = len(refused)
        for owners in shared:
            if len({file for _, file in owners}) > 1 or any(clip in refused for clip, _ in owners):
                for clip, file in owners:
                    refused.setdefault(clip, f"{file.path} belongs to a clip that stays")
    items: set[WipeItem] = set()
    for chain in everyone:
        if chain.clip not in refused and chain.copied is not None:
            items |= {WipeItem(file.path, file.bytes, file.sha256, file.kind) for file in chain.files}
            items.add(WipeItem(chain.clip, chain.bytes, chain.copied, COPY))
    for file in everything or ():
        claimed = {source for _, source in claims.get(_folded(file.path), ())}
        if file.kind == "video" and file.sha256 not in {source.sha256 for source in claimed}:
            refused.setdefault(file.path, "it was never copied from this card")
        elif not claimed:
            items.add(WipeItem(file.path, file.bytes, file.sha256, OTHER))
    if everything is not None and refused:
        items = set()
    todo = [item for item in items if item.kind == OTHER or (item.path, item.sha256) not in wiped]
    if fill and not (everything is not None and refused):
        todo.append(WipeItem("*", 0, "", FREE_SPACE))
    left = tuple(sorted(todo, key=lambda item: (item.kind == COPY, item.kind == FREE_SPACE, item.path, item.bytes)))
    whole = everything is not None
    digest = digest_of(left, card, whole, number)
    return WipePlan(left, tuple(sorted(refused.items())), digest, card, whole, number)


def digest_of(items: Sequence[WipeItem], card: str = "", whole: bool = False, number: int = 0) -> str:
    """SHA-256 of the plan as canonical JSON: names exactly what goes, from which card, and as which plan."""
    text = [card, whole, number, [asdict(item) for item in items]]
    return hashlib.sha256(json.dumps(text, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def wiped_since(ledger: Recorder, ingests: Iterable[Any]) -> set[tuple[str, str, str]]:
    """(card, path, sha256) of what these ingest rows name and what was wiped after the latest; of copies, card ""."""
    last: dict[tuple[str, str, str], int] = {}
    for row in ledger.entries(kind=OUTCOME):
        card = "" if row.payload["kind"] == COPY else row.payload["card"]
        last[card, row.payload["path"], row.payload["sha256"]] = row.seq
    copied: dict[tuple[str, str, str], int] = {}
    for row in ingests:
        held = row.payload
        keys = [(held["card"], file["path"], file["sha256"]) for file in held["files"]]
        for key in (*keys, ("", held["sha256"][:16], held["sha256"])):
            copied[key] = max(row.seq, copied.get(key, 0))
    return {key for key, seq in copied.items() if last.get(key, 0) > seq}


def plans_done(ledger: Recorder) -> int:
    """How many plans were carried out to their end."""
    return len(ledger.entries(kind=END))


def unfinished(ledger: Recorder) -> WipePlan | None:
    """The last plan that was begun and did not come to its end, to be executed again as it was; else None."""
    ended = {entry.payload["digest"] for entry in ledger.entries(kind=END)}
    for entry in reversed(ledger.entries(kind=BEGIN)):
        held = entry.payload
        if held["digest"] not in ended:
            items = tuple(WipeItem(**item) for item in held["items"])
            return WipePlan(items, (), held["digest"], held["card"], held["whole"], held["number"])
    return None


def execute(
    plan: WipePlan,
    digest: str,
    card: Path,
    ledger: Recorder,
    vault: Copies,
    *,
    tied: Callable[[Path], Iterable[Collection[str]]],
    everything: Callable[[Path], Iterable[str]] = lambda _: (),
    in_place: bool = True,
    disk: Disk | None = None,
    progress: Progress = no_progress,
) -> Wiped:
    """Carry out ``plan`` on the card mounted at ``card``, which ``digest`` must name; once.

    ``tied`` lists per take on the card the names of all its files: one that is not planned beside one that is stops
    the wipe before it begins; so does, on the plan of a whole card, any file of ``everything`` that is not planned.
    ``in_place`` is False where files can only be deleted. Raises WipeError; what was begun then is completed by
    calling this again.
    """
    if any(entry.payload["digest"] == digest for entry in ledger.entries(kind=END)):
        raise WipeError("The plan {digest} was carried out already; a plan works once.", digest=digest)
    if digest != plan.digest or digest_of(plan.items, plan.card, plan.whole, plan.number) != digest:
        raise WipeError("{digest} is not the plan that was shown; look at the plan again.", digest=digest)
    if not plan.items:
        raise WipeError("There is nothing to wipe.")
    disk = disk or Disk()
    at = card
    try:
        at = card.resolve(strict=True)
        filler = Filler(at, digest)
        done, victims = _inspect(plan, at, ledger, tied, everything, in_place, filler, progress)
        if not any(entry.payload["digest"] == digest for entry in ledger.entries(kind=BEGIN)):
            begun = {"digest": digest, "card": plan.card, "whole": plan.whole, "number": plan.number}
            ledger.append(BEGIN, None, {**begun, "items": [asdict(item) for item in plan.items]})
        for n, item in enumerate(plan.items):
            progress("wipe", n, len(plan.items))
            if item in done:
                continue
            row = {"digest": digest, "card": plan.card, "path": item.path, "sha256": item.sha256, "kind": item.kind}
            clip = item.path if item.kind == COPY else None
            ledger.append(INTENT, clip, dict(row))
            if item.kind == COPY:
                vault.forget_unfinished()
                vault.destroy(item.path)
            elif item.kind == FREE_SPACE:
                filler.fill(disk, progress)
            else:
                victims[item].overwrite(disk)
                ledger.append(OVERWRITTEN, clip, dict(row))
                victims[item].remove(disk)
            ledger.append(OUTCOME, clip, dict(row))
        ledger.append(END, None, {"digest": digest, "promise": PROMISE if in_place else DELETED_ONLY})
    except OSError as error:
        raise WipeError(
            "{file} could not be wiped: {why}; the plan is not done: repeat the command.",
            file=error.filename or at,
            why=error.strerror,
        ) from error
    progress("wipe", len(plan.items), len(plan.items))
    files = [item for item in plan.items if item.kind not in (COPY, FREE_SPACE)]
    return Wiped(
        len(files),
        sum(item.kind == COPY for item in plan.items),
        sum(item.bytes for item in files),
        any(item.kind == FREE_SPACE for item in plan.items),
        PROMISE if in_place else DELETED_ONLY,
    )


def _inspect(
    plan: WipePlan,
    card: Path,
    ledger: Recorder,
    tied: Callable[[Path], Iterable[Collection[str]]],
    everything: Callable[[Path], Iterable[str]],
    in_place: bool,
    filler: Filler,
    progress: Progress,
) -> tuple[set[WipeItem], dict[WipeItem, Victim]]:
    """Check every item before any is touched; those that are done, and how to erase the others."""

    def written(kind: str) -> set[tuple[str, str]]:
        rows = [e.payload for e in ledger.entries(kind=kind) if e.payload["digest"] == plan.digest]
        return {(row["path"], row["sha256"]) for row in rows}

    begun, overwritten, ended = written(INTENT), written(OVERWRITTEN), written(OUTCOME)
    done = {item for item in plan.items if (item.path, item.sha256) in ended}
    on_card = [item for item in plan.items if item.kind not in (COPY, FREE_SPACE)]
    victims = {i: Victim(card, i.path, i.bytes, i.sha256, plan.digest, in_place) for i in on_card}
    planned = {_folded(item.path) for item in victims}
    for take in tied(card):
        names = {_folded(name): name for name in take}
        if names.keys() & planned and (new := sorted(names.keys() - planned)):
            raise WipeError("{file} appeared since the plan; make a new plan.", file=card / names[new[0]])
    if plan.whole:
        ours = {victim.neutral for victim in victims.values()} | set(filler.leftovers())
        for name in everything(card):
            if _folded(name) not in planned and card / name not in ours:
                raise WipeError("{file} appeared since the plan; make a new plan.", file=card / name)
    for n, (item, victim) in enumerate(victims.items()):
        progress("recheck", n, len(victims))
        if item in done:
            victim.check_gone()
        else:
            row = (item.path, item.sha256)
            victim.check(row in begun, row in overwritten)
    return done, victims


def _reason(chain: Chain) -> str | None:
    for file in chain.files:
        parts = PurePosixPath(file.path).parts
        if not parts or file.path != "/".join(parts) or {"..", "."} & set(parts) or set("\\:\0") & set(file.path):
            return f"{file.path!r} is not a file on the card"
        if file.kind == COPY:
            return f"{file.path!r} is named as a working copy"
    return missing_link(chain)


def _folded(path: str) -> str:
    """The card's own idea of the same name: FAT knows no case."""
    return unicodedata.normalize("NFC", path).casefold()
