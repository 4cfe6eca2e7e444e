"""Held-out numbers of the stages that train the policy: the loss on conversations, and an interval in words."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cgpo import distributed
from cgpo.policy.layout import MicroBatch, pack
from cgpo.policy.logprobs import sequence_sums
from cgpo.policy.policy import Policy, pad_to_all_ranks
from cgpo.statistics.intervals import Interval, ratio_interval
from cgpo.statistics.resampling import CONFIDENCE
from cgpo.types import LearnedTokens


@torch.no_grad()
def heldout_loss(policy: Policy, conversations: Sequence[LearnedTokens]) -> Interval:
    """Mean loss per learnt token, in nats, with its 95 % interval; every rank calls it, each measuring its share."""
    train = policy.settings.train
    share = list(range(len(conversations)))[distributed.rank() :: distributed.world_size()]
    batches = pack(conversations, share, train.micro_batch_tokens, policy.layout)
    losses: dict[int, float] = {}
    for i, batch in enumerate(pad_to_all_ranks(batches)):
        sums = _sums(policy, batch.to(distributed.device()), len(conversations))
        if i < len(batches):
            losses |= {k: -float(sums[k]) for k in set(batch.sample.tolist())}
    everywhere = {k: loss for part in distributed.gather_objects(losses) for k, loss in part.items()}
    by_conversation = [everywhere[i] for i in range(len(conversations))]
    return ratio_interval(by_conversation, [int(c.learned.sum()) for c in conversations], CONFIDENCE)


def _sums(policy: Policy, batch: MicroBatch, n: int) -> torch.Tensor:
    logprobs, _ = policy.module(batch, 1.0)
    return sequence_sums(logprobs, batch.sample, n).cpu()


def heldout_in_words(interval: dict[str, float | int | None], digits: int = 3) -> str:
    """`1.234 (95 % interval 1.1 to 1.3)`."""
    if interval["estimate"] is None:
        return "–"
    low, high = interval["low"], interval["high"]
    bounds = "" if low is None else f", 95 % interval {low:.{digits}f} to {high:.{digits}f}"
    return f"{interval['estimate']:.{digits}f} ({interval['n']} held out{bounds})"
