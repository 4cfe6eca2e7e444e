"""What the phases of a run tell: their seconds, and when other processes begin and cease to slow the run down."""

from __future__ import annotations

import pytest

from cgpo.cpu import Load
from cgpo.tracking.display import NoDisplay
from cgpo.training import phases as module
from cgpo.training.phases import Phases

QUIET, BUSY, UNREADABLE = Load(2, 0.1, 0.0), Load(2, 0.9, 0.0), None


class Meter:
    """A load meter that reads what it is given, step by step."""

    def __init__(self, readings: list[Load | None]) -> None:
        self._readings = readings

    def take(self) -> Load | None:
        """The load since the last call: at the end of a step it is that of the step."""
        return self._readings.pop(0)


class Messages(NoDisplay):
    """A display of messages alone."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


def test_a_load_is_told_when_it_begins_and_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [QUIET, BUSY, BUSY, UNREADABLE, BUSY, QUIET, QUIET]
    # What was taken between two steps belongs to neither.
    readings = [reading for step in steps for reading in (BUSY, step)]
    monkeypatch.setattr(module, "LoadMeter", lambda family: Meter(readings))
    display = Messages()
    phases = Phases(display)
    told = []
    for _ in steps:
        phases.begin_step()
        before = len(display.said)
        phases.take_times()
        told.append(display.said[before:])
    assert told == [
        [],
        ["other processes take 0.9 of 2 cores: steps take longer than on an idle machine"],
        [],
        [],
        [],
        ["other processes take 0.1 of 2 cores: not enough to slow the run down"],
        [],
    ]
    assert not readings


def test_seconds_of_phases_add_up_and_begin_anew() -> None:
    phases = Phases(NoDisplay())
    phases.begin_step()
    for _ in range(2):
        with phases.phase("log-probs"):
            pass
    assert sorted(phases.take_times()) == ["time/logprobs", "time/step"]
    assert sorted(phases.take_times()) == ["time/step"]


def test_a_phase_within_another_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 10.0, 11.0, 13.0, 20.0, 20.5, 22.0, 30.0, 31.0, 32.0])
    monkeypatch.setattr(module, "LoadMeter", lambda family: Meter([None]))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    phases = Phases(Messages())  # at 0
    with phases.phase("learning"):  # 10
        with phases.phase("checkpoint"):  # 11 to 13
            pass
        with phases.phase("checkpoint"):  # 20 to 20.5
            pass
    with phases.phase("sync"):  # from 30, after 22
        pass
    assert phases.take_times() == {"time/learning": 9.5, "time/checkpoint": 2.5, "time/sync": 1.0, "time/step": 32.0}
