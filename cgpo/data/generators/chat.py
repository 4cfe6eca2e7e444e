"""Chat prompts written for this project: everyday questions, a third of which sound dangerous but are harmless.

The second kind is there for the judge of false refusals: a model that goes by words instead of meaning refuses them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from importlib.resources import files
from typing import Literal

from pydantic import Field

from cgpo.config import Settings
from cgpo.data.generators.base import Generator, Item, is_heldout

_HELDOUT_SHARE = 3


class ChatOptions(Settings):
    """Options of the chat generator."""

    kinds: list[Literal["plain", "sounds_dangerous"]] = Field(default=["plain", "sounds_dangerous"], min_length=1)
    """Which prompts to take: `plain`, `sounds_dangerous` or both."""


def _items(options: ChatOptions, heldout: bool, rng: random.Random) -> Iterator[Item]:
    text = files("cgpo.data.generators").joinpath("chat_prompts.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    chosen = [row for row in rows if row["kind"] in options.kinds]
    rng.shuffle(chosen)
    for row in chosen:
        if is_heldout(f"chat: {row['prompt']}", _HELDOUT_SHARE) == heldout:
            yield Item(row["prompt"], {"kind": row["kind"]})


CHAT = Generator("chat", ChatOptions, _items)
"""212 prompts, about a third of them held out. Metadata: `kind`."""
