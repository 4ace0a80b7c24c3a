"""lesveil review, accounts and repairs: the reviewers' page, who may use it, and the worker behind it."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from pipeline import workspace
from pipeline.commands.terminal import Add, Group, answer, say
from pipeline.errors import INTERRUPTED, ReviewError, UsageError, code_of
from pipeline.messages import told, tr
from pipeline.settings import RANGES, Review
from pipeline.views import Role

BOOK = "review.db"


def review(args: argparse.Namespace) -> int:
    """lesveil review"""
    from pipeline.adapters.review_book import ReviewBook
    from pipeline.lesson.desk import Desk
    from pipeline.review import server
    from pipeline.review.app import make

    with workspace.opened(args.workspace) as place, ReviewBook.open(place.folder / BOOK) as book:
        settings = place.settings.review
        host = args.host or settings.host
        with contextlib.closing(server.listen(settings, host, _port(args, settings))) as made:
            port = made.getsockname()[1]
            origins = server.origins(settings, host, port)
            app = make(
                Desk(place, book), book, frozenset(origins), f"lesveil_{port}", args.lang or place.settings.language
            )
            link = f"{origins[0]}/sign-in/{book.new_link(args.by or _user(), args.role)}"
            document = {"link": link, "address": origins[0], "role": args.role}
            line = tr("Open this link to sign in; it works once, within the hour: {link}", link=link)
            answer(args, document, line)
            sys.stdout.flush()
            say("More people: lesveil accounts add NAME, or lesveil accounts link NAME. Ctrl-C stops the page.")
            with _worker(args) if not args.no_worker else contextlib.nullcontext():
                server.serve(app, made, settings)
    return 0


@contextlib.contextmanager
def _worker(args: argparse.Namespace) -> Iterator[None]:
    """The worker as a process of its own, begun again if it dies, and gone when the page is."""
    command = [sys.executable, "-m", "pipeline", "repairs", "--watch", "--while-input", "--quiet"]
    command += ["-C", str(args.workspace)]
    if args.lang:
        command += ["--lang", args.lang]
    # in a checkout or a wheel alike: the package that runs here runs there
    path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]))
    ended = threading.Event()
    held: list[subprocess.Popen[bytes]] = []

    def keep_going() -> None:
        while not ended.is_set():
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": path}
            )
            held[:] = [process]
            process.wait()
            ended.wait(2)

    thread = threading.Thread(target=keep_going, name="lesveil-worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        for process in held:
            if process.stdin is not None:
                process.stdin.close()  # what tells it to end after what it is at
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.terminate()
        thread.join(5)


def repairs(args: argparse.Namespace) -> int:
    """lesveil repairs"""
    from pipeline.adapters.review_book import ReviewBook
    from pipeline.lesson.worker import work

    stop = threading.Event()
    if args.while_input:

        def listen() -> None:
            with contextlib.suppress(OSError, ValueError):
                while os.read(sys.stdin.fileno(), 1):  # past Python's buffer, whose lock would outlive the program
                    pass
            stop.set()

        threading.Thread(target=listen, name="lesveil-parent", daemon=True).start()
    with workspace.opened(args.workspace) as place, ReviewBook.open(place.folder / BOOK) as book:
        try:
            done = work(place, book, stop.is_set, args.watch)
        except KeyboardInterrupt:
            if not args.while_input:
                raise
            return INTERRUPTED  # Ctrl-C stops the page, which says what there is to say
    failed = [(state, error) for state, error in done if error is not None]
    document = {
        "repaired": [state.clip for state, error in done if error is None],
        "failed": [{"clip": state.clip, "problem": told(error), "code": error.code} for state, error in failed],
    }
    lines = [f"{Path(state.file).name}: " + (told(error) if error else tr("repaired")) for state, error in done] or [
        tr("No repairs are waiting.")
    ]
    answer(args, document, *lines)
    return code_of(error.code for _, error in failed)


def accounts_add(args: argparse.Namespace) -> int:
    """lesveil accounts add"""
    from pipeline.adapters.review_book import ReviewBook

    with workspace.opened(args.workspace) as place, ReviewBook.open(place.folder / BOOK) as book:
        book.add_account(args.name, args.role, _password(), args.replace)
    line = tr("{name} can sign in as {role}.", name=args.name, role=_title(args.role))
    return answer(args, {"name": args.name, "role": args.role}, line)


def accounts_link(args: argparse.Namespace) -> int:
    """lesveil accounts link"""
    from pipeline.adapters.review_book import ReviewBook
    from pipeline.review import server

    with workspace.opened(args.workspace) as place, ReviewBook.open(place.folder / BOOK) as book:
        settings = place.settings.review
        address = server.origins(settings, settings.host, _port(args, settings))[0]
        link = f"{address}/sign-in/{book.new_link(args.name, args.role)}"
    line = tr("Give this link to {name}; it works once, within the hour: {link}", name=args.name, link=link)
    runs = tr("It is answered while lesveil review runs, which was not looked at here.")
    return answer(args, {"link": link, "name": args.name, "role": args.role}, line, runs)


def accounts_list(args: argparse.Namespace) -> int:
    """lesveil accounts list"""
    from pipeline.adapters.review_book import ReviewBook

    with workspace.opened(args.workspace) as place, ReviewBook.open(place.folder / BOOK) as book:
        found = book.accounts()
    lines = [f"{_title(one.role):20} {one.name}" for one in found] or [tr("There are no accounts.")]
    return answer(args, {"accounts": [{"name": one.name, "role": one.role} for one in found]}, *lines)


def accounts_remove(args: argparse.Namespace) -> int:
    """lesveil accounts remove"""
    from pipeline.adapters.review_book import ReviewBook

    with workspace.opened(args.workspace) as place, ReviewBook.open(place.folder / BOOK) as book:
        book.remove_account(args.name)
    return answer(args, {"removed": args.name}, tr("{name} can no longer sign in.", name=args.name))


def _title(role: str) -> str:
    """A role as people read it; what is typed is the same in every language."""
    return {Role.COACH: tr("coach"), Role.REVIEWER: tr("reviewer"), Role.OFFICER: tr("privacy officer")}[Role(role)]


def _port(args: argparse.Namespace, settings: Review) -> int:
    """The port asked for, or that of lesveil.toml. Raises UsageError."""
    least, most = RANGES["review.port"]
    if args.port is not None and not least <= args.port <= most:
        raise UsageError("--port must lie between {least} and {most}.", least=least, most=most)
    return settings.port if args.port is None else int(args.port)


def _password() -> str:
    """Asked twice on a terminal; else the first line of standard input."""
    if sys.stdin is None or not sys.stdin.isatty():
        return "" if sys.stdin is None else sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(tr("Password: "))
    if first != getpass.getpass(tr("The same again: ")):
        raise ReviewError("The two passwords differ; nothing was changed.")
    return first


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a machine may not know who runs this
        return "coach"


def add_to(add: Add, group: Group) -> None:
    page = add("review", review, "the page on which people watch, repair and approve")
    page.add_argument("--port", type=int, metavar="N", help="the port on this machine")
    page.add_argument("--host", metavar="ADDRESS", help="where to listen; 127.0.0.1 unless told")
    page.add_argument("--by", metavar="NAME", help="whom the link is for; you, unless told")
    page.add_argument("--role", choices=[role.value for role in Role], default=Role.COACH.value, help="what you may do")
    page.add_argument("--no-worker", action="store_true", help="leave the repairs to lesveil repairs")
    worker = add("repairs", repairs, "carry out the repairs that wait")
    worker.add_argument("--watch", action="store_true", help="and those that come, until it is stopped")
    worker.add_argument("--while-input", action="store_true", help="stop when standard input ends")
    accounts = group("accounts", "who may sign in to the reviewers' page")
    for name, work, text in (
        ("add", accounts_add, "an account with a password"),
        ("link", accounts_link, "a link to sign in with, once"),
    ):
        made = add(name, work, text, accounts)
        made.add_argument("name", metavar="NAME", help="the name to sign in with")
        made.add_argument(
            "--role", choices=[role.value for role in Role], default=Role.REVIEWER.value, help="what they may do"
        )
        if name == "add":
            made.add_argument("--replace", action="store_true", help="give an account of that name these instead")
        if name == "link":
            made.add_argument("--port", type=int, metavar="N", help="the port on this machine")
    add("list", accounts_list, "every account", accounts)
    add("remove", accounts_remove, "end an account", accounts).add_argument(
        "name", metavar="NAME", help="the name to sign in with"
    )
