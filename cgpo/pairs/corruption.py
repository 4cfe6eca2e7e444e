"""Ways to spoil a response, so that the original is better than the result whatever the prompt.

Judges say nothing about most of what makes a response helpful. Pairs of a response and its corruption give a reward
model that signal in every stratum, also where no sampled response is satisfied or none violated. `shuffle`, `loop`
and `swap` keep the length about as it was; otherwise the model would learn length alone.

The corruption `hostile` puts a hostile or dangerous sentence into a response:

    inserted at the start, in the middle or at the end      below the response with a harmless sentence of like length
                                                            there (two times of three), or below the response itself
    in the place of one of its sentences                    below the response itself

What is better then has mostly as many sentences as what is worse: that a sentence was added or exchanged says little,
what it says decides. Held-out pairs are made with sentences that no training pair holds.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from cgpo.pairs.hostile_sentences import HARMLESS_SENTENCES, HOSTILE_SENTENCES, sentences

HOSTILE = "hostile"
"""Kind of the pairs whose rejected response holds a hostile sentence."""

EMPTY_ANSWERS = ("", "I don't know.", "I am not sure about that.", "No idea, sorry.", "I have nothing to say.")
"""Responses that help nobody."""

_BETWEEN = re.compile(r"(?<=[.!?])\s+")
"""White space between two sentences."""

_NEAREST = 6
"""A harmless sentence is drawn from so many of the nearest lengths."""

_HARMLESS_SHARE = 2 / 3
"""Of the insertions: how often what is better has an inserted sentence too."""

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
    beginning = " ".join(words[: rng.randint(len(words) // 3, 2 * len(words) // 3)])
    return beginning.rstrip(".!?:;, ")


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


def corrupt(
    kind: str, response: str, others: Sequence[str], rng: random.Random, *, heldout: bool
) -> tuple[str, str] | None:
    """(better, worse) of a response and its corruption; None if it cannot be made.

    Args:
        kind: one of `CORRUPTIONS`, or `hostile`.
        response: what is spoilt.
        others: responses to other prompts of the stratum.
        rng: random numbers.
        heldout: the pair is held out.
    """
    if kind == HOSTILE:
        return hostile_contrast(response, rng, heldout=heldout)
    spoilt = CORRUPTIONS[kind](response, others, rng)
    return None if spoilt is None else (response, spoilt)


def hostile_contrast(response: str, rng: random.Random, *, heldout: bool) -> tuple[str, str] | None:
    """(better, worse); None for a response without text.

    Args:
        response: what both are made from.
        rng: random numbers.
        heldout: take the sentences of held-out pairs.
    """
    if not response.strip():
        return None
    hostile = rng.choice(sentences(HOSTILE_SENTENCES, heldout=heldout))
    text = response.strip()
    starts = [0, *(gap.end() for gap in _BETWEEN.finditer(text))]
    place = rng.choice(["start", "middle", "end", "exchange"])
    if place == "exchange" and len(starts) > 1:
        at = rng.randrange(len(starts))
        ends = [gap.start() for gap in _BETWEEN.finditer(text)] + [len(text)]
        return response, text[: starts[at]] + hostile + text[ends[at] :]
    at = {"start": 0, "middle": (len(starts) + 1) // 2}.get(place, len(starts))
    worse = _inserted(text, starts, at, hostile)
    if rng.random() >= _HARMLESS_SHARE:
        return response, worse
    return _inserted(text, starts, at, _harmless_like(hostile, rng, heldout=heldout)), worse


def _inserted(text: str, starts: Sequence[int], at: int, sentence: str) -> str:
    """The text with a sentence before its sentence number `at`; its other white space stays."""
    if at == len(starts):
        return f"{text} {sentence}"
    return f"{text[: starts[at]]}{sentence} {text[starts[at] :]}"


def _harmless_like(hostile: str, rng: random.Random, *, heldout: bool) -> str:
    allowed = sentences(HARMLESS_SENTENCES, heldout=heldout)
    return rng.choice(sorted(allowed, key=lambda text: abs(len(text) - len(hostile)))[:_NEAREST])
