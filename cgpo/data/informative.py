"""Draws prompts so that a share of each batch gave a contrast the last time they were drawn (we choose).

A prompt whose responses were all satisfied or all violated teaches an optimiser little: there is nothing to prefer.
Such a prompt is *dull*; one whose responses differed, or that was never drawn, is *informative*. Of each batch,

    dull prompts = min(1 − share, D / N) · batch          D of the N prompts are dull; fractions are carried over

so dull prompts never come more often than in plain sampling, and still come back: the model changes, and with it what
is dull. Among the dull, and among the informative, the one that has waited longest comes next. With D = N every prompt
is drawn as in plain sampling.

Unlike DAPO's dynamic sampling (arXiv 2503.14476) nothing is generated and thrown away: the last outcome is the
forecast.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Mapping, Sequence
from typing import Any

from cgpo.data.same_prompts import SamePrompts
from cgpo.errors import DataError
from cgpo.types import Prompt


class InformativeSampler:
    """An endless stream of prompts that prefers those with a contrast. What comes depends on `state_dict()` alone.

    Args:
        prompts: the prompts, at least one.
        seed: seed of the order.
        share: share of a batch that is to be informative, in (0, 1).
        stratum: name of the stratum, for messages.

    Raises:
        DataError: there are no prompts.
    """

    def __init__(self, prompts: Sequence[Prompt], seed: int, *, share: float, stratum: str = "") -> None:
        self._name = f"stratum {stratum!r}" if stratum else "the prompt sampler"
        if not prompts:
            raise DataError(f"{self._name} has no prompts to sample from")
        self._prompts = tuple(prompts)
        self._same = SamePrompts(self._prompts, self._name)
        self._index = {prompt.id: i for i, prompt in enumerate(self._prompts)}
        self._seed = seed
        self._share = share
        self._drawn = 0
        self._carried = 0.0
        self._dull: set[str] = set()
        self._due = self._never_drawn()

    def __len__(self) -> int:
        """The number of prompts."""
        return len(self._prompts)

    @property
    def informative_pool(self) -> float:
        """Share of the prompts that count as informative now."""
        return 1 - len(self._dull) / len(self)

    def sample(self, count: int) -> list[Prompt]:
        """The next `count` prompts; a prompt comes twice only where there are fewer than `count`.

        Raises:
            ValueError: `count` is below 1.
        """
        if count < 1:
            raise ValueError(f"cannot sample {count} prompts")
        taken: list[int] = []
        while len(taken) < count:
            taken += self._batch(min(count - len(taken), len(self)))
        return [self._prompts[i] for i in taken]

    def observe(self, contrast: Mapping[str, bool | None]) -> None:
        """Takes what drawn prompts gave: id → whether the responses differed; None, not known, changes nothing."""
        for prompt_id, differed in contrast.items():
            if differed is True:
                self._dull.discard(prompt_id)
            elif differed is False:
                self._dull.add(prompt_id)

    def upcoming(self, batches: int, size: int) -> list[Prompt]:
        """The prompts that further batches may bring: all, because it depends on what becomes of the next ones."""
        return list(self._prompts) if batches else []

    def state_dict(self) -> dict[str, Any]:
        """The position and what is known of the prompts, as plain data: JSON can hold it."""
        drawn = {p.id: self._due[i] for i, p in enumerate(self._prompts) if self._due[i] >= 0}
        return {
            "drawn": self._drawn,
            "carried": self._carried,
            "due": drawn,
            "dull": sorted(self._dull),
            "seed": self._seed,
            **self._same.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to a saved position of a sampler over the same prompts.

        Raises:
            DataError: the prompts, their order, their metadata or the seed are not those of the saved position.
        """
        self._same.check(state)
        if state["seed"] != self._seed:
            raise DataError(f"{self._name}: the checkpoint was made with seed {state['seed']}, not {self._seed}")
        self._drawn, self._carried = state["drawn"], state["carried"]
        self._dull, self._due = set(state["dull"]), self._never_drawn()
        for prompt_id, due in state["due"].items():
            self._due[self._index[prompt_id]] = due

    def _never_drawn(self) -> list[float]:
        """When each prompt is due, in prompts drawn so far: those never drawn before all others, in random order."""
        places = list(range(len(self._prompts)))
        random.Random(f"cgpo informative {self._seed}").shuffle(places)
        return [place - len(places) for place in places]

    def _batch(self, count: int) -> list[int]:
        """At most as many prompts as there are, each once, in random order."""
        dull = [self._index[prompt_id] for prompt_id in sorted(self._dull)]
        others = [i for i, prompt in enumerate(self._prompts) if prompt.id not in self._dull]
        wanted = min(1 - self._share, len(dull) / len(self)) * count + self._carried
        number = min(max(int(wanted + 1e-9), count - len(others)), len(dull), count)
        self._carried = min(max(wanted - number, 0.0), 1.0)
        chosen = [*self._longest_waiting(dull, number), *self._longest_waiting(others, count - number)]
        rng = random.Random(f"cgpo informative {self._seed} {self._drawn}")
        rng.shuffle(chosen)
        self._drawn += count
        for i in chosen:
            self._due[i] = self._drawn + rng.random() * count  # so that the same prompts do not meet every time
        return chosen

    def _longest_waiting(self, candidates: Sequence[int], number: int) -> list[int]:
        return heapq.nsmallest(number, candidates, key=lambda i: (self._due[i], i))
