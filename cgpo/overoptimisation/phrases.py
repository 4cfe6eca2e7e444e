"""The phrases of one stratum: the reference's, and those of the last steps.

The reference is what π_ref said: the baseline responses it made for the run's prompts (golden ones are the data set's),
and, where they are few, the responses of the first steps. Responses are read from `rollouts/` again when a run goes on:
only which steps they were is kept in checkpoints.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cgpo.config.watch import PhraseSettings
from cgpo.overoptimisation.counts import Counts, Document
from cgpo.overoptimisation.spread import Spread, spreading
from cgpo.overoptimisation.tokens import Hashes, asked_for, phrase_set, tokenise
from cgpo.storage.text import storable
from cgpo.tracking.rollouts import RolloutRow
from cgpo.types import Prompt


class StratumPhrases:
    """Which phrases spread in a stratum.

    Args:
        settings: the settings.
        baselines: prompts with the response that π_ref gave to each.
    """

    def __init__(self, settings: PhraseSettings, baselines: Sequence[tuple[Prompt, str]]) -> None:
        self._settings = settings
        # In the order of a hash of their names: a part of them is then like the whole.
        chosen = sorted(baselines, key=lambda pair: hashlib.sha256(pair[0].id.encode()).digest())
        chosen = chosen[: settings.reference_responses]
        self._early = [_document(p.id, text, asked_for(m["content"] for m in p.messages)) for p, text in chosen]
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
        while len(self._window) > 1 and (
            len(self._window) > s.window_steps or sum(len(found) for _, found in self._window) > s.window_responses
        ):
            self._window.popleft()


def documents(rows: Iterable[RolloutRow]) -> list[Document]:
    """The responses as sets of phrases, without those of their prompts."""
    asked: dict[str, Hashes] = {}
    found = []
    for row in rows:
        if row.prompt_id not in asked:
            asked[row.prompt_id] = asked_for(message["content"] for message in row.messages)
        found.append(_document(row.prompt_id, row.response, asked[row.prompt_id]))
    return found


def _document(prompt_id: str, response: str, asked: Hashes) -> Document:
    text = storable(response)  # as it will be read from the disk again
    return Document(prompt_id, text, phrase_set([token.text for token in tokenise(text)], asked))
