"""The record of a step's learning: a row for each response, and the numbers that only the learning knows."""

from __future__ import annotations

from collections.abc import Mapping

from cgpo import distributed
from cgpo.overoptimisation.measures import PendingVerdicts, verdicts
from cgpo.rollout.parity import gap_over_ranks
from cgpo.tracking.rollouts import RolloutRow
from cgpo.training.learning import LearnedStep
from cgpo.training.preparation import PreparedStratum


def gather_rows(prepared: Mapping[str, PreparedStratum], independent: PendingVerdicts) -> list[RolloutRow]:
    """The recorded form of every rank's responses, on every rank; waits for the independent judges."""
    rows = [
        RolloutRow.of(
            judged,
            log_ratio=float(p.batch.log_ratio[i]),
            weight=p.weight(i),
            logprob_gap=p.gaps[i],
            probes=probes,
        )
        for p in prepared.values()
        for i, (judged, probes) in enumerate(zip(p.judged, verdicts(independent, p.judged), strict=True))
    ]
    return [row for part in distributed.gather_objects(rows) for row in part]


def learning_metrics(prepared: Mapping[str, PreparedStratum], learned: LearnedStep) -> dict[str, float | None]:
    """Metrics of the optimisers and of the optimiser step, over all ranks. Every rank must call it.

    A stratum has `no_signal` where no rank's responses carry any gradient.
    """
    metrics: dict[str, float | None] = {}
    for name, p in prepared.items():
        metrics |= {f"{name}/{key}": value for key, value in learned.metrics(name).items()}
        metrics[f"{name}/loss"] = learned.losses[name]
        gap = learned.gaps.get(name) if p.gap is None else gap_over_ranks(p.gap)
        metrics[f"{name}/logprob_gap"] = None if gap is None else gap.mean
        metrics[f"{name}/no_signal"] = float(not distributed.any_rank(bool(p.surrogate.coefficient.any())))
    metrics["train/grad_norm"] = learned.grad_norm
    metrics["train/learning_rate"] = learned.learning_rate
    metrics["train/skipped_step"] = float(learned.skipped)
    metrics["tokens/learned"] = distributed.all_sum([float(learned.tokens)])[0]
    return metrics | learned.rank_metrics()
