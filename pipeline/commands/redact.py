"""lesveil redact: one clip or a folder, without a workspace."""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline import interruption, workspace
from pipeline.adapters import files
from pipeline.adapters.card import VIDEO
from pipeline.adapters.register import UNDECIDED
from pipeline.commands.terminal import Add, Bars, Group, named, print_json, say
from pipeline.errors import (
    ClipNotFoundError,
    LesveilError,
    NoConsentError,
    OutputExistsError,
    PartialError,
    SecondLookError,
    UsageError,
    code_of,
)
from pipeline.messages import decimal, told
from pipeline.records import Extent, Style
from pipeline.settings import RANGES, Engine, SecondOpinion, Settings, load
from pipeline.unforeseen import ours

if TYPE_CHECKING:
    from pipeline.run import Outcome

Item = TypeVar("Item")

SYSTEM = frozenset(
    {
        "$recycle.bin",
        "recycler",
        "recycled",
        "system volume information",
        "lost+found",
        "#recycle",
        "@recycle",
        "@eadir",
    }
)
"""Folders, in small letters, in which Windows and Linux keep what was deleted or found again; and shares of Synology
and QNAP, which also keep small copies of films."""


def redact(args: argparse.Namespace) -> int:
    """lesveil redact"""
    jobs, several = _jobs(args.clips, args.output)
    for folder in {job.out.parent for job in jobs}:
        files.sweep_abandoned(folder)  # half a film that was not checked is nobody's to find
    report = None if args.report is None else _report([job.out for job in jobs], args.report)
    settings = _settings(args)
    from pipeline import run  # the networks' libraries load here, not for every small command
    from pipeline.engine import opened, side_by_side
    from pipeline.opinion import eyes_of

    eyes_of(settings.second_opinion)  # asked for and not there: told before any work is done
    _refuse_without_consent(args)
    networks = run.Networks(
        bool(args.keep),
        device=settings.detection.device,
        ahead=bool(args.keep) or settings.engine.kind == "here",
        clips=len(jobs),
    )
    if args.keep:
        say("Recognising faces needs explicit consent and an assessment (DPIA) that covers it.")
    people = run.enrol_folder(args.keep, networks, _left_out) if args.keep else []
    batch = run.Batch(settings)
    failures: list[LesveilError] = []

    quiet = args.quiet or args.json

    bars = Bars(quiet)

    def one(job: _Job, among: int) -> None:
        source, bar = job.source, bars(job.source.name, among)
        try:
            if source.is_dir():
                _refuse_inside(args.output, source)
            outcome = run.redact_clip(source, job.out, people, settings, networks, bar, engine)
            entry = run.report_of(outcome)
            batch.clips.append(entry)
            bar.close()
            if not args.quiet:
                _say_done(job.name, outcome, entry)
        except BrokenPipeError:  # nobody reads what we say any more
            raise
        except Exception as unknown:  # noqa: BLE001 -- this clip is not released; the others can be done
            interruption.heed()  # what was let go because of it is no failure
            bar.close()
            error = ours(unknown)
            failed = {"source": str(source), "error": str(error), "code": error.code}
            if isinstance(error, SecondLookError):
                failed["findings"] = error.findings
            batch.failed.append(failed)
            failures.append(error)
            if several:
                say("{clip}: {error}", clip=job.name, error=told(error))
        finally:
            bar.close()

    with opened(settings.engine) as engine:
        try:
            side_by_side(engine, one, jobs)
        finally:
            bars.close()
    order = [str(job.source) for job in jobs]
    for told_of in (batch.clips, batch.failed):  # side by side they end in any order
        told_of.sort(key=lambda entry: order.index(entry["source"]))
    document = batch.document()
    try:
        if args.json:  # first: should there be no room for the report by now, the same is said here
            print_json(document)
    finally:  # whoever reads that may be gone, or have no room
        if report is not None:
            _write_report(report, document)
    if failures and not several:
        raise failures[0]
    if failures:
        summary = PartialError(
            "{bad} of {all} {all:clip|clips} {bad:was|were} not done.", bad=len(failures), all=len(jobs)
        )
        code = code_of(error.code for error in failures)
        if code == summary.code:
            raise summary
        say("{bad} of {all} {all:clip|clips} {bad:was|were} not done.", bad=len(failures), all=len(jobs))
        return code
    return 0


def _refuse_without_consent(args: argparse.Namespace) -> None:
    """A workspace that is named knows who agreed: whoever withdrew there is not shown on the strength of a portrait,
    and no portrait of theirs is looked at.

    Raises NoConsentError, PortraitsNotFoundError, and what opening a workspace raises.
    """
    from pipeline.adapters import portraits
    from pipeline.lesson import enrol

    if args.workspace is None or not args.keep:
        return
    if not any((args.workspace / part).exists() for part in ("register.db", "ledger.db", workspace.VAULT)):
        return  # a folder with settings alone
    where: dict[str, Any] = {"folder": args.workspace, "keep": args.keep}
    with workspace.opened(args.workspace) as place:
        if not place.recognises:
            raise NoConsentError(
                "Recognition is off in {folder}, so nobody is shown by {keep}; leave out --keep, or leave out -C and "
                "LESVEIL_WORKSPACE if this film is none of that workspace.",
                **where,
            )
        portraits.people(args.keep)  # what is wrong with the folder itself
        today = date.today()
        wanted, refused = enrol.folders(place, args.keep, today)
        if refused:
            raise NoConsentError(
                "By the consent list of {folder} these may not be recognised today: {people}; take them out of {keep}, "
                "or leave out -C and LESVEIL_WORKSPACE if this film is none of that workspace.",
                people=", ".join(one.folder for one in refused),
                **where,
            )
        for person in sorted(set(wanted) - set(workspace.grounds(place, wanted, today, today))):
            raise _looks_alike(place, person, wanted[person], today, where)


def _looks_alike(place: workspace.Workspace, person: str, sub: str, today: date, where: dict[str, Any]) -> LesveilError:
    """Why somebody who agreed is not shown: they look like another."""
    for one, other, people in place.register.alikes():
        double = other if person == one else one
        if person in (one, other) and people == UNDECIDED and not place.register.left_out_on(double, today):
            return NoConsentError(
                "{person} looks like {other}, and nobody has said yet who they are, so neither is shown; look at both "
                "folders and then say lesveil consent alike {person} {other} --are one (or two) --by NAME, or take "
                "{sub} out of {keep}.",
                person=person,
                other=double,
                sub=sub,
                **where,
            )
    return NoConsentError(
        "{person} looks like somebody who may not be shown, so neither is recognised; take {sub} out of {keep}, or "
        "leave out -C and LESVEIL_WORKSPACE if this film is none of that workspace.",
        person=person,
        sub=sub,
        **where,
    )


def _say_done(clip: str, outcome: Outcome, entry: dict[str, Any]) -> None:
    """What a person should know of a clip that is done; ``entry`` is what the report says of it."""
    from pipeline.opinion import moments

    speed = entry["figures"]["frames_per_second"]
    say(
        "{clip}: done, {frames} {frames:frame|frames} at {speed} per second.",
        clip=clip,
        frames=entry["frames"],
        speed="?" if speed is None else decimal(speed),
    )
    if outcome.render.damaged:
        say(
            "{clip}: {n} damaged {n:frame is|frames are} hidden whole.",
            clip=clip,
            n=len(outcome.render.damaged),
        )
    if outcome.opinion.hidden:
        say(
            "{clip}: a second look found {n} more {n:place, which is|places, which are} hidden too ({moments}).",
            clip=clip,
            n=len(outcome.opinion.hidden),
            moments=moments(outcome.opinion.hidden, lambda frame: outcome.times[frame]),
        )
    if outcome.silences or outcome.sound == "lost":
        say("{clip}: part of the sound could not be read and is silent.", clip=clip)


def _left_out(person: str, picture: Path) -> None:
    say(
        "{person} stays hidden: {file} may be of somebody else than the other pictures of that folder; take out what "
        "is wrong.",
        person=person,
        file=picture,
    )


def _report(results: Sequence[Path], report: Path) -> Path:
    """Where the report is to lie, after seeing that it can: told before any work is done."""
    if os.path.lexists(report):
        raise OutputExistsError("{file} exists already; nothing is written over.", file=report)
    place = Path(os.path.realpath(report))
    for result in results:
        film = Path(os.path.realpath(result))
        if place == film:
            raise UsageError("{file} cannot be the clip and its report; give them two names.", file=report)
        if film in place.parents or place in film.parents:
            raise UsageError(
                "{file} and {clip} cannot lie within one another; give the report another place.",
                file=report,
                clip=result,
            )
    files.refuse_unwritable(report)
    return report


def _settings(args: argparse.Namespace) -> Settings:
    """Those of the workspace, where one is named; and above them what the command line says. Raises WorkspaceError."""
    base = Settings() if args.workspace is None else load(workspace.settings_file(args.workspace))
    style = base.redaction.style if args.style is None else Style(args.style)
    return replace(
        base,
        redaction=replace(base.redaction, style=style, extent=args.hide or base.redaction.extent),
        rendering=replace(base.rendering, audio=args.audio or base.rendering.audio),
        second_opinion=_second_opinion(args, base.second_opinion),
        engine=_engine(args, base.engine),
    )


def _second_opinion(args: argparse.Namespace, base: SecondOpinion) -> SecondOpinion:
    """Whether there is a second look; whoever says what is to come of it wants one. Raises UsageError."""
    if args.on_finding is not None and args.second_opinion == "off":
        raise UsageError("--on-finding says what comes of the second look that --no-second-opinion leaves out.")
    mode = args.second_opinion or base.mode
    if args.second_opinion is None and args.on_finding is not None:
        mode = "on" if args.on_finding == "ask" else "auto"
    return SecondOpinion(mode, args.on_finding or base.on_finding)


def _engine(args: argparse.Namespace, base: Engine) -> Engine:
    """Where the work is to run. Raises UsageError."""
    most = RANGES["engine.workers"][1]
    if args.workers is not None and not 1 <= args.workers <= most:
        raise UsageError("--workers must lie between 1 and {most}.", most=most)
    kind: Any = args.engine or base.kind
    if args.engine is None and kind == "here" and (args.workers or 1) > 1:
        kind = "processes"
    return replace(base, kind=kind, workers=base.workers if args.workers is None else args.workers)


@dataclass(frozen=True)
class _Job:
    """A source, where its result is to lie, and what it is called on the screen: with the sub-folder it lies in."""

    source: Path
    out: Path
    name: str


def _jobs(clips: Sequence[Path], out: Path) -> tuple[list[_Job], bool]:
    """What is to be made of what, and whether it is a batch. Raises before any work is done.

    Results lie in OUT as the clips lie in their folder, so that a clip that comes in later changes no other's name. A
    clip that is named twice, or beside its folder, is done once.
    """
    sources: list[tuple[Path, Path]] = []
    clips = _once(clips, lambda clip: clip)
    several = len(clips) > 1
    for clip in clips:
        if clip.is_dir():
            several = True
            _refuse_inside(out, clip)
            inside = sorted(_inside(clip, out))
            if not inside:
                raise ClipNotFoundError("{folder} holds no clips; check its name.", folder=clip)
            sources += [(path, path.relative_to(clip)) for path in inside]
        else:
            sources.append((clip, Path(clip.name)))
    if not several:
        if out.is_dir() or not out.suffix:
            target = out / f"{clips[0].stem}.mp4"
        elif out.suffix.lower() == ".mp4":
            target = out
        else:
            raise UsageError("{file}: the result is an MP4; give it a name that ends in .mp4.", file=out)
        if os.path.lexists(target):
            raise OutputExistsError("{file} exists already; nothing is written over.", file=target)
        return [_Job(clips[0], target, clips[0].name)], False
    if out.exists() and not out.is_dir():
        raise OutputExistsError("{file} is a file; several clips need a folder.", file=out)
    if out.suffix.lower() == ".mp4" and not out.exists():
        raise UsageError("{file} is a name for one clip; several clips need a folder.", file=out)
    sources = _once(sources, lambda one: one[0])
    jobs: dict[int, _Job] = {}
    taken = {str(folder).lower() for _, place in sources for folder in place.parents}
    for at in sorted(range(len(sources)), key=lambda at: sources[at][0].suffix.lower() != ".mp4"):
        source, place = sources[at]
        kind = source.suffix.lower().lstrip(".")
        ends = itertools.chain([""] if kind == "mp4" else ["", f"_{kind}"], (f"_{n}" for n in itertools.count(2)))
        results = (place.with_name(f"{source.stem}{end}.mp4") for end in ends)
        result = next(one for one in results if str(one).lower() not in taken)
        taken.add(str(result).lower())
        jobs[at] = _Job(source, out / result, str(place))
    return [jobs[at] for at in range(len(sources))], True


def _inside(folder: Path, out: Path) -> Iterator[Path]:
    """The clips in a folder and its sub-folders. What is hidden, and what systems keep for themselves, is left out:
    there lies what was deleted.

    A link that leads nowhere, a pipe, a sub-folder that cannot be read and a link to a folder that holds ``out`` count,
    for whoever asked for the folder is to hear that it was not done, while the others are. Another sub-folder that is a
    link is gone into, last and once, unless it leads back to what it lies in. Raises ClipNotFoundError where the folder
    itself is closed.
    """
    closed: list[Path] = []

    def pass_over(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise ClipNotFoundError("{file} cannot be opened: {why}.", file=folder, why=error.strerror) from error
        closed.append(Path(error.filename))

    seen: set[Path] = set()
    waiting = deque([folder])
    while waiting:
        for place, folders, names in os.walk(waiting.popleft(), onerror=pass_over):
            here = Path(place)
            real = here.resolve()
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name.lower() not in SYSTEM)
            for link in (here / name for name in folders if (here / name).is_symlink()):
                if _holds(link, out):
                    closed.append(link)
                elif not real.is_relative_to(link.resolve()):
                    waiting.append(link)
            for path in (here / name for name in names if not name.startswith(".")):
                gone = not path.suffix and path.is_symlink() and not path.exists()  # a folder, likely
                if path.suffix.lower() in VIDEO or gone:
                    yield path
    yield from closed


def _once(items: Sequence[Item], path: Callable[[Item], Path]) -> list[Item]:
    """The first of those with the same path."""
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(os.path.abspath(path(item)), item)
    return list(first.values())


def _holds(folder: Path, out: Path) -> bool:
    """Whether ``out`` is this folder or lies within it."""
    place = Path(os.path.realpath(out))  # of a link that leads in a circle Path.resolve makes an error
    return any(above.is_dir() and above.samefile(folder) for above in (place, *place.parents))


def _refuse_inside(out: Path, clips: Path) -> None:
    """UsageError where results would lie among the clips: the next call would take them for clips, too."""
    if _holds(clips, out):
        raise UsageError(
            "{out} lies within {folder}, where the next call would take results for clips; choose a folder outside of "
            "it with -o.",
            out=out,
            folder=clips,
        )


def _write_report(path: Path, document: Any) -> None:
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    # a name that is no UTF-8 becomes an escape, which JSON has, too
    files.write_new(path, text.encode(errors="backslashreplace"))


def add_to(add: Add, group: Group) -> None:
    one = add("redact", redact, "hide everyone in clips, except people with portraits in --keep")
    one.add_argument("clips", nargs="+", type=named, metavar="CLIP|FOLDER", help="films, and folders of films")
    one.add_argument(
        "-o", "--output", required=True, type=named, metavar="OUT", help="a file for one clip, else a folder"
    )
    one.add_argument(
        "--keep",
        type=named,
        metavar="PORTRAITS",
        help="folder with one sub-folder of pictures per person who may be seen",
    )
    one.add_argument(
        "--style",
        choices=[style.value for style in Style],
        help="veil and solid leave nothing of a face; pixelate is weaker: averages of the face itself remain, and "
        "a classifier taught on pixelated faces named 76 of 100 (guessing: 14; docs/quality.md)",
    )
    one.add_argument(
        "--hide",
        choices=[extent.value for extent in Extent],
        help="person hides everyone who is hidden from head to foot, by a box grown from the head; arms that reach out "
        "and whoever lies down stay outside of it, and heads of people who are kept stay clear",
    )
    one.add_argument(
        "--audio",
        choices=["keep", "mute", "disguise"],
        help="mute is sure; disguise makes voices strange but leaves words: what is said may still name somebody",
    )
    look = one.add_mutually_exclusive_group()
    look.add_argument(
        "--second-opinion",
        action="store_const",
        const="on",
        dest="second_opinion",
        help="other networks look at the finished film for faces that are not hidden; done where their weights are "
        "installed (pip install --no-deps mediapipe==0.10.21), and demanded by this",
    )
    look.add_argument(
        "--no-second-opinion",
        action="store_const",
        const="off",
        dest="second_opinion",
        help="do not have the finished film looked at a second time",
    )
    one.add_argument(
        "--on-finding",
        choices=["hide", "ask"],
        help="what the second look finds is hidden, too; or, with ask, the clip is not released (exit code 42) and you "
        "are told when and where to look",
    )
    one.add_argument(
        "--engine",
        choices=["here", "processes", "dask"],
        help="where the work runs: in this process (the default), in worker processes of this machine, or in those of "
        "a Dask cluster",
    )
    one.add_argument("--workers", type=int, metavar="N", help="so many worker processes; docs/performance.md says when")
    one.add_argument(
        "--report", type=named, metavar="FILE.json", help="what was decided about everyone, and the run's figures"
    )
