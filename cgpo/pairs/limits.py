"""Stops `cgpo preferences` when too much is unknown: a broken judge or reward would leave pairs of a chance part only.

The limits are those of training (`cgpo.responses.limits`), counted over all responses of a stratum so far, those of
earlier starts among them, and only from `FEWEST` on: a last chunk of two responses says nothing about a judge.
"""

from __future__ import annotations

from collections.abc import Sequence

from cgpo.config import RunSettings
from cgpo.pairs.ranking import REWARD
from cgpo.pairs.response_file import SampledResponse
from cgpo.responses.limits import StratumUnknowns, check_unknown, first_unknown
from cgpo.rewards.calibration import check_missing
from judges import Judgement

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
        responses = [sample for sample in samples if sample.stratum == name]
        if not responses or (len(responses) < FEWEST and not last):
            continue
        counts = StratumUnknowns()
        for response in responses:
            verdicts = Judgement.from_json(response.verdicts).verdicts
            counts.add(verdicts.items(), response.outcome, first_unknown(verdicts))
        check_unknown(counts, name, stratum, when)
        for reward in stratum.rewards if REWARD in settings.preferences.rank_by else ():
            absent, scored = missing.get(reward, (0, 0))
            absent += sum(response.rewards.get(reward) is None for response in responses)
            missing[reward] = (absent, scored + len(responses))
    check_missing(missing, {name: settings.rewards[name].max_missing_rate for name in missing}, when)
