"""Metrics of a step that follow from its recorded responses alone, and which prompts gave a contrast.

A prompt whose responses all had the same outcome tells an optimiser nothing about which of them was better (its rewards
may still differ). With one response per prompt there is nothing to compare.

<stratum>/responses, /satisfied, /violated, /unknown          counts
<stratum>/satisfied_rate, /satisfied_rate/<judge>             satisfied over known verdicts
<stratum>/unknown_rate, /unknown_rate/<judge>                 unknown over responses (that the judge concerned)
<stratum>/not_judged/<judge>                                  verdicts skipped after another judge's violation
<stratum>/judge_seconds/<judge>, /judge_calls/…, /judge_tokens/…   what the verdicts took, over all ranks; calls and
                                                              tokens of judges that ask models
<stratum>/cache_hit_rate/<judge>                              verdicts that were known already, of a cached judge
<stratum>/calibrated_reward, /reward/<name>, /log_ratio       means over the responses that have one
<stratum>/missing_rewards/<name>                              responses without a score of that reward
<stratum>/zero_signal_rate                                    prompts whose responses all had the same outcome
<stratum>/response_tokens, /truncated_rate                    mean length; share cut off at the token limit
tokens/response                                               over all strata
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cgpo.tracking.rollouts import RolloutRow
from judges import NEUTRAL, Cost, Outcome


def step_metrics(rows: Sequence[RolloutRow]) -> dict[str, float | None]:
    """Metrics of all responses of a step (of every rank). A rate or mean over nothing is None, not 0."""
    metrics: dict[str, float | None] = {"tokens/response": sum(row.response_tokens for row in rows)}
    for stratum in dict.fromkeys(row.stratum for row in rows):
        stratum_rows = [row for row in rows if row.stratum == stratum]
        metrics |= {f"{stratum}/{name}": value for name, value in _stratum_metrics(stratum_rows).items()}
    return metrics


def contrast_by_prompt(rows: Sequence[RolloutRow]) -> dict[str, bool | None]:
    """Prompt id → whether its responses differed in outcome; None where it cannot be said.

    Args:
        rows: the responses of one stratum in one step.

    It cannot be said of a single response, and not when an unknown one could make the difference.
    """
    outcomes: dict[str, list[Outcome]] = {}
    for row in rows:
        outcomes.setdefault(row.prompt_id, []).append(row.outcome)
    return {prompt: _contrast(of_prompt) for prompt, of_prompt in outcomes.items()}


def zero_signal_rate(contrast: Mapping[str, bool | None]) -> float | None:
    """Share of prompts without contrast among those of which it can be said; None when there are none."""
    known = [differed for differed in contrast.values() if differed is not None]
    return known.count(False) / len(known) if known else None


def _stratum_metrics(rows: Sequence[RolloutRow]) -> dict[str, float | None]:
    outcomes = [row.outcome for row in rows]
    metrics: dict[str, float | None] = {
        "responses": len(rows),
        "satisfied": outcomes.count(Outcome.SATISFIED),
        "violated": outcomes.count(Outcome.VIOLATED),
        "unknown": outcomes.count(Outcome.UNKNOWN),
        **_rates(outcomes),
        "calibrated_reward": _mean(row.calibrated_reward for row in rows),
        "log_ratio": _mean(row.log_ratio for row in rows),
        "response_tokens": _mean(row.response_tokens for row in rows),
        "truncated_rate": _mean(row.finish_reason == "length" for row in rows),
        "zero_signal_rate": zero_signal_rate(contrast_by_prompt(rows)),
    }
    for judge in dict.fromkeys(name for row in rows for name in row.verdicts):
        verdicts = [row.verdicts[judge].outcome for row in rows if judge in row.verdicts]
        rates = _rates([outcome for outcome in verdicts if outcome not in NEUTRAL])
        metrics |= {f"{name}/{judge}": value for name, value in rates.items()}
        if Outcome.NOT_JUDGED in verdicts:
            metrics[f"not_judged/{judge}"] = verdicts.count(Outcome.NOT_JUDGED)
        metrics |= {f"{name}/{judge}": value for name, value in _costs(rows, judge).items()}
    for reward in dict.fromkeys(name for row in rows for name in row.rewards):
        metrics[f"reward/{reward}"] = _mean(row.rewards.get(reward) for row in rows)
        metrics[f"missing_rewards/{reward}"] = sum(row.rewards.get(reward) is None for row in rows)
    return metrics


def _costs(rows: Sequence[RolloutRow], judge: str) -> dict[str, float | None]:
    costs = [verdict.cost for row in rows if (verdict := row.verdicts.get(judge)) and verdict.cost]
    if not costs:
        return {}
    total = sum(costs, Cost(verdicts=0))
    metrics: dict[str, float | None] = {"judge_seconds": total.seconds}
    if total.calls:
        metrics |= {"judge_calls": total.calls, "judge_tokens": total.tokens}
    if total.calls or total.cached:
        metrics["cache_hit_rate"] = total.cached / total.verdicts
    return metrics


def _rates(outcomes: Sequence[Outcome]) -> dict[str, float | None]:
    known = [outcome for outcome in outcomes if outcome is not Outcome.UNKNOWN]
    return {
        "satisfied_rate": _mean(outcome is Outcome.SATISFIED for outcome in known),
        "unknown_rate": _mean(outcome is Outcome.UNKNOWN for outcome in outcomes),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _contrast(outcomes: Sequence[Outcome]) -> bool | None:
    if len(set(outcomes) - {Outcome.UNKNOWN}) > 1:
        return True
    return None if len(outcomes) < 2 or Outcome.UNKNOWN in outcomes else False
