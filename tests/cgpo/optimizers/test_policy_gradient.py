"""The loss that CRPG and the policy-gradient baselines share, by hand, token by token."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from batches import make_batch, on_ranks_call
from torch import Tensor

from cgpo.optimizers.base import Ranks, StratumBatch
from cgpo.optimizers.policy_gradient import Average, PolicyGradientSettings, policy_gradient_loss, token_weight


def tensor(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def weights(batch: StratumBatch, among: list[bool], average: Average) -> list[list[float]]:
    found = token_weight(batch, torch.tensor(among, dtype=torch.bool), average, Ranks())
    assert found.dtype is batch.logprobs.dtype
    return found.tolist()  # type: ignore[no-any-return]


def test_what_a_token_counts() -> None:
    # Responses of 1, 4 and 2 tokens; the last does not count, though a padded place of the first lies in its column.
    batch = make_batch([True] * 3, length=[1, 4, 2])
    among = [True, True, False]
    assert weights(batch, among, "sums") == [[1 / 2, 0, 0, 0], [1 / 2] * 4, [0] * 4]
    assert weights(batch, among, "response_means") == [[1 / 2, 0, 0, 0], [1 / 8] * 4, [0] * 4]
    assert weights(batch, among, "tokens") == [[1 / 5, 0, 0, 0], [1 / 5] * 4, [0] * 4]


@pytest.mark.parametrize("average", ["sums", "response_means", "tokens"])
def test_one_token_alone_counts_once_and_nothing_counts_nothing(average: Average) -> None:
    assert weights(make_batch([True], length=[1]), [True], average) == [[1.0]]
    assert weights(make_batch([True, True], length=[0, 2]), [True, False], average) == [[0, 0], [0, 0]]
    assert weights(make_batch([True], length=[3]), [False], average) == [[0, 0, 0]]


def test_counts_run_over_all_ranks() -> None:
    batches = [make_batch([True], length=[2]), make_batch([True, True], length=[3, 1])]
    for average, expected in (("sums", 1 / 3), ("tokens", 1 / 6)):
        found = on_ranks_call(
            [lambda ranks, b=b, a=average: token_weight(b, b.known, a, ranks) for b in batches]  # type: ignore[misc]
        )
        assert [each[0, 0].item() for each in found] == pytest.approx([expected, expected])


TOKENS = replace(
    make_batch([True, True], length=[3, 2]),
    old_logprobs=tensor([[-1, -2, -3], [-4, -5, 0]]),
    logprobs=tensor([[-0.5, -2.5, -3], [-3.5, -5.5, 0]]),
    engine_logprobs=tensor([[-1.5, -2, -2], [-4, -6, 0]]),
)
"""ρ = e^½, e^−½, 1 | e^½, e^−½ and π_old / π_engine = e^½, 1, e^−1 | 1, e; the second has one token less."""
ADVANTAGE = tensor([1.0, -2.0])
UP, DOWN, E = math.exp(0.5), math.exp(-0.5), math.e


def loss_of(
    advantage: Tensor, weight: Tensor | None = None, ranks: Ranks | None = None, **settings: float
) -> tuple[float, dict[str, float]]:
    weight = TOKENS.mask / 2 if weight is None else weight
    value, metrics = policy_gradient_loss(
        TOKENS, advantage, weight, PolicyGradientSettings(name="any", **settings), ranks or Ranks()
    )
    return value.item(), metrics


def test_each_token_has_its_ratio() -> None:
    value, metrics = loss_of(ADVANTAGE)
    assert value == pytest.approx(-((UP + DOWN + 1) - 2 * (UP + DOWN)) / 2)
    assert metrics == {}
    # An advantage for each token; what stands beyond the end and where nothing counts is without effect.
    by_token = tensor([[1.0, 3.0, -1.0], [-2.0, 0.5, 99.0]])
    assert loss_of(by_token)[0] == pytest.approx(-((UP + 3 * DOWN - 1) - 2 * UP + 0.5 * DOWN) / 2)


def test_clipping_never_helps() -> None:
    # ε = 0.2. A = 1: min(e^½, 1.2), min(e^−½, 0.8), 1; A = −2: −2·e^½ (worse than −2·1.2), −2·0.8 (worse than −2·e^−½).
    value, metrics = loss_of(ADVANTAGE, clip_range=0.2)
    assert value == pytest.approx(-((1.2 + DOWN + 1) - 2 * UP - 1.6) / 2)
    assert metrics == {"clip_rate": pytest.approx(2 / 5)}


def test_importance_weights_are_cut_at_the_maximum() -> None:
    # u = e^½, 1, e^−1 | 1, min(e, 2): one of five tokens is cut.
    value, metrics = loss_of(ADVANTAGE, importance_weight_max=2.0)
    assert value == pytest.approx(-((UP * UP + DOWN + 1 / E) - 2 * (UP + 2 * DOWN)) / 2)
    assert metrics == {"importance_truncated_rate": pytest.approx(1 / 5)}
    # At the maximum itself nothing is cut off: e^½ and e are above 1, the two that are exactly 1 are not.
    assert loss_of(ADVANTAGE, importance_weight_max=1.0)[1] == {"importance_truncated_rate": pytest.approx(2 / 5)}


def test_both_at_once() -> None:
    # The importance weight multiplies what clipping has left.
    value, metrics = loss_of(ADVANTAGE, clip_range=0.2, importance_weight_max=2.0)
    assert value == pytest.approx(-((1.2 * UP + DOWN + 1 / E) - 2 * UP - 1.6 * 2) / 2)
    assert metrics.keys() == {"clip_rate", "importance_truncated_rate"}


def test_rates_are_of_tokens_that_teach_something() -> None:
    # The first response does not count, whatever its advantage; of the second's two tokens one is clipped and one cut.
    second = TOKENS.mask * tensor([[0.0], [0.5]])
    value, metrics = loss_of(ADVANTAGE, second, clip_range=0.2, importance_weight_max=2.0)
    assert value == pytest.approx((2 * UP + 1.6 * 2) / 2)
    assert metrics == {"clip_rate": 1 / 2, "importance_truncated_rate": 1 / 2}
    # Where no token has an advantage nothing is clipped of nothing; where an advantage is 1 it is one like others.
    none = {"clip_rate": 0.0, "importance_truncated_rate": 0.0}
    assert loss_of(tensor([0.0, 0.0]), clip_range=0.2, importance_weight_max=2.0) == (0.0, none)
    assert loss_of(tensor([1.0, 1.0]), clip_range=0.2)[1] == {"clip_rate": pytest.approx(2 / 5)}


def test_in_the_first_epoch_nothing_is_clipped() -> None:
    first = replace(TOKENS, logprobs=TOKENS.old_logprobs)
    settings = PolicyGradientSettings(name="any", clip_range=0.2)
    value, metrics = policy_gradient_loss(first, ADVANTAGE, TOKENS.mask / 2, settings, Ranks())
    assert value.item() == pytest.approx(-(3 - 2 * 2) / 2)
    assert metrics == {"clip_rate": 0.0}


def test_rates_run_over_all_ranks() -> None:
    def rates(ranks: Ranks, advantage: Tensor) -> dict[str, float]:
        return loss_of(advantage, ranks=ranks, clip_range=0.2, importance_weight_max=2.0)[1]

    # First rank: 2 of 5 clipped, 1 of 5 cut. Second: only the first response counts: 1 of 3 clipped, none of 3 cut.
    parts = [ADVANTAGE, tensor([1.0, 0.0])]
    for found in on_ranks_call([lambda ranks, a=a: rates(ranks, a) for a in parts]):
        assert found == {"clip_rate": 3 / 8, "importance_truncated_rate": 1 / 8}
