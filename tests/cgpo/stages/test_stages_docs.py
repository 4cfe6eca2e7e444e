"""The commands of docs/stages.md run as they stand."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from stage_data import conversations, pairs, write_rows

from cgpo.cli import main

TEXT = (Path(__file__).parents[3] / "docs" / "stages.md").read_text()
COMMANDS = [line.strip() for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_run(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path / "talks.jsonl", conversations())
    write_rows(tmp_path / "pairs.jsonl", pairs())
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(line)
    assert program == "cgpo"
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0, capsys.readouterr().err


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 5


def test_rows_of_the_page_are_rows_that_are_read(tmp_path: Path) -> None:
    from cgpo.config import ConversationDataSettings
    from cgpo.data.conversations import read_conversations

    (block,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    rows = [json.loads(line) for line in block.splitlines()]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    found, bad = read_conversations(ConversationDataSettings(path=path), seed=0, where="sft_stage.data")
    assert len(found) == 2
    assert not bad
