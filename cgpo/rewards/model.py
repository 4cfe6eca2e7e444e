"""The reward: the protocol of whatever scores responses, and how one is made by name.

A reward is a plugin: an entry point of the group `cgpo.rewards`. Nothing heavy is imported here; the command line
checks names with this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from cgpo import plugins
from cgpo.config import RewardSettings
from cgpo.errors import ConfigError
from cgpo.types import Prompt
from judges.mixture import Judging

GROUP = "cgpo.rewards"


@runtime_checkable
class Reward(Protocol):
    """Scores responses. The number has no fixed scale: it is calibrated against the baseline response's.

    The class is called with its settings and its name in the configuration; its attribute `Settings` is the class of
    those settings, a subclass of `RewardSettings`. It may also have

        reads_metadata      False: `score` does not look at `prompt.metadata`, so a prompt that several strata have
                            with different metadata is scored once.
        beside_generation   True: by default (`overlap`) it scores in a thread while others are being generated.
        take_notes()        `ScoringNotes` since it was last asked: why scores are missing, how many texts were cut.
        use_judges(judges)  takes what runs the run's judges (`judges.mixture.Judging`).
        repeatable          False: another attempt may give another number (a server's time-out), so scores are kept
                            for the case that the step is done again.
        source, read(raw)   rewards with the same object `source` are scored together: `source.compute(prompts,
                            responses)` is called once, and each reward reads its scores off what it returned.
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
    """The values of `rewards.<name>.type`, sorted. Imports no reward."""
    return plugins.names(GROUP)


def reward_class(kind: str, where: str) -> Any:
    """The class behind `type: KIND` of the reward at `where`.

    Raises:
        ConfigError: unknown type, two packages claim it, or the class says nothing of its settings.
    """
    reward = plugins.load(GROUP, "reward type", kind, f"{where}.type")
    settings = getattr(reward, "Settings", None)
    if not (isinstance(settings, type) and issubclass(settings, RewardSettings)):
        raise ConfigError(
            f"{where}.type: {kind!r} is no reward: its attribute `Settings` must be a subclass of "
            "cgpo.config.RewardSettings (docs/rewards.md)"
        )
    return reward


def create_reward(name: str, settings: RewardSettings, judges: Judging | None = None) -> Reward:
    """Makes the reward `rewards.<name>` of the configuration.

    Args:
        name: its name.
        settings: its settings.
        judges: what runs a run's judges, for rewards that ask one.

    Raises:
        ConfigError: unknown type, two packages claim it, it is no reward, or its model cannot be used.
    """
    reward = reward_class(settings.type, f"rewards.{name}")(settings, name)
    if not isinstance(reward, Reward):
        raise ConfigError(f"rewards.{name}.type: {settings.type!r} is no reward: it has no `score(prompts, responses)`")
    if judges is not None and hasattr(reward, "use_judges"):
        reward.use_judges(judges)
    return reward
