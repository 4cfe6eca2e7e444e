"""What the pages name exists: files and sections that they link to, paths in their text, classes and functions."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *(page for folder in ("docs", "examples", "bench") for page in (ROOT / folder).rglob("*.md")),
]
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
NAMED_PATH = re.compile(r"`((?:cgpo|judges|tests|conf|launch|bench|docs|examples)/[\w./-]*)`")

DEFINED_IN = re.compile(r"\[[\w/.]+\]\(\.\./([\w/]+\.py)\):\s((?:`[\w.]+`(?:,\s)?)+)")
"""`[cgpo/a.py](../cgpo/a.py): `B`, `B.c`, `d``: what is defined in a file."""
ABOUT_CODE = [ROOT / "docs" / "architecture.md", ROOT / "docs" / "method.md"]


@cache
def definitions(file: Path) -> set[str]:
    """A module's classes and functions, and the classes' methods as `Class.method`."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    body = ast.parse(file.read_text()).body
    names = {node.name for node in body if isinstance(node, kinds)}
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    return names | {f"{c.name}.{part.name}" for c in classes for part in c.body if isinstance(part, kinds)}


@cache
def all_definitions() -> set[str]:
    files = [file for package in ("cgpo", "judges") for file in (ROOT / package).rglob("*.py")]
    return set().union(*map(definitions, files))


def exists(dotted: str) -> bool:
    """Whether a dotted name is a package, a module, or something that a module or package names."""
    place, names = ROOT, dotted.split(".")
    for i, part in enumerate(names):
        if (place / f"{part}.py").is_file():
            rest = names[i + 1 :]
            return not rest or re.search(rf"\b{rest[0]}\b", (place / f"{part}.py").read_text()) is not None
        if not (place / part).is_dir():
            return re.search(rf"\b{part}\b", (place / "__init__.py").read_text()) is not None
        place /= part
    return True


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


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_names_are_defined_in_the_files_they_stand_with(page: Path) -> None:
    missing = [
        f"{file}: {each}"
        for file, names in DEFINED_IN.findall(page.read_text())
        for each in re.findall(r"`([\w.]+)`", names)
        if not (ROOT / file).is_file() or each not in definitions(ROOT / file)
    ]
    assert missing == []


@pytest.mark.parametrize("page", ABOUT_CODE, ids=name)
def test_classes_and_methods_exist(page: Path) -> None:
    text = page.read_text()
    assert len(DEFINED_IN.findall(text)) > 10
    boxes = re.findall(r"\[\"(\w+)<br/>", text)  # of a Mermaid picture: the first line of a box, a word on an arrow
    arrows = re.findall(r"-->\|\"?([A-Z]\w+)", text)
    named = {*boxes, *arrows, *re.findall(r"`((?:[A-Z]\w*[a-z]\w*)(?:\.\w+)?)`", text)}
    assert named - all_definitions() == set()


def test_the_step_of_the_architecture_page_is_the_loop_s() -> None:
    (step,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.DOTALL)
    loop = ast.parse((ROOT / "cgpo" / "training" / "trainer.py").read_text())
    (body,) = [node.body for node in ast.walk(loop) if isinstance(node, ast.FunctionDef) and node.name == "_step"]
    own = [ast.unparse(node) for node in body]
    assert [line for line in step.splitlines() if line not in own] == []


def test_modules_named_in_docstrings_exist() -> None:
    groups = set(re.findall(r"^(cgpo\.\w+) =$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)) | {"cgpo.conf"}
    missing = [
        f"{file.relative_to(ROOT)}: {dotted}"
        for package in ("cgpo", "judges")
        for file in (ROOT / package).rglob("*.py")
        for dotted in re.findall(r"`((?:cgpo|judges)(?:\.\w+)+)`", file.read_text())
        if dotted not in groups and not exists(dotted)
    ]
    assert missing == []
