"""CODPO against numbers worked out by hand, and against autograd on the loss as it is written (eqs. 13–15)."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import pytest
import torch
from batches import NAN, alone, on_ranks, per_sample
from batches import make_batch as make_any_batch
from torch.nn.functional import logsigmoid

from cgpo.compose import compose
from cgpo.errors import ConfigError
from cgpo.optimizers.base import StratumBatch, Surrogate
from cgpo.optimizers.codpo import Codpo, CodpoSettings, pairs


def make_batch(satisfied: list[bool], reward: list[float], **more: list[float]) -> StratumBatch:
    return make_any_batch(satisfied, reward=reward, **more)  # type: ignore[arg-type]


def surrogate(batch: StratumBatch, **settings: float) -> Surrogate:
    return alone(Codpo(CodpoSettings(**settings)), batch)


@pytest.mark.parametrize(
    ("satisfied", "reward", "expected"),
    [
        ([True, True, False, False], [1.0, 3.0, 5.0, 2.0], [(1, 3)]),  # best feasible, worst infeasible
        ([True, False], [-4.0, 9.0], [(0, 1)]),  # a violation is rejected, however high its reward
        ([False, False], [1.0, 2.0], []),  # nothing feasible
        ([True, True, True], [2.0, 1.0, 3.0], [(2, 1)]),  # nothing infeasible: the worst of the others
        ([True, True, True], [2.0, 2.0, 2.0], [(0, 1)]),  # ties: the first, never itself
        ([True], [2.0], []),  # nobody to compare with
        ([True, False, False], [1.0, NAN, 4.0], [(0, 2)]),  # a violation without a reward is not chosen
        ([True, True, False], [1.0, 2.0, NAN], []),  # the only violation has no reward: no pair
    ],
)
def test_which_pair(satisfied: list[bool], reward: list[float], expected: list[tuple[int, int]]) -> None:
    assert pairs(make_batch(satisfied, reward)) == expected


def test_unknown_samples_are_neither_chosen_nor_rejected() -> None:
    batch = make_batch([True, True, False, False], [1.0, 9.0, -9.0, 0.0], known=[True, False, False, True])
    assert pairs(batch) == [(0, 3)]


def test_a_pair_of_identical_texts_is_skipped() -> None:
    assert pairs(make_batch([True, True], [1.0, 1.0], text=[7, 7])) == []
    assert pairs(make_batch([True, True], [1.0, 1.0], text=[7, 8])) == [(0, 1)]


def test_golden_numbers() -> None:
    # β 0.5, λ 2; log-ratios 3 and −1 → m = 2, sigmoid(−2) = 0.1192029; n = 2 prompts, the other has nothing feasible.
    batch = make_batch([True, False, False], [1.0, 0.0, 0.0], log_ratio=[3, -1, 0], prompt=[0, 0, 1], length=[4, 9, 2])
    found = surrogate(batch, beta=0.5, likelihood_weight=2.0)
    push = 0.5 * 0.1192029 / 2
    each = per_sample(found, batch).float()
    torch.testing.assert_close(each, torch.tensor([push + 2 / 4 / 2, -push, 0.0]), atol=1e-6, rtol=0)
    assert found.metrics == {
        "pair_rate": 0.5,
        "feasible_prompt_rate": 0.5,
        "preference_margin": pytest.approx(2.0),
        "preference_accuracy": 1.0,
    }


def test_one_prompt_alone() -> None:
    # m = 0.2 · (1 − 3) = −0.4: the rejected one is preferred. n = 1.
    found = surrogate(make_batch([True, False], [1.0, 0.0], log_ratio=[1, 3], length=[4, 2]), beta=0.2)
    push = 0.2 / (1 + exp(-0.4))
    assert found.coefficient.tolist()[0] == pytest.approx([push + 1 / 4] * 4)
    assert found.coefficient.tolist()[1] == pytest.approx([-push, -push, 0, 0])
    assert found.metrics == {
        "pair_rate": 1.0,
        "feasible_prompt_rate": 1.0,
        "preference_margin": pytest.approx(-0.4),
        "preference_accuracy": 0.0,
    }


def test_margin_and_accuracy_are_means_over_pairs() -> None:
    # Margins 0.5 · (3 + 1) = 2 and 0.5 · (1 − 2) = −0.5; the third prompt gives no pair.
    batch = make_batch(
        [True, False, True, False, False], [1.0, 0.0, 1.0, 0.0, 0.0], log_ratio=[3, -1, 1, 2, 0], prompt=[0, 0, 1, 1, 2]
    )
    metrics = surrogate(batch, beta=0.5).metrics
    assert metrics["preference_margin"] == pytest.approx(0.75)
    assert metrics["preference_accuracy"] == 0.5
    assert metrics["pair_rate"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("log_ratio", "accuracy"), [([0, 0], 0.0), ([0.5, 0], 1.0)])
def test_a_pair_is_right_where_its_margin_is_positive(log_ratio: list[float], accuracy: float) -> None:
    found = surrogate(make_batch([True, False], [1.0, 0.0], log_ratio=log_ratio))
    assert found.metrics["preference_accuracy"] == accuracy


def test_where_nothing_is_known_nothing_is_learnt_or_said() -> None:
    found = surrogate(make_batch([True, False], [1.0, 0.0], known=[False, False]))
    assert not found.coefficient.any()
    assert (found.loss, found.metrics) == (0.0, {})


def test_prompts_without_a_pair_are_said() -> None:
    found = surrogate(make_batch([True, False], [1.0, 0.0], prompt=[0, 1]))
    assert not found.coefficient.any()
    assert found.metrics == {"pair_rate": 0.0, "feasible_prompt_rate": 0.5}


def test_the_coefficients_are_the_gradient_of_the_loss_as_written() -> None:
    torch.manual_seed(0)
    policy = torch.randn(6, dtype=torch.float64, requires_grad=True)
    reference = torch.randn(6, dtype=torch.float64)
    beta, weight = 0.3, 0.7
    batch = make_batch(
        [True, False, True, True, True, False],
        [1.0, 2.0, 0.5, 3.0, 1.0, 4.0],
        prompt=[0, 0, 0, 1, 1, 1],
        length=[3, 4, 5, 6, 7, 8],
    )
    spread = batch.mask / batch.length[:, None]
    batch = replace(batch, logprobs=policy.detach()[:, None] * spread, reference_logprobs=reference[:, None] * spread)
    ratio = policy - reference
    loss = (
        -sum(
            logsigmoid(beta * ratio[a] - beta * ratio[b]) + weight / length * policy[a]
            for a, b, length in ((0, 1, 3), (3, 5, 6))
        )
        / 2
    )
    loss.backward()
    found = surrogate(batch, beta=beta, likelihood_weight=weight)
    assert found.loss == pytest.approx(loss.item())
    torch.testing.assert_close(per_sample(found, batch), -policy.grad, atol=1e-8, rtol=0)


def test_n_runs_over_all_ranks_and_an_empty_rank_is_fine() -> None:
    mine, other = make_batch([True, False], [1.0, 0.0]), make_batch([False] * 3, [1.0] * 3, prompt=[0, 1, 2])
    ranks = [mine, other, make_batch([], [])]  # 4 prompts, one pair
    found = on_ranks([Codpo(CodpoSettings(beta=1.0, likelihood_weight=0.0)) for _ in ranks], ranks)
    assert per_sample(found[0], mine).tolist() == pytest.approx([0.5 / 4, -0.5 / 4])
    assert not found[1].coefficient.any()
    empty = surrogate(make_batch([], []))
    assert empty.coefficient.shape == (0, 0)
    assert empty.metrics == {}


def test_a_pair_far_apart_is_left_alone() -> None:
    found = surrogate(make_batch([True, False], [1.0, 0.0], log_ratio=[50, -50]), beta=1.0, likelihood_weight=0.0)
    assert found.coefficient.abs().max() <= exp(-100) * 1.001


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["strata.math.optimizer.kl_max=5"], "kl_max"),
        (["strata.math.optimizer.beta=0"], "beta"),
        (["strata.math.generations_per_prompt=1"], "needs at least 2"),
    ],
)
def test_settings_that_cannot_be(overrides: list[str], message: str) -> None:
    codpo = ["experiment=quickstart", "optimizer@strata.math.optimizer=codpo"]
    with pytest.raises(ConfigError, match=message):
        compose([*codpo, *overrides])
