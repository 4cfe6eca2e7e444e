"""The phrases that spread: those whose share of the responses grew most surely, each as long as it really is.

Of all phrases of one to four tokens, openings and closings among them, those in at least `FEWEST_PROMPTS` prompts of
the window are candidates, the surest growth first (`cgpo.overoptimisation.counts`). A candidate is made longer as long
as `SAME` of the responses that contain it go on (or begin) in the same way: "sending love" becomes "Bye! Sending
love!". It is an opening or a closing when as many of them begin or end with it. Of candidates that share a word with a
phrase found before, special cases are listed when they are a quarter of it, and others when they have grown as well in
the responses that do not contain it: "love" is no second finding, but "sweet love" elsewhere is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cgpo.overoptimisation.counts import Counts, Document, Numbers, effective, factor, growth_z
from cgpo.overoptimisation.tokens import (
    ANY_EMOJI,
    CLOSING,
    OPENING,
    Token,
    is_emoji,
    phrase_hash,
    phrases,
    tokenise,
)

FEWEST_PROMPTS = 4
"""Prompts of the window in whose responses a phrase must stand, as an effective number."""

LEAST_Z = 3.0
"""Below it growth is not even listed."""

MOST_CANDIDATES = 300
"""Surest candidates that are looked at more closely."""

MOST_READ = 200
"""Responses that are read to find how a phrase goes on."""

SAME = 0.8
"""Share of the responses with a phrase that must go on in the same way for it to be made longer."""

MOST_TOKENS = 16
"""Tokens up to which a phrase is made longer."""


WORTH_A_LINE = 0.25
"""Share of the responses with a phrase from which on a special case of it is listed too."""

STOPS = frozenset({".", ",", ";", ":", "!", "?", ")", "…", "。", "，", "！", "？"})
"""Marks that a phrase does not begin with."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A phrase that has become more frequent.

    Attributes:
        phrase: as it is written in most responses.
        place: `opening`, `closing` or `anywhere`.
        rate: share of the window's responses that contain it (each prompt counting alike).
        reference_rate: of the reference's.
        factor: how many times as often; against half an occurrence where the reference never used it.
        z: how surely it has grown, in standard errors.
        responses: responses of the window that contain it.
    """

    phrase: str
    place: str
    rate: float
    reference_rate: float
    factor: float
    z: float
    responses: int

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Found:
    tokens: tuple[str, ...]
    documents: frozenset[int]


def spreading(window: Sequence[Document], reference: Counts, most: int) -> list[Spread]:
    """The phrases that grew most surely, the surest first.

    Args:
        window: responses of the last steps.
        reference: phrases of the reference's responses.
        most: how many are wanted.
    """
    if not window or not reference.responses:
        return []
    now = Counts.of(window)
    count, trials = effective(now.sums, now.squares, now.prompts)
    enough = np.flatnonzero(count >= FEWEST_PROMPTS)
    before, before_trials = effective(*reference.at(now.hashes[enough]), reference.prompts)
    independent = np.minimum(trials[enough] / now.responses, 1.0)
    before_trials = np.where(before > 0, before_trials, np.maximum(before_trials, independent * reference.responses))
    z = growth_z(count[enough], trials[enough], before, before_trials)
    # Equal z: the more frequent one, then the hash; never the order in which responses came.
    order = np.lexsort((now.hashes[enough], -count[enough], -z))[:MOST_CANDIDATES]
    texts = _Texts(window)
    found: list[_Found] = []
    spreads: list[Spread] = []
    for i in order[z[order] >= LEAST_Z]:
        documents = now.held_by(int(enough[i]))
        tokens = texts.phrase(now.hashes[enough[i]], documents[0])

        def z_without(other: _Found, documents: Sequence[int] = documents, i: int = i) -> float:
            rest = [d for d in documents if d not in other.documents]
            counted = effective(*_shares(rest, window), now.prompts)
            return float(growth_z(*counted, before[i : i + 1], before_trials[i : i + 1])[0])

        if any(_explains(other, tokens, documents, float(z[i]), z_without) for other in found):
            continue
        tokens = texts.longer(tokens, documents)
        found.append(_Found(tokens, frozenset(documents)))
        rate, old = float(now.sums[enough[i]]) / now.prompts, float(before[i] / before_trials[i])
        grown = factor(rate, old, float(before_trials[i]))
        place = texts.place(tokens, documents)
        spreads.append(Spread(texts.written(tokens, documents), place, rate, old, grown, float(z[i]), len(documents)))
        if len(spreads) == most:
            break
    return spreads


def _explains(
    other: _Found,
    tokens: tuple[str, ...],
    documents: Sequence[int],
    z: float,
    z_without: Callable[[_Found], float],
) -> bool:
    """Whether a candidate is no finding of its own beside one that was found before.

    Args:
        other: what was found.
        tokens: of the candidate.
        documents: the responses that contain the candidate.
        z: how surely it has grown.
        z_without: the same, counting only responses that do not contain `other`.
    """
    emoji = ANY_EMOJI in (*tokens, *other.tokens) and any(is_emoji(t) for t in (*tokens, *other.tokens))
    if not emoji and not set(tokens) & set(other.tokens):
        return False
    if set(tokens) > set(other.tokens) or other.tokens == (ANY_EMOJI,):  # a special case of it: worth a line if large
        return not WORTH_A_LINE <= len(documents) / len(other.documents) < SAME
    return z_without(other) < max(LEAST_Z, z / 2)


def _shares(documents: Sequence[int], window: Sequence[Document]) -> tuple[Numbers, Numbers]:
    """Σ s and Σ s² over the window's prompts of a phrase in these responses, [1] each."""
    sizes = Counter(document.prompt_id for document in window)
    found = Counter(window[i].prompt_id for i in documents)
    shares = np.asarray([n / sizes[prompt] for prompt, n in found.items()])
    return np.asarray([shares.sum()]), np.asarray([(shares**2).sum()])


class _Texts:
    """Finds phrases in responses again: of a phrase only the hash is counted."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._tokens: dict[int, list[Token]] = {}

    def phrase(self, candidate: np.uint64, document: int) -> tuple[str, ...]:
        """The tokens behind a hash, from a response that contains them."""
        tokens = [token.text for token in self.tokens(document)]
        by_length, _ = phrases(tokens)
        for n, hashes in enumerate(by_length, start=1):
            if (places := np.flatnonzero(hashes == candidate)).size:
                return tuple(tokens[places[0] : places[0] + n])
            if hashes[0] ^ OPENING == candidate:
                return tuple(tokens[:n])
            if hashes[-1] ^ CLOSING == candidate:
                return tuple(tokens[-n:])
        assert phrase_hash([ANY_EMOJI]) == candidate
        return (ANY_EMOJI,)

    def longer(self, tokens: tuple[str, ...], documents: Sequence[int]) -> tuple[str, ...]:
        """The phrase with what almost always stands beside it."""
        read = documents[:MOST_READ]
        if tokens == (ANY_EMOJI,):
            kinds = self._emoji(read)
            if not kinds or kinds[0][1] < SAME * len(read):
                return tokens
            tokens = (kinds[0][0],)
        while len(tokens) < MOST_TOKENS:
            before: Counter[str] = Counter()
            after: Counter[str] = Counter()
            for i in read:
                words = [token.text for token in self.tokens(i)]
                places = _places(words, tokens)
                before.update({words[p - 1] for p in places if p})
                after.update({words[p + len(tokens)] for p in places if p + len(tokens) < len(words)})
            nexts = [(n, word, True) for word, n in after.items()] + [(n, word, False) for word, n in before.items()]
            n, word, follows = max(nexts, default=(0, "", True))
            if n < SAME * len(read):
                break
            tokens = (*tokens, word) if follows else (word, *tokens)
        while len(tokens) > 1 and tokens[0] in STOPS:  # the end of the sentence before is no part of it
            tokens = tokens[1:]
        return tokens

    def place(self, tokens: tuple[str, ...], documents: Sequence[int]) -> str:
        """Where in its responses a phrase stands."""
        read = documents[:MOST_READ]
        words = [tuple(token.text for token in self.tokens(i)) for i in read]
        if tokens == (ANY_EMOJI,):
            return "anywhere"
        if sum(each[: len(tokens)] == tokens for each in words) >= SAME * len(read):
            return "opening"
        if sum(each[-len(tokens) :] == tokens for each in words) >= SAME * len(read):
            return "closing"
        return "anywhere"

    def written(self, tokens: tuple[str, ...], documents: Sequence[int]) -> str:
        """The phrase as most responses write it."""
        forms: Counter[str] = Counter()
        if tokens == (ANY_EMOJI,):
            return f"any emoji ({' '.join(kind for kind, _ in self._emoji(documents[:MOST_READ])[:3])})"
        for i in documents[:MOST_READ]:
            own = self.tokens(i)
            for p in _places([token.text for token in own], tokens)[:1]:
                text = self._documents[i].text[own[p].start : own[p + len(tokens) - 1].end]
                forms[" ".join(text.split())] += 1
        return max(forms, key=lambda form: (forms[form], form)) if forms else " ".join(tokens)

    def _emoji(self, documents: Sequence[int]) -> list[tuple[str, int]]:
        """Kinds of emoji, each with how many of these responses contain it, the commonest first."""
        found: Counter[str] = Counter()
        for i in documents:
            found.update({token.text for token in self.tokens(i) if is_emoji(token.text)})
        return sorted(found.items(), key=lambda item: (-item[1], item[0]))

    def tokens(self, i: int) -> list[Token]:
        """Of a response, remembered."""
        if i not in self._tokens:
            self._tokens[i] = tokenise(self._documents[i].text)
        return self._tokens[i]


def _places(words: Sequence[str], tokens: tuple[str, ...]) -> list[int]:
    n = len(tokens)
    return [p for p in range(len(words) - n + 1) if words[p] == tokens[0] and tuple(words[p : p + n]) == tokens]
