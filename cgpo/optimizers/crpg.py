"""CRPG – calibrated-regularised policy gradient (CGPO, arXiv 2409.20370, eqs. 10–12).

    R̃_i = max(1 − log_ratio_i / KL_max, 0) · R_calib_i · 1[a_i feasible]          a constant for the gradient
    g   = 1/n Σ_i ∇ log π_w(a_i|s_i) · (R̃_i − mean_j R̃_j)

with log_ratio_i = log π_w(a_i|s_i) − log π_ref(a_i|s_i) in nats per response. n and the mean run over every sample
of the stratum in the step whose R̃ is known, on all ranks – not per prompt and not per device.

What follows from it: a violating sample has R̃ = 0 and is pushed down whenever the mean is positive, and so is a
feasible one beyond KL_max. If every sample violates, every R̃ and the mean are 0 and the gradient is exactly zero.
The KL factor exceeds 1 where log_ratio < 0; the paper does not clip it there and neither do we by default.

Deviations from the paper:
  - Feasible means *every* judge is satisfied: the paper's prose; its Algorithm 1 prints OR.
  - Samples whose verdict or reward is unknown are left out of n, of the mean and of the sum.
  - `kl_factor_max` (off by default) caps the KL factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cgpo.config import OptimizerSettings
from cgpo.optimizers.base import MaxOverRanks, StratumBatch, StratumOptimizer, SumOverRanks, Surrogate

if TYPE_CHECKING:
    from torch import Tensor


class CrpgSettings(OptimizerSettings):
    """Settings of CRPG."""

    name: Literal["crpg"] = "crpg"
    kl_max: float = Field(default=10.0, gt=0)
    """KL_max in nats per response: a sample this far from the reference earns nothing."""
    kl_factor_max: float | None = Field(default=None, gt=0)
    """Cap of the factor 1 − log_ratio / KL_max. Unset: none, as in the paper."""


def kl_factor(log_ratio: Tensor, kl_max: float, kl_factor_max: float | None = None) -> Tensor:
    """[N] max(1 − log_ratio / KL_max, 0), capped at `kl_factor_max` if given."""
    return (1 - log_ratio / kl_max).clamp(min=0, max=kl_factor_max)


def regularised_reward(factor: Tensor, calibrated_reward: Tensor, satisfied: Tensor) -> Tensor:
    """[N] R̃, eq. 10. Where a sample is not satisfied R̃ is 0, even if its calibrated reward is NaN."""
    return (factor * calibrated_reward).where(satisfied, factor.new_zeros(()))


class Crpg(StratumOptimizer[CrpgSettings]):
    """Calibrated-regularised policy gradient."""

    Settings = CrpgSettings

    def surrogate(self, batch: StratumBatch, all_sum: SumOverRanks, all_max: MaxOverRanks) -> Surrogate:
        known = batch.known
        factor = kl_factor(batch.log_ratio, self.settings.kl_max, self.settings.kl_factor_max)
        reward = regularised_reward(factor, batch.calibrated_reward, batch.satisfied & known)
        beyond = (batch.satisfied & known & (factor == 0)).sum()
        n, total, beyond_total = all_sum([float(known.sum()), float(reward.double().sum()), float(beyond)])
        if n == 0:
            return Surrogate(reward.new_zeros(reward.shape), {})
        mean = total / n
        coefficient = ((reward - mean) / n).where(known, reward.new_zeros(()))
        largest = all_max(float(factor[known].max()) if bool(known.any()) else float("-inf"))
        metrics = {
            "regularised_reward": mean,
            "kl_factor_largest": largest,
            "beyond_kl_max": beyond_total / n,
        }
        return Surrogate(coefficient, metrics)
