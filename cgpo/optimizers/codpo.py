"""CODPO – constrained online DPO (CGPO, arXiv 2409.20370, eqs. 13–15).

    per prompt   a⁺ = highest reward among the feasible responses
                 a⁻ = lowest reward among the infeasible ones; where there is none, among the others
    loss = − 1/n Σ_pairs [ log sigmoid(m) + (λ/|a⁺|) · log π_w(a⁺|s) ],    m = β·log_ratio(a⁺) − β·log_ratio(a⁻)

with log_ratio = log π_w(a|s) − log π_ref(a|s) in nats per response, |a| in tokens, and n the stratum's prompts in the
step with at least one known verdict, on all ranks: a prompt that gives no pair counts in n. Its gradient is one factor
for each of a pair's two responses before ∇ log π_w:

    a⁺:  ( β·sigmoid(−m) + λ/|a⁺| ) / n               a⁻:  − β·sigmoid(−m) / n

What gives no pair: a prompt without a feasible response; one whose infeasible responses all lack a reward; one whose
pair would be the same text twice. Unknown responses are never chosen and never rejected. Among equal rewards the first
response counts. The bound on KL is β's: there is no `kl_max`.

Deviations from the paper:
  - Feasible means *every* judge is satisfied: the paper's prose; its Algorithm 1 prints OR.
  - The sign of the second term of (15), which is printed so that it would make the chosen response less likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from cgpo.config import OptimizerSettings
from cgpo.optimizers.base import Loss, Ranks, StratumBatch, StratumOptimizer
from cgpo.optimizers.preference import log_sigmoid, preference_margin


class CodpoSettings(OptimizerSettings):
    """Settings of CODPO."""

    min_generations: ClassVar[int] = 2

    name: Literal["codpo"] = "codpo"
    beta: float = Field(default=0.1, gt=0)
    """β, how strongly the policy is held to the reference: larger is stricter."""
    likelihood_weight: float = Field(default=1.0, ge=0)
    """λ, weight of the chosen response's mean log-probability per token."""


def pairs(batch: StratumBatch) -> list[tuple[int, int]]:
    """(a⁺, a⁻) as indices of samples, one for each prompt that has such a pair."""
    chosen_and_rejected = []
    for prompt in dict.fromkeys(batch.prompt.tolist()):
        samples = ((batch.prompt == prompt) & batch.known).nonzero().flatten().tolist()
        pair = _pair(samples, batch.satisfied.tolist(), batch.reward.tolist(), batch.text.tolist())
        if pair is not None:
            chosen_and_rejected.append(pair)
    return chosen_and_rejected


def _pair(
    samples: Sequence[int], satisfied: Sequence[bool], reward: Sequence[float], text: Sequence[int]
) -> tuple[int, int] | None:
    feasible = [i for i in samples if satisfied[i]]
    if not feasible:
        return None
    chosen = max(feasible, key=lambda i: reward[i])
    infeasible = [i for i in samples if not satisfied[i]]
    candidates = [i for i in infeasible or feasible if i != chosen and reward[i] == reward[i]]  # NaN: no reward
    if not candidates:
        return None
    rejected = min(candidates, key=lambda i: reward[i])
    return None if text[chosen] == text[rejected] else (chosen, rejected)


class Codpo(StratumOptimizer[CodpoSettings]):
    """Constrained online DPO."""

    Settings = CodpoSettings

    def loss(self, batch: StratumBatch, ranks: Ranks) -> Loss:
        chosen_and_rejected = pairs(batch)
        with_known = len(set(batch.prompt[batch.known].tolist()))
        with_feasible = len(set(batch.prompt[batch.known & batch.satisfied].tolist()))
        margin, n, metrics = preference_margin(batch, chosen_and_rejected, self.settings.beta, with_known, ranks)
        feasible = ranks.sum([float(with_feasible)])[0]
        if n == 0:
            return Loss(batch.logprobs.sum() * 0)
        chosen = [a for a, _ in chosen_and_rejected]
        likelihood = batch.logprob[chosen] / batch.length[chosen]
        value = -(log_sigmoid(margin) + self.settings.likelihood_weight * likelihood).sum() / n
        return Loss(value, {**metrics, "feasible_prompt_rate": feasible / n})
