"""What a stratum optimiser is: the small interface between the loop and an algorithm.

In one step the loop gives an optimiser all the samples of its stratum on this rank (`StratumBatch`) and a way to sum
over ranks. The optimiser answers with a `Surrogate`: which samples carry gradient, and for each the constant by which
∇ log π_w(a|s) is multiplied. The loop computes log π_w in micro-batches and back-propagates each micro-batch's loss;
their sum is the stratum's gradient.

This module and the optimisers' files are imported to validate settings, so they import torch for types only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from cgpo.config import OptimizerSettings

if TYPE_CHECKING:
    from torch import Tensor

SumOverRanks = Callable[[list[float]], list[float]]
"""Sums each number over all ranks (`cgpo.distributed.all_sum`)."""

MaxOverRanks = Callable[[float], float]
"""The largest number over all ranks (`cgpo.distributed.all_max`)."""


@dataclass(frozen=True)
class StratumBatch:
    """The samples of one stratum on this rank in one step; N may be 0.

    Attributes:
        satisfied: bool [N], every judge satisfied and the reward known.
        known: bool [N], False where feasibility is unknown; such a sample must not influence anything.
        calibrated_reward: float [N] in (0, 1); NaN exactly where a sample is not satisfied or unknown and has none.
        reward: float [N], raw weighted sum, only for ranking; NaN where missing.
        policy_logprob: float [N], log π_w(a|s) summed over the response's tokens, in nats, no gradient.
        reference_logprob: float [N], the same under π_ref.
        prompt: int [N], which of the step's prompts on this rank a sample belongs to.
        length: int [N], response tokens.
        text: int [N], equal for samples whose responses are the same text.
    """

    satisfied: Tensor
    known: Tensor
    calibrated_reward: Tensor
    reward: Tensor
    policy_logprob: Tensor
    reference_logprob: Tensor
    prompt: Tensor
    length: Tensor
    text: Tensor

    @property
    def log_ratio(self) -> Tensor:
        """[N] log π_w(a|s) − log π_ref(a|s), in nats per response."""
        return self.policy_logprob - self.reference_logprob


@dataclass(frozen=True)
class Surrogate:
    """What an optimiser wants from a step.

    Attributes:
        coefficient: float [N]; the stratum's gradient (of ascent) is Σ_i coefficient_i · ∇ log π_w(a_i|s_i), summed
            over every rank's samples. Samples with coefficient 0 are not computed.
        metrics: numbers to log, already reduced over ranks.
    """

    coefficient: Tensor
    metrics: Mapping[str, float]


S = TypeVar("S", bound=OptimizerSettings)


class StratumOptimizer(ABC, Generic[S]):
    """One constrained optimiser with its settings. Register it under the entry-point group `cgpo.optimizers`."""

    Settings: ClassVar[type[OptimizerSettings]]
    """The pydantic class of its settings."""

    def __init__(self, settings: S) -> None:
        self.settings = settings

    @abstractmethod
    def surrogate(self, batch: StratumBatch, all_sum: SumOverRanks, all_max: MaxOverRanks) -> Surrogate:
        """The coefficients of one step. Called on every rank, also where N is 0."""

    def state_dict(self) -> dict[str, Any]:
        """What must survive a resume; most optimisers have no state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores `state_dict`."""
        if state:
            raise ValueError(f"{type(self).__name__} has no state, but the checkpoint holds {sorted(state)}")
