"""Prompts to train on that are prompts to measure with: the same words, or most of one's n-grams in the other.

    share = n-grams of the held-out prompt that stand in the training prompt / its n-grams          n = 8, from 0.7 on

An n-gram is n words in a row, in lower case, a mark of punctuation being a word of its own. n and threshold are those
of PaLM (arXiv 2204.02311, section 8), where an evaluation example counts as contaminated when 70 % of its 8-grams are
in the training data. n-grams that stand in many prompts are not counted, as in GPT-3's check (arXiv
2005.14165, appendix C): a fixed request for a format would make every prompt of a task a copy of every other.
Held-out prompts with fewer than n words, or with nothing but such n-grams, are compared as a whole.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from judges import Message
from judges.messages import message_text

_WORD = re.compile(r"\w+|[^\w\s]")

Words = tuple[str, ...]

MOST_SHARE = 0.2
MOST_OF_FEW = 2


@dataclass(frozen=True, slots=True)
class Overlap:
    """A training prompt that is a held-out one too.

    Attributes:
        index: of the training prompt.
        heldout: of the held-out prompt.
        share: of the held-out prompt's n-grams that it holds; 1.0 where the words are the same.
        exact: the words are the same.
    """

    index: int
    heldout: int
    share: float
    exact: bool


def words_of(prompt: Sequence[Message]) -> Words:
    """The words of a prompt: all its messages but the system's, in lower case."""
    return tuple(_WORD.findall("\n".join(message_text(m) for m in prompt if m["role"] != "system").lower()))


def heldout_overlaps(
    prompts: Sequence[Sequence[Message]],
    heldout: Sequence[Sequence[Message]],
    *,
    words: int,
    share: float,
    common: int,
) -> list[Overlap]:
    """The training prompts that are held-out ones too, each once, with the held-out prompt it is nearest to.

    Args:
        prompts: to train on.
        heldout: to measure with.
        words: n.
        share: from which on a prompt counts as held out.
        common: n-grams that stand in more than so many different training prompts, or held-out ones, are not counted;
            nor, where there are few, those in more than a fifth of them (and more than two).
    """
    texts, held = [words_of(p) for p in prompts], [words_of(p) for p in heldout]
    whole: dict[Words, int] = {}
    for i, text in enumerate(held):
        whole.setdefault(text, i)
    formulas = _formulas(texts, words, common) | _formulas(held, words, common)
    counted = [set(_ngrams(text, words)) - formulas for text in held]
    owners: dict[Words, list[int]] = defaultdict(list)
    for i, grams in enumerate(counted):
        for gram in grams:
            owners[gram].append(i)
    return list(_overlaps(texts, whole, owners, [len(grams) for grams in counted], words, share))


def _overlaps(
    texts: Iterable[Words],
    whole: dict[Words, int],
    owners: dict[Words, list[int]],
    sizes: Sequence[int],
    words: int,
    share: float,
) -> Iterator[Overlap]:
    for index, text in enumerate(texts):
        if text in whole:
            yield Overlap(index, whole[text], 1.0, exact=True)
            continue
        hits = Counter(owner for gram in set(_ngrams(text, words)) for owner in owners.get(gram, ()))
        shares = [(count / sizes[owner], -owner) for owner, count in hits.items()]
        if shares and (best := max(shares))[0] >= share:
            yield Overlap(index, -best[1], best[0], exact=False)


def _formulas(texts: Sequence[Words], words: int, common: int) -> set[Words]:
    """The n-grams that stand in too many different texts to tell them apart."""
    distinct = set(texts)
    spread = Counter(gram for text in distinct for gram in set(_ngrams(text, words)))
    most = min(common, max(MOST_OF_FEW, int(len(distinct) * MOST_SHARE)))
    return {gram for gram, count in spread.items() if count > most}


def _ngrams(text: Words, words: int) -> Iterator[Words]:
    return (text[i : i + words] for i in range(len(text) - words + 1))
