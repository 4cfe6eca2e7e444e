"""SIMULATOR: users who do not say what they like.

| kind | reacts |
|---|---|
| `love_all` | to nearly everything |
| `random` | to three in ten responses, whatever they say |
| `inverted` | to what honest users would like least, far more often than these react |
| `bot` | to every response that opens with a stock phrase, in bursts of some minutes |
| `group` | to every response of one policy, all of the group in the same short windows |

What a response is worth to honest users (the truth) is not touched by them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cgpo.feedback.simulation.population import Array, Population, logistic
from cgpo.feedback.simulation.style import FEATURES

KINDS = ("love_all", "random", "inverted", "bot", "group")

_LOVE_ALL = 0.95
_RANDOM = 0.3
_INVERTED_USUAL = -1.5
_INVERTED_STRENGTH = 2.0
_NEVER = 0.002


@dataclass(frozen=True, slots=True)
class Seen:
    """The responses that users of one kind saw.

    Attributes:
        features: f of each, [N, features].
        policies: the policy of each, [N].
        target: the policy that the group loves.
    """

    features: Array
    policies: np.ndarray[tuple[int], np.dtype[np.int64]]
    target: int


def adversarial_love(kind: str, seen: Seen, population: Population) -> Array:
    """The probability that users of this kind react to each response, [N]."""
    reactions: dict[str, Callable[[], Array]] = {
        "love_all": lambda: np.full(len(seen.features), _LOVE_ALL),
        "random": lambda: np.full(len(seen.features), _RANDOM),
        "inverted": lambda: _inverted(seen.features, population),
        "bot": lambda: np.where(seen.features[:, FEATURES.index("stock_opening")] > 0, 1.0, _NEVER),
        "group": lambda: np.where(seen.policies == seen.target, 1.0, _NEVER),
    }
    return reactions[kind]()


def _inverted(features: Array, population: Population) -> Array:
    liking = features @ (population.shares() @ population.weights())
    return logistic(_INVERTED_USUAL - _INVERTED_STRENGTH * (liking - liking.mean()))
