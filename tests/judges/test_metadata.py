"""Metadata of rows: the same verdict whether lists and numbers came as such or as the text of a table's cell."""

from __future__ import annotations

import json
from typing import Any

import pytest

from judges import Row, Verdict
from judges.llm.factuality import FactualityJudge
from judges.llm.rubric import RubricJudge
from judges.llm.settings import LLMSettings
from judges.metadata import structure, texts, value_of, whole_number
from judges.registry import create

PROGRAM = "```python\ndef double(x):\n    return 2 * x\n```"
PRINTS = "```python\nprint(2 * int(input()))\n```"
NUMBERS = {"type": "array", "items": {"type": "integer"}}


def judged(judge: str, response: str, metadata: dict[str, Any], **options: Any) -> Verdict:
    return create(judge, options).verdict(Row("q", response, metadata))


@pytest.mark.parametrize(
    ("judge", "right", "wrong", "metadata"),
    [
        ("choice", "B", "A", {"answer": "two", "choices": ["one", "two"]}),
        ("choice", 'The answer is "it\'s".', "one", {"answer": "Q", "choices": {"P": "one", "Q": "it's"}}),
        ("choice", "東京", "A", {"answer": "B", "choices": ["大阪", "東京"]}),
        ("exact_match", "Lyon.", "Nice", {"answer": ["Paris", "Lyon"]}),
        ("exact_match", "forty-two", "43", {"answer": [42, "forty two"]}),
        ("exact_match", "[x]", "y", {"answer": ["[x]", "{x}"]}),
        ("regex", "In May 2024", "In May", {"pattern": [r"\d{4}", "May"]}),
        ("regex", "[a]", "a", {"pattern": [r"\[a\]"]}),
        ("length", "one two", "one two three four", {"min_length": 2, "max_length": 3}),
        ("json_schema", "[1, 2]", '["1"]', {"json_schema": NUMBERS}),
        (
            "instruction_following",
            "hello there",
            "hello, there",
            {"instruction_id_list": ["punctuation:no_comma", "cgpo:words"], "kwargs": [{}, {"exactly": 2}]},
        ),
        (
            "instruction_following",
            "sea and sun",
            "sand",
            {"instruction_id_list": ["keywords:existence"], "kwargs": [{"keywords": ["sea", "sun"], "relation": None}]},
        ),
    ],
)
def test_a_cell_with_json_text_is_read_as_the_list_itself(
    judge: str, right: str, wrong: str, metadata: dict[str, Any]
) -> None:
    cells = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    spread = {key: f" {cell}\n" for key, cell in cells.items()}
    for given in (metadata, cells, spread):
        assert judged(judge, right, given).outcome == "satisfied", given
        assert judged(judge, wrong, given).outcome == "violated", given


@pytest.mark.parametrize(
    ("response", "metadata"),
    [
        (PROGRAM, {"unit_tests": ["assert double(2) == 4", "assert double(0) == 0"]}),
        (PRINTS, {"stdin_stdout": {"inputs": ["2\n"], "outputs": ["4"]}}),
        (PRINTS, {"stdin_stdout": [{"stdin": "2\n", "stdout": "4"}]}),
    ],
)
def test_tests_of_programs_as_json_text(response: str, metadata: dict[str, Any]) -> None:
    cells: dict[str, Any] = {key: json.dumps(value) for key, value in metadata.items()} | {"entry_point": ""}
    assert judged("code", response, cells).outcome == "satisfied"
    assert judged("code", response.replace("2 *", "3 *"), cells).outcome == "violated"


@pytest.mark.parametrize(
    ("judge", "response", "metadata", "reason"),
    [
        ("choice", "A", {"answer": "one", "choices": "['one', 'two']"}, "not JSON text"),
        (
            "instruction_following",
            "hello",
            {"instruction_id_list": "['a:b']", "kwargs": "[{}]"},
            "not JSON text",
        ),
        ("instruction_following", "hello", {"instruction_id_list": '["no:such"]', "kwargs": "[{}]"}, "no:such"),
        ("instruction_following", "hello", {"instruction_id_list": "[]", "kwargs": "[]"}, "empty"),
        ("exact_match", "x", {"answer": "[]"}, "empty list"),
        ("length", "x", {"min_length": "many"}, "whole numbers"),
        ("length", "x", {"min_length": "1.5"}, "whole numbers"),
        ("length", "x", {"min_length": "-1"}, "from 0 on"),
        ("length", "x", {"min_length": "", "max_length": " "}, "no limit"),
        ("json_schema", "{}", {"json_schema": ""}, "missing metadata"),
        ("regex", "x", {"pattern": "[]"}, "list of texts"),
        ("code", PROGRAM, {"unit_tests": "[]"}, "are empty"),
        ("code", PROGRAM, {"unit_tests": 3}, "must be text"),
        ("code", PROGRAM, {"stdin_stdout": "two in, four out"}, "not JSON text"),
        ("code", PROGRAM, {"stdin_stdout": "[" * 100_000}, "not JSON text"),
    ],
)
def test_cells_that_cannot_be_read_are_unknown(
    judge: str, response: str, metadata: dict[str, Any], reason: str
) -> None:
    verdict = judged(judge, response, metadata)
    assert verdict.outcome == "unknown"
    assert reason in verdict.reason


def test_text_that_only_looks_like_a_list_stays_text() -> None:
    assert judged("exact_match", "[1, 2]", {"answer": "[1, 2]"}).outcome == "satisfied"
    assert judged("exact_match", "1", {"answer": "[1, 2]"}).outcome == "violated"
    assert judged("regex", "5", {"pattern": "[0-9]"}).outcome == "satisfied"
    assert judged("regex", "5", {"pattern": "[0, 5]"}).outcome == "satisfied"
    assert judged("exact_match", "{x}", {"answer": "{x}"}).outcome == "satisfied"


def test_an_empty_cell_and_null_leave_it_to_the_option() -> None:
    for nothing in ("", " ", None):
        assert judged("length", "one two", {"min_length": nothing}, minimum=3).outcome == "violated"
        assert judged("regex", "a", {"pattern": nothing}, pattern="b").outcome == "violated"
        assert judged("json_schema", "{}", {"json_schema": nothing}, schema={"type": "array"}).outcome == "violated"
        assert judged("choice", "B", {"answer": "B", "choices": nothing}).outcome == "satisfied"


def test_values_are_read_as_they_are_unless_they_are_such_text() -> None:
    assert structure('{"a": [1]}') == {"a": [1]}
    assert structure("3") == "3"
    assert structure("[1") == "[1"
    assert texts('["a", 1]') == ["a", 1]
    assert texts('{"a": "b"}') == '{"a": "b"}'
    assert [whole_number(value) for value in ("3", "+3.0", " 3. ", 3.0, "٣", "3.5", True)] == [
        3,
        3,
        3,
        3,
        "٣",
        "3.5",
        True,
    ]
    assert value_of({"a": 0}, "a", 1) == 0
    assert value_of({}, "a", 1) == 1


def test_criteria_and_references_for_models_are_read_from_json_text_too() -> None:
    row = Row("q", "r", {"rubric": '["It is short.", "It is kind."]', "answer": '["Paris", "Lyon"]'})
    assert len(RubricJudge(LLMSettings(model="m")).questions(row)) == 2
    (question,) = FactualityJudge(LLMSettings(model="m")).questions(row)
    assert "Paris\nor: Lyon" in question.messages[0]["content"]
