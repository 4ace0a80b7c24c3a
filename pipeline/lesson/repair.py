"""Repairs are carried out: a new plan, a new rendering, checked and kept. Only what changed is rendered again.

Our renderings can be cut at their keyframes. The stretches in which the new plan differs from the old one are encoded
and checked as clips of their own; everything else is copied packet by packet from the rendering that was checked
before. Where that cannot be done to the bit, the whole clip is rendered again.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from pipeline import opinion, run
from pipeline.adapters import files, inspect
from pipeline.adapters.moment import in_file
from pipeline.adapters.part import Part, PartError, keyframes
from pipeline.adapters.pictures import whole
from pipeline.adapters.sound import loudest
from pipeline.adapters.splice import NewSound, Piece, SpliceError, splice
from pipeline.adapters.video_in import ClipReader, open_clip
from pipeline.errors import CheckFailedError, QuarantinedError, RepairError
from pipeline.lesson import seen
from pipeline.lesson.mending import Mending, agreed_now, lay_over, outcome_of
from pipeline.lesson.seen import Seen
from pipeline.lesson.state import State, film, find, made_anew_by
from pipeline.lesson.withdraw import refuse_changed
from pipeline.opinion import Opinion
from pipeline.records import Figures, Progress, Repair, SecondEyes, Sighting, joined, no_progress
from pipeline.regions import changed_frames
from pipeline.settings import Settings
from pipeline.stages import second_opinion
from pipeline.stages.render import Rendered
from pipeline.workspace import Workspace

SHARE = 0.6
"""From this share of the clip on, rendering it in one go is as quick as in pieces."""

SILENCE = 0.004
"""The loudest that a muted stretch may be in the finished file; full scale is 1."""

EDGE = 0.06
"""Seconds at either end of a muted stretch that are not listened to: an encoder rings for a block or two."""


@dataclass(frozen=True)
class Repaired:
    """What became of a clip's repairs. ``encoded`` counts the frames that were rendered again."""

    sha256: str
    frames: int
    encoded: int
    seconds: float


def waiting(workspace: Workspace, state: State) -> bool:
    """`State.repairs_wait`, asked of the ledger as it is now: for whoever was at work since ``state`` was read."""
    if state.render is None or state.wiped or state.deleted is not None:
        return False
    return seen.lacking(state.render, seen.repairs(workspace.ledger, state.clip))


def repair(workspace: Workspace, clip: str, today: date, progress: Progress = no_progress) -> Repaired:
    """Bring a clip's rendering up to its repairs. Raises RepairError, and what rendering and checking raise."""
    state = find(workspace, clip)
    before = basis(workspace, state)
    assert state.render is not None
    old = workspace.finished / state.render["file"]
    if state.outdated and not old.is_file():  # it was removed because of that
        raise RepairError(
            "{clip} shows somebody who may not be shown any more; {command} makes it anew.",
            clip=state.file,
            command=made_anew_by(state),
        )
    if not old.is_file() or files.sha256_of(old) != before.sha256:
        raise RepairError("{file} is not the file that was checked; run lesveil run again.", file=old)
    all_repairs = seen.repairs(workspace.ledger, clip)
    filmed = date.fromisoformat(state.filmed) if state.filmed else None
    agreed = agreed_now(workspace, before.decisions, all_repairs, filmed, today)
    key = seen.rendering_key(before.made_with, all_repairs, agreed.known)
    source_sha = str(state.ingest.payload["sha256"])
    when = opinion.clock(before.pts, float(before.time_base), float(before.rate))
    figures = Figures()
    started = time.perf_counter()
    with open_clip(Path(state.file).with_suffix(""), film(workspace, clip)) as source:
        # whatever lesveil.toml says by now: what else is to change, lesveil run changes
        audio = state.render.get("audio", workspace.settings.rendering.audio)
        settings = replace(workspace.settings, rendering=replace(workspace.settings.rendering, audio=audio))
        mending = lay_over(state.file, source, before, all_repairs, before.placed, agreed, settings, progress)
        final = workspace.finished / f"{_stem(old)}.{key[:8]}.mp4"
        if final != old:
            files.remove(final)
            files.sweep_partials(final)
        partial = files.partial_path(final)
        eyes, _ = opinion.eyes_of(settings.second_opinion)
        work = _Work(settings, source, before, mending, old, partial, progress, figures, eyes)
        if work.nothing():
            work.sightings[:] = before.sightings
            seen.keep(workspace.vault, clip, replace(before, plan=mending.plan, repairs=mending.repairs))
            outcome = dict(state.render) | outcome_of(mending, when, _opinion(state, work))
            seen.record(workspace, clip, source_sha, key, outcome)
            return Repaired(before.sha256, len(before.pts), 0, time.perf_counter() - started)
        try:
            encoded, done, regions = work.in_pieces() or work.whole()
            _listen(partial, before, mending)
            if filmed is not None:
                refuse_changed(workspace, agreed.recognised, filmed, today, partial, agreed.known)
            digest = files.sha256_of(partial)
            kept = mending.kept(before, digest, done, before.shift, work.sightings)
            seen.keep(workspace.vault, clip, kept)
            if final == old:
                files.remove(old)
            files.publish(partial, final)
        finally:
            files.remove(partial)
    outcome = dict(state.render) | {
        "sha256": digest,
        "bytes": final.stat().st_size,
        "file": final.name,
        "regions": regions,
        **outcome_of(mending, when, _opinion(state, work)),
        "took": round(time.perf_counter() - started, 2),
    }
    seen.record(workspace, clip, source_sha, key, outcome)
    return Repaired(digest, len(done.pts), encoded, time.perf_counter() - started)


def _stem(old: Path) -> str:
    """The clip's name in a rendering's: NAME.KEY.mp4."""
    return old.name.rsplit(".", 2)[0]


def _opinion(state: State, work: _Work) -> Opinion:
    """The second look at a repaired film: what was said of it before goes for what was only copied."""
    told = (state.render or {}).get("second_look") or {"state": opinion.OFF}
    now = opinion.state_of(work.settings.second_opinion)
    copied = now == opinion.LOOKED and not work.anew
    return Opinion(told["state"] if copied else now, left=tuple(work.sightings))


def basis(workspace: Workspace, state: State) -> Seen:
    """What a repair of a clip is made by: what was seen in it. Raises RepairError, which says what is missing."""
    if state.render is None:
        raise RepairError("{clip} has no rendering yet; run lesveil run first.", clip=state.file)
    if state.wiped:
        raise RepairError("The working copy of {clip} is gone; it can no longer be repaired.", clip=state.file)
    if not workspace.vault.has(state.clip):
        raise RepairError(
            "The working copy of {clip} is gone; put its card in, then lesveil run makes it anew with its repairs.",
            clip=state.file,
        )
    before = seen.load(workspace.vault, state.clip, state.render["sha256"])
    if before is None or len(before.plan.prints) != before.plan.frames:  # kept by a version that took no fingerprints
        raise RepairError(
            "Nothing was kept of where people are in {clip}; put its card in, then lesveil run makes it anew with its"
            " repairs.",
            clip=state.file,
        )
    return before


@dataclass(frozen=True)
class _Work:
    """One new rendering on its way."""

    settings: Settings
    source: ClipReader
    before: Seen
    mending: Mending
    old: Path
    partial: Path
    progress: Progress
    figures: Figures
    eyes: SecondEyes | None
    sightings: list[Sighting] = field(default_factory=list)
    """What the second look sees in the new rendering."""
    anew: list[bool] = field(default_factory=list)
    """Not empty: the whole clip was rendered, and looked at, anew."""

    def nothing(self) -> bool:
        """Nothing that is seen or heard changes: somebody was said to be the same person, say."""
        same = self.mending.mended.mutes == self.before.mutes
        return same and not changed_frames(self.before.plan, self.mending.plan)

    def whole(self) -> tuple[int, Rendered, int]:
        """Render the clip in one go: (frames encoded, what was rendered, regions checked)."""
        silent = self.mending.silent(self.before, self.source)
        watch = self._watch(0, self.mending.plan.frames)
        done, _, result = run.render_checked(
            self.source,
            self.mending.plan,
            self.partial,
            self.settings,
            self.progress,
            self.figures,
            silent,
            watch=watch,
        )
        self.sightings[:] = watch.sightings() if watch else self.before.sightings
        self.anew.append(True)
        return len(done.pts), done, result.regions

    def in_pieces(self) -> tuple[int, Rendered, int] | None:
        """Render what changed and copy the rest; None where only the whole clip will do."""
        before, plan = self.before, self.mending.plan
        try:
            pieces = self._stretches(changed_frames(before.plan, plan))
        except ValueError:
            return None
        encoded = sum(stop - start for start, stop in pieces)
        if encoded > SHARE * plan.frames:
            return None
        made: list[Piece] = []
        seen_anew: list[Sighting] = []
        settings = self.settings
        mute = replace(settings, rendering=replace(settings.rendering, audio="mute", quarantine_share=1.0))
        try:
            for start, stop in pieces:
                path = files.partial_path(self.partial)
                made.append(Piece(path, start, stop))
                part = Part(self.source, before.pts, start, stop)
                watch = self._watch(start, stop)
                done, _, _ = run.render_checked(
                    cast(ClipReader, part),
                    plan.part(start, stop),
                    path,
                    mute,
                    _offset(self.progress, sum(p.stop - p.start for p in made[:-1]), encoded),
                    self.figures,
                    watch=watch,
                )
                seen_anew += second_opinion.moved(watch.sightings(), start) if watch else []
                if {start + n for n in done.damaged} != {n for n in before.damaged if start <= n < stop}:
                    return None
            splice(self.old, made, self.partial, self._sound())
        except (PartError, SpliceError, QuarantinedError):
            return None
        finally:
            for piece in made:
                files.remove(piece.path)
        extras = inspect.extras(self.partial)
        if extras:
            files.remove(self.partial)
            raise CheckFailedError(
                "{clip} was written but is not what was planned ({finding}); it is not released.",
                clip=plan.clip,
                finding=f"the file carries {extras[0]}",
            )
        looked_at = pieces if self.eyes else []
        self.sightings[:] = seen_anew + [
            one
            for one in before.sightings
            if any(not any(start <= n < stop for start, stop in looked_at) for n in one.frame.tolist())
        ]
        return encoded, Rendered(before.pts, before.damaged), len(plan.frame)

    def _watch(self, start: int, stop: int) -> second_opinion.Watch | None:
        """For a second look at frames ``start`` up to ``stop`` as a film of its own."""
        if self.eyes is None:
            return None
        mended = self.mending.mended
        kept = second_opinion.part_of(second_opinion.kept_faces(mended.tracks, mended.decisions), start, stop)
        cuts = [cut - start for cut in self.before.cuts if start < cut < stop]
        plan = self.mending.plan
        return second_opinion.Watch(self.eyes, plan.part(start, stop), kept, whole, cuts)

    def _stretches(self, changed: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """``changed`` widened to keyframes of the old file. Raises ValueError when it has none where it should."""
        total = self.mending.plan.frames
        if not changed:
            return []
        keys = keyframes(self.old, in_file(self.before.pts, self.before.time_base, self.before.shift))
        if not keys or keys[0] != 0:
            raise ValueError("the file does not begin with a keyframe")
        keys.append(total)
        wide = [
            (keys[bisect.bisect_right(keys, start) - 1], keys[bisect.bisect_left(keys, stop)])
            for start, stop in changed
        ]
        return joined(wide)

    def _sound(self) -> NewSound | None:
        """The sound to make anew; None when it stays as it is."""
        before = self.before
        if self.mending.mended.mutes == before.mutes or self.settings.rendering.audio == "mute":
            return None
        step = max(1, round(1 / (before.rate * before.time_base)))
        return NewSound(
            path=self.source.path,
            chapters=self.source.chapters,
            mutes=self.mending.silent(before, self.source),
            shift=before.shift,
            start=int(before.pts[0]) * before.time_base,
            end=Fraction(int(before.pts[-1]) + step) * before.time_base,
            disguise=self.settings.rendering.audio == "disguise",
        )


def _offset(progress: Progress, before: int, all_pieces: int) -> Progress:
    def told(stage: str, done: int, total: int) -> None:
        progress(stage, min(before + done, all_pieces), all_pieces)

    return told


def _listen(partial: Path, before: Seen, mending: Mending) -> None:
    """Raise CheckFailedError when something can be heard where the plan is silent."""
    shift = float(before.shift)
    for start, stop in replace(before, mutes=mending.mended.mutes).silent():
        if stop - start > 2 * EDGE and loudest(partial, start - shift + EDGE, stop - shift - EDGE) > SILENCE:
            raise CheckFailedError(
                "{clip} was written but is not what was planned ({finding}); it is not released.",
                clip=mending.plan.clip,
                finding=f"something is heard between {start:.2f} and {stop:.2f} s",
            )


def pending(workspace: Workspace, states: Sequence[State]) -> list[Repair]:
    """Repairs that no rendering has yet."""
    out: list[Repair] = []
    for state in states:
        if waiting(workspace, state) and state.render is not None:
            have = set(state.render.get("repairs", ()))
            out += [r for r in seen.repairs(workspace.ledger, state.clip) if (r.id in have) == r.undone]
    return out


Told = Callable[[str, str, int, int], Any]
"""Told how far the work on a clip is: (clip, stage, done, total)."""
