"""The pairs of `cgpo preferences`: of each prompt those that ranking its responses gives, with their provenance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cgpo.config import RunSettings
from cgpo.pairs.cleaning import clean_pairs
from cgpo.pairs.pair import JUDGED, PreferencePair
from cgpo.pairs.ranking import JUDGES, REWARD, Decision, rank_prompt
from cgpo.pairs.response_file import SampledResponse
from judges import Outcome

BY_REWARD = "reward"
"""Kind of the pairs that a reward decided; the others are `judged`."""


@dataclass
class StratumCounts:
    """A stratum's prompts and responses, and how many of them gave pairs."""

    prompts: int = 0
    responses: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    missing_scores: int = 0
    without_pair: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """The counts as a report has them."""
        return {
            "prompts": self.prompts,
            "responses": self.responses,
            "outcomes": {
                o.value: self.outcomes[o.value] for o in (Outcome.SATISFIED, Outcome.VIOLATED, Outcome.UNKNOWN)
            },
            "missing_scores": self.missing_scores,
            "prompts_without_pair": dict(sorted(self.without_pair.items())),
            "pairs": dict(sorted(self.pairs.items())),
        }


@dataclass(frozen=True)
class RankedPairs:
    """The pairs of a command.

    Attributes:
        pairs: in the order of the prompts.
        counts: by stratum.
        duplicates: pairs left out because the same one was there already.
        contradictions: pairs left out because the same two texts were ranked both ways.
    """

    pairs: list[PreferencePair]
    counts: dict[str, StratumCounts]
    duplicates: int
    contradictions: int


def ranked_pairs(responses: Sequence[SampledResponse], settings: RunSettings) -> RankedPairs:
    """Ranks the responses of every prompt and makes pairs of them.

    Args:
        responses: all of them.
        settings: the run's, with the model that was sampled from.
    """
    preferences = settings.preferences
    by_prompt: dict[tuple[str, str], list[SampledResponse]] = defaultdict(list)
    for response in responses:
        by_prompt[response.stratum, response.prompt_id].append(response)
    counts: dict[str, StratumCounts] = defaultdict(StratumCounts)
    pairs: list[PreferencePair] = []
    for (stratum, _), of_prompt in by_prompt.items():
        ordered = sorted(of_prompt, key=lambda r: r.index)
        decisions, reason = rank_prompt(ordered, preferences, settings.seed)
        of_stratum = counts[stratum]
        of_stratum.prompts += 1
        of_stratum.responses += len(ordered)
        of_stratum.outcomes.update(r.outcome.value for r in ordered)
        of_stratum.missing_scores += sum(r.reward is None for r in ordered) if REWARD in preferences.rank_by else 0
        if reason is not None:
            of_stratum.without_pair[reason] += 1
        pairs += [_pair(decision, settings) for decision in decisions]
    cleaned = clean_pairs(pairs)
    for pair in cleaned.pairs:
        counts[pair.stratum].pairs[pair.kind] += 1
    return RankedPairs(cleaned.pairs, dict(counts), cleaned.duplicates, cleaned.contradictions)


def _pair(decision: Decision, settings: RunSettings) -> PreferencePair:
    chosen, rejected = decision.chosen, decision.rejected
    return PreferencePair(
        prompt=chosen.prompt,
        chosen=chosen.response,
        rejected=rejected.response,
        kind=JUDGED if decision.by == JUDGES else BY_REWARD,
        stratum=chosen.stratum,
        prompt_id=chosen.prompt_id,
        # A negative difference is no margin: the judges have outvoted the reward.
        margin=max(0.0, decision.difference or 0.0),
        provenance=_provenance(decision, settings),
    )


def _provenance(decision: Decision, settings: RunSettings) -> dict[str, Any]:
    sampling = settings.strata[decision.chosen.stratum].sampling
    temperature = settings.preferences.temperature
    used = sampling if temperature is None else sampling.model_copy(update={"temperature": temperature})
    sides = {"chosen": decision.chosen, "rejected": decision.rejected}
    return {
        "model": settings.model.name,
        "revision": settings.model.revision,
        "engine": settings.rollout.engine,
        "sampling": used.model_dump(mode="json", exclude={"allow"}),
        "run_seed": settings.seed,
        "decided_by": decision.by,
        "difference": decision.difference,
        **{name: _side(side) for name, side in sides.items()},
    }


def _side(response: SampledResponse) -> dict[str, Any]:
    return {
        "index": response.index,
        "seed": response.seed,
        "tokens": response.tokens,
        "finish_reason": response.finish_reason,
        "outcome": response.outcome.value,
        "verdicts": {name: dict(verdict) for name, verdict in response.verdicts.items()},
        "rewards": dict(response.rewards),
        "reward": response.reward,
    }
