"""The Lagrangian against numbers worked out by hand: its gradient, its multipliers, and what a checkpoint keeps."""

from __future__ import annotations

import json
from typing import Any

import pytest
from batches import NAN, alone, make_batch, on_ranks_call, per_sample

from cgpo.compose import compose
from cgpo.errors import ConfigError
from cgpo.optimizers.base import Ranks, StratumBatch
from cgpo.optimizers.baselines.lagrangian import Lagrangian, LagrangianSettings
from cgpo.optimizers.baselines.rloo import Rloo, RlooSettings


def lagrangian(**settings: Any) -> Lagrangian:
    return Lagrangian(LagrangianSettings(**{"kl_coefficient": 0.0, **settings}))


def two_judges() -> StratumBatch:
    """Four responses: math is violated in 3 of 4; style in 1 of the 2 it was asked for."""
    return make_batch(
        [False, False, False, True],
        reward=[4, 3, 2, 1],
        violated={"math": [True, True, True, False], "style": [True, False, False, False]},
        judged={"math": [True] * 4, "style": [True, True, False, False]},
    )


def test_multipliers_rise_with_the_violation_rate_over_known_verdicts() -> None:
    optimizer = lagrangian(multiplier_start=0.5, multiplier_learning_rate=0.2, allowed_violation_rates={"style": 0.6})
    optimizer.update(two_judges(), Ranks())
    assert optimizer.multiplier("math") == pytest.approx(0.5 + 0.2 * 0.75)
    assert optimizer.multiplier("style") == pytest.approx(0.5 + 0.2 * (0.5 - 0.6))


def test_multipliers_stay_within_zero_and_their_limit() -> None:
    up = lagrangian(multiplier_learning_rate=1.0, multiplier_max=1.2)
    up.update(two_judges(), Ranks())
    assert up.multiplier("math") == 1.2
    down = lagrangian(multiplier_start=0.1, multiplier_learning_rate=1.0, allowed_violation_rate=0.9)
    down.update(two_judges(), Ranks())
    assert (down.multiplier("math"), down.multiplier("style")) == (0.0, 0.0)


def test_the_gradient_is_that_of_the_reward_minus_the_prices() -> None:
    # λ = 1.15 and 0.95 after one step: R = 4 − 2.1, 3 − 1.15, 2 − 1.15, 1 = 1.9, 1.85, .85, 1 (sum 5.6).
    optimizer = lagrangian(multiplier_learning_rate=0.2, allowed_violation_rates={"style": 0.75})
    optimizer.update(two_judges(), Ranks())
    found = alone(optimizer, two_judges())
    expected = [(r - (5.6 - r) / 3) / 4 for r in (1.9, 1.85, 0.85, 1.0)]
    assert per_sample(found, two_judges()).tolist() == pytest.approx(expected)
    assert found.metrics["multiplier/math"] == pytest.approx(1.15)
    assert found.metrics["multiplier/style"] == pytest.approx(0.95)


def test_before_its_first_update_it_is_rloo_with_the_default_penalty() -> None:
    ours, theirs = alone(Lagrangian(LagrangianSettings()), two_judges()), alone(Rloo(RlooSettings()), two_judges())
    assert ours.coefficient.tolist() == theirs.coefficient.tolist()


def test_the_loss_leaves_the_multipliers_alone() -> None:
    optimizer = lagrangian()
    for _ in range(3):  # epochs of one step
        alone(optimizer, two_judges())
    assert optimizer.multiplier("math") == 1.0


def test_unknown_verdicts_move_nothing() -> None:
    unknown = make_batch([False, False], [NAN, NAN], known=[False, False])
    optimizer = lagrangian()
    optimizer.update(unknown, Ranks())
    assert optimizer.multiplier("judge") == 1.0
    with_unknown, without = lagrangian(), lagrangian()
    with_unknown.update(make_batch([False, True, False], known=[True, True, False]), Ranks())
    without.update(make_batch([False, True]), Ranks())
    assert with_unknown.multiplier("judge") == without.multiplier("judge") == 1.05


def test_all_ranks_hold_the_same_multipliers() -> None:
    # 3 of 4 violate over both ranks and an empty one, whatever a rank's own rate is.
    parts = [make_batch([False]), make_batch([False, True, False]), make_batch([])]
    optimizers = [lagrangian() for _ in parts]
    on_ranks_call([lambda ranks, o=o, b=b: o.update(b, ranks) for o, b in zip(optimizers, parts, strict=True)])
    assert [o.multiplier("judge") for o in optimizers] == [pytest.approx(1.075)] * 3


def test_a_checkpoint_keeps_the_multipliers() -> None:
    optimizer = lagrangian()
    for _ in range(3):
        optimizer.update(two_judges(), Ranks())
    restored = lagrangian()
    restored.load_state_dict(json.loads(json.dumps(optimizer.state_dict())))
    assert restored.state_dict() == optimizer.state_dict()
    for each in (optimizer, restored):
        each.update(two_judges(), Ranks())
    assert alone(restored, two_judges()).coefficient.tolist() == alone(optimizer, two_judges()).coefficient.tolist()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("strata.math.optimizer.allowed_violation_rates={maths: 0.1}", "Did you mean 'math'"),
        ("strata.math.optimizer.allowed_violation_rate=1.5", "allowed_violation_rate"),
        ("strata.math.optimizer.multiplier_start=11", "above `multiplier_max`, 10"),
        ("strata.math.optimizer.penalty=2", "penalty"),
        ("strata.math.generations_per_prompt=1", "needs at least 2"),
    ],
)
def test_settings_that_cannot_be(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(["experiment=quickstart", "optimizer@strata.math.optimizer=lagrangian", override])
