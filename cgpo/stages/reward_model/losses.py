"""The loss of a reward model: one objective a head, of raw outputs r, summed over the heads.

    pairwise      − log sigmoid(r(s, chosen) − r(s, rejected) − m) + c · (r(s, chosen) + r(s, rejected))²
    pointwise     − y · log sigmoid(r(s, a)) − (1 − y) · log sigmoid(−r(s, a))
    regression    ½ (r(s, a) − z)², or Huber's loss of r(s, a) − z

    loss of a step = Σ_h w_h · 1/n_h Σ_{i in the step, of head h} loss_h(i)

`pairwise` is Bradley–Terry; the margin m is that of Llama 2 (arXiv 2307.09288, equation 2), the centring c that of
Eisenstein et al. 2023 (arXiv 2312.09244, section 2), who keep a model's free constant at 0 by it; both are off by
default. `pointwise` is binary cross-entropy (docs/method.md, "P[Love]"; RLUF, arXiv 2505.14946). z is the rating,
standardised. n_h counts the step's rows of head h on all ranks, w_h is the head's weight, loss_h its objective. A head
without a row in a step adds nothing to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cgpo.config import HeadSettings, PairwiseHeadSettings, RegressionHeadSettings


def bradley_terry(chosen: Tensor, rejected: Tensor, margin: Tensor | float = 0.0, centring: float = 0.0) -> Tensor:
    """Loss of pairs, stable for any difference.

    Args:
        chosen: float [N], scores of the better responses.
        rejected: float [N], scores of the worse ones.
        margin: m ≥ 0, [N] or one for all.
        centring: c ≥ 0.

    Returns:
        float [N].
    """
    losses = functional.softplus(rejected - chosen + margin)
    return losses + centring * (chosen + rejected).square() if centring else losses


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Loss of single responses, stable for any score.

    Args:
        scores: float [N], logits.
        labels: float [N], 1 or 0.

    Returns:
        float [N].
    """
    return functional.binary_cross_entropy_with_logits(scores, labels, reduction="none")


def squared(scores: Tensor, targets: Tensor, huber_delta: float | None = None) -> Tensor:
    """Loss of ratings.

    Args:
        scores: float [N].
        targets: float [N], standardised ratings.
        huber_delta: beyond it the loss grows linearly; None: nowhere.

    Returns:
        float [N].
    """
    if huber_delta is not None:
        return functional.huber_loss(scores, targets, reduction="none", delta=huber_delta)
    return 0.5 * (scores - targets).square()


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
        """The sums of no rows."""
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
    """A micro-batch's part of the step's loss; the parts of all micro-batches and ranks add up to it.

    Args:
        outputs: float [M, H], of the rows' texts one after the other.
        rows: the micro-batch's.
        heads: by output.
        counts: n_h of the whole step, [H].
        sums: gets the sums of these rows added.
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
        of_head = [(i, target) for i, row in enumerate(rows) for h, target in row.targets if h == number]
        if not of_head:
            continue
        first = outputs[[starts[i] for i, _ in of_head], number]
        last = outputs[[starts[i] + len(rows[i].texts) - 1 for i, _ in of_head], number]
        times = torch.tensor([float(copies[i]) if copies else 1.0 for i, _ in of_head], device=outputs.device)
        targets = torch.tensor([target for _, target in of_head], dtype=outputs.dtype, device=outputs.device)
        losses = head.losses(first, last, targets) * times
        total = total + losses.sum() * (head.weight / counts[number])
        sums.loss[number] += float(losses.detach().sum())
        sums.right[number] += float(((first > last) * times).sum()) if head.ordered else 0.0
        sums.rows[number] += float(times.sum())
    return total
