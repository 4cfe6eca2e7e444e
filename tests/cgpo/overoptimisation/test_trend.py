"""Divergence of the trained reward and an independent measure: by hand, on simulated runs, and after a resume."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest

from cgpo.config import WatchSettings
from cgpo.overoptimisation.trend import Track, Trend, as_normal
from cgpo.statistics.evaluation import Sample

WARN_Z = WatchSettings().warn_z


def sample(mean: float, prompts: int, variance: float) -> Sample:
    return Sample(mean, prompts, variance * (prompts - 1))


def follow(pairs: list[tuple[Sample | None, Sample | None]]) -> Trend:
    trend = Trend()
    for step, (reward, measure) in enumerate(pairs, start=1):
        trend.add(step, reward, measure)
    return trend


def test_a_sample_is_over_prompts() -> None:
    assert Sample.of([0.0, 0.5, 1.0]) == Sample(0.5, 3, 0.5)
    assert Sample.of([]) is None


def test_two_evaluations_by_hand() -> None:
    found = follow([(sample(0.5, 50, 0.04), sample(0.9, 50, 0.09)), (sample(0.7, 50, 0.04), sample(0.6, 50, 0.24))])
    now = found.divergence()
    assert now is not None
    # One observation of variance 1/4 stands before the data: (49 · 0.09 + 49 · 0.24 + 0.25) / 99.
    variance = (49 * 0.09 + 49 * 0.24 + 0.25) / 99
    t = 0.3 / math.sqrt(variance * 2 / 50)
    assert now.z == pytest.approx(t * (1 - 1 / 396) / math.sqrt(1 + t * t / 198))
    assert now.rewards == (0.5, 0.7)
    assert now.measures == (0.9, 0.6)
    assert now.began == 2


@pytest.mark.parametrize(("t", "free", "rare"), [(2.0, 10, 0.03669), (4.0, 30, 0.00019092), (3.0, 1000, 0.0013836)])
def test_a_t_statistic_counts_as_the_normal_one_that_is_as_rare(t: float, free: int, rare: float) -> None:
    # `rare`: the upper tail of Student's t, from tables.
    assert 1 - NormalDist().cdf(as_normal(t, free - 1)) == pytest.approx(rare, rel=0.15)


def test_windows_weigh_steps_by_their_prompts() -> None:
    track = Track()
    for mean, prompts in ((0.2, 10), (0.8, 30), (0.5, 20)):
        track.add(sample(mean, prompts, 0.1))
    means, counts = track.windows(2)
    assert means == pytest.approx([(2 + 24) / 40, (24 + 10) / 50])
    assert counts.tolist() == [40, 50]


def test_noise_between_steps_counts_where_it_is_larger_than_within() -> None:
    track = Track()
    for step in range(20):
        track.add(Sample(0.5 + 0.2 * (-1) ** step, 16, 0.0))
    # Successive means differ by 0.4: (0.4² / (2/16)) over the median of χ².
    assert track.variance() == pytest.approx(0.16 * 8 / 0.4549)
    few = Track()
    few.add(Sample(0.5, 16, 1.5))
    assert few.variance() == pytest.approx((1.5 + 0.25) / 16)


@pytest.mark.parametrize(
    ("reward", "measure"),
    [
        ([0.5, 0.5], [0.9, 0.5]),  # the reward has not risen
        ([0.5, 0.8], [0.5, 0.9]),  # the measure rises too
        ([0.5, 0.9, 0.7], [0.5, 0.9, 0.5]),  # both fall: the policy breaks
    ],
)
def test_no_divergence(reward: list[float], measure: list[float]) -> None:
    pairs = zip(reward, measure, strict=True)
    now = follow([(sample(x, 100, 0.02), sample(y, 100, 0.02)) for x, y in pairs]).divergence()
    assert now is not None
    assert now.z <= 0


def test_little_is_not_enough() -> None:
    assert follow([]).divergence() is None
    few = [(sample(0.5, 8, 0.1), sample(0.9, 8, 0.1)), (sample(0.9, 8, 0.1), sample(0.1, 8, 0.1))]
    assert follow(few).divergence() is None
    assert follow([(sample(0.5, 50, 0.1), None), (None, sample(0.5, 50, 0.1))]).divergence() is None


def simulate(level: Callable[[int], float], steps: int, seed: int) -> list[tuple[float, int]]:
    """(divergence, where it began) after each step of 32 prompts; the reward rises over 30 steps, then stays."""
    rng = np.random.default_rng(seed)
    trend, found = Trend(), []
    for step in range(1, steps + 1):
        reward = np.clip(0.5 + 0.3 * min(1.0, step / 30) + rng.normal(0, 0.15, 32), 0, 1)
        measure = rng.random((4, 32)) < np.clip(level(step) + rng.normal(0, 0.1, 32), 0, 1)
        trend.add(step, Sample.of(reward.tolist()), Sample.of(measure.mean(axis=0).tolist()))
        now = trend.divergence()
        found.append((0.0, 0) if now is None else (now.z, now.began))
    return found


def first_warning(found: list[tuple[float, int]]) -> tuple[int, int]:
    """The step of the first warning, and where it said it began."""
    return next((step, began) for step, (z, began) in enumerate(found, start=1) if z >= WARN_Z)


@pytest.mark.parametrize("seed", range(4))
def test_a_cliff_is_found_within_ten_steps_and_dated(seed: int) -> None:
    step, began = first_warning(simulate(lambda t: 0.7 if t <= 50 else 0.5, 70, seed))
    assert 50 < step <= 60
    assert abs(began - 51) <= 2


@pytest.mark.parametrize("seed", range(4))
def test_a_slope_is_found_before_its_end(seed: int) -> None:
    step, began = first_warning(simulate(lambda t: 0.7 - 0.3 * min(1.0, max(0, t - 40) / 40), 90, seed))
    assert 40 < step <= 80
    assert 38 <= began <= step


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_no_warning_of_noise(level: float) -> None:
    for seed in range(3):
        assert max(z for z, _ in simulate(lambda _: level, 120, seed)) < WARN_Z


@pytest.mark.slow
def test_false_alarms_are_rare() -> None:
    """In 100 runs of 300 steps at most one."""
    alarms = sum(max(z for z, _ in simulate(lambda _: 0.6, 300, 1000 + seed)) >= WARN_Z for seed in range(100))
    assert alarms <= 1


def test_a_trend_goes_on_as_it_was() -> None:
    def pairs(first: int, end: int) -> list[tuple[int, Sample, Sample]]:
        return [(t, sample(0.5 + t / 100, 20 + t, 0.05), sample(0.9 - t / 200, 20, 0.07)) for t in range(first, end)]

    whole, part, again = Trend(), Trend(), Trend()
    for step in pairs(1, 20):
        whole.add(*step)
    for step in pairs(1, 9):
        part.add(*step)
    again.load_state_dict(json.loads(json.dumps(part.state_dict())))
    for step in pairs(9, 20):
        again.add(*step)
    assert again.divergence() == whole.divergence()
    assert again.state_dict() == whole.state_dict()
