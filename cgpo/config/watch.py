"""Settings of the watch for over-optimisation: measures that do not train the policy, and phrases that spread."""

from __future__ import annotations

from pydantic import Field

from cgpo.config.base import Settings
from cgpo.config.strata import JudgeEntry


class PhraseSettings(Settings):
    """Which phrases spread through the responses, with no list given in advance (docs/overoptimisation.md)."""

    every: int = Field(default=5, ge=0)
    """Look at the phrases of a stratum after so many of its steps; 0 = never."""
    window_steps: int = Field(default=20, ge=1)
    """Last steps of the stratum whose responses are compared with the reference's."""
    window_responses: int = Field(default=2000, ge=1)
    """Most responses in that window; older steps leave it first, but the newest is always in it."""
    reference_responses: int = Field(default=2000, ge=1)
    """Most responses of the reference that are kept."""
    first_steps: int = Field(default=5, ge=0)
    """Where fewer baseline responses than `reference_responses` were made by π_ref, the responses of so many first
    steps of the stratum count as the reference's too, and only later ones enter the window."""
    shown: int = Field(default=10, ge=1)
    """Most phrases of a look that are recorded."""
    warn_rate: float = Field(default=0.02, gt=0, le=1)
    """Warn of a phrase only when at least this share of the responses contains it …"""
    warn_factor: float = Field(default=2.0, ge=1)
    """… at least so many times the reference's share …"""
    warn_z: float = Field(default=4.5, gt=0)
    """… and the difference has at least this z: 4.5 is exceeded by chance by one phrase in 300,000."""


class WatchSettings(Settings):
    """What watches for over-optimisation. It measures and warns; it changes nothing in what is learnt."""

    independent_rewards: list[str] = Field(default=[])
    """Names of top-level `rewards` that score every response, in every stratum that is not trained on them."""
    independent_judges: list[JudgeEntry] = Field(default=[])
    """Judges whose verdicts on training responses are recorded, but constrain nothing: names, or `{name: …, option:
    …}`."""
    judge_every: int = Field(default=1, ge=1)
    """Steps between those in which the independent judges are asked."""
    divergence: bool = True
    """Warn when the trained reward rises while an independent measure falls, or grows with the length of responses."""
    warn_z: float = Field(default=5.5, gt=0)
    """By how many standard errors a measure must have fallen from its best. 5.5 gave no false alarm in 200 simulated
    runs of 300 steps with 16 or 64 prompts a step, and 2 in 100 with 4 prompts (docs/overoptimisation.md). To explain
    the reward, length must have grown by as many."""
    warn_z_heldout: float = Field(default=3.5, gt=0)
    """The same for measures of held-out evaluations, which are few: less is due to chance."""
    phrases: PhraseSettings = PhraseSettings()
    """Which phrases spread."""
