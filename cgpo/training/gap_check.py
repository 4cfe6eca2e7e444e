"""The check of a step's own responses before they are learnt from: did the policy's twin say them?

The probe after each sync compares fixed tokens. What counts are the tokens that are learnt from: at their temperature,
as long as they are, in the layout they are computed in.
"""

from __future__ import annotations

from collections.abc import Mapping

from cgpo import distributed
from cgpo.rollout.parity import GapLimits, check_gap, gap_over_ranks
from cgpo.training.preparation import PreparedStratum


def check_rollout_gaps(prepared: Mapping[str, PreparedStratum], limits: GapLimits, step: int) -> None:
    """Holds each stratum's gap between engine and policy to the run's limits; every rank must call it.

    Args:
        prepared: stratum name → this rank's responses.
        limits: of the run.
        step: index of the step.

    Raises:
        RunError: on all ranks; nothing may be learnt from this step.
    """
    for name, stratum in prepared.items():
        when = f"step {step + 1}, stratum {name!r}"
        check_gap(gap_over_ranks(stratum.gap), limits.mean, when)
        above, tokens = distributed.all_sum(_above(stratum, limits.quantile))
        limits.check_tokens(above, tokens, when)


def _above(stratum: PreparedStratum, limit: float) -> list[float]:
    """How many response tokens of this rank are above the limit, and how many there are."""
    batch, own = stratum.batch, len(stratum.judged)
    gaps = (batch.logprobs - batch.engine_logprobs).abs()[:own][batch.mask[:own]]
    return [float((gaps > limit).sum()), float(len(gaps))]
