"""A step whose responses another model said is not learnt from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cgpo.config.sampling import SamplingSettings
from cgpo.errors import RunError
from cgpo.rollout.parity import GapLimits, measure_gap
from cgpo.training.gap_check import GradientPassGaps, check_rollout_gaps, stratum_limits


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
    check_rollout_gaps({"math": prepared([[-1.0, -2.0], [-3.0]], [[-1.0, -2.0], [-3.0]], 50.0)}, {"math": limits()}, 4)


def test_the_mean_is_held_to_its_limit() -> None:
    with pytest.raises(RunError, match=r"step 5, stratum 'math', the log-probs .* by 0\.2 nats"):
        check_rollout_gaps(
            {"math": prepared([[-1.2, -2.2], [-3.2]], [[-1.0, -2.0], [-3.0]], 0.0)}, {"math": limits()}, 4
        )


def test_tokens_far_off_are_seen_where_the_mean_is_not() -> None:
    limits = GapLimits(1.0, 0.5, rounds=False)
    far = prepared([[-1.6, -2.6], [-3.6]], [[-1.0, -2.0], [-3.0]], 0.0)
    with pytest.raises(
        RunError, match=r"^step 5, stratum 'math', the log-probs .* more than 0\.5 nats on 3 of 3 tokens"
    ):
        check_rollout_gaps({"math": far}, {"math": limits}, 4)


def test_tokens_exactly_at_the_limit_pass() -> None:
    limits = GapLimits(1.0, 0.5, rounds=False)
    engine, policy = [[-1.5, -2.5], [-3.5]], [[-1.0, -2.0], [-3.0]]
    check_rollout_gaps({"math": prepared(engine, policy, 0.0)}, {"math": limits}, 4)
    gaps = in_gradient_pass(limits)
    gaps.add(torch.tensor([0] * 3), torch.tensor([-1.5, -2.5, -3.5]), torch.tensor([-1.0, -2.0, -3.0]))
    assert gaps.check()["math"].mean == 0.5


def test_strata_behind_one_that_is_passed_over_are_held_to_their_limits() -> None:
    reused: Any = SimpleNamespace(gap=None)
    far = prepared([[-1.6, -2.6], [-3.6]], [[-1.0, -2.0], [-3.0]], 0.0)
    with pytest.raises(RunError, match=r"stratum 'math'"):
        check_rollout_gaps({"reused": reused, "math": far}, dict.fromkeys(("reused", "math"), limits()), 4)


def test_gaps_are_summed_in_float64() -> None:
    gaps = in_gradient_pass(GapLimits(1e9, None, rounds=False))
    for engine in (-1e8, -1.0):
        gaps.add(torch.tensor([0]), torch.tensor([engine]).double(), torch.zeros(1).double())
    gaps.add(torch.tensor([1]), torch.tensor([-0.1], dtype=torch.float64), torch.zeros(1).double())
    found = gaps.check()
    assert (found["math"].mean, found["chat"].max) == (50_000_000.5, 0.1)


def test_truncated_sampling_is_another_distribution_by_wish_and_not_held_to_a_limit() -> None:
    strata: Any = {
        "plain": SimpleNamespace(settings=SimpleNamespace(sampling=SamplingSettings(temperature=0.5))),
        "hot": SimpleNamespace(settings=SimpleNamespace(sampling=SamplingSettings(temperature=2.0))),
        "nucleus": SimpleNamespace(settings=SimpleNamespace(sampling=SamplingSettings(top_p=0.8, allow=["top_p"]))),
    }
    found = stratum_limits(strata, GapLimits(0.1, 0.4, rounds=False))
    assert {name: (own.mean, own.quantile) for name, own in found.items()} == {"plain": (0.2, 0.8), "hot": (0.1, 0.4)}
    far = prepared([[-1.6, -2.6], [-3.6]], [[-1.0, -2.0], [-3.0]], 0.0)
    check_rollout_gaps({"nucleus": far}, found, 4)
    with pytest.raises(RunError, match=r"stratum 'plain'"):
        check_rollout_gaps({"plain": far}, found, 4)


def test_the_gradient_pass_adds_up_the_gaps_of_each_stratum() -> None:
    gaps = in_gradient_pass(limits())
    gaps.add(torch.tensor([0, -1, 1]), torch.tensor([-1.0, -50.0, -2.0]), torch.tensor([-1.1, 0.0, -2.0]))
    gaps.add(torch.tensor([1, 0]), torch.tensor([float("-inf"), -3.0]), torch.tensor([float("-inf"), -3.05]))
    found = gaps.check()
    assert list(found) == ["math", "chat"], "a stratum with nothing to learn, and one that was compared, are left out"
    assert (found["math"].mean, found["math"].max, found["math"].tokens) == (
        pytest.approx(0.075),
        pytest.approx(0.1),
        2,
    )
    assert (found["chat"].mean, found["chat"].max, found["chat"].tokens) == (0.0, 0.0, 2)


def test_the_gradient_pass_holds_them_to_the_limits() -> None:
    gaps = in_gradient_pass(limits())
    gaps.add(torch.tensor([1, 1]), torch.tensor([-1.0, -2.0]), torch.tensor([-1.3, -2.3]))
    with pytest.raises(RunError, match=r"step 5, stratum 'chat', the log-probs .* by 0\.3 nats"):
        gaps.check()
    gaps = in_gradient_pass(GapLimits(1.0, 0.5, rounds=False))
    gaps.add(torch.tensor([0] * 3), torch.tensor([-1.0] * 3), torch.tensor([-1.6] * 3))
    with pytest.raises(RunError, match=r"'math'.* more than 0\.5 nats on 3 of 3 tokens"):
        gaps.check()
    gaps = in_gradient_pass(GapLimits(1.0, None, rounds=False))
    gaps.add(torch.tensor([0, 0]), torch.tensor([-1.0, float("nan")]), torch.tensor([-1.0, -1.0]))
    with pytest.raises(RunError, match=r"'math'.* by nan nats"):
        gaps.check()


def in_gradient_pass(limits: GapLimits) -> GradientPassGaps:
    """Of three strata whose log-probs are the engine's, and one whose gap is known."""
    unknown: Any = SimpleNamespace(gap=None)
    known: Any = SimpleNamespace(gap=measure_gap([], []))
    prepared = {"math": unknown, "known": known, "chat": unknown, "idle": unknown}
    return GradientPassGaps(prepared, dict.fromkeys(prepared, limits), 4)


def limits() -> GapLimits:
    return GapLimits(0.1, None, rounds=False)
