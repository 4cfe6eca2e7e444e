"""The report on a head's held-out rows, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from cgpo.rewards.heads import Head
from cgpo.stages.reward_model.measure import head_lines, measure_head
from cgpo.stages.reward_model.rows import RewardRow
from cgpo.types import Prompt


class Told:
    """A reward that knows the score of each response."""

    def __init__(self, scores: dict[str, float | None]) -> None:
        self.scores = scores

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
        return [self.scores[response] for response in responses]


def pair(kind: str, chosen: str, rejected: str, stratum: str = "math") -> RewardRow:
    prompt = ({"role": "user", "content": f"{kind} {chosen} {rejected}"},)
    return RewardRow(prompt, (chosen, rejected), 0.0, kind=kind, stratum=stratum, heldout=True)


def single(response: str, target: float) -> RewardRow:
    return RewardRow(({"role": "user", "content": f"to {response}"},), (response,), target, heldout=True)


def test_pairs_by_kind_and_stratum() -> None:
    rows = [
        pair("judged", "aaaa", "bb"),
        pair("judged", "ccc", "ddd"),
        pair("shuffle", "ee", "fffff"),
        pair("shuffle", "gggg", "hh", "chat"),
    ]
    told = Told({"aaaa": 2, "bb": 1, "ccc": 1, "ddd": 1, "ee": 0, "fffff": 1, "gggg": None, "hh": 0})
    report, _ = measure_head(Head("reward", "pairwise"), told, rows, at_true_rate=False)
    # right, a tie, wrong; the pair without a score is counted and enters no number
    assert (report["n"], report["missing"], report["accuracy"]["estimate"]) == (3, 1, 0.5)
    assert report["by_kind"]["judged"]["estimate"] == 0.75
    assert report["by_kind"]["shuffle"] == pytest.approx({"estimate": 0.0, "low": 0.0, "high": 0.793, "n": 1}, abs=1e-3)
    assert report["by_stratum"]["math"]["n"] == 3
    assert report["by_stratum"]["chat"]["estimate"] is None
    assert any(line.strip().startswith("accuracy, judged: 75 %") for line in head_lines("reward", report))


def test_correlation_with_length_of_what_nobody_corrupted() -> None:
    rows = [pair("judged", "x" * n, "y" * (n - 3)) for n in (5, 6, 7)] + [pair("shuffle", "z" * 8, "w")]
    told = Told({t: float(len(t)) for r in rows for t in r.responses} | {"w": 100.0})
    report, _ = measure_head(Head("reward", "pairwise"), told, rows, at_true_rate=False)
    assert report["length_of_uncorrupted"]["estimate"] == pytest.approx(1.0)
    assert report["length"]["pearson"]["estimate"] < 0


@pytest.mark.parametrize(("at_true_rate", "probability"), [(True, 0.02), (False, 0.1)])
def test_rows_of_an_upsampled_set_are_measured_at_its_own_rate(at_true_rate: bool, probability: float) -> None:
    # a model that says 10 % of every response, as it was trained to; its reward is the logit of 2 %
    head = Head("love", "pointwise", training_rate=0.1, true_rate=0.02)
    rows = [single(f"{i:02}", float(i % 10 == 0)) for i in range(50)]
    told = Told({row.responses[0]: head.reward(math.log(0.1 / 0.9)) for row in rows})
    report, _ = measure_head(head, told, rows, at_true_rate=at_true_rate)
    assert report["probabilities_at_rate"] == probability
    assert report["calibration"]["mean_probability"] == pytest.approx(probability)
    assert report["calibration"]["ece"]["estimate"] == pytest.approx(0.1 - probability, abs=1e-9)


def test_ratings_in_their_own_unit() -> None:
    rows = [single(f"{i}" * (i + 1), float(i)) for i in range(8)]
    told = Told({row.responses[0]: row.target + 0.5 for row in rows})
    report, _ = measure_head(Head("quality", "regression", mean=3.0, std=2.0), told, rows, at_true_rate=False)
    assert report["rmse"]["estimate"] == pytest.approx(0.5)
    assert report["pearson"]["estimate"] == pytest.approx(1.0)
    assert "length" in report["length"]["warning"]
