"""What the heads of a reward model minimise: one function an objective, of raw outputs r.

    pairwise      − log sigmoid(r(s, chosen) − r(s, rejected) − m) + c · (r(s, chosen) + r(s, rejected))²
    pointwise     − y · log sigmoid(r(s, a)) − (1 − y) · log sigmoid(−r(s, a))
    regression    ½ (r(s, a) − z)², or Huber's loss of r(s, a) − z

`pairwise` is Bradley–Terry; the margin m is that of Llama 2 (arXiv 2307.09288, equation 2), the centring c that of
Eisenstein et al. 2023 (arXiv 2312.09244, section 2), who keep a model's free constant at 0 by it; both are off by
default. `pointwise` is binary cross-entropy (docs/method.md, "P[Love]"; RLUF, arXiv 2505.14946). z is the rating,
standardised.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


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
