"""What is not there was not deleted by us, and is never called so; and what lies in the archive is not forgotten."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import messages, workspace
from pipeline.adapters import files
from pipeline.adapters.ledger import Ledger
from pipeline.cli import main
from pipeline.errors import DeliveryError, DiskFullError
from pipeline.lesson import deliver as delivering
from pipeline.lesson import folder_target, targets
from pipeline.lesson.folder_target import FolderTarget
from pipeline.lesson.lying import standing
from pipeline.lesson.report_words import in_words
from pipeline.lesson.state import State, find
from pipeline.lesson.withdraw import reconcile, states_on
from pipeline.stages import deliver as into_folder
from tests.faults import school

TODAY = date.today()
LIST = "Leerlingnummer;Roepnaam;Achternaam;Geboortedatum;Beeldcoaching;Gezichtsherkenning;Toestemming van;" + (
    "Datum toestemming;Geldig tot\n"
)


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    messages.choose("en")


def dutch(day: date) -> str:
    return day.strftime("%d-%m-%Y")


class Place:
    """A workspace with one clip (or more) that was delivered to a folder, and the commands over it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], clips: int = 1) -> None:
        self.folder, self.archive, self._capsys, self._file = folder, folder / "archief", capsys, folder / "lijst.csv"
        self.made = school.make(folder / "werkmap", clips)
        self.clip = self.made.clip
        self.archive.mkdir()
        self.settle(self.archive)
        self.lesveil("deliver")

    def settle(self, archive: Path, more: str = "") -> None:
        text = f"[deliver]\ntarget = 'folder'\nfolder = {json.dumps(str(archive))}\nfolder_is_the_archive = true\n"
        (self.made.folder / "lesveil.toml").write_text(text + more, encoding="utf-8")

    def lesveil(self, *words: object, code: int = 0, json_too: bool = True) -> Any:
        self._capsys.readouterr()
        told = main([*map(str, words), "-C", str(self.made.folder), "--lang", "en", *(["--json"] * json_too)])
        said = self._capsys.readouterr()
        assert told == code, said.err + said.out
        if not json_too:
            return said.out
        return json.loads(said.out) if said.out else said.err

    @property
    def delivered(self) -> Path:
        (path,) = self.archive.rglob("*.mp4")
        return path

    def opened(self) -> Any:
        return workspace.opened(self.made.folder)

    def state(self) -> State:
        with self.opened() as place:
            return find(place, self.clip)

    def rows(self, kind: str) -> list[dict[str, Any]]:
        with self.opened() as place:
            return [row.payload for row in place.ledger.entries(kind)]

    def shows(self, person: str, until: date | None = None, agreed: date | None = None) -> None:
        """The delivered clip shows somebody who is on the list that is imported here."""
        end, since = dutch(until) if until else "", dutch(agreed or TODAY - timedelta(300))
        row = f"{person};Noa;Jansen;01-02-2005;Ja;Ja;leerling;{since};{end}\n"
        self._file.write_text(LIST + row, encoding="utf-8")
        self.lesveil("consent", "import", self._file, "--allow-loss")
        with self.opened() as place:
            kept = [{"person": person, "start": 0, "stop": 9, "ground": "g"}]
            outcome = find(place, self.clip).render or {}
            place.ledger.record("render", self.clip, "shown", self.clip, outcome | {"kept": kept})

    def import_again(self) -> None:
        self.lesveil("consent", "import", self._file, "--allow-loss")


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path, capsys)


def removal(place: Place, how: str) -> str:
    """What a command says that is to delete what was delivered; it must not succeed."""
    if how == "remove":
        return str(place.lesveil("deliver", "--remove", place.clip, "--yes", code=56))
    place.lesveil("used", place.clip, "--by", "Geertje")
    if how == "purge":
        # a clip in the archive goes only after its originals, which this one never had on a card
        place.settle(place.archive, "")
        with place.opened() as opened:
            row = opened.ledger.entries("delivery")[-1].payload
            opened.ledger.append("delivery", place.clip, row | {"is_archive": False})
    else:
        place.shows("41215", until=TODAY - timedelta(2))
    plan = place.lesveil(how)
    done = place.lesveil(how, "--execute", plan["digest"], code=56)["done"]
    return str(done[0]["error"])


@pytest.mark.parametrize("how", ["remove", "purge", "recall"])
def test_an_archive_that_is_not_connected_was_not_cleared(place: Place, how: str) -> None:
    lay = place.delivered.relative_to(place.archive)
    place.archive.rename(place.folder / "usb")
    assert "is not there; connect it" in removal(place, how)
    assert place.rows("delivery_removed") == []
    assert place.state().standing
    (place.folder / "usb").rename(place.archive)
    assert place.delivered.relative_to(place.archive) == lay


@pytest.mark.parametrize("how", ["purge", "recall"])
def test_what_went_without_us_is_not_called_deleted(place: Place, how: str) -> None:
    place.delivered.unlink()
    assert "Lesveil did not remove it" in removal(place, how)
    assert place.rows("delivery_removed") == []
    assert place.state().standing


@pytest.mark.parametrize("how", ["remove", "purge", "recall"])
def test_what_was_moved_within_the_archive_is_found_there(place: Place, how: str) -> None:
    here = place.delivered
    there = place.archive / "van juf Anna" / "les.mp4"
    there.parent.mkdir()
    here.rename(there)
    (there.parent / "other.mp4").write_bytes(b"x" * there.stat().st_size)
    said = removal(place, how)
    assert f"lies at {there} now" in said
    there.rename(here)
    if how == "remove":
        place.lesveil("deliver", "--remove", place.clip, "--yes")
        assert not here.exists()


def test_somebody_says_that_it_is_gone_and_it_can_be_brought_again(place: Place) -> None:
    lay = place.delivered
    lay.unlink()
    said = place.lesveil("deliver", "--remove", place.clip, "--yes")
    assert (said["removed"], said["not_found"]) == (True, [str(lay)])
    assert place.rows("delivery_removed")[-1]["found"] is False
    assert place.state().stage == "removed"
    assert place.lesveil("deliver")["delivered"] == [], "who took it away did not ask for it again"
    place.lesveil("approve", place.clip, "--by", "coach")
    assert place.state().waits_for == "lesveil deliver"
    assert len(place.lesveil("deliver")["delivered"]) == 1
    assert place.delivered == lay


def test_what_is_there_is_removed_and_the_words_differ(place: Place) -> None:
    lay = place.delivered
    assert f"Removed for good: {lay}" in place.lesveil("deliver", "--remove", place.clip, "--yes", json_too=False)
    place.lesveil("approve", place.clip, "--by", "coach")
    place.lesveil("deliver")
    lay.unlink()
    said = place.lesveil("deliver", "--remove", place.clip, "--yes", json_too=False)
    assert f"Was not there any more: {lay}; if somebody moved it" in said


def test_a_crash_between_removing_and_telling_is_made_good(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with place.opened() as opened:
        (row,) = standing(opened.ledger.entries(clip=place.clip))
        append = opened.ledger.append

        def dies(kind: str, clip: str | None, payload: dict[str, Any]) -> Any:
            if kind == "delivery_removed":
                raise KeyboardInterrupt
            return append(kind, clip, payload)

        with monkeypatch.context() as patched:
            patched.setattr(opened.ledger, "append", dies)
            with pytest.raises(KeyboardInterrupt):
                delivering.remove_delivered(opened, place.clip, row.payload)
        assert not list(place.archive.rglob("*.mp4"))
        done = delivering.remove_delivered(opened, place.clip, row.payload)
        assert (done.permanent, done.found) == (True, True)
        assert [one.kind for one in opened.ledger.entries(clip=place.clip)][-2:] == [
            "delivery_removing",
            "delivery_removed",
        ]


def test_a_removal_that_was_begun_is_no_leave_to_lose_the_next_delivery(place: Place) -> None:
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    place.lesveil("approve", place.clip, "--by", "coach")
    place.lesveil("deliver")
    place.delivered.unlink()
    assert "Lesveil did not remove it" in removal(place, "purge")


def test_a_folder_without_its_disk_answers_nothing(place: Place) -> None:
    row = place.rows("delivery")[-1]
    target = FolderTarget(place.archive, True)
    assert target.still_there(row)
    place.archive.rename(place.folder / "usb")
    for ask in (
        lambda: target.still_there(row),
        lambda: list(target.listing()),
        lambda: target.download(row, place.folder / "copy"),
        lambda: target.remove(row, lambda: None, True),
    ):
        with pytest.raises(DeliveryError, match="connect it"):
            ask()
    assert "connect it" in place.lesveil("deliver", "--audit", code=56)


def test_another_folder_in_the_settings_is_told_as_such(place: Place) -> None:
    place.settle(place.folder / "elders")
    (place.folder / "elders").mkdir()
    with place.opened() as opened:
        school.approve(opened, place.clip, school.film(7), "second")
    (failed,) = place.lesveil("deliver", code=56)["failed"]
    assert "was delivered outside of" in failed["error"]
    assert place.delivered.is_file()


def test_our_own_rendering_is_no_copy_that_was_left_behind(place: Place) -> None:
    """lesveil.toml names no folder any more, and what lies in the earlier one is taken away."""
    lay = place.delivered
    (place.made.folder / "lesveil.toml").write_text('[deliver]\ntarget = "onedrive"\n', encoding="utf-8")
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    assert not lay.exists()
    assert list((place.made.folder / "redacted").glob("*.mp4"))
    with place.opened() as opened:
        row = opened.ledger.entries("delivery")[-1].payload
        opened.ledger.append("delivery", place.clip, row)
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    assert place.state().standing == (), "somebody says that it is gone, and its folder is the one"


@pytest.mark.parametrize("how", ["remove", "purge", "recall"])
def test_a_copy_in_the_archive_is_not_left_behind_in_silence(place: Place, how: str) -> None:
    copy = place.archive / "kopie van les.mp4"
    shutil.copy2(place.delivered, copy)
    lay = place.rows("delivery")[-1]["where"]
    assert f"{lay} lies at {copy} as well; delete that copy" in removal(place, how)
    assert Path(lay).is_file()
    assert place.state().standing


def newer(place: Place) -> None:
    """Another rendering of the clip, approved: it is to take the place of what was delivered."""
    with place.opened() as opened:
        school.approve(opened, place.clip, school.film(7), "second")


@pytest.mark.parametrize("to", ["sub/les.mp4", "les2.mp4", ""])
def test_what_takes_a_films_place_does_not_pass_over_where_that_went(place: Place, to: str) -> None:
    newer(place)
    there = place.archive / to if to else place.folder / "elders.mp4"
    there.parent.mkdir(exist_ok=True)
    place.delivered.rename(there)
    (failed,) = place.lesveil("deliver", code=56)["failed"]
    assert f"lies at {there} now" in failed["error"] if to else "Lesveil did not remove it" in failed["error"]
    there.unlink()
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    assert len(place.lesveil("deliver")["delivered"]) == 1
    assert place.state().stage == "delivered"


def test_a_copy_of_what_is_replaced_is_told(place: Place) -> None:
    newer(place)
    copy = place.archive / "kopie.mp4"
    shutil.copy2(place.delivered, copy)
    (failed,) = place.lesveil("deliver", code=56)["failed"]
    assert f"lies at {copy} as well" in failed["error"]
    copy.unlink()
    assert len(place.lesveil("deliver")["delivered"]) == 1


def test_an_empty_folder_is_not_the_archive(place: Place) -> None:
    """A mount point without its disk: nothing that was delivered was ever there."""
    place.archive.rename(place.folder / "usb")
    place.archive.mkdir()
    said = place.lesveil("deliver", "--remove", place.clip, "--yes", code=56)
    assert "it is not the folder into which Lesveil delivered" in said
    newer(place)
    assert "Lesveil did not remove it" in place.lesveil("deliver", code=56)["failed"][0]["error"]
    assert place.rows("delivery_removed") == []


def test_an_archive_without_heads_is_known_by_another_film(two: Place) -> None:
    """Somebody tidied up, and took the empty folders away as well."""
    shutil.rmtree(two.archive / "lesveil-ledger")
    Path(*two.state().standing).unlink()
    said = two.lesveil("deliver", "--remove", two.clip, "--yes")
    assert said["not_found"] == said["where"]
    assert two.state().standing == ()


def test_an_archive_that_was_tidied_is_known_by_its_films_under_whatever_name(two: Place) -> None:
    """Somebody sorted them, and took away the folder that meant nothing to them. What lies there is not lost."""
    two.lesveil("deliver", "--remove", two.clip, "--yes")
    two.lesveil("approve", two.clip, "--by", "coach")
    lay, tidied = two.delivered, two.archive / "groep 3" / "les.mp4"
    shutil.rmtree(two.archive / "lesveil-ledger")
    tidied.parent.mkdir()
    lay.rename(tidied)
    told = two.lesveil("deliver", "--gone", two.archive, "--by", "A", code=56)
    assert f"{tidied} is there, so nothing in it is lost" in told
    assert [one["clip"] for one in two.lesveil("deliver")["delivered"]] == [two.clip]
    first = next(one["clip"] for one in two.lesveil("status")["clips"] if one["clip"] != two.clip)
    assert f"{lay} lies at {tidied} now" in two.lesveil("deliver", "--remove", first, "--yes", code=56)


def test_what_was_cut_off_can_be_given_up_in_an_archive_without_heads(
    two: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing says any more that it is the folder into which that film went; the other film lies there still."""
    two.lesveil("deliver", "--remove", two.clip, "--yes")
    two.lesveil("approve", two.clip, "--by", "coach")
    with monkeypatch.context() as patched:
        patched.setattr(files, "sync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        two.lesveil("deliver", code=32)
    shutil.rmtree(two.archive / "lesveil-ledger")
    (failed,) = two.lesveil("deliver", code=56)["failed"]
    assert "is not the folder into which it went" in failed["error"]
    assert lost(two, two.archive) == [two.rows("delivery_sending")[-1]["where"]], "as it said"
    (arrived,) = two.lesveil("deliver")["delivered"]
    assert (arrived["clip"], two.state().standing) == (two.clip, (arrived["where"],))
    verdicts = [one["verdict"] for one in two.lesveil("deliver", "--audit")["files"]]
    assert verdicts == ["as delivered", "as delivered", "lost"]


def test_what_is_asked_of_an_empty_folder_does_not_make_it_the_archive(place: Place) -> None:
    place.shows("41215", until=TODAY - timedelta(2))
    place.archive.rename(place.folder / "usb")
    place.archive.mkdir()
    place.lesveil("recall", "--execute", place.lesveil("recall")["digest"], code=56)
    assert not list(place.archive.iterdir()), "no head of the ledger either"
    told = place.lesveil("deliver", "--remove", place.clip, "--yes", code=56)
    assert "it is not the folder into which Lesveil delivered" in told
    assert len(lost(place, place.archive)) == 1, "and a lost disk can be given up"


def test_nothing_is_brought_into_an_empty_folder_in_the_archives_place(two: Place) -> None:
    """It would lie on the disk below, out of sight as soon as the archive is in its place again."""
    two.lesveil("deliver", "--remove", two.clip, "--yes")
    two.lesveil("approve", two.clip, "--by", "coach")
    two.archive.rename(two.folder / "usb")
    two.archive.mkdir()
    (failed,) = two.lesveil("deliver", code=56)["failed"]
    assert "it is not the folder into which Lesveil delivered" in failed["error"]
    assert not list(two.archive.iterdir())
    assert len(lost(two, two.archive)) == 1, "as it said"
    assert len(two.lesveil("deliver")["delivered"]) == 2


def test_another_disk_goes_on_where_one_is_full(two: Place) -> None:
    """At the same drive letter; neither is taken for the other, and the first is cleared when it is in again."""
    (here,) = two.state().standing
    two.lesveil("deliver", "--remove", two.clip, "--yes")
    two.lesveil("approve", two.clip, "--by", "coach")
    two.archive.rename(two.folder / "full")
    second = two.archive / "lessen-2"
    second.mkdir(parents=True)
    (failed,) = two.lesveil("deliver", code=56)["failed"]
    assert "one that is called otherwise" in failed["error"]
    two.settle(second)
    assert [one["where"] for one in two.lesveil("deliver")["delivered"]] == [str(second / Path(here).name)]
    first = next(one["clip"] for one in two.lesveil("status")["clips"] if one["clip"] != two.clip)
    for archive in (second, two.archive):
        two.settle(archive)
        assert "it is not the folder" in two.lesveil("deliver", "--remove", first, "--yes", code=56)
    two.archive.rename(two.folder / "second")
    (two.folder / "full").rename(two.archive)
    assert two.lesveil("deliver", "--remove", first, "--yes")["not_found"] == []
    assert not list(two.archive.glob("*.mp4"))
    two.settle(second)
    assert "is not there" in two.lesveil("deliver", "--remove", two.clip, "--yes", code=56)
    assert two.state().standing == (str(second / Path(here).name),)


def test_an_archive_that_was_copied_is_cleared_in_both_places(place: Place) -> None:
    old, new = place.archive, place.folder / "A2"
    shutil.copytree(old, new)
    place.settle(new)
    lay = place.delivered.relative_to(old)
    said = place.lesveil("deliver", "--remove", place.clip, "--yes", code=56)
    assert f"{new / lay} lies at {old / lay} as well" in said
    (old / lay).unlink()
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    assert not (new / lay).exists()


def test_what_is_in_the_workspace_is_no_copy_in_the_archive_around_it(place: Place) -> None:
    place.settle(place.folder)
    assert [one["verdict"] for one in place.lesveil("deliver", "--audit")["files"]] == ["as delivered"]
    newer(place)
    assert [one["where"] for one in place.lesveil("deliver")["delivered"]] == [str(place.delivered)]
    copy = shutil.copy2(place.delivered, place.folder / "kopie.mp4")
    told = place.lesveil("deliver", "--remove", place.clip, "--yes", code=56)
    assert f"lies at {copy} as well" in told


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own there")
def test_an_archive_under_another_name_holds_no_copy(place: Place) -> None:
    """lesveil.toml names a link to the archive (or another mount of it): who deletes the film there has none left."""
    lay, link = place.delivered, place.folder / "lessen"
    link.symlink_to(place.archive)
    place.settle(link)
    newer(place)
    assert [one["where"] for one in place.lesveil("deliver")["delivered"]] == [str(link / lay.name)]
    assert place.state().standing == (str(link / lay.name),)
    os.link(lay, place.archive / "kopie.mp4")
    told = place.lesveil("deliver", "--remove", place.clip, "--yes", code=56)
    assert f"{link / lay.name} lies at {link / 'kopie.mp4'} as well" in told
    (place.archive / "kopie.mp4").unlink()
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    assert not lay.exists()


@pytest.mark.parametrize("how", ["remove", "purge", "recall"])
def test_a_file_that_cannot_be_read_may_be_the_film(place: Place, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = place.delivered
    there = here.with_name("kopie.mp4")
    shutil.copy(here, there)
    real = files.sha256_of

    def broken(path: Path) -> str:
        if path == there:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(path)

    monkeypatch.setattr(files, "sha256_of", broken)
    assert f"{there} cannot be read" in removal(place, how)
    assert here.is_file()
    assert place.rows("delivery_removed") == []


def test_a_link_is_not_what_was_delivered(place: Place) -> None:
    lay = place.delivered
    lay.rename(place.folder / "elders.mp4")
    lay.symlink_to(place.folder / "elders.mp4")
    assert [one["verdict"] for one in place.lesveil("deliver", "--audit", code=56)["files"]] == ["missing"]
    assert "no longer what was delivered" in place.lesveil("deliver", "--remove", place.clip, "--yes", code=56)


def test_what_cannot_be_written_is_named_and_not_the_lock(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    newer(place)

    def read_only(path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(files, "sweep_partials", read_only)
    (failed,) = place.lesveil("deliver", code=31)["failed"]
    assert str(place.delivered) in failed["error"]
    assert "run.lock" not in failed["error"]


def test_an_archive_that_moved_as_a_whole_is_the_archive_still(place: Place) -> None:
    """Another drive letter, a new laptop: the folder in lesveil.toml is another, and in it lies what lay there."""
    elsewhere = place.folder / "F" / "lessen"
    elsewhere.parent.mkdir()
    lay = place.delivered.relative_to(place.archive)
    place.archive.rename(elsewhere)
    place.settle(elsewhere)
    assert [one["verdict"] for one in place.lesveil("deliver", "--audit")["files"]] == ["as delivered"]
    with place.opened() as opened:
        school.approve(opened, place.clip, school.film(7), "second")
    place.settle(elsewhere)
    (one,) = place.lesveil("deliver")["delivered"]
    assert (one["where"], one["replaced"]) == (str(elsewhere / lay), True)
    assert place.state().standing == (str(elsewhere / lay),), "not in the old place as well"
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    assert not list(elsewhere.rglob("*.mp4"))
    assert place.state().standing == ()


@pytest.fixture
def two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    """Two clips, of which `Place.clip` is the second."""
    return Place(tmp_path, capsys, clips=2)


@pytest.mark.parametrize("emptied", [False, True])
def test_what_was_changed_in_an_archive_that_moved_is_known_by_what_came_with_it(two: Place, emptied: bool) -> None:
    """A synchronised folder that gets another place leaves an empty one behind."""
    moved = two.folder / "F"
    (lay,) = two.state().standing
    film = moved / Path(lay).name
    two.archive.rename(moved)
    if emptied:
        two.archive.mkdir()
    two.settle(moved)
    film.write_bytes(b"cut shorter by somebody")
    audited = {one["where"]: one["verdict"] for one in two.lesveil("deliver", "--audit", code=56)["files"]}
    assert (audited[str(film)], len(audited)) == ("changed", 2)
    told = two.lesveil("deliver", "--remove", two.clip, "--yes", code=56)
    assert f"{film} is no longer what was delivered" in told
    film.unlink()
    assert two.lesveil("deliver", "--remove", two.clip, "--yes")["removed"], "as it said"
    two.lesveil("approve", two.clip, "--by", "coach")
    assert [one["where"] for one in two.lesveil("deliver")["delivered"]] == [str(film)]


def test_to_say_how_clips_stand_reads_one_film_of_an_archive_that_moved(
    two: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.archive.rename(two.folder / "F")
    two.settle(two.folder / "F")
    read, real = list[Path](), files.sha256_of
    monkeypatch.setattr(files, "sha256_of", lambda path: (read.append(path), real(path))[1])
    for words in (["status"], ["report"], ["purge"]):
        read.clear()
        two.lesveil(*words)
        assert len(read) <= 1
    read.clear()
    two.lesveil("deliver", "--audit")
    assert len(read) <= 3, "each, and the one by which it is known"


def test_an_archive_that_is_away_is_looked_for_once(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for every clip all over again: over a network that takes minutes."""
    two.archive.rename(two.folder / "usb")
    (two.folder / "new").mkdir()
    two.settle(two.folder / "new")
    asked, real = list[Path](), folder_target._is_whole
    monkeypatch.setattr(folder_target, "_is_whole", lambda at, film: (asked.append(at), real(at, film))[1])
    two.lesveil("status")
    assert len(asked) == len(set(asked))


@pytest.fixture
def unheard(two: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Another film took the place of the second clip's, and a crash came before the ledger heard of it."""
    newer(two)
    append = Ledger.append

    def dies(self: Ledger, kind: str, clip: str | None, payload: dict[str, Any]) -> int:
        if kind == "delivery":
            raise KeyboardInterrupt
        return append(self, kind, clip, payload)

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append", dies)
        two.lesveil("deliver", code=130)
    return two


def test_what_was_replaced_before_a_crash_and_a_move_lies_nowhere(unheard: Place) -> None:
    moved = unheard.folder / "F"
    lay = Path(unheard.rows("delivery_sending")[-1]["where"])
    unheard.archive.rename(moved)
    unheard.settle(moved)
    unheard.lesveil("deliver")
    assert unheard.state().standing == (str(moved / lay.name),), "nobody waits for the place before"
    unheard.lesveil("deliver", "--remove", unheard.clip, "--yes")
    assert unheard.state().standing == ()


def test_what_arrived_before_a_crash_and_was_copied_is_not_forgotten_where_it_went(unheard: Place) -> None:
    copied = unheard.folder / "F"
    lay = Path(unheard.rows("delivery_sending")[-1]["where"])
    shutil.copytree(unheard.archive, copied)
    unheard.settle(copied)
    unheard.lesveil("deliver")
    told = unheard.lesveil("deliver", "--remove", unheard.clip, "--yes", code=56)
    assert f"{copied / lay.name} lies at {lay} as well" in told
    lay.unlink()
    unheard.lesveil("deliver", "--remove", unheard.clip, "--yes")
    assert unheard.state().standing == ()
    assert not (copied / lay.name).exists()


def test_a_copy_is_told_where_an_archive_that_moved_was_put_in_order(two: Place) -> None:
    moved = two.folder / "F"
    (lay,) = two.state().standing
    two.archive.rename(moved)
    two.settle(moved)
    (moved / "groep 3").mkdir()
    (moved / Path(lay).name).rename(moved / "groep 3" / "les.mp4")
    told = two.lesveil("deliver", "--remove", two.clip, "--yes", code=56)
    assert f"{moved / Path(lay).name} lies at {moved / 'groep 3' / 'les.mp4'} now" in told


@pytest.fixture
def cut_off(place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The clip was being brought to a stick when that was full, and the stick is gone; lesveil.toml names the archive
    again. Returns where the stick was."""
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    place.lesveil("approve", place.clip, "--by", "coach")
    stick = place.folder / "stick"
    stick.mkdir()
    place.settle(stick)
    with monkeypatch.context() as patched:
        patched.setattr(files, "sync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        place.lesveil("deliver", code=32)
    stick.rename(place.folder / "drawer")
    place.settle(place.archive)
    return stick


def test_an_earlier_place_that_is_gone_keeps_nothing_from_the_new_one(place: Place, cut_off: Path) -> None:
    (arrived,) = place.lesveil("deliver")["delivered"]
    assert arrived["where"] == str(place.delivered)
    assert arrived["may_lie_at"] == [str(cut_off / place.delivered.name)]
    assert set(place.state().standing) == {str(place.delivered), arrived["may_lie_at"][0]}, "it is not forgotten"
    assert place.lesveil("deliver")["failed"] == []
    said = place.lesveil("deliver", "--remove", place.clip, "--yes", code=56)
    assert "--gone" in said


def test_somebody_says_that_a_place_is_gone(place: Place, cut_off: Path) -> None:
    assert "lesveil deliver --gone" in place.lesveil("deliver", json_too=False)
    (place.folder / "drawer").rename(cut_off)
    (cut_off / "anything").write_bytes(b"x")
    assert "is there" in place.lesveil("deliver", "--gone", cut_off, "--by", "A. Jansen", code=56)
    cut_off.rename(place.folder / "drawer")
    assert len(lost(place, cut_off)) == 1
    assert place.state().standing == (str(place.delivered),)
    assert str(place.archive) in place.lesveil("deliver", "--gone", cut_off, "--by", "A. Jansen", code=56)
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    assert place.state().standing == ()
    cut_off.mkdir()
    place.lesveil("deliver", "--audit")
    assert place.state().lost, "an empty stick is another one, for all that is known"
    cut_off.rmdir()
    (place.folder / "drawer").rename(cut_off)
    place.lesveil("deliver", "--audit")
    assert (place.state().lost, place.state().standing) == ((), ()), "this is the one, and the film did not arrive"


def lost(place: Place, folder: Path) -> list[str]:
    """Somebody says that a folder is gone for good; the places that count as lost by that."""
    gone = ["deliver", "--gone", folder, "--by", "A. Jansen"]
    told = place.lesveil(*gone, "--execute", place.lesveil(*gone)["digest"])["lost"]
    assert isinstance(told, list)
    return told


@pytest.fixture
def stolen(place: Place) -> Path:
    """The disk with the only delivery is gone, and lesveil.toml names another folder. Returns where the disk was."""
    place.archive.rename(place.folder / "thief")
    (place.folder / "new").mkdir()
    place.settle(place.folder / "new")
    return place.archive


def test_a_lost_disk_is_given_up_by_somebody_who_saw_what_lay_there(place: Place, stolen: Path) -> None:
    gone = ["deliver", "--gone", stolen]
    assert "say whose" in place.lesveil(*gone, code=56)
    plan = place.lesveil(*gone, "--by", "A. Jansen")
    (item,) = plan["items"]
    assert (item["clip"], plan["last"]) == (place.clip, []), "its rendering is here"
    assert plan["digest"] in place.lesveil(*gone, "--by", "A. Jansen", json_too=False)
    assert place.state().lies, "it is shown first"
    assert "not the plan" in place.lesveil(*gone, "--by", "A. Jansen", "--execute", "0" * 16, code=67)
    assert place.lesveil(*gone, "--by", " A.  Jansen", "--execute", plan["digest"])["lost"] == [item["where"]]
    assert place.rows("delivery_removed") == [], "nobody saw it go"
    state = place.state()
    assert (state.standing, state.stage, [row.payload["by"] for row in state.lost]) == ((), "approved", ["A. Jansen"])
    assert f"lost at {item['where']}, as A. Jansen said" in place.lesveil("status", json_too=False)
    (line,) = place.lesveil("deliver", "--audit")["files"]
    assert (line["verdict"], line["by"], line["where"]) == ("lost", "A. Jansen", item["where"])
    assert "it may be seen there still" in place.lesveil("deliver", "--audit", json_too=False)
    assert place.lesveil(*gone, "--by", "A. Jansen", "--execute", plan["digest"])["lost"] == [], "a plan works once"
    assert len(place.lesveil("deliver")["delivered"]) == 1, "it is brought to the new one"
    assert place.state().stage == "delivered"
    assert place.lesveil("deliver", "--remove", place.clip, "--yes")["removed"]


def test_a_lost_disk_is_told_in_reports_and_to_whom_it_concerns(place: Place, stolen: Path) -> None:
    with place.opened() as opened:
        opened.ledger.append("card", None, {"folder": "/k", "card": "kaart", "registered": False})
        row = opened.ledger.entries("ingest")[0]
        opened.ledger.append("ingest", row.clip, row.payload)
    place.shows("41215")
    lost(place, stolen)
    assert place.lesveil("recall")["lost"] == [], "who may be seen is no matter of a recall"
    withdrawn = place.lesveil("consent", "withdraw", "41215", json_too=False)
    assert "which is lost, as A. Jansen said" in withdrawn
    plan = place.lesveil("recall")
    assert plan["items"] == [], "nothing there can be hidden, and nothing waits for it"
    ((one),) = plan["lost"]
    assert (one["people"], one["by"]) == (["41215"], "A. Jansen")
    said = place.lesveil("recall", json_too=False)
    assert "nothing can be hidden there" in said
    assert "No delivered clip shows anybody" not in said
    page = place.folder / "verslag.html"
    document = place.lesveil("report", "--html", page)
    ((clip,),) = [batch["clips"] for batch in document["batches"]]
    (gone,) = clip["lost"]
    assert (gone["by"], gone["may_not_be_seen"]) == ("A. Jansen", ["41215"])
    assert (clip["deliveries"][0]["lost_by"], clip["deliveries"][0]["removed_at"]) == ("A. Jansen", None)
    assert (document["summary"]["lost"], document["summary"]["taken_away"]) == (1, 0)
    assert "What is lost shows somebody" in "".join(in_words(document, "report"))
    assert "shows 41215, who may not be shown any more" in page.read_text(encoding="utf-8")
    (shown,) = place.lesveil("report", "--person", "41215")["shown_in"]
    assert (shown["still_delivered"], shown["may_be_delivered"]) == (False, True)
    assert place.lesveil("deliver", "--gone", stolen, "--by", "A", code=56), "it lies there no more"


@pytest.mark.parametrize("name", ["archief", "new"])
def test_a_lost_disk_that_returns_is_due_again(place: Place, stolen: Path, name: str) -> None:
    """Where it was, or as the folder that lesveil.toml names."""
    place.shows("41215", until=TODAY - timedelta(2))
    lost(place, stolen)
    assert place.lesveil("recall")["items"] == []
    (place.folder / "new" / "lesveil-ledger").exists() and shutil.rmtree(place.folder / "new" / "lesveil-ledger")
    if name == "new":
        (place.folder / "new").rmdir()
    (place.folder / "thief").rename(place.folder / name)
    plan = place.lesveil("recall")
    assert ([item["clip"] for item in plan["items"]], plan["lost"]) == ([place.clip], [])
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    assert not list((place.folder / name).glob("*.mp4"))
    assert (place.state().standing, place.state().lost) == ((), ())


def test_what_lies_here_as_well_is_not_what_lies_on_a_disk_that_is_away(place: Place, stolen: Path) -> None:
    (lay,) = lost(place, stolen)
    (here,) = place.lesveil("deliver")["delivered"]
    (place.folder / "thief").rename(stolen)
    place.lesveil("deliver", "--audit")
    stolen.rename(place.folder / "thief")
    newer(place)
    assert [one["where"] for one in place.lesveil("deliver")["delivered"]] == [here["where"]]
    assert set(place.state().standing) == {here["where"], lay}, "the older film lies there still"


def test_a_lost_disk_that_returns_with_its_films_moved_is_not_passed_over(place: Place, stolen: Path) -> None:
    lost(place, stolen)
    film = next((place.folder / "thief").glob("*.mp4"))
    film.rename(film.with_name("anders.mp4"))
    (place.folder / "thief").rename(stolen)
    assert [line["verdict"] for line in place.lesveil("deliver", "--audit", code=56)["files"]] == ["missing"]
    assert place.state().lost == ()


def test_another_disk_in_the_place_of_a_lost_one_is_not_that(place: Place, stolen: Path) -> None:
    (where,) = lost(place, stolen)
    stolen.mkdir()
    place.settle(stolen)
    assert len(place.lesveil("deliver")["delivered"]) == 1
    assert place.delivered == Path(where)
    place.lesveil("deliver", "--audit")
    state = place.state()
    assert (state.standing, len(state.lost)) == ((where,), 1)
    assert "take it out first" in place.lesveil("deliver", "--gone", stolen, "--by", "A", code=56)
    place.archive.rename(place.folder / "second")
    assert lost(place, stolen) == [where], "that one is lost as well"
    assert place.state().standing == ()


@pytest.fixture
def in_its_place(place: Place) -> Path:
    """The disk with the delivery was lost, another took its place and was taken out ("second"). Returns the place."""
    place.archive.rename(place.folder / "first")
    lost(place, place.archive)
    place.archive.mkdir()
    place.lesveil("deliver")
    return place.archive.rename(place.folder / "second").with_name(place.archive.name)


@pytest.mark.parametrize("moved", [False, True])
def test_a_lost_disk_in_the_place_of_another_is_not_taken_for_that(
    place: Place, in_its_place: Path, moved: bool
) -> None:
    """Where that one was, or as the folder that lesveil.toml names."""
    first = place.folder / "first" if moved else (place.folder / "first").rename(in_its_place)
    place.settle(first)
    gone = ["deliver", "--gone", in_its_place, "--by", "A"]
    for words in (["deliver"], ["recall"], ["purge"], ["deliver", "--audit"], gone):
        assert f"{first} is the disk that A. Jansen said was lost" in place.lesveil(*words, code=56)
    assert "take it out" in place.lesveil("deliver", "--remove", place.clip, "--yes", code=56)
    assert len(list(first.glob("*.mp4"))) == len(place.state().lost) == len(place.state().standing) == 1
    first.rename(place.folder / "drawer")
    (place.folder / "second").rename(in_its_place)
    place.settle(in_its_place)
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    state = place.state()
    assert (state.standing, len(state.lost)) == ((), 1), "the other one can be seen still"


@pytest.mark.parametrize("back", ["first", "second"])
def test_of_two_disks_that_were_lost_in_one_place_one_is_back(place: Place, in_its_place: Path, back: str) -> None:
    lost(place, in_its_place)
    (place.folder / back).rename(in_its_place)
    assert [line["verdict"] for line in place.lesveil("deliver", "--audit")["files"]] == ["as delivered", "lost"]
    said = {row["row"] for row in place.rows("delivery_lost")}
    assert said - {row["row"] for row in place.rows("delivery_back")} == {place.state().lost[0].payload["row"]}
    assert (place.rows("delivery_back")[0]["row"] == min(said)) == (back == "first")
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    state = place.state()
    assert (state.standing, len(state.lost)) == ((), 1), "of the other one it is told still"


def test_a_disk_that_an_older_version_gave_up_is_not_mixed_up_with_the_next_one(place: Place) -> None:
    """Its row does not say which delivery is lost, and both disks had the same film in the same place."""
    place.archive.rename(place.folder / "first")
    with place.opened() as opened:
        lay = opened.ledger.entries("delivery")[-1].payload
        lay = {name: lay[name] for name in ("sha256", "target", "where", "bytes")}
        opened.ledger.append("delivery_lost", place.clip, lay | {"by": "A. Jansen"})
    place.archive.mkdir()
    place.lesveil("deliver")
    assert len(place.state().lost) == len(place.state().standing) == 1
    place.archive.rename(place.folder / "second")
    lost(place, place.archive)
    assert (len(place.state().lost), place.state().standing) == (2, ())
    (place.folder / "first").rename(place.archive)
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    assert (len(place.state().lost), place.state().standing) == (1, ()), "the second can be seen still"


def test_what_lies_in_another_folder_is_not_missing(place: Place, stolen: Path) -> None:
    """lesveil.toml names another folder by now, and the earlier one is there."""
    assert [line["verdict"] for line in place.lesveil("deliver", "--audit", code=56)["files"]] == ["missing"]
    (place.folder / "thief").rename(stolen)
    assert [line["verdict"] for line in place.lesveil("deliver", "--audit")["files"]] == ["as delivered"]
    with open(place.delivered, "ab") as film:
        film.write(b"x")
    assert [line["verdict"] for line in place.lesveil("deliver", "--audit", code=56)["files"]] == ["changed"]


def test_what_was_moved_within_an_earlier_archive_is_found_there(place: Place) -> None:
    """lesveil.toml names another folder by now, and the earlier one is there."""
    lay, moved = place.delivered, place.archive / "groep 3" / "les.mp4"
    (place.folder / "new").mkdir()
    place.settle(place.folder / "new")
    moved.parent.mkdir()
    lay.rename(moved)
    assert f"lies at {moved} now" in place.lesveil("deliver", "--remove", place.clip, "--yes", code=56)
    moved.rename(lay)
    assert place.lesveil("deliver", "--remove", place.clip, "--yes")["removed"]


@pytest.mark.parametrize("renamed", [True, False])
def test_a_folder_that_somebody_tidied_away_in_an_earlier_archive_is_no_dead_end(place: Place, renamed: bool) -> None:
    """That archive is there, so nothing in it is lost, and what lay in that folder can be told and given up."""
    (place.folder / "new").mkdir()
    place.settle(place.archive, 'layout = "{year}/{clip}_{id}"\n')
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    place.lesveil("approve", place.clip, "--by", "coach")
    place.lesveil("deliver")
    lay, tidied = place.delivered, place.archive / "2026-2027"
    place.settle(place.folder / "new")
    lay.parent.rename(tidied)
    if not renamed:
        shutil.rmtree(tidied)
    assert "lesveil deliver --remove" in place.lesveil("deliver", "--gone", lay.parent, "--by", "A", code=56)
    told = place.lesveil("deliver", "--remove", place.clip, "--yes", code=56 if renamed else 0)
    assert f"lies at {tidied / lay.name} now" in told if renamed else told["not_found"] == [str(lay)]
    assert bool(place.state().standing) == renamed


def test_what_is_at_hand_is_not_lost(place: Place) -> None:
    """Moved as a whole, or with only a part of it gone."""
    elsewhere = place.folder / "usb"
    place.archive.rename(elsewhere)
    place.settle(elsewhere)
    lay = place.state().standing[0]
    assert str(elsewhere) in place.lesveil("deliver", "--gone", place.archive, "--by", "A", code=56)
    assert place.state().standing == (lay,)
    elsewhere.rename(place.archive)
    place.settle(place.archive, 'layout = "{year}/{clip}_{id}"\n')
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    place.lesveil("approve", place.clip, "--by", "coach")
    place.lesveil("deliver")
    shutil.rmtree(place.delivered.parent)
    gone = Path(place.state().standing[0]).parent
    assert "lesveil deliver --remove" in place.lesveil("deliver", "--gone", gone, "--by", "A", code=56)


def test_a_disk_that_can_not_be_read_can_be_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, there = Path.iterdir, Path.is_file

    def broken(self: Path) -> bool:
        return self.is_relative_to(place.archive)

    def fails(real: Any) -> Any:
        def asked(self: Path) -> Any:
            if broken(self):
                raise OSError(errno.EIO, "I/O error")
            return real(self)

        return asked

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", fails(listed))
        patched.setattr(Path, "is_file", fails(there))
        assert len(lost(place, place.archive)) == 1
        place.lesveil("recall")
        assert place.state().standing == (), "and that does not come back while it is broken"
    place.lesveil("recall")
    assert place.state().standing


@pytest.mark.parametrize("kind", ["lost_begun", "delivery_lost", "lost_done"])
def test_a_crash_while_a_disk_is_given_up_is_made_good(
    place: Place, stolen: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    gone = ["deliver", "--gone", stolen, "--by", "A. Jansen"]
    digest = place.lesveil(*gone)["digest"]
    append = Ledger.append

    def dies(self: Ledger, named: str, clip: str | None, payload: dict[str, Any]) -> int:
        if named == kind:
            raise KeyboardInterrupt
        return append(self, named, clip, payload)

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append", dies)
        place.lesveil(*gone, "--execute", digest, code=130)
    place.lesveil(*gone, "--execute", digest)
    assert place.state().standing == ()
    assert len(place.rows("delivery_lost")) == len(place.rows("lost_done")) == 1


def test_a_disk_that_was_lost_twice_is_lost_by_a_new_plan(place: Place, stolen: Path) -> None:
    lost(place, stolen)
    (place.folder / "thief").rename(stolen)
    place.lesveil("recall")
    assert place.state().lost == ()
    stolen.rename(place.folder / "thief")
    assert len(lost(place, stolen)) == 1
    assert place.state().standing == ()


def test_what_arrived_at_the_earlier_place_after_all_is_found_when_it_is_there_again(
    place: Place, cut_off: Path
) -> None:
    place.lesveil("deliver")
    (place.folder / "drawer").rename(cut_off)
    shutil.copy2(place.delivered, cut_off)
    place.lesveil("deliver")
    state = place.state()
    assert len(state.standing) == 2
    assert state.waits_for == "lesveil wipe"
    assert (state.delivered.payload if state.delivered else {})["where"] == str(place.delivered), "the archive's"
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    assert place.state().standing == ()
    assert not list(cut_off.glob("*.mp4"))


def test_what_arrived_at_the_earlier_place_and_was_renamed_there_is_not_forgotten(place: Place, cut_off: Path) -> None:
    (place.folder / "drawer").rename(cut_off)
    lay, renamed = Path(place.state().standing[0]), cut_off / "les.mp4"
    shutil.copy2(*(place.made.folder / "redacted").glob("*.mp4"), renamed)
    (failed,) = place.lesveil("deliver", code=56)["failed"]
    assert f"{lay} lies at {renamed} now" in failed["error"]
    renamed.rename(lay)
    assert [one["where"] for one in place.lesveil("deliver")["delivered"]] == [str(lay)]


def test_what_arrived_at_the_earlier_place_is_found_where_that_was_brought(place: Place, cut_off: Path) -> None:
    lay, moved = Path(place.state().standing[0]), place.folder / "drawer"
    shutil.copy2(*(place.made.folder / "redacted").glob("*.mp4"), moved / lay.name)
    place.settle(moved)
    assert [one["where"] for one in place.lesveil("deliver")["delivered"]] == [str(moved / lay.name)]
    assert place.state().standing == (str(moved / lay.name),)


def test_what_did_not_arrive_at_the_earlier_place_is_forgotten_when_it_is_there_again(
    place: Place, cut_off: Path
) -> None:
    place.lesveil("deliver")
    (place.folder / "drawer").rename(cut_off)
    place.lesveil("deliver")
    assert place.state().standing == (str(place.delivered),)


def test_an_older_place_that_was_not_cleared_is_not_forgotten(place: Place) -> None:
    """Only what was replaced counts as gone: another delivery of the clip still lies where it was brought."""
    with place.opened() as opened:
        row = opened.ledger.entries("delivery")[-1].payload
        opened.ledger.append("delivery", place.clip, row | {"where": str(place.folder / "older" / "les.mp4")})
        opened.ledger.append("delivery", place.clip, row)
        school.approve(opened, place.clip, school.film(7), "second")
    place.lesveil("deliver")
    assert set(place.state().standing) == {str(place.folder / "older" / "les.mp4"), str(place.delivered)}


def test_another_film_of_that_name_in_the_new_place_is_left(place: Place) -> None:
    elsewhere = place.folder / "F"
    elsewhere.mkdir()
    other = elsewhere / place.delivered.name
    other.write_bytes(b"somebody else's")
    place.archive.rename(place.folder / "usb")
    place.settle(elsewhere)
    assert "connect it" in place.lesveil("deliver", "--remove", place.clip, "--yes", code=56)
    assert other.read_bytes() == b"somebody else's"


def test_a_relative_folder_counts_from_the_workspace(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place.settle(Path("../archief"))
    for somewhere in (tmp_path, tmp_path / "werkmap", Path("/")):
        monkeypatch.chdir(somewhere)
        with place.opened() as opened:
            assert opened.target_folder.resolve() == place.archive
        assert "as delivered" in place.lesveil("deliver", "--audit", json_too=False)


# --- consent that ends by its date --------------------------------------------------------------------------------


def test_consent_that_ended_by_its_date_is_told_before_anybody_runs(place: Place) -> None:
    place.shows("41215", until=TODAY + timedelta(5))
    with place.opened() as opened:
        before = opened.ledger.head()
        (now,), (later,) = states_on(opened, TODAY), states_on(opened, TODAY + timedelta(9))
        assert opened.ledger.head() == before, "who only looks writes nothing"
    assert (now.lapsed, now.waits_for) == ((), "lesveil wipe")
    assert (later.lapsed, later.waits_for, later.to_recall) == (("41215",), "lesveil recall", True)


def test_status_report_and_doctor_tell_of_it(place: Place) -> None:
    place.shows("41215", until=TODAY - timedelta(2))
    assert [one["waits_for"] for one in place.lesveil("status")["clips"]] == ["lesveil recall"]
    assert "see lesveil recall" in place.lesveil("status", json_too=False)
    figures = {"clips": 1, "seconds": 1.0, "shown": 1, "hidden": 0, "doubts": 0, "delivered": 1}
    clip = {"file": "a.mp4", "called": "a.mp4", "stage": "approved", "said": "waits for lesveil deliver", "notes": []}
    clip |= {"still_shows": ["41215"], "delivered_to": ["/a.mp4"], "begun": [], "lost": []}  # until it is replaced
    batch = {"number": 1, "day": "2026-11-26", "summary": figures, "clips": [clip], "failed": []}
    told = in_words({"batches": [batch], "due": [], "ledger": {"findings": []}}, "batch")
    assert "What was delivered shows somebody who may not be shown any more: see lesveil recall." in told
    nothing = batch | {"clips": [], "summary": figures | {"clips": 0}}
    told = in_words({"batches": [nothing], "due": [], "ledger": {"findings": []}}, "batch")
    assert told == ["1  2026-11-26  nothing new"]
    found = [one for part in place.lesveil("doctor", code=4)["sections"] for one in part["findings"]]
    assert any("1 delivered clip shows somebody who may not be shown any more." in one["text"] for one in found)


def test_doctor_does_not_take_the_place_of_an_archive_for_the_archive(place: Place) -> None:
    """A disk that is not in leaves an empty folder where it was mounted."""

    def delivering(code: int = 0) -> list[str]:
        sections = place.lesveil("doctor", code=code)["sections"]
        return [one["state"] for part in sections if part["section"] == "delivering" for one in part["findings"]]

    assert delivering()[0] == "good"
    away = place.archive.rename(place.folder / "usb")
    place.archive.mkdir()
    assert delivering(4) == ["bad"]
    place.archive.rmdir()
    away.rename(place.archive)
    assert delivering()[0] == "good"


def test_the_person_is_told_what_is_known_of_a_delivery_and_what_is_not(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GDPR 15: what was only begun is not told as delivered, and not as never delivered either."""
    place.shows("41215")
    with place.opened() as opened:
        digest = school.approve(opened, place.clip, school.film(9), "second")
        outcome = (find(opened, place.clip).render or {}) | {
            "kept": [{"person": "41215", "start": 0, "stop": 9, "ground": "g", "by_hand": True}]
        }
        opened.ledger.record("render", place.clip, "second shown", place.clip, outcome)

    def full_disk(render: Path, sha256: str, final: Path, over: bool) -> None:
        raise files.disk_full(final)

    with monkeypatch.context() as patch:
        patch.setattr(into_folder, "_copy", full_disk)
        place.lesveil("deliver", code=DiskFullError.code)
    page = tmp_path / "inzage.html"
    told = place.lesveil("report", "--person", "41215", "--html", page)["shown_in"]
    assert [(one["still_delivered"], one["may_be_delivered"]) for one in told] == [(True, False), (False, True)]
    assert [[one["sha256"] for one in each["begun"]] for each in told] == [[], [digest]]
    said = place.lesveil("report", "--person", "41215", json_too=False)
    assert "shown in 1 clip; as delivered now in 1 of them." in said
    assert said.count("delivered now)") == 1, "a line for each clip, not for each version of it"
    assert "Of 1 more rendering it is not known whether it lies there." in said
    text = page.read_text(encoding="utf-8")
    assert "was begun; whether it lies there is not known" in text
    assert "<td>not known</td>" in text


def test_a_withdrawal_of_a_later_day_says_from_when(place: Place) -> None:
    place.shows("41215")
    day = TODAY + timedelta(14)
    said = place.lesveil("consent", "withdraw", "41215", "--on", day.isoformat(), json_too=False)
    assert f"from {day} on, see lesveil recall" in said
    said = place.lesveil("consent", "withdraw", "41215", json_too=False)
    assert f"delivered to {place.delivered}: see lesveil recall" in said


def test_what_lies_there_is_not_forgotten_when_a_newer_rendering_is_made(place: Place) -> None:
    place.shows("41215", until=TODAY - timedelta(2))
    with place.opened() as opened:
        reconcile(opened, TODAY)
        school.approve(opened, place.clip, school.film(9), "hidden")  # the next rendering hides them
        opened.ledger.append(
            "approval",
            place.clip,
            {"sha256": (find(opened, place.clip).render or {})["sha256"], "by": "coach", "verdict": "rejected"},
        )
    state = place.state()
    assert (state.stage, state.waits_for, state.outdated) == ("rendered", "lesveil recall", False)
    said = place.lesveil("status", json_too=False)
    assert "what was delivered shows 41215" in said
    assert "see lesveil recall" in said
    place.lesveil("approve", place.clip, "--by", "coach", "--despite-rejection")
    assert place.state().waits_for == "lesveil deliver", "which takes the place of what lies there"


def test_a_rejected_film_that_still_lies_there_is_told(place: Place) -> None:
    place.lesveil("reject", place.clip, "--by", "Geertje")
    said = place.lesveil("status", json_too=False)
    assert "rejected by Geertje, but it still lies there" in said
    place.lesveil("deliver", "--remove", place.clip, "--yes")
    assert "still lies there" not in place.lesveil("status", json_too=False)


# --- an old register ----------------------------------------------------------------------------------------------


def old_register(place: Place) -> Path:
    return Path(shutil.copy2(place.made.folder / "register.db", place.folder / "old.db"))


def put_back(place: Place, old: Path, part: str = "register.db") -> None:
    for path in place.made.folder.glob(f"{part}*"):
        path.unlink()
    shutil.copy2(old, place.made.folder / part)


def test_an_old_register_does_not_undo_a_withdrawal(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.shows("41215")
    old = old_register(place)
    day = TODAY.isoformat()
    place.lesveil("consent", "withdraw", "41215")
    put_back(place, old)
    found = [one for part in place.lesveil("doctor", code=4)["sections"] for one in part["findings"]]
    assert any("the withdrawal of 41215 is not in it" in one["text"] for one in found)
    capsys.readouterr()
    assert main(["consent", "list", "-C", str(place.made.folder), "--json", "--lang", "en"]) == 0
    said = capsys.readouterr()
    assert "The register had lost the withdrawal of 41215" in said.err
    assert [one["shown"] for one in json.loads(said.out)["people"]] == [False]
    assert place.rows("withdrawal_heeded") == [{"person": "41215", "day": day}]
    place.lesveil("status")
    assert len(place.rows("withdrawal_heeded")) == 1


def test_an_old_register_without_the_newest_list_shows_nobody(place: Place) -> None:
    place.shows("1")
    old = old_register(place)
    place.shows("41215")
    put_back(place, old)
    for command in (("status",), ("consent", "list"), ("deliver",), ("run", "--card", place.folder)):
        assert "is an old copy: the list that was imported on" in place.lesveil(*command, code=51)
    assert place.lesveil("consent", "withdraw", "1")["id"] == "1", "consent can be taken back all the same"
    assert place.lesveil("report")["batches"] == []
    assert place.lesveil("ledger", "verify")["findings"] == []
    found = [one for part in place.lesveil("doctor", code=4)["sections"] for one in part["findings"]]
    assert any("the list of" in one["text"] and "is not in it" in one["text"] for one in found)
    place.import_again()
    assert [one["id"] for one in place.lesveil("consent", "list")["people"]] == ["1", "41215"]


class Lists:
    """Lists of 41207 and of two others: she agreed (a), took it back (b), and stands there as before (c)."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def bring(self, withdrawn: str = "", more: str = "", code: int = 0) -> str:
        header = LIST.replace("Geldig tot", "Ingetrokken op")
        people = [f"41207;Noa;Jansen;01-02-2012;ja;ja;ouder;01-09-2025;{withdrawn}\n"]
        people += [f"{n};Noor;Kok{n};01-02-2012;ja;ja;ouder;01-09-2025;\n" for n in ("90001", "90002", *more.split())]
        path = self._place.folder / "namen.csv"
        path.write_text(header + "".join(people), encoding="utf-8")
        return str(self._place.lesveil("consent", "import", path, json_too=False, code=code))

    @property
    def shown(self) -> bool:
        people = self._place.lesveil("consent", "list")["people"]
        return bool({one["id"]: one["shown"] for one in people}["41207"])


def test_an_old_register_does_not_undo_a_withdrawal_that_a_list_stated(place: Place) -> None:
    lists = Lists(place)
    lists.bring()
    assert lists.shown
    old = old_register(place)
    lists.bring(withdrawn="10-11-2025")
    lists.bring(more="50000")
    assert not lists.shown
    put_back(place, old)
    found = [one for part in place.lesveil("doctor", code=4)["sections"] for one in part["findings"]]
    assert any("the withdrawal of 41207 is not in it" in one["text"] for one in found)
    place.lesveil("status", code=51)
    lists.bring(more="50000")
    assert not lists.shown


def test_an_old_register_that_does_not_know_somebody_does_not_undo_their_withdrawal(place: Place) -> None:
    place.shows("1")
    old, lists = old_register(place), Lists(place)
    lists.bring(withdrawn="10-11-2025", code=51)
    path = place.folder / "namen.csv"
    place.lesveil("consent", "import", path, "--allow-loss")
    put_back(place, old)
    path.write_text(path.read_text(encoding="utf-8").replace("10-11-2025", ""), encoding="utf-8")
    said = place.lesveil("consent", "import", path, "--allow-loss", "--dry-run")
    assert ("41207" in said["gains"], "90001" in said["gains"]) == (False, True)
    place.lesveil("consent", "import", path, "--allow-loss")
    assert not lists.shown


def test_an_old_register_is_noticed_though_the_newest_list_is_one_that_it_holds(place: Place) -> None:
    lists = Lists(place)
    lists.bring()
    old = old_register(place)
    lists.bring(withdrawn="10-11-2025")
    lists.bring()  # last month's, by mistake
    assert not lists.shown
    put_back(place, old)
    assert "is an old copy: the list that was imported on" in place.lesveil("status", code=51)
    lists.bring()
    assert not lists.shown


def test_an_old_register_is_not_made_whole_by_a_list_that_is_older_than_what_it_lost(place: Place) -> None:
    lists, path = Lists(place), place.folder / "namen.csv"
    lists.bring()
    old, agreed = old_register(place), path.read_text(encoding="utf-8")
    path.write_text(agreed.replace("2012;ja;ja;", "2012;nee;nee;", 1), encoding="utf-8")
    place.lesveil("consent", "import", path)
    assert not lists.shown
    put_back(place, old)
    path.write_text(agreed, encoding="utf-8")
    assert place.lesveil("consent", "import", path, "--dry-run")["needs_allow_older"]
    assert "--allow-older" in place.lesveil("consent", "import", path, code=51)
    assert "is an old copy: the list that was imported on" in place.lesveil("status", code=51)
    place.lesveil("consent", "import", path, "--allow-older")
    assert lists.shown


def test_the_ledger_comes_to_know_of_withdrawals_once(place: Place) -> None:
    Lists(place).bring(withdrawn="10-11-2025")
    with place.opened() as opened:
        opened.register.withdraw("90001", TODAY)  # and a crash came before the ledger was told
    for _ in range(2):
        place.lesveil("status")
        known = [("41207", "2025-11-10"), ("90001", TODAY.isoformat())]
        assert [(row["person"], row["day"]) for row in place.rows("withdrawal_known")] == known
    assert place.rows("withdrawal_heeded") == []


# --- an old ledger --------------------------------------------------------------------------------------------------


def test_an_old_ledger_calls_nobody_hidden(place: Place) -> None:
    ledger = place.made.folder / "ledger.db"
    old = Path(shutil.copy2(ledger, place.folder / "old.db"))
    place.shows("41215")
    with place.opened() as opened:
        targets.leave_head(opened)
    ledger.unlink()
    gone = place.lesveil("status", code=50)
    assert "lesveil ledger verify" in gone
    assert "lesveil deliver --audit" in gone
    put_back(place, old, "ledger.db")

    found = [one for part in place.lesveil("doctor", code=4)["sections"] for one in part["findings"]]
    (cut,) = [one for one in found if "were cut off the end" in one["text"]]
    assert "deliver --audit" in cut["todo"]
    assert "The ledger is whole." not in [one["text"] for one in found]
    said = place.lesveil("consent", "withdraw", "41215", code=54)
    assert (said["id"], "The ledger is not whole" in said["ledger"][0]) == ("41215", True)
    told = place.lesveil("recall", json_too=False, code=54)
    assert "The ledger is not whole (row" in told  # it has come to know the list of the register since
    assert "No delivered clip shows anybody" not in told
    place.lesveil("ledger", "verify", code=54)


def test_an_archive_that_cannot_be_asked_calls_no_ledger_whole(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.archive.rename(place.folder / "usb")
    assert not place.lesveil("ledger", "verify")["archive_asked"]
    found = [one for part in place.lesveil("doctor", code=4)["sections"] for one in part["findings"]]
    (here,) = [one for one in found if one["text"].startswith("The ledger is whole")]
    assert (here["state"], "could not be asked" in here["text"]) == ("warning", True)
    assert main(["recall", "-C", str(place.made.folder), "--lang", "en"]) == 0
    said = capsys.readouterr()
    assert "could not be asked" in said.err
    assert "No delivered clip that the ledger knows of" in said.out
