"""A school with a short lesson, made once; every test that changes something works on a copy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from school import Page, School, reviewing

import samples
from pipeline import messages

SECONDS, RATE, SIZE = 8, 10, (960, 540)
SCRIPT = "<script>document.title='x'<script>.MP4"
"""The name of the second clip: whoever names a file on a card must not get to run anything."""


@pytest.fixture(scope="session")
def first_school(tmp_path_factory: pytest.TempPathFactory) -> School:
    folder = tmp_path_factory.mktemp("review")
    sample = samples.make_samples(folder / "sample", seconds=SECONDS, today=date.today(), size=SIZE, rate=RATE)
    school = School(folder / "werkmap", folder / "onedrive", sample)
    school.archive.mkdir()
    sample.clips[1].rename(sample.clips[1].with_name(SCRIPT))
    school.lesveil("init", school.place)
    (school.place / "lesveil.toml").write_text(
        "\n".join(
            [
                "[recognition]",
                'mode = "on"',
                "[privacy]",
                'dpia = "DPIA 2026-3"',
                "[deliver]",
                'target = "folder"',
                f"folder = {json.dumps(str(school.archive))}",
                "",
            ]
        ),
        encoding="utf-8",
    )
    school.lesveil("consent", "import", sample.consent_list)
    school.lesveil("enrol", sample.portraits)
    school.lesveil("run", "--card", sample.card)
    messages.choose("en")
    return school


@pytest.fixture
def school(first_school: School, tmp_path: Path) -> School:
    """A copy of the school's workspace for one test. The card stays shared: nothing here wipes it."""
    shutil.copytree(first_school.place, tmp_path / "werkmap")
    archive = tmp_path / "onedrive"
    archive.mkdir()
    settings = tmp_path / "werkmap" / "lesveil.toml"
    text = settings.read_text(encoding="utf-8").replace(str(first_school.archive), str(archive))
    settings.write_text(text, encoding="utf-8")
    return School(tmp_path / "werkmap", archive, first_school.sample)


@pytest.fixture(scope="module")
def page(first_school: School, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of a copy of the school, for all tests of one module."""
    place = tmp_path_factory.mktemp("page") / "werkmap"
    shutil.copytree(first_school.place, place)
    with reviewing(School(place, first_school.archive, first_school.sample)) as page:
        yield page
