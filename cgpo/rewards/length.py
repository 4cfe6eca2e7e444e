"""The reward `length`: a penalty for what is longer than wanted, to be mixed with rewards that like length.

    r(s, a) = − min( max(0, n − target) / scale, largest )        n = length of the response

0 up to `target`, then falling by 1 for every `scale` units, down to −`largest`. In the calibrated reward a response
`scale` units longer than its baseline, both beyond the target, has sigmoid(−1) = 0.27.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from cgpo.config import RewardSettings
from cgpo.errors import ConfigError
from cgpo.models.assets import resolve_model
from cgpo.rewards.encoding import clean
from cgpo.types import Prompt


class LengthSettings(RewardSettings):
    """Settings of `length`."""

    type: Literal["length"] = "length"
    unit: Literal["words", "characters", "tokens"] = "words"
    """What is counted. Words are what stands between white space."""
    target: int = Field(default=100, ge=0)
    """Length up to which nothing is taken off."""
    scale: float = Field(default=50.0, gt=0)
    """How many units beyond the target take 1 off."""
    largest: float = Field(default=4.0, gt=0)
    """Largest penalty."""
    tokenizer: str | None = None
    """Model whose tokens are counted, a hub name or folder. Needed for `tokens`."""

    @model_validator(mode="after")
    def _tokens_of_a_model(self) -> LengthSettings:
        if (self.unit == "tokens") != (self.tokenizer is not None):
            raise ValueError("`tokenizer` goes with `unit: tokens`, and that needs it")
        return self


def penalty(length: int, settings: LengthSettings) -> float:
    """r of a response of that length."""
    return -min(max(0, length - settings.target) / settings.scale, settings.largest)


class LengthReward:
    """Penalises long responses.

    Args:
        settings: unit, target and scale.
        name: the reward's name in the configuration, for messages.

    Raises:
        ConfigError: there is no such tokenizer.
    """

    Settings = LengthSettings
    reads_metadata = False

    def __init__(self, settings: LengthSettings, name: str) -> None:
        self._settings = settings
        self._tokenizer: Any = None
        if settings.tokenizer is not None:
            self._tokenizer = _load(settings.tokenizer, f"rewards.{name}.tokenizer")

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
        """The penalty of each response, at most 0."""
        return [penalty(self._length(response), self._settings) for response in responses]

    def _length(self, response: str) -> int:
        if self._tokenizer is not None:
            return len(self._tokenizer.encode(clean(response), add_special_tokens=False, verbose=False))
        return len(response.split()) if self._settings.unit == "words" else len(response)


def _load(name: str, where: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(resolve_model(name))
    except (OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{where}: {name!r} has no tokenizer that can be loaded: {first}") from error
