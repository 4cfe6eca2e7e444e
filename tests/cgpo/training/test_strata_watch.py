"""What a person is told of strata from step to step, and that it goes on after a resume."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cgpo.compose import validate
from cgpo.config import StratumSettings, WeightingSettings
from cgpo.errors import LimitError
from cgpo.tracking.rollouts import RolloutRow
from cgpo.training.no_signal import MOST_REASONS, NoSignalWatch
from cgpo.training.strata_watch import StrataWatch
from judges import Outcome, Verdict


def stratum(**own: Any) -> StratumSettings:
    tree = {
        "prompts": {"generator": "math", "size": 4},
        "rewards": {"any": 1.0},
        "optimizer": {"name": "crpg"},
        **own,
    }
    rewards = {"any": {"model": "unused"}}
    tree = {"run_dir": "x", "model": {"name": "x"}, "rewards": rewards, "strata": {"math": tree}}
    return validate(tree).strata["math"]


def row(reason: str, verdict: Verdict | None = None) -> RolloutRow:
    verdicts = {"math": verdict or Verdict.violated(reason), "style": Verdict(Outcome.NOT_APPLICABLE)}
    outcome = verdicts["math"].outcome
    return RolloutRow("math", "p", "p", (), 0, 0, "x", "stop", 1, outcome, verdicts)


def test_the_warning_says_what_the_judges_said() -> None:
    watch = NoSignalWatch({"math": stratum(warn_after_steps_without_signal=2)})
    rows = [row("no answer"), row("no answer"), row("wrong"), row("", Verdict.unknown("timed out"))]
    assert watch.observe("math", rows, no_signal=True) is None
    assert watch.observe("math", rows, no_signal=True) == (
        "stratum math: no signal in its last 2 steps (its 8 responses: 6 violated, 2 unknown; judges: math violated 6, "
        "math unknown 2; commonest reason (4 times): math: no answer)"
    )
    assert watch.observe("math", rows, no_signal=True) is None
    assert "last 4 steps" in (watch.observe("math", rows, no_signal=True) or "")


def test_a_signal_starts_the_count_anew() -> None:
    watch = NoSignalWatch({"math": stratum(warn_after_steps_without_signal=2)})
    for no_signal in (True, False, True):
        assert watch.observe("math", [row("wrong")], no_signal=no_signal) is None
    assert "its 2 responses" in (watch.observe("math", [row("wrong")], no_signal=True) or "")


def test_the_limit_stops_the_run_and_survives_a_resume() -> None:
    settings = {"math": stratum(max_steps_without_signal=3)}
    watch, again = NoSignalWatch(settings), NoSignalWatch(settings)
    for _ in range(2):
        watch.observe("math", [row("wrong")], no_signal=True)
    watch.check()
    again.load_state_dict(json.loads(json.dumps(watch.state_dict())))
    again.observe("math", [row("wrong")], no_signal=True)
    with pytest.raises(LimitError, match=r"last 3 steps; the limit strata\.math\.max_steps_without_signal is 3"):
        again.check()


def test_a_stratum_that_was_taken_out_is_forgotten() -> None:
    before, after = NoSignalWatch({"math": stratum(), "gone": stratum()}), NoSignalWatch({"math": stratum()})
    before.observe("gone", [row("wrong")], no_signal=True)
    after.load_state_dict(before.state_dict())
    after.check()
    assert list(after.state_dict()) == ["math"]


def test_reasons_are_bounded() -> None:
    watch = NoSignalWatch({"math": stratum()})
    watch.observe("math", [row(f"found {i} {'x' * 500}") for i in range(300)], no_signal=True)
    reasons = watch.state_dict()["math"]["reasons"]
    assert len(reasons) == MOST_REASONS
    assert max(map(len, reasons)) < 200


def test_a_note_is_shown_once_and_then_every_tenth_time() -> None:
    said: list[str] = []
    watch = StrataWatch({}, WeightingSettings(), said.append)
    for step in range(12):
        watch.note(step, "math", f"all {step} responses lie beyond kl_max (mean {step / 7:.3f})")
        watch.note(step, "chat", "another")
        again = StrataWatch({}, WeightingSettings(), said.append)
        again.load_state_dict(json.loads(json.dumps(watch.state_dict())))
        watch = again
    assert [text for text in said if "math" in text] == [
        "step 1, math: all 0 responses lie beyond kl_max (mean 0.000)",
        "step 11, math: all 10 responses lie beyond kl_max (mean 1.429) (11 steps so far)",
    ]
    assert sum("chat" in text for text in said) == 2
