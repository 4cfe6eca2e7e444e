"""Settings of the reward `sequence_classifier`. No torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cgpo.config import RewardSettings


class ClassifierSettings(RewardSettings):
    """Settings of `sequence_classifier`."""

    type: Literal["sequence_classifier"] = "sequence_classifier"
    model: str
    """Hub name or folder of the reward model."""
    revision: str | None = None
    """Branch, tag or commit on the hub. Unset: the default branch."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model's repository."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights. Scores in bfloat16 have two to three digits; the calibrated reward looks at differences."""
    head: str | None = None
    """Which output is the reward. Unset is right only where the model has one."""
    heads: dict[str, float] = Field(default={})
    """Several outputs with weights in place of `head`; the reward is the weighted sum. Weights may be negative:
    `{POSITIVE: 1, NEGATIVE: -1}` makes the log-odds of a classifier of two classes."""
    output: str | None = None
    """Which field of a custom model's output holds the scores. Unset: `logits`, or else `score`."""
    max_length: int = Field(default=256, ge=8)
    """Most tokens of prompt + response the model sees; what is longer loses the start of the prompt."""
    batch_tokens: int = Field(default=8192, ge=64)
    """Padded tokens scored at once."""

    @model_validator(mode="after")
    def _one_choice(self) -> ClassifierSettings:
        if self.head is not None and self.heads:
            raise ValueError("set `head` or `heads`, not both")
        if self.heads and not any(self.heads.values()):
            raise ValueError("`heads`: the weights must not all be 0")
        return self
