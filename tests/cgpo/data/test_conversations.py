"""Rows of conversations: the forms they come in, and how bad ones are counted and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cgpo.config import ConversationDataSettings
from cgpo.data.conversations import Conversation, read_conversations
from cgpo.data.generators import generate
from cgpo.data.generators.golden import golden_response
from cgpo.errors import ConfigError, DataError
from judges import Outcome, Row
from judges.rules.math import MathJudge

WHERE = "sft_stage.data"


def rows_file(folder: Path, *rows: Any) -> str:
    file = folder / "rows.jsonl"
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(file)


def read(path: str, **more: Any) -> tuple[list[Conversation], list[str]]:
    return read_conversations(ConversationDataSettings(path=path, **more), seed=0, where=WHERE)


def test_both_forms(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": "See you."},
    ]
    path = rows_file(tmp_path, {"prompt": "What is 1 + 1?", "response": "2"}, {"messages": turns})
    (first, second), bad = read(path)
    assert bad == []
    assert first.messages == ({"role": "user", "content": "What is 1 + 1?"}, {"role": "assistant", "content": "2"})
    assert first.source.endswith("rows.jsonl row 1")
    assert [dict(m) for m in second.messages] == turns
    assert [m["role"] for m in second.prompt] == ["system", "user"]


def test_columns_have_the_names_the_user_gives(tmp_path: Path) -> None:
    path = rows_file(tmp_path, {"question": "q", "answer": "a", "messages": None})
    (found,), _ = read(path, prompt_column="question", response_column="answer")
    assert found.messages[-1]["content"] == "a"
    with pytest.raises(DataError, match=r"row 1\. Did you mean 'question'|unknown column 'questoin'"):
        read(path, prompt_column="questoin")


def test_a_parquet_file(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"prompt": ["q1", "q2"], "response": ["a1", "a2"]}), file)
    found, _ = read(str(file))
    assert [c.messages[-1]["content"] for c in found] == ["a1", "a2"]


BAD = {
    "no response": ({"prompt": "q"}, "row 2"),
    "empty response": ({"prompt": "q", "response": " "}, "the response is empty"),
    "number": ({"prompt": "q", "response": 3}, "the response must be text, not a number"),
    "ends with the user": (
        {"messages": [{"role": "user", "content": "q"}]},
        "the last message must be the assistant's",
    ),
    "nothing before": ({"messages": [{"role": "assistant", "content": "a"}]}, "no message of the user stands before"),
    "unknown role": ({"messages": [{"role": "bot", "content": "a"}]}, "unknown role 'bot'"),
    "lone surrogate": ('{"prompt": "q", "response": "\\ud800"}', "no Unicode text"),
    "no JSON": ("{", "not valid JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_named_and_counted(name: str, tmp_path: Path) -> None:
    row, message = BAD[name]
    path = rows_file(tmp_path, {"prompt": "q", "response": "a"}, row)
    with pytest.raises(DataError) as caught:
        read(path)
    assert "sft_stage.data: 1 of 2 rows cannot be used" in str(caught.value)
    assert "rows.jsonl row 2" in str(caught.value)
    assert message in str(caught.value)
    assert "bad_rows=drop" in str(caught.value)
    found, (problem,) = read(path, bad_rows="drop")
    assert len(found) == 1
    assert "rows.jsonl row 2" in problem


def test_many_bad_rows_are_not_all_printed(tmp_path: Path) -> None:
    path = rows_file(tmp_path, {"prompt": "q", "response": "a"}, *[{"prompt": "q", "response": ""}] * 25)
    with pytest.raises(DataError, match=r"25 of 26 rows(.|\n)*… and 15 more"):
        read(path)


def test_nothing_but_bad_rows_is_an_error_even_when_they_may_be_dropped(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 of 1 rows"):
        read(rows_file(tmp_path, {"prompt": "q"}), bad_rows="drop")


def test_fewer_rows_than_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sft_stage\.data\.size: 3 rows asked for, but .* has 1"):
        read(rows_file(tmp_path, {"prompt": "q", "response": "a"}), size=3)


def test_golden_responses_satisfy_the_judge() -> None:
    settings = ConversationDataSettings(generator="math", size=30)
    found, _ = read_conversations(settings, seed=4, where=WHERE)
    prompts = generate("math", 30, seed=4, heldout=False)
    judge = MathJudge()
    for conversation, prompt in zip(found, prompts, strict=True):
        assert conversation.prompt == prompt.messages
        row = Row(prompt=prompt.messages, response=conversation.messages[-1]["content"], metadata=prompt.metadata)
        assert judge.judge(row).outcome is Outcome.SATISFIED


def test_a_generator_without_golden_responses() -> None:
    prompt = generate("chat", 1, seed=0, heldout=False)[0]
    with pytest.raises(ConfigError, match=r"generator with golden responses 'chat' at sft_stage\.data\.generator"):
        golden_response("chat", prompt, WHERE)
