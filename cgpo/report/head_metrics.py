"""The report of a reward model's head on held-out rows: one JSON object for each kind of head.

A missing score (None, NaN or infinite) is counted, and the row enters no number. `length.warning` says that length
alone comes within `NEARLY` of the model (AUROC, accuracy or Pearson's r, whichever direction of length does better), or
that the score correlates with length by more than `STRONG` (either sign).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np

from cgpo.statistics.calibration import BINS, Calibration, calibration
from cgpo.statistics.correlation import pearson, spearman
from cgpo.statistics.intervals import Interval, mean_interval, responses_rate
from cgpo.statistics.length import LengthReport, length_report, pair_length_report, pair_order
from cgpo.statistics.lift import lift_by_decile
from cgpo.statistics.odds import sigmoid
from cgpo.statistics.ranking import auroc
from cgpo.statistics.resampling import CONFIDENCE, cluster_index

T = TypeVar("T")

Score = float | None

NEARLY = 0.02
STRONG = 0.4


def pointwise_report(
    scores: Sequence[Score],
    labels: Sequence[int],
    lengths: Sequence[float],
    confidence: float = CONFIDENCE,
    clusters: Sequence[Hashable] | None = None,
    bins: int = BINS,
) -> dict[str, Any]:
    """A head of a probability, given the logits at the true rate.

    Args:
        scores: logit of P[positive] of each row, as the reward gives it, [n]; None: missing.
        labels: 1 or 0, [n].
        lengths: of the responses in characters, [n].
        confidence: level in (0, 1).
        clusters: the user of each row, [n]; None: all different.
        bins: of the calibration.

    Returns:
        What `ranking_report` returns, and `"calibration": {"ece", "ece_if_calibrated": {"mean", "high"}, "brier",
        "brier_skill", "mean_probability", "bins": [{"low", "high", "n", "mean_probability", "rate", "ratio"}]}`, null
        without rows.
    """
    known = _known(scores)
    truth, keys = _take(labels, known), None if clusters is None else _take(clusters, known)
    chances = [sigmoid(float(scores[i] or 0.0)) for i in known]
    fit = _calibration(calibration(chances, truth, bins, confidence, keys)) if known else None
    ranking = ranking_report(scores, labels, lengths, confidence, clusters)
    return {**ranking, "objective": "pointwise", "calibration": fit}


def ranking_report(
    scores: Sequence[Score],
    labels: Sequence[int],
    lengths: Sequence[float],
    confidence: float = CONFIDENCE,
    clusters: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
    """Scores of any scale against labels: how well they order, not what they mean. Arguments as `pointwise_report`.

    Returns:
        `{"objective": "ranking", "n", "missing", "positives", "clusters", "rate", "auroc", "calibration": null,
        "lift": [{"n", "positives", "low", "high", "rate", "lift", "captured"}], "length": {"measure", "pearson",
        "spearman", "model", "alone", "direction", "buckets", "warning"}, "notes": [str]}`; an interval is
        `{"estimate", "low", "high", "n"}`, with nulls for what cannot be known. `length` is null without rows.
    """
    known = _known(scores)
    values = [float(scores[i] or 0.0) for i in known]
    truth, sizes = _take(labels, known), _take(lengths, known)
    keys = None if clusters is None else _take(clusters, known)
    numbers = cluster_index(len(known), keys).tolist()
    positives, missing = sum(truth), len(scores) - len(known)
    rate = responses_rate(truth, numbers, confidence) if known else Interval(None, None, None, 0)
    return {
        "objective": "ranking",
        "n": len(known),
        "missing": missing,
        "positives": positives,
        "clusters": len(set(numbers)),
        "rate": asdict(rate),
        "auroc": asdict(auroc(values, truth, confidence, keys)),
        "calibration": None,
        "lift": [asdict(group) for group in lift_by_decile(values, truth, 10, confidence, keys)],
        "length": _length(length_report(values, sizes, truth, confidence, keys)) if known else None,
        "notes": _notes(missing, len(scores), positives, len(known)),
    }


def pairwise_report(
    chosen: Sequence[Score],
    rejected: Sequence[Score],
    chosen_lengths: Sequence[float],
    rejected_lengths: Sequence[float],
    confidence: float = CONFIDENCE,
    clusters: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
    """A head trained on pairs.

    Args:
        chosen: scores of the better responses, [n]; None: missing.
        rejected: scores of the worse ones, [n].
        chosen_lengths: in characters, [n].
        rejected_lengths: in characters, [n].
        confidence: level in (0, 1).
        clusters: the prompt of each pair, [n]; None: all different.

    Returns:
        `{"objective", "n", "missing", "accuracy": interval, "auroc": interval, "calibration", "length", "notes"}`.
        `accuracy` is the share of pairs in the right order, a tie counting half. `auroc` asks more: that any chosen
        response scores above any rejected one. `calibration` is of sigmoid(|r(chosen) − r(rejected)|), how sure the
        Bradley–Terry model is of its order, against the order being right; ties are left out.
    """
    known = [i for i in _known(chosen) if rejected[i] is not None and math.isfinite(rejected[i] or 0.0)]
    better, worse = [float(chosen[i] or 0.0) for i in known], [float(rejected[i] or 0.0) for i in known]
    keys = list(range(len(known))) if clusters is None else _take(clusters, known)
    missing = len(chosen) - len(known)
    order = pair_order(better, worse)
    lengths = (_take(chosen_lengths, known), _take(rejected_lengths, known))
    return {
        "objective": "pairwise",
        "n": len(known),
        "missing": missing,
        "accuracy": asdict(responses_rate(order, keys, confidence) if known else Interval(None, None, None, 0)),
        "auroc": asdict(auroc([*better, *worse], [1] * len(better) + [0] * len(worse), confidence, [*keys, *keys])),
        "calibration": _preference_fit(better, worse, confidence, keys),
        "length": _length(pair_length_report(better, worse, *lengths, confidence, keys)) if known else None,
        "notes": [_missing_note(missing, len(chosen))] if missing else [],
    }


def regression_report(
    scores: Sequence[Score],
    ratings: Sequence[float],
    lengths: Sequence[float],
    confidence: float = CONFIDENCE,
    clusters: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
    """A head of ratings.

    Args:
        scores: predicted ratings, [n]; None: missing.
        ratings: true ones, [n].
        lengths: of the responses in characters, [n].
        confidence: level in (0, 1).
        clusters: the prompt of each row, [n]; None: all different.

    Returns:
        `{"objective", "n", "missing", "pearson", "spearman", "rmse", "rmse_of_mean", "length": {"pearson",
        "spearman", "alone": Pearson of rating and length, "warning"}, "notes"}`; `rmse_of_mean` is what the ratings'
        own mean would have.
    """
    known = _known(scores)
    values, truth, sizes = [float(scores[i] or 0.0) for i in known], _take(ratings, known), _take(lengths, known)
    keys = None if clusters is None else _take(clusters, known)
    missing = len(scores) - len(known)
    fit, alone = pearson(values, truth, confidence, keys), pearson(sizes, truth, confidence, keys)
    with_length = pearson(values, sizes, confidence, keys)
    errors = np.square(np.asarray(values) - np.asarray(truth, dtype=np.float64)).tolist()
    return {
        "objective": "regression",
        "n": len(known),
        "missing": missing,
        "pearson": asdict(fit),
        "spearman": asdict(spearman(values, truth, confidence, keys)),
        "rmse": _root(mean_interval(errors, confidence, keys)),
        "rmse_of_mean": float(np.std(truth)) if known else None,
        "length": {
            "pearson": asdict(with_length),
            "spearman": asdict(spearman(values, sizes, confidence, keys)),
            "alone": asdict(alone),
            "warning": _rating_warning(fit, alone, with_length),
        },
        "notes": [_missing_note(missing, len(scores))] if missing else [],
    }


def _calibration(fit: Calibration) -> dict[str, Any]:
    mean, high = fit.ece_if_calibrated
    return {
        "ece": asdict(fit.ece),
        "ece_if_calibrated": {"mean": mean, "high": high},
        "brier": asdict(fit.brier),
        "brier_skill": asdict(fit.brier_skill),
        "mean_probability": fit.mean_probability,
        "bins": [{**asdict(each), "ratio": each.ratio} for each in fit.bins],
    }


def _preference_fit(better: list[float], worse: list[float], confidence: float, keys: Sequence[Hashable]) -> Any:
    untied = [i for i in range(len(better)) if better[i] != worse[i]]
    if not untied:
        return None
    sure = [sigmoid(abs(better[i] - worse[i])) for i in untied]
    right = [int(better[i] > worse[i]) for i in untied]
    return _calibration(calibration(sure, right, BINS, confidence, _take(keys, untied)))


def _known(scores: Sequence[Score]) -> list[int]:
    return [i for i, score in enumerate(scores) if score is not None and math.isfinite(score)]


def _take(values: Sequence[T], rows: Sequence[int]) -> list[T]:
    return [values[i] for i in rows]


def _root(mean: Interval) -> dict[str, Any]:
    def root(value: float | None) -> float | None:
        return None if value is None else math.sqrt(value)

    return {"estimate": root(mean.estimate), "low": root(mean.low), "high": root(mean.high), "n": mean.n}


def _notes(missing: int, total: int, positives: int, n: int) -> list[str]:
    notes = [_missing_note(missing, total)] if missing else []
    if not n:
        notes.append("no row has a score: nothing can be measured")
    elif positives in (0, n):
        only = "positive" if positives else "negative"
        notes.append(
            f"all {n} rows are {only}: AUROC, skill and what length alone would get need both classes. Calibration is "
            "measured"
        )
    return notes


def _missing_note(missing: int, total: int) -> str:
    return f"{missing} of {total} have no finite score and enter no number"


def _length(report: LengthReport) -> dict[str, Any]:
    return {**asdict(report), "warning": length_warning(report)}


def length_warning(report: LengthReport) -> str | None:
    """Why length makes the score suspect, or None."""
    warnings = []
    name = {"auroc": "AUROC", "accuracy": "accuracy"}[report.measure]
    model, alone = report.model.estimate, report.alone.estimate
    if model is not None and alone is not None and alone >= model - NEARLY:
        warnings.append(
            f"“{report.direction} is better” alone gets {name} {alone:.3f}, the model {model:.3f}: length "
            "predicts nearly as well"
        )
    for kind, r in (("Pearson", report.pearson.estimate), ("Spearman", report.spearman.estimate)):
        if r is not None and abs(r) > STRONG:
            warnings.append(_follows(kind, r))
            break
    return "; ".join(warnings) or None


def _rating_warning(fit: Interval, alone: Interval, with_length: Interval) -> str | None:
    warnings = []
    if fit.estimate is not None and alone.estimate is not None and abs(alone.estimate) >= fit.estimate - NEARLY:
        warnings.append(
            f"length alone correlates with the ratings by {alone.estimate:+.2f}, the model by {fit.estimate:+.2f}: "
            "length predicts nearly as well"
        )
    if with_length.estimate is not None and abs(with_length.estimate) > STRONG:
        warnings.append(_follows("Pearson", with_length.estimate))
    return "; ".join(warnings) or None


def _follows(kind: str, r: float) -> str:
    return f"the score follows length ({kind} r = {r:+.2f}, beyond ±{STRONG:g})"
