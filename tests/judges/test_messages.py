"""Rows with calls of tools, contents in parts and nulls: judged, and given back as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judges import cli
from judges.errors import JudgesError
from judges.files import open_source
from judges.files.jsonl import parse_object
from judges.files.rows import Fields, row_of
from judges.judge import Message, Row
from judges.llm.safety import _conversation
from judges.llm.template import transcript
from judges.messages import judged_messages, message_text, plain_content

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich"}}}
TOOLS: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "text", "text": "How warm"}, {"type": "text", "text": "is Zürich?"}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "name": "weather", "content": "21 °C"},
]
PICTURE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "?"}]}
NULL_SCHEMA = {"properties": {"a": {"const": None}}, "required": ["a"]}


def test_contents() -> None:
    assert plain_content(None) == ""
    assert plain_content("x") == "x"
    assert plain_content(TOOLS[0]["content"]) == "How warm\nis Zürich?"
    assert plain_content(["a", {"type": "input_text", "text": "b"}]) == "a\nb"
    assert plain_content(PICTURE["content"]) == PICTURE["content"]
    for wrong, words in (
        (3, "must be text"),
        ({}, "must be text"),
        ([3], "no {"),
        ([{"type": "text"}], "without `text`"),
    ):
        with pytest.raises(JudgesError, match=words):
            plain_content(wrong)


def test_messages_in_words() -> None:
    assert message_text(TOOLS[1]) == '[calls weather({"city": "Zürich"})]'
    assert message_text({**TOOLS[1], "content": "I look."}) == 'I look.\n[calls weather({"city": "Zürich"})]'
    assert message_text({"content": "", "tool_calls": [{"name": "f", "arguments": "{}"}, {"x": 1}]}) == (
        '[calls f({})]\n[calls {"x": 1}]'
    )
    assert message_text(PICTURE) == "[image_url]\n?"
    assert transcript(judged_messages(TOOLS)) == (
        'User: How warm\nis Zürich?\n\nAssistant: [calls weather({"city": "Zürich"})]\n\nTool: 21 °C'
    )
    with pytest.raises(
        JudgesError, match="message 2 of the prompt has a part that this judge cannot read: 'image_url'"
    ):
        transcript([TOOLS[2], PICTURE])


def test_a_judge_gets_texts() -> None:
    row = row_of({"prompt": [*TOOLS, {**TOOLS[2], "tool_calls": None}, PICTURE], "response": "r"})
    contents = [message["content"] for message in row.prompt if isinstance(message, dict)]
    assert contents == ["How warm\nis Zürich?", "", "21 °C", "21 °C", PICTURE["content"]]
    assert isinstance(row.prompt, tuple)
    assert row.prompt[1] == {**TOOLS[1], "content": ""}
    assert "tool_calls" not in row.prompt[3]


@pytest.mark.parametrize("message", [{"role": "user"}, {"role": "tool", "content": None, "tool_call_id": "c1"}, {}, 3])
def test_what_says_nothing_is_no_message(message: Any) -> None:
    with pytest.raises(JudgesError, match=r'message 2 of `asked` must be \{"role": text, "content": text\}'):
        row_of({"asked": [TOOLS[0], message], "response": "r"}, Fields(prompt="asked"))


def test_guard_models_get_turns_in_turn() -> None:
    row = Row(judged_messages(TOOLS), "It is warm.")
    assert _conversation(row) == (
        {"role": "user", "content": "How warm\nis Zürich?"},
        {"role": "assistant", "content": '[calls weather({"city": "Zürich"})]\n\nIt is warm.'},
    )


@pytest.mark.parametrize(
    ("response", "judged"),
    [
        ([*TOOLS[1:], {"role": "assistant", "content": "7"}], "7"),
        ([{"role": "assistant", "content": [{"type": "text", "text": "7"}]}], "7"),
        (TOOLS[1:], "the assistant's last message has no text"),
        ([{"role": "assistant", "content": PICTURE["content"]}], "the assistant's last message has no text"),
        ([{"role": "tool", "content": "7"}], "no message of the role assistant"),
    ],
)
def test_responses_as_messages(response: list[Message], judged: str) -> None:
    if "message" not in judged:
        assert row_of({"prompt": "p", "response": response}).response == judged
        return
    with pytest.raises(JudgesError, match=judged):
        row_of({"prompt": "p", "response": response})


def test_null_metadata_is_none() -> None:
    content = {"prompt": "p", "response": "r", "metadata": {"a": None, "b": {"c": None}}, "d": None}
    assert row_of(content, Fields(metadata={"d": "d"})).metadata == {"b": {"c": None}}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_the_command_judges_them_and_leaves_them_as_they_were(tmp_path: Path, suffix: str) -> None:
    rows = [
        {"prompt": prompt, "response": "The final answer is 7.", "metadata": {"answer": "7"}}
        for prompt in (TOOLS, [PICTURE], [{"role": "assistant", "tool_calls": [CALL]}], [*TOOLS[:2], TOOLS[0]])
    ]
    source, output = tmp_path / "rows.jsonl", tmp_path / f"out{suffix}"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert cli.main(["run", "--judge", "math", "--workers", "1", "--input", str(source), "--output", str(output)]) == 0
    if suffix == ".parquet":
        written = [row.content for row in open_source(output).rows()]
        prompts = [json.loads(row["prompt"]) for row in written]
    else:
        written = [parse_object(line) for line in output.read_bytes().splitlines()]
        prompts = [row["prompt"] for row in written]
    assert prompts == [row["prompt"] for row in rows]
    assert [row["satisfied"] for row in written] == [True] * 4


def test_a_struct_adds_nothing(tmp_path: Path) -> None:
    """Two rows with different keys: the table gives each those of both, null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"prompt": TOOLS, "response": "r", "metadata": {"json_schema": {"properties": {"a": {"type": "null"}}}}},
        {"prompt": [{"role": "user", "content": "x", "name": "n"}], "response": "r", "metadata": {"x": {"y": 1}}},
    ]
    rows[0]["prompt"] = [{**TOOLS[1]}, {**TOOLS[2]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    first, second = (row.row for row in open_source(tmp_path / "rows.parquet").rows())
    assert first is not None
    assert second is not None
    assert first.prompt == ({**TOOLS[1], "content": ""}, TOOLS[2])
    assert first.metadata == {"json_schema": {"properties": {"a": {"type": "null"}}}}
    assert second.metadata == {"x": {"y": 1}}
    assert second.prompt == ({"role": "user", "content": "x", "name": "n"},)


@pytest.mark.parametrize("schema", [NULL_SCHEMA, {"const": {"a": None}}, {"enum": [{"a": None, "b": 1}]}])
def test_a_null_that_a_struct_may_have_lost_is_said(tmp_path: Path, schema: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, column in (("metadata", {"json_schema": schema}), ("json_schema", schema)):
        pq.write_table(
            pa.Table.from_pylist([{"prompt": "p", "response": "r", name: column}]), tmp_path / "rows.parquet"
        )
        (row,) = open_source(tmp_path / "rows.parquet").rows()
        assert row.row is None
        assert "keep `json_schema` as JSON text" in row.problem
    as_text = {"prompt": "p", "response": '{"a": null}', "metadata": {"json_schema": json.dumps(schema)}}
    pq.write_table(pa.Table.from_pylist([as_text]), tmp_path / "rows.parquet")
    (row,) = open_source(tmp_path / "rows.parquet").rows()
    assert row.row is not None
    assert json.loads(row.row.metadata["json_schema"]) == schema
