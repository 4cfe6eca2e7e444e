"""The calibrated reward of CGPO (arXiv 2409.20370, equation 5) and what happens when a score is missing.

    R_calib(s, a) = Σ_k w_k · sigmoid(r_k(s, a) − r_k(s, ā)) / Σ_k w_k          in (0, 1), 0.5 at r(s, a) = r(s, ā)

`ā` is the prompt's baseline response. Each difference passes through the sigmoid before it is weighted, so that a
reward model with a larger scale cannot drown the others and the result is never negative: a negative reward would make
a violation, which counts 0, look better than obeying. Plain Python: the numbers are few, and no reward needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from cgpo.errors import LimitError
from cgpo.statistics.odds import sigmoid

Scores = Mapping[str, float | None]
"""Raw reward by reward name; None where scoring failed."""


def finite(score: float | None) -> float | None:
    """The score, or None when it is missing, NaN or infinite."""
    return score if score is not None and math.isfinite(score) else None


def calibrate(rewards: Scores, baseline: Scores, weights: Mapping[str, float]) -> float | None:
    """R_calib of one response (equation 5, weighted over reward models).

    Args:
        rewards: r_k(s, a) by name.
        baseline: r_k(s, ā) by name.
        weights: w_k ≥ 0 by name, not all 0; a reward with weight 0 is not looked at.

    Returns:
        A number in (0, 1), or None when a part with positive weight is missing or not finite: unknown is no number.

    Raises:
        ValueError: a weight is negative or not finite, or none is positive.
    """
    used = _positive(weights)
    total = 0.0
    for name, weight in used.items():
        score, reference = finite(rewards.get(name)), finite(baseline.get(name))
        if score is None or reference is None:
            return None
        total += weight * sigmoid(_difference(score, reference))
    return total / math.fsum(used.values())


def ranking_reward(rewards: Scores, weights: Mapping[str, float]) -> float | None:
    """Σ_k w_k · r_k(s, a), raw: only to rank responses of one prompt, or as the reward of an uncalibrated baseline.

    Returns:
        The sum, or None when a part with positive weight is missing or not finite.

    Raises:
        ValueError: as `calibrate`.
    """
    total = 0.0
    for name, weight in _positive(weights).items():
        score = finite(rewards.get(name))
        if score is None:
            return None
        total += weight * score
    return finite(total)


def _positive(weights: Mapping[str, float]) -> dict[str, float]:
    bad = {name: weight for name, weight in weights.items() if not (math.isfinite(weight) and weight >= 0)}
    if bad:
        raise ValueError(f"reward weights must be finite and at least 0, not {bad}")
    used = {name: weight for name, weight in weights.items() if weight > 0}
    if not used:
        raise ValueError("no reward has a positive weight")
    return used


def _difference(score: float, reference: float) -> float:
    # Two finite scores near ±1e308 can differ by more than a float holds; the sigmoid is 0 or 1 there all the same.
    return max(-1e308, min(1e308, score - reference))


def check_missing(
    counts: Mapping[str, tuple[int, int]],
    limits: Mapping[str, float],
    when: str,
    reasons: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Stops the run when too many scores of a reward are missing.

    Args:
        counts: reward name → (missing, all).
        limits: reward name → `max_missing_rate`, in [0, 1].
        when: for the message, e.g. `step 12`.
        reasons: reward name → why responses have no score, as far as the reward says.

    Raises:
        LimitError: the share of missing scores of a reward is above its limit.
    """
    for name, (missing, scored) in counts.items():
        limit = limits[name]
        if scored and missing / scored > limit:
            why = reasons.get(name) or "it is the baseline responses whose scores are missing"
            raise LimitError(
                f"{when}: reward {name!r} gave no finite score for {missing} of {scored} responses or their baselines "
                f"({100 * missing / scored:.0f} %; the limit rewards.{name}.max_missing_rate is {100 * limit:g} %). "
                f"The commonest reason: {why}"
            )
