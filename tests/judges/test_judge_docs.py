"""The examples of docs/judges.md do what the page says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from judges import Row, registry
from judges.llm.settings import LLMSettings
from judges.mixture import Mixture
from judges.runtime import JudgeRuntime

FOLDER = Path(__file__).parents[2] / "docs"
PAGE = (FOLDER / "judges.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_commands_run(tmp_path: Path, cgpo_with_few_seeds: list[str]) -> None:
    row = blocks("json")[0]
    (tmp_path / "rows.jsonl").write_text(row)
    (commands,) = blocks("console")
    for command in commands.splitlines():
        words = command.removeprefix("$ cgpo ").split()
        subprocess.run([*cgpo_with_few_seeds, *words], cwd=tmp_path, check=True, capture_output=True)
    judged = json.loads((tmp_path / "judged.jsonl").read_text())
    added = json.loads(blocks("json")[1])
    assert judged["verdicts"]["math"] == added["verdicts"]["math"]
    assert judged["satisfied"] == added["satisfied"]


def test_the_library_example_runs(tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    program.write_text(blocks("python")[0])
    result = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    assert result.stdout == "{'math': 'satisfied', 'refusal': 'satisfied'}\n"


def test_the_entries_of_the_page_make_a_mixture() -> None:
    entries = yaml.safe_load(blocks("yaml")[0])["judges"]
    with JudgeRuntime(1) as runtime:
        mixture = Mixture(entries, runtime)
        (judgement,) = mixture.judge([Row("Hi", "Here is a plain answer that is certainly long enough for anybody.")])
    assert mixture.names == ("refusal", "helpful")
    assert judgement.satisfied is True


def test_the_page_names_every_judge_and_its_links_lead_somewhere() -> None:
    for name in registry.names():
        if registry.origin(name).startswith("cgpo "):
            assert f"`{name}`" in PAGE, name
    for link in re.findall(r"\]\(([\w/]+\.md)", PAGE):
        assert (FOLDER / link).exists(), link


def test_the_page_on_models_shows_a_plan(tmp_path: Path) -> None:
    page = (FOLDER / "judges" / "llm.md").read_text()
    (command,) = re.findall(r"```console\n\$ cgpo (.*?)\n```", page)
    done = subprocess.run(
        [sys.executable, "-m", "cgpo", *shlex.split(command)],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "false_refusal" in done.stdout
    for name in LLMSettings.model_fields:
        assert f"`{name}`" in page, name
