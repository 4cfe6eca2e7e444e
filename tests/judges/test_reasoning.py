"""What judges see of a response that holds reasoning."""

from __future__ import annotations

import pytest

from judges.reasoning import without_reasoning


@pytest.mark.parametrize(
    ("response", "seen"),
    [
        ("plain", "plain"),
        ("<think>1 + 1</think>2", "2"),
        ("1 + 1</think>\n\n2", "2"),
        ("<think>a</think>b<think>c</think>d", "bd"),
        ("a</think>b<think>c</think>d", "bd"),
        ("before <think>never closed", "before"),
        ("<think>never closed", ""),
        ("<think>\n</think>\n", ""),
        ("a < think > b", "a < think > b"),
    ],
)
def test_reasoning_is_left_out(response: str, seen: str) -> None:
    assert without_reasoning(response) == seen


def test_many_tags_take_linear_time() -> None:
    assert without_reasoning("<think>" * 100_000 + "x") == ""
    assert without_reasoning("<think>a</think>" * 100_000) == ""
