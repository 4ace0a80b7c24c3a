"""What the reviewers' page may ask of the house: the only door between the page and a workspace."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.adapters.moment import clear_moment, frame_times, in_file, shown_moment
from pipeline.adapters.review_book import ReviewBook, known_as
from pipeline.doubt import undecided
from pipeline.errors import RepairError, VaultError
from pipeline.lesson import seen
from pipeline.lesson.approve import approvers, judge, rejecters_of
from pipeline.lesson.asked import checked
from pipeline.lesson.lanes import doubts_of, lanes_of
from pipeline.lesson.mending import Agreed, agreed_now
from pipeline.lesson.repair import basis
from pipeline.lesson.seen import Seen
from pipeline.lesson.state import State, film, states
from pipeline.lesson.telling import TOLD, log_row, repair_row, runs
from pipeline.lesson.waiting import called
from pipeline.lesson.worker import wanted
from pipeline.records import RepairKind
from pipeline.stages import mend, wipe
from pipeline.views import ClipRow, ClipView, LogRow, Offered, Role, Work
from pipeline.workspace import Workspace

UNHIDES = frozenset({RepairKind.SHOW})
"""Repairs that only the coach may ask for."""


class Desk:
    """Answers for one open workspace. Threads share it."""

    def __init__(self, workspace: Workspace, book: ReviewBook) -> None:
        self._place, self._book = workspace, book
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Seen] = OrderedDict()
        self._pictures = threading.Semaphore(1)
        self._known: tuple[str, list[State], dict[str, str]] = ("", [], {})
        self._view: tuple[str, ClipView | None] = ("", None)

    def clips(self) -> list[ClipRow]:
        """Every clip, in the order in which they came."""
        return [self._row(state) for state in self._states()]

    def row(self, id: str) -> ClipRow:
        """One line of the list. Raises RepairError when there is no such clip that can be shown."""
        return self._row(self._state(id))

    def clip(self, id: str) -> ClipView:
        """One clip. Raises RepairError when there is none that can be shown."""
        key = f"{id} {self._place.ledger.head()} {date.today()}"
        known, view = self._view
        if known != key or view is None:
            view = self._clip(id)
            self._view = (key, view)
        return view

    def _clip(self, id: str) -> ClipView:
        state, found = self._both(id)
        render = state.render
        assert render is not None
        row = self._row(state)
        if found is None:
            return self._bare(state, row)
        repairs = seen.repairs(self._place.ledger, state.clip)
        filmed = date.fromisoformat(state.filmed) if state.filmed else None
        agreed = agreed_now(self._place, found.decisions, repairs, filmed, date.today())
        mended = self._mended(state, found, agreed)
        lanes = lanes_of(found, mended, repairs)
        have = set(render.get("repairs", ()))
        pending = {one.id for one in repairs if one.kind is RepairKind.REGION and one.id not in found.placed}
        steps = np.diff(found.pts)
        return ClipView(
            row=row,
            digest=found.sha256,
            frames=len(found.pts),
            width=found.width,
            height=found.height,
            tick=float(found.time_base),
            first=int(found.pts[0]) - round(found.shift / found.time_base),
            times=runs(steps),
            lanes=lanes,
            doubts=doubts_of(lanes),
            mutes=mended.mutes,
            repairs=tuple(repair_row(one, have, mended.moot - pending) for one in repairs),
            sightings=len(found.sightings),
            analysis=found.analysis,
            repairable=self._why_not(state),
        )

    def _why_not(self, state: State) -> str:
        """Why a clip cannot be repaired, as the page's words call it; empty where it can."""
        if state.outdated:
            return "recall" if state.standing else "outdated"
        return "" if self._place.vault.has(state.clip) else "gone"

    def file(self, id: str, digest: str) -> Path:
        """The rendering with this digest, if it is the latest of that clip. Raises RepairError."""
        state = self._state(id)
        assert state.render is not None
        path: Path = self._place.finished / state.render["file"]
        if state.render["sha256"] != digest or not path.is_file():
            raise RepairError("This rendering of {clip} is no longer the latest one.", clip=state.file)
        return path

    def picture(self, id: str, digest: str, track: int) -> bytes:
        """A person as the rendering shows them, as JPEG: hidden where they are hidden."""
        path = self.file(id, digest)
        state, found = self._both(id)
        lane = self._lane(id, track)
        if found is None or not 0 <= lane.moment < len(found.pts):
            raise RepairError("There is nobody with number {track} in {clip}.", track=track, clip=state.file)
        pts = int(in_file(found.pts[lane.moment : lane.moment + 1], found.time_base, found.shift)[0])
        with self._pictures:
            try:
                return shown_moment(path, pts, lane.box)
            except OSError:
                self.file(id, digest)  # a newer rendering took its place in the meantime: that is said, not a crash
                raise

    def original(self, id: str, track: int, number: int, by: str) -> bytes:
        """A track as filmed, at one of three moments, as JPEG. The look is in the ledger before it is given."""
        state, found = self._both(id)
        tracks = [] if found is None else [one for one in self._mended(state, found).tracks if one.number == track]
        if found is None or not tracks or not 0 <= number < 3:
            raise RepairError("There is nobody with number {track} in {clip}.", track=track, clip=state.file)
        (whole,) = tracks
        frame = whole.start + (2 * number + 1) * len(whole.box) // 6
        row = {"by": by, "frame": frame, "track": track, "sha256": found.sha256}
        self._place.ledger.append("look", state.clip, row)
        box = tuple(float(value) for value in whole.box[frame - whole.start])
        with self._pictures:
            return clear_moment(film(self._place, state.clip), found.pts, frame, (box[0], box[1], box[2], box[3]))

    def offered(self, id: str) -> list[Offered]:
        """Everyone who may be seen in this clip today, by consent."""
        state = self._state(id)
        if state.filmed is None:
            return []
        filmed, today = date.fromisoformat(state.filmed), date.today()
        out = []
        for person in self._place.register.people(today):
            answer = self._place.register.may_be_shown(person.id, filmed, today, recognised=False)
            if answer.kept:
                out.append(Offered(person.id, person.name, answer.ground))
        return out

    def add(self, id: str, asked: dict[str, Any], by: str, role: Role) -> str:
        """Write down a repair; asked twice it is written once. Returns its id. Raises RepairError."""
        state, found = self._both(id)
        if found is None or not self._place.vault.has(state.clip):
            found = basis(self._place, state)  # which says why there is none
        rows = self._place.ledger.entries(seen.REPAIR, state.clip)
        # sent again, it was understood the first time
        first = next((row.payload for row in rows if row.payload["id"] == asked.get("id")), None)
        if first is None and asked.get("track") is not None and asked.get("analysis") != found.analysis:
            raise RepairError(
                "{clip} was looked at anew, and people have other numbers; load the page again.", clip=state.file
            )
        row = self._checked(state, found, asked, role, first) | {"by": by, "role": role.value}
        self._refuse_going(state)
        with self._lock:
            for one in self._place.ledger.entries(seen.REPAIR, state.clip):
                if one.payload["id"] == row["id"]:
                    told = {key: value for key, value in one.payload.items() if key not in ("analysis", "role")}
                    if told != {key: value for key, value in row.items() if key not in ("analysis", "role")}:
                        raise RepairError("Another repair has the number {id} already.", id=row["id"])
                    return str(row["id"])
            self._place.ledger.append(seen.REPAIR, state.clip, row)
        self._refuse_going(state)  # it began between these two rows, or heeds this one and says so
        return str(row["id"])

    def _refuse_going(self, state: State) -> None:
        if wipe.going(self._place.ledger, state.clip):
            raise RepairError(
                "{clip} is being wiped from its card and can no longer be repaired; if somebody must be hidden, take "
                "the delivered film away: lesveil deliver --remove {id}.",
                clip=state.file,
                id=state.clip[:8],
            )

    def undo(self, id: str, repair: str, by: str, role: Role) -> None:
        """Take a repair back; twice is once. Others' hiding is undone by the coach alone. Raises RepairError."""
        state = self._state(id)
        with self._lock:
            known = {one.id: one for one in seen.repairs(self._place.ledger, state.clip)}
            one = known.get(repair)
            if one is None:
                raise RepairError("There is no repair {id} of {clip}.", id=repair, clip=state.file)
            if known_as(one.by) != known_as(by) and role is not Role.COACH and one.kind not in UNHIDES:
                raise RepairError("Only the coach undoes what somebody else hid.")
            if not one.undone:
                self._refuse_going(state)
                self._place.ledger.append(seen.UNDONE, state.clip, {"id": repair, "by": by, "role": role.value})
                self._refuse_going(state)

    def judge(
        self,
        id: str,
        digest: str,
        by: str,
        approve: bool,
        despite: bool = False,
        despite_rejection: bool = False,
        played: float | None = None,
    ) -> None:
        """Approve or reject the rendering that was opened; ``played`` seconds of it, as far as the page knows. Raises
        ApprovalError."""
        with self._lock:
            judge(self._place, self._state(id).clip, by, approve, digest, despite, despite_rejection, played)

    def looked(self, id: str, digest: str, by: str) -> None:
        """Somebody watches this rendering: written down once."""
        state = self._state(id)
        row = {"sha256": digest, "by": by}
        with self._lock:
            if state.render is None or state.render["sha256"] != digest:
                return
            if row not in [one.payload for one in self._place.ledger.entries("watched", state.clip)]:
                self._place.ledger.append("watched", state.clip, row)

    def work(self, id: str) -> Work:
        """How far the repairs of a clip are."""
        state = self._state(id)
        assert state.render is not None
        row = self._book.work(state.clip)
        waiting = self._waiting(state)
        fresh = row is not None and row.wanted == wanted(self._place, state) and waiting > 0
        if row is None or not waiting:
            return Work(state.render["sha256"], waiting, "", 0, 0, "")
        return Work(state.render["sha256"], waiting, row.stage, row.done, row.total, row.problem if fresh else "")

    def log(self) -> list[LogRow]:
        """What people did, newest first."""
        names = self._names()
        rows = [row for row in self._place.ledger.entries() if row.kind in TOLD]
        rejecters = rejecters_of(rows)
        return [log_row(row, names, rejecters) for row in reversed(rows[-1000:])]

    def _states(self) -> list[State]:
        """Where every clip stands, read anew when the ledger has grown."""
        head = self._place.ledger.head()
        known, found, _ = self._known
        if known != head:
            found = states(self._place)
            self._known = (head, found, called(found))
        return found

    def _names(self) -> dict[str, str]:
        """What people call each clip, by its id."""
        self._states()
        return self._known[2]

    def _state(self, id: str) -> State:
        for state in self._states():
            if state.clip == id and state.render is not None and not state.nothing_left:
                return state
        raise RepairError("There is no clip {clip} that can be shown.", clip=id)

    def _seen(self, state: State) -> Seen | None:
        assert state.render is not None
        digest = state.render["sha256"]
        # a repair that renders nothing keeps the digest, so what is held is known by the repairs as well
        key = f"{state.clip}:{digest}:{state.render.get('repairs')}"
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        try:
            found = seen.load(self._place.vault, state.clip, digest)
        except VaultError:
            if self._place.ledger.head() == self._known[0]:
                raise
            found = None  # the worker has just replaced it
        if found is not None:
            with self._lock:
                self._held[key] = found
                while len(self._held) > 4:
                    self._held.popitem(last=False)
        return found

    def _both(self, id: str) -> tuple[State, Seen | None]:
        """A clip and what was kept of it; asked again when a new rendering took the place of the old in between."""
        while True:
            head = self._place.ledger.head()
            state = self._state(id)
            found = self._seen(state)
            if found is not None or self._place.ledger.head() == head:
                return state, found

    def _mended(self, state: State, found: Seen, agreed: Agreed | None = None) -> mend.Mended:
        repairs = seen.repairs(self._place.ledger, state.clip)
        placed, people = seen.regions_of(found.placed), seen.people_of(found.placed)
        agreed = agreed or Agreed({}, {})
        return mend.mend(
            found.tracks, found.decisions, repairs, found.analysis, placed, agreed.recognised, agreed.known, people
        )

    def _lane(self, id: str, track: int) -> Any:
        for lane in self.clip(id).lanes:
            if lane.track == track:
                return lane
        raise RepairError("There is nobody with number {track} in {clip}.", track=track, clip=id)

    def _waiting(self, state: State) -> int:
        have = set((state.render or {}).get("repairs", ()))
        return sum((one.id in have) == one.undone for one in seen.repairs(self._place.ledger, state.clip))

    def _row(self, state: State) -> ClipRow:
        render = state.render or {}
        rows = self._place.ledger.entries("approval", state.clip)
        digest = render.get("sha256")
        there = bool(render) and state.deleted is None and (self._place.finished / render["file"]).is_file()
        open_ = state.stage in ("rendered", "approved", "removed")
        looked = [
            r.payload["by"] for r in self._place.ledger.entries("watched", state.clip) if r.payload["sha256"] == digest
        ]
        return ClipRow(
            id=state.clip,
            name=self._names()[state.clip],
            stage="outdated" if state.outdated else state.stage,
            filmed=state.filmed,
            seconds=float(render.get("seconds", 0.0)),
            shown=len({entry["person"] for entry in render.get("kept", ())}),
            hidden=int(render.get("hidden_at_once", 0)),
            doubts=len(render.get("doubts", ())),
            damaged=int(render.get("damaged", 0)),
            looked=tuple(dict.fromkeys(looked)),
            approved=tuple(approvers(rows, state)),
            needed=2 if self._place.settings.review.two_people else 1,
            rejected_by=state.rejected.payload["by"] if state.rejected else None,
            waiting=self._waiting(state) if state.render else 0,
            digest=None if state.nothing_left else digest,
            carried=state.approved is not None and "carried" in state.approved.payload,
            approvable=there and open_,
            rejectable=there and (open_ or bool(state.standing)),  # then it is said to be taken away there
        )

    def _bare(self, state: State, row: ClipRow) -> ClipView:
        """A clip of which only the rendering is left: it can be watched and judged."""
        assert state.render is not None
        path = self._place.finished / state.render["file"]
        if not path.is_file():
            raise RepairError("There is no clip {clip} that can be shown.", clip=state.file)
        tick, pts, width, height = frame_times(path)
        return ClipView(
            row,
            state.render["sha256"],
            len(pts),
            width,
            height,
            tick,
            int(pts[0]),
            runs(np.diff(pts)),
            (),
            (),
            (),
            (),
            "unknown" if self._place.vault.has(state.clip) else "gone",
            undecided(state.render),
        )

    def _checked(
        self, state: State, found: Seen, asked: dict[str, Any], role: Role, first: dict[str, Any] | None
    ) -> dict[str, Any]:
        """The row to write for what was asked; ``first`` is the one that was written when it was sent before. Raises
        RepairError when it makes no sense for this clip."""
        mended = self._mended(state, found)
        row = checked(asked, len(found.pts), (found.width, found.height), {one.number for one in mended.tracks})
        if row["kind"] == RepairKind.SPLIT and first is not None and first["kind"] == RepairKind.SPLIT:
            row["track"] = first["track"]  # who is split is in two by now
        elif row["kind"] == RepairKind.SPLIT:
            lane = next((one for one in self.clip(state.clip).lanes if row["track"] in one.tracks), None)
            there = [t.number for t in mended.tracks if t.start < row["start"] < t.stop]
            inside = [number for number in there if lane is not None and number in lane.tracks]
            if not inside:
                raise RepairError("This person is not in the picture at that moment.")
            row["track"] = inside[0]
        if row["kind"] in {kind.value for kind in UNHIDES}:
            if role is not Role.COACH:
                raise RepairError("Only the coach may say that somebody can be seen.")
            if row["person"] not in {one.id for one in self.offered(state.clip)}:
                raise RepairError("There is no consent in force for {person}.", person=row["person"])
        return row | {"analysis": found.analysis}
