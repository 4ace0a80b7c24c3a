"""A card that is pulled, a disk that is full, files nobody may read: real ones, where the system lets us have them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.adapters.sealed import CHUNK
from pipeline.errors import CardError, DiskFullError, WipeError
from pipeline.lesson import copy as copying
from pipeline.stages import ingest as stage
from tests.world import World

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
FILM = os.urandom(3 << 20)


def lay(card: Path, **films: bytes) -> None:
    for name, data in films.items():
        path = card / "DCIM/100CANON" / f"{name}.MP4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB that is really full when it is full."""
    place = tmp_path / "small"
    place.mkdir()
    if not ROOT or shutil.which("mount") is None:
        pytest.skip("NO DISK WAS FILLED: root is needed to mount a small one")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "lesveil", place], capture_output=True).returncode:
        pytest.skip("NO DISK WAS FILLED: a small one cannot be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_vault_on_a_full_disk(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before the first byte; and where the room goes while the card is copied, the other clips go on."""
    lay(tmp_path / "card", A=os.urandom(1 << 20), B=os.urandom(20 << 20), C=os.urandom(1 << 20))
    world = World(small, tmp_path / "card").create()
    with pytest.raises(DiskFullError, match="no room"):
        world.copy()
    assert not list(world.place.rglob("*.vault"))
    monkeypatch.setattr(stage, "check_room", lambda *_: None)
    copied = world.copy()
    assert [name for name, _ in copied.failed] == ["DCIM/100CANON/B.MP4"]
    assert isinstance(copied.failed[0][1], DiskFullError)
    assert len(copied.clips) == 2
    left = [p.name for p in world.place.rglob("*") if p.suffix in (".partial", ".unfinished")]
    assert left == [], "what filled the disk was removed"


def as_nobody(work: Callable[[], None]) -> int:
    """Run ``work`` in a child process without any rights of ours."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - the child ends here whatever it was
            traceback.print_exc()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not ROOT, reason="root is needed to become somebody else")
def test_films_on_a_card_that_may_not_be_read_or_wiped() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o777)
        lay(folder / "card", A=FILM, B=FILM[:1000])
        (folder / "card/DCIM/100CANON/A.MP4").chmod(0)

        def copy() -> None:
            world = World(folder / "school", folder / "card")
            world.folder.mkdir()
            copied = world.create().copy()
            ((name, error),) = copied.failed
            assert name.endswith("A.MP4")
            assert "Permission denied" in str(error)
            assert len(copied.clips) == 1
            world.finish()
            plan = world.plan()
            with pytest.raises(Exception, match="protected or may not be written"):
                world.wipe(plan.digest)  # the folder is not ours
            assert (folder / "card/DCIM/100CANON/B.MP4").read_bytes() == FILM[:1000]

        assert as_nobody(copy) == 0
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(not ROOT, reason="root is needed to become somebody else")
def test_a_film_that_was_protected_in_the_camera_stops_the_wipe_before_it_begins() -> None:
    """Half a wipe would bind the card until the film is unprotected."""
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o777)

        def wipe() -> None:
            lay(folder / "card", A=FILM[:1000], B=FILM[:2000])
            world = World(folder / "school", folder / "card")
            world.folder.mkdir()
            world.create().copy()
            world.finish()
            before, digest = world.on_card(), world.plan().digest
            (folder / "card/DCIM/100CANON/B.MP4").chmod(0o444)
            with pytest.raises(WipeError, match=r"B\.MP4 is protected.*unprotect it in the camera"):
                world.wipe(digest)
            assert world.on_card() == before
            lay(world.card, C=FILM[:3000])
            assert len(world.copy().clips) == 3, "no wipe was begun"
            (folder / "card/DCIM/100CANON/B.MP4").chmod(0o644)
            world.wipe(digest)
            assert list(world.on_card()) == ["DCIM/100CANON/C.MP4"]

        assert as_nobody(wipe) == 0
    finally:
        shutil.rmtree(folder)


def test_a_card_that_is_pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the midst of the second of three films; put back, the copy goes on where it was."""
    card, drawer = tmp_path / "card", tmp_path / "drawer"
    lay(card, A=FILM[: 1 << 20], B=FILM, C=FILM[:5000])
    world = World(tmp_path / "school", card)
    world.folder.mkdir()
    world.create()
    monkeypatch.setattr("pipeline.adapters.card_reader.PAUSES", (0.0,))
    total = (1 << 20) + len(FILM) + 5000
    pulled_at = (1 << 20) + (2 << 20)  # A is done, and two of B's three MiB

    def pull(stage: str, done: int, whole: int) -> None:
        assert whole == total
        if done == pulled_at and card.exists():
            card.rename(drawer)
            raise OSError(5, "Input/output error")  # what the next read would say

    copied = world.copy(progress=pull)
    assert [name for name, _ in copied.failed] == [f"DCIM/100CANON/{n}.MP4" for n in "BC"]
    assert "is gone; put it back" in str(copied.failed[1][1])
    assert len(copied.clips) == 1
    drawer.rename(card)
    told: list[int] = []
    copied = world.copy(progress=lambda stage, done, _: told.append(done))
    assert copied.failed == []
    assert told[0] > (2 << 20) - 2 * CHUNK, "nearly two MiB of it were there already"
    assert len(copied.clips) == 3


def test_a_wiped_card_that_is_half_wiped_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "card"
    lay(card, A=FILM[:5000], B=FILM[:6000])
    world = World(tmp_path / "school", card)
    world.folder.mkdir()
    world.create().copy()
    world.finish()
    plan = world.plan()
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.adapters.erase.Disk.rename", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.wipe(plan.digest)
    with pytest.raises(Exception, match=r"interrupted; finish it first: lesveil wipe --execute " + plan.digest):
        world.copy()
    world.wipe(plan.digest)
    assert world.on_card() == {}
    assert copying.copy_card  # and now it may be used again
    lay(card, A=FILM[:7000])
    assert len(world.copy().clips) == 1


def test_no_card(tmp_path: Path) -> None:
    world = World(tmp_path, tmp_path / "none").create()
    with pytest.raises(CardError, match="cannot be read"):
        world.copy()
    with pytest.raises(WipeError, match="The card is not at"):
        world.plan()
