"""What judges and rewards run on."""

from __future__ import annotations

from pydantic import Field

from cgpo.config.base import Settings
from judges.llm.settings import LLMSettings


class RewardSettings(Settings):
    """One reward: a sequence classifier with one output."""

    type: str = "sequence_classifier"
    """Kind of reward: `sequence_classifier`, or one of an installed plugin (group `cgpo.rewards`)."""
    model: str
    """Hub name or folder of the reward model."""
    max_length: int = Field(default=256, ge=8)
    """Most tokens of prompt + response the model sees; what is longer loses the start of the prompt."""
    batch_tokens: int = Field(default=8192, ge=64)
    """Padded tokens scored at once."""
    max_missing_rate: float = Field(default=0.1, ge=0, le=1)
    """Largest share of missing scores (NaN, infinite) in a step before the run stops."""


class JudgingSettings(Settings):
    """What judges run on."""

    processes: int | None = Field(default=None, ge=1)
    """Worker processes for rule judges, on each rank. Unset: one less than the processors, 1 to 8."""
    memory_gib: float | None = Field(default=4.0, gt=0)
    """Address space of one worker in GiB. null: no limit, for plugins that load models."""
    early_stop: bool = False
    """Ask judges that start programs or ask models only when the cheaper ones found no violation; the others'
    verdicts are then `not_judged`."""
    cache: str = Field(default="run", min_length=1)
    """Where verdicts are kept that are dear to obtain, so that the same question is not asked twice: `run` (in the run
    directory), `off`, or a file that several runs share."""
    llm: LLMSettings | None = None
    """A model for judges to share: `{name: factuality, llm: ${judging.llm}}`. The group `judge` fills it."""
