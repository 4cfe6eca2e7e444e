"""The numbers of a step or of an evaluation that trends are made of: by prompt, in [0, 1], higher is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

from cgpo.overoptimisation.trend import Sample
from cgpo.rewards.calibration import calibrate, finite
from cgpo.tracking.rollouts import RolloutRow
from judges import Outcome, Verdict

SATISFIED = "satisfied rate"
"""Measure: what the stratum's own judges say. They constrain; they are no part of the reward."""

_HOLDS = {Outcome.SATISFIED: 1.0, Outcome.VIOLATED: 0.0}

Value = Callable[[RolloutRow], float | None]


def trained(row: RolloutRow) -> float | None:
    """The calibrated reward."""
    return finite(row.calibrated_reward)


def of_step(rows: Sequence[RolloutRow], rewards: Sequence[str]) -> dict[str, Sample | None]:
    """The independent measures of a stratum's responses; None where nothing is known.

    Args:
        rows: of a step.
        rewards: independent rewards, each taken as sigmoid(r(s, a) − r(s, ā)).
    """
    found = {f"reward {name}": sample(rows, _calibrated(name)) for name in rewards}
    for name in dict.fromkeys(name for row in rows for name in row.probes):
        found[f"judge {name}"] = sample(rows, _judged(name))
    if any(row.verdicts for row in rows):
        found[SATISFIED] = sample(rows, lambda row: _HOLDS.get(row.outcome))
    return found


def sample(rows: Sequence[RolloutRow], value: Value) -> Sample | None:
    """A quantity of these responses; None where nothing is known."""
    return Sample.of([math.fsum(known) / len(known) for known in by_prompt(rows, value) if known])


def by_prompt(rows: Sequence[RolloutRow], value: Value) -> list[list[float]]:
    """The known values of each prompt's responses."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        known = value(row)
        if known is not None:
            groups.setdefault(row.prompt_id, []).append(known)
    return list(groups.values())


def lengths_and_rewards(rows: Sequence[RolloutRow]) -> list[list[tuple[float, float]]]:
    """(tokens, calibrated reward) of each prompt's responses that have one."""
    groups: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        reward = trained(row)
        if reward is not None:
            groups.setdefault(row.prompt_id, []).append((float(row.response_tokens), reward))
    return list(groups.values())


def of_evaluation(summary: Mapping[str, Any], confidence: float) -> tuple[Sample | None, dict[str, Sample | None]]:
    """The calibrated reward and the independent measures of a stratum's held-out responses.

    Args:
        summary: of the stratum, in a line of `evaluation.jsonl`.
        confidence: level of its intervals, in (0, 1).
    """
    prompts = summary.get("prompts", 0)
    found = {"held-out satisfied rate": _rate(summary.get("satisfied"), prompts)}
    for name, rate in summary.get("probes", {}).items():
        violated = _rate(rate, prompts)
        if violated is not None:
            violated = Sample(1 - violated.mean, violated.prompts, violated.squares)
        found[f"held-out {name}"] = violated
    return _mean(summary.get("calibrated_reward"), prompts, confidence), found


def _rate(found: Any, prompts: int) -> Sample | None:
    """A rate of an evaluation. Several responses to a prompt vary less: this errs on the wide side."""
    if not isinstance(found, Mapping):
        return None
    p, n = found.get("rate"), min(int(found.get("n") or 0), prompts)
    return Sample(float(p), n, n * float(p) * (1 - float(p))) if p is not None and n else None


def _mean(found: Any, prompts: int, confidence: float) -> Sample | None:
    """A mean of an evaluation, its variance taken from the width of its interval."""
    if not isinstance(found, Mapping) or found.get("mean") is None or found.get("low") is None:
        return None
    n = min(int(found.get("n") or 0), prompts)
    error = (found["high"] - found["low"]) / (2 * NormalDist().inv_cdf((1 + confidence) / 2))
    return Sample(float(found["mean"]), n, (n * error) ** 2) if n else None


def _calibrated(name: str) -> Value:
    return lambda row: calibrate(row.rewards, row.baseline_rewards, {name: 1.0})


def _judged(name: str) -> Value:
    def value(row: RolloutRow) -> float | None:
        verdict: Verdict | None = row.probes.get(name)
        return None if verdict is None else _HOLDS.get(verdict.outcome)

    return value
