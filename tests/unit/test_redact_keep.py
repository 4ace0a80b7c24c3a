"""Whom `lesveil redact --keep` refuses where a workspace with a consent list is named, and what it says then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli, workspace
from pipeline.adapters.consent_list import ConsentList, ListedPerson
from pipeline.commands import redact
from pipeline.consent import Giver
from pipeline.errors import NoConsentError
from pipeline.workspace import Workspace

TODAY = date.today()
LONG_AGO = TODAY - timedelta(30)


def person(number: str, **changes: Any) -> ListedPerson:
    fields: dict[str, Any] = {
        "row": 2, "id": number, "first_name": "Roos", "infix": "", "last_name": f"D{number}", "group": "3HA",
        "portrait_folder": None, "birth": TODAY - timedelta(14 * 365), "purpose": "beeldcoaching", "granted": True,
        "recognition": True, "giver": Giver.PARENT, "start": LONG_AGO, "end": None, "withdrawn": None,
    }  # fmt: skip
    return ListedPerson(**{**fields, **changes})


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workspace]:
    folder = tmp_path / "w"
    workspace.create(folder, key_file=True)
    (folder / "lesveil.toml").write_text('[recognition]\nmode = "on"\n[privacy]\ndpia = "DPIA"\n', encoding="utf-8")
    with workspace.opened(folder) as opened:
        yield opened


def bring(place: Workspace, *people: ListedPerson) -> None:
    place.register.apply(place.register.plan_import(ConsentList("l.csv", "0" * 64, people, (), False), LONG_AGO))


def refusal(place: Workspace, *subs: str) -> str:
    """What is said of portraits in these sub-folders; "" where nothing is refused."""
    keep = place.folder.parent / "keep"
    for sub in subs:
        (keep / sub).mkdir(parents=True)
        (keep / sub / "a.jpg").write_bytes(b"nobody looks at it")
    args = cli.parser().parse_args(["redact", "a.mp4", "-o", "b.mp4", "--keep", str(keep)])
    args.workspace = place.folder
    try:
        redact._refuse_without_consent(args)
    except NoConsentError as error:
        return str(error)
    return ""


def test_two_who_look_alike_are_told_as_that_not_as_without_consent(place: Workspace) -> None:
    bring(place, person("1"), person("2"))
    assert refusal(place, "1") == ""
    place.register.note_alikes([("1", "2")], ["1", "2"])
    told = refusal(place)
    assert "1 looks like 2" in told
    assert "lesveil consent alike 1 2 --are one (or two) --by NAME" in told
    assert "consent list" not in told
    place.register.decide_alike("1", "2", 2, "Geertje")
    assert refusal(place) == "", "what it says to do works"
    place.register.withdraw("2", TODAY)
    told = refusal(place)
    assert "1 looks like somebody who may not be shown" in told
    assert "consent list" not in told


def test_a_folder_that_the_list_names_is_that_persons(place: Workspace) -> None:
    bring(place, person("1", portrait_folder="Roos \u00e9"), person("2", portrait_folder="1", recognition=False))
    assert refusal(place, "Roos e\u0301") == "", "who agreed, and whose accent a Mac writes otherwise"
    assert "today: 1;" in refusal(place, "1"), "these are the pictures of 2"
