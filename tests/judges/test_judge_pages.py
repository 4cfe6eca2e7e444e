"""The commands of docs/judges/command_line.md and docs/judges/plugins.md do what the pages say."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs" / "judges"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)


def run(cgpo: list[str], folder: Path, command: str) -> str:
    words = shlex.split(command.removeprefix("$ cgpo "), posix='"' not in command)
    done = subprocess.run([*cgpo, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_command_line_page(tmp_path: Path, cgpo_with_few_seeds: list[str]) -> None:
    (rows,) = blocks("command_line.md", "json")
    (tmp_path / "rows.jsonl").write_text(rows)
    (commands,) = blocks("command_line.md", "console")
    said = [run(cgpo_with_few_seeds, tmp_path, command) for command in commands.splitlines()]
    assert "3 rows written to judged.jsonl" in said[1]
    assert "agreement 66.7%" in said[3]  # the lenient format reads the answer of row 3 too
    assert "agreement 66.7%" in said[4]
    assert "math: all checks passed" in said[5]


def test_the_page_on_plugins(tmp_path: Path, cgpo_with_few_seeds: list[str]) -> None:
    (code,) = blocks("plugins.md", "python")
    (tmp_path / "my_judges.py").write_text(code)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "Greet me.", "response": "Hello!"}\n')
    (commands,) = blocks("plugins.md", "console")
    said = [run(cgpo_with_few_seeds, tmp_path, command) for command in commands.splitlines()]
    assert "short: all checks passed" in said[0]
    assert "Polite: all checks passed" in said[1]
    assert '"reason": "found [\'hello\']"' in (tmp_path / "judged.jsonl").read_text()


def test_the_page_lists_every_check() -> None:
    from judges.contract import check_judge
    from judges.spec import JudgeSpec

    page = (PAGES / "plugins.md").read_text()
    for result in check_judge(JudgeSpec("refusal")):
        assert result.name in page
