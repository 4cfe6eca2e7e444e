"""RLOO against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from batches import NAN, alone, make_batch, on_ranks, per_sample

from cgpo.optimizers.base import StratumBatch
from cgpo.optimizers.baselines.rloo import Rloo, RlooSettings


def coefficients(batch: StratumBatch, **settings: Any) -> list[float]:
    optimizer = Rloo(RlooSettings(**{"kl_coefficient": 0.0, **settings}))
    found: list[float] = per_sample(alone(optimizer, batch), batch).tolist()
    return found


def test_golden_numbers() -> None:
    # s = 1, 5, 6 − 1 (violated); R = s − 0.1 · log_ratio = 1, 4.7, 5.2; means of the others 4.95, 3.1, 2.85.
    batch = make_batch([True, True, False], log_ratio=[0, 3, -2], reward=[1, 5, 6])
    expected = [(1 - 4.95) / 3, (4.7 - 3.1) / 3, (5.2 - 2.85) / 3]
    assert coefficients(batch, kl_coefficient=0.1) == pytest.approx(expected)
    found = alone(Rloo(RlooSettings(kl_coefficient=0.1)), batch)
    assert found.metrics == {"scalar_reward": pytest.approx(11 / 3), "zero_spread_rate": 0.0}


def test_unknown_takes_no_part() -> None:
    # Without them prompt 0 has rewards 4, 2 and prompt 1 a response alone: n = 3.
    batch = make_batch(
        [True, True, True, True, False],
        reward=[4, 2, 9, 7, NAN],
        known=[True, True, False, True, True],
        prompt=[0, 0, 0, 1, 1],
    )
    assert coefficients(batch) == pytest.approx([2 / 3, -2 / 3, 0, 0, 0])


@pytest.mark.parametrize(
    ("unknown", "expected"),
    [
        (0, [0, 1, -1 / 2, -1 / 2]),  # of 1, 0, 0: 1 − 0, and 0 − ½ twice
        (1, [1, 0, -1 / 2, -1 / 2]),
        (2, [1 / 2, 1 / 2, 0, -1]),  # of 1, 1, 0
        (3, [1 / 2, 1 / 2, -1, 0]),
    ],
)
def test_no_baseline_knows_of_a_masked_response(unknown: int, expected: list[float]) -> None:
    rewards = [1.0, 1.0, 0.0, 0.0]
    known = [i != unknown for i in range(4)]
    for hidden in (NAN, 100.0):
        reward = [r if k else hidden for r, k in zip(rewards, known, strict=True)]
        batch = make_batch([True] * 4, reward=reward, known=known)
        assert coefficients(batch) == pytest.approx([a / 3 for a in expected])


def test_equal_rewards_give_exactly_nothing() -> None:
    assert coefficients(make_batch([True] * 3, reward=[0.1] * 3)) == [0, 0, 0]


def test_averages_run_over_all_ranks() -> None:
    parts = [
        make_batch([True, True], reward=[4, 2], length=[2, 3]),
        make_batch([True, True], reward=[0, 1]),
        make_batch([]),
    ]
    found = on_ranks([Rloo(RlooSettings(average="tokens")) for _ in parts], parts)  # 15 tokens
    assert per_sample(found[0], parts[0]).tolist() == pytest.approx([2 / 15, -2 / 15])
    assert per_sample(found[1], parts[1]).tolist() == pytest.approx([-1 / 15, 1 / 15])
