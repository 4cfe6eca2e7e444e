"""What `make mutants` is told: its files and tests are there, and so is each line that an explained mutant changes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]


def test_files_and_tests_are_there() -> None:
    for name in [*SETTINGS["only_mutate"], *SETTINGS["pytest_add_cli_args_test_selection"]]:
        assert (ROOT / name).exists(), name


def test_explained_mutants_are_of_lines_that_are_there() -> None:
    entries = yaml.safe_load((ROOT / "tests" / "mutants.yaml").read_text())
    changes = [(entry["file"], change["was"], change["now"]) for entry in entries for change in entry["changes"]]
    assert len(changes) == len(set(changes)) > 0
    for entry in entries:
        assert entry["file"] in SETTINGS["only_mutate"]
        assert entry["why"]
    for file, was, now in changes:
        text = (ROOT / file).read_text()
        assert was in text, (file, was)
        assert now not in text, (file, now)
