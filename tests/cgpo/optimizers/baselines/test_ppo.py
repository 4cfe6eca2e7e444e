"""PPO: advantages by hand, the whole loss against autograd on it as written, and a value head that learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from batches import NAN, alone, make_batch, on_ranks

from cgpo.compose import compose
from cgpo.errors import ConfigError
from cgpo.optimizers.base import Need, StratumBatch
from cgpo.optimizers.baselines.ppo import Ppo, PpoSettings, generalised_advantages
from cgpo.optimizers.moments import SPREAD_FLOOR


def ppo(**settings: Any) -> Ppo:
    return Ppo(PpoSettings(**settings))


def test_advantages_by_hand() -> None:
    # γ .9, λ .5. Response 0 has three tokens: r = 0, 1, 2, V = .5, 1, −1; response 1 has one: r = 3, V = 1.
    #   δ = 0 + .9·1 − .5 = .4,  1 + .9·(−1) − 1 = −.9,  2 + 1 = 3;   A_2 = 3, A_1 = −.9 + .45·3 = .45,
    #   A_0 = .4 + .45·.45 = .6025;   response 1: 3 − 1 = 2, and nothing beyond its end, whatever stands there.
    mask = torch.tensor([[True] * 3, [True, False, False]])
    rewards = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]], dtype=torch.float64)
    values = torch.tensor([[0.5, 1.0, -1.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    found = generalised_advantages(rewards, values, mask, gamma=0.9, gae_lambda=0.5)
    assert found.tolist() == [pytest.approx([0.6025, 0.45, 3.0]), pytest.approx([2.0, 0.0, 0.0])]


def test_lambda_one_gives_what_followed_minus_the_value() -> None:
    torch.manual_seed(0)
    rewards, values = torch.randn(3, 6, dtype=torch.float64), torch.randn(3, 6, dtype=torch.float64)
    mask = torch.ones(3, 6, dtype=torch.bool)
    found = generalised_advantages(rewards, values, mask, gamma=1.0, gae_lambda=1.0)
    torch.testing.assert_close(found, rewards.flip(1).cumsum(1).flip(1) - values)


def test_the_reward_comes_at_the_last_token_and_kl_is_paid_at_every_token() -> None:
    # β 1, V 0, γ λ 1, no whitening: A = what follows. Log-ratio 1 a token; s = 7, and 7 − 1 for the violation:
    # 4, 5, 6 and 5, over 4 tokens.
    batch = make_batch([True, False], log_ratio=[3, 1], reward=[7, 7], length=[3, 1], values=[0, 0])
    settings = {"kl_coefficient": 1.0, "gae_lambda": 1.0, "whiten_advantages": False, "clip_range": None}
    found = alone(ppo(**settings), batch)
    assert found.coefficient.tolist() == [
        pytest.approx([1.0, 1.25, 1.5]),
        pytest.approx([1.25, 0, 0]),
    ]


def test_the_gradient_is_that_of_the_loss_as_written() -> None:
    # In a later epoch: log-probs and values have moved. The third response is unknown, the last lacks its reward.
    torch.manual_seed(1)
    batch = make_batch(
        [True, False, True, False],
        log_ratio=[2, -1, 3, 0],
        reward=[1.5, 0.5, 9, NAN],
        known=[True, True, False, True],
        length=[3, 5, 4, 2],
        values=[0.3, -0.2, 5, 5],
    )
    moved = replace(
        batch,
        logprobs=batch.old_logprobs + 0.3 * torch.randn(4, 5, dtype=torch.float64) * batch.mask,
        values=(0.4 * torch.randn(4, 5, dtype=torch.float64)) * batch.mask,
    )
    s = PpoSettings(kl_coefficient=0.1, gamma=0.9, gae_lambda=0.8, value_coefficient=0.7, clip_range=0.15)
    logprobs = moved.logprobs.clone().requires_grad_()
    assert moved.values is not None
    values = moved.values.clone().requires_grad_()

    advantages, returns = [], []
    for i, score in ((0, 1.5), (1, -0.5)):
        tokens, old = int(batch.length[i]), [0.3, -0.2][i]
        reward = [-0.1 * float(batch.old_logprobs[i, t] - batch.reference_logprobs[i, t]) for t in range(tokens)]
        reward[-1] += score
        follow = [old] * (tokens - 1) + [0.0]
        delta = [reward[t] + 0.9 * follow[t] - old for t in range(tokens)]
        own = [sum((0.9 * 0.8) ** (u - t) * delta[u] for u in range(t, tokens)) for t in range(tokens)]
        advantages.append(own)
        returns.append([a + old for a in own])
    flat = torch.tensor([a for own in advantages for a in own], dtype=torch.float64)
    mean, spread = flat.mean(), flat.std() + SPREAD_FLOOR
    loss = torch.zeros((), dtype=torch.float64)
    for i in (0, 1):
        for t in range(int(batch.length[i])):
            a = (advantages[i][t] - mean) / spread
            ratio = (logprobs[i, t] - batch.old_logprobs[i, t]).exp()
            loss = loss - torch.minimum(ratio * a, ratio.clamp(0.85, 1.15) * a) / 8
            old = [0.3, -0.2][i]
            clipped = old + (values[i, t] - old).clamp(-0.2, 0.2)
            error = torch.maximum((values[i, t] - returns[i][t]) ** 2, (clipped - returns[i][t]) ** 2)
            loss = loss + 0.7 * error / 2 / 8
    loss.backward()

    found = alone(Ppo(s), moved)
    assert found.loss == pytest.approx(loss.item())
    assert found.value_coefficient is not None
    assert logprobs.grad is not None
    assert values.grad is not None
    torch.testing.assert_close(found.coefficient, -logprobs.grad)
    torch.testing.assert_close(found.value_coefficient, values.grad)
    assert not found.coefficient[2:].any()
    assert not found.value_coefficient[2:].any()


def test_whitening_and_averages_run_over_all_ranks() -> None:
    def part(reward: list[float], length: list[int]) -> StratumBatch:
        return make_batch([True] * len(reward), reward=reward, length=length, values=[0.5] * len(reward))

    whole = part([1, 2, 5], [2, 3, 4])
    parts = [part([1, 2], [2, 3]), part([5], [4]), make_batch([], values=[])]
    for settings in ({}, {"combine": "normalise_then_sum", "average": "response_means"}):
        found = on_ranks([ppo(**settings) for _ in parts], parts)
        expected = alone(ppo(**settings), whole)
        torch.testing.assert_close(found[0].coefficient, expected.coefficient[:2, :3])
        torch.testing.assert_close(found[1].coefficient, expected.coefficient[2:])
        assert found[1].value_coefficient is not None
        assert expected.value_coefficient is not None
        torch.testing.assert_close(found[1].value_coefficient, expected.value_coefficient[2:])
        assert found[2].metrics == found[0].metrics == pytest.approx(expected.metrics)


def test_nothing_known_gives_nothing() -> None:
    found = alone(ppo(), make_batch([False, False], [NAN, NAN], known=[False, False], values=[1, 2]))
    assert not found.coefficient.any()
    assert found.value_coefficient is not None
    assert not found.value_coefficient.any()
    assert found.metrics == {}


def test_it_can_be_chosen_by_one_word_and_needs_values() -> None:
    composed = compose(["experiment=quickstart", "optimizer@strata.math.optimizer=ppo"])
    assert composed.settings.strata["math"].optimizer.name == "ppo"
    assert ppo().needs == {Need.VALUES}
    with pytest.raises(ConfigError, match="gamma"):
        compose(["experiment=quickstart", "optimizer@strata.math.optimizer=ppo", "strata.math.optimizer.gamma=0"])
