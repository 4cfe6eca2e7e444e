"""How far two raters agree on satisfied and violated: counts, agreement, Cohen's kappa, intervals.

Only rows that both decided count; an unknown never agrees with anything, not even with another unknown.

Kappa = (p_o − p_e) / (1 − p_e), with p_o the share of agreements and p_e the share that raters with the same totals
would reach by chance (Cohen 1960). Its interval is the large-sample one of Fleiss, Cohen and Everitt (Psychological
Bulletin 72, 1969); below about 50 decided rows take it as an indication only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

SATISFIED, VIOLATED, UNKNOWN, NEUTRAL, MISSING = "satisfied", "violated", "unknown", "neutral", "missing"
ANSWERS = (SATISFIED, VIOLATED, UNKNOWN, NEUTRAL, MISSING)
"""What a rater may say of a row; `missing`: the row has no verdict of that judge, or no label."""

CONFIDENCE = 0.95
_DECIDED = (SATISFIED, VIOLATED)


@dataclass(slots=True)
class Agreement:
    """The table of two raters.

    Attributes:
        counts: number of rows by (answer of the first, answer of the second).
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        return self.counts.total()

    @property
    def decided(self) -> int:
        """Rows on which both said satisfied or violated."""
        return sum(self.counts[a, b] for a in _DECIDED for b in _DECIDED)

    @property
    def agreements(self) -> int:
        return self.counts[SATISFIED, SATISFIED] + self.counts[VIOLATED, VIOLATED]

    @property
    def rate(self) -> float | None:
        """Share of the decided rows with the same answer; None without such rows."""
        return self.agreements / self.decided if self.decided else None

    def rate_interval(self) -> tuple[float, float] | None:
        """Wilson's score interval of the rate."""
        return wilson(self.agreements, self.decided) if self.decided else None

    def kappa(self) -> float | None:
        """Cohen's kappa; None where chance alone would agree always (both raters gave one and the same answer)."""
        shares = self._shares()
        if shares is None:
            return None
        observed, chance = _observed(shares), _chance(shares)
        return None if chance == 1 else (observed - chance) / (1 - chance)

    def kappa_interval(self) -> tuple[float, float] | None:
        """The large-sample interval, within [−1, 1]; None where its standard error is 0, as at full agreement."""
        shares, kappa = self._shares(), self.kappa()
        if shares is None or kappa is None:
            return None
        half = _quantile() * _standard_error(shares, kappa, self.decided)
        return None if half == 0 else (max(-1.0, kappa - half), min(1.0, kappa + half))

    def as_json(self) -> dict[str, Any]:
        """Everything above as plain data."""
        return {
            "rows": self.rows,
            "decided": self.decided,
            "agreements": self.agreements,
            "agreement": self.rate,
            "agreement_interval": self.rate_interval(),
            "kappa": self.kappa(),
            "kappa_interval": self.kappa_interval(),
            "confusion": {a: {b: self.counts[a, b] for b in ANSWERS} for a in ANSWERS},
        }

    def _shares(self) -> Mapping[tuple[str, str], float] | None:
        n = self.decided
        return {(a, b): self.counts[a, b] / n for a in _DECIDED for b in _DECIDED} if n else None


def wilson(count: int, n: int) -> tuple[float, float]:
    """Wilson's score interval of count / n at CONFIDENCE; n is at least 1."""
    z = _quantile()
    p, scale = count / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (0.0 if count == 0 else centre - half, 1.0 if count == n else centre + half)


def _quantile() -> float:
    return NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def _observed(shares: Mapping[tuple[str, str], float]) -> float:
    return sum(shares[answer, answer] for answer in _DECIDED)


def _first(shares: Mapping[tuple[str, str], float], answer: str) -> float:
    return sum(shares[answer, other] for other in _DECIDED)


def _second(shares: Mapping[tuple[str, str], float], answer: str) -> float:
    return sum(shares[other, answer] for other in _DECIDED)


def _chance(shares: Mapping[tuple[str, str], float]) -> float:
    return sum(_first(shares, answer) * _second(shares, answer) for answer in _DECIDED)


def _standard_error(shares: Mapping[tuple[str, str], float], kappa: float, n: int) -> float:
    chance = _chance(shares)
    rest = 1 - kappa
    same = sum(shares[a, a] * (1 - (_first(shares, a) + _second(shares, a)) * rest) ** 2 for a in _DECIDED)
    other = sum(
        shares[a, b] * (_second(shares, a) + _first(shares, b)) ** 2 for a in _DECIDED for b in _DECIDED if a != b
    )
    variance = same + rest**2 * other - (kappa - chance * rest) ** 2
    if variance < 1e-15:  # 0 but for rounding
        return 0.0
    return math.sqrt(variance / n) / (1 - chance)
