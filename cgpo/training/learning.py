"""The learning half of a step: every stratum's gradient, and the optimiser step.

    w ← w + α Σ_l ρ_l g_l          CGPO's Algorithm 2; g_l is what stratum l's optimiser makes of its samples

An optimiser's loss is a small function of its samples' token log-probs (and values); its derivative by those gives one
constant per token, c_t, and the gradient is Σ_t c_t · ∇ log π_w(a_t) (`cgpo.optimizers.base`). All strata's
micro-batches are then back-propagated one after the other into one accumulated gradient. Where no stratum has a signal
the optimiser step is skipped: Adam's momentum and weight decay would move the weights even so.

With `train.reuse_engine_logprobs` the constants come of the rollout engine's log-probs; the gradient pass computes the
policy's own, and the optimiser step is taken only where the two are close enough (`cgpo.training.gap_check`).

With `train.epochs_per_step` > 1 the same samples are learnt from several times: log-probs are computed anew with the
weights as they then are, and so are the constants; each epoch is one optimiser step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from cgpo import distributed
from cgpo.config import TrainSettings
from cgpo.optimizers.base import Surrogate
from cgpo.policy.layout import MicroBatch, idle_micro_batch
from cgpo.policy.policy import Policy
from cgpo.policy.schedule import learning_rate
from cgpo.responses.stratum import Stratum
from cgpo.rollout.parity import Gap
from cgpo.training.balance import EngineLogprobs, LearningSample, balance_over_ranks
from cgpo.training.gap_check import GradientPassGaps
from cgpo.training.preparation import PreparedStratum, prepared_again


@dataclass(frozen=True)
class LearnedStep:
    """What a step's learning did.

    Attributes:
        surrogates: each epoch's, by stratum; the first epoch's are those of `PreparedStratum`.
        grad_norms: of each epoch's accumulated gradient, before clipping; None where its optimiser step was skipped.
        tokens: padded tokens computed forward and backward on this rank.
        learning_rate: of the step.
        overflows: optimiser steps that were skipped because a float16 gradient overflowed.
        gaps: stratum → gap between engine and policy, where the gradient pass measured it.
    """

    surrogates: list[dict[str, Surrogate]]
    grad_norms: list[float | None]
    tokens: int
    learning_rate: float
    overflows: int = 0
    gaps: Mapping[str, Gap] = field(default_factory=dict)

    @property
    def losses(self) -> dict[str, float]:
        """Each stratum's loss at the start of the step, before it is weighted by ρ."""
        return {name: surrogate.loss for name, surrogate in self.surrogates[0].items()}

    @property
    def grad_norm(self) -> float | None:
        """The mean over the epochs that moved the weights, or None when none did."""
        taken = [norm for norm in self.grad_norms if norm is not None]
        return sum(taken) / len(taken) if taken else None

    def rank_metrics(self) -> dict[str, float]:
        """How evenly the ranks were loaded: the largest one's tokens over their mean. Every rank must call it."""
        total, most = distributed.all_sum([float(self.tokens)])[0], distributed.all_max(float(self.tokens))
        size = distributed.world_size()
        return {"train/rank_imbalance": most * size / total} if size > 1 and total else {}

    @property
    def skipped(self) -> bool:
        """True when the weights did not move: no stratum had a signal, or every gradient overflowed."""
        return self.grad_norm is None

    def metrics(self, stratum: str) -> dict[str, float]:
        """A stratum's metrics, means over the epochs."""
        each = [surrogates[stratum].metrics for surrogates in self.surrogates]
        names = dict.fromkeys(name for metrics in each for name in metrics)
        values = {name: [metrics[name] for metrics in each if name in metrics] for name in names}
        return {name: sum(epochs) / len(epochs) for name, epochs in values.items()}


def learning_rate_at(train: TrainSettings, step: int) -> float:
    """The learning rate of step 0, 1, …"""
    return learning_rate(
        step,
        peak=train.learning_rate,
        steps=train.steps,
        warmup_steps=train.warmup_steps,
        schedule=train.schedule,
        final_ratio=train.final_learning_rate_ratio,
    )


def learn(
    policy: Policy,
    strata: Mapping[str, Stratum],
    prepared: Mapping[str, PreparedStratum],
    rate: float,
    progress: Callable[[int, int], None],
    gaps: GradientPassGaps,
    before_update: Callable[[], None],
) -> LearnedStep:
    """Takes one optimiser step, at the learning rate `rate`, for each epoch of the step. Every rank must call it.

    Args:
        policy: what is trained.
        strata: the step's, by name.
        prepared: their samples.
        rate: the learning rate.
        progress: told how many micro-batches are done.
        gaps: holds the gradient pass to the engine's log-probs.
        before_update: called on every rank before the weights change.

    Raises:
        RunError: the gap between engine and policy is above its limit; the policy has not moved.
    """
    surrogates: list[dict[str, Surrogate]] = [{name: p.surrogate for name, p in prepared.items()}]
    norms: list[float | None] = []
    tokens, overflows_before, measured = 0, policy.overflows, {}
    for epoch in range(policy.settings.train.epochs_per_step):
        if epoch:
            surrogates.append({name: prepared_again(policy, strata[name], p) for name, p in prepared.items()})
        with distributed.together():
            samples = [
                sample
                for name, surrogate in surrogates[-1].items()
                for sample in _samples(policy, strata[name], prepared[name], surrogate, epoch)
            ]
            if policy.settings.train.balance_ranks and distributed.world_size() > 1:
                samples = balance_over_ranks(samples)
            work = _micro_batches(policy, samples, gaps.strata)
        accumulated = _accumulate(policy, work, progress, gaps)
        if epoch == 0:
            measured = gaps.check()
        if accumulated:
            before_update()
        norms.append(policy.step(rate) if accumulated else None)
        tokens += sum(item.batch.tokens for item in work)
    return LearnedStep(surrogates, norms, tokens, rate, policy.overflows - overflows_before, measured)


@dataclass(frozen=True)
class _Work:
    """One micro-batch of M response tokens with what stands before its gradients (`Policy.accumulate`).

    Attributes:
        stratum: int [M], where the engine's log-probs are still to be compared (`GradientPassGaps.add`).
        engine_logprobs: float [M], in nats.
    """

    batch: MicroBatch
    coefficient: Tensor
    value_coefficient: Tensor
    temperature: float
    stratum: Tensor
    engine_logprobs: Tensor


def _accumulate(
    policy: Policy, work: Sequence[_Work], progress: Callable[[int, int], None], gaps: GradientPassGaps
) -> bool:
    """Adds up the gradient of all micro-batches. False where no rank has anything to learn: the step is skipped."""
    count = int(distributed.all_max(float(len(work))))
    batch, nothing = idle_micro_batch(), torch.zeros(1)
    idle = _Work(batch, nothing, torch.zeros(1, policy.value_outputs), 1.0, nothing.long() - 1, nothing)
    for i, item in enumerate([*work, *[idle] * (count - len(work))]):
        coefficients = item.coefficient, item.value_coefficient
        passed = policy.accumulate(item.batch, *coefficients, item.temperature, last=i == count - 1)
        gaps.add(item.stratum, item.engine_logprobs, passed.logprobs)
        progress(i + 1, count)
    return count > 0


def _samples(
    policy: Policy, stratum: Stratum, prepared: PreparedStratum, surrogate: Surrogate, epoch: int
) -> list[LearningSample]:
    """The responses that carry gradient, their coefficients weighted by ρ."""
    coefficient = surrogate.coefficient * stratum.weight
    by_value = torch.zeros(*coefficient.shape, policy.value_outputs, dtype=coefficient.dtype)
    if surrogate.value_coefficient is not None and prepared.value_output is not None:
        by_value[..., prepared.value_output] = surrogate.value_coefficient * stratum.weight
    carries = coefficient.any(1) | by_value.flatten(1).any(1)
    samples = []
    for i in carries.nonzero().flatten().tolist():
        sequence = prepared.sequences[i]
        length = len(sequence.response_ids)
        unmeasured = None
        if prepared.gap is None and epoch == 0 and i < len(prepared.judged):
            unmeasured = EngineLogprobs(stratum.name, prepared.batch.engine_logprobs[i, :length].clone())
        samples.append(
            LearningSample(
                sequence,
                coefficient[i, :length].float().clone(),
                by_value[i, :length].float().clone(),
                stratum.settings.sampling.temperature,
                unmeasured,
            )
        )
    return samples


def _micro_batches(policy: Policy, samples: Sequence[LearningSample], compared: Sequence[str]) -> list[_Work]:
    """The samples laid out in passes; each pass is at one temperature. `compared`: see `GradientPassGaps.strata`."""
    sequences = [sample.sequence for sample in samples]
    coefficient = pad_sequence([s.coefficient for s in samples], batch_first=True) if samples else torch.zeros(0, 0)
    by_value = pad_sequence([s.value_coefficient for s in samples], batch_first=True) if samples else coefficient
    engine = pad_sequence([_engine_logprobs(s) for s in samples], batch_first=True) if samples else coefficient
    stratum = torch.tensor([-1 if s.unmeasured is None else compared.index(s.unmeasured.stratum) for s in samples])
    work = []
    for temperature in dict.fromkeys(sample.temperature for sample in samples):
        chosen = [i for i, sample in enumerate(samples) if sample.temperature == temperature]
        for batch in policy.lay_out(sequences, chosen):
            at = batch.sample, batch.place
            work.append(_Work(batch, coefficient[at], by_value[at], temperature, stratum[batch.sample], engine[at]))
    return work


def _engine_logprobs(sample: LearningSample) -> Tensor:
    """float64 [T]; 0 where they are not compared."""
    if sample.unmeasured is None:
        return torch.zeros(len(sample.sequence.response_ids), dtype=torch.float64)
    return sample.unmeasured.logprobs
