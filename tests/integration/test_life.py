"""A lesson's whole life: card, consent, run, repair, approval, delivery, wipe, withdrawal, hiding again, replacement,
retention, report; and the same with the process killed a hundred times on the way, with the same end."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import samples
from pipeline import workspace
from pipeline.lesson import seen, shown
from pipeline.lesson.state import states
from pipeline.lesson.targets import open_onedrive
from tests.graph.control import ROOT, Control, running

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")]

KILLED = -9
KILLS = 100
ONEDRIVE = """\
[recognition]
mode = "on"
[privacy]
dpia = "DPIA 2026-3"
[deliver]
target = "onedrive"
[onedrive]
tenant = "school.example"
client_id = "lesveil"
authority = "{url}"
graph = "{url}/v1.0"
"""


class Runner:
    """The warm process that forks a child for each command."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.life.runner"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, folder: Path, words: list[str], at: int = 0) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        place = ["-C", str(folder / "werkmap"), "--json", "--lang", "en"]
        job = {"words": [*words, *place], "said": str(folder / "said.json"), "at": at}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()
        self._process.wait(30)


@dataclass
class Life:
    """One lesson in a folder of its own. Every step goes on until it ends by itself; before that it may be killed."""

    folder: Path
    runner: Runner
    kill: Callable[[str], int] = lambda step: 0
    """The point at which to kill the next try of a step; 0: let it live."""
    points: dict[str, int] = field(default_factory=dict)
    kills: int = 0

    def lesveil(self, *words: object, code: int = 0) -> Any:
        """One step: tried until it is not killed any more."""
        step = str(words[0])
        said = [str(word) for word in words]
        while at := self.kill(step):
            answer = self.runner.run(self.folder, said, at)
            if answer["ended"] != KILLED:
                assert answer["ended"] == code, self.heard(answer)
                return json.loads(answer["said"]) if answer["said"] else None
            self.kills += 1
        answer = self.runner.run(self.folder, said)
        assert answer["ended"] == code, self.heard(answer)
        self.points[step] = max(answer["points"], self.points.get(step, 0))
        return json.loads(answer["said"]) if answer["said"] else None

    def ask(self, *words: object) -> Any:
        """A look that changes nothing."""
        answer = self.runner.run(self.folder, [str(word) for word in words])
        assert answer["ended"] == 0, self.heard(answer)
        return json.loads(answer["said"])

    def heard(self, answer: dict[str, Any]) -> str:
        return str(answer) + (self.folder / "said.err").read_text(encoding="utf-8")[-2000:]

    def opened(self) -> Any:
        return workspace.opened(self.folder / "werkmap")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with running(tmp_path_factory.mktemp("graph")) as control:
        yield control


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    one = Runner()
    yield one
    one.close()


@pytest.fixture(scope="module")
def born(tmp_path_factory: pytest.TempPathFactory, graph: Control, runner: Runner) -> Path:
    """A workspace with its list and its templates, signed in, and a card with one take of two seconds."""
    folder = tmp_path_factory.mktemp("life")
    made = samples.make_samples(folder, seconds=2, today=date.today(), size=(960, 540), rate=10)
    for path in (folder / "kaart").rglob("MVI_0002.*"):
        path.unlink()
    graph.post("drive", id="me")
    life = Life(folder, runner)
    answer = runner.run(folder, ["init", str(folder / "werkmap"), "--key-file"])
    assert answer["ended"] == 0
    (folder / "werkmap" / "lesveil.toml").write_text(ONEDRIVE.format(url=graph.url), encoding="utf-8")
    life.lesveil("consent", "import", made.consent_list)
    life.lesveil("enrol", made.portraits)
    life.lesveil("login", "--device-code")
    return folder


def begin(born: Path, folder: Path, runner: Runner, graph: Control) -> Life:
    shutil.copytree(born, folder)
    graph.post("drop", drive="me")
    graph.post("drive", id="me")
    return Life(folder, runner)


def fetched(life: Life, name: str) -> Any:
    """The pictures (frames, height, width, 3) of what lies in OneDrive now."""
    into = life.folder / name
    with life.opened() as place, open_onedrive(place) as target:
        row = place.ledger.entries("delivery")[-1]
        target.download(row.payload, into)
    with av.open(str(into)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def live(life: Life, graph: Control, looked: bool = False) -> dict[str, Any]:
    """From the card to the report; what is true in the end."""
    life.lesveil("run", "--card", life.folder / "kaart")
    with life.opened() as place:
        (state,) = states(place)
        assert state.render is not None
        found = seen.load(place.vault, state.clip, state.render["sha256"])
        assert found is not None
        told = {"id": uuid.uuid5(uuid.NAMESPACE_URL, "corner").hex, "analysis": found.analysis, "kind": "region"}
        told |= {"start": 2, "stop": 8, "box": [600.0, 40.0, 680.0, 110.0], "at_frame": 4, "by": "Geertje"}
        place.ledger.append("repair", state.clip, told | {"role": "coach"})
    life.lesveil("repairs")
    life.lesveil("approve", state.clip, "--by", "Geertje")
    life.lesveil("deliver")
    with life.opened() as place:
        (state,) = states(place)
        assert state.delivered is not None
        assert place.ledger.entries("repair", state.clip)
        first = state.delivered.payload["sha256"]
        known = shown.load(place.vault, state.clip, first)
        assert known is not None
        people = sorted({face.person for face in known.faces})
    assert len(people) >= 2, "the sample shows several"
    before = fetched(life, "before.mp4") if looked else None
    card = ("--card", life.folder / "kaart")
    plan = life.ask("wipe", *card)
    assert plan["digest"], plan["refused"]
    life.lesveil("wipe", "--execute", plan["digest"], *card)
    assert not list((life.folder / "kaart").rglob("*.MP4"))
    gone = people[0]
    reached = life.lesveil("consent", "withdraw", gone)
    assert [clip["clip"] for clip in reached["clips"]] == [state.clip]
    plan = life.ask("recall")
    assert [(item["action"], item["people"]) for item in plan["items"]] == [("hide again", [gone])]
    life.lesveil("recall", "--execute", plan["digest"])
    (file,) = graph.state("me")["files"]
    with life.opened() as place:
        (state,) = states(place)
        assert state.render is not None
        assert (file["sha256"], file["versions"]) == (state.render["sha256"], 1), "replaced, no older version left"
        assert state.render["released"] == first
        assert {row["person"] for row in state.render["kept"]} == set(people) - {gone}
        assert (state.stage, state.lapsed) == ("wiped", ())
        assert shown.load(place.vault, state.clip, first) is None, "where the person was is not kept"
    if looked:
        changed(before, fetched(life, "after.mp4"), known, gone)
    assert life.ask("recall")["items"] == []
    life.lesveil("used", state.clip, "--by", "Geertje")
    plan = life.ask("purge")
    assert {item["kind"] for item in plan["items"]} == {"delivered clip", "finished clip here"}
    life.lesveil("purge", "--execute", plan["digest"])
    return end_of(life, graph)


def changed(before: Any, after: Any, known: Any, gone: str) -> None:
    """Where the person was is another picture now, in every frame; where the others were it is the same in nearly all
    (a face found anew that does not quite lie where a kept one was is hidden)."""
    same: list[bool] = []
    for face in known.faces:
        for n, (x1, y1, x2, y2) in enumerate(face.box.astype(int).clip(0).tolist(), face.start):
            one, other = before[n, y1:y2, x1:x2].astype(int), after[n, y1:y2, x1:x2].astype(int)
            difference = np.abs(one - other).mean()
            if face.person == gone:
                assert difference > 12, (n, difference)
            else:
                same.append(bool(difference < 6))
    assert np.mean(same) > 0.8, same


def end_of(life: Life, graph: Control) -> dict[str, Any]:
    """Everything that must be the same however often the process was killed."""
    state = graph.state("me")
    report = life.ask("report")
    assert life.ask("ledger", "verify")["findings"] == []
    (batch,) = report["batches"]
    (clip,) = batch["clips"]
    with life.opened() as place:
        held = [id.split("-")[0] for id in place.vault.ids() if not id.startswith("note.")]
    return {
        "in OneDrive": state["files"],
        "in its bin": state["bin"],
        "in the vault": held,
        "finished": [path.name for path in (life.folder / "werkmap" / "redacted").iterdir()],
        "clip": {key: clip[key] for key in ("stage", "repairs", "wiped_from_card", "working_copy_here", "checked")},
        "shown": [(one["person"], one["ground"], one["seconds"]) for one in clip["shown"]],
        "approved by": [(one["by"], one["verdict"], one.get("carried_over")) for one in clip["approvals"]],
        "deliveries": [(bool(one["replaced_at"]), bool(one["removed_at"])) for one in clip["deliveries"]],
        "lapsed": [one["person"] for one in clip["consent_lapsed"]],
        "wipes": [(one["files"], one["working_copies"]) for one in report["wipes"]],
        "recalled": [one["outcome"] for one in report["recalled"]],
        "deleted": sorted(one["kind"] for one in report["deleted"]),
        "due": report["due"],
        "still": report["here"]["finished_clips"] + report["here"]["working_copies"],
    }


@pytest.fixture(scope="module")
def lived(
    born: Path, tmp_path_factory: pytest.TempPathFactory, runner: Runner, graph: Control
) -> tuple[Life, dict[str, Any]]:
    life = begin(born, tmp_path_factory.mktemp("lived") / "whole", runner, graph)
    return life, live(life, graph, looked=True)


def test_a_whole_life(lived: tuple[Life, dict[str, Any]]) -> None:
    end = lived[1]
    assert (end["in OneDrive"], end["in its bin"], end["finished"], end["still"]) == ([], [], [], [])
    assert end["in the vault"] == ["templates"]
    assert end["deliveries"] == [(True, False), (False, True)]
    assert end["approved by"] == [("Geertje", "approved", None), ("Geertje", "approved", True)]
    assert (end["recalled"], end["due"]) == (["replaced"], [])


def test_without_the_places_everybody_is_hidden_and_a_person_decides(
    born: Path, tmp_path: Path, runner: Runner, graph: Control
) -> None:
    life = begin(born, tmp_path / "careful", runner, graph)
    settings = life.folder / "werkmap" / "lesveil.toml"
    settings.write_text(settings.read_text(encoding="utf-8") + "[review]\nafter_withdrawal = true\n", encoding="utf-8")
    life.lesveil("run", "--card", life.folder / "kaart")
    with life.opened() as place:
        (state,) = states(place)
    life.lesveil("approve", state.clip, "--by", "Geertje")
    life.lesveil("deliver")
    with life.opened() as place:
        (state,) = states(place)
        assert state.delivered is not None
        first = state.delivered.payload["sha256"]
        known = shown.load(place.vault, state.clip, first)
        assert known is not None
        shown.forget(place.vault, state.clip)
    life.lesveil("consent", "withdraw", known.faces[0].person)
    done = life.lesveil("recall", "--execute", life.ask("recall")["digest"])["done"]
    assert [one["outcome"] for one in done] == ["waits for approval"]
    assert [file["sha256"] for file in graph.state("me")["files"]] == [first], "until somebody approves"
    with life.opened() as place:
        (state,) = states(place)
        assert state.render is not None
        assert (state.stage, state.render["kept"], state.render["places_known"]) == ("rendered", [], False)
    life.lesveil("approve", state.clip, "--by", "Geertje")
    life.lesveil("deliver")
    assert [(file["sha256"], file["versions"]) for file in graph.state("me")["files"]] == [(state.render["sha256"], 1)]
    assert life.ask("recall")["items"] == []


def test_a_hundred_kills_in_a_life_change_nothing(
    lived: tuple[Life, dict[str, Any]], born: Path, tmp_path: Path, runner: Runner, graph: Control
) -> None:
    """Each try of each step is killed somewhere; lives are lived until the process was killed a hundred times."""
    whole, end = lived
    chance = random.Random(9)
    tries = {"run": 5, "recall": 5}
    kills = 0
    for n in range(20):
        life = begin(born, tmp_path / f"life{n}", runner, graph)
        left: dict[str, int] = {}

        def place_of_death(step: str, left: dict[str, int] = left) -> int:
            left[step] = left.get(step, tries.get(step, 6)) - 1
            return chance.randint(1, whole.points[step]) if left[step] >= 0 else 0

        life.kill = place_of_death
        assert live(life, graph) == end
        kills += life.kills
        shutil.rmtree(life.folder)
        if kills >= KILLS:
            break
    assert kills >= KILLS
