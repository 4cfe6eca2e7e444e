"""The loss on held-out conversations, with the uncertainty of having only so many."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cgpo import distributed
from cgpo.policy.layout import MicroBatch, pack
from cgpo.policy.logprobs import sequence_sums
from cgpo.policy.policy import Policy, pad_to_all_ranks
from cgpo.statistics.intervals import Interval, ratio_interval
from cgpo.types import LearnedTokens

CONFIDENCE = 0.95


@torch.no_grad()
def heldout_loss(policy: Policy, conversations: Sequence[LearnedTokens]) -> Interval:
    """Mean loss per learnt token, in nats, with its 95 % interval; every rank calls it, each measuring its share."""
    train = policy.settings.train
    mine = list(range(len(conversations)))[distributed.rank() :: distributed.world_size()]
    batches = pack(conversations, mine, train.micro_batch_tokens, packed=train.share_prompts)
    found: dict[int, float] = {}
    for i, batch in enumerate(pad_to_all_ranks(batches, train.share_prompts)):
        sums = _sums(policy, batch.to(distributed.device()), len(conversations))
        if i < len(batches):
            found |= {k: -float(sums[k]) for k in set(batch.sample.tolist())}
    everywhere = {k: loss for part in distributed.gather_objects(found) for k, loss in part.items()}
    losses = [everywhere[i] for i in range(len(conversations))]
    return ratio_interval(losses, [int(c.learned.sum()) for c in conversations], CONFIDENCE)


def _sums(policy: Policy, batch: MicroBatch, n: int) -> torch.Tensor:
    logprobs, _ = policy.module(batch, 1.0)
    return sequence_sums(logprobs, batch.sample, n).cpu()


def as_report(found: Interval) -> dict[str, float | int | None]:
    """An interval as a report has it."""
    return {"estimate": found.estimate, "low": found.low, "high": found.high, "n": found.n}


def in_words(found: dict[str, float | int | None], digits: int = 3) -> str:
    """`1.234 (95 % interval 1.1 to 1.3)`."""
    if found["estimate"] is None:
        return "–"
    bounds = "" if found["low"] is None else f", 95 % interval {found['low']:.{digits}f} to {found['high']:.{digits}f}"
    return f"{found['estimate']:.{digits}f} ({found['n']} held out{bounds})"
