"""Short requests with one to three verifiable instructions, in the public format of IFEval.

Metadata: `instruction_id_list` and `kwargs`, one mapping of arguments per instruction (arXiv 2311.07911). Every
instruction stands in the prompt in words. Instructions that contradict each other, or that a checker could not
tell apart, are never combined. The split is by topic: a held-out prompt is about something training never mentions.
Left out of the format's 25 types are those that need long answers or another language.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field, model_validator

from cgpo.config import Settings
from cgpo.data.generators.base import Generator, Item, is_heldout
from cgpo.data.generators.instructions import INSTRUCTIONS, compatible
from cgpo.data.generators.topics import TOPICS, Topic
from cgpo.errors import unknown_name

_HELDOUT_SHARE = 5


class InstructionFollowingOptions(Settings):
    """Options of the instruction-following generator."""

    min_instructions: int = Field(default=1, ge=1, le=3)
    """Fewest instructions of a prompt."""
    max_instructions: int = Field(default=3, ge=1, le=3)
    """Most instructions of a prompt; every number between the two is equally frequent."""
    instructions: list[str] = Field(default=sorted(INSTRUCTIONS), min_length=1)
    """Ids of the instructions to choose from, such as `punctuation:no_comma`."""

    @model_validator(mode="after")
    def _consistent(self) -> InstructionFollowingOptions:
        if self.min_instructions > self.max_instructions:
            raise ValueError(f"min_instructions {self.min_instructions} is above max_instructions")
        for name in self.instructions:
            if name not in INSTRUCTIONS:
                raise ValueError(unknown_name("instruction", name, INSTRUCTIONS))
        return self


def _items(options: InstructionFollowingOptions, heldout: bool, rng: random.Random) -> Iterator[Item]:
    topics = [topic for topic in TOPICS if is_heldout(f"topic: {topic.request}", _HELDOUT_SHARE) == heldout]
    names = sorted(set(options.instructions))
    queues = []
    for count in range(options.min_instructions, options.max_instructions + 1):
        combinations = [names for names in itertools.combinations(names, count) if compatible(names)]
        queue = list(itertools.product(topics, combinations))
        rng.shuffle(queue)
        queues.append(queue)
    for row in itertools.zip_longest(*queues):
        yield from (_item(*chosen) for chosen in row if chosen is not None)


def _item(topic: Topic, names: Sequence[str]) -> Item:
    """The one prompt for a topic and a set of instructions: its details depend on these alone, not on the seed."""
    rng = random.Random(f"{topic.request} {' '.join(names)}")
    order = rng.sample(names, len(names))
    sentences: list[str] = []
    kwargs: list[dict[str, Any]] = []
    for name in order:
        sentence, arguments = INSTRUCTIONS[name].build(topic, rng)
        sentences.append(sentence)
        kwargs.append(arguments)
    return Item(" ".join([topic.request, *sentences]), {"instruction_id_list": order, "kwargs": kwargs})


INSTRUCTION_FOLLOWING = Generator("instruction_following", InstructionFollowingOptions, _items)
"""Tens of thousands of prompts, a fifth of the topics held out. Metadata: `instruction_id_list`, `kwargs`."""
