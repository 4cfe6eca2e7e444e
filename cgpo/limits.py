"""Limits on what may be unknown: above them the run stops, on all ranks together, before anything is learnt from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.errors import RunError
from cgpo.rewards.calibration import check_missing
from cgpo.types import JudgedRollout
from judges import Outcome

_Said = tuple[str, Outcome, str]  # judge, outcome, reason


def check_limits(found: Mapping[str, Sequence[JudgedRollout]], settings: RunSettings, when: str) -> None:
    """Counts over all ranks what could not be judged or scored; every rank must call it.

    Args:
        found: stratum name → this rank's responses.
        settings: the run's settings.
        when: for the message, e.g. `step 12`.

    Raises:
        RunError: a judge's share of unknown verdicts or a reward's share of missing scores is above its limit.
    """
    parts = distributed.gather_objects((_said(found), _scores(found)))
    for name, stratum in settings.strata.items():
        _check_judges(name, [v for said, _ in parts for v in said[name]], stratum.max_unknown_rate, when)
    missing: Counter[str] = Counter()
    scored: Counter[str] = Counter()
    for _, scores in parts:
        for reward, absent in scores:
            scored[reward] += 1
            missing[reward] += absent
    limits = {name: reward.max_missing_rate for name, reward in settings.rewards.items()}
    check_missing({name: (missing[name], scored[name]) for name in scored}, limits, when)


def _said(found: Mapping[str, Sequence[JudgedRollout]]) -> dict[str, list[_Said]]:
    return {
        name: [(judge, v.outcome, v.reason) for j in judged for judge, v in j.judgement.verdicts.items()]
        for name, judged in found.items()
    }


def _scores(found: Mapping[str, Sequence[JudgedRollout]]) -> list[tuple[str, bool]]:
    """(reward, its score is missing) of every response."""
    return [(name, score is None) for judged in found.values() for j in judged for name, score in j.rewards.items()]


def _check_judges(stratum: str, said: Sequence[_Said], limit: float, when: str) -> None:
    for judge in dict.fromkeys(name for name, *_ in said):
        concerned = [(outcome, reason) for name, outcome, reason in said if name == judge]
        unknown = [reason for outcome, reason in concerned if outcome is Outcome.UNKNOWN]
        if len(unknown) > limit * len(concerned):
            raise RunError(
                f"{when}: judge {judge!r} of stratum {stratum!r} gave no verdict on {len(unknown)} of "
                f"{len(concerned)} responses; the limit strata.{stratum}.max_unknown_rate is {limit:g}. "
                f"The first reason: {unknown[0]}"
            )
