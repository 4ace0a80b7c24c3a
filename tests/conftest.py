"""What all tests share: repeatable properties, no error line unnoticed, real faces, footage, and the two networks."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest

if TYPE_CHECKING:
    from pipeline.adapters.networks import CenterFace, FaceNet
    from pipeline.records import U8

ROOT = Path(__file__).resolve().parents[1]
EVAL = Path(os.environ.get("LESVEIL_EVAL") or ROOT.parent / "shared" / "eval")

# No test touches the keyring of whoever runs it; the processes that tests start inherit this too.
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"

hypothesis.settings.register_profile("house", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("house")

if os.environ.get("LESVEIL_SHARING") == "windows":
    from tests import sharing

    sharing.keep(lambda name, function: setattr(os, name, function))


def pytest_configure(config: pytest.Config) -> None:
    for name in ("SIGINT", "SIGHUP"):  # ignored where the tests were started in the background; what they start is not
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    config.addinivalue_line("markers", "logs_errors: this test provokes ERROR log lines on purpose")


TABLES = pytest.StashKey[list[str]]()
"""What tests that measure something want to be read at the end of the run."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for text in terminalreporter.config.stash.get(TABLES, []):
        terminalreporter.write_sep("-", "measured")
        terminalreporter.write_line(text)
    if not EVAL.is_dir():
        terminalreporter.write_sep("!", "NOTHING WAS TESTED ON REAL FOOTAGE", red=True)
        terminalreporter.write_line(f"{EVAL} does not exist; set LESVEIL_EVAL to the folder with the eval clips.")


class _Errors(logging.Handler):
    """Collects lines of ERROR and above. Those of libav tell of broken clips, which the tests are full of."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] != "libav":
            self.lines.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def ordinary_priority() -> Iterator[None]:
    """Where root encodes AV1, SVT-AV1 puts the whole process, and with it all that is started later, before everything
    else on the machine (SCHED_FIFO, 99). A browser that spins then brings both to a stop."""
    yield
    if sys.platform == "linux" and os.sched_getscheduler(0) != os.SCHED_OTHER:
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture(autouse=True)
def no_unexpected_errors(request: pytest.FixtureRequest) -> Iterator[None]:
    """A line logged as ERROR fails the test, unless it is marked ``logs_errors``."""
    handler = _Errors()
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)
    if handler.lines and request.node.get_closest_marker("logs_errors") is None:
        pytest.fail("unexpected ERROR log lines:\n" + "\n".join(handler.lines), pytrace=False)


@pytest.fixture(scope="session")
def eval_folder() -> Path:
    """The folder with the eval clips: LESVEIL_EVAL, or ../shared/eval beside the repository."""
    if not EVAL.is_dir():
        pytest.skip(f"no real footage: {EVAL} does not exist; set LESVEIL_EVAL")
    return EVAL


def _inside(package: str, file: str) -> Path:
    """A file that an installed package carries; the package is not imported."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / file).is_file():
            return path
    pytest.skip(f"{package} with {file} is not installed")


@pytest.fixture(scope="session")
def hopper() -> Path:
    """A portrait of Grace Hopper (public domain), 512 x 600; the face about 180 x 230 pixels."""
    return _inside("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")


@pytest.fixture(scope="session")
def astronaut() -> Path:
    """A portrait of Eileen Collins (public domain), 512 x 512; the face about 90 x 120 pixels."""
    return _inside("skimage", "data/astronaut.png")


@pytest.fixture(scope="session")
def face(hopper: Path) -> U8:
    """A picture of one face, BGR."""
    import cv2

    return np.asarray(cv2.imread(str(hopper)), np.uint8)


@pytest.fixture(scope="session")
def center_face() -> CenterFace:
    """The face detector, loaded once."""
    from pipeline.adapters.networks import CenterFace

    return CenterFace()


@pytest.fixture(scope="session")
def face_net() -> FaceNet:
    """The face embedder, loaded once."""
    from pipeline.adapters.networks import FaceNet

    return FaceNet()
