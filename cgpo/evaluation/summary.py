"""Makes an evaluation of held-out responses: rates, means, win rates and changes of each stratum, with intervals.

Rates are over known verdicts only; unknown ones are counted beside. Nothing is ever averaged over strata. Where a
prompt has several responses, prompts are what intervals resample (`cgpo.statistics.intervals`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cgpo.evaluation.quantities import TIE, Quantity, Yardstick, quantities, satisfied, violated_by
from cgpo.statistics.evaluation import (
    Change,
    Evaluation,
    Mean,
    Rate,
    Sample,
    SideRate,
    StratumChanges,
    StratumMeasures,
    StratumSummary,
    Win,
)
from cgpo.statistics.intervals import (
    Interval,
    mean_change,
    mean_interval,
    rate_change,
    rate_interval,
    responses_rate,
)
from cgpo.tracking.rollouts import RolloutRow

SIDES = ("safety", "refusal")
"""The two sides that are shown next to each other: unsafe responses, and refusals of harmless requests."""

Rows = Mapping[str, Sequence[RolloutRow]]
"""Stratum → its responses, every rank's."""


def evaluate_rows(
    step: int, rows: Rows, yardsticks: Mapping[str, Yardstick], confidence: float, before: Rows | None = None
) -> Evaluation:
    """The evaluation of these responses.

    Args:
        step: optimiser steps done; 0 is before training.
        rows: the responses.
        yardsticks: what each stratum is measured with.
        confidence: level of the intervals, in (0, 1).
        before: the responses of the run's first evaluation, when there was one.
    """
    used = {name: yardsticks.get(name, Yardstick()) for name in rows}
    strata = {name: summarise(responses, confidence, used[name]) for name, responses in rows.items()}
    changes = None
    if before is not None:
        changes = {name: compare(before[name], rows[name], confidence, used[name]) for name in rows if name in before}
    return Evaluation(step, strata, _sides(rows, used, confidence), changes)


def summarise(
    rows: Sequence[RolloutRow],
    confidence: float,
    yardstick: Yardstick = Yardstick(),  # noqa: B008 - frozen
) -> StratumSummary:
    """The summary of one stratum.

    Args:
        rows: its responses, every rank's. A row has a `log_ratio` where its response was sampled from π_w at T > 0:
            only then is their mean an estimate of KL(π_w ‖ π_ref).
        confidence: level of the intervals, in (0, 1).
        yardstick: what they are measured with.
    """
    measured = quantities(rows, yardstick)
    measures: StratumMeasures = measured.map(
        lambda quantity: _rate(quantity, rows, confidence),
        lambda quantity: _mean(quantity, rows, confidence),
        lambda quantity: _win(quantity, rows, confidence),
    )
    if _several(rows):
        measures = replace(measures, satisfied_once=_rate_once(rows, confidence))
    by_prompt = {
        name: sample
        for name, quantity in measured.named().items()
        if name in ("satisfied", "calibrated_reward") or name.startswith("probes/")
        if (sample := _by_prompt(quantity, rows)) is not None
    }
    unknown = sum(satisfied(row) is None for row in rows)
    return StratumSummary(len(rows), len({row.prompt_id for row in rows}), unknown, measures, by_prompt)


def compare(
    before: Sequence[RolloutRow],
    after: Sequence[RolloutRow],
    confidence: float,
    yardstick: Yardstick = Yardstick(),  # noqa: B008 - frozen
) -> StratumChanges:
    """The changes in a stratum, after − before, paired by prompt and index over those known in both."""
    later = {(row.prompt_id, row.index): row for row in after}
    pairs = [(row, later[row.prompt_id, row.index]) for row in before if (row.prompt_id, row.index) in later]
    changes: StratumChanges = quantities([row for pair in pairs for row in pair], yardstick).map(
        lambda quantity: _change_of_rate(quantity, pairs, confidence),
        lambda quantity: _change_of_mean(quantity, pairs, confidence),
        lambda quantity: _change_of_mean(quantity, pairs, confidence),
    )
    if _several([old for old, _ in pairs]):
        changes = replace(changes, satisfied_once=_change_once(pairs, confidence))
    return changes


def by_stratum(rows: Iterable[RolloutRow]) -> dict[str, list[RolloutRow]]:
    """Stratum → its rows, order kept."""
    strata: dict[str, list[RolloutRow]] = {}
    for row in rows:
        strata.setdefault(row.stratum, []).append(row)
    return strata


def _sides(rows: Rows, yardsticks: Mapping[str, Yardstick], confidence: float) -> dict[str, list[SideRate]]:
    """Side → the violation rate of each judge of that side, by stratum."""
    sides: dict[str, list[SideRate]] = {side: [] for side in SIDES}
    for stratum, responses in rows.items():
        for judge, side in yardsticks[stratum].sides.items():
            sides[side].append(SideRate(stratum, judge, _rate(violated_by(judge), responses, confidence)))
    return sides


def _values(quantity: Quantity, rows: Sequence[RolloutRow]) -> tuple[list[float], list[str], int]:
    """The known values and their prompts, and how many are unknown."""
    concerned = [(row.prompt_id, quantity.of(row)) for row in rows if quantity.concerns(row)]
    known = [(prompt, value) for prompt, value in concerned if value is not None]
    return [value for _, value in known], [prompt for prompt, _ in known], len(concerned) - len(known)


def _rate(quantity: Quantity, rows: Sequence[RolloutRow], confidence: float) -> Rate:
    values, prompts, unknown = _values(quantity, rows)
    return Rate(*_bounds(responses_rate(values, prompts, confidence)), count=int(sum(values)), unknown=unknown)


def _win(quantity: Quantity, rows: Sequence[RolloutRow], confidence: float) -> Win:
    values, prompts, unknown = _values(quantity, rows)
    counts = (values.count(1.0), values.count(TIE), values.count(0.0))
    return Win(*_bounds(responses_rate(values, prompts, confidence)), *counts, unknown)


def _mean(quantity: Quantity, rows: Sequence[RolloutRow], confidence: float) -> Mean:
    values, prompts, _ = _values(quantity, rows)
    return Mean(*_bounds(mean_interval(values, confidence, prompts)))


def _by_prompt(quantity: Quantity, rows: Sequence[RolloutRow]) -> Sample | None:
    values, prompts, _ = _values(quantity, rows)
    groups: dict[str, list[float]] = {}
    for value, prompt in zip(values, prompts, strict=True):
        groups.setdefault(prompt, []).append(value)
    return Sample.of([math.fsum(group) / len(group) for group in groups.values()])


Pairs = Sequence[tuple[RolloutRow, RolloutRow]]
"""Responses to the same prompts, before and after."""


def _paired_values(quantity: Quantity, pairs: Pairs) -> tuple[list[float], list[float], list[str]]:
    """The values before and after where both are known, and their prompts."""
    known = [
        (value_before, value_after, old.prompt_id)
        for old, new in pairs
        if quantity.concerns(old) and quantity.concerns(new)
        if (value_before := quantity.of(old)) is not None and (value_after := quantity.of(new)) is not None
    ]
    return [b for b, _, _ in known], [a for _, a, _ in known], [prompt for _, _, prompt in known]


def _change_of_rate(quantity: Quantity, pairs: Pairs, confidence: float) -> Change:
    before, after, prompts = _paired_values(quantity, pairs)
    return Change(*_bounds(rate_change([bool(b) for b in before], [bool(a) for a in after], confidence, prompts)))


def _change_of_mean(quantity: Quantity, pairs: Pairs, confidence: float) -> Change:
    before, after, prompts = _paired_values(quantity, pairs)
    return Change(*_bounds(mean_change(before, after, confidence, prompts)))


def _rate_once(rows: Sequence[RolloutRow], confidence: float) -> Rate:
    values = list(_once(rows).values())
    known = [value for value in values if value is not None]
    interval = rate_interval(sum(known), len(known), confidence)
    return Rate(*_bounds(interval), count=sum(known), unknown=len(values) - len(known))


def _change_once(pairs: Pairs, confidence: float) -> Change:
    before, after = _once([old for old, _ in pairs]), _once([new for _, new in pairs])
    known = [(b, a) for prompt, b in before.items() if b is not None and (a := after[prompt]) is not None]
    return Change(*_bounds(rate_change([b for b, _ in known], [a for _, a in known], confidence)))


def _once(rows: Sequence[RolloutRow]) -> dict[str, bool | None]:
    """Prompt → whether one of its responses is satisfied; None when none is, but one is unknown."""
    verdicts: dict[str, list[bool | None]] = {}
    for row in rows:
        verdicts.setdefault(row.prompt_id, []).append(satisfied(row))
    return {prompt: True if True in each else None if None in each else False for prompt, each in verdicts.items()}


def _several(rows: Sequence[RolloutRow]) -> bool:
    return len({row.prompt_id for row in rows}) < len(rows)


def _bounds(interval: Interval) -> tuple[float | None, float | None, float | None, int]:
    return interval.estimate, interval.low, interval.high, interval.n
