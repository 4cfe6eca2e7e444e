"""The page on instruction following and language says what the code does: its example runs, its tables are complete."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

from judges.registry import load
from judges.rules.instruction_following import ifeval
from judges.rules.instruction_following.table import INSTRUCTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "judges" / "instruction_following.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    program = tmp_path / "example.py"
    program.write_text(code)
    result = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    assert result.stdout == "satisfied\n"


def test_the_command_runs(cgpo_with_few_seeds: list[str]) -> None:
    (command,) = re.findall(r"```console\n\$ cgpo (.*)\n```", PAGE)
    subprocess.run([*cgpo_with_few_seeds, *command.split()], check=True, capture_output=True)


def test_every_type_of_our_own_has_its_row() -> None:
    rows = re.findall(r"^\| `(cgpo:\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(id for id in INSTRUCTIONS if id.startswith("cgpo:"))


def test_the_table_of_agreement_has_every_public_type_and_little_disagreement() -> None:
    (table,) = re.findall(r"<!-- agreement:ifeval -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    rows = dict(re.findall(r"^\| `?([\w:]+)`? \|.* ([01]\.\d+) \|$", table, re.MULTILINE))
    assert rows.keys() == {*ifeval.TYPES, "all"}
    assert float(rows["all"]) >= 0.995


def test_every_option_of_the_language_judge_has_its_row() -> None:
    options = [name for name in inspect.signature(load("language")).parameters if name != "self"]
    assert [name for name in re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) if name in options] == options
