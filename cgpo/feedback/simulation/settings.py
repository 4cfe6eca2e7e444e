"""The settings of a simulated log, with their defaults. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass

ROWS_PER_USER = 25
"""Of whom there are so many rows where the number of users is not set."""

MIN_USERS = 20
"""Where it is not set."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """A simulated log.

    Attributes:
        rows: responses with or without a reaction.
        seed: equal seeds make equal logs.
        base_rate: mean of the true P[love] over the rows of honest users.
        policies: how many policies wrote the responses, in equal parts.
        adversarial: share of the users that is adversarial.
        days: the time the log covers.
        drift: change of the log-odds from the first to the last day.
        users: how many; None: by `ROWS_PER_USER` and `MIN_USERS`.
    """

    rows: int
    seed: int = 0
    base_rate: float = 0.02
    policies: int = 10
    adversarial: float = 0.0
    days: int = 28
    drift: float = 0.0
    users: int | None = None
