"""Whether length explains the reward's growth: products by hand, a run that games length, one that does not."""

from __future__ import annotations

import json
import random

import pytest

from cgpo.config import WatchSettings
from cgpo.overoptimisation.length import LengthTrend, Products

WARN_Z = WatchSettings().warn_z

Groups = list[list[tuple[float, float]]]


def test_products_are_within_prompts() -> None:
    # Deviations of the first prompt: lengths −1, 1; rewards −0.1, 0.1. Of the second: −2, 0, 2; 0.3, 0, −0.3.
    found = Products.of([[(10, 0.2), (12, 0.4)], [(100, 0.9), (102, 0.6), (104, 0.3)], [(7, 0.5)]])
    assert found.ll == pytest.approx(2 + 8)
    assert found.rr == pytest.approx(0.02 + 0.18)
    assert found.lr == pytest.approx(0.2 - 1.2)
    assert found.free == 3
    assert found.correlation == pytest.approx(-1.0 / (10 * 0.2) ** 0.5)


def test_equal_lengths_have_no_correlation() -> None:
    assert Products.of([[(5, 0.1), (5, 0.9)]]).correlation is None
    assert LengthTrend().add([[(5, 0.1), (5, 0.9)]]) is None


def steps(count: int, growth: float, slope: float, other: float = 0.0, seed: int = 0) -> list[Groups]:
    """Steps of 16 prompts × 4: length grows by `growth` a step; a token is worth `slope`, a step `other`."""
    rng = random.Random(seed)
    found = []
    for step in range(count):
        groups: Groups = []
        for _ in range(16):
            base = 40 + growth * step + rng.gauss(0, 5)
            lengths = [base + rng.gauss(0, 8) for _ in range(4)]
            groups.append([(n, 0.4 + slope * (n - 40) + other * step + rng.gauss(0, 0.03)) for n in lengths])
        found.append(groups)
    return found


def follow(found: list[Groups]) -> LengthTrend:
    trend = LengthTrend()
    for groups in found:
        trend.add(groups)
    return trend


def test_a_reward_that_pays_for_length_alone() -> None:
    found = follow(steps(30, growth=1.5, slope=0.005)).explained()
    assert found is not None
    assert found.worth_saying(WARN_Z)
    assert found.share == pytest.approx(1.0, abs=0.1)
    assert found.lengths[1] - found.lengths[0] == pytest.approx(30, abs=5)
    assert found.correlation > 0.5


@pytest.mark.parametrize(
    ("growth", "slope", "other"),
    [
        (1.5, 0.0, 0.008),  # both grow, but longer responses are not paid better
        (0.0, 0.005, 0.008),  # length pays, but does not grow
        (1.5, 0.001, 0.008),  # length explains a small part
        (0.0, 0.0, 0.0),
    ],
)
def test_length_does_not_explain_it(growth: float, slope: float, other: float) -> None:
    found = follow(steps(30, growth, slope, other)).explained()
    assert found is not None
    assert not found.worth_saying(WARN_Z)


def test_one_response_a_prompt_says_nothing() -> None:
    assert follow([[group[:1] for group in step] for step in steps(30, 1.5, 0.005)]).explained() is None


def test_it_goes_on_as_it_was() -> None:
    all_steps = steps(25, 1.5, 0.005)
    again = LengthTrend()
    again.load_state_dict(json.loads(json.dumps(follow(all_steps[:9]).state_dict())))
    for groups in all_steps[9:]:
        again.add(groups)
    assert again.explained() == follow(all_steps).explained()
