"""The JSON-schema judge: what is JSON, where it stands, what the schema allows, and that nothing is fetched."""

from __future__ import annotations

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ({"patternProperties": {"^(a|aa)+$": {}}, "additionalProperties": False}, '{"' + "a" * 200 + '!": 1}'),
    ],
)
def test_a_pattern_that_takes_for_ever_is_unknown(schema: dict, response: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judges.rules.schema_keywords.PATTERN_SECONDS", 0.05)
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


@pytest.mark.parametrize(
    ("response", "step", "outcome"),
    [
        ("4.35", 0.05, "satisfied"),
        ("-0.3", 0.1, "satisfied"),
        ("2.675", 0.005, "satisfied"),
        ("2.675", 0.01, "violated"),
        ("0.30000000000000004", 0.1, "violated"),
        ("0.1000000000000000055511151231257827", 0.1, "violated"),
        ("-0.0", 0.3, "satisfied"),
        ("1e-7", 1e-8, "satisfied"),
        ("1e-8", 1e-7, "violated"),
        ("1e308", 0.01, "satisfied"),
        ("1.5e300", 7, "violated"),
        ("123456789012345678.01", 0.01, "satisfied"),
        ("123456789012345678.015", 0.01, "violated"),
        ("9007199254740993", 2, "violated"),
        ("9007199254740993", 3.0, "satisfied"),
        ("12345678901234567890123456789.25", 0.5, "violated"),
        ("1e-5000", 0.01, "violated"),
        ("7", 3.5, "satisfied"),
        ("100.0", 10, "satisfied"),
        ("105.0", 10, "violated"),
        ("true", 2, "satisfied"),
        ('"7"', 2, "satisfied"),
    ],
)
def test_multiples_are_those_of_the_decimal_numbers(response: str, step: float, outcome: str) -> None:
    assert judged(response, {"multipleOf": step}).outcome == outcome
    assert judged(response, f'{{"multipleOf": {step!r}}}').outcome == outcome
    draft4 = {"$schema": "http://json-schema.org/draft-04/schema#", "multipleOf": step}
    assert judged(response, draft4).outcome == outcome


@given(times=st.integers(-(10**20), 10**20), step=st.integers(1, 10**6), places=st.integers(0, 12), off=st.booleans())
def test_any_decimal_multiple_is_one_and_its_neighbour_is_none(times: int, step: int, places: int, off: bool) -> None:
    def decimal(number: int) -> str:
        digits = str(abs(number)).rjust(places + 1, "0")
        return f"{'-' * (number < 0)}{digits[: len(digits) - places]}.{digits[len(digits) - places :]}0"

    multiple = off is False or step == 1
    verdict = judged(decimal(times * step + off), f'{{"multipleOf": {decimal(step)}}}')
    assert verdict.outcome == ("satisfied" if multiple else "violated")


def test_numbers_with_more_digits_than_a_float_are_not_rounded() -> None:
    assert judged("1.0", {"type": "integer"}).outcome == "satisfied"
    assert judged("1.00000000000000000001", {"type": "integer"}).outcome == "violated"
    assert judged("1", '{"multipleOf": 0.3333333333333333333333}').outcome == "violated"


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("Ωx", r"^\p{Lu}"),
        ("漢字かな", r"^[\p{Script=Han}\p{sc=Hira}]+$"),
        ("a½", r"^[\p{L}\p{No}]+$"),
        ("!", r"^\P{L}$"),
        ("x\u0301", r"^\p{L}\p{M}$"),
        ("11-11", r"^(?<part>\d+)-\k<part>$"),
        ("b", r"^(a)?\1b$"),
        ("a", r"^\1(a)$"),
        ("7px", r"(?<=\d+)px$"),
        ("\ufeff\u00a0", r"^\s+$"),
        ("a\x85", r"^\w.$"),
        ("😀", r"^.$"),
        ("😀", r"^\uD83D\uDE00$"),
        ("😀", r"^\u{1F600}$"),
        ("\n", r"^[^]\b\B?|^[^]$"),
        ("a-b", r"^[\w-]+$"),
        ("a/b-c", r"^a\/b\-c$"),
        ("&&|", r"^[a&&b||c]+$"),
        ("[", r"^[[]$"),
        ("aBc d", r"^(?i:AbC) d$"),
        ("{x", "{x"),
        ("café", r"caf\b"),
        ("\b", r"^[\b]$"),
        ("\0\t", r"^\0\cI$"),
        ("ab", r"\A(?P<first>a)b\Z"),
        ("xx", r"^x{,3}$"),
        ("line\nend", r"(?m:^end$)"),
        ("a\nb", r"(?s:a.b)"),
    ],
)
def test_patterns_of_ecmascript(text: str, pattern: str) -> None:
    verdict = judged(json.dumps(text), {"pattern": pattern})
    assert verdict.outcome == "satisfied", verdict.reason


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("2024\n", r"^\d{4}$"),
        ("x\n", r"\Ax\Z"),
        ("٣", r"\d"),
        ("é", r"\w"),
        ("\x85", r"\s"),
        ("\u200b", r"\s"),
        ("\u2028", "."),
        ("\r", "."),
        ("", "[^]"),
        ("x", "[]"),
        ("ab", r"^(?<c>.)\k<c>$"),
        ("one\ntwo", "^two"),
        ("cafe", r"caf\b"),
        ("ωx", r"^\p{Lu}"),
        ("xx", r"^x{,1}$"),
    ],
)
def test_texts_that_such_patterns_do_not_match(text: str, pattern: str) -> None:
    verdict = judged(json.dumps(text), {"pattern": pattern})
    assert verdict.outcome == "violated", verdict.reason


@pytest.mark.parametrize("pattern", ["(", "[a", "a)", "*a", "\\", "(?<n", "(?#c)", "[z-a]", r"\p{Nope}", r"\8", r"\i"])
@pytest.mark.parametrize("keyword", ["pattern", "patternProperties"])
def test_what_is_no_pattern_is_unknown(pattern: str, keyword: str) -> None:
    verdict = judged("{}", {keyword: pattern if keyword == "pattern" else {pattern: {}}})
    assert verdict.outcome == "unknown"
    assert "schema is wrong" in verdict.reason


LETTER = {"patternProperties": {r"^\p{L}\d?$": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("response", "schema", "outcome"),
    [
        ('{"é1": 1}', {**LETTER, "additionalProperties": False}, "satisfied"),
        ('{"é1": "x"}', {**LETTER, "additionalProperties": False}, "violated"),
        ('{"é٣": 1}', {**LETTER, "additionalProperties": False}, "violated"),
        ('{"é\\n": 1}', {**LETTER, "additionalProperties": False}, "violated"),
        ('{"é1": 1, "10": "x"}', {**LETTER, "additionalProperties": {"type": "string"}}, "satisfied"),
        ('{"é1": 1, "10": 2}', {**LETTER, "additionalProperties": {"type": "string"}}, "violated"),
        ('{"é1": 1}', {"allOf": [LETTER], "unevaluatedProperties": False}, "satisfied"),
        ('{"é1": 1, "10": 2}', {"allOf": [LETTER], "unevaluatedProperties": False}, "violated"),
        (
            '{"é1": 1, "10": 2}',
            {"$defs": {"d": LETTER}, "$ref": "#/$defs/d", "properties": {"10": {}}, "unevaluatedProperties": False},
            "satisfied",
        ),
        ('{"k": 1, "x1": 2}', {"if": {"required": ["k"]}, "then": LETTER, "unevaluatedProperties": False}, "satisfied"),
        ('{"x1": 2}', {"if": {"required": ["k"]}, "then": LETTER, "unevaluatedProperties": False}, "violated"),
        (
            '{"a": 1, "10": "x"}',
            {
                "$schema": "https://json-schema.org/draft/2019-09/schema",
                "anyOf": [{"required": ["b"]}, LETTER],
                "unevaluatedProperties": {"type": "string"},
            },
            "satisfied",
        ),
        ('{"é": 1}', {"propertyNames": {"pattern": r"^\p{Lu}$"}}, "violated"),
    ],
)
def test_patterns_of_keys(response: str, schema: dict, outcome: str) -> None:
    verdict = judged(response, schema)
    assert verdict.outcome == outcome, verdict.reason
