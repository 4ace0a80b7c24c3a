"""What the pages point at is there: links lead to files and headings, names of files in code lead to files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
