"""Online DPO (Guo et al. 2024, "Direct Language Model Alignment from Online AI Feedback", arXiv 2402.04792).

    per prompt   a⁺ = highest s, a⁻ = lowest s among its responses; s as in `scalar_reward`
    loss = − 1/n Σ_pairs log sigmoid( β·log_ratio(a⁺) − β·log_ratio(a⁻) )

with log_ratio = log π_w(a|s) − log π_ref(a|s) in nats per response and n the stratum's prompts with at least one
response that takes part, on all ranks. The default β = 0.1 is the paper's.

What gives no pair: responses of equal s, a single response, the same text twice. Among equals the first counts.

Deviations: the paper asks a model which of two responses is better; here the scalar reward says so, and the two are
the best and the worst of any number. Responses whose verdict or reward is unknown take part in nothing. The difference
to CODPO: a violation costs a penalty, so that a violating response can be chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from cgpo.optimizers.base import Loss, Ranks, StratumBatch, StratumOptimizer
from cgpo.optimizers.baselines.scalar_reward import PenaltySettings, scalar_reward, usable
from cgpo.optimizers.preference import log_sigmoid, preference_margin

if TYPE_CHECKING:
    from torch import Tensor


class OnlineDpoSettings(PenaltySettings):
    """Settings of online DPO."""

    min_generations: ClassVar[int] = 2

    name: Literal["online_dpo"] = "online_dpo"
    beta: float = Field(default=0.1, gt=0)
    """β, how strongly the policy is held to the reference: larger is stricter."""


def best_against_worst(batch: StratumBatch, score: Tensor, among: Tensor) -> list[tuple[int, int]]:
    """(a⁺, a⁻) as indices of samples, one for each prompt that has such a pair.

    Args:
        batch: the samples.
        score: [N].
        among: bool [N], the samples that take part.
    """
    scores, texts, prompts = score.tolist(), batch.text.tolist(), batch.prompt.tolist()
    groups: dict[int, list[int]] = {}
    for i in among.nonzero().flatten().tolist():
        groups.setdefault(prompts[i], []).append(i)
    extremes = [(max(group, key=scores.__getitem__), min(group, key=scores.__getitem__)) for group in groups.values()]
    return [(a, b) for a, b in extremes if scores[a] > scores[b] and texts[a] != texts[b]]


class OnlineDpo(StratumOptimizer[OnlineDpoSettings]):
    """Online DPO on a scalar reward."""

    Settings = OnlineDpoSettings

    def loss(self, batch: StratumBatch, ranks: Ranks) -> Loss:
        among = usable(batch)
        score = scalar_reward(batch, self.settings.penalties_of(list(batch.violated)), self.settings)
        pairs = best_against_worst(batch, score, among)
        prompts = len(set(batch.prompt[among].tolist()))
        margin, n, metrics = preference_margin(batch, pairs, self.settings.beta, prompts, ranks)
        samples, total = ranks.sum([float(among.sum()), float(score.sum())])
        if n == 0:
            return Loss(batch.logprobs.sum() * 0)
        return Loss(-log_sigmoid(margin).sum() / n, {"scalar_reward": total / samples, **metrics})
