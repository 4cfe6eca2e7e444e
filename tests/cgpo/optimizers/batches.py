"""Small hand-made stratum batches, and several ranks at once in one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

from cgpo.optimizers.base import Ranks, StratumBatch, StratumOptimizer, Surrogate, differentiate

T = TypeVar("T")

NAN = float("nan")
LOGPROB = -20.0
"""log π_ref of every response."""


def make_batch(
    satisfied: Sequence[bool],
    calibrated: Sequence[float] | None = None,
    log_ratio: Sequence[float] | None = None,
    known: Sequence[bool] | None = None,
    *,
    reward: Sequence[float] | None = None,
    rewards: Mapping[str, Sequence[float]] | None = None,
    weights: Mapping[str, float] | None = None,
    violated: Mapping[str, Sequence[bool]] | None = None,
    judged: Mapping[str, Sequence[bool]] | None = None,
    credit: Sequence[float] | None = None,
    prompt: Sequence[int] | None = None,
    text: Sequence[int] | None = None,
    length: Sequence[int] | None = None,
    baseline: Sequence[bool] | None = None,
    engine_gap: float = 0.0,
    values: Sequence[float] | None = None,
) -> StratumBatch:
    """N responses of 5 tokens unless `length` says otherwise, each log-prob spread evenly over its tokens.

    Args:
        engine_gap: log π_policy − log π_engine of every token, in nats.
        values: one number a response, the value of each of its states.
    """
    n = len(satisfied)
    known = [True] * n if known is None else known
    violated = {"judge": [k and not s for s, k in zip(satisfied, known, strict=True)]} if violated is None else violated
    judged = dict.fromkeys(violated, known) if judged is None else judged
    lengths = [5] * n if length is None else list(length)
    mask = torch.zeros(n, max(lengths, default=0), dtype=torch.bool)
    for i, tokens in enumerate(lengths):
        mask[i, :tokens] = True
    counts = torch.tensor(lengths, dtype=torch.float64).clamp(min=1)[:, None]
    ratios = _floats([0.0] * n if log_ratio is None else log_ratio)
    calibrated = [0.5] * n if calibrated is None else calibrated
    reward = list(calibrated) if reward is None else reward
    reference = (torch.full((n, 1), LOGPROB, dtype=torch.float64) / counts) * mask
    logprobs = ((ratios[:, None] + LOGPROB) / counts) * mask
    own_values = None if values is None else _floats(values)[:, None] * mask
    return StratumBatch(
        logprobs=logprobs,
        old_logprobs=logprobs,
        engine_logprobs=(logprobs - engine_gap) * mask,
        reference_logprobs=reference,
        mask=mask,
        satisfied=_flags(satisfied),
        known=_flags(known),
        credit=_floats([float(s) for s in satisfied] if credit is None else credit),
        calibrated_reward=_floats(calibrated),
        reward=_floats(reward),
        rewards={"any": _floats(reward)} if rewards is None else {k: _floats(v) for k, v in rewards.items()},
        weights={"any": 1.0} if weights is None else weights,
        violated={k: _flags(v) for k, v in violated.items()},
        judged={k: _flags(v) for k, v in judged.items()},
        prompt=torch.tensor([0] * n if prompt is None else prompt, dtype=torch.long),
        text=torch.tensor(list(range(n)) if text is None else text, dtype=torch.long),
        baseline=_flags([False] * n if baseline is None else baseline),
        values=own_values,
        old_values=own_values,
    )


def _floats(values: Sequence[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)


def _flags(values: Sequence[bool]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.bool)


def alone(optimizer: StratumOptimizer[Any], batch: StratumBatch) -> Surrogate:
    """The surrogate on one rank."""
    return differentiate(optimizer, batch, Ranks())


def per_sample(surrogate: Surrogate, batch: StratumBatch) -> Tensor:
    """[N] the coefficient of each response, which must be the same on all of its tokens."""
    assert not surrogate.coefficient[~batch.mask].any()
    found = []
    for row, mask in zip(surrogate.coefficient, batch.mask, strict=True):
        own = row[mask]
        torch.testing.assert_close(own, own[:1].expand_as(own), atol=1e-12, rtol=1e-9)
        found.append(own[0])
    return torch.stack(found) if found else torch.zeros(0, dtype=torch.float64)


def on_ranks(optimizers: Sequence[StratumOptimizer[Any]], batches: Sequence[StratumBatch]) -> list[Surrogate]:
    """The surrogates of as many ranks as there are batches, each with an optimiser of its own."""
    pairs = zip(optimizers, batches, strict=True)
    return on_ranks_call([lambda ranks, o=o, b=b: differentiate(o, b, ranks) for o, b in pairs])


def on_ranks_call(calls: Sequence[Callable[[Ranks], T]]) -> list[T]:
    """What each rank's call returns, each in a thread, their reductions meeting each other."""
    meeting = _Meeting(len(calls))
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call, meeting.ranks(i)) for i, call in enumerate(calls)]
        return [future.result() for future in futures]


class _Meeting:
    def __init__(self, size: int) -> None:
        self._barrier = threading.Barrier(size, timeout=60)
        self._said: list[list[float]] = [[] for _ in range(size)]

    def ranks(self, number: int) -> Ranks:
        def everybody(values: list[float]) -> list[list[float]]:
            self._said[number] = list(values)
            self._barrier.wait()
            found = [list(said) for said in self._said]
            self._barrier.wait()
            return found

        return Ranks(
            lambda values: [sum(column) for column in zip(*everybody(values), strict=True)],
            lambda value: max(said[0] for said in everybody([value])),
        )
