"""RLOO – REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024, arXiv 2402.14740).

    R_i = s_i − β · log_ratio_i                                        the limit on KL is part of the reward
    g   = 1/n Σ_i ( R_i − mean of R over the prompt's *other* responses ) · ∇ log π_w(a_i|s_i)

with s as in `scalar_reward`, log_ratio in nats per response, and n the stratum's responses on all ranks that take part.
The default β = 0.05 is TRL's. `combine: normalise_then_sum` normalises rewards and penalties over the prompt's
responses before they are added; the log-ratio is not normalised.

Deviations: responses whose verdict or reward is unknown take part in nothing; one left alone with its prompt gives no
gradient. With `train.epochs_per_step` > 1 the ratio to the policy that generated stands before each token's gradient,
clipped if `clip_range` is set (the paper takes one step per rollout).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cgpo.optimizers.base import Loss, Ranks, StratumBatch, StratumOptimizer
from cgpo.optimizers.baselines.leave_one_out import leave_one_out_loss
from cgpo.optimizers.baselines.scalar_reward import PenaltySettings, scalar_reward
from cgpo.optimizers.policy_gradient import PolicyGradientSettings


class RlooSettings(PenaltySettings, PolicyGradientSettings):
    """Settings of RLOO."""

    min_generations: ClassVar[int] = 2

    name: Literal["rloo"] = "rloo"
    kl_coefficient: float = Field(default=0.05, ge=0)
    """β, what a nat of log-ratio costs."""


class Rloo(StratumOptimizer[RlooSettings]):
    """REINFORCE with a leave-one-out baseline."""

    Settings = RlooSettings

    def loss(self, batch: StratumBatch, ranks: Ranks) -> Loss:
        score = scalar_reward(batch, self.settings.penalties_of(list(batch.violated)), self.settings)
        return leave_one_out_loss(batch, score, self.settings.kl_coefficient, self.settings, ranks)
