"""One clip's rendering in a workspace: looked at, decided, mended, written, checked, and told.

What it is made of has a key (`_Wanted`): as long as nothing of that changes, the rendering that is there stands.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pipeline import opinion, run
from pipeline.adapters import files, inspect
from pipeline.adapters.video_in import ClipReader, open_clip
from pipeline.adapters.weights import models_digest
from pipeline.doubles import doubles, hidden_beside
from pipeline.elsewhere import Elsewhere
from pipeline.errors import DiskFullError
from pipeline.lesson import seen
from pipeline.lesson.lookalikes import in_lesson, note
from pipeline.lesson.mending import Agreed, Mending, agreed_now, carry_over, lay_over, outcome_of
from pipeline.lesson.state import film
from pipeline.lesson.teacher import note_teacher
from pipeline.lesson.withdraw import refuse_changed
from pipeline.opinion import Planned
from pipeline.records import Clip, Figures, Person, Progress, Repair, Sighting
from pipeline.stages.second_opinion import Watch
from pipeline.workspace import Workspace, in_force

RENDER_SETTINGS = (*run.PLAN_SETTINGS, "rendering", "privacy", "second_opinion")


@dataclass(frozen=True)
class _Wanted:
    """What a rendering is to be made of today."""

    grounds: Mapping[str, str]
    """Who may be recognised in it, and why; ``shown`` are their templates, ``register`` a digest of it."""
    shown: list[Person]
    register: str
    nearest: Mapping[str, float]
    """How near somebody else came to them in other clips of that day."""
    alone: str
    """Digest of all that it is made with but ``nearest``; ``made_with`` with it."""
    made_with: str
    repairs: list[Repair]
    by_hand: Mapping[str, str]
    """Who may be named in it by hand, and why."""
    key: str


def make(
    workspace: Workspace,
    clip: Clip,
    people: list[Person],
    networks: run.Networks,
    today: date,
    progress: Progress,
    teacher: str | None,
    elsewhere: Elsewhere | None = None,
) -> None:
    """Make the rendering that is wanted of a clip today, and leave its receipt; nothing to do where it is there.

    ``people`` may be recognised where their consent covers the day; ``teacher`` is the number of whose lesson it is.
    Raises what the steps of a clip raise; what was there before stays then, or is taken back if it shows too much.
    """
    openers = film(workspace, clip.id, clip.parts)
    filmed = inspect.filmed_on(openers[0]) or _written_on(workspace, clip)
    days = [row.payload["day"] for row in workspace.ledger.entries("filmed", clip.id)]
    if days[-1:] != [filmed.isoformat()]:  # the latest counts
        workspace.ledger.append("filmed", clip.id, {"day": filmed.isoformat()})
    note_teacher(workspace, clip.id, teacher, filmed, today)
    wanted = _wanted(workspace, clip, people, filmed, today)
    receipt = workspace.ledger.receipt("render", clip.sha256, wanted.key)
    final = workspace.finished / f"{clip.name}.{wanted.key[:8]}.mp4"
    if receipt is not None and final.is_file() and files.sha256_of(final) == receipt["sha256"]:
        return
    files.remove(final)  # a rendering without its receipt, or one whose bytes changed, counts for nothing
    files.sweep_partials(final)
    # demanded and not there: told before the clip is analysed
    eyes, state = opinion.eyes_of(workspace.settings.second_opinion)
    started = time.perf_counter()
    with open_clip(Path(clip.name), openers) as source:
        work = _Work(workspace, clip, wanted, source, final, progress, elsewhere)
        work.look(networks)
        work.mend(filmed, today)
        looked = opinion.settle(work.planned, eyes, state, work.rounds, work.write, work.hide_more)
        done, written, result = looked.result
        digest = files.sha256_of(work.partial)
        agreed, found, mending = work.agreed, work.found, work.mending
        refuse_changed(workspace, agreed.recognised, filmed, today, work.partial, agreed.known)
        kept = mending.kept(found, digest, done, written.shift, looked.opinion.left)
        seen.keep(workspace.vault, clip.id, work.with_what_came(kept))
        files.publish(work.partial, final)
        when = opinion.clock(done.pts, float(source.info.time_base), float(source.info.rate))
    outcome = {
        **seen.of_file(digest, final.name, done, written, result.regions),
        **outcome_of(mending, when, looked.opinion),
        "audio": workspace.settings.rendering.audio,
        "enrolled": max((row.seq for row in workspace.ledger.entries("enrolment")), default=0),
        "took": round(time.perf_counter() - started, 2),
    }
    seen.record(workspace, clip.id, clip.sha256, wanted.key, outcome)


def _wanted(workspace: Workspace, clip: Clip, people: list[Person], filmed: date, today: date) -> _Wanted:
    settings = workspace.settings
    grounds = in_force(workspace, people, filmed, today) if people else {}
    shown = [person for person in people if person.id in grounds]
    register = hashlib.sha256(json.dumps(sorted(grounds.items())).encode()).hexdigest()
    templates = hashlib.sha256(b"".join(person.template.tobytes() for person in shown)).hexdigest()
    digests = settings.digest(*RENDER_SETTINGS) + models_digest() + register + templates
    digests += opinion.state_of(settings.second_opinion)
    alone = hashlib.sha256(digests.encode()).hexdigest()
    nearest = {person: far for person, far in in_lesson(workspace.ledger, clip.id, filmed).items() if person in grounds}
    made_with = hashlib.sha256((alone + json.dumps(nearest)).encode()).hexdigest() if nearest else alone
    repairs = seen.repairs(workspace.ledger, clip.id)
    by_hand = agreed_now(workspace, [], repairs, filmed, today).known
    key = seen.rendering_key(made_with, repairs, by_hand)
    return _Wanted(grounds, shown, register, nearest, alone, made_with, repairs, by_hand, key)


class _Work:
    """A rendering being made: `look`, `mend`, then `write`, and `hide_more` where a second look sees somebody."""

    found: seen.Seen
    """What was seen, and decided of it, without repairs."""
    agreed: Agreed
    mending: Mending
    """The same with them."""

    def __init__(
        self,
        workspace: Workspace,
        clip: Clip,
        wanted: _Wanted,
        source: ClipReader,
        final: Path,
        progress: Progress,
        elsewhere: Elsewhere | None,
    ) -> None:
        self._workspace, self._clip, self._wanted, self._source = workspace, clip, wanted, source
        self._final, self.partial = final, files.partial_path(final)
        self._progress, self._elsewhere, self._figures = progress, elsewhere, Figures()
        self._before = seen.last(workspace, clip.id)
        self._placed: Mapping[str, seen.Placed] = {} if self._before is None else self._before.placed

    def look(self, networks: run.Networks) -> None:
        """Look through the film and decide; or take what was seen before, where that still holds."""
        before, wanted = self._before, self._wanted
        if before is not None and before.made_with == wanted.made_with:  # only repairs are new
            self.found = before
        elif before is not None and before.made_with == wanted.alone:  # only doubles in other clips are new
            decisions = hidden_beside(before.decisions, wanted.nearest)
            self.found = replace(before, made_with=wanted.made_with, decisions=decisions)
            if decisions != before.decisions:
                _unpublish(self._workspace, self._clip)
        else:
            self.found = self._analysed(networks)

    def _analysed(self, networks: run.Networks) -> seen.Seen:
        workspace, clip, wanted = self._workspace, self._clip, self._wanted
        run.refuse_full(self._source, self._final)
        analysis = run.analyse(
            self._source,
            clip.name,
            wanted.shown,
            wanted.grounds,
            wanted.register,
            workspace.settings,
            networks,
            self._progress,
            self._figures,
            self._elsewhere,
        )
        among = {person.id for person in wanted.shown}
        note(workspace.ledger, clip.id, doubles(analysis.identities, analysis.tracks), among)
        found = seen.of_analysis(analysis, wanted.made_with, self._source)
        found = replace(found, decisions=hidden_beside(found.decisions, wanted.nearest))
        return seen.with_second_look(found, self._before)

    def mend(self, filmed: date, today: date) -> None:
        """Lay all repairs over it."""
        before, found, repairs = self._before, self.found, self._wanted.repairs
        if before is not None and _differ(before, found):
            self._placed = carry_over(before, repairs)  # who is hidden by hand is hidden wherever the same name was
        self.agreed = Agreed(self._wanted.grounds, self._wanted.by_hand)
        if found is before:
            self.agreed = agreed_now(self._workspace, found.decisions, repairs, filmed, today)
        self._lay_over()

    def _lay_over(self) -> None:
        self.mending = lay_over(
            self._clip.name,
            self._source,
            self.found,
            self._wanted.repairs,
            self._placed,
            self.agreed,
            self._workspace.settings,
            self._progress,
        )

    @property
    def planned(self) -> Planned:
        mended = self.mending.mended
        return Planned(mended.tracks, mended.decisions, self.mending.plan, self.found.cuts)

    @property
    def rounds(self) -> int:
        """How often it may be written again. Repairs know people by the numbers of the analysis they saw: nothing is
        added to one that has any."""
        if self.found is self._before or seen.standing(self._wanted.repairs):
            return 0
        return opinion.rounds_of(self._workspace.settings.second_opinion)

    def write(self, planned: Planned, watch: Watch | None) -> Any:
        silent = self.mending.silent(self.found, self._source)
        try:
            return run.render_checked(
                self._source,
                planned.plan,
                self.partial,
                self._workspace.settings,
                self._progress,
                self._figures,
                silent,
                self._elsewhere,
                watch,
            )
        except DiskFullError as error:
            raise files.disk_full(self._final) from error

    def with_what_came(self, kept: seen.Seen) -> seen.Seen:
        """``kept`` with where repairs hide that came while it was made: they were said of what was seen before, which
        is forgotten with this, and the next rendering must know whom they meant."""
        before = self._before
        if before is None or not _differ(before, kept):
            return kept
        known = {repair.id for repair in self._wanted.repairs}
        repairs = seen.repairs(self._workspace.ledger, self._clip.id)
        came = {id: one for id, one in carry_over(before, repairs).items() if id not in known}
        return replace(kept, placed=kept.placed | came)

    def hide_more(self, planned: Planned, made: Any, sightings: list[Sighting]) -> Planned:
        """The plan with what the second look saw hidden as well."""
        files.remove(self.partial)
        tracks, decisions = opinion.hiding(self.planned, sightings, self._source, made[0].pts)
        new = len(sightings)
        found = self.found
        tracks, decisions = [*found.tracks, *tracks[-new:]], [*found.decisions, *decisions[-new:]]
        self.found = replace(found, tracks=tracks, decisions=decisions)
        self._lay_over()
        return self.planned


def _differ(before: seen.Seen, found: seen.Seen) -> bool:
    """Whether people have other numbers, or other names, than before."""
    return before.analysis != found.analysis or before.decisions != found.decisions


def _unpublish(workspace: Workspace, clip: Clip) -> None:
    """Take back the latest rendering: it shows somebody whom the next one hides, and the next one may fail."""
    for row in reversed(workspace.ledger.entries("receipt", clip.id)):
        if row.payload["stage"] == "render":
            files.remove(workspace.finished / row.payload["outcome"]["file"])
            return


def _written_on(workspace: Workspace, clip: Clip) -> date:
    """The day on which the camera wrote the film, for a film that does not say itself when it was filmed: the earliest
    of all its copies', for a later one is the day of copying, and by then more people may have agreed."""
    rows = workspace.ledger.entries("ingest", clip.id)
    copied = [datetime.fromisoformat(one["modified"]).date() for row in rows for one in row.payload["listed"][:1]]
    known = [date.fromisoformat(row.payload["day"]) for row in workspace.ledger.entries("filmed", clip.id)]
    return min(copied + known)
