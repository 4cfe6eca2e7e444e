"""The learning half of a step: log-probs, each stratum's surrogate, and the optimiser step.

    w ← w + α Σ_l ρ_l g_l          CGPO's Algorithm 2; g_l is what stratum l's optimiser makes of its samples

An optimiser's loss is a small function of its samples' token log-probs (and values); its derivative by those gives one
constant per token, c_t, and the gradient is Σ_t c_t · ∇ log π_w(a_t) (`cgpo.optimizers.base`). All strata's
micro-batches are then back-propagated one after the other into one accumulated gradient. Where no stratum has a signal
the optimiser step is skipped: Adam's momentum and weight decay would move the weights even so.

With `train.epochs_per_step` > 1 the same samples are learnt from several times: log-probs are computed anew with the
weights as they then are, and so are the constants; each epoch is one optimiser step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from cgpo import distributed
from cgpo.balance import Sample, balanced
from cgpo.optimizers.base import Ranks, StratumBatch, Surrogate, differentiate
from cgpo.policy.layout import MicroBatch, TokenSequence, idle_micro_batch
from cgpo.policy.policy import Policy
from cgpo.policy.reference import AnyReference
from cgpo.rollout.parity import Gap, measure_gap
from cgpo.stratum import Stratum
from cgpo.types import JudgedRollout
from judges import Outcome

RANKS = Ranks(distributed.all_sum, distributed.all_max)

_NAN = float("nan")


@dataclass(frozen=True)
class Prepared:
    """A stratum's samples of this rank, ready to be learnt from.

    Attributes:
        judged: the N responses of the step.
        sequences: their tokens, and after them those of the baseline responses the optimiser wants.
        batch: the tensors of all of them.
        value_output: which output of the policy's value head is this stratum's, or None.
        surrogate: what the optimiser made of them.
        gap: between the engine's and the policy's log-probs of the response tokens.
        gaps: the mean gap of each response.
    """

    judged: Sequence[JudgedRollout]
    sequences: Sequence[TokenSequence]
    batch: StratumBatch
    value_output: int | None
    surrogate: Surrogate
    gap: Gap
    gaps: list[float]

    def weight(self, i: int) -> float | None:
        """The factor before ∇ log π_w of response i, the mean over its tokens; None where it is not in the sum."""
        if not bool(self.batch.known[i]):
            return None
        return float(self.surrogate.coefficient[i][self.batch.mask[i]].mean())


@dataclass(frozen=True)
class StepResult:
    """What one step did.

    Attributes:
        surrogates: each epoch's, by stratum; the first epoch's are those of `Prepared`.
        grad_norms: of each epoch's accumulated gradient, before clipping; None where its optimiser step was skipped.
        tokens: padded tokens computed forward and backward on this rank.
        overflows: optimiser steps that were skipped because a float16 gradient overflowed.
    """

    surrogates: list[dict[str, Surrogate]]
    grad_norms: list[float | None]
    tokens: int
    overflows: int = 0

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
        found = {name: [metrics[name] for metrics in each if name in metrics] for name in names}
        return {name: sum(values) / len(values) for name, values in found.items()}


def prepare(
    stratum: Stratum,
    judged: Sequence[JudgedRollout],
    policy: Policy,
    reference: AnyReference,
    baselines: Sequence[JudgedRollout] = (),
    value_output: int | None = None,
) -> Prepared:
    """Log-probs under policy and reference, and the optimiser's coefficients. Every rank must call it.

    Args:
        stratum: the stratum.
        judged: its responses on this rank.
        policy: the policy.
        reference: π_ref.
        baselines: the baseline responses of its prompts, where the optimiser wants them.
        value_output: which output of the value head is the stratum's, where the optimiser wants values.
    """
    temperature = stratum.settings.sampling.temperature
    sequences = [token_sequence(j) for j in [*judged, *baselines]]
    outputs = policy.token_outputs(sequences, temperature)
    ours = [logprobs for logprobs, _ in outputs]
    values = None if value_output is None else [all_values[:, value_output] for _, all_values in outputs]
    references = reference.token_logprobs(sequences, temperature)
    batch = stratum_batch(stratum, judged, ours, references, baselines=baselines, values=values)
    surrogate = differentiate(stratum.optimizer, batch, RANKS)
    engine, mine = [list(j.rollout.logprobs) for j in judged], [t.tolist() for t in ours[: len(judged)]]
    gaps = [measure_gap([a], [b]).mean for a, b in zip(engine, mine, strict=True)]
    return Prepared(judged, sequences, batch, value_output, surrogate, measure_gap(engine, mine), gaps)


def token_sequence(judged: JudgedRollout) -> TokenSequence:
    """The tokens of a response and its prompt."""
    return TokenSequence(judged.rollout.request.prompt_ids, judged.rollout.response_ids)


def stratum_batch(
    stratum: Stratum,
    judged: Sequence[JudgedRollout],
    policy_tokens: Sequence[Tensor],
    reference_tokens: Sequence[Tensor],
    *,
    baselines: Sequence[JudgedRollout] = (),
    values: Sequence[Tensor] | None = None,
) -> StratumBatch:
    """The tensors an optimiser sees; NaN stands where a sample has no reward."""
    samples = [*judged, *baselines]
    outcomes = [j.outcome for j in samples]
    # The stratum's judges first, so that a rank without samples knows them too.
    judges = dict.fromkeys([*stratum.settings.verdict_names, *(n for j in samples for n in j.judgement.verdicts)])
    order: dict[str, int] = {}
    texts: dict[str, int] = {}
    logprobs, padded_values = _padded(policy_tokens), None if values is None else _padded(values)
    # A baseline response was not sampled by this engine with these weights: there is no gap to correct.
    engine = [torch.tensor(j.rollout.logprobs) for j in judged] + list(policy_tokens[len(judged) :])
    return StratumBatch(
        logprobs=logprobs,
        old_logprobs=logprobs,
        engine_logprobs=_padded(engine),
        reference_logprobs=_padded(reference_tokens),
        mask=_padded([torch.ones(len(t)) for t in policy_tokens]) > 0,
        satisfied=torch.tensor([o is Outcome.SATISFIED for o in outcomes], dtype=torch.bool),
        known=torch.tensor([o is not Outcome.UNKNOWN for o in outcomes], dtype=torch.bool),
        credit=_floats([stratum.credit(j) for j in samples]),
        calibrated_reward=_floats([j.calibrated_reward for j in samples]),
        reward=_floats([stratum.ranking(j) for j in samples]),
        rewards={name: _floats([j.rewards.get(name) for j in samples]) for name in stratum.settings.rewards},
        weights=stratum.settings.rewards,
        violated={name: _said(samples, name, Outcome.VIOLATED) for name in judges},
        judged={name: _said(samples, name, Outcome.VIOLATED, Outcome.SATISFIED) for name in judges},
        prompt=torch.tensor([order.setdefault(j.rollout.request.prompt.id, len(order)) for j in samples]).long(),
        text=torch.tensor([texts.setdefault(j.rollout.response, len(texts)) for j in samples]).long(),
        baseline=torch.tensor([False] * len(judged) + [True] * len(baselines), dtype=torch.bool),
        values=padded_values,
        old_values=padded_values,
    )


def _said(samples: Sequence[JudgedRollout], judge: str, *outcomes: Outcome) -> Tensor:
    """bool [N], True where the judge's verdict is one of `outcomes`."""
    verdicts = [j.judgement.verdicts.get(judge) for j in samples]
    return torch.tensor([v is not None and v.outcome in outcomes for v in verdicts], dtype=torch.bool)


def _floats(values: Sequence[float | None]) -> Tensor:
    return torch.tensor([_NAN if value is None else value for value in values], dtype=torch.float64)


def _padded(tokens: Sequence[Tensor]) -> Tensor:
    """float64 [N, T], 0 beyond each one's end."""
    if not tokens:
        return torch.zeros(0, 0, dtype=torch.float64)
    return pad_sequence([t.double() for t in tokens], batch_first=True)


def learn(
    policy: Policy,
    strata: Mapping[str, Stratum],
    prepared: Mapping[str, Prepared],
    learning_rate: float,
    progress: Callable[[int, int], None],
) -> StepResult:
    """Takes one optimiser step on every stratum's gradient for each epoch of the step. Every rank must call it."""
    surrogates: list[dict[str, Surrogate]] = [{name: p.surrogate for name, p in prepared.items()}]
    norms: list[float | None] = []
    tokens, overflows_before = 0, policy.overflows
    for epoch in range(policy.settings.train.epochs_per_step):
        if epoch:
            surrogates.append({name: _again(policy, strata[name], p) for name, p in prepared.items()})
        samples = [
            sample
            for name, surrogate in surrogates[-1].items()
            for sample in _samples(policy, strata[name], prepared[name], surrogate)
        ]
        if policy.settings.train.balance_ranks and distributed.world_size() > 1:
            samples = balanced(samples)
        work = _micro_batches(policy, samples)
        norms.append(_optimiser_step(policy, work, learning_rate, progress))
        tokens += sum(item.batch.tokens for item in work)
    return StepResult(surrogates, norms, tokens, policy.overflows - overflows_before)


def _again(policy: Policy, stratum: Stratum, prepared: Prepared) -> Surrogate:
    """The surrogate with the weights as they are now; what was known when the responses were generated stays."""
    outputs = policy.token_outputs(prepared.sequences, stratum.settings.sampling.temperature)
    batch = replace(prepared.batch, logprobs=_padded([logprobs for logprobs, _ in outputs]))
    if prepared.value_output is not None:
        batch = replace(batch, values=_padded([values[:, prepared.value_output] for _, values in outputs]))
    return differentiate(stratum.optimizer, batch, RANKS)


@dataclass(frozen=True)
class _Work:
    """One micro-batch with what stands before its gradients (`Policy.accumulate`)."""

    batch: MicroBatch
    coefficient: Tensor
    value_coefficient: Tensor
    temperature: float


def _optimiser_step(
    policy: Policy, work: Sequence[_Work], learning_rate: float, progress: Callable[[int, int], None]
) -> float | None:
    """The gradient's norm, or None where no rank has anything to learn and the step is skipped."""
    count = int(distributed.all_max(float(len(work))))
    if count == 0:
        return None
    batch = idle_micro_batch(policy.settings.train.share_prompts)
    idle = _Work(batch, torch.zeros(1), torch.zeros(1, policy.value_outputs), 1.0)
    for i, item in enumerate([*work, *[idle] * (count - len(work))]):
        policy.accumulate(item.batch, item.coefficient, item.value_coefficient, item.temperature, last=i == count - 1)
        progress(i + 1, count)
    return policy.step(learning_rate)


def _samples(policy: Policy, stratum: Stratum, prepared: Prepared, surrogate: Surrogate) -> list[Sample]:
    """The responses that carry gradient, their coefficients weighted by ρ."""
    coefficient = surrogate.coefficient * stratum.weight
    by_value = torch.zeros(*coefficient.shape, policy.value_outputs, dtype=coefficient.dtype)
    if surrogate.value_coefficient is not None and prepared.value_output is not None:
        by_value[..., prepared.value_output] = surrogate.value_coefficient * stratum.weight
    carries = coefficient.any(1) | by_value.flatten(1).any(1)
    found = []
    for i in carries.nonzero().flatten().tolist():
        sequence = prepared.sequences[i]
        length = len(sequence.response_ids)
        found.append(
            Sample(
                sequence,
                coefficient[i, :length].float().clone(),
                by_value[i, :length].float().clone(),
                stratum.settings.sampling.temperature,
            )
        )
    return found


def _micro_batches(policy: Policy, samples: Sequence[Sample]) -> list[_Work]:
    """The samples laid out in passes; each pass is at one temperature."""
    sequences = [sample.sequence for sample in samples]
    coefficient = pad_sequence([s.coefficient for s in samples], batch_first=True) if samples else torch.zeros(0, 0)
    by_value = pad_sequence([s.value_coefficient for s in samples], batch_first=True) if samples else coefficient
    work = []
    for temperature in dict.fromkeys(sample.temperature for sample in samples):
        chosen = [i for i, sample in enumerate(samples) if sample.temperature == temperature]
        for batch in policy.lay_out(sequences, chosen):
            at = batch.sample, batch.place
            work.append(_Work(batch, coefficient[at], by_value[at], temperature))
    return work
