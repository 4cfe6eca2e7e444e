"""What the report on held-out pairs says."""

from __future__ import annotations

import pytest

from cgpo.stages.accuracy import ScoredPair, accuracy_lines, accuracy_report, pearson
from cgpo.stages.pairs import PreferencePair


def scored(kind: str, chosen: float | None, rejected: float | None, lengths: tuple[int, int] = (4, 2)) -> ScoredPair:
    pair = PreferencePair(
        ({"role": "user", "content": f"{kind} {chosen} {rejected}"},), "c" * lengths[0], "r" * lengths[1], kind, "math"
    )
    return ScoredPair(pair, chosen, rejected)


def test_counts_by_kind_and_length() -> None:
    report = accuracy_report(
        [
            scored("judged", 2.0, 1.0),
            scored("judged", 1.0, 1.0, (3, 3)),
            scored("shuffle", 0.0, 1.0, (2, 5)),
            scored("shuffle", None, 0.0),
        ]
    )
    assert (report["accuracy"]["count"], report["accuracy"]["n"]) == (1, 4)
    assert (report["by_kind"]["judged"]["count"], report["by_kind"]["judged"]["n"]) == (1, 2)
    assert report["by_kind"]["shuffle"]["rate"] == 0.0
    assert report["by_stratum"]["math"]["n"] == 4
    assert report["length"]["accuracy"] == 2.5 / 4  # longer, equal, shorter, longer
    lines = accuracy_lines(report)
    assert lines[0].startswith("held-out accuracy 0.25 (1/4, 95 % interval 0.05 to 0.70)")


def test_correlation_is_over_responses_nobody_corrupted() -> None:
    items = [scored("judged", float(n), float(n) - 3, (n, n - 3)) for n in (5, 6, 7)]
    items += [scored("shuffle", 8.0, 100.0, (8, 1))]
    assert accuracy_report(items)["length"]["correlation"] == pytest.approx(1.0)


def test_pearson_by_hand() -> None:
    assert pearson([1.0, 2.0, 3.0], [2.0, 4.0, 3.0]) == pytest.approx(0.5)
    assert pearson([1.0, 2.0], [1.0, 2.0]) is None
    assert pearson([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None


def test_no_pairs() -> None:
    report = accuracy_report([])
    assert report["length"] == {"accuracy": None, "correlation": None}
    assert accuracy_lines(report)[0] == "held-out accuracy – (no pairs)"
