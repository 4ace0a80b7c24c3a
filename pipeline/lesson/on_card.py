"""What was copied from a card and lies on it still, and which card is meant: the one that is in the machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from pathlib import Path

from pipeline import wipeable
from pipeline.adapters import card as cards
from pipeline.adapters import copies
from pipeline.adapters.card_digests import hashed
from pipeline.adapters.card_reader import CardReader
from pipeline.adapters.erase import bears_mark, is_there
from pipeline.adapters.ledger import Entry
from pipeline.adapters.volumes import Volume, volume_of, volumes
from pipeline.errors import CardError, WipeError
from pipeline.lesson.namesakes import is_alone
from pipeline.lesson.state import lay_at
from pipeline.records import Progress
from pipeline.stages import wipe
from pipeline.workspace import Workspace

MISSING = Path("-")
"""Where a card lies that is not in the machine."""

WINDOWS_OWN = "System Volume Information/"
"""Windows keeps this folder to itself on every volume; it holds no film."""

APPLE_DOUBLE = bytes.fromhex("00051607")
"""How the files begin that macOS writes on FAT beside others, under their names behind "._" (RFC 1740, appendix B)."""


def meant(workspace: Workspace, card: Path | None, meant: str = "") -> Volume | None:
    """The card that is meant: the folder that is named, else the card with the identity ``meant``, by default the one
    that was read last of those that are in, wherever it is mounted; a plain folder only if nothing was read since.

    A plain folder that was never read is taken for the one that was read last, moved, if that lies there no more: what
    is in it must be what was copied, byte for byte, or nothing goes. Raises WipeError for another that was never read.
    """
    rows = workspace.ledger.entries(copies.CARD)
    seen = [row for row in rows if meant in ("", row.payload["card"])]
    if card is not None and not os.path.isdir(card):
        raise WipeError("The card is not at {folder}; put it in, or name its place with --card.", folder=card)
    if card is not None:
        named = volume_of(card)
        if any(row.payload["card"] == named.identity for row in rows):
            return named
        read_last = seen[-1].payload["card"] if seen else ""
        plain = not named.serial and not named.label
        if plain and os.path.isabs(read_last) and not os.path.isdir(read_last):
            return replace(named, serial=read_last)
        raise WipeError("{folder} was never read here; read it first: lesveil run --card.", folder=card)
    if not seen:
        return None
    known = volumes()
    latest = {row.payload["card"]: row for row in seen}
    for n, last in enumerate(row.payload for row in sorted(latest.values(), key=lambda row: -row.seq)):
        if n and os.path.isabs(last["card"]):
            continue  # a plain folder is always there, and nobody put it in
        here = volume_of(Path(last["folder"]), known)
        for volume in (here, *known):
            if volume.identity == last["card"] and os.path.isdir(volume.root):
                return volume
    # Not in the machine: what may be wiped can be shown all the same, and executing it says that the card is missing.
    return Volume(MISSING, serial=seen[-1].payload["card"])


def not_there(
    workspace: Workspace, volume: Volume, rows: Sequence[Entry], wiped: Set[tuple[str, str]]
) -> set[tuple[str, str]]:
    """What of the (path, sha256) that these rows say were copied from this card, and that were not wiped, it does not
    hold any more: another film has the name, or none has. Raises CardError."""
    lies = {file["path"]: file["sha256"] for row in rows for file in row.payload["files"]}  # the latest row counts
    copied = {(file["path"], file["sha256"]) for row in rows for file in row.payload["files"]} - wiped
    half = wipe.half_gone(workspace.ledger, volume.identity)

    def replaced_since(path: str, sha256: str) -> bool:
        """What a wipe began to overwrite is not another film, whatever a run took it for."""
        begun = (path, sha256) in half and bears_mark(volume.root, path, [half[path, sha256]])
        return lies[path] != sha256 and not begun

    replaced = {(path, sha256) for path, sha256 in copied if replaced_since(path, sha256)}
    return replaced | _missing(workspace, volume, copied - replaced)


def _missing(workspace: Workspace, volume: Volume, copied: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """What of the (path, sha256) that were copied from this card it does not hold any more: deleted or renamed in the
    camera. Nothing where the card is not in the machine; nothing that a wipe was about to remove. Raises CardError."""
    if not os.path.isdir(volume.root):
        return set()
    going = wipe.overwritten_only(workspace.ledger, volume.identity)
    try:
        return {(path, sha256) for path, sha256 in copied if not is_there(volume.root, path)} - going
    except OSError as error:
        raise CardError(
            "{file} cannot be read: {why}; check the card and try again.",
            file=error.filename or volume.root,
            why=error.strerror,
        ) from error


def moved(
    volume: Volume, rows: Sequence[Entry], wiped: Set[tuple[str, str]], gone: Set[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """The films among what is not there, as `not_there` has it, that the card holds under names under which no run
    read them: somebody moved or renamed them, or put them into a computer's bin. By these names. Raises CardError."""
    files = [file for row in rows for file in row.payload["files"]]
    films = {(file["path"], file["sha256"]): file["bytes"] for file in files if file["kind"] == "video"}
    lost = {key: size for key, size in films.items() if key in gone}
    if not lost or not os.path.isdir(volume.root):
        return {}
    known = {path for path, _ in {(file["path"], file["sha256"]) for file in files} - wiped - gone}
    root, sizes = volume.root.resolve(), set(lost.values())
    found: dict[str, str] = {}
    for name, size in cards.all_files(root, lambda *_: None):
        if size in sizes and name not in known:  # of what it knows the wipe reads every byte later
            found.setdefault(hashed(root / name)[1].sha256, name)
    return {(path, sha256): found[sha256] for path, sha256 in lost if sha256 in found}


def given_up(
    workspace: Workspace, volume: Volume, rows: Sequence[Entry], gone: Set[tuple[str, str]]
) -> set[tuple[str, str]]:
    """The (path, sha256) on this card of which somebody said that they are gone, unless the card itself says what
    became of them."""
    said = {(path, sha256) for _, path, sha256 in copies.given_up(workspace.ledger, rows)}
    if not os.path.isdir(volume.root):
        return said
    return set() if is_alone(workspace.ledger, volume) else said & gone


def lying(workspace: Workspace, card: str, *, besides: Iterable[str] = ()) -> dict[tuple[str, str], str]:
    """The (path, sha256) that were copied from this card and that it holds, so far as names tell, each with the name
    under which it lies there; ``besides`` are names of what was not copied. Nothing where it is not in the machine.
    Raises CardError."""
    volume = meant(workspace, None, card)
    if volume is None or not os.path.isdir(volume.root):
        return {}
    rows = [row for row in workspace.ledger.entries("ingest") if row.payload["card"] == card]
    wiped = {(path, sha256) for _, path, sha256 in wipe.wiped_since(workspace.ledger, rows)}
    copied = {(file["path"], file["sha256"]) for row in rows for file in row.payload["files"]}
    gone = not_there(workspace, volume, rows, wiped)
    others = {(path, "") for path in besides}
    others -= _missing(workspace, volume, others)
    there = {(path, sha256): path for path, sha256 in others | (copied - wiped - gone)}
    return there | moved(volume, rows, wiped, gone)


def cards_left(workspace: Workspace) -> list[str]:
    """The cards of which something is left, in the order in which they were first read."""
    rows = workspace.ledger.entries("ingest")
    lay = {key for clip in {row.clip for row in rows} for key in lay_at(row for row in rows if row.clip == clip)}
    left = lay - wipe.wiped_since(workspace.ledger, rows) - copies.given_up(workspace.ledger, rows).keys()
    waiting = {card for card, _, _ in left}
    return [card for card in dict.fromkeys(str(row.payload["card"]) for row in rows) if card in waiting]


def listed(root: Path) -> list[tuple[str, int]]:
    return [(name, size) for name, size in cards.all_files(root) if not name.startswith(WINDOWS_OWN)]


def everything(root: Path, progress: Progress) -> list[wipeable.Source]:
    """Every file on the card with its digest; what bears a film's suffix is one, wherever it lies, unless nothing can
    be in it: it is empty, or holds what macOS notes beside a file of that name."""
    found = []
    files = listed(root)
    for n, (name, size) in enumerate(files):
        progress("recheck", n, len(files))
        digest, start = hashlib.sha256(), b""
        with CardReader(root / name) as card:
            while block := card.read():
                digest.update(block)
                start = start or block[: len(APPLE_DOUBLE)]
        noted = Path(name).name.startswith("._") and start == APPLE_DOUBLE
        kind = "video" if cards.is_film(name) and start and not noted else wipeable.OTHER
        found.append(wipeable.Source(name, size, digest.hexdigest(), kind))
    return found
