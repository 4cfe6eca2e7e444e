"""One test for each defect of the CGPO trainer that was proposed to TRL (#2156, #2190) and never merged."""

from __future__ import annotations

from typing import Any

import fixed_learning
import pytest
import torch
from batches import NAN, alone, make_batch, on_ranks, per_sample
from fixed_learning import Case
from torch import Tensor
from transformers import AutoModelForCausalLM

from cgpo.optimizers.codpo import Codpo, CodpoSettings
from cgpo.optimizers.crpg import Crpg, CrpgSettings
from cgpo.optimizers.crraft import Crraft, CrraftSettings
from cgpo.policy.layout import TokenSequence, micro_batches
from cgpo.policy.logprobs import LogProbModel
from cgpo.training.preparation import stratum_batch
from cgpo.types import GenerationRequest, JudgedRollout, Prompt, Rollout
from judges import Judgement, Verdict

PROMPT = (5, 6, 7)
RESPONSES = [(11, 12), (21, 22, 23, 24, 25, 26, 2)]
"""A short response beside a long one: in a padded batch the short one has five places beyond its end."""


def causal_lm(folder: str, seed: int) -> Any:
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def token_logprobs(model: Any) -> list[Tensor]:
    """As the policy and the reference compute them."""
    sequences = [TokenSequence(PROMPT, response) for response in RESPONSES]
    (batch,) = micro_batches(sequences, [0, 1], 1000)
    with torch.no_grad():
        logprobs, _ = LogProbModel(model, 64)(batch, 1.0)
    return [logprobs[batch.sample == i] for i in (0, 1)]


def probability_of_next(model: Any, context: tuple[int, ...], token: int) -> float:
    """log π of one token after its context, alone in a batch of its own."""
    with torch.no_grad():
        return float(model(input_ids=torch.tensor([context])).logits[0, -1].log_softmax(-1)[token])


def test_log_probs_are_not_off_by_one(small_model: str) -> None:
    model = causal_lm(small_model, 1)
    for response, found in zip(RESPONSES, token_logprobs(model), strict=True):
        context = [PROMPT + response[:t] for t in range(len(response))]
        expected = [probability_of_next(model, c, token) for c, token in zip(context, response, strict=True)]
        assert found.tolist() == pytest.approx(expected, abs=1e-5)
        shifted = [probability_of_next(model, PROMPT + response[: t + 1], token) for t, token in enumerate(response)]
        assert found.tolist() != pytest.approx(shifted, abs=0.05)  # the test can tell


def test_nothing_after_the_end_counts_in_either_term_of_the_log_ratio(small_model: str) -> None:
    policy, reference = causal_lm(small_model, 1), causal_lm(small_model, 2)
    run = fixed_learning.settings_of(Case(small_model, {"only": {"name": "crpg"}}))
    stratum = fixed_learning.make_stratum("only", run)
    prompt = Prompt("0", ({"role": "user", "content": "x"},))
    judged = [
        JudgedRollout(
            Rollout(
                GenerationRequest("only", prompt, PROMPT, k, 0, stratum.settings.sampling),
                str(response), response, (0.0,) * len(response), "stop",
            ),
            Judgement({"any": Verdict.of(True)}), {"any": 1.0}, {"any": 1.0}, 0.5,
        )
        for k, response in enumerate(RESPONSES)
    ]  # fmt: skip
    batch = stratum_batch(stratum, judged, token_logprobs(policy), token_logprobs(reference))
    for i, response in enumerate(RESPONSES):
        sums = [
            sum(probability_of_next(model, PROMPT + response[:t], token) for t, token in enumerate(response))
            for model in (policy, reference)
        ]
        assert float(batch.logprob[i]) == pytest.approx(sums[0], abs=1e-4)
        assert float(batch.reference_logprob[i]) == pytest.approx(sums[1], abs=1e-4)
        assert float(batch.log_ratio[i]) == pytest.approx(sums[0] - sums[1], abs=1e-4)
    found = alone(Crpg(CrpgSettings(kl_max=1.0)), batch)
    assert found.coefficient[0, : len(RESPONSES[0])].all()
    assert not found.coefficient[0, len(RESPONSES[0]) :].any()


def test_a_violation_is_not_chosen_where_satisfied_rewards_are_negative() -> None:
    # With 0/1 masks the violation would have "reward · 0" = 0, above every negative reward.
    batch = make_batch([True, False, True], [0.1, 0.5, 0.2], reward=[-9, 5, -7])
    assert per_sample(alone(Crraft(CrraftSettings()), batch), batch).tolist() == pytest.approx([0, 0, 0.2])
    codpo = per_sample(alone(Codpo(CodpoSettings()), batch), batch)
    assert codpo[1] < 0 < codpo[2]
    crpg = per_sample(alone(Crpg(CrpgSettings()), batch), batch)
    assert crpg[1] < 0
    assert crpg[1] == crpg.min()


def test_crraft_takes_its_mean_over_prompts_not_over_what_was_kept_nor_over_samples() -> None:
    # 3 prompts of 2 responses; 2 prompts have one to imitate. n = 3, not 2 and not 6.
    batch = make_batch([True, False] * 2 + [False] * 2, [0.6] * 6, prompt=[0, 0, 1, 1, 2, 2])
    assert per_sample(alone(Crraft(CrraftSettings()), batch), batch).tolist() == pytest.approx([0.2, 0, 0.2, 0, 0, 0])


def test_the_baseline_is_that_of_all_devices() -> None:
    # One device has good samples only, the other bad ones only: a baseline of its own would leave each no signal.
    parts = [make_batch([True, True], [0.8, 0.8]), make_batch([False, False])]
    found = on_ranks([Crpg(CrpgSettings()) for _ in parts], parts)
    assert per_sample(found[0], parts[0]).tolist() == pytest.approx([0.1, 0.1])
    assert per_sample(found[1], parts[1]).tolist() == pytest.approx([-0.1, -0.1])
    assert not alone(Crpg(CrpgSettings()), parts[0]).coefficient.any()


@pytest.mark.parametrize("optimizer", [Crpg(CrpgSettings()), Codpo(CodpoSettings()), Crraft(CrraftSettings())])
def test_a_judges_error_is_not_a_factor_of_the_reward(optimizer: Any) -> None:
    # −1 · reward would turn the failure of a judge into the worst of all samples, or, of a negative reward, the best.
    for reward in (5.0, -5.0, NAN):
        batch = make_batch([False, True, False], [0.9, 0.6, 0.4], reward=[reward, 1, 0], known=[False, True, True])
        without = make_batch([True, False], [0.6, 0.4], reward=[1, 0])
        found = per_sample(alone(optimizer, batch), batch)
        assert found[0] == 0
        assert found[1:].tolist() == per_sample(alone(optimizer, without), without).tolist()
