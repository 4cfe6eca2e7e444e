"""What the trainer asks of a reward, and how one is found by name.

A reward is a plugin: an entry point of the group `cgpo.rewards`. Nothing heavy is imported here; the command line
checks names with this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from cgpo import plugins
from cgpo.config import RewardSettings
from cgpo.errors import ConfigError
from cgpo.types import Prompt

GROUP = "cgpo.rewards"


@runtime_checkable
class Reward(Protocol):
    """Scores responses. The number has no fixed scale: it is calibrated against the baseline response's.

    The class is called with its settings and its name in the configuration; its attribute `Settings` is the class of
    those settings, a subclass of `RewardSettings`.
    """

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
        """r(s, a) of each response, in order, as a finite number, or None where there is none.

        A score depends on its prompt and response alone, up to the rounding of floating-point sums, not on what else
        is in the batch.

        Args:
            prompts: the prompts, one for each response (the same one may stand there several times).
            responses: the responses; any text, the empty one too.
        """
        ...


def reward_types() -> list[str]:
    """What `rewards.<name>.type` may be, sorted. Imports no reward."""
    return plugins.names(GROUP)


def reward_class(kind: str, where: str) -> Any:
    """The class behind `type: KIND` of the reward at `where`.

    Raises:
        ConfigError: unknown type, two packages claim it, or the class says nothing of its settings.
    """
    found = plugins.load(GROUP, "reward type", kind, f"{where}.type")
    settings = getattr(found, "Settings", None)
    if not (isinstance(settings, type) and issubclass(settings, RewardSettings)):
        raise ConfigError(
            f"{where}.type: {kind!r} is no reward: its attribute `Settings` must be a subclass of "
            "cgpo.config.RewardSettings (docs/rewards.md)"
        )
    return found


def create_reward(name: str, settings: RewardSettings) -> Reward:
    """Makes the reward `rewards.<name>` of the configuration.

    Raises:
        ConfigError: unknown type, two packages claim it, it is no reward, or its model cannot be used.
    """
    reward = reward_class(settings.type, f"rewards.{name}")(settings, name)
    if not isinstance(reward, Reward):
        raise ConfigError(f"rewards.{name}.type: {settings.type!r} is no reward: it has no `score(prompts, responses)`")
    return reward


def score_all(
    rewards: Mapping[str, Reward], prompts: Sequence[Prompt], responses: Sequence[str]
) -> dict[str, list[float | None]]:
    """Scores every response with every reward: reward name → scores, in the order of the responses.

    Raises:
        ConfigError: a reward (a plugin's) answered with another number of scores than it was asked for.
    """
    found: dict[str, list[float | None]] = {}
    for name, reward in rewards.items():
        scores = reward.score(prompts, responses)
        if len(scores) != len(responses):
            raise ConfigError(f"reward {name!r} gave {len(scores)} scores for {len(responses)} responses")
        found[name] = scores
    return found
