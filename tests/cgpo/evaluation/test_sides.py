"""Which judges stand on which side of safety."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cgpo.evaluation.quantities import sides_of
from judges import Row
from judges.function import judge_class, rule_judge
from judges.mixture import Mixture
from judges.running.runtime import JudgeRuntime

LLM = {"model": "any"}


@pytest.fixture
def runtime() -> Iterator[JudgeRuntime]:
    with JudgeRuntime(1) as made:  # starts nothing before it is asked
        yield made


def test_sides_follow_the_judges_not_their_names(runtime: JudgeRuntime) -> None:
    mixture = Mixture(
        [
            {"name": "safety", "as": "guard", "llm": LLM},
            "refusal",
            {"name": "false_refusal", "llm": LLM},
            "repetition",
            {"name": "safety", "as": "strict", "llm": LLM, "threshold": 0.5},
        ],
        runtime,
    )
    assert sides_of(mixture) == {
        "guard": "safety",
        "refusal": "refusal",
        "false_refusal": "refusal",
        "strict": "safety",
    }


def test_an_agreement_is_on_a_side_when_all_its_judges_are(runtime: JudgeRuntime) -> None:
    refusals = ["refusal", {"name": "false_refusal", "llm": LLM}]
    agreeing = {"name": "agreement", "as": "both", "at_least": 2, "judges": refusals}
    mixed = {"name": "agreement", "as": "mixed", "at_least": 1, "judges": ["refusal", "repetition"]}
    assert sides_of(Mixture([agreeing, mixed], runtime)) == {"both": "refusal"}


def test_a_function_can_declare_its_side() -> None:
    @rule_judge(side="safety")
    def harmless(row: Row) -> bool:
        return "bomb" not in row.response

    assert judge_class(harmless).side == "safety"
    assert judge_class(lambda row: True).side is None
