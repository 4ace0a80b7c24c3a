"""Approved clips to where they belong."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.adapters.graph_names import Labels, place
from pipeline.adapters.ledger import Entry
from pipeline.errors import DeliveryError, LesveilError
from pipeline.lesson import shown
from pipeline.lesson.failures import set_aside
from pipeline.lesson.folder_target import FolderTarget
from pipeline.lesson.lost import come_back
from pipeline.lesson.lying import CLEARED, SENDING, UNSENT, may_lie, standing, unsettled
from pipeline.lesson.onedrive_target import OneDriveTarget
from pipeline.lesson.state import State, consent_holds, find, made_anew_by, states
from pipeline.lesson.target import Parcel, not_ours
from pipeline.lesson.targets import folder_target, open_target
from pipeline.records import Delivery, Progress, no_progress
from pipeline.workspace import Workspace

KEY = ("sha256", "target", "where")
"""What tells one delivery from another, in its row."""


@dataclass(frozen=True)
class Removed:
    """A delivery that was taken away. ``permanent``: no recycle bin keeps it for its term. ``found``: it was there."""

    where: str
    permanent: bool
    found: bool = True


@dataclass(frozen=True)
class Arrived:
    """One clip that arrived: where, and how many older versions OneDrive still keeps of it (0: none).

    ``may_lie_at``: an earlier delivery was cut off there, and that place is not there to be asked. ``cleared``: what
    lay at another target, and was taken away there.
    """

    where: str
    replaced: bool = False
    versions_left: int = 0
    may_lie_at: tuple[str, ...] = ()
    cleared: tuple[Removed, ...] = ()


def deliver(
    workspace: Workspace,
    today: date,
    *,
    clips: Sequence[str] = (),
    labels: Labels | None = None,
    target: FolderTarget | OneDriveTarget | None = None,
    progress: Progress = no_progress,
) -> list[tuple[State, Arrived | LesveilError]]:
    """Bring every approved clip (or those of ``clips``) to the target; what became of each: where it lies, or why not.

    Several at a time where the target can take them; one that fails does not stop the others.
    """
    wanted = {find(workspace, name).clip for name in clips}
    come_back(workspace)
    with _reached(workspace, target) as target:
        target.sweep({state.clip for state in states(workspace) if state.to_deliver})
        before = _settled_before(workspace, target, wanted)
        stuck = {state.clip for state, what in before if isinstance(what, LesveilError)}
        if isinstance(target, FolderTarget):
            before += _looked_at_again(workspace, target, wanted)
        todo = [
            state
            for state in states(workspace)
            if state.to_deliver and state.render is not None and (not wanted or state.clip in wanted)
            if state.clip not in stuck
        ]
        parcels = _Parcels(workspace, today, target, labels or Labels(), todo, progress)
        return before + parcels.bring(todo)


@contextlib.contextmanager
def _reached(
    workspace: Workspace, target: FolderTarget | OneDriveTarget | None = None, kind: str = ""
) -> Iterator[FolderTarget | OneDriveTarget]:
    """``target``; where there is none, the one of this kind, reached for as long as it is needed."""
    if target is not None:
        yield target
        return
    target = open_target(workspace, kind)
    with target if isinstance(target, OneDriveTarget) else contextlib.nullcontext():
        yield target


def settle(
    workspace: Workspace,
    clip: str,
    target: FolderTarget | OneDriveTarget | None = None,
    which: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> list[Delivery]:
    """Find out what became of deliveries of a clip that ended before the ledger heard of them; those that lie there.

    ``which`` chooses by their payloads; ``target``: of those to this target alone, and not of those to another folder
    that is not there. Raises DeliveryError where that cannot be known.
    """
    found: list[Delivery] = []
    unknown: LesveilError | None = None
    for row in unsettled(workspace.ledger.entries(clip=clip)):
        said = row.payload
        if not which(said) or (target is not None and said["target"] != target.kind):
            continue
        if isinstance(target, FolderTarget) and not target.reaches(said):
            continue  # it may lie there still, and keeps nothing from going to this one
        try:
            with _reached(workspace, target, said["target"]) as there:
                done = there.settle(clip, said)
                if done is not None:
                    # brought elsewhere since, with all that was there: it took the place of what lay where it went
                    came = said if not os.path.lexists(said["where"]) else None
                    _has_arrived(workspace, there, done, said.get("replaces") or came)
                    found.append(done)
                if done is None or done.where != said["where"]:
                    workspace.ledger.append(UNSENT, clip, {name: said[name] for name in KEY})
        except LesveilError as error:  # told when the others are known
            unknown = unknown or error
    if unknown is not None:
        raise unknown
    return found


def lying(
    workspace: Workspace, clip: str, which: Callable[[dict[str, Any]], bool] = lambda _: True
) -> tuple[list[Entry], LesveilError | None]:
    """The deliveries of a clip that stand, and why it cannot be known whether another lies somewhere as well (of those
    whose payload is ``which``).

    A place that cannot be asked (a disk that is not connected) keeps nothing in sight elsewhere: whoever asks goes on
    with what stands, and raises that error in the end.
    """
    unknown: LesveilError | None = None
    try:
        settle(workspace, clip, None, which)
    except LesveilError as error:
        unknown = error
    return standing(workspace.ledger.entries(clip=clip)), unknown


def _settled_before(
    workspace: Workspace, target: FolderTarget | OneDriveTarget, wanted: set[str]
) -> list[tuple[State, Arrived | LesveilError]]:
    """The same for every clip (or those wanted): what lies there, and what nobody knows."""
    found: list[tuple[State, Arrived | LesveilError]] = []
    for state in states(workspace):
        if state.standing and (not wanted or state.clip in wanted):
            try:
                there = settle(workspace, state.clip, target)
                found += [(state, Arrived(done.where, versions_left=done.versions_left)) for done in there]
            except Exception as unknown:  # noqa: BLE001 -- of this clip nobody knows; the others can be delivered
                found.append((state, set_aside(unknown)))
    return found


def _has_arrived(
    workspace: Workspace, target: FolderTarget | OneDriveTarget, done: Delivery, replaced: dict[str, Any] | None
) -> None:
    """The rows of a delivery that arrived; ``replaced``: it took the place of what lay there ("where")."""
    if replaced is not None and replaced["where"] != done.where:  # its folder was brought elsewhere since
        for row in standing(workspace.ledger.entries(clip=done.clip)):
            if row.payload["where"] == replaced["where"]:
                moved = {name: row.payload[name] for name in KEY} | {"permanent": True, "replaced_at": done.where}
                workspace.ledger.append("delivery_removed", done.clip, moved)
    workspace.ledger.append("delivery", done.clip, _row(done, workspace.ledger.head()))
    target.settled(done.clip)
    lies = may_lie(workspace.ledger.entries(clip=done.clip))
    shown.forget(workspace.vault, done.clip, besides=[row.payload["sha256"] for row in lies])


def _looked_at_again(
    workspace: Workspace, target: FolderTarget, wanted: set[str]
) -> list[tuple[State, Arrived | LesveilError]]:
    """Deliveries from before the folder was said to be the archive: a new row for each that is there whole."""
    found: list[tuple[State, Arrived | LesveilError]] = []
    for state in states(workspace):
        row = state.delivered.payload if state.delivered is not None and not state.wiped else None
        if row is None or row["is_archive"] or (wanted and state.clip not in wanted):
            continue
        if row["target"] != target.kind or not target.is_archive_of(row):
            continue
        try:
            whole = target.still_there(row)
        except OSError:  # what cannot be read is not proven
            whole = False
        except Exception as unknown:  # noqa: BLE001 -- nothing is proven of this clip; the others can be delivered
            found.append((state, set_aside(unknown)))
            continue
        if whole:
            proven = row | {"is_archive": True, "head": workspace.ledger.head()}
            workspace.ledger.append("delivery", state.clip, proven)
            found.append((state, Arrived(row["where"])))
        else:
            changed = DeliveryError(
                "{file} is no longer what was delivered, so its originals stay on the card;"
                " see lesveil deliver --audit.",
                file=row["where"],
            )
            found.append((state, changed))
    return found


class _Parcels:
    """The clips of one run, on their way."""

    def __init__(
        self,
        workspace: Workspace,
        today: date,
        target: FolderTarget | OneDriveTarget,
        labels: Labels,
        todo: list[State],
        progress: Progress,
    ) -> None:
        self._workspace, self._today, self._target, self._labels = workspace, today, target, labels
        self._progress = progress
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._there = dict.fromkeys((state.clip for state in todo), 0)
        self._total = sum(int(state.render["bytes"]) for state in todo if state.render)
        self._names = [person.name for person in workspace.register.people(today)]

    def bring(self, todo: list[State]) -> list[tuple[State, Arrived | LesveilError]]:
        with ThreadPoolExecutor(self._target.at_once, thread_name_prefix="deliver") as pool:
            going = [(state, pool.submit(self._one, state)) for state in todo]
            try:
                return [(state, _outcome(future)) for state, future in going]
            except BaseException:
                # Ctrl-C: what is under way ends with its piece, and goes on from there the next time.
                self._stop.set()
                self._target.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _one(self, state: State) -> Arrived:
        assert state.render is not None
        digest = state.render["sha256"]
        earlier = standing(self._workspace.ledger.entries(clip=state.clip))
        mine = [row.payload for row in earlier if row.payload["target"] == self._target.kind]
        if isinstance(self._target, FolderTarget):  # a disk that was here before may hold it as well
            mine.sort(key=self._target.holds)
        parcel = Parcel(
            clip=state.clip,
            file=self._workspace.finished / state.render["file"],
            sha256=digest,
            path=self._place(state) if not mine else "",
            earlier=mine[-1] if mine else None,
            may_leave=lambda: self._may_leave(state.clip, digest),
            begin=lambda going: self._begin(state, going, mine[-1] if mine else None),
        )
        shown.keep_for_delivery(self._workspace, state)
        done = self._target.put(parcel, lambda there: self._told(state, there))
        _has_arrived(self._workspace, self._target, done, parcel.earlier)
        self._told(state, done.bytes)
        gone = remove_all(self._workspace, state.clip, lambda row: row["target"] != self._target.kind)
        unheard = tuple(row.payload["where"] for row in unsettled(self._workspace.ledger.entries(clip=state.clip)))
        return Arrived(done.where, bool(earlier), done.versions_left, unheard, tuple(gone))

    def _place(self, state: State) -> str:
        return place(
            self._workspace.settings.deliver.layout,
            clip=state.clip,
            film=Path(state.file).stem,
            filmed=state.filmed or self._today.isoformat(),
            labels=self._labels,
            names=self._names,
        )

    def _may_leave(self, clip: str, digest: str) -> None:
        """Called before the first byte of a rendering goes out, and asks how it stands then. Raises DeliveryError."""
        now = find(self._workspace, clip)
        day = max(self._today, date.today())  # the films of before may take until tomorrow
        if now.outdated or not consent_holds(self._workspace, now, day):
            raise DeliveryError(
                "{clip} shows somebody who may not be shown any more; {command} makes it anew.",
                clip=clip,
                command=made_anew_by(now),
            )
        if not now.to_deliver or now.render is None or now.render["sha256"] != digest:
            raise DeliveryError("{clip} is not approved any more; approve it, then deliver it.", clip=clip)
        # what takes the place of what lies there hides more than that does, and a withdrawal does not wait
        if now.repairs_wait and not now.replaces:
            raise DeliveryError(
                "{clip} has repairs that are not rendered yet; do {command}, then approve it again.",
                clip=clip,
                command=now.waits_for,
            )

    def _begin(self, state: State, going: dict[str, Any], earlier: dict[str, Any] | None) -> None:
        """The ledger knows of a film before it can lie anywhere: whatever happens on the way, it is not forgotten."""
        assert state.render is not None
        size = int(state.render["bytes"])
        row = {"sha256": state.render["sha256"], "target": self._target.kind, "bytes": size, **going}
        if earlier is not None and earlier["where"] != row["where"]:
            row["replaces"] = {name: earlier[name] for name in KEY}
        ledger = self._workspace.ledger
        known = [one.payload for one in unsettled(ledger.entries(clip=state.clip))]
        if all({name: one[name] for name in one if name != "head"} != row for one in known):
            if isinstance(self._target, FolderTarget):  # another disk in its place does not have that
                row["head"] = self._target.known_by(ledger.mark(), ledger.head())
            ledger.append(SENDING, state.clip, row)

    def _told(self, state: State, there: int) -> None:
        if self._stop.is_set():
            raise DeliveryError("Stopped; run lesveil deliver again to go on.")
        with self._lock:
            self._there[state.clip] = there
            self._progress("upload", sum(self._there.values()), self._total)


def remove_delivered(
    workspace: Workspace,
    clip: str,
    payload: dict[str, Any],
    target: FolderTarget | OneDriveTarget | None = None,
    *,
    given_up: bool = False,
) -> Removed:
    """Take one delivery (the payload of its row) away from where it lies.

    Refused with DeliveryError when what lies there is no longer what was delivered, and when nothing lies there and it
    was not us who took it away; except when somebody says that it is gone (``given_up``). Retention and withdrawal
    call this.
    """
    key = {name: payload[name] for name in KEY}
    begun, found = _removal_begun(workspace, clip, key), False

    def begin() -> None:
        nonlocal found
        found = True
        if not begun:
            workspace.ledger.append("delivery_removing", clip, key)

    with _reached(workspace, target, payload["target"]) as target:
        if given_up and isinstance(target, FolderTarget) and target.lacks(payload):
            target.refuse_unknown(payload, workspace.ledger.mark())
        permanent = target.remove(payload, begin, begun or given_up)
    done = Removed(payload["where"], permanent, found or begun)
    row = key | {"permanent": permanent} | ({} if done.found else {"found": False})
    rows = [one.payload for one in standing(workspace.ledger.entries(clip=clip))]
    left = [one["sha256"] for one in rows if one["where"] != payload["where"]]
    shown.forget(workspace.vault, clip, besides=left)  # before it counts as done
    workspace.ledger.append("delivery_removed", clip, row)
    return done


def clear_versions(workspace: Workspace, clip: str, payload: dict[str, Any]) -> int:
    """Try again to remove older versions that OneDrive kept of a delivery (the payload of its row); how many are left.

    Raises DeliveryError where what lies there is no longer what was delivered.
    """
    if not payload.get("versions_left"):
        return 0
    with _reached(workspace, kind=payload["target"]) as target:
        if not target.still_there(payload):
            raise not_ours(payload["where"])
        left = target.old_versions(payload) if isinstance(target, OneDriveTarget) else 0
    if not left:
        workspace.ledger.append(CLEARED, clip, {name: payload[name] for name in KEY})
    return left


def within_reach(workspace: Workspace, payload: dict[str, Any]) -> bool:
    """False: a delivery (the payload of its row) lies in another folder than that of lesveil.toml, which is not
    there."""
    return payload["target"] != FolderTarget.kind or folder_target(workspace).reaches(payload)


def _removal_begun(workspace: Workspace, clip: str, key: dict[str, Any]) -> bool:
    """Whether this delivery was about to be taken away, and nothing was heard of it since: a crash came between."""
    rows = [row for row in workspace.ledger.entries(clip=clip) if row.kind.startswith("delivery")]
    here = [row for row in rows if row.payload["where"] == key["where"]]
    return bool(here) and here[-1].kind == "delivery_removing" and here[-1].payload == key


def remove_clip(workspace: Workspace, name: str) -> list[Removed]:
    """Take everything of a clip away that was delivered; somebody says so, also of what they find gone already."""
    clip = find(workspace, name).clip
    come_back(workspace)
    return remove_all(workspace, clip, given_up=True)


def remove_all(
    workspace: Workspace,
    clip: str,
    which: Callable[[dict[str, Any]], bool] = lambda _: True,
    *,
    given_up: bool = False,
) -> list[Removed]:
    """Take away all deliveries of a clip (those whose payload is ``which``) that can be reached; then raise why another
    could not be."""
    rows, failed = lying(workspace, clip, which)
    gone: list[Removed] = []
    for row in rows:
        if which(row.payload):
            try:
                gone.append(remove_delivered(workspace, clip, row.payload, given_up=given_up))
            except LesveilError as error:
                failed = failed or error
    if failed is not None:
        raise failed
    return gone


def still_there(workspace: Workspace, payload: dict[str, Any]) -> bool:
    """Whether a delivery lies where it was brought, asked afresh now. The wipe asks this before anything goes."""
    with _reached(workspace, kind=payload["target"]) as target:
        return target.still_there(payload)


def _outcome(future: Future[Arrived]) -> Arrived | LesveilError:
    try:
        return future.result()
    except Exception as unknown:  # noqa: BLE001 -- this clip is not delivered; the others can be
        return set_aside(unknown)


def _row(done: Delivery, head: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "sha256": done.sha256,
        "target": done.target,
        "where": done.where,
        "bytes": done.bytes,
        "is_archive": done.is_archive,
        "head": head,
    }
    if done.target == "onedrive":
        row |= {"drive": done.drive, "item": done.item, "quickxor": done.quickxor, "verified": done.verified}
        row["versions_left"] = done.versions_left
    return row
