"""Judges that look at training responses without constraining them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future

from cgpo.config.watch import WatchSettings
from cgpo.responses.stratum import Stratum
from cgpo.types import JudgedRollout
from judges import Judgement, Row, Verdict
from judges.mixture import Mixture
from judges.reasoning import without_reasoning
from judges.running.runtime import JudgeRuntime

Key = tuple[str, str, int]
"""Stratum, prompt id and index of a response."""

Asked = Mapping[Key, Future[Judgement]]


class IndependentJudges:
    """What `watch.independent_judges` asks for.

    Args:
        settings: the settings.
        runtime: what judges run on.
    """

    def __init__(self, settings: WatchSettings, runtime: JudgeRuntime) -> None:
        self._every = settings.judge_every
        self._judges = Mixture(settings.independent_judges, runtime) if settings.independent_judges else None

    def ask(self, step: int, strata: Mapping[str, Stratum], judged: Mapping[str, Sequence[JudgedRollout]]) -> Asked:
        """Gives this rank's responses of step 0, 1, … to the judges, who answer while the policy learns."""
        if self._judges is None or step % self._every:
            return {}
        return {key(j): self._judges.submit(_row(strata[name], j)) for name, found in judged.items() for j in found}


def verdicts(asked: Asked, judged: Iterable[JudgedRollout]) -> list[Mapping[str, Verdict]]:
    """The verdicts on these responses, in order; waits for them. They come in bounded time."""
    return [asked[key(j)].result().verdicts if key(j) in asked else {} for j in judged]


def key(judged: JudgedRollout) -> Key:
    """Which response it is."""
    request = judged.rollout.request
    return request.stratum, request.prompt.id, request.index


def _row(stratum: Stratum, judged: JudgedRollout) -> Row:
    prompt, response = judged.rollout.request.prompt, judged.rollout.response
    seen = without_reasoning(response) if stratum.settings.hide_reasoning else response
    return Row(prompt.messages, seen, prompt.metadata)
