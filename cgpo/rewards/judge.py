"""The reward `judge`: a judge's verdict on a response as a number.

    r(s, a) = the verdict's score, where the judge gives one (positive means satisfied)
            = +1 satisfied, −1 violated, otherwise
            = 0 not applicable: the judge has nothing to say of this prompt, so every response to it gets the same
    missing   unknown

A judge as a reward is a preference; a judge of the stratum is a constraint. The same judge may be both.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import model_validator

from cgpo.config import RewardSettings
from cgpo.config.strata import JudgeEntry
from cgpo.rewards.notes import ScoringNotes
from cgpo.types import Prompt
from judges import Outcome, Row, Verdict
from judges.constraint import Constraint
from judges.messages import judged_messages
from judges.mixture import Judging, Mixture
from judges.running.runtime import JudgeRuntime

_PLAIN = {Outcome.SATISFIED: 1.0, Outcome.VIOLATED: -1.0, Outcome.NOT_APPLICABLE: 0.0}


class JudgeRewardSettings(RewardSettings):
    """Settings of `judge`."""

    type: Literal["judge"] = "judge"
    judge: JudgeEntry
    """The judge: a name, or `{name: …, option: …}` as in `strata.<name>.judges`."""

    @model_validator(mode="after")
    def _known(self) -> JudgeRewardSettings:
        Constraint.parse(self.judge)
        return self


def verdict_score(verdict: Verdict) -> float | None:
    """r of a response with that verdict; None where the verdict is unknown."""
    if verdict.outcome in (Outcome.SATISFIED, Outcome.VIOLATED) and verdict.score is not None:
        return verdict.score
    return _PLAIN.get(verdict.outcome)


class JudgeReward:
    """Scores responses by a judge.

    Args:
        settings: which judge.
        name: the reward's name in the configuration.
    """

    Settings = JudgeRewardSettings
    beside_generation: ClassVar[bool] = True
    repeatable: ClassVar[bool] = False

    def __init__(self, settings: JudgeRewardSettings, name: str) -> None:
        self._settings = settings
        self._judges: Judging | None = None
        self._reasons: Counter[str] = Counter()

    def use_judges(self, judges: Judging) -> None:
        """Makes the judges' worker processes and connections of a run this reward's too."""
        self._judges = judges

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
        """r(s, a) of each response, in order; None where the verdict is unknown."""
        rows = [Row(judged_messages(p.messages), r, p.metadata) for p, r in zip(prompts, responses, strict=True)]
        label = self._settings.judge.label
        verdicts = [judgement.verdicts[label] for judgement in self._mixture.judge(rows)]
        scores = [verdict_score(verdict) for verdict in verdicts]
        self._reasons.update(v.reason for v, score in zip(verdicts, scores, strict=True) if score is None)
        return scores

    def take_notes(self) -> ScoringNotes:
        """Why scores are missing, since this was last asked."""
        reasons, self._reasons = self._reasons, Counter()
        return ScoringNotes(reasons=reasons)

    @cached_property
    def _mixture(self) -> Mixture:
        if self._judges is None:  # outside a run nobody lends workers
            self._judges = JudgeRuntime(1)
            weakref.finalize(self, self._judges.close)
        return Mixture([self._settings.judge], self._judges)
