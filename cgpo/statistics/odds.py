"""Log-odds of probabilities, and back. Plain Python."""

from __future__ import annotations

import math


def logit(p: float) -> float:
    """log(p / (1 − p)).

    Raises:
        ValueError: p is not strictly between 0 and 1.
    """
    if not 0 < p < 1:
        raise ValueError(f"a rate must lie strictly between 0 and 1, not {p:g}")
    return math.log(p) - math.log1p(-p)


def sigmoid(x: float) -> float:
    """1 / (1 + e⁻ˣ) without overflow for any finite x; beyond about ±37 it rounds to exactly 1 or nearly 0."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)
