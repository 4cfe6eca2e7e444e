"""Ways to spoil a response, so that the original is better than the result whatever the prompt.

Judges say nothing about most of what makes a response helpful. Pairs of a response and its corruption give a reward
model that signal in every stratum, also where no sampled response is satisfied or none violated. `shuffle`, `loop`
and `swap` keep the length about as it was; otherwise the model would learn length alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

EMPTY_ANSWERS = ("", "I don't know.", "I am not sure about that.", "No idea, sorry.", "I have nothing to say.")
"""Responses that help nobody."""

Corruption = Callable[[str, Sequence[str], random.Random], "str | None"]
"""(response, responses to other prompts of the stratum, random numbers) → spoilt response; None if it cannot be."""


def shuffle(response: str, others: Sequence[str], rng: random.Random) -> str | None:
    """The same words in random order; None when there are fewer than four different ones."""
    words = response.split()
    if len(set(words)) < 4:
        return None
    rng.shuffle(words)
    return " ".join(words)


def truncate(response: str, others: Sequence[str], rng: random.Random) -> str | None:
    """The first third to two thirds of the words, ending in mid-sentence; None when there are fewer than six."""
    words = response.split()
    if len(words) < 6:
        return None
    kept = " ".join(words[: rng.randint(len(words) // 3, 2 * len(words) // 3)])
    return kept.rstrip(".!?:;, ")


def loop(response: str, others: Sequence[str], rng: random.Random) -> str | None:
    """Begins as the response, then repeats a few words until it is as long; None when there are fewer than six."""
    words = response.split()
    if len(words) < 6:
        return None
    start = rng.randint(0, len(words) // 2 - 1)
    phrase = words[start : start + rng.randint(1, 4)]
    head = words[: start + len(phrase)]
    repeats = max(3, -(-(len(words) - len(head)) // len(phrase)))
    return " ".join(head + phrase * repeats)


def swap(response: str, others: Sequence[str], rng: random.Random) -> str | None:
    """A response to another prompt of the stratum; None when there is no other one."""
    different = [other for other in others if other.split() != response.split()]
    return rng.choice(different) if different else None


def empty(response: str, others: Sequence[str], rng: random.Random) -> str | None:
    """Nothing, or an admission of knowing nothing."""
    return rng.choice(EMPTY_ANSWERS)


CORRUPTIONS: dict[str, Corruption] = {
    "shuffle": shuffle,
    "swap": swap,
    "loop": loop,
    "empty": empty,
    "truncate": truncate,
}
"""Kind of pair → how its rejected response is made."""
