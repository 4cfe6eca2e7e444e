"""The gap between the rollout engine's log-probs and the policy's on the same tokens: are they still one model?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cgpo import distributed
from cgpo.errors import RunError

_CHECK = (
    "Check: the engine's and the policy's number types (rollout.vllm.dtype, model.dtype; bfloat16 alone explains about "
    "0.01 to 0.06), a NaN in the weights (learning rate), a model that vLLM implements differently "
    "(compare with rollout.engine=hf). Raise the limit only when the cause is known and harmless."
)


@dataclass(frozen=True, slots=True)
class Gap:
    """|log-prob of the engine − log-prob of the policy| per token, in nats.

    Attributes:
        mean: over all tokens; NaN when any difference is NaN; 0 when there are no tokens.
        max: the largest; NaN when any difference is NaN.
        tokens: how many tokens were compared.
    """

    mean: float
    max: float
    tokens: int


def measure_gap(engine_logprobs: Sequence[Sequence[float]], policy_logprobs: Sequence[Sequence[float]]) -> Gap:
    """The gap over all response tokens.

    Args:
        engine_logprobs: N responses, the engine's log-prob of each token, in nats.
        policy_logprobs: the policy's, of the same tokens at the same temperature.

    Raises:
        ValueError: the two do not have the same shape.
    """
    if [len(r) for r in engine_logprobs] != [len(r) for r in policy_logprobs]:
        raise ValueError("engine_logprobs and policy_logprobs must hold the same responses, token for token")
    gaps = [
        # Two impossible tokens agree; `-inf − -inf` would say NaN.
        0.0 if theirs == ours else abs(theirs - ours)
        for engine, policy in zip(engine_logprobs, policy_logprobs, strict=True)
        for theirs, ours in zip(engine, policy, strict=True)
    ]
    if any(math.isnan(gap) for gap in gaps):
        return Gap(math.nan, math.nan, len(gaps))
    return Gap(math.fsum(gaps) / len(gaps), max(gaps), len(gaps)) if gaps else Gap(0.0, 0.0, 0)


def gap_over_ranks(gap: Gap) -> Gap:
    """The gap over every rank's tokens. Every rank must call it."""
    total, tokens = distributed.all_sum([gap.mean * gap.tokens if gap.tokens else 0.0, float(gap.tokens)])
    return Gap(total / tokens if tokens else 0.0, distributed.all_max(gap.max), int(tokens))


class GapLimits:
    """What the gap of a run may be.

    In 16-bit types engine and policy round differently, by an amount that depends on the model: SmolLM2-135M in
    bfloat16 shows 0.02 to 0.06 nats a token without any fault. So twice what is measured before the first step, when
    both hold the same weights, is allowed where that is more than the limit, as long as it is at most `ROUNDING`.

    Args:
        mean: `rollout.max_logprob_gap`, in nats.
        quantile: `rollout.max_logprob_gap_quantile`, in nats, or None.
        rounds: the model is in a 16-bit type.
    """

    ROUNDING = 0.15
    SHARE = 0.99

    def __init__(self, mean: float, quantile: float | None, *, rounds: bool) -> None:
        self.mean = mean
        self._quantile = quantile
        self._rounds = rounds

    @property
    def quantile(self) -> float:
        """In nats, that `SHARE` of the tokens must be within."""
        return 10 * self.mean if self._quantile is None else self._quantile

    def at(self, temperature: float) -> GapLimits:
        """The limits of responses at a temperature T: below 1 what the logits are off by is divided by it."""
        scale = 1 / min(temperature, 1.0)
        return GapLimits(self.mean * scale, self.quantile * scale, rounds=self._rounds)

    def start(self, gap: Gap) -> None:
        """Takes what was measured before the first step.

        Raises:
            RunError: it is more than rounding explains.
        """
        if self._rounds and self.mean < 2 * gap.mean <= 2 * self.ROUNDING:
            self.mean = 2 * gap.mean
        check_gap(gap, self.mean, "before the first step")

    def check_tokens(self, above: float, tokens: float, when: str) -> None:
        """Makes sure that not too many tokens are above `quantile`: 1 − `SHARE` of them, or two where that is more.

        Args:
            above: how many are, over all ranks.
            tokens: of how many.
            when: for the message.

        Raises:
            RunError: more are.
        """
        if above <= max(2.0, (1 - self.SHARE) * tokens):
            return
        raise RunError(
            f"{when}, the log-probs of the rollout engine and of the policy differ by more than {self.quantile:g} nats "
            f"on {above:g} of {tokens:g} tokens; at most {1 - self.SHARE:.0%} may "
            f"(rollout.max_logprob_gap_quantile). Nothing was learnt from them. {_CHECK}"
        )


def check_gap(gap: Gap, limit: float, when: str) -> None:
    """Stop a run whose engine no longer is the policy.

    Args:
        gap: what was measured.
        limit: `rollout.max_logprob_gap`: largest mean gap, in nats per token. NaN is above every limit.
        when: for the message, e.g. "after the sync of step 12".

    Raises:
        RunError: the mean gap is above the limit.
    """
    if gap.mean <= limit:
        return
    raise RunError(
        f"{when}, the log-probs of the rollout engine and of the policy differ by {gap.mean:.4g} nats per token on "
        f"average (largest {gap.max:.4g}, over {gap.tokens} tokens); rollout.max_logprob_gap allows {limit:g}. "
        f"The engine samples from another model than the one that learns, so the gradient would be wrong. {_CHECK}"
    )
