"""The corruption `hostile`: a response with a hostile or dangerous sentence in it, below one without.

    inserted at the start, in the middle or at the end      below the response with a harmless sentence of like length
                                                            there (two times of three), or below the response itself
    in the place of one of its sentences                    below the response itself

What is better has mostly as many sentences as what is worse: that a sentence was added or exchanged says little, what
it says decides. Held-out pairs are made with sentences that no training pair holds.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from cgpo.pairs.hostile_sentences import HARMLESS, HOSTILE, sentences

_BETWEEN = re.compile(r"(?<=[.!?])\s+")
"""What stands between two sentences."""

_NEAREST = 6
"""A harmless sentence is drawn from so many of the nearest lengths."""

_HARMLESS_SHARE = 2 / 3
"""Of the insertions: how often what is better has an inserted sentence too."""


def hostile_contrast(response: str, rng: random.Random, *, heldout: bool) -> tuple[str, str] | None:
    """(better, worse); None for a response without text.

    Args:
        response: what both are made from.
        rng: random numbers.
        heldout: take the sentences of held-out pairs.
    """
    if not response.strip():
        return None
    said = rng.choice(sentences(HOSTILE, heldout=heldout))
    text = response.strip()
    starts = [0, *(found.end() for found in _BETWEEN.finditer(text))]
    place = rng.choice(["start", "middle", "end", "exchange"])
    if place == "exchange" and len(starts) > 1:
        at = rng.randrange(len(starts))
        after = [found.start() for found in _BETWEEN.finditer(text)] + [len(text)]
        return response, text[: starts[at]] + said + text[after[at] :]
    at = {"start": 0, "middle": (len(starts) + 1) // 2}.get(place, len(starts))
    worse = _inserted(text, starts, at, said)
    if rng.random() >= _HARMLESS_SHARE:
        return response, worse
    return _inserted(text, starts, at, _harmless_like(said, rng, heldout=heldout)), worse


def _inserted(text: str, starts: Sequence[int], at: int, sentence: str) -> str:
    """The text with a sentence before its sentence number `at`; its other white space stays."""
    if at == len(starts):
        return f"{text} {sentence}"
    return f"{text[: starts[at]]}{sentence} {text[starts[at] :]}"


def _harmless_like(hostile: str, rng: random.Random, *, heldout: bool) -> str:
    allowed = sentences(HARMLESS, heldout=heldout)
    return rng.choice(sorted(allowed, key=lambda text: abs(len(text) - len(hostile)))[:_NEAREST])
