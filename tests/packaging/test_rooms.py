"""Imports point one way: the table of rooms in CONTRIBUTING.md, the contracts in pyproject.toml and the code agree.

import-linter reads every import, also those inside functions and those for types. That it refuses an import against the
drawing is tried on a copy of the code.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache', '--no-logo'])"
ALONE, APART, TOGETHER = "all above", "all above, not each other", "all above, and each other"

Layer = tuple[frozenset[str], bool]
"""Rooms of one height, and whether they may import each other."""


def contracts() -> dict[str, dict[str, object]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {contract["id"]: contract for contract in settings["contracts"]}


def rows() -> list[tuple[list[str], str]]:
    """(rooms, what they may import) of each row of CONTRIBUTING.md's table, lowest first."""
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## The rooms")[2].partition("\n## ")[0]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", section, re.M)]
    assert table[0] == ["room", "what lives there", "may import"]
    return [(re.findall(r"`([\w/.]+)`", rooms), allowed) for rooms, _, allowed in table[2:]]


def drawn() -> list[Layer]:
    """The layers of cgpo as the table draws them, lowest first."""
    return [
        (frozenset(Path(room).relative_to("cgpo").stem for room in rooms), allowed == TOGETHER)
        for rooms, allowed in rows()[1:]
    ]


def contracted() -> list[Layer]:
    """The layers of cgpo as the contract has them, lowest first."""
    layers = contracts()["rooms"]["layers"]
    assert isinstance(layers, list)
    return [(frozenset(re.split(r"\s*[|:]\s*", layer)), ":" in layer) for layer in reversed(layers)]


def lint(folder: Path) -> tuple[bool, str]:
    """Whether the code in a folder keeps the contracts there, and what import-linter says."""
    environment = os.environ | {"COLUMNS": "250"}  # it breaks its lines, in the middle of names too
    command = [sys.executable, "-c", LINT]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def test_the_table_says_what_each_room_may_import() -> None:
    (judges, nothing), *others = rows()
    assert (judges, nothing) == (["judges/"], "nothing of `cgpo`")
    for rooms, allowed in others:
        assert allowed in ({ALONE} if len(rooms) == 1 else {APART, TOGETHER}), rooms


def test_the_table_and_the_contracts_are_the_same_drawing() -> None:
    assert drawn() == contracted()
    assert contracts()["judges"]["source_modules"] == ["judges"]
    assert contracts()["judges"]["forbidden_modules"] == ["cgpo"]


def test_no_contract_has_an_exception() -> None:
    assert [name for name, contract in contracts().items() if "ignore_imports" in contract] == []


def test_the_code_keeps_to_the_drawing() -> None:
    kept, said = lint(ROOT)
    assert kept, said


def test_few_modules_stand_loose() -> None:
    assert len(list((ROOT / "cgpo").glob("*.py"))) <= 10


def test_modules_say_what_they_are() -> None:
    files = [file for package in ("cgpo", "judges") for file in (ROOT / package).rglob("*.py") if file.stat().st_size]
    opening = {str(file.relative_to(ROOT)): ast.get_docstring(ast.parse(file.read_text())) or "" for file in files}
    assert [file for file, text in opening.items() if not text or text.startswith("What ")] == []


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with its contracts."""
    folder = tmp_path_factory.mktemp("rooms")
    for package in ("cgpo", "judges"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture
def code(copied: Path) -> Iterator[Path]:
    """The copy, in which a test may add files and append to `errors.py` and `cli.py`; afterwards it is as before."""
    before = {file: file.read_bytes() for file in copied.rglob("*.py")}
    yield copied
    for file in set(copied.rglob("*.py")) - before.keys():
        file.unlink()
    for file, content in before.items():
        if file.read_bytes() != content:
            file.write_bytes(content)


def test_a_copy_keeps_to_the_drawing(code: Path) -> None:
    kept, said = lint(code)
    assert kept, said


@pytest.mark.parametrize(
    ("importer", "text", "refused"),
    [
        ("cgpo/storage/added.py", "from cgpo.training import run_plan", "cgpo.storage.added -> cgpo.training.run_plan"),
        (
            "cgpo/rewards/added.py",
            "def late() -> None:\n    from cgpo.evaluation import heldout",
            "cgpo.rewards.added -> cgpo.evaluation.heldout",
        ),
        (
            "cgpo/errors.py",
            "if TYPE_CHECKING:\n    from cgpo.config import RunSettings",
            "cgpo.errors -> cgpo.config",
        ),
        ("cgpo/tradeoff/added.py", "import cgpo.feedback", "cgpo.tradeoff.added -> cgpo.feedback"),
        ("judges/added.py", "def late() -> None:\n    import cgpo.errors", "judges.added -> cgpo.errors"),
        ("cgpo/cli.py", "import cgpo.training.session", "cgpo.cli -> cgpo.training.session"),
    ],
    ids=["upwards", "inside a function", "for a type", "beside", "out of judges", "the session"],
)
def test_an_import_against_the_drawing_is_refused(code: Path, importer: str, text: str, refused: str) -> None:
    with (code / importer).open("a") as file:
        file.write(f"\n{text}\n")
    kept, said = lint(code)
    assert not kept
    assert refused in said


def test_a_circle_inside_a_room_is_refused(code: Path) -> None:
    (code / "cgpo/storage/one.py").write_text("import cgpo.storage.two\n")
    (code / "cgpo/storage/two.py").write_text("def late() -> None:\n    import cgpo.storage.one\n")
    kept, said = lint(code)
    assert not kept
    assert "No cycles are allowed in cgpo.storage" in said


def test_a_room_outside_the_drawing_is_refused(code: Path) -> None:
    (code / "cgpo/attic.py").write_text("")
    kept, said = lint(code)
    assert not kept
    assert "attic" in said
