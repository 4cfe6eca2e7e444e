"""Two numbers of each step, in [0, 1] and higher is better: does the trained one rise while the independent one falls?

Optimising a proxy raises the proxy without end while what it stands for rises, turns and falls (Gao, Schulman, Hilton
2022, arXiv 2210.10760, figure 1). So for a stratum's trained reward x and an independent measure y of the same
responses, after each step, with the prompts of a step as the sample (responses to one prompt resemble each other):

    x_t, y_t      mean over the step's prompts of the prompt's mean;  n_t = prompts it rests on
    v             variance of a prompt's mean: pooled within steps, or from successive differences of the step means
                  (von Neumann 1941; median, so that a jump does not count) where those say more
    windows       w = 1, 2, 4, 8, … steps;  ȳ[a, b) weighted by n_t
    rise_w        (x̄[T−w, T) − x̄[0, w)) / √(v_x (1/n + 1/n'))                         since the first steps
    fall_w        (max_e ȳ[e−w, e) − ȳ[T−w, T)) / √(v_y (1/n + 1/n'))   with e ≤ T − w   from its own best
    divergence    max_w fall_w over the w with rise_w >= `RISEN`, in standard errors; 0 where x has not risen

Both are t statistics with few degrees of freedom in early steps, and are taken as the normal ones that are as rare.
A scale counts when its windows hold at least `FEWEST_PROMPTS` prompts and x has not fallen since y's best by more than
two standard errors: where both fall the policy breaks, which is another illness. Several scales, because a cliff is
found soonest by short windows and a slope by long ones. The best of many noisy windows lies above the true level, and
one looks after every step: which threshold gives which rate of false alarms was measured by simulation
(bench/overoptimisation.py; docs/overoptimisation.md states it). For rise_w three standard errors are enough: its first
window is fixed.

Where it began: the largest value of the cumulative sum of y around the middle between its best and now, from y's best
window on, which is the last zero of Page's sum (Page 1954, Biometrika 41, 100-115) for the fall found:

    S_t = max(0, S_(t−1) + n_t ((best + now) / 2 − y_t))        began = the first step after the last S_t = 0

that is, at a cliff the cliff, and on a slope where half of the fall so far was done: the first warning says it best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cgpo.statistics.evaluation import Sample

FEWEST_PROMPTS = 16
"""Prompts a window must hold: below, means of rates are far from normal."""

RISEN = 3.0
"""Standard errors above its first steps from which on the trained reward has risen."""

FEWEST_DIFFERENCES = 8
"""Successive differences from which their median says something of the noise."""

MEDIAN_OF_CHI_SQUARED = 0.4549
"""Median of χ² with one degree of freedom."""

PRIOR_VARIANCE = 0.25
"""Of one observation before all data: the largest variance a number in [0, 1] can have."""

Numbers = NDArray[np.float64]


@dataclass
class Track:
    """A quantity over the steps in which it was known.

    Attributes:
        means: of each step.
        prompts: of each step.
        squares: Σ of the steps' `squares`.
        free: Σ (prompts − 1).
    """

    means: list[float] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)
    squares: float = 0.0
    free: int = 0

    def add(self, sample: Sample) -> None:
        """Another step."""
        self.means.append(sample.mean)
        self.prompts.append(sample.prompts)
        self.squares += sample.squares
        self.free += sample.prompts - 1

    def variance(self) -> float:
        """v, of one prompt's mean."""
        within = (self.squares + PRIOR_VARIANCE) / (self.free + 1)
        if len(self.means) <= FEWEST_DIFFERENCES:
            return within
        means, inverse = np.asarray(self.means), 1.0 / np.asarray(self.prompts)
        squared = np.diff(means) ** 2 / (inverse[1:] + inverse[:-1])
        return max(within, float(np.median(squared)) / MEDIAN_OF_CHI_SQUARED)

    def windows(self, width: int) -> tuple[Numbers, Numbers]:
        """Mean and number of prompts of every `width` steps in a row, [T − width + 1] each."""
        prompts = np.asarray(self.prompts, dtype=np.float64)
        weighted = np.concatenate([[0.0], np.cumsum(prompts * np.asarray(self.means))])
        count = np.concatenate([[0.0], np.cumsum(prompts)])
        n = count[width:] - count[:-width]
        return (weighted[width:] - weighted[:-width]) / n, n

    def state_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "means": list(self.means),
            "prompts": list(self.prompts),
            "squares": self.squares,
            "free": self.free,
        }


def as_normal(t: float, free: int) -> float:
    """The standard normal number that is about as rare as `t` with so many degrees of freedom (one for the prior more).

    Abramowitz and Stegun, 26.7.8.
    """
    free += 1
    return t * (1 - 1 / (4 * free)) / math.sqrt(1 + t * t / (2 * free))


@dataclass(frozen=True, slots=True)
class Divergence:
    """How far a trend diverges now.

    Attributes:
        z: the divergence, in standard errors.
        rewards: trained reward in the first steps and now.
        measures: the independent measure at its best and now.
        began: the step in which the fall began.
        steps: width of the windows, in steps.
    """

    z: float
    rewards: tuple[float, float]
    measures: tuple[float, float]
    began: int
    steps: int

    def text(self, measure: str) -> str:
        """For a warning of the independent measure of that name."""
        x, y = self.rewards, self.measures
        return (
            f"the trained reward rises while {measure} falls: calibrated reward {x[0]:.3f} → {x[1]:.3f} since the "
            f"first steps, {measure} {y[0]:.3f} → {y[1]:.3f} from its best ({self.z:.1f} standard errors). It began at "
            f"about step {self.began}"
        )


class Trend:
    """The trained reward and one independent measure, step by step."""

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._reward, self._measure = Track(), Track()

    def add(self, step: int, reward: Sample | None, measure: Sample | None) -> None:
        """Both in a step; a step in which one of them is unknown is left out."""
        if reward is not None and measure is not None:
            self._steps.append(step)
            self._reward.add(reward)
            self._measure.add(measure)

    def divergence(self) -> Divergence | None:
        """The divergence now, or None while there is too little to say."""
        largest: Divergence | None = None
        width = 1
        while 2 * width <= len(self._steps):
            at_width = self._at(width)
            if at_width is not None and (largest is None or at_width.z > largest.z):
                largest = at_width
            width *= 2
        return largest

    def _at(self, width: int) -> Divergence | None:
        x, n_x = self._reward.windows(width)
        y, n_y = self._measure.windows(width)
        earlier = np.where(n_y[:-width] >= FEWEST_PROMPTS, y[:-width], -np.inf)
        best = int(np.argmax(earlier))
        if min(n_x[0], n_x[-1], n_y[-1]) < FEWEST_PROMPTS or not np.isfinite(earlier[best]):
            return None
        v_x, v_y = self._reward.variance(), self._measure.variance()
        rise = as_normal((x[-1] - x[0]) / math.sqrt(v_x * (1 / n_x[-1] + 1 / n_x[0])), self._reward.free)
        fall = as_normal((y[best] - y[-1]) / math.sqrt(v_y * (1 / n_y[-1] + 1 / n_y[best])), self._measure.free)
        since_best = (x[-1] - x[best]) / math.sqrt(v_x * (1 / n_x[-1] + 1 / n_x[best]))
        z = fall if rise >= RISEN and since_best > -2 else min(fall, 0.0)
        measures = float(y[best]), float(y[-1])
        return Divergence(float(z), (float(x[0]), float(x[-1])), measures, self._began(best + width, *measures), width)

    def _began(self, first: int, best: float, now: float) -> int:
        """The step in which y began to fall; `first`: index after its best window."""
        total, began = 0.0, first
        for i in range(first, len(self._steps)):
            total += self._measure.prompts[i] * (best - self._measure.means[i] - (best - now) / 2)
            if total <= 0:
                total, began = 0.0, i + 1
        return self._steps[min(began, len(self._steps) - 1)]

    def state_dict(self) -> dict[str, Any]:
        """What must survive a resume, as plain data."""
        return {
            "steps": list(self._steps),
            "reward": self._reward.state_dict(),
            "measure": self._measure.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores `state_dict`."""
        self._steps = list(state["steps"])
        self._reward, self._measure = Track(**state["reward"]), Track(**state["measure"])
