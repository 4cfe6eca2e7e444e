"""What an optimiser sees of a step's responses."""

from __future__ import annotations

import torch
from fixed_learning import RESPONSES, Case, make_stratum, settings_of

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
