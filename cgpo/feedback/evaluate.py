"""`cgpo feedback evaluate`: a reward model's scores against the reactions of later users.

    evaluation.json    {"schema", "model", "head", "objective", "training_rate", "true_rate", "data", "confidence",
                        "time": {"from", "to", "trained_until", "later", "not_later"}, "truncated", "report",
                        "by_policy": {policy: {"n", "positives", "rate", "mean_probability", "auroc"}}}
    evaluation.html    the same for people

`report` is what `cgpo.statistics.head_metrics.pointwise_report` returns, or `ranking_report` for a head that gives no
probability.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cgpo.data.prepared_feedback import TRAIN, FeedbackRow, read_feedback, read_prepared
from cgpo.errors import DataError
from cgpo.feedback.evaluation_words import evaluation_page, moment, print_evaluation
from cgpo.feedback.results import read_result
from cgpo.feedback.scoring import HeadScorer, Scores, folder_for
from cgpo.report.page import write_page
from cgpo.statistics.head_metrics import pointwise_report, probability, ranking_report
from cgpo.statistics.intervals import mean_interval, responses_rate
from cgpo.statistics.ranking import auroc
from cgpo.statistics.resampling import cluster_index
from cgpo.storage.disk import write_atomically

SCHEMA = 1
JSON_NAME, PAGE_NAME = "evaluation.json", "evaluation.html"


def run(args: argparse.Namespace) -> int:
    """Evaluates, prints, and writes `--output`.

    Raises:
        CgpoError: whatever a person can mend, in words.
    """
    folder_for(args.output)
    rows = heldout_rows(args.data)
    scorer = HeadScorer(args)
    time = times(rows, trained_until(args.trained_on, scorer, args.data))
    refuse_earlier(time, len(rows), allowed=args.allow_earlier)
    scores = scorer.score([row.prompt for row in rows], [row.response for row in rows])
    found = evaluation(rows, scores, scorer, time, args)
    print_evaluation(found)
    if args.output is not None:
        text = json.dumps(found, indent=1, allow_nan=False) + "\n"
        write_atomically(args.output / JSON_NAME, text.encode(), "the evaluation")
        write_page(args.output / PAGE_NAME, evaluation_page(found, rows, scores.values))
        print(f"written to {args.output}: {JSON_NAME}, {PAGE_NAME}")
    return 0


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
    own = (scorer.training.get("heads") or {}).get(scorer.name) or {}
    recorded = Path(own["feedback"]) if own.get("feedback") else None
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


def evaluation(
    rows: Sequence[FeedbackRow], scores: Scores, scorer: HeadScorer, time: dict[str, Any], args: argparse.Namespace
) -> dict[str, Any]:
    """What evaluation.json holds."""
    users = [row.user for row in rows]
    labels, lengths = [row.label for row in rows], [float(len(row.response)) for row in rows]
    if scorer.is_probability:
        report = pointwise_report(scores.values, labels, lengths, args.confidence, users, args.bins)
    else:
        report = ranking_report(scores.values, labels, lengths, args.confidence, users)
    head = scorer.head
    return {
        "schema": SCHEMA,
        "model": str(args.model),
        "head": scorer.name,
        "objective": head.objective if head else None,
        "training_rate": head.training_rate if head and scorer.is_probability else None,
        "true_rate": head.true_rate if head and scorer.is_probability else None,
        "data": str(args.data),
        "confidence": args.confidence,
        "max_length": scorer.settings.max_length,
        "time": time,
        "truncated": scores.truncated,
        "report": report,
        "by_policy": by_policy(rows, scores, scorer, args.confidence),
    }


def by_policy(
    rows: Sequence[FeedbackRow], scores: Scores, scorer: HeadScorer, confidence: float
) -> dict[str, dict[str, Any]]:
    """The same for each policy that answered, where the rows say which; rows that do not are under `(none)`."""
    if all(row.policy is None for row in rows):
        return {}
    found = {}
    for policy in sorted({row.policy or "(none)" for row in rows}):
        mine = [
            (row, value)
            for row, value in zip(rows, scores.values, strict=True)
            if (row.policy or "(none)") == policy and value is not None
        ]
        labels, values = [row.label for row, _ in mine], [value for _, value in mine]
        users = [row.user for row, _ in mine]
        keys = cluster_index(len(mine), users).tolist()
        chances = [probability(value) for value in values] if scorer.is_probability else []
        found[policy] = {
            "n": len(mine),
            "positives": sum(labels),
            "rate": asdict(responses_rate(labels, keys, confidence)) if mine else None,
            "mean_probability": asdict(mean_interval(chances, confidence, keys)) if chances else None,
            "auroc": asdict(auroc(values, labels, confidence, users)),
        }
    return found


def read_evaluation(file: Path, where: str = "--evaluation") -> dict[str, Any]:
    """An evaluation.json.

    Raises:
        ConfigError: it is none, or of another version.
    """
    what = "evaluation of `cgpo feedback evaluate --output`"
    return read_result(file, JSON_NAME, SCHEMA, ("report", "time"), what, where)
