"""The watch over all strata from step to step: who takes part, with what weight, and what the last steps showed.

The trainer asks `begin` which strata a step has, and tells `end` what came of them. Everything here is the same on
every rank, because it follows from rows and metrics that every rank has.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cgpo.config import WeightingSettings
from cgpo.data.informative import InformativeSampler
from cgpo.responses.stratum import Stratum
from cgpo.tracking.response_metrics import contrast_by_prompt, zero_signal_rate
from cgpo.tracking.rollouts import RolloutRow
from cgpo.training.no_signal import NoSignalWatch
from cgpo.training.weighting import Weighting

REPEAT_NOTE_EVERY = 10
"""A note that comes again and again is shown the first time and then every so many times."""


class StrataWatch:
    """The strata of a run, step by step.

    Args:
        strata: by name.
        weighting: settings of the automatic weights.
        say: shows a line to the person.
    """

    def __init__(self, strata: Mapping[str, Stratum], weighting: WeightingSettings, say: Callable[[str], None]) -> None:
        self._strata = strata
        self._weighting = Weighting(weighting)
        self._no_signal = NoSignalWatch({name: stratum.settings for name, stratum in strata.items()})
        self._notes: Counter[str] = Counter()
        self._say = say

    def begin(self, step: int) -> dict[str, Stratum]:
        """The strata that take part in step 0, 1, …, with their weights set."""
        active = {name: stratum for name, stratum in self._strata.items() if stratum.active(step)}
        factors = self._weighting.factors({name: stratum.settings.weight for name, stratum in active.items()})
        for name, stratum in active.items():
            stratum.weight_factor = factors[name]
        return active

    def end(
        self, step: int, rows: Sequence[RolloutRow], metrics: Mapping[str, float | None]
    ) -> dict[str, float | None]:
        """Learns from a step for the next ones, and says what a person should know; returns further metrics.

        Args:
            step: its index, from 0.
            rows: every rank's responses of the step.
            metrics: its metrics, of which `<stratum>/satisfied_rate` and `/no_signal` are read.
        """
        further: dict[str, float | None] = {}
        active = [name for name, stratum in self._strata.items() if stratum.active(step)]
        for name in active:
            responses = [row for row in rows if row.stratum == name]
            warning = self._no_signal.observe(name, responses, no_signal=bool(metrics[f"{name}/no_signal"]))
            if warning:
                self._say(f"warning, step {step + 1}: {warning}")
            if self._weighting.on:
                further[f"{name}/weight"] = self._strata[name].weight
            sampler = self._strata[name].sampler
            if isinstance(sampler, InformativeSampler):
                contrast = contrast_by_prompt(responses)
                sampler.observe(contrast)
                dull = zero_signal_rate(contrast)
                further[f"{name}/informative_rate"] = None if dull is None else 1 - dull
                further[f"{name}/informative_pool"] = sampler.informative_pool
        self._weighting.observe({name: metrics.get(f"{name}/satisfied_rate") for name in active})
        return further

    def note(self, step: int, stratum: str, text: str) -> None:
        """Shows what an optimiser says of a step: the first time, and then every tenth time it says so again."""
        kind = f"{stratum}: {re.sub(r'[0-9.]+', '#', text)}"  # the numbers change from step to step
        self._notes[kind] += 1
        times = self._notes[kind]
        if (times - 1) % REPEAT_NOTE_EVERY == 0:
            again = f" ({times} steps so far)" if times > 1 else ""
            self._say(f"step {step + 1}, {stratum}: {text}{again}")

    def check(self) -> None:
        """Raises LimitError when a stratum has gone without a signal for as long as its settings allow."""
        self._no_signal.check()

    def state_dict(self) -> dict[str, Any]:
        """What must survive a resume, as plain data."""
        return {
            "weighting": self._weighting.state_dict(),
            "no_signal": self._no_signal.state_dict(),
            "notes": dict(self._notes),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores `state_dict`."""
        self._weighting.load_state_dict(state["weighting"])
        self._no_signal.load_state_dict(state["no_signal"])
        self._notes = Counter(state["notes"])
