"""What the pages name exists: files and sections that they link to, and paths of the project in their text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *(page for folder in ("docs", "examples", "bench") for page in (ROOT / folder).rglob("*.md")),
]
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
NAMED_PATH = re.compile(r"`((?:cgpo|judges|tests|conf|launch|bench|docs|examples)/[\w./-]*)`")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links(page: Path) -> None:
    targets = [(page.parent / path if path else page, anchor) for path, anchor in LINK.findall(page.read_text())]
    assert [str(target) for target, _ in targets if not target.exists()] == []
    inside = [(target, anchor) for target, anchor in targets if anchor and target.suffix == ".md"]
    assert [f"{target}#{anchor}" for target, anchor in inside if anchor not in anchors(target)] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths(page: Path) -> None:
    assert [path for path in NAMED_PATH.findall(page.read_text()) if not (ROOT / path).exists()] == []
