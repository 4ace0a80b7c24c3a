"""The command line. What it prints, its exit codes and its JSON are a contract; other programs call it."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from pipeline import __version__, messages, workspace
from pipeline.errors import (
    INTERRUPTED,
    ClipNotFoundError,
    LesveilError,
    NotReadyError,
    OutputExistsError,
    OutputNotWritableError,
    PartialError,
    UsageError,
    all_errors,
)
from pipeline.messages import told, tr
from pipeline.records import Style
from pipeline.settings import Settings

ENDINGS = "mp4 mov m4v mts m2ts ts mkv avi webm mpg mpeg 3gp mxf wmv flv ogv dv"
VIDEO = frozenset(f".{end}" for end in ENDINGS.split())
"""Ends of names in a folder that are taken for clips."""

STAGES = ("detect", "render", "check")


class Bar:
    """A Progress for a terminal: one bar per stage with frames, speed and time left. Silent where none is wanted."""

    def __init__(self, name: str, quiet: bool) -> None:
        self._name = name
        self._quiet = quiet
        self._stage = ""
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._quiet:
            return
        if stage != self._stage:
            self.close()
            self._stage = stage
            unit, scale = ("B", True) if stage in ("copy", "verify") else (" " + tr("frames"), False)
            self._bar = tqdm(
                total=total or None,
                desc=f"{self._name}: {tr(stage)}",
                unit=unit,
                unit_scale=scale,
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
                mininterval=0.2,
            )
        if total and self._bar.total != total:
            self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Parser(argparse.ArgumentParser):
    """argparse, with mistakes told as UsageError."""

    def error(self, message: str) -> NoReturn:
        raise UsageError("{message}; see lesveil --help.", message=message)


def say(text: str, **fields: object) -> None:
    """A line for the person, on standard error: standard output is for results."""
    print(tr(text, **fields), file=sys.stderr)


def answer(args: argparse.Namespace, document: Any, *lines: str) -> int:
    """The result of a command: one JSON document with --json, else lines for people."""
    if args.json:
        print(json.dumps(document, ensure_ascii=False, indent=1, default=str))
    else:
        for line in lines:
            print(line)
    return 0


# --- one clip or a folder, without a workspace ------------------------------------------------------------------


def redact(args: argparse.Namespace) -> int:
    """lesveil redact"""
    if args.audio == "disguise":
        raise NotReadyError("--audio disguise is not built yet; use --audio mute or --audio keep.")
    jobs, several = _jobs([Path(clip) for clip in args.clips], Path(args.output))
    report = Path(args.report) if args.report else None
    if report is not None and os.path.lexists(report):
        raise OutputExistsError("{file} exists already; nothing is written over.", file=report)
    settings = Settings()
    settings = replace(
        settings,
        redaction=replace(settings.redaction, style=Style(args.style)),
        rendering=replace(settings.rendering, audio=args.audio),
    )
    from pipeline import run  # the networks' libraries load here, not for every small command
    from pipeline.engine import Here

    networks = run.Networks(bool(args.keep))
    if args.keep:
        say("Recognising faces needs explicit consent and an assessment (DPIA) that covers it.")
    people = run.enrol_folder(Path(args.keep), networks) if args.keep else []
    batch = run.Batch(settings)
    failures: list[LesveilError] = []

    def one(job: tuple[Path, Path]) -> None:
        source, out = job
        bar = Bar(source.name, args.quiet or args.json)
        try:
            outcome = run.redact_clip(source, out, people, settings, networks, bar)
            entry = run.report_of(outcome)
            batch.clips.append(entry)
            bar.close()
            if not args.quiet:
                speed = entry["figures"]["frames_per_second"]
                say(
                    "{clip}: done, {frames} frames at {speed} per second.",
                    clip=source.name,
                    frames=entry["frames"],
                    speed=speed,
                )
                if outcome.render.damaged:
                    say("{clip}: {n} damaged frames are hidden whole.", clip=source.name, n=len(outcome.render.damaged))
                if outcome.silences or outcome.sound == "lost":
                    say("{clip}: part of the sound could not be read and is silent.", clip=source.name)
        except LesveilError as error:
            batch.failed.append({"source": str(source), "error": str(error), "code": error.code})
            failures.append(error)
            if several:
                say("{clip}: {error}", clip=source.name, error=told(error))
        finally:
            bar.close()

    for _ in Here().map(one, jobs):
        pass
    document = batch.document()
    if report is not None:
        _write_report(report, document)
    if args.json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
    if failures and not several:
        raise failures[0]
    if failures:
        codes = {error.code for error in failures}
        summary = PartialError("{bad} of {all} clips were not done.", bad=len(failures), all=len(jobs))
        if len(codes) == 1:
            say("{bad} of {all} clips were not done.", bad=len(failures), all=len(jobs))
            return codes.pop()
        raise summary
    return 0


def _jobs(clips: Sequence[Path], out: Path) -> tuple[list[tuple[Path, Path]], bool]:
    """Pairs of source and output, and whether they are a batch. Raises before any work is done."""
    sources: list[Path] = []
    several = len(clips) > 1
    for clip in clips:
        if clip.is_dir():
            several = True
            inside = sorted(path for path in clip.rglob("*") if path.suffix.lower() in VIDEO and path.is_file())
            inside = [path for path in inside if not path.name.startswith(".")]
            if not inside:
                raise ClipNotFoundError("{folder} holds no clips.", folder=clip)
            sources += inside
        else:
            sources.append(clip)
    if not several:
        if out.is_dir() or not out.suffix:
            target = out / f"{sources[0].stem}.mp4"
        elif out.suffix.lower() == ".mp4":
            target = out
        else:
            raise UsageError("{file}: the result is an MP4; give it a name that ends in .mp4.", file=out)
        if os.path.lexists(target):
            raise OutputExistsError("{file} exists already; nothing is written over.", file=target)
        return [(sources[0], target)], False
    if out.exists() and not out.is_dir():
        raise OutputExistsError("{file} is a file; several clips need a folder.", file=out)
    pairs: list[tuple[Path, Path]] = []
    taken: set[str] = set()
    for source in sources:
        name = f"{source.stem}.mp4"
        number = 2
        while name.lower() in taken:
            name, number = f"{source.stem}_{number}.mp4", number + 1
        taken.add(name.lower())
        pairs.append((source, out / name))
    return pairs, True


def _write_report(path: Path, document: Any) -> None:
    from pipeline.adapters import files

    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = files.partial_path(path)
        try:
            partial.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            files.publish(partial, path)
        finally:
            files.remove(partial)


# --- with a workspace -------------------------------------------------------------------------------------------


def init(args: argparse.Namespace) -> int:
    """lesveil init"""
    folder = Path(args.folder)
    workspace.create(folder)
    return answer(args, {"workspace": str(folder)}, tr("Workspace made in {folder}.", folder=folder))


def consent_import(args: argparse.Namespace) -> int:
    """lesveil consent import"""
    from pipeline.adapters.consent_file import read_consent_file

    today = date.today()
    with workspace.opened(args.workspace) as place:
        consent = place.settings.consent
        listed = read_consent_file(Path(args.file), purpose=consent.purpose, giver=consent.giver, today=today)
        plan = place.register.plan_import(listed, today)
        number = None
        if not args.dry_run:
            number = place.register.apply(plan)
            row = {"import": number, "sha256": listed.sha256, "people": len(listed.people)}
            place.ledger.append("import", None, row)
    document = {
        "import": number,
        "new": list(plan.new),
        "gone": list(plan.gone),
        "gains": list(plan.gains),
        "losses": list(plan.losses),
        "unchanged": len(plan.unchanged),
        "remarks": [{"row": r.row, "column": r.column, "text": str(r)} for r in plan.remarks],
    }
    lines = [
        tr(
            "{n} people on the list: {new} new, {gone} gone.",
            n=len(listed.people),
            new=len(plan.new),
            gone=len(plan.gone),
        )
    ]
    if plan.losses:
        lines.append(tr("LOSE consent: {people}", people=", ".join(plan.losses)))
    if plan.gone:
        lines.append(tr("NO LONGER on the list, so no longer shown: {people}", people=", ".join(plan.gone)))
    if plan.gains:
        lines.append(tr("gain consent: {people}", people=", ".join(plan.gains)))
    lines += [str(remark) for remark in plan.remarks]
    lines.append(tr("Nothing was changed (--dry-run).") if args.dry_run else tr("Imported as number {n}.", n=number))
    return answer(args, document, *lines)


def consent_list(args: argparse.Namespace) -> int:
    """lesveil consent list"""
    on = args.on or date.today()
    with workspace.opened(args.workspace) as place:
        people = place.register.people(on)
    document = [
        {
            "id": person.id,
            "name": person.name,
            "class": person.group,
            "portraits": person.portrait_folder,
            "shown": person.answer.kept,
            "why": str(person.answer.why),
            "ground": person.answer.ground,
        }
        for person in people
    ]
    lines = [
        f"{entry['id']:>10}  {tr('shown') if entry['shown'] else tr('hidden'):8} {entry['name']}"
        f"  ({entry['why']}; {entry['ground']})"
        for entry in document
    ]
    return answer(args, {"on": on.isoformat(), "people": document}, *lines)


def consent_withdraw(args: argparse.Namespace) -> int:
    """lesveil consent withdraw"""
    from pipeline import lesson

    on = args.on or date.today()
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        shown = lesson.withdraw(place, args.id, on)
    document = {"id": args.id, "on": on.isoformat(), "clips": [{"clip": s.clip, "stage": s.stage} for s in shown]}
    lines = [tr("Consent of {id} is withdrawn from {on} on; the template is destroyed.", id=args.id, on=on)]
    lines += [tr("Clip {clip} ({stage}) shows this person.", clip=s.clip, stage=tr(s.stage)) for s in shown]
    if shown:
        lines.append(
            tr("Run lesveil run again for clips not yet delivered; delivered ones must be taken back by hand for now.")
        )
    return answer(args, document, *lines)


def enrol(args: argparse.Namespace) -> int:
    """lesveil enrol"""
    from pipeline import run
    from pipeline.adapters import portraits
    from pipeline.stages import enrol as enrolling
    from pipeline.stages import identify

    folder = Path(args.portraits)
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        if not place.recognises:
            raise NotReadyError(
                'Recognition is off in this workspace; set [recognition] mode = "on" and name the assessment that '
                "covers it under [privacy] dpia in lesveil.toml."
            )
        wanted, refused = workspace.enrolled_folders(place, folder, date.today())
        networks = run.Networks(True)
        people = []
        for person, sub in wanted.items():
            chips = []
            try:
                for path in portraits.pictures_in(folder / sub):
                    picture = portraits.read(path)
                    marks = enrolling.portrait_face(str(path), picture, networks.detector)
                    chips.append(identify.align(picture, marks))
            except LesveilError as error:
                refused.append({"folder": sub, "id": person, "reason": told(error), "ground": ""})
                continue
            if not chips:
                refused.append({"folder": sub, "id": person, "reason": "no_pictures", "ground": ""})
                continue
            people.append(identify.template(person, chips, networks.embedder))
        alike = {name for pair in identify.look_alikes(people) for name in pair[:2]}
        refused += [
            {"id": name, "folder": wanted[name], "reason": "look_alike", "ground": ""} for name in sorted(alike)
        ]
        people = [person for person in people if person.id not in alike]
        workspace.save_templates(place, people)
        place.ledger.append("enrolment", None, {"people": [person.id for person in people]})
    document = {
        "enrolled": [{"id": person.id, "portraits": person.portraits} for person in people],
        "refused": refused,
    }
    lines = [tr("{n} people can be recognised.", n=len(people))]
    lines += [tr("Not enrolled: {folder} ({reason}; {ground})", **{"ground": "", **entry}) for entry in refused]
    return answer(args, document, *lines)


def run_card(args: argparse.Namespace) -> int:
    """lesveil run"""
    from pipeline import lesson

    today = date.today()
    if not args.card:
        raise NotReadyError("Finding cards by itself is not built yet; name the card's folder with --card.")
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        if not place.recognises:
            say("Recognition is off in this workspace: everyone is hidden.")
        result = lesson.run_card(place, Path(args.card), today, lambda name: Bar(name, args.quiet or args.json))
    lines = _summary(result)
    for name, error in result.failed:
        say("{clip}: {error}", clip=name, error=told(error))
    document = {
        "clips": [_clip_document(state) for state in result.done],
        "failed": [{"clip": name, "error": str(error), "code": error.code} for name, error in result.failed],
        "left_on_card": result.left,
    }
    answer(args, document, *lines)
    if result.failed:
        return result.failed[0][1].code if len(result.failed) == 1 else PartialError.code
    return 0


def _summary(result: Any) -> list[str]:
    renders = [state.render for state in result.done if state.render]
    minutes = sum(render["seconds"] for render in renders) / 60
    shown = {entry["person"] for render in renders for entry in render["kept"]}
    hidden = max((render["hidden_at_once"] for render in renders), default=0)
    doubts = sum(len(render["doubts"]) for render in renders)
    lines = [
        tr(
            "{clips} clips, {minutes} minutes; {shown} people shown, up to {hidden} hidden at once; "
            "{doubts} moments to look at; nothing has left this machine.",
            clips=len(renders),
            minutes=f"{minutes:.1f}",
            shown=len(shown),
            hidden=hidden,
            doubts=doubts,
        )
    ]
    for state in result.done:
        if state.render and state.render["doubts"]:
            moments = ", ".join(f"{start:.1f}-{stop:.1f} s" for start, stop in state.render["doubts"])
            lines.append(tr("Look at {clip}: {moments}", clip=Path(state.file).name, moments=moments))
        if state.render and state.render["damaged"]:
            lines.append(
                tr(
                    "{clip}: {n} damaged frames are hidden whole.",
                    clip=Path(state.file).name,
                    n=state.render["damaged"],
                )
            )
    if result.left:
        lines.append(tr("Left on the card: {files}", files=", ".join(result.left)))
    return lines


def _clip_document(state: Any) -> dict[str, Any]:
    render = state.render or {}
    return {
        "clip": state.clip,
        "file": state.file,
        "filmed": state.filmed,
        "stage": state.stage,
        "waits_for": state.waits_for,
        "rendering": render.get("file"),
        "sha256": render.get("sha256"),
        "seconds": render.get("seconds"),
        "people_shown": sorted({entry["person"] for entry in render.get("kept", [])}),
        "hidden_at_once": render.get("hidden_at_once"),
        "doubts": render.get("doubts", []),
        "damaged_frames": render.get("damaged"),
    }


def status(args: argparse.Namespace) -> int:
    """lesveil status"""
    from pipeline import lesson

    with workspace.opened(args.workspace) as place:
        found = lesson.states(place)
    lines = [
        f"{s.clip[:8]}  {Path(s.file).name:24} {tr(s.stage):12} "
        + (f"{tr('waits for')} {s.waits_for}" if s.waits_for else "")
        for s in found
    ]
    return answer(args, {"clips": [_clip_document(state) for state in found]}, *lines)


def approve(args: argparse.Namespace) -> int:
    """lesveil approve, lesveil reject"""
    from pipeline import lesson

    with workspace.opened(args.workspace) as place, workspace.alone(place):
        state = lesson.judge(place, args.clip, args.by, args.command == "approve")
    verdict = tr("approved") if args.command == "approve" else tr("rejected")
    return answer(args, _clip_document(state), f"{Path(state.file).name}: {verdict}")


def deliver(args: argparse.Namespace) -> int:
    """lesveil deliver"""
    from pipeline import lesson

    with workspace.opened(args.workspace) as place, workspace.alone(place):
        done = lesson.deliver(place, date.today())
    failed = [error for _, error in done if isinstance(error, LesveilError)]
    lines = [
        f"{Path(state.file).name}: "
        + (told(what) if isinstance(what, LesveilError) else tr("arrived and verified: {where}", where=what))
        for state, what in done
    ] or [tr("Nothing is approved and waiting.")]
    document = {
        "delivered": [{"clip": s.clip, "where": w} for s, w in done if not isinstance(w, LesveilError)],
        "failed": [{"clip": s.clip, "error": str(w), "code": w.code} for s, w in done if isinstance(w, LesveilError)],
    }
    answer(args, document, *lines)
    return failed[0].code if failed else 0


def wipe(args: argparse.Namespace) -> int:
    """lesveil wipe"""
    from pipeline import lesson

    today = date.today()
    with workspace.opened(args.workspace) as place, workspace.alone(place):
        if args.execute:
            bar = Bar(tr("card"), args.quiet or args.json)
            try:
                done = lesson.execute_wipe(place, args.execute, today, Path(args.card) if args.card else None, bar)
            finally:
                bar.close()
            document = {"digest": args.execute, "files": done.files, "copies": done.copies, "bytes": done.bytes}
            line = tr(
                "{files} files wiped from the card, {copies} working copies destroyed.",
                files=done.files,
                copies=done.copies,
            )
            return answer(args, document, line, tr(done.promise))
        plan = lesson.wipe_plan(place, today)
    document = {
        "digest": plan.digest if plan.items else None,
        "items": [{"path": item.path, "bytes": item.bytes, "kind": item.kind} for item in plan.items],
        "refused": [{"clip": clip, "reason": reason} for clip, reason in plan.refused],
    }
    lines = [f"  {item.kind:8} {item.path}  ({item.bytes} bytes)" for item in plan.items]
    lines += [tr("Not wiped: {clip}, because {reason}.", clip=clip, reason=tr(reason)) for clip, reason in plan.refused]
    if plan.items:
        lines.append(tr("To wipe exactly this: lesveil wipe --execute {digest}", digest=plan.digest))
    elif not plan.refused:
        lines.append(tr("There is nothing to wipe."))
    return answer(args, document, *lines)


def ledger(args: argparse.Namespace) -> int:
    """lesveil ledger verify"""
    from pipeline.errors import LedgerError

    with workspace.opened(args.workspace) as place:
        findings = place.ledger.verify()
        head = place.ledger.head()
    answer(
        args,
        {"head": head, "findings": findings},
        *(findings or [tr("The ledger is whole; its head is {head}.", head=head)]),
    )
    return LedgerError.code if findings else 0


def models(args: argparse.Namespace) -> int:
    """lesveil models list"""
    from pipeline.adapters.weights import manifest

    entries = []
    for weights in manifest().values():
        try:
            weights.read()
            state, path = "ok", str(weights.path())
        except LesveilError as error:
            state, path = told(error), None
        entries.append(
            {
                "model": weights.name,
                "package": weights.package,
                "licence": weights.licence,
                "file": path,
                "state": state,
            }
        )
    lines = [f"{e['model']:12} {e['licence']:10} {e['package']:26} {e['state']}  {e['file'] or ''}" for e in entries]
    answer(args, {"models": entries}, *lines)
    return 0 if all(entry["state"] == "ok" for entry in entries) else 6


def demo(args: argparse.Namespace) -> int:
    """lesveil demo"""
    from pipeline import demo as showing

    folder = Path(args.folder) if args.folder else Path(tempfile.mkdtemp(prefix="lesveil-demo-"))
    return showing.show(folder, args.lang or "", main)


def not_ready(args: argparse.Namespace) -> int:
    """A command of the design that is not built yet."""
    raise NotReadyError("lesveil {command} is not built yet.", command=args.command)


# --- parsing ----------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    codes = "\n".join(f"  {kind.code:>4}  {kind.__name__}: {_first_line(kind)}" for kind in all_errors())
    top = Parser(
        prog="lesveil",
        description="Hides everyone in a filmed lesson who did not agree to be recognised.",
        epilog=f"exit codes:\n     0  done\n{codes}\n  {INTERRUPTED:>4}  interrupted",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"lesveil {__version__}")
    common = Parser(add_help=False)
    common.add_argument(
        "-C",
        dest="workspace",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="DIR",
        help="the workspace (or LESVEIL_WORKSPACE)",
    )
    common.add_argument("--lang", choices=messages.LANGUAGES, default=argparse.SUPPRESS, help="language of messages")
    common.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on standard output"
    )
    common.add_argument("--quiet", action="store_true", default=argparse.SUPPRESS, help="no progress")
    for action in common._actions:
        top._add_action(action)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    def add(name: str, work: Callable[[argparse.Namespace], int], text: str, into: Any = commands) -> Parser:
        made: Parser = into.add_parser(name, help=text, description=text, parents=[common])
        made.set_defaults(work=work)
        return made

    one = add("redact", redact, "hide everyone in clips, except people with portraits in --keep")
    one.add_argument("clips", nargs="+", metavar="CLIP|FOLDER")
    one.add_argument("-o", "--output", required=True, metavar="OUT", help="a file for one clip, else a folder")
    one.add_argument(
        "--keep", metavar="PORTRAITS", help="folder with one sub-folder of pictures per person who may be seen"
    )
    one.add_argument(
        "--style",
        choices=[style.value for style in Style],
        default=Style.VEIL.value,
        help="veil and solid leave nothing of a face; pixelate is weaker: averages of the face itself remain, and "
        "can be re-identified",
    )
    one.add_argument("--audio", choices=["keep", "mute", "disguise"], default="keep")
    one.add_argument("--report", metavar="FILE.json", help="what was decided about everyone, and the run's figures")

    add("demo", demo, "make a sample card and take it through everything").add_argument(
        "folder", nargs="?", metavar="DIR"
    )
    add("init", init, "make a workspace").add_argument("folder", metavar="DIR")
    consent = commands.add_parser("consent", help="the consent register").add_subparsers(
        dest="action", required=True, parser_class=Parser
    )
    imported = add("import", consent_import, "import the list that administration exported", consent)
    imported.add_argument("file", metavar="FILE")
    imported.add_argument("--dry-run", action="store_true", help="show what would change")
    listed = add("list", consent_list, "who may be shown, and on what ground", consent)
    listed.add_argument("--on", type=_day, metavar="DATE")
    withdrawn = add("withdraw", consent_withdraw, "take back somebody's consent", consent)
    withdrawn.add_argument("id", metavar="ID")
    withdrawn.add_argument("--on", type=_day, metavar="DATE")
    add("enrol", enrol, "make templates of people who agreed to be recognised").add_argument(
        "portraits", metavar="PORTRAITS"
    )
    card = add("run", run_card, "copy, analyse, decide, render and check everything on a card")
    card.add_argument("--card", metavar="DIR")
    add("status", status, "every clip, its stage, and what it waits for")
    for name, text in (("approve", "approve a clip's rendering"), ("reject", "reject a clip's rendering")):
        judged = add(name, approve, text)
        judged.add_argument("clip", metavar="CLIP")
        judged.add_argument("--by", required=True, metavar="NAME")
    add("deliver", deliver, "bring approved clips to where they belong, verified")
    wiped = add("wipe", wipe, "show what may be wiped; wipe exactly what was shown")
    wiped.add_argument("--execute", metavar="DIGEST")
    wiped.add_argument("--card", metavar="DIR")
    book = commands.add_parser("ledger", help="the ledger").add_subparsers(
        dest="action", required=True, parser_class=Parser
    )
    add("verify", ledger, "find any change to the ledger", book)
    shelf = commands.add_parser("models", help="the models").add_subparsers(
        dest="action", required=True, parser_class=Parser
    )
    add("list", models, "every weight file and whether it is the right one", shelf)
    for name, text in (
        ("login", "sign in to OneDrive (not built yet)"),
        ("review", "the reviewers' web page (not built yet)"),
        ("purge", "delete what has served (not built yet)"),
        ("report", "a report for the privacy officer (not built yet)"),
        ("doctor", "what is missing on this machine (not built yet)"),
    ):
        later = add(name, not_ready, text)
        later.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return top


def _first_line(kind: type[LesveilError]) -> str:
    return (kind.__doc__ or kind.__name__).strip().splitlines()[0]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date like 2026-11-23") from error


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Errors are one sentence on standard error, never a traceback."""
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    messages.choose(_early_language(argv))
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        args = parser().parse_args(argv)
        for name, default in (("lang", ""), ("json", False), ("quiet", False), ("workspace", None)):
            if not hasattr(args, name):
                setattr(args, name, default)
        if args.workspace is None and os.environ.get("LESVEIL_WORKSPACE"):
            args.workspace = Path(os.environ["LESVEIL_WORKSPACE"])
        if not getattr(args, "work", None):
            parser().print_help()
            return 0 if args.command is None else UsageError.code
        if args.workspace is not None and (args.workspace / "lesveil.toml").is_file():
            with contextlib.suppress(LesveilError):  # the command itself will tell
                from pipeline.settings import load

                messages.choose(args.lang, load(args.workspace / "lesveil.toml").language)
        code = args.work(args)
        return int(code)
    except LesveilError as error:
        print(f"lesveil: {told(error)}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print(f"lesveil: {tr('interrupted; nothing half-done was left.')}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return 1
    except PermissionError as error:
        refused = OutputNotWritableError("{file} cannot be used: {why}.", file=error.filename, why=error.strerror)
        print(f"lesveil: {told(refused)}", file=sys.stderr)
        return refused.code


def _early_language(argv: Sequence[str] | None) -> str:
    """The language asked for, known before the rest of the line is understood."""
    words = list(sys.argv[1:] if argv is None else argv)
    for place, word in enumerate(words):
        if word == "--lang" and place + 1 < len(words):
            return words[place + 1]
        if word.startswith("--lang="):
            return word.removeprefix("--lang=")
    return ""
