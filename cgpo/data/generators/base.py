"""The common base of the prompt generators: typed options, and the split into training and held-out problems."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from cgpo.config import Settings
from cgpo.data.ids import prompt_ids
from cgpo.errors import ConfigError, DataError, unknown_name
from cgpo.types import Prompt
from judges import Message

OptionsT = TypeVar("OptionsT", bound=Settings)


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt as a generator makes it: the user's text, and what judges need to know about it."""

    text: str
    metadata: dict[str, Any] = field(default_factory=dict)


def is_heldout(problem: str, share: int) -> bool:
    """Whether one in `share` problems, and this one, is kept for evaluation.

    Depends on the problem's name alone, not on any seed: what is held out in one run is never trained on in another.
    """
    return int.from_bytes(hashlib.sha256(problem.encode()).digest()[:8], "big") % share == 0


@dataclass(frozen=True, slots=True)
class Generator(Generic[OptionsT]):
    """A named source of prompts.

    Attributes:
        name: its name in settings.
        options: its options, typed.
        items: makes every distinct prompt there is for some options, in an order drawn from the random numbers given:
            `items(options, heldout, rng)`. Held-out and training items never share a problem.
    """

    name: str
    options: type[OptionsT]
    items: Callable[[OptionsT, bool, random.Random], Iterator[Item]]

    def __call__(self, size: int, seed: int, heldout: bool, /, **options: Any) -> list[Prompt]:
        """Makes `size` distinct prompts; equal arguments make equal prompts.

        Raises:
            ConfigError: an option does not exist or has an impossible value.
            DataError: there are fewer than `size` prompts.
        """
        parsed = self._parse(options)
        rng = random.Random(f"cgpo {self.name} {seed} {heldout}")
        items = list(itertools.islice(self.items(parsed, heldout, rng), size))
        if len(items) < size:
            kind = "held-out" if heldout else "training"
            raise DataError(
                f"the {self.name} generator has {len(items)} {kind} prompts with these options, not {size}. "
                "Lower `size`" + (", or widen its `options`" if self.options.model_fields else "")
            )
        conversations: list[tuple[Message]] = [({"role": "user", "content": item.text},) for item in items]
        ids = prompt_ids(conversations)
        return [
            Prompt(prompt_id, messages, item.metadata, source=f"{self.name} generator item {number}")
            for number, (prompt_id, messages, item) in enumerate(zip(ids, conversations, items, strict=True), start=1)
        ]

    def _parse(self, options: dict[str, Any]) -> OptionsT:
        try:
            return self.options(**options)
        except ValidationError as error:
            raise ConfigError("; ".join(self._problem(dict(problem)) for problem in error.errors())) from error

    def _problem(self, problem: dict[str, Any]) -> str:
        place = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            return unknown_name(f"option of the {self.name} generator", place, self.options.model_fields)
        message = str(problem["msg"]).removeprefix("Value error, ")
        return f"options.{place}: {message}, not {problem['input']!r}" if place else f"options: {message}"
