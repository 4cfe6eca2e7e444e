"""From judged responses to what an optimiser sees: log-probs, tensors, and the surrogate it makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from cgpo import distributed
from cgpo.optimizers.base import (
    Ranks,
    SampleRewards,
    SampleTokens,
    SampleVerdicts,
    StratumBatch,
    Surrogate,
    differentiate,
)
from cgpo.policy.layout import TokenSequence
from cgpo.policy.policy import Policy
from cgpo.policy.reference import AnyReference
from cgpo.responses.stratum import Stratum
from cgpo.rollout.parity import Gap, measure_gap
from cgpo.types import JudgedRollout
from judges import Outcome

RANKS = Ranks(distributed.all_sum, distributed.all_max, distributed.together)

_NAN = float("nan")


@dataclass(frozen=True)
class PreparedStratum:
    """A stratum's samples of this rank, ready to be learnt from.

    Attributes:
        judged: the N responses of the step.
        sequences: their tokens, and after them those of the baseline responses the optimiser wants.
        batch: the tensors of all of them.
        value_output: which output of the policy's value head is this stratum's, or None.
        surrogate: what the optimiser made of them.
        gap: between the engine's and the policy's log-probs of the response tokens. None where the engine's were taken
            for the policy's (`train.reuse_engine_logprobs`): the gradient pass measures it.
        gaps: the mean gap of each response, or None as above.
    """

    judged: Sequence[JudgedRollout]
    sequences: Sequence[TokenSequence]
    batch: StratumBatch
    value_output: int | None
    surrogate: Surrogate
    gap: Gap | None
    gaps: Sequence[float | None]

    def weight(self, i: int) -> float | None:
        """The factor before ∇ log π_w of response i, the mean over its tokens; None where it is not in the sum."""
        if not bool(self.batch.known[i]):
            return None
        return float(self.surrogate.coefficient[i][self.batch.mask[i]].mean())


def prepare(
    stratum: Stratum,
    judged: Sequence[JudgedRollout],
    policy: Policy,
    reference: AnyReference,
    baselines: Sequence[JudgedRollout] = (),
    value_output: int | None = None,
) -> PreparedStratum:
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
    # Values need the policy's own pass; the engine never saw the baseline responses.
    reuses = policy.settings.train.reuse_engine_logprobs and value_output is None
    taken = [torch.tensor(j.rollout.logprobs) for j in judged] if reuses else []
    outputs = policy.token_outputs(sequences[len(taken) :], temperature)
    policy_tokens = taken + [logprobs for logprobs, _ in outputs]
    values = None if value_output is None else [all_values[:, value_output] for _, all_values in outputs]
    references = reference.token_logprobs(sequences, temperature)
    with distributed.together():
        batch = stratum_batch(stratum, judged, policy_tokens, references, baselines=baselines, values=values)
        surrogate = differentiate(stratum.optimizer, batch, RANKS)
        gap, gaps = (None, [None] * len(judged)) if reuses else _gaps(judged, policy_tokens)
    return PreparedStratum(judged, sequences, batch, value_output, surrogate, gap, gaps)


def _gaps(judged: Sequence[JudgedRollout], policy_tokens: Sequence[Tensor]) -> tuple[Gap, list[float]]:
    """Between engine and policy, over all responses and of each."""
    by_engine = [list(j.rollout.logprobs) for j in judged]
    by_policy = [logprobs.tolist() for logprobs in policy_tokens[: len(judged)]]
    gaps = [measure_gap([a], [b]).mean for a, b in zip(by_engine, by_policy, strict=True)]
    return measure_gap(by_engine, by_policy), gaps


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
    """The tensors an optimiser sees.

    Args:
        stratum: the stratum.
        judged: its responses on this rank.
        policy_tokens: log π_w of each one's tokens, and after them of each baseline response's.
        reference_tokens: log π_ref of the same.
        baselines: baseline responses that the optimiser wants as further samples.
        values: the value of the state before each of the same tokens.
    """
    samples = [*judged, *baselines]
    prompts: dict[tuple[str, int], int] = {}
    texts: dict[str, int] = {}
    # A baseline response was not sampled by this engine with these weights: there is no gap to correct.
    engine = [torch.tensor(j.rollout.logprobs) for j in judged] + list(policy_tokens[len(judged) :])
    return StratumBatch.join(
        _tokens(policy_tokens, engine, reference_tokens, values),
        _verdicts(stratum, samples),
        _rewards(stratum, samples),
        prompt=torch.tensor(
            [prompts.setdefault(stratum.draw(j.rollout.request), len(prompts)) for j in samples]
        ).long(),
        text=torch.tensor([texts.setdefault(j.rollout.response, len(texts)) for j in samples]).long(),
        baseline=torch.tensor([False] * len(judged) + [True] * len(baselines), dtype=torch.bool),
    )


def _tokens(
    policy: Sequence[Tensor], engine: Sequence[Tensor], reference: Sequence[Tensor], values: Sequence[Tensor] | None
) -> SampleTokens:
    logprobs, padded_values = _padded(policy), None if values is None else _padded(values)
    return SampleTokens(
        logprobs=logprobs,
        old_logprobs=logprobs,
        engine_logprobs=_padded(engine),
        reference_logprobs=_padded(reference),
        mask=_padded([torch.ones(len(t)) for t in policy]) > 0,
        values=padded_values,
        old_values=padded_values,
    )


def _verdicts(stratum: Stratum, samples: Sequence[JudgedRollout]) -> SampleVerdicts:
    # The stratum's judges first, so that a rank without samples knows them too.
    judges = dict.fromkeys([*stratum.settings.verdict_names, *(n for j in samples for n in j.judgement.verdicts)])
    outcomes = [j.outcome for j in samples]
    return SampleVerdicts(
        satisfied=torch.tensor([o is Outcome.SATISFIED for o in outcomes], dtype=torch.bool),
        known=torch.tensor([o is not Outcome.UNKNOWN for o in outcomes], dtype=torch.bool),
        credit=_floats([stratum.credit(j) for j in samples]),
        violated={name: _has_outcome(samples, name, Outcome.VIOLATED) for name in judges},
        judged={name: _has_outcome(samples, name, Outcome.VIOLATED, Outcome.SATISFIED) for name in judges},
    )


def _rewards(stratum: Stratum, samples: Sequence[JudgedRollout]) -> SampleRewards:
    """NaN stands where a sample has no reward."""
    return SampleRewards(
        calibrated_reward=_floats([j.calibrated_reward for j in samples]),
        reward=_floats([stratum.ranking(j) for j in samples]),
        rewards={name: _floats([j.rewards.get(name) for j in samples]) for name in stratum.settings.rewards},
        weights=stratum.settings.rewards,
    )


def _has_outcome(samples: Sequence[JudgedRollout], judge: str, *outcomes: Outcome) -> Tensor:
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


def prepared_again(policy: Policy, stratum: Stratum, prepared: PreparedStratum) -> Surrogate:
    """The surrogate with the weights as they are now; what was known when the responses were generated stays.

    Every rank must call it.
    """
    outputs = policy.token_outputs(prepared.sequences, stratum.settings.sampling.temperature)
    batch = replace(prepared.batch, logprobs=_padded([logprobs for logprobs, _ in outputs]))
    if prepared.value_output is not None:
        batch = replace(batch, values=_padded([values[:, prepared.value_output] for _, values in outputs]))
    return differentiate(stratum.optimizer, batch, RANKS)
