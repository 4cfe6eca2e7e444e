"""The preference margin of CODPO and online DPO: how far the policy prefers one response of a pair to the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cgpo.optimizers.base import Ranks, StratumBatch

if TYPE_CHECKING:
    from torch import Tensor


def preference_margin(
    batch: StratumBatch, pairs: Sequence[tuple[int, int]], beta: float, prompts: int, ranks: Ranks
) -> tuple[Tensor, float, dict[str, float]]:
    """β·log_ratio(a⁺) − β·log_ratio(a⁻) of each pair, differentiable, with what is to be counted and logged.

    Args:
        batch: the samples.
        pairs: (a⁺, a⁻) as indices of samples.
        beta: β.
        prompts: the prompts of this rank that count in n, whether they gave a pair or not.
        ranks: reductions.

    Returns:
        [pairs] the margins, n over all ranks, and the metrics; none where n is 0.
    """
    log_ratio = batch.logprob - batch.reference_logprob
    margin = beta * (log_ratio[[a for a, _ in pairs]] - log_ratio[[b for _, b in pairs]])
    n, pair_count, total, right = ranks.sum(
        [float(prompts), float(len(pairs)), float(margin.detach().sum()), float((margin > 0).sum())]
    )
    metrics = {"pair_rate": pair_count / n} if n else {}
    if pair_count:
        metrics |= {"preference_margin": total / pair_count, "preference_accuracy": right / pair_count}
    return margin, n, metrics


def log_sigmoid(margin: Tensor) -> Tensor:
    """log sigmoid(margin), exact for margins of any size."""
    from torch.nn.functional import logsigmoid

    return logsigmoid(margin)
