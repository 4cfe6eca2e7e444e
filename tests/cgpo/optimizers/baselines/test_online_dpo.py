"""Online DPO: which pair, and numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from batches import NAN, alone, make_batch, on_ranks, per_sample
from torch.nn.functional import logsigmoid

from cgpo.optimizers.baselines.online_dpo import OnlineDpo, OnlineDpoSettings, best_against_worst
from cgpo.optimizers.baselines.scalar_reward import scalar_reward, usable


def pairs(*args: Any, penalty: float = 1.0, **more: Any) -> list[tuple[int, int]]:
    batch = make_batch(*args, **more)
    settings = OnlineDpoSettings(penalty=penalty)
    score = scalar_reward(batch, settings.penalties_of(list(batch.violated)), settings)
    return best_against_worst(batch, score, usable(batch))


def test_which_pair() -> None:
    assert pairs([True, True, True], reward=[2, 5, 1]) == [(1, 2)]
    assert pairs([True, True, True, True], reward=[2, 5, 5, 2]) == [(1, 0)]  # among equals the first
    assert pairs([True, True], reward=[3, 3]) == []
    assert pairs([True], reward=[3]) == []
    assert pairs([True, True], reward=[3, 1], text=[4, 4]) == []
    assert pairs([True, True, True], reward=[9, 2, 1], known=[False, True, True]) == [(1, 2)]
    assert pairs([False, True, True], reward=[NAN, 2, 1]) == [(1, 2)]
    assert pairs([True, True, True, True], reward=[1, 2, 4, 3], prompt=[0, 1, 0, 1]) == [(2, 0), (3, 1)]


def test_a_violation_costs_its_penalty_and_can_be_chosen_all_the_same() -> None:
    assert pairs([True, False], reward=[2, 2.5], penalty=1.0) == [(0, 1)]
    assert pairs([True, False], reward=[2, 2.5], penalty=0.1) == [(1, 0)]


def test_golden_numbers() -> None:
    # β 0.5, log-ratios 3 and −1: m = 2, sigmoid(−2) = 0.1192029; n = 2 prompts, one of them gives no pair.
    batch = make_batch([True] * 3, log_ratio=[3, -1, 0], reward=[4, 2, 7], prompt=[0, 0, 1])
    found = alone(OnlineDpo(OnlineDpoSettings(beta=0.5)), batch)
    push = 0.5 * 0.1192029 / 2
    assert per_sample(found, batch).tolist() == pytest.approx([push, -push, 0], abs=1e-7)
    assert found.loss == pytest.approx(-float(logsigmoid(torch.tensor(2.0, dtype=torch.float64))) / 2)
    assert found.metrics == {
        "scalar_reward": pytest.approx(13 / 3),
        "pair_rate": 0.5,
        "preference_margin": pytest.approx(2.0),
        "preference_accuracy": 1.0,
    }


def test_n_runs_over_all_ranks() -> None:
    parts = [make_batch([True, True], reward=[2, 1]), make_batch([True] * 3, prompt=[0, 1, 2]), make_batch([])]
    found = on_ranks([OnlineDpo(OnlineDpoSettings(beta=1.0)) for _ in parts], parts)
    assert per_sample(found[0], parts[0]).tolist() == pytest.approx([0.5 / 4, -0.5 / 4])
    assert found[2].metrics["pair_rate"] == 0.25
