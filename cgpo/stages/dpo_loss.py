"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290, equation 7), as a warm-up before RL.

    m    = β·log_ratio(chosen) − β·log_ratio(rejected)           log_ratio = log π_w(a|s) − log π_ref(a|s), in nats
    loss = − 1/n Σ_pairs [ (1 − ε)·log sigmoid(m) + ε·log sigmoid(−m) + (λ/|chosen|)·log π_w(chosen|s) ]

with sums over a response's tokens, n the pairs of the step on all ranks, temperature 1. Beyond the paper and off by
default: ε (label smoothing: a share of pairs labelled the wrong way round) and λ (the chosen response's likelihood per
token, so that it does not fall together with the rejected one's).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid


def margins(policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """[pairs]: m.

    Args:
        policy: [pairs, 2], log π_w of the chosen and of the rejected response.
        reference: [pairs, 2], the same under π_ref.
        beta: β.
    """
    log_ratio = policy - reference
    return beta * (log_ratio[:, 0] - log_ratio[:, 1])


def dpo_losses(margin: Tensor, likelihood: Tensor, label_smoothing: float, sft_weight: float) -> Tensor:
    """[pairs]: the loss of each pair.

    Args:
        margin: [pairs], m.
        likelihood: [pairs], log π_w(chosen|s) / |chosen|.
        label_smoothing: ε, below 0.5.
        sft_weight: λ.
    """
    preference = (1 - label_smoothing) * logsigmoid(margin) + label_smoothing * logsigmoid(-margin)
    return -preference - sft_weight * likelihood
