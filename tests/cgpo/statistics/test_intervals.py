"""Intervals against published values."""

from __future__ import annotations

import random

import pytest

from cgpo.statistics.intervals import (
    Interval,
    mean_change,
    mean_interval,
    rate_change,
    rate_interval,
    responses_rate,
)


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, 857–872, table I, score method without continuity correction
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (15, 20, 0.5313, 0.8881),
        (29, 29, 1 - 0.1170, 1.0),
    ],
)
def test_wilson(count: int, n: int, low: float, high: float) -> None:
    found = rate_interval(count, n, 0.95)
    assert found.estimate == count / n
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


def test_wilson_level_and_empty() -> None:
    wide, narrow = rate_interval(15, 20, 0.99), rate_interval(15, 20, 0.8)
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low < 0.75
    assert rate_interval(0, 0, 0.95) == Interval(None, None, None, 0)
    with pytest.raises(ValueError, match="between 0 and n"):
        rate_interval(3, 2, 0.95)


def table(both: int, only_before: int, only_after: int, neither: int) -> tuple[list[bool], list[bool]]:
    before = [True] * (both + only_before) + [False] * (only_after + neither)
    after = [True] * both + [False] * only_before + [True] * only_after + [False] * neither
    order = random.Random(0).sample(range(len(before)), len(before))
    return [before[i] for i in order], [after[i] for i in order]


def test_newcombe_on_published_tables() -> None:
    # Airway hyper-responsiveness before and after transplantation (Bentur et al. 2009), 21 patients:
    # difference before − after −0.286, 95 % interval −0.507 to −0.026 (Fagerland, Lydersen & Laake 2014)
    found = rate_change(*table(1, 1, 7, 12), 0.95)
    assert (found.estimate, found.low, found.high) == pytest.approx((0.2857, 0.026, 0.507), abs=5e-4)
    # Altman et al. 2000, Statistics with Confidence, table 6.2: 14, 5, 0, 22
    found = rate_change(*table(14, 5, 0, 22), 0.95)
    assert (found.estimate, found.low, found.high) == pytest.approx((-0.122, -0.226, -0.011), abs=5e-4)


def test_no_change_is_not_certainty() -> None:
    found = rate_change([True] * 30 + [False] * 30, [True] * 30 + [False] * 30, 0.95)
    assert found.estimate == 0
    assert found.low is not None
    assert found.high is not None
    assert -0.1 < found.low < -0.01
    assert 0.01 < found.high < 0.1
    assert found.n == 60


def test_change_of_a_rate_without_prompts() -> None:
    assert rate_change([], [], 0.95) == Interval(None, None, None, 0)


def test_mean_interval_agrees_with_the_normal_one_and_is_repeatable() -> None:
    values = [random.Random(i).gauss(2.0, 1.0) for i in range(400)]
    found = mean_interval(values, 0.95)
    mean = sum(values) / 400
    spread = (sum((v - mean) ** 2 for v in values) / 400) ** 0.5
    assert (found.low, found.high) == pytest.approx((mean - 0.098 * spread, mean + 0.098 * spread), abs=0.01)
    assert mean_interval(values, 0.95) == found


def test_pairing_removes_what_prompts_have_in_common() -> None:
    before = [float(i) for i in range(50)]
    found = mean_change(before, [b + 1 + 0.01 * (i % 2) for i, b in enumerate(before)], 0.95)
    assert found.low is not None
    assert found.high is not None
    assert 1.0 < found.low < 1.005 < found.high < 1.01


def test_few_values() -> None:
    assert mean_interval([], 0.95) == Interval(None, None, None, 0)
    assert mean_interval([3.0], 0.95) == Interval(3.0, None, None, 1)


def test_many_values_stay_within_memory() -> None:
    assert mean_interval([0.0, 1.0] * 5000, 0.95).n == 10000


def clusters(seed: int, sizes: tuple[int, ...] = (1, 2, 3, 4)) -> tuple[list[float], list[str]]:
    """80 prompts with one to four responses, whose success depends on the prompt."""
    rng = random.Random(seed)
    values: list[float] = []
    prompts: list[str] = []
    for prompt in range(80):
        chance = rng.random()
        for _ in range(sizes[prompt % len(sizes)]):
            values.append(float(rng.random() < chance))
            prompts.append(f"p{prompt}")
    return values, prompts


def test_cluster_bootstrap_against_one_written_out() -> None:
    # Draw 80 prompts with replacement, take all their responses, average: the definition, in plain Python.
    values, prompts = clusters(1)
    responses: dict[str, list[float]] = {}
    for value, prompt in zip(values, prompts, strict=True):
        responses.setdefault(prompt, []).append(value)
    rng, names = random.Random(5), list(responses)
    means = []
    for _ in range(4000):
        drawn = [value for name in rng.choices(names, k=len(names)) for value in responses[name]]
        means.append(sum(drawn) / len(drawn))
    means.sort()
    found = responses_rate(values, prompts, 0.95)
    assert found.estimate == pytest.approx(sum(values) / len(values))
    assert found.n == len(values)
    assert (found.low, found.high) == pytest.approx((means[100], means[3899]), abs=0.01)
    # treating responses as independent would claim to know more
    assert found.low is not None
    assert found.high is not None
    naive = rate_interval(sum(values), len(values), 0.95)
    assert naive.low is not None
    assert naive.high is not None
    assert found.high - found.low > 1.15 * (naive.high - naive.low)


def test_order_of_responses_does_not_matter_to_the_mean() -> None:
    values, prompts = clusters(2)
    both = list(zip(values, prompts, strict=True))
    turned = sorted(both, key=lambda pair: pair[0])
    found = mean_interval(values, 0.95, prompts)
    again = mean_interval([v for v, _ in turned], 0.95, [p for _, p in turned])
    assert found.estimate == again.estimate
    assert (found.low, found.high) == pytest.approx((again.low, again.high), abs=0.02)


def test_one_response_to_a_prompt_is_wilsons_and_newcombes() -> None:
    assert responses_rate([1.0, 0.0, 0.5], ["a", "b", "c"], 0.9) == rate_interval(1.5, 3, 0.9)
    before, after = table(3, 1, 5, 4)
    assert rate_change(before, after, 0.95, [str(i) for i in range(13)]) == rate_change(before, after, 0.95)


def test_several_responses_that_all_say_the_same_are_no_certainty() -> None:
    prompts = [f"p{i // 4}" for i in range(80)]
    none = responses_rate([0.0] * 80, prompts, 0.95)
    assert none == Interval(0.0, 0.0, rate_interval(0, 20, 0.95).high, 80)
    unchanged = rate_change([True] * 40 + [False] * 40, [True] * 40 + [False] * 40, 0.95, prompts)
    expected = rate_change([True] * 10 + [False] * 10, [True] * 10 + [False] * 10, 0.95)
    assert (unchanged.low, unchanged.high, unchanged.n) == (expected.low, expected.high, 80)


def test_change_of_a_rate_over_responses_resamples_prompts() -> None:
    # Each of 50 prompts has 4 responses; in half of the prompts all four change from failure to success.
    prompts = [f"p{i // 4}" for i in range(200)]
    after = [(i // 4) % 2 == 0 for i in range(200)]
    found = rate_change([False] * 200, after, 0.95, prompts)
    half = 1.96 * (0.25 / 50) ** 0.5  # normal approximation over 50 prompts
    assert found.estimate == 0.5
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half), abs=0.025)


def test_one_prompt_has_a_mean_but_no_interval() -> None:
    assert mean_interval([1.0, 3.0], 0.95, ["a", "a"]) == Interval(2.0, None, None, 2)
