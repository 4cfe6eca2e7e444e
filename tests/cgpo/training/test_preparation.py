"""What an optimiser sees of a step's responses."""

from __future__ import annotations

import math

import pytest
import torch
from fixed_learning import RESPONSES, Case, make_stratum, settings_of

from cgpo.optimizers.base import Ranks, differentiate
from cgpo.training.preparation import stratum_batch
from cgpo.types import GenerationRequest, JudgedRollout, Prompt, Rollout
from judges import Judgement, Verdict


def test_a_prompt_that_a_step_brings_twice_counts_as_two(small_model: str) -> None:
    # The two draws may fall to different ranks; what is counted and compared per prompt must not depend on that.
    settings = settings_of(Case(small_model, {"s": {"name": "codpo"}}))
    stratum = make_stratum("s", settings)
    prompt = Prompt("p", ({"role": "user", "content": "x"},))

    def judged(index: int) -> JudgedRollout:
        request = GenerationRequest("s", prompt, (3, 4), index, 0, stratum.settings.sampling)
        rollout = Rollout(request, str(index), (5,), (-1.0,), "stop")
        return JudgedRollout(rollout, Judgement({"fixed": Verdict.of(index % 2 == 0)}), {"any": 1.0}, {"any": 1.0}, 0.5)

    both = [judged(i) for i in range(2 * RESPONSES)]
    tokens = [torch.tensor([-1.0])] * len(both)
    assert stratum_batch(stratum, both, tokens, tokens).prompt.tolist() == [0] * RESPONSES + [1] * RESPONSES


def test_an_importance_weight_compares_the_policy_with_the_engine_that_sampled(small_model: str) -> None:
    # L = −½ Σ_i Σ_t u · A_i · log π, rewards 1 and 0: advantages 1 and −1 (leave one out). Of the first response u is
    # e^(−0.5 + 1) and e^(−2.5 + 2), of the second 1: there engine and policy agree.
    stratum = make_stratum(
        "s", settings_of(Case(small_model, {"s": {"name": "rloo", "importance_weight_max": 10.0, "kl_coefficient": 0}}))
    )
    prompt = Prompt("p", ({"role": "user", "content": "x"},))

    def judged(index: int, logprobs: tuple[float, float]) -> JudgedRollout:
        request = GenerationRequest("s", prompt, (3, 4), index, 0, stratum.settings.sampling)
        rollout, reward = Rollout(request, str(index), (5, 6), logprobs, "stop"), 1.0 - index
        return JudgedRollout(rollout, Judgement({"fixed": Verdict.of(True)}), {"any": reward}, {"any": 0.0}, 0.5)

    samples = [judged(0, (-1.0, -2.0)), judged(1, (-3.0, -3.0))]
    policy = [torch.tensor([-0.5, -2.5]), torch.tensor([-3.0, -3.0])]
    batch = stratum_batch(stratum, samples, policy, policy)
    assert batch.engine_logprobs.tolist() == [[-1.0, -2.0], [-3.0, -3.0]]
    found = differentiate(stratum.optimizer, batch, Ranks()).coefficient.tolist()
    assert found[0] == pytest.approx([0.5 * math.exp(0.5), 0.5 * math.exp(-0.5)])
    assert found[1] == pytest.approx([-0.5, -0.5])
