"""SIMULATOR of user feedback: logs of reactions whose true probabilities are known. Not data about people.

A log is made in this order, everything drawn from `seed`:

1. users: the share `adversarial` of them adversarial (`population.py`), kinds in turn; the others honest, each
   with a segment and a taste of its own (`population.py`); some are far more active than others (log-normal);
2. rows: a user, a time within `days` (people sleep; bots and groups come in bursts), a turn, a policy at random, a
   prompt and the policy's response (`texts.py`);
3. the intercept b, such that the mean of the true P[love] over honest rows is exactly `base_rate`;
4. reactions: honest users' by their own taste, mood and the turn; adversarial users' by their kind.

With `drift`, the log-odds of love rise by so much from the first to the last day.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cgpo.errors import ConfigError
from cgpo.feedback.simulation.population import (
    KINDS,
    TURNS,
    Array,
    Population,
    Seen,
    adversarial_love,
    features_of,
    logistic,
)
from cgpo.feedback.simulation.settings import MIN_USERS, ROWS_PER_USER, Simulation
from cgpo.feedback.simulation.style import FEATURES
from cgpo.feedback.simulation.texts import policy_styles, write_prompt, write_response

START = 1_740_960_000
"""The first day: 3 March 2025, 0:00 UTC, in Unix seconds."""

DAY = 86_400
HONEST = "honest"

_ACTIVITY_SPREAD = 0.7
_BURST_SECONDS = 600
_BURSTS = 4

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Log:
    """A simulated log in the order of time, and the truth about it.

    Attributes:
        prompts: [N].
        responses: [N].
        policies: number of the policy, from 0, [N].
        policy_names: by that number.
        users: number of the user, [N].
        kinds: kind of each user, [users].
        times: Unix seconds, [N].
        turns: 1 …, [N].
        reactions: [N], bool.
        truth: P[love] among honest users at that time, [N].
        population: the users, with the intercept solved for.
    """

    prompts: list[str]
    responses: list[str]
    policies: Ints
    policy_names: list[str]
    users: Ints
    kinds: list[str]
    times: Ints
    turns: Ints
    reactions: NDArray[np.bool_]
    truth: Array
    population: Population

    def honest(self) -> NDArray[np.bool_]:
        """Which rows are honest users', [N]."""
        return np.array([kind == HONEST for kind in self.kinds])[self.users]

    def rows(self) -> Iterator[dict[str, Any]]:
        """The log's rows, as `cgpo feedback prepare` reads them."""
        for n, (prompt, response) in enumerate(zip(self.prompts, self.responses, strict=True)):
            yield {
                "prompt": prompt,
                "response": response,
                "reaction": bool(self.reactions[n]),
                "time": int(self.times[n]),
                "user": f"user-{self.users[n]:05}",
                "policy": self.policy_names[self.policies[n]],
                "turn": int(self.turns[n]),
            }

    def truth_rows(self) -> Iterator[dict[str, Any]]:
        """The true probability and the kind of user of each row of the log; rows count from 1."""
        for n, probability in enumerate(self.truth):
            yield {"row": n + 1, "probability": float(probability), "user_kind": self.kinds[self.users[n]]}

    def policy_rates(self) -> Iterator[dict[str, Any]]:
        """Observed and true love rates by policy."""
        for number, name in enumerate(self.policy_names):
            rows = self.policies == number
            positives, n = int(self.reactions[rows].sum()), int(rows.sum())
            if n:
                yield {
                    "policy": name,
                    "n": n,
                    "positives": positives,
                    "rate": positives / n,
                    "true_rate": float(self.truth[rows].mean()),
                }


def simulate(simulation: Simulation, population: Population | None = None) -> Log:
    """Makes a log.

    Args:
        simulation: what to simulate.
        population: the honest users' tastes; its intercept is solved for. None: the usual ones.

    Raises:
        ConfigError: no row is an honest user's.
    """
    rng = np.random.default_rng(simulation.seed)
    kinds = _kinds(simulation)
    users = _active_users(simulation.rows, len(kinds), rng)
    times = _times(users, kinds, simulation.days, rng)
    order = np.argsort(times, kind="stable")
    users, times = users[order], times[order]
    tastes = population or Population()
    turns = rng.choice(np.arange(1, TURNS + 1), size=len(users), p=tastes.turn_shares())
    policies = rng.integers(0, simulation.policies, size=len(users))
    prompts, responses = _texts(simulation, policies)
    features = features_of(responses)
    drift = simulation.drift * ((times - START) / (simulation.days * DAY) - 0.5)
    honest = np.array([kind == HONEST for kind in kinds])[users]
    if not honest.any():
        raise ConfigError(
            f"{len(kinds)} users of whom {simulation.adversarial:.0%} are adversarial: no row is an honest user's"
        )
    tastes = tastes.with_base_rate(features[honest], simulation.base_rate, drift[honest])
    chances = _honest_love(tastes, features, users, turns, (times - START) // DAY, drift, rng)
    target = int(rng.integers(0, simulation.policies))
    for kind in sorted(set(kinds) - {HONEST}):
        rows = np.array([other == kind for other in kinds])[users]
        chances[rows] = adversarial_love(kind, Seen(features[rows], policies[rows], target), tastes)
    return Log(
        prompts=prompts,
        responses=responses,
        policies=policies,
        policy_names=[style.name for style in policy_styles(simulation.policies)],
        users=users,
        kinds=kinds,
        times=times,
        turns=turns,
        reactions=rng.random(len(users)) < chances,
        truth=tastes.love(features, drift),
        population=tastes,
    )


def _kinds(simulation: Simulation) -> list[str]:
    """The kind of each user; adversarial ones stand first, the kinds in turn."""
    count = simulation.users or max(MIN_USERS, simulation.rows // ROWS_PER_USER)
    adversarial = round(simulation.adversarial * count)
    return [KINDS[n % len(KINDS)] for n in range(adversarial)] + [HONEST] * (count - adversarial)


def _active_users(rows: int, count: int, rng: np.random.Generator) -> Ints:
    """The user of each row, [rows]."""
    activity = rng.lognormal(0.0, _ACTIVITY_SPREAD, size=count)
    return rng.choice(count, size=rows, p=activity / activity.sum())


def _times(users: Ints, kinds: list[str], days: int, rng: np.random.Generator) -> Ints:
    """When each row happened: by day and hour; bots in bursts of their own, the group in bursts that it shares."""
    n = len(users)
    hour = np.clip(rng.normal(15.0, 4.0, size=n), 0.0, 23.999)
    times = rng.integers(0, days, size=n) * DAY + (hour * 3600).astype(np.int64)
    shared = rng.integers(0, days * DAY - _BURST_SECONDS, size=_BURSTS)
    burst_starts = rng.integers(0, days * DAY - _BURST_SECONDS, size=(len(kinds), _BURSTS))
    which, within = rng.integers(0, _BURSTS, size=n), rng.integers(0, _BURST_SECONDS, size=n)
    kind = np.array(kinds)[users]
    times = np.where(kind == "bot", burst_starts[users, which] + within, times)
    times = np.where(kind == "group", shared[which] + within, times)
    return START + times.astype(np.int64)


def _texts(simulation: Simulation, policies: Ints) -> tuple[list[str], list[str]]:
    rng = random.Random(f"simulated texts {simulation.seed}")
    styles = policy_styles(simulation.policies)
    prompts, responses = [], []
    for policy in policies:
        prompt, topic = write_prompt(rng)
        prompts.append(prompt)
        responses.append(write_response(styles[policy], topic, rng))
    return prompts, responses


def _honest_love(
    population: Population,
    features: Array,
    users: Ints,
    turns: Ints,
    days: Ints,
    drift: Array,
    rng: np.random.Generator,
) -> Array:
    """Pr(love | user, day, turn, response) of each row, [N]; the first formula of `population.py`."""
    count = int(users.max()) + 1
    segment = rng.choice(len(population.segments), size=count, p=population.shares())
    taste = population.weights()[segment] + rng.normal(0.0, population.taste_noise, size=(count, len(FEATURES)))
    _, user_day = np.unique(users * (int(days.max()) + 1) + days, return_inverse=True)
    mood = rng.normal(0.0, population.mood_noise, size=int(user_day.max()) + 1)[user_day]
    liking = (taste[users] * features).sum(axis=1)
    readiness = population.habits()[segment][users] + population.position()[turns - 1] + mood
    return logistic(population.intercept + drift + readiness + liking)
