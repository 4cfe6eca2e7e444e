"""Ranking of a prompt's responses: which of two is the better one, by whom, and which pairs are taken.

The criteria of `preferences.rank_by` come in their order; the first one that decides, decides.

    judges    satisfied over violated; if the outcome of either is unknown there is no pair, whatever the others say
    reward    the higher Σ w·r of the stratum, if they differ by `min_reward_difference` or more; if either is missing
              there is no pair

Unknown is not the worst: it is neither chosen nor rejected. With `best_worst`, judges first and rewards known, the pair
of a prompt is CODPO's: the highest reward among the satisfied over the lowest among the violated or, where none is, of
the satisfied.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cgpo.config import PreferencesSettings
from cgpo.pairs.response_file import SampledResponse
from judges import Outcome

JUDGES = "judges"
REWARD = "reward"

NoPair = Literal["same text", "unknown", "missing score", "none satisfied", "tie"]
"""Why a prompt gave no pair: its responses are all one text; fewer than two have a known outcome; or fewer than two a
score where nothing else tells them apart; all are violated, and those are not chosen; nothing decides."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One response over another.

    Attributes:
        chosen: the better one.
        rejected: the worse one.
        by: `judges` or `reward`.
        rank: place of `by` among the criteria, 0 for the first.
        difference: reward of the chosen minus that of the rejected one; None where either is missing.
    """

    chosen: SampledResponse
    rejected: SampledResponse
    by: Literal["judges", "reward"]
    rank: int
    difference: float | None

    @property
    def order(self) -> tuple[float, ...]:
        """Most decided first: the first criterion before the second, then the largest difference, then as sampled."""
        difference = 0.0 if self.difference is None else self.difference
        return self.rank, -difference, self.chosen.index, self.rejected.index


def decide(one: SampledResponse, other: SampledResponse, settings: PreferencesSettings) -> Decision | None:
    """The better of two responses to one prompt over the other; None where nothing decides."""
    if JUDGES in settings.rank_by and Outcome.UNKNOWN in (one.outcome, other.outcome):
        return None
    for rank, criterion in enumerate(settings.rank_by):
        if criterion == REWARD and difference(one, other) is None:
            return None
        better = _CRITERIA[criterion](one, other, settings)
        if better is None:
            continue
        worse = other if better is one else one
        if JUDGES in settings.rank_by and settings.chosen_must_satisfy and better.outcome is not Outcome.SATISFIED:
            return None
        return Decision(better, worse, criterion, rank, difference(better, worse))
    return None


def difference(one: SampledResponse, other: SampledResponse) -> float | None:
    """r(one) − r(other), or None where a score is missing."""
    if one.reward is None or other.reward is None:
        return None
    return one.reward - other.reward


def _by_judges(one: SampledResponse, other: SampledResponse, settings: PreferencesSettings) -> SampledResponse | None:
    if one.outcome is other.outcome:
        return None
    return one if one.outcome is Outcome.SATISFIED else other


def _by_reward(one: SampledResponse, other: SampledResponse, settings: PreferencesSettings) -> SampledResponse | None:
    lead = difference(one, other) or 0.0
    if lead == 0 or abs(lead) < settings.min_reward_difference:
        return None
    return one if lead > 0 else other


_CRITERIA = {JUDGES: _by_judges, REWARD: _by_reward}


def rank_prompt(
    responses: Sequence[SampledResponse], settings: PreferencesSettings, seed: int
) -> tuple[list[Decision], NoPair | None]:
    """The pairs of one prompt, or why there are none.

    Args:
        responses: all that were sampled for it, in the order of their index.
        settings: how to rank and what to keep.
        seed: of the run, for `best_random`.
    """
    distinct: dict[str, SampledResponse] = {}
    for response in responses:
        distinct.setdefault(" ".join(response.response.split()), response)
    texts = list(distinct.values())
    couples = [(a, b) for i, a in enumerate(texts) for b in texts[i + 1 :]]
    decided = sorted((d for a, b in couples if (d := decide(a, b, settings))), key=lambda d: d.order)
    if not decided:
        return [], _reason(texts, settings)
    if settings.pairs_per_prompt == "all":
        return decided[: settings.max_pairs_per_prompt], None
    best = decided[0]
    if settings.pairs_per_prompt == "best_random":
        rng = random.Random(f"preferences:{seed}:{best.chosen.stratum}:{best.chosen.prompt_id}")
        return [rng.choice([d for d in decided if d.chosen is best.chosen])], None
    return [best], None


def _reason(texts: Sequence[SampledResponse], settings: PreferencesSettings) -> NoPair:
    if len(texts) < 2:
        return "same text"
    known = [t for t in texts if t.outcome is not Outcome.UNKNOWN] if JUDGES in settings.rank_by else list(texts)
    if len(known) < 2:
        return "unknown"
    must_satisfy = JUDGES in settings.rank_by and settings.chosen_must_satisfy
    if must_satisfy and all(t.outcome is not Outcome.SATISFIED for t in known):
        return "none satisfied"
    if REWARD in settings.rank_by and sum(t.reward is not None for t in known) < 2:
        return "missing score"
    return "tie"
