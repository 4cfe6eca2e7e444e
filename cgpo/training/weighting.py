"""Automatic weights of the strata: ρ of the one that lags is raised (we choose; the paper has fixed ρ only).

With s_l the satisfied rate of stratum l over a step's known responses, in every step the stratum takes part in:

    m_l ← decay · m_l + (1 − decay) · s_l                    the first known rate starts it
    satisfied_rate:  lag_l = mean_j m_j − m_l
    improvement:     i_l   = m_l − (m_l `window` of its steps ago)
                     lag_l = (1 − m_l) · (mean_j i_j − i_l)          what cannot rise further does not lag
    factor_l = clip(c · exp(strength · lag_l), min_factor, max_factor)

with c such that Σ_l ρ_l · factor_l = Σ_l ρ_l over the strata of the step: the factors average 1 (weighted by ρ), so the
whole gradient keeps its scale and only its shares move. The exponential form is that of multiplicative weights and of
DoReMi's domain weights (arXiv 2305.10429), with satisfied rates in place of excess losses. A stratum of which too
little is known has lag 0 and does not enter the means; an unknown rate (no known verdict) leaves the state alone.

The factors of a step follow from the steps before it, so that all of a step's strata can be learnt in any order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cgpo.config import WeightingSettings


class Weighting:
    """What is known of the strata's satisfied rates, and the factors that follow. No torch, no clock, no chance."""

    def __init__(self, settings: WeightingSettings) -> None:
        self._settings = settings
        self._means: dict[str, list[float]] = {}

    @property
    def on(self) -> bool:
        """Whether ρ is changed at all."""
        return self._settings.method != "none"

    def observe(self, rates: Mapping[str, float | None]) -> None:
        """A step's satisfied rates, stratum name → rate in [0, 1]; None where no verdict was known."""
        if not self.on:
            return
        for name, rate in rates.items():
            if rate is None:
                continue
            past = self._means.setdefault(name, [])
            decay = self._settings.decay
            past.append(decay * past[-1] + (1 - decay) * rate if past else rate)
            del past[: -(self._settings.window + 1)]

    def factors(self, weights: Mapping[str, float]) -> dict[str, float]:
        """The factor on each ρ of the strata in `weights` (name → ρ), those of the coming step."""
        if not self.on:
            return dict.fromkeys(weights, 1.0)
        lags = self._lags(weights)
        logs = {name: self._settings.strength * lags.get(name, 0.0) for name in weights}
        return factors_with_mean_one(logs, weights, self._settings.min_factor, self._settings.max_factor)

    def state_dict(self) -> dict[str, Any]:
        """What must survive a resume: the exponential means of the last steps, oldest first."""
        return {"means": {name: list(past) for name, past in self._means.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores `state_dict`."""
        self._means = {name: list(past) for name, past in state["means"].items()}

    def _lags(self, names: Mapping[str, float]) -> dict[str, float]:
        known = {name: self._means[name] for name in names if self._means.get(name)}
        if self._settings.method == "satisfied_rate":
            levels = {name: past[-1] for name, past in known.items()}
            return {name: _mean(levels) - level for name, level in levels.items()}
        window = self._settings.window
        gains = {name: past[-1] - past[-1 - window] for name, past in known.items() if len(past) > window}
        return {name: (1 - known[name][-1]) * (_mean(gains) - gain) for name, gain in gains.items()}


def factors_with_mean_one(
    logs: Mapping[str, float], weights: Mapping[str, float], least: float, largest: float
) -> dict[str, float]:
    """clip(c · exp(log), least, largest) with the c at which the ρ-weighted mean is 1; `least` ≤ 1 ≤ `largest`."""

    def clipped(log_scale: float) -> dict[str, float]:
        bounds = math.log(least), math.log(largest)
        return {name: math.exp(min(max(log_scale + value, bounds[0]), bounds[1])) for name, value in logs.items()}

    total = sum(weights.values())
    if total == 0:
        return dict.fromkeys(weights, 1.0)
    # The mean grows with c: at the smallest c every factor is `least` ≤ 1, at the largest `largest` ≥ 1.
    low = math.log(least) - max(logs.values())
    high = math.log(largest) - min(logs.values())
    for _ in range(100):  # the bounds differ by a few nats: they meet after about sixty
        middle = (low + high) / 2
        factors = clipped(middle)
        if sum(weights[name] * factor for name, factor in factors.items()) < total:
            low = middle
        else:
            high = middle
    return clipped(high)


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)
