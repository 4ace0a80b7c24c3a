"""A withdrawal reaches a delivered clip: what is put in its place, looked at a second time like every rendering."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline import messages, opinion, workspace
from pipeline.adapters import files
from pipeline.adapters.review_book import ReviewBook
from pipeline.cli import main
from pipeline.lesson import copy, recall, retention, shown
from pipeline.lesson.desk import Desk
from pipeline.lesson.lying import SENDING
from pipeline.lesson.state import find
from pipeline.stages.rehide import Face
from tests import clips
from tests.integration.test_second_look import BOX, DETAIL, Eyes, detail, inside

CLIP = "ab" * 16


class Everywhere(Eyes):
    """See a face wherever nothing was hidden yet, whatever is done about it."""

    def __call__(self, picture: Any, threshold: float) -> Any:
        places = [(x, y, x + 24, y + 30) for y in range(0, 150, 30) for x in range(0, 290, 24)]
        clear = [p for p in places if detail(picture[p[1] : p[3], p[0] : p[2]].mean(axis=2)) >= DETAIL]
        return np.array(clear[:1], np.float32).reshape(-1, 4), np.ones(len(clear[:1]), np.float32)


class Place:
    """A workspace with one delivered clip that shows 41207, whose consent ended."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.archive, self._capsys = folder / "werkmap", folder / "archief", capsys
        workspace.create(self.folder, key_file=True)
        self.archive.mkdir()
        self.settle()
        with workspace.opened(self.folder) as place:
            path = clips.make(
                place.finished / "les.mp4", size="320x180", frames=30, picture_filter="noise=alls=70:allf=t"
            )
            self.digest = files.sha256_of(path)
            film = {"path": "DCIM/MVI_0001.MP4", "bytes": 9, "sha256": CLIP, "kind": "video"}
            place.ledger.append("ingest", CLIP, {"card": "k", "sha256": CLIP, "bytes": 9, "files": [film]})
            place.ledger.append("filmed", CLIP, {"day": "2026-11-20"})
            kept = [{"person": "41207", "start": 0, "stop": 30, "ground": "g"}]
            outcome = {"sha256": self.digest, "bytes": path.stat().st_size, "file": path.name, "kept": [], "seconds": 1}
            place.ledger.record("render", CLIP, "k", CLIP, outcome)
            place.ledger.append("approval", CLIP, {"sha256": self.digest, "by": "coach", "verdict": "approved"})
        self.lesveil("deliver")
        with workspace.opened(self.folder) as place:
            place.ledger.record("render", CLIP, "k", CLIP, outcome | {"kept": kept})
            row = {"person": "41207", "day": "2026-11-25", "renderings": [self.digest]}
            place.ledger.append("lapsed", CLIP, row)

    def settle(self, more: str = "") -> None:
        target = f"[deliver]\ntarget = 'folder'\nfolder = {json.dumps(str(self.archive))}\n"
        (self.folder / "lesveil.toml").write_text(target + more, encoding="utf-8")

    def lesveil(self, *words: object, code: int = 0) -> Any:
        self._capsys.readouterr()
        told = main([*map(str, words), "-C", str(self.folder), "--json", "--lang", "en"])
        said = self._capsys.readouterr()
        assert told == code, said.err + said.out
        return json.loads(said.out) if said.out else said.err

    def recall(self, code: int = 0) -> Any:
        plan = self.lesveil("recall")
        assert [item["action"] for item in plan["items"]] == ["hide again"]
        (done,) = self.lesveil("recall", "--execute", plan["digest"], code=code)["done"]
        return done

    @property
    def delivered(self) -> Path:
        (path,) = self.archive.rglob("*.mp4")
        return path

    @property
    def render(self) -> dict[str, Any]:
        with workspace.opened(self.folder) as place:
            return find(place, CLIP).render or {}


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Place]:
    yield Place(tmp_path, capsys)
    messages.choose("en")


def looked_at_by(monkeypatch: pytest.MonkeyPatch, eyes: Eyes | None, state: str = opinion.LOOKED) -> None:
    monkeypatch.setattr(opinion, "eyes_of", lambda setting: (eyes, state))


@pytest.mark.parametrize("on_finding", ["hide", "ask"])
def test_what_a_second_look_sees_is_hidden_before_it_takes_its_place(
    place: Place, monkeypatch: pytest.MonkeyPatch, on_finding: str
) -> None:
    place.settle(f'[second_opinion]\non_finding = "{on_finding}"\n')
    looked_at_by(monkeypatch, Eyes())
    assert detail(inside(place.delivered, 15)) >= DETAIL
    done = place.recall()
    assert (done["outcome"], done.get("second_look_left")) == ("replaced", None)
    assert place.render["second_look"] == {"state": "looked", "hidden": 1, "left": 0}
    assert place.render["released"] == place.digest
    assert files.sha256_of(place.delivered) == place.render["sha256"]
    for number in (0, 15, 29):
        assert detail(inside(place.delivered, number)) < DETAIL, BOX


def test_what_it_sees_to_the_end_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at_by(monkeypatch, Everywhere())
    done = place.recall()
    assert (done["outcome"], done["second_look_left"]) == ("replaced", place.render["second_look"]["left"])
    assert place.render["second_look"]["left"] > 0
    assert place.render["doubts"]
    assert files.sha256_of(place.delivered) == place.render["sha256"], "it shows less than what was there"


def test_a_look_that_fails_replaces_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at_by(monkeypatch, Eyes(fails=True))
    assert "the lamp went out" in place.recall(code=42)["error"]
    assert files.sha256_of(place.delivered) == place.digest
    assert not list((place.folder / "redacted").glob("*.partial"))


def test_where_nobody_looks_the_receipt_says_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at_by(monkeypatch, None, opinion.OFF)
    place.recall()
    assert place.render["second_look"] == {"state": "off", "hidden": 0, "left": 0}


def test_one_that_waits_for_approval_is_not_asked_for_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it may not be shown either: then the plan is another one, though clip and people are the same."""
    place.settle("[review]\nafter_withdrawal = true\n")
    looked_at_by(monkeypatch, None)
    first = place.lesveil("recall")["digest"]
    assert place.recall()["outcome"] == "waits for approval"
    (clip,) = place.lesveil("status")["clips"]
    assert (clip["stage"], clip["waits_for"]) == ("rendered", "lesveil approve")
    assert place.lesveil("recall")["items"] == []
    with workspace.opened(place.folder) as opened:
        row = {"person": "41207", "day": "2026-11-26", "renderings": [place.digest, place.render["sha256"]]}
        opened.ledger.append("lapsed", CLIP, row)
    assert place.lesveil("status")["clips"][0]["waits_for"] == "lesveil recall"
    assert place.lesveil("recall")["digest"] not in ("", first)
    assert place.recall()["outcome"] == "waits for approval"
    place.lesveil("approve", CLIP, "--by", "G")
    assert place.lesveil("status")["clips"][0]["waits_for"] == "lesveil deliver"
    place.lesveil("deliver")
    assert files.sha256_of(place.delivered) == place.render["sha256"] != place.digest


def test_one_that_waits_for_approval_is_named_until_it_lies_there(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.settle("[review]\nafter_withdrawal = true\n")
    looked_at_by(monkeypatch, None)
    monkeypatch.setattr(copy, "find_card", lambda opened: [])

    def in_words() -> str:
        capsys.readouterr()
        assert main(["recall", "-C", str(place.folder), "--lang", "en"]) == 0
        return capsys.readouterr().out

    assert place.recall()["outcome"] == "waits for approval"
    for said, command in (("until lesveil approve", "reject"), ("was rejected", "approve")):
        told = place.lesveil("recall")
        assert (told["items"], told["digest"]) == ([], None)
        assert [(one["clip"], one["people"]) for one in told["waiting"]] == [(CLIP, ["41207"])]
        assert said in in_words()
        assert "No delivered clip" not in in_words()
        watched = place.lesveil("run", "--unattended")
        assert (watched["result"], watched["to_recall"]) == ("recall needed", 1)
        place.lesveil(command, CLIP, "--by", "G", *(["--despite-rejection"] if command == "approve" else []))
    place.lesveil("deliver")
    assert files.sha256_of(place.delivered) == place.render["sha256"] != place.digest
    assert (place.lesveil("recall")["waiting"], "No delivered clip" in in_words()) == ([], True)
    assert place.lesveil("run", "--unattended")["to_recall"] == 0


def test_one_that_was_rejected_can_be_taken_away(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.settle("[review]\nafter_withdrawal = true\n")
    looked_at_by(monkeypatch, None)
    place.recall()
    place.lesveil("reject", CLIP, "--by", "G")
    place.lesveil("deliver", "--remove", CLIP[:8], "--yes")
    assert (list(place.archive.rglob("*.mp4")), place.lesveil("recall")["waiting"]) == ([], [])


def test_one_that_waits_for_approval_asks_for_a_decision(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.settle("[review]\nafter_withdrawal = true\n")
    looked_at_by(monkeypatch, Everywhere())
    assert place.recall()["outcome"] == "waits for approval"
    assert "a second look sees" in place.lesveil("approve", CLIP, "--by", "G", code=55).lower()
    with workspace.opened(place.folder) as opened, ReviewBook.open(place.folder / "review.db") as book:
        assert Desk(opened, book).clip(CLIP).sightings == place.render["second_look"]["left"]


def test_one_that_waits_for_approval_is_kept_until_it_served(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.settle("[review]\nafter_withdrawal = true\n")
    looked_at_by(monkeypatch, None)
    assert place.recall()["outcome"] == "waits for approval"
    later, over = date.today() + timedelta(31), date.today() + timedelta(400)
    with workspace.opened(place.folder) as opened:
        assert retention.due(opened, later) == []
        assert [item["kind"] for item in retention.due(opened, over)] == ["delivered clip", "finished clip here"]
    (place.folder / "redacted" / place.render["file"]).unlink()  # as an older version purged it
    assert place.recall()["outcome"] == "waits for approval"
    place.lesveil("approve", CLIP, "--by", "G")
    with workspace.opened(place.folder) as opened:
        assert retention.due(opened, later) == []
    place.lesveil("deliver")
    assert files.sha256_of(place.delivered) == place.render["sha256"]
    with workspace.opened(place.folder) as opened:
        assert [item["kind"] for item in retention.due(opened, later)] == ["finished clip here"]


def test_a_rejection_of_what_lies_there_does_not_stop_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at_by(monkeypatch, None)
    place.lesveil("reject", CLIP, "--by", "G")
    assert place.recall()["outcome"] == "replaced"
    assert files.sha256_of(place.delivered) == place.render["sha256"] != place.digest


SHOWN = "c" * 32


@pytest.mark.parametrize("who", ["41215", "41207"])
def test_whom_the_coach_took_back_is_hidden_with_them(place: Place, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    """It was somebody else; also where the program itself knows the person who was named, at another place."""
    place.settle("[recognition]\nmode = 'on'\n[privacy]\ndpia = 'DPIA 3'\n")
    looked_at_by(monkeypatch, None)
    box = np.tile(np.array([[60, 60, 100, 110]], np.float32), (30, 1))
    other = box + np.array([140, 0, 140, 0], np.float32)
    faces = (Face("41207", False, 0, box), Face(who, True, 0, other.astype(np.float32)))
    pupils = [f"{one};{one};Smit;01-02-2005;Ja;Ja;leerling;01-01-2026" for one in ("41207", "41215")]
    header = "Leerlingnummer;Roepnaam;Achternaam;Geboortedatum;Beeldcoaching;Gezichtsherkenning;Toestemming van;"
    (place.folder / "lijst.csv").write_text("\n".join([header + "Datum toestemming", *pupils, ""]), encoding="utf-8")
    place.lesveil("consent", "import", place.folder / "lijst.csv")
    with workspace.opened(place.folder) as opened:
        said = {"analysis": "x", "kind": "show", "start": 0, "stop": 30, "by": "coach", "role": "coach", "track": 1}
        opened.ledger.append("repair", CLIP, {"id": SHOWN, **said, "person": who, "said": "Bo"})
        kept = [{"person": f.person, "start": 0, "stop": 30, "ground": "g", "by_hand": f.by_hand} for f in faces]
        opened.ledger.record("render", CLIP, "k", CLIP, place.render | {"kept": kept, "repairs": [SHOWN]})
        opened.ledger.append("repair_undone", CLIP, {"id": SHOWN, "by": "coach", "role": "coach"})
        shown.keep(opened.vault, CLIP, shown.Shown(place.digest, 30, faces))
        row = {"person": "99999", "day": "2026-11-25", "renderings": [place.digest]}
        opened.ledger.append("lapsed", CLIP, row)
        assert find(opened, CLIP).repairs_wait
    assert place.recall()["outcome"] == "replaced"
    assert [(one["person"], one["by_hand"]) for one in place.render["kept"]] == [("41207", False)]
    there, taken = ([int(v) for v in one[0]] for one in (box, other))
    with av.open(str(place.delivered)) as film:
        picture = next(film.decode(video=0)).to_ndarray(format="gray")
    assert detail(picture[there[1] : there[3], there[0] : there[2]]) >= DETAIL
    assert detail(picture[taken[1] : taken[3], taken[0] : taken[2]]) < DETAIL


@pytest.mark.parametrize(("was", "now"), [("disguise", "keep"), ("keep", "disguise"), (None, "disguise")])
def test_a_voice_is_not_disguised_twice(
    place: Place, monkeypatch: pytest.MonkeyPatch, was: str | None, now: str
) -> None:
    place.settle('[rendering]\naudio = "disguise"\n')
    looked_at_by(monkeypatch, None)
    if was is not None:
        with workspace.opened(place.folder) as opened:
            opened.ledger.record("render", CLIP, "k", CLIP, place.render | {"audio": was})
    real, asked = recall.run.render_checked, []

    def rendered(*words: Any, **more: Any) -> Any:
        asked.append(words[3].rendering.audio)
        return real(*words, **more)

    monkeypatch.setattr(recall.run, "render_checked", rendered)
    assert place.recall()["outcome"] == "replaced"
    assert (asked, place.render["audio"]) == ([now], "disguise")


def test_an_older_film_that_may_lie_elsewhere_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery to a stick was cut off, and the stick is out: what lies in the archive is replaced all the same."""
    looked_at_by(monkeypatch, None)
    stick = place.folder.parent / "stick"
    with workspace.opened(place.folder) as opened:
        row = {"sha256": place.digest, "target": "folder", "bytes": 9, "where": str(stick / "les.mp4")}
        opened.ledger.append(SENDING, CLIP, row)
    assert "lesveil deliver --gone" in place.recall(code=56)["error"]
    assert files.sha256_of(place.delivered) != place.digest, "what could be done is done"
    assert "lesveil deliver --gone" in place.recall(code=56)["error"], "until it is known"
    gone = ["deliver", "--gone", stick, "--by", "Geertje"]
    place.lesveil(*gone, "--execute", place.lesveil(*gone)["digest"])
    assert place.lesveil("recall")["items"] == []


@pytest.mark.parametrize("last", ["archive", "stick"])
@pytest.mark.parametrize("connected", [True, False])
def test_it_reaches_every_folder_in_which_it_lies(
    place: Place, monkeypatch: pytest.MonkeyPatch, last: str, connected: bool
) -> None:
    """A disk that was lost and is there again holds the film as well, and may be out when the recall is carried out."""
    looked_at_by(monkeypatch, None)
    stick, archive = place.folder.parent / "stick", place.delivered
    stick.mkdir()
    shutil.copy(archive, stick / "les.mp4")
    with workspace.opened(place.folder) as opened:
        row = opened.ledger.entries("delivery")[-1].payload
        opened.ledger.append("delivery", CLIP, row | {"where": str(stick / "les.mp4")})
        if last == "archive":
            opened.ledger.append("delivery", CLIP, row)
    if not connected:
        stick.rename(stick.with_name("drawer"))
        assert "lesveil deliver --gone" in place.recall(code=56)["error"]
        assert files.sha256_of(archive) == place.render["sha256"] != place.digest, "what can be done is done"
        assert "lesveil deliver --gone" in place.recall(code=56)["error"], "until it is there, or given up"
        gone = ["deliver", "--gone", stick, "--by", "Geertje"]
        place.lesveil(*gone, "--execute", place.lesveil(*gone)["digest"])
        plan = place.lesveil("recall")
        assert (plan["items"], [one["people"] for one in plan["lost"]]) == ([], [["41207"]])
        stick.with_name("drawer").rename(stick)
    assert place.recall()["outcome"] == "replaced"
    assert files.sha256_of(archive) == place.render["sha256"]
    assert not list(stick.glob("*.mp4")), "nobody is left in sight elsewhere"
    assert place.lesveil("recall")["items"] == []
