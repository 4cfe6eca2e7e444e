"""The stratum optimiser: the small interface between the loop and an algorithm.

In one step the loop gives an optimiser all the samples of its stratum on this rank (`StratumBatch`) and a way to reduce
numbers over ranks (`Ranks`). The optimiser answers with its loss, written as in its paper: a differentiable function of
the samples' token log-probs, and of values where it has a value head. The loop differentiates that small function by
those inputs and carries the result through the model in micro-batches:

    ∂L/∂w = Σ_i Σ_t  ∂L/∂log π_w(a_i,t) · ∇ log π_w(a_i,t)  +  ∂L/∂V(s_i,t) · ∇ V(s_i,t)

By the chain rule this is the exact gradient however the samples fall into micro-batches: the two responses of a pair
need not be in the same one, and means run over the whole stratum and all ranks.

This module and the optimisers' files are imported to validate settings, so they import torch for types only.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from cgpo.config import OptimizerSettings
from cgpo.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor


class Need(StrEnum):
    """What an optimiser wants from a step beyond samples, verdicts, rewards and log-probs."""

    BASELINES = "baselines"
    """The prompts' baseline responses, judged, as further samples of the batch."""
    VALUES = "values"
    """A value head on the policy."""


@dataclass(frozen=True)
class Ranks:
    """Reductions over all ranks. Every rank must call them, in the same order.

    Attributes:
        sum: sums each number over all ranks (`cgpo.distributed.all_sum`).
        max: the largest number over all ranks (`cgpo.distributed.all_max`).
        together: what fails inside on one rank is raised on all (`cgpo.distributed.together`); the loop encloses an
            optimiser's methods in it.
    """

    sum: Callable[[list[float]], list[float]] = list
    max: Callable[[float], float] = float
    together: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(frozen=True, kw_only=True)
class SampleTokens:
    """Log-probs and values of the tokens of N responses, at most T each. Beyond a response's end tensors hold 0.

    Attributes:
        logprobs: [N, T], log π_w of each response token, in nats. The loss is differentiated by it.
        old_logprobs: [N, T], the same when the responses were generated; equal to `logprobs` in a step's first epoch.
        engine_logprobs: [N, T], as the rollout engine reported them.
        reference_logprobs: [N, T], log π_ref of each response token.
        mask: bool [N, T], True on response tokens.
        values: [N, T], the value of the state before each response token, where the optimiser has `Need.VALUES`. The
            loss is differentiated by it.
        old_values: [N, T], the same when the responses were generated.
    """

    logprobs: Tensor
    old_logprobs: Tensor
    engine_logprobs: Tensor
    reference_logprobs: Tensor
    mask: Tensor
    values: Tensor | None = None
    old_values: Tensor | None = None

    @property
    def logprob(self) -> Tensor:
        """[N] log π_w(a|s), differentiable, in nats."""
        return self.logprobs.sum(1)

    @property
    def reference_logprob(self) -> Tensor:
        """[N] log π_ref(a|s), in nats."""
        return self.reference_logprobs.sum(1)

    @property
    def log_ratio(self) -> Tensor:
        """[N] log π(a|s) − log π_ref(a|s) of the policy that generated the responses, in nats: a constant."""
        return (self.old_logprobs - self.reference_logprobs).sum(1)

    @property
    def length(self) -> Tensor:
        """int [N] response tokens."""
        return self.mask.sum(1)


@dataclass(frozen=True, kw_only=True)
class SampleVerdicts:
    """Verdicts of the judges on N responses.

    Attributes:
        satisfied: bool [N], every judge satisfied and the reward known.
        known: bool [N], False where feasibility is unknown; such a sample must not influence anything.
        credit: [N] in [0, 1], share of its constraints that a sample satisfies; 1 where `satisfied`.
        violated: bool [N] by judge, True where that judge judged the sample violated. The same judges in the same order
            on every rank.
        judged: bool [N] by judge, True where that judge judged the sample satisfied or violated: its verdict is not
            unknown, it was not skipped and had something to judge.
    """

    satisfied: Tensor
    known: Tensor
    credit: Tensor
    violated: Mapping[str, Tensor] = field(default_factory=dict)
    judged: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SampleRewards:
    """Rewards of N responses.

    Attributes:
        calibrated_reward: [N] in (0, 1); NaN exactly where a sample is not satisfied or unknown and has none.
        reward: [N], raw weighted sum, only for ranking; NaN where missing.
        rewards: raw reward [N] by reward name; NaN where missing.
        weights: weight by reward name, at least 0.
    """

    calibrated_reward: Tensor
    reward: Tensor
    rewards: Mapping[str, Tensor] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StratumBatch(SampleTokens, SampleVerdicts, SampleRewards):
    """The samples of one stratum on this rank in one step: N of them, at most T response tokens each; N may be 0.

    Floats are float64. Tokens, verdicts and rewards are described in the three classes it is made of.

    Attributes:
        prompt: int [N], which of the step's prompts on this rank a sample belongs to. A prompt that a step brings twice
            counts as two.
        text: int [N], equal for samples whose responses are the same text.
        baseline: bool [N], True for a prompt's baseline response, of which there are some only where the optimiser
            has `Need.BASELINES`. Its calibrated reward is 0.5.
    """

    prompt: Tensor
    text: Tensor
    baseline: Tensor

    @classmethod
    def join(
        cls,
        tokens: SampleTokens,
        verdicts: SampleVerdicts,
        rewards: SampleRewards,
        *,
        prompt: Tensor,
        text: Tensor,
        baseline: Tensor,
    ) -> StratumBatch:
        """The batch of the same N samples' tokens, verdicts and rewards."""
        return cls(**vars(tokens), **vars(verdicts), **vars(rewards), prompt=prompt, text=text, baseline=baseline)


@dataclass(frozen=True)
class Loss:
    """What an optimiser makes of a step.

    Attributes:
        value: scalar, this rank's part of the stratum's loss: the sum over ranks is the loss.
        metrics: numbers to log, already reduced over ranks.
        notes: sentences a person should read, with the numbers: why nothing can be learnt, say. Equal on every rank.
    """

    value: Tensor
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


S = TypeVar("S", bound=OptimizerSettings)


class StratumOptimizer(ABC, Generic[S]):
    """One optimiser with its settings. Register it under the entry-point group `cgpo.optimizers`."""

    Settings: ClassVar[type[OptimizerSettings]]
    """The pydantic class of its settings."""

    def __init__(self, settings: S) -> None:
        self.settings = settings

    @property
    def needs(self) -> frozenset[Need]:
        """What it wants from a step beyond samples, verdicts, rewards and log-probs."""
        return frozenset()

    @abstractmethod
    def loss(self, batch: StratumBatch, ranks: Ranks) -> Loss:
        """The loss of one step. Called on every rank, also where N is 0, and once more for each further epoch."""

    def update(self, batch: StratumBatch, ranks: Ranks) -> None:
        """Brings its own state forward, once a step, after the policy has learnt. Most optimisers have none."""

    def state_dict(self) -> dict[str, Any]:
        """What must survive a resume, as JSON-ready data; most optimisers have no state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores `state_dict`."""
        if state:
            raise ValueError(f"{type(self).__name__} has no state, but the checkpoint holds {sorted(state)}")


@dataclass(frozen=True)
class Surrogate:
    """A loss differentiated by the samples' log-probs and values.

    Attributes:
        coefficient: [N, T], −∂L/∂log π_w of each response token: the factor before ∇ log π_w in the direction of
            ascent. Samples whose coefficients are all 0 are not computed.
        value_coefficient: [N, T], ∂L/∂V, or None without values.
        loss: the stratum's loss, summed over ranks.
        metrics: numbers to log.
        notes: sentences for a person.
    """

    coefficient: Tensor
    value_coefficient: Tensor | None
    loss: float
    metrics: Mapping[str, float]
    notes: tuple[str, ...] = ()


def differentiate(optimizer: StratumOptimizer[Any], batch: StratumBatch, ranks: Ranks) -> Surrogate:
    """The surrogate of an optimiser's loss. Called on every rank, also where N is 0.

    Raises:
        RunError: the loss or its derivative is not finite, on whichever rank; raised on all of them. So is whatever
            the optimiser raises.
    """
    with ranks.together():
        return _differentiate(optimizer, batch, ranks)


def _differentiate(optimizer: StratumOptimizer[Any], batch: StratumBatch, ranks: Ranks) -> Surrogate:
    import torch

    logprobs = batch.logprobs.detach().clone().requires_grad_()
    values = None if batch.values is None else batch.values.detach().clone().requires_grad_()
    loss = optimizer.loss(replace(batch, logprobs=logprobs, values=values), ranks)
    inputs = [logprobs] if values is None else [logprobs, values]
    derivatives: list[Tensor | None] = [None] * len(inputs)
    if loss.value.requires_grad:
        derivatives = list(torch.autograd.grad(loss.value, inputs, allow_unused=True))
    inside = batch.mask
    gradients = [torch.zeros_like(batch.logprobs) if g is None else g * inside for g in derivatives]
    broken = not all(bool(g.isfinite().all()) for g in gradients)
    total, broken_ranks = ranks.sum([float(loss.value.detach()), float(broken)])
    if broken_ranks or not math.isfinite(total):
        raise RunError(
            f"the loss of the optimiser {optimizer.settings.name} or its derivative is not finite ({total}): the "
            "policy has diverged, or the optimiser let an unknown reward into its loss"
        )
    value_coefficient = None if values is None else gradients[1]
    return Surrogate(0 - gradients[0], value_coefficient, total, loss.metrics, loss.notes)
