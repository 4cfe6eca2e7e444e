"""Prompts that this project makes itself, each generator a stratum's worth, with training and held-out apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cgpo.data.generators.base import Generator
from cgpo.data.generators.chat import CHAT
from cgpo.data.generators.instruction_following import INSTRUCTION_FOLLOWING
from cgpo.data.generators.math import MATH
from cgpo.data.generators.small_talk import SMALL_TALK
from cgpo.errors import ConfigError, DataError, unknown_name
from cgpo.types import Prompt

GENERATORS: dict[str, Generator[Any]] = {
    generator.name: generator for generator in (CHAT, INSTRUCTION_FOLLOWING, MATH, SMALL_TALK)
}
"""Name → `generator(size, seed, heldout, **options)`."""

__all__ = ["GENERATORS", "Generator", "generate", "generator_names"]


def generator_names() -> list[str]:
    """The names that `prompts.generator` may have, sorted."""
    return sorted(GENERATORS)


def generate(
    name: str, size: int, *, seed: int, heldout: bool, options: Mapping[str, Any] | None = None, where: str = "prompts"
) -> list[Prompt]:
    """Makes `size` distinct prompts with a generator.

    Args:
        name: the generator's name.
        size: how many prompts.
        seed: equal seeds make equal prompts. Which problems are held out does not depend on it.
        heldout: whether to take them from the problems that are never in training prompts.
        options: the generator's options.
        where: the setting to name in errors, such as `strata.math.prompts`.

    Raises:
        ConfigError: unknown generator or option, impossible value.
        DataError: there are not so many prompts; the message says how many there are.
    """
    if name not in GENERATORS:
        raise ConfigError(unknown_name("prompt generator", name, GENERATORS, f"{where}.generator"))
    try:
        return GENERATORS[name](size, seed, heldout, **(options or {}))
    except (ConfigError, DataError) as error:
        raise type(error)(f"{where}: {error}") from error
