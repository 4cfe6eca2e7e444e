"""Reports of heads on held-out rows, and the part of length in them: by hand, and the rule of the warning."""

from __future__ import annotations

import numpy as np
import pytest

from cgpo.report.head_metrics import (
    length_warning,
    pairwise_report,
    pointwise_report,
    ranking_report,
    regression_report,
)
from cgpo.report.head_report import report_lines
from cgpo.statistics.intervals import rate_interval
from cgpo.statistics.length import length_report, pair_length_report
from cgpo.statistics.ranking import auroc


def judged_by(share_of_length: float, n: int = 400) -> tuple[list[float], list[float], list[int]]:
    """Scores, lengths and labels; labels follow what is in the text, and only so much of the score is length."""
    generator = np.random.default_rng(2)
    lengths, content = generator.integers(10, 500, n).astype(float), generator.normal(size=n)
    labels = (content + generator.normal(size=n) > 1).astype(int)
    scores = share_of_length * (lengths - 255) / 140 + (1 - share_of_length) * content
    return scores.tolist(), lengths.tolist(), labels.tolist()


def test_a_model_that_reads_the_text_gets_no_warning() -> None:
    scores, lengths, labels = judged_by(0.0)
    found = length_report(scores, lengths, labels)
    assert length_warning(found) is None
    assert found.model == auroc(scores, labels)
    assert found.alone.estimate == pytest.approx(max(auroc(lengths, labels).estimate or 0, 0.5), abs=0.05)
    assert sum(bucket.n for bucket in found.buckets) == 400
    assert len(found.buckets) == 4


def test_a_model_that_follows_length_is_named() -> None:
    found = length_report(*judged_by(0.5))
    assert "follows length (Pearson r = +0.7" in (length_warning(found) or "")


def test_a_model_that_knows_no_more_than_length_is_named() -> None:
    """Shorter is better here: length alone counts in its better direction."""
    lengths = [float(i) for i in range(1, 41)]
    labels = [int(i <= 20) for i in range(1, 41)]
    scores = [1.0 if i % 2 else 0.0 for i in range(40)]  # knows nothing
    found = length_report(scores, lengths, labels)
    assert (found.direction, found.alone.estimate) == ("shorter", 1.0)
    assert "“shorter is better” alone gets AUROC 1.000, the model 0.500" in (length_warning(found) or "")


def test_pairs_by_hand() -> None:
    # Right, wrong, tie, right; the chosen one shorter, longer, as long, longer.
    found = pair_length_report([2, 0, 1, 5], [1, 1, 1, 0], [10, 90, 50, 60], [50, 20, 50, 30])
    assert found.model.estimate == pytest.approx((1 + 0 + 0.5 + 1) / 4)
    assert (found.direction, found.alone.estimate) == ("longer", pytest.approx((0 + 1 + 0.5 + 1) / 4))
    assert [(b.n, b.agreement.estimate) for b in found.buckets] == [(1, 1.0), (1, 0.5), (2, 0.5)]
    expected = rate_interval(2.5, 4, 0.95)
    assert (found.model.low, found.model.high) == (expected.low, expected.high)


def test_pairs_of_one_prompt_are_not_independent() -> None:
    generator = np.random.default_rng(4)
    right = np.repeat(generator.random(30) < 0.7, 6)
    chosen, rejected = np.where(right, 1.0, -1.0).tolist(), [0.0] * 180
    sizes = generator.integers(10, 90, 180).astype(float).tolist()
    prompts = np.repeat(np.arange(30), 6).tolist()
    alone = pairwise_report(chosen, rejected, sizes, sizes)["accuracy"]
    together = pairwise_report(chosen, rejected, sizes, sizes, clusters=prompts)["accuracy"]
    assert together["estimate"] == alone["estimate"]
    assert together["high"] - together["low"] > 1.8 * (alone["high"] - alone["low"])


def test_missing_scores_enter_no_number_but_are_counted() -> None:
    scores, lengths, labels = judged_by(0.0, 60)
    whole = ranking_report(scores, lengths=lengths, labels=labels)
    holed = ranking_report([*scores, None, float("nan")], lengths=[*lengths, 1.0, 2.0], labels=[*labels, 1, 1])
    assert holed["missing"] == 2
    assert holed["notes"] == ["2 of 62 have no finite score and enter no number"]
    assert {**holed, "missing": 0, "notes": []} == whole
    pairs = pairwise_report([1.0, None, 3.0], [0.0, 0.0, float("inf")], [1, 1, 1], [1, 1, 1])
    assert (pairs["n"], pairs["missing"]) == (1, 2)


def test_nothing_to_measure_is_no_error() -> None:
    for found in (
        pointwise_report([None], [1], [5.0]),
        ranking_report([], [], []),
        pairwise_report([], [], [], []),
        regression_report([None], [1.0], [5.0]),
    ):
        assert found["n"] == 0
        assert report_lines("head", found)[0].endswith("0 held out)")


def test_ratings_by_hand() -> None:
    found = regression_report([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 8.0], [5.0, 9.0, 7.0, 6.0])
    assert found["rmse"]["estimate"] == pytest.approx(2.0)  # √(16 / 4)
    assert found["rmse_of_mean"] == pytest.approx(np.std([1, 2, 3, 8]))
    assert found["pearson"]["estimate"] == pytest.approx(np.corrcoef([1, 2, 3, 4], [1, 2, 3, 8])[0, 1])
    assert found["spearman"]["estimate"] == pytest.approx(1.0)
    assert found["length"]["warning"] is None


def test_how_sure_the_preference_is_is_held_against_being_right() -> None:
    """Margins of ln 3: sure to 3/4; right in three of four: perfectly calibrated."""
    margin = float(np.log(3))
    found = pairwise_report([margin, margin, margin, 0.0], [0.0, 0.0, 0.0, margin], [1.0] * 4, [1.0] * 4)
    (only,) = found["calibration"]["bins"]
    assert (only["mean_probability"], only["rate"]["estimate"]) == (pytest.approx(0.75), 0.75)
    assert found["calibration"]["ece"]["estimate"] == pytest.approx(0.0)
