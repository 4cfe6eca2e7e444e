"""The length judge, on counts made by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges import Row
from judges.errors import JudgesError
from judges.registry import create
from judges.rules.length import COUNTERS, LengthJudge


@pytest.mark.parametrize(
    ("unit", "text", "count"),
    [
        ("words", "", 0),
        ("words", "one two  three\nfour", 4),
        ("words", "don't well-known 3.5 1,000 e.g.", 5),
        ("words", "end.Next", 1),
        ("words", "— ... !", 0),
        ("words", "**bold** _it_", 2),
        ("words", "我喜欢茶", 4),
        ("words", "GPT模型", 3),
        ("words", "naïve cafe\u0301", 2),
        ("words", "a - b", 2),
        ("characters", " abc \n", 3),
        ("characters", "a b", 3),
        ("characters", "👩‍👩‍👧‍👦👍🏽", 2),
        ("characters", "e\u0301", 1),
        ("characters", "a\r\nb", 3),
        ("characters", "🇩🇪🇫🇷🇬", 3),
        ("characters", "🇩\u200d🇪🇫🇷", 3),
        pytest.param("characters", "🇩" * 200_001, 100_001, id="flags-in-linear-time"),
        ("sentences", "One. Two! Three?", 3),
        ("sentences", "Dr. Who is here", 1),
        ("lines", "a\n\n b\n \nc", 3),
        ("paragraphs", "a\nb\n\nc\n\n\n \nd", 3),
        ("paragraphs", "\n\n", 0),
    ],
)
def test_counts(unit: str, text: str, count: int) -> None:
    assert COUNTERS[unit](text) == count


@pytest.mark.parametrize(
    ("minimum", "maximum", "outcome", "score"),
    [
        (3, None, "satisfied", 0),
        (4, None, "violated", -1),
        (None, 3, "satisfied", 0),
        (None, 1, "violated", -2),
        (1, 4, "satisfied", 1),
        (0, 100, "satisfied", 3),
    ],
)
def test_limits_and_margin(minimum: int | None, maximum: int | None, outcome: str, score: float) -> None:
    verdict = LengthJudge(minimum=minimum, maximum=maximum).verdict(Row("q", "one two three"))
    assert (verdict.outcome, verdict.score) == (outcome, score)


def test_metadata_win_over_options() -> None:
    judge = LengthJudge(maximum=1)
    assert judge.verdict(Row("q", "one two", {"max_length": 2})).outcome == "satisfied"


@pytest.mark.parametrize(
    "metadata",
    [{}, {"min_length": -1}, {"max_length": "three"}, {"max_length": True}, {"min_length": 3, "max_length": 2}],
)
def test_unusable_limits_are_unknown(metadata: dict) -> None:
    assert LengthJudge().verdict(Row("q", "one", metadata)).outcome == "unknown"


@pytest.mark.parametrize("options", [{"unit": "tokens"}, {"minimum": -1}, {"minimum": 3, "maximum": 2}, {"max": 3}])
def test_wrong_options_are_refused(options: dict) -> None:
    with pytest.raises((JudgesError, ValueError)):
        create("length", options)


@given(st.lists(st.text(st.characters(categories=["Ll", "Lu"], max_codepoint=0x24F), min_size=1), max_size=30))
def test_plain_words_are_counted_one_each(words: list[str]) -> None:
    assert COUNTERS["words"](" ".join(words)) == len(words)


def test_whole_limits_may_be_written_with_a_point() -> None:
    verdict = create("length").verdict(Row("q", "Yes", {"min_length": 2.0, "max_length": 3}))
    assert (verdict.outcome, verdict.reason) == ("violated", "1 word, at least 2 and at most 3 allowed")
    for limit in (2.5, float("inf"), float("nan")):
        assert create("length").verdict(Row("q", "Yes", {"max_length": limit})).outcome == "unknown"
