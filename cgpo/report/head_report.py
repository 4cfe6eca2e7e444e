"""The reports of `cgpo.report.head_metrics` in words: lines for a terminal, sections for a page."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from cgpo.report.charts import Chart
from cgpo.report.page import Section, Table
from cgpo.report.points_chart import Axis, Point, PointSeries, points_chart

Report = Mapping[str, Any]

SHOWN_POINTS = 400
"""Most points in the chart of score against length; more are drawn from at random, always the same ones."""


def interval_words(interval: Mapping[str, Any] | None, form: str = ".3f") -> str:
    """`0.812 (0.790 to 0.833)`, `0.812 (no interval)`, or `unknown`."""
    if interval is None or interval["estimate"] is None:
        return "unknown"
    if interval["low"] is None or interval["high"] is None:
        return f"{interval['estimate']:{form}} (no interval)"
    return f"{interval['estimate']:{form}} ({interval['low']:{form}} to {interval['high']:{form}})"


def rate_words(interval: Mapping[str, Any]) -> str:
    """`2.1 % (1.8 to 2.5)`."""
    scaled = {key: None if interval[key] is None else 100 * interval[key] for key in ("estimate", "low", "high")}
    text = interval_words(scaled, ".3g")
    return text.replace(" (", " % (", 1) if "(" in text else text


def figures(report: Report) -> list[tuple[str, str]]:
    """The report's main numbers: (name, text)."""
    return _FIGURES[report["objective"]](report)


def warnings(report: Report) -> list[str]:
    """What to mind: missing rows, one class, length."""
    length = report["length"] or {}
    return [*report["notes"], *([f"length: {length['warning']}"] if length.get("warning") else [])]


def report_lines(name: str, report: Report) -> list[str]:
    """A few lines for a terminal."""
    lines = [f"{name} ({report['objective']}, {report['n']} held out)"]
    lines += [f"  {label:<24} {text}" for label, text in figures(report)]
    return lines + [f"  warning: {text}" for text in warnings(report)]


def report_section(
    name: str,
    report: Report,
    scores: Sequence[float | None] = (),
    lengths: Sequence[float] = (),
    labels: Sequence[int] | None = None,
) -> Section:
    """The report as a section of a page.

    Args:
        name: its title.
        report: of `pointwise_report`, `pairwise_report` or `regression_report`.
        scores: for the chart of score against length, [n]; may be left out.
        lengths: in characters, [n].
        labels: draws the two classes apart, [n].
    """
    tables = [Table(("", "value (interval)"), figures(report))]
    tables += _tables(report)
    charts = [_reliability(report), _lift(report), _buckets(report), _scatter(scores, lengths, labels)]
    return Section(name, text=_TEXT[report["objective"]], warnings=warnings(report), tables=tables, charts=charts)


def _pointwise(report: Report) -> list[tuple[str, str]]:
    fit = report["calibration"]
    rows = [
        ("positives", f"{report['positives']} of {report['n']}, {rate_words(report['rate'])}"),
        ("AUROC", interval_words(report["auroc"])),
    ]
    if fit is not None:
        perfect = fit["ece_if_calibrated"]
        rows += [
            ("mean probability", f"{100 * fit['mean_probability']:.3g} %"),
            ("ECE", interval_words(fit["ece"], ".4f")),
            ("  if calibrated", f"{perfect['mean']:.4f}, 95 % below {perfect['high']:.4f}"),
            ("Brier", interval_words(fit["brier"], ".4f")),
            ("  skill over base rate", interval_words(fit["brier_skill"], "+.3f")),
        ]
    if report["lift"]:
        rows.append(("lift of the top tenth", interval_words(report["lift"][0]["lift"], ".2f")))
    return rows + _length_figures(report)


def _pairwise(report: Report) -> list[tuple[str, str]]:
    rows = [("accuracy", interval_words(report["accuracy"])), ("AUROC", interval_words(report["auroc"]))]
    if report["calibration"] is not None:
        rows.append(("ECE of the preference", interval_words(report["calibration"]["ece"])))
    return rows + _length_figures(report)


def _regression(report: Report) -> list[tuple[str, str]]:
    length, mean = report["length"], report["rmse_of_mean"]
    return [
        ("Pearson", interval_words(report["pearson"])),
        ("Spearman", interval_words(report["spearman"])),
        ("RMSE", interval_words(report["rmse"])),
        ("  of the mean rating", "unknown" if mean is None else f"{mean:.3f}"),
        ("score with length", interval_words(length["pearson"], "+.2f")),
        ("length alone, Pearson", interval_words(length["alone"], "+.2f")),
    ]


def _length_figures(report: Report) -> list[tuple[str, str]]:
    length = report["length"]
    if length is None:
        return []
    return [
        ("score with length", f"Pearson {interval_words(length['pearson'], '+.2f')}"),
        ("", f"Spearman {interval_words(length['spearman'], '+.2f')}"),
        (f"length alone ({length['direction']})", interval_words(length["alone"])),
    ]


_FIGURES = {"pointwise": _pointwise, "ranking": _pointwise, "pairwise": _pairwise, "regression": _regression}

_TEXT = {
    "pointwise": ("Probabilities are at the true rate. A bin holds about as many rows as any other.",),
    "ranking": ("The head gives no probability: only the order of its scores is measured.",),
    "pairwise": ("A pair is in the right order when the better response scores higher; a tie counts half.",),
    "regression": ("Predicted against given ratings.",),
}


def _tables(report: Report) -> list[Table]:
    tables = []
    if report["objective"] == "pointwise" and report["calibration"] is not None:
        rows = [
            (
                f"{100 * b['low']:.3g} to {100 * b['high']:.3g} %",
                str(b["n"]),
                f"{100 * b['mean_probability']:.3g} %",
                rate_words(b["rate"]),
                "–" if b["ratio"] is None else f"{b['ratio']:.2f}",
            )
            for b in report["calibration"]["bins"]
        ]
        tables.append(Table(("probability", "rows", "expected", "observed", "expected / observed"), rows))
    if report.get("lift"):
        groups = [
            (
                str(i + 1),
                f"{g['positives']} / {g['n']}",
                rate_words(g["rate"]),
                interval_words(g["lift"], ".2f"),
                "–" if g["captured"] is None else f"{100 * g['captured']:.0f} %",
            )
            for i, g in enumerate(report["lift"])
        ]
        tables.append(Table(("tenth, best first", "positives", "rate", "lift", "captured so far"), groups))
    if report["length"] is not None and "buckets" in report["length"]:
        buckets = [(b["name"], str(b["n"]), interval_words(b["agreement"])) for b in report["length"]["buckets"]]
        measure = {"auroc": "AUROC"}.get(report["length"]["measure"], "accuracy")
        tables.append(Table(("length", "n", measure), buckets))
    return tables


def _reliability(report: Report) -> Chart | None:
    fit = report.get("calibration")
    if fit is None:
        return None
    points = [
        Point(b["mean_probability"], b["rate"]["estimate"], b["rate"]["low"], b["rate"]["high"], label=f"{b['n']} rows")
        for b in fit["bins"]
    ]
    observed = "observed" if report["objective"] == "pointwise" else "in the right order"
    series = [PointSeries("bins", points)]
    return points_chart("reliability", series, Axis("expected", rate=True), Axis(observed, rate=True), diagonal=True)


def _lift(report: Report) -> Chart | None:
    groups = [g for g in report.get("lift") or () if g["lift"]["estimate"] is not None]
    points = [
        Point(i, g["lift"]["estimate"], g["lift"]["low"], g["lift"]["high"], label=f"{g['positives']} of {g['n']}")
        for i, g in enumerate(groups)
    ]
    names = tuple(str(i + 1) for i in range(len(groups)))
    x, y = Axis("tenth of the scores, best first", names=names), Axis("lift", zero=True)
    return points_chart("lift over the base rate", [PointSeries("tenths", points)], x, y, level=1.0)


def _buckets(report: Report) -> Chart | None:
    buckets = (report["length"] or {}).get("buckets", ())
    known = [b for b in buckets if b["agreement"]["estimate"] is not None]
    points = [
        Point(i, b["agreement"]["estimate"], b["agreement"]["low"], b["agreement"]["high"], label=b["name"])
        for i, b in enumerate(known)
    ]
    names = tuple(b["name"].partition(" (")[0] for b in known)
    pairs = bool(buckets) and report["length"]["measure"] == "accuracy"
    x, y = Axis("length", names=names), Axis("accuracy" if pairs else "AUROC", rate=pairs)
    return points_chart("agreement where lengths are alike", [PointSeries("buckets", points)], x, y, level=0.5)


def _scatter(scores: Sequence[float | None], lengths: Sequence[float], labels: Sequence[int] | None) -> Chart | None:
    rows = [i for i, score in enumerate(scores) if score is not None]
    classes = {"": rows} if labels is None else {n: [i for i in rows if labels[i] == v] for v, n in _CLASSES}
    series = [
        PointSeries(name or "responses", [Point(lengths[i], scores[i] or 0.0) for i in _some(of_class)])
        for name, of_class in classes.items()
    ]
    return points_chart("score against length", series, Axis("characters", zero=True), Axis("score"))


_CLASSES = ((0, "negative"), (1, "positive"))


def _some(rows: Sequence[int]) -> list[int]:
    return sorted(random.Random(0).sample(rows, SHOWN_POINTS)) if len(rows) > SHOWN_POINTS else list(rows)
