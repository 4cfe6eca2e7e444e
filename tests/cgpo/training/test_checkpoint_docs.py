"""The commands of docs/checkpoints.md are commands; those that export run in test_kill.py."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cgpo.cli import main

PAGE = (Path(__file__).parents[3] / "docs" / "checkpoints.md").read_text()
LINES = [
    line.split("   ")[0] for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]
TRAINING = [line for line in LINES if line.startswith("cgpo train")]


@pytest.mark.parametrize("line", TRAINING)
def test_a_training_command_has_a_plan(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([*shlex.split(line)[1:], "--dry-run"])
    assert ended.value.code == 0, capsys.readouterr().err


def test_the_page_has_both_kinds() -> None:
    assert len(TRAINING) == 7
    assert [line for line in LINES if line not in TRAINING] == [
        "cgpo export runs/quickstart --checkpoint best --output best-model"
    ]


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (Path(__file__).parents[3] / "docs" / link).exists(), link
