"""Learning rates worked out by hand, and what the settings refuse."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from cgpo.config import TrainSettings
from cgpo.policy.schedule import learning_rate


def rates(steps: int, **kwargs: object) -> list[float]:
    return [learning_rate(t, peak=8.0, steps=steps, **kwargs) for t in range(steps)]  # type: ignore[arg-type]


def test_constant_rises_and_stays() -> None:
    assert rates(5, warmup_steps=3) == [2.0, 4.0, 6.0, 8.0, 8.0]
    assert rates(3) == [8.0, 8.0, 8.0]


def test_linear_falls_evenly_to_the_final_rate() -> None:
    assert rates(5, schedule="linear", final_ratio=0.5) == [8.0, 7.0, 6.0, 5.0, 4.0]
    assert rates(6, warmup_steps=1, schedule="linear", final_ratio=0.5) == [4.0, 8.0, 7.0, 6.0, 5.0, 4.0]


def test_cosine_is_at_its_mean_half_way_and_ends_at_the_final_rate() -> None:
    found = rates(5, schedule="cosine", final_ratio=0.1)
    quarter = 0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2
    assert found == pytest.approx([8.0, 8.0 * quarter, 8.0 * 0.55, 8.0 * (1.1 - quarter), 0.8])


def test_without_a_final_ratio_the_rate_is_0_only_after_the_last_step() -> None:
    assert rates(4, schedule="linear") == [8.0, 6.0, 4.0, 2.0]
    assert rates(5, warmup_steps=1, schedule="linear") == [4.0, 8.0, 6.0, 4.0, 2.0]
    cosine = math.sqrt(0.5)
    assert rates(4, schedule="cosine") == pytest.approx([8.0, 4.0 * (1 + cosine), 4.0, 4.0 * (1 - cosine)])
    assert learning_rate(4, peak=8.0, steps=4, schedule="linear") == 0.0


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 3, 9])
def test_no_step_is_taken_at_rate_0(schedule: str, steps: int) -> None:
    assert all(rate > 0 for rate in rates(steps, schedule=schedule))
    assert all(rate > 0 for rate in rates(steps, warmup_steps=steps - 1, schedule=schedule))


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_one_step_and_steps_after_the_last_have_a_rate(schedule: str) -> None:
    assert rates(1, schedule=schedule) == [8.0]
    assert learning_rate(9, peak=8.0, steps=5, schedule="linear", final_ratio=0.25) == 2.0


def test_settings_refuse_what_would_not_be_used() -> None:
    with pytest.raises(ValidationError, match="final_learning_rate_ratio"):
        TrainSettings(final_learning_rate_ratio=0.1)
    with pytest.raises(ValidationError, match=r"warmup_steps` is 10.*steps` is 10"):
        TrainSettings(schedule="cosine", warmup_steps=10, steps=10)
    assert TrainSettings(warmup_steps=10, steps=10).warmup_steps == 10
