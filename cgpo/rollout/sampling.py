"""Drawing one token a row: exact, reproducible, and independent of what else is in the batch.

A sample from softmax(z) is argmax(z + g) with independent Gumbel noise g. The noise of a row comes from the request's
own generator, so that neither its neighbours nor its place in the batch change what it draws.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cgpo.config import SamplingSettings


def token_logprobs(logits: Tensor, sampling: SamplingSettings) -> Tensor:
    """Log-probabilities of the distribution that is sampled from.

    Args:
        logits: [V], of one row.
        sampling: temperature, then min-p, top-k and top-p, in this order. Temperature 0 counts as 1 here: greedy
            decoding chooses among the model's own probabilities, and truncations do not change the choice.

    Returns:
        float32 [V], `-inf` for tokens that are cut off.
    """
    logits = logits.float()
    if sampling.temperature == 0:
        return logits.log_softmax(-1)
    logits = logits / sampling.temperature
    if sampling.min_p > 0:
        floor = logits.max() + torch.tensor(sampling.min_p, device=logits.device).log()
        logits = logits.masked_fill(logits < floor, -torch.inf)
    if 0 < sampling.top_k < logits.numel():
        least = logits.topk(sampling.top_k).values[-1]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if sampling.top_p < 1:
        logits = _nucleus(logits, sampling.top_p)
    return logits.log_softmax(-1)


def draw(logprobs: Tensor, sampling: SamplingSettings, generator: torch.Generator) -> int:
    """One token id.

    Args:
        logprobs: [V], from `token_logprobs`.
        sampling: temperature 0 takes the likeliest token and leaves the generator alone.
        generator: the request's own, on the device of `logprobs`; advanced by V draws.
    """
    if sampling.temperature == 0:
        return int(logprobs.argmax())
    # −log of an exponential variable is a Gumbel variable. In float32 its tail would end at 16.6, and tokens rarer
    # than 1e-7 would come too seldom. An exact 0 would turn a token that is cut off into NaN.
    noise = torch.empty_like(logprobs, dtype=torch.float64).exponential_(generator=generator)
    return int((logprobs - noise.clamp_min(torch.finfo(torch.float64).tiny).log()).argmax())


def _nucleus(logits: Tensor, share: float) -> Tensor:
    """Keeps the fewest likeliest tokens whose probabilities sum to at least `share`."""
    ordered, order = logits.sort(descending=True)
    before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
    cut = before >= share
    return logits.masked_fill(torch.zeros_like(cut).scatter(0, order, cut), -torch.inf)
