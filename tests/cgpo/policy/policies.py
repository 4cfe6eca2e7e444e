"""Small policies for tests of `cgpo.policy`: settings, fixed samples, one step."""

from __future__ import annotations

from typing import Any

import torch

from cgpo.compose import validate
from cgpo.config import RunSettings
from cgpo.policy.layout import TokenSequence
from cgpo.policy.policy import Policy

SEQUENCES = [
    TokenSequence((11, 52, 93), (14, 25, 36, 2)),
    TokenSequence((11, 52, 93), (47, 2)),
    TokenSequence((61, 72), (83, 94, 15, 26, 37)),
    TokenSequence((48, 59, 70, 81), (92, 13, 24)),
]


def settings_for(path: str, stage: int = 0, **groups: dict[str, Any]) -> RunSettings:
    """Settings of a run that never samples; `groups` add to `model`, `deepspeed`, `train` and `sampling`."""
    stratum = {
        "prompts": {"generator": "math", "size": 4},
        "rewards": {"any": 1.0},
        "optimizer": {"name": "crpg", "kl_max": 10.0},
        "sampling": groups.get("sampling", {}),
    }
    return validate(
        {
            "run_dir": "unused",
            "model": {"name": path, **groups.get("model", {})},
            "rewards": {"any": {"model": "unused"}},
            "strata": {"math": stratum},
            "deepspeed": {"zero_stage": stage, **groups.get("deepspeed", {})},
            "train": {"micro_batch_tokens": 16, "max_grad_norm": 0.5, "weight_decay": 0.1, **groups.get("train", {})},
        }
    )


def weight_of(sample: torch.Tensor) -> torch.Tensor:
    """A coefficient for each response token: another one for every sample."""
    return torch.tensor([1.0, -0.5, 0.75, 0.25])[sample]


def step(policy: Policy, rate: float = 1e-2, scale: float = 1.0) -> float | None:
    """One optimiser step on `SEQUENCES`, in several micro-batches; returns the gradient's norm."""
    batches = policy.lay_out(SEQUENCES, range(len(SEQUENCES)))
    assert len(batches) > 1
    for i, batch in enumerate(batches):
        weight = weight_of(batch.sample) * scale
        policy.accumulate(batch, weight, torch.zeros(len(weight), 0), 1.0, last=i == len(batches) - 1)
    return policy.step(rate)


def logprobs(model: Any) -> torch.Tensor:
    """The token log-probs of all `SEQUENCES`, in one row."""
    return torch.cat(model.token_logprobs(SEQUENCES, 1.0))
