"""CRRAFT – calibrated-regularised reward-ranking fine-tuning (CGPO, arXiv 2409.20370, eqs. 16–18).

    per prompt   keep the responses that are feasible and have log_ratio <= KL_max
                 a* = the one of highest reward among them; where none is kept, the baseline response ā if it is itself
                 feasible and within KL_max (its R_calib is 0.5); else the prompt is skipped
    loss = − 1/n Σ_prompts R_calib(s, a*) · log π_w(a*|s)

with log_ratio = log π(a|s) − log π_ref(a|s) of the policy that generated the responses, in nats per response, and n the
stratum's prompts in the step with at least one known verdict, on all ranks: a skipped prompt counts in n. Each chosen
response is made more likely, none less: the coefficient of ∇ log π_w is R_calib / n for a* and 0 for the others.

The raw weighted reward ranks; R_calib weighs. Among equal rewards the first response counts. Unknown responses are
never chosen. Baseline responses are judged like any other, do not count in n, and never compete with the prompt's own;
a prompt of whose own responses nothing is known is left out, with its baseline response.

Deviations from the paper:
  - Feasible means *every* judge is satisfied: the paper's prose; its Algorithm 1 prints OR.
  - Prompts without a known verdict are left out of n and of the sum.

Options beyond the paper, off by default:
  - `average: response_means` divides log π_w(a*|s) by the response's tokens: long responses no longer weigh more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cgpo.config import OptimizerSettings
from cgpo.optimizers.base import Loss, Need, Ranks, StratumBatch, StratumOptimizer
from cgpo.optimizers.beyond_kl import beyond_kl_max

if TYPE_CHECKING:
    from torch import Tensor


class CrraftSettings(OptimizerSettings):
    """Settings of CRRAFT."""

    name: Literal["crraft"] = "crraft"
    kl_max: float = Field(default=10.0, gt=0)
    """KL_max in nats per response: a sample further than this from the reference is not chosen."""
    average: Literal["sums", "response_means"] = "sums"
    """`sums`: the chosen response's log-probability. `response_means`: its mean over tokens."""


def chosen(batch: StratumBatch, eligible: Tensor) -> tuple[list[int], list[int]]:
    """The chosen samples as indices: the prompts' own responses, and the baseline responses of other prompts.

    Args:
        batch: the samples.
        eligible: bool [N], feasible and within the limit on KL.
    """
    responses = _best_by_prompt(batch, eligible & ~batch.baseline)
    without = _known_prompts(batch) - responses.keys()
    fallback = _best_by_prompt(batch, eligible & batch.baseline)
    return list(responses.values()), [i for prompt, i in fallback.items() if prompt in without]


def _known_prompts(batch: StratumBatch) -> set[int]:
    """The prompts with a known verdict on a response of their own."""
    return set(batch.prompt[batch.known & ~batch.baseline].tolist())


def _best_by_prompt(batch: StratumBatch, among: Tensor) -> dict[int, int]:
    prompt: Sequence[int] = batch.prompt.tolist()
    reward: Sequence[float] = batch.reward.tolist()
    best: dict[int, int] = {}
    for i in among.nonzero().flatten().tolist():
        if prompt[i] not in best or reward[i] > reward[best[prompt[i]]]:
            best[prompt[i]] = i
    return best


class Crraft(StratumOptimizer[CrraftSettings]):
    """Calibrated-regularised reward-ranking fine-tuning."""

    Settings = CrraftSettings

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({Need.BASELINES})

    def loss(self, batch: StratumBatch, ranks: Ranks) -> Loss:
        feasible = batch.satisfied & batch.known
        within = batch.log_ratio <= self.settings.kl_max
        responses, fallback = chosen(batch, feasible & within)
        counts = [len(_known_prompts(batch)), len(responses), len(fallback)]
        n, by_response, by_baseline = ranks.sum([float(count) for count in counts])
        limit, note = beyond_kl_max(batch.log_ratio, feasible & ~batch.baseline, ~within, self.settings.kl_max, ranks)
        if n == 0:
            return Loss(batch.logprobs.sum() * 0)
        picked = responses + fallback
        logprob = batch.logprob[picked]
        if self.settings.average == "response_means":
            logprob = logprob / batch.length[picked]
        metrics = {
            "chosen_own_rate": by_response / n,
            "chosen_baseline_rate": by_baseline / n,
            "skipped_prompt_rate": 1 - (by_response + by_baseline) / n,
            **limit,
        }
        return Loss(-(batch.calibrated_reward[picked] * logprob).sum() / n, metrics, (note,) if note else ())
