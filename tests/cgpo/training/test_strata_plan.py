"""The plan follows schedules: who takes part, and how many responses and tokens that makes."""

from __future__ import annotations

import pytest

from cgpo.cli import main


def plan(capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["train", "experiment=quickstart", "train.steps=12", *overrides, "--dry-run"])
    assert ended.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_without_schedules_every_step_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    text = plan(capsys)
    assert "a step: 8 × 6 + 1 × 4 + 1 × 2 = 54 responses" in text
    assert "takes part" not in text
    assert "automatic weights" not in text


def test_bounds_follow_the_schedules(capsys: pytest.CaptureFixture[str]) -> None:
    # math in the 7 steps 2 … 8, instruction_following in all 12, chat in the 4 steps 0, 3, 6, 9:
    # 7 · 48 + 12 · 4 + 4 · 2 = 392 responses, 7 · 48 · 32 + 12 · 4 · 40 + 4 · 2 · 40 = 12992 tokens.
    text = plan(capsys, "strata.chat.schedule.every=3", "strata.math.schedule={start: 2, end: 9}")
    assert "takes part in 7 of 12 steps: every step from step 2 to 8 (from 0)" in text
    assert "takes part in 4 of 12 steps: every 3 steps from step 0 to 11 (from 0)" in text
    assert "the fullest step: 8 × 6 + 1 × 4 + 1 × 2 = 54 responses over all ranks, at most 1776 response tokens" in text
    assert "12 steps: 392 responses, at most 12992 tokens" in text


def test_strata_that_never_meet_are_not_added_up(capsys: pytest.CaptureFixture[str]) -> None:
    text = plan(capsys, "~strata.chat", "strata.math.schedule.end=6", "strata.instruction_following.schedule.start=6")
    assert "the fullest step: 8 × 6 = 48 responses" in text


def test_sampling_for_contrast_and_automatic_weights_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    text = plan(capsys, "strata.math.informative_share=0.7", "weighting.method=improvement", "weighting.max_factor=3")
    assert "at least 70% of a step's prompts with a contrast" in text
    assert "a baseline response is made for every training prompt" in text
    assert "automatic weights by improvement: each ρ × 0.5 to 3, 1 on average" in text


def test_rows_taken_by_a_column_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    text = plan(capsys, "strata.math.prompts={generator: null, size: null, path: a.jsonl, where: {level: [1, 2]}}")
    assert "prompts a.jsonl [train] where level = [1, 2]; held out" in text
