"""What holds for every optimiser, whatever the samples are (hypothesis): order, ranks, unknown samples, violations.

The samples also drift away from the policy that generated them, as in a step's later epochs.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any

import pytest
import torch
from batches import NAN, alone, make_batch, on_ranks, on_ranks_call
from hypothesis import given, settings
from hypothesis import strategies as st

from cgpo import plugins
from cgpo.optimizers.base import Need, Ranks, StratumBatch, StratumOptimizer, Surrogate

CASES: dict[str, dict[str, Any]] = {
    "crpg": {"kl_max": 10.0},
    "crpg over the other responses": {"kl_max": 10.0, "mean_over": "other_responses", "average": "tokens"},
    "crpg token by token": {"kl_max": 10.0, "kl_per_token": True, "clip_range": 0.1, "importance_weight_max": 1.01},
    "crpg with partial credit": {"kl_max": 10.0, "mean_over": "prompt", "partial_credit": 0.3},
    "codpo": {},
    "crraft": {"kl_max": 10.0},
    "crraft over tokens": {"kl_max": 10.0, "average": "response_means"},
    "ppo": {"penalty": 0.3137},
    "ppo normalised": {"penalty": 0.3137, "combine": "normalise_then_sum", "average": "response_means"},
    "grpo": {"penalty": 0.3137},
    "grpo normalised": {"penalty": 0.3137, "combine": "normalise_then_sum", "average": "tokens"},
    "grpo without its deviation": {"penalty": 0.3137, "normalise_by_std": False, "average": "sums"},
    "rloo": {"penalty": 0.3137},
    "online_dpo": {"penalty": 0.3137},
    "lagrangian": {"multiplier_start": 0.3137},
}
"""Settings by a title that begins with the optimiser's name. The penalty, with rewards of three decimals that differ,
makes no two scalar rewards equal: among equals the first counts, so that order would matter."""

CONSTRAINED = [title for title in CASES if title.startswith(("crpg", "codpo", "crraft")) and "credit" not in title]

every_case = pytest.mark.parametrize("title", CASES)
examples = settings(max_examples=12)


def make(title: str) -> StratumOptimizer[Any]:
    kind = plugins.load("cgpo.optimizers", "optimizer", title.split()[0])
    return kind(kind.Settings.model_validate(CASES[title]))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Sample:
    outcome: str
    """`satisfied`, `violated` or `unknown`."""
    reward: float
    log_ratio: float
    prompt: int
    length: int
    drift: float
    baseline: bool = False


@st.composite
def samples(draw: st.DrawFn) -> list[Sample]:
    rewards = draw(st.lists(st.integers(-3000, 3000), min_size=1, max_size=9, unique=True))
    one = st.tuples(
        st.sampled_from(["satisfied", "satisfied", "violated", "violated", "unknown"]),
        st.integers(-40, 120).map(lambda x: x / 10 + 0.05),  # never exactly KL_max
        st.integers(0, 2),
        st.integers(1, 5),
        st.integers(-30, 30).map(lambda x: x / 100),
    )
    return [
        Sample(outcome, reward / 1000, log_ratio, prompt, length, drift)
        for reward, (outcome, log_ratio, prompt, length, drift) in ((r, draw(one)) for r in rewards)
    ]


def as_batch(rows: Sequence[Sample], optimizer: StratumOptimizer[Any]) -> StratumBatch:
    """The samples, and a baseline response for each prompt where the optimiser wants them."""
    rows = list(rows)
    if Need.BASELINES in optimizer.needs:
        prompts = dict.fromkeys(row.prompt for row in rows)
        rows += [Sample(["satisfied", "violated"][p % 2], 0.0005, 1.0, p, 3, 0.0, baseline=True) for p in prompts]
    unknown = [row.outcome == "unknown" for row in rows]
    calibrated = [NAN if row.outcome == "unknown" else 1 / (1 + math.exp(-row.reward)) for row in rows]
    batch = make_batch(
        [row.outcome == "satisfied" for row in rows],
        calibrated,
        [row.log_ratio for row in rows],
        [not u for u in unknown],
        reward=[NAN if u else row.reward for row, u in zip(rows, unknown, strict=True)],
        credit=[0.5 if row.outcome == "violated" else 1.0 for row in rows],
        prompt=[row.prompt for row in rows],
        length=[row.length for row in rows],
        baseline=[row.baseline for row in rows],
        engine_gap=0.02,
        values=[row.reward / 2 for row in rows],
    )
    drift = torch.tensor([row.drift for row in rows], dtype=torch.float64)[:, None] * batch.mask
    assert batch.values is not None
    return replace(batch, logprobs=batch.logprobs + drift, values=batch.values + drift)


def rows_of(surrogate: Surrogate, batch: StratumBatch) -> list[list[float]]:
    """What stands before each token of each sample, log-prob and value."""
    assert surrogate.value_coefficient is not None
    both = zip(surrogate.coefficient, surrogate.value_coefficient, batch.mask, strict=True)
    return [[*c[mask].tolist(), *v[mask].tolist()] for c, v, mask in both]


def same(ours: list[list[float]], theirs: list[list[float]]) -> bool:
    return ours == [pytest.approx(row, abs=1e-9) for row in theirs]


def test_every_optimiser_is_among_the_cases() -> None:
    ours = {point.name for point in entry_points(group="cgpo.optimizers") if point.value.startswith("cgpo.")}
    assert {title.split()[0] for title in CASES} == ours


@every_case
@examples
@given(rows=samples(), random=st.randoms())
def test_the_order_of_samples_changes_nothing(title: str, rows: list[Sample], random: Any) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)
    plain, shuffled = as_batch(rows, make(title)), as_batch([rows[i] for i in order], make(title))
    ours, theirs = alone(make(title), plain), alone(make(title), shuffled)
    assert same([rows_of(ours, plain)[i] for i in order], rows_of(theirs, shuffled)[: len(rows)])
    assert ours.loss == pytest.approx(theirs.loss, abs=1e-9)
    assert ours.metrics == pytest.approx(theirs.metrics, abs=1e-9)


@every_case
@examples
@given(rows=samples(), extra=samples(), place=st.integers(0, 9))
def test_unknown_samples_change_nothing(title: str, rows: list[Sample], extra: list[Sample], place: int) -> None:
    unknown = [replace(row, outcome="unknown") for row in extra]
    at = min(place, len(rows))
    mixed = [*rows[:at], *unknown, *rows[at:]]
    plain, batch = as_batch(rows, make(title)), as_batch(mixed, make(title))
    optimizer, other = make(title), make(title)
    ours, theirs = alone(optimizer, plain), alone(other, batch)
    found = rows_of(theirs, batch)
    known = [i for i in range(len(mixed)) if not at <= i < at + len(unknown)]
    assert same(rows_of(ours, plain)[: len(rows)], [found[i] for i in known])
    assert not any(any(row) for row in found[at : at + len(unknown)])
    assert ours.loss == pytest.approx(theirs.loss, abs=1e-9)
    assert ours.metrics == pytest.approx(theirs.metrics, abs=1e-9)
    optimizer.update(plain, Ranks())
    other.update(batch, Ranks())
    assert optimizer.state_dict() == other.state_dict()


@every_case
@examples
@given(rows=samples())
def test_several_ranks_are_one(title: str, rows: list[Sample]) -> None:
    # A prompt's responses are on one rank; there may be ranks without any.
    parts = [[row for row in rows if row.prompt == rank] for rank in range(3)]
    whole = [row for part in parts for row in part]
    optimizers, one = [make(title) for _ in parts], make(title)
    batches, batch = [as_batch(part, one) for part in parts], as_batch(whole, one)
    found, expected = on_ranks(optimizers, batches), alone(one, batch)
    own = [rows_of(s, b)[: len(part)] for s, b, part in zip(found, batches, parts, strict=True)]
    assert same([row for part in own for row in part], rows_of(expected, batch)[: len(whole)])
    for each in found:
        assert each.loss == pytest.approx(expected.loss, abs=1e-9)
        assert each.metrics == found[0].metrics
        assert each.metrics == pytest.approx(expected.metrics, abs=1e-9)
        assert each.notes == expected.notes
    one.update(batch, Ranks())
    on_ranks_call([lambda ranks, o=o, b=b: o.update(b, ranks) for o, b in zip(optimizers, batches, strict=True)])
    assert all(o.state_dict() == one.state_dict() for o in optimizers)


@every_case
@examples
@given(rows=samples())
def test_where_nothing_is_known_nothing_is_learnt(title: str, rows: list[Sample]) -> None:
    optimizer = make(title)
    batch = as_batch([replace(row, outcome="unknown") for row in rows], optimizer)
    found = alone(optimizer, batch)
    assert not found.coefficient.any()
    assert found.value_coefficient is not None
    assert not found.value_coefficient.any()
    assert found.loss == 0
    assert found.metrics == {}
    assert found.notes == ()


@pytest.mark.parametrize("title", ["crpg", "crpg over the other responses", "rloo"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_judges_that_fail_at_random_leave_the_mean_update_as_it_is(title: str, share: float) -> None:
    """The mean over all ways in which they can fail, of n responses of one prompt. Unknown taken for violated fails it.

    Given that k are known, each is as often among them as any other and counts 1/k. Where the mean that is taken off
    has the response itself in it (CRPG's over the batch), k known ones leave (k − 1)/k of the signal, as they would in
    a clean step of k: n/(n − 1) · (k − 1)/k of what n leave. One known response alone has no other to compare with.
    """
    draw = random.Random(title)
    outcomes = ["satisfied", "violated", "satisfied", "satisfied", "violated", "satisfied"]
    n = len(outcomes)
    rows = [Sample(o, round(draw.uniform(-2, 2), 3), round(draw.uniform(-1, 3), 3), 0, 3, 0.0) for o in outcomes]
    clean = torch.tensor(per_response(title, rows), dtype=torch.float64)
    mean, kept, certain = torch.zeros(n, dtype=torch.float64), 0.0, 0.0
    for known in itertools.product([True, False], repeat=n):
        if (k := sum(known)) < 2:
            continue
        chance = (1 - share) ** k * share ** (n - k)
        mixed = [
            row if is_known else replace(row, outcome="unknown") for row, is_known in zip(rows, known, strict=True)
        ]
        mean += chance * torch.tensor(per_response(title, mixed))
        kept += chance * (n / (n - 1) * (k - 1) / k if title == "crpg" else 1.0)
        certain += chance
    assert float(clean.abs().max()) > 0.01
    assert (mean / certain).tolist() == pytest.approx((clean * kept / certain).tolist(), abs=1e-7)


def per_response(title: str, rows: list[Sample]) -> list[float]:
    """What stands before each response's first token."""
    optimizer = make(title)
    batch = as_batch(rows, optimizer)
    return [row[0] for row in rows_of(alone(optimizer, batch), batch)][: len(rows)]


@pytest.mark.parametrize("title", CONSTRAINED)
@settings(max_examples=40)
@given(rows=samples())
def test_a_violating_response_is_never_made_more_likely(title: str, rows: list[Sample]) -> None:
    """For CRPG too: R̃ is 0 for a violation and nowhere below 0, so that no mean of it is; partial credit aside."""
    optimizer = make(title)
    batch = as_batch(rows, optimizer)
    found = alone(optimizer, batch).coefficient
    assert not (found[batch.known & ~batch.satisfied] > 0).any()
    if title.startswith("crraft"):
        assert not found[~batch.satisfied].any()


@pytest.mark.parametrize("title", [title for title in CASES if title.startswith(("crpg over", "rloo", "lagrangian"))])
def test_equal_responses_give_exactly_no_signal(title: str) -> None:
    """Exactly: a rounding error would be computed through the whole model, and counted as a signal."""
    rows = [Sample("satisfied", 0.7, 1.05, 0, 4, 0.0)] * 3
    assert not alone(make(title), as_batch(rows, make(title))).coefficient.any()
