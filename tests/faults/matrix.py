"""Run as a process of its own: copies or wipes a card again and again, and is killed at every point of it.

``python -m tests.faults.matrix copy|wipe FOLDER [ERRNO]`` forks a child for each point from a warm process, looks at
what the child left, lets another child repeat the command, looks again, and prints one JSON document. With an errno
the call at the point fails with it instead of the process being killed.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.adapters import card_reader, fill, vault
from pipeline.adapters.erase import Disk
from pipeline.errors import LesveilError, WipeError
from pipeline.lesson.copy import copy_card
from pipeline.stages import wipe as wiping
from tests.faults.layer import Layer
from tests.world import World

AT = "DCIM/100GOPRO"
DICE = random.Random(4)
FILMS = {
    f"{AT}/GX010001.MP4": DICE.randbytes(150_000),
    f"{AT}/GX020001.MP4": DICE.randbytes(70_001),
    f"{AT}/GX010001.THM": DICE.randbytes(700),
    f"{AT}/GX010002.MP4": DICE.randbytes(5_000),
    f"{AT}/IMG_0003.JPG": DICE.randbytes(600),
}
STAYS = {name: data for name, data in FILMS.items() if "0002" in name or "IMG" in name}
"""On the wiped card: a clip that nobody approved, and a photograph."""
SAMPLES = [data[at : at + 48] for data in FILMS.values() for at in range(0, len(data) - 48, 4000)]
ROOM = 40_000
"""Bytes that the free space of the card takes, for ``--fill``."""


def fill_card(card: Path) -> None:
    for name, data in FILMS.items():
        (card / name).parent.mkdir(parents=True, exist_ok=True)
        (card / name).write_bytes(data)
        os.utime(card / name, (1_760_000_000, 1_760_000_000))


class Matrix:
    """One command over one world, at every point; ``error`` is an errno, or 0 to be killed."""

    def __init__(self, folder: Path, error: int) -> None:
        self.template, self.here = folder / "template", folder / "world"
        self.error = error
        self.template.mkdir()
        fill_card(self.here / "card")  # its place is part of what the ledger knows
        self.world = World(self.here / "school", self.here / "card")
        self.world.folder.mkdir()
        self.world.create()
        self.prepare()
        shutil.copytree(self.here, self.template / "world", symlinks=True)

    def prepare(self) -> None: ...

    def command(self) -> None:
        raise NotImplementedError

    def look(self, point: int) -> None:
        """What must hold whatever happened."""
        raise NotImplementedError

    def look_at_end(self, point: int) -> None:
        raise NotImplementedError

    def fresh(self) -> None:
        shutil.rmtree(self.here)
        shutil.copytree(self.template / "world", self.here, symlinks=True)

    def run(self) -> dict[str, Any]:
        layer, told, tried = self._count(), 0, 0
        # Each point is two processes and two looks: errors, which leave less behind than a kill, take every second.
        for point in range(1, layer.count + 1, 2 if self.error else 1):
            tried += 1
            self.fresh()
            ended = _fork(lambda at=point: self._at(at))  # type: ignore[misc]
            if self.error:
                assert ended in (0, TOLD), f"point {point}: it ended with {ended}, and said nothing a person can use"
                told += ended == TOLD
            else:
                assert ended == -signal.SIGKILL, f"point {point}: it was not killed but ended with {ended}"
            self.look(point)
            ended = _fork(self.command)
            assert ended == 0, f"point {point}: repeating the command ended with {ended}"
            self.look(point)
            self.look_at_end(point)
        return {"points": tried, "kinds": layer.kinds, "told": told}

    def _count(self) -> Layer:
        """The points of one run without a fault."""
        layer = Layer()
        note = self.template / "points.json"

        def counting() -> None:
            layer.install()
            self.command()
            count, kinds = layer.count, dict(layer.kinds)
            note.write_text(json.dumps([count, kinds]))

        assert _fork(counting) == 0
        self.look(0)
        self.look_at_end(0)
        layer.count, layer.kinds = json.loads(note.read_text())
        return layer

    def _at(self, point: int) -> None:
        Layer(point, self.error).install()
        self.command()

    def no_clear_copy(self, point: int) -> None:
        for path in self.world.folder.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                assert not any(sample in data for sample in SAMPLES), f"point {point}: {path} is clear"

    def ledger_is_whole(self, point: int) -> None:
        from pipeline.adapters.ledger import Ledger

        with Ledger.open(self.world.place / "ledger.db") as ledger:
            assert ledger.verify() == [], f"point {point}"


class Copying(Matrix):
    def command(self) -> None:
        with self.world.open() as place:
            failed = copy_card(place, self.world.card).failed
            if failed:
                raise failed[0][1]

    def look(self, point: int) -> None:
        assert self.world.on_card() == FILMS, f"point {point}: the card was changed"
        self.no_clear_copy(point)
        self.ledger_is_whole(point)
        with self.world.open() as place:  # what the ledger calls copied is there, byte for byte
            for row in place.ledger.entries("ingest"):
                with place.vault.open(row.clip or "") as copy:
                    films = [file["path"] for file in row.payload["files"] if file["kind"] == "video"]
                    assert copy.read() == b"".join(FILMS[name] for name in films), f"point {point}"

    def look_at_end(self, point: int) -> None:
        with self.world.open() as place:
            assert len(place.vault.ids()) == len({row.clip for row in place.ledger.entries("ingest")}) == 2, point
            listed = {path for row in place.ledger.entries("manifest") for path in row.payload["paths"]}
            assert len(listed) == 4, f"point {point}: {listed}"
        left = [p.name for p in self.world.place.rglob("*") if p.name.endswith((".partial", ".unfinished"))]
        assert left == [], f"point {point}: {left}"


class Wiping(Matrix):
    def prepare(self) -> None:
        self.world.copy()
        self.world.finish("GX010001.MP4")
        self.plan = self.world.plan(fill=True)
        self.planned = {item.path for item in self.plan.items}
        self.stays = {row.payload["sha256"][:16] for row in self._rows("ingest")} - self.planned
        assert len(self.stays) == 1
        assert len(self.planned) == 5, self.planned

    def _rows(self, kind: str) -> list[Any]:
        from pipeline.adapters.ledger import Ledger

        with Ledger.open(self.world.place / "ledger.db") as ledger:
            return ledger.entries(kind)

    def command(self) -> None:
        try:
            self.world.wipe(self.plan.digest, fill=True)
        except WipeError as error:
            if "works once" not in str(error):  # it was killed after the last row: all is done
                raise

    def look(self, point: int) -> None:
        intended = {row.payload["path"] for row in self._rows(wiping.INTENT)}
        assert intended <= self.planned
        now = self.world.on_card()
        for name, data in FILMS.items():
            assert name in intended or now[name] == data, f"point {point}: {name} was touched without an intent"
        assert {name: now[name] for name in STAYS} == STAYS, f"point {point}: more was taken than planned"
        self.ledger_is_whole(point)
        self.no_clear_copy(point)
        ended = {row.payload["path"] for row in self._rows(wiping.OUTCOME)}
        for name in ended & FILMS.keys():
            assert name not in now, f"point {point}: {name} is still there"
        (keeps,) = self.stays
        with self.world.open() as place, place.vault.open(keeps) as copy:
            assert copy.read() == FILMS[f"{AT}/GX010002.MP4"], f"point {point}"

    def look_at_end(self, point: int) -> None:
        assert self.world.on_card() == STAYS, f"point {point}"
        assert {row.payload["path"] for row in self._rows(wiping.OUTCOME)} == self.planned, f"point {point}"
        assert len(self._rows(wiping.END)) == 1, f"point {point}"
        with self.world.open() as place:
            assert place.vault.ids() == sorted(self.stays), f"point {point}"
        assert not list(self.world.place.rglob("*.unfinished"))


TOLD = 3


def _fork(work: Callable[[], None]) -> int:
    """Run ``work`` in a child: 0, TOLD when it told a person what went wrong, 1 for anything else, -9 when killed."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            work()
        except (LesveilError, OSError) as error:  # both are told by the command line
            print(f"told: {error}", file=sys.stderr)
            code = TOLD
        except BaseException:  # noqa: BLE001 - the child ends here whatever it was
            traceback.print_exc()
            code = 1
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def small_card() -> None:
    """A card with little room, and reads that need no patience: every test of a point must be quick."""
    write = Disk.write

    def limited(self: Disk, file: Any, data: bytes) -> None:
        if file.mode == "wb" and file.tell() + len(data) > ROOM:  # a new file: it fills the free space
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, file, data)

    Disk.write = limited  # type: ignore[method-assign]
    fill.Filler._free = lambda self: 0  # type: ignore[method-assign]
    fill._SECTOR = 4096  # type: ignore[attr-defined]
    card_reader.PAUSES = ()
    vault.FRESH = 0  # nobody else writes here


def main() -> int:
    command, folder, *error = sys.argv[1:]
    small_card()
    matrix = {"copy": Copying, "wipe": Wiping}[command](Path(folder), int(error[0]) if error else 0)
    print(json.dumps(matrix.run()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
