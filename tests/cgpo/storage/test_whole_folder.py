"""A folder that appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgpo.errors import ConfigError, RunError
from cgpo.storage.whole_folder import WholeFolder


def write(folder: Path, text: str, *, replace: bool = False) -> None:
    with WholeFolder(folder, "the rows", replace=replace, marker="report.json") as whole:
        (whole.path / "report.json").write_text(text)
        whole.finish()


def test_it_appears_at_the_end_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "out"
    with WholeFolder(folder, "the rows") as whole:
        (whole.path / "rows.jsonl").write_text("1")
        assert not folder.exists()
        whole.finish()
    assert [path.name for path in folder.iterdir()] == ["rows.jsonl"]
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_without_finish_nothing_appears(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), WholeFolder(tmp_path / "out", "the rows"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_replaced_only_on_demand_and_only_if_it_is_of_its_kind(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(folder, "old")
    with pytest.raises(ConfigError, match=r"exists already.*--overwrite"):
        write(folder, "new")
    write(folder, "new", replace=True)
    assert (folder / "report.json").read_text() == "new"
    (folder / "report.json").rename(folder / "thesis.tex")
    with pytest.raises(ConfigError, match=r"has no report\.json"):
        write(folder, "newer", replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_killed_command_leaves_the_old_folder_or_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(folder, "old")
    folder.rename(tmp_path / ".out.replaced")  # killed between the two renames
    (tmp_path / ".out.partial").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        write(folder, "new")
    assert (folder / "report.json").read_text() == "old"
    (tmp_path / ".out.replaced").mkdir()  # killed after them
    (tmp_path / ".out.replaced" / "report.json").write_text("older")
    write(folder, "new", replace=True)
    assert (folder / "report.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_commands_do_not_write_one_folder(tmp_path: Path) -> None:
    with WholeFolder(tmp_path / "out", "the rows"), pytest.raises(RunError, match="another process"):
        WholeFolder(tmp_path / "out", "the rows")
