"""Log-probs of response tokens under a linear output head, a chunk of logits at a time, forward and backward.

    z = (W h + b) / T        log π(y) = z_y − log Σ_v exp z_v        ∂ log π(y) / ∂ z = onehot(y) − softmax(z)

The logits of a chunk live in one buffer, which the backward pass fills anew and turns into their gradient in place.
Autograd's way, with checkpointing, makes eight further buffers of [chunk, vocabulary]: a fifth of the head's time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear


def chunk_logprobs(hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, temperature: float) -> Tensor:
    """The log-prob of each token at `temperature`.

    Args:
        hidden: [M, hidden size], the state before each token, in the type of `weight`.
        weight: [vocabulary, hidden size].
        bias: [vocabulary], or None.
        target: int [M].
        temperature: of the distribution.

    Returns:
        float32 [M], in nats; float64 where the weights are. It can be differentiated once.
    """
    logprobs: Tensor = _ChunkLogProbs.apply(hidden, weight, bias, target, temperature)  # type: ignore[no-untyped-call]
    return logprobs


class _ChunkLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, temperature: float
    ) -> Tensor:
        logits = _logits(hidden, weight, bias, temperature)
        total = logits.logsumexp(dim=1)
        ctx.save_for_backward(hidden, weight, bias, target, total)
        ctx.temperature = temperature
        return logits.gather(1, target[:, None]).squeeze(1) - total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, by_logprob: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, target, total = ctx.saved_tensors
        factor = (by_logprob / ctx.temperature)[:, None]
        by_logit = _logits(hidden, weight, bias, ctx.temperature).sub_(total[:, None]).exp_().mul_(-factor)
        by_logit = by_logit.scatter_add_(1, target[:, None], factor).to(weight.dtype)
        by_hidden, by_weight, by_bias, *_ = ctx.needs_input_grad
        return (
            by_logit @ weight if by_hidden else None,
            by_logit.t() @ hidden if by_weight else None,
            by_logit.sum(0) if by_bias else None,
            None,
            None,
        )


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, temperature: float) -> Tensor:
    logits = linear(hidden, weight, bias)
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).div_(temperature)
