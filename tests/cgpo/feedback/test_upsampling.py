"""Copies of positive rows, and the shift that scoring undoes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from feedback_tables import row, table
from hypothesis import given, settings
from hypothesis import strategies as st

from cgpo.feedback.logs.table import Table
from cgpo.feedback.preparation.contribution import upsample
from cgpo.feedback.settings import UpsamplingSettings
from cgpo.rewards.heads import Head


def log(positives: int, negatives: int) -> Table:
    return table([row(f"r{n}", int(n < positives), n + 1.0) for n in range(positives + negatives)])


def test_copies_by_hand() -> None:
    """4 positive and 96 negative rows to 20 %: P′ = 0.2 · 96 / 0.8 = 24, six copies of each; q = 24 / 120."""
    found = upsample(log(4, 96), UpsamplingSettings(0.2), seed=0)
    assert found.copies[:4].tolist() == [6, 6, 6, 6]
    assert set(found.copies[4:].tolist()) == {1}
    assert (found.before, found.after) == (0.04, 0.2)


def test_the_remainder_is_spread() -> None:
    """3 and 90 to 10 %: P′ = 0.1 · 90 / 0.9 = 10, three copies each and one more of one of them."""
    found = upsample(log(3, 90), UpsamplingSettings(0.1), seed=0)
    assert sorted(found.copies[:3].tolist()) == [3, 3, 4]
    assert found.after == 0.1
    others = [upsample(log(3, 90), UpsamplingSettings(0.1), seed=s).copies[:3].tolist() for s in range(8)]
    assert len(set(map(tuple, others))) > 1  # which one follows from the seed


def test_dropping_negatives_by_hand() -> None:
    """4 and 96 to 20 %: N′ = 0.8 · 4 / 0.2 = 16 negatives stay."""
    found = upsample(log(4, 96), UpsamplingSettings(0.2, "dropping-negatives"), seed=0)
    assert found.copies[:4].tolist() == [1, 1, 1, 1]
    assert found.copies[4:].sum() == 16
    assert found.copies.max() == 1
    assert found.after == 0.2


def test_a_higher_share_stays() -> None:
    found = upsample(log(3, 7), UpsamplingSettings(0.1), seed=0)
    assert set(found.copies.tolist()) == {1}
    assert found.after == found.before == 0.3
    assert "left" in found.note


@settings(max_examples=40, deadline=None)
@given(
    positives=st.integers(1, 60),
    negatives=st.integers(61, 400),
    share=st.floats(0.01, 0.9),
    by=st.sampled_from(["copies", "dropping-negatives"]),
    seed=st.integers(0, 3),
)
def test_the_share_is_met_but_for_rounding(positives: int, negatives: int, share: float, by: str, seed: int) -> None:
    rows = log(positives, negatives)
    found = upsample(rows, UpsamplingSettings(share, by), seed)  # type: ignore[arg-type]
    positive = rows.label == 1
    assert found.after == found.copies[positive].sum() / found.copies.sum()
    assert found.copies[positive].min() >= 1
    if found.note:
        assert positives / (positives + negatives) >= share
    elif by == "copies":
        assert abs(found.copies[positive].sum() - share * negatives / (1 - share)) <= 0.5 + 1e-9
        assert np.ptp(found.copies[positive]) <= 1
    else:
        assert abs(found.copies[~positive].sum() - max(1, (1 - share) * positives / share)) <= 0.5 + 1e-9


def test_with_many_rows_the_share_is_met_to_a_thousandth() -> None:
    assert upsample(log(37, 1963), UpsamplingSettings(0.1), seed=5).after == pytest.approx(0.1, abs=1e-3)


def test_scoring_undoes_it() -> None:
    """A model that says q of every response says p₀ once the shift is undone: the log's own rate."""
    found = upsample(log(4, 96), UpsamplingSettings(0.2), seed=0)
    head = Head("love", "pointwise", training_rate=found.after, true_rate=found.before)
    assert head.probability(head.reward(math.log(0.2 / 0.8))) == pytest.approx(0.04, abs=1e-12)
    # At p̂ = 0.5: odds 1 · (0.04/0.96) / (0.2/0.8) = 1/6, so p = 1/7.
    assert head.probability(head.reward(0.0)) == pytest.approx(1 / 7, abs=1e-12)
