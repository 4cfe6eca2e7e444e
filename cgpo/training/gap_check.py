"""The check of a step's own responses before they are learnt from: did the policy's twin say them?

The probe after each sync compares fixed tokens. What counts are the tokens that are learnt from: at their temperature,
as long as they are, in the layout they are computed in. Where the engine's log-probs are taken for the policy's
(`train.reuse_engine_logprobs`) the gradient pass computes what they are compared with; the weights have not moved yet.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cgpo import distributed
from cgpo.responses.stratum import Stratum
from cgpo.rollout.parity import Gap, GapLimits, check_gap, gap_over_ranks
from cgpo.training.preparation import PreparedStratum


def stratum_limits(strata: Mapping[str, Stratum], limits: GapLimits) -> dict[str, GapLimits]:
    """The limits by stratum. Where sampling is truncated the engine's distribution is another by the user's wish, and
    the gap says nothing about whether it is the same model: such strata are left out."""
    samplings = {name: stratum.settings.sampling for name, stratum in strata.items()}
    return {name: limits.at(s.temperature) for name, s in samplings.items() if not s.truncations}


def check_rollout_gaps(prepared: Mapping[str, PreparedStratum], limits: Mapping[str, GapLimits], step: int) -> None:
    """Holds each stratum's gap between engine and policy to the run's limits; every rank must call it.

    Args:
        prepared: stratum name → this rank's responses; those whose gap the gradient pass measures are passed over.
        limits: by stratum (`stratum_limits`).
        step: index of the step.

    Raises:
        RunError: on all ranks; nothing may be learnt from this step.
    """
    for name, stratum in prepared.items():
        if stratum.gap is None or name not in limits:
            continue
        when, own = _when(step, name), limits[name]
        check_gap(gap_over_ranks(stratum.gap), own.mean, when)
        above, tokens = distributed.all_sum(_above(stratum, own.quantile))
        own.check_tokens(above, tokens, when)


class GradientPassGaps:
    """The gaps of a step whose log-probs were taken from the engine, as the gradient pass measures them.

    Args:
        prepared: stratum name → this rank's responses.
        limits: by stratum (`stratum_limits`).
        step: index of the step.
    """

    def __init__(self, prepared: Mapping[str, PreparedStratum], limits: Mapping[str, GapLimits], step: int) -> None:
        self.strata = [name for name, stratum in prepared.items() if stratum.gap is None]
        self._limits = limits
        self._step = step
        self._sums = torch.zeros(len(self.strata), 3, dtype=torch.float64)  # gaps, tokens, tokens above the quantile
        self._largest = torch.zeros(len(self.strata), dtype=torch.float64)

    def add(self, stratum: Tensor, engine: Tensor, policy: Tensor) -> None:
        """Takes the tokens of a micro-batch.

        Args:
            stratum: int [M], index in `strata` of each token's stratum; -1 for tokens that are not compared.
            engine: float [M], the rollout engine's log-probs, in nats.
            policy: float [M], the policy's.
        """
        engine, policy = engine.double().cpu(), policy.double().cpu()
        gaps = torch.where(engine == policy, 0.0, (engine - policy).abs())  # -inf on both sides agrees
        for i in range(len(self.strata)):
            own = gaps[stratum == i]
            if len(own):
                far = (~(own <= self._limits[self.strata[i]].quantile)).sum()
                self._sums[i] += torch.stack([own.sum(), own.new_tensor(len(own)), far])
                self._largest[i] = torch.maximum(self._largest[i], own.max())  # NaN stays NaN

    def check(self) -> dict[str, Gap]:
        """Holds each stratum's gap to the run's limits, before the optimiser step; every rank must call it.

        Returns:
            stratum → gap over the ranks' tokens that carry gradient; strata without any are left out.

        Raises:
            RunError: on all ranks; the step must not be taken.
        """
        measured = {}
        for name, sums, largest in zip(self.strata, self._sums, self._largest, strict=True):
            total, tokens, above = distributed.all_sum(sums.tolist())
            gap = Gap(total / tokens if tokens else 0.0, distributed.all_max(float(largest)), int(tokens))
            check_gap(gap, self._limits[name].mean, _when(self._step, name))
            self._limits[name].check_tokens(above, tokens, _when(self._step, name))
            if tokens:
                measured[name] = gap
        return measured


def _when(step: int, stratum: str) -> str:
    return f"step {step + 1}, stratum {stratum!r}"


def _above(stratum: PreparedStratum, limit: float) -> list[float]:
    """How many response tokens of this rank are above the limit, and how many there are."""
    batch, own = stratum.batch, len(stratum.judged)
    gaps = (batch.logprobs - batch.engine_logprobs).abs()[:own][batch.mask[:own]]
    return [float((gaps > limit).sum()), float(len(gaps))]
