"""The numbers of an evaluation by name, as loggers show them and `best checkpoint by …` chooses by.

<stratum>/satisfied_rate[/<judge>]          satisfied over known verdicts
<stratum>/satisfied_once_rate               prompts of whose several responses at least one is satisfied
<stratum>/unknown_rate                      responses without a known verdict
<stratum>/calibrated_reward, /reward/<name> means
<stratum>/win_rate[/<reward>], /preference_win_rate     against the reference's response; ties count half
<stratum>/violated_rate/<probe>             what probes measure: repetition, farewell, refusal
<stratum>/truncated_rate, /response_tokens, /response_words, /kl
"""

from __future__ import annotations

from cgpo.config import EvalSettings, RunSettings, StratumSettings
from cgpo.statistics.evaluation import Evaluation

_SINGLE = {
    "satisfied": "satisfied_rate",
    "satisfied_once": "satisfied_once_rate",
    "calibrated_reward": "calibrated_reward",
    "win_rate": "win_rate",
    "preference_win_rate": "preference_win_rate",
    "truncated": "truncated_rate",
    "kl": "kl",
    "response_tokens": "response_tokens",
    "response_words": "response_words",
}
"""Measure → metric; measures are named as the fields of `cgpo.statistics.evaluation.Measures`."""

_BY_NAME = {"judges": "satisfied_rate", "rewards": "reward", "win_rates": "win_rate", "probes": "violated_rate"}
"""The same of measures that are several, each of a judge, reward or probe."""


def evaluation_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Metric name → value of an evaluation. What is not known is left out, never 0."""
    metrics: dict[str, float] = {}
    for stratum, summary in evaluation.strata.items():
        measures = {name: m.estimate for name, m in summary.measures.named().items() if m.estimate is not None}
        metrics |= {f"{stratum}/{name}": float(measures[key]) for key, name in _SINGLE.items() if key in measures}
        for key, name in _BY_NAME.items():
            parts = {part.removeprefix(f"{key}/"): v for part, v in measures.items() if part.startswith(f"{key}/")}
            metrics |= {f"{stratum}/{name}/{part}": float(value) for part, value in parts.items()}
        if summary.n and summary.unknown is not None:
            metrics[f"{stratum}/unknown_rate"] = summary.unknown / summary.n
    return metrics


def evaluation_metric_names(settings: RunSettings) -> list[str]:
    """The names an evaluation of a run with these settings can have, sorted."""
    return sorted(
        f"{name}/{metric}"
        for name, stratum in settings.strata.items()
        if stratum.heldout is not None
        for metric in _names(stratum, settings.eval)
        | {f"reward/{reward}" for reward in settings.independent_rewards(name)}
    )


def _names(stratum: StratumSettings, evaluation: EvalSettings) -> set[str]:
    absent = {
        "satisfied_once_rate": evaluation.responses_per_prompt == 1,
        "preference_win_rate": evaluation.preference is None,
        "kl": evaluation.temperature == 0,
    }
    names = {"unknown_rate"} | {name for name in _SINGLE.values() if not absent.get(name, False)}
    names |= {f"satisfied_rate/{spec.label}" for spec in stratum.judges}
    names |= {f"violated_rate/{spec.label}" for spec in evaluation.probes}
    names |= {f"reward/{reward}" for reward in stratum.rewards}
    if len(stratum.rewards) > 1:
        names |= {f"win_rate/{reward}" for reward in stratum.rewards}
    if stratum.truncated != "judge":
        names.add("satisfied_rate/truncated")
    return names
