"""The rows that a step of a supervised stage learns from: a function of the step, so that nothing needs to be saved."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cgpo import distributed


@dataclass(frozen=True)
class EpochBatches:
    """Batches of row numbers. Every epoch holds each row once, in another order; its last batch may be smaller.

    Attributes:
        rows: how many rows there are.
        size: rows in a batch, over all ranks.
        seed: of the order.
        name: what is drawn; two stages with one seed do not share their orders.
    """

    rows: int
    size: int
    seed: int
    name: str

    @property
    def per_epoch(self) -> int:
        """Batches in one pass over the rows."""
        return -(-self.rows // self.size)

    def at(self, step: int) -> list[int]:
        """The rows of step 0, 1, …, all ranks'."""
        epoch, position = divmod(step, self.per_epoch)
        order = _order(f"{self.name}:{self.seed}:{epoch}", self.rows)
        return list(order[position * self.size : (position + 1) * self.size])


def rows_of_rank(rows: Sequence[int], lengths: Callable[[int], int]) -> list[int]:
    """This rank's rows: dealt out by length, so that every rank gets about as many tokens."""
    by_length = sorted(rows, key=lambda i: (-lengths(i), i))
    return by_length[distributed.rank() :: distributed.world_size()]


@lru_cache(maxsize=4)
def _order(seed: str, rows: int) -> Sequence[int]:
    """The order of an epoch. Kept, because shuffling 100,000 rows takes longer than a step of a small model."""
    order = list(range(rows))
    random.Random(seed).shuffle(order)
    return tuple(order)
