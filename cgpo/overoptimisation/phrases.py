"""The phrases that spread in a stratum: those whose share of the responses grew most surely, each as long as it is.

Of all phrases of one to four tokens, openings and closings among them, those in at least `FEWEST_PROMPTS` prompts of
the window are candidates, the surest growth first (`cgpo.overoptimisation.counts`). A candidate is made longer as long
as `SAME` of the responses that contain it go on (or begin) in the same way: "sending love" becomes "Bye! Sending
love!". It is an opening or a closing when as many of them begin or end with it. Of candidates that share a word with a
phrase before them, special cases are listed when they are a quarter of it, and others when they have grown as well in
the responses that do not contain it: "love" is no second phrase, but "sweet love" elsewhere is.

The reference is what π_ref said: the baseline responses it made for the run's prompts (golden ones are the data set's),
and, where they are few, the responses of the first steps. Responses are read from `rollouts/` again when a run goes on:
only which steps they were is kept in checkpoints.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cgpo.config.watch import PhraseSettings
from cgpo.overoptimisation.counts import Counts, Document, Numbers, effective, growth_factor, growth_z
from cgpo.overoptimisation.tokens import (
    ANY_EMOJI,
    CLOSING,
    OPENING,
    Hashes,
    Token,
    is_emoji,
    phrase_hash,
    phrase_set,
    phrases,
    prompt_phrases,
    tokenise,
)
from cgpo.storage.text import percent, storable
from cgpo.tracking.rollouts import RolloutRow
from cgpo.types import Prompt
from judges.messages import message_text

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

    @property
    def text(self) -> str:
        """For a warning; the phrase is quoted as it is."""
        place = {"opening": " as an opening", "closing": " as a closing"}.get(self.place, "")
        return (
            f"“{self.phrase}”{place} spreads: in {percent(self.rate, 1)} of the last responses, "
            f"{percent(self.reference_rate, 1)} of the reference's ({self.factor:.1f} times as often, z {self.z:.1f})"
        )


class StratumPhrases:
    """The phrases of one stratum: those of the reference, and those of the last steps.

    Args:
        settings: the settings.
        baselines: prompts with the response that π_ref gave to each.
    """

    def __init__(self, settings: PhraseSettings, baselines: Sequence[tuple[Prompt, str]]) -> None:
        self._settings = settings
        # In the order of a hash of their names: a part of them is then like the whole.
        chosen = sorted(baselines, key=lambda pair: hashlib.sha256(pair[0].id.encode()).digest())
        chosen = chosen[: settings.reference_responses]
        self._early = [_document(p.id, text, prompt_phrases(map(message_text, p.messages))) for p, text in chosen]
        self._reference: Counts | None = None
        self._first: list[int] = []
        self._window: deque[tuple[int, list[Document]]] = deque()
        self._steps = 0

    def add(self, step: int, rows: Sequence[RolloutRow]) -> None:
        """The responses of a step."""
        self._steps += 1
        few = self._reference is None and len(self._early) < self._settings.reference_responses
        if few and len(self._first) < self._settings.first_steps:
            self._first.append(step)
            self._early += documents(rows)[: self._settings.reference_responses - len(self._early)]
        else:
            self._enter(step, rows)

    @property
    def due(self) -> bool:
        """Whether it is time to look at the phrases."""
        return self._steps % self._settings.every == 0 and bool(self._window)

    def look(self) -> tuple[list[Spread], dict[str, int]]:
        """The phrases that spread now, the surest first, and how many responses that rests on."""
        if self._reference is None:
            self._reference = Counts.of(self._early).without_holders()
            self._early = []
        window = [document for _, step in self._window for document in step]
        sizes = {
            "responses": len(window),
            "prompts": len({document.prompt_id for document in window}),
            "reference_responses": self._reference.responses,
        }
        return spreading(window, self._reference, self._settings.shown), sizes

    def remarkable(self, spread: Spread) -> bool:
        """Whether a phrase spread so far that a person should know."""
        s = self._settings
        return spread.rate >= s.warn_rate and spread.factor >= s.warn_factor and spread.z >= s.warn_z

    def state_dict(self) -> dict[str, Any]:
        """What must survive a resume, as plain data: which steps it has."""
        return {"steps": self._steps, "first": list(self._first), "window": [step for step, _ in self._window]}

    def load_state_dict(self, state: Mapping[str, Any], rows: Mapping[int, Sequence[RolloutRow]]) -> None:
        """Restores `state_dict` with the stratum's recorded responses; steps that are no longer there are left out."""
        for step in state["first"]:
            self.add(step, rows.get(step, ()))
        self._window.clear()
        for step in state["window"]:
            self._enter(step, rows.get(step, ()))
        self._steps = state["steps"]

    def _enter(self, step: int, rows: Sequence[RolloutRow]) -> None:
        self._window.append((step, documents(rows)))
        s = self._settings
        responses = sum(len(in_step) for _, in_step in self._window)
        while len(self._window) > 1 and (len(self._window) > s.window_steps or responses > s.window_responses):
            responses -= len(self._window.popleft()[1])


def documents(rows: Iterable[RolloutRow]) -> list[Document]:
    """The responses as sets of phrases, without those of their prompts."""
    of_prompts: dict[str, Hashes] = {}
    made = []
    for row in rows:
        if row.prompt_id not in of_prompts:
            of_prompts[row.prompt_id] = prompt_phrases(map(message_text, row.messages))
        made.append(_document(row.prompt_id, row.response, of_prompts[row.prompt_id]))
    return made


def _document(prompt_id: str, response: str, of_prompt: Hashes) -> Document:
    text = storable(response)  # as it will be read from the disk again
    return Document(prompt_id, text, phrase_set([token.text for token in tokenise(text)], of_prompt))


@dataclass(frozen=True, slots=True)
class _Phrase:
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
    earlier: list[_Phrase] = []
    spreads: list[Spread] = []
    for i in order[z[order] >= LEAST_Z]:
        documents = now.held_by(int(enough[i]))
        tokens = texts.phrase(now.hashes[enough[i]], documents[0])

        def z_without(other: _Phrase, documents: Sequence[int] = documents, i: int = i) -> float:
            rest = [d for d in documents if d not in other.documents]
            counted = effective(*_shares(rest, window), now.prompts)
            return float(growth_z(*counted, before[i : i + 1], before_trials[i : i + 1])[0])

        if any(_explains(other, tokens, documents, float(z[i]), z_without) for other in earlier):
            continue
        tokens = texts.longer(tokens, documents)
        earlier.append(_Phrase(tokens, frozenset(documents)))
        rate, old = float(now.sums[enough[i]]) / now.prompts, float(before[i] / before_trials[i])
        grown = growth_factor(rate, old, float(before_trials[i]))
        place = texts.place(tokens, documents)
        spreads.append(Spread(texts.written(tokens, documents), place, rate, old, grown, float(z[i]), len(documents)))
        if len(spreads) == most:
            break
    return spreads


def _explains(
    other: _Phrase,
    tokens: tuple[str, ...],
    documents: Sequence[int],
    z: float,
    z_without: Callable[[_Phrase], float],
) -> bool:
    """Whether a candidate says no more than a phrase that is listed already.

    Args:
        other: the phrase that is listed.
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
    holding = Counter(window[i].prompt_id for i in documents)
    shares = np.asarray([n / sizes[prompt] for prompt, n in holding.items()])
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
            tokens_there = self.tokens(i)
            for p in _places([token.text for token in tokens_there], tokens)[:1]:
                text = self._documents[i].text[tokens_there[p].start : tokens_there[p + len(tokens) - 1].end]
                forms[" ".join(text.split())] += 1
        return max(forms, key=lambda form: (forms[form], form)) if forms else " ".join(tokens)

    def _emoji(self, documents: Sequence[int]) -> list[tuple[str, int]]:
        """Kinds of emoji, each with how many of these responses contain it, the commonest first."""
        kinds: Counter[str] = Counter()
        for i in documents:
            kinds.update({token.text for token in self.tokens(i) if is_emoji(token.text)})
        return sorted(kinds.items(), key=lambda item: (-item[1], item[0]))

    def tokens(self, i: int) -> list[Token]:
        """Of a response, remembered."""
        if i not in self._tokens:
            self._tokens[i] = tokenise(self._documents[i].text)
        return self._tokens[i]


def _places(words: Sequence[str], tokens: tuple[str, ...]) -> list[int]:
    n = len(tokens)
    return [p for p in range(len(words) - n + 1) if words[p] == tokens[0] and tuple(words[p : p + n]) == tokens]
