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

Options beyond the paper, off by default:
  - `kl_factor_max` caps the KL factor.
  - `mean_over: prompt` measures R̃ against the mean of the prompt's own samples, so that easy and hard prompts are not
    compared with each other; `other_responses` against the mean of the prompt's *other* samples (leave one out).
  - `kl_per_token`: each token answers for the log-ratio from it to the end instead of the whole response's. It changes
    the objective: what a token could not influence no longer counts against it.
  - `partial_credit`: an infeasible sample that satisfies a share c of its constraints has
    R̃ = `partial_credit` · c · (what it would have if it were feasible), so that a stratum in which everything is
    violated still has a signal. Violations then earn something: keep it small, and only as long as needed.
  - clipping, importance weights and averages over tokens of `cgpo.optimizers.policy_gradient`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cgpo.optimizers.base import Loss, Ranks, StratumBatch, StratumOptimizer
from cgpo.optimizers.beyond_kl import beyond_kl_max
from cgpo.optimizers.moments import group_mean, stratum_moments
from cgpo.optimizers.policy_gradient import PolicyGradientSettings, policy_gradient_loss, token_weight

if TYPE_CHECKING:
    from torch import Tensor


class CrpgSettings(PolicyGradientSettings):
    """Settings of CRPG."""

    name: Literal["crpg"] = "crpg"
    kl_max: float = Field(default=10.0, gt=0)
    """KL_max in nats per response: a sample this far from the reference earns nothing."""
    kl_factor_max: float | None = Field(default=None, gt=0)
    """Cap of the factor 1 − log_ratio / KL_max. Unset: none, as in the paper."""
    mean_over: Literal["stratum", "prompt", "other_responses"] = "stratum"
    """What R̃ is measured against: its mean over the stratum's samples (the paper), over the prompt's, or over the
    prompt's other samples."""
    kl_per_token: bool = False
    """Take the log-ratio from each token to the end in place of the whole response's."""
    partial_credit: float = Field(default=0.0, ge=0, le=1)
    """What an infeasible sample earns per share of its constraints that it satisfies; 0 as in the paper."""

    def fewest_generations(self) -> int:
        # Alone with its prompt a sample is its own mean: the gradient would be zero in every step.
        return 1 if self.mean_over == "stratum" else 2


def kl_factor(log_ratio: Tensor, kl_max: float, kl_factor_max: float | None = None) -> Tensor:
    """max(1 − log_ratio / KL_max, 0), capped at `kl_factor_max` if given; any shape."""
    return (1 - log_ratio / kl_max).clamp(min=0, max=kl_factor_max)


def earned(batch: StratumBatch, partial_credit: float = 0.0) -> Tensor:
    """[N] R_calib · 1[feasible], eq. 10 without its KL factor, with the option of partial credit.

    Where a sample is not satisfied and has no partial credit it is 0, even if its calibrated reward is NaN.
    """
    zero = batch.calibrated_reward.new_zeros(())
    full = batch.calibrated_reward.where(batch.satisfied & batch.known, zero)
    if not partial_credit:
        return full
    partly = ~batch.satisfied & batch.known & ~batch.calibrated_reward.isnan()
    return full + (partial_credit * batch.credit * batch.calibrated_reward).where(partly, zero)


class Crpg(StratumOptimizer[CrpgSettings]):
    """Calibrated-regularised policy gradient."""

    Settings = CrpgSettings

    def loss(self, batch: StratumBatch, ranks: Ranks) -> Loss:
        s, known = self.settings, batch.known
        reward = earned(batch, s.partial_credit)
        factor = kl_factor(batch.log_ratio, s.kl_max, s.kl_factor_max)
        regularised = factor * reward
        n = ranks.sum([float(known.sum())])[0]
        over_stratum, _ = stratum_moments(regularised, known, ranks)
        largest = ranks.max(float(factor[known].max()) if bool(known.any()) else float("-inf"))
        limit, note = beyond_kl_max(
            batch.log_ratio, batch.satisfied & known, batch.log_ratio >= s.kl_max, s.kl_max, ranks
        )
        if n == 0:
            return Loss(batch.logprobs.sum() * 0)
        mean = self._mean(regularised, over_stratum, batch)
        per_token = self._factor_per_token(batch) * reward[:, None] if s.kl_per_token else regularised[:, None]
        advantage = (per_token - mean[:, None]).where(known[:, None], per_token.new_zeros(()))
        weight = token_weight(batch, known, s.average, ranks)
        value, policy_metrics = policy_gradient_loss(batch, advantage, weight, s, ranks)
        metrics = {"regularised_reward": over_stratum, "kl_factor_largest": largest, **limit, **policy_metrics}
        return Loss(value, metrics, (note,) if note else ())

    def _mean(self, regularised: Tensor, over_stratum: float, batch: StratumBatch) -> Tensor:
        if self.settings.mean_over == "stratum":
            return regularised.new_full(regularised.shape, over_stratum)
        leave_one_out = self.settings.mean_over == "other_responses"
        return group_mean(regularised, batch.prompt, batch.known, leave_one_out=leave_one_out)

    def _factor_per_token(self, batch: StratumBatch) -> Tensor:
        """[N, T] the KL factor of the log-ratio from each token to the end."""
        log_ratio = batch.old_logprobs - batch.reference_logprobs
        to_go = log_ratio.flip(1).cumsum(1).flip(1)
        return kl_factor(to_go, self.settings.kl_max, self.settings.kl_factor_max)
