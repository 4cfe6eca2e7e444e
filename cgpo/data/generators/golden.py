"""Golden responses to generated prompts, for a supervised stage that needs something to imitate."""

from __future__ import annotations

from collections.abc import Callable

from cgpo.errors import ConfigError, unknown_name
from cgpo.types import Prompt


def _math(prompt: Prompt) -> str:
    return f"The final answer is {prompt.metadata['answer']}."


GOLDEN: dict[str, Callable[[Prompt], str]] = {"math": _math}
"""Generator → the response its judge is satisfied with."""


def golden_response(generator: str, prompt: Prompt, where: str) -> str:
    """The golden response to a prompt of a generator.

    Raises:
        ConfigError: the generator knows none.
    """
    if generator not in GOLDEN:
        raise ConfigError(unknown_name("generator with golden responses", generator, GOLDEN, f"{where}.generator"))
    return GOLDEN[generator](prompt)
