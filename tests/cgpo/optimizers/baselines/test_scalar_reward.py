"""Rewards minus penalties as one number, by hand; who takes part; which names are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from batches import NAN, make_batch

from cgpo.compose import compose
from cgpo.errors import ConfigError
from cgpo.optimizers.baselines.scalar_reward import PenaltySettings, scalar_reward, usable
from cgpo.optimizers.moments import SPREAD_FLOOR

REWARDS = {"helpful": [1.0, 3.0, 5.0], "safe": [100.0, 300.0, 200.0], "ignored": [NAN, NAN, NAN]}
WEIGHTS = {"helpful": 2.0, "safe": 0.01, "ignored": 0.0}
VIOLATED = {"math": [True, False, False], "length": [True, True, False]}


def batch(**more: Any) -> Any:
    given = {"rewards": REWARDS, "weights": WEIGHTS, "violated": VIOLATED, **more}
    return make_batch([False, False, True], **given)


def score(of: Any, **settings: Any) -> list[float]:
    chosen = PenaltySettings(name="any", **settings)
    found: list[float] = scalar_reward(of, chosen.penalties_of(list(of.violated)), chosen).tolist()
    return found


def test_rewards_and_penalties_are_added() -> None:
    # 2·1 + 1 − 1 − 1, 2·3 + 3 − 1, 2·5 + 2
    assert score(batch()) == pytest.approx([1, 8, 12])
    assert score(batch(), penalty=0.0) == pytest.approx([3, 9, 12])
    assert score(batch(), penalty=0.5, penalties={"math": 4.0}) == pytest.approx([-1.5, 8.5, 12])


def test_each_part_is_normalised_before_it_is_added() -> None:
    # z(helpful) = −1, 0, 1 (std 2); z(safe) = −1, 1, 0 (std 100); z(math) = 2, −1, −1 over √3; z(length) = 1, 1, −2.
    def z(values: list[float], spread: float) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64) / (spread + SPREAD_FLOOR)

    third, root = 1 / 3, (1 / 3) ** 0.5
    expected = 2 * z([-2, 0, 2], 2) + 0.01 * z([-100, 100, 0], 100)
    expected -= 0.5 * z([2 * third, -third, -third], root) + 0.5 * z([third, third, -2 * third], root)
    found = score(batch(), penalty=0.5, combine="normalise_then_sum")
    assert found == pytest.approx(expected.tolist())


def test_unknown_samples_and_missing_rewards_take_no_part() -> None:
    rewards = {"helpful": [1.0, 9.0, NAN], "safe": [0.0, 0.0, 0.0], "ignored": [NAN] * 3}
    without = batch(known=[True, False, True], rewards=rewards)
    assert usable(without).tolist() == [True, False, False]
    assert score(without) == pytest.approx([0, 0, 0])
    # What takes no part does not move the mean of what does: of two samples 1 and 3 each lies 1/√2 spreads from 2.
    with_unknown = batch(known=[True, True, False], weights={"helpful": 1.0})
    found = score(with_unknown, penalty=0.0, combine="normalise_then_sum")
    assert found == pytest.approx([-1 / (2**0.5 + SPREAD_FLOOR), 1 / (2**0.5 + SPREAD_FLOOR), 0])


@pytest.mark.parametrize(
    ("optimizer", "setting"),
    [("grpo", "penalties"), ("rloo", "penalties"), ("online_dpo", "penalties")],
)
def test_a_penalty_for_a_judge_the_stratum_does_not_have_is_refused(optimizer: str, setting: str) -> None:
    chosen = ["experiment=quickstart", f"optimizer@strata.math.optimizer={optimizer}"]
    with pytest.raises(ConfigError, match=r"unknown judge 'mth'.*Did you mean 'math'\? Allowed: math"):
        compose([*chosen, f"strata.math.optimizer.{setting}={{mth: 2.0}}"])
    composed = compose(
        [*chosen, f"strata.math.optimizer.{setting}={{truncated: 2.0}}", "strata.math.truncated=violated"]
    )
    assert composed.settings.strata["math"].verdict_names == ("math", "truncated")


def test_a_negative_penalty_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"penalty.*greater than or equal to 0"):
        compose(["experiment=quickstart", "optimizer@strata.math.optimizer=rloo", "strata.math.optimizer.penalty=-1"])
