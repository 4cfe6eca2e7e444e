"""GRPO – group relative policy optimisation (Shao et al. 2024, DeepSeekMath, arXiv 2402.03300, eqs. 3–4).

    A_i = (s_i − mean s) / std s                  over the prompt's responses; s as in `scalar_reward`
    L   = − avg_t min( ρ_t · A_i , clip(ρ_t, 1 ± ε) · A_i )  +  β · avg_t ( e^d − d − 1 ),   d = log π_ref − log π_w

avg is the mean over responses of their means over tokens, as in the paper, ρ the ratio to the policy that generated;
the second term estimates KL(π_w ‖ π_ref) token by token (k3). Defaults: β = 0.04, the paper's; ε = 0.2, PPO's.

Variants by a setting:
  - `average: tokens` – the mean over all tokens of the stratum (DAPO, Yu et al. 2025, arXiv 2503.14476);
  - `average: sums`, `normalise_by_std: false` – Dr. GRPO (Liu et al. 2025, arXiv 2503.20783), up to its constant;
  - `combine: normalise_then_sum` – GDPO (arXiv 2601.05242): each reward and penalty is normalised over the prompt's
    responses, their weighted sum is divided by its standard deviation over the stratum on all ranks.

Deviations: responses whose verdict or reward is unknown take part in nothing – mean, spread, averages, KL; 1e-4 is
added to standard deviations, as most implementations do. Without spread A = 0, and only KL is left of a prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from cgpo.optimizers.base import Loss, Ranks, StratumBatch, StratumOptimizer
from cgpo.optimizers.baselines.scalar_reward import PenaltySettings, scalar_reward, usable, zero_spread_rate
from cgpo.optimizers.moments import SPREAD_FLOOR, group_mean, group_zscore, stratum_moments
from cgpo.optimizers.policy_gradient import Average, PolicyGradientSettings, policy_gradient_loss, token_weight

if TYPE_CHECKING:
    from torch import Tensor


class GrpoSettings(PenaltySettings, PolicyGradientSettings):
    """Settings of GRPO."""

    min_generations: ClassVar[int] = 2

    name: Literal["grpo"] = "grpo"
    clip_range: float | None = Field(default=0.2, gt=0)
    """ε: how far a token's probability may move from the rollout's, as a ratio, before it earns nothing more."""
    kl_coefficient: float = Field(default=0.04, ge=0)
    """β of the KL term in the loss; 0 leaves it out."""
    average: Average = "response_means"
    """`response_means` as in the paper, `tokens` as in DAPO, `sums` as in Dr. GRPO."""
    normalise_by_std: bool = True
    """Divide by the standard deviation of the prompt's responses. Off: only their mean is taken off (Dr. GRPO)."""

    @model_validator(mode="after")
    def _one_normalisation(self) -> GrpoSettings:
        if self.combine == "normalise_then_sum" and not self.normalise_by_std:
            raise ValueError("`normalise_by_std: false` contradicts `combine: normalise_then_sum`, which divides by it")
        return self


class Grpo(StratumOptimizer[GrpoSettings]):
    """Group relative policy optimisation."""

    Settings = GrpoSettings

    def loss(self, batch: StratumBatch, ranks: Ranks) -> Loss:
        s, among = self.settings, usable(batch)
        score = scalar_reward(batch, s.penalties_of(list(batch.violated)), s)
        advantage = self._advantage(score, batch, among, ranks)
        weight = token_weight(batch, among, s.average, ranks)
        value, metrics = policy_gradient_loss(batch, advantage, weight, s, ranks)
        difference = batch.reference_logprobs - batch.logprobs
        kl = (weight * (difference.exp() - difference - 1)).sum()
        n, total, idle, prompts, estimate = ranks.sum(
            [float(among.sum()), float(score.sum()), *zero_spread_rate(advantage, batch, among), float(kl.detach())]
        )
        if n == 0:
            return Loss(batch.logprobs.sum() * 0)
        grpo_metrics = {"scalar_reward": total / n, "zero_spread_rate": idle / prompts, "kl_penalty": estimate}
        return Loss(value + s.kl_coefficient * kl, {**grpo_metrics, **metrics})

    def _advantage(self, score: Tensor, batch: StratumBatch, among: Tensor, ranks: Ranks) -> Tensor:
        """[N] how much better a response is than the others to its prompt."""
        if self.settings.combine == "normalise_then_sum":
            _, spread = stratum_moments(score, among, ranks)
            return score / (spread + SPREAD_FLOOR)  # its mean over every prompt is 0 already
        if self.settings.normalise_by_std:
            return group_zscore(score, batch.prompt, among)
        return (score - group_mean(score, batch.prompt, among)).where(among, score.new_zeros(()))
