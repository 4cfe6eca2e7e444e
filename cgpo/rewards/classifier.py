"""The reward `sequence_classifier`: a Hugging Face sequence classifier; one of its outputs is r(s, a), or several are.

    head: love                         r(s, a) = what that head of the model says
    heads: {helpful: 0.6, safe: 0.4}   r(s, a) = Σ_j w_j · what head j says, of one forward pass

What a head says is its raw output, unless the model's folder holds `reward.json` (`cgpo.rewards.heads`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from cgpo.config import RewardSettings
from cgpo.rewards.notes import ScoringNotes
from cgpo.rewards.scorer import ModelScorer, shared_scorer
from cgpo.types import Prompt


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


class SequenceClassifierReward:
    """Scores prompt and response with a trained model; see `ModelScorer`.

    Args:
        settings: which model, and which of its outputs.
        name: the reward's name in the configuration, for messages.

    Raises:
        ConfigError: the model cannot be used, or has no such head.
    """

    Settings = ClassifierSettings
    reads_metadata = False

    def __init__(self, settings: ClassifierSettings, name: str) -> None:
        # Loaded here and not above: the entry point is loaded to check names, long before a model is wanted.
        from cgpo.rewards.outputs import choose

        self.source: ModelScorer = shared_scorer(settings, f"rewards.{name}")
        self._weights = choose(self.source.outputs, settings.head, settings.heads, f"rewards.{name}")

    @property
    def beside_generation(self) -> bool:
        """On a GPU; on a CPU it would only slow generation."""
        return self.source.device.type == "cuda"

    def take_notes(self) -> ScoringNotes:
        """How many texts of the last call the model could not read whole."""
        return ScoringNotes(truncated=self.source.truncated)

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
        """r(s, a) of each response, in order; None where the model's output is NaN or infinite."""
        return self.read(self.source.compute(prompts, responses))

    def read(self, raw: Sequence[tuple[float, ...]]) -> list[float | None]:
        """r(s, a) from the model's outputs for each response."""
        return [self.source.outputs.reward(row, self._weights) for row in raw]
