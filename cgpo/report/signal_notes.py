"""Strata that taught the policy nothing for long, from a run's recorded metrics: for its last words and its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cgpo.config import StratumSettings
from cgpo.report.run_files import dig

DEFAULT_STEPS: int = StratumSettings.model_fields["warn_after_steps_without_signal"].default
"""Steps in a row that are worth a word when the configuration cannot be read."""


def signal_notes(steps: Mapping[int, Mapping[str, float | None]], config: Any) -> list[str]:
    """A sentence for each stratum that went long without a signal, or never had one.

    Args:
        steps: step → metrics, of which `<stratum>/no_signal` is read.
        config: the run's configuration, for `strata.<name>.warn_after_steps_without_signal`.
    """
    notes = []
    names = dict.fromkeys(n.removesuffix("/no_signal") for m in steps.values() for n in m if n.endswith("/no_signal"))
    for name in names:
        own = {step: bool(m[f"{name}/no_signal"]) for step, m in sorted(steps.items()) if f"{name}/no_signal" in m}
        set_steps = dig(config, "strata", name, "warn_after_steps_without_signal")
        worth = set_steps if isinstance(set_steps, int) else DEFAULT_STEPS
        longest, last = _longest(own)
        if all(own.values()) and len(own) > 1:
            notes.append(f"stratum {name} gave no signal in any of its {len(own)} steps: it taught the policy nothing.")
        elif longest >= worth:
            notes.append(
                f"stratum {name} gave no signal in {sum(own.values())} of its {len(own)} steps, {longest} of them in a "
                f"row, up to step {last}."
            )
    return notes


def _longest(no_signal: Mapping[int, bool]) -> tuple[int, int | None]:
    """The longest stretch without a signal and its last step; the later one of two that are equally long."""
    longest, last, run = 0, None, 0
    for step, none in no_signal.items():
        run = run + 1 if none else 0
        if run and run >= longest:
            longest, last = run, step
    return longest, last
