"""What may be wiped from a card, and the plan of it: exactly what is shown, and only where the whole chain holds. Pure.

Who carries a plan out is `stages/wipe.py`; what the ledger knows of each clip is collected by `lesson/wipe.py`.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from pipeline.records import WipeItem, WipePlan

COPY = "working_copy"
"""The kind of item whose path is a clip's id: its key is destroyed, then its data, with all that was made from it."""

FREE_SPACE = "free_space"
"""The kind of the one item that stands for everything on the card that belongs to no file."""

OTHER = "other"
"""The kind of a file that belongs to no film, on the plan of a whole card."""

GONE = "gone"
"""The kind of a file that is not on the card any more, though no wipe took it: nothing is to be done but to say so."""

UNSEEN = "unseen"
"""The kind of a file of which somebody said that it is gone, and of which nobody saw it: no wipe is told of it."""

NO_FILE = (COPY, FREE_SPACE, GONE, UNSEEN)
"""The kinds of items that stand for no file on the card."""


NOT_HERE = (
    "its film is not on this card, perhaps on another of that name (if it was deleted: lesveil wipe --gone CLIP --by"
    " NAME)"
)
"""Why a clip stays that is not on the card, where another card may bear its name."""


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
    waits: bool = False
    """Whether a repair of it is not rendered yet."""
    consent: bool = False
    """Whether what the rendering shows is still consented to today."""
    unread: bool = False
    """Whether a file beside its film on that card could not be read, and so is not among the files."""
    deleted: bool = False
    """Whether the clip was deleted on purpose, everywhere: nothing of it is to be kept, so nothing of it need be."""


def sources_of(payloads: Iterable[dict[str, Any]], card: str | None = None) -> tuple[Source, ...]:
    """The files of one clip from its ingest rows, in order: of a film that was met again, the later row counts.

    ``card`` chooses those on one card; None takes all.
    """
    return tuple(Source(**file) for row in latest(payloads, card) for file in row["files"])


def lacks_sidecar(payloads: Iterable[dict[str, Any]], card: str) -> bool:
    """Whether by the same rows something beside its film could not be read on this card."""
    return any(row.get("unread") for row in latest(payloads, card))


def latest(payloads: Iterable[dict[str, Any]], card: str | None = None) -> list[dict[str, Any]]:
    """Of one clip's ingest rows those that count, one for each place on a card where its film lay."""
    return list({(p["card"], p["files"][0]["path"]): p for p in payloads if card in (None, p["card"])}.values())


def missing_link(chain: Chain) -> str | None:
    """The first thing that is not proven about a clip, as a reason for people; None when the whole chain holds."""
    videos = {file.sha256 for file in chain.files if file.kind == "video"}
    if chain.copied is None or videos != set(chain.verified or (chain.copied,)):
        return "there is no verified copy"
    if chain.unread:
        return "a file beside its film could not be read (lesveil run with its card tries again)"
    if chain.deleted:
        return None
    if chain.rendered is None:
        return "it was not rendered"
    if chain.waits:
        return "it has repairs that are not rendered yet (lesveil repairs)"
    if chain.checked != chain.rendered:
        return "the rendering did not pass its check"
    if chain.approved != chain.rendered:
        return "the rendering was not approved"
    if chain.delivered is None:
        return "it is not delivered yet, or was taken away again"
    if chain.delivered != chain.rendered:
        return "what was approved did not verifiably arrive"
    if not chain.archived:
        return (
            "it was delivered to a folder that was not the archive (if it is: folder_is_the_archive = true in"
            " lesveil.toml, then lesveil deliver)"
        )
    if not chain.consent:
        return "it shows somebody who may not be shown any more"
    return None


def plan(
    chains: Iterable[Chain],
    wiped: Collection[tuple[str, str]] = (),
    gone: Collection[tuple[str, str]] = (),
    given_up: Collection[tuple[str, str]] = (),
    moved: Mapping[tuple[str, str], str] = MappingProxyType({}),
    *,
    card: str = "",
    number: int = 0,
    fill: bool = False,
    everything: Iterable[Source] | None = None,
    sure: bool = True,
) -> WipePlan:
    """What may be wiped from one card: all files of the clips whose chain holds, then their working copies. Pure.

    ``wiped`` are the (path, sha256) of earlier outcomes (see `wiped_since`); a clip of which nothing is left is not
    mentioned. ``gone`` are those that are not on the card any more for another reason; unless it is ``sure`` that
    this is the card they were on, their clips stay. ``given_up`` are those of which that is not sure, and of which
    somebody said so: a clip of which nothing else is left is not mentioned either. None of these says anything of what
    lies under that name now. ``moved`` are those of ``gone`` that lie on the card under another name, which is given,
    and that no run read: their clips stay. A file that two clips name goes only when both chains hold and agree on it.
    ``fill`` adds the free space.
    ``everything`` lists all files on the card and makes it the plan of the whole card: with one clip on it that
    must stay, nothing goes; a film (kind "video") that no chain names must stay.
    """

    def there(file: Source) -> bool:
        return not any((file.path, file.sha256) in names for names in (wiped, gone, given_up))

    def kind(file: Source) -> str:
        name = (file.path, file.sha256)
        return UNSEEN if name in given_up else GONE if name in gone else file.kind

    everyone = [chain for chain in chains if not _is_done(chain, wiped, given_up)]
    refused = {chain.clip: reason for chain in everyone if (reason := _reason(chain)) is not None}
    for chain in everyone:
        for file in chain.files:
            if name := moved.get((file.path, file.sha256)):
                refused.setdefault(
                    chain.clip,
                    f"its film lies on this card as {name} (do lesveil run; if that changes nothing: delete it there)",
                )
    for chain in everyone if not sure else ():
        if any(kind(file) == GONE for file in chain.files):
            refused.setdefault(chain.clip, NOT_HERE)
    claims: dict[str, set[tuple[str, Source]]] = defaultdict(set)
    for chain in everyone:
        for file in filter(there, chain.files):
            claims[folded(file.path)].add((chain.clip, file))
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
            for file in chain.files:
                items.add(WipeItem(file.path, file.bytes, file.sha256, kind(file)))
            items.add(WipeItem(chain.clip, chain.bytes, chain.copied, COPY))
    for file in everything or ():
        claimed = {source for _, source in claims.get(folded(file.path), ())}
        if file.kind == "video" and file.sha256 not in {source.sha256 for source in claimed}:
            refused.setdefault(file.path, "it was never copied from this card")
        elif not claimed:
            items.add(WipeItem(file.path, file.bytes, file.sha256, OTHER))
    elsewhere = {chain.clip for chain in everyone if chain.files and not any(map(there, chain.files))}
    stays = everything is not None and not refused.keys() <= elsewhere
    if stays:
        items = set()
    todo = [item for item in items if item.kind == OTHER or (item.path, item.sha256) not in wiped]
    if fill and not stays:
        todo.append(WipeItem("*", 0, "", FREE_SPACE))
    left = tuple(sorted(todo, key=_order))
    whole = everything is not None
    going = {(item.path, item.sha256) for item in left}
    unkept = sorted(
        chain.clip
        for chain in everyone
        if chain.deleted
        and chain.clip not in refused
        and going & {(chain.clip, chain.copied), *((file.path, file.sha256) for file in chain.files)}
    )
    made = WipePlan(left, tuple(sorted(refused.items())), "", card, whole, number, tuple(unkept))
    return replace(made, digest=digest_of(made))


def digest_of(plan: WipePlan) -> str:
    """SHA-256 of the plan as canonical JSON: names exactly what goes, from which card, as which plan, and of which
    clips nothing is kept."""
    text: list[Any] = [plan.card, plan.whole, plan.number, [asdict(item) for item in plan.items]]
    text += [plan.unkept] if plan.unkept else []
    return hashlib.sha256(json.dumps(text, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _is_done(chain: Chain, wiped: Collection[tuple[str, str]], given_up: Collection[tuple[str, str]]) -> bool:
    """Whether all of a clip was wiped, or all that was not is given up: whatever is known of it now, it keeps nothing
    on the card."""
    names = {(file.path, file.sha256) for file in chain.files}
    copy = chain.copied is not None and (chain.clip, chain.copied) in wiped
    return bool(names) and (names <= set(given_up) or (copy and names <= {*wiped, *given_up}))


def _order(item: WipeItem) -> tuple[bool, bool, bool, str, int]:
    """Files, then the free space, then the copies; last what is gone: told of a clip, it must be told of all of it."""
    return item.kind in (GONE, UNSEEN), item.kind == COPY, item.kind == FREE_SPACE, item.path, item.bytes


def _reason(chain: Chain) -> str | None:
    for file in chain.files:
        parts = PurePosixPath(file.path).parts
        if not parts or file.path != "/".join(parts) or {"..", "."} & set(parts) or set("\\:\0") & set(file.path):
            return f"{file.path!r} is not a file on the card"
        if file.kind == COPY:
            return f"{file.path!r} is named as a working copy"
    return missing_link(chain)


def folded(path: str) -> str:
    """The card's own idea of the same name: FAT knows no case."""
    return unicodedata.normalize("NFC", path).casefold()
