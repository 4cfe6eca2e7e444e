"""The evaluation of a reward model's head on the reactions of later users: its numbers, and the same in words.

    evaluation.json    {"schema", "model", "head", "objective", "training_rate", "true_rate", "data", "confidence",
                        "time": {"from", "to", "trained_until", "later", "not_later"}, "truncated", "report",
                        "by_policy": {policy: {"n", "positives", "rate", "mean_probability", "auroc"}}}
    evaluation.html    the same for people

`report` is what `cgpo.report.head_metrics.pointwise_report` returns, or `ranking_report` for a head that gives no
probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cgpo.data.prepared_feedback import TRAIN, FeedbackRow, read_feedback, read_prepared
from cgpo.errors import DataError
from cgpo.feedback.results import EVALUATION
from cgpo.feedback.scoring import HeadScorer, Scores
from cgpo.report.head_metrics import pointwise_report, ranking_report
from cgpo.report.head_report import figures, interval_words, rate_words, report_section, warnings
from cgpo.report.page import Page, Section, Table
from cgpo.report.terminal import print_table
from cgpo.statistics.intervals import mean_interval, responses_rate
from cgpo.statistics.odds import sigmoid
from cgpo.statistics.ranking import auroc
from cgpo.statistics.resampling import cluster_index


def heldout_rows(data: Path) -> list[FeedbackRow]:
    """The rows to measure on: a prepared folder's held-out ones, or all of a file.

    Raises:
        DataError: there are none, or they cannot be read.
    """
    if data.is_dir():
        rows = read_prepared(data).heldout()
    elif data.is_file():
        rows = list(read_feedback(data))
    else:
        raise DataError(f"--data {data}: there is no such prepared folder or file")
    if not rows:
        raise DataError(f"--data {data}: there are no held-out rows, so nothing can be measured")
    return rows


def trained_until(given: Path | None, scorer: HeadScorer, data: Path) -> float | None:
    """Time of the last training example in Unix seconds; None where nobody tells.

    Args:
        given: `--trained-on`.
        scorer: its model's run may say what it was trained on.
        data: a prepared folder has the training rows beside the held-out ones.

    Raises:
        DataError: the training rows cannot be read.
    """
    head_settings = (scorer.training.get("heads") or {}).get(scorer.name) or {}
    recorded = Path(head_settings["feedback"]) if head_settings.get("feedback") else None
    if given is None and recorded is not None and not recorded.exists():
        return None  # another folder's training rows say nothing of this model
    for source in (given, recorded, data if data.is_dir() else None):
        if source is None:
            continue
        file = source / TRAIN if source.is_dir() else source
        if not file.is_file():
            raise DataError(f"--trained-on {source}: there is no {TRAIN} or file of training rows")
        return max((row.time for row in read_feedback(file)), default=None)
    return None


def times(rows: Sequence[FeedbackRow], until: float | None) -> dict[str, Any]:
    """When the rows were collected, and whether all are later than the training's last example (None: not known)."""
    early = None if until is None else sum(row.time <= until for row in rows)
    return {
        "from": min(row.time for row in rows),
        "to": max(row.time for row in rows),
        "trained_until": until,
        "later": None if early is None else early == 0,
        "not_later": early,
    }


def refuse_earlier(time: dict[str, Any], n: int, *, allowed: bool) -> None:
    """Refuses rows from the time of the training, which the model may know by heart.

    Raises:
        DataError: some are, and `--allow-earlier` was not given.
    """
    if time["later"] is False and not allowed:
        raise DataError(
            f"{time['not_later']} of {n} rows are not later than the model's last training example "
            f"({moment(time['trained_until'])}); the rows are from {moment(time['from'])} to {moment(time['to'])}. "
            "Measure on later rows, or give --allow-earlier"
        )


def evaluate(
    rows: Sequence[FeedbackRow],
    scores: Scores,
    scorer: HeadScorer,
    time: dict[str, Any],
    data: Path,
    *,
    confidence: float,
    bins: int,
) -> dict[str, Any]:
    """All of evaluation.json.

    Args:
        rows: the rows to measure on.
        scores: the head's, of each row.
        scorer: the head.
        time: of `times`.
        data: where the rows come from.
        confidence: level of the intervals, in (0, 1).
        bins: of the calibration.
    """
    users = [row.user for row in rows]
    labels, lengths = [row.label for row in rows], [float(len(row.response)) for row in rows]
    if scorer.is_probability:
        report = pointwise_report(scores.values, labels, lengths, confidence, users, bins)
    else:
        report = ranking_report(scores.values, labels, lengths, confidence, users)
    head = scorer.head
    return {
        "schema": EVALUATION.schema,
        "model": str(scorer.settings.model),
        "head": scorer.name,
        "objective": head.objective if head else None,
        "training_rate": head.training_rate if head and scorer.is_probability else None,
        "true_rate": head.true_rate if head and scorer.is_probability else None,
        "data": str(data),
        "confidence": confidence,
        "max_length": scorer.settings.max_length,
        "time": time,
        "truncated": scores.truncated,
        "report": report,
        "by_policy": by_policy(rows, scores, scorer, confidence),
    }


def by_policy(
    rows: Sequence[FeedbackRow], scores: Scores, scorer: HeadScorer, confidence: float
) -> dict[str, dict[str, Any]]:
    """The numbers of each policy that answered, where the rows say which; rows that do not are under `(none)`."""
    if all(row.policy is None for row in rows):
        return {}
    policies = {}
    for policy in sorted({row.policy or "(none)" for row in rows}):
        scored = [
            (row, value)
            for row, value in zip(rows, scores.values, strict=True)
            if (row.policy or "(none)") == policy and value is not None
        ]
        labels, values = [row.label for row, _ in scored], [value for _, value in scored]
        users = [row.user for row, _ in scored]
        keys = cluster_index(len(scored), users).tolist()
        chances = [sigmoid(value) for value in values] if scorer.is_probability else []
        policies[policy] = {
            "n": len(scored),
            "positives": sum(labels),
            "rate": asdict(responses_rate(labels, keys, confidence)) if scored else None,
            "mean_probability": asdict(mean_interval(chances, confidence, keys)) if chances else None,
            "auroc": asdict(auroc(values, labels, confidence, users)),
        }
    return policies


def moment(seconds: float | None) -> str:
    """`2025-03-01 12:00 UTC`."""
    return "unknown" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def facts(evaluation: dict[str, Any]) -> list[tuple[str, str]]:
    """The head, the rows and the time, in words."""
    time, report = evaluation["time"], evaluation["report"]
    rates = evaluation["training_rate"]
    return [
        ("model", f"{evaluation['model']}, head {evaluation['head']} ({evaluation['objective'] or 'origin unknown'})"),
        (
            "rates",
            "–" if rates is None else f"trained at {100 * rates:.3g} %, read at {100 * evaluation['true_rate']:.3g} %",
        ),
        ("data", evaluation["data"]),
        (
            "rows",
            f"{report['n']} scored, {report['missing']} missing, {evaluation['truncated']} truncated to "
            f"{evaluation['max_length']} tokens, {report['clusters']} users or single rows",
        ),
        ("time", f"{moment(time['from'])} to {moment(time['to'])}; training ended {moment(time['trained_until'])}"),
        ("intervals", f"{100 * evaluation['confidence']:g} %"),
    ]


def all_warnings(evaluation: dict[str, Any]) -> list[str]:
    """Warnings of the report, of the time, of the head and of truncated texts."""
    time, notes = evaluation["time"], list(warnings(evaluation["report"]))
    if time["later"] is None:
        notes.append(
            "nobody says when the model's training data ended, so these rows may be from before; --trained-on tells"
        )
    if time["later"] is False:
        notes.append(f"{time['not_later']} rows are not later than the training's last example (--allow-earlier)")
    if evaluation["objective"] != "pointwise":
        origin = f"was trained on {evaluation['objective']} data" if evaluation["objective"] else "is of unknown origin"
        notes.append(f"the head gives no probability, it {origin}: no calibration")
    if evaluation["truncated"]:
        total = evaluation["report"]["n"] + evaluation["report"]["missing"]
        notes.append(
            f"{evaluation['truncated']} of {total} texts have more than {evaluation['max_length']} tokens: the start "
            "of their prompts, or the end of their responses, was not seen (--max-length)"
        )
    return notes


def policy_table(evaluation: dict[str, Any]) -> Table | None:
    """The numbers by policy, or None where rows have none."""
    if not evaluation["by_policy"]:
        return None
    rows = [
        (
            policy,
            f"{numbers['positives']} / {numbers['n']}",
            "–" if numbers["rate"] is None else rate_words(numbers["rate"]),
            "–" if numbers["mean_probability"] is None else rate_words(numbers["mean_probability"]),
            interval_words(numbers["auroc"]),
        )
        for policy, numbers in evaluation["by_policy"].items()
    ]
    return Table(("policy", "positives", "observed", "expected", "AUROC"), rows)


def print_evaluation(evaluation: dict[str, Any]) -> None:
    """Prints the tables of an evaluation, and its warnings."""
    from judges.terminal import open_console

    console = open_console()
    print_table(console, f"{evaluation['head']} on later reactions", Table(("", ""), facts(evaluation)))
    print_table(console, "", Table(("measure", "value (interval)"), figures(evaluation["report"])))
    groups = [
        (str(i + 1), f"{g['positives']} / {g['n']}", interval_words(g["lift"], ".2f"))
        for i, g in enumerate(evaluation["report"]["lift"])
    ]
    print_table(console, "lift by tenth of the scores, best first", Table(("tenth", "positives", "lift"), groups))
    if (policies := policy_table(evaluation)) is not None:
        print_table(console, "by policy", policies)
    for text in all_warnings(evaluation):
        console.print(f"warning: {text}", markup=False)


def evaluation_page(evaluation: dict[str, Any], rows: Sequence[FeedbackRow], scores: Sequence[float | None]) -> Page:
    """evaluation.html."""
    lengths, labels = [float(len(row.response)) for row in rows], [row.label for row in rows]
    sections = [report_section(evaluation["head"], evaluation["report"], scores, lengths, labels)]
    if (policies := policy_table(evaluation)) is not None:
        sections.append(Section("By policy", tables=[policies]))
    of_report = set(warnings(evaluation["report"]))
    notes = [text for text in all_warnings(evaluation) if text not in of_report]
    return Page("Reactions of later users", facts=facts(evaluation), warnings=notes, sections=sections)
