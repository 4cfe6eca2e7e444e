"""The reward `simulated_love`: what SIMULATED users truly think of a response, as log-odds.

For experiments on simulated feedback: beside a reward model that learnt from their reactions it shows what the policy
gained with the users themselves. It belongs among `watch.independent_rewards`, not among the rewards of a stratum.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cgpo.config import RewardSettings
from cgpo.types import Prompt


class SimulatedLoveSettings(RewardSettings):
    """Settings of `simulated_love`."""

    type: Literal["simulated_love"] = "simulated_love"
    population: str
    """The users: the file that `cgpo feedback simulate --population` wrote."""


class SimulatedLoveReward:
    """logit P[love | response] of the simulated users; the prompt does not matter to them.

    Raises:
        DataError: `population` is no such file.
    """

    Settings = SimulatedLoveSettings

    def __init__(self, settings: SimulatedLoveSettings, name: str) -> None:
        # Here and not above: the entry point is loaded to check names, long before numpy is wanted.
        from cgpo.feedback.simulation.population import read_population

        self._population = read_population(Path(settings.population))

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
        """The true log-odds of each response, in order."""
        from cgpo.statistics.odds import logit

        return [logit(float(chance)) for chance in self._population.love_of(responses)]
