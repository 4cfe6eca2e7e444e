"""What two ranks learn with an adapter under each ZeRO stage: `lora_ranks.py MODEL OUT`, run by its test."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
from policies import SEQUENCES, logprobs, settings_for, weight_of

from cgpo import distributed
from cgpo.policy.layout import TokenSequence
from cgpo.policy.policy import Policy, no_progress
from cgpo.policy.reference import make_reference
from cgpo.training.balance import LearningSample, balance_over_ranks
from cgpo.training.gap_check import GradientPassGaps
from cgpo.training.learning import _accumulate as accumulate
from cgpo.training.learning import _micro_batches as micro_batches_of

STAGES = (0, 1, 2, 3)
MORE = [TokenSequence((33, 44), (55, 66, 77, 88)), TokenSequence((99, 10, 21), (32,))]


def learn(model: str, stage: int) -> dict[str, Any]:
    """Two steps on six samples, of which the first rank brings four and the second two."""
    lora = {"lora": {"rank": 4}, "reference_mode": "adapter_off"}
    policy = Policy(settings_for(model, stage, model=lora))
    reference = make_reference(policy.settings, policy)
    start, norms = logprobs(policy), []
    for _ in range(2):
        work = micro_batches_of(policy, balance_over_ranks(own_samples()), [])
        assert accumulate(policy, work, no_progress, GradientPassGaps({}, {}, 0))
        norms.append(policy.step(1e-2))
    merged = {name: float(tensor.double().abs().sum()) for name, tensor in policy.weights()}
    return {
        "norms": norms,
        "logprobs": logprobs(policy).tolist(),
        "reference_moved": float((logprobs(reference) - start).abs().max()),
        "merged": merged,
    }


def own_samples() -> list[LearningSample]:
    """This rank's of the six."""
    weights = [*weight_of(torch.arange(4)).tolist(), 0.6, -0.9]
    found = [sample(sequence, weight) for sequence, weight in zip(SEQUENCES + MORE, weights, strict=True)]
    if distributed.world_size() == 1:
        return found
    return found[:4] if distributed.rank() == 0 else found[4:]


def sample(sequence: TokenSequence, weight: float) -> LearningSample:
    length = len(sequence.response_ids)
    return LearningSample(sequence, torch.full((length,), weight), torch.zeros(length, 0), 1.0)


def main(model: str, out: str) -> None:
    distributed.init_distributed()
    found = {stage: learn(model, stage) for stage in STAGES}
    if distributed.rank() == 0:
        Path(out).write_text(json.dumps(found))
    distributed.close_distributed()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
