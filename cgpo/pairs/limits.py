"""Stops `cgpo preferences` when too much is unknown: a broken judge or reward would leave pairs of a chance part only.

Counted over all responses of a stratum so far, those of earlier starts among them, and only from `FEWEST` on: a last
chunk of two responses says nothing about a judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cgpo.config import RunSettings
from cgpo.errors import LimitError
from cgpo.pairs.ranking import REWARD
from cgpo.pairs.response_file import SampledResponse
from cgpo.rewards.calibration import check_missing
from judges import NEUTRAL, Outcome

FEWEST = 20
"""Responses of a stratum below which nothing is decided, unless there will be no more."""


def check_samples(samples: Sequence[SampledResponse], settings: RunSettings, when: str, *, last: bool) -> None:
    """Compares what is unknown with the limits of training.

    Args:
        samples: all responses so far.
        settings: the run's: `max_unknown_rate` of strata, `max_missing_rate` of rewards.
        when: for the message.
        last: there will be no more responses.

    Raises:
        LimitError: of a stratum's responses, or of a judge's verdicts, too many are unknown; or of a reward's scores
            too many are missing.
    """
    missing: dict[str, tuple[int, int]] = {}
    for name, stratum in settings.strata.items():
        mine = [s for s in samples if s.stratum == name]
        if not mine or (len(mine) < FEWEST and not last):
            continue
        limit, setting = stratum.max_unknown_rate, f"strata.{name}.max_unknown_rate"
        for judge in dict.fromkeys(judge for s in mine for judge in s.verdicts):
            said = [s.verdicts[judge] for s in mine if judge in s.verdicts]
            concerned = [v for v in said if Outcome(v["verdict"]) not in NEUTRAL]
            unknown = [v for v in concerned if v["verdict"] == Outcome.UNKNOWN]
            _check(
                f"{when}: judge {judge!r} of stratum {name!r} gave no verdict on", unknown, concerned, setting, limit
            )
        unknown = [v for s in mine if s.outcome is Outcome.UNKNOWN for v in _first_unknown(s)]
        _check(f"{when}: stratum {name!r} has no outcome for", unknown, mine, setting, limit)
        for reward in stratum.rewards if REWARD in settings.preferences.rank_by else ():
            before = missing.get(reward, (0, 0))
            missing[reward] = (before[0] + sum(s.rewards.get(reward) is None for s in mine), before[1] + len(mine))
    check_missing(missing, {name: settings.rewards[name].max_missing_rate for name in missing}, when)


def _first_unknown(sample: SampledResponse) -> list[Mapping[str, Any]]:
    return [v for v in sample.verdicts.values() if v["verdict"] == Outcome.UNKNOWN][:1]


def _check(
    who: str, unknown: Sequence[Mapping[str, Any]], concerned: Sequence[object], setting: str, limit: float
) -> None:
    if len(unknown) > limit * len(concerned):
        raise LimitError(
            f"{who} {len(unknown)} of {len(concerned)} responses; the limit {setting} is {limit:g}. "
            f"The first reason: {unknown[0]['reason']}"
        )
