"""A whole card into the vault: is it the school's, is there room, then every take, verified, and a manifest."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.adapters import card as cards
from pipeline.adapters import copies, files, manifest, takes
from pipeline.adapters.cameras import camera_serials
from pipeline.adapters.card import CardClip
from pipeline.adapters.card_reader import look
from pipeline.adapters.erase import bears_mark
from pipeline.adapters.ledger import Ledger
from pipeline.adapters.volumes import Volume, candidates, size_of, volume_of
from pipeline.errors import CardError, LesveilError, OutputNotWritableError, UnknownCardError
from pipeline.lesson.failures import failure_in_words, failure_row
from pipeline.lesson.on_card import cards_left, lying
from pipeline.lesson.state import State, states
from pipeline.lesson.wipe import refuse_unfinished_wipe
from pipeline.messages import tr
from pipeline.records import Clip, Progress, no_progress
from pipeline.stages import ingest as stage
from pipeline.stages import wipe
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Copied:
    """What a card came to."""

    card: Volume
    registered: bool
    clips: list[tuple[CardClip, Clip]]
    failed: list[tuple[str, LesveilError]]
    unread: list[tuple[str, LesveilError]]
    """Folders, and files beside a film, that cannot be read; what else there is was copied."""
    left: list[str]
    """Files that belong to no film that a camera wrote (photographs); they stay where they are."""
    notes: list[str]
    """What a person should know, in the language chosen."""
    deleted: list[State]
    """Clips that were deleted on purpose though their films are on this card: they are left there."""


def known_by(volume: Volume, registered: Sequence[str]) -> str | None:
    """The entry of ``[cards] registered`` that names this card or its camera; None when none does."""
    entries = {entry.strip().casefold(): entry for entry in registered if entry.strip()}
    names = {volume.serial, volume.label} | camera_serials(volume.root) if entries else set()
    return next((entries[name.casefold()] for name in sorted(names) if name and name.casefold() in entries), None)


def admit(workspace: Workspace, volume: Volume, any_card: bool) -> bool:
    """Whether the card is registered. Raises UnknownCardError when others are, unless ``any_card``."""
    registered = workspace.settings.cards.registered
    if known_by(volume, registered) is not None:
        return True
    if registered and not any_card and not (volume.serial or volume.label or camera_serials(volume.root)):
        raise UnknownCardError(
            "The card at {folder} has neither serial nor name, so it cannot be registered; give it a name on this "
            "computer and register that under [cards] in lesveil.toml, or take it this once with --any-card.",
            folder=volume.root,
        )
    if registered and not any_card:
        raise UnknownCardError(
            "The card at {folder} (serial {serial}, label {label}) is not one of the school's; register it under"
            " [cards] in lesveil.toml, or take it this once with --any-card.",
            folder=volume.root,
            serial=volume.serial or "-",
            label=volume.label or "-",
        )
    return False


def find_card(workspace: Workspace) -> list[Volume]:
    """The cards in this machine that may be taken: the registered ones where there are any, else all."""
    found = candidates()
    mine = [volume for volume in found if known_by(volume, workspace.settings.cards.registered) is not None]
    return mine or found


def copy_card(
    workspace: Workspace,
    folder: Path,
    any_card: bool = False,
    progress: Progress = no_progress,
    told: Callable[[str], None] = lambda _: None,
) -> Copied:
    """Copy every take of the card mounted at ``folder``. One take's failure does not stop the others.

    ``progress`` is told of the whole card under "copy", in bytes that are written; they are read back meanwhile.
    ``told`` is given the id of each clip as soon as it is copied.
    Raises CardError, UnknownCardError, DiskFullError, all before the first byte is copied.
    """
    volume = volume_of(folder)
    registered = admit(workspace, volume, any_card)
    refuse_unfinished_wipe(workspace, volume)
    on_card, notes, folders = _takes(volume.root)
    deleted = _deleted(workspace, on_card)
    card, vault, ledger = volume.identity, workspace.vault, workspace.ledger
    half_wiped = _half_wiped(ledger, volume, on_card)
    found = [take for take in on_card if take not in deleted and take not in half_wiped]
    sizes = {take: sum(look(path).st_size for path in take.paths) for take in found}
    copies.forget_unrecorded(vault, ledger)
    todo = {take: lacks for take in found if sizes[take] and (lacks := _lacking(take, card, workspace)) is not None}
    stage.check_room(vault, volume.root, sum(todo.values()))
    begun = {"folder": str(volume.root), "card": card, "size": size_of(volume.root), "registered": registered}
    since = ledger.append(copies.CARD, None, begun)
    if found_again := _found_again(ledger, card, on_card, half_wiped):
        ledger.append(copies.FILM_BACK, None, {"files": found_again})
    clips: list[tuple[CardClip, Clip]] = []
    failed: list[tuple[str, LesveilError]] = []

    unread: list[tuple[str, LesveilError]] = []

    def fail(name: str, error: LesveilError, among: list[tuple[str, LesveilError]] = failed) -> None:
        ledger.append(copies.FAILURE, None, failure_row(name, error, card=card))
        among.append((name, error))

    def pass_over(name: str, error: LesveilError) -> None:
        fail(name, error, unread)

    for folder_name, why in folders:
        pass_over(folder_name, why)
    for take in half_wiped:
        half = CardError("A wipe began to overwrite {file}; lesveil wipe goes on with it.", file=take.path)
        fail(take.relative(take.path), half)
    met = [row.payload for row in ledger.entries(copies.KIND) if row.payload["card"] == card] if deleted else []
    for take, state in deleted.items():
        known = wipe.wiped_since(ledger, ledger.entries(copies.KIND, state.clip))
        back = any((card, take.relative(path)) in {key[:2] for key in known} for path in take.files)
        try:
            stage.record_beside(take, card, met, ledger, pass_over, anew=back)
        except CardError as unreadable:
            pass_over(take.relative(take.path), unreadable)
    whole = _Whole(progress, {take: sizes[take] for take in todo})
    rest = list(found)
    with contextlib.closing(stage.ingest_all(found, vault, ledger, whole.of, card, pass_over)) as outcomes:
        for take, outcome in outcomes:
            rest.remove(take)
            if isinstance(outcome, Clip):
                told(outcome.id)
                clips.append((take, outcome))
                continue
            error = outcome if isinstance(outcome, LesveilError) else _of_the_disk(outcome, vault.root)
            name = take.relative(take.path)
            fail(name, error)
            if not os.path.isdir(volume.root):
                gone = CardError(
                    "The card at {folder} is gone; put it back and repeat the command.", folder=volume.root
                )
                for later in rest:
                    fail(later.relative(later.path), gone)
                break
    elsewhere = _films_elsewhere(volume.root, on_card)
    ledger.append(copies.CARD_READ, None, {"card": card, "since": since, "elsewhere": elsewhere})
    notes += _twins(clips)
    list_copies(workspace, volume)
    other = _other(volume.root)
    notes += [
        tr(
            "{file} lies outside of the camera's folders and was not copied; move it into DCIM and repeat the command, "
            "or keep it elsewhere before the card is formatted.",
            file=path.relative_to(volume.root).as_posix(),
        )
        for path in other
        if path.suffix.lower() in cards.VIDEO
    ]
    notes += [
        tr(
            "{file} is a film that cannot be read here and was not copied; keep it elsewhere before the card is "
            "formatted.",
            file=path.relative_to(volume.root).as_posix(),
        )
        for path in other
        if path.suffix.lower() in cards.FOREIGN
    ]
    if not on_card:
        notes.append(tr("No film lies in the camera's folders of this card."))
    left = [path.name for path in other]
    return Copied(volume, registered, clips, failed, unread, left, notes, list(deleted.values()))


def _half_wiped(ledger: Ledger, volume: Volume, takes: Sequence[CardClip]) -> list[CardClip]:
    """The takes of which a wipe that was called off overwrote a beginning: what is left of them is no film."""
    plans: dict[str, set[str]] = {}
    for (path, _), digest in wipe.half_gone(ledger, volume.identity).items():
        plans.setdefault(path, set()).add(digest)

    def begun(take: CardClip) -> bool:
        names = [take.relative(path) for path in take.files]
        return any(name in plans and bears_mark(volume.root, name, plans[name]) for name in names)

    return [take for take in takes if plans and begun(take)]


def _found_again(
    ledger: Ledger, card: str, takes: Sequence[CardClip], half_wiped: Sequence[CardClip]
) -> list[list[str]]:
    """What was said to be gone and lies on the card all the same, each as `FILM_GONE` names it: a glance tells a film,
    what a wipe began with is told by its names, and so is what cannot be read."""
    rows = [row for row in ledger.entries(kind=copies.KIND) if row.payload["card"] == card]
    said = copies.given_up(ledger, rows)
    half = wipe.half_gone(ledger, card).keys()
    found: set[tuple[str, str, str]] = set()
    for take in takes if said else ():
        names = {take.relative(path) for path in take.files}
        files_of = [(row.clip, (file["path"], file["sha256"])) for row in rows for file in row.payload["files"]]
        met = {clip for clip, file in files_of if file[0] in names and (file in half or take not in half_wiped)}
        if take not in half_wiped:
            with contextlib.suppress(LesveilError):  # told when it is its turn
                met &= copies.met_before(take, ledger)
        found |= {(card, *file) for clip, file in files_of if clip in met and file[0] in names}
    return [list(key) for key in sorted(found & said.keys())]


@dataclass(frozen=True)
class NotCopied:
    """A film that no run over its card could copy so far: its path on the card, the reason in words, and the card."""

    path: str
    why: str
    card: str


def not_copied(ledger: Ledger) -> list[NotCopied]:
    """All of them, of every card that is not gone; no clip stands for them, and they must not be forgotten: what a run
    says of a card counts when it came to the card's end."""
    found: dict[str, dict[str, tuple[int, NotCopied]]] = {}
    for row in ledger.entries():
        said = row.payload
        if row.kind == copies.CARD_GONE or (row.kind == copies.CARD and "size" not in said):  # of an older version
            found.pop(said["card"], None)
        elif row.kind == copies.CARD_READ:
            before = found.get(said["card"], {})
            found[said["card"]] = {path: one for path, one in before.items() if one[0] > said["since"]}
        elif row.kind == copies.FAILURE and "card" in said:
            one = NotCopied(said["path"], failure_in_words(said), said["card"])
            found.setdefault(said["card"], {})[said["path"]] = row.seq, one
    return [one for those in found.values() for _, one in those.values()]


@dataclass(frozen=True)
class WrittenOff:
    """What waited for a card that is gone."""

    not_copied: list[NotCopied]
    not_wiped: list[State]
    half: list[str]
    """Files of which a wipe that was under way may have overwritten something."""


def write_off(workspace: Workspace, card: str, by: str) -> WrittenOff:
    """Say that a card is gone, by the name that the ledger has for it: what was not copied or not wiped from it is
    waited for no more, and a wipe of it that was begun is called off, until a run finds those films on a card of that
    name again. Nothing is called wiped by that. Raises CardError where nothing waits for such a card, and where it is
    in and holds something of what was copied from it, or was not."""
    by = " ".join(by.split())
    if not by:
        raise CardError("A card is written off in somebody's name; say whose with --by.")
    lost = [one for one in not_copied(workspace.ledger) if one.card == card]
    begun = wipe.unfinished(workspace.ledger, card)
    before = {state.clip for state in states(workspace) if state.to_wipe and card in state.cards}
    if not lost and begun is None and card not in cards_left(workspace):
        raise CardError(
            "Nothing waits for a card {card}; lesveil status and lesveil wipe name those for which something waits.",
            card=card,
        )
    if here := sorted(lying(workspace, card, besides=[one.path for one in lost]).values()):
        raise CardError(
            "The card {card} is in, and {file} lies on it; if it is another of that name that is gone, take this one"
            " out first.",
            card=card,
            file=here[0],
        )
    half = wipe.call_off(workspace.ledger, begun.digest, by) if begun is not None else []
    workspace.ledger.append(copies.CARD_GONE, None, {"card": card, "by": by})
    return WrittenOff(lost, [state for state in states(workspace) if state.clip in before and not state.to_wipe], half)


def list_copies(workspace: Workspace, volume: Volume) -> Path | None:
    """Write the ASC MHL manifest of what was copied from this card since the last one; None when nothing was."""
    card, ledger = volume.identity, workspace.ledger
    done = {seq for row in ledger.entries(kind="manifest") for seq in row.payload["rows"]}
    lists = [row.payload for row in ledger.entries(kind="manifest") if row.payload["card"] == card]
    before = {path for held in lists for path in held["paths"]}
    rows = [row for row in ledger.entries(kind=copies.KIND) if row.payload["card"] == card and row.seq not in done]
    hashed = [
        manifest.Hashed(
            file["path"],
            file["bytes"],
            datetime.fromisoformat(more["modified"]),
            more["xxh128"],
            f"{file['path']}\n{more['xxh128']}" in before,
        )
        for row in rows
        for file, more in zip(row.payload["files"], row.payload["listed"], strict=True)
    ]
    latest = {one.path: one for one in hashed}
    if not latest:
        return None
    history = workspace.vault.root / "manifests" / files.safe_name(card)
    made = manifest.add_list(history, volume.title or "card", list(latest.values()))
    ledger.append(
        "manifest",
        None,
        {
            "card": card,
            "list": made.relative_to(workspace.vault.root).as_posix(),
            "rows": [row.seq for row in rows],
            "paths": [f"{one.path}\n{one.xxh128}" for one in latest.values()],
        },
    )
    return made


def _takes(root: Path) -> tuple[list[CardClip], list[str], list[tuple[str, CardError]]]:
    """The takes on the card, what was not sure about them, and the folders that cannot be read."""
    found: list[CardClip] = []
    notes: list[str] = []
    unread: list[tuple[str, CardError]] = []
    top = root.resolve()
    for clip in cards.find_clips(root, lambda path, why: unread.append((path.relative_to(top).as_posix(), why))):
        for take, sure in takes.settled(clip):
            found.append(take)
            if not sure:
                notes.append(
                    tr(
                        "{clip} and the file after it may be one take that the camera cut; they are kept as two clips.",
                        clip=take.relative(take.paths[-1]),
                    )
                )
        if not cards.is_complete(clip):
            notes.append(tr("{clip}: a chapter of this take is not on the card.", clip=clip.relative(clip.path)))
    return found, notes, unread


def _twins(clips: Sequence[tuple[CardClip, Clip]]) -> list[str]:
    """A word on every film that is on the card more than once, so that nobody misses a clip."""
    first: dict[str, CardClip] = {}
    return [
        tr(
            "{clip} holds the same film as {other}; they are one clip.",
            clip=take.relative(take.path),
            other=first[clip.id].relative(first[clip.id].path),
        )
        for take, clip in clips
        if first.setdefault(clip.id, take) is not take
    ]


def _deleted(workspace: Workspace, takes: Sequence[CardClip]) -> dict[CardClip, State]:
    """The takes whose clips were deleted on purpose. A film that is like one of another clip, too, is not left out."""
    gone = {state.clip: state for state in states(workspace) if state.deleted is not None}
    found: dict[CardClip, State] = {}
    for take in takes if gone else ():
        try:
            before = copies.met_before(take, workspace.ledger)
        except LesveilError:
            continue  # told when it is its turn
        if before and before <= gone.keys():
            found[take] = gone[min(before)]
    return found


def _of_the_disk(error: OSError, root: Path) -> LesveilError:
    place = Path(error.filename) if isinstance(error.filename, str) else root
    return files.told_error(error, place) or OutputNotWritableError(
        "{file} cannot be used: {why}.", file=place, why=error.strerror or error
    )


def _lacking(take: CardClip, card: str, workspace: Workspace) -> int | None:
    try:
        return copies.lacking(take, card, workspace.vault, workspace.ledger)
    except LesveilError:
        return 0  # told when it is its turn


def _other(root: Path) -> list[Path]:
    try:
        return cards.other_files(root)
    except CardError:
        return []  # the card was pulled, and that is told already


def _films_elsewhere(root: Path, takes: Sequence[CardClip]) -> list[int]:
    """Bytes of each film on the card that belongs to none of its takes, as far as it can be read."""
    mine = {take.relative(path) for take in takes for path in take.paths}
    try:
        found = cards.all_files(root, lambda *_: None)
    except CardError:
        return []  # the card was pulled, and that is told already
    return [size for name, size in found if name not in mine and cards.is_film(name)]


class _Whole:
    """A Progress over a whole card, made of those of its takes, which lie end to end."""

    def __init__(self, progress: Progress, sizes: Mapping[CardClip, int]) -> None:
        self._progress, self._total, self._told = progress, sum(sizes.values()), 0
        self._starts = dict(zip(sizes, itertools.accumulate(sizes.values(), initial=0), strict=False))

    def of(self, take: CardClip) -> Progress:
        """What one take is to tell; it says nothing where nothing of it is to be copied."""
        start = self._starts.get(take)

        def told(stage: str, done: int, total: int) -> None:
            if start is not None:
                # one take is still proved while the next is read: what was told is not taken back
                self._told = max(self._told, min(self._total, start + (done if stage == "copy" else total)))
                self._progress("copy", self._told, self._total)

        return told
