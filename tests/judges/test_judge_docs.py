"""The examples of docs/judges.md do what the page says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from judges.contract import check_judge
from judges.spec import JudgeSpec

PAGE = (Path(__file__).parents[2] / "docs" / "judges.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_commands_run(tmp_path: Path) -> None:
    row = blocks("json")[0]
    (tmp_path / "rows.jsonl").write_text(row)
    (commands,) = blocks("console")
    for command in commands.splitlines():
        words = command.removeprefix("$ cgpo judge ").split()
        subprocess.run(
            [sys.executable, "-m", "judges", *words], cwd=tmp_path, check=True, timeout=120, capture_output=True
        )
    judged = json.loads((tmp_path / "judged.jsonl").read_text())
    added = json.loads(blocks("json")[1])
    assert judged["verdicts"]["math"] == added["verdicts"]["math"]
    assert judged["satisfied"] == added["satisfied"]


def test_the_library_example_runs(tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    program.write_text(blocks("python")[0])
    result = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout == "{'math': 'satisfied', 'refusal': 'satisfied'}\n"


def test_the_judges_of_the_page_keep_the_contract(install) -> None:
    install("my-package", "\n\n".join(blocks("python")[1:]), short="short", polite="PoliteJudge")
    for name in ("short", "polite"):
        failed = [result for result in check_judge(JudgeSpec(name)) if not result.passed]
        assert not failed
