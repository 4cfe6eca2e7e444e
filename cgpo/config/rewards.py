"""The settings that every reward has; each type adds its own (`cgpo.rewards`), as optimisers do."""

from __future__ import annotations

from pydantic import Field

from cgpo.config.base import Settings


class RewardSettings(Settings):
    """Settings of every reward; the class behind its `type` has more, in its attribute `Settings`."""

    type: str = "sequence_classifier"
    """Kind of reward: `sequence_classifier`, or another one of docs/rewards.md or of an installed plugin (group
    `cgpo.rewards`)."""
    max_missing_rate: float = Field(default=0.1, ge=0, le=1)
    """Largest share of missing scores (failed, NaN, infinite) in a step before the run stops."""
    overlap: bool | None = None
    """Score responses while others are still being generated. Unset: where another machine or a GPU does the work; a
    model on the CPU would only slow the generation."""
    overlap_responses: int = Field(default=32, ge=1)
    """Responses scored at once beside the generation: as soon as so many in the order of their prompts are there."""
