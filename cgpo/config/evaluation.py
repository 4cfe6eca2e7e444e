"""Settings of held-out evaluation in training (`eval`)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from cgpo.config.base import Settings
from cgpo.config.strata import JudgeEntry
from judges.spec import JudgeSpec


def _preference_from_options(value: Any) -> Any:
    """Options of the judge `preference`, unless they name another judge."""
    return JudgeSpec.parse({"name": "preference", **value} if isinstance(value, dict) else value)


class EvalSettings(Settings):
    """Held-out evaluation in training."""

    every: int = Field(default=0, ge=0)
    """Steps between evaluations; 0 = never in between."""
    before: bool = False
    """Evaluate before the first step."""
    after: bool = False
    """Evaluate after the last step. With `before`, the run ends with a table of what changed."""
    temperature: float | None = Field(default=None, ge=0)
    """Sampling temperature; 0 = greedy. Unset: the stratum's own, so that rates, rewards and KL are expectations
    under the policy, the quantities CGPO optimises. KL can only be estimated from samples, not at 0."""
    responses_per_prompt: int = Field(default=1, ge=1)
    """Responses to each held-out prompt. With several, the share of prompts with at least one satisfied response is
    reported too, and intervals resample prompts. Needs sampling: greedy responses are all the same."""
    probes: list[JudgeEntry] = Field(default=[JudgeSpec("repetition"), JudgeSpec("farewell"), JudgeSpec("refusal")])
    """Judges whose violation rates are reported for every stratum, but which constrain nothing."""
    preference: Annotated[JudgeSpec, BeforeValidator(_preference_from_options)] | None = None
    """A judge that compares each response with the reference's, e.g. `{llm: ${judging.llm}}`: options of the judge
    `preference`, or of another one by its `name`. Unset: the win rate is by reward alone."""
    max_unknown_rate: float = Field(default=0.2, ge=0, le=1)
    """Largest share of comparisons by `preference` without an answer; above it the evaluation stops."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Level of the intervals printed beside rates and changes."""

    @model_validator(mode="after")
    def _consistent(self) -> EvalSettings:
        if self.responses_per_prompt > 1 and self.temperature == 0:
            raise ValueError(
                f"`responses_per_prompt` is {self.responses_per_prompt}, but at `temperature` 0 (greedy) all responses "
                "to a prompt are the same: set responses_per_prompt=1, or a temperature above 0"
            )
        names = [spec.label for spec in self.probes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"`probes` names a judge twice: {', '.join(twice)}; give one another name with `as`")
        return self
