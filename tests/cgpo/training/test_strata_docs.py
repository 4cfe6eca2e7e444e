"""The command lines and files of docs/strata.md work as they stand there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from cgpo.cli import main
from cgpo.compose import compose

DOCS = (Path(__file__).parents[3] / "docs" / "strata.md").read_text()
LINES = [line for block in re.findall(r"```bash\n(.*?)```", DOCS, re.DOTALL) for line in block.splitlines()]
ROWS = [
    {"prompt": "What is 5 + 3?", "task": "maths"},
    {"prompt": "Calculate 13 + 4 and give the number.", "task": "maths"},
    {"prompt": "What should I cook for my friends tonight?", "task": "talk"},
    {"prompt": "Who wrote Faust?", "task": "trivia"},
]


def yaml_block(name: str) -> str:
    (found,) = re.findall(rf"```yaml\n(# (?:my-configs/experiment/)?{name}.*?)```", DOCS, re.DOTALL)
    return str(found)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "strata.yaml").write_text(yaml_block("strata.yaml"))
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mixed.yaml").write_text(yaml_block("mixed.yaml").partition("\n")[2])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_command_lines() -> None:
    assert len(LINES) >= 6


@pytest.mark.parametrize("line", LINES)
def test_a_command_line(folder: Path, line: str) -> None:
    words = shlex.split(line)
    assert words[0] == "cgpo"
    with pytest.raises(SystemExit) as ended:
        main(words[1:])
    assert ended.value.code == 0


def test_the_experiment(folder: Path) -> None:
    settings = compose(["experiment=mixed"], config_dir=str(folder)).settings
    assert settings.strata["chat"].optimizer.name == "codpo"
    assert settings.strata["math"].schedule.start == 20
    assert settings.strata["chat"].prompts.where == {"task": ["talk", "trivia"]}
