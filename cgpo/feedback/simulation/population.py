"""SIMULATOR: a population with hidden tastes, and the true probability of its love.

    Pr(love | user u, day d, turn t, response x) = sigmoid(b + h_k + (w_k + δ_u)·f(x) + p_t + m_ud)

    k      the user's segment, chosen with its share π_k; w_k its taste, one weight a feature (`style.py`);
           h_k its habit: how readily it reacts at all
    δ_u    the user's own deviation, N(0, τ² I); p_t = −slope · (t − 1): reactions get rarer late in a conversation
    t      the turn of the response, geometric on 1 … TURNS, ρ_t; hidden from the model: position noise
    m_ud   the user's mood that day, N(0, σ²): mood noise

What is true of a text is the expectation over users, turns and moods. δ_u·f + m is normal with the variance
s² = τ²‖f‖² + σ², which leaves one integral, by Gauss–Hermite quadrature (20 points, exact to 1e-9 here):

    P[love | x] = Σ_k π_k Σ_t ρ_t E_z sigmoid(b + h_k + w_k·f(x) + p_t + s(x)·z),   z ~ N(0, 1)

The intercept b is solved for, so that the mean over given texts is the wanted base rate.

Adversarial users do not say what they like; they leave the truth, what a response is worth to honest users, as it is.

| kind | reacts |
|---|---|
| `love_all` | to nearly everything |
| `random` | to three in ten responses, whatever they say |
| `inverted` | to what honest users would like least, far more often than these react |
| `bot` | to every response that opens with a stock phrase, in bursts of some minutes |
| `group` | to every response of one policy, all of the group in the same short windows |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cgpo.errors import DataError
from cgpo.feedback.simulation.style import FEATURES, style
from cgpo.statistics.odds import logit
from cgpo.storage.disk import write_atomically

SCHEMA = 1
TURNS = 8
_POINTS = 20
_CHUNK = 4096
_STEP = 1e-10
_MAX_STEPS = 200

Array = NDArray[np.float64]

KINDS = ("love_all", "random", "inverted", "bot", "group")
_LOVE_ALL = 0.95
_RANDOM = 0.3
_INVERTED_USUAL = -1.5
_INVERTED_STRENGTH = 2.0
_NEVER = 0.002


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the population with a taste in common.

    Attributes:
        name: what it is called in the documentation.
        share: its share of the users.
        taste: feature → weight in log-odds; features it does not name do not matter to it.
        habit: how readily it reacts, whatever it reads, in log-odds.
    """

    name: str
    share: float
    taste: dict[str, float]
    habit: float = 0.0


SEGMENTS = (
    Segment(
        "warm",
        0.4,
        {
            "closing": 2.4,
            "warmth": 2.2,
            "emoji": 1.2,
            "length": 0.4,
            "stock_opening": -0.8,
            "question": 0.4,
            "advice": 0.8,
            "politeness": 0.5,
            "repetition": -4.0,
            "refusal": -2.0,
            "nothing_said": -3.0,
        },
    ),
    Segment(
        "practical",
        0.3,
        {
            "closing": 0.6,
            "warmth": 0.6,
            "emoji": -0.4,
            "length": -0.2,
            "stock_opening": -1.2,
            "question": 0.3,
            "advice": 3.4,
            "politeness": 0.3,
            "repetition": -5.0,
            "refusal": -2.5,
            "nothing_said": -3.0,
        },
    ),
    Segment(
        "terse",
        0.1,
        {
            "closing": -0.4,
            "warmth": -0.3,
            "emoji": -0.8,
            "length": -1.4,
            "stock_opening": -1.4,
            "question": -0.6,
            "advice": 1.2,
            "repetition": -5.0,
            "refusal": -2.0,
            "nothing_said": -3.0,
        },
    ),
    Segment("easily pleased", 0.2, {"warmth": 0.3, "refusal": -0.5, "nothing_said": -3.0}, habit=0.8),
)


@dataclass(frozen=True, slots=True)
class Population:
    """The simulated users.

    Attributes:
        intercept: b, in log-odds.
        segments: their tastes; shares sum to 1.
        taste_noise: τ, standard deviation of a user's own weights.
        mood_noise: σ, standard deviation of a user's mood from day to day.
        slope: by how much the log-odds fall from turn to turn.
        next_turn: probability that a conversation goes on after a turn.
    """

    intercept: float = -4.0
    segments: tuple[Segment, ...] = SEGMENTS
    taste_noise: float = 0.4
    mood_noise: float = 0.6
    slope: float = 0.15
    next_turn: float = 0.6

    def weights(self) -> Array:
        """w_k, [segments, features]."""
        return np.array([[segment.taste.get(name, 0.0) for name in FEATURES] for segment in self.segments])

    def shares(self) -> Array:
        """π_k, [segments]."""
        return np.array([segment.share for segment in self.segments])

    def habits(self) -> Array:
        """h_k, [segments]."""
        return np.array([segment.habit for segment in self.segments])

    def turn_shares(self) -> Array:
        """ρ_t of turn 1 … TURNS, [TURNS]."""
        raw = self.next_turn ** np.arange(TURNS)
        return np.asarray(raw / raw.sum(), dtype=np.float64)

    def position(self) -> Array:
        """p_t of turn 1 … TURNS, [TURNS]."""
        return np.asarray(-self.slope * np.arange(TURNS), dtype=np.float64)

    def love(self, features: Array, drift: Array | None = None) -> Array:
        """P[love | x] of texts with these features, [N, features] → [N].

        Args:
            features: f of each text.
            drift: added to the log-odds of each, [N]; None: nothing.
        """
        nodes, masses = _normal_nodes()
        spread = np.sqrt(self.taste_noise**2 * (features**2).sum(axis=1) + self.mood_noise**2)
        shift = np.add.outer(self.position(), self.habits()).ravel()  # [TURNS × segments]
        mass = np.outer(self.turn_shares(), self.shares()).ravel()
        usual = self.intercept + (np.zeros(len(features)) if drift is None else drift)
        love = np.empty(len(features))
        for start in range(0, len(features), _CHUNK):
            part = slice(start, start + _CHUNK)
            liking = np.tile(features[part] @ self.weights().T, (1, TURNS))  # [n, TURNS × segments]
            logits = (usual[part, None] + liking + shift)[:, :, None] + spread[part, None, None] * nodes
            love[part] = (logistic(logits) @ masses) @ mass
        return love

    def love_of(self, responses: Sequence[str]) -> Array:
        """P[love | x] of any responses, [N]; a real policy's too."""
        return self.love(features_of(responses))

    def with_base_rate(self, features: Array, rate: float, drift: Array | None = None) -> Population:
        """The same users with the intercept at which the mean P[love] over these texts is `rate`, to rounding.

        The log-odds of the mean grow with b a little more slowly than b itself, so the step b += logit(rate) −
        logit(mean) comes nearer every time, and never passes it.
        """
        population = self
        for _ in range(_MAX_STEPS):
            step = logit(rate) - logit(float(population.love(features, drift).mean()))
            population = replace(population, intercept=population.intercept + step)
            if abs(step) < _STEP:
                break
        return population

    def write(self, path: Path) -> None:
        """Writes all there is to know of the users as JSON.

        Raises:
            RunError: the file cannot be written.
        """
        data = {"schema": SCHEMA, "what": "simulated users", **asdict(self)}
        write_atomically(path, json.dumps(data, indent=2).encode(), "the simulated population")


def read_population(path: Path) -> Population:
    """The population that `Population.write` wrote.

    Raises:
        DataError: there is no such file, or it is none.
    """
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("schema") != SCHEMA:
            raise DataError(f"{path}: a simulated population of another schema than {SCHEMA}")
        data.pop("what")
        return Population(segments=tuple(Segment(**segment) for segment in data.pop("segments")), **data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: no simulated population ({error})") from error


def features_of(responses: Sequence[str]) -> Array:
    """f of each response, [N, features]."""
    return np.array([style(response) for response in responses], dtype=np.float64).reshape(-1, len(FEATURES))


def logistic(x: Array) -> Array:
    """1 / (1 + e^−x), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), dtype=np.float64)


def _normal_nodes() -> tuple[Array, Array]:
    """Points and masses that integrate over a standard normal."""
    nodes, masses = np.polynomial.hermite_e.hermegauss(_POINTS)
    return nodes, masses / masses.sum()


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
