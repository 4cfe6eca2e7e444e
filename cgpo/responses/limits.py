"""Limits on what may be unknown: above them the run stops, on all ranks together, before anything is learnt from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.errors import LimitError
from cgpo.rewards.calibration import check_missing
from cgpo.rewards.notes import ScoringNotes
from cgpo.types import JudgedRollout
from judges import NEUTRAL, Outcome

_Said = tuple[str, Outcome, str]  # judge, outcome, reason


def check_limits(
    found: Mapping[str, Sequence[JudgedRollout]],
    settings: RunSettings,
    when: str,
    notes: Mapping[str, ScoringNotes] = MappingProxyType({}),
) -> None:
    """Counts over all ranks what could not be judged or scored; every rank must call it.

    Args:
        found: stratum name → this rank's responses.
        settings: the run's settings.
        when: for the message, e.g. `step 12`.
        notes: what the rewards of all ranks had to say, by name.

    Raises:
        LimitError: of a stratum's responses, or of a judge's verdicts, too many are unknown; or of a reward's scores
            (of responses and of baseline responses) too many are missing.
    """
    parts = distributed.gather_objects((_said(found), _scores(found)))
    missing: Counter[str] = Counter()
    scored: Counter[str] = Counter()
    for _, scores in parts:
        for reward, absent in scores:
            scored[reward] += 1
            missing[reward] += absent
    limits = {name: reward.max_missing_rate for name, reward in settings.rewards.items()}
    reasons = {name: said.reason for name, said in notes.items()}
    check_missing({name: (missing[name], scored[name]) for name in scored}, limits, when, reasons)
    for name, stratum in settings.strata.items():
        said = [v for part, _ in parts for v in part.get(name, [])]  # not every step has every stratum
        for judge in dict.fromkeys(judge for judge, *_ in said):
            own = [(outcome, reason) for key, outcome, reason in said if key == judge]
            _check(f"{when}: {_who(judge, name)}", own, f"strata.{name}.max_unknown_rate", stratum.max_unknown_rate)


_WHOLE = ""
"""In place of a judge's name: the outcome of the whole response, its reward in view."""


def _who(judge: str, stratum: str) -> str:
    if judge == _WHOLE:
        return f"stratum {stratum!r} has no outcome for"
    return f"judge {judge!r} of stratum {stratum!r} gave no verdict on"


def _said(found: Mapping[str, Sequence[JudgedRollout]]) -> dict[str, list[_Said]]:
    """Every verdict, and the outcome of every response; neutral verdicts concern nobody."""
    return {
        name: [
            *(
                (judge, v.outcome, v.reason)
                for j in judged
                for judge, v in j.judgement.verdicts.items()
                if v.outcome not in NEUTRAL
            ),
            *((_WHOLE, j.outcome, _first_unknown(j)) for j in judged),  # last: a judge's name says more
        ]
        for name, judged in found.items()
    }


def _first_unknown(judged: JudgedRollout) -> str:
    verdicts = judged.judgement.verdicts.items()
    reasons = [f"{name}: {v.reason}" for name, v in verdicts if v.outcome is Outcome.UNKNOWN]
    return reasons[0] if reasons else "its reward is missing"


def _scores(found: Mapping[str, Sequence[JudgedRollout]]) -> list[tuple[str, bool]]:
    """(reward, its score is missing) of every response, the baseline's with it."""
    return [
        (name, score is None or j.baseline_rewards.get(name) is None)
        for judged in found.values()
        for j in judged
        for name, score in j.rewards.items()
    ]


def _check(who: str, concerned: Sequence[tuple[Outcome, str]], setting: str, limit: float) -> None:
    unknown = [reason for outcome, reason in concerned if outcome is Outcome.UNKNOWN]
    if len(unknown) > limit * len(concerned):
        raise LimitError(
            f"{who} {len(unknown)} of {len(concerned)} responses; the limit {setting} is {limit:g}. "
            f"The first reason: {unknown[0]}"
        )
