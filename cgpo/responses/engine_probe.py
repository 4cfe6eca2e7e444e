"""The check after every weight sync: do engine and policy give fixed tokens the same log-probs?

A weight that did not arrive, or arrived in the wrong place, shows here before anything is sampled with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.policy.layout import TokenSequence
from cgpo.policy.policy import ScoringModel
from cgpo.responses.stratum import Stratum
from cgpo.rollout.engine import RolloutEngine
from cgpo.rollout.parity import Gap, GapLimits, check_gap, gap_over_ranks, measure_gap


class EngineProbe:
    """Fixed tokens on which engine and policy are compared: prompts, whose second half is scored given the first.

    Args:
        strata: prompts are taken from; of the first `count` of each, put one after the other, every L-th of L strata.
        count: how many prompts.
        limits: of the gap.
    """

    def __init__(self, strata: Mapping[str, Stratum], count: int, limits: GapLimits) -> None:
        prompts = [ids for stratum in strata.values() for _, ids in list(stratum.prompts.values())[:count]]
        chosen = prompts[:: max(1, len(strata))][:count]
        self.sequences = [TokenSequence(ids[: len(ids) // 2], ids[len(ids) // 2 :]) for ids in chosen]
        self.limits = limits
        self._started = False

    def check(self, engine: RolloutEngine, model: ScoringModel, when: str) -> Gap:
        """Measures the gap over all ranks' tokens. Every rank must call it.

        Args:
            engine: holds the weights, if they arrived.
            model: the weights that were pushed.
            when: for the message, e.g. "after the weights were pushed to the rollout engine".

        Raises:
            RunError: the mean gap is above the limit: the engine samples from another model.
        """
        ours = [logprobs.tolist() for logprobs in model.token_logprobs(self.sequences, 1.0)]
        with distributed.together():
            theirs = engine.score([(s.prompt_ids, s.response_ids) for s in self.sequences])
            gap = gap_over_ranks(measure_gap(theirs, ours))
        if not self._started:
            self.limits.start(gap)
            self._started = True
        check_gap(gap, self.limits.mean, when)
        return gap


def gap_limits(settings: RunSettings) -> GapLimits:
    """What the gap of a run may be."""
    rollout = settings.rollout
    sixteen = settings.model.dtype != "float32" or rollout.vllm.dtype in ("bfloat16", "float16")
    return GapLimits(rollout.max_logprob_gap, rollout.max_logprob_gap_quantile, rounds=sixteen)
