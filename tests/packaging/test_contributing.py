"""CONTRIBUTING.md is true: its example of a judge works, and the folders, targets and settings it names exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from judges import Judge, Outcome, Row

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


@pytest.fixture
def example_judge() -> type[Judge]:
    """The judge of the section "Adding a judge"."""
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(re.sub(r"^ {3}", "", code, flags=re.MULTILINE), names)
    judge: type[Judge] = names["ShortJudge"]
    return judge


def test_example_judge_works(example_judge: type[Judge]) -> None:
    judge = example_judge(max_words=2)  # type: ignore[call-arg]
    assert judge.verdict(Row("Say it.", "two words")).outcome is Outcome.SATISFIED
    assert judge.verdict(Row("Say it.", "these are four words")).outcome is Outcome.VIOLATED


def test_named_folders_exist() -> None:
    folders = set(re.findall(r"`((?:cgpo|judges|conf|tests|launch)/[\w/]*)`", TEXT))
    assert {"judges/rules/", "cgpo/optimizers/", "conf/stratum/"} <= folders
    assert [folder for folder in sorted(folders) if not (ROOT / folder).is_dir()] == []


def test_named_make_targets_exist() -> None:
    targets = set(re.findall(r"(?:^|`|\w=\w+ )make ([a-z-]+)", TEXT, flags=re.MULTILINE))
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"setup", "test", "lint", "lock"} <= targets <= known
