"""The loss of a step over several heads of a reward model.

    loss = Σ_h w_h · 1/n_h Σ_{i in the step, of head h} loss_h(i)

n_h counts the step's rows of head h on all ranks, w_h is the head's weight, loss_h its objective
(`cgpo/stages/reward_model/losses.py`). A head without a row in a step adds nothing to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cgpo.config import HeadSettings, PairwiseHeadSettings, RegressionHeadSettings
from cgpo.stages.reward_model.losses import bradley_terry, cross_entropy, squared


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A row as the trainer has it.

    Attributes:
        texts: which texts it shows: the better and the worse one of a pair, or a single one.
        targets: head (number of the output) → margin, label or standardised rating. Heads may share a row.
        copies: how often it stands in an epoch.
    """

    texts: tuple[int, ...]
    targets: tuple[tuple[int, float], ...]
    copies: int = 1


@dataclass(frozen=True)
class HeadLoss:
    """A head's weight and objective.

    Attributes:
        name: the head's.
        weight: w_h.
        losses: (outputs of each row's first text, of its second one (the same, if there is none), targets) → losses,
            all float [N].
        ordered: its rows are pairs that the model can order rightly or wrongly.
    """

    name: str
    weight: float
    losses: Callable[[Tensor, Tensor, Tensor], Tensor]
    ordered: bool = False


def head_loss(name: str, head: HeadSettings) -> HeadLoss:
    """The loss that a head's settings ask for. Targets of pairs are margins as the data gives them."""
    if isinstance(head, PairwiseHeadSettings):
        scale, centring = head.margin_scale, head.centring
        return HeadLoss(name, head.weight, lambda a, b, m: bradley_terry(a, b, scale * m, centring), ordered=True)
    if isinstance(head, RegressionHeadSettings):
        delta = head.huber_delta if head.loss == "huber" else None
        return HeadLoss(name, head.weight, lambda a, _, z: squared(a, z, delta))
    return HeadLoss(name, head.weight, lambda a, _, y: cross_entropy(a, y))


@dataclass
class Sums:
    """Sums over rows, head by head [H]: of losses, of pairs in the right order, and of rows."""

    loss: list[float]
    right: list[float]
    rows: list[float]

    @classmethod
    def zero(cls, heads: int) -> Sums:
        """Nothing so far."""
        return cls([0.0] * heads, [0.0] * heads, [0.0] * heads)


def count_rows(rows: Sequence[TrainingRow], heads: int) -> list[int]:
    """n_h: the rows of each head, [H]."""
    counts = [0] * heads
    for row in rows:
        for head, _ in row.targets:
            counts[head] += 1
    return counts


def part_of_loss(
    outputs: Tensor,
    rows: Sequence[TrainingRow],
    heads: Sequence[HeadLoss],
    counts: Sequence[float],
    sums: Sums,
    copies: Sequence[int] | None = None,
) -> Tensor:
    """What a micro-batch adds to the step's loss; the parts of all micro-batches and ranks add up to it.

    Args:
        outputs: float [M, H], of the rows' texts one after the other.
        rows: the micro-batch's.
        heads: by output.
        counts: n_h of the whole step, [H].
        sums: what was found is added to it.
        copies: how often each row counts; None: once.

    Returns:
        A scalar that depends on the outputs even where no row has a target, so that every rank can go backward.
    """
    starts: list[int] = []
    position = 0
    for row in rows:
        starts.append(position)
        position += len(row.texts)
    total = outputs.sum() * 0.0
    for number, head in enumerate(heads):
        mine = [(i, target) for i, row in enumerate(rows) for h, target in row.targets if h == number]
        if not mine:
            continue
        first = outputs[[starts[i] for i, _ in mine], number]
        last = outputs[[starts[i] + len(rows[i].texts) - 1 for i, _ in mine], number]
        times = torch.tensor([float(copies[i]) if copies else 1.0 for i, _ in mine], device=outputs.device)
        losses = head.losses(first, last, _like(outputs, [target for _, target in mine])) * times
        total = total + losses.sum() * (head.weight / counts[number])
        sums.loss[number] += float(losses.detach().sum())
        sums.right[number] += float(((first > last) * times).sum()) if head.ordered else 0.0
        sums.rows[number] += float(times.sum())
    return total


def _like(outputs: Tensor, values: Any) -> Tensor:
    return torch.tensor(values, dtype=outputs.dtype, device=outputs.device)
