"""Settings of the processes and models that judges run on (`judging`)."""

from __future__ import annotations

from pydantic import Field

from cgpo.config.base import Settings
from judges.llm.settings import LLMSettings


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
