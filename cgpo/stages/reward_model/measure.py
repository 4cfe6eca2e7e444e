"""Measures a trained reward model on held-out rows, head by head, through the reward that training will use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cgpo.pairs.pair import GIVEN, JUDGED
from cgpo.report.head_metrics import pairwise_report, pointwise_report, regression_report
from cgpo.report.head_report import rate_words, report_lines, report_section
from cgpo.report.page import Section
from cgpo.rewards.heads import Head
from cgpo.rewards.model import Reward
from cgpo.rewards.prior import prior_shift
from cgpo.stages.reward_model.rows import RewardRow
from cgpo.statistics.correlation import pearson
from cgpo.statistics.intervals import responses_rate
from cgpo.statistics.length import pair_order
from cgpo.statistics.resampling import CONFIDENCE
from cgpo.types import Prompt

Score = float | None


def measure_head(
    head: Head, reward: Reward, rows: Sequence[RewardRow], *, at_true_rate: bool
) -> tuple[dict[str, Any], Section]:
    """Scores held-out rows; returns the report and its section of the page.

    Args:
        head: what is measured.
        reward: gives the head's rewards.
        rows: held out.
        at_true_rate: of a `pointwise` head: the rows come at p₀, not at the rate of the training rows.
    """
    lengths = [float(len(text)) for row in rows for text in row.responses]
    scores = score_rows(reward, rows)
    if head.objective == "pairwise":
        report = _pairs(rows, scores, lengths)
        return report, report_section(f"Head {head.name}", report, scores, lengths)
    keys = [row.user or row.key for row in rows]
    targets = [row.target for row in rows]
    if head.objective == "regression":
        report = regression_report(scores, targets, lengths, clusters=keys)
        return report, report_section(f"Head {head.name}", report, scores, lengths)
    # Rows taken from the training data hold its share of positives; probabilities at another rate would not fit them.
    shift = 0.0 if at_true_rate else prior_shift(head.true_rate, head.training_rate)
    logits = [None if score is None else score + shift for score in scores]
    labels = [int(target) for target in targets]
    report = pointwise_report(logits, labels, lengths, clusters=keys)
    report |= {"probabilities_at_rate": head.true_rate if at_true_rate else head.training_rate}
    return report, report_section(f"Head {head.name}", report, logits, lengths, labels)


def score_rows(reward: Reward, rows: Sequence[RewardRow]) -> list[Score]:
    """The rewards of all responses, row by row."""
    prompts = [Prompt("", row.prompt) for row in rows for _ in row.responses]
    return reward.score(prompts, [text for row in rows for text in row.responses])


def head_lines(name: str, report: dict[str, Any]) -> list[str]:
    """The report in words, a line each."""
    lines = report_lines(f"head {name}", report)
    groups = [*report.get("by_kind", {}).items()]
    groups += [(f"stratum {stratum}", rate) for stratum, rate in report.get("by_stratum", {}).items()]
    return lines + [f"  accuracy, {group}: {rate_words(rate)} of {rate['n']}" for group, rate in groups]


def _pairs(rows: Sequence[RewardRow], scores: list[Score], lengths: list[float]) -> dict[str, Any]:
    """The report of pairs, also by kind and by stratum, and the correlation with length of what nobody corrupted."""
    chosen, rejected = scores[0::2], scores[1::2]
    report = pairwise_report(chosen, rejected, lengths[0::2], lengths[1::2], clusters=[row.key for row in rows])
    known = [(row, a, b) for row, a, b in zip(rows, chosen, rejected, strict=True) if a is not None and b is not None]
    order = pair_order([a for _, a, _ in known], [b for _, _, b in known])
    right = list(zip([row for row, _, _ in known], order, strict=True))
    return report | {
        "by_kind": {kind: _rate([x for x in right if x[0].kind == kind]) for kind in sorted({r.kind for r in rows})},
        "by_stratum": {
            name: _rate([x for x in right if x[0].stratum == name]) for name in sorted({r.stratum for r in rows} - {""})
        },
        "length_of_uncorrupted": _natural(known),
    }


def _rate(right: list[tuple[RewardRow, float]]) -> dict[str, Any]:
    if not right:
        return {"estimate": None, "low": None, "high": None, "n": 0}
    return asdict(responses_rate([value for _, value in right], [row.key for row, _ in right], CONFIDENCE))


def _natural(known: list[tuple[RewardRow, float, float]]) -> dict[str, Any]:
    """Pearson's correlation of score and number of characters, each response once."""
    natural: dict[tuple[str, str], float] = {}
    for row, better, worse in known:
        natural[row.texts[0]] = better
        if row.kind in (JUDGED, GIVEN):
            natural[row.texts[1]] = worse
    return asdict(pearson(list(natural.values()), [float(len(text)) for _, text in natural]))
