"""A step whose responses another model said is not learnt from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cgpo.errors import RunError
from cgpo.rollout.parity import GapLimits, measure_gap
from cgpo.training.gap_check import check_rollout_gaps


def prepared(engine: list[list[float]], policy: list[list[float]], baseline: float) -> Any:
    """Two responses of at most three tokens, and a baseline response whose numbers never count."""
    lengths = [len(tokens) for tokens in policy] + [3]
    rows = {"engine": [*engine, [0.0] * 3], "policy": [*policy, [baseline] * 3]}
    padded = {
        key: torch.tensor([row + [9.0 if key == "engine" else 0.0] * (3 - len(row)) for row in of]).double()
        for key, of in rows.items()
    }
    mask = torch.tensor([[t < length for t in range(3)] for length in lengths])
    batch = SimpleNamespace(logprobs=padded["policy"], engine_logprobs=padded["engine"], mask=mask)
    return SimpleNamespace(batch=batch, judged=[None, None], gap=measure_gap(engine, policy))


def test_equal_log_probs_pass_whatever_stands_in_padding_and_baselines() -> None:
    check_rollout_gaps({"math": prepared([[-1.0, -2.0], [-3.0]], [[-1.0, -2.0], [-3.0]], 50.0)}, limits(), 4)


def test_the_mean_is_held_to_its_limit() -> None:
    with pytest.raises(RunError, match=r"step 5, stratum 'math', the log-probs .* by 0\.2 nats"):
        check_rollout_gaps({"math": prepared([[-1.2, -2.2], [-3.2]], [[-1.0, -2.0], [-3.0]], 0.0)}, limits(), 4)


def test_tokens_far_off_are_seen_where_the_mean_is_not() -> None:
    limits = GapLimits(1.0, 0.5, rounds=False)
    far = prepared([[-1.6, -2.6], [-3.6]], [[-1.0, -2.0], [-3.0]], 0.0)
    with pytest.raises(RunError, match=r"more than 0\.5 nats on 3 of 3 tokens"):
        check_rollout_gaps({"math": far}, limits, 4)


def limits() -> GapLimits:
    return GapLimits(0.1, None, rounds=False)
