"""Scores are margins: of every rule judge, negative exactly when the response is violated."""

from __future__ import annotations

import pytest

from judges import Outcome, registry

RULES = [info.name for info in registry.describe() if info.kind == "rule"]


@pytest.mark.parametrize("name", RULES)
def test_a_threshold_of_zero_changes_no_verdict_of_the_examples(name: str) -> None:
    judge = registry.create(name)
    assert judge.examples
    judge.prepare()
    for row, _ in judge.examples:
        verdict = judge.verdict(row)
        if verdict.score is not None:
            assert verdict.outcome is (Outcome.SATISFIED if verdict.score >= 0 else Outcome.VIOLATED), row


def test_there_are_judges_with_scores() -> None:
    scored = {
        name
        for name in RULES
        if name != "code" and any(registry.create(name).verdict(row).score is not None for row, _ in _examples(name))
    }
    assert {"refusal", "repetition", "length", "instruction_following", "language"} <= scored


def _examples(name: str):
    return registry.load(name).examples
