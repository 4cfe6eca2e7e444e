"""The reward `sequence_classifier`: a Hugging Face sequence classifier with one output, the raw score r(s, a)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from cgpo.config import RewardSettings
from cgpo.rewards.calibration import finite
from cgpo.rewards.encoding import Encoded, ResponseEncoder, batches_by_length, collate
from cgpo.types import Prompt


class ClassifierSettings(RewardSettings):
    """Settings of `sequence_classifier`."""

    type: Literal["sequence_classifier"] = "sequence_classifier"
    model: str
    """Hub name or folder of the reward model."""
    max_length: int = Field(default=256, ge=8)
    """Most tokens of prompt + response the model sees; what is longer loses the start of the prompt."""
    batch_tokens: int = Field(default=8192, ge=64)
    """Padded tokens scored at once."""


class SequenceClassifierReward:
    """Scores prompt and response with a trained model, in float32 without gradient, on this rank's device.

    Args:
        settings: model, `max_length` and `batch_tokens`.
        name: the reward's name in the configuration, for messages.

    Raises:
        ConfigError: the model is none, has not exactly one output, has an untrained head, or knows fewer tokens
            than `max_length`.
    """

    Settings = ClassifierSettings

    def __init__(self, settings: ClassifierSettings, name: str) -> None:
        # Here and not above: the entry point is loaded to check names, long before a model is wanted.
        from cgpo.distributed import device
        from cgpo.rewards.loading import check_max_length, load_trained

        where = f"rewards.{name}"
        model, tokenizer = load_trained(settings.model, f"{where}.model")
        check_max_length(model, settings.max_length, f"{where}.max_length")
        self._device = device()
        self._model: Any = model.to(self._device)
        self._encoder = ResponseEncoder(tokenizer, settings.max_length, f"{where}.model")
        self._batch_tokens = settings.batch_tokens

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float | None]:
        """r(s, a) of each response, in order; None where the model's output is NaN or infinite.

        Equal texts are scored once: in a step many short responses of a prompt are the same.
        """
        encoded = [self._encoder.encode(p, r) for p, r in zip(prompts, responses, strict=True)]
        distinct = list(dict.fromkeys(encoded))
        scores: dict[Encoded, float | None] = {}
        for batch in batches_by_length([len(item) for item in distinct], self._batch_tokens):
            items = [distinct[i] for i in batch]
            scores.update(zip(items, self._forward(items), strict=True))
        return [scores[item] for item in encoded]

    def _forward(self, items: Sequence[Encoded]) -> list[float | None]:
        import torch

        with torch.inference_mode():
            logits = self._model(**collate(items, self._encoder.pad_id, self._device)).logits  # [N, 1]
        return [finite(float(score)) for score in logits[:, 0]]
