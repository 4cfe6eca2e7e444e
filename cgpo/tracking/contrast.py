"""Which prompts gave a contrast: some of their responses satisfied, others violated.

A prompt whose responses all had the same outcome tells an optimiser nothing about which of them was better (its rewards
may still differ). With one response per prompt there is nothing to compare, and nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cgpo.tracking.rollouts import RolloutRow
from judges import Outcome


def contrast_by_prompt(rows: Sequence[RolloutRow]) -> dict[str, bool | None]:
    """Prompt id → whether its responses differed in outcome; None where it cannot be said.

    Args:
        rows: the responses of one stratum in one step.

    It cannot be said of a single response, and not when an unknown one could make the difference.
    """
    outcomes: dict[str, list[Outcome]] = {}
    for row in rows:
        outcomes.setdefault(row.prompt_id, []).append(row.outcome)
    return {prompt: _contrast(found) for prompt, found in outcomes.items()}


def zero_signal_rate(contrast: Mapping[str, bool | None]) -> float | None:
    """Share of prompts without contrast among those of which it can be said; None when there are none."""
    known = [differed for differed in contrast.values() if differed is not None]
    return known.count(False) / len(known) if known else None


def _contrast(outcomes: Sequence[Outcome]) -> bool | None:
    if len(set(outcomes) - {Outcome.UNKNOWN}) > 1:
        return True
    return None if len(outcomes) < 2 or Outcome.UNKNOWN in outcomes else False
