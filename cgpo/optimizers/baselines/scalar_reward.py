"""The one number that the baselines make of a response's rewards and verdicts.

    sum_then_normalise      s_i = Σ_k w_k · r_k,i  −  Σ_j p_j · v_j,i
    normalise_then_sum      s_i = Σ_k w_k · z(r_k)_i  −  Σ_j p_j · z(v_j)_i

with r_k raw rewards, w_k the stratum's weights, v_j = 1 where judge j found a violation, p_j its penalty, and z the
distance from the mean in standard deviations (n − 1). In the first form what an optimiser does next (its baseline, its
division by a spread) sees the sum only: rewards of a large scale drown the others, and different mixes can look alike.
In the second each part has the same scale before it is weighted (GDPO, Liu et al. 2026, arXiv 2601.05242). z is taken
over the prompt's responses by GRPO, RLOO, online DPO and the Lagrangian, and over the stratum on all ranks by PPO,
which may have one response per prompt.

A response takes part only if its feasibility is known and every reward with a positive weight is there. CGPO's own
optimisers do not use this: there a violation is not a price.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from cgpo.config import OptimizerSettings
from cgpo.errors import unknown_name
from cgpo.optimizers.base import StratumBatch
from cgpo.optimizers.moments import group_zscore

if TYPE_CHECKING:
    from torch import Tensor

Penalty = Annotated[float, Field(ge=0)]


class WeightedSumSettings(OptimizerSettings):
    """How rewards and penalties become one number."""

    combine: Literal["sum_then_normalise", "normalise_then_sum"] = "sum_then_normalise"
    """Add raw rewards and penalties, or bring each to mean 0 and standard deviation 1 first."""


class PenaltySettings(WeightedSumSettings):
    """What a violation costs."""

    penalty: Penalty = 1.0
    """Taken off the reward for each judge that found a violation."""
    penalties: dict[str, Penalty] = Field(default={})
    """The same by judge, in place of `penalty`: {math: 2.0}."""

    def check_judges(self, names: Sequence[str]) -> None:
        refuse_unknown_judges("penalties", self.penalties, names)

    def penalties_of(self, judges: Sequence[str]) -> dict[str, float]:
        """Penalty by judge."""
        return {name: self.penalties.get(name, self.penalty) for name in judges}


def refuse_unknown_judges(setting: str, given: Mapping[str, float], judges: Sequence[str]) -> None:
    """Refuses a judge the stratum does not have.

    Raises:
        ValueError: with the stratum's judges and the nearest match.
    """
    for name in given:
        if name not in judges:
            raise ValueError(unknown_name("judge", name, judges, f"`optimizer.{setting}`"))


def usable(batch: StratumBatch) -> Tensor:
    """bool [N] the samples that take part: feasibility known, no reward missing."""
    among = batch.known & ~batch.baseline
    for name, weight in batch.weights.items():
        if weight > 0:
            among = among & batch.rewards[name].isfinite()
    return among


def scalar_reward(
    batch: StratumBatch,
    penalties: Mapping[str, float],
    settings: WeightedSumSettings,
    zscore: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """[N] s; 0 for samples that take no part.

    Args:
        batch: the samples.
        penalties: p by judge.
        settings: how to combine.
        zscore: z of one part, [N] → [N]; by default over the prompt's samples that take part.
    """
    among = usable(batch)
    parts = [(weight, batch.rewards[name]) for name, weight in batch.weights.items() if weight > 0]
    parts += [(-penalties[name], batch.violated[name].to(batch.reward.dtype)) for name in batch.violated]
    if settings.combine == "normalise_then_sum":
        zscore = zscore or (lambda part: group_zscore(part, batch.prompt, among))
        parts = [(weight, zscore(part)) for weight, part in parts]
    total = batch.reward.new_zeros(len(batch.reward))
    for weight, part in parts:
        total = total + weight * part
    return total.where(among, total.new_zeros(()))


def zero_spread_rate(advantage: Tensor, batch: StratumBatch, among: Tensor) -> tuple[float, float]:
    """(prompts whose samples all have advantage 0, prompts) on this rank, of those with samples `among`."""
    prompts = set(batch.prompt[among].tolist())
    with_signal = set(batch.prompt[among & (advantage != 0)].tolist())
    return float(len(prompts - with_signal)), float(len(prompts))
