"""Is it length that the reward pays for?

Reward models often prefer what is longer, and a policy finds that out before anything else (Singhal et al. 2023, "A
Long Way to Go", arXiv 2310.03716). Within the prompts of a step, so that prompts that want long answers do not count,

    l_i, r_i      tokens and calibrated reward of a response, each minus the mean of its prompt's responses
    b, ρ          Σ l r / Σ l²  and  Σ l r / √(Σ l² Σ r²)       over the last `WINDOW` steps
    explained     b · (growth of the mean length) / (growth of the mean reward),   last steps against first

It is said that length explains the reward when both have grown significantly (as `cgpo.overoptimisation.trend` counts
standard errors), ρ is significantly positive, and `explained` is at least a half. A prompt with one response says
nothing of b. What is explained in this sense need not be caused by length: better answers may be longer ones.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cgpo.overoptimisation.trend import FEWEST_PROMPTS, Track, as_normal
from cgpo.statistics.evaluation import Sample
from cgpo.storage.text import percent

WINDOW = 10
"""Steps at the end that are compared with as many at the start."""

WORTH_SAYING = 0.5
"""Share of the reward's growth, explained by length, from which on it is said."""

FEWEST_FREE = 20
"""Responses beyond one a prompt from which a correlation says something."""

SURE = 3.0
"""Standard errors that the correlation must lie above zero."""


@dataclass(frozen=True, slots=True)
class Products:
    """Sums over responses of products of deviations from the prompt's means: length², reward², length × reward.

    `free` counts the responses beyond one a prompt.
    """

    ll: float = 0.0
    rr: float = 0.0
    lr: float = 0.0
    free: int = 0

    @classmethod
    def of(cls, groups: Sequence[Sequence[tuple[float, float]]]) -> Products:
        """From the (length, reward) of each prompt's responses."""
        products = cls()
        for group in groups:
            lengths, rewards = zip(*group, strict=True)
            mean_l, mean_r = math.fsum(lengths) / len(group), math.fsum(rewards) / len(group)
            deviations = [(length - mean_l, reward - mean_r) for length, reward in group]
            products += cls(
                math.fsum(a * a for a, _ in deviations),
                math.fsum(b * b for _, b in deviations),
                math.fsum(a * b for a, b in deviations),
                len(group) - 1,
            )
        return products

    def __add__(self, other: Products) -> Products:
        return Products(self.ll + other.ll, self.rr + other.rr, self.lr + other.lr, self.free + other.free)

    @property
    def correlation(self) -> float | None:
        """ρ, or None where lengths or rewards do not differ within any prompt."""
        scale = math.sqrt(self.ll) * math.sqrt(self.rr)
        return self.lr / scale if scale > 0 else None

    @property
    def z(self) -> float:
        """ρ in standard errors: the t statistic of a correlation."""
        rho = self.correlation
        if rho is None or self.free < 2:
            return 0.0
        return rho * math.sqrt((self.free - 1) / max(1 - rho * rho, 1e-12))


@dataclass(frozen=True, slots=True)
class Explained:
    """How far growth in length explains growth in reward.

    Attributes:
        share: of the reward's growth; may exceed 1, where something else worked against it.
        z: how significant both growths are, in standard errors: the smaller.
        correlation: of length and reward within prompts, in the last steps.
        sure: that correlation is significantly positive.
        rewards: mean in the first steps and now.
        lengths: mean tokens in the first steps and now.
    """

    share: float
    z: float
    correlation: float
    sure: bool
    rewards: tuple[float, float]
    lengths: tuple[float, float]

    def worth_saying(self, warn_z: float) -> bool:
        """Whether length explains the reward."""
        return self.z >= warn_z and self.sure and self.share >= WORTH_SAYING

    @property
    def text(self) -> str:
        """For a warning."""
        x, length = self.rewards, self.lengths
        return (
            f"length explains {percent(self.share)} of the reward's growth: calibrated reward {x[0]:.3f} → {x[1]:.3f}, "
            f"mean length {length[0]:.0f} → {length[1]:.0f} tokens since the first steps, correlation within prompts "
            f"{self.correlation:.2f}"
        )


class LengthTrend:
    """Lengths and rewards of a stratum's responses, step by step."""

    def __init__(self) -> None:
        self._reward, self._length = Track(), Track()
        self._products: deque[Products] = deque(maxlen=WINDOW)

    def add(self, groups: Sequence[Sequence[tuple[float, float]]]) -> float | None:
        """A step's (tokens, calibrated reward) of each prompt's responses; returns their correlation within prompts."""
        groups = [group for group in groups if group]
        reward = Sample.of([math.fsum(r for _, r in group) / len(group) for group in groups])
        length = Sample.of([math.fsum(n for n, _ in group) / len(group) for group in groups])
        products = Products.of(groups)
        if reward is not None and length is not None:
            self._reward.add(reward)
            self._length.add(length)
            self._products.append(products)
        return products.correlation

    def explained(self) -> Explained | None:
        """The reward's growth that length explains now, or None while there is too little to say."""
        width = min(WINDOW, len(self._reward.means) // 2)
        products = sum(self._products, Products())
        rho = products.correlation
        if width == 0 or rho is None or products.free < FEWEST_FREE:
            return None
        (reward, n), (length, _) = self._reward.windows(width), self._length.windows(width)
        if min(n[0], n[-1]) < FEWEST_PROMPTS:
            return None
        spread = math.sqrt(1 / n[0] + 1 / n[-1])
        more_reward, more_length = float(reward[-1] - reward[0]), float(length[-1] - length[0])
        z = min(
            as_normal(more_reward / math.sqrt(self._reward.variance()) / spread, self._reward.free),
            as_normal(more_length / math.sqrt(self._length.variance()) / spread, self._length.free),
        )
        share = products.lr / products.ll * more_length / more_reward if more_reward else 0.0
        rewards, lengths = (float(reward[0]), float(reward[-1])), (float(length[0]), float(length[-1]))
        return Explained(share, z, rho, products.z >= SURE, rewards, lengths)

    def state_dict(self) -> dict[str, Any]:
        """What must survive a resume, as plain data."""
        return {
            "reward": self._reward.state_dict(),
            "length": self._length.state_dict(),
            "products": [[p.ll, p.rr, p.lr, p.free] for p in self._products],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores `state_dict`."""
        self._reward, self._length = Track(**state["reward"]), Track(**state["length"])
        self._products = deque((Products(*numbers) for numbers in state["products"]), maxlen=WINDOW)
