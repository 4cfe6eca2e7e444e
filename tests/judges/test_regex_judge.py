"""The regular-expression judge."""

from __future__ import annotations

import pytest

from judges import Row, Verdict
from judges.errors import JudgesError
from judges.registry import create
from judges.rules.regex import RegexJudge


def judged(response: str, pattern: object, **options: object) -> Verdict:
    return RegexJudge(**options).verdict(Row("q", response, {"pattern": pattern}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("response", "pattern", "options", "outcome"),
    [
        ("abc", "b", {}, "satisfied"),
        ("abc", "d", {}, "violated"),
        ("abc", "b", {"mode": "fullmatch"}, "violated"),
        ("abc", "a.c", {"mode": "fullmatch"}, "satisfied"),
        ("abc", "b", {"forbidden": True}, "violated"),
        ("abc", "d", {"forbidden": True}, "satisfied"),
        ("ABC", "b", {}, "violated"),
        ("ABC", "b", {"ignore_case": True}, "satisfied"),
        ("a\nb", "^b", {}, "violated"),
        ("a\nb", "^b", {"multiline": True}, "satisfied"),
        ("a\nb", "a.b", {}, "violated"),
        ("a\nb", "a.b", {"dot_all": True}, "satisfied"),
        ("abc", ["a", "c"], {}, "satisfied"),
        ("abc", ["a", "d"], {}, "violated"),
        ("abc", ["d", "c"], {"forbidden": True}, "violated"),
        ("Ä", r"\p{Lu}", {}, "satisfied"),
        ("", "^$", {}, "satisfied"),
    ],
)
def test_modes(response: str, pattern: object, options: dict, outcome: str) -> None:
    assert judged(response, pattern, **options).outcome == outcome


def test_the_reason_says_what_matched_and_where() -> None:
    reason = judged("one two", r"t\w+", forbidden=True).reason
    assert "'two' at character 4" in reason


@pytest.mark.parametrize("pattern", ["(", [], 3, None, ["a", 3], {"a": 1}])
def test_an_unusable_pattern_is_unknown(pattern: object) -> None:
    assert judged("abc", pattern).outcome == "unknown"


def test_a_pattern_of_the_option_gives_way_to_the_rows() -> None:
    judge = RegexJudge(pattern="a")
    assert judge.verdict(Row("q", "a")).outcome == "satisfied"
    assert judge.verdict(Row("q", "a", {"pattern": "b"})).outcome == "violated"


def test_a_catastrophic_pattern_is_stopped() -> None:
    verdict = judged("a" * 200 + "!", "(a|aa)+$", match_seconds=0.05)
    assert verdict.outcome == "unknown"
    assert "longer than" in verdict.reason


@pytest.mark.parametrize("options", [{"pattern": "("}, {"mode": "match"}, {"match_seconds": 0.0}, {"flags": 2}])
def test_wrong_options_are_refused(options: dict) -> None:
    with pytest.raises((JudgesError, ValueError)):
        create("regex", options)
