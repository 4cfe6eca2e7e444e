"""Pairs that are there twice, that say nothing, or that contradict each other.

Texts are compared without regard to white space. A pair of two equal texts says nothing. The same pair again counts
once. The same two texts to one prompt ranked both ways are a contradiction: all of these pairs are left out, because
nothing says which is right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from cgpo.pairs.pair import PreferencePair, prompt_key

Key = tuple[str, str, str]


@dataclass(frozen=True)
class CleanedPairs:
    """The pairs that are left, and why others are not.

    Attributes:
        pairs: in the order they came in, the first of equal ones.
        positions: of each among those that were given.
        equal: pairs of two equal texts.
        duplicates: pairs that were there already.
        contradictions: pairs whose opposite is there too.
    """

    pairs: list[PreferencePair]
    positions: list[int]
    equal: int
    duplicates: int
    contradictions: int

    @property
    def left_out(self) -> dict[str, int]:
        """Why pairs were left out → how many, as reports have it."""
        return {"equal": self.equal, "duplicates": self.duplicates, "contradictions": self.contradictions}


def clean_pairs(pairs: Iterable[PreferencePair]) -> CleanedPairs:
    """The pairs worth learning from, and how many are not."""
    by_key: dict[Key, list[tuple[int, PreferencePair]]] = defaultdict(list)
    equal = 0
    for position, pair in enumerate(pairs):
        key = _key(pair)
        if key[1] == key[2]:
            equal += 1
        else:
            by_key[key].append((position, pair))
    contradicted = {key for key in by_key if (key[0], key[2], key[1]) in by_key}
    distinct = {key: alike for key, alike in by_key.items() if key not in contradicted}
    firsts = sorted((alike[0] for alike in distinct.values()), key=lambda item: item[0])
    return CleanedPairs(
        pairs=[pair for _, pair in firsts],
        positions=[position for position, _ in firsts],
        equal=equal,
        duplicates=sum(len(alike) - 1 for alike in distinct.values()),
        contradictions=sum(len(by_key[key]) for key in contradicted),
    )


def without_duplicates(pairs: Iterable[PreferencePair]) -> list[PreferencePair]:
    """Each (prompt, chosen, rejected) once, the first; pairs of two texts that differ in white space only left out."""
    distinct: dict[Key, PreferencePair] = {}
    for pair in pairs:
        if pair.chosen.split() != pair.rejected.split():
            distinct.setdefault((prompt_key(pair.prompt), pair.chosen, pair.rejected), pair)
    return list(distinct.values())


def _key(pair: PreferencePair) -> Key:
    return prompt_key(pair.prompt), " ".join(pair.chosen.split()), " ".join(pair.rejected.split())
