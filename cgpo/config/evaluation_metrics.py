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

from collections.abc import Mapping
from typing import Any

from cgpo.config import EvalSettings, RunSettings, StratumSettings

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
_BY_NAME = {"judges": "satisfied_rate", "rewards": "reward", "win_rates": "win_rate", "probes": "violated_rate"}


def evaluation_metrics(line: Mapping[str, Any]) -> dict[str, float]:
    """Metric name → value of an evaluation (a line of `evaluation.jsonl`). What is not known is left out, never 0."""
    found: dict[str, float | None] = {}
    for stratum, summary in line["strata"].items():
        for key, name in _SINGLE.items():
            found[f"{stratum}/{name}"] = _value(summary.get(key))
        for key, name in _BY_NAME.items():
            for part, measured in summary.get(key, {}).items():
                found[f"{stratum}/{name}/{part}"] = _value(measured)
        if summary.get("n"):
            found[f"{stratum}/unknown_rate"] = summary["unknown"] / summary["n"]
    return {name: float(value) for name, value in found.items() if value is not None}


def evaluation_metric_names(settings: RunSettings) -> list[str]:
    """The names an evaluation of a run with these settings can have, sorted."""
    return sorted(
        f"{stratum}/{name}"
        for stratum, own in settings.strata.items()
        if own.heldout is not None
        for name in _names(own, settings.eval)
        | {f"reward/{reward}" for reward in settings.independent_rewards(stratum)}
    )


def _names(stratum: StratumSettings, asked: EvalSettings) -> set[str]:
    absent = {
        "satisfied_once_rate": asked.responses_per_prompt == 1,
        "preference_win_rate": asked.preference is None,
        "kl": asked.temperature == 0,
    }
    names = {"unknown_rate"} | {name for name in _SINGLE.values() if not absent.get(name, False)}
    names |= {f"satisfied_rate/{spec.label}" for spec in stratum.judges}
    names |= {f"violated_rate/{spec.label}" for spec in asked.probes}
    names |= {f"reward/{reward}" for reward in stratum.rewards}
    if len(stratum.rewards) > 1:
        names |= {f"win_rate/{reward}" for reward in stratum.rewards}
    if stratum.truncated != "judge":
        names.add("satisfied_rate/truncated")
    return names


def _value(measured: Any) -> float | None:
    if not isinstance(measured, Mapping):
        return None
    value = measured.get("rate", measured.get("mean"))
    return None if value is None else float(value)
