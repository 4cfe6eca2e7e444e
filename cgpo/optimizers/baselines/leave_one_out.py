"""The loss that RLOO and the Lagrangian share: each response against the mean of the others to its prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgpo.optimizers.base import Loss, Ranks, StratumBatch
from cgpo.optimizers.baselines.scalar_reward import usable, zero_spread_rate
from cgpo.optimizers.moments import group_mean
from cgpo.optimizers.policy_gradient import PolicyGradientSettings, policy_gradient_loss, token_weight

if TYPE_CHECKING:
    from torch import Tensor


def leave_one_out_loss(
    batch: StratumBatch, score: Tensor, kl_coefficient: float, settings: PolicyGradientSettings, ranks: Ranks
) -> Loss:
    """The loss and its metrics; none where no response takes part.

    Args:
        batch: the samples.
        score: [N], what a response earns before its log-ratio is paid for.
        kl_coefficient: what a nat of log-ratio costs.
        settings: averages, clipping, importance weights.
        ranks: reductions.
    """
    among = usable(batch)
    earned = score - kl_coefficient * batch.log_ratio
    others = group_mean(earned, batch.prompt, among, leave_one_out=True)
    advantage = (earned - others).where(among, earned.new_zeros(()))
    weight = token_weight(batch, among, settings.average, ranks)
    value, metrics = policy_gradient_loss(batch, advantage, weight, settings, ranks)
    n, total, idle, prompts = ranks.sum(
        [float(among.sum()), float(score[among].sum()), *zero_spread_rate(advantage, batch, among)]
    )
    if n == 0:
        return Loss(batch.logprobs.sum() * 0)
    return Loss(value, {"scalar_reward": total / n, "zero_spread_rate": idle / prompts, **metrics})
