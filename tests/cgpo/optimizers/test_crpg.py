"""CRPG against numbers worked out by hand from eqs. 10–12 of arXiv 2409.20370."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from batches import NAN, alone, make_batch, on_ranks, per_sample
from hypothesis import given, settings
from hypothesis import strategies as st

from cgpo.compose import compose
from cgpo.errors import ConfigError
from cgpo.optimizers.base import StratumBatch, Surrogate
from cgpo.optimizers.crpg import Crpg, CrpgSettings, earned, kl_factor


def surrogate(batch: StratumBatch, **options: object) -> Surrogate:
    return alone(Crpg(CrpgSettings.model_validate({"kl_max": 10.0, **options})), batch)


def coefficients(batch: StratumBatch, **options: object) -> torch.Tensor:
    return per_sample(surrogate(batch, **options), batch).float()


def test_golden_numbers() -> None:
    # KL_max 10, log-ratios 2, 5, -5, 12 → factors 0.8, 0.5, 1.5, 0; R_calib .6, .9, .5, .9; the third violates.
    # R̃ = .48, .45, 0, 0; mean .2325; coefficient (R̃ − mean) / 4.
    batch = make_batch([True, True, False, True], [0.6, 0.9, 0.5, 0.9], [2, 5, -5, 12])
    found = surrogate(batch)
    expected = torch.tensor([0.2475, 0.2175, -0.2325, -0.2325]) / 4
    torch.testing.assert_close(coefficients(batch), expected, atol=1e-6, rtol=0)
    assert found.metrics["regularised_reward"] == pytest.approx(0.2325)
    assert found.metrics["kl_factor_largest"] == pytest.approx(1.5)
    assert found.metrics["beyond_kl_max"] == pytest.approx(1 / 3)  # of the three feasible ones
    assert found.notes == ()


def test_the_kl_factor_is_not_clipped_above_one_unless_asked() -> None:
    batch = make_batch([True, False], [0.5, 0.5], [-5, 0])
    assert surrogate(batch).metrics["regularised_reward"] == pytest.approx(0.375)  # 1.5 · 0.5 / 2
    assert surrogate(batch, kl_factor_max=1.0).metrics["regularised_reward"] == pytest.approx(0.25)


def test_all_violated_gives_exactly_zero() -> None:
    found = coefficients(make_batch([False] * 3, [0.9, 0.2, NAN], [1, -3, 40]))
    assert found.tolist() == [0.0, 0.0, 0.0]


def test_all_satisfied_with_equal_rewards_gives_exactly_zero() -> None:
    found = coefficients(make_batch([True] * 4, [0.5] * 4, [0] * 4))
    assert found.tolist() == [0.0] * 4


def test_equal_rewards_that_no_float_holds_give_exactly_zero() -> None:
    # The sum of seven times 0.1 divided by 7 is not 0.1: what is left would be learnt from.
    assert sum([0.1] * 7) / 7 != 0.1
    assert coefficients(make_batch([True] * 7, [0.1] * 7)).tolist() == [0.0] * 7


def test_all_satisfied_pushes_by_reward_alone() -> None:
    found = coefficients(make_batch([True, True], [0.8, 0.4], [0, 0]))
    torch.testing.assert_close(found, torch.tensor([0.1, -0.1]))


def test_a_violation_is_pushed_down_though_its_reward_is_the_highest() -> None:
    found = coefficients(make_batch([False, True], [0.99, 0.1], [0, 0]))
    assert found[0] < 0 < found[1]


def test_unknown_changes_nothing() -> None:
    with_unknown = make_batch([True, False, False], [0.6, 0.3, NAN], [0, 0, 3], known=[True, True, False])
    without = make_batch([True, False], [0.6, 0.3], [0, 0])
    found = coefficients(with_unknown)
    torch.testing.assert_close(found[:2], coefficients(without))
    assert found[2] == 0
    assert surrogate(with_unknown).metrics == surrogate(without).metrics


def test_nothing_known_gives_nothing() -> None:
    found = surrogate(make_batch([False, False], [NAN, NAN], [0, 0], known=[False, False]))
    assert found.coefficient.tolist() == [[0.0] * 5] * 2
    assert found.metrics == {}


def test_an_empty_rank_takes_part() -> None:
    assert surrogate(make_batch([], [], [])).coefficient.shape == (0, 0)


def test_baseline_is_global_over_ranks() -> None:
    # Two ranks of two samples. All R̃: .8, .2 | 0, .6 → global mean .4, n = 4; a mean per rank would be .5 and .3.
    ranks = [make_batch([True, True], [0.8, 0.2], [0, 0]), make_batch([False, True], [0.9, 0.6], [0, 0])]
    found = on_ranks([Crpg(CrpgSettings(kl_max=10.0)) for _ in ranks], ranks)
    both = torch.cat([per_sample(s, batch) for s, batch in zip(found, ranks, strict=True)])
    torch.testing.assert_close(both, torch.tensor([0.4, -0.2, -0.4, 0.2], dtype=torch.float64) / 4)


def test_gradient_is_that_of_the_formula() -> None:
    # The loop's loss −Σ c_i log π(a_i) against autograd on the paper's sum written out, for a softmax policy.
    logits = torch.tensor([0.3, -0.2, 0.9], requires_grad=True)
    actions, reward = torch.tensor([0, 2, 2, 1]), torch.tensor([0.6, 0.0, 0.45, 0.0])
    logprob = logits.log_softmax(0)[actions]
    expected = torch.autograd.grad((logprob * (reward - reward.mean())).mean(), logits)[0]
    found = coefficients(make_batch([True, False, True, False], [0.6, 0.7, 0.9, 0.2], [0, 0, 5, 0]))
    ours = torch.autograd.grad((logits.log_softmax(0)[actions] * found).sum(), logits)[0]
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
    plain = coefficients(make_batch(*map(list, zip(*samples, strict=True))))
    shuffled = coefficients(make_batch(*map(list, zip(*[samples[i] for i in order], strict=True))))
    torch.testing.assert_close(shuffled, plain[order], atol=1e-6, rtol=1e-5)


def test_kl_factor_and_reward_by_hand() -> None:
    factor = kl_factor(torch.tensor([-10.0, 0.0, 2.5, 5.0, 7.0]), kl_max=5.0)
    assert factor.tolist() == [3.0, 1.0, 0.5, 0.0, 0.0]
    assert earned(make_batch([True, False], [0.7, NAN])).tolist() == pytest.approx([0.7, 0.0])


def test_a_limit_that_rejects_everything_says_so_with_the_numbers() -> None:
    found = surrogate(make_batch([True, True, False], [0.6, 0.7, 0.5], [11, 15, 0]))
    (note,) = found.notes
    assert note == (
        "all 2 feasible responses lie beyond kl_max = 10 nats (log_ratio from 11.0 to 15.0, mean 13.0), so none is "
        "reinforced: raise kl_max or lower the learning rate"
    )
    assert not found.coefficient.any()


def test_at_the_limit_a_response_earns_nothing_and_counts_as_beyond_it() -> None:
    found = surrogate(make_batch([True, True, False], [0.6, 0.7, 0.5], [10, 0, 10], known=[True, True, True]))
    assert found.metrics["beyond_kl_max"] == 0.5
    unknown = surrogate(make_batch([True, True], [0.6, 0.7], [10, 0], known=[True, False]))
    assert unknown.metrics["beyond_kl_max"] == 1.0
    assert len(unknown.notes) == 1


def test_a_rank_without_known_samples_says_what_the_others_say() -> None:
    parts = [make_batch([True, False], [0.8, 0.2], [-2, 0]), make_batch([True], [NAN], known=[False]), make_batch([])]
    found = on_ranks([Crpg(CrpgSettings(kl_max=10.0)) for _ in parts], parts)
    expected = {
        "regularised_reward": pytest.approx(0.48),
        "kl_factor_largest": pytest.approx(1.2),
        "beyond_kl_max": 0.0,
    }
    assert [dict(s.metrics) for s in found] == [expected] * 3
    assert not found[1].coefficient.any()


def test_one_sample_alone_has_nothing_to_be_measured_against() -> None:
    found = surrogate(make_batch([True], [0.8], [2]))
    assert not found.coefficient.any()
    assert found.metrics["regularised_reward"] == pytest.approx(0.64)


@pytest.mark.parametrize(("mean_over", "fewest"), [("stratum", 1), ("prompt", 2), ("other_responses", 2)])
def test_how_many_responses_of_a_prompt_it_needs(mean_over: str, fewest: int) -> None:
    assert CrpgSettings.model_validate({"mean_over": mean_over}).fewest_generations() == fewest


def test_mean_over_prompt_and_over_the_other_responses() -> None:
    # R̃ = .8, .2 | .6, 0; prompt means .5 and .3; of the others: .2, .8 | 0, .6.
    batch = make_batch([True, True, True, False], [0.8, 0.2, 0.6, 0.9], prompt=[0, 0, 1, 1])
    found = coefficients(batch, mean_over="prompt")
    torch.testing.assert_close(found, torch.tensor([0.3, -0.3, 0.3, -0.3]) / 4)
    found = coefficients(batch, mean_over="other_responses")
    torch.testing.assert_close(found, torch.tensor([0.6, -0.6, 0.6, -0.6]) / 4)


def test_a_response_alone_with_its_prompt_has_nothing_to_be_measured_against() -> None:
    batch = make_batch([True, True, False], [0.8, 0.2, 0.5], prompt=[0, 1, 1])
    found = coefficients(batch, mean_over="other_responses")
    assert found[0] == 0
    assert found[1] > 0


def test_partial_credit_gives_a_signal_where_everything_is_violated() -> None:
    # credit 2/4 and 1/4, R_calib .8 → R̃ = .5 · (.5, .25) · .8 = .2, .1; mean .15.
    batch = make_batch([False, False], [0.8, 0.8], credit=[0.5, 0.25])
    assert not coefficients(batch).any()
    torch.testing.assert_close(coefficients(batch, partial_credit=0.5), torch.tensor([0.05, -0.05]) / 2)
    unscored = make_batch([False, False], [NAN, 0.8], credit=[0.5, 0.25])
    torch.testing.assert_close(coefficients(unscored, partial_credit=0.5), torch.tensor([-0.05, 0.05]) / 2)


def test_kl_per_token_takes_the_log_ratio_to_the_end() -> None:
    # Log-ratio 1 a token over 4 tokens, KL_max 8: to go 4, 3, 2, 1 → factors .5, .625, .75, .875. The other sample has
    # R̃ 0; the mean is that of responses: (.5 · .8 + 0) / 2 = .2.
    batch = make_batch([True, False], [0.8, 0.5], [4, 0], length=[4, 4])
    found = surrogate(batch, kl_max=8.0, kl_per_token=True).coefficient
    expected = torch.tensor([[0.2, 0.3, 0.4, 0.5], [-0.2] * 4], dtype=torch.float64) / 2
    torch.testing.assert_close(found, expected)


def test_partial_credit_is_for_known_violations_alone() -> None:
    # R_calib .6 (satisfied, whatever its credit), .5 · 2/4 · .8 = .2 (violated), none (unknown, though it has a score).
    batch = make_batch(
        [True, False, False, True], [0.6, 0.8, 0.7, 0.9], known=[True, True, False, False], credit=[0.5, 0.5, 0.5, 1]
    )
    assert earned(batch, 0.5).tolist() == pytest.approx([0.6, 0.2, 0, 0])
    assert earned(batch).tolist() == pytest.approx([0.6, 0, 0, 0])
    assert earned(batch, 1.0).tolist() == pytest.approx([0.6, 0.4, 0, 0])


def test_the_cap_of_the_kl_factor_holds_for_each_token_too() -> None:
    # Log-ratio −1 a token over 2 tokens, KL_max 4: factors 1.5 and 1.25, capped at 1.3; R_calib .8; mean of responses
    # (min(1.5, 1.3) · .8 + 0) / 2 = .52.
    batch = make_batch([True, False], [0.8, 0.5], [-2, 0], length=[2, 2])
    found = surrogate(batch, kl_max=4.0, kl_factor_max=1.3, kl_per_token=True).coefficient
    torch.testing.assert_close(found, torch.tensor([[0.52, 0.48], [-0.52, -0.52]], dtype=torch.float64) / 2)


def test_averages_over_responses_and_over_tokens() -> None:
    # Lengths 4, 10 and 6; the last is unknown and counts nowhere.
    batch = make_batch([True, False, False], [0.8, 0.5, NAN], length=[4, 10, 6], known=[True, True, False])
    found = coefficients(batch, average="response_means")
    torch.testing.assert_close(found, torch.tensor([0.4 / 4, -0.4 / 10, 0]) / 2)
    torch.testing.assert_close(coefficients(batch, average="tokens"), torch.tensor([0.4, -0.4, 0]) / 14)


def test_importance_weights_are_truncated() -> None:
    # Every token is e^0.1 times as likely for the trainer; at most 1.05 is let through.
    batch = make_batch([True, False], [0.8, 0.5], engine_gap=0.1)
    plain = coefficients(batch)
    torch.testing.assert_close(coefficients(batch, importance_weight_max=1.05), 1.05 * plain)
    torch.testing.assert_close(coefficients(batch, importance_weight_max=2.0), 1.1051709 * plain)
    assert surrogate(batch, importance_weight_max=1.05).metrics["importance_truncated_rate"] == 1.0


def test_clipping_stops_a_token_that_has_moved_as_far_as_it_may() -> None:
    # In a later epoch the first response has become more likely by e^0.5 a token, the second less: both gain no more.
    batch = make_batch([True, False], [0.8, 0.5])
    moved = replace(batch, logprobs=batch.old_logprobs + torch.tensor([[0.5], [-0.5]], dtype=torch.float64))
    assert coefficients(moved, clip_range=0.2).tolist() == [0.0, 0.0]
    assert surrogate(moved, clip_range=0.2).metrics["clip_rate"] == 1.0
    # Without a range the importance ratio alone stands before it: A · ρ.
    torch.testing.assert_close(coefficients(moved), torch.tensor([0.2 * 1.6487213, -0.2 * 0.6065307]))
    # A token that has moved the wrong way is brought back.
    back = replace(batch, logprobs=batch.old_logprobs + torch.tensor([[-0.5], [0.5]], dtype=torch.float64))
    torch.testing.assert_close(coefficients(back, clip_range=0.2), torch.tensor([0.2 * 0.6065307, -0.2 * 1.6487213]))


@pytest.mark.parametrize("mean_over", ["prompt", "other_responses"])
def test_one_response_alone_with_its_prompt_is_refused_where_nothing_could_be_learnt(mean_over: str) -> None:
    one = ["experiment=quickstart", "strata.math.generations_per_prompt=1"]
    compose(one)
    with pytest.raises(ConfigError, match="optimiser crpg compares responses to one prompt: it needs at least 2"):
        compose([*one, f"+strata.math.optimizer.mean_over={mean_over}"])
