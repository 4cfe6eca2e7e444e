"""GRPO against numbers worked out by hand, and against autograd on the loss as the paper writes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from batches import alone, make_batch, on_ranks, per_sample

from cgpo.compose import compose
from cgpo.errors import ConfigError
from cgpo.optimizers.base import StratumBatch, Surrogate
from cgpo.optimizers.baselines.grpo import Grpo, GrpoSettings
from cgpo.optimizers.moments import SPREAD_FLOOR


def surrogate(batch: StratumBatch, **settings: Any) -> Surrogate:
    return alone(Grpo(GrpoSettings(**{"kl_coefficient": 0.0, **settings})), batch)


def coefficients(batch: StratumBatch, **settings: Any) -> list[float]:
    found: list[float] = per_sample(surrogate(batch, **settings), batch).tolist()
    return found


def test_golden_numbers() -> None:
    # s = 1, 2, 3 − 1 (violated): mean 5/3, std √(1/3); the other prompt 4, 4: no spread. n = 5, 4 tokens a response.
    batch = make_batch([True, True, False, True, True], reward=[1, 2, 3, 4, 4], prompt=[0, 0, 0, 1, 1], length=[4] * 5)
    found = surrogate(batch)
    spread = (1 / 3) ** 0.5 + SPREAD_FLOOR
    expected = [-2 / 3 / spread / 20, 1 / 3 / spread / 20, 1 / 3 / spread / 20, 0, 0]
    assert per_sample(found, batch).tolist() == pytest.approx(expected)
    assert found.metrics == {
        "scalar_reward": pytest.approx(13 / 5),
        "zero_spread_rate": 0.5,
        "kl_penalty": pytest.approx(0.0),
        "clip_rate": 0.0,
    }


def test_what_a_token_counts() -> None:
    batch = make_batch([True, True], reward=[3, 1], length=[2, 6])
    up = 1 / (2**0.5 + SPREAD_FLOOR)
    assert coefficients(batch) == pytest.approx([up / 4, -up / 12])  # 1/n · 1/|a|
    assert coefficients(batch, average="tokens") == pytest.approx([up / 8, -up / 8])
    assert coefficients(batch, average="sums") == pytest.approx([up / 2, -up / 2])
    assert coefficients(batch, average="sums", normalise_by_std=False) == pytest.approx([0.5, -0.5])  # Dr. GRPO


def test_parts_normalised_over_the_prompt_and_their_sum_over_the_stratum() -> None:
    # Two rewards of unlike scale. Prompt 0: z = −h, h for both parts, s = −2h, 2h; prompt 1: they cancel, s = 0, 0;
    # with h = 1/√2 up to the floor, std of (−2h, 2h, 0, 0) is √(8h²/3).
    rewards = {"small": [0.0, 0.1, 0.0, 0.1], "large": [0.0, 100.0, 100.0, 0.0]}
    batch = make_batch([True] * 4, rewards=rewards, weights={"small": 1.0, "large": 1.0}, prompt=[0, 0, 1, 1])
    found = coefficients(batch, combine="normalise_then_sum", average="sums")
    small, large = (0.05 / (0.1 / 2**0.5 + SPREAD_FLOOR)), (50 / (100 / 2**0.5 + SPREAD_FLOOR))
    s = torch.tensor([-small - large, small + large, large - small, small - large], dtype=torch.float64)
    assert found == pytest.approx((s / (s.std() + SPREAD_FLOOR) / 4).tolist())


def test_unknown_takes_no_part_and_a_response_alone_gives_nothing() -> None:
    plain = make_batch([True, True], reward=[3, 1])
    batch = make_batch([True, True, False], reward=[3, 1, 9], known=[True, True, False])
    assert coefficients(batch, kl_coefficient=0.5) == pytest.approx([*coefficients(plain, kl_coefficient=0.5), 0])
    assert coefficients(make_batch([True, True], reward=[3, 1], known=[True, False])) == [0, 0]


def test_the_gradient_is_that_of_the_loss_as_written() -> None:
    torch.manual_seed(0)
    batch = make_batch([True, True, False, True], reward=[1, 2, 0, 5], prompt=[0, 0, 1, 1], length=[2, 5, 3, 4])
    shape = batch.logprobs.shape
    noise = [torch.randn(shape, dtype=torch.float64) * 0.3 * batch.mask for _ in range(2)]
    moved = replace(batch, logprobs=batch.old_logprobs + noise[0], reference_logprobs=batch.old_logprobs + noise[1])
    logprobs = moved.logprobs.clone().requires_grad_()
    loss = torch.zeros((), dtype=torch.float64)
    for group, scores in (([0, 1], [1.0, 2.0]), ([2, 3], [-1.0, 5.0])):
        s = torch.tensor(scores, dtype=torch.float64)
        advantage = (s - s.mean()) / (s.std() + SPREAD_FLOOR)
        for i, a in zip(group, advantage, strict=True):
            tokens = int(batch.length[i])
            for t in range(tokens):
                ratio = (logprobs[i, t] - batch.old_logprobs[i, t]).exp()
                surrogate_objective = torch.minimum(ratio * a, ratio.clamp(0.9, 1.1) * a)
                d = moved.reference_logprobs[i, t] - logprobs[i, t]
                loss = loss - (surrogate_objective - 0.3 * (d.exp() - d - 1)) / tokens / 4
    loss.backward()
    found = surrogate(moved, clip_range=0.1, kl_coefficient=0.3)
    assert found.loss == pytest.approx(loss.item())
    assert logprobs.grad is not None
    torch.testing.assert_close(found.coefficient, -logprobs.grad)
    assert 0 < found.metrics["clip_rate"] < 1


def test_ranks_share_averages_and_an_empty_rank_takes_part() -> None:
    whole = make_batch([True] * 4, reward=[1, 2, 3, 9], prompt=[0, 0, 1, 1], length=[2, 3, 4, 5])
    first = make_batch([True] * 2, reward=[1, 2], length=[2, 3])
    second = make_batch([True] * 2, reward=[3, 9], length=[4, 5])
    for settings in ({"average": "tokens"}, {"combine": "normalise_then_sum"}):
        parts = [first, second, make_batch([])]
        found = on_ranks([Grpo(GrpoSettings(**settings)) for _ in parts], parts)  # type: ignore[arg-type]
        each = [v for s, b in zip(found, parts, strict=True) for v in per_sample(s, b).tolist()]
        assert each == pytest.approx(per_sample(alone(Grpo(GrpoSettings(**settings)), whole), whole).tolist())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["strata.math.generations_per_prompt=1"], "needs at least 2"),
        (["strata.math.optimizer={combine: normalise_then_sum, normalise_by_std: false}"], "contradicts"),
        (["strata.math.optimizer.kl_max=5"], "kl_max"),
    ],
)
def test_settings_that_cannot_be(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(["experiment=quickstart", "optimizer@strata.math.optimizer=grpo", *overrides])
