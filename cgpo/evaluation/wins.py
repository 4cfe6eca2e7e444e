"""Wins against the reference: does a response win over π_ref's response to the same prompt?

By reward: a wins over a_ref when Σ_k w_k · (sigmoid(r_k(s, a) − r_k(s, a_ref)) − 1/2) > 0, the calibrated reward with
the reference's response in place of the baseline; with one reward model that is r(s, a) > r(s, a_ref). By a preference
judge: when its score is above 0. 1 is a win, 0.5 a tie, 0 a loss; equal texts are a tie, whatever rounding makes of
their scores. A comparison that could not be made is None: neither a win nor a loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from cgpo.rewards.calibration import finite
from cgpo.tracking.rollouts import RolloutRow
from judges import Outcome, Verdict

TIE = 0.5


def reward_win(row: RolloutRow, reference: RolloutRow, weights: Mapping[str, float]) -> float | None:
    """1, 0.5 or 0, or None when a reward with a positive weight is missing on either side.

    Args:
        row: the response.
        reference: π_ref's response to the same prompt.
        weights: w_k ≥ 0 by reward name.
    """
    if row.response == reference.response:
        return TIE
    total = 0.0
    for name, weight in weights.items():
        if weight == 0:
            continue
        score, other = finite(row.rewards.get(name)), finite(reference.rewards.get(name))
        if score is None or other is None:
            return None
        total += weight * math.tanh((score / 2) - (other / 2))  # 2 · sigmoid(x) − 1 = tanh(x / 2)
    return _sign(total)


def preference_win(verdict: Verdict | None) -> float | None:
    """1, 0.5 or 0 by the sign of the judge's score, by its verdict where it gives no score; None when unknown."""
    if verdict is None or verdict.outcome not in (Outcome.SATISFIED, Outcome.VIOLATED):
        return None
    if verdict.score is not None:
        return _sign(verdict.score)
    return 1.0 if verdict.outcome is Outcome.SATISFIED else 0.0


def _sign(value: float) -> float:
    return TIE if value == 0 else float(value > 0)
