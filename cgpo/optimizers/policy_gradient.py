"""The policy-gradient loss that CRPG and the baselines PPO, GRPO, RLOO and the Lagrangian share.

    L = − 1/n Σ_i Σ_t  u_i,t · min( ρ_i,t · A_i,t ,  clip(ρ_i,t, 1 − ε, 1 + ε) · A_i,t ) · 1/|a_i| if length-normalised
    ρ_i,t = π_w(a_i,t) / π_old(a_i,t)          1 in a step's first epoch, where ∇L = − 1/n Σ A · ∇ log π_w
    u_i,t = min( π_old(a_i,t) / π_engine(a_i,t), C )          truncated importance weight, 1 if C is not set

ρ is taken token by token (Schulman et al. 2017, arXiv 1707.06347, eq. 7); without ε there is no clipping. u corrects
for the gap between the engine that sampled and the trainer that learns (Yao et al. 2025, "Your efficient RL framework
secretly brings you off-policy RL training"). All of it is off by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from cgpo.config import OptimizerSettings
from cgpo.optimizers.base import Ranks, StratumBatch

if TYPE_CHECKING:
    from torch import Tensor


class PolicyGradientSettings(OptimizerSettings):
    """Settings of every policy-gradient optimiser."""

    clip_range: float | None = Field(default=None, gt=0)
    """ε: how far a token's probability may move from the rollout's, as a ratio, before it earns nothing more. Matters
    with `train.epochs_per_step` > 1 only. Unset: no clipping."""
    importance_weight_max: float | None = Field(default=None, gt=0)
    """C: weigh each token by π_trainer / π_engine, at most this. Unset: the engine's samples count as the policy's."""
    length_normalised: bool = False
    """Divide a response's sum over tokens by their number, so that long responses do not weigh more."""


def policy_gradient_loss(
    batch: StratumBatch, advantage: Tensor, n: float, settings: PolicyGradientSettings, ranks: Ranks
) -> tuple[Tensor, dict[str, float]]:
    """The loss and its metrics.

    Args:
        batch: the samples.
        advantage: [N] or [N, T], a constant; 0 for samples that are not in the sum.
        n: what the sum is divided by, over all ranks.
        settings: clipping, importance weights, length normalisation.
        ranks: reductions.
    """
    advantage = (advantage[:, None] if advantage.dim() == 1 else advantage) * batch.mask
    ratio = (batch.logprobs - batch.old_logprobs).exp()
    objective = ratio * advantage
    metrics: dict[str, float] = {}
    if settings.clip_range is not None:
        clipped = ratio.clamp(1 - settings.clip_range, 1 + settings.clip_range) * advantage
        metrics["clip_rate"] = _share((clipped < objective).detach(), advantage != 0, ranks)
        objective = objective.minimum(clipped)
    if settings.importance_weight_max is not None:
        weight = (batch.old_logprobs - batch.engine_logprobs).exp()
        metrics["importance_truncated_rate"] = _share(weight > settings.importance_weight_max, advantage != 0, ranks)
        objective = objective * weight.clamp(max=settings.importance_weight_max)
    if settings.length_normalised:
        objective = objective / batch.length.clamp(min=1)[:, None]
    return -objective.sum() / n, metrics


def group_mean(values: Tensor, prompt: Tensor, among: Tensor, *, leave_one_out: bool = False) -> Tensor:
    """[N] the mean of each sample's prompt, over the samples that are `among`.

    Args:
        values: [N].
        prompt: int [N].
        among: bool [N]; the others neither count nor matter (NaN among them does no harm).
        leave_one_out: the mean of the *other* samples of the prompt; a sample alone gets its own value, so that what
            is measured against the mean is 0.
    """
    used = values.where(among, values.new_zeros(()))
    if len(values) == 0:
        return used
    size = int(prompt.max()) + 1
    total = used.new_zeros(size).index_add(0, prompt, used)[prompt]
    count = used.new_zeros(size).index_add(0, prompt, among.to(used.dtype))[prompt]
    if not leave_one_out:
        return total / count.clamp(min=1)
    return ((total - used) / (count - 1).clamp(min=1)).where(count > 1, used)


def _share(event: Tensor, among: Tensor, ranks: Ranks) -> float:
    """The share of tokens with the event among those that are in the sum, over all ranks; 0 of none is 0."""
    hits, all_tokens = ranks.sum([float((event & among).sum()), float(among.sum())])
    return hits / all_tokens if all_tokens else 0.0
