"""Notices a stratum that never yields a signal, and says with numbers what its judges said.

A step has no signal for a stratum when its gradient is exactly zero: everything violated, say. One such step is noise;
many in a row mean that the stratum costs time and teaches nothing. The count survives a resume.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cgpo.config import StratumSettings
from cgpo.errors import LimitError
from cgpo.tracking.rollouts import RolloutRow
from judges import NEUTRAL, Outcome
from judges.printing import showable

MOST_REASONS = 50
"""Distinct reasons remembered of a stratum; of more, only those that came first are counted."""

LONGEST_REASON = 160


@dataclass
class Streak:
    """Steps in a row without a signal, and what was said in them.

    Attributes:
        steps: how many.
        outcomes: outcome → responses.
        verdicts: `judge outcome` → verdicts.
        reasons: `judge: reason` → how often a judge that was not satisfied gave it.
    """

    steps: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, rows: Sequence[RolloutRow]) -> None:
        """Another step without a signal."""
        self.steps += 1
        self.outcomes.update(row.outcome.value for row in rows)
        for judge, verdict in ((j, v) for row in rows for j, v in row.verdicts.items() if v.outcome not in NEUTRAL):
            self.verdicts[f"{judge} {verdict.outcome.value}"] += 1
            reason = f"{judge}: {showable(verdict.reason)[:LONGEST_REASON]}"
            if verdict.outcome is not Outcome.SATISFIED and (
                len(self.reasons) < MOST_REASONS or reason in self.reasons
            ):
                self.reasons[reason] += 1

    @property
    def text(self) -> str:
        """`its 480 responses: 480 violated; judges: math violated 480; commonest reason: …`."""
        parts = [f"its {self.outcomes.total()} responses: {_counts(self.outcomes)}"]
        if self.verdicts:
            parts.append(f"judges: {_counts(self.verdicts, first='name')}")
        if self.reasons:
            reason, count = self.reasons.most_common(1)[0]
            parts.append(f"commonest reason ({count} times): {reason}")
        return "; ".join(parts)


class NoSignalWatch:
    """Counts, for each stratum, its steps in a row without a signal.

    Args:
        strata: name → settings.
    """

    def __init__(self, strata: Mapping[str, StratumSettings]) -> None:
        self._strata = strata
        self._streaks = {name: Streak() for name in strata}

    def observe(self, name: str, rows: Sequence[RolloutRow], *, no_signal: bool) -> str | None:
        """A step of a stratum; a warning when it is time for one.

        Args:
            name: the stratum.
            rows: its responses of the step, of all ranks.
            no_signal: whether its gradient was exactly zero, the same on every rank.
        """
        if not no_signal:
            self._streaks[name] = Streak()
            return None
        streak = self._streaks[name]
        streak.add(rows)
        if streak.steps % self._strata[name].warn_after_steps_without_signal:
            return None
        return f"stratum {name}: no signal in its last {streak.steps} steps ({streak.text})"

    def check(self) -> None:
        """Raises LimitError when a stratum has gone its `max_steps_without_signal` steps without a signal."""
        for name, streak in self._streaks.items():
            limit = self._strata[name].max_steps_without_signal
            if limit is not None and streak.steps >= limit:
                raise LimitError(
                    f"stratum {name!r} gave no signal in its last {streak.steps} steps; the limit "
                    f"strata.{name}.max_steps_without_signal is {limit} ({streak.text})"
                )

    def state_dict(self) -> dict[str, Any]:
        """What must survive a resume, as plain data."""
        return {
            name: {
                "steps": streak.steps,
                "outcomes": dict(streak.outcomes),
                "verdicts": dict(streak.verdicts),
                "reasons": dict(streak.reasons),
            }
            for name, streak in self._streaks.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores `state_dict`, but for strata that the run no longer has."""
        self._streaks |= {
            name: Streak(
                counts["steps"], Counter(counts["outcomes"]), Counter(counts["verdicts"]), Counter(counts["reasons"])
            )
            for name, counts in state.items()
            if name in self._strata
        }


def _counts(counter: Counter[str], first: str = "count") -> str:
    texts = [f"{what} {count}" if first == "name" else f"{count} {what}" for what, count in counter.most_common()]
    return ", ".join(texts)
