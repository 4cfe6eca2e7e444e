"""The JSON-schema judge: what is JSON, where it stands, what the schema allows, and that nothing is fetched."""

from __future__ import annotations

import socket

import pytest

from judges import Outcome, Row, Verdict
from judges.registry import create
from judges.rules.json_schema import JsonSchemaJudge

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z]"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def judged(response: str, schema: object = PERSON, **options: object) -> Verdict:
    return JsonSchemaJudge(**options).verdict(Row("q", response, {"json_schema": schema}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "response",
    [
        '{"name": "Ada"}',
        ' {"name": "Ada", "tags": ["x"]}\n',
        '```json\n{"name": "Ada"}\n```',
        'So:\n~~~\n{"name": "Ada"}\n~~~\nDone.',
    ],
)
def test_valid(response: str) -> None:
    assert judged(response).outcome == "satisfied"


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("", "empty"),
        ("name: Ada", "no JSON"),
        ("{'name': 'Ada'}", "no JSON"),
        ('{"name": "Ada",}', "no JSON"),
        ('{"name": "Ada"} and more', "no JSON"),
        ('{"name": "Ada", "name": "Bo"}', "stands twice"),
        ('{"name": NaN}', "NaN"),
        ('{"name": -Infinity}', "Infinity"),
        ('{"name": 1e999}', "too large"),
        ("[" * 100_000, "no JSON"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"tags": []}', "'name' is a required property"),
        ('{"name": 3}', "$.name"),
        ('{"name": "ada"}', "does not match"),
        ('{"name": "Ada", "tags": ["x", 2]}', "$.tags[1]"),
        ('{"name": "Ada", "age": 3}', "age"),
    ],
)
def test_violated_with_the_place(response: str, reason: str) -> None:
    verdict = judged(response)
    assert verdict.outcome == "violated"
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("where", "response", "outcome"),
    [
        ("response", '```\n{"name": "Ada"}\n```', "violated"),
        ("response", '{"name": "Ada"}', "satisfied"),
        ("only_block", '{"name": "Ada"}', "violated"),
        ("only_block", '```\n{"name": "Ada"}\n```\n```\n1\n```', "violated"),
        ("first_block", '```\n{"name": "Ada"}\n```\n```\n1\n```', "satisfied"),
        ("first_block", '```\n1\n```\n```\n{"name": "Ada"}\n```', "violated"),
        ("either", '{"name": "Ada", "tags": ["```\\n1\\n```"]}', "satisfied"),
        ("either", '```\n{"name": "Ada"}\n```\n```\n1\n```', "violated"),
    ],
)
def test_where_the_json_stands(where: str, response: str, outcome: str) -> None:
    assert judged(response, where=where).outcome == outcome


@pytest.mark.parametrize("schema", [{"type": "thing"}, "{", "[]", 3, ["x"], {"pattern": 3}, {"properties": []}, None])
def test_an_unusable_schema_is_unknown(schema: object) -> None:
    assert judged("{}", schema).outcome == "unknown"


def test_the_schema_may_be_text_an_option_or_a_boolean() -> None:
    assert judged("[]", '{"type": "array"}').outcome == "satisfied"
    assert judged("[]", False).outcome == "violated"
    judge = JsonSchemaJudge(schema={"type": "array"})
    assert judge.verdict(Row("q", "[]")).outcome == "satisfied"
    assert judge.verdict(Row("q", "[]", {"json_schema": {"type": "object"}})).outcome == "violated"
    with pytest.raises(ValueError, match="no JSON schema"):
        create("json_schema", {"schema": {"type": "thing"}})


def test_references_are_resolved_inside_and_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    inside = {"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}}
    assert judged("[1, 2]", inside).outcome == "satisfied"
    assert judged('[1, "2"]', inside).outcome == "violated"
    outside = judged("1", {"$ref": "http://example.invalid/schema.json"})
    assert outside.outcome == "unknown"
    assert "not in it" in outside.reason


def test_a_schema_that_never_ends_is_unknown() -> None:
    assert judged("1", {"$ref": "#"}).outcome == "unknown"


@pytest.mark.parametrize(
    ("schema", "response"),
    [
        ({"pattern": "^(a|aa)+$"}, '"' + "a" * 200 + '!"'),
        ({"patternProperties": {"^(a|aa)+$": {}}}, '{"' + "a" * 200 + '!": 1}'),
    ],
)
def test_a_pattern_that_takes_for_ever_is_unknown(schema: dict, response: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judges.rules.json_schema.PATTERN_SECONDS", 0.05)
    verdict = judged(response, schema)
    assert verdict.outcome == "unknown"
    assert "longer than" in verdict.reason


def test_pattern_properties() -> None:
    schema = {"patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": False}
    assert judged('{"n_a": 1}', schema).outcome == "satisfied"
    assert judged('{"n_a": "1"}', schema).outcome == "violated"
    assert judged('{"m_a": 1}', schema).outcome == "violated"


def test_older_drafts_are_followed() -> None:
    draft4 = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 3, "exclusiveMinimum": True}
    assert judged("3", draft4).outcome == "violated"
    assert judged("4", draft4).outcome == "satisfied"


@pytest.mark.timeout(60)  # one look back for every key would take minutes
def test_a_key_that_returns_behind_very_many_others_is_found() -> None:
    keys = ", ".join(f'"k{n}": 0' for n in range(100_000))
    verdict = judged(f'{{{keys}, "k99999": 1}}', {})
    assert verdict.outcome is Outcome.VIOLATED
    assert verdict.reason == "no JSON: the key 'k99999' stands twice in one object"
