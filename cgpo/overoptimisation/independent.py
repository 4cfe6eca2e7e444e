"""Judges that look at training responses without constraining them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future

from cgpo.config.watch import WatchSettings
from cgpo.responses.stratum import Stratum
from cgpo.types import JudgedRollout, ResponseKey
from judges import Judgement, Verdict
from judges.mixture import Mixture
from judges.running.runtime import JudgeRuntime

PendingVerdicts = Mapping[ResponseKey, Future[Judgement]]
"""The verdicts on responses, when they are there."""


class IndependentJudges:
    """What `watch.independent_judges` asks for.

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
