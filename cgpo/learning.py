"""The learning half of a step: log-probs, each stratum's surrogate, one optimiser step.

    w ← w + α Σ_l ρ_l g_l          CGPO's Algorithm 2; g_l is what stratum l's optimiser makes of its samples

An optimiser turns its stratum's samples into one constant c_i per sample; the gradient is Σ_i c_i · ∇ log π_w(a_i).
All strata's micro-batches are then back-propagated one after the other into one accumulated gradient. Where no
stratum has a signal the optimiser step is skipped: Adam's momentum and weight decay would move the weights even so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cgpo import distributed
from cgpo.optimizers.base import StratumBatch, Surrogate
from cgpo.policy.layout import MicroBatch, TokenSequence, idle_micro_batch
from cgpo.policy.policy import Policy, Reference
from cgpo.rollout.parity import Gap, measure_gap
from cgpo.stratum import Stratum
from cgpo.types import JudgedRollout
from judges import Outcome


@dataclass(frozen=True)
class Prepared:
    """A stratum's samples of this rank, ready to be learnt from.

    Attributes:
        judged: N samples.
        sequences: their tokens.
        batch: their tensors.
        surrogate: what the optimiser made of them.
        gap: between the engine's and the policy's log-probs of the response tokens.
        gaps: the mean gap of each sample.
    """

    judged: Sequence[JudgedRollout]
    sequences: Sequence[TokenSequence]
    batch: StratumBatch
    surrogate: Surrogate
    gap: Gap
    gaps: list[float]


@dataclass(frozen=True)
class StepResult:
    """What one optimiser step did.

    Attributes:
        losses: stratum name → ρ-weighted loss summed over micro-batches and ranks; its gradient is −ρ_l g_l.
        grad_norm: of the accumulated gradient, before clipping; None where the step was skipped.
        tokens: padded tokens computed forward and backward on this rank.
    """

    losses: dict[str, float]
    grad_norm: float | None
    tokens: int

    @property
    def skipped(self) -> bool:
        """True when no stratum had a signal and the weights did not move."""
        return self.grad_norm is None


def prepare(stratum: Stratum, judged: Sequence[JudgedRollout], policy: Policy, reference: Reference) -> Prepared:
    """Log-probs under policy and reference, and the optimiser's coefficients. Every rank must call it."""
    temperature = stratum.settings.sampling.temperature
    sequences = [token_sequence(j) for j in judged]
    policy_tokens = policy.token_logprobs(sequences, temperature)
    reference_tokens = reference.token_logprobs(sequences, temperature)
    batch = stratum_batch(stratum, judged, policy_tokens, reference_tokens)
    surrogate = stratum.optimizer.surrogate(batch, distributed.all_sum, distributed.all_max)
    engine, ours = [list(j.rollout.logprobs) for j in judged], [t.tolist() for t in policy_tokens]
    gaps = [measure_gap([theirs], [mine]).mean for theirs, mine in zip(engine, ours, strict=True)]
    return Prepared(judged, sequences, batch, surrogate, measure_gap(engine, ours), gaps)


def token_sequence(judged: JudgedRollout) -> TokenSequence:
    """The tokens of a response and its prompt."""
    return TokenSequence(judged.rollout.request.prompt_ids, judged.rollout.response_ids)


def stratum_batch(
    stratum: Stratum,
    judged: Sequence[JudgedRollout],
    policy_tokens: Sequence[Tensor],
    reference_tokens: Sequence[Tensor],
) -> StratumBatch:
    """The tensors an optimiser sees; NaN stands where a sample has no reward."""
    nan = float("nan")
    outcomes = [j.outcome for j in judged]
    order: dict[str, int] = {}
    texts: dict[str, int] = {}
    prompts = [order.setdefault(j.rollout.request.prompt.id, len(order)) for j in judged]
    ranking = [stratum.ranking(j) for j in judged]
    return StratumBatch(
        satisfied=torch.tensor([o is Outcome.SATISFIED for o in outcomes], dtype=torch.bool),
        known=torch.tensor([o is not Outcome.UNKNOWN for o in outcomes], dtype=torch.bool),
        calibrated_reward=torch.tensor([nan if j.calibrated_reward is None else j.calibrated_reward for j in judged]),
        reward=torch.tensor([nan if r is None else r for r in ranking]),
        policy_logprob=torch.tensor([float(t.double().sum()) for t in policy_tokens]),
        reference_logprob=torch.tensor([float(t.double().sum()) for t in reference_tokens]),
        prompt=torch.tensor(prompts, dtype=torch.long),
        length=torch.tensor([len(t) for t in policy_tokens], dtype=torch.long),
        text=torch.tensor([texts.setdefault(j.rollout.response, len(texts)) for j in judged], dtype=torch.long),
    )


def learn(
    policy: Policy,
    strata: Mapping[str, Stratum],
    prepared: Mapping[str, Prepared],
    learning_rate: float,
    progress: Callable[[int, int], None],
) -> StepResult:
    """Accumulates every stratum's gradient and takes one optimiser step. Every rank must call it."""
    work = [item for name, p in prepared.items() for item in _micro_batches(policy, strata[name], p)]
    count = int(distributed.all_max(float(len(work))))
    losses = dict.fromkeys(prepared, 0.0)
    if count == 0:
        return StepResult(losses, None, 0)
    idle = (idle_micro_batch(policy.settings.train.share_prompts), torch.zeros(1), 1.0, None)
    for i, (batch, coefficient, temperature, name) in enumerate([*work, *[idle] * (count - len(work))]):
        loss = policy.accumulate(batch, coefficient, temperature, last=i == count - 1)
        if name is not None:
            losses[name] += loss
        progress(i + 1, count)
    norm = policy.step(learning_rate)
    summed = distributed.all_sum(list(losses.values()))
    return StepResult(dict(zip(losses, summed, strict=True)), norm, sum(b.tokens for b, *_ in work))


def _micro_batches(
    policy: Policy, stratum: Stratum, prepared: Prepared
) -> list[tuple[MicroBatch, Tensor, float, str | None]]:
    """(tokens, ρ-weighted coefficients, temperature, stratum) of the samples that carry gradient."""
    coefficient = prepared.surrogate.coefficient * stratum.settings.weight
    carrying = torch.nonzero(coefficient).flatten().tolist()
    if not carrying:
        return []
    temperature = stratum.settings.sampling.temperature
    batches = policy.lay_out(prepared.sequences, carrying)
    return [(batch, coefficient, temperature, stratum.name) for batch in batches]
