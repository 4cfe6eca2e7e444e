"""The reward `sequence_classifier`: a Hugging Face sequence classifier; one of its outputs is r(s, a), or several are.

    head: love                         r(s, a) = what that head of the model says
    heads: {helpful: 0.6, safe: 0.4}   r(s, a) = Σ_j w_j · what head j says, of one forward pass

What a head says is its raw output, unless the model's folder holds `reward.json` (`cgpo.rewards.heads`). Rewards that
name the same model in the same way share one `ModelScorer`, and so its memory and its forward passes: three heads of
one model cost what one does. No torch until a model is loaded: names are checked with this module.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Literal
from weakref import WeakValueDictionary

from pydantic import Field, model_validator

from cgpo.config import RewardSettings
from cgpo.errors import ConfigError
from cgpo.models.assets import resolve_model
from cgpo.rewards.encoding import Encoded, ResponseEncoder, batches_by_length, collate
from cgpo.rewards.heads import Outputs, choose_heads, describe_outputs
from cgpo.rewards.loading import check_folder, check_max_length, heads_of, load_trained
from cgpo.rewards.notes import ScoringNotes
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
        self.source: ModelScorer = shared_scorer(settings, f"rewards.{name}")
        self._weights = choose_heads(self.source.outputs, settings.head, settings.heads, f"rewards.{name}")

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


class ModelScorer:
    """Scores prompts with responses without gradient, on this rank's device.

    Args:
        settings: of the reward that is made first; others share the scorer where theirs mean the same.
        where: that reward's place in the configuration, for messages.

    Raises:
        ConfigError: the model is none, has an untrained head or another model's tokenizer, knows fewer tokens than
            `max_length`, or gives nothing that could be a score.
    """

    def __init__(self, settings: ClassifierSettings, where: str) -> None:
        from cgpo.distributed import device

        model, tokenizer = load_trained(
            settings.model,
            f"{where}.model",
            dtype=settings.dtype,
            revision=settings.revision,
            trust_remote_code=settings.trust_remote_code,
        )
        check_max_length(model, settings.max_length, f"{where}.max_length")
        self.device = device()
        self._model: Any = model.to(self.device)
        self._encoder = ResponseEncoder(tokenizer, settings.max_length, f"{where}.model")
        self._batch_tokens = settings.batch_tokens
        self._output = settings.output
        self._where = f"{where}.model"
        self.truncated = 0
        """Texts of the last call that were longer than `max_length`."""
        probe = self._encoder.encode(Prompt("probe", ({"role": "user", "content": "Hi"},)), "Hi")
        (row,) = self._forward([probe])
        heads = heads_of(settings.model, settings.revision)
        labels = {int(key): str(value) for key, value in (model.config.id2label or {}).items()}
        self.outputs: Outputs = describe_outputs(len(row), labels, heads, self._where)

    def compute(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[tuple[float, ...]]:
        """The model's outputs [J] for each response, in order; they may be NaN or infinite.

        Equal texts are computed once: in a step many short responses of a prompt are the same.
        """
        encoded = [self._encoder.encode(p, r) for p, r in zip(prompts, responses, strict=True)]
        self.truncated = sum(item.truncated for item in encoded)
        distinct = list(dict.fromkeys(encoded))
        outputs: dict[Encoded, tuple[float, ...]] = {}
        for batch in batches_by_length([len(item) for item in distinct], self._batch_tokens):
            items = [distinct[i] for i in batch]
            outputs.update(zip(items, self._forward(items), strict=True))
        return [outputs[item] for item in encoded]

    def _forward(self, items: Sequence[Encoded]) -> list[tuple[float, ...]]:
        import torch

        with torch.inference_mode():
            output = self._model(**collate(items, self._encoder.pad_id, self.device))
        rows = self._numbers(output)
        if rows.shape[:1] != (len(items),) or rows.dim() > 2:
            raise ConfigError(
                f"{self._where}: for {len(items)} texts the model gave numbers of the shape {list(rows.shape)}; a "
                "reward model gives one or several for each text"
            )
        return [tuple(row) for row in rows.double().reshape(len(items), -1).tolist()]

    def _numbers(self, output: Any) -> Any:
        """The tensor of a model's output that holds the scores."""
        names = [self._output] if self._output else ["logits", "score"]
        for name in names:
            value = getattr(output, name, None)
            if value is not None:
                return value
        fields = ", ".join(output.keys()) if hasattr(output, "keys") else type(output).__name__
        raise ConfigError(
            f"{self._where}: the model's output has no {' or '.join(map(repr, names))}; it has {fields}. "
            "Say which holds the scores by `output`"
        )


_SCORERS: WeakValueDictionary[Hashable, ModelScorer] = WeakValueDictionary()


def shared_scorer(settings: ClassifierSettings, where: str) -> ModelScorer:
    """The scorer for these settings: the one that another reward of the process has already, or a new one."""
    check_folder(settings.model, f"{where}.model")
    key = (
        _state(resolve_model(settings.model)),
        settings.revision,
        settings.trust_remote_code,
        settings.dtype,
        settings.output,
        settings.max_length,
        settings.batch_tokens,
    )
    scorer = _SCORERS.get(key)
    if scorer is None:
        scorer = _SCORERS[key] = ModelScorer(settings, where)
    return scorer


def _state(path: str) -> Hashable:
    """A model's name; of a folder also when its files were written, for one trained anew is another model."""
    if not Path(path).is_dir():
        return path
    files = sorted(Path(path).iterdir())
    return str(Path(path).resolve()), tuple((file.name, file.stat().st_mtime_ns) for file in files)
