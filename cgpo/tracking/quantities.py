"""The numbers of a step that follow from its recorded responses alone, under their metric names.

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

from collections.abc import Iterable, Sequence

from cgpo.tracking.contrast import contrast_by_prompt, zero_signal_rate
from cgpo.tracking.rollouts import RolloutRow
from judges import NEUTRAL, Cost, Outcome


def step_metrics(rows: Sequence[RolloutRow]) -> dict[str, float | None]:
    """Metrics of all responses of a step (of every rank). A rate or mean over nothing is None, not 0."""
    metrics: dict[str, float | None] = {"tokens/response": sum(row.response_tokens for row in rows)}
    for stratum in dict.fromkeys(row.stratum for row in rows):
        own = [row for row in rows if row.stratum == stratum]
        metrics |= {f"{stratum}/{name}": value for name, value in _stratum_metrics(own).items()}
    return metrics


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
        said = [row.verdicts[judge].outcome for row in rows if judge in row.verdicts]
        rates = _rates([outcome for outcome in said if outcome not in NEUTRAL])
        metrics |= {f"{name}/{judge}": value for name, value in rates.items()}
        if Outcome.NOT_JUDGED in said:
            metrics[f"not_judged/{judge}"] = said.count(Outcome.NOT_JUDGED)
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
    found: dict[str, float | None] = {"judge_seconds": total.seconds}
    if total.calls:
        found |= {"judge_calls": total.calls, "judge_tokens": total.tokens}
    if total.calls or total.cached:
        found["cache_hit_rate"] = total.cached / total.verdicts
    return found


def _rates(outcomes: Sequence[Outcome]) -> dict[str, float | None]:
    known = [outcome for outcome in outcomes if outcome is not Outcome.UNKNOWN]
    return {
        "satisfied_rate": _mean(outcome is Outcome.SATISFIED for outcome in known),
        "unknown_rate": _mean(outcome is Outcome.UNKNOWN for outcome in outcomes),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else None
