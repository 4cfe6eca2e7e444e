"""Responses of simulated strata, as a run records them."""

from __future__ import annotations

import random
from collections.abc import Mapping

from cgpo.tracking.rollouts import RolloutRow
from judges import Outcome, Verdict

SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "xu"]
WORDS = [start + end for start in SYLLABLES for end in ("lan", "mor", "nis", "tek", "vul")]


def talk(rng: random.Random, prompt: int, length: int = 30) -> str:
    """Words of any topic, some of them often, and a few of the prompt's own."""
    found = [WORDS[min(int(rng.expovariate(0.05)), len(WORDS) - 1)] for _ in range(length)]
    for _ in range(3):
        found[rng.randrange(length)] = f"topic{prompt}"
    return " ".join(found).capitalize() + "."


def row(
    prompt: int,
    index: int,
    response: str,
    *,
    asked: str = "",
    stratum: str = "chat",
    reward: float | None = 0.5,
    outcome: Outcome = Outcome.SATISFIED,
    rewards: Mapping[str, float | None] | None = None,
    probes: Mapping[str, Verdict] | None = None,
    verdicts: Mapping[str, Verdict] | None = None,
) -> RolloutRow:
    """One response."""
    return RolloutRow(
        stratum=stratum,
        prompt_id=f"p{prompt}",
        prompt=asked,
        messages=({"role": "user", "content": asked},),
        index=index,
        seed=0,
        response=response,
        finish_reason="stop",
        response_tokens=len(response.split()),
        outcome=outcome,
        verdicts=verdicts or {},
        rewards=rewards or {},
        baseline_rewards=dict.fromkeys(rewards or {}, 0.0),
        calibrated_reward=reward,
        probes=probes or {},
    )
