"""Carrying out a wipe: exactly what was shown, once. What may be on a plan is said in `wipeable`.

Every file is checked again before the first is touched; an intent is written into the ledger before each and an
outcome after each; after any interruption `execute` can be repeated until the plan is done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.adapters.erase import Disk, Victim
from pipeline.adapters.fill import Filler
from pipeline.errors import WipeError
from pipeline.records import Progress, WipeItem, WipePlan, no_progress
from pipeline.wipeable import COPY, FREE_SPACE, GONE, NO_FILE, UNSEEN, digest_of, folded

BEGIN, INTENT, OVERWRITTEN, OUTCOME, END = (f"wipe_{w}" for w in ("begin", "intent", "overwritten", "outcome", "end"))
"""Ledger rows: ``{digest, card, whole, number, items}`` first (``unkept`` with it, if there is any), ``{digest, card,
path, sha256, kind}`` for each step of an item (``mark`` with it, if an earlier plan began to overwrite this file),
``{digest}`` last."""

CALLED_OFF = "wipe_called_off"
"""Ledger row: a plan that had begun will not be carried out to its end; where a person says so, ``by`` whom, and which
paths are ``half`` gone."""

PROMISE = (
    "The originals can no longer be read through the card's normal interface, and the keys of the working copies are"
    " destroyed; remnants inside the memory chip cannot be excluded. Format the card in the camera before its next use."
)
NOT_ALL_THERE = (
    "What was wiped can no longer be read through the card's normal interface; what was not on the card any more was"
    " not overwritten, and recovery may still find it (lesveil wipe --fill overwrites what is free). The keys of the"
    " working copies are destroyed. Format the card in the camera before its next use."
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
class Wiped:
    """What an execution came to. ``promise`` is a template for the person: no more is claimed than is so."""

    files: int
    copies: int
    bytes: int
    filled: bool = False
    promise: str = PROMISE


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


def unfinished(ledger: Recorder, card: str | None = None) -> WipePlan | None:
    """The last plan, of this card or of any, that was begun and did not come to its end, to be executed again as it
    was; else None."""
    return next((plan for plan in all_unfinished(ledger) if card in (None, plan.card)), None)


def all_unfinished(ledger: Recorder) -> Iterator[WipePlan]:
    """The plans that were begun and did not come to their ends, the last one first; a card has one at most."""
    ended = {entry.payload["digest"] for entry in ledger.entries(kind=END)}
    for entry in reversed(ledger.entries(kind=BEGIN)):
        held = entry.payload
        if held["digest"] not in ended and is_begun(ledger, held["digest"]):
            items = tuple(WipeItem(**item) for item in held["items"])
            unkept = tuple(held.get("unkept", ()))
            yield WipePlan(items, (), held["digest"], held["card"], held["whole"], held["number"], unkept)


def is_begun(ledger: Recorder, digest: str) -> bool:
    """Whether a plan was begun, and not called off since."""

    def latest(kind: str) -> int:
        return max((entry.seq for entry in ledger.entries(kind=kind) if entry.payload["digest"] == digest), default=0)

    return latest(BEGIN) > latest(CALLED_OFF)


def call_off(ledger: Recorder, digest: str, by: str = "") -> list[str]:
    """A plan that was begun is not carried out after all, so that what stopped it can be mended; while something is
    half gone, only if a person says so (``by``). What was done stays done.

    Returns the names of the files on the card of which something may be overwritten already.
    """
    half = _half_gone(ledger)
    mine = [row for row in half.values() if row["digest"] == digest]
    files = sorted(row["path"] for row in mine if row["kind"] not in NO_FILE)
    if is_begun(ledger, digest) and (by or not mine):
        ledger.append(CALLED_OFF, None, {"digest": digest} | ({"by": by, "half": files} if by else {}))
    return files


def _half_gone(ledger: Recorder) -> dict[tuple[str, str, str], dict[str, Any]]:
    """By (card, path, sha256): the intents, under whatever plan, that no outcome followed."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for entry in sorted((*ledger.entries(kind=INTENT), *ledger.entries(kind=OUTCOME)), key=lambda entry: entry.seq):
        key = (entry.payload["card"], entry.payload["path"], entry.payload["sha256"])
        found.pop(key, None)
        if entry.kind == INTENT:
            found[key] = entry.payload
    return found


def overwritten_only(ledger: Recorder, card: str) -> set[tuple[str, str]]:
    """(path, sha256) of the files on this card that were overwritten and, for all the ledger knows, not removed."""
    done = [entry.payload for entry in ledger.entries(kind=OVERWRITTEN) if entry.payload["card"] == card]
    marked = {(row["path"], row["sha256"], row.get("mark", row["digest"])) for row in done}
    return {
        (path, sha256)
        for (at, path, sha256), row in _half_gone(ledger).items()
        if at == card and (path, sha256, row.get("mark", row["digest"])) in marked
    }


def half_gone(ledger: Recorder, card: str) -> dict[tuple[str, str], str]:
    """Of the files on this card that a wipe began with and did not end, by (path, sha256): whose mark they bear."""
    return {
        (path, sha256): row.get("mark", row["digest"])
        for (at, path, sha256), row in _half_gone(ledger).items()
        if at == card
    }


def going(ledger: Recorder, clip: str) -> bool:
    """Whether a wipe that takes this clip's working copy was begun and did not come to its end."""
    return any(item.kind == COPY and item.path == clip for begun in all_unfinished(ledger) for item in begun.items)


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
    still: Callable[[], None] = lambda: None,
) -> Wiped:
    """Carry out ``plan`` on the card mounted at ``card``, which ``digest`` must name; once.

    ``tied`` lists per take on the card the names of all its files: one that is not planned beside one that is stops
    the wipe before it begins; so does, on the plan of a whole card, any file of ``everything`` that is not planned.
    ``in_place`` is False where files can only be deleted. ``still`` raises when something may not go after all; it is
    asked when all of the card was read, which takes minutes, and before anything goes. Raises WipeError; what was begun
    then is completed by calling this again.
    """
    if any(entry.payload["digest"] == digest for entry in ledger.entries(kind=END)):
        raise WipeError("The plan {digest} was carried out already; a plan works once.", digest=digest)
    if digest != plan.digest or digest_of(plan) != digest:
        raise WipeError("{digest} is not the plan that was shown; look at the plan again.", digest=digest)
    if not plan.items:
        raise WipeError("There is nothing to wipe.")
    disk = disk or Disk()
    at = card
    try:
        at = card.resolve(strict=True)
        filler = Filler(at, digest)
        done, victims = _inspect(plan, at, ledger, tied, everything, in_place, filler, progress)
        # what filled the disk comes first: it may be the ledger's own; a whole card's plan lists what others left
        called_off = [] if plan.whole else [row.payload["digest"] for row in ledger.entries(kind=CALLED_OFF)]
        for one in (digest, *called_off):
            Filler(at, one).clear(disk)
        if not is_begun(ledger, digest):
            still()
            begun = {"digest": digest, "card": plan.card, "whole": plan.whole, "number": plan.number}
            begun |= {"unkept": list(plan.unkept)} if plan.unkept else {}
            ledger.append(BEGIN, None, {**begun, "items": [asdict(item) for item in plan.items]})
            try:
                still()  # whoever sees that it has begun repairs nothing more (`going`)
            except BaseException:
                call_off(ledger, digest)
                raise
        for n, item in enumerate(plan.items):
            progress("wipe", n, len(plan.items))
            if item in done or item.kind == UNSEEN:
                continue
            row = {"digest": digest, "card": plan.card, "path": item.path, "sha256": item.sha256, "kind": item.kind}
            if item in victims and victims[item].digest != digest:
                row["mark"] = victims[item].digest
            clip = item.path if item.kind == COPY else None
            if item.kind != GONE:
                ledger.append(INTENT, clip, dict(row))
            if item.kind == COPY:
                vault.forget_unfinished()
                vault.destroy(item.path)
            elif item.kind == FREE_SPACE:
                filler.fill(disk, progress)
            elif item.kind != GONE:
                victims[item].overwrite(disk)
                ledger.append(OVERWRITTEN, clip, dict(row))
                victims[item].remove(disk)
            ledger.append(OUTCOME, clip, dict(row))
        promise = _promise(plan, in_place)
        ledger.append(END, None, {"digest": digest, "promise": promise})
    except OSError as error:
        raise WipeError(
            "{file} could not be wiped: {why}; the plan is not done: repeat the command.",
            file=error.filename or at,
            why=error.strerror,
        ) from error
    progress("wipe", len(plan.items), len(plan.items))
    files = [item for item in plan.items if item.kind not in NO_FILE]
    return Wiped(
        len(files),
        sum(item.kind == COPY for item in plan.items),
        sum(item.bytes for item in files),
        any(item.kind == FREE_SPACE for item in plan.items),
        promise,
    )


def _promise(plan: WipePlan, in_place: bool) -> str:
    if not in_place:
        return DELETED_ONLY
    kinds = {item.kind for item in plan.items}
    lacks = UNSEEN in kinds or (GONE in kinds and FREE_SPACE not in kinds)
    return NOT_ALL_THERE if lacks else PROMISE


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
    """Check every item before any is touched; those that are done, and how to erase the others.

    A file that an earlier plan began to overwrite bears the mark of that plan, which was called off.
    """
    ended = [e.payload for e in ledger.entries(kind=OUTCOME) if e.payload["digest"] == plan.digest]
    gone = {(row["path"], row["sha256"]) for row in ended}
    done = {item for item in plan.items if (item.path, item.sha256) in gone}
    half = half_gone(ledger, plan.card)
    overwritten = overwritten_only(ledger, plan.card)
    on_card = [item for item in plan.items if item.kind not in NO_FILE]
    victims = {
        i: Victim(card, i.path, i.bytes, i.sha256, half.get((i.path, i.sha256), plan.digest), in_place) for i in on_card
    }
    planned = {folded(item.path) for item in victims}
    for take in tied(card):
        names = {folded(name): name for name in take}
        if names.keys() & planned and (new := sorted(names.keys() - planned)):
            raise WipeError(
                "{file} appeared since the plan; do lesveil run, then look at lesveil wipe again.",
                file=card / names[new[0]],
            )
    if plan.whole:
        ours = {victim.neutral for victim in victims.values()} | set(filler.leftovers())
        for name in everything(card):
            if folded(name) not in planned and card / name not in ours:
                raise WipeError(
                    "{file} appeared since the plan; do lesveil run, then look at lesveil wipe again.", file=card / name
                )
    for item, victim in victims.items():
        if item not in done:
            victim.check_access()
    for n, (item, victim) in enumerate(victims.items()):
        progress("recheck", n, len(victims))
        if item in done:
            victim.check_gone()
        else:
            row = (item.path, item.sha256)
            victim.check(row in half, row in overwritten)
    return done, victims
