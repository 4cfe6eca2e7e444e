"""What a run says at its end of strata that taught it nothing."""

from __future__ import annotations

from cgpo.report.run_notes import signal_notes

CONFIG = {"strata": {"a": {"warn_after_steps_without_signal": 3}}}


def steps(pattern: str, name: str = "a") -> dict[int, dict[str, float | None]]:
    """One step a character: 0 no signal, 1 a signal, - not in the step."""
    return {i: {} if c == "-" else {f"{name}/no_signal": float(c == "0")} for i, c in enumerate(pattern, start=1)}


def test_a_stratum_with_signals_is_not_named() -> None:
    assert signal_notes(steps("1001100"), CONFIG) == []
    assert signal_notes(steps("0"), CONFIG) == []
    assert signal_notes({}, CONFIG) == []


def test_a_long_stretch_is_named_with_its_place() -> None:
    (note,) = signal_notes(steps("10001-0010"), CONFIG)
    assert note == "stratum a gave no signal in 6 of its 9 steps, 3 of them in a row, up to step 4."


def test_steps_in_which_it_took_no_part_do_not_break_a_stretch() -> None:
    (note,) = signal_notes(steps("10-0-01"), CONFIG)
    assert "3 of them in a row, up to step 6" in note


def test_a_stratum_that_never_had_one() -> None:
    (note,) = signal_notes(steps("00"), CONFIG)
    assert "in any of its 2 steps" in note


def test_without_a_configuration_ten_in_a_row_are_worth_a_word() -> None:
    assert signal_notes(steps("1" + "0" * 9), {}) == []
    assert len(signal_notes(steps("1" + "0" * 10), {})) == 1
