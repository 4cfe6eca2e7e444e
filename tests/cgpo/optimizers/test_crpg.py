"""CRPG against numbers worked out by hand from eqs. 10–12 of arXiv 2409.20370."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cgpo.optimizers.base import StratumBatch, Surrogate
from cgpo.optimizers.crpg import Crpg, CrpgSettings, kl_factor, regularised_reward

NAN = float("nan")


def make_batch(
    satisfied: Sequence[bool],
    calibrated: Sequence[float],
    log_ratio: Sequence[float],
    known: Sequence[bool] | None = None,
) -> StratumBatch:
    n = len(satisfied)
    return StratumBatch(
        satisfied=torch.tensor(satisfied, dtype=torch.bool),
        known=torch.tensor([True] * n if known is None else known, dtype=torch.bool),
        calibrated_reward=torch.tensor(calibrated, dtype=torch.float32),
        reward=torch.tensor(calibrated, dtype=torch.float32),
        policy_logprob=torch.tensor(log_ratio, dtype=torch.float32) - 20,
        reference_logprob=torch.full((n,), -20.0),
        prompt=torch.zeros(n, dtype=torch.long),
        length=torch.full((n,), 5, dtype=torch.long),
        text=torch.arange(n),
    )


def one_rank(values: list[float]) -> list[float]:
    return values


def surrogate(batch: StratumBatch, kl_max: float = 10.0, kl_factor_max: float | None = None) -> Surrogate:
    optimizer = Crpg(CrpgSettings(kl_max=kl_max, kl_factor_max=kl_factor_max))
    return optimizer.surrogate(batch, one_rank, lambda value: value)


def test_golden_numbers() -> None:
    # KL_max 10, log-ratios 2, 5, -5, 12 → factors 0.8, 0.5, 1.5, 0; R_calib .6, .9, .5, .9; the third violates.
    # R̃ = .48, .45, 0, 0; mean .2325; coefficient (R̃ − mean) / 4.
    found = surrogate(make_batch([True, True, False, True], [0.6, 0.9, 0.5, 0.9], [2, 5, -5, 12]))
    expected = torch.tensor([0.2475, 0.2175, -0.2325, -0.2325]) / 4
    torch.testing.assert_close(found.coefficient, expected, atol=1e-6, rtol=0)
    assert found.metrics["regularised_reward"] == pytest.approx(0.2325)
    assert found.metrics["kl_factor_largest"] == pytest.approx(1.5)
    assert found.metrics["beyond_kl_max"] == pytest.approx(0.25)


def test_the_kl_factor_is_not_clipped_above_one_unless_asked() -> None:
    batch = make_batch([True, False], [0.5, 0.5], [-5, 0])
    assert surrogate(batch).metrics["regularised_reward"] == pytest.approx(0.375)  # 1.5 · 0.5 / 2
    assert surrogate(batch, kl_factor_max=1.0).metrics["regularised_reward"] == pytest.approx(0.25)


def test_all_violated_gives_exactly_zero() -> None:
    found = surrogate(make_batch([False] * 3, [0.9, 0.2, NAN], [1, -3, 40]))
    assert found.coefficient.tolist() == [0.0, 0.0, 0.0]


def test_all_satisfied_with_equal_rewards_gives_exactly_zero() -> None:
    found = surrogate(make_batch([True] * 4, [0.5] * 4, [0] * 4))
    assert found.coefficient.tolist() == [0.0] * 4


def test_all_satisfied_pushes_by_reward_alone() -> None:
    found = surrogate(make_batch([True, True], [0.8, 0.4], [0, 0]))
    torch.testing.assert_close(found.coefficient, torch.tensor([0.1, -0.1]))


def test_a_violation_is_pushed_down_though_its_reward_is_the_highest() -> None:
    found = surrogate(make_batch([False, True], [0.99, 0.1], [0, 0]))
    assert found.coefficient[0] < 0 < found.coefficient[1]


def test_unknown_changes_nothing() -> None:
    with_unknown = make_batch([True, False, False], [0.6, 0.3, NAN], [0, 0, 3], known=[True, True, False])
    without = make_batch([True, False], [0.6, 0.3], [0, 0])
    found, expected = surrogate(with_unknown), surrogate(without)
    torch.testing.assert_close(found.coefficient[:2], expected.coefficient)
    assert found.coefficient[2] == 0
    assert found.metrics == expected.metrics


def test_nothing_known_gives_nothing() -> None:
    found = surrogate(make_batch([False, False], [NAN, NAN], [0, 0], known=[False, False]))
    assert found.coefficient.tolist() == [0.0, 0.0]
    assert found.metrics == {}


def test_an_empty_rank_takes_part() -> None:
    assert surrogate(make_batch([], [], [])).coefficient.shape == (0,)


def test_baseline_is_global_over_ranks() -> None:
    # Two ranks of two samples. All R̃: .8, .2 | 0, .6 → global mean .4, n = 4; a mean per rank would be .5 and .3.
    ranks = [make_batch([True, True], [0.8, 0.2], [0, 0]), make_batch([False, True], [0.9, 0.6], [0, 0])]
    totals = [4.0, 1.6, 0.0]  # known, sum of R̃, feasible beyond KL_max
    found = [
        Crpg(CrpgSettings(kl_max=10.0)).surrogate(batch, lambda _: totals, lambda value: value).coefficient
        for batch in ranks
    ]
    torch.testing.assert_close(torch.cat(found), torch.tensor([0.4, -0.2, -0.4, 0.2]) / 4)


def test_gradient_is_that_of_the_formula() -> None:
    # The loop's loss −Σ c_i log π(a_i) against autograd on the paper's sum written out, for a softmax policy.
    logits = torch.tensor([0.3, -0.2, 0.9], requires_grad=True)
    actions, reward = torch.tensor([0, 2, 2, 1]), torch.tensor([0.6, 0.0, 0.45, 0.0])
    logprob = logits.log_softmax(0)[actions]
    expected = torch.autograd.grad((logprob * (reward - reward.mean())).mean(), logits)[0]
    found = surrogate(make_batch([True, False, True, False], [0.6, 0.7, 0.9, 0.2], [0, 0, 5, 0]))
    ours = torch.autograd.grad((logits.log_softmax(0)[actions] * found.coefficient).sum(), logits)[0]
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0.01, 0.99), st.floats(-20, 20), st.booleans()), min_size=1, max_size=12
    ),
    st.randoms(),
)
def test_permuting_samples_permutes_coefficients(
    samples: list[tuple[bool, float, float, bool]], random: object
) -> None:
    order = list(range(len(samples)))
    random.shuffle(order)  # type: ignore[attr-defined]
    plain = surrogate(make_batch(*map(list, zip(*samples, strict=True)))).coefficient
    shuffled = surrogate(make_batch(*map(list, zip(*[samples[i] for i in order], strict=True)))).coefficient
    torch.testing.assert_close(shuffled, plain[order], atol=1e-6, rtol=1e-5)


def test_kl_factor_and_reward_by_hand() -> None:
    factor = kl_factor(torch.tensor([-10.0, 0.0, 2.5, 5.0, 7.0]), kl_max=5.0)
    assert factor.tolist() == [3.0, 1.0, 0.5, 0.0, 0.0]
    reward = regularised_reward(torch.tensor([1.0, 1.0]), torch.tensor([0.7, NAN]), torch.tensor([True, False]))
    assert reward.tolist() == pytest.approx([0.7, 0.0])
