"""A loaded sequence classifier with its tokenizer: numbers for prompts with responses, shared by several rewards.

Rewards that name the same model in the same way share one `ModelScorer`, and so its memory and its forward passes:
three heads of one model cost what one does.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from cgpo.errors import ConfigError
from cgpo.models.assets import resolve_model
from cgpo.rewards.classifier_settings import ClassifierSettings
from cgpo.rewards.encoding import Encoded, ResponseEncoder, batches_by_length, collate
from cgpo.rewards.outputs import Outputs, describe_outputs
from cgpo.types import Prompt


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
        from cgpo.rewards.loading import check_max_length, heads_of, load_trained

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
        found: dict[Encoded, tuple[float, ...]] = {}
        for batch in batches_by_length([len(item) for item in distinct], self._batch_tokens):
            items = [distinct[i] for i in batch]
            found.update(zip(items, self._forward(items), strict=True))
        return [found[item] for item in encoded]

    def _forward(self, items: Sequence[Encoded]) -> list[tuple[float, ...]]:
        import torch

        with torch.inference_mode():
            found = self._model(**collate(items, self._encoder.pad_id, self.device))
        rows = self._numbers(found)
        if rows.shape[:1] != (len(items),) or rows.dim() > 2:
            raise ConfigError(
                f"{self._where}: for {len(items)} texts the model gave numbers of the shape {list(rows.shape)}; a "
                "reward model gives one or several for each text"
            )
        return [tuple(row) for row in rows.double().reshape(len(items), -1).tolist()]

    def _numbers(self, found: Any) -> Any:
        """The tensor of a model's output that holds the scores."""
        names = [self._output] if self._output else ["logits", "score"]
        for name in names:
            value = getattr(found, name, None)
            if value is not None:
                return value
        fields = ", ".join(found.keys()) if hasattr(found, "keys") else type(found).__name__
        raise ConfigError(
            f"{self._where}: the model's output has no {' or '.join(map(repr, names))}; it has {fields}. "
            "Say which holds the scores by `output`"
        )


_SCORERS: WeakValueDictionary[Hashable, ModelScorer] = WeakValueDictionary()


def shared_scorer(settings: ClassifierSettings, where: str) -> ModelScorer:
    """The scorer for these settings: the one that another reward of the process has already, or a new one."""
    from cgpo.rewards.loading import check_folder

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
