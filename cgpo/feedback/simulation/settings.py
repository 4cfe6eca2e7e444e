"""The settings of a simulated log, which are the options of `cgpo feedback simulate`, with their defaults and help.

Nothing heavy is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from judges.command_options import Form
from judges.number_types import count, number, open_share, share_below_one, whole

ROWS_PER_USER = 25
"""Of whom there are so many rows where the number of users is not set."""

MIN_USERS = 20
"""Where it is not set."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """A simulated log."""

    rows: Annotated[int, Form(count, "N")]
    """how many responses, with or without a reaction"""
    seed: Annotated[int, Form(whole, "N")] = 0
    """equal seeds make equal logs"""
    base_rate: Annotated[float, Form(open_share, "P")] = 0.02
    """mean of the true P[love] over the rows of honest users"""
    policies: Annotated[int, Form(count, "N")] = 10
    """policies that wrote the responses, in equal parts"""
    adversarial: Annotated[float, Form(share_below_one, "SHARE")] = 0.0
    """share of the users that is adversarial"""
    days: Annotated[int, Form(count, "N")] = 28
    """days that the log covers"""
    drift: Annotated[float, Form(number, "D")] = 0.0
    """change of the log-odds from the first of these days to the last"""
    users: Annotated[
        int | None, Form(count, "N", default=f"one for every {ROWS_PER_USER} rows, at least {MIN_USERS}")
    ] = None
    """how many users the responses go to"""
