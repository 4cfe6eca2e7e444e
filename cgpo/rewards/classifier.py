"""The reward `sequence_classifier`: a Hugging Face sequence classifier; one of its outputs is r(s, a), or several are.

    head: love                         r(s, a) = what that head of the model says
    heads: {helpful: 0.6, safe: 0.4}   r(s, a) = Σ_j w_j · what head j says, of one forward pass

What a head says is its raw output, unless the model's folder holds `reward.json` (`cgpo.rewards.heads`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cgpo.rewards.classifier_settings import ClassifierSettings
from cgpo.rewards.notes import ScoringNotes
from cgpo.rewards.scorer import ModelScorer, shared_scorer
from cgpo.types import Prompt


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
