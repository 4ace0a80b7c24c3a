"""What the pages point at is there: links lead to files and headings, names of files in code lead to files."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from pipeline import settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")]
PAGES += [ROOT / room / "README.md" for room in ("benchmarks", "samples", "models", "tests/graph")]
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
MENTION = re.compile(r"docs/[\w/-]+\.md")


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are formed where such pages are shown."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    astray = []
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        there = page.parent / target if target else page
        if not there.exists() or (anchor and anchor not in headings(there)):
            astray.append(f"{target}#{anchor}")
    assert not astray


def test_pages_that_the_code_names_exist() -> None:
    sources = [path for room in ("pipeline", "benchmarks", "samples", "tests") for path in (ROOT / room).rglob("*.py")]
    named = {one for path in sources for one in MENTION.findall(path.read_text(encoding="utf-8"))}
    assert named
    assert not [one for one in sorted(named) if not (ROOT / one).is_file()]


def test_every_setting_is_told_with_what_counts_without_it() -> None:
    """docs/settings.md: the sections and settings that there are, and no others."""
    said: dict[str, dict[str, str]] = {"": {}}
    section = said[""]
    for row in re.findall(r"^\| (.*) \|$", (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"), re.MULTILINE)[
        2:
    ]:
        names, usual, _ = row.split(" | ", 2)
        if named := re.fullmatch(r"\*\*`\[(\w+)\]`\*\*", names):
            section = said.setdefault(named[1], {})
            continue
        several, values = re.findall(r"`(\w+)`", names), re.findall(r"`([^`]*)`", usual) or [usual.strip()]
        section |= dict(zip(several, values if len(values) > 1 else values * len(several), strict=True))
    every = dataclasses.asdict(settings.Settings())
    there = {name: value for name, value in every.items() if isinstance(value, dict)}
    there[""] = {name: value for name, value in every.items() if name not in there}
    assert {name: set(found) for name, found in said.items()} == {name: set(found) for name, found in there.items()}
    for name, found in said.items():
        for one, told in found.items():
            if told not in ("", "Microsoft's"):
                assert json.loads(told) == json.loads(json.dumps(there[name][one])), (name, one)
