"""What an evaluation on held-out prompts says of each stratum: rates, means, win rates and changes with intervals.

Rates are over known verdicts only; unknown ones are counted beside. Nothing is ever averaged over strata. Where a
prompt has several responses, prompts are what intervals resample (`cgpo.statistics.intervals`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cgpo.evaluation.quantities import Quantity, Yardstick, quantities, satisfied, violated_by
from cgpo.evaluation.wins import TIE
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

SCHEMA = 1
"""Version of the form of an evaluation's line."""

Rows = Mapping[str, Sequence[RolloutRow]]
"""Stratum → its responses, every rank's."""


def evaluation_line(
    step: int, rows: Rows, yardsticks: Mapping[str, Yardstick], confidence: float, before: Rows | None = None
) -> dict[str, Any]:
    """A line of `evaluation.jsonl`.

    Args:
        step: optimiser steps done; 0 is before training.
        rows: the responses.
        yardsticks: what each stratum is measured with.
        confidence: level of the intervals, in (0, 1).
        before: the responses of the run's first evaluation, when there was one.

    Returns:
        `{"schema", "step", "strata": {name: summary}, "sides": {side: [rate …]}}`, with `before` also
        `"changes": {name: change}`.
    """
    measured = {name: yardsticks.get(name, Yardstick()) for name in rows}
    line: dict[str, Any] = {
        "schema": SCHEMA,
        "step": step,
        "strata": {name: summarise(mine, confidence, measured[name]) for name, mine in rows.items()},
        "sides": _sides(rows, measured, confidence),
    }
    if before is not None:
        line["changes"] = {
            name: compare(before[name], mine, confidence, measured[name])
            for name, mine in rows.items()
            if name in before
        }
    return line


def summarise(
    rows: Sequence[RolloutRow],
    confidence: float,
    yardstick: Yardstick = Yardstick(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """The summary of one stratum.

    Args:
        rows: its responses, every rank's. A row has a `log_ratio` where its response was sampled from π_w at T > 0:
            only then is their mean an estimate of KL(π_w ‖ π_ref).
        confidence: level of the intervals, in (0, 1).
        yardstick: what they are measured with.

    Returns:
        `{"n", "prompts", "unknown", "satisfied": rate, "satisfied_once": rate, "judges": {name: rate},
        "calibrated_reward": mean, "rewards": {name: mean}, "win_rate": win, "win_rates": {reward: win},
        "preference_win_rate": win, "probes": {name: rate of violations}, "truncated": rate, "kl": mean,
        "response_tokens": mean, "response_words": mean}`, as far as there is something to measure. A rate is
        `{"count", "n", "rate", "low", "high", "unknown"}`; a win is `{"wins", "ties", "losses", "n", "rate", "low",
        "high", "unknown"}`; a mean is `{"mean", "low", "high", "n"}`. Estimates without data are null.
        `satisfied_once` is over prompts, and only there when a prompt has several responses.
    """
    summary: dict[str, Any] = {
        "n": len(rows),
        "prompts": len({row.prompt_id for row in rows}),
        "unknown": sum(satisfied(row) is None for row in rows),
        "judges": {},
    }
    for quantity in quantities(rows, yardstick):
        _put(summary, quantity.path, _measured(quantity, rows, confidence))
    if _several(rows):
        values = list(_once(rows).values())
        known = [value for value in values if value is not None]
        summary["satisfied_once"] = _rate(rate_interval(sum(known), len(known), confidence), sum(known), values)
    return summary


def compare(
    before: Sequence[RolloutRow],
    after: Sequence[RolloutRow],
    confidence: float,
    yardstick: Yardstick = Yardstick(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """What changed in a stratum, after − before, paired by prompt and index over those known in both.

    Returns:
        The keys of `summarise`, with a change `{"change", "low", "high", "n"}` at each; n is the number of pairs.
    """
    later = {(row.prompt_id, row.index): row for row in after}
    pairs = [(row, later[row.prompt_id, row.index]) for row in before if (row.prompt_id, row.index) in later]
    changes: dict[str, Any] = {"judges": {}}
    for quantity in quantities([row for pair in pairs for row in pair], yardstick):
        _put(changes, quantity.path, _changed(quantity, pairs, confidence))
    if _several([old for old, _ in pairs]):
        olds, news = _once([old for old, _ in pairs]), _once([new for _, new in pairs])
        known = [(o, n) for prompt, o in olds.items() if o is not None and (n := news[prompt]) is not None]
        changes["satisfied_once"] = _change(rate_change([o for o, _ in known], [n for _, n in known], confidence))
    return changes


def _sides(rows: Rows, yardsticks: Mapping[str, Yardstick], confidence: float) -> dict[str, Any]:
    """Side → the violation rate of each judge of that side, by stratum."""
    found: dict[str, Any] = {side: [] for side in SIDES}
    for stratum, mine in rows.items():
        for judge, side in yardsticks[stratum].sides.items():
            found[side].append({"stratum": stratum, "judge": judge, **_measured(violated_by(judge), mine, confidence)})
    return found


def _measured(quantity: Quantity, rows: Sequence[RolloutRow], confidence: float) -> dict[str, Any]:
    concerned = [row for row in rows if quantity.concerns(row)]
    values = [quantity.of(row) for row in concerned]
    known = [value for value in values if value is not None]
    prompts = [row.prompt_id for row, value in zip(concerned, values, strict=True) if value is not None]
    if quantity.kind == "mean":
        found = mean_interval(known, confidence, prompts)
        return {"mean": found.estimate, "low": found.low, "high": found.high, "n": found.n}
    found = responses_rate(known, prompts, confidence)
    if quantity.kind == "rate":
        return _rate(found, int(sum(known)), values)
    counts = {"wins": known.count(1.0), "ties": known.count(TIE), "losses": known.count(0.0)}
    return counts | {key: value for key, value in _rate(found, 0, values).items() if key != "count"}


def _changed(quantity: Quantity, pairs: Sequence[tuple[RolloutRow, RolloutRow]], confidence: float) -> dict[str, Any]:
    concerned = [(old, new) for old, new in pairs if quantity.concerns(old) and quantity.concerns(new)]
    known = [
        (old.prompt_id, before, after)
        for old, new in concerned
        if (before := quantity.of(old)) is not None and (after := quantity.of(new)) is not None
    ]
    prompts = [prompt for prompt, *_ in known]
    befores, afters = [b for _, b, _ in known], [a for *_, a in known]
    if quantity.kind == "rate":
        return _change(rate_change([bool(b) for b in befores], [bool(a) for a in afters], confidence, prompts))
    return _change(mean_change(befores, afters, confidence, prompts))


def _once(rows: Sequence[RolloutRow]) -> dict[str, bool | None]:
    """Prompt → whether one of its responses is satisfied; None when none is, but one is unknown."""
    said: dict[str, list[bool | None]] = {}
    for row in rows:
        said.setdefault(row.prompt_id, []).append(satisfied(row))
    return {prompt: True if True in all_ else None if None in all_ else False for prompt, all_ in said.items()}


def _several(rows: Sequence[RolloutRow]) -> bool:
    return len({row.prompt_id for row in rows}) < len(rows)


def _put(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def _rate(found: Interval, count: int, values: Iterable[float | None]) -> dict[str, Any]:
    unknown = sum(value is None for value in values)
    numbers = {"rate": found.estimate, "low": found.low, "high": found.high}
    return {"count": count, "n": found.n, **numbers, "unknown": unknown}


def _change(found: Interval) -> dict[str, Any]:
    return {"change": found.estimate, "low": found.low, "high": found.high, "n": found.n}


def by_stratum(rows: Iterable[RolloutRow]) -> dict[str, list[RolloutRow]]:
    """Stratum → its rows, order kept."""
    found: dict[str, list[RolloutRow]] = {}
    for row in rows:
        found.setdefault(row.stratum, []).append(row)
    return found
