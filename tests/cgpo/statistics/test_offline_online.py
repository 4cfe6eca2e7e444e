"""Offline–online correlation: against Fisher's z by hand, brute force permutations, and its own coverage."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from cgpo.statistics.offline_online import offline_online

X = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
Y = [0.011, 0.018, 0.035, 0.030, 0.055, 0.052]


def certain(values: list[float], draws: int = 4000) -> np.ndarray:
    return np.tile(np.asarray(values), (draws, 1))


def test_without_noise_it_is_fishers_interval() -> None:
    found = offline_online(X, Y, certain(X), certain(Y))
    r = float(np.corrcoef(X, Y)[0, 1])
    half = 1.959963984540054 / math.sqrt(3)
    exact = found.pearson_exact_numbers
    assert exact.estimate == pytest.approx(r)
    assert exact.low == pytest.approx(math.tanh(math.atanh(r) - half))
    assert exact.high == pytest.approx(math.tanh(math.atanh(r) + half))
    # Drawn with the same standard error: the same to the draws' own noise, on the scale of z.
    assert found.pearson.low is not None
    assert math.atanh(found.pearson.low) == pytest.approx(math.atanh(r) - half, abs=0.08)


def test_noise_of_either_axis_widens_it() -> None:
    generator = np.random.default_rng(0)
    noisy = np.asarray(Y) + 0.006 * generator.standard_normal((4000, 6))
    plain = offline_online(X, Y, certain(X), certain(Y)).pearson
    online = offline_online(X, Y, certain(X), noisy).pearson
    offline = offline_online(Y, X, noisy, certain(X)).pearson
    assert plain.low is not None
    assert online.low is not None
    assert online.low < plain.low - 0.02
    assert offline.low == pytest.approx(online.low, abs=1e-9)


def test_the_permutation_test_counts_every_order() -> None:
    x, y = X[:5], Y[:5]
    r = abs(np.corrcoef(x, y)[0, 1])
    extreme = sum(abs(np.corrcoef(x, order)[0, 1]) >= r - 1e-12 for order in permutations(y))
    found = offline_online(x, y, certain(x, 10), certain(y, 10))
    assert found.p_value == pytest.approx(extreme / 120)
    assert found.p_value_exact


def test_drawn_orders_are_near_the_exact_p_value() -> None:
    """Nine policies are drawn; scipy's own permutation test tells what to expect."""
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(5)
    x = generator.normal(size=9)
    y = 0.6 * x + generator.normal(size=9)
    found = offline_online(x.tolist(), y.tolist(), certain(x.tolist(), 10), certain(y.tolist(), 10))
    expected = stats.pearsonr(x, y, method=stats.PermutationMethod(n_resamples=20_000, rng=1)).pvalue
    assert not found.p_value_exact
    assert found.p_value == pytest.approx(expected, abs=0.02)


def test_one_policy_that_carries_it_all_is_found() -> None:
    x = [1.0, 1.2, 0.9, 1.1, 1.0, 9.0]
    y = [1.0, 0.9, 1.1, 1.2, 0.8, 7.0]
    found = offline_online(x, y, certain(x, 10), certain(y, 10))
    assert found.pearson.estimate is not None
    assert found.pearson.estimate > 0.98
    assert found.carried_by == 5
    assert found.leave_one_out[5] == pytest.approx(np.corrcoef(x[:5], y[:5])[0, 1])
    even = offline_online(X, Y, certain(X, 10), certain(Y, 10))
    assert even.carried_by is None


@pytest.mark.parametrize("n", [1, 2, 3])
def test_fewer_than_four_have_no_interval(n: int) -> None:
    found = offline_online(X[:n], Y[:n], certain(X[:n], 10), certain(Y[:n], 10))
    assert (found.pearson.low, found.pearson.high) == (None, None)
    assert (found.pearson.estimate is None) == (n < 3)


def test_what_does_not_vary_is_unknown() -> None:
    same = [0.02] * 6
    found = offline_online(same, Y, certain(same, 10), certain(Y, 10))
    assert (found.pearson.estimate, found.spearman.estimate, found.p_value, found.carried_by) == (None,) * 4


def test_the_interval_covers_the_truth_over_ten_policies() -> None:
    """200 worlds of ten policies, true r of the policies' true numbers 0.8, both axes measured with noise.

    About 95 % should hold the truth; the seed is fixed, and 90 % would be a broken interval.
    """
    generator = np.random.default_rng(7)
    held = 0
    for _ in range(200):
        true_x = generator.normal(size=10)
        true_y = 0.8 * true_x + 0.6 * generator.normal(size=10)
        x, y = true_x + 0.2 * generator.normal(size=10), true_y + 0.2 * generator.normal(size=10)
        draws = (v + 0.2 * generator.standard_normal((300, 10)) for v in (x, y))
        found = offline_online(x.tolist(), y.tolist(), *draws).pearson
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.8 <= found.high
    assert held >= 184


def test_ranks_in_perfect_order_are_no_certainty() -> None:
    """Two neighbours of ten policies change places in half of the draws: both estimates have seen the same noise."""
    x = np.arange(10.0)
    swapped = x.copy()
    swapped[[4, 5]] = swapped[[5, 4]]
    draws = np.where(np.arange(4000)[:, None] % 2, x, swapped)
    perfect = offline_online(x.tolist(), x.tolist(), certain(x.tolist()), draws).spearman
    nearly = offline_online(x.tolist(), swapped.tolist(), certain(x.tolist()), draws).spearman
    assert (perfect.estimate, nearly.estimate) == (pytest.approx(1.0), pytest.approx(1 - 12 / 990))
    for found in (perfect, nearly):
        assert found.low is not None
        assert 0.9 < found.low < 0.98  # it was 1.000 for the one and −0.997 for the other


def test_four_policies_in_perfect_order_prove_nothing() -> None:
    four = [1.0, 2.0, 4.0, 9.0]
    found = offline_online(four, four, certain(four), certain(four)).spearman
    assert found.low is not None
    assert found.low < 0  # one order in 24 is perfect by chance
    assert found.high == pytest.approx(1.0)
