"""Draws a stratum's prompts batch by batch, in an order that can be saved and gone on with, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from cgpo.data.same_prompts import SamePrompts
from cgpo.errors import DataError
from cgpo.types import Prompt


class PromptSampler:
    """An endless stream of prompts: every epoch holds each prompt once, in an order of its own.

    An epoch's order depends on the seed and the epoch's number. One thing is added: a batch that runs over the end
    of an epoch takes from the next one first what it does not hold already, so that a batch of at most as many
    prompts as there are never has one twice. What the next batches are depends on nothing but `state_dict()`.
    """

    def __init__(self, prompts: Sequence[Prompt], seed: int, *, stratum: str = "") -> None:
        """Starts at the first epoch.

        Args:
            prompts: the prompts, at least one.
            seed: seed of the order.
            stratum: name of the stratum, for messages.

        Raises:
            DataError: there are no prompts.
        """
        self._name = f"stratum {stratum!r}" if stratum else "the prompt sampler"
        if not prompts:
            raise DataError(f"{self._name} has no prompts to sample from")
        self._prompts = tuple(prompts)
        self._same = SamePrompts(self._prompts, self._name)
        self._seed = seed
        self._epoch = 0
        self._offset = 0
        self._carried: tuple[int, ...] = ()
        self._window = 0
        self._order = self._make_order()

    def __len__(self) -> int:
        """The number of prompts, which is that of an epoch."""
        return len(self._prompts)

    @property
    def epoch(self) -> int:
        """Number of the epoch from which the last prompt came, counted from 0."""
        return self._epoch

    def sample(self, count: int) -> list[Prompt]:
        """The next `count` prompts; more than there are run over several epochs.

        Raises:
            ValueError: `count` is below 1.
        """
        if count < 1:
            raise ValueError(f"cannot sample {count} prompts")
        taken: list[int] = []
        while len(taken) < count:
            if self._offset == len(self):
                self._next_epoch(taken, count)
            part = self._order[self._offset : self._offset + count - len(taken)]
            self._offset += len(part)
            taken += part
        return [self._prompts[i] for i in taken]

    def upcoming(self, batches: int, size: int) -> list[Prompt]:
        """The prompts that the next `batches` calls of `sample(size)` will bring, each once; the position stays."""
        before = self.state_dict()
        prompts: dict[str, Prompt] = {}
        # Batch by batch: where epochs meet, what comes depends on the size of the batch.
        for _ in range(batches):
            prompts |= {prompt.id: prompt for prompt in self.sample(size)}
            if len(prompts) == len(self):
                break
        self.load_state_dict(before)
        return list(prompts.values())

    def state_dict(self) -> dict[str, Any]:
        """The position, as plain data: JSON can hold it."""
        return {
            "epoch": self._epoch,
            "offset": self._offset,
            "carried": list(self._carried),
            "window": self._window,
            "seed": self._seed,
            **self._same.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to a saved position.

        Raises:
            DataError: the prompts, their order, their metadata or the seed are not those of the saved position.
        """
        self._same.check(state)
        if state["seed"] != self._seed:
            raise DataError(f"{self._name}: the checkpoint was made with seed {state['seed']}, not {self._seed}")
        self._epoch = state["epoch"]
        self._offset = state["offset"]
        self._carried = tuple(state["carried"])
        self._window = state["window"]
        self._order = self._make_order()

    def _next_epoch(self, taken: Sequence[int], count: int) -> None:
        self._epoch += 1
        self._offset = 0
        self._carried = tuple(taken) if count <= len(self) else ()
        self._window = count if self._carried else 0
        self._order = self._make_order()

    def _make_order(self) -> list[int]:
        """The epoch's order [len(self)]: within its first `window` places, prompts carried over come last."""
        order = list(range(len(self)))
        random.Random(f"cgpo prompts {self._seed} {self._epoch}").shuffle(order)
        carried = set(self._carried)
        head = order[: self._window]
        fresh = [i for i in head if i not in carried]
        return fresh + [i for i in head if i in carried] + order[self._window :]
