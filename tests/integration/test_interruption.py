"""Ctrl-C that strikes while FFmpeg reads is not taken for the end of the film."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import cli, interruption
from pipeline.adapters.video_in import open_clip
from pipeline.errors import INTERRUPTED
from tests.clips import make

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals that a process sends to itself")


class Struck:
    """A file that is interrupted at one of its reads, counted from when it was first opened, while FFmpeg waits."""

    def __init__(self, path: Path, reads: Iterator[int], at: int) -> None:
        self._file = path.open("rb")
        self._reads, self._at = reads, at

    def read(self, size: int = -1) -> bytes:
        if next(self._reads) == self._at:
            os.kill(os.getpid(), signal.SIGINT)
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Struck:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("film") / "film.mp4", size="320x240", frames=150)


@pytest.mark.parametrize("at", range(12))
def test_an_interruption_inside_a_read_ends_the_reading(film: Path, at: int, capfd: pytest.CaptureFixture[str]) -> None:
    seen = 0

    def watched() -> None:
        nonlocal seen
        reads = itertools.count()
        with open_clip(film, lambda: Struck(film, reads, at)) as clip:
            for _ in clip.frames():
                seen += 1

    with interruption.listening(), pytest.raises(KeyboardInterrupt):
        watched()
    assert capfd.readouterr().err == "", "no traceback"


def test_what_was_heeded_is_over() -> None:
    with interruption.listening():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.heed()
    interruption.heed()


AGAIN = """
import os, signal, sys
from pipeline import cli, interruption

def within(frame):
    return frame is not None and (frame.f_code.co_name == "_interrupt" or within(frame.f_back))

def strike(frame, *_):
    global left
    left -= within(frame)
    if not left:
        os.kill(os.getpid(), signal.SIGTERM)

for at in range(1, 20):
    left = at
    with interruption.listening():
        try:
            sys.setprofile(strike)
            os.kill(os.getpid(), signal.SIGINT)
            sys.exit("nothing was heeded")
        except KeyboardInterrupt:
            sys.setprofile(None)
"""
"""Another signal at each of the calls and returns that there are while the first is taken."""


def test_an_interruption_within_another_does_not_hang() -> None:
    """A terminal that is closed sends one signal upon another, and who presses Ctrl-C does it twice."""
    subprocess.run([sys.executable, "-c", AGAIN], check=True, timeout=30)


def test_one_that_a_library_makes_something_else_of_is_an_interruption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As happens where it strikes while a compiled module is loaded."""

    def load(*_: object) -> int:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None
        return 0

    monkeypatch.setattr("pipeline.commands.house.init", load)
    assert cli.main(["init", "x", "--lang", "en"]) == INTERRUPTED
    assert "interrupted" in capsys.readouterr().err


def test_one_that_comes_while_another_is_heeded_ends_it_as_quietly() -> None:
    struck = "from pipeline import __main__, cli\ndef main():\n    raise KeyboardInterrupt\n"
    struck += "cli.main = main\n__main__.main()"
    ended = subprocess.run([sys.executable, "-c", struck], capture_output=True, timeout=30)
    assert (ended.returncode, ended.stdout, ended.stderr) == (INTERRUPTED, b"", b"")


def test_what_is_ignored_stays_ignored_and_the_rest_is_put_back() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with interruption.listening():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGTERM) is not before[signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is before[signal.SIGTERM]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
