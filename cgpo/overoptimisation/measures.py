"""The measures that trends are made of, and the judges that make some of them.

Measures are numbers of a step or of an evaluation, by prompt, in [0, 1], higher is better. Independent judges look at
training responses without constraining them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from statistics import NormalDist

from cgpo.config.watch import WatchSettings
from cgpo.responses.stratum import Stratum
from cgpo.rewards.calibration import calibrate, finite
from cgpo.statistics.evaluation import Mean, Sample, StratumSummary
from cgpo.tracking.rollouts import RolloutRow
from cgpo.types import JudgedRollout, ResponseKey
from judges import Judgement, Outcome, Verdict
from judges.mixture import Mixture
from judges.running.runtime import JudgeRuntime

SATISFIED = "satisfied rate"
"""Measure: the stratum's own judges. They constrain; they are no part of the reward."""

_HOLDS = {Outcome.SATISFIED: 1.0, Outcome.VIOLATED: 0.0}

Value = Callable[[RolloutRow], float | None]

PendingVerdicts = Mapping[ResponseKey, Future[Judgement]]
"""The verdicts on responses, when they are there."""


def trained(row: RolloutRow) -> float | None:
    """The calibrated reward."""
    return finite(row.calibrated_reward)


def of_step(rows: Sequence[RolloutRow], rewards: Sequence[str]) -> dict[str, Sample | None]:
    """The independent measures of a stratum's responses; None where nothing is known.

    Args:
        rows: of a step.
        rewards: independent rewards, each taken as sigmoid(r(s, a) − r(s, ā)).
    """
    samples = {f"reward {name}": sample(rows, _calibrated(name)) for name in rewards}
    for name in dict.fromkeys(name for row in rows for name in row.probes):
        samples[f"judge {name}"] = sample(rows, _judged(name))
    if any(row.verdicts for row in rows):
        samples[SATISFIED] = sample(rows, lambda row: _HOLDS.get(row.outcome))
    return samples


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


def of_evaluation(summary: StratumSummary, confidence: float) -> tuple[Sample | None, dict[str, Sample | None]]:
    """The calibrated reward and the independent measures of a stratum's held-out responses.

    Args:
        summary: of the stratum.
        confidence: level of its intervals, in (0, 1); used where the summary says nothing by prompt.
    """
    samples = {"held-out satisfied rate": _heldout(summary, "satisfied", confidence)}
    for probe in summary.measures.probes:
        violated = _heldout(summary, f"probes/{probe}", confidence)
        samples[f"held-out {probe}"] = (
            None if violated is None else Sample(1 - violated.mean, violated.prompts, violated.squares)
        )
    return _heldout(summary, "calibrated_reward", confidence), samples


def _heldout(summary: StratumSummary, name: str, confidence: float) -> Sample | None:
    """A measure by prompt, as the evaluation had it.

    Evaluations of earlier versions did not record it. Of those, the variance of a mean is taken from the width of its
    interval, and that of a rate is p (1 − p): with several responses to a prompt it is less, so this errs on the wide
    side.
    """
    if name in summary.by_prompt:
        return summary.by_prompt[name]
    measure = summary.measures.named().get(name)
    n = 0 if measure is None else min(measure.n, summary.prompts or 0)
    if measure is None or measure.estimate is None or not n:
        return None
    if not isinstance(measure, Mean):
        return Sample(measure.estimate, n, n * measure.estimate * (1 - measure.estimate))
    if measure.low is None or measure.high is None:
        return None
    error = (measure.high - measure.low) / (2 * NormalDist().inv_cdf((1 + confidence) / 2))
    return Sample(measure.estimate, n, (n * error) ** 2)


def _calibrated(name: str) -> Value:
    return lambda row: calibrate(row.rewards, row.baseline_rewards, {name: 1.0})


def _judged(name: str) -> Value:
    def value(row: RolloutRow) -> float | None:
        verdict: Verdict | None = row.probes.get(name)
        return None if verdict is None else _HOLDS.get(verdict.outcome)

    return value


class IndependentJudges:
    """The judges of `watch.independent_judges`.

    Args:
        settings: the settings.
        runtime: what judges run on.
    """

    def __init__(self, settings: WatchSettings, runtime: JudgeRuntime) -> None:
        self._every = settings.judge_every
        self._judges = Mixture(settings.independent_judges, runtime) if settings.independent_judges else None

    def submit(
        self, step: int, strata: Mapping[str, Stratum], judged: Mapping[str, Sequence[JudgedRollout]]
    ) -> PendingVerdicts:
        """Gives this rank's responses of step 0, 1, … to the judges, who answer while the policy learns."""
        if self._judges is None or step % self._every:
            return {}
        return {
            j.rollout.request.key: self._judges.submit(strata[name].row(j.rollout))
            for name, responses in judged.items()
            for j in responses
        }


def verdicts(pending: PendingVerdicts, judged: Iterable[JudgedRollout]) -> list[Mapping[str, Verdict]]:
    """The verdicts on these responses, in order; waits for them. They come in bounded time."""
    keys = [j.rollout.request.key for j in judged]
    return [pending[key].result().verdicts if key in pending else {} for key in keys]
