"""PPO – proximal policy optimisation with a value head, as it is used for RLHF.

    r_t = − β · ( log π_old(a_t) − log π_ref(a_t) )  +  [t is the last token] · s              (a)
    δ_t = r_t + γ · V(s_t+1) − V(s_t),    A_t = Σ_l (γλ)^l · δ_t+l,    R_t = A_t + V(s_t)      (b)
    L   = − avg_t min( ρ_t · Â_t , clip(ρ_t, 1 ± ε) · Â_t )                                    (c)
          + c_v · avg_t ½ max( (V − R_t)² , (clip(V, V_old ± ε_v) − R_t)² )                    (d)

(a) reward at the end, KL penalty at every token: InstructGPT (Ouyang et al. 2022, arXiv 2203.02155, eq. 2); s as in
`scalar_reward`. (b) generalised advantage estimation (Schulman et al. 2015, arXiv 1506.02438, eq. 16), with the values
V_old of the policy that generated; the value after the last token is 0. (c) Schulman et al. 2017, arXiv 1707.06347,
eq. 7; Â are the A_t with mean 0 and standard deviation 1 over the tokens of the stratum on all ranks, avg is the mean
over the same tokens. (d) the clipped value loss of the authors' code.

Defaults: β = 0.02, γ = 1 and λ = 0.95 are InstructGPT's, ε = ε_v = 0.2 and c_v = 0.1 those of TRL's PPO. Clipping has
an effect with `train.epochs_per_step` > 1 only.

Deviations:
  - The value head is a linear output on the policy's last hidden states, starting at 0, and its gradient goes into the
    policy's weights too; InstructGPT trains a value model of its own.
  - A response cut off at the token limit counts as ended.
  - Responses whose verdict or reward is unknown take part in nothing, the value loss included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cgpo.optimizers.base import Loss, Need, Ranks, StratumBatch, StratumOptimizer
from cgpo.optimizers.baselines.scalar_reward import PenaltySettings, scalar_reward, usable
from cgpo.optimizers.moments import stratum_zscore
from cgpo.optimizers.policy_gradient import Average, PolicyGradientSettings, policy_gradient_loss, token_weight

if TYPE_CHECKING:
    from torch import Tensor


class PpoSettings(PenaltySettings, PolicyGradientSettings):
    """Settings of PPO."""

    name: Literal["ppo"] = "ppo"
    clip_range: float | None = Field(default=0.2, gt=0)
    """ε: how far a token's probability may move from the rollout's, as a ratio, before it earns nothing more."""
    average: Average = "tokens"
    """`tokens`: the mean over all tokens of the stratum. `response_means`, `sums`: the mean over responses of their
    means or sums over tokens."""
    kl_coefficient: float = Field(default=0.02, ge=0)
    """β, what a nat of log-ratio costs, at the token where it arises."""
    gamma: float = Field(default=1.0, gt=0, le=1)
    """γ, discount per token."""
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    """λ of the advantage estimate: 1 trusts the rewards that followed alone, 0 the value of the next state."""
    value_coefficient: float = Field(default=0.1, gt=0)
    """c_v, weight of the value loss."""
    value_clip_range: float | None = Field(default=0.2, gt=0)
    """ε_v: how far a value may move from the rollout's before it learns nothing more. null: no clipping."""
    whiten_advantages: bool = True
    """Bring advantages to mean 0 and standard deviation 1 over the stratum's tokens."""


def generalised_advantages(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, gae_lambda: float) -> Tensor:
    """[N, T] A_t; 0 beyond a response's end.

    Args:
        rewards: [N, T], r_t.
        values: [N, T], V(s_t).
        mask: bool [N, T], True on response tokens, which start at 0.
        gamma: discount per token.
        gae_lambda: λ.
    """
    advantages = rewards.new_zeros(rewards.shape)
    zero = rewards.new_zeros(len(rewards))
    advantage, next_value = zero, zero
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        advantage = (delta + gamma * gae_lambda * advantage).where(mask[:, t], zero)
        next_value = values[:, t].where(mask[:, t], zero)
        advantages[:, t] = advantage
    return advantages


class Ppo(StratumOptimizer[PpoSettings]):
    """Proximal policy optimisation with a value head."""

    Settings = PpoSettings

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({Need.VALUES})

    def loss(self, batch: StratumBatch, ranks: Ranks) -> Loss:
        s, among = self.settings, usable(batch)
        assert batch.values is not None, "the loop gives values to optimisers with Need.VALUES"
        assert batch.old_values is not None
        penalties = s.penalties_of(list(batch.violated))
        score = scalar_reward(batch, penalties, s, lambda part: stratum_zscore(part, among, ranks))
        rewards = self._token_rewards(batch, score)
        advantage = generalised_advantages(rewards, batch.old_values, batch.mask, s.gamma, s.gae_lambda)
        returns = advantage + batch.old_values
        tokens = batch.mask & among[:, None]
        if s.whiten_advantages:
            advantage = stratum_zscore(advantage, tokens, ranks)
        weight = token_weight(batch, among, s.average, ranks)
        value, metrics = policy_gradient_loss(batch, advantage, weight, s, ranks)
        value_loss = (weight * self._value_errors(batch.values, batch.old_values, returns)).sum() / 2
        n, total, errors = ranks.sum([float(among.sum()), float(score.sum()), float(value_loss.detach())])
        if n == 0:
            return Loss(batch.logprobs.sum() * 0)
        metrics = {"scalar_reward": total / n, "value_loss": errors, **metrics}
        return Loss(value + s.value_coefficient * value_loss, metrics)

    def _token_rewards(self, batch: StratumBatch, score: Tensor) -> Tensor:
        """[N, T] r_t: the KL penalty at every token, the score at the last."""
        position = batch.mask.cumsum(1)
        last = batch.mask & (position == batch.length[:, None])
        penalty = self.settings.kl_coefficient * (batch.old_logprobs - batch.reference_logprobs)
        return score[:, None] * last - penalty

    def _value_errors(self, values: Tensor, old_values: Tensor, returns: Tensor) -> Tensor:
        """[N, T] the squared error of the value, or of the clipped value where that is larger."""
        errors = (values - returns).square()
        limit = self.settings.value_clip_range
        if limit is None:
            return errors
        clipped = old_values + (values - old_values).clamp(-limit, limit)
        return errors.maximum((clipped - returns).square())
