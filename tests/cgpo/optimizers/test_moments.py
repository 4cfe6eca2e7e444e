"""Means and spreads by hand, and that equal values give exactly nothing to learn from."""

from __future__ import annotations

import pytest
import torch
from batches import NAN, on_ranks_call

from cgpo.optimizers.base import Ranks
from cgpo.optimizers.moments import (
    SPREAD_FLOOR,
    group_mean,
    group_spread,
    group_zscore,
    stratum_moments,
    stratum_zscore,
)

VALUES = torch.tensor([1.0, 3.0, 5.0, 10.0, NAN, 7.0], dtype=torch.float64)
PROMPT = torch.tensor([0, 0, 0, 1, 1, 2])
AMONG = torch.tensor([True, True, True, True, False, True])


def test_group_numbers_by_hand() -> None:
    assert group_mean(VALUES, PROMPT, AMONG)[AMONG].tolist() == [3, 3, 3, 10, 7]
    assert group_mean(VALUES, PROMPT, AMONG, leave_one_out=True)[AMONG].tolist() == [4, 3, 2, 10, 7]
    assert group_spread(VALUES, PROMPT, AMONG)[AMONG].tolist() == pytest.approx([2, 2, 2, 0, 0])
    z = group_zscore(VALUES, PROMPT, AMONG)
    assert z.tolist() == pytest.approx([-2 / (2 + SPREAD_FLOOR), 0, 2 / (2 + SPREAD_FLOOR), 0, 0, 0])


def test_two_samples_of_a_prompt_by_hand() -> None:
    values, prompt = torch.tensor([1.0, 4.0, 0.5], dtype=torch.float64), torch.tensor([2, 2, 0])
    among = torch.tensor([True, True, True])
    assert group_mean(values, prompt, among).tolist() == [2.5, 2.5, 0.5]
    assert group_mean(values, prompt, among, leave_one_out=True).tolist() == [4, 1, 0.5]
    assert group_spread(values, prompt, among).tolist() == pytest.approx([4.5**0.5, 4.5**0.5, 0])
    assert stratum_moments(values[:2], among[:2], Ranks()) == (2.5, pytest.approx(4.5**0.5))
    z = stratum_zscore(values, torch.tensor([True, True, False]), Ranks())
    assert z.tolist() == pytest.approx([-1.5 / (4.5**0.5 + SPREAD_FLOOR), 1.5 / (4.5**0.5 + SPREAD_FLOOR), 0])


def test_a_value_alone_is_its_own_mean_and_has_no_spread() -> None:
    one, here = torch.tensor([-3.0], dtype=torch.float64), torch.tensor([True])
    assert stratum_moments(one, here, Ranks()) == (-3.0, 0.0)
    found = on_ranks_call([lambda ranks, v=v: stratum_moments(v, v < 0, ranks) for v in (one, -one)])
    assert found == [(-3.0, 0.0)] * 2


def test_differences_of_rounding_are_no_spread() -> None:
    # 1e−17 apart: SPREAD_FLOOR keeps what is divided by it from growing to anything.
    values = torch.tensor([0.0, 1e-17], dtype=torch.float64)
    here, prompt = torch.tensor([True, True]), torch.tensor([0, 0])
    assert group_zscore(values, prompt, here).abs().max() < 1e-12
    assert stratum_zscore(values, here, Ranks()).abs().max() < 1e-12


def test_samples_that_do_not_count_harm_nobody() -> None:
    values, prompt = torch.tensor([NAN, 2.0, NAN, 6.0], dtype=torch.float64), torch.tensor([0, 1, 1, 1])
    among = ~values.isnan()
    for leave_one_out, expected in ((False, [4, 4]), (True, [6, 2])):
        found = group_mean(values, prompt, among, leave_one_out=leave_one_out)
        assert found[among].tolist() == expected
        assert not found.isnan().any()
    assert group_zscore(values, prompt, among)[~among].tolist() == [0, 0]


@pytest.mark.parametrize("value", [0.1, 0.3, 1e6 + 0.1, -7.7])
def test_equal_values_are_exactly_at_their_mean(value: float) -> None:
    values = torch.full((7,), value, dtype=torch.float64)
    prompt, among = torch.zeros(7, dtype=torch.long), torch.ones(7, dtype=torch.bool)
    assert not (values - group_mean(values, prompt, among)).any()
    assert not (values - group_mean(values, prompt, among, leave_one_out=True)).any()
    assert not group_zscore(values, prompt, among).any()
    assert not stratum_zscore(values, among, Ranks()).any()


def test_stratum_numbers_run_over_all_ranks() -> None:
    # 1, 3 | 5, 10 (one more is left out) | nothing: mean 4.75, squares 14.0625 + 3.0625 + .0625 + 27.5625 = 44.75
    parts = [torch.tensor(v, dtype=torch.float64) for v in ([1.0, 3.0], [5.0, 10.0, NAN], [])]
    found = on_ranks_call([lambda ranks, p=p: stratum_moments(p, ~p.isnan(), ranks) for p in parts])
    for mean, spread in found:
        assert mean == pytest.approx(4.75)
        assert spread == pytest.approx((44.75 / 3) ** 0.5)


def test_nothing_has_no_spread() -> None:
    empty = torch.zeros(0, dtype=torch.float64)
    none, no_prompt = empty > 0, empty.long()
    assert stratum_moments(empty, none, Ranks()) == (0.0, 0.0)
    for found in (group_mean(empty, no_prompt, none), group_spread(empty, no_prompt, none)):
        assert found.shape == (0,)
