"""The policy-gradient loss that CRPG and the baselines PPO, GRPO, RLOO and the Lagrangian share.

    L = − Σ_i Σ_t  m_i,t · u_i,t · min( ρ_i,t · A_i,t ,  clip(ρ_i,t, 1 − ε, 1 + ε) · A_i,t )
    ρ_i,t = π_w(a_i,t) / π_old(a_i,t)          1 in a step's first epoch, where ∇L = − Σ m · A · ∇ log π_w
    u_i,t = min( π_old(a_i,t) / π_engine(a_i,t), C )          truncated importance weight, 1 if C is not set
    m_i,t = 1/n  or  1/(n · |a_i|)  or  1/Σ_j |a_j|           how tokens are averaged (`average`)

with n the responses in the sum and |a| tokens, over all ranks. ρ is taken token by token (Schulman et al. 2017, arXiv
1707.06347, eq. 7); without ε there is no clipping. u corrects for the gap between the engine that sampled and the
trainer that learns (Yao et al. 2025, "Your efficient RL framework secretly brings you off-policy RL training").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cgpo.config import OptimizerSettings
from cgpo.optimizers.base import Ranks, StratumBatch

if TYPE_CHECKING:
    from torch import Tensor

Average = Literal["sums", "response_means", "tokens"]


class PolicyGradientSettings(OptimizerSettings):
    """Settings of every policy-gradient optimiser."""

    clip_range: float | None = Field(default=None, gt=0)
    """ε: how far a token's probability may move from the rollout's, as a ratio, before it earns nothing more. Matters
    with `train.epochs_per_step` > 1 only. null: no clipping."""
    importance_weight_max: float | None = Field(default=None, gt=0)
    """C: weigh each token by π_trainer / π_engine, at most this. Unset: the engine's samples count as the policy's."""
    average: Average = "sums"
    """`sums`: the mean over responses of their sums over tokens, the policy gradient of whole responses.
    `response_means`: of their means over tokens, so that long responses do not weigh more. `tokens`: the mean over all
    tokens of the stratum."""


def token_weight(batch: StratumBatch, among: Tensor, average: Average, ranks: Ranks) -> Tensor:
    """[N, T] what a response token counts in the average; 0 outside responses and for samples not `among` them.

    Args:
        batch: the samples.
        among: bool [N], the samples in the average.
        average: over what.
        ranks: reductions.
    """
    n, tokens = ranks.sum([float(among.sum()), float(batch.length[among].sum())])
    inside = (batch.mask & among[:, None]).to(batch.logprobs.dtype)
    if average == "tokens":
        return inside / max(tokens, 1)
    if average == "response_means":
        return inside / (max(n, 1) * batch.length.clamp(min=1)[:, None])
    return inside / max(n, 1)


def policy_gradient_loss(
    batch: StratumBatch, advantage: Tensor, weight: Tensor, settings: PolicyGradientSettings, ranks: Ranks
) -> tuple[Tensor, dict[str, float]]:
    """The loss and its metrics.

    Args:
        batch: the samples.
        advantage: [N] or [N, T], a constant; finite where `weight` is 0, too.
        weight: [N, T], what a token counts (`token_weight`).
        settings: clipping and importance weights.
        ranks: reductions.
    """
    advantage = (advantage[:, None] if advantage.dim() == 1 else advantage) * (weight > 0)
    ratio = (batch.logprobs - batch.old_logprobs).exp()
    objective = ratio * advantage
    metrics: dict[str, float] = {}
    if settings.clip_range is not None:
        clipped = ratio.clamp(1 - settings.clip_range, 1 + settings.clip_range) * advantage
        metrics["clip_rate"] = _share((clipped < objective).detach(), advantage != 0, ranks)
        objective = objective.minimum(clipped)
    if settings.importance_weight_max is not None:
        correction = (batch.old_logprobs - batch.engine_logprobs).exp()
        cut = correction > settings.importance_weight_max
        metrics["importance_truncated_rate"] = _share(cut, advantage != 0, ranks)
        objective = objective * correction.clamp(max=settings.importance_weight_max)
    return -(weight * objective).sum(), metrics


def _share(event: Tensor, among: Tensor, ranks: Ranks) -> float:
    """The share of tokens with the event among those that are in the sum, over all ranks; 0 of none is 0."""
    hits, all_tokens = ranks.sum([float((event & among).sum()), float(among.sum())])
    return hits / all_tokens if all_tokens else 0.0
