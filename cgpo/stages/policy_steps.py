"""One optimiser step of a stage that trains the policy with labelled data, on any number of ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from cgpo import distributed
from cgpo.config import PolicyStageSettings
from cgpo.errors import ConfigError
from cgpo.policy.layout import MicroBatch
from cgpo.policy.policy import Policy, pad_to_all_ranks
from cgpo.policy.schedule import learning_rate

LossOf = Callable[[MicroBatch, Tensor], Tensor]
"""(micro-batch, log-probs [M] of its response tokens) → its part of the step's loss; the parts of all ranks add up."""


class PolicySteps:
    """Takes the steps of a stage.

    Args:
        policy: what is trained.
        stage: learning rate and schedule.
        steps: of the whole stage.
        where: the stage's settings, for messages: `sft_stage`.

    Raises:
        ConfigError: the warm-up is as long as the stage.
    """

    def __init__(self, policy: Policy, stage: PolicyStageSettings, steps: int, where: str) -> None:
        check_warmup(stage, steps, where)
        self._policy = policy
        self._stage = stage
        self._steps = steps

    def take(self, step: int, batches: Sequence[MicroBatch], loss_of: LossOf) -> dict[str, float | None]:
        """Does step 0, 1, … on this rank's micro-batches; every rank calls it. Returns the metrics of all ranks."""
        padded = pad_to_all_ranks(list(batches))
        loss = 0.0
        for i, batch in enumerate(padded):
            batch = batch.to(distributed.device())
            self._policy.engine.set_gradient_accumulation_boundary(i == len(padded) - 1)
            logprobs, _ = self._policy.engine(batch, 1.0)
            # A rank that has nothing left passes an idle micro-batch, which must reach the backward pass too.
            part = loss_of(batch, logprobs) if i < len(batches) else logprobs.sum() * 0.0
            self._policy.engine.backward(part * distributed.world_size())  # DeepSpeed averages over ranks
            loss += float(part.detach())
        stage = self._stage
        rate = learning_rate(
            step,
            peak=stage.learning_rate,
            steps=self._steps,
            warmup_steps=stage.warmup_steps,
            schedule=stage.schedule,
            final_ratio=stage.final_learning_rate_ratio,
        )
        norm = self._policy.step(rate)
        total = distributed.all_sum([loss])[0]
        metrics = {"train/loss": total, "train/grad_norm": norm, "train/learning_rate": rate}
        return metrics | ({"train/overflow": 1.0} if norm is None else {})


def check_warmup(stage: PolicyStageSettings, steps: int, where: str) -> None:
    """Refuses a warm-up that never ends.

    Raises:
        ConfigError: it is as long as the stage.
    """
    if stage.warmup_steps >= steps:
        raise ConfigError(
            f"{where}.warmup_steps = {stage.warmup_steps}, but the stage has {steps} steps: the learning rate would "
            f"never reach {stage.learning_rate:g}. Set a smaller {where}.warmup_steps"
        )
