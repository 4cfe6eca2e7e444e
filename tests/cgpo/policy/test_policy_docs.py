"""The command lines of docs/policy.md have plans, and its settings exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cgpo.cli import main
from cgpo.config import LoraSettings, ModelSettings

PAGE = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()
LINES = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("line", LINES)
def test_a_command_line(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line)[1:])
    shown = capsys.readouterr()
    assert ended.value.code == 0, shown.err
    assert "memory" in shown.out
    assert "responses over all ranks" in shown.out


def test_every_setting_of_an_adapter_and_every_mode_is_described() -> None:
    assert len(LINES) == 6
    for name in LoraSettings.model_fields:
        assert f"| `{name}` |" in PAGE
    for field in ("reference_mode", "dtype"):
        for value in ModelSettings.model_fields[field].annotation.__args__:  # type: ignore[union-attr]
            assert f"| `{value}` |" in PAGE


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE):
        assert (Path(__file__).parents[3] / "docs" / link).exists(), link
