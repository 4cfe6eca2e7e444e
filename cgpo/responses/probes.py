"""Judges that measure held-out responses but constrain nothing: probes, and the comparison with the reference."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

from cgpo.config import EvalSettings
from cgpo.responses.stratum import Stratum
from cgpo.types import Rollout
from judges import Judgement, Verdict
from judges.mixture import Mixture
from judges.running.runtime import JudgeRuntime

PREFERENCE = "preference"
"""The name under which a comparison's verdict is returned."""

SAME_TEXT = Verdict.of(True, "the same text as the reference's response", 0.0)
"""The verdict on two equal responses, for which no model is asked."""


class Probes:
    """What `eval.probes` and `eval.preference` ask for.

    Args:
        settings: the settings.
        runtime: what judges run on.
    """

    def __init__(self, settings: EvalSettings, runtime: JudgeRuntime) -> None:
        self._probes = Mixture(settings.probes, runtime)
        self._preference = None if settings.preference is None else Mixture([settings.preference], runtime)

    @property
    def compares(self) -> bool:
        """Whether a preference judge is asked."""
        return self._preference is not None

    def submit(self, stratum: Stratum, rollout: Rollout) -> Future[Judgement]:
        """Gives a response to the probes."""
        return self._probes.submit(stratum.row(rollout))

    def submit_comparison(self, stratum: Stratum, rollout: Rollout, other: str) -> Future[Judgement]:
        """Asks whether a response is better than another one to the same prompt; the verdict is `PREFERENCE`'s."""
        assert self._preference is not None
        row, other_response = stratum.row(rollout), stratum.shown(other)
        if row.response == other_response:
            return _done(SAME_TEXT)
        comparison: Future[Judgement] = Future()
        row = replace(row, metadata={**row.metadata, "other_response": other_response})
        self._preference.submit(row).add_done_callback(lambda judged: _answer(judged, comparison))
        return comparison


def _answer(judged: Future[Judgement], comparison: Future[Judgement]) -> None:
    """Hands the only verdict on under its name; an error too, or whoever waits would wait for ever."""
    if judged.cancelled():
        comparison.cancel()
    elif (error := judged.exception()) is not None:
        comparison.set_exception(error)
    else:
        (verdict,) = judged.result().verdicts.values()
        comparison.set_result(Judgement({PREFERENCE: verdict}))


def _done(verdict: Verdict) -> Future[Judgement]:
    future: Future[Judgement] = Future()
    future.set_result(Judgement({PREFERENCE: verdict}))
    return future
