"""CRRAFT against numbers worked out by hand from eqs. 16–18 of arXiv 2409.20370."""

from __future__ import annotations

import pytest
import torch
from batches import NAN, alone, make_batch, on_ranks, per_sample

from cgpo.compose import compose
from cgpo.optimizers.base import Need, StratumBatch, Surrogate
from cgpo.optimizers.crraft import Crraft, CrraftSettings


def surrogate(batch: StratumBatch, **settings: object) -> Surrogate:
    return alone(Crraft(CrraftSettings.model_validate({"kl_max": 10.0, **settings})), batch)


def coefficients(batch: StratumBatch, **settings: object) -> list[float]:
    found: list[float] = per_sample(surrogate(batch, **settings), batch).tolist()
    return found


def test_golden_numbers() -> None:
    # Prompt 0: rewards 1, 3, 9; the last violates, so a* is the second, R_calib .7. Prompt 1: the highest reward lies
    # beyond KL_max 10, so a* is the other, R_calib .2. n = 2; log π(a*) = −20 + 2 and −20 + 10.
    batch = make_batch(
        [True, True, False, True, True],
        [0.6, 0.7, 0.9, 0.2, 0.8],
        [0, 2, 0, 10, 10.5],
        reward=[1, 3, 9, 1, 5],
        prompt=[0, 0, 0, 1, 1],
    )
    found = surrogate(batch)
    assert per_sample(found, batch).tolist() == pytest.approx([0, 0.35, 0, 0.1, 0])
    assert found.loss == pytest.approx(0.35 * 18 + 0.1 * 10)
    assert found.metrics == {
        "chosen_own_rate": 1.0,
        "chosen_baseline_rate": 0.0,
        "skipped_prompt_rate": 0.0,
        "beyond_kl_max": 0.25,
    }
    assert found.notes == ()


def test_the_raw_reward_ranks_and_the_calibrated_one_weighs() -> None:
    assert coefficients(make_batch([True, True], [0.9, 0.3], reward=[1, 2])) == pytest.approx([0, 0.3])


def test_negative_rewards_do_not_make_a_violation_look_better() -> None:
    assert coefficients(make_batch([True, False], [0.1, 0.9], reward=[-7, 0])) == pytest.approx([0.1, 0])


def test_among_equal_rewards_the_first_is_chosen() -> None:
    assert coefficients(make_batch([True, True], [0.4, 0.4], reward=[2, 2])) == pytest.approx([0.4, 0])


def test_unknown_is_never_chosen_and_changes_nothing() -> None:
    found = coefficients(make_batch([True, True], [0.4, 0.9], reward=[1, 9], known=[True, False]))
    assert found == pytest.approx([0.4, 0])
    nothing = surrogate(make_batch([False, False], [NAN, NAN], known=[False, False]))
    assert not nothing.coefficient.any()
    assert nothing.metrics == {}


def test_where_nothing_is_kept_the_baseline_response_is_used() -> None:
    # Prompt 0 has no feasible response, its baseline is feasible. Prompt 1 has one: its baseline is not looked at,
    # though its reward is higher. Prompt 2: the only feasible one is beyond KL_max. n = 3.
    batch = make_batch(
        [False, True, True, True, True, True],
        [0.9, 0.8, 0.9, 0.5, 0.5, 0.5],
        [0, 0, 12, 0, 0, 3],
        reward=[5, 1, 5, 0, 7, 0],
        prompt=[0, 1, 2, 0, 1, 2],
        baseline=[False, False, False, True, True, True],
    )
    found = surrogate(batch)
    assert per_sample(found, batch).tolist() == pytest.approx([0, 0.8 / 3, 0, 0.5 / 3, 0, 0.5 / 3])
    assert found.metrics["chosen_own_rate"] == pytest.approx(1 / 3)
    assert found.metrics["chosen_baseline_rate"] == pytest.approx(2 / 3)
    assert found.metrics["skipped_prompt_rate"] == pytest.approx(0.0)
    assert found.metrics["beyond_kl_max"] == pytest.approx(1 / 2)  # of the prompts' own feasible responses


@pytest.mark.parametrize(
    ("satisfied", "known", "log_ratio"),
    [(False, True, 0.0), (True, False, 0.0), (True, True, 10.1)],
    ids=["violated", "unknown", "beyond_kl_max"],
)
def test_a_baseline_response_that_will_not_do_is_not_used(satisfied: bool, known: bool, log_ratio: float) -> None:
    batch = make_batch(
        [False, satisfied], [0.9, 0.5], [0, log_ratio], known=[True, known], prompt=[0, 0], baseline=[False, True]
    )
    found = surrogate(batch)
    assert not found.coefficient.any()
    assert found.metrics["skipped_prompt_rate"] == 1.0


def test_the_mean_is_over_prompts_with_a_known_verdict_those_skipped_included() -> None:
    # Prompt 0 learns; prompt 1 is skipped but counts; of prompt 2 nothing is known, whatever its baseline response is.
    batch = make_batch(
        [True, True, False, False, True],
        [0.6, 0.4, 0.9, NAN, 0.5],
        reward=[2, 1, 1, NAN, 1],
        known=[True, True, True, False, True],
        prompt=[0, 0, 1, 2, 2],
        baseline=[False, False, False, False, True],
    )
    assert coefficients(batch) == pytest.approx([0.3, 0, 0, 0, 0])


def test_n_runs_over_all_ranks_and_an_empty_rank_takes_part() -> None:
    ranks = [make_batch([True, False], [0.8, 0.1]), make_batch([False] * 3, prompt=[0, 1, 2]), make_batch([])]
    found = on_ranks([Crraft(CrraftSettings()) for _ in ranks], ranks)
    assert per_sample(found[0], ranks[0]).tolist() == pytest.approx([0.2, 0])  # 4 prompts
    assert [s.metrics["skipped_prompt_rate"] for s in found] == [0.75] * 3
    assert found[2].coefficient.shape == (0, 0)


def test_response_means_divide_by_the_tokens() -> None:
    batch = make_batch([True, True], [0.6, 0.8], length=[3, 8], prompt=[0, 1])
    found = torch.tensor(coefficients(batch, average="response_means"))
    torch.testing.assert_close(found, torch.tensor([0.6 / 3 / 2, 0.8 / 8 / 2]))


def test_a_limit_that_rejects_everything_says_so_with_the_numbers() -> None:
    (note,) = surrogate(make_batch([True, True, False], [0.6, 0.7, 0.5], [10.5, 15, 0])).notes
    assert note == (
        "all 2 feasible responses lie beyond kl_max = 10 nats (log_ratio from 10.5 to 15.0, mean 12.8), so none is "
        "reinforced: raise kl_max or lower the learning rate"
    )


def test_without_a_feasible_response_there_is_nothing_to_say_of_kl() -> None:
    found = surrogate(make_batch([False, False], [0.6, 0.7], [15, 0]))
    assert found.notes == ()
    assert found.metrics == {"chosen_own_rate": 0.0, "chosen_baseline_rate": 0.0, "skipped_prompt_rate": 1.0}


def test_what_is_said_of_kl_is_of_all_ranks() -> None:
    parts = [make_batch([True], [0.6], [12]), make_batch([True, True], [0.6, 0.7], [-30, 20]), make_batch([])]
    found = on_ranks([Crraft(CrraftSettings(kl_max=10.0)) for _ in parts], parts)
    assert [s.metrics["beyond_kl_max"] for s in found] == pytest.approx([2 / 3] * 3)
    assert [s.notes for s in found] == [()] * 3
    beyond = [parts[0], make_batch([True, True], [0.6, 0.7], [11, 20]), parts[2]]
    notes = [s.notes for s in on_ranks([Crraft(CrraftSettings(kl_max=10.0)) for _ in beyond], beyond)]
    assert all("all 3 feasible" in note and "from 11.0 to 20.0, mean 14.3" in note for (note,) in notes)


def test_the_limit_itself_is_within() -> None:
    found = surrogate(make_batch([True, True], [0.6, 0.7], [10, 10], reward=[1, 2]))
    assert found.metrics["beyond_kl_max"] == 0.0
    assert found.metrics["chosen_own_rate"] == 1.0


def test_it_asks_for_baseline_responses_and_can_be_chosen() -> None:
    assert Crraft(CrraftSettings()).needs == {Need.BASELINES}
    composed = compose(["experiment=quickstart", "optimizer@strata.math.optimizer=crraft"])
    assert composed.settings.strata["math"].optimizer.name == "crraft"
