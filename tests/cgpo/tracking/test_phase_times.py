"""The time left of a phase: nothing is said before enough is known, and then what a person can rely on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cgpo.tracking.lines import PhaseTimes


class Phase:
    """A phase of the display with a clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.times = PhaseTimes(lambda: self.now)

    def rollout(self, finished: Sequence[float]) -> list[float | None]:
        """The time left after each of the responses that finish at these seconds; the last one ends the phase."""
        began = self.now
        self.times.tell("rollout", None, None)
        left = []
        for done, at in enumerate(finished, start=1):
            self.now = began + at
            self.times.tell("rollout", done, len(finished))
            left.append(self.times.left)
        self.times.tell("rewards", None, None)
        return left


TOGETHER = [20.0, *(20.0 + 0.5 * i for i in range(1, 50))]
"""Fifty responses generated side by side: the first after 20 s, the last after 44.5 s."""

ONE_BY_ONE = [2.0 * i for i in range(1, 6)]
IN_BATCHES = [10.0, 10.0, 10.0, 20.0, 20.0, 20.0, 30.0, 30.0, 30.0]


def test_the_first_of_many_responses_does_not_say_how_long_the_others_take() -> None:
    left = Phase().rollout(TOGETHER)
    assert left[0] is None
    said = [(TOGETHER[-1] - at, told) for at, told in zip(TOGETHER, left, strict=True) if told is not None]
    assert len(said) == 9  # from 40 s on, twice what the first one took
    assert all(told == pytest.approx(true) for true, told in said)


def test_parts_one_by_one_are_told_from_the_second_on() -> None:
    assert Phase().rollout(ONE_BY_ONE) == [None, 6.0, 4.0, 2.0, None]


def test_a_batch_at_a_time_is_told_from_the_second_batch_on() -> None:
    left = Phase().rollout(IN_BATCHES)
    assert left[:3] == [None] * 3
    assert left[5] == pytest.approx(10 / 5 * 3)  # the pace after the first, which came with two others
    assert left[-1] is None


def test_a_phase_that_was_there_before_takes_as_long_as_the_last_time() -> None:
    phase = Phase()
    phase.rollout(TOGETHER)
    again = phase.rollout([time * 1.1 for time in TOGETHER])
    assert again[0] == pytest.approx(44.5 - 22.0)
    assert again[24] == pytest.approx(44.5 - TOGETHER[24] * 1.1)
    assert again[-2] == pytest.approx(0.55)  # later than the last time: at its own pace
    assert phase.rollout(TOGETHER[:10])[0] is None  # ten of these took less than the first of fifty


def test_what_is_left_falls_while_nothing_is_told() -> None:
    phase = Phase()
    phase.times.tell("learning", 1, 4)
    phase.now += 10.0
    phase.times.tell("learning", 2, 4)
    assert phase.times.text == "10 s, about 20 s left"
    phase.now += 5.0
    assert phase.times.text == "15 s, about 15 s left"
    phase.now += 60.0
    assert phase.times.text == "1 min 15 s"
