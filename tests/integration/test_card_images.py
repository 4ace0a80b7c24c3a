"""Wiping on real file systems: FAT32 and exFAT images, searched by photorec and for blocks of the films themselves.

Every search is shown to find what is there before anything is wiped, and after a plain deletion. Needs root, FUSE and
the Debian packages that ``.ci/run`` installs; without them these tests are skipped, and the summary says so aloud.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.adapters.volumes import volume_of
from pipeline.errors import CardError, WipeError
from tests import clips
from tests.world import World

TOOLS = ("mkfs.vfat", "fusefat", "fusermount", "mkfs.exfat", "mount.exfat-fuse", "losetup", "photorec", "fsck.vfat")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
CAN = not MISSING and hasattr(os, "geteuid") and os.geteuid() == 0 and os.path.exists("/dev/fuse")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CAN, reason=f"NO REAL FILE SYSTEM WAS WIPED: root and FUSE needed, missing: {MISSING}"),
]

MIB = 1 << 20
SIZE = 35 * MIB
AT = "DCIM/100CANON"
BLOCK = 512


def run(*words: str | Path, check: bool = True) -> str:
    done = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, errors="replace", timeout=120, check=check
    )
    return done.stdout + done.stderr


class Image:
    """A card as a file: ``system`` is vfat or exfat. ``mounted`` gives its folder; outside of it the file is whole."""

    def __init__(self, folder: Path, system: str) -> None:
        self.system, self.path, self.place = system, folder / f"{system}.img", folder / f"{system}-card"
        self.place.mkdir()
        with self.path.open("wb") as file:
            file.truncate(SIZE)
        if system == "vfat":
            run("mkfs.vfat", "-F", "32", "-s", "1", "-i", "1234ABCD", self.path)
        else:
            run("mkfs.exfat", "-L", "LESKAART", self.path)

    @contextlib.contextmanager
    def mounted(self, *options: str) -> Iterator[Path]:
        with contextlib.ExitStack() as stack:
            if self.system == "vfat":
                run(
                    "fusefat",
                    "-o",
                    ",".join(["rw+", *options]) if not options else ",".join(options),
                    self.path,
                    self.place,
                )
                stack.callback(run, "fusermount", "-u", self.place)
            else:
                drive = run("losetup", "-f", "--show", self.path).strip()
                stack.callback(run, "losetup", "-d", drive)
                run("mount.exfat-fuse", *(["-o", ",".join(options)] if options else []), drive, self.place)
                stack.callback(run, "umount", self.place)
            yield self.place
            os.sync()

    def blocks(self, data: bytes) -> int:
        """How many sampled sectors of ``data`` stand anywhere in the image, at a sector's place."""
        raw = self.path.read_bytes()
        here = {raw[at : at + BLOCK] for at in range(0, len(raw), BLOCK)}
        return sum(block in here for block in sectors(data))

    def recovered(self, folder: Path) -> set[str]:
        """SHA-256 of everything photorec finds in the whole image."""
        folder.mkdir()
        script = "partition_none,options,paranoid,fileopt,everything,enable,wholespace,search"
        environment = {**os.environ, "TERM": "xterm", "HOME": str(folder)}
        subprocess.run(
            ["photorec", "/d", str(folder / "found"), "/cmd", str(self.path), script],
            cwd=folder, env=environment, capture_output=True, timeout=120, check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return {hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("found*/*") if p.suffix != ".xml"}

    def check(self) -> str:
        """What the file system's own checker says; it must find nothing to repair."""
        tool = ["fsck.vfat", "-n"] if self.system == "vfat" else ["fsck.exfat", "-n"]
        return run(*tool, self.path, check=False)


def sectors(data: bytes) -> list[bytes]:
    """Every second whole sector that looks like noise: headers and tables are the same in many films."""
    found = [data[at : at + BLOCK] for at in range(4 * BLOCK, len(data) - BLOCK + 1, 2 * BLOCK)]
    return [block for block in found if len(set(block)) > 160]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Real films, of noise so that no two sectors are alike, as a camera writes them; and a photograph."""
    folder = tmp_path_factory.mktemp("films")
    made = {}
    for n, audio in enumerate(("aac", "aac", None, "aac")):
        path = clips.make(
            folder / f"MVI_000{n}.MP4",
            audio=audio,
            frames=16,
            size="320x240",
            picture_filter=f"noise=alls=60:allf=t:all_seed={n + 1}",
            movflags="+faststart",
            **{"qp": 12},
        )
        made[path.name] = path.read_bytes()
    import cv2
    import numpy as np

    rng = np.random.default_rng(5)
    for name in ("MVI_0000.THM", "IMG_0009.JPG"):
        done, data = cv2.imencode(".jpg", rng.integers(0, 255, (240, 320, 3), np.uint8))
        assert done
        made[name] = data.tobytes()
    return made


@pytest.fixture(params=["vfat", "exfat"])
def image(request: pytest.FixtureRequest, tmp_path: Path, films: dict[str, bytes]) -> Image:
    made = Image(tmp_path, request.param)
    with made.mounted() as card:
        (card / AT).mkdir(parents=True)
        for name, data in films.items():
            (card / AT / name).write_bytes(data)
    return made


STAYS = "MVI_0002.MP4"
DELETED = "MVI_0003.MP4"


def everything(films: dict[str, bytes]) -> dict[str, int]:
    return {name: len(sectors(data)) for name, data in films.items()}


def test_nothing_is_found_after_the_wipe_and_everything_before(
    image: Image, films: dict[str, bytes], tmp_path: Path
) -> None:
    """One film was deleted before, as people do; one is not approved and stays, like the photograph."""
    world = World(tmp_path, image.place)
    with image.mounted() as card:
        world.create()
        copied = world.copy()
        assert copied.failed == []
        assert len(copied.clips) == 4
        (card / AT / DELETED).unlink()
    assert {name: image.blocks(data) for name, data in films.items()} == everything(films)
    before = image.recovered(tmp_path / "before")
    for name in ("MVI_0000.MP4", "MVI_0001.MP4", STAYS, DELETED):
        assert digest(films[name]) in before, f"photorec must find {name} before the wipe, deleted or not"

    with image.mounted():
        world.finish("MVI_0000.MP4", "MVI_0001.MP4")
        plan = world.plan(fill=True)
        assert {item.path for item in plan.items if item.kind in ("video", "sidecar")} == {
            f"{AT}/{name}" for name in ("MVI_0000.MP4", "MVI_0000.THM", "MVI_0001.MP4")
        }
        done = world.wipe(plan.digest, fill=True)
        assert done.filled
        left = world.on_card()
        assert left == {f"{AT}/{name}": films[name] for name in (STAYS, "IMG_0009.JPG")}

    found = {name: image.blocks(data) for name, data in films.items()}
    assert found == {name: count if name in (STAYS, "IMG_0009.JPG") else 0 for name, count in everything(films).items()}
    after = image.recovered(tmp_path / "after")
    assert digest(films[STAYS]) in after, "the search still works"
    for name in ("MVI_0000.MP4", "MVI_0001.MP4", "MVI_0000.THM", DELETED):
        assert digest(films[name]) not in after
    searched = sum(everything(films).values())
    print(f"{image.system}: {searched} sectors looked for; photorec {len(before)} files before, {len(after)} after")


def test_without_filling_what_was_deleted_earlier_is_still_there(
    image: Image, films: dict[str, bytes], tmp_path: Path
) -> None:
    """Why --fill exists; and that the wipe alone overwrites what it says."""
    world = World(tmp_path, image.place)
    with image.mounted() as card:
        world.create()
        (card / AT / DELETED).unlink()
        world.copy()
        world.finish()
        world.wipe(world.plan().digest)
        assert world.on_card() == {f"{AT}/IMG_0009.JPG": films["IMG_0009.JPG"]}
    found = {name: image.blocks(data) for name, data in films.items()}
    assert found[DELETED] == everything(films)[DELETED]
    assert {name for name, count in found.items() if count} == {DELETED, "IMG_0009.JPG"}


def test_a_whole_card(image: Image, films: dict[str, bytes], tmp_path: Path) -> None:
    world = World(tmp_path, image.place)
    with image.mounted() as card:
        world.create()
        world.copy()
        world.finish("MVI_0000.MP4")
        assert world.plan(whole=True).items == (), "one film that may not go keeps the card"
        world.finish()
        plan = world.plan(whole=True)
        assert f"{AT}/IMG_0009.JPG" in {item.path for item in plan.items}
        title = volume_of(card).title
        for typed in ("", title.lower() + "x"):
            with pytest.raises(WipeError, match="must be typed"):
                world.wipe(plan.digest, typed, whole=True)
        (card / "new.txt").write_text("new")
        with pytest.raises(WipeError, match="not the plan that was shown"):
            world.wipe(plan.digest, title, whole=True)
        (card / "new.txt").unlink()
        world.wipe(plan.digest, title, whole=True)
        assert world.on_card() == {}
    assert {name: image.blocks(data) for name, data in films.items()} == dict.fromkeys(films, 0)


def test_a_card_that_cannot_be_written(image: Image, films: dict[str, bytes], tmp_path: Path) -> None:
    world = World(tmp_path, image.place)
    with image.mounted("ro"):
        world.create()
        assert world.copy().failed == []
        world.finish()
        plan = world.plan()
        with pytest.raises(WipeError, match=r"write-protected|Read-only|could not be wiped"):
            world.wipe(plan.digest)
        assert len(world.on_card()) == len(films)
    assert {name: image.blocks(data) for name, data in films.items()} == everything(films)


def test_the_cards_serial_tells_it_from_others(tmp_path: Path) -> None:
    image = Image(tmp_path, "exfat")
    with image.mounted() as card:
        volume = volume_of(card)
        raw = image.path.read_bytes()[100:104][::-1].hex().upper()
        assert volume.serial == f"{raw[:4]}-{raw[4:]}"
        (card / "DCIM").mkdir()
        world = World(tmp_path, card).create(f'[cards]\nregistered = ["{volume.serial.lower()}"]\n')
        assert world.copy().registered
        (tmp_path / "private" / "DCIM").mkdir(parents=True)
        with pytest.raises(CardError.__mro__[1], match="cannot be registered"):
            World(tmp_path, tmp_path / "private").copy()


def test_a_full_card_of_small_pieces_is_filled_to_its_last_sector(tmp_path: Path, films: dict[str, bytes]) -> None:
    """Free space in fragments: every second small file was deleted. Nothing of them is left."""
    image = Image(tmp_path, "vfat")
    world = World(tmp_path, image.place)
    pieces = {f"{n:03d}.BIN": os.urandom(3000) for n in range(60)}
    with image.mounted() as card:
        world.create()
        (card / AT).mkdir(parents=True)
        (card / AT / "MVI_0000.MP4").write_bytes(films["MVI_0000.MP4"])
        for name, data in pieces.items():
            (card / AT / name).write_bytes(data)
        for name in list(pieces)[::2]:
            (card / AT / name).unlink()
    gone = b"".join(data[: len(data) // BLOCK * BLOCK] for data in list(pieces.values())[::2])
    assert image.blocks(gone) == len(sectors(gone))
    with image.mounted():
        world.copy()
        world.finish()
        world.wipe(world.plan(fill=True).digest, fill=True)
    assert image.blocks(gone) == 0
